"""Merging: a case that is the same problem as another one goes on in that one, its survivor.

The survivor must be open and lie in the same home; one that was merged itself is followed. It knows what goes on in it,
cannot be withdrawn, and says its end to each case merged into it, for whoever reported that. A merged case stays
merged, and is one link away from its survivor: where that is merged in its turn, it hears of it.
"""

from collections.abc import Callable, Collection, Iterable

from schemas import facts
from schemas.kinds import incident
from schemas.partition import home_of
from schemas.refusals import Reason, Refusal
from workflows import barring, joint, petitioning
from workflows.case import Case
from workflows.decision import Decision
from workflows.machine import Effect, Speaker

MOST_LINKS = 8
"""So many cases that were merged into one another are followed to the one that goes on."""
MOST_ABSORBED = petitioning.MOST_WAITING
"""So many cases go on in one, its parts and the petitions that wait for it counted in."""


def merge(kinds: Collection[str]) -> Effect:
    """An effect that merges the case into the one that goes on, which must be open, in the same home, of these kinds.

    A survivor that was merged itself is followed. It hears which cases go on in it, and so do those that were merged
    into this one before: none of them is more than one link away from its survivor.
    """

    def effect(d: Decision, data: incident.Merged, speaker: Speaker) -> Refusal | None:
        if data.into == d.case.id:
            return Refusal(Reason.INVALID, "data.into", "a case is not merged into itself")
        if home_of(data.into) != home_of(d.case.id):
            remedy = "name one of the same home, or close this one as a duplicate with a reference"
            return Refusal(Reason.INVALID, "data.into", f"a case of another home does not go on for this one: {remedy}")
        survivor = survivor_of(data.into, d.find)
        if survivor is None or not survivor.opened:
            remedy = "send its report first, then this again with a new id, or name another case"
            return Refusal(Reason.IMPOSSIBLE, "data.into", f"no case of this id has been reported: {remedy}")
        if survivor.id == d.case.id:
            return Refusal(Reason.IMPOSSIBLE, "data.into", "that case goes on in this one: nothing is left to merge")
        if survivor.closed is not None or survivor.definition not in kinds:
            why = "has ended" if survivor.closed is not None else "is of a kind that takes none"
            detail = f"the case that would go on, {survivor.id}, {why}: name an open one of {', '.join(kinds)}"
            return Refusal(Reason.IMPOSSIBLE, "data.into", detail)
        together, petitions = (d.case.id, *d.case.absorbed), d.case.petitions
        parts = joint.alive(d.case)
        if len(together) + len(petitions) + len(parts) > petitioning.room_in(survivor):
            most = petitioning.MOST_WAITING
            remedy = "close this one as a duplicate with a reference"
            detail = f"{most} cases, parts and petitions go on in one at most: {remedy}"
            return Refusal(Reason.OVER_LIMIT, "data.into", detail)
        d.tell(facts.Linked(into=survivor.id))
        hand_over(d, together, petitions)
        barring.pass_on(d, survivor.id)
        joint.hand_over(d, survivor)
        return None

    return effect


def survivor_of(id_: str, find: Callable[[str], Case | None]) -> Case | None:
    """The case that goes on for one: itself, or what is found at the end of its links. None where there is none."""
    case = find(id_)
    for _ in range(MOST_LINKS):
        if case is None or not case.merged_into:
            return case
        case = find(case.merged_into)
    return case if case is None or not case.merged_into else None


def gone_on(d: Decision) -> str:
    """In words for a refusal, in which case this one goes on; empty where it was not merged."""
    if not d.case.merged_into:
        return ""
    survivor = survivor_of(d.case.merged_into, d.find)
    # An earlier release took any text, which is not repeated here.
    return f" and goes on in {survivor.id}" if survivor is not None else " and goes on in another one"


def hand_over(d: Decision, together: tuple[str, ...], petitions: tuple[str, ...]) -> None:
    """Say to the survivor which cases go on in it, this one among them or not, and which petitions wait for them; and
    to the other cases where they go on."""
    survivor = d.case.merged_into
    d.send(survivor, incident.ABSORBED, incident.Absorbed(cases=together, petitions=petitions))
    for id_ in together:
        if id_ != d.case.id:
            d.send(id_, incident.SURVIVOR_CHANGED, incident.SurvivorChanged(into=survivor))


def absorb(d: Decision, data: incident.Absorbed, speaker: Speaker) -> Refusal | None:
    """Other cases go on in this one. Where it has been merged or has ended meanwhile they hear of that."""
    d.tell(facts.Absorbed(cases=data.cases, petitions=data.petitions))
    if d.case.merged_into:
        hand_over(d, data.cases, data.petitions)
    elif d.case.closed is not None:
        tell_end(d, data.cases)
        petitioning.tell_end(d, data.petitions)
    return None


def change_survivor(d: Decision, data: incident.SurvivorChanged, speaker: Speaker) -> Refusal | None:
    """Another case goes on for this one."""
    d.tell(facts.Linked(into=data.into))
    return None


def hear_end(d: Decision, data: incident.SurvivorEnded, speaker: Speaker) -> Refusal | None:
    """The case that goes on for this one has ended. Of links that an earlier release made it is the last one."""
    survivor = survivor_of(d.case.merged_into, d.find)
    d.tell(facts.SurvivorEnded(case=survivor.id if survivor else d.case.merged_into, state=data.state))
    return None


def tell_end(d: Decision, cases: Iterable[str]) -> None:
    """Say to cases that were merged into this one that it has ended."""
    for id_ in cases:
        d.send(id_, incident.SURVIVOR_ENDED, incident.SurvivorEnded(state=d.case.state))


def at_end(d: Decision) -> None:
    """A case has come to its end: its parts hear of it, those that were merged into it, for whoever reported them, and
    the petitions that wait for it."""
    joint.at_end(d)
    tell_end(d, d.case.absorbed)
    petitioning.tell_end(d, d.case.petitions)


def no_survivor(d: Decision, speaker: Speaker) -> Refusal | None:
    """No others have reported the same problem and go on in the case."""
    if not d.case.absorbed:
        return None
    remedy = "it is handled for them too: reject it as unfounded, or let it be handled"
    return Refusal(Reason.IMPOSSIBLE, "type", f"{len(d.case.absorbed)} other cases go on in this one: {remedy}")

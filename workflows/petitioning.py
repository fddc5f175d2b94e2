"""What a case has to do with petitions (信访): their work is done in it, and each of them hears of its end.

A petition bears an incident, or joins a case that is there already; the case answers with its state, so both know each
other. Where the case is merged its petitions go on with it. All who wait for one case hear of its end in one turn, so
they are bounded, together with the cases that were merged into it.
"""

from collections.abc import Iterable, Sequence

from schemas import facts
from schemas.coordinates import Point, in_units
from schemas.kinds import incident
from schemas.members import Source
from schemas.refusals import Refusal
from workflows import birth, effects, joint, listing, routing
from workflows.case import Case
from workflows.decision import Decision
from workflows.duplicates import correlation_key, correlation_keys, similar_at
from workflows.machine import Speaker
from workflows.policy.index import Policy

MOST_WAITING = 63
"""So many cases, parts and petitions wait for the end of one: all hear of it in that turn (`turn.MOST_SENDS`)."""
FOUND = (Source.PATROL, Source.INSPECTION, Source.SUPERVISION, Source.SENSOR, Source.CAMERA)
"""Who finds a problem before anybody complains of it (M77)."""


def room_in(case: Case) -> int:
    """How many more may wait for a case."""
    return MOST_WAITING - len(case.absorbed) - len(case.petitions) - len(joint.alive(case))


def is_open_with_room(case: Case | None) -> bool:
    """Whether a case is open and takes one petition more."""
    return case is not None and case.opened > 0 and case.closed is None and room_in(case) > 0


def point_of(data: incident.Petitioned) -> Point | None:
    """Where that is of which a petition speaks, in units; None: it has named no position."""
    return data.spot or (in_units(data.lon, data.lat) if data.lon is not None and data.lat is not None else None)


def keys(data: incident.Petitioned, measured: tuple[int, ...] | None, register: Policy) -> Sequence[str]:
    """The keys under which open cases may be the same problem."""
    return correlation_keys(data.category, point_of(data), register.options.similar_radius_m)


def joins(d: Decision, data: incident.Petitioned, nearby: Sequence[Case]) -> str:
    """The similar open case that a petition of another home attaches to, instead of bearing one; empty: there is none.
    One of the home itself has looked when it was taken in."""
    open_ones = [case for case in nearby if is_open_with_room(case)]
    return next(iter(similar_at(point_of(data), d.judged(0), d.register.options, open_ones)), "")


def begin(d: Decision, data: incident.Petitioned, own: str, home: str, nearby: Sequence[Case]) -> Refusal | None:
    """A petition bears the case, at the place of which it speaks."""
    category = d.rules.categories.get(data.category)
    if category is None:
        return effects.unknown_code("data.category", "category")
    register, at = d.register, d.judged(0)
    refused = birth.refuse_grid(register, at, data.grid, home, "data.grid")
    if refused:
        return refused
    path = register.path(register.standing(data.grid, at))
    point = point_of(data)
    d.tell(
        facts.Reported(
            definition=incident.INCIDENT.name,
            policy=d.rules.hash,
            category=category.code,
            group=category.group,
            source=data.source,
            by=data.by,
            path=path,
            occurred=d.instant,
            judged=at,
            key=correlation_key(category.code, point, d.rules.options.similar_radius_m),
            lon=data.lon,
            lat=data.lat,
            crs=data.crs,
            spot=data.spot,
            how="sent",
            **listing.at_report(d, path),
        )
    )
    effects.tell_evidence(d, data.evidence)
    return None


def assign(d: Decision, data: incident.Petitioned, speaker: Speaker, state: str) -> Refusal | None:
    """The first owner is the level with authority; the petition hears in which state the case begins."""
    owner = routing.upward(d.case, d.rules, d.register)
    effects.assign(d, owner, "begun")
    answer(d, data, state=state)
    return None


def join(d: Decision, data: incident.Petitioned, speaker: Speaker) -> Refusal | None:
    """A petition waits for the end of this case, or of the one in which it goes on."""
    crowded = not d.case.merged_into and data.petition not in d.case.petitions and room_in(d.case) < 1
    if d.case.merged_into:
        d.tell(facts.Petitioned(petition=data.petition))
        d.send(d.case.merged_into, incident.PETITIONED, data)
    else:
        answer(d, data, state=d.case.state, before=d.case.source in FOUND, crowded=crowded)
    return None


def answer(d: Decision, data: incident.Petitioned, *, state: str, before: bool = False, crowded: bool = False) -> None:
    """Tell that a petition waits for the case, and say to it how the case stands."""
    d.tell(facts.Petitioned(petition=data.petition, crowded=crowded))
    over = d.case.closed is not None
    said = incident.CaseJoined(case=d.case.id, state=state, before=before and not crowded, over=over, crowded=crowded)
    d.send(data.petition, incident.CASE_JOINED, said)


def leave(d: Decision, data: incident.PetitionLeft, speaker: Speaker) -> Refusal | None:
    """A petition waits for another case."""
    d.tell(facts.PetitionLeft(petition=data.petition))
    if d.case.merged_into:
        d.send(d.case.merged_into, incident.PETITION_LEFT, data)
    return None


def tell_end(d: Decision, petitions: Iterable[str]) -> None:
    """Say to petitions that the case has ended for which they wait."""
    for id_ in petitions:
        d.send(id_, incident.CASE_OVER, incident.CaseOver(case=d.case.id, state=d.case.state))

"""Joint work (联合处置) as the incident that leads it does it: its parts are ordered, waited for, released, reopened,
and end or move with it (M30-M32, M64, M74, M75).

1. Who orders parts holds the incident or stands above its owner, and stands above each owner that is named: an owner in
   another street is named by the district (对街道办事处跨界问题上报二级), so who leads escalates first.
2. Handled with parts open, the incident waits. Meanwhile its holder is the owner of the first part that is worked on:
   the time of the whole case is that owner's. If all that is open came back, its own owner holds it and decides.
3. A check that finds it unsolved reopens the parts that it names and that were done. One that is over stays over: its
   chief has decided so, and the check counts all the same.
4. Merged, it hands its parts to its survivor in one send, and that one decides what becomes of them: it takes what is
   done, and what is open if handling still lies ahead of it; the rest ends. What a part says to a merged incident goes
   on to the survivor.
5. When it ends, parts that are done are settled, and open ones are void.
"""

from collections.abc import Collection, Iterable
from typing import NamedTuple

from schemas import joint
from schemas.derived_ids import part_subject
from schemas.envelope import to_ms
from schemas.joint import KeptPart, joint_of
from schemas.kinds import incident, part
from schemas.members import EventData
from schemas.refusals import Reason, Refusal
from workflows import effects, holding
from workflows.case import Case
from workflows.decision import Decision
from workflows.figures import Measure
from workflows.machine import Effect, Speaker, State

LEADS = (incident.INCIDENT.name,)
"""The kinds of case that lead parts."""
MOST_HEARING = 63
"""So many cases hear of the end of one at most: its parts, what was merged into it and the petitions that wait for it
(`turn.MOST_SENDS`)."""


def alive(case: Case) -> list[KeptPart]:
    """The parts of a case that are open, or done and not over."""
    return [each for each in joint_of(case.own).parts if each.alive]


def is_waited_for(case: Case, data: EventData, speaker: Speaker) -> bool:
    """Some part is open."""
    return case.own is not None and any(each.waited_for for each in alive(case))


def is_last(case: Case, data: EventData, speaker: Speaker) -> bool:
    """The part of which this is said is the only one that is open."""
    waited = [each.id for each in alive(case) if each.waited_for]
    return waited == [getattr(data, "part", "")]


def owes_more_checks(case: Case, data: EventData, speaker: Speaker) -> bool:
    """More than the deciding level must still check on site what was handled."""
    return len(case.checks) > 1


GUARDS = (is_waited_for, is_last, owes_more_checks)


# ---- ordering ---------------------------------------------------------------------------------------------


class Entrusting(NamedTuple):
    """An owner that is to have a part: its grid, or that of its department, or of who writes to a neighbour."""

    grid: str
    level: int
    department: str = ""
    neighbour: str = ""


def order(d: Decision, data: joint.PartsOrdered, speaker: Speaker) -> Refusal | None:
    """Give each owner that is named its part, or its part again."""
    limit = effects.parse_ordered(data.limit, "data.limit")
    if isinstance(limit, Refusal):
        return limit
    if limit is not None and data.due is not None:
        return Refusal(Reason.INVALID, "data", "give due or limit, not both")
    due = to_ms(data.due) if data.due else None
    if refused := effects.refuse_past(d, due, d.judged(0)):
        return refused
    if not data.owners and not data.neighbours:
        return Refusal(Reason.INVALID, "data.owners", "name an owner or a neighbour")
    named: list[Entrusting] = []
    for field, codes in (("data.owners", data.owners), ("data.neighbours", data.neighbours)):
        for code in dict.fromkeys(codes):
            found = entrusting(d, field, code, speaker)
            if isinstance(found, Refusal):
                return found
            named.append(found)
    if refused := refuse_more(d, named):
        return refused
    for each in named:
        entrust(d, each, due, data.limit or "")
    return None


def entrusting(d: Decision, field: str, code: str, speaker: Speaker) -> Entrusting | Refusal:
    """The owner of a code; a refusal where there is none, who speaks does not stand above it, or it leads, or has its
    part already."""
    register = d.register
    department = code if field == "data.owners" and code in register.departments else ""
    neighbour = register.neighbours.get(code) if field == "data.neighbours" else None
    if field == "data.neighbours" and neighbour is None:
        return effects.unknown_code(field, "neighbour")
    if neighbour is not None:
        grid, department = neighbour.grid, neighbour.department
    else:
        grid = register.departments[department].grid if department else code
    if grid not in register.grids:
        return effects.unknown_code(field, "grid or department")
    grid = register.standing(grid, d.judged(0))
    found = Entrusting(grid, register.grids[grid].level, department, code if neighbour else "")
    if speaker.grid not in register.path(grid):
        above = f"a grid above {grid}, or that grid: escalate the incident to it first"
        return Refusal(Reason.FORBIDDEN, field, f"a part is ordered by {above}")
    if neighbour is None and (grid, department) == (d.case.owner.grid, d.case.owner.department):
        return Refusal(Reason.INVALID, field, "who leads the incident has no part beside: name further owners")
    if any(each.waited_for and not each.returned for each in parts_of(d.case, found)):
        return Refusal(Reason.IMPOSSIBLE, field, "an owner that is named has a part that is open")
    return found


def parts_of(case: Case, unit: Entrusting) -> list[KeptPart]:
    """The parts of an owner that are alive."""
    key = (unit.neighbour, "") if unit.neighbour else (unit.grid, unit.department)
    return [each for each in alive(case) if each.unit == key]


def refuse_more(d: Decision, named: Collection[Entrusting]) -> Refusal | None:
    """Why the incident cannot have so many parts."""
    fresh = sum(not parts_of(d.case, each) for each in named)
    if len(alive(d.case)) + fresh > joint.MOST_PARTS:
        return Refusal(Reason.OVER_LIMIT, "data.owners", f"an incident has {joint.MOST_PARTS} parts at most")
    if len(alive(d.case)) + fresh + len(d.case.absorbed) + len(d.case.petitions) > MOST_HEARING:
        detail = f"{MOST_HEARING} cases hear of its end at most: parts, petitions and those merged into it"
        return Refusal(Reason.OVER_LIMIT, "data.owners", detail)
    return None


def entrust(d: Decision, unit: Entrusting, due: int | None, limit: str) -> None:
    """Tell that an owner has its part, and say it to the part. One that was sent back or done is asked for again."""
    at, case = d.judged(0), d.case
    mine = parts_of(case, unit)
    again = next((each.id for each in mine if each.returned), mine[0].id if mine else "")
    count = len(joint_of(case.own).parts)
    home = d.register.home(unit.grid)
    id_ = again or part_subject(home, case.id, unit.neighbour or unit.department or unit.grid, count)
    d.tell(
        joint.PartOrdered(
            part=id_,
            grid=unit.grid,
            level=unit.level,
            at=at,
            by=d.by,
            department=unit.department,
            neighbour=unit.neighbour,
            again=bool(again),
        )
    )
    if again:
        d.send(id_, part.REOPENED, part.Reopened(why="ordered", due=due, limit=limit))
        return
    asked = part.Entrusted(
        leading=case.id,
        grid=unit.grid,
        by=d.by,
        place=case.path[-1],
        lead_grid=case.owner.grid,
        lead_department=case.owner.department,
        department=unit.department,
        neighbour=unit.neighbour,
        category=case.category,
        group=case.group,
        due=due,
        limit=limit,
    )
    d.send(id_, part.ENTRUSTED, asked, bears=part.PART.name)


def record(d: Decision, data: joint.JointRecorded, speaker: Speaker) -> Refusal | None:
    """Tell that they have met or enforced together."""
    register = d.register
    known = (register.grids, register.departments, register.neighbours)
    if any(all(code not in codes for codes in known) for code in data.participants):
        return effects.unknown_code("data.participants", "grid, department or neighbour")
    d.tell(joint.JointActed(what=data.what, participants=tuple(dict.fromkeys(data.participants)), by=d.by))
    effects.tell_evidence(d, data.evidence)
    return None


# ---- waiting ----------------------------------------------------------------------------------------------


def waiting(states: Iterable[State], change: Effect) -> Effect:
    """An effect, in a kind with these states, after which an incident that waits for parts is held by who is waited for
    then."""
    waits = {state.name for state in states if state.hands == "parts"}

    def effect(d: Decision, data: EventData, speaker: Speaker) -> Refusal | None:
        refused = change(d, data, speaker)
        if refused is None and d.case.state in waits and is_waited_for(d.case, data, speaker):
            holding.hold(d, "parts")
        return refused

    return effect


def hear_done(d: Decision, data: joint.PartHeard, speaker: Speaker) -> Refusal | None:
    """A part is done."""
    if d.case.merged_into:
        d.send(d.case.merged_into, joint.PART_DONE, data)
    elif refused := refuse_word(d, data.part):
        return refused
    d.tell(joint.PartCompleted(part=data.part))
    return None


def hear_sent_back(d: Decision, data: joint.RefusalHeard, speaker: Speaker) -> Refusal | None:
    """A part came back: its owner will not do it."""
    if d.case.merged_into:
        d.send(d.case.merged_into, joint.PART_SENT_BACK, data)
    elif refused := refuse_word(d, data.part):
        return refused
    d.tell(joint.PartReturned(part=data.part, reason=data.reason))
    return None


def refuse_word(d: Decision, id_: str) -> Refusal | None:
    """Why what a part says comes to nothing: it was released, or given up, while it was on its way."""
    known = joint_of(d.case.own).part(id_)
    if known is not None and known.waited_for and not known.returned:
        return None
    return Refusal(Reason.IMPOSSIBLE, "data.part", "it is not waited for any more")


def may_release(d: Decision, speaker: Speaker) -> Refusal | None:
    """Some part is waited for."""
    if any(each.waited_for for each in alive(d.case)):
        return None
    return Refusal(Reason.IMPOSSIBLE, "type", "the incident waits for no part")


def release(d: Decision, data: joint.PartsReleased, speaker: Speaker) -> Refusal | None:
    """Wait for a part no longer."""
    known = joint_of(d.case.own).part(data.part)
    if known is None:
        return Refusal(Reason.INVALID, "data.part", "must be the id of a part of this incident")
    if not known.waited_for:
        return Refusal(Reason.IMPOSSIBLE, "data.part", "nobody waits for this part: it is done, or over")
    d.tell(joint.PartReleased(part=data.part, reason=data.reason, by=d.by, token=d.token))
    d.send(data.part, part.RELEASED, part.Over())
    return None


def check(d: Decision, data: incident.VerificationRecorded, speaker: Speaker) -> Refusal | None:
    """A check on site, and the parts that it reopens."""
    named, known = dict.fromkeys(data.parts), {each.id: each for each in joint_of(d.case.own).parts}
    if named and (data.outcome != "unsolved" or speaker.level < len(d.case.path)):
        detail = "parts are reopened by the check that decides, where it finds the problem unsolved: leave it out"
        return Refusal(Reason.INVALID, "data.parts", detail)
    if any(id_ not in known for id_ in named):
        return Refusal(Reason.INVALID, "data.parts", "must be ids of parts of this incident")
    refused = effects.check(d, data, speaker)
    if refused or not named:
        return refused
    again = tuple(id_ for id_ in named if known[id_].alive and known[id_].complete)
    ended = tuple(id_ for id_ in named if known[id_].over)
    d.tell(joint.PartsReopened(parts=again, at=d.judged(0), by=d.by, ended=ended))
    for id_ in again:
        d.send(id_, part.REOPENED, part.Reopened(why="unsolved"))
    return None


MEASURES = (
    Measure("parts_ordered", joint.PartOrdered, zh="交办协办的次数", en="parts ordered"),
    Measure("parts_released", joint.PartReleased, per="reason", zh="免除协办的次数", en="parts released"),
    Measure(
        "joint_acts", joint.JointActed, per="what", zh="会商、联合执法的次数", en="joint meetings and enforcements"
    ),
)


# ---- ending, and going on in another one ------------------------------------------------------------------


def end(d: Decision, parts: Iterable[KeptPart]) -> None:
    """Say to parts that it is over: those that are done are settled, open ones void."""
    for each in parts:
        d.send(each.id, part.SETTLED if each.complete else part.VOIDED, part.Over())


def at_end(d: Decision) -> None:
    """An incident has come to its end, and its parts with it."""
    left = alive(d.case)
    if left:
        d.tell(joint.PartsGivenUp(parts=tuple(each.id for each in left)))
        end(d, left)


def hand_over(d: Decision, survivor: Case) -> None:
    """The incident is merged: its parts go to the survivor, if that is of a kind that leads any."""
    left = alive(d.case)
    if not left:
        return
    leads = survivor.definition in LEADS
    d.tell(joint.PartsGivenUp(parts=tuple(each.id for each in left), into=survivor.id if leads else ""))
    if leads:
        d.send(survivor.id, joint.PARTS_HANDED, joint.PartsHanded(parts=tuple(left)))
    else:
        end(d, left)


def take(states: Collection[str]) -> Effect:
    """An effect by which a survivor takes the parts of an incident that was merged into it. In these states handling
    still lies ahead, so that open parts are of use."""

    def effect(d: Decision, data: joint.PartsHanded, speaker: Speaker) -> Refusal | None:
        ids = tuple(each.id for each in data.parts)
        if d.case.merged_into:
            d.tell(joint.PartsGivenUp(parts=ids, into=d.case.merged_into))
            d.send(d.case.merged_into, joint.PARTS_HANDED, data)
            return None
        taken: tuple[KeptPart, ...] = ()
        if d.case.closed is None:
            taken = tuple(each for each in data.parts if each.complete or d.case.state in states)
        dropped = tuple(each for each in data.parts if each not in taken)
        if taken:
            d.tell(joint.PartsTaken(parts=taken))
        if dropped:
            d.tell(joint.PartsGivenUp(parts=tuple(each.id for each in dropped)))
        owner = d.case.owner
        lead = part.LeadChanged(leading=d.case.id, lead_grid=owner.grid, lead_department=owner.department)
        for each in taken:
            d.send(each.id, part.LEAD_CHANGED, lead)
        end(d, dropped)
        return None

    return effect

"""What a rung calls for (督办建议): a supervision about its case, which the pack proposes and an office decides.

1. A rung with `act` `bear:ACTION` bears it by a send, in the same home. Its id follows from the case, the clock, the
   cycle, the target and the action: a repeat of the rung, or another rung of that target, bears nothing new.
2. Who has to answer is who is charged with the clock, which may be another unit than owns the case.
3. It begins when it could be known that the rung is due: at its instant, or at the arrival that armed it late. So no
   office has lost time to a phone that was offline, and who read the log how fast changes nothing.
4. The case tells nothing of it: until it is served nobody who reads the case is to know.
5. Where it turns out that the deadline was met, what its rungs have called for is told so. It is withdrawn if nobody
   has decided it, else whoever reviews it sees that.
6. Its id can be foretold. Where somebody has begun another case under it beforehand, the rung bears its own under the
   next id that follows from the same: nobody keeps a rung from being heard by being there first.
7. About a supervision nothing is called for: one that is late is raised a level.
"""

from schemas import facts
from schemas.derived_ids import called_subject
from schemas.kinds import supervision
from schemas.kinds.supervision import (
    CALLED_FOR,
    CONTRADICTED,
    CalledFor,
    Supervision,
    SupervisionCalledFor,
    SupervisionContradicted,
)
from schemas.members import EventData
from schemas.refusals import Refusal
from workflows import effects, holding
from workflows.case import AWAITED, Clock, Owner
from workflows.decision import Decision
from workflows.machine import Speaker
from workflows.policy.model import RungRow
from workflows.supervising import refuse_hold, refuse_listing, tell_proposed

KIND = supervision.SUPERVISION.name
MOST_TAKEN = 8
"""So many ids of what a rung calls for are looked at, where others have taken them."""


def call_for(d: Decision, clock: Clock, row: RungRow) -> None:
    """Let a rung that has just fired bear what it calls for. `clock`: as it was before it fired."""
    case = d.case
    unit = case.charge(clock.name, clock.level) or holding.holder_of_clock(d, clock)
    at = max(clock.next or 0, d.origin.armed_late(clock) or 0)
    data = CalledFor(
        about=case.id,
        action=row.calls_for,
        unit=unit.grid,
        department=unit.department or None,
        clock=clock.name,
        level=clock.level,
        cycle=clock.cycle,
        target=clock.target,
        rung=row.rung,
        at=at,
    )
    d.send(called_id(d, clock, row.calls_for), CALLED_FOR, data, bears=KIND)


def take_back(d: Decision) -> None:
    """Say to what the rungs of a clock have called for that its deadline was met."""
    case = d.case
    for fact in d.facts:
        if isinstance(fact, facts.ClockContradicted):
            ladder = d.rules.ladder(fact.clock, case.definition, case.category)
            for action in sorted({row.calls_for for row, _ in ladder} - {""}):
                called = called_id(d, fact, action)
                if d.find(called) is not None:
                    d.send(called, CONTRADICTED, EventData())


def called_id(d: Decision, clock: Clock | facts.ClockContradicted, action: str) -> str:
    """The id of what the rungs of a clock call for: the first one that they have borne, or that nobody has."""
    name, found = clock.name if isinstance(clock, Clock) else clock.clock, ""
    for turn in range(MOST_TAKEN):
        named = f"{action}|{turn}" if turn else action
        found = called_subject(d.case.id, KIND, name, clock.level, clock.cycle, clock.target, named)
        other = d.find(found)
        if other is None or other.state == AWAITED or (isinstance(other.own, Supervision) and other.own.clock):
            break
    return found


def be_called_for(d: Decision, data: CalledFor, own: str, home: str, nearby: object) -> Refusal | None:
    """A rung proposes it about its case, and begins it when that could be known."""
    action, about = d.rules.actions.get(data.action), d.find(data.about or "")
    if action is None:
        return effects.unknown_code("data.action", "action")
    if refused := refuse_hold(action, about):
        return refused
    d.begin_at(data.at)
    register, at = d.register, d.judged(0)
    unit = register.standing(data.unit, at)
    grid = register.standing(about.path[-1], at) if about is not None else unit
    path = register.path(grid) if grid in register.grids else about.path if about is not None else ()
    if refused := refuse_listing(d, action, path):
        return refused
    level = register.grids[unit].level if unit in register.grids else 0
    tell_proposed(d, data, action, Owner(unit, level, data.department or ""), path)
    rung = {name: getattr(data, name) for name in ("clock", "level", "cycle", "target", "rung")}
    d.tell(SupervisionCalledFor(**rung))
    return None


def be_contradicted(d: Decision, data: EventData, speaker: Speaker) -> Refusal | None:
    """The deadline was met whose rung called for it. That is known now, whenever it was met: an office that let the
    time for its decision pass has missed it."""
    d.latest = d.arrival
    d.tell(SupervisionContradicted(at=d.arrival))
    return None

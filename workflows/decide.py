"""Decide: what a record or a due instant does to a case. Pure: no I/O, no wall clock, no randomness.

    take(case, arrived, ...) -> Outcome     an event arrived: done, parked, or refused with a reason
    fire(case, arrival, ...) -> Outcome     something of it fell due: a rung, patience, a suspension's end

In: the case as it is, the event with its arrival, the rules pinned to the case, the register active at
arrival, and the open cases nearby. Out: `Outcome`: the case after, the steps with their facts, and what
became of each event, parked ones that were released or given up included.
"""

from msgspec import Struct

from schemas import facts as f
from schemas.envelope import Record, decode_data, decode_record, to_ms
from schemas.events import ReportSubmitted, Resumed, Said, VerificationRecorded, trigger_of
from schemas.partition import home_of
from schemas.refusals import Reason, Refusal
from workflows import birth, effects, routing, sla
from workflows.case import AWAITED, Case, Clock, Waiting, responsible
from workflows.clocks.limits import LimitError
from workflows.clocks.timescales import CalendarError
from workflows.decision import Decision, believed
from workflows.definitions import DEFINITIONS
from workflows.definitions.machine import Definition, Speaker
from workflows.permissions import forbid
from workflows.policy.index import Policy
from workflows.policy.model import Post

DUE = "gridpatrol.clock.due"
"""The type of the cause of a firing."""


class Arrived(Struct, frozen=True):
    """An event with what the engine knows of it.

    `raw` is the record's body, kept if the event has to wait.
    """

    record: Record
    said: Said
    arrival: int
    raw: bytes
    came: int = 0  # the arrival at which it came, if it has waited since


class Settled(Struct, frozen=True):
    """What became of an event: done, parked or refused (then with the reason)."""

    source: str
    id: str
    outcome: str
    refusal: Refusal | None = None
    raw: bytes = b""


class DecidedStep(Struct, frozen=True):
    """One step: its cause, its facts, and the instant by whose local day it counts."""

    cause: f.Cause
    facts: tuple[f.AnyFact, ...]
    instant: int
    department: str  # of the owner under whom it counts
    case: Case  # after it


class Outcome(Struct):
    """What a record or a firing did."""

    case: Case
    steps: list[DecidedStep]
    settled: list[Settled]


# ---- an event arrives -------------------------------------------------------------------------------------


def take(case: Case, arrived: Arrived, rules: Policy, register: Policy, nearby: tuple[Case, ...] = ()) -> Outcome:
    """Decide one event, then every parked one that it releases."""
    event, result = arrived.record.event, _decide(case, arrived, rules, register, nearby)
    early = result is None
    if result is None:
        result = _park(case, arrived, rules, register)
    if isinstance(result, Refusal):
        return Outcome(case, [], [Settled(event.source, event.id, "refused", result, arrived.raw)])
    outcome = _told(result, cause_of(arrived))
    outcome.settled.append(Settled(event.source, event.id, "parked" if early else "done"))
    return outcome if early else _release(outcome, case.cycle, rules, register, arrived.arrival)


def _told(d: Decision, cause: f.Cause) -> Outcome:
    """A decision as a step of its case, dated by the move that it made, else by what it believed."""
    d.case.seq += 1
    moved = any(isinstance(fact, f.Moved) for fact in d.facts)
    instant = d.case.judged if moved else d.judged(0)
    department = responsible(d.before, d.case.owner).department
    return Outcome(d.case, [DecidedStep(cause, tuple(d.facts), instant, department, d.case)], [])


def cause_of(arrived: Arrived) -> f.Cause:
    """The event as the cause of a step."""
    event = arrived.record.event
    return f.Cause(
        type=event.type,
        source=event.source,
        id=event.id,
        actor=event.actor,
        occurred=to_ms(event.time),
        traceparent=event.traceparent or "",
        token=arrived.record.token,
    )


def _decide(
    case: Case, arrived: Arrived, rules: Policy, register: Policy, nearby: tuple[Case, ...]
) -> Decision | Refusal | None:
    """Facts about one event, or why there are none; None if it has come early and may wait."""
    event, said = arrived.record.event, arrived.said
    post = register.posts.get(event.actor)
    if post is None or post.vacant or not register.stands(post, arrived.arrival):
        why = "no post of the active pack" if post is None else "vacant" if post.vacant else "not a post at this time"
        return Refusal(Reason.UNKNOWN_CODE, "actor", f"{event.actor!r} is {why}")
    instant = believed(to_ms(event.time), arrived.came or arrived.arrival, rules.options.offline_ms)
    d = Decision(case, rules, register, arrived.arrival, instant, event.actor)
    d.token = arrived.record.token
    try:
        if case.state == AWAITED:
            return _birth(d, said, post, home_of(event.subject), nearby)
        return _proceed(d, said, post, event.type)
    except CalendarError as error:
        return Refusal(Reason.INVALID, "time", str(error))
    except LimitError as error:
        return Refusal(Reason.INVALID, "data.limit", str(error))


def _birth(d: Decision, said: Said, post: Post, home: str, nearby: tuple[Case, ...]) -> Decision | Refusal | None:
    """A report begins a case; anything else that comes before its report waits for it."""
    if not isinstance(said, ReportSubmitted):
        return None
    if said.category not in d.rules.categories:
        return effects.unknown_code("data.category", said.category, "category")
    for code in said.touches:
        if code not in d.register.grids:
            return effects.unknown_code("data.touches", code, "grid")
    grid = birth.place(d, said, post.grid, home)
    if isinstance(grid, Refusal):
        return grid
    birth.report(d, said, grid, nearby)  # told first: the rules below ask the case for its place
    refused = forbid(post, "report.submitted", d.case, d.rules, d.register)
    if refused is None and said.department is not None:
        refused = effects.check_department(d, said.department, "data.department")
    if refused:
        return refused
    definition, at = DEFINITIONS[said.definition], _standing(d, post)
    dest = definition.dest("report.submitted", d.case, said, at)
    if dest is None:
        return Refusal(Reason.IMPOSSIBLE, "type", "this definition takes no report")
    birth.first_owner(d, said, at, dest)
    _move(d, definition, "report.submitted", dest)
    birth.total_clock(d, said)
    return d


def _proceed(d: Decision, said: Said, post: Post, event_type: str) -> Decision | Refusal | None:
    """A case that is under way takes an event, or lets it wait, or refuses it."""
    definition = DEFINITIONS[d.case.definition]
    at = _standing(d, post)
    trigger = _trigger(event_type, said, at)
    if trigger == "report.submitted":
        return Refusal(Reason.IMPOSSIBLE, "subject", "this case has been reported already: mint a new subject")
    dest = definition.dest(trigger, d.case, said, at)
    if dest is None:
        early = trigger in definition.ahead[d.case.state]
        return None if early else _impossible(definition, d.case.state)
    refused = forbid(post, trigger_of(event_type), d.case, d.rules, d.register)
    if refused:
        return refused
    effect = effects.EFFECTS.get(trigger)
    refused = effect(d, said, at) if effect else None
    if refused:
        return refused
    _move(d, definition, trigger, dest)
    return d


def _standing(d: Decision, post: Post) -> Speaker:
    """Where the speaker stands, for the guards."""
    grid, known = d.register.grids.get(post.grid), d.rules.categories.get(d.case.category)
    return Speaker(
        post=post.code,
        grid=post.grid,
        level=grid.level if grid else 0,
        department=post.department,
        leaf_level=len(d.case.path),
        dissuade=bool(known and known.dissuade),
        authority=routing.upward(d.case, d.rules, d.register).level,
        checks=routing.checks(d.case, d.rules) if d.case.owner.level else (),
    )


def _trigger(event_type: str, said: Said, at: Speaker) -> str:
    """The trigger of an event: a check by a level above the deciding one has its own."""
    if isinstance(said, VerificationRecorded) and at.level < at.leaf_level:
        return "verification.checked"
    return trigger_of(event_type)


def _impossible(definition: Definition, name: str) -> Refusal:
    """No state of this cycle takes it any more."""
    state, now = definition.states[name], ", ".join(definition.triggers(name))
    return Refusal(Reason.IMPOSSIBLE, "type", f"in state {name} ({state.zh}) it takes: {now or 'nothing'}")


def _move(d: Decision, definition: Definition, trigger: str, dest: str) -> None:
    """Take the case to its next state, and its clocks with it."""
    if dest == "=":
        return
    was, state = d.case.state, definition.states[dest]
    d.tell(f.Moved(trigger=trigger, was=was, state=dest, judged=d.judged(d.case.judged), by=d.by))
    if dest != was or d.case.owner != d.before:
        sla.arrange(d, state, trigger)


# ---- parked events ----------------------------------------------------------------------------------------


def _park(case: Case, arrived: Arrived, rules: Policy, register: Policy) -> Decision | Refusal:
    """An early event waits with its case; their number is capped.

    Before its report, the home at least is known.
    """
    options, event, home = rules.options, arrived.record.event, home_of(arrived.record.event.subject)
    if len(case.parked) >= options.parked_cap:
        return Refusal(Reason.OVER_LIMIT, "subject", f"{options.parked_cap} events of this case are waiting already")
    if case.state == AWAITED and (home not in register.grids or register.home(home) != home):
        return effects.unknown_code("subject", home, "home")
    d = Decision(case, rules, register, arrived.arrival, arrived.arrival, event.actor)
    until = d.arrival + options.parked_ms
    d.tell(
        f.Parked(
            source=event.source,
            id=event.id,
            type=event.type,
            arrival=d.arrival,
            until=until,
            event=arrived.raw.decode(),
        )
    )
    return d


def _release(outcome: Outcome, cycle: int, rules: Policy, register: Policy, arrival: int) -> Outcome:
    """Give every parked event its turn, in arrival order, until none can go.

    They waited for a state of the `cycle` in which they came: a change of cycle gives up those that are left.
    """
    while outcome.case.parked and outcome.case.cycle == cycle:
        if not any(_retry(outcome, w, rules, register, arrival) for w in outcome.case.parked):
            return outcome
    for waiting in outcome.case.parked:
        why = Refusal(Reason.EXPIRED, "type", "the case has begun another cycle: say it again if it still holds")
        _give_up(outcome, waiting, why, Decision(outcome.case, rules, register, arrival, arrival))
    return outcome


def _retry(outcome: Outcome, waiting: Waiting, rules: Policy, register: Policy, arrival: int) -> bool:
    """Decide a parked event again. True if it left the waiting room."""
    case, raw = outcome.case, waiting.event.encode()
    record = decode_record(raw)
    said = decode_data(record.event)
    result: Decision | Refusal | None
    if isinstance(said, Refusal):
        result = said
    else:
        arrived = Arrived(record, said, max(arrival, waiting.arrival), raw, waiting.arrival)
        result = _decide(case, arrived, rules, register, ())
    if result is None:
        return False
    if isinstance(result, Refusal):
        why = Refusal(Reason.EXPIRED, result.field, result.detail) if _over(case) else result
        _give_up(outcome, waiting, why, Decision(case, rules, register, arrival, arrival))
        return True
    _leave(outcome, result, waiting, "released", cause_of(arrived))
    outcome.settled.append(Settled(waiting.source, waiting.id, "done"))
    return True


def _over(case: Case) -> bool:
    return DEFINITIONS[case.definition].states[case.state].terminal


def _give_up(outcome: Outcome, waiting: Waiting, why: Refusal, d: Decision, word: str = "overtaken") -> None:
    """A parked event goes to the dead letters, with a step that says so."""
    _leave(outcome, d, waiting, word, f.Cause(type=waiting.type, source=waiting.source, id=waiting.id))
    outcome.settled.append(Settled(waiting.source, waiting.id, "refused", why, waiting.event.encode()))


def _leave(outcome: Outcome, d: Decision, waiting: Waiting, why: str, cause: f.Cause) -> None:
    """Out of the waiting room, in the same step as what the event then does."""
    d.tell(f.Unparked(source=waiting.source, id=waiting.id, why=why))
    step = _told(d, cause)
    outcome.steps += step.steps
    outcome.case = step.case


# ---- something falls due ----------------------------------------------------------------------------------


def fire(case: Case, arrival: int, rules: Policy, register: Policy) -> Outcome:
    """Fire what is due first of a case: the clocks by name and level, then patience, then a suspension's end.

    `arrival` is that of the record that releases the firing; the effects are those of the due instant,
    whenever that record came. ValueError if nothing is due before it.
    """
    due = case.next_at
    if due is None or due >= arrival:
        raise ValueError(f"nothing of case {case.id} is due before {arrival}; next is {due}")
    d = Decision(case, rules, register, due, due)
    clock = min((c for c in case.clocks if c.next == due), key=lambda c: (c.name, c.level), default=None)
    if clock is not None:
        return _release(_told(d, _ring(d, clock)), case.cycle, rules, register, due)
    waiting = next((w for w in case.parked if w.until == due), None)
    if waiting is not None:
        outcome = Outcome(case, [], [])
        why = Refusal(Reason.EXPIRED, "type", "waited in vain for the state that takes it")
        _give_up(outcome, waiting, why, d, "expired")
        return outcome
    return _release(_told(d, _end_suspension(d)), case.cycle, rules, register, due)


def _ring(d: Decision, clock: Clock) -> f.Cause:
    """A rung of the ladder; where the pack says so it also raises the case to the next level."""
    row = sla.ring(d, clock)
    if row.act == "escalate":
        _raise_overdue(d)
    rung = f"{clock.cycle}|{clock.target}|{row.rung}|{clock.repeat}"
    return f.Cause(type=DUE, source=f"{clock.name}.{clock.level}", id=rung, occurred=d.instant)


def _raise_overdue(d: Decision) -> None:
    """Escalation by timeout: only where the case can be escalated and there is a level above."""
    definition = DEFINITIONS[d.case.definition]
    rows = definition.table.get(("incident.escalated", d.case.state))
    to = routing.next_above(d.case, "timeout", d.rules, d.register)
    if rows and to:
        effects.raise_to(d, to, "timeout", d.case.owner.grid)
        _move(d, definition, "incident.escalated", rows[0][0])


def _end_suspension(d: Decision) -> f.Cause:
    """A suspension's day has come: the case is taken up again."""
    definition, nobody = DEFINITIONS[d.case.definition], Speaker("", "", 0, "", len(d.case.path))
    dest = definition.dest("incident.resumed", d.case, Resumed(), nobody)
    d.tell(f.Resumed())
    if dest is not None:
        _move(d, definition, "incident.resumed", dest)
    return f.Cause(type=DUE, source="suspension", id=str(d.instant), occurred=d.instant)


def quarantine(
    case: Case, arrival: int, rules: Policy, register: Policy, *, on: bool = True, detail: str = ""
) -> Outcome:
    """Stand a case's clocks still after a firing that failed, or (`on` false) let them run again."""
    d = Decision(case, rules, register, arrival, arrival)
    d.tell(f.Quarantined(on=on, detail=detail))
    return _told(d, f.Cause(type="gridpatrol.incident.quarantined", source="engine", id=case.id, occurred=arrival))


def recalculate(case: Case, arrival: int, rules: Policy, register: Policy) -> Outcome:
    """Look at a case's deadlines again under a newer register: provisional ones, or all, as the pack says."""
    d = Decision(case, rules, register, arrival, arrival)
    d.tell(f.ClockRecalculated(register=register.hash))
    moves = rules.options.deadlines_move
    for clock in case.clocks:
        limit = sla.limit_of(clock)
        may = moves == "always" or (moves == "provisional" and clock.provisional)
        if limit is None or clock.since is None or not may:
            continue
        due = sla.deadline(clock, limit, clock.since, d.calendar(clock.calendar))
        still = d.calendar(clock.calendar).provisional(due, limit.kind)
        if (due, still) != (clock.due, clock.provisional):
            sla.retarget(d, clock, due=None, limit=limit, why="calendar")
    return _told(d, f.Cause(type="gridpatrol.pack.activated", source=register.hash, id=case.id, occurred=arrival))

"""Decides what a record or a due instant does to a case. Pure: no I/O, no wall clock, no randomness.

    take(case, incoming, ...) -> Result     an event arrived: it is done, parked, or refused with a reason
    fire(case, arrival, ...) -> Result      a rung, a parked event's patience or a suspension's end fell due

`rules` is the policy pinned to the case at its birth, `register` the one that is active at arrival. Instants are
milliseconds UTC.
"""

from collections.abc import Callable

from msgspec import Struct

from schemas import facts
from schemas.envelope import Record, decode_data, decode_record, to_ms
from schemas.events import canonical, trigger_of
from schemas.facts import AnyFact
from schemas.kinds.incident import Resumed
from schemas.members import EventData
from schemas.partition import home_of
from schemas.refusals import Reason, Refusal
from workflows import birth, effects, holding, parking, routing, sla
from workflows.case import AWAITED, Case, Clock, Waiting, responsible
from workflows.clocks.limits import LimitError
from workflows.clocks.timescales import CalendarError
from workflows.decision import Decision, believed
from workflows.definitions import DEFINITIONS, born_by
from workflows.machine import Definition, Speaker
from workflows.permissions import claim_of, forbid, offline_allowance
from workflows.policy.index import Policy
from workflows.policy.model import Post

DUE = "gridpatrol.clock.due"
"""The type of the cause of a firing."""


class IncomingEvent(Struct, frozen=True):
    """An event with what the engine knows of it. `raw` is the record's body, kept if the event has to wait."""

    record: Record
    data: EventData
    arrival: int
    raw: bytes
    first_arrival: int = 0  # the arrival at which it came, if it has waited since


class EventOutcome(Struct, frozen=True):
    """What became of an event: done, parked or refused (then with the reason and the record's body)."""

    source: str
    id: str
    actor: str
    outcome: str
    refusal: Refusal | None = None
    raw: bytes = b""


class DecidedStep(Struct, frozen=True):
    """One step: its cause, its facts, and the instant by whose local day it counts."""

    cause: facts.Cause
    facts: tuple[AnyFact, ...]
    instant: int
    department: str  # of the owner under whom it counts
    case: Case  # after it


class Result(Struct):
    """The case after a record or a firing, the steps it took, and what became of the event and of parked ones."""

    case: Case
    steps: list[DecidedStep]
    outcomes: list[EventOutcome]


# ---- an event arrives -------------------------------------------------------------------------------------


def take(
    case: Case,
    incoming: IncomingEvent,
    rules: Policy,
    register: Policy,
    nearby: tuple[Case, ...] = (),
    room: Callable[[], parking.Room] = parking.Room,
) -> Result:
    """Decide one event, then every parked one that it releases.

    `nearby`: open cases under its correlation key. `room`: what waits in its home; only asked of an early event.
    """
    record = incoming.record
    event, decision = record.event, _decide(case, incoming, rules, register, nearby)
    early = decision is None
    if decision is None:
        waiting = Decision(case, rules, register, incoming.arrival, incoming.arrival, event.actor)
        decision = parking.park(waiting, record, incoming.raw, room, claim_of(incoming.data)) or waiting
    if isinstance(decision, Refusal):
        refused = EventOutcome(event.source, event.id, event.actor, "refused", decision, incoming.raw)
        return Result(case, [], [refused])
    result = _one_step(decision, cause_of(incoming))
    result.outcomes.append(EventOutcome(event.source, event.id, event.actor, "parked" if early else "done"))
    return result if early else _release(result, case.cycle, rules, register, incoming.arrival)


def _one_step(d: Decision, cause: facts.Cause) -> Result:
    """A decision as a step of its case, dated by the move that it made, else by the judged instant."""
    d.case.seq += 1
    moved = any(isinstance(fact, facts.Moved) for fact in d.facts)
    instant = d.case.judged if moved else d.judged(0)
    department = responsible(d.before, d.case.owner).department
    return Result(d.case, [DecidedStep(cause, tuple(d.facts), instant, department, d.case)], [])


def cause_of(incoming: IncomingEvent) -> facts.Cause:
    """The event as the cause of a step."""
    event = incoming.record.event
    return facts.Cause(
        type=event.type,
        source=event.source,
        id=event.id,
        actor=event.actor,
        occurred=to_ms(event.time),
        traceparent=event.traceparent or "",
        token=incoming.record.token,
    )


def _decide(
    case: Case, incoming: IncomingEvent, rules: Policy, register: Policy, nearby: tuple[Case, ...]
) -> Decision | Refusal | None:
    """The facts of one event, or a refusal; None if it has come early and may wait."""
    event, data = incoming.record.event, incoming.data
    post = register.posts.get(event.actor)
    if post is None or post.vacant or not register.stands(post, incoming.arrival):
        why = "no post of the active pack" if post is None else "vacant" if post.vacant else "not a post at this time"
        return Refusal(Reason.UNKNOWN_CODE, "actor", f"the actor is {why}: send the code of a post that stands")
    came = incoming.first_arrival or incoming.arrival
    allowance = offline_allowance(post, trigger_of(event.type), rules, register, case.definition)
    d = Decision(
        case, rules, register, incoming.arrival, believed(to_ms(event.time), came, allowance), event.actor, came
    )
    d.token = incoming.record.token
    try:
        if case.state == AWAITED:
            return _birth(d, data, post, home_of(event.subject), nearby)
        return _proceed(d, data, post, event.type)
    except CalendarError as error:
        return Refusal(Reason.INVALID, "time", str(error))
    except LimitError as error:
        return Refusal(Reason.INVALID, "data.limit", error.rule)


def _birth(d: Decision, data: EventData, post: Post, home: str, nearby: tuple[Case, ...]) -> Decision | Refusal | None:
    """Some events begin a case, such as a report; one that comes before it waits for it."""
    born = born_by(data)
    if born is None:
        return None
    definition, trigger = born
    begins = definition.births[trigger]
    # Told first: the rules below ask the case for its place.
    refused = begins.begin(d, data, post.grid, home, nearby)
    refused = refused or forbid(post, trigger, d.case, d.rules, d.register, claim_of(data))
    if refused:
        return refused
    speaker = _speaker(d, post)
    dest = definition.destination(trigger, d.case, data, speaker)
    if dest is None:
        return Refusal(Reason.IMPOSSIBLE, "type", "no case begins like this")
    refused = begins.assign(d, data, speaker, dest)
    if refused:
        return refused
    _move(d, definition, trigger, dest)
    birth.total_clock(d, data)
    return d


def _proceed(d: Decision, data: EventData, post: Post, event_type: str) -> Decision | Refusal | None:
    """A case that is under way takes an event, or lets it wait, or refuses it."""
    definition, state = DEFINITIONS[d.case.definition], d.case.state
    speaker = _speaker(d, post)
    name = trigger_of(event_type)
    if born_by(data) is not None:
        return Refusal(Reason.IMPOSSIBLE, "subject", "this case has been reported already: mint a new subject")
    trigger = definition.meant(canonical(name), d.case, data, speaker)
    dest = definition.destination(trigger, d.case, data, speaker)
    if dest is None:
        if trigger in definition.ahead[state]:
            return None
        now = ", ".join(definition.triggers(state)) or "nothing"
        detail = f"in state {state} ({definition.states[state].zh}) it takes: {now}"
        return Refusal(Reason.IMPOSSIBLE, "type", detail)
    refused = forbid(post, name, d.case, d.rules, d.register, claim_of(data))
    if refused:
        return refused
    d.ending = definition.ending(trigger, speaker.level, rightful=holding.may_order(d, post))
    effect = definition.effects.get(trigger)
    refused = effect(d, data, speaker) if effect else None
    if refused:
        return refused
    _move(d, definition, trigger, dest)
    return d


def _speaker(d: Decision, post: Post) -> Speaker:
    """The post as the guards and effects see it."""
    grid, category = d.register.grids.get(post.grid), d.rules.categories.get(d.case.category)
    return Speaker(
        post=post.code,
        grid=post.grid,
        level=grid.level if grid else 0,
        department=post.department,
        leaf_level=len(d.case.path),
        dissuade=bool(category and category.dissuade),
        authority=routing.upward(d.case, d.rules, d.register).level,
        checks=routing.checks(d.case, d.rules) if d.case.owner.level else (),
        role=post.role,
    )


def _move(d: Decision, definition: Definition, trigger: str, dest: str) -> None:
    """Take the case to its next state, and its clocks with it."""
    was = d.case.state
    if dest != "=":
        d.tell(facts.Moved(trigger=trigger, was=was, state=dest, judged=d.judged(d.case.judged), by=d.by))
    before, after = d.origin, d.case
    if (was, before.owner, before.checks, before.passed) != (after.state, after.owner, after.checks, after.passed):
        sla.arrange(d, definition.states[after.state])


# ---- parked events ----------------------------------------------------------------------------------------


def _release(result: Result, cycle: int, rules: Policy, register: Policy, arrival: int) -> Result:
    """Give every parked event its turn, in arrival order, until none can go.

    They waited for a state of the `cycle` in which they came: a change of cycle gives up those that are left.
    """
    while result.case.parked and result.case.cycle == cycle:
        if not any(_retry(result, w, rules, register, arrival) for w in result.case.parked):
            return result
    for waiting in result.case.parked:
        why = Refusal(Reason.EXPIRED, "type", "the case has begun another cycle: say it again if it still holds")
        _give_up(result, waiting, why, Decision(result.case, rules, register, arrival, arrival))
    return result


def _retry(result: Result, waiting: Waiting, rules: Policy, register: Policy, arrival: int) -> bool:
    """Decide a parked event again. True if it no longer waits."""
    case, raw = result.case, waiting.event.encode()
    record = decode_record(raw)
    data = decode_data(record.event)
    decision: Decision | Refusal | None
    if isinstance(data, Refusal):
        decision = data
    else:
        incoming = IncomingEvent(record, data, max(arrival, waiting.arrival), raw, waiting.arrival)
        decision = _decide(case, incoming, rules, register, ())
    if decision is None:
        return False
    if isinstance(decision, Refusal):
        over = DEFINITIONS[case.definition].states[case.state].terminal
        why = Refusal(Reason.EXPIRED, decision.field, decision.detail) if over else decision
        _give_up(result, waiting, why, Decision(case, rules, register, arrival, arrival))
        return True
    _unpark(result, decision, waiting, "released", cause_of(incoming))
    result.outcomes.append(EventOutcome(waiting.source, waiting.id, record.event.actor, "done"))
    return True


def _give_up(result: Result, waiting: Waiting, refusal: Refusal, d: Decision, why: str = "overtaken") -> None:
    """A parked event becomes a dead letter, with a step that says so."""
    _unpark(result, d, waiting, why, facts.Cause(type=waiting.type, source=waiting.source, id=waiting.id))
    raw = waiting.event.encode()
    result.outcomes.append(EventOutcome(waiting.source, waiting.id, waiting.actor, "refused", refusal, raw))


def _unpark(result: Result, d: Decision, waiting: Waiting, why: str, cause: facts.Cause) -> None:
    """Add a step in which a parked event stops waiting; what the event then does stands in the same step."""
    actors = {other.actor for other in d.case.parked if (other.source, other.id) == (waiting.source, waiting.id)}
    actor = waiting.actor if len(actors) > 1 else ""
    d.tell(facts.Unparked(source=waiting.source, id=waiting.id, why=why, actor=actor))
    step = _one_step(d, cause)
    result.steps += step.steps
    result.case = step.case


# ---- something falls due ----------------------------------------------------------------------------------


def fire(case: Case, arrival: int, rules: Policy, register: Policy) -> Result:
    """Fire what is due first of a case: its clocks by name and level, then a parked event, then a suspension's end.

    `arrival` is that of the record that releases the firing. The effects are dated at the due instant, whenever that
    record came; only how long the telling waits depends on it. ValueError if nothing is due before `arrival`.
    """
    due = case.next_at
    if due is None or due >= arrival:
        raise ValueError(f"nothing of case {case.id} is due before {arrival}; next is {due}")
    d = Decision(case, rules, register, due, due, released=arrival)
    clock = min((c for c in case.clocks if c.next == due), key=lambda c: (c.name, c.level), default=None)
    if clock is not None:
        return _release(_one_step(d, _ring(d, clock)), case.cycle, rules, register, due)
    waiting = next((w for w in case.parked if w.until == due), None)
    if waiting is not None:
        result = Result(case, [], [])
        _give_up(
            result, waiting, Refusal(Reason.EXPIRED, "type", "waited in vain for the state that takes it"), d, "expired"
        )
        return result
    # The day until which the case was suspended has come: it is taken up again, by nobody.
    definition, nobody = DEFINITIONS[d.case.definition], Speaker("", "", 0, "", len(d.case.path))
    dest = definition.destination(definition.resumes, d.case, Resumed(), nobody)
    d.tell(facts.Resumed())
    d.ending = definition.ending(definition.resumes)
    if dest is not None:
        _move(d, definition, definition.resumes, dest)
    cause = facts.Cause(type=DUE, source="suspension", id=str(d.instant), occurred=d.instant)
    return _release(_one_step(d, cause), case.cycle, rules, register, due)


def _ring(d: Decision, clock: Clock) -> facts.Cause:
    """Fire a rung. Where the pack says so it also escalates the case, if it can be escalated and a level is above."""
    definition = DEFINITIONS[d.case.definition]
    row, breach = sla.ring(d, clock)
    if breach and clock.level == holding.turn(d.case) != len(d.case.path):
        _pass_turn(d, definition, clock)
    if row.act == "escalate":
        transitions = definition.table.get((definition.escalates, d.case.state))
        to = routing.next_above(d.case, "timeout", d.rules, d.register)
        if transitions and to:
            d.ending = definition.ending(definition.escalates)
            effects.raise_to(d, to, "timeout", d.case.owner.grid)
            _move(d, definition, definition.escalates, transitions[0][0])
    rung = f"{clock.cycle}|{clock.target}|{row.rung}|{clock.repeat}"
    return facts.Cause(type=DUE, source=f"{clock.name}.{clock.level}", id=rung, occurred=d.instant)


def _pass_turn(d: Decision, definition: Definition, clock: Clock) -> None:
    """A level let the time for its check pass: the next one's turn has come, the check stays owed."""
    nobody = Speaker("", "", clock.level, "", len(d.case.path))
    dest = definition.destination(definition.lapses, d.case, Resumed(), nobody)
    if clock.name in definition.checking and dest is not None:
        d.tell(facts.TurnPassed(level=clock.level))
        _move(d, definition, definition.lapses, dest)


def quarantine(
    case: Case, arrival: int, rules: Policy, register: Policy, *, on: bool = True, detail: str = ""
) -> Result:
    """Stop a case's clocks after a firing that failed, or (`on` false) let them run again."""
    d = Decision(case, rules, register, arrival, arrival)
    d.tell(facts.Quarantined(on=on, detail=detail))
    return _one_step(
        d, facts.Cause(type="gridpatrol.incident.quarantined", source="engine", id=case.id, occurred=arrival)
    )


def recalculate(case: Case, arrival: int, rules: Policy, register: Policy) -> Result:
    """Compute a case's deadlines again under a newer register: provisional ones, or all, as the pack says."""
    d = Decision(case, rules, register, arrival, arrival)
    d.tell(facts.ClockRecalculated(register=register.hash))
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
    return _one_step(
        d, facts.Cause(type="gridpatrol.pack.activated", source=register.hash, id=case.id, occurred=arrival)
    )

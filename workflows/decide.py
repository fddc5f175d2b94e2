"""Decides what a record or a due instant does to a case. Pure: no I/O, no wall clock, no randomness.

    take(case, incoming, ...) -> Result     an event arrived: it is done, parked, or refused with a reason
    fire(case, arrival, ...) -> Result      a rung, a parked event's patience or a suspension's end fell due
    hear(case, sent, ...) -> Result         another case said something while this one stood, or one of another home

A decision may say something to other cases of the home. They take their steps right after the sender's, depth first:
each send with all that follows from it before the next one, and before the sender's next step. What it says to cases
of other homes is handed out with the result, for the log.

`rules` is the policy pinned to the case at its birth, `register` the one that is active at arrival. Instants are
milliseconds UTC.
"""

from collections.abc import Callable, Sequence
from functools import partial

import msgspec
from msgspec import Struct

from schemas import facts
from schemas.envelope import Record, decode_data, decode_record, to_ms
from schemas.events import canonical, trigger_of
from schemas.kinds.incident import Resumed
from schemas.members import EventData
from schemas.partition import home_of
from schemas.refusals import Reason, Refusal
from schemas.unserved import UNSERVED, NotServed
from workflows import (
    birth,
    calling,
    effects,
    holding,
    homes,
    merging,
    notices,
    parking,
    reopening,
    routing,
    saying,
    sla,
    succession,
)
from workflows.case import AWAITED, Case, Clock, Waiting
from workflows.clocks.limits import LimitError
from workflows.clocks.timescales import CalendarError
from workflows.decision import Decision, Send, believed
from workflows.definitions import BEGINNING, DEFINITIONS, born_by, is_home, is_spoken_to, is_spread
from workflows.machine import Definition, Speaker, nobody
from workflows.periods import spread_of
from workflows.permissions import claim_of, forbid, offline_allowance
from workflows.policy.index import Policy
from workflows.policy.model import ESCALATE, Post
from workflows.turn import EventOutcome, HeldSend, Others, Result, Sent, Turn

DUE = "gridpatrol.clock.due"
"""The type of the cause of a firing."""
ALONE = Others()
"""No other case is known."""


class IncomingEvent(Struct, frozen=True):
    """An event with what the engine knows of it. `raw` is the record's body, kept if the event has to wait."""

    record: Record
    data: EventData
    arrival: int
    raw: bytes
    first_arrival: int = 0  # the arrival at which it came, if it has waited since


# ---- an event arrives -------------------------------------------------------------------------------------


def take(
    case: Case,
    incoming: IncomingEvent,
    rules: Policy,
    register: Policy,
    nearby: tuple[Case, ...] = (),
    room: Callable[[], parking.Room] = parking.Room,
    others: Others = ALONE,
) -> Result:
    """Decide one event, then every parked one that it releases; after each step what it says to `others`.

    `nearby`: open cases under its correlation key. `room`: what waits in its home; only asked of an early event.
    """
    record, turn = incoming.record, Turn(case, register, others)
    event, decision = record.event, _decide(turn, case, incoming, rules, nearby)
    early = decision is None
    if decision is None:
        waiting = Decision(case, rules, register, incoming.arrival, incoming.arrival, event.actor)
        decision = parking.park(waiting, record, incoming.raw, room, claim_of(incoming.data)) or waiting
    if isinstance(decision, Refusal):
        refused = EventOutcome(event.source, event.id, event.actor, "refused", decision, incoming.raw)
        return Result(case, [], [refused])
    turn.outcomes.append(EventOutcome(event.source, event.id, event.actor, "parked" if early else "done"))
    _step(turn, decision, cause_of(incoming, None if early else decision.occurred))
    if not early and turn.cases[case.id].parked:
        _release(turn, case, rules, incoming.arrival)
    return turn.result(case.id)


def _step(turn: Turn, d: Decision, cause: facts.Cause, settles: EventOutcome | None = None) -> None:
    """A decision becomes a step of its case. What it says to other cases is carried out right after it, in order, each
    with all that follows from it."""
    notices.give(d)
    if facts.ClockContradicted in d.told:
        calling.take_back(d)
    step = turn.add(d, cause, settles)
    for sent in turn.on_their_way(step, d.arrival) if step.sends else ():
        if turn.stands(sent.send.to):
            turn.held.append(HeldSend(sent))
            continue
        before = turn.mark()
        try:
            _hear(turn, sent)
        except Exception as error:
            turn.back_to(before)
            turn.others.failed(error)  # raised again, unless the target is to stand: the sender's step counts
            turn.held.append(HeldSend(sent, error))


def cause_of(incoming: IncomingEvent, occurred: int | None = None) -> facts.Cause:
    """The event as the cause of a step. `occurred`: its instant (ms), where that is known already."""
    event = incoming.record.event
    return facts.Cause(
        event.type,
        event.source,
        event.id,
        event.actor,
        to_ms(event.time) if occurred is None else occurred,
        event.traceparent or "",
        incoming.record.token,
    )


def _decide(
    turn: Turn, case: Case, incoming: IncomingEvent, rules: Policy, nearby: tuple[Case, ...]
) -> Decision | Refusal | None:
    """The facts of one event, or a refusal; None if it has come early and may wait."""
    event, data, register = incoming.record.event, incoming.data, turn.register
    if not is_spoken_to(event.subject):
        what = "the case of the home itself" if is_home(event.subject) else "the docket of the home"
        return Refusal(Reason.IMPOSSIBLE, "subject", f"this is {what}, to which nobody speaks")
    post = register.posts.get(event.actor)
    steady = event.actor in register.steady
    if post is None or (not steady and (why := saying.silence_of(post, register, incoming.arrival))):
        why = "no post of the active pack" if post is None else why
        return Refusal(Reason.UNKNOWN_CODE, "actor", f"the actor is {why}: send the code of a post that stands")
    if not steady and (refused := saying.refuse_untrained(post, register, incoming.arrival)):
        return refused
    came = incoming.first_arrival or incoming.arrival
    if incoming.record.letter and incoming.record.came:  # a letter came when its event did, whoever replays it when
        came = min(came, incoming.record.came)
    allowance = offline_allowance(post, trigger_of(event.type), rules, register, case.definition)
    occurred = to_ms(event.time)
    instant = believed(occurred, came, allowance)
    # Some events begin a case, such as a report; one that comes before it waits for it.
    born = born_by(data) if case.state == AWAITED else None
    find = turn.finder(born[0].name if born is not None else case.definition)
    d = Decision(case, rules, register, incoming.arrival, instant, event.actor, came, find)
    d.occurred = occurred
    d.token, d.measured, d.seed = incoming.record.token, incoming.record.measured, incoming.record.seed
    d.older = not incoming.record.digests
    try:
        if case.state == AWAITED:
            decided = None if born is None else _birth(d, *born, data, nearby, post)
        else:
            decided = _proceed(d, data, post, event.type)
    except CalendarError as error:
        return Refusal(Reason.INVALID, "time", str(error))
    except LimitError as error:
        return Refusal(Reason.INVALID, "data.limit", error.rule)
    if not steady and isinstance(decided, Decision) and saying.is_untrained(post, register, incoming.arrival):
        decided.tell(facts.SpokeUntrained(post=post.code))
    return decided


def _birth(
    d: Decision, definition: Definition, trigger: str, data: EventData, nearby: Sequence[Case], post: Post | None
) -> Decision | Refusal:
    """A case begins, by what a post says, or another case: nobody asks that one for a right."""
    begins = definition.births[trigger]
    if post is not None and homes.expected_kind(d.register, d.case.id):
        return Refusal(Reason.IMPOSSIBLE, "subject", "time bears the case of this id: mint a new one")
    # Told first: the rules below ask the case for its place.
    refused = begins.begin(d, data, post.grid if post else "", home_of(d.case.id), nearby)
    if refused is None and post is not None:
        refused = forbid(post, trigger, d.case, d.rules, d.register, claim_of(data), d.arrival)
    if refused:
        return refused
    speaker = saying.speaker_of(d, post) if post is not None else nobody(d.case)
    dest = definition.destination(trigger, d.case, data, speaker)
    if dest is None:
        return Refusal(Reason.IMPOSSIBLE, "type", "no case begins like this")
    refused = begins.assign(d, data, speaker, dest)
    if refused:
        return refused
    _move(d, definition, trigger, dest)
    if definition.ends:
        birth.total_clock(d, data, endless=begins.endless)
    here = definition.states[d.case.state]
    if here.terminal:  # over as it begins: the clock of the whole case ends with it
        d.ending = definition.ending(trigger)
        sla.arrange(d, here)
    return d


def _proceed(d: Decision, data: EventData, post: Post, event_type: str) -> Decision | Refusal | None:
    """A case that is under way takes an event, or lets it wait, or refuses it."""
    definition, speaker = DEFINITIONS[d.case.definition], saying.speaker_of(d, post)
    on = merging.gone_on(d) if d.case.merged_into else ""
    trigger = trigger_of(event_type)
    if type(data) in BEGINNING and (trigger, d.case.state) not in definition.table:
        begun = "been reported" if d.case.source else "begun"
        return Refusal(Reason.IMPOSSIBLE, "subject", f"this case has {begun} already{on}: mint a new subject")
    if on and canonical(trigger) not in definition.triggers(d.case.state):  # but of its own past it hears
        return Refusal(Reason.IMPOSSIBLE, "subject", f"this case has been merged{on}: send it there, with a new id")
    pull = saying.pull_of(d, post, speaker, trigger, data, claim_of(data))
    if not isinstance(pull, saying.Pull):
        return pull
    trigger, dest = pull.trigger, pull.dest
    if d.case.reopened and (refused := reopening.refuse_earlier(d, definition, trigger, dest)):
        return refused
    d.ending = definition.ending(trigger, speaker.level, rightful=holding.may_order(d, post))
    return _pull(d, definition, trigger, dest, data, speaker)


def _pull(
    d: Decision, definition: Definition, trigger: str, dest: str, data: EventData, speaker: Speaker
) -> Decision | Refusal:
    """Let a trigger have its effect, and move the case."""
    effect = definition.effects.get(trigger)
    refused = effect(d, data, speaker) if effect else None
    if refused:
        return refused
    _move(d, definition, trigger, dest)
    return d


def _move(d: Decision, definition: Definition, trigger: str, dest: str) -> None:
    """Take the case to its next state, and its clocks with it."""
    was = d.case.state
    if dest != "=":
        d.tell(facts.Moved(trigger=trigger, was=was, state=dest, judged=d.judged(d.case.judged), by=d.by))
        if definition.states[dest].terminal and definition.at_end is not None:
            definition.at_end(d)
    before, after = d.origin, d.case
    if (was, before.owner, before.checks, before.passed) != (after.state, after.owner, after.checks, after.passed):
        sla.arrange(d, definition.states[after.state])


# ---- parked events ----------------------------------------------------------------------------------------


def _release(turn: Turn, before: Case, rules: Policy, arrival: int) -> None:
    """Give every event that is parked with a case its turn, in arrival order, until none can go.

    They waited for a state of the cycle in which they came, that of the case `before` its step: a change of cycle gives
    up those that are left.
    """
    id_ = before.id
    while (case := turn.cases[id_]).parked and case.cycle == before.cycle:
        if turn.stands(id_) or not any(_retry(turn, id_, w, rules, arrival) for w in case.parked):
            return
    for waiting in case.parked:
        why = Refusal(Reason.EXPIRED, "type", "the case has begun another cycle: say it again if it still holds")
        _give_up(turn, waiting, why, Decision(turn.cases[id_], rules, turn.register, arrival, arrival))


def _retry(turn: Turn, id_: str, waiting: Waiting, rules: Policy, arrival: int) -> bool:
    """Decide a parked event again. True if it no longer waits."""
    case, raw = turn.cases[id_], waiting.event.encode()
    record = decode_record(raw)
    data = decode_data(record.event)
    decision: Decision | Refusal | None
    if isinstance(data, Refusal):
        decision = data
    else:
        incoming = IncomingEvent(record, data, max(arrival, waiting.arrival), raw, waiting.arrival)
        decision = _decide(turn, case, incoming, rules, ())
    if decision is None:
        return False
    if isinstance(decision, Refusal):
        over = DEFINITIONS[case.definition].states[case.state].terminal
        why = Refusal(Reason.EXPIRED, decision.field, decision.detail) if over else decision
        _give_up(turn, waiting, why, Decision(case, rules, turn.register, arrival, arrival))
        return True
    done = EventOutcome(waiting.source, waiting.id, record.event.actor, "done")
    _unpark(turn, decision, waiting, "released", cause_of(incoming), done)
    return True


def _give_up(turn: Turn, waiting: Waiting, refusal: Refusal, d: Decision, why: str = "overtaken") -> None:
    """A parked event becomes a dead letter, with a step that says so."""
    outcome = EventOutcome(waiting.source, waiting.id, waiting.actor, "refused", refusal, waiting.event.encode())
    cause = facts.Cause(type=waiting.type, source=waiting.source, id=waiting.id)
    _unpark(turn, d, waiting, why, cause, outcome)


def _unpark(turn: Turn, d: Decision, waiting: Waiting, why: str, cause: facts.Cause, outcome: EventOutcome) -> None:
    """Add a step in which a parked event stops waiting; what the event then does stands in the same step."""
    actors = {other.actor for other in d.case.parked if (other.source, other.id) == (waiting.source, waiting.id)}
    actor = waiting.actor if len(actors) > 1 else ""
    d.tell(facts.Unparked(source=waiting.source, id=waiting.id, why=why, actor=actor))
    _step(turn, d, cause, outcome)


# ---- another case says something --------------------------------------------------------------------------


def hear(case: Case, sent: Sent, register: Policy, others: Others, nearby: Sequence[Case] = ()) -> Result:
    """Decide what another case has said to this one: it had to wait since this one stood, or came from another home.
    Nothing of it may matter. `nearby`: open cases that may take the word instead of one that it would bear."""
    turn = Turn(case, register, others, sent.homes)
    if nearby and sent.send.bears and not case.opened:
        sent = _joining(turn, sent, nearby)
    _hear(turn, sent)
    return turn.result(case.id)


def _joining(turn: Turn, sent: Sent, nearby: Sequence[Case]) -> Sent:
    """What would bear a case is said to one that is there already, where its kind wants that."""
    send, register = sent.send, turn.register
    begins = DEFINITIONS[send.bears].births[send.trigger]
    takers = [c for c in nearby if send.trigger in DEFINITIONS[c.definition].sends and not turn.stands(c.id)]
    d = Decision(Case(id=send.to), register, register, sent.arrival, sent.instant, mover=sent.mover)
    joined = begins.joins(d, send.data, takers)
    return msgspec.structs.replace(sent, send=Send(joined, send.trigger, send.data)) if joined else sent


def _hear(turn: Turn, sent: Sent) -> None:
    """A case takes its step by what another one says. What it can no longer do is a fact of it.

    A case that is not born hears only what bears it, and that bears it once. What is parked with it is released then.
    One that is archived hears nothing any more.
    """
    send, register = sent.send, turn.register
    if turn.others.archived(send.to):
        return
    case = turn.find(send.to) or Case(id=send.to)
    if turn.others.left_out(case) or (send.bears == case.definition if case.opened else not send.bears):
        return
    rules = turn.others.rules(case, register)
    # What was due of it before comes first, also where it would have come up later within a spread. What a home is to
    # bear it bears as of the period's beginning, whatever it hears before it comes to that.
    while (
        not is_home(case.id)
        and (due := case.next_at) is not None
        and due < sent.arrival
        and not turn.others.refused(case)
    ):
        with turn.under(turn.others.register(case, register)):
            _fire(turn, case, rules, due, sent.arrival)
        case = turn.cases[case.id]
    find = turn.finder(send.bears or case.definition)
    fresh = partial(Decision, case, rules, register, sent.arrival, sent.instant, find=find, mover=sent.mover)
    if turn.others.refused(case):
        d = fresh()
        d.tell(facts.Quarantined(on=True, detail="the database refuses what another case says to it"))
        return _step(turn, d, sent.cause)
    decision = _respond(fresh(), send)
    if isinstance(decision, Refusal):
        d = fresh()
        d.tell(facts.Unserved(trigger=send.trigger, why=decision.reason, field=decision.field))
        if sent.homes and is_spoken_to(sent.cause.source):  # one of the home itself could see it before it spoke
            answer = not_served(sent, decision)
            d.send(answer.to, answer.trigger, answer.data)
        return _step(turn, d, sent.cause)
    _step(turn, decision, sent.cause)
    _release(turn, case, rules, sent.arrival)


def not_served(sent: Sent, refusal: Refusal) -> Send:
    """What is said back to a case of another home where what it has said is not done."""
    to, send = sent.cause.source, sent.send
    said = NotServed(case=send.to, trigger=send.trigger, why=refusal.reason, field=refusal.field)
    return Send(to, UNSERVED, said)


def _respond(d: Decision, send: Send) -> Decision | Refusal:
    """What a case does by what another one says to it, or why it does nothing."""
    case, definition, said = d.case, DEFINITIONS[send.bears or d.case.definition], send.data
    if isinstance(said, NotServed):
        d.tell(facts.Unserved(trigger=said.trigger, why=said.why, field=said.field, case=said.case))
        if send.trigger not in definition.sends:
            return d
    try:
        if not case.opened:
            return _birth(d, definition, send.trigger, send.data, (), None)
        if send.bears:
            return Refusal(Reason.IMPOSSIBLE, "subject", "a case of another kind has this id")
        speaker = nobody(case)
        dest = definition.destination(send.trigger, case, send.data, speaker)
        if dest is None:
            return Refusal(Reason.IMPOSSIBLE, "type", f"in state {case.state} it does not take this")
        d.ending = definition.ending(send.trigger)
        return _pull(d, definition, send.trigger, dest, send.data, speaker)
    except CalendarError as error:
        return Refusal(Reason.INVALID, "time", str(error))
    except LimitError as error:
        return Refusal(Reason.INVALID, "data.limit", error.rule)


# ---- something falls due ----------------------------------------------------------------------------------


def fire(case: Case, arrival: int, rules: Policy, register: Policy, others: Others = ALONE) -> Result:
    """Fire what is due first of a case: its clocks by name and level, then a parked event, then a suspension's end.

    `arrival` is that of the record that releases the firing. The effects are dated at the due instant, whenever that
    record came; only how long the telling waits depends on it. ValueError if nothing is due before `arrival`.
    """
    due = case.next_at
    if due is None or due >= arrival:
        raise ValueError(f"nothing of case {case.id} is due before {arrival}; next is {due}")
    turn = Turn(case, register, others)
    _fire(turn, case, rules, due, arrival)
    return turn.result(case.id)


def _fire(turn: Turn, case: Case, rules: Policy, due: int, arrival: int) -> None:
    """Fire what is due of a case at an instant, released at an arrival."""
    find = turn.finder(case.definition)
    d = Decision(case, rules, turn.register, due, due, released=arrival, find=find)
    clock = min((c for c in case.clocks if c.next == due), key=lambda c: (c.name, c.level), default=None)
    waiting = next((w for w in case.parked if w.until == due), None)
    if clock is not None:
        _step(turn, d, _ring(d, clock))
        _release(turn, case, rules, due)
    elif waiting is not None:
        refusal = Refusal(Reason.EXPIRED, "type", "waited in vain for the state that takes it")
        _give_up(turn, waiting, refusal, d, "expired")
    elif case.own is not None and case.own.wakes == due and case.closed is None:
        definition, by_nobody = DEFINITIONS[case.definition], nobody(d.case)
        woken = definition.destination(definition.wakes, d.case, EventData(), by_nobody) or "="
        d.ending = definition.ending(definition.wakes)
        _pull(d, definition, definition.wakes, woken, EventData(), by_nobody)
        _step(turn, d, facts.Cause(type=DUE, source="time", id=str(d.instant), occurred=d.instant))
        _release(turn, case, rules, due)
    else:
        # The day until which the case was suspended has come: it is taken up again, by nobody.
        definition = DEFINITIONS[case.definition]
        dest = definition.destination(definition.resumes, d.case, Resumed(), nobody(d.case))
        d.tell(facts.Resumed())
        d.ending = definition.ending(definition.resumes)
        if dest is not None:
            _move(d, definition, definition.resumes, dest)
        _step(turn, d, facts.Cause(type=DUE, source="suspension", id=str(d.instant), occurred=d.instant))
        _release(turn, case, rules, due)


def succeed(case: Case, due: int, arrival: int, rules: Policy, register: Policy) -> Result:
    """Let the successor of a grid that ended go on with a case, at an instant that a record of `arrival` releases."""
    turn, d = Turn(case, register, ALONE), Decision(case, rules, register, due, due, released=arrival)
    succession.take_over(d)
    _step(turn, d, facts.Cause(type=DUE, source=succession.DUE, id=str(due), occurred=due))
    return turn.result(case.id)


def fire_home(case: Case, at: int, course: homes.Course, others: Others = ALONE) -> Result:
    """Let a home do what is next of it, under the pack that was active when that was due. `at`: when it came up."""
    turn = Turn(case, course.pack(len(course.activations)), others)
    d, cause = homes.come_up(case, at, course, turn.finder(case.definition))
    turn.register = d.register
    _step(turn, d, cause)
    return turn.result(case.id)


def quarantine_home(case: Case, at: int, course: homes.Course, *, on: bool = True, detail: str = "") -> Result:
    """Let a home stand still after a firing that failed, or (`on` false) let it go on."""
    turn = Turn(case, course.pack(len(course.activations)), ALONE)
    _step(turn, *homes.quarantine(case, at, course, on=on, detail=detail))
    return turn.result(case.id)


def _ring(d: Decision, clock: Clock) -> facts.Cause:
    """Fire a rung. Where the pack says so it also escalates the case, if it can be escalated and a level is above, or
    calls for a supervision about it."""
    definition = DEFINITIONS[d.case.definition]
    if is_spread(d.case):
        d.spread = spread_of(d.case.id)
    row, breach = sla.ring(d, clock)
    if breach and clock.level == holding.turn(d.case) != len(d.case.path):
        _pass_turn(d, definition, clock)
    if row.calls_for and not definition.of_actions:
        calling.call_for(d, clock, row)
    if row.act == ESCALATE:
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
    dest = definition.destination(definition.lapses, d.case, Resumed(), nobody(d.case, clock.level))
    if clock.name in definition.checking and dest is not None:
        d.tell(facts.TurnPassed(level=clock.level))
        _move(d, definition, definition.lapses, dest)


def one_step(d: Decision, cause: facts.Cause) -> Result:
    """A decision that says nothing to anybody, as the only step of a turn."""
    turn = Turn(d.origin, d.register, ALONE)
    turn.add(d, cause)
    return turn.result(d.case.id)


def quarantine(
    case: Case, arrival: int, rules: Policy, register: Policy, *, on: bool = True, detail: str = ""
) -> Result:
    """Stop a case's clocks after a firing that failed, or (`on` false) let them run again."""
    d = Decision(case, rules, register, arrival, arrival)
    d.tell(facts.Quarantined(on=on, detail=detail))
    cause = facts.Cause(type="gridpatrol.incident.quarantined", source="engine", id=case.id, occurred=arrival)
    return one_step(d, cause)


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
    cause = facts.Cause(type="gridpatrol.pack.activated", source=register.hash, id=case.id, occurred=arrival)
    return one_step(d, cause)

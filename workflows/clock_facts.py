"""What the facts of clocks, missed deadlines and alerts change in a case. Pure.

`HANDLERS` says it by type of fact, for `workflows.evolve`. Instants are milliseconds UTC.
"""

from collections.abc import Callable
from typing import Any

from msgspec import structs

from schemas import facts
from schemas.members import Fact
from workflows.case import (
    MOST_MISSED,
    REOPENING,
    TOTAL,
    AlertedRung,
    ArmedClock,
    Case,
    Clock,
    Ended,
    Exemption,
    Missed,
    Seen,
    Stage,
    UnitOfClock,
)


def _forget_proposals(case: Case, fact: facts.ClockFact) -> None:
    """What was asked for a clock ends with it, and with its deadline; all of it ends with the case."""
    over = fact.clock == TOTAL and type(fact) is facts.ClockStopped
    kept = (each for each in case.proposals if (each.clock, each.level) != (fact.clock, fact.level))
    case.proposals = () if over else tuple(kept)


def _clock_started(case: Case, fact: facts.ClockStarted) -> None:
    # That of the whole case began with the case, also where it goes on in another cycle.
    started = fact.runs[0][0] if fact.clock == TOTAL and fact.runs else fact.judged
    clock = Clock(
        fact.clock,
        fact.level,
        fact.cycle,
        fact.target,
        fact.calendar,
        started,
        fact.judged,
        fact.limit,
        fact.due,
        fact.provisional,
        fact.runs,
        fact.judged,
        fact.rung,
        fact.next,
        fact.repeat,
        fact.again,
    )
    case.clocks = (*case.clocks, clock)
    if fact.again:
        case.again = (*case.again, (fact.clock, fact.level))
    if fact.holder is not None:
        case.ordered = (*case.ordered, UnitOfClock(fact.clock, fact.level, fact.holder))
    _set_target(case, fact)
    if fact.armed is not None or case.armed:
        _arm(case, fact, fact.armed)


def _without(found: tuple[UnitOfClock, ...], fact: facts.ClockFact) -> tuple[UnitOfClock, ...]:
    return tuple(each for each in found if (each.clock, each.level) != (fact.clock, fact.level)) if found else ()


def _set_target(case: Case, fact: facts.ClockFact) -> None:
    target = fact.clock, fact.level, fact.target
    case.targets = (*[t for t in case.targets if t[0] != fact.clock or t[1] != fact.level], target)


def _change_clock(
    case: Case, fact: facts.ClockFact | facts.Acknowledged | facts.AlertRaised | facts.AlertEnded, **changes: Any
) -> None:
    case.clocks = tuple(
        structs.replace(c, **changes) if (c.name, c.level) == (fact.clock, fact.level) else c for c in case.clocks
    )


def _clock_paused(case: Case, fact: facts.ClockPaused) -> None:
    clock = case.clock(fact.clock, fact.level)
    if clock is not None and clock.since is not None:
        runs = (*clock.runs, (clock.since, fact.judged))
        _change_clock(case, fact, judged=fact.judged, runs=runs, since=None, next=None)
        _arm(case, fact)


def _clock_resumed(case: Case, fact: facts.ClockResumed) -> None:
    _change_clock(
        case,
        fact,
        judged=fact.judged,
        since=fact.judged,
        due=fact.due,
        provisional=fact.provisional,
        rung=fact.rung,
        next=fact.next,
        repeat=fact.repeat,
    )
    _arm(case, fact, fact.armed)


def _clock_retargeted(case: Case, fact: facts.ClockRetargeted) -> None:
    _change_clock(
        case,
        fact,
        target=fact.target,
        judged=fact.judged,
        limit=fact.limit,
        due=fact.due,
        provisional=fact.provisional,
        rung=fact.rung,
        next=fact.next,
        repeat=fact.repeat,
        breached=False,
        acknowledged=False,
        alert_open=False,
    )
    case.charges = _without(case.charges, fact)
    case.again = tuple(key for key in case.again if key != (fact.clock, fact.level))  # it has another deadline
    _forget_alerted(case, fact)
    _forget_proposals(case, fact)
    _set_target(case, fact)
    _arm(case, fact, fact.armed)


def _clock_rung(case: Case, fact: facts.ClockRung) -> None:
    clock = case.clock(fact.clock, fact.level)
    breached = fact.breach or (clock is not None and clock.breached)
    _change_clock(case, fact, rung=fact.next_rung, next=fact.next, repeat=fact.next_repeat, breached=breached)
    _arm(case, fact)
    if fact.charged is not None:
        _charge(case, fact, fact.charged)
    if fact.breach:
        _miss(case, fact)


def _charge(case: Case, fact: facts.ClockFact, unit: facts.Unit) -> None:
    case.charges = (*_without(case.charges, fact), UnitOfClock(fact.clock, fact.level, unit))


def _clock_recharged(case: Case, fact: facts.ClockRecharged) -> None:
    _charge(case, fact, fact.charged)
    # What the other unit asked for, or was granted, is not this one's.
    case.lapses = tuple(
        structs.replace(each, unit=fact.charged, exemption=None) if each.key == _key(fact) else each
        for each in case.lapses
    )


def _clock_contradicted(case: Case, fact: facts.ClockContradicted) -> None:
    case.lapses = tuple(each for each in case.lapses if each.key != _key(fact))


def _key(fact: facts.ClockFact | facts.OfMissed) -> tuple[str, int, int, int]:
    return fact.clock, fact.level, fact.cycle, fact.target


def _miss(case: Case, fact: facts.ClockRung | facts.ClockStopped) -> None:
    """Keep a missed deadline. A post's own work is excused as its kind of case says."""
    if fact.charged is None or fact.charged.post or any(each.key == _key(fact) for each in case.lapses):
        return
    missed = Missed(*_key(fact), fact.due, fact.charged)
    case.lapses = (*case.lapses, missed)[-MOST_MISSED:]


def _exemption(case: Case, fact: facts.OfMissed, change: Callable[[Exemption | None], Exemption]) -> None:
    case.lapses = tuple(
        structs.replace(each, exemption=change(each.exemption)) if each.key == _key(fact) else each
        for each in case.lapses
    )


def _exemption_requested(case: Case, fact: facts.ExemptionRequested) -> None:
    _exemption(case, fact, lambda _: Exemption("requested", fact.by, fact.ground))


def _exemption_decided(case: Case, fact: facts.ExemptionDecided) -> None:
    def decided(before: Exemption | None) -> Exemption:
        assert before is not None
        stage: Stage = "granted" if fact.granted else "dismissed" if fact.appeal else "refused"
        ground = fact.ground if fact.granted else before.ground
        return Exemption(stage, before.by, ground, fact.grid, fact.until)

    _exemption(case, fact, decided)


def _exemption_appealed(case: Case, fact: facts.ExemptionAppealed) -> None:
    def appealed(before: Exemption | None) -> Exemption:
        assert before is not None
        return structs.replace(before, stage="appealed", by=fact.by)

    _exemption(case, fact, appealed)


def _clock_stopped(case: Case, fact: facts.ClockStopped) -> None:
    clock = case.clock(fact.clock, fact.level)
    if fact.result in ("passed_on", "void") and clock is not None:
        _keep_ledger(case, clock, fact.judged)
        if fact.lapsed and fact.charged is not None and not case.missed_before(fact.clock, fact.level, fact.charged):
            case.missed = (*case.missed, UnitOfClock(fact.clock, fact.level, fact.charged))
    if (fact.result == "overdue" or fact.lapsed) and not fact.again:
        _miss(case, fact)
    if case.again:
        case.again = tuple(key for key in case.again if key != (fact.clock, fact.level))
    if case.ordered or case.charges:
        case.ordered, case.charges = _without(case.ordered, fact), _without(case.charges, fact)
    case.clocks = tuple([c for c in case.clocks if c.name != fact.clock or c.level != fact.level])
    if case.alerted:
        _forget_alerted(case, fact)
    if case.proposals:
        _forget_proposals(case, fact)
    if case.armed:
        _arm(case, fact)
    if fact.clock == TOTAL:
        case.closed = fact.judged
        if clock is not None and case.definition in REOPENING:
            runs = clock.runs if clock.since is None else (*clock.runs, (clock.since, fact.judged))
            missed = fact.result == "overdue" or fact.lapsed
            case.ended = Ended(clock.limit, fact.due, missed, runs)


def _keep_ledger(case: Case, clock: Clock, end: int) -> None:
    """Whoever gets the work back goes on with what was left: keep what each holder consumed of a clock."""
    if not case.holdings or case.orderer(clock.name, clock.level) is not None:
        return
    runs = clock.runs if clock.since is None else (*clock.runs, (clock.since, end))
    ends = [*(holding.since for holding in case.holdings[1:]), end]
    for holding, until in zip(case.holdings, ends, strict=True):
        shares = [(max(a, holding.since), min(b, until)) for a, b in runs]
        shares = [(a, b) for a, b in shares if a < b]
        if not shares or clock.level != holding.unit.level:
            continue
        before = case.consumed_before(clock.name, clock.level, holding.unit)
        kept = UnitOfClock(clock.name, clock.level, holding.unit, tuple(sorted({*before, *shares})))
        others = (e for e in case.ledger if (e.clock, e.level, e.unit) != (clock.name, clock.level, holding.unit))
        case.ledger = (*others, kept)


def _arm(case: Case, fact: facts.ClockFact, armed: int | None = None) -> None:
    """Keep whether the next rung of a clock was past when it was armed."""
    if armed is None and not case.armed:
        return
    others = tuple(each for each in case.armed if (each.clock, each.level) != (fact.clock, fact.level))
    case.armed = others if armed is None else (*others, ArmedClock(fact.clock, fact.level, armed))


def _forget_alerted(case: Case, fact: facts.ClockFact) -> None:
    case.alerted = tuple(each for each in case.alerted if (each.clock, each.level) != (fact.clock, fact.level))


def _alert_raised(case: Case, fact: facts.AlertRaised) -> None:
    _change_clock(case, fact, alert_open=True)
    clock = case.clock(fact.clock, fact.level)
    if clock is None:  # urging and loops are of no clock
        return
    before = case.alerted_rung(clock, fact.kind)
    if before is None:
        case.alerted = (
            *case.alerted,
            AlertedRung(clock.name, clock.level, clock.target, fact.kind, fact.due_at, fact.to),
        )
    else:
        rung = structs.replace(before, posts=tuple(dict.fromkeys((*before.posts, *fact.to))))
        case.alerted = tuple(rung if each is before else each for each in case.alerted)


def _acknowledged(case: Case, fact: facts.Acknowledged) -> None:
    if not fact.rung:  # of an earlier release: the ends of alerts that follow say what was seen
        return
    _change_clock(case, fact, acknowledged=True)
    key, seen = (fact.clock, fact.level, fact.target, fact.rung), Seen(fact.by, fact.valid_from)
    case.alerted = tuple(
        structs.replace(each, seen=(*each.seen, seen))
        if (each.clock, each.level, each.target, each.rung) == key
        else each
        for each in case.alerted
    )


def _alert_ended(case: Case, fact: facts.AlertEnded) -> None:
    if fact.how != "acknowledged":
        _change_clock(case, fact, alert_open=False, acknowledged=False)
        # Where the clock runs on, it is told to others, and not again to who has seen it.
        case.alerted = tuple(
            structs.replace(each, posts=()) if (each.clock, each.level) == (fact.clock, fact.level) else each
            for each in case.alerted
            if each.seen or (each.clock, each.level) != (fact.clock, fact.level)
        )
        return
    # An earlier release ended alerts that somebody had seen. They are still open, and seen by that post alone.
    _change_clock(case, fact, acknowledged=True)
    case.alerted = tuple(
        structs.replace(each, seen=(Seen(fact.by),))
        if (each.clock, each.level) == (fact.clock, fact.level) and not each.seen
        else each
        for each in case.alerted
    )


HANDLERS: dict[type[Fact], Callable[[Case, Any], None]] = {
    facts.ExemptionRequested: _exemption_requested,
    facts.ExemptionDecided: _exemption_decided,
    facts.ExemptionAppealed: _exemption_appealed,
    facts.ClockStarted: _clock_started,
    facts.ClockPaused: _clock_paused,
    facts.ClockResumed: _clock_resumed,
    facts.ClockRetargeted: _clock_retargeted,
    facts.ClockRung: _clock_rung,
    facts.ClockContradicted: _clock_contradicted,
    facts.ClockRecharged: _clock_recharged,
    facts.ClockStopped: _clock_stopped,
    facts.Acknowledged: _acknowledged,
    facts.AlertRaised: _alert_raised,
    facts.AlertEnded: _alert_ended,
}

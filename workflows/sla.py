"""The clocks of a case: start, pause, resume, re-target, stop, and the ladder of rungs on the way to a deadline.

Every function tells clock and alert facts into a decision. All instants are judged instants, and all computing of
time is the calendar's (`workflows.clocks.calendar`).
"""

from msgspec import Struct, structs

from schemas import facts
from schemas.facts import Unit
from workflows import holding, routing
from workflows.case import TOTAL, Clock, Ended
from workflows.clocks.calendar import Calendar
from workflows.clocks.limits import DAY_MS, URGENT_HOUR, Kind, Limit, limit_text, parse_limit
from workflows.decision import Decision
from workflows.machine import State
from workflows.policy.model import RungRow


class Arming(Struct, frozen=True):
    """The next rung of a ladder, and the rungs that were past before it could be armed. `late`: the arrival at which it
    was armed, where it was past itself."""

    rung: str = ""
    repeat: int = 0
    next: int | None = None
    skipped: tuple[str, ...] = ()
    late: int | None = None


# ---- the ladder -------------------------------------------------------------------------------------------


def rung_instant(row: RungRow, repeat: int, due: int, calendar: Calendar) -> int:
    """The instant of a rung, given the deadline. Its offset counts by its own kind of clock."""
    if row.offset == "at" or row.limit is None:
        return due
    if row.offset == "before":
        return calendar.offset_before(due, row.limit)
    first = calendar.offset_after(due, row.limit)
    if not repeat or row.every is None:
        return first
    return calendar.due_after(first, repeat * calendar.budget(row.every), row.every.kind)


def arm(d: Decision, clock: str, due: int | None, calendar: Calendar, judged: int, start: int = 0) -> Arming:
    """The first rung from index `start` that is not past.

    Of the rungs already past only the highest will fire. A rung at the arrival itself is not past: work that is due
    then is on time.
    """
    if due is None:
        return Arming()
    past: list[tuple[RungRow, int, int]] = []
    ladder = d.rules.ladder(clock, d.case.definition, d.case.category)
    for row, repeat in ladder[start:] if start else ladder:
        instant = rung_instant(row, repeat, due, calendar)
        if instant >= d.arrival:
            if not past:
                return Arming(row.rung, repeat, instant)
            break
        past.append((row, repeat, instant))
    if not past:
        return Arming()
    row, repeat, instant = past[-1]
    if row.offset == "before":
        instant = max(instant, judged)  # no warning lies before the clock's start
    return Arming(row.rung, repeat, instant, tuple(r.rung for r, _, _ in past[:-1]), d.arrival)


def position(d: Decision, clock: Clock) -> int:
    """The index of a clock's next rung on its ladder; the ladder's length when none is left."""
    ladder = d.rules.ladder(clock.name, d.case.definition, d.case.category)
    for index, (row, repeat) in enumerate(ladder):
        if row.rung == clock.rung and repeat == clock.repeat:
            return index
    return len(ladder)


# ---- the ledger -------------------------------------------------------------------------------------------


def limit_of(clock: Clock) -> Limit | None:
    """The limit of a clock; None where an instant was ordered instead, or there is no deadline."""
    return parse_limit(clock.limit) if clock.limit else None


def consumed(clock: Clock, until: int, kind: Kind, calendar: Calendar) -> int:
    """What the clock has consumed up to an instant, in units of `kind`: its ledger and the present run."""
    used = calendar.elapsed(clock.since, until, kind) if clock.since is not None else 0
    for begin, end in clock.runs:
        used += calendar.elapsed(begin, end, kind)
    return used


def deadline(clock: Clock, limit: Limit, since: int, calendar: Calendar) -> int:
    """The deadline of a clock that runs since `since` under a limit, less what its ledger consumed."""
    return _deadline(clock.runs, limit, since, calendar)


def _deadline(runs: tuple[tuple[int, int], ...], limit: Limit, since: int, calendar: Calendar) -> int:
    left = calendar.budget_from(runs[0][0] if runs else since, limit)
    for begin, end in runs:
        left = calendar.left_at(end, begin, left, limit.kind)
    return calendar.due_after(since, left, limit.kind)


def deadline_under(d: Decision, clock: Clock, limit: Limit) -> int:
    """The deadline that a clock of the case would have under another limit: what it has consumed stays consumed."""
    since = clock.since if clock.since is not None else d.judged(clock.judged)
    return deadline(clock, limit, since, d.calendar(clock.calendar))


# ---- start, pause, resume, stop ---------------------------------------------------------------------------


def start(
    d: Decision,
    name: str,
    level: int,
    *,
    ordered: int | None = None,
    limit: Limit | None = None,
    endless: bool = False,
    holder: Unit | None = None,
    calendar_code: str = "",
) -> None:
    """Start a clock at the judged instant, with an ordered instant or limit, else with the pack's limit.

    A clock without any limit does not start, except the one of the whole case and those that are ordered, which have an
    outcome all the same. Who missed it before, in this cycle, and has nothing left is late from the start: that is told
    and no second miss. `endless` leaves out the pack's limit. `holder` is who orders it, and `level` then only tells
    apart what was ordered: the pack's limit is the one for the level of who did. Without one it is the case's holder's,
    who goes on with what was left where it gave up this clock before in the same cycle. `calendar_code`: another
    calendar than that of the owner's grid.
    """
    case, rules = d.case, d.rules
    judged = d.judged(case.judged)
    code = calendar_code or d.register.calendar_of(case.path[-1] if name == TOTAL else case.owner.grid)
    calendar, basis = d.calendar(code), "ordered"
    if ordered is None and limit is None and not endless:
        day = calendar.local_day(judged)
        of_level, listed = holder.level if holder else level, bool(case.listed)
        lane = case.own.lane if case.own is not None else ""
        row = rules.limit(name, of_level, case.category, case.group, day, case.definition, listed, lane)
        if row is not None:
            limit, basis = row.limit, row.basis
    if ordered is None and limit is None:
        if name != TOTAL and holder is None:
            return
        basis = "none"
    due = calendar.deadline(judged, limit) if limit is not None else ordered
    runs: tuple[tuple[int, int], ...] = ()
    again = False
    if case.ledger and not holder:
        unit = holding.present(case, d.register)
        runs = case.consumed_before(name, level, unit)
        if runs and limit is not None:
            due = max(judged, _deadline(runs, limit, judged, calendar))
        again = bool(runs) and due == judged and case.missed_before(name, level, unit)
    _tell_started(d, name, level, calendar, code, limit, due, basis, runs, again, holder)


def go_on(d: Decision, ended: Ended) -> None:
    """Let the clock of the whole case go on at the judged instant, in the cycle in which a case that was over is taken
    up again: with what was left of its limit, or to an ordered instant that moves by the time for which it was over.
    One whose deadline was missed is as late as it was, and misses it no second time."""
    judged, code = d.judged(d.case.judged), d.register.calendar_of(d.case.path[-1])
    limit, due = parse_limit(ended.limit) if ended.limit else None, ended.due
    if limit is not None:
        due = _deadline(ended.runs, limit, judged, d.calendar(code))
    elif due is not None:
        due += judged - ended.runs[-1][1]
    if due is not None and ended.missed:
        due = min(due, judged)  # closed after hours it was late, and had consumed no more than its limit
    _tell_started(d, TOTAL, 0, d.calendar(code), code, limit, due, "goes on", ended.runs, ended.missed)


def _tell_started(
    d: Decision,
    name: str,
    level: int,
    calendar: Calendar,
    code: str,
    limit: Limit | None,
    due: int | None,
    basis: str,
    runs: tuple[tuple[int, int], ...],
    again: bool,
    holder: Unit | None = None,
) -> None:
    """A clock runs by the calendar of a code from the judged instant on; its ladder is armed."""
    case, judged = d.case, d.judged(d.case.judged)
    armed = arm(d, name, due, calendar, judged)
    target = case.last_target(name, level) + 1 if case.targets else 0
    # A call with more than fifteen keywords goes through a dictionary, and takes four times as long.
    started = facts.ClockStarted(
        clock=name,
        level=level,
        cycle=case.cycle,
        target=target,
        judged=judged,
        calendar=code,
        limit=limit_text(limit) if limit is not None else "",
        due=due,
        provisional=due is not None and due > calendar.horizon_ms and _provisional(due, limit, calendar),
        basis=basis,
        rung=armed.rung,
        next=armed.next,
        repeat=armed.repeat,
        armed=armed.late,
    )
    if runs or again or holder is not None:
        started = structs.replace(started, runs=runs, holder=holder, again=again)
    d.tell(started)
    if armed.skipped:
        _tell_skipped(d, name, level, case.cycle, target, armed)


def _provisional(due: int | None, limit: Limit | None, calendar: Calendar) -> bool:
    return due is not None and limit is not None and calendar.provisional(due, limit.kind)


def _tell_skipped(d: Decision, name: str, level: int, cycle: int, target: int, armed: Arming) -> None:
    if armed.skipped:
        d.tell(facts.ClockSkipped(clock=name, level=level, cycle=cycle, target=target, rungs=armed.skipped))


def pause(d: Decision, clock: Clock) -> None:
    """Stop a clock for a while. Its ledger keeps what it consumed."""
    if clock.since is None:
        return
    judged, limit = d.judged(clock.judged), limit_of(clock)
    kind = limit.kind if limit else URGENT_HOUR
    used = consumed(clock, judged, kind, d.calendar(clock.calendar))
    d.tell(
        facts.ClockPaused(
            clock=clock.name, level=clock.level, cycle=clock.cycle, target=clock.target, judged=judged, consumed=used
        )
    )


def resume(d: Decision, clock: Clock) -> None:
    """Let a paused clock run again with what remained. An ordered instant moves by the length of the pause."""
    if clock.since is not None:
        return
    judged, limit, calendar = d.judged(clock.judged), limit_of(clock), d.calendar(clock.calendar)
    due = clock.due
    if limit is not None:
        due = deadline(clock, limit, judged, calendar)
    elif due is not None:
        due += judged - clock.judged
    armed = arm(d, clock.name, due, calendar, judged, position(d, clock))
    d.tell(
        facts.ClockResumed(
            clock=clock.name,
            level=clock.level,
            cycle=clock.cycle,
            target=clock.target,
            judged=judged,
            due=due,
            provisional=_provisional(due, limit, calendar),
            rung=armed.rung,
            next=armed.next,
            repeat=armed.repeat,
            armed=armed.late,
        )
    )
    _tell_skipped(d, clock.name, clock.level, clock.cycle, clock.target, armed)


def retarget(d: Decision, clock: Clock, *, due: int | None, limit: Limit | None, why: str) -> None:
    """Give a clock another deadline. What was consumed stays consumed, and the ladder begins anew."""
    calendar = d.calendar(clock.calendar)
    judged = d.judged(clock.judged)
    if limit is not None:
        due = deadline_under(d, clock, limit)
    armed = arm(d, clock.name, due, calendar, judged) if clock.since is not None else Arming()
    target = clock.target + 1
    end_alerts(d, clock)
    d.tell(
        facts.ClockRetargeted(
            clock=clock.name,
            level=clock.level,
            cycle=clock.cycle,
            target=target,
            judged=judged,
            limit=limit_text(limit) if limit is not None else "",
            due=due,
            why=why,
            provisional=_provisional(due, limit, calendar),
            rung=armed.rung,
            next=armed.next,
            repeat=armed.repeat,
            armed=armed.late,
        )
    )
    _tell_skipped(d, clock.name, clock.level, clock.cycle, target, armed)


def stop(d: Decision, clock: Clock) -> None:
    """End a clock with its outcome: fulfilled, passed on to another holder, or void.

    If the deadline's rung has fired and the judged instant is not after the deadline, the rung stays, with a fact
    beside it that contradicts it. A return contradicts nothing: whoever gives work back after its deadline has missed
    it, whatever instant the return names.
    """
    judged = d.judged(clock.judged)
    done = (
        judged if clock.since is not None or not clock.runs else clock.runs[-1][1]
    )  # a paused one ended with its last run
    case = d.case
    again, fulfilled = bool(case.again) and (clock.name, clock.level) in case.again, d.ending.done(clock)
    in_time = (clock.due is None or done <= clock.due) and not again
    contradicted = clock.breached and in_time and (fulfilled or d.ending.takes_back)
    if fulfilled:
        result = "without_deadline" if clock.due is None else "on_time" if in_time else "overdue"
    else:
        result = "passed_on" if holding.has_changed(d) else "void"
    limit = parse_limit(clock.limit) if clock.limit else None
    kind = limit.kind if limit else URGENT_HOUR
    late = clock.due is not None and clock.due < done
    due_to = case.charge(clock.name, clock.level) if case.charges else None
    if due_to is None:
        due_to = holding.charged(d, clock, clock.due if late and clock.due else done)
    if contradicted:
        d.tell(
            facts.ClockContradicted(
                clock=clock.name, level=clock.level, cycle=clock.cycle, target=clock.target, judged=judged
            )
        )
        end_alerts(d, clock)
    elif clock.alert_open:
        end_alerts(d, clock, "resolved")
    d.tell(
        facts.ClockStopped(
            clock=clock.name,
            level=clock.level,
            cycle=clock.cycle,
            target=clock.target,
            judged=judged,
            started=clock.started,
            result=result,
            elapsed=_elapsed(clock, judged) if clock.runs else judged - clock.started,
            consumed=consumed(clock, done, kind, d.calendar(clock.calendar)),
            due=clock.due,
            why=d.ending.trigger,
            lapsed=not fulfilled and not contradicted and (clock.breached or not in_time),
            claimed=result == "on_time" and clock.since is not None and (clock.due or 0) < d.came,
            charged=due_to,
            again=again,
        )
    )


def _elapsed(clock: Clock, judged: int) -> int:
    """The wall time of a clock up to an instant; of the whole case without the time in which it was over."""
    if clock.name != TOTAL or clock.since is None:
        return judged - clock.started
    return sum(end - begin for begin, end in clock.runs) + judged - clock.since


def end_alerts(d: Decision, clock: Clock, how: str = "withdrawn") -> None:
    """Whatever a clock has told is over: what it was told of is done, or was never so for those whom it told."""
    if clock.alert_open:
        d.tell(facts.AlertEnded(clock=clock.name, level=clock.level, cycle=clock.cycle, how=how, by=d.by))


# ---- what a state asks for --------------------------------------------------------------------------------


def arrange(d: Decision, state: State) -> None:
    """Let the clocks follow the case into its state: stop, pause, resume and start what the state says.

    A clock of a state is its holder's, so it has the level of the holder. The budget for handling belongs to a level,
    whichever of its owners works, unless the state says that it begins anew with another one.
    """
    case = d.case
    holder = holding.holder_of(case, state.hands) if state.terminal else holding.hold(d, state.hands)
    level, other = holder.level, case.owner != d.before
    for clock in case.clocks:
        if clock.name == TOTAL:
            if state.terminal:
                stop(d, clock)
        elif state.holds:
            pause(d, clock)
        elif clock.name in state.anew and other:
            stop(d, clock)
        elif clock.name in state.keeps or (clock.name in state.clocks and clock.level == level):
            if clock.since is None and not (case.holds and clock.name in state.barred):
                resume(d, clock)
        elif clock.name in state.owed and clock.level in case.passed and clock.level in case.checks:
            continue
        else:
            stop(d, clock)
    for name in state.clocks:
        if case.clock(name, level) is None:
            start(d, name, level)
    for name in state.barred if case.holds else ():
        if (barred := case.clock(name, level)) is not None:
            pause(d, barred)


# ---- what falls due ---------------------------------------------------------------------------------------


def ring(d: Decision, clock: Clock) -> tuple[RungRow, bool]:
    """Fire the clock's next rung at its instant, alert its posts, and arm the rung after it.

    Returns the rung, and whether it is the first that says overdue.
    """
    ladder = d.rules.ladder(clock.name, d.case.definition, d.case.category)
    index, now = position(d, clock), clock.next or 0
    row, repeat = ladder[index] if index < len(ladder) else (RungRow(clock.name, clock.rung, "at"), clock.repeat)
    coming: tuple[RungRow, int, int] | None = None
    if index + 1 < len(ladder) and clock.due is not None:
        later, again = ladder[index + 1]
        instant = rung_instant(later, again, clock.due, d.calendar(clock.calendar))
        coming = (later, again, max(instant, now))  # a rung is never before the one below it
    late = d.case.armed_late(clock) is not None
    overdue = row.offset != "before"
    breach = overdue and not clock.breached
    d.tell(
        facts.ClockRung(
            clock=clock.name,
            level=clock.level,
            cycle=clock.cycle,
            target=clock.target,
            rung=row.rung,
            repeat=repeat,
            due_at=now,
            due=clock.due,
            overdue=overdue,
            breach=breach,
            next_rung=coming[0].rung if coming else "",
            next=coming[2] if coming else None,
            next_repeat=coming[1] if coming else 0,
            charged=holding.charged(d, clock, now if clock.due is None else min(now, clock.due)) if breach else None,
        )
    )
    posts = routing.recipients(row.tell, d.case, d.register, d.arrival, holding.holder_of_clock(d, clock))
    before = d.case.alerted_rung(clock, row.rung)
    if before is not None:  # a repeat: it leaves out who has seen the same rung
        posts = tuple(code for code in posts if not before.quiet_for(code, d.register.posts[code].valid_from))
    raise_alert(d, clock, row.rung, str(repeat), posts, now, late=late)
    return row, breach


def raise_alert(
    d: Decision, clock: Clock, rung: str, turn: str, posts: tuple[str, ...], due_at: int, *, late: bool = False
) -> None:
    """An alert of a rung that was due at `due_at` (ms) goes to posts, if there are any. `turn`: which one of that rung;
    `late`: the rung was past when it was armed, so the telling waits."""
    if posts:
        d.tell(
            facts.AlertRaised(
                alert=f"{d.case.id}|{clock.name}.{clock.level}|{clock.cycle}|{clock.target}|{rung}|{turn}",
                kind=rung,
                to=posts,
                due_at=due_at,
                clock=clock.name,
                level=clock.level,
                due=clock.due,
                not_before=not_before(d, clock.name, d.instant, held=late),
                unit=holding.unless_owner(d, holding.holder_of_clock(d, clock)),
            )
        )


def not_before(d: Decision, clock: str, instant: int, *, held: bool = False) -> int | None:
    """Until when the telling of what was due at an instant waits; None: it may be told at once.

    It could be known when the record arrived that released it. What was past already when it was armed (`held`) waits a
    little longer: of an offline phone the next record may say that it was done. Then the quiet hours, if the clock's
    alerts respect them: nothing rings at night because it was due in the evening. What comes up within a spread is told
    within one when they end, or the alerts of a night would hold everybody up at once.
    """
    options = d.rules.options
    instant = max(instant, d.released)
    hold = options.hold_ms if held else 0
    begin, end = options.quiet_from * 60_000, options.quiet_to * 60_000
    instant += hold
    if begin != end and clock not in options.quiet_exempt:
        wall = d.register.clock_of_days.wall
        day, of_day = divmod(instant + wall.offset(instant), DAY_MS)
        if begin < end:
            quiet, wakes = begin <= of_day < end, day
        else:  # over midnight
            quiet, wakes = of_day >= begin or of_day < end, day + (of_day >= begin)
        if quiet:
            return wall.reach(wakes * DAY_MS + end) + d.spread
    return instant if hold else None

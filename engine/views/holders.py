"""Who held a case and its clocks, for how long, and by how much a deadline was missed.

It is read from the steps of the case: each clock is looked at in the state in which it stops, as the rules look at it
when they charge it (`workflows.holding`). What a clock consumed is in milliseconds of its own kind of time, as is how
late it was: working time where its limit is one of working time.
"""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from msgspec import Struct
from msgspec.structs import replace

from engine.views.names import HolderNamed, Names
from schemas import facts
from schemas.facts import Unit
from workflows import case as cases
from workflows import evolve, sla
from workflows.case import Case, Clock, Holding
from workflows.clocks.calendar import Calendar
from workflows.clocks.explain import amount_text, rough
from workflows.clocks.limits import Kind, limit_text
from workflows.clocks.timescales import CalendarError
from workflows.holding import Holder, Span, consumed_in


class HeldClock(Struct, frozen=True, kw_only=True):
    """What a clock consumed while somebody held it, in milliseconds of its own `kind` of time."""

    name: str
    level: int
    cycle: int
    kind: Kind
    consumed_ms: int


class HeldSpan(Struct, frozen=True, kw_only=True):
    """Who held a case from an instant to another one (None: still), for how long on the wall clock (`natural_ms`), and
    what the clocks consumed meanwhile that were theirs."""

    unit: HolderNamed
    held_from: str
    held_until: str | None
    natural_ms: int
    clocks: list[HeldClock]


class ClockOutcome(Struct, frozen=True, kw_only=True):
    """A clock that has stopped. `consumed_ms` and `late_by_ms` are of its own `kind` of time, `natural_ms` is what
    elapsed on the wall clock. `late_by_ms` is 0 where its deadline was met, None where it has none. `charged` is the
    unit to which the outcome is due; in facts of early releases it was the owner's."""

    name: str
    level: int
    cycle: int
    target: int
    result: str
    why: str
    kind: Kind
    limit_zh: str
    limit_en: str
    started_at: str
    due_at: str | None
    stopped_at: str
    consumed_ms: int
    natural_ms: int
    late_by_ms: int | None
    lapsed: bool
    claimed: bool
    charged: HolderNamed | None


class Judged(NamedTuple):
    """A clock that runs, or as it was when it stopped; up to when it counts, whether an order started it, and its
    outcome."""

    clock: Clock
    until: int
    ordered: bool
    outcome: facts.ClockStopped | None


class CaseHistory(NamedTuple):
    """The clocks that a case has had, in the order in which they stopped, and those that it has; and who held it (until
    None: still)."""

    clocks: list[Judged]
    spans: list[Span]


def history_of(steps: Iterable[tuple[int, str]], case: Case, now: int) -> CaseHistory:
    """Read all steps of a case, each with its number and its facts. `case` is what they come to."""
    clocks, held, ends, then = list[Judged](), list[Holding](), list[int](), Case(id=case.id)
    for _, body in steps:
        for fact in facts.decode_facts(body):
            if isinstance(fact, facts.ClockStopped) and (clock := then.clock(fact.clock, fact.level)) is not None:
                ended = clock.runs[-1][1] if clock.since is None and clock.runs else fact.judged
                clocks.append(Judged(clock, ended, then.orderer(fact.clock, fact.level) is not None, fact))
            elif isinstance(fact, facts.Held):
                if len(ends) < len(held):  # else the case was over, and nobody's
                    ends.append(fact.since)
                held.append(Holding(fact.since, fact.unit))
            elif isinstance(fact, facts.Reopened) and then.closed is not None and len(ends) < len(held):
                ends.append(then.closed)
            evolve.apply(then, fact)
    clocks += [Judged(clock, now, case.orderer(clock.name, clock.level) is not None, None) for clock in case.clocks]
    until = [*ends, case.closed][: len(held)]
    return CaseHistory(clocks, [Span(each.since, end, each.unit) for each, end in zip(held, until, strict=True)])


def held_spans(history: CaseHistory, names: Names, now: int) -> list[HeldSpan]:
    """Who held a case, in order. Empty where no fact has told it, as in cases of early releases."""
    spans = history.spans
    clocks: list[list[HeldClock]] = [[] for _ in spans]
    for clock in run_once(history):
        theirs = [(k, span) for k, span in enumerate(spans) if clock.level in (0, span.unit.level)]
        try:
            found = consumed_in([span for _, span in theirs], clock, now, calendar_of(clock, names, now))
            for (k, _), (_, ms) in zip(theirs, list(found), strict=True):
                if ms:
                    clocks[k].append(
                        HeldClock(
                            name=clock.name,
                            level=clock.level,
                            cycle=clock.cycle,
                            kind=kind_of(clock),
                            consumed_ms=ms,
                        )
                    )
        except CalendarError:
            continue
    return [
        HeldSpan(
            unit=unit_named(span.unit, names),
            held_from=names.instant(span.since),
            held_until=names.maybe(span.until),
            natural_ms=max(0, (now if span.until is None else span.until) - span.since),
            clocks=consumed,
        )
        for span, consumed in zip(spans, clocks, strict=True)
    ]


def run_once(history: CaseHistory) -> Iterator[Clock]:
    """Each clock of the case's holders with all stretches that it ran in a cycle, that of the whole case with all that
    it ever ran, each once: who gets work back goes on with what was consumed, as does a case that is taken up again,
    so a clock that starts again carries its earlier stretches."""
    runs, last = dict[tuple[str, int, int], list[tuple[int, int]]](), dict[tuple[str, int, int], Clock]()
    for clock, until, ordered, _ in history.clocks:
        if not ordered:
            key = clock.name, clock.level, 0 if clock.name == cases.TOTAL else clock.cycle
            own = clock.runs if clock.since is None else (*clock.runs, (clock.since, until))
            runs.setdefault(key, []).extend(own)
            last[key] = clock
    for key, clock in last.items():
        merged = list[tuple[int, int]]()
        for begin, end in sorted(runs[key]):
            if merged and begin <= merged[-1][1]:
                merged[-1] = merged[-1][0], max(end, merged[-1][1])
            else:
                merged.append((begin, end))
        yield replace(clock, runs=tuple(merged), since=None)


def outcomes_of(clocks: Iterable[Judged], names: Names, now: int) -> Iterator[ClockOutcome]:
    """The clocks that have stopped, in order."""
    for judged in clocks:
        fact, clock = judged.outcome, judged.clock
        if fact is None:
            continue
        limit = sla.limit_of(clock)
        yield ClockOutcome(
            name=fact.clock,
            level=fact.level,
            cycle=fact.cycle,
            target=fact.target,
            result=fact.result,
            why=fact.why,
            kind=kind_of(clock),
            limit_zh=limit_text(limit) if limit else "",
            limit_en=limit_text(limit, "en") if limit else "",
            started_at=names.instant(fact.started),
            due_at=names.maybe(fact.due),
            stopped_at=names.instant(fact.judged),
            consumed_ms=fact.consumed,
            natural_ms=fact.elapsed,
            late_by_ms=late_by(judged, names, now),
            lapsed=fact.lapsed or fact.result == "overdue",
            claimed=fact.claimed,
            charged=None if fact.charged is None else unit_named(fact.charged, names),
        )


def consumed(judged: Judged, names: Names, now: int) -> int | None:
    """What a clock has consumed so far, in its own kind of time; None where the calendar cannot tell."""
    try:
        return sla.consumed(judged.clock, judged.until, kind_of(judged.clock), calendar_of(judged.clock, names, now))
    except CalendarError:
        return None


def late_by(judged: Judged, names: Names, now: int) -> int | None:
    """By how much a clock has missed its deadline, in its own kind of time: 0 if it has not, None where it has none."""
    clock, calendar = judged.clock, calendar_of(judged.clock, names, now)
    if clock.due is None:
        return None
    until = clock.judged if clock.since is None else judged.until  # a paused clock is no later than when it paused
    try:
        return calendar.elapsed(clock.due, until, kind_of(clock)) if clock.due < until else 0
    except CalendarError:
        return None


def kind_of(clock: Clock) -> Kind:
    """The clock's own kind of time; of an instant that was ordered, natural time."""
    limit = sla.limit_of(clock)
    return limit.kind if limit else Kind.urgent_hour


def calendar_of(clock: Clock, names: Names, now: int) -> Calendar:
    """The calendar of a clock as it is known now."""
    known = names.register.calendars.get(clock.calendar) or names.register.clock_of_days
    return known.known_at(now)


def worded(kind: Kind, ms: int, names: Names) -> tuple[str, str]:
    """An amount of a kind of time in words, in Chinese and English."""
    days = names.register.clock_of_days
    return amount_text(days, kind, rough(kind, ms), "zh"), amount_text(days, kind, rough(kind, ms), "en")


def unit_named(unit: Unit, names: Names) -> HolderNamed:
    """A unit by its names."""
    named = names.holder(Holder(unit.grid, unit.level, unit.department, unit.post))
    return named if named is not None else HolderNamed(names.grid(unit.grid), unit.level)

"""The stretches of time behind a deadline: in go a calendar, a clock's start and end, out come its pieces.

Each piece has one cause: it lies in a working window, or in a midday break, a night, a weekend, a holiday.
What the pieces count adds up to what the clock used. `folded` makes one piece of a long run of whole working
days, so that a limit of a year is still read at a glance. Words for all this are in `workflows.clocks.explain`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from enum import StrEnum
from itertools import pairwise
from typing import NamedTuple

from workflows.clocks.calendar import Calendar, day_number
from workflows.clocks.limits import DAY_MS, DayMeaning, Kind
from workflows.clocks.timescales import MINUTE_MS


class Why(StrEnum):
    """Why a span counts or not. The values are part of the JSON form."""

    working = "working"
    extra_day = "extra_day"
    special_hours = "special_hours"
    days = "days"
    running = "running"
    day_begun = "day_begun"
    clock_forward = "clock_forward"
    clock_back = "clock_back"
    before_opening = "before_opening"
    midday = "midday"
    night = "night"
    weekend = "weekend"
    holiday = "holiday"
    paused = "paused"


#: An explanation is folded further as long as it has more lines than this; the last fold also takes holidays.
_FOLDS: tuple[tuple[int, frozenset[Why]], ...] = (
    (24, frozenset()),
    (24, frozenset({Why.working, Why.midday, Why.night})),
    (60, frozenset({Why.working, Why.midday, Why.night, Why.weekend})),
    (0, frozenset(set(Why) - {Why.paused, Why.running, Why.day_begun, Why.clock_back, Why.clock_forward})),
)


class Piece(NamedTuple):
    """One stretch of time with one cause; `day` is the working day (day number) that it is part of."""

    from_ms: int
    to_ms: int
    counted: int
    why: Why
    note: str = ""
    day: int | None = None
    days: int = 0


def counted_pieces(calendar: Calendar, kind: Kind, start: int, end: int, total: int) -> list[Piece]:
    """The pieces of a running clock; what they count adds up to `total`."""
    pieces = []
    left = total
    for piece in _cut(calendar, kind, start, end):
        # A hand may jump past what it was to reach: over a skipped hour, at the end of a short day.
        counted = min(piece.counted, left)
        left -= counted
        pieces.append(piece._replace(counted=counted))
    if left:
        # A pause stops the clock on a day that is shown as counted when it closes, but counts from midnight.
        pieces.append(Piece(end, end, left, Why.day_begun))
    return pieces


def _cut(calendar: Calendar, kind: Kind, start: int, end: int) -> Iterator[Piece]:
    if kind is Kind.urgent_hour:
        return iter([Piece(start, end, end - start, Why.running)] if start < end else [])
    if kind is Kind.calendar_day:
        return _cut_wall(calendar, start, end)
    return _cut_windows(calendar, kind, start, end)


def _cut_wall(calendar: Calendar, start: int, end: int) -> Iterator[Piece]:
    """Wall clock time, with the hours that a change to or from summer time adds or takes."""
    measure = calendar.timescale(Kind.calendar_day).measure
    at = start
    for changed in calendar.wall.changes(start, end):
        before = measure(changed - 1) + 1
        yield Piece(at, changed, before - measure(at), Why.running)
        back = calendar.wall.offset(changed - 1) - calendar.wall.offset(changed)
        at = min(max(changed, changed + back), end)
        yield Piece(changed, at, measure(at) - before, Why.clock_back if back > 0 else Why.clock_forward)
    if at < end:
        yield Piece(at, end, measure(end) - measure(at), Why.running)


def _cut_windows(calendar: Calendar, kind: Kind, start: int, end: int) -> Iterator[Piece]:
    """Working windows and what lies between them."""
    measure = calendar.timescale(kind).measure
    # Where days end at closing time the hand moves at midnight; people expect it when the day closes.
    by_day = kind is Kind.working_day and calendar.day_meaning is DayMeaning.end_of_day
    at = start
    for window, following in pairwise(calendar.windows_from(start)):
        if window.opens_ms >= end:
            break
        yield from _gap(calendar, at, window.opens_ms)
        begin, at = max(at, window.opens_ms), min(window.closes_ms, end)
        closed = at == window.closes_ms and following.day > window.day > _day(calendar, start)
        counted = closed * DAY_MS if by_day else measure(at) - measure(begin)
        yield Piece(begin, at, counted, *_why_working(calendar, window.day), window.day)
        if at == end:
            return
    yield from _gap(calendar, at, end)


def _why_working(calendar: Calendar, day: int) -> tuple[Why, str]:
    rule = calendar.rules.get(day)
    if rule is None:
        return Why.working, ""
    return (Why.special_hours if calendar.weekly_windows_of(day) else Why.extra_day), rule.note


def _gap(calendar: Calendar, start: int, end: int) -> Iterator[Piece]:
    """Time outside windows, one piece per cause: days off with the evening before and the morning after."""
    if start >= end:
        return
    first, last = _day(calendar, start), _day(calendar, end - 1)
    off = [day for day in range(first, last + 1) if not calendar.windows_of(day)]
    causes = [(day, _why_off(calendar, day)) for day in off]
    if not causes:
        yield Piece(start, end, 0, _why_closed(calendar, start, first, last))
        return
    at = start
    for (_, cause), (day, following) in pairwise(causes):
        if cause != following:
            until = calendar.midnight(day)
            yield Piece(at, until, 0, *cause)
            at = until
    yield Piece(at, end, 0, *causes[-1][1])


def _why_off(calendar: Calendar, day: int) -> tuple[Why, str]:
    rule = calendar.rules.get(day)
    return (Why.weekend, "") if rule is None else (Why.holiday, rule.note)


def _why_closed(calendar: Calendar, start: int, first: int, last: int) -> Why:
    """Why nobody works in a gap without a day off in it."""
    minute = (start - calendar.midnight(first)) // MINUTE_MS
    if first != last or minute >= calendar.windows_of(first)[-1][1]:
        return Why.night
    return Why.before_opening if minute < calendar.windows_of(first)[0][0] else Why.midday


def _day(calendar: Calendar, t_ms: int) -> int:
    return day_number(calendar.local_day(t_ms))


# Folding long explanations.


def folded(calendar: Calendar, pieces: list[Piece]) -> list[Piece]:
    """Fold no more than needed to keep it readable."""
    whole = _whole_days(calendar, pieces)
    result = pieces
    for most, causes in _FOLDS:
        result = list(_fold_once(pieces, causes, whole))
        if len(result) <= most:
            break
    return result


def _whole_days(calendar: Calendar, pieces: list[Piece]) -> set[int]:
    """The working days that are counted from opening to closing."""
    worked: Counter[int] = Counter()
    for piece in pieces:
        if piece.day is not None:
            worked[piece.day] += piece.to_ms - piece.from_ms
    timescale = calendar.timescale(Kind.working_hour)

    def length(day: int) -> int:
        return timescale.measure(calendar.midnight(day + 1)) - timescale.measure(calendar.midnight(day))

    return {day for day, worked_ms in worked.items() if worked_ms == length(day)}


def _fold_once(pieces: list[Piece], causes: frozenset[Why], whole: set[int]) -> Iterator[Piece]:
    run: list[Piece] = []
    for piece in pieces:
        if piece.why in causes and (piece.day is None or piece.day in whole):
            run.append(piece)
        else:
            yield from _one_line(run)
            yield piece
            run = []
    yield from _one_line(run)


def _one_line(run: list[Piece]) -> list[Piece]:
    """Two whole working days or more as one piece, from the first opening to the last closing."""
    worked = [i for i, piece in enumerate(run) if piece.day is not None]
    days = len({run[i].day for i in worked})
    if days < 2:
        return run
    inside = run[worked[0] : worked[-1] + 1]
    notes = "、".join(dict.fromkeys(piece.note for piece in inside if piece.note))
    counted = sum(piece.counted for piece in inside)
    line = Piece(inside[0].from_ms, inside[-1].to_ms, counted, Why.days, notes, days=days)
    return [*run[: worked[0]], line, *run[worked[-1] + 1 :]]

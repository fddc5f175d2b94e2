"""The stretches of time behind a deadline: what a clock counted from start to end, and why or why not.

Each piece has one cause: it lies in a working window, or in a midday break, a night, a weekend, a holiday. What the
pieces count adds up to what the clock used. `folded` makes one piece of a long run of whole working days, so that a
limit of a year is still read at a glance. `workflows.clocks.explain` puts the pieces into words.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from enum import StrEnum
from itertools import groupby, pairwise
from typing import NamedTuple

from workflows.clocks.calendar import Calendar, day_number
from workflows.clocks.limits import DAY_MS, DayMeaning, Kind
from workflows.clocks.timescales import MINUTE_MS


class PieceReason(StrEnum):
    """Why a piece counts or not. The values are part of the JSON form."""

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


#: (most, causes): a fold of pieces with these causes is enough if it leaves at most so many lines, else the next one
#: is tried. The last one folds holidays as well.
_FOLDS: tuple[tuple[int, frozenset[PieceReason]], ...] = (
    (24, frozenset()),
    (24, frozenset({PieceReason.working, PieceReason.midday, PieceReason.night})),
    (60, frozenset({PieceReason.working, PieceReason.midday, PieceReason.night, PieceReason.weekend})),
    (
        0,
        frozenset(
            set(PieceReason)
            - {
                PieceReason.paused,
                PieceReason.running,
                PieceReason.day_begun,
                PieceReason.clock_back,
                PieceReason.clock_forward,
            }
        ),
    ),
)


class Piece(NamedTuple):
    """One stretch of time with one cause. `day` is the working day (day number) that it belongs to."""

    from_ms: int
    to_ms: int
    counted: int
    why: PieceReason
    note: str = ""
    day: int | None = None
    days: int = 0


def counted_pieces(calendar: Calendar, kind: Kind, start: int, end: int, total: int) -> list[Piece]:
    """The pieces of a running clock; what they count adds up to `total`."""
    if kind is Kind.urgent_hour:
        cut = iter([Piece(start, end, end - start, PieceReason.running)] if start < end else [])
    elif kind is Kind.calendar_day:
        cut = _cut_wall(calendar, start, end)
    else:
        cut = _cut_windows(calendar, kind, start, end)
    pieces = []
    left = total
    for piece in cut:
        # A timescale may jump past the value it was to reach: over a skipped hour, at the end of a short day.
        counted = min(piece.counted, left)
        left -= counted
        pieces.append(piece._replace(counted=counted))
    if left:
        # The clock was paused on a day that counts from midnight, but is shown as counted when it closes.
        pieces.append(Piece(end, end, left, PieceReason.day_begun))
    return pieces


def _cut_wall(calendar: Calendar, start: int, end: int) -> Iterator[Piece]:
    """Local wall clock time, with the hours that a change to or from summer time adds or takes."""
    measure = calendar.timescale(Kind.calendar_day).measure
    at = start
    for changed in calendar.wall.changes(start, end):
        before = measure(changed - 1) + 1
        yield Piece(at, changed, before - measure(at), PieceReason.running)
        back = calendar.wall.offset(changed - 1) - calendar.wall.offset(changed)
        at = min(max(changed, changed + back), end)
        yield Piece(
            changed, at, measure(at) - before, PieceReason.clock_back if back > 0 else PieceReason.clock_forward
        )
    if at < end:
        yield Piece(at, end, measure(end) - measure(at), PieceReason.running)


def _cut_windows(calendar: Calendar, kind: Kind, start: int, end: int) -> Iterator[Piece]:
    """Working windows, and the gaps between them."""
    measure = calendar.timescale(kind).measure
    # Where days end at closing time the timescale moves at midnight; people expect it when the day closes.
    by_day = kind is Kind.working_day and calendar.day_meaning is DayMeaning.end_of_day
    at = start
    for window, following in pairwise(calendar.windows_from(start)):
        if window.opens_ms >= end:
            break
        yield from _gap(calendar, at, window.opens_ms)
        begin, at = max(at, window.opens_ms), min(window.closes_ms, end)
        closed = at == window.closes_ms and following.day > window.day > _day(calendar, start)
        counted = closed * DAY_MS if by_day else measure(at) - measure(begin)
        why, rule = PieceReason.working, calendar.rules.get(window.day)
        if rule is not None:
            why = PieceReason.special_hours if calendar.weekly_windows_of(window.day) else PieceReason.extra_day
        yield Piece(begin, at, counted, why, rule.note if rule else "", window.day)
        if at == end:
            return
    yield from _gap(calendar, at, end)


def _gap(calendar: Calendar, start: int, end: int) -> Iterator[Piece]:
    """Time outside windows, one piece per cause. Days off take in the evening before and the morning after."""
    if start >= end:
        return
    first, last = _day(calendar, start), _day(calendar, end - 1)
    causes = []
    for day in range(first, last + 1):
        if not calendar.windows_of(day):
            rule = calendar.rules.get(day)
            causes.append((day, (PieceReason.weekend, "") if rule is None else (PieceReason.holiday, rule.note)))
    if not causes:
        minute, windows = (start - calendar.midnight(first)) // MINUTE_MS, calendar.windows_of(first)
        if first != last or minute >= windows[-1][1]:
            why = PieceReason.night
        else:
            why = PieceReason.before_opening if minute < windows[0][0] else PieceReason.midday
        yield Piece(start, end, 0, why)
        return
    at = start
    for (_, cause), (day, following) in pairwise(causes):
        if cause != following:
            until = calendar.midnight(day)
            yield Piece(at, until, 0, *cause)
            at = until
    yield Piece(at, end, 0, *causes[-1][1])


def _day(calendar: Calendar, t_ms: int) -> int:
    return day_number(calendar.local_day(t_ms))


# ---- folding -----------------------------------------------------------------------------------------------


def folded(calendar: Calendar, pieces: list[Piece]) -> list[Piece]:
    """The pieces, folded no more than needed to keep the explanation readable."""
    worked: Counter[int] = Counter()
    for piece in pieces:
        if piece.day is not None:
            worked[piece.day] += piece.to_ms - piece.from_ms
    measure = calendar.timescale(Kind.working_hour).measure
    whole = {  # working days that are counted from opening to closing
        day
        for day, worked_ms in worked.items()
        if worked_ms == measure(calendar.midnight(day + 1)) - measure(calendar.midnight(day))
    }
    result = pieces
    for most, causes in _FOLDS:
        result = list(_fold_once(pieces, causes, whole))
        if len(result) <= most:
            break
    return result


def _fold_once(pieces: list[Piece], causes: frozenset[PieceReason], whole: set[int]) -> Iterator[Piece]:
    """The pieces, with runs of foldable ones as one piece each, from the first opening to the last closing.

    Working days fold only if they are whole, and two or more in a row.
    """
    for foldable, group in groupby(pieces, lambda p: p.why in causes and (p.day is None or p.day in whole)):
        run = list(group)
        worked = [i for i, piece in enumerate(run) if piece.day is not None]
        days = len({run[i].day for i in worked})
        if not foldable or days < 2:
            yield from run
            continue
        inside = run[worked[0] : worked[-1] + 1]
        notes = "、".join(dict.fromkeys(piece.note for piece in inside if piece.note))
        counted = sum(piece.counted for piece in inside)
        yield from run[: worked[0]]
        yield Piece(inside[0].from_ms, inside[-1].to_ms, counted, PieceReason.days, notes, days=days)
        yield from run[worked[-1] + 1 :]

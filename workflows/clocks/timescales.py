"""The timescales of the four kinds of limit, each a way to count time that is exact in both directions.

A timescale is a non-decreasing integer function of UTC milliseconds. `measure(t)` is its value at an instant,
`reach(value)` the instant at which it gets to a value. A deadline is `reach(measure(start) + budget)`, elapsed time is
a difference of two measures, a pause keeps what was left, a warning runs the same scale backwards. There is no second
way to count time, so parts always add up.

    kind                     measure(t)                                         reach(value)
    urgent_hour              the instant itself                                 the instant itself
    working_hour             working milliseconds so far                        earliest: at closing time, not
                                                                                at the next opening
    working_day, same_time   working days so far and the place in the day       first *working* instant
    working_day, end_of_day  working days whose date has begun                  closing instant of that day
    calendar_day             the local wall clock, held while it is set back    earliest: the jump instant for
                                                                                an hour that is skipped

A day is worth 86,400,000 in the last three. All look-ups are prefix sums and bisection, never day by day.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from functools import lru_cache
from itertools import pairwise
from typing import Protocol

from workflows.clocks.limits import DAY_MS

MINUTE_MS = 60_000
WEEK_MS = 7 * DAY_MS
KEPT = 2048
"""So many measures a timescale keeps."""


class CalendarError(ValueError):
    """A calendar that cannot be built, or an instant it does not cover; the message names the remedy."""


class Timescale(Protocol):
    """One way to count time. Both directions are monotone and exact."""

    def measure(self, t_ms: int) -> int:
        """The value at an instant, UTC milliseconds."""

    def reach(self, value: int) -> int:
        """The instant, UTC milliseconds, at which the scale gets to `value`."""


class Running:
    """紧急工作时: counts without a break."""

    def measure(self, t_ms: int) -> int:
        return t_ms

    def reach(self, value: int) -> int:
        return value


class Wall:
    """自然日: the local wall clock in milliseconds since 1970-01-01T00:00 local.

    It is the running maximum of what the wall shows. It holds in the repeated hour of autumn, so it stays monotone,
    and jumps over the skipped hour of spring, so a deadline keeps its time of day.
    """

    __slots__ = ("_from", "_held", "_marks", "_offset")

    def __init__(self, offsets: Sequence[tuple[int, int]]) -> None:
        self._from = [since for since, _ in offsets]
        self._offset = [offset for _, offset in offsets]
        self._held = [-(2**62)]  # what the wall had shown when this offset began
        for (_, offset), (until, _) in pairwise(offsets):
            self._held.append(max(self._held[-1], until + offset))
        self._marks = [max(held, since + offset) for held, (since, offset) in zip(self._held, offsets, strict=True)]

    def offset(self, t_ms: int) -> int:
        """Local minus UTC at an instant, milliseconds."""
        return self._offset[max(bisect_right(self._from, t_ms) - 1, 0)]

    def stretch(self, t_ms: int) -> tuple[int, int, int]:
        """The offset at an instant, and from when to when (UTC milliseconds, the end not included) it holds."""
        i = max(bisect_right(self._from, t_ms) - 1, 0)
        until = self._from[i + 1] if i + 1 < len(self._from) else 2**62
        return self._offset[i], self._from[i] if i else -(2**62), until

    def changes(self, after_ms: int, before_ms: int) -> list[int]:
        """The instants strictly between, at which the clocks are changed."""
        return self._from[bisect_right(self._from, after_ms) : bisect_left(self._from, before_ms)]

    def measure(self, t_ms: int) -> int:
        i = max(bisect_right(self._from, t_ms) - 1, 0)
        return max(t_ms + self._offset[i], self._held[i])

    def reach(self, value: int) -> int:
        i = max(bisect_left(self._marks, value) - 1, 0)
        t = value - self._offset[i]
        return min(t, self._from[i + 1]) if i + 1 < len(self._from) else t


class Axis:
    """The working windows of a calendar in UTC milliseconds, as arrays to bisect.

    `days` gives for each working day, in order, its local midnight (wall milliseconds) and its windows (local
    minutes). A window that lies within a skipped hour is left out.
    """

    __slots__ = ("before", "closes", "closings", "dawns", "day", "midnights", "opens")

    def __init__(self, wall: Wall, days: Iterable[tuple[int, Sequence[tuple[int, int]]]]) -> None:
        self.opens: list[int] = []  # per window
        self.closes: list[int] = []
        self.before: list[int] = []  # working milliseconds before it opens
        self.day: list[int] = []  # which working day it belongs to, counted from 0
        self.midnights: list[int] = []  # per working day: its midnight on the wall clock
        self.dawns: list[int] = []  # ... and in UTC
        self.closings: list[int] = []  # ... its last closing instant
        total = 0
        for midnight, windows in days:
            for begin, end in windows:
                opens = wall.reach(midnight + begin * MINUTE_MS)
                closes = wall.reach(midnight + end * MINUTE_MS)
                if opens == closes:
                    continue
                self.opens.append(opens)
                self.closes.append(closes)
                self.before.append(total)
                self.day.append(len(self.midnights))
                total += closes - opens
            if self.day and self.day[-1] == len(self.midnights):
                self.midnights.append(midnight)
                self.dawns.append(wall.reach(midnight))
                self.closings.append(self.closes[-1])

    def window_after(self, t_ms: int) -> int:
        """The index of the first window that closes after an instant."""
        return bisect_right(self.closes, t_ms)


class WorkingTime:
    """工作时: milliseconds inside working windows."""

    __slots__ = ("_axis", "_first")

    def __init__(self, axis: Axis, first_ms: int) -> None:
        self._axis = axis
        self._first = first_ms

    def measure(self, t_ms: int) -> int:
        axis = self._axis
        i = bisect_right(axis.opens, t_ms) - 1
        return axis.before[i] + min(t_ms, axis.closes[i]) - axis.opens[i] if i >= 0 else 0

    def reach(self, value: int) -> int:
        axis = self._axis
        i = bisect_left(axis.before, value) - 1
        return axis.opens[i] + value - axis.before[i] if i >= 0 else self._first


class DayShape:
    """The place in a working day that a time of day has, from 0 to a whole day's worth.

    The shape is the union of the windows of all days, so lunch and night have no width in it: the scale stands still
    there instead of jumping, and a pause of an hour costs an hour, by night too. It is stretched to a day's worth of
    units, so that a limit of N days is worth the same whatever the opening hours are.
    """

    __slots__ = ("_begins", "_ends", "_places", "width")

    def __init__(self, windows: Iterable[tuple[int, int]]) -> None:
        merged: list[tuple[int, int]] = []
        for begin, end in sorted(set(windows)):
            if merged and begin <= merged[-1][1]:
                begin, end = merged[-1][0], max(end, merged.pop()[1])
            merged.append((begin, end))
        self._begins = [begin * MINUTE_MS for begin, _ in merged]
        self._ends = [end * MINUTE_MS for _, end in merged]
        self._places = [0]
        for begin, end in zip(self._begins, self._ends, strict=True):
            self._places.append(self._places[-1] + end - begin)
        self.width = self._places.pop()

    def place(self, time_of_day: int) -> int:
        """Milliseconds since midnight inside a window, to 0 ... DAY_MS - 1; strictly increasing."""
        i = bisect_right(self._begins, time_of_day) - 1
        return (self._places[i] + time_of_day - self._begins[i]) * DAY_MS // self.width

    def time_of_day(self, place: int) -> int | None:
        """The first millisecond of the day whose place is not below `place`; None if the day has none."""
        inside = -(-place * self.width // DAY_MS)
        if inside >= self.width:
            return None
        i = bisect_right(self._places, inside) - 1
        return self._begins[i] + inside - self._places[i]


class SameTime:
    """工作日, the same time of day N working days on. Outside windows the value is that of the next opening.

    `reach` gives the first instant inside a window, so a deadline that would fall outside (after a pause, or on a day
    with shorter hours) lies at the next opening, and 17:00 + 1 day is never 17:00.
    """

    __slots__ = ("_axis", "_shape", "_wall")

    def __init__(self, axis: Axis, wall: Wall, shape: DayShape) -> None:
        self._axis = axis
        self._wall = wall
        self._shape = shape

    def measure(self, t_ms: int) -> int:
        axis = self._axis
        i = axis.window_after(t_ms)
        day = axis.day[i]
        time_of_day = self._wall.measure(max(t_ms, axis.opens[i])) - axis.midnights[day]
        return day * DAY_MS + self._shape.place(time_of_day)

    def reach(self, value: int) -> int:
        axis = self._axis
        day, place = divmod(value, DAY_MS)
        time_of_day = self._shape.time_of_day(place)
        if time_of_day is None:
            day, time_of_day = day + 1, 0
        t = self._wall.reach(axis.midnights[day] + time_of_day)
        return max(t, axis.opens[axis.window_after(t)])


class EndOfDay:
    """工作日, ending at closing time: counts the working days whose date has begun.

    `reach` gives the closing instant of the day, not the midnight at which the count moves.
    """

    __slots__ = ("_axis", "_first")

    def __init__(self, axis: Axis, first_ms: int) -> None:
        self._axis = axis
        self._first = first_ms

    def measure(self, t_ms: int) -> int:
        return bisect_right(self._axis.dawns, t_ms) * DAY_MS

    def reach(self, value: int) -> int:
        days = -(-value // DAY_MS)
        return self._axis.closings[days - 1] if days else self._first


class Bounded:
    """A timescale that is looked up where the arrays reach, and repeats their last plain week for ever after.

    Before the calendar's first day it raises CalendarError, since the holidays of that time are not known.
    """

    __slots__ = ("_first", "_low", "_measure", "_reach", "_refusal", "_tail", "_top", "_week", "measure")

    def __init__(self, timescale: Timescale, first_ms: int, tail_ms: int, refusal: str) -> None:
        self._measure, self._reach = timescale.measure, timescale.reach
        self._first = first_ms
        self._tail = tail_ms
        self._low = timescale.measure(first_ms)
        self._top = timescale.measure(tail_ms)
        self._week = self._top - timescale.measure(tail_ms - WEEK_MS)
        self._refusal = refusal
        # An instant is measured when a clock starts, and when it stops; often several do at one.
        self.measure = lru_cache(maxsize=KEPT)(self._measured)

    def _measured(self, t_ms: int) -> int:
        if t_ms < self._tail:
            if t_ms < self._first:
                raise CalendarError(self._refusal)
            return self._measure(t_ms)
        weeks = (t_ms - self._tail) // WEEK_MS + 1
        return self._measure(t_ms - weeks * WEEK_MS) + weeks * self._week

    def reach(self, value: int) -> int:
        if value <= self._top:
            if value < self._low:
                raise CalendarError(self._refusal)
            return self._reach(value)
        weeks = -((self._top - value) // self._week)
        return self._reach(value - weeks * self._week) + weeks * WEEK_MS

"""Working calendars: deadlines and elapsed time on the calendar of a compiled policy pack.

`CalendarData` is what a pack carries. Everything in it is expanded (time zone rules, holidays, working weekends 调休),
so computing a deadline needs neither a time zone database nor a holiday library, and the same pack gives the same
deadline for ever. `Calendar` lays it out once for bisecting; the timescales themselves are in
`workflows.clocks.timescales`. All instants are integer UTC milliseconds. Local time appears only in `local`,
`local_day` and the windows.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from datetime import date
from functools import lru_cache

import msgspec

from workflows.clocks.limits import (
    CALENDAR_DAY,
    DAY_MS,
    HOUR_MS,
    URGENT_HOUR,
    WORKING_DAY,
    WORKING_HOUR,
    DayMeaning,
    Kind,
    Limit,
    LimitError,
    limit_text,
)
from workflows.clocks.timescales import (
    MINUTE_MS,
    WEEK_MS,
    Axis,
    Bounded,
    CalendarError,
    DayShape,
    EndOfDay,
    Running,
    SameTime,
    Timescale,
    Wall,
    WorkingTime,
)

Windows = tuple[tuple[int, int], ...]

#: The first entry of `CalendarData.offsets` holds since ever.
SINCE_EVER = -(2**53)

_EPOCH = date(1970, 1, 1).toordinal()
_MONDAY = date(1970, 1, 5).toordinal() - _EPOCH


class DayRule(msgspec.Struct, frozen=True, omit_defaults=True):
    """One day that differs from the weekly pattern. Empty `windows` make it a day off."""

    day: int  # local, YYYYMMDD
    windows: Windows = ()
    note: str = ""  # why, as people say it: 春节, 春节调休上班
    known_on: int = 0  # local day from which on it counts, for what is computed then; 0: it always does


class CalendarData(msgspec.Struct, frozen=True):
    """A calendar as a compiled pack carries it, in JSON."""

    code: str
    zone: str  # name of the time zone, for display
    offsets: tuple[tuple[int, int], ...]  # (UTC ms from which, local minus UTC in ms); first from SINCE_EVER
    first_day: int  # local, YYYYMMDD; nothing is computed before it
    last_day: int  # the horizon: the last day whose holidays are known
    weekly: tuple[Windows, ...]  # seven entries, Monday first; local minutes since midnight, 0 ... 1440
    days: tuple[DayRule, ...] = ()
    day_meaning: DayMeaning = DayMeaning.same_time
    daily_minutes: int = 480  # nominal working day, for DayMeaning.hours


class Window(msgspec.Struct, frozen=True):
    """One working window. It is half open: the closing instant is outside."""

    opens_ms: int
    closes_ms: int
    day: int  # day number, see `day_number`


def day_number(day: int) -> int:
    """YYYYMMDD to days since 1970-01-01; raises CalendarError if there is no such day."""
    try:
        return date(day // 10000, day // 100 % 100, day % 100).toordinal() - _EPOCH
    except ValueError as error:
        raise CalendarError(f"{day} is no day ({error}); write YYYYMMDD, for example 20260214") from None


@lru_cache(maxsize=4096)
def day_of_number(number: int) -> int:
    """Days since 1970-01-01 to YYYYMMDD."""
    d = _date(number)
    return d.year * 10000 + d.month * 100 + d.day


def _date(number: int) -> date:
    try:
        return date.fromordinal(number + _EPOCH)
    except (ValueError, OverflowError):
        raise CalendarError("the instant lies outside the years 1 to 9999; correct the time given") from None


class Calendar:
    """A calendar ready to compute with. It is immutable; one reading takes about a microsecond."""

    def __init__(self, data: CalendarData) -> None:
        """Lay `data` out. Raises CalendarError, which names the field and the remedy."""
        _check(data)
        self.data = data
        self.code = data.code
        self.day_meaning = DayMeaning(data.day_meaning)
        self.daily_minutes = data.daily_minutes
        self._whole_days = self.day_meaning is DayMeaning.end_of_day  # working days have no parts
        by_hours = self.day_meaning is DayMeaning.hours
        self._worth = {  # of a thousandth, in units of the timescale
            URGENT_HOUR: HOUR_MS // 1000,
            WORKING_HOUR: HOUR_MS // 1000,
            WORKING_DAY: data.daily_minutes * 60 if by_hours else DAY_MS // 1000,
            CALENDAR_DAY: DAY_MS // 1000,
        }
        self.wall = Wall(data.offsets)
        # Without what becomes known later; `known_at` has it.
        self.rules = {day_number(rule.day): rule for rule in data.days if not rule.known_on}
        self.later = sorted((rule for rule in data.days if rule.known_on), key=lambda rule: rule.known_on)
        self._editions: dict[int, Calendar] = {}  # by the latest day on which something has become known
        self._last_day = (0, 0, 0)  # from, to and date of the local day that was asked for last: most are asked again
        self._first_day = day_number(data.first_day)
        # The first plain day comes after everything irregular: known holidays, exceptions, clock changes.
        since, offset = data.offsets[-1]
        changed = (since + offset) // DAY_MS + 1 if since != SINCE_EVER else self._first_day
        first_plain_day = max(day_number(data.last_day), changed, *self.rules, self._first_day) + 1
        self._tail_day = first_plain_day + 7
        self._first_ms = self.midnight(self._first_day)
        self._tail_ms = self.midnight(self._tail_day)
        #: The instant at which the last day with known holidays ends.
        self.horizon_ms = self.midnight(day_number(data.last_day) + 1)
        # Two weeks more than are read, since a timescale at the end of the arrays looks for the next opening.
        days = ((n, self.windows_of(n)) for n in range(self._first_day, self._tail_day + 14))
        self._axis = Axis(self.wall, ((n * DAY_MS, windows) for n, windows in days if windows))
        self._shape = DayShape(window for _, windows in _all_windows(data) for window in windows)
        working = WorkingTime(self._axis, self._first_ms)
        by_meaning: dict[DayMeaning, Timescale] = {
            DayMeaning.same_time: SameTime(self._axis, self.wall, self._shape),
            DayMeaning.end_of_day: EndOfDay(self._axis, self._first_ms),
            DayMeaning.hours: working,
        }
        unbounded: dict[Kind, Timescale] = {
            Kind.working_hour: working,
            Kind.working_day: by_meaning[self.day_meaning],
            Kind.calendar_day: self.wall,
        }
        self._timescales: dict[Kind, Timescale] = {Kind.urgent_hour: Running()}
        for kind, timescale in unbounded.items():
            self._timescales[kind] = Bounded(timescale, self._first_ms, self._tail_ms, self._refusal())

        self._lowest = {kind: timescale.measure(self._first_ms) for kind, timescale in self._timescales.items()}

    def _refusal(self) -> str:
        return (
            f"calendar {self.code!r} begins in {self.data.first_day // 10000}, on {_date(self._first_day)}; "
            "for an earlier instant, compile and activate a pack whose calendar begins in an earlier year"
        )

    # What becomes known later.

    def known_at(self, t_ms: int) -> Calendar:
        """The calendar as it is known at an instant: with the days that have become known by then.

        What was computed before does not change by it; what is computed from then on counts them.
        """
        if not self.later:
            return self
        today = self.local_day(t_ms)
        known = [rule for rule in self.later if rule.known_on <= today]
        if not known:
            return self
        edition = self._editions.get(known[-1].known_on)
        if edition is None:
            first = {rule.day: rule for rule in self.data.days if not rule.known_on}
            days = first | {rule.day: msgspec.structs.replace(rule, known_on=0) for rule in known}
            data = msgspec.structs.replace(self.data, days=tuple(days[day] for day in sorted(days)))
            edition = self._editions[known[-1].known_on] = laid_out(data)
        return edition

    @property
    def news(self) -> list[int]:
        """The instants from which on more days are known."""
        return sorted({self.day_start(rule.known_on) for rule in self.later})

    # Deadlines and elapsed time.

    def timescale(self, kind: Kind) -> Timescale:
        """The timescale of one kind of clock."""
        return self._timescales[kind]

    def budget(self, limit: Limit) -> int:
        """What `limit` is worth on this calendar, in units of the timescale of its kind.

        Hours are worth their milliseconds, days 86,400,000 each; where working days mean hours, N days are worth
        N x the calendar's daily hours. Raises LimitError for part of a day where days end at closing time.
        """
        if self._whole_days and limit.kind is WORKING_DAY and limit.milli % 1000:
            raise LimitError(
                limit_text(limit),
                f"calendar {self.code!r} lets working days end at closing time, so it knows whole days only",
                "Write whole 工作日, or 工作时 (working hours).",
            )
        return limit.milli * self._worth[limit.kind]

    def budget_from(self, start_ms: int, limit: Limit) -> int:
        """What a limit is worth to a clock that starts at an instant.

        The wall clock stands still in an hour that comes twice, and a day that starts in its second half hour ends at
        half past on the next one all the same: what the wall had shown before is no part of it.
        """
        worth = self.budget(limit)
        if limit.kind is not CALENDAR_DAY:
            return worth
        shown = self.wall.measure(start_ms) - (start_ms + self.wall.offset(start_ms))
        return worth - shown if shown < worth else worth

    def deadline(self, start_ms: int, limit: Limit) -> int:
        """The instant at which a limit that starts at `start_ms` ends."""
        kind = limit.kind
        if kind is not CALENDAR_DAY and not self._whole_days:  # there `due_after` mostly comes to this
            timescale = self._timescales[kind]
            reached = timescale.reach(timescale.measure(start_ms) + limit.milli * self._worth[kind])
            if reached >= start_ms:
                return reached
        return self.due_after(start_ms, self.budget_from(start_ms, limit), limit.kind)

    def due_after(self, start_ms: int, left: int, kind: Kind) -> int:
        """The instant at which a clock that starts, or resumes, at `start_ms` has used up `left` units.

        `left` is a budget or what a pause kept of it. If it is negative, the clock was overdue when it stopped, and
        the answer lies in the past; otherwise the answer never lies before `start_ms`.
        """
        timescale = self._timescales[kind]
        reached = timescale.reach(timescale.measure(start_ms) + left)
        if left < 0 or reached >= start_ms:
            return reached
        if kind is WORKING_DAY and self._whole_days:
            # The rest of a working day was left, and that day closed before the clock resumed.
            return timescale.reach(timescale.measure(start_ms) + DAY_MS)
        return start_ms

    def left_at(self, now_ms: int, start_ms: int, left: int, kind: Kind) -> int:
        """The units left at `now_ms` of a clock that started, or resumed, at `start_ms` with `left` units.

        A pause keeps this. Until the clock is due it is never negative, even if the next opening lies beyond the
        deadline's time of day: a clock that pauses in time has overrun nothing.
        """
        rest = left - self.elapsed(start_ms, now_ms, kind)
        return rest if rest >= 0 or now_ms > self.due_after(start_ms, left, kind) else 0

    def elapsed(self, from_ms: int, to_ms: int, kind: Kind) -> int:
        """The units that a clock consumes from one instant to another."""
        timescale = self._timescales[kind]
        return timescale.measure(to_ms) - timescale.measure(from_ms)

    def remaining(self, now_ms: int, due_ms: int, kind: Kind) -> int:
        """The units left at `now_ms` of a clock that is due at `due_ms`; negative once it is overdue."""
        return self.elapsed(now_ms, due_ms, kind)

    def offset_before(self, due_ms: int, limit: Limit) -> int:
        """The instant `limit` before a deadline, in the limit's own kind.

        A warning in working time thus falls into working time. It lies before the deadline, but not before the
        calendar's first day, however long `limit` is.
        """
        timescale, worth = self._timescales[limit.kind], self.budget(limit)
        if limit.kind is URGENT_HOUR:
            return due_ms - worth
        by_date = self._whole_days and limit.kind is WORKING_DAY
        # A day that closes at 24:00 is still that day, but the timescale has begun the next one.
        value = timescale.measure(due_ms - by_date) - worth
        reached = timescale.reach(max(value, self._lowest[limit.kind]))
        if reached >= due_ms:
            # The timescale jumped to the deadline, over a skipped hour or the missing end of a short day. So running
            # time is counted back, or working time in the share of a day that `worth` is.
            if limit.kind is Kind.calendar_day:
                return max(due_ms - worth, self._first_ms)
            timescale = self._timescales[WORKING_HOUR]
            value = timescale.measure(due_ms) - worth * self._shape.width // DAY_MS
            reached = timescale.reach(max(value, self._lowest[WORKING_HOUR]))
        return max(reached, self._first_ms)

    def offset_after(self, due_ms: int, limit: Limit) -> int:
        """The instant `limit` after a deadline, in the limit's own kind."""
        return self.deadline(due_ms, limit)

    def provisional(self, t_ms: int, kind: Kind | None = None) -> bool:
        """Whether a deadline at `t_ms` depends on days whose holidays are not known yet.

        It is False for a `kind` that no holiday moves (紧急工作时, 自然日).
        """
        return t_ms > self.horizon_ms and kind not in (URGENT_HOUR, CALENDAR_DAY)

    # Local time.

    def local_day(self, t_ms: int) -> int:
        """The local date of an instant, YYYYMMDD."""
        begin, end, day = self._last_day
        if not begin <= t_ms < end:
            offset, since, until = self.wall.stretch(t_ms)
            number = (t_ms + offset) // DAY_MS
            day, begin = day_of_number(number), number * DAY_MS - offset
            self._last_day = max(begin, since), min(begin + DAY_MS, until), day
        return day

    def day_start(self, day: int) -> int:
        """The instant at which a local day (YYYYMMDD) begins, as `local_day` tells it.

        Where the clocks skip midnight they go on then. Where they are put back at midnight it is the day before once
        more, until midnight comes again.
        """
        midnight = self.midnight(day_number(day))
        return max(midnight, day_number(day) * DAY_MS - self.wall.offset(midnight))

    def local(self, t_ms: int) -> str:
        """RFC 3339 with the local offset, with milliseconds only if there are any: 2026-02-24T11:00:00+08:00."""
        offset = self.wall.offset(t_ms)
        number, in_day = divmod(t_ms + offset, DAY_MS)
        seconds, ms = divmod(in_day, 1000)
        clock = f"{seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}"
        fraction = f".{ms:03d}" if ms else ""
        minutes = abs(offset) // MINUTE_MS
        sign = "-" if offset < 0 else "+"
        return f"{_date(number).isoformat()}T{clock}{fraction}{sign}{minutes // 60:02d}:{minutes % 60:02d}"

    # Working windows.

    def windows_of(self, number: int) -> Windows:
        """The working windows of a local day (day number), in local minutes."""
        rule = self.rules.get(number)
        return self.weekly_windows_of(number) if rule is None else rule.windows

    def weekly_windows_of(self, number: int) -> Windows:
        """The working windows of a local day (day number) by the weekly pattern alone."""
        return self.data.weekly[(number - _MONDAY) % 7]

    def midnight(self, number: int) -> int:
        """The instant at which the wall clock comes to the midnight of a local day (day number) for the first time."""
        return self.wall.reach(number * DAY_MS)

    def is_working(self, t_ms: int) -> bool:
        """Whether an instant lies inside a working window."""
        window = next(self.windows_from(t_ms))
        return window.opens_ms <= t_ms

    def windows_from(self, t_ms: int) -> Iterator[Window]:
        """The windows that close after an instant, in order, without end."""
        if t_ms < self._first_ms:
            raise CalendarError(self._refusal())
        axis = self._axis
        weeks = max((t_ms - self._tail_ms) // WEEK_MS + 1, 0)
        i = axis.window_after(t_ms - weeks * WEEK_MS)
        last = bisect_right(axis.opens, self._tail_ms - 1)  # windows from here on are repeats of a week
        first = bisect_right(axis.opens, self._tail_ms - WEEK_MS - 1)
        while True:
            for j in range(i, last):
                number = axis.midnights[axis.day[j]] // DAY_MS + 7 * weeks
                shift = weeks * WEEK_MS
                yield Window(axis.opens[j] + shift, axis.closes[j] + shift, number)
            i, weeks = first, weeks + 1


@lru_cache(maxsize=32)
def laid_out(data: CalendarData) -> Calendar:
    """The calendar of `data`, laid out once in a process: packs that differ in other things have the same one."""
    return Calendar(data)


def _check(data: CalendarData) -> None:
    """Refuse data with which nothing sound could be computed. Raises CalendarError."""

    def need(condition: bool, problem: str) -> None:
        if not condition:
            raise CalendarError(f"calendar {data.code!r}: {problem}")

    need(len(data.weekly) == 7, f"weekly has {len(data.weekly)} entries; give seven, Monday first")
    need(any(data.weekly), "no weekday has a working window; give one, or [[0, 1440]] for all hours")
    for name, windows in _all_windows(data):
        edges = [minute for window in windows for minute in window]
        in_order = edges == sorted(edges) and all(a < b for a, b in windows) and all(0 <= m <= 1440 for m in edges)
        need(in_order, f"windows {windows} of {name} must be in order, apart, within 0 ... 1440")
    need(
        bool(data.offsets) and data.offsets[0][0] == SINCE_EVER,
        f"the first offset must hold since ever; begin offsets with [{SINCE_EVER}, offset]",
    )
    since = [t for t, _ in data.offsets]
    need(since == sorted(set(since)), "offsets must be in ascending order of their instants")
    whole = all(offset % MINUTE_MS == 0 and abs(offset) < DAY_MS for _, offset in data.offsets)
    need(whole, "offsets must be whole minutes, below a day")
    need(
        day_number(data.first_day) <= day_number(data.last_day),
        f"last_day {data.last_day} lies before first_day {data.first_day}; exchange them",
    )
    days = [(rule.day, rule.known_on) for rule in data.days]
    twice = {day for day in days if days.count(day) > 1} if len(set(days)) < len(days) else set()
    need(not twice, f"two rules for the same day {sorted(day for day, _ in twice)}; keep the one that holds")
    need(0 < data.daily_minutes <= 1440, f"daily_minutes {data.daily_minutes} must lie within 1 ... 1440")


def _all_windows(data: CalendarData) -> Iterator[tuple[str, Windows]]:
    for i, windows in enumerate(data.weekly):
        yield f"weekday {i + 1}", windows
    for rule in data.days:
        yield f"day {rule.day}", rule.windows

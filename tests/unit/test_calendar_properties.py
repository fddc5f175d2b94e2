"""What holds of every calendar, kind and instant, and a slow reference that counts minute by minute.

The reference shares nothing with the timescales: it asks the time zone database what the wall shows in each
minute, looks whether that lies in a window, and steps on.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from functools import cache
from itertools import pairwise
from zoneinfo import ZoneInfo

import msgspec
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from tests.support.examples import examples
from workflows.clocks.calendar import Calendar, CalendarData, DayRule, Window, Windows
from workflows.clocks.explain import Explanation, explain, render
from workflows.clocks.limits import DayMeaning, Kind, Limit
from workflows.clocks.spans import PieceReason
from workflows.policy.holidays_and_zones import expand_zone

MINUTE = 60_000
HOUR = 60 * MINUTE
DAY = 24 * HOUR

# Zones with the change at night, by half an hour, at midnight (a day begins at 01:00), and none.
PLACES = [
    ("Asia/Shanghai", date(2026, 2, 10)),
    ("America/New_York", date(2015, 3, 4)),
    ("America/New_York", date(2015, 10, 28)),
    ("Australia/Lord_Howe", date(2024, 4, 3)),
    ("Australia/Lord_Howe", date(2024, 10, 2)),
    ("America/Sao_Paulo", date(2018, 2, 14)),
    ("America/Sao_Paulo", date(2018, 10, 31)),
]


def number(day: date) -> int:
    return day.year * 10000 + day.month * 100 + day.day


@st.composite
def windows(draw: st.DrawFn) -> Windows:
    """Up to three windows on quarters of an hour, as offices have them and as they do not."""
    edges = draw(st.lists(st.integers(0, 96), min_size=2, max_size=6, unique=True))
    minutes = [15 * edge for edge in sorted(edges)]
    return tuple(zip(minutes[0::2], minutes[1::2], strict=False))


@st.composite
def calendar_data(draw: st.DrawFn) -> CalendarData:
    """A week of some shape, with exceptions in the weeks around a clock change."""
    zone, around = draw(st.sampled_from(PLACES))
    off = st.just(())
    weekly = draw(st.lists(off | windows(), min_size=7, max_size=7).filter(any))
    days = draw(st.lists(st.integers(0, 20), max_size=6, unique=True))
    first = around - timedelta(3)
    rules = [
        DayRule(number(first + timedelta(day)), draw(off | windows()), draw(st.sampled_from(["", "春节"])))
        for day in days
    ]
    return CalendarData(
        code="drawn",
        zone=zone,
        offsets=expand_zone(zone, around.year, around.year),
        first_day=number(first),
        last_day=number(first + timedelta(21)),
        weekly=tuple(weekly),
        days=tuple(rules),
        day_meaning=draw(st.sampled_from(DayMeaning)),
        daily_minutes=draw(st.sampled_from([420, 480, 510])),
    )


calendars = calendar_data().map(Calendar)
kinds = st.sampled_from(Kind)
pauses_after_runs = st.tuples(st.integers(0, 3 * DAY), st.integers(0, 3 * DAY))


def first_ms(calendar: Calendar) -> int:
    return calendar.day_start(calendar.data.first_day)


def instants(calendar: Calendar, days: int = 60) -> st.SearchStrategy[int]:
    """Instants from the calendar's first day on, most of them on a round minute where things happen."""
    exact = st.integers(0, days * DAY)
    quarters = st.integers(0, days * 96).map(lambda quarter: quarter * 15 * MINUTE)
    return st.one_of(exact, quarters).map(lambda after: first_ms(calendar) + after)


def limits(calendar: Calendar, kind: Kind) -> st.SearchStrategy[Limit]:
    whole = st.integers(1, 30).map(lambda n: n * 1000)
    if kind is Kind.working_day and calendar.day_meaning is DayMeaning.end_of_day:
        return whole.map(lambda milli: Limit(kind, milli))
    return (whole | st.integers(1, 30_000)).map(lambda milli: Limit(kind, milli))


@given(st.data(), calendars, kinds)
def test_every_hand_is_monotone_both_ways(data: st.DataObject, calendar: Calendar, kind: Kind) -> None:
    timescale = calendar.timescale(kind)
    early, late = sorted(data.draw(st.tuples(instants(calendar), instants(calendar))))
    assert timescale.measure(early) <= timescale.measure(late)
    assert timescale.reach(timescale.measure(early)) <= timescale.reach(timescale.measure(late))
    low, high = timescale.measure(early), timescale.measure(late)
    value = data.draw(st.integers(low, high))
    assert timescale.reach(low) <= timescale.reach(value) <= timescale.reach(high)


@given(st.data(), calendars, st.sampled_from([Kind.urgent_hour, Kind.working_hour, Kind.calendar_day]))
def test_reach_is_the_earliest_instant_of_a_value(data: st.DataObject, calendar: Calendar, kind: Kind) -> None:
    timescale = calendar.timescale(kind)
    start = data.draw(instants(calendar))
    value = timescale.measure(start) + data.draw(st.integers(1, 20 * DAY))
    reached = timescale.reach(value)
    assert timescale.measure(reached) >= value > timescale.measure(reached - 1)


@given(st.data(), calendar_data())
def test_same_time_reaches_the_first_working_instant_of_a_value(data: st.DataObject, drawn: CalendarData) -> None:
    calendar = Calendar(msgspec.structs.replace(drawn, day_meaning=DayMeaning.same_time))
    timescale = calendar.timescale(Kind.working_day)
    value = timescale.measure(data.draw(instants(calendar))) + data.draw(st.integers(1, 20 * DAY))
    reached = timescale.reach(value)
    assert calendar.is_working(reached) and timescale.measure(reached) >= value
    before = [w for w in _windows_until(calendar, reached) if w.opens_ms < reached]
    if before:
        assert timescale.measure(min(reached, before[-1].closes_ms) - 1) < value


def _windows_until(calendar: Calendar, end: int) -> list[Window]:
    found: list[Window] = []
    for window in calendar.windows_from(first_ms(calendar)):
        if window.opens_ms >= end:
            return found
        found.append(window)
    return found


@given(st.data(), calendar_data())
def test_days_that_end_at_closing_time_end_at_a_closing_time(data: st.DataObject, drawn: CalendarData) -> None:
    calendar = Calendar(msgspec.structs.replace(drawn, day_meaning=DayMeaning.end_of_day))
    limit = Limit(Kind.working_day, data.draw(st.integers(1, 9)) * 1000)
    due = calendar.deadline(data.draw(instants(calendar)), limit)
    window, following = (w for w, _ in zip(calendar.windows_from(due - 1), range(2), strict=False))
    assert window.closes_ms == due and following.day > window.day


@given(st.data(), calendars, kinds)
def test_a_deadline_lies_ahead_and_grows_with_start_and_amount(
    data: st.DataObject, calendar: Calendar, kind: Kind
) -> None:
    early, late = sorted(data.draw(st.tuples(instants(calendar), instants(calendar))))
    small, large = sorted(data.draw(st.tuples(limits(calendar, kind), limits(calendar, kind))))
    # In an hour that comes twice the wall shows an earlier time again: whoever starts then is due earlier by as much.
    twice = calendar.budget(large) - calendar.budget_from(late, large)
    assert early < calendar.deadline(early, small) <= calendar.deadline(late, small) + twice
    assert calendar.deadline(early, small) <= calendar.deadline(early, large)
    due = calendar.deadline(early, small)
    assert calendar.left_at(due, early, calendar.budget_from(early, small), kind) <= 0
    assert calendar.left_at(due - 1, early, calendar.budget_from(early, small), kind) >= 0


@given(st.data(), calendars, kinds)
def test_a_warning_lies_before_its_deadline_and_leads_back_to_it(
    data: st.DataObject, calendar: Calendar, kind: Kind
) -> None:
    start = data.draw(instants(calendar))
    limit, ahead = data.draw(limits(calendar, kind)), data.draw(limits(calendar, kind))
    due = calendar.deadline(start, Limit(kind, limit.milli + ahead.milli))
    warned = calendar.offset_before(due, ahead)
    assert warned < due
    if kind in (Kind.urgent_hour, Kind.working_hour):
        assert warned == calendar.deadline(start, limit)
        assert calendar.offset_after(warned, ahead) == due


@given(st.data(), calendars, kinds)
def test_pausing_keeps_the_budget(data: st.DataObject, calendar: Calendar, kind: Kind) -> None:
    start = data.draw(instants(calendar))
    limit = data.draw(limits(calendar, kind))
    left, used, at = calendar.budget_from(start, limit), 0, start
    for run, pause in data.draw(st.lists(pauses_after_runs, max_size=4)):
        if at + run >= calendar.due_after(at, left, kind):
            break
        rest = calendar.left_at(at + run, at, left, kind)
        used, left, at = used + left - rest, rest, at + run + pause
    due = calendar.due_after(at, left, kind)
    assert left >= 0 and used + left == calendar.budget_from(start, limit)
    assert due >= at
    assert due >= calendar.deadline(start, limit)


@given(st.data(), calendars, st.sampled_from([Kind.working_hour, Kind.working_day]))
def test_a_pause_outside_working_windows_changes_nothing(data: st.DataObject, calendar: Calendar, kind: Kind) -> None:
    start = data.draw(instants(calendar, 14))
    limit = data.draw(limits(calendar, kind))
    due = calendar.deadline(start, limit)
    closed = [
        (before.closes_ms, after.opens_ms)
        for before, after in pairwise(_windows_until(calendar, due))
        # A day that ends at closing time begins at midnight, so only pauses within one night or noon qualify.
        if start <= before.closes_ms < after.opens_ms
    ]
    assume(closed)
    begin, end = data.draw(st.sampled_from(closed))
    paused, resumed = sorted(data.draw(st.tuples(st.integers(begin, end), st.integers(begin, end))))
    if kind is Kind.working_day and calendar.day_meaning is DayMeaning.end_of_day:
        resumed = min(resumed, calendar.day_start(calendar.local_day(paused)) + 23 * HOUR)
        resumed = max(paused, resumed)
    left = calendar.left_at(paused, start, calendar.budget(limit), kind)
    assert calendar.due_after(resumed, left, kind) == due


@given(st.data(), calendar_data(), kinds)
def test_beyond_its_arrays_a_calendar_repeats_its_week(data: st.DataObject, drawn: CalendarData, kind: Kind) -> None:
    short = Calendar(drawn)
    long = Calendar(msgspec.structs.replace(drawn, last_day=drawn.last_day + 50000))
    start = data.draw(instants(short, 4 * 365))
    limit = Limit(kind, data.draw(st.integers(1, 400)) * 1000)
    due = short.deadline(start, limit)
    assert due == long.deadline(start, limit)
    assert short.elapsed(start, due, kind) == long.elapsed(start, due, kind)
    assert short.is_working(due) == long.is_working(due)
    seen = [w for w, _ in zip(short.windows_from(start), range(30), strict=False)]
    assert seen == [w for w, _ in zip(long.windows_from(start), range(30), strict=False)]


# Explanations.


@st.composite
def explained(draw: st.DrawFn) -> tuple[Calendar, Explanation]:
    calendar, kind = draw(calendars), draw(kinds)
    start = draw(instants(calendar, 30))
    runs = draw(st.lists(pauses_after_runs, max_size=4))
    pauses, at = [], start
    for run, pause in runs:
        pauses.append((at + run, at + run + pause))
        at += run + pause
    return calendar, explain(calendar, start, draw(limits(calendar, kind)), pauses)


@given(explained())
def test_the_spans_add_up_to_the_limit_and_follow_on_each_other(case: tuple[Calendar, Explanation]) -> None:
    calendar, explanation = case
    spans = explanation.spans
    assert sum(span.counted for span in spans) == explanation.budget
    assert all(span.counted >= 0 for span in spans)
    assert spans[0].from_ms == explanation.start_ms and spans[-1].to_ms == explanation.due_ms
    assert all(before.to_ms == after.from_ms for before, after in pairwise(spans))
    assert msgspec.json.decode(msgspec.json.encode(explanation), type=Explanation) == explanation
    for lang in ("zh", "en"):
        assert calendar.code in render(explanation, lang)


@given(explained())
def test_spans_of_working_hours_count_what_they_last_and_gaps_count_nothing(
    case: tuple[Calendar, Explanation],
) -> None:
    calendar, explanation = case
    stopped = (PieceReason.paused, PieceReason.clock_back)
    for span in explanation.spans:
        if span.why in (PieceReason.working, PieceReason.extra_day, PieceReason.special_hours):
            assert calendar.is_working(span.from_ms) and calendar.is_working(span.to_ms - 1)
            if explanation.kind is Kind.working_hour:
                assert span.counted == span.to_ms - span.from_ms
        elif span.why in (PieceReason.day_begun, PieceReason.clock_forward):
            assert span.from_ms == span.to_ms and span.counted
        elif span.why not in (PieceReason.days, PieceReason.running):
            assert span.counted == 0 and (span.why in stopped or not calendar.is_working(span.from_ms))


# The reference.


@cache
def walls(name: str, first_day: int, days: int) -> tuple[int, list[datetime]]:
    """What the wall shows in each minute from a local midnight on, and the UTC second of that midnight.

    When the clocks go back, it holds where it had got to.
    """
    zone = ZoneInfo(name)
    begin = int(datetime.strptime(str(first_day), "%Y%m%d").replace(tzinfo=zone).timestamp())
    wall, held = [], datetime.min
    for minute in range(days * 1440):
        shown = datetime.fromtimestamp(begin + minute * 60, UTC).astimezone(zone).replace(tzinfo=None)
        wall.append(max(held, shown))
        held = max(held, shown + timedelta(minutes=1))
    return begin, wall


class Minutes:
    """A calendar minute by minute, from the time zone database and the windows as they are written."""

    def __init__(self, data: CalendarData, days: int) -> None:
        self.begin, self.wall = walls(data.zone, data.first_day, days)
        rules = {rule.day: rule.windows for rule in data.days}
        hours = {
            day: {m for a, b in rules.get(number(day), data.weekly[day.weekday()]) for m in range(a, b)}
            for day in sorted({shown.date() for shown in self.wall})
        }
        self.works = [w.hour * 60 + w.minute in hours[w.date()] for w in self.wall]
        self.worked_dates = sorted({w.date() for w, on in zip(self.wall, self.works, strict=True) if on})

    def minute(self, t_ms: int) -> int:
        return (t_ms // 1000 - self.begin) // 60

    def instant(self, minute: int) -> int:
        return (self.begin + minute * 60) * 1000

    def first(self, minute: int, wanted) -> int:
        """The first minute from one on for which something holds."""
        while not wanted(minute):
            minute += 1
        return minute

    def working_minutes_on(self, minute: int, amount: int) -> int:
        while amount:
            amount -= self.works[minute]
            minute += 1
        return minute

    def same_time(self, minute: int, days: int) -> int:
        start = self.wall[self.first(minute, lambda m: self.works[m])]
        day = self.worked_dates[self.worked_dates.index(start.date()) + days]
        wanted = datetime.combine(day, start.time())
        return self.first(minute, lambda m: self.wall[m] >= wanted and self.works[m])

    def end_of_day(self, minute: int, days: int) -> int:
        today = self.wall[minute].date()
        day = [d for d in self.worked_dates if d > today][days - 1]
        return max(m for m, wall in enumerate(self.wall) if self.works[m] and wall.date() == day) + 1

    def calendar_days(self, minute: int, days: int) -> int:
        wanted = self.wall[minute] + timedelta(days)
        return self.first(minute, lambda m: self.wall[m] >= wanted)


@settings(max_examples=examples(60))
@given(st.data(), calendar_data())
def test_a_reference_that_counts_every_minute_agrees(data: st.DataObject, drawn: CalendarData) -> None:
    reference = Minutes(drawn, 60)
    start_minute = data.draw(st.integers(0, 20 * 1440))
    start = reference.instant(start_minute)
    hours, days = data.draw(st.integers(1, 10)), data.draw(st.integers(1, 4))

    def due(meaning: DayMeaning, kind: Kind, amount: int) -> int:
        calendar = Calendar(msgspec.structs.replace(drawn, day_meaning=meaning))
        return reference.minute(calendar.deadline(start, Limit(kind, amount * 1000)))

    # The reference sees sixty days; what may end beyond them is left to the other examples.
    same, end, by_hours = DayMeaning.same_time, DayMeaning.end_of_day, DayMeaning.hours
    if sum(reference.works[20 * 1440 :]) > hours * 60:
        assert due(same, Kind.working_hour, hours) == reference.working_minutes_on(start_minute, hours * 60)
    if sum(reference.works[20 * 1440 :]) > days * drawn.daily_minutes:
        expected = reference.working_minutes_on(start_minute, days * drawn.daily_minutes)
        assert due(by_hours, Kind.working_day, days) == expected
    if len([d for d in reference.worked_dates if d > reference.wall[start_minute].date()]) > days + 5:
        assert due(same, Kind.working_day, days) == reference.same_time(start_minute, days)
        assert due(end, Kind.working_day, days) == reference.end_of_day(start_minute, days)
    assert due(same, Kind.calendar_day, days) == reference.calendar_days(start_minute, days)


@settings(max_examples=examples(30))
@given(st.data(), calendar_data())
def test_the_reference_agrees_on_working_time_with_pauses(data: st.DataObject, drawn: CalendarData) -> None:
    reference = Minutes(drawn, 60)
    minute = start = data.draw(st.integers(0, 10 * 1440))
    hours = data.draw(st.integers(1, 10))
    spans = data.draw(st.lists(st.tuples(st.integers(0, 1440), st.integers(0, 1440)), max_size=3))
    assume(sum(reference.works[20 * 1440 :]) > hours * 60)
    pauses = []
    for run, pause in spans:
        pauses.append((minute + run, minute + run + pause))
        minute += run + pause
    paused = {m for begin, end in pauses for m in range(begin, end)}
    minute, amount = start, hours * 60
    while amount:
        amount -= reference.works[minute] and minute not in paused
        minute += 1
    explanation = explain(
        Calendar(drawn),
        reference.instant(start),
        Limit(Kind.working_hour, hours * 1000),
        [(reference.instant(begin), reference.instant(end)) for begin, end in pauses],
    )
    assert reference.minute(explanation.due_ms) == minute

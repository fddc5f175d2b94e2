"""Deadlines on real calendars: China's 2026 with its working weekends, Boston's 2015 with its summer time."""

from __future__ import annotations

import msgspec
import pytest

from tests.support.builders import changed, weiyang
from tests.support.calendar_samples import (
    ALL_DAY,
    NEW_YORK,
    OFFICE,
    SHANGHAI,
    at,
    boston,
    boston_data,
    china,
    china_data,
    with_days,
)
from workflows.clocks.calendar import Calendar, CalendarData, DayRule, laid_out
from workflows.clocks.explain import explain
from workflows.clocks.limits import DayMeaning, Kind, parse_limit
from workflows.clocks.timescales import CalendarError
from workflows.policy.holidays_and_zones import expand_zone, national_days

HOUR = 3_600_000
DAY = 24 * HOUR


def due(calendar: Calendar, start: str, limit: str) -> str:
    """The deadline as local time without offset."""
    zone = NEW_YORK if calendar.data.zone == "America/New_York" else SHANGHAI
    return calendar.local(calendar.deadline(at(start, zone), parse_limit(limit)))[:-9]


GOLDEN = [
    ("2026-02-14T17:00", "4工作时", "2026-02-24T11:00"),  # a working Saturday, then nine days of 春节
    ("2026-09-30T16:30", "4工作时", "2026-10-08T10:30"),  # 国庆节
    ("2026-09-19T10:00", "4工作时", "2026-09-20T12:00"),  # from a Saturday into a working Sunday
    ("2026-05-08T17:00", "16工作时", "2026-05-11T17:00"),  # Saturday 9 May counts
    ("2026-04-03T13:00", "2工作时", "2026-04-03T16:00"),  # begins at lunch
    ("2026-01-02T10:00", "8工作时", "2026-01-04T18:00"),  # from a holiday to a working Sunday's end
    ("2026-02-15T23:30", "2紧急工作时", "2026-02-16T01:30"),  # urgent hours know neither night nor holiday
]


@pytest.mark.parametrize(("start", "limit", "expected"), GOLDEN)
def test_working_time_in_china_2026(start: str, limit: str, expected: str) -> None:
    assert due(china(), start, limit) == expected


def test_the_year_2026_has_248_working_days_in_china() -> None:
    timescale = china(DayMeaning.end_of_day).timescale(Kind.working_day)
    assert timescale.measure(at("2026-12-31T23:59")) - timescale.measure(at("2026-01-01T00:00")) == 248 * DAY


WORKING_HOURS = [
    ("2026-03-02T08:00", "4工作时", "2026-03-02T12:00"),  # ends at closing time, not at the next opening
    ("2026-03-02T14:00", "4工作时", "2026-03-02T18:00"),
    ("2026-03-02T11:00", "2工作时", "2026-03-02T15:00"),  # over lunch
    ("2026-03-02T12:00", "1工作时", "2026-03-02T15:00"),  # the closing instant is outside
    ("2026-03-02T05:00", "0.5工作时", "2026-03-02T08:30"),  # before opening
    ("2026-03-06T17:30", "1.5工作时", "2026-03-09T09:00"),  # over a weekend
    ("2026-02-27T17:00", "9工作时", "2026-02-28T18:00"),  # Saturday 28 February is worked
]


@pytest.mark.parametrize(("start", "limit", "expected"), WORKING_HOURS)
def test_working_hours_run_only_inside_windows(start: str, limit: str, expected: str) -> None:
    assert due(china(), start, limit) == expected


CITY = [
    ("2015-04-13T10:15", "1wd", "2015-04-14T10:15"),  # the same time of day
    ("2015-04-14T08:30", "1wd", "2015-04-15T08:30"),  # never closing time of the same day
    ("2015-04-24T17:00", "1wd", "2015-04-28T08:30"),  # 17:00 is outside already: counted from Monday 08:30
    ("2015-04-17T17:00", "1wd", "2015-04-22T08:30"),  # the same over Patriots' Day, Monday 20 April
    ("2015-04-17T16:59", "1wd", "2015-04-21T16:59"),  # inside, over Patriots' Day
    ("2015-05-22T10:00", "3wd", "2015-05-28T10:00"),  # Memorial Day, Monday 25 May
    ("2015-04-18T12:00", "10wd", "2015-05-05T08:30"),  # Saturday before Patriots' Day: from Tuesday's opening
    ("2015-07-02T09:00", "1wd", "2015-07-03T09:00"),  # 4 July is a Saturday, and the 3rd is worked
    ("2015-04-13T03:00", "1wd", "2015-04-14T08:30"),  # at night
    ("2015-03-06T10:00", "1wd", "2015-03-09T10:00"),  # over the change to summer time
    ("2015-03-07T10:00", "1cd", "2015-03-08T10:00"),  # 23 hours later, the same time of day
    ("2015-03-07T02:30", "1cd", "2015-03-08T03:00"),  # an hour that is skipped: the instant of the jump
    ("2015-10-31T10:00", "1cd", "2015-11-01T10:00"),  # 25 hours later
    ("2015-10-31T01:30", "1cd", "2015-11-01T01:30"),  # an hour that comes twice: the first one
    ("2015-05-01T11:11", "120cd", "2015-08-29T11:11"),
    ("2015-05-01T11:11", "365cd", "2016-04-30T11:11"),  # over 29 February 2016
]


@pytest.mark.parametrize(("start", "limit", "expected"), CITY)
def test_the_city_of_boston_sets_deadlines_like_this(start: str, limit: str, expected: str) -> None:
    assert due(boston(), start, limit) == expected


def test_the_clock_stands_still_in_the_hour_that_comes_twice() -> None:
    first, again = at("2015-11-01T01:30-04:00"), at("2015-11-01T01:30-05:00")
    timescale = boston().timescale(Kind.calendar_day)
    assert timescale.measure(again) == timescale.measure(at("2015-11-01T02:00-05:00")) > timescale.measure(first)
    assert boston().deadline(first, parse_limit("1cd")) == boston().deadline(again, parse_limit("1cd"))
    assert boston().local(boston().deadline(again, parse_limit("1cd"))) == "2015-11-02T01:30:00-05:00"
    told = explain(boston(), again, parse_limit("1cd"))
    assert (told.budget, [span.counted for span in told.spans]) == (DAY, [DAY])
    assert boston().deadline(first, parse_limit("2uh")) == first + 2 * HOUR


MEANINGS = [
    # Friday morning, over a weekend.
    (DayMeaning.same_time, "2026-03-06T10:00", "1工作日", "2026-03-09T10:00"),
    (DayMeaning.end_of_day, "2026-03-06T10:00", "1工作日", "2026-03-09T18:00"),
    (DayMeaning.hours, "2026-03-06T10:00", "1工作日", "2026-03-09T10:00"),
    # At opening: a day of hours ends the same day.
    (DayMeaning.same_time, "2026-03-05T08:00", "1工作日", "2026-03-06T08:00"),
    (DayMeaning.end_of_day, "2026-03-05T08:00", "1工作日", "2026-03-06T18:00"),
    (DayMeaning.hours, "2026-03-05T08:00", "1工作日", "2026-03-05T18:00"),
    # After closing: the day of the report is over for one, and is not counted for the other.
    (DayMeaning.same_time, "2026-03-05T19:00", "1工作日", "2026-03-09T08:00"),
    (DayMeaning.end_of_day, "2026-03-05T19:00", "1工作日", "2026-03-06T18:00"),
    (DayMeaning.hours, "2026-03-05T19:00", "1工作日", "2026-03-06T18:00"),
    # From a day off.
    (DayMeaning.same_time, "2026-03-07T10:00", "2工作日", "2026-03-11T08:00"),
    (DayMeaning.end_of_day, "2026-03-07T10:00", "2工作日", "2026-03-10T18:00"),
    (DayMeaning.hours, "2026-03-07T10:00", "2工作日", "2026-03-10T18:00"),
    # Over 春节 with its two working Saturdays.
    (DayMeaning.same_time, "2026-02-13T15:00", "7工作日", "2026-03-02T15:00"),
    (DayMeaning.end_of_day, "2026-02-13T15:00", "7工作日", "2026-03-02T18:00"),
    (DayMeaning.hours, "2026-02-13T15:00", "7工作日", "2026-03-02T15:00"),
    # Half a day.
    (DayMeaning.same_time, "2026-03-05T10:00", "0.5工作日", "2026-03-05T16:00"),
    (DayMeaning.hours, "2026-03-05T10:00", "0.5工作日", "2026-03-05T16:00"),
]


@pytest.mark.parametrize(("meaning", "start", "limit", "expected"), MEANINGS)
def test_what_n_working_days_mean_is_calendar_data(meaning: DayMeaning, start: str, limit: str, expected: str) -> None:
    assert due(china(meaning), start, limit) == expected


def test_a_deadline_on_a_short_day_is_at_the_next_opening() -> None:
    eve = with_days(china_data(), DayRule(20260306, ((480, 720),), "半天"))
    assert due(eve, "2026-03-05T11:00", "1工作日") == "2026-03-06T11:00"
    assert due(eve, "2026-03-05T15:00", "1工作日") == "2026-03-09T08:00"


def test_service_on_seven_days_and_at_all_hours_needs_no_weekend() -> None:
    plain = msgspec.structs.replace(china_data(), days=())
    seven_days = Calendar(msgspec.structs.replace(plain, weekly=(OFFICE,) * 7))
    assert due(seven_days, "2026-03-06T17:00", "2工作时") == "2026-03-07T09:00"
    assert due(seven_days, "2026-03-06T17:00", "2工作日") == "2026-03-08T17:00"
    all_hours = Calendar(msgspec.structs.replace(plain, weekly=(ALL_DAY,) * 7))
    assert due(all_hours, "2026-03-06T17:00", "10工作时") == "2026-03-07T03:00"
    assert due(all_hours, "2026-03-06T23:59", "1工作日") == "2026-03-07T23:59"


def test_a_window_over_midnight_is_written_as_two() -> None:
    night = Calendar(msgspec.structs.replace(china_data(), days=(), weekly=(((0, 360), (1320, 1440)),) * 7))
    assert due(night, "2026-03-06T23:00", "2工作时") == "2026-03-07T01:00"


def test_a_leap_day_is_a_day() -> None:
    leap = Calendar(msgspec.structs.replace(china_data(), first_day=20240101, days=()))
    assert due(leap, "2024-02-28T10:00", "1工作日") == "2024-02-29T10:00"
    assert due(leap, "2024-02-28T10:00", "2自然日") == "2024-03-01T10:00"


def test_warnings_before_and_after_a_deadline_fall_into_working_time() -> None:
    calendar = china()
    monday = at("2026-03-09T08:30")
    assert calendar.offset_before(monday, parse_limit("1工作时")) == at("2026-03-06T17:30")
    assert calendar.offset_before(monday, parse_limit("1工作日")) == at("2026-03-06T08:30")
    assert calendar.offset_before(monday, parse_limit("1紧急工作时")) == at("2026-03-09T07:30")
    assert calendar.offset_before(monday, parse_limit("1自然日")) == at("2026-03-08T08:30")
    assert calendar.offset_after(at("2026-03-06T18:00"), parse_limit("1工作时")) == at("2026-03-09T09:00")


def test_a_warning_is_never_late_where_the_deadline_was_put_off_to_an_opening() -> None:
    eve = with_days(china_data(), DayRule(20260306, ((480, 720),), "半天"))
    monday = eve.deadline(at("2026-03-05T15:00"), parse_limit("1工作日"))
    assert eve.local(monday) == "2026-03-09T08:00:00+08:00"
    assert eve.local(eve.offset_before(monday, parse_limit("0.125工作日"))) == "2026-03-06T11:00:00+08:00"
    jump = at("2015-03-08T07:00Z")
    assert boston().offset_before(jump, parse_limit("0.01cd")) == jump - DAY // 100


def test_a_warning_a_day_before_a_day_that_closes_at_midnight_is_the_midnight_before() -> None:
    always = msgspec.structs.replace(china_data(), days=(), weekly=(ALL_DAY,) * 7)
    data = msgspec.structs.replace(always, day_meaning=DayMeaning.end_of_day)
    friday = at("2026-03-06T00:00")
    assert Calendar(data).deadline(at("2026-03-04T15:00"), parse_limit("1工作日")) == friday
    assert Calendar(data).offset_before(friday, parse_limit("1工作日")) == at("2026-03-05T00:00")
    assert Calendar(data).offset_before(friday, parse_limit("2工作日")) == at("2026-03-04T00:00")


def test_a_warning_from_before_the_calendar_begins_is_at_its_beginning() -> None:
    due_ms = at("2026-01-05T10:00")
    for limit in ("30工作时", "30工作日", "30自然日"):
        assert china().offset_before(due_ms, parse_limit(limit)) <= at("2026-01-04T08:00")
    assert china().offset_before(due_ms, parse_limit("30自然日")) == at("2026-01-01T00:00")


def test_a_pause_of_an_hour_costs_an_hour_also_where_days_are_counted() -> None:
    calendar, kind = china(), Kind.working_day
    start, paused, resumed = at("2026-03-05T10:00"), at("2026-03-05T17:00"), at("2026-03-06T08:30")
    assert calendar.due_after(start, DAY, kind) == at("2026-03-06T10:00")
    left = calendar.left_at(paused, start, DAY, kind)
    # An hour of Thursday and half an hour of Friday were paused; the night between them costs nothing.
    assert calendar.due_after(resumed, left, kind) == at("2026-03-06T11:30")


def test_a_day_that_ends_at_closing_time_is_not_lost_when_its_last_hours_were_paused() -> None:
    calendar, kind = china(DayMeaning.end_of_day), Kind.working_day
    start, paused = at("2026-03-05T10:00"), at("2026-03-06T10:00")
    assert calendar.deadline(start, parse_limit("1工作日")) == at("2026-03-06T18:00")
    left = calendar.left_at(paused, start, DAY, kind)
    assert left == 0
    assert calendar.due_after(at("2026-03-06T15:00"), left, kind) == at("2026-03-06T18:00")
    assert calendar.due_after(at("2026-03-07T15:00"), left, kind) == at("2026-03-09T18:00")
    assert calendar.due_after(at("2026-03-09T11:00"), left, kind) == at("2026-03-09T18:00")


def test_who_pauses_in_the_night_before_a_deadline_that_was_put_off_has_not_overrun() -> None:
    eve = with_days(china_data(), DayRule(20260306, ((480, 720),), "半天"))
    start, paused, kind = at("2026-03-05T15:00"), at("2026-03-08T20:00"), Kind.working_day
    assert eve.due_after(start, DAY, kind) == at("2026-03-09T08:00")
    left = eve.left_at(paused, start, DAY, kind)
    assert left == 0
    assert eve.due_after(at("2026-03-10T10:00"), left, kind) == at("2026-03-10T10:00")


def test_an_overdue_clock_that_is_paused_and_resumed_stays_overdue() -> None:
    calendar, kind = china(), Kind.working_hour
    start, paused, resumed = at("2026-03-05T08:00"), at("2026-03-05T11:00"), at("2026-03-06T10:00")
    left = calendar.left_at(paused, start, 2 * HOUR, kind)
    assert left == -HOUR
    assert calendar.due_after(resumed, left, kind) == at("2026-03-06T09:00")


def test_elapsed_and_remaining_are_readings_of_the_same_hand() -> None:
    calendar = china()
    friday, monday = at("2026-03-06T17:00"), at("2026-03-09T09:00")
    assert calendar.elapsed(friday, monday, Kind.working_hour) == 2 * HOUR
    assert calendar.elapsed(friday, monday, Kind.urgent_hour) == 64 * HOUR
    assert calendar.elapsed(friday, monday, Kind.working_day) == DAY // 4  # two hours of eight
    assert calendar.remaining(monday, friday, Kind.working_hour) == -2 * HOUR


def test_a_deadline_after_the_last_known_holiday_is_provisional() -> None:
    calendar = china()
    late = calendar.deadline(at("2026-12-30T10:00"), parse_limit("7工作日"))
    assert calendar.local(late) == "2027-01-08T10:00:00+08:00"  # the weekly pattern goes on
    assert calendar.provisional(late) and calendar.provisional(late, Kind.working_day)
    assert not calendar.provisional(late, Kind.urgent_hour)
    assert not calendar.provisional(late, Kind.calendar_day)
    assert calendar.local(calendar.horizon_ms) == "2027-01-01T00:00:00+08:00"
    assert not calendar.provisional(calendar.horizon_ms)


def test_the_weekly_pattern_goes_on_for_decades() -> None:
    assert due(china(), "2096-03-02T10:00", "5工作日") == "2096-03-09T10:00"
    assert due(china(), "2026-01-05T10:00", "10000工作日") == due(china(), "2026-01-06T10:00", "9999工作日")


@pytest.mark.parametrize("kind", [Kind.working_hour, Kind.working_day, Kind.calendar_day])
@pytest.mark.parametrize("meaning", list(DayMeaning))
def test_before_its_first_day_a_calendar_refuses_and_says_which_year_it_needs(kind: Kind, meaning: DayMeaning) -> None:
    calendar = china(meaning)
    first = at("2026-01-01T00:00")
    assert calendar.timescale(kind).measure(first) <= calendar.timescale(kind).measure(first + DAY)
    for refused in (
        lambda: calendar.timescale(kind).measure(first - 1),
        lambda: calendar.timescale(kind).reach(calendar.timescale(kind).measure(first) - 1),
        lambda: calendar.is_working(first - 1),
    ):
        with pytest.raises(CalendarError, match=r"begins in 2026.*earlier year"):
            refused()
    assert calendar.deadline(first - HOUR, parse_limit("1紧急工作时")) == first


def test_local_time_is_written_with_its_offset_and_milliseconds_only_if_there_are_any() -> None:
    assert china().local(at("2026-02-24T11:00")) == "2026-02-24T11:00:00+08:00"
    assert china().local(at("2026-02-24T11:00") + 7) == "2026-02-24T11:00:00.007+08:00"
    assert boston().local(at("2015-03-08T06:59:59Z")) == "2015-03-08T01:59:59-05:00"
    assert boston().local(at("2015-03-08T07:00:00Z")) == "2015-03-08T03:00:00-04:00"
    assert china().local_day(at("2026-12-31T15:59Z")) == 20261231
    assert china().local_day(at("2026-12-31T16:00Z")) == 20270101
    assert china().day_start(20270101) == at("2027-01-01T00:00")


def test_is_working_knows_lunch_and_working_weekends_and_closing_is_outside() -> None:
    worked = ["2026-03-02T08:00", "2026-03-02T11:59", "2026-02-14T09:00", "2026-09-20T14:00"]
    closed = ["2026-03-02T12:00", "2026-03-02T13:59", "2026-02-16T09:00", "2026-03-07T09:00"]
    worked, closed = [*worked, "2097-03-04T09:00"], [*closed, "2097-03-04T18:00"]
    assert all(china().is_working(at(text)) for text in worked)
    assert not any(china().is_working(at(text)) for text in closed)


def broken(**changes: object) -> CalendarData:
    return msgspec.structs.replace(boston_data(), **changes)


BROKEN = [
    (broken(weekly=(OFFICE,) * 6), "seven"),
    (broken(weekly=((),) * 7), "no weekday has a working window"),
    (broken(weekly=(((600, 500),),) + ((),) * 6), "weekday 1"),
    (broken(weekly=(((0, 700), (600, 800)),) + ((),) * 6), "weekday 1"),
    (broken(weekly=(((0, 1441),),) + ((),) * 6), "1440"),
    (broken(days=(DayRule(20150230),)), "20150230 is no day"),
    (broken(days=(DayRule(20150202), DayRule(20150202))), "two rules for the same day"),
    (broken(days=(DayRule(20150202, ((9, 9),)),)), "day 20150202"),
    (broken(offsets=((0, 0),)), "since ever"),
    (broken(offsets=()), "since ever"),
    (broken(offsets=((-(2**53), 0), (5, 60_000), (5, 0))), "ascending"),
    (broken(offsets=((-(2**53), 1),)), "whole minutes"),
    (broken(last_day=20141231), "exchange"),
    (broken(daily_minutes=0), "daily_minutes"),
]


@pytest.mark.parametrize(("data", "problem"), BROKEN)
def test_a_calendar_from_which_nothing_sound_follows_is_refused(data: CalendarData, problem: str) -> None:
    with pytest.raises(CalendarError, match=problem):
        Calendar(data)


def test_calendar_data_survives_json_unchanged() -> None:
    for data in (china_data(), boston_data()):
        assert msgspec.json.decode(msgspec.json.encode(data), type=CalendarData) == data


# What the compiler takes from the time zone database and the holiday library.

OFF_2026 = [(101, 103), (215, 223), (404, 406), (501, 505), (619, 621), (925, 927), (1001, 1007)]
WORKED_2026 = [104, 214, 228, 509, 920, 1010]


def test_the_table_of_2026_is_the_published_one() -> None:
    national = national_days("CN", 2026, 2026, working=OFFICE)
    off = {rule.day - 20260000 for rule in national.days if not rule.windows}
    worked = [rule.day - 20260000 for rule in national.days if rule.windows]
    # Each holiday lies within one month, so counting up the numbers counts up the days.
    assert off == {day for first, last in OFF_2026 for day in range(first, last + 1)}
    assert worked == WORKED_2026
    notes = {rule.day: rule.note for rule in national.days}
    assert notes[20260214] == "春节调休上班" and notes[20260920] == "国庆节调休上班"
    assert {notes[day] for day in range(20260215, 20260224)} == {"春节"}
    assert {notes[day] for day in range(20261001, 20261008)} == {"国庆节"}


def test_a_year_whose_table_is_not_published_is_not_guessed() -> None:
    assert national_days("CN", 2025, 2100, working=OFFICE).last_day < 21000101
    with pytest.raises(CalendarError, match="2099"):
        national_days("CN", 2099, 2100, working=OFFICE)


def test_a_january_holiday_may_be_paid_for_in_december() -> None:
    days = national_days("CN", 2006, 2006, working=OFFICE).days
    assert [rule.day for rule in days if rule.windows][-2:] == [20061230, 20061231]


def test_holidays_set_by_law_are_known_ahead_and_states_have_their_own() -> None:
    massachusetts = national_days("US", 2015, 2016, working=(), subdiv="MA")
    assert massachusetts.last_day == 20161231
    notes = {rule.day: rule.note for rule in massachusetts.days}
    assert notes[20150420] == "Patriots' Day" and notes[20150525] == "Memorial Day"
    assert 20150703 not in notes
    assert 20150420 not in {rule.day for rule in national_days("US", 2015, 2015, working=()).days}
    with pytest.raises(CalendarError, match="ISO 3166"):
        national_days("XX", 2026, 2026, working=())


def test_a_zone_is_expanded_to_the_instants_of_its_clock_changes() -> None:
    assert expand_zone("Asia/Shanghai", 2026, 2030) == ((-(2**53), 8 * HOUR),)
    assert expand_zone("America/New_York", 2015, 2015) == (
        (-(2**53), -5 * HOUR),
        (at("2015-03-08T07:00Z"), -4 * HOUR),
        (at("2015-11-01T06:00Z"), -5 * HOUR),
    )
    with pytest.raises(CalendarError, match="Asia/Shanghai"):
        expand_zone("Asia/Nowhere", 2026, 2026)


def test_packs_that_differ_in_other_things_have_one_calendar_and_another_day_makes_another() -> None:
    here, there = weiyang().calendars, changed(posts=weiyang().pack.posts[1:]).calendars
    assert [here[code] is there[code] for code in here] == [True] * len(here) != []
    data = china_data()
    assert laid_out(data) is laid_out(msgspec.structs.replace(data))
    off = DayRule(20260512)
    other = laid_out(msgspec.structs.replace(data, days=tuple(sorted((*data.days, off), key=lambda rule: rule.day))))
    ten = at("2026-05-12T02:00Z")
    assert (laid_out(data).is_working(ten), other.is_working(ten)) == (True, False)

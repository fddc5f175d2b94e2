"""Periods: where they begin and end on the clock of a place, and that they follow each other without a gap."""

from __future__ import annotations

from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from tests.support.builders import DAY, HOUR, at, weiyang
from tests.support.calendar_samples import china_data
from workflows.clocks.calendar import Calendar
from workflows.figures import PERIODS, to_day
from workflows.periods import (
    SPREAD_MS,
    Period,
    beginning,
    first_instant,
    following,
    holding,
    last_instant,
    next_period,
    spread_of,
)
from workflows.policy.holidays_and_zones import expand_zone

DAYS = st.dates(date(1999, 1, 1), date(2090, 12, 31)).map(to_day)
NAMES = st.sampled_from(PERIODS)
HERE = weiyang().clock_of_days


@pytest.mark.parametrize(
    ("name", "day", "first", "last"),
    [
        ("day", "03-02", "03-02 00:00", "03-02 23:59"),
        ("week", "03-04", "03-02 00:00", "03-08 23:59"),  # from Monday
        ("half_month", "03-15", "03-01 00:00", "03-15 23:59"),
        ("half_month", "03-16", "03-16 00:00", "03-31 23:59"),
        ("half_month", "02-20", "02-16 00:00", "02-28 23:59"),
        ("month", "02-10", "02-01 00:00", "02-28 23:59"),
        ("quarter", "05-31", "04-01 00:00", "06-30 23:59"),
        ("half", "06-30", "01-01 00:00", "06-30 23:59"),
        ("half", "07-01", "07-01 00:00", "12-31 23:59"),
        ("year", "07-01", "01-01 00:00", "12-31 23:59"),
    ],
)
def test_a_period_begins_with_its_first_local_day_and_is_due_in_the_last_millisecond(name, day, first, last):
    period = holding(name, HERE.local_day(at(f"{day} 12:00")))
    assert first_instant(period, HERE) == at(first)
    assert last_instant(period, HERE) == at(last) + 59_999


@given(DAYS, NAMES)
def test_periods_follow_each_other_to_the_millisecond(day, name):
    period = holding(name, day)
    then = following(period)
    assert period.first <= day <= period.last < then.first
    assert first_instant(then, HERE) == last_instant(period, HERE) + 1
    assert next_period(name, last_instant(period, HERE), HERE) == then
    assert next_period(name, first_instant(period, HERE) - 1, HERE) == period


@given(DAYS, NAMES, st.integers(-2, 2), st.integers(0, 1000 * DAY))
def test_those_that_begin_in_a_span_are_those_of_its_days(day, name, shift, length):
    after = HERE.day_start(day) + shift
    upto = after + length
    found = list(beginning(name, after, upto, HERE))
    days, number = [], HERE.local_day(after)
    while HERE.day_start(number) <= upto:
        if HERE.day_start(number) > after and holding(name, number).first == number:
            days.append(number)
        number = to_day(date(number // 10_000, number // 100 % 100, number % 100) + timedelta(days=1))
    assert [period.first for period in found] == days


def test_at_the_turn_of_a_year_all_but_the_week_may_begin():
    begun = {
        period.name: period.first
        for name in PERIODS
        for period in beginning(name, at("12-31 23:59") + 59_999, at("12-31 23:59") + 60_000, HERE)
    }
    assert set(begun) == set(PERIODS) - {"week"} and set(begun.values()) == {20270101}


def test_where_the_clocks_skip_midnight_the_day_begins_when_they_go_on():
    zone = "America/Santiago"
    santiago = Calendar(replace(china_data(), zone=zone, offsets=expand_zone(zone, 2026, 2030)))
    day = Period("day", 20260906, 20260906)  # from 24:00 to 01:00
    assert last_instant(day, santiago) - first_instant(day, santiago) == 23 * HOUR - 1
    assert santiago.local(first_instant(day, santiago)) == "2026-09-06T01:00:00-03:00"


@pytest.mark.parametrize(
    ("zone", "day", "hours", "begins"),
    [
        ("America/Santiago", 20260404, 25, "2026-04-04T00:00:00-03:00"),  # at 24:00 it is 23:00 again
        ("Asia/Beirut", 20261024, 25, "2026-10-24T00:00:00+03:00"),
        ("America/Havana", 20261101, 25, "2026-11-01T00:00:00-04:00"),  # at 01:00 it is 00:00 again
        ("America/Santiago", 20260405, 24, "2026-04-05T00:00:00-04:00"),
    ],
)
def test_where_the_clocks_are_put_back_at_midnight_the_day_before_goes_on_until_it_comes_again(
    zone, day, hours, begins
):
    here = Calendar(replace(china_data(), zone=zone, offsets=expand_zone(zone, 2026, 2030)))
    period = Period("day", day, day)
    first, last = first_instant(period, here), last_instant(period, here)
    assert (last + 1 - first, here.local(first)) == (hours * HOUR, begins)
    assert {here.local_day(instant) for instant in range(first, last, HOUR // 4)} == {day} == {here.local_day(last)}
    for instant in range(first - 2 * HOUR, last + 2 * HOUR, HOUR // 4):
        assert first_instant(next_period("day", instant, here), here) > instant


def test_what_comes_up_at_one_instant_is_spread_evenly_and_always_alike():
    delays = [spread_of(f"WY01.{number}") for number in range(30_000)]
    assert delays == [spread_of(f"WY01.{number}") for number in range(30_000)]
    assert min(delays) >= 0 and max(delays) < SPREAD_MS
    minutes = [sum(minute * 60_000 <= delay < (minute + 1) * 60_000 for delay in delays) for minute in range(5)]
    assert min(minutes) > 5_600 and max(minutes) < 6_400

"""Rates, periods of local days, and which facts restate a period."""

from __future__ import annotations

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workflows.figures import PERIODS, Rate, period_bounds, publication_day, rate, to_day


@pytest.mark.parametrize(
    ("day", "period", "first", "last"),
    [
        (20260302, "day", 20260302, 20260302),
        (20260301, "week", 20260223, 20260301),
        (20260302, "week", 20260302, 20260308),
        (20251231, "week", 20251229, 20260104),
        (20240215, "month", 20240201, 20240229),
        (20261231, "month", 20261201, 20261231),
        (20260531, "quarter", 20260401, 20260630),
        (20260701, "half", 20260701, 20261231),
        (20260701, "year", 20260101, 20261231),
    ],
)
def test_a_day_lies_in_its_period(day, period, first, last):
    assert period_bounds(day, period) == (first, last)


@given(st.dates(date(2000, 1, 1), date(2099, 12, 31)), st.sampled_from([n for n in PERIODS if n != "week"]))
def test_every_day_of_a_period_gives_the_same_period(day, period):
    first, last = period_bounds(to_day(day), period)
    assert first <= to_day(day) <= last
    assert period_bounds(first, period) == period_bounds(last, period) == (first, last)


@pytest.mark.parametrize(
    ("arrived", "late"),
    [
        (20260331, False),
        (20260403, False),  # the last day of grace
        (20260404, True),
    ],
)
def test_a_fact_restates_a_month_once_its_days_of_grace_are_over(arrived, late):
    assert (arrived > publication_day(period_bounds(20260315, "month")[1], 3)) is late


def test_an_unknown_period_is_refused_with_those_that_exist():
    with pytest.raises(ValueError, match="no such period: choose one of day, week, month"):
        period_bounds(20260302, "decade")


def test_rates_are_rounded_half_up_in_basis_points():
    assert rate(2, 3) == Rate(2, 3, 6667)
    assert rate(1, 3) == Rate(1, 3, 3333)
    assert rate(1, 20_000) == Rate(1, 20_000, 1)
    assert rate(0, 0) == Rate(0, 0, None)

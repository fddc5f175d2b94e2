"""Rates, periods of local days, and which facts restate a period."""

from __future__ import annotations

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gridpatrol.render.figures import percent
from workflows.definitions import DEFINITIONS
from workflows.figures import PERIODS, Rate, derived, period_bounds, publication_day, rate, rates, to_day


@pytest.mark.mechanism("M90", "M114")
@pytest.mark.parametrize(
    ("day", "period", "first", "last"),
    [
        (20260302, "day", 20260302, 20260302),
        (20260301, "week", 20260223, 20260301),
        (20260302, "week", 20260302, 20260308),
        (20251231, "week", 20251229, 20260104),
        (20240215, "month", 20240201, 20240229),
        (20261231, "month", 20261201, 20261231),
        (20260215, "half_month", 20260201, 20260215),
        (20260216, "half_month", 20260216, 20260228),
        (20261231, "half_month", 20261216, 20261231),
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
    with pytest.raises(ValueError, match="no such period: choose one of day, week, half_month, month"):
        period_bounds(20260302, "decade")


def test_rates_are_rounded_half_up_in_basis_points():
    assert rate(2, 3) == Rate(2, 3, 6667)
    assert rate(1, 3) == Rate(1, 3, 3333)
    assert rate(1, 20_000) == Rate(1, 20_000, 1)
    assert rate(0, 0) == Rate(0, 0, None)


@pytest.mark.parametrize("name", sorted(DEFINITIONS))
@pytest.mark.parametrize("enough", [True, False])
def test_each_rate_of_each_kind_of_case_is_thin_by_its_own_denominator_and_by_no_other(name, enough):
    definition, own = DEFINITIONS[name], 10 if enough else 9
    denominators = {"close": "closable", "on_time": "closable", "rework": "verified"}
    for rate_name, measure in denominators.items():
        others = {other: 0 if enough else 99 for other in denominators.values() if other != measure}
        found = getattr(rates({measure: own} | others, 10), rate_name)
        assert (found.denominator, found.thin) == (own, not enough)
    for ratio in definition.ratios:
        [of] = ratio.denominator.plus
        counted = next((each.plus[0] for each in definition.sums if each.name == of), of)
        stored = {"closable": 0 if enough else 99} | {counted: own}
        _, ratios = derived(stored, definition.sums, definition.ratios, 10)
        assert (ratios[ratio.name].denominator, ratios[ratio.name].thin) == (own, not enough)


def test_a_table_puts_exactly_the_thin_rates_into_brackets():
    assert [percent(each) for each in (rate(9, 9, 10), rate(9, 10, 10), rate(0, 0, 10))] == ["(100.00%)", "90.00%", "-"]

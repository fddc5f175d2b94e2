"""Limits as people write them, read exactly."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.calendar_samples import boston, china
from workflows.clocks.limits import (
    ACCEPTED,
    MAX_MILLI,
    DayMeaning,
    Kind,
    Limit,
    LimitError,
    limit_text,
    parse_limit,
)

HOUR = 3_600_000
DAY = 24 * HOUR

READ = [
    ("4工作时", Kind.working_hour, 4000),
    ("4个工作时", Kind.working_hour, 4000),
    ("4 个 工作时", Kind.working_hour, 4000),
    ("4工作小时", Kind.working_hour, 4000),
    ("1.5工作时", Kind.working_hour, 1500),
    ("3紧急工作时", Kind.urgent_hour, 3000),
    ("7工作日", Kind.working_day, 7000),
    ("7个工作日", Kind.working_day, 7000),
    ("30自然日", Kind.calendar_day, 30000),
    ("30个自然天", Kind.calendar_day, 30000),
    ("2紧急工作日", Kind.calendar_day, 2000),  # one county's word, read there as natural days
    ("４工作时", Kind.working_hour, 4000),  # full-width digits
    ("１．５　工作时", Kind.working_hour, 1500),
    ("4 working hours", Kind.working_hour, 4000),
    ("1 working hour", Kind.working_hour, 1000),
    ("2 Urgent Hours", Kind.urgent_hour, 2000),
    ("10 working days", Kind.working_day, 10000),
    ("30 calendar days", Kind.calendar_day, 30000),
    ("10 working_day", Kind.working_day, 10000),  # the contract's own words
    ("0.001wh", Kind.working_hour, 1),
    ("4wh", Kind.working_hour, 4000),
    ("3uh", Kind.urgent_hour, 3000),
    ("10wd", Kind.working_day, 10000),
    ("30cd", Kind.calendar_day, 30000),
]


@pytest.mark.parametrize(("text", "kind", "milli"), READ)
def test_a_limit_is_read_as_people_write_it(text: str, kind: Kind, milli: int) -> None:
    assert parse_limit(text) == Limit(kind, milli)


UNCLEAR = ["4小时", "30日", "30天", "4 hours", "10 days", "4h", "3d", "4时", "2 business hours"]


@pytest.mark.parametrize("text", UNCLEAR)
def test_a_unit_that_does_not_say_which_clock_runs_is_refused_with_the_accepted_forms(text: str) -> None:
    with pytest.raises(LimitError) as refused:
        parse_limit(text)
    assert refused.value.text == text
    assert refused.value.remedy == ACCEPTED
    assert text in str(refused.value) and "工作时" in str(refused.value)


NO_AMOUNT = ["", "工作时", "四工作时", "-4工作时", "4", "4,5工作时", "0工作时", "0.0wh", "1.0001wh", "1e3wh"]


@pytest.mark.parametrize("text", [*NO_AMOUNT, "200000工作日"])
def test_what_is_no_positive_amount_of_at_most_three_decimals_is_refused(text: str) -> None:
    with pytest.raises(LimitError, match="limit"):
        parse_limit(text)


@pytest.mark.parametrize("milli", [0, -1, MAX_MILLI + 1])
def test_a_limit_cannot_be_built_outside_its_bounds_either(milli: int) -> None:
    with pytest.raises(LimitError):
        Limit(Kind.working_hour, milli)
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({"kind": "working_hour", "milli": milli}, Limit)


@given(st.builds(Limit, st.sampled_from(Kind), st.integers(1, MAX_MILLI)), st.sampled_from(["zh", "en"]))
def test_the_canonical_text_reads_back_as_the_same_limit(limit: Limit, lang: str) -> None:
    assert parse_limit(limit_text(limit, lang)) == limit
    assert msgspec.json.decode(msgspec.json.encode(limit), type=Limit) == limit


def test_the_canonical_text_is_what_offices_print() -> None:
    assert limit_text(Limit(Kind.working_hour, 1500), "zh") == "1.5工作时"
    assert limit_text(Limit(Kind.working_hour, 1500), "en") == "1.5 working hours"
    assert limit_text(Limit(Kind.calendar_day, 1000), "en") == "1 calendar day"
    assert limit_text(Limit(Kind.urgent_hour, 3000)) == "3紧急工作时"


def test_hours_are_worth_their_milliseconds_and_days_a_whole_day_each() -> None:
    assert china().budget(parse_limit("1.5工作时")) == 3 * HOUR // 2
    assert china().budget(parse_limit("3紧急工作时")) == 3 * HOUR
    assert china().budget(parse_limit("30自然日")) == 30 * DAY
    assert china().budget(parse_limit("7工作日")) == 7 * DAY
    assert china().budget(parse_limit("0.5工作日")) == DAY // 2


def test_where_working_days_mean_hours_a_day_is_worth_the_nominal_hours_of_the_calendar() -> None:
    assert china(DayMeaning.hours).budget(parse_limit("2工作日")) == 16 * HOUR
    assert boston(DayMeaning.hours).budget(parse_limit("2工作日")) == 17 * HOUR


def test_part_of_a_working_day_is_refused_where_days_end_at_closing_time() -> None:
    assert china(DayMeaning.end_of_day).budget(parse_limit("2工作日")) == 2 * DAY
    with pytest.raises(LimitError, match="whole") as refused:
        china(DayMeaning.end_of_day).budget(parse_limit("0.5工作日"))
    assert "工作时" in refused.value.remedy

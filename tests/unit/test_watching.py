"""Watching values: hold-down, debounce, steps, and that what is sent again says nothing twice."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workflows.policy.devices import SignalRule
from workflows.watching import Saying, Watched, fall_silent, follow, retire, speak_again, written

S = 1000
RULE = SignalRule(
    code="pm10",
    title_zh="",
    title_en="",
    test="above",
    category="D3-01",
    threshold="150",
    back_at="120",
    worse=("250", "420"),
    hold_down_ms=10 * S,
    debounce_ms=5 * S,
)
LOW = SignalRule(code="ph", title_zh="", title_en="", test="below", category="D2-14", threshold="6.5", worse=("6",))


def run(values: list[tuple[int, str]], rule: SignalRule = RULE) -> list[Saying]:
    """What is said of values at seconds."""
    watched: Watched | None = None
    said = list[Saying]()
    for second, value in values:
        watched, more = follow(rule, watched, second * S, Decimal(value))
        said += more
    return said


def told(said: list[Saying]) -> list[tuple[str, int, int]]:
    return [(each.what, each.at // S, each.since // S) for each in said]


@pytest.mark.mechanism("M73")
@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([(0, "151"), (9, "151")], []),  # not for long enough
        ([(0, "151"), (10, "151")], [("began", 10, 0)]),  # dated from the first instant on
        ([(0, "151"), (5, "150"), (10, "151"), (19, "151")], []),  # a spike down: at the threshold it is not passed
        ([(0, "151"), (10, "151"), (11, "119"), (15, "119")], [("began", 10, 0)]),  # back, and not for long enough
        ([(0, "151"), (10, "151"), (11, "119"), (16, "119")], [("began", 10, 0), ("ended", 11, 0)]),
        (
            [(0, "151"), (10, "151"), (11, "119"), (12, "130"), (16, "119")],
            [("began", 10, 0)],
        ),  # between the two it stays
        ([(0, "151"), (10, "151"), (20, "251"), (21, "200"), (22, "260")], [("began", 10, 0), ("worsened", 20, 0)]),
        ([(0, "151"), (10, "151"), (20, "421")], [("began", 10, 0), ("worsened", 20, 0)]),  # two steps at once
        ([(0, "151"), (3600, "151")], [("began", 3600, 0)]),  # between two values the earlier one holds
    ],
)
def test_what_is_said(values: list[tuple[int, str]], expected: list[tuple[str, int, int]]) -> None:
    assert told(run(values)) == expected


def test_severity_and_worst_go_with_it() -> None:
    said = run([(0, "300"), (10, "200"), (20, "500"), (30, "1"), (40, "1")])
    assert [(each.severity, each.value, each.worst) for each in said] == [
        (1, "200", "300"),
        (3, "500", "500"),
        (0, "1", "500"),
    ]


def test_below_is_the_other_way_round() -> None:
    said = run([(0, "6.4"), (1, "5.9"), (2, "6.5")], LOW)
    assert [(each.what, each.severity, each.worst) for each in said] == [
        ("began", 1, "6.4"),
        ("worsened", 2, "5.9"),
        ("ended", 0, "5.9"),
    ]


def test_a_device_is_silent_after_the_time_of_the_rule_and_heard_again() -> None:
    assert fall_silent(RULE, 5 * S, 14 * S) is None
    found = fall_silent(RULE, 5 * S, 15 * S)
    assert found is not None
    watched, said = found
    assert (said.what, said.at, said.since) == ("began", 15 * S, 15 * S)
    assert speak_again(watched, 99 * S) == Saying("ended", 99 * S, 15 * S, reason="heard_again")
    assert [each.reason for each in retire(watched, 99 * S)] == ["retired"]
    assert list(retire(Watched("rising", 0), 1)) == []


@pytest.mark.parametrize(
    ("value", "text"), [("1E+3", "1000"), ("0.50", "0.5"), ("-0.0", "0"), ("1.23456789", "1.234568"), ("100", "100")]
)
def test_numbers_are_written_as_the_contract_has_them(value: str, text: str) -> None:
    assert written(Decimal(value)) == text


READINGS = st.lists(st.tuples(st.integers(0, 30), st.sampled_from(["100", "130", "151", "260", "430"])), max_size=40)


@given(READINGS, st.integers(0, 40), st.integers(0, 40))
def test_a_batch_that_comes_again_says_the_same_and_leaves_the_same(
    steps: list[tuple[int, str]], cut: int, stop: int
) -> None:
    second, values = 0, list[tuple[int, str]]()
    for wait, value in steps:
        second += wait + 1
        values.append((second, value))
    watched: Watched | None = None
    said = list[Saying]()
    for batch in (values[:cut], values[cut : cut + stop], values[cut : cut + stop]):
        again, more = watched, list[Saying]()
        for at, value in batch:
            again, told_now = follow(RULE, again, at * S, Decimal(value))
            more += told_now
        said += more
        watched = again
    once = run(values[: cut + stop])
    assert said == once


@given(READINGS)
def test_episodes_begin_and_end_in_turn_and_never_get_better(steps: list[tuple[int, str]]) -> None:
    second, values = 0, list[tuple[int, str]]()
    for wait, value in steps:
        second += wait + 1
        values.append((second, value))
    open_, severity = 0, 0
    for each in run(values):
        assert (each.what == "began") == (not open_)
        if each.what == "ended":
            assert each.since == open_ and each.at >= each.since
            open_ = 0
        else:
            assert each.severity > (severity if open_ else 0) and open_ in (0, each.since)
            open_, severity = each.since, each.severity

"""The target (目标): signed, measured, corrected, scored when its year is over, and scored anew by what comes later.

In: what posts of a pack with targets say, from 2026 to 2027. Out: states, values of the year, what is told before and
after, what is counted.
"""

from __future__ import annotations

from collections import Counter
from fractions import Fraction
from itertools import pairwise
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from schemas import facts
from schemas.derived_ids import derived_subject
from schemas.kinds.target import TARGET as KIND
from schemas.kinds.target import Measured, Target, TargetMeasured, TargetScored
from schemas.refusals import Reason
from schemas.value_words import WORDS
from tests.support.builders import CITY, DAY, HOTLINE, HOUR, STREET, Beside, Story, changed, weiyang
from tests.unit.test_supervision import counts_of
from workflows.case import Case, Owner, decode, encode
from workflows.definitions.target import RATIOS, SUMS, TARGET
from workflows.figures import derived, with_sums
from workflows.policy.index import Policy
from workflows.policy.model import RoleRow, TargetRow
from workflows.targets.scoring import counted_of, days_of, kind_of, score

OFFICE = "WY-OFFICE"
BEGINS = weiyang().clock_of_days.day_start(20260101)


def row(target: str, value: str = "40", owner: str = "WY01", **rest: Any) -> TargetRow:
    """A target of 2026, the mean of months unless it says otherwise."""
    usual: dict[str, Any] = {"comparison": "<=", "unit": "μg/m³", "method": "mean", "period": "month"}
    return TargetRow(
        **{
            "target": target,
            "owner": owner,
            "year": 2026,
            "indicator_zh": target,
            "indicator_en": target,
            "value": value,
            **usual,
            **rest,
        }
    )


ROWS = (
    row("pm25", places=0),
    row("exact"),
    row("none", ""),
    row("least", least=2),
    row("pm25", owner="WY-EPB"),
    row("good", "50", comparison=">=", unit="%", method="share", period="day", each="<=100", index="aqi"),
    row("rivers", "66.7", comparison=">=", unit="%", method="share", each="<=3", index="water", places=1),
    row("energy", "0.7", method="value", period="year"),
    row("old", "1", standard="GB X", standard_to=20260630),
)


def roles() -> tuple[RoleRow, ...]:
    """Who may say what of them."""
    said = {"target.signed": "office", "measurement.recorded": "intake", "target.withdrawn": "office"}
    rows = [RoleRow(trigger, trigger, role, scope="any", offline_ms=0) for trigger, role in said.items()]
    return (*weiyang().pack.roles, *rows)


RULES: Policy = changed(targets=ROWS, roles=roles())
OVER = RULES.clock_of_days.day_start(20270101) - 1 + RULES.options.grace_days * DAY


class Aimed(Story):
    """A target and what is said to it."""

    def __init__(self, target: str = "pm25", owner: str = "WY01", home: str = "WY01", **rest: Any) -> None:
        super().__init__(RULES, home=home, **rest)
        del self.beside.stories[self.case.id]
        self.case = Case(id=derived_subject(home, "target", target, owner, 20260101, BEGINS))
        self.beside.stories[self.case.id] = self
        self.target = target

    def signed(self, by: str = OFFICE, **data: Any) -> Aimed:
        self.done("target.signed", by, target=self.target, year=2026, **(data or {"grid": "WY01"}))
        return self

    def value(self, value: str, period: str = "2026-03", station: str = "S1", when: int | None = None) -> Aimed:
        self.done("measurement.recorded", HOTLINE, when, station=station, period=period, value=value)
        return self

    def parts(self, period: str, station: str = "S1", **parts: str) -> Aimed:
        said = [{"item": item, "value": value} for item, value in parts.items()]
        self.done("measurement.recorded", HOTLINE, station=station, period=period, parts=said)
        return self

    def over(self) -> Aimed:
        """The year and its days of grace have passed."""
        self.until(OVER + 1)
        self.now = OVER + HOUR
        return self

    @property
    def own(self) -> Target:
        assert isinstance(self.case.own, Target)
        return self.case.own

    @property
    def told(self) -> list[tuple[str, str, str, str]]:
        """The scores that were told: outcome and value, and those before."""
        return [(f.outcome, f.value, f.was, f.was_value) for f in self.history(TargetScored)]


def counted(*stories: Story) -> Counter[str]:
    """measure -> value, of all that was counted."""
    found = Counter[str]()
    for story in stories:
        for (_, measure, _), value in counts_of(story).items():
            found[measure] += value
    return found


# ---- signed, measured, scored -----------------------------------------------------------------------------


@pytest.mark.mechanism("M124")
def test_it_is_scored_when_its_year_and_the_days_of_grace_are_over():
    target = Aimed().signed().value("38").value("43", "2026-04")
    assert (target.case.state, target.case.owner, target.case.category) == ("signed", Owner("WY01", 3), "pm25")
    assert target.case.next_at == OVER
    target.until(OVER)
    assert target.case.state == "signed"
    target.over()
    # 40.5 is 40 by half to even, and met as it is rounded
    assert (target.case.state, target.own.value) == ("met", "40") and target.case.closed == OVER
    exact = Aimed("exact").signed().value("38").value("43", "2026-04").over()
    assert (exact.case.state, exact.own.value) == ("missed", "40.5")  # compared as it is


def test_a_department_signs_in_its_own_home_and_every_target_has_one_id():
    target = Aimed("pm25", "WY-EPB", "XA").signed(CITY.replace("CHIEF", "OFFICE"), department="WY-EPB")
    assert target.case.owner == Owner("WY", 2, "WY-EPB")
    other = Story(RULES)
    refusal = other.refused(Reason.MISROUTED, "target.signed", OFFICE, target="pm25", year=2026, grid="WY01")
    assert Aimed().case.id in refusal.detail
    again = target.refused(Reason.IMPOSSIBLE, "target.signed", OFFICE, target="pm25", year=2026, department="WY-EPB")
    assert again.field == "subject"


@pytest.mark.parametrize(
    ("why", "data", "field"),
    [
        (Reason.UNKNOWN_CODE, {"target": "nothing", "grid": "WY01"}, "data.target"),
        (Reason.UNKNOWN_CODE, {"year": 2027, "grid": "WY01"}, "data.target"),
        (Reason.UNKNOWN_CODE, {"grid": "WY02"}, "data.target"),
        (Reason.INVALID, {}, "data.grid"),
        (Reason.INVALID, {"grid": "WY01", "department": "WY-EPB"}, "data.grid"),
    ],
)
def test_what_is_no_row_of_the_pack_is_refused_with_the_field(why: Reason, data: dict[str, Any], field: str):
    said: dict[str, Any] = {"target": "pm25", "year": 2026, **data}
    assert Aimed().refused(why, "target.signed", OFFICE, **said).field == field


@pytest.mark.parametrize(
    ("target", "data", "field"),
    [
        ("pm25", {"period": "2026-03"}, "data.value"),
        ("pm25", {"period": "2026-03", "value": "1", "parts": [{"item": "tp", "value": "1"}]}, "data.value"),
        ("pm25", {"period": "2026-03", "parts": [{"item": "tp", "value": "1"}]}, "data.parts"),
        ("rivers", {"period": "2026-03", "parts": [{"item": "tp", "value": "1"}] * 2}, "data.parts"),
        ("rivers", {"period": "2026-03", "parts": [{"item": "tp", "value": "-1"}]}, "data.parts"),
        ("pm25", {"period": "2025-03", "value": "1"}, "data.period"),
        ("pm25", {"period": "2026-03-01", "value": "1"}, "data.period"),
        ("pm25", {"period": "2026", "value": "1"}, "data.period"),
        ("pm25", {"period": "2026-13", "value": "1"}, "data.period"),
        ("good", {"period": "2026-02-30", "value": "1"}, "data.period"),
    ],
)
def test_a_value_that_cannot_count_is_refused_with_the_field(target: str, data: dict[str, Any], field: str):
    aimed = Aimed(target).signed()
    assert aimed.refused(Reason.INVALID, "measurement.recorded", HOTLINE, station="S1", **data).field == field
    assert aimed.own.measured == ()


def test_who_has_signed_does_not_withdraw_what_was_scored():
    target = Aimed().signed()
    target.refused(Reason.FORBIDDEN, "target.withdrawn", STREET, reason="error")
    target.done("target.withdrawn", OFFICE, reason="error")
    assert target.case.state == "withdrawn" and target.case.next_at is None
    scored = Aimed("exact").signed().over()
    scored.refused(Reason.IMPOSSIBLE, "target.withdrawn", OFFICE, reason="error")


def test_a_value_that_comes_before_the_signing_waits_for_it():
    target = Aimed()
    target.parked("measurement.recorded", HOTLINE, station="S1", period="2026-03", value="12")
    target.signed()
    assert target.own.measured == (Measured("S1", "2026-03", "12"),)


# ---- corrections ------------------------------------------------------------------------------------------


def test_a_second_value_of_a_station_and_a_period_counts_in_the_place_of_the_first_and_both_stay():
    target = Aimed().signed().value("90").value("30").value("31", "2026-04").value("40", station="S2")
    assert [(each.station, each.period, each.value, each.corrects) for each in target.own.measured] == [
        ("S1", "2026-03", "30", 1),
        ("S1", "2026-04", "31", 0),
        ("S2", "2026-03", "40", 0),
    ]
    assert [(fact.value, fact.corrects) for fact in target.history(TargetMeasured)] == [
        ("90", False),
        ("30", True),
        ("31", False),
        ("40", False),
    ]
    target.over()
    assert target.told == [("met", "34", "", "")]  # 101/3 = 33.67


def test_what_comes_late_scores_it_anew_with_a_before_and_an_after():
    target = Aimed().signed().value("38").over().value("38", "2026-04")
    assert target.one(TargetMeasured).late and target.told == [("met", "38", "", "")]  # nothing has changed
    target.value("80", "2026-05")
    assert (target.case.state, target.told[-1]) == ("missed", ("missed", "52", "met", "38"))
    target.value("8", "2026-05")
    assert (target.case.state, target.told[-1]) == ("met", ("met", "28", "missed", "52"))
    found = counted(target)
    shown, rates = derived(with_sums(found), SUMS, RATIOS)
    assert (shown["met"], shown["missed"], shown["unscored"]) == (1, 0, 0)
    assert (found["values"], found["values_late"], found["values_corrected"], found["targets"]) == (4, 3, 1, 1)
    assert (rates["met_rate"].numerator, rates["met_rate"].denominator) == (1, 1)


# ---- what is not scored -----------------------------------------------------------------------------------


@pytest.mark.mechanism("M110")
@pytest.mark.parametrize(
    ("target", "values", "reason", "value"),
    [
        ("none", [("12", "2026-03")], "no_value", "12"),
        ("none", [], "no_value", ""),
        ("pm25", [], "too_few", ""),
        ("least", [("12", "2026-03")], "too_few", ""),
        ("old", [("1", "2026-06")], "", "1"),
        ("old", [("1", "2026-06"), ("1", "2026-07")], "not_in_force", ""),
    ],
)
def test_what_is_not_scored_says_why(target: str, values: list[tuple[str, str]], reason: str, value: str):
    aimed = Aimed(target).signed()
    for number, period in values:
        aimed.value(number, period)
    aimed.over()
    assert (aimed.own.reason, aimed.own.value) == (reason, value)
    assert aimed.case.state == ("unscored" if reason else "met")


def test_a_year_has_one_value_where_one_is_asked_for():
    assert Aimed("energy").signed().value("0.7", "2026").over().case.state == "met"
    twice = Aimed("energy").signed().value("0.7", "2026").value("0.8", "2026", "S2").over()
    assert (twice.case.state, twice.own.reason) == ("unscored", "many_values")


# ---- air and water ----------------------------------------------------------------------------------------

CLEAN = {"so2": "5", "no2": "10", "pm10": "20", "co": "0.5", "o3_8h": "40"}


@pytest.mark.mechanism("M108")
def test_days_of_good_air_are_counted_by_the_standard_of_each_day():
    target = Aimed("good").signed()
    target.parts("2026-02-28", pm25="70", **CLEAN).parts("2026-03-01", pm25="70", **CLEAN)
    assert [(c.number, c.standard, c.within) for c in counted_of(target.own)] == [
        (Fraction(94), "HJ 633-2012", True),
        (Fraction(110), "HJ 633-2026", False),
    ]
    target.over()
    assert (target.case.state, target.own.value) == ("met", "50")
    target.parts("2026-03-02", pm25="20")  # items are missing: nothing can be said of the year
    assert (target.case.state, target.own.reason) == ("unscored", "incomplete")


@pytest.mark.mechanism("M138")
def test_a_section_of_a_river_has_the_class_of_its_means():
    target = Aimed("rivers").signed()
    target.parts("2026-01", "A", nh3n="0.8", tp="0.1").parts("2026-02", "A", nh3n="1.2", tp="0.3")  # 1.0 and 0.2: III
    target.parts("2026-01", "B", cod="41")  # worse than V
    target.value("2", "2026-01", "C")  # a class as it was published
    assert [(c.station, c.number, c.by, c.within) for c in counted_of(target.own)] == [
        ("A", Fraction(3), ("nh3n", "tp"), True),
        ("B", Fraction(6), ("cod",), False),
        ("C", Fraction(2), (), True),
    ]
    target.over()
    assert (target.case.state, target.own.value) == ("met", "66.7")
    target.value("2", "2026-02", "C")
    assert (target.case.state, target.own.reason) == ("unscored", "no_mean")


def test_periods_are_read_as_people_write_them():
    assert [days_of(text) for text in ("2026", "2026-H2", "2026-Q3", "2026-02", "2026-02-28")] == [
        (20260101, 20261231),
        (20260701, 20261231),
        (20260701, 20260930),
        (20260201, 20260228),
        (20260228, 20260228),
    ]
    assert [kind_of(t) for t in ("2026", "2026-H2", "2026-Q3", "2026-02", "2026-02-28")] == [
        "year",
        "half",
        "quarter",
        "month",
        "day",
    ]
    for text in ("2026-00", "2026-13", "2026-02-29"):
        with pytest.raises(ValueError, match=r"month|day"):
            days_of(text)


def test_every_reason_has_words():
    assert {*KIND.words} <= WORDS.keys()
    for reason in ("no_value", "no_table", "not_in_force", "no_items", "unknown_item", "incomplete", "no_day"):
        assert WORDS[reason][0] and WORDS[reason][1]


# ---- random lives -----------------------------------------------------------------------------------------

VALUES = st.tuples(st.sampled_from(["S1", "S2"]), st.sampled_from(["2026-03", "2026-04"]), st.integers(0, 900))


@settings(max_examples=40, deadline=None)
@given(st.lists(VALUES, max_size=6), st.lists(VALUES, max_size=5), st.randoms(use_true_random=False))
def test_in_every_life_the_state_is_what_the_last_values_say(before: list[Any], later: list[Any], shuffle: Random):
    target = Aimed("exact", beside=Beside()).signed()
    for station, period, tenths in before:
        target.value(f"{tenths // 10}.{tenths % 10}", period, station)
    target.over()
    for station, period, tenths in later:
        target.value(f"{tenths // 10}.{tenths % 10}", period, station)
    assert decode(encode(target.case)) == target.case
    last = {(station, period): Fraction(tenths, 10) for station, period, tenths in (*before, *later)}
    if not last:
        assert target.case.state == "unscored"
        return
    mean = sum(last.values()) / len(last)
    assert target.case.state == ("met" if mean <= 40 else "missed")
    mixed = list(target.own.measured)
    shuffle.shuffle(mixed)
    assert score(replace(target.own, measured=tuple(mixed))) == score(target.own)  # whatever the order
    told = target.told
    assert all(a[:2] == b[2:] for a, b in pairwise(told))
    found = counted(target)
    shown, _ = derived(with_sums(found), SUMS, RATIOS)
    assert {name: shown[name] for name in ("met", "missed", "unscored")} == {
        name: int(name == target.case.state) for name in ("met", "missed", "unscored")
    }
    assert found["values"] == len(before) + len(later)
    assert len(target.history(facts.ClockStopped)) == 1 and TARGET.states[target.case.state].terminal

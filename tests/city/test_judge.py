"""The judge itself: against the totals published with the record, and against small cases by hand."""

import ast
import sys
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gridpatrol.importers.boston311 import SHIPPED
from tests.city import judge
from tests.city.judge import Case, Share, outcome, utc_ms
from tests.city.streams import shuffle_targets

RULES = judge.rules(Path(__file__).parent / "sla_rules.csv")
EXPORT = utc_ms(datetime(2016, 1, 12, 23))


@pytest.fixture(scope="module")
def cases() -> list[Case]:
    return judge.load(SHIPPED)


@pytest.fixture(scope="module")
def shares(cases: list[Case]) -> dict[str, Share]:
    return judge.shares(cases, RULES)


def test_the_judge_uses_the_standard_library_only() -> None:
    tree = ast.parse(Path(judge.__file__).read_text(encoding="utf-8"))
    names = [node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    names += [alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names]
    assert names and all(name.partition(".")[0] in sys.stdlib_module_names for name in names)


def test_the_shipped_file_holds_the_published_counts(cases: list[Case]) -> None:
    due = [case for case in cases if case.target is not None]
    assert len(cases) == len({case.number for case in cases}) == 16_782
    assert sum(case.closed is not None for case in cases) == 14_545
    assert len(cases) - len(due) == 3_014
    assert len(due) == 13_768
    assert sum(case.flag != "" for case in due) == 13_743
    assert sum(case.type in RULES for case in due) == 13_670


def test_the_totals_at_the_export_are_the_published_ones(cases: list[Case]) -> None:
    at_export = judge.figures(cases, EXPORT)
    assert (at_export.on_time, at_export.overdue, at_export.overdue_open) == (9_047, 4_492, 1_492)
    assert (at_export.not_due, at_export.without_deadline) == (229, 3_014)
    assert at_export.reported == 16_782 and at_export.closed == 14_545


def flags_that_differ(cases: list[Case]) -> list[Case]:
    flags = {"on_time": "ONTIME", "not_due": "ONTIME", "overdue_closed": "OVERDUE", "overdue_open": "OVERDUE"}
    flagged = [case for case in cases if case.flag and case.target is not None]
    assert len(flagged) == 13_743
    return [case for case in flagged if flags[outcome(case, EXPORT)] != case.flag]


def test_every_flag_of_the_city_follows_from_stopping_at_closing_or_opening_whichever_is_later(
    cases: list[Case],
) -> None:
    assert flags_that_differ(cases) == []


def test_with_shuffled_targets_the_flags_do_not_follow(tmp_path: Path) -> None:
    shuffled = judge.load(shuffle_targets(SHIPPED, tmp_path / "shuffled.csv.gz", seed=311))
    assert len(flags_that_differ(shuffled)) > 1_000


def test_the_28_closings_before_openings_last_zero_hours_and_break_no_flag(cases: list[Case]) -> None:
    early = [case for case in cases if case.closed is not None and case.closed < case.opened]
    assert len(early) == 28
    assert all(case.stopped == case.opened for case in early)
    assert max(case.opened - (case.closed or 0) for case in early) <= 60_000
    assert Counter(outcome(case, EXPORT) for case in early) == {"without_deadline": 19, "on_time": 9}


def test_the_5_targets_at_the_opening_are_all_overdue(cases: list[Case]) -> None:
    at_once = [case for case in cases if case.target is not None and case.target <= case.opened]
    assert [case.flag for case in at_once] == ["OVERDUE"] * 5
    assert {outcome(case, EXPORT) for case in at_once} == {"overdue_closed"}


def test_one_due_alert_stands_for_each_case_that_was_open_past_its_target(cases: list[Case]) -> None:
    alerts = judge.due_alerts(cases, EXPORT)
    assert len(alerts) == judge.figures(cases, EXPORT).overdue == 4_492
    assert all(target < EXPORT for target in alerts.values())


@pytest.mark.parametrize("key", [lambda c: c.district, lambda c: c.department, lambda c: c.type])
@pytest.mark.parametrize("day", [datetime(2015, 4, 20, 12), datetime(2015, 5, 25), datetime(2016, 1, 12, 23)])
def test_groups_add_up_to_the_city(cases: list[Case], key: Callable[[Case], str], day: datetime) -> None:
    whole = judge.figures(cases, utc_ms(day))
    parts = judge.figures_by(cases, utc_ms(day), key).values()
    for field in ("reported", "closed", "on_time", "overdue", "overdue_open", "not_due", "without_deadline"):
        assert sum(getattr(part, field) for part in parts) == getattr(whole, field)
    assert whole.on_time + whole.overdue + whole.not_due + whole.without_deadline == whole.reported > 0


def test_the_districts_are_the_nine_and_the_city(cases: list[Case]) -> None:
    assert set(judge.figures_by(cases, EXPORT, lambda c: c.district)) == {
        "BOS",
        *(f"D{n}" for n in range(1, 10)),
    }


def test_the_rules_give_back_969_of_1000_deadlines_within_a_minute(shares: dict[str, Share]) -> None:
    within = sum(share.within_60s for share in shares.values())
    assert sum(share.deadlines for share in shares.values()) == 13_670
    assert within == 13_255 and within / 13_670 >= 0.969
    assert sum(share.exact for share in shares.values()) == 7_898


@pytest.mark.parametrize("case_type", sorted(RULES))
def test_the_share_of_each_type_is_the_published_one(shares: dict[str, Share], case_type: str) -> None:
    rule, share = RULES[case_type], shares[case_type]
    assert share.deadlines == rule.deadlines
    assert share.exact / share.deadlines == pytest.approx(rule.exact, abs=6e-5)
    assert share.within_60s / share.deadlines == pytest.approx(rule.within_60s, abs=6e-5)


def test_each_deadline_that_the_rules_miss_has_a_reason(shares: dict[str, Share]) -> None:
    reasons: Counter[str] = sum((share.reasons for share in shares.values()), Counter())
    assert reasons == {
        judge.OTHER_DAYS: 268,
        judge.CREATED_LATER: 66,
        judge.COUNTED_EARLIER: 54,
        judge.BY_HAND: 18,
        judge.AT_OPENING: 9,
    }
    for share in shares.values():
        assert sum(share.reasons.values()) == share.deadlines - share.within_60s


@pytest.mark.parametrize(
    ("opened", "days", "due"),
    [
        ("2015-04-13T10:15", 1, "2015-04-14T10:15"),  # Monday, inside hours
        ("2015-05-08T17:00", 1, "2015-05-12T08:30"),  # Friday 17:00 is outside: from Monday 08:30
        ("2015-04-17T16:59", 1, "2015-04-21T16:59"),  # Friday before Patriots' Day
        ("2015-05-23T12:00", 1, "2015-05-27T08:30"),  # Saturday; Monday is Memorial Day, so from Tuesday
        ("2015-04-14T08:29", 1, "2015-04-15T08:30"),  # before hours
        ("2015-07-02T09:00", 2, "2015-07-06T09:00"),  # 3 July counts as a working day
    ],
)
def test_working_days_end_at_the_same_time_of_day(opened: str, days: int, due: str) -> None:
    start = datetime.fromisoformat(opened)
    assert judge.deadline(start, "working_day", days) == datetime.fromisoformat(due)


@given(st.datetimes(datetime(2008, 1, 1), datetime(2037, 12, 31)))
def test_the_judges_summer_time_is_that_of_the_zone_database(local: datetime) -> None:
    local = local.replace(fold=0)  # the record does not say which of two hours it means: the first one
    zoned = local.replace(tzinfo=ZoneInfo("America/New_York"), microsecond=0)
    since = zoned.astimezone(UTC) - datetime(1970, 1, 1, tzinfo=UTC)
    assert utc_ms(local.replace(microsecond=0)) == since // timedelta(milliseconds=1)


def by_hand(opened: int, target: int | None, closed: int | None) -> Case:
    when = datetime(2015, 4, 13)
    return Case("1", opened, target, closed, "", "D1", "PWDx", "t", when, None)


@pytest.mark.parametrize(
    ("case", "at", "expected"),
    [
        (by_hand(10, 20, None), 9, "not_reported"),
        (by_hand(10, 20, None), 20, "not_due"),  # due at this instant is still on time
        (by_hand(10, 20, None), 21, "overdue_open"),
        (by_hand(10, 20, 20), 20, "on_time"),
        (by_hand(10, 20, 30), 29, "overdue_open"),  # the closing has not happened yet
        (by_hand(10, 20, 30), 30, "overdue_closed"),
        (by_hand(10, 10, 9), 10, "on_time"),  # closed before it opened: stopped at the opening
        (by_hand(10, None, 11), 12, "without_deadline"),
    ],
)
def test_outcomes_at_the_edges(case: Case, at: int, expected: str) -> None:
    assert outcome(case, at) == expected


def test_percentiles_are_nearest_rank() -> None:
    assert judge.nearest_rank([], 50) is None
    assert [judge.nearest_rank(list(range(1, n + 1)), 90) for n in (1, 9, 10, 11, 100)] == [1, 9, 9, 10, 90]
    assert [judge.nearest_rank(list(range(1, n + 1)), 50) for n in (1, 2, 3, 4)] == [1, 1, 2, 2]

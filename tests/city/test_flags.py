"""The whole record, with the city's own targets: its 13,743 flags come out of the engine's facts.

31,327 events of 16,782 cases give outcomes and alerts, which are held against the city's flags and against a judge that
shares no code with the engine. The figures are held against it in tests/drill/test_city_figures.py.
"""

from __future__ import annotations

from collections import Counter
from datetime import datetime
from pathlib import Path

import pytest

from lab.runs import check_whole
from tests.city import judge, past
from tests.city.outcomes import EXPORT, CaseFacts, Run, kinds
from tests.support import recorded

FLAG = {"on_time": "ONTIME", "not_due": "ONTIME", "overdue_closed": "OVERDUE", "overdue_open": "OVERDUE"}


def differing(cases: list[judge.Case], found: dict[str, CaseFacts]) -> tuple[list[str], int]:
    """Cases whose flag is not the one that follows from the facts, and how many flags were compared."""
    flagged = [case for case in cases if case.flag and found[case.number].outcome != "without_deadline"]
    return [case.number for case in flagged if FLAG[found[case.number].outcome] != case.flag], len(flagged)


def test_all_13743_flags_of_the_city_follow_from_the_facts(whole: Run, cases: list[judge.Case]) -> None:
    assert differing(cases, whole.cases) == ([], 13_743)


def test_the_facts_are_those_of_release_f28de43_to_the_byte(whole: Run, tmp_path: Path) -> None:
    found = recorded.facts_of(whole.engine.settings.database, tmp_path)
    assert recorded.digest(found) == recorded.sums()["city.facts.jsonl"]


def test_the_3014_cases_without_a_target_have_an_outcome_without_a_deadline(
    whole: Run, cases: list[judge.Case]
) -> None:
    without = {number for number, case in whole.cases.items() if case.outcome == "without_deadline"}
    assert without == {case.number for case in cases if case.target is None} and len(without) == 3_014
    results = Counter(whole.cases[number].result for number in without)
    assert set(results) == {"without_deadline", ""}
    assert not any(whole.cases[number].breaches or whole.cases[number].alerts for number in without)


def test_the_25_cases_without_a_flag_follow_the_same_rule(whole: Run, cases: list[judge.Case]) -> None:
    unflagged = [case for case in cases if not case.flag]
    assert len(unflagged) == 25
    for case in unflagged:
        assert whole.cases[case.number].outcome == judge.outcome(case, EXPORT)


def test_every_case_has_the_outcome_the_deadline_and_the_time_that_the_judge_finds(
    whole: Run, cases: list[judge.Case]
) -> None:
    assert len(whole.cases) == 16_782
    for case in cases:
        found = whole.cases[case.number]
        assert (found.outcome, found.due, found.started) == (judge.outcome(case, EXPORT), case.target, case.opened)
        assert found.elapsed == (None if case.stopped is None else case.stopped - case.opened)


def test_exactly_one_due_alert_stands_for_each_case_that_was_open_past_its_target_at_its_target(
    whole: Run, cases: list[judge.Case]
) -> None:
    wanted = judge.due_alerts(cases, EXPORT)
    found = {number: case.alerts for number, case in whole.cases.items() if case.alerts}
    assert found == {number: [target] for number, target in wanted.items()}
    assert len(found) == 4_492
    breached = {number: case.breaches for number, case in whole.cases.items() if case.breaches}
    assert breached == found
    assert not any(case.contradicted for case in whole.cases.values())


def test_an_alert_ends_when_its_case_is_closed(whole: Run) -> None:
    for case in whole.cases.values():
        assert case.ended == (["resolved"] if case.alerts and case.result else [])


def test_every_event_of_the_record_is_answered_and_none_is_lost(whole: Run) -> None:
    result = whole.result
    assert (result.lines, result.rejected, result.beyond, result.skipped) == (31_327, 0, 0, 0)
    assert result.outcomes == {"done": 31_327 - 28, "parked": 28}  # closed up to a minute before they opened
    assert kinds(whole.engine)["event"] == 31_327
    with whole.engine.database.read() as connection:
        assert connection.exec_driver_sql("SELECT count(*) FROM dead_letters").scalar_one() == 0
        seen = connection.exec_driver_sql("SELECT outcome, count(*) FROM seen GROUP BY outcome").all()
    assert [tuple(row) for row in seen] == [("done", 31_327)]  # the 28 were released by their opening
    check_whole(whole.engine)


@pytest.mark.parametrize("then", past.INSTANTS, ids=lambda then: f"{then:%Y-%m-%d}")
def test_what_stood_open_and_late_at_an_instant_is_what_the_city_s_own_columns_say(whole: Run, then: datetime) -> None:
    with whole.engine.database.read() as connection:
        past.check_as_of(connection, past.read_rows(), then)

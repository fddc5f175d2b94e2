"""The whole record, with the city's own targets: its 13,743 flags and its figures come out of the engine's facts.

In: 31,327 events of 16,782 cases. Out: outcomes, alerts and figures as the engine tells them, held against the city's
flags and against a judge that shares no code with it. The figures are read at five instants of a second replay, on one
partition, that stops there; in the end it has told the same facts.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import pytest

from consumers.performance import consume
from engine.runtime import Engine
from gridpatrol.importers import boston311
from gridpatrol.importers.boston311 import SHIPPED
from lab.runs import check_whole, engine_on, facts
from tests.city import judge
from tests.city.judge import Figures, utc_ms
from tests.city.outcomes import EXPORT, KEYS, CaseFacts, Run, cases_of, figures_by, kinds, record, replay_city, tree
from tests.city.streams import shuffle_targets
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


def test_with_the_targets_shuffled_the_flags_do_not_follow(cases: list[judge.Case], tmp_path: Path) -> None:
    shuffled = shuffle_targets(SHIPPED, tmp_path / "shuffled.csv.gz", seed=311)
    with engine_on(f"sqlite:///{tmp_path / 'a.db'}") as engine:
        replay_city(engine, boston311.events(shuffled, tree(), lambda remark: None), EXPORT)
        wrong, compared = differing(cases, cases_of(engine))
    assert compared == 13_743 and len(wrong) > 1_000


# ---- figures ------------------------------------------------------------------------------------------------

INSTANTS = (
    utc_ms(datetime(2015, 4, 14, 12)),  # the second day
    utc_ms(datetime(2015, 4, 20, 17)),  # Patriots' Day
    utc_ms(datetime(2015, 5, 25)),  # midnight, Memorial Day
    utc_ms(datetime(2015, 8, 3, 8, 30)),
    EXPORT,
)
Stations = tuple[Engine, dict[tuple[str, int], dict[str, Figures]]]
"""An engine, and its figures by dimension and instant."""


@pytest.fixture(scope="module")
def stations(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stations]:
    """One replay on one partition, read at each instant."""
    url = f"sqlite:///{tmp_path_factory.mktemp('city') / 'stations.db'}"
    with engine_on(url, 1, consumers=[consume.consume]) as engine:
        found: dict[tuple[str, int], dict[str, Figures]] = {}
        for instant in INSTANTS:
            replay_city(engine, record(), instant)
            found |= {(by, instant): figures_by(engine, by, instant) for by in KEYS}
        yield engine, found


@pytest.mark.parametrize("instant", INSTANTS)
@pytest.mark.parametrize("by", KEYS)
def test_the_figures_as_of_an_instant_are_the_judge_s(
    stations: Stations, cases: list[judge.Case], by: str, instant: int
) -> None:
    wanted = judge.figures_by(cases, instant, KEYS[by])
    found = stations[1][by, instant]
    assert set(found) == set(wanted)
    for key, cell in wanted.items():
        assert found[key] == cell, key
    assert sum(cell.reported for cell in found.values()) == sum(case.opened <= instant for case in cases)


def test_on_one_partition_and_with_stops_every_case_has_the_facts_of_one_go_on_32(
    stations: Stations, whole: Run
) -> None:
    engine = stations[0]
    check_whole(engine)
    assert facts(engine) == whole.facts

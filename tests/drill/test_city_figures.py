"""The city's figures at five instants of one replay on one partition, held against the judge's; in the end it has told
the facts of one go on 32 partitions. With the targets dealt out anew, the city's flags do not follow.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import pytest

from consumers.performance import consume
from engine.runtime import Engine
from gridpatrol.importers import boston311
from gridpatrol.importers.boston311 import SHIPPED
from lab.runs import check_whole, engine_on, facts
from tests.city import judge, past
from tests.city.judge import Figures, utc_ms
from tests.city.outcomes import EXPORT, KEYS, Run, cases_of, figures_by, record, replay_city, tree
from tests.city.streams import shuffle_targets
from tests.city.test_flags import differing


def test_with_the_targets_shuffled_the_flags_do_not_follow(cases: list[judge.Case], tmp_path: Path) -> None:
    """A quarter of the record is enough: of the whole, the judge's own flags are held against shuffled targets in
    tests/city/test_judge.py."""
    shuffled = shuffle_targets(SHIPPED, tmp_path / "shuffled.csv.gz", seed=311, most=4_200)
    with engine_on(f"sqlite:///{tmp_path / 'a.db'}") as engine:
        replay_city(engine, boston311.events(shuffled, tree(), lambda problem: None), EXPORT)
        found = cases_of(engine)
        wrong, compared = differing([case for case in cases if case.number in found], found)
    assert compared > 3_000 and len(wrong) > compared / 14


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
            found |= {(by, instant): figures_by(engine, by) for by in KEYS}
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


@pytest.mark.parametrize("then", past.INSTANTS, ids=str)
def test_figures_and_what_stood_as_of_an_instant_are_what_the_judge_counts(
    stations: Stations, cases: list[judge.Case], then: datetime
) -> None:
    past.check_figures(stations[0], cases, then)


def test_on_one_partition_and_with_stops_every_case_has_the_facts_of_one_go_on_32(
    stations: Stations, whole: Run
) -> None:
    engine = stations[0]
    check_whole(engine)
    assert facts(engine) == whole.facts

"""What rungs call for is borne once, and is the same whatever the slices, the partitions and the database.

Enters: a storm of awkward events under a pack whose rungs call for actions. Leaves: the facts of each case, in bytes.
"""

from __future__ import annotations

import json
from collections import Counter
from functools import cache
from pathlib import Path

import msgspec
import pytest

from consumers.verify import verify
from consumers.verify.replayed import replayed_beside
from engine.replay import replay_events
from engine.store.rows import StepRow
from lab import runs
from lab.events import at
from lab.runs import engine_on, install
from lab.storm import Storm
from schemas import facts
from schemas.kinds.supervision import SupervisionContradicted
from tests.unit.test_calling import LADDER, calling
from workflows.clocks.limits import parse_limit
from workflows.policy.model import Pack, RungRow

UNTIL = at("04-20 12:00")
MORE = (
    RungRow("report", "due", "at", act="bear:letter"),
    RungRow("handle", "overdue", "after", parse_limit("1紧急工作时"), parse_limit("1工作日"), 3, act="bear:interview"),
)


@cache
def pack() -> Pack:
    """The sample pack with rungs that call for something."""
    return calling(*LADDER, *MORE).pack


@cache
def lines() -> tuple[bytes, ...]:
    """A storm of some cases."""
    return tuple(Storm(7, 24).lines())


def outcome(url: str, limits: tuple[int, ...], tmp_path: Path | None = None) -> dict[str, list[bytes]]:
    """The facts of each case; checked against the log, where there is a folder for it."""
    with engine_on(url, *limits, consumers=runs.consumers() if tmp_path is not None else ()) as engine:
        install(engine, pack())
        replay_events(engine, lines(), "simulation", UNTIL)
        runs.check_whole(engine)
        if tmp_path is not None:
            engine.feed()
            assert [str(each) for each in verify(engine.database)] == []
            assert [str(each) for each in replayed_beside(engine, tmp_path)] == []
        return runs.facts(engine)


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[bytes]]:
    """The run on SQLite with one partition and large slices."""
    folder = tmp_path_factory.mktemp("plain")
    return outcome(f"sqlite:///{folder / 'a.db'}", (1, 500, 1000), folder)


def test_the_storm_calls_for_much_once_and_some_of_it_is_withdrawn(plain: dict[str, list[bytes]]) -> None:
    born, contradicted = Counter[str](), Counter[str]()
    for rows in plain.values():
        for row in rows:
            step = msgspec.json.decode(row, type=StepRow)
            for fact in facts.decode_facts(step.body):
                if isinstance(fact, facts.Born):
                    born[step.case_id] += 1
                elif isinstance(fact, SupervisionContradicted):
                    contradicted[step.case_id] += 1
    assert len(born) >= 10 and set(born.values()) == {1}
    assert contradicted and set(contradicted.values()) == {1} and contradicted.keys() <= born.keys()
    told = json.dumps([row.decode() for id_, rows in plain.items() if id_ not in born for row in rows])
    assert not any(id_ in told for id_ in born), "a case tells who reads it what is proposed about it"


def test_slices_and_partitions_change_nothing(plain: dict[str, list[bytes]], sqlite_url: str) -> None:
    assert outcome(sqlite_url, (2, 1, 1)) == plain


def test_nor_does_the_database(plain: dict[str, list[bytes]], postgres_url: str) -> None:
    assert outcome(postgres_url, (4, 7, 3)) == plain

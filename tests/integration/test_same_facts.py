"""The same events give each case the same facts, to the byte: whatever the slices, the partitions, the database.

A storm of awkward events and a month of demo traffic are compared case by case, without n and partition.
"""

from __future__ import annotations

from collections import Counter

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.store.rows import StepRow
from lab import runs
from lab.runs import engine_on, month, replayed, storm
from schemas import facts
from tests.support.examples import examples


class Outcome(msgspec.Struct):
    """What a run left behind."""

    facts: dict[str, list[bytes]]
    answers: list[tuple[object, ...]]


def outcome(url: str, lines: tuple[bytes, ...], *limits: int) -> Outcome:
    """Replay into an empty database: partitions, records and steps of a slice."""
    with engine_on(url, *limits) as engine:
        replayed(engine, lines)
        runs.check_whole(engine)
        return Outcome(runs.facts(engine), runs.answers(engine))


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    """The storm on SQLite with 32 partitions and large slices."""
    return outcome(f"sqlite:///{tmp_path_factory.mktemp('plain') / 'a.db'}", storm())


def test_the_storm_holds_what_it_promises(plain: Outcome) -> None:
    told = [fact for rows in plain.facts.values() for row in rows for fact in facts.decode_facts(step(row).body)]
    kinds = Counter(type(fact) for fact in told)
    for kind in (
        facts.Parked,
        facts.Unparked,
        facts.Reworked,
        facts.Suspended,
        facts.Resumed,
        facts.ClockPaused,
        facts.ClockRetargeted,
        facts.Similar,
        facts.ClockContradicted,
        facts.ClockSkipped,
        facts.AlertRaised,
        facts.AlertEnded,
    ):
        assert kinds[kind], kind
    due = Counter(fact.due_at for fact in told if isinstance(fact, facts.ClockRung) and fact.rung == "due")
    assert due.most_common(1)[0][1] >= 10  # a burst at one instant
    assert any(instant + 1 in due for instant in due)  # and one a millisecond later
    assert {row[4] for row in plain.answers} >= {"done", "parked", "refused"}
    assert any(row[0] == "letter" and row[2] == "conflict" for row in plain.answers)
    assert len(plain.facts) == 60


def step(row: bytes) -> StepRow:
    return msgspec.json.decode(row, type=StepRow)


SQLITE = [(1, 500, 1000), (32, 7, 3), (1, 1, 1), (5, 100, 1)]
POSTGRES = [(32, 500, 1000), (1, 500, 1000), (32, 1, 1), (1, 7, 2)]


@pytest.mark.parametrize("limits", SQLITE)
def test_slices_and_partitions_change_no_fact_and_no_answer_on_sqlite(
    plain: Outcome, sqlite_url: str, limits: tuple[int, ...]
) -> None:
    assert outcome(sqlite_url, storm(), *limits) == plain


@pytest.mark.parametrize("limits", POSTGRES)
def test_nor_does_the_database(plain: Outcome, postgres_url: str, limits: tuple[int, ...]) -> None:
    assert outcome(postgres_url, storm(), *limits) == plain


def test_a_month_of_a_city_is_the_same_in_slices_of_1_and_500_on_both_databases(
    tmp_path_factory: pytest.TempPathFactory, sqlite_url: str, postgres_url: str
) -> None:
    whole = outcome(sqlite_url, month(), 32, 500, 1000)
    assert outcome(postgres_url, month(), 1, 1, 1) == whole
    other = f"sqlite:///{tmp_path_factory.mktemp('other') / 'b.db'}"
    assert outcome(other, month(), 1, 500, 1000) == whole


@settings(max_examples=examples(15))
@given(
    seed=st.integers(0, 10**6),
    partitions=st.sampled_from([1, 2, 32]),
    records=st.integers(1, 40),
    steps=st.integers(1, 12),
)
def test_any_storm_is_the_same_under_any_limits(
    tmp_path_factory: pytest.TempPathFactory, seed: int, partitions: int, records: int, steps: int
) -> None:
    folder = tmp_path_factory.mktemp("storm")
    whole = outcome(f"sqlite:///{folder / 'a.db'}", storm(seed, 9), 1, 500, 1000)
    assert outcome(f"sqlite:///{folder / 'b.db'}", storm(seed, 9), partitions, records, steps) == whole

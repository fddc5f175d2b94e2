"""An exported log, replayed into an empty database, gives every step again, with its number.

The logs hold ticks, packs and settlements; the other database decides them in other slices.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from engine.errors import LogMismatch, PackUnusable
from engine.failpoints import Interrupted, arm
from engine.log_file import is_log, with_proof
from engine.replay import export_log, replay_log
from engine.runtime import Engine
from lab import runs
from lab.runs import engine_on, month, replayed, storm


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Engine, list[bytes]]]:
    """A storm on 4 partitions, and its log."""
    with engine_on(f"sqlite:///{tmp_path_factory.mktemp('exported') / 'a.db'}", 4) as engine:
        replayed(engine, storm(3, 30))
        yield engine, list(export_log(engine))


def cases(engine: Engine) -> list[tuple[object, ...]]:
    with engine.database.read() as connection:
        return [tuple(row) for row in connection.exec_driver_sql("SELECT * FROM cases ORDER BY id")]


def check_same(again: Engine, first: Engine) -> None:
    """All that follows from the log, numbers included. What was refused by its shape never entered it."""
    assert runs.steps(again) == runs.steps(first)
    assert runs.answers(again, shapes=False) == runs.answers(first, shapes=False)
    assert again.heads == first.heads
    assert {p: (row.n, row.position) for p, row in again.rows.items()} == {
        p: (row.n, row.position) for p, row in first.rows.items()
    }
    assert sorted(cases(again)) == sorted(cases(first))


@pytest.mark.parametrize("limits", [(500, 1000), (1, 1), (13, 2)])
def test_an_exported_log_gives_the_same_steps_and_numbers_in_any_slices(
    exported: tuple[Engine, list[bytes]], database_url: str, limits: tuple[int, int]
) -> None:
    first, lines = exported
    with engine_on(database_url, 4, *limits) as again:
        assert replay_log(again, lines) == sum(line.startswith(b'{"record"') for line in lines)
        check_same(again, first)
        assert list(export_log(again)) == lines


def test_a_month_exported_from_postgresql_is_the_same_on_sqlite(postgres_url: str, sqlite_url: str) -> None:
    with engine_on(postgres_url) as first, engine_on(sqlite_url, 32, 50, 50) as again:
        replayed(first, month())
        replay_log(again, export_log(first))
        check_same(again, first)


def test_the_sealed_text_stays_where_it_is(exported: tuple[Engine, list[bytes]]) -> None:
    _, lines = exported
    assert any(b"comment.added" in line for line in lines)
    assert not any("现场无人".encode() in line or b"\\u73b0" in line for line in lines)
    assert is_log(lines[0]) and not is_log(storm(3)[0])


@pytest.mark.parametrize("failpoint", ["append.after_commit", "slice.before_commit", "slice.after_commit"])
def test_a_replay_of_a_log_that_was_interrupted_goes_on_where_it_stood(
    exported: tuple[Engine, list[bytes]], sqlite_url: str, failpoint: str
) -> None:
    first, lines = exported
    arm(f"{failpoint}:raise@3")
    try:
        with engine_on(sqlite_url, 4, 40) as again, pytest.raises(Interrupted):
            replay_log(again, lines)
    finally:
        arm("")
    with engine_on(sqlite_url, 4, 40) as again:
        assert 0 < sum(again.heads.values()) < sum(first.heads.values())
        replay_log(again, lines)
        check_same(again, first)


def test_a_log_of_another_number_of_partitions_is_refused_with_the_remedy(
    exported: tuple[Engine, list[bytes]], sqlite_url: str
) -> None:
    _, lines = exported
    with engine_on(sqlite_url, 5) as again, pytest.raises(LogMismatch, match="GRIDPATROL_PARTITIONS=4"):
        replay_log(again, lines)


def test_a_database_that_holds_another_log_is_left_alone(exported: tuple[Engine, list[bytes]], sqlite_url: str) -> None:
    _, lines = exported
    with engine_on(sqlite_url, 4) as other:
        replayed(other, storm(4, 9))
        before = runs.steps(other)
        with pytest.raises(LogMismatch, match="another log"):
            replay_log(other, lines)
        assert runs.steps(other) == before


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda lines: [], "no header"),
        (lambda lines: [b"{}", *lines], "no header"),
        (lambda lines: [b'{"log":"gridpatrol/9","partitions":4}', *lines[1:]], "gridpatrol/9"),
        (lambda lines: lines[:-1], "footer is missing"),
        (lambda lines: [*lines[:40], *lines[41:]], "one of lines 2 to 100"),  # a record is missing
        (lambda lines: [*lines[:140], lines[140][:30], *lines[141:]], "line 141"),  # cut off
        (lambda lines: [*lines[:140], b'{"record":{"partition":0}}', *lines[141:]], "line 141"),
        (
            lambda lines: with_proof(
                [
                    *[line for line in lines[:40] if not line.startswith(b'{"checkpoint"')],
                    b'{"record":{"partition":9,"position":0,"stamp":1,"kind":"tick","principal":"","body":""}}',
                ]
            ),
            "line 41",
        ),
    ],
)
def test_a_damaged_log_is_refused_and_says_where(
    exported: tuple[Engine, list[bytes]], tmp_path: Path, change, message: str
) -> None:
    _, lines = exported
    with engine_on(f"sqlite:///{tmp_path / 'a.db'}", 4) as again, pytest.raises(LogMismatch, match=message):
        replay_log(again, change(lines))


def test_a_log_whose_pack_is_missing_stops_before_it_decides_without_rules(
    exported: tuple[Engine, list[bytes]], sqlite_url: str
) -> None:
    _, lines = exported
    without = [line for line in lines if "pack" not in msgspec.json.decode(line)]
    with engine_on(sqlite_url, 4) as again:
        with pytest.raises(PackUnusable, match="names pack"):
            replay_log(again, without, unchecked=True)
        assert runs.steps(again) == []
        replay_log(again, lines)  # with it, the same log goes on
        assert runs.steps(again) == runs.steps(exported[0])

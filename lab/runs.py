"""Runs of the engine, and what is compared of them.

The facts of a case are compared as bytes, without the numbers that depend on the partitions.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from datetime import datetime
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from zoneinfo import ZoneInfo

import msgspec

from engine import files
from engine.packs import folder_of, load_pack
from engine.replay import Replayed, replay_events
from engine.runtime import Consumer, Engine
from engine.settings import Settings
from engine.store.database import Database, open_database
from engine.store.exports import steps_by_number
from engine.store.rows import StepRow
from gridpatrol.demo.month import write_month
from gridpatrol.run.following import follow
from lab.storm import Storm
from workflows.policy.model import Pack

BEFORE_ALL = 1
"""The stamp of the pack that is active before the first event."""


def consumers() -> list[Consumer]:
    """What listens to the steps in a real run."""
    return [follow]


@cache
def pack_of(name: str) -> Pack:
    """A shipped pack, compiled once, without what its posts owe in each period: what is told here is a run's own."""
    return msgspec.structs.replace(load_pack(name), duties=())


def open_at_this_release(url: str) -> Database:
    """A database with this release's tables. A SQLite file that is not there yet is copied, which spares migrations."""
    path = Path(url.removeprefix("sqlite:///"))
    if url.startswith("sqlite:") and not path.exists():
        files.make(path)
        path.write_bytes(_empty_file())
        return open_database(url)
    database = open_database(url)
    database.upgrade()
    return database


@cache
def _empty_file() -> bytes:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "empty.db"
        with closing(open_database(f"sqlite:///{path}")) as database:
            database.upgrade()
        return path.read_bytes()


@contextmanager
def engine_on(
    url: str,
    partitions: int = 32,
    slice_records: int = 500,
    slice_steps: int = 1000,
    *,
    consumers: Sequence[Consumer] = (),
) -> Iterator[Engine]:
    """An engine on a database, created if it is empty."""
    database = open_at_this_release(url)
    try:
        settings = Settings(database=url, partitions=partitions, slice_records=slice_records, slice_steps=slice_steps)
        yield Engine(database, settings, consumers)
    finally:
        database.close()


def install(engine: Engine, pack: Pack) -> None:
    """Make a pack active before everything, unless one is."""
    if engine.active() is None:
        engine.install(pack, BEFORE_ALL)
        engine.drain()


def replayed(engine: Engine, lines: Iterable[bytes], pack: str = "weiyang", until: int | None = None) -> Replayed:
    """Replay events, or go on with a replay of them that was interrupted."""
    install(engine, pack_of(pack))
    return replay_events(engine, lines, "simulation", until)


# ---- what is compared ---------------------------------------------------------------------------------------


def steps(engine: Engine) -> list[StepRow]:
    """The whole log of facts, in the order of its numbers."""
    with engine.database.read() as connection:
        return list(steps_by_number(connection))


def facts(engine: Engine) -> dict[str, list[bytes]]:
    """The facts of each case as bytes, without n and partition; the sequence within a case has no gap."""
    cases: dict[str, list[bytes]] = {}
    for row in sorted(steps(engine), key=lambda row: (row.case_id, row.seq)):
        told = cases.setdefault(row.case_id, [])
        assert row.seq == len(told) + 1, row
        told.append(msgspec.json.encode(msgspec.structs.replace(row, n=0, partition=0)))
    return cases


def numbers(engine: Engine) -> dict[int, list[int]]:
    """The numbers of the steps, by partition."""
    found: dict[int, list[int]] = {}
    for row in steps(engine):
        found.setdefault(row.partition, []).append(row.n)
    return found


def check_whole(engine: Engine) -> None:
    """Positions and numbers without gaps, up to where the partitions say that they stand."""
    told = numbers(engine)
    for row in engine.rows.values():
        assert told.get(row.partition, []) == list(range(1, row.n + 1))
        assert row.position == engine.heads[row.partition]


def answers(engine: Engine, shapes: bool = True) -> list[tuple[object, ...]]:
    """What became of every event: the first answers, and the dead letters; those of bad shape if wanted."""
    with engine.database.read() as connection:
        seen = "SELECT source, id, digest, arrival, outcome, reason, field, case_id, actor FROM seen"
        rows = [tuple(row) for row in connection.exec_driver_sql(seen)]
        kept = "SELECT 'letter', at, reason, field, source, event_id, type, case_id FROM dead_letters"
        kept += "" if shapes else " WHERE partition IS NOT NULL"
        rows += [tuple(row) for row in connection.exec_driver_sql(kept)]
        return sorted(rows, key=repr)


def derived(engine: Engine) -> dict[str, list[tuple[object, ...]]]:
    """What the consumers made of the facts. The feed's own lines follow the wall clock and are left out."""
    queries = {
        "figures": "SELECT * FROM figures WHERE value <> 0",
        "outcomes": "SELECT case_id, clock, level, cycle, target, due, stopped, result, elapsed FROM outcomes",
        "alerts": "SELECT id, kind, due_at, raised_at, status, ended_at, ended_by FROM alerts",
        "told": "SELECT alert, what FROM deliveries",
    }
    with engine.database.read() as connection:
        return {name: sorted(tuple(row) for row in connection.exec_driver_sql(sql)) for name, sql in queries.items()}


# ---- what is replayed ---------------------------------------------------------------------------------------


@cache
def month(incidents: int = 110, seed: int = 7) -> tuple[bytes, ...]:
    """A month of demo traffic, without patrols and rounds."""
    end = datetime(2026, 3, 31, 15, tzinfo=ZoneInfo("Asia/Shanghai"))
    with TemporaryDirectory() as folder:
        path = Path(folder) / "month.jsonl"
        write_month(path, folder_of("weiyang"), end, seed, incidents, rounds=False)
        return tuple(path.read_bytes().splitlines())


@cache
def storm(seed: int = 1, cases: int = 60) -> tuple[bytes, ...]:
    """A storm."""
    return tuple(Storm(seed, cases).lines())

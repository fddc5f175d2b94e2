"""Killed anywhere and started again, a run ends as if nothing had happened; a second writer is refused.

Processes die at a failpoint or at random; their facts, answers, figures and alerts are compared with those of a run
that was left alone.
"""

from __future__ import annotations

import json
import random
import signal
import time
from collections import Counter
from collections.abc import Iterator
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import pytest

from engine import admission
from engine.clock import now_ms
from engine.errors import StaleWriter
from engine.failpoints import NAMES
from engine.inbox import Submission
from engine.replay import export_log, replay_log
from engine.runtime import Engine
from engine.store.rows import SettlementRow
from lab import runs
from lab.runs import engine_on, install, pack_of, replayed, storm
from schemas.facts import decode_facts
from tests.simulation import victim as victims
from tests.support.builders import event, instant, subject
from tests.support.forks import begun, ended

LIVE = tuple(name for name in NAMES if name.startswith(("append.", "slice.")))
ON_REPLAY = ("slice.", "fold.", "alerts.before_commit", "alerts.after_commit", "replay.")
REPLAY = tuple(name for name in NAMES if name.startswith(ON_REPLAY))


def victim(*args: str, failpoint: str = "") -> BaseProcess:
    """A process that dies at a failpoint."""
    return begun(victims.begin, failpoint, *args)


def killed(*args: str, failpoint: str) -> bool:
    """Run it; whether it was killed. Any other end than that or success fails the test."""
    code = ended(victim(*args, failpoint=failpoint))
    assert code in (0, -signal.SIGKILL)
    return code != 0


def left(engine: Engine) -> tuple[object, ...]:
    """All that a run leaves behind."""
    runs.check_whole(engine)
    return runs.facts(engine), runs.answers(engine), runs.derived(engine)


# ---- a replay is killed -------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def events_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("events") / "storm.jsonl"
    path.write_bytes(b"\n".join(storm(5, 40)))
    return path


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> tuple[object, ...]:
    url = f"sqlite:///{tmp_path_factory.mktemp('undisturbed') / 'a.db'}"
    with engine_on(url, 32, consumers=runs.consumers()) as engine:
        replayed(engine, storm(5, 40))
        return left(engine)


def check_resumed(url: str, undisturbed: tuple[object, ...]) -> None:
    """Go on to the end, and compare."""
    with engine_on(url, 8, consumers=runs.consumers()) as engine:
        replayed(engine, storm(5, 40))
        assert left(engine) == undisturbed


@pytest.mark.parametrize("name", REPLAY)
def test_a_replay_killed_at_a_failpoint_goes_on_and_changes_nothing(
    name: str, sqlite_url: str, events_file: Path, undisturbed: tuple[object, ...]
) -> None:
    for count in (2, 9) if name == "slice.before_commit" else (4 + len(name) % 5,):
        assert killed("replay", sqlite_url, str(events_file), failpoint=f"{name}:kill@{count}")
    check_resumed(sqlite_url, undisturbed)


@pytest.mark.parametrize("name", ["slice.before_commit", "slice.after_commit", "fold.before_commit"])
def test_nor_on_postgresql(name: str, postgres_url: str, events_file: Path, undisturbed: tuple[object, ...]) -> None:
    assert killed("replay", postgres_url, str(events_file), failpoint=f"{name}:kill@5")
    check_resumed(postgres_url, undisturbed)


def test_a_replay_killed_at_any_moment_goes_on_and_changes_nothing(
    sqlite_url: str, events_file: Path, undisturbed: tuple[object, ...]
) -> None:
    chance = random.Random(11)
    for _ in range(3):
        process = victim("replay", sqlite_url, str(events_file))
        await_progress(Path(sqlite_url.removeprefix("sqlite:///")), chance.uniform(0, 0.25))
        process.kill()
        ended(process)
    check_resumed(sqlite_url, undisturbed)


def await_progress(database: Path, more: float) -> None:
    """Until it has begun to write (again), and a while longer."""
    wal, until = Path(f"{database}-wal"), time.monotonic() + 20
    before = wal.stat().st_mtime_ns if wal.exists() else 0
    while not (wal.exists() and wal.stat().st_mtime_ns > before) and time.monotonic() < until:
        time.sleep(0.01)
    time.sleep(more)


# ---- homes are killed at their births and endings -----------------------------------------------------------------


@pytest.fixture(scope="module")
def borne(tmp_path_factory: pytest.TempPathFactory) -> tuple[object, ...]:
    """What homes bear and end that nobody kills."""
    url = f"sqlite:///{tmp_path_factory.mktemp('borne') / 'a.db'}"
    victims.bear(url)
    with engine_on(url, 4, consumers=runs.consumers()) as engine:
        found = left(engine)
        kinds = Counter(type(f).__name__ for step in runs.steps(engine) for f in decode_facts(step.body))
        assert kinds["DutyOwed"] > 100 and kinds["DutyEnded"] > 50 and kinds["Unobserved"] == 3, kinds
        return found


def test_homes_killed_at_any_moment_bear_and_end_everything_once(
    database_url: str, borne: tuple[object, ...], tmp_path: Path
) -> None:
    chance, amid = random.Random(23), set[int]()
    with engine_on(database_url, 4) as engine:
        for _ in range(4):
            # It takes its time, or on a busy machine it is done before anybody looks.
            slow = "slice.after_read:sleep=15,slice.before_commit:sleep=15"
            process, before = victim("bear", database_url, failpoint=slow), steps_in(engine)
            while process.is_alive() and steps_in(engine) == before:
                time.sleep(0.005)
            process.join(chance.uniform(0, 0.15))
            process.kill()
            if ended(process) == -signal.SIGKILL:
                amid.add(steps_in(engine))
        assert len(amid) > 1, "it was not killed amid its work"
    victims.bear(database_url)
    with engine_on(database_url, 4, consumers=runs.consumers()) as engine:
        assert max(amid) < steps_in(engine)
        assert left(engine) == borne
        check_export_gives_the_same(engine, tmp_path)


def steps_in(engine: Engine) -> int:
    """How many steps a database has by now."""
    with engine.database.read() as connection:
        return int(connection.exec_driver_sql("SELECT coalesce(sum(n), 0) FROM partitions").scalar_one())


# ---- the live path is killed --------------------------------------------------------------------------------


def live_events(count: int = 60) -> list[dict[str, Any]]:
    """Reports of now, many with deadlines within the next second."""
    now = now_ms()
    chance = random.Random(3)
    told = []
    for number in range(1, count + 1):
        home = f"WY{number % 12 + 1:02}"
        data: dict[str, Any] = {"category": "D3-04", "source": "hotline", "grid": f"{home}-01"}
        if number % 3:
            data["deadline"] = instant(now + chance.randrange(-1000, 1500))
        told.append(event("report.submitted", "WY-12345", now, case=subject(home, number), id=f"r{number}", **data))
        if number % 2:
            told.append(event("incident.accepted", f"{home}-CHIEF", now, case=subject(home, number), id=f"a{number}"))
    return told


@pytest.mark.parametrize("name", LIVE)
def test_the_live_path_killed_between_append_and_commit_loses_and_doubles_nothing(
    name: str, sqlite_url: str, tmp_path: Path
) -> None:
    said = live_events()
    file, acks = tmp_path / "live.jsonl", tmp_path / "acks"
    file.write_text("\n".join(map(json.dumps, said)))
    assert killed("live", sqlite_url, str(file), str(acks), failpoint=f"{name}:kill@5")
    assert 0 < int(acks.read_text()) < len(said)
    victims.live(sqlite_url, str(file), str(acks))
    with engine_on(sqlite_url, 4, consumers=runs.consumers()) as engine:
        while engine.tick(now_ms() + 3_600_000):
            engine.drain()
        check_each_once(engine, said)
        check_export_gives_the_same(engine, tmp_path)


def check_each_once(engine: Engine, said: list[dict[str, Any]]) -> None:
    """Every event has one outcome, and one effect, whether or not it had to be sent again."""
    runs.check_whole(engine)
    with engine.database.read() as connection:
        seen = connection.exec_driver_sql("SELECT id, outcome FROM seen ORDER BY id").all()
        logged = connection.exec_driver_sql("SELECT count(*) FROM inbox WHERE kind = 'event'").scalar_one()
    assert [row[0] for row in seen] == sorted(item["id"] for item in said)
    assert {row[1] for row in seen} == {"done"}
    causes = [row.cause for row in runs.steps(engine) if '"id":"r' in row.cause or '"id":"a' in row.cause]
    assert len(causes) == len(set(causes)) == len(said) <= logged
    assert logged <= len(said) + victims.GROUP  # at most the group whose acknowledgement was lost


def check_export_gives_the_same(engine: Engine, tmp_path: Path) -> None:
    """The log of what happened, replayed in slices of one, gives every step again, its number too."""
    with engine_on(f"sqlite:///{tmp_path / 'again.db'}", 4, 1, 1) as again:
        replay_log(again, export_log(engine))
        assert runs.steps(again) == runs.steps(engine)


# ---- two writers --------------------------------------------------------------------------------------------


def submission(engine: Engine, number: int, home: str = "WY01") -> Submission:
    said = event(
        "report.submitted",
        "WY-12345",
        now_ms(),
        case=subject(home, number),
        id=f"r{number}",
        category="D3-04",
        source="hotline",
        grid=f"{home}-01",
    )
    received = admission.receive(json.dumps(said).encode(), "door", engine.count)
    assert isinstance(received, tuple)
    return received[0]


@pytest.fixture
def pair(database_url: str) -> Iterator[tuple[Engine, Engine]]:
    """Two engines that both believe to own the database."""
    with engine_on(database_url, 2) as first:
        install(first, pack_of("weiyang"))
        with engine_on(database_url, 2) as second:
            yield first, second


def test_a_stale_writer_cannot_append_and_reads_its_memory_again(pair: tuple[Engine, Engine]) -> None:
    first, second = pair
    first.append([submission(first, 1)], now_ms())
    with pytest.raises(StaleWriter):
        second.append([submission(second, 2)], now_ms())
    second.append([submission(second, 2)], now_ms())
    first.reload()
    first.drain()
    runs.check_whole(first)
    assert len(runs.facts(first)) == 2


def test_a_stale_writer_cannot_decide_and_reads_its_memory_again(pair: tuple[Engine, Engine]) -> None:
    first, second = pair
    first.append([submission(first, 1), submission(first, 2)], now_ms())
    second.reload()
    first.drain()
    with pytest.raises(StaleWriter):
        second.work(now_ms())
    assert second.work(now_ms()) is None  # nothing is left to decide
    assert len(runs.facts(second)) == 2
    runs.check_whole(second)


def test_a_stale_writer_cannot_settle(pair: tuple[Engine, Engine]) -> None:
    first, second = pair
    first.append([submission(first, 1)], now_ms())
    first.drain()
    with pytest.raises(StaleWriter):
        second.partitions.settle(SettlementRow(first.partition(subject()), 99, "skip", ""))
    second.partitions.settle(SettlementRow(first.partition(subject()), 99, "skip", ""))
    runs.check_whole(second)

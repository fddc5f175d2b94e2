"""A backup that is made under load is restored elsewhere, and goes on as the original did; one that is killed is none.

Enters: a server with phones that never stop, a backup beside it, kills. Leaves: a restored database whose facts are
those of one instant, and which the same later records lead to the same facts.
"""

from __future__ import annotations

import os
import signal
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from msgspec.structs import replace

from engine.store import inbox_table
from lab import runs
from lab.runs import engine_on, replayed, storm
from tests.acceptance.test_cli_serve import GRIDPATROL, Running, environment, report, run, server

PARTITIONS = 8
SLOWLY = "backup.between_pages:sleep=400"
"""Enough that the phones are heard while the pages are copied, of which there are few here."""


def settings(folder: Path, **more: str) -> dict[str, Any]:
    return {
        "GRIDPATROL_DATABASE": f"sqlite:///{folder / 'gridpatrol.db'}",
        "GRIDPATROL_PARTITIONS": str(PARTITIONS),
    } | more


@contextmanager
def phones(served: Running) -> Iterator[list[int]]:
    """Somebody reports all the time; how many events were answered with 202."""
    taken, stop, failed = [0], threading.Event(), list[BaseException]()

    def publish() -> None:
        headers = {"Content-Type": "application/cloudevents+json"}
        with httpx.Client(timeout=30) as client:
            while not stop.is_set():
                answer = client.post(f"{served.url}/v1/events", content=report(taken[0]), headers=headers)
                assert answer.status_code == 202, answer.text
                taken[0] += 1

    def guarded() -> None:
        try:
            publish()
        except BaseException as error:
            failed.append(error)

    thread = threading.Thread(target=guarded)
    thread.start()
    try:
        yield taken
    finally:
        stop.set()
        thread.join(30)
    assert failed == []


@pytest.fixture
def lived(tmp_path: Path) -> Path:
    """The folder of a database with a storm behind it."""
    folder = tmp_path / "var"
    folder.mkdir()
    with engine_on(f"sqlite:///{folder / 'gridpatrol.db'}", PARTITIONS, consumers=runs.consumers()) as engine:
        replayed(engine, storm(5, 40))
    return folder


def test_a_backup_under_load_is_of_one_instant_and_goes_on_to_the_same_facts(lived: Path, tmp_path: Path) -> None:
    kept, place = tmp_path / "kept" / "a.db", tmp_path / "elsewhere"
    place.mkdir()
    with server(lived, **settings(lived)) as served:
        with phones(served) as taken:
            before = taken[0]
            run(lived, "backup", str(kept), **settings(lived, GRIDPATROL_FAILPOINT=SLOWLY))
            meanwhile = taken[0] - before
        assert meanwhile > 10
        assert served.stop() == 0
    run(place, "restore", str(kept), **settings(place))
    assert "Everything" in run(place, "verify", **settings(place)).stdout
    with (
        engine_on(f"sqlite:///{lived / 'gridpatrol.db'}", PARTITIONS) as original,
        engine_on(f"sqlite:///{place / 'gridpatrol.db'}", PARTITIONS) as restored,
    ):
        whole, found = runs.steps(original), runs.steps(restored)
        ends = {partition: row.n for partition, row in restored.rows.items()}
        assert found == [step for step in whole if step.n <= ends[step.partition]] != whole
        with original.database.read() as reader, restored.database.begin() as writer:
            for partition, head in restored.heads.items():
                later = inbox_table.read(reader, partition, head, 1_000_000)
                inbox_table.append(writer, [replace(row) for row in later])
        restored.reload()
        restored.drain()
        assert runs.steps(restored) == whole


@pytest.mark.parametrize("place", ["backup.between_pages", "file.before_rename"])
def test_a_backup_that_is_killed_leaves_no_file_and_the_next_one_is_whole(
    lived: Path, tmp_path: Path, place: str
) -> None:
    kept = tmp_path / "a.db"
    killed = subprocess.run(
        [*GRIDPATROL, "backup", str(kept)],
        env=environment(**settings(lived, GRIDPATROL_FAILPOINT=f"{place}:kill")),
        cwd=lived,
        timeout=60,
    )
    assert killed.returncode == -signal.SIGKILL
    assert not kept.exists() and Path(f"{kept}.partial").exists()
    run(lived, "backup", str(kept), **settings(lived))
    assert not Path(f"{kept}.partial").exists()
    assert subprocess.run(["sha256sum", "--check", "--quiet", "a.db.sha256"], cwd=tmp_path).returncode == 0


def test_a_restore_that_is_killed_leaves_the_place_empty_and_can_be_given_again(lived: Path, tmp_path: Path) -> None:
    kept, place = tmp_path / "a.db", tmp_path / "elsewhere"
    place.mkdir()
    run(lived, "backup", str(kept), **settings(lived))
    killed = subprocess.run(
        [*GRIDPATROL, "restore", str(kept)],
        env=environment(**settings(place, GRIDPATROL_FAILPOINT="file.before_rename:kill")),
        cwd=place,
        timeout=60,
    )
    assert killed.returncode == -signal.SIGKILL
    assert not (place / "gridpatrol.db").exists()
    run(place, "restore", str(kept), **settings(place))
    assert os.listdir(place) and "Everything" in run(place, "verify", **settings(place)).stdout

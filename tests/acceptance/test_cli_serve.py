"""The command as a real process: it serves, is spoken to by other commands, is killed, and starts again.

Enters: databases on disk and signals. Leaves: exit statuses, sentences, and facts that no kill has changed.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import chdir, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from engine import admission
from engine.clock import now_ms
from engine.runtime import Engine
from engine.settings import Settings
from engine.store.database import open_database
from lab.parts.forks import Forked
from schemas.refusals import Refusal
from tests.support.forks import command_in

GRIDPATROL = [sys.executable, "-m", "gridpatrol"]
command = [*GRIDPATROL]
"""How `run` calls it: as a process of its own, and in this file as a fork of one."""
WITHIN_S = 60
SUBJECT = "WY01.019ca8f8-5a00-7000-8000-{:012x}"


def environment(**more: str) -> dict[str, str]:
    """Nobody's settings but ours."""
    return {name: value for name, value in os.environ.items() if not name.startswith("GRIDPATROL_")} | more


def run(folder: Path, *words: str, status: int | None = 0, stdin: str = "", **more: str):
    """A command that ends by itself."""
    done = subprocess.run(
        [*command, *words],
        cwd=folder,
        env=environment(**more),
        input=stdin,
        text=True,
        capture_output=True,
        timeout=WITHIN_S,
    )
    assert status is None or done.returncode == status, (done.stdout, done.stderr)
    assert "Traceback" not in done.stdout + done.stderr
    return done


@pytest.fixture(scope="module", autouse=True)
def forked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """The commands of this file are forked: tests/integration/test_forks.py shows that they are the same."""
    folder = tmp_path_factory.mktemp("bin")
    with command_in(folder):
        command[:] = [str(folder / "gridpatrol")]
        try:
            yield
        finally:
            command[:] = GRIDPATROL


class Running:
    """A server with its output and its address."""

    def __init__(self, process: subprocess.Popen[str] | Forked, log: Path) -> None:
        self.process, self.log = process, log
        self.url = self._read(r"(?:listens|alive) at (\S+)")

    def _read(self, pattern: str) -> str:
        until = time.monotonic() + WITHIN_S
        while time.monotonic() < until:
            found = re.search(pattern, self.log.read_text())
            if found:
                return found[1]
            assert self.process.poll() is None, self.log.read_text()
            time.sleep(0.05)
        raise AssertionError(self.log.read_text())

    def stop(self, number: int = signal.SIGTERM) -> int:
        """Send a signal; the exit status."""
        self.process.send_signal(number)
        return self.process.wait(20)

    def get(self, path: str) -> Any:
        answer = httpx.get(f"{self.url}{path}", timeout=WITHIN_S)
        assert answer.status_code == 200, answer.text
        return answer.json()


@contextmanager
def server(folder: Path, *words: str, ready: bool = True, executed: bool = False, **more: str) -> Iterator[Running]:
    """A server of `folder`'s database on a free port, `ready` or not; it does not outlive the block. It is forked,
    unless it is to be executed, or is given a library that is loaded only then."""
    log = folder / f"log-{time.monotonic_ns()}.txt"
    told = [*(words or ("serve",)), "--listen", "127.0.0.1:0"]
    process: subprocess.Popen[str] | Forked
    with chdir(folder), log.open("w") as output:
        if executed or "LD_PRELOAD" in more:
            called = [*GRIDPATROL, *told]
            process = subprocess.Popen(
                called, env=environment(**more), stdout=output, stderr=subprocess.STDOUT, text=True
            )
        else:
            process = Forked(told, environment(**more), log)
    try:
        running = Running(process, log)
        assert httpx.get(f"{running.url}/readyz", timeout=WITHIN_S).is_success == ready
        yield running
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()


def report(number: int, actor: str = "WY01-01-MEMBER", kind: str = "report.submitted", **data: Any) -> str:
    data = data or {"category": "D3-01", "source": "patrol", "grid": "WY01-01"}
    return (
        json.dumps(
            {
                "specversion": "1.0",
                "id": f"cli-{number}",
                "source": "/tests",
                "type": f"gridpatrol.{kind}.v1",
                "subject": SUBJECT.format(1 if kind != "report.submitted" else number),
                "time": datetime.now(UTC).isoformat(),
                "actor": actor,
                "data": data,
            }
        )
        + "\n"
    )


def test_a_record_from_the_future_halts_its_partition_until_an_operator_settles_it(tmp_path: Path) -> None:
    """A host whose clock was an hour ahead wrote it. The other partitions go on."""
    run(tmp_path, "publish", "-", stdin=report(1))
    database = open_database(f"sqlite:///{tmp_path}/var/gridpatrol.db")
    received = admission.receive(report(2).encode(), "local", 32)
    assert not isinstance(received, Refusal)
    [row] = Engine(database, Settings()).append([received[0]], now_ms() + 3_600_000)
    database.close()
    where = (str(row.partition), str(row.position))
    with server(tmp_path) as running:
        assert [item["partition"] for item in running.get("/readyz")["halted"]] == [row.partition]
        assert len(running.get("/v1/incidents")["incidents"]) == 1
        assert "not in the log" in run(tmp_path, "log", "settle", where[0], "99999", "--skip", status=1).stderr
        run(tmp_path, "log", "settle", *where, "--stamp", datetime.now(UTC).isoformat(), "--why", "clock ahead")
        until = time.monotonic() + 10
        while len(running.get("/v1/incidents")["incidents"]) < 2 and time.monotonic() < until:
            time.sleep(0.1)
        assert len(running.get("/v1/incidents")["incidents"]) == 2
        assert running.get("/readyz")["halted"] == []
    run(tmp_path, "log", "export", "-o", "log.jsonl")
    run(tmp_path, "replay", "log.jsonl", "--database", "sqlite:///again.db")
    exports = [run(tmp_path, "facts", "export", *more).stdout for more in ((), ("--database", "sqlite:///again.db"))]
    assert exports[0] == exports[1] != ""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_in_order_and_the_next_start_goes_on(tmp_path: Path, number: int) -> None:
    with server(tmp_path, executed=True) as running:
        run(tmp_path, "publish", "-", stdin=report(1))
        assert running.stop(number) == 0
        assert "Stopped" in running.log.read_text() and "Traceback" not in running.log.read_text()
    with server(tmp_path) as running:
        assert running.get("/v1/incidents")["incidents"][0]["id"] == SUBJECT.format(1)
        assert running.stop() == 0


def test_a_busy_address_is_told_in_one_sentence_before_anything_is_done(tmp_path: Path) -> None:
    with server(tmp_path) as running:
        address = running.url.removeprefix("http://")
        database = f"sqlite:///{tmp_path}/other.db"
        output = run(tmp_path, "serve", "--listen", address, "--database", database, status=75).stderr
        assert address in output and "--listen" in output and len(output.strip().splitlines()) == 1
        assert not (tmp_path / "other.db").exists()


def test_logs_for_machines_are_json_line_by_line(tmp_path: Path) -> None:
    (tmp_path / "gridpatrol.toml").write_text('log_format = "json"\nlog_level = "DEBUG"\n')
    with server(tmp_path) as running:
        assert running.stop() == 0
    lines = [line for line in running.log.read_text().splitlines() if line.startswith("{")]
    assert lines and all({"event", "level", "timestamp", "logger"} <= set(json.loads(line)) for line in lines)

"""The door of a real process, from a request's bytes to figures and alerts; the load has a process of its own.

Enters: the URL of an empty database. Leaves: CPU time of all processes but the load, rates, and how long answers,
readable states and alerts take. A run counts until everything that was sent is decided and followed; that as much was
decided as was sent is checked.
"""

import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from engine.store import positions, recording, slices
from engine.store.database import Database, open_database
from gridpatrol import cpu
from gridpatrol.bench.load import Job, LoadRun, rank
from gridpatrol.run.following import NAMES

OPEN_S = 60.0
LOOK_S = 0.01
PATIENCE_S = 120.0
WARM = 1_000
"""Requests before the clock runs."""
LISTENING = re.compile(r"listens at (\S+)")


class DoorRun(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One load. `cpu_ms` is that of an event, of all processes but the load's, whose own is `load_cpu_ms`; it took
    `load_percent` of the machine. `events_per_s` counts until everything was decided and followed, `answers_per_s`
    until everything was answered. The seconds are those of an answer, or of what the load timed."""

    in_flight: int
    events: int
    events_per_s: int
    answers_per_s: int
    cpu_ms: float
    load_cpu_ms: float
    load_percent: float
    p50_s: float
    p99_s: float
    longest_s: float
    alerts: int = 0
    alert_p50_s: float = 0
    alert_p99_s: float = 0
    alert_longest_s: float = 0

    def with_client(self) -> "DoorRun":
        """The same, where the CPU time of the load counts as well."""
        return replace(self, cpu_ms=round(self.cpu_ms + self.load_cpu_ms, 4))

    def of_alerts(self) -> "DoorRun":
        """The same, timed by its alerts. RuntimeError where none was heard."""
        if not self.alerts:
            raise RuntimeError("no alert was heard")
        return replace(self, p50_s=self.alert_p50_s, p99_s=self.alert_p99_s, longest_s=self.alert_longest_s)


class Door:
    """A process that serves a database, and what it spends."""

    def __init__(self, url: str, process: subprocess.Popen[str], database: Database) -> None:
        self.url, self.process, self.database = url, process, database
        self.seeds = count(1)
        self.backend = recording.backend_pid(database)

    def cpu(self) -> float:
        """CPU seconds of the process and of the database's server."""
        return (cpu.of_family(self.process.pid) or 0.0) + (cpu.of_server(self.backend) or 0.0)

    def decided(self) -> int:
        """Steps so far."""
        with self.database.read() as connection:
            return sum(row.n for row in slices.read_partitions(connection))

    def followed(self) -> bool:
        """Whether the consumers have taken every step in."""
        with self.database.read() as connection:
            return not any(behind for _, behind in positions.count_behind(connection, NAMES))

    def measure(self, number: int, in_flight: int, **job: Any) -> DoorRun:
        """Send so many chains of requests; what that took until all was followed."""
        wanted = Job(url=self.url, number=number, in_flight=in_flight, seed=next(self.seeds), **job)
        with loading(wanted) as start:
            before, spent, began = self.decided(), self.cpu(), time.perf_counter()
            loaded = start()
            # Every event here makes one step; clocks that ring meanwhile make more.
            while self.decided() < before + loaded.events or not self.followed():
                if self.process.poll() is not None or time.perf_counter() - began > PATIENCE_S:
                    raise RuntimeError(f"{loaded.events} events were answered, {self.decided() - before} steps made")
                time.sleep(LOOK_S)
            seconds, spent = time.perf_counter() - began, self.cpu() - spent
        alerts = loaded.alerts_s
        return DoorRun(
            in_flight=in_flight,
            events=loaded.events,
            events_per_s=round(loaded.events / seconds),
            answers_per_s=round(loaded.events / loaded.seconds),
            cpu_ms=round(1000 * spent / loaded.events, 4),
            load_cpu_ms=round(1000 * loaded.cpu_s / loaded.events, 4),
            load_percent=round(100 * loaded.cpu_s / loaded.seconds / (os.cpu_count() or 1), 1),
            p50_s=round(loaded.p50_s, 5),
            p99_s=round(loaded.p99_s, 5),
            longest_s=round(loaded.longest_s, 5),
            alerts=len(alerts),
            alert_p50_s=round(rank(alerts, 0.5), 5) if alerts else 0.0,
            alert_p99_s=round(rank(alerts, 0.99), 5) if alerts else 0.0,
            alert_longest_s=round(alerts[-1], 5) if alerts else 0.0,
        )

    def warm(self, scale: float) -> None:
        """Requests of every kind, so that caches are full and statements prepared."""
        for said in ("reports", "incidents"):
            self.measure(max(50, int(WARM * scale)), 16, said=said)


@contextmanager
def loading(job: Job) -> Iterator[Any]:
    """A load that is prepared; called, it is sent and says what came of it. RuntimeError where it was not taken."""
    command = [sys.executable, "-m", "gridpatrol.bench.load"]
    with (
        TemporaryFile("w+") as errors,
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, text=True) as process,
    ):
        assert process.stdin is not None and process.stdout is not None
        said, heard = process.stdin, process.stdout

        def ask(line: str) -> str:
            said.write(f"{line}\n")
            said.flush()
            if not (answer := heard.readline()):
                process.wait()
                errors.seek(0)
                raise RuntimeError(f"the load ended: {errors.read()[-2000:]}")
            return answer

        try:
            ask(msgspec.json.encode(job).decode())
            yield lambda: msgspec.json.decode(ask("go"), type=LoadRun)
        finally:
            process.kill()


@contextmanager
def serving(database_url: str, folder: Path, **settings: str) -> Iterator[Door]:
    """`gridpatrol serve` on a database, until the block ends."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GRIDPATROL_")}
    environment |= {
        "GRIDPATROL_DATABASE": database_url,
        "GRIDPATROL_LISTEN": "127.0.0.1:0",
        "GRIDPATROL_LOG_LEVEL": "WARNING",
        "GRIDPATROL_IDLE_MS": "60000",  # between two requests of the load lies, at low rates, more than a phone's pause
        **settings,
    }
    command = [sys.executable, "-m", "gridpatrol", "serve"]
    log = folder / "serve.log"
    with (
        log.open("a") as errors,
        subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=errors, env=environment, cwd=folder, text=True
        ) as process,
    ):
        try:
            assert process.stdout is not None
            line = process.stdout.readline()  # nothing before the door is open
            if not (found := LISTENING.search(line)):
                raise RuntimeError(f"the door did not open: {line} {log.read_text()[-2000:]}")
            database = open_database(database_url)
            try:
                yield Door(found[1], process, database)
            finally:
                database.close()
        finally:
            process.terminate()

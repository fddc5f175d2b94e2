"""`make cluster` as somebody uses it: started, looked at, stopped, killed, started again.

Enters: a folder; signals. Leaves: what was printed, what the door answers, and no process.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from lab.parts.processes import alive, descendants, eventually

ROOT = Path(__file__).parents[2]
WITHIN_S = 180.0
PASSED_ON = ("GRIDPATROL_KAFKA_JARS", "GRIDPATROL_MAVEN")
LINE = re.compile(r"events ([\d,]+) .*? folded ([\d,]+) .*? alerts ([\d,]+)")


class Running:
    """The command, its output and all processes that it started."""

    def __init__(self, process: subprocess.Popen[bytes], log: Path) -> None:
        self.process, self.log = process, log

    def said(self) -> str:
        return self.log.read_text(errors="replace")

    def await_said(self, pattern: str) -> re.Match[str]:
        """Something that it prints."""

        def look() -> re.Match[str] | None:
            assert self.process.poll() is None, self.said()
            return re.search(pattern, self.said())

        found = eventually(look, lambda: f"{pattern}\n{self.said()}", WITHIN_S)
        assert found is not None
        return found

    def figures(self) -> tuple[int, int, int]:
        """Events, steps in the figures, alerts, by the last line."""
        found = LINE.findall(self.said())
        events, folded, alerts = found[-1] if found else ("0", "0", "0")
        return int(events.replace(",", "")), int(folded.replace(",", "")), int(alerts.replace(",", ""))

    def get(self, path: str) -> Any:
        door = self.await_said(r"alive at (http://\S+)")[1]
        with urllib.request.urlopen(f"{door}{path}", timeout=20) as answer:
            return json.loads(answer.read())

    def end(self, number: int, within_s: float = 30) -> tuple[int, set[int]]:
        """Send a signal. The exit status, and what it had started."""
        started = descendants(self.process.pid)
        self.process.send_signal(number)
        return self.process.wait(within_s), started


@pytest.fixture
def home(kafka_parts: object) -> Iterator[Path]:
    """A folder that everybody may enter: PostgreSQL does not run as root. Skipped where no broker can be had."""
    folder = Path(tempfile.mkdtemp(prefix="gridpatrol-cluster-"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


@contextmanager
def cluster(home: Path, *words: str) -> Iterator[Running]:
    """The command; whatever it started ends with the block."""
    log = home / "screen.txt"
    environment = {n: v for n, v in os.environ.items() if not n.startswith("GRIDPATROL_") or n in PASSED_ON}
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "lab.cluster", "--home", str(home), "--rate", "8", *words],
            cwd=ROOT,
            env=environment,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    try:
        yield Running(process, log)
    finally:
        if process.poll() is None:
            process.terminate()
            process.wait(60)


def test_it_shows_a_living_city_goes_on_after_a_kill_and_stops_without_a_trace(home: Path) -> None:
    with cluster(home) as running:
        running.await_said("alive at")

        def lively() -> bool:
            events, folded, alerts = running.figures()
            return events > 40 and folded > 30 and alerts > 0

        eventually(lively, running.said, WITHIN_S)
        assert running.get("/v1/incidents?overdue=true")["incidents"]
        assert any(row["counts"].get("reported") for row in running.get("/v1/performance?by=grid")["rows"])
        command = running.await_said(r"\.venv/bin/python (-m lab\.read_topic) (\S+) --kafka (\S+)")
        topic, kafka = command[2].replace("alerts", "facts"), command[3]
        read = [sys.executable, "-m", "lab.read_topic", topic, "--kafka", kafka, "--once"]
        told = subprocess.run(read, cwd=ROOT, capture_output=True, text=True, timeout=60)
        assert "ce_type=gridpatrol.step.v1" in told.stdout, told.stderr
        second = subprocess.run(
            [sys.executable, "-m", "lab.cluster", "--home", str(home)],
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert second.returncode == 1 and "it runs already" in second.stderr
        events = running.figures()[0]
        _, started = running.end(signal.SIGKILL)
        assert len(started) > 7
        eventually(lambda: not any(map(alive, started)), "nothing outlives a killed parent", 40)

    with cluster(home) as running:
        running.await_said("alive at")
        eventually(lambda: running.figures()[0] > events, running.said, WITHIN_S)
        status, started = running.end(signal.SIGINT)
        assert status == 0, running.said()
        assert len(started) > 7 and not any(map(alive, started))
        assert "the next start goes on from here" in running.said()
        assert "Traceback" not in running.said()


def test_it_can_be_stopped_while_it_starts(home: Path) -> None:
    with cluster(home) as running:
        running.await_said("2/4")
        status, started = running.end(signal.SIGTERM, within_s=60)
        assert status == 0, running.said()
        assert not any(map(alive, started))
        assert "Traceback" not in running.said()

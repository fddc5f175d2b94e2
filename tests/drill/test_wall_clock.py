"""Real servers and commands on machines whose clocks are set while they run: `lab.parts.shifted_clock`."""

from __future__ import annotations

import json
import shutil
import signal
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from lab.parts.shifted_clock import Clock, ClockUnavailable
from tests.acceptance.test_cli_serve import Running, report, run, server
from tests.conftest import IN_CI
from tests.support.serving import CLOUDEVENT, wait_until

DAY = 86_400
HERE = ("--database", "sqlite:///var/gridpatrol.db")
"""Said where no server runs yet: another one of this machine is not meant."""
EVEN = 61
"""Seconds of even running after which a clock is believed again. The machine sleeps through them."""


@pytest.fixture
def clock(tmp_path: Path) -> Clock:
    try:
        return Clock(tmp_path)
    except ClockUnavailable as reason:
        if IN_CI:
            raise
        pytest.skip(f"no clock to set: {reason}")


def post(running: Running, event: str) -> httpx.Response:
    return httpx.post(f"{running.url}/v1/events", content=event, headers=CLOUDEVENT | {"Prefer": "wait=10"}, timeout=30)


def ready(running: Running) -> httpx.Response:
    return httpx.get(f"{running.url}/readyz", timeout=30)


def is_ready(running: Running) -> Callable[[], bool]:
    return lambda: ready(running).is_success


def when(event: str, seconds: int) -> str:
    """The event as a phone tells it whose clock agrees with the machine's."""
    at = datetime.now(UTC) + timedelta(seconds=seconds)
    return json.dumps(json.loads(event) | {"time": at.isoformat()}) + "\n"


def arrivals(folder: Path, **here: Any) -> list[str]:
    """The day of each fact."""
    lines = run(folder, "facts", "export", **here).stdout.splitlines()
    return [str(datetime.fromtimestamp(json.loads(line)["at"] / 1000, UTC).date()) for line in lines]


def test_a_server_whose_clock_jumps_stands_and_goes_on_also_after_a_restart(tmp_path: Path, clock: Clock) -> None:
    here: dict[str, Any] = clock.environment
    with server(tmp_path, **here) as running:
        assert post(running, report(1)).json()["outcome"] == "done"
        clock.shift(400 * DAY + 60)  # two clocks are read one after the other: a moment apart
        wait_until(lambda: not ready(running).is_success)
        refused = post(running, report(2))
        assert (refused.status_code, refused.json()["reason"]) == (503, "clock")
        assert 1 <= int(refused.headers["retry-after"]) <= 60 and "clock settle" in refused.json()["remedy"]
        time.sleep(1.5)  # three such seconds once told 42 alerts
        assert running.get("/v1/alerts")["alerts"] == []
        shown = json.loads(run(tmp_path, "clock", "show", "--json", **here).stdout)
        assert "400 d later than a moment before" in shown["doubt"] and shown["boot_clock"] == "CLOCK_BOOTTIME"
        assert "gridpatrol_clock_doubted 1" in httpx.get(f"{running.url}/metrics").text
        running.process.send_signal(signal.SIGKILL)
    with server(tmp_path, ready=False, **here) as running:
        assert "what this database knows of the time" in running.log.read_text()
        assert post(running, report(2)).status_code == 503
        clock.shift(0)
        wait_until(lambda: "evenly" in ready(running).json()["remedy"])
        clock.sleep(EVEN)
        wait_until(is_ready(running))
        assert post(running, when(report(2), EVEN)).json()["outcome"] == "done"
        assert running.get("/v1/alerts")["alerts"] == []
    today = {str((datetime.now(UTC) + timedelta(days=days)).date()) for days in (0, 1)}
    assert set(arrivals(tmp_path, **here)) <= today


def test_a_server_that_is_stopped_and_a_machine_that_sleeps_are_well(tmp_path: Path, clock: Clock) -> None:
    here: dict[str, Any] = clock.environment
    with server(tmp_path, **here) as running:
        for slept in (0, 8 * 3600, 9 * 3600):
            running.process.send_signal(signal.SIGSTOP)
            clock.sleep(slept)
            time.sleep(0.5)
            running.process.send_signal(signal.SIGCONT)
            assert ready(running).is_success
            assert post(running, when(report(slept // 3600 + 1), slept)).json()["outcome"] == "done"
        assert "wall clock" not in running.log.read_text()


def test_after_holidays_or_a_restored_backup_the_sentence_names_the_one_command(tmp_path: Path, clock: Clock) -> None:
    here: dict[str, Any] = clock.environment
    assert run(tmp_path, "publish", "-", *HERE, stdin=report(1), **here).stdout.strip() == "1 done"
    shutil.copy(tmp_path / "var" / "gridpatrol.db", tmp_path / "backup.db")
    clock.sleep(8 * DAY)  # it was off
    for words in (("publish", "-"), ("pack", "activate", "weiyang")):
        said = run(tmp_path, *words, stdin=when(report(2), 8 * DAY), status=75, **here).stderr
        assert "8 d later than what this database knows of the time" in said and "`gridpatrol clock settle`" in said
    with server(tmp_path, ready=False, **here) as running:
        assert "`gridpatrol clock settle`" in running.log.read_text()
        assert len(running.get("/v1/incidents")["incidents"]) == 1, "everything can be read"
        said = run(tmp_path, "clock", "settle", "--why", "off over the holidays", **here).stdout
        assert said.startswith("The wall clock is believed")
        assert ready(running).is_success
        assert post(running, when(report(2), 8 * DAY)).json()["outcome"] == "done"
        assert running.stop() == 0 and "clock.settled" in running.log.read_text()
    assert "off over the holidays" in run(tmp_path, "clock", "show", **here).stdout
    with server(tmp_path, **here):
        pass  # it is not asked again

    shutil.copy(tmp_path / "backup.db", tmp_path / "var" / "gridpatrol.db")
    run(tmp_path, "clock", "settle", **here)  # under the lease
    with server(tmp_path, **here) as running:
        assert post(running, when(report(2), 8 * DAY)).json()["outcome"] == "done"


def test_a_replayed_future_is_refused_until_its_time_has_come_or_may_stand_still(tmp_path: Path, clock: Clock) -> None:
    here: dict[str, Any] = clock.environment
    (tmp_path / "future.jsonl").write_text(when(report(1), 2 * 3600))
    run(tmp_path, "replay", "future.jsonl", *HERE, **here)
    assert "1 h 59 min ahead" in run(tmp_path, "publish", "-", stdin=report(2), status=75, **here).stderr
    with server(tmp_path, **here) as running:
        halted = ready(running).json()["halted"]  # that of the report, and those in which duties are owed
        assert halted and all("ahead of the wall clock" in each["why"] for each in halted)
        assert post(running, report(2)).json()["reason"] == "clock"
        assert "is refused" in run(tmp_path, "clock", "settle", **here).stdout
        assert "stands still" in run(tmp_path, "clock", "settle", "--stand-still", **here).stdout
        assert post(running, report(2)).json()["outcome"] == "done"
        assert ready(running).json()["halted"] == []
    day = {line[:10] for line in arrivals(tmp_path, **here)}
    assert len(day) <= 2


def test_a_log_that_a_clock_ahead_has_dated_is_replayed_with_settled_stamps(tmp_path: Path, clock: Clock) -> None:
    """As a release would have left it that believed every clock: the clock is ahead at a start, by less than a week."""
    here: dict[str, Any] = clock.environment
    run(tmp_path, "publish", "-", *HERE, stdin=report(1), **here)
    clock.shift(5 * DAY)
    run(tmp_path, "publish", "-", stdin=report(2), **here)
    clock.shift(0)
    assert "earlier than what" in run(tmp_path, "publish", "-", stdin=report(3), status=75, **here).stderr
    now = datetime.now(UTC).isoformat()
    run(tmp_path, "log", "export", "--settle-after", now, "-o", "settled.jsonl", **here)
    run(tmp_path, "replay", "settled.jsonl", "--database", "sqlite:///settled.db", **here)
    settled: dict[str, Any] = {"GRIDPATROL_DATABASE": "sqlite:///settled.db", **here}
    assert run(tmp_path, "publish", "-", stdin=report(3), **settled).stdout.strip() == "1 done"
    days = set(arrivals(tmp_path, **settled))
    assert len(days) == 1 and len(set(arrivals(tmp_path, **here))) == 2
    assert run(tmp_path, "verify", **settled).stdout.startswith("Everything")

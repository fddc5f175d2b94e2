"""Values of devices while the server that takes them is killed, and a small form of the bench of ten thousand devices.

Enters: batches, signals, failpoints. Leaves: one case for each episode, with one beginning and one end.
"""

from __future__ import annotations

import signal
from collections import Counter
from pathlib import Path
from typing import Any

import httpx
import pytest

from engine.clock import now_ms
from engine.store import open_counts
from engine.store.database import open_database
from gridpatrol.bench.door import serving
from gridpatrol.bench.signals import batches, ended, measure_signals, write_pack
from lab.parts.processes import eventually
from tests.acceptance.test_cli_serve import WITHIN_S, forked, run, server

__all__ = ["forked"]
DEVICES, EPISODES, SECONDS = 500, 5, 24
PATH = "/v1/signals/values"
JSON = {"Content-Type": "application/json"}


def send(url: str, second: int, begin: int) -> None:
    """The values of a second, until they are answered."""
    for body in batches(DEVICES, second, begin, 250):
        assert httpx.post(f"{url}{PATH}", content=body, headers=JSON, timeout=WITHIN_S).status_code == 200


def check(folder: Path, url: str) -> None:
    """Each episode is one case, and each has one incident; `verify` finds nothing."""
    with_ends = f"{url}/v1/incidents?definition=signal&open=all&limit=100"
    found: list[dict[str, Any]] = httpx.get(with_ends, timeout=WITHIN_S).json()["incidents"]
    assert Counter(each["state"] for each in found) == {"subsided": EPISODES}
    incidents = httpx.get(f"{url}/v1/incidents?limit=100", timeout=WITHIN_S).json()["incidents"]
    assert len(incidents) == EPISODES
    run(folder, "verify")


@pytest.mark.mechanism("M73")
@pytest.mark.parametrize("place", ["signals.stored:kill@2", "signals.stored:kill@6", "signals.said:kill"])
def test_a_server_killed_in_the_middle_of_episodes_says_each_once(tmp_path: Path, place: str) -> None:
    pack, begin = str(write_pack(tmp_path, DEVICES)), now_ms() - 60_000
    second = 0
    with server(tmp_path, GRIDPATROL_PACK=pack, GRIDPATROL_FAILPOINT=place) as running:
        try:
            while second < SECONDS:
                send(running.url, second, begin)
                second += 1
        except httpx.TransportError:
            pass
        assert running.process.wait(WITHIN_S) in (-signal.SIGKILL, 128 + signal.SIGKILL)
    with server(tmp_path, GRIDPATROL_PACK=pack) as running:
        for again in range(max(0, second - 1), SECONDS):  # the last answered one may be sent again as well
            send(running.url, again, begin)
        database = open_database(f"sqlite:///{tmp_path}/var/gridpatrol.db")
        try:
            eventually(lambda: ended(database) == EPISODES, "every episode is over")
            with database.read() as connection:
                kinds = Counter(kind for kind, *_, count in open_counts.by_state(connection) for _ in range(count))
        finally:
            database.close()
        assert kinds["signal"] == EPISODES
        check(tmp_path, running.url)


@pytest.mark.mechanism("M73", "M116")
def test_no_episode_of_many_devices_is_lost(tmp_path: Path) -> None:
    pack = str(write_pack(tmp_path, 1_000))
    with serving(f"sqlite:///{tmp_path}/bench.db", tmp_path, GRIDPATROL_PACK=pack) as door:
        found = measure_signals(door, 1_000, SECONDS, now_ms() - 60_000)
    assert (found.values, found.episodes) == (24_000, 10)
    assert found.cpu_us > 0 and found.values_per_s > 0

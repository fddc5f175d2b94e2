"""Role `all`: one command runs one process per role, and none of them outlives it.

Enters: a broker, a PostgreSQL, kills. Leaves: which processes there are, what was logged, what an event became.
"""

from __future__ import annotations

import os
import re
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab.installation import Installation, Role, installation
from lab.parts.processes import WITHIN_S, alive, children, eventually
from lab.runs import storm


@pytest.fixture
def place(tmp_path: Path, kafka_server: str, kafka_prefix: str, postgres_url: str) -> Iterator[Installation]:
    with installation(tmp_path, kafka_server, postgres_url, prefix=kafka_prefix, forked=False) as built:
        yield built


def started(place: Installation) -> Role:
    """Role all, with its door ready."""
    place.start("all-1")
    role = place["all-1"]
    eventually(lambda: _has_door(role), lambda: f"a gateway\n{role.said()[-3000:]}")
    role.await_ready()
    return role


def _has_door(role: Role) -> bool:
    """Whether the gateway has told its address; the other roles tell theirs in lines that name them."""
    for line in role.said().splitlines():
        found = re.search(r"url='?(http://[^\s']+)", line)
        if found and "partitions=" in line:
            role.url = found[1]
    return bool(role.url)


def pids(role: Role) -> set[int]:
    assert role.process is not None
    return children(role.process.pid)


def four(role: Role) -> set[int]:
    """All roles run."""
    return eventually(lambda: pids(role) if len(pids(role)) == 4 else set(), "four roles")


def test_one_command_runs_every_role_and_an_event_is_decided(place: Installation) -> None:
    role = started(place)
    before = four(role)
    answer = place.publish(storm()[:50], wait=20, gateway="all-1")
    assert answer["accepted"] + answer["rejected"] == 50
    assert all(result["outcome"] for result in answer["results"] if result["status"] == "accepted")

    stopped_at = time.monotonic()
    assert role.stop() == 0
    assert time.monotonic() - stopped_at < 15
    assert not [pid for pid in before if alive(pid)]


def test_a_killed_role_comes_back_and_the_others_never_stopped(place: Installation) -> None:
    role = started(place)
    before = four(role)
    for pid in sorted(before)[1:3]:
        os.kill(pid, signal.SIGKILL)
    eventually(lambda: len(pids(role) - before) == 2, "killed roles come back")
    assert len(pids(role) & before) == 2
    assert role.said().count("killed by signal 9") == 2
    answer = place.publish(storm()[:20], wait=25, gateway="all-1")
    assert all(result["outcome"] for result in answer["results"] if result["status"] == "accepted")


def test_no_role_outlives_a_killed_parent(place: Installation) -> None:
    role = started(place)
    before = four(role)
    role.kill()
    eventually(lambda: not any(map(alive, before)), f"outlived their parent: {before}", within_s=20)


def test_a_role_that_can_never_work_is_tried_less_and_less_often_and_says_why(
    place: Installation, tmp_path: Path
) -> None:
    principals = tmp_path / "principals.toml"
    principals.write_text("[principal.gateway]\nactors = ['*']\n")
    place.start("all-1", GRIDPATROL_PRINCIPALS=str(principals))
    role = place["all-1"]
    starts_at: list[float] = []

    def seen() -> bool:
        if role.said().count("role gateway (all-1-gateway) ended") > len(starts_at):
            starts_at.append(time.monotonic())
        return len(starts_at) == 4

    eventually(seen, role.said()[-3000:], within_s=120)
    assert re.findall(r"role gateway .* ended .* started again in (\d+) s", role.said())[:4] == ["1", "2", "4", "8"]
    assert starts_at[3] - starts_at[0] > 6
    assert "gridpatrol gateway: " in role.said() and "'gateway' is a name that the engine uses itself" in role.said()
    assert "role worker" not in role.said()
    assert role.stop() == 0


def test_what_no_waiting_cures_is_told_before_any_role_is_started(place: Installation, tmp_path: Path) -> None:
    place.start("all-1", GRIDPATROL_KAFKA_PREFIX="nobody.has.made.these.")
    role = place["all-1"]
    assert role.process is not None
    assert role.process.wait(WITHIN_S) == 1
    assert "gridpatrol topic create" in role.said()
    assert "role gateway" not in role.said()

"""A whole installation of real parts is broken in every way under load; the judge finds nothing lost and nothing twice.

In: Apache Kafka, PostgreSQL and the roles as processes. Out: for each kind of fault, the same verdict: what was
promised stands in the log, has one outcome and one effect; the exported log, replayed by one process on SQLite, gives
the same facts, letters, figures and alerts; everything due has fired; topics have all that tables have.
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import psycopg
import pytest
from sqlalchemy.engine import make_url

from lab.chaos.faults import POINTS, SESSION_S, ChaosInstallation, chaos_installation
from lab.chaos.load import Sending
from lab.chaos.run import Experiment, Run, table, under_load

pytestmark = [
    pytest.mark.usefixtures("kafka_parts", "postgres_parts"),
    # A client of this library that finds no broker leaves its own sockets to the collector.
    pytest.mark.filterwarnings("ignore:.*<socket.socket:pytest.PytestUnraisableExceptionWarning"),
]
ROOT = Path(__file__).parents[2]
ROLES = ("gateway-1", "worker-1", "worker-2", "alerts-1", "performance-1")
RATE = 40.0
ASLEEP = (
    ("worker-1", "slice.after_read:stop@3"),
    ("worker-2", "slice.before_commit:stop@3"),
    ("worker-1", "relay.before_mark:stop@2"),
)
"""Where workers fall asleep."""
MOVES_S = 120.0
"""How long a mended installation may take to go on; on an idle machine it is some seconds."""


def check(done: Run) -> None:
    """The judge's verdict, and that there was something to judge."""
    said = "\n".join([*done.verdict.wrong, *done.place.ended, table(done), f"logs: {done.place.installation.folder}"])
    assert not done.verdict.wrong, said
    assert not done.place.ended, said
    numbers = done.verdict.numbers
    assert numbers["accepted"] > 300 and numbers["due"] == numbers["fired"] > 10 and numbers["repeats"] > 5, said
    assert numbers["notices"] > 300, said


@pytest.fixture
def place(tmp_path: Path) -> Iterator[ChaosInstallation]:
    with chaos_installation(tmp_path, workers=2) as made:
        yield made


def test_the_command_breaks_a_town_at_random_and_says_that_nothing_is_lost_and_nothing_done_twice() -> None:
    command = "-m lab.chaos.run --seconds 30 --seed 11 --rate 80"
    done = subprocess.run([sys.executable, *command.split()], cwd=ROOT, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "all is well; again: make chaos-cluster SEED=11 SECONDS=30 BROKERS=1\n" in done.stdout
    shown = dict(re.findall(r"^  (\S.*?) {2,}(\S.*)$", done.stdout, re.MULTILINE))
    assert (shown["lost"], shown["twice"], shown["ended by themselves"]) == ("0", "0", "0"), done.stdout + done.stderr
    assert int(shown["accepted"].split()[0]) > 300
    due, fired = shown["due and fired"].split(",")[0].split(" and ")
    assert int(due) == int(fired) > 10
    faults = [int(count) for what, count in shown.items() if re.match("kill|SIG|cut|stall", what)]
    assert sum(faults) >= 6


def test_roles_that_are_killed_at_every_named_place_go_on_where_they_were(place: ChaosInstallation) -> None:
    with under_load(place, 5, RATE, *ROLES) as experiment:
        left = {role: list(points) for role, points in POINTS.items()}
        experiment.until(lambda: not arm_next(place, left), 300, "every role has died at each of its places")
        done = experiment.rest()
    check(done)
    for role, points in POINTS.items():
        for point in points:
            assert place.count[f"killed {role} at {point}"] == 1
    check_that_the_judge_sees(done)


SPOILT = {
    "no outcome": "DELETE FROM seen WHERE id = (SELECT min(id) FROM seen WHERE outcome = 'done')",
    "two effects": "UPDATE facts f SET cause = g.cause FROM facts g WHERE g.partition = f.partition AND f.n = 4 "
    "AND g.n = 3",
    "passed in silence": "UPDATE facts SET body = replace(body, '\"breach\":true', '\"breach\":false')",
    "facts topic, not as stored": "UPDATE facts SET at = at + 1 WHERE n = 1",
    "facts topic, missing": "UPDATE facts SET n = n + 1 WHERE (partition, n) IN (SELECT partition, max(n) FROM facts "
    "GROUP BY partition)",
    "notice that no fact gives": 'UPDATE facts SET body = replace(body, \'"on":"check"\', \'"on":"merged"\')',
    "notice that was told to others": 'UPDATE facts SET body = replace(body, \'"to":[\', \'"to":["WY-OFFICE",\')',
    "topic of feed, missing": "UPDATE deliveries SET reason = 'other' WHERE number = 1",
    "topic of figures, missing": "UPDATE figures SET value = value + 1 WHERE value > 0",
    "topic of dead letters, missing": "INSERT INTO dead_letters (id, published) VALUES ('x', true)",
    "not done": "UPDATE cases SET next_at = 1 WHERE id = (SELECT min(id) FROM cases)",
}
"""What the judge says, and what was done to the database that it says so."""


def check_that_the_judge_sees(done: Run) -> None:
    """A verdict that nothing is wrong is worth something only from one who would have said so."""
    url = make_url(done.place.installation.environment["GRIDPATROL_DATABASE"]).set(drivername="postgresql")
    with psycopg.connect(url.render_as_string(hide_password=False), autocommit=True) as connection:
        for sql in SPOILT.values():
            assert connection.execute(sql).rowcount > 0, sql
    done.ledger.sendings.append(Sending(b"", "nobody", "1", "", places=[(0, 0)]))
    done.ledger.forwarded.append(Sending(b"", "nobody", "2", ""))
    said = done.judged().wrong
    for what in (*SPOILT, "202 and not in the log", "not forwarded", "replayed facts, missing", "verify"):
        assert any(line.startswith(f"{what}: ") for line in said), (what, said)


def arm_next(place: ChaosInstallation, left: dict[str, list[str]]) -> bool:
    """Send every role to the next place where it is to die. Whether one is still to die somewhere."""
    for role, points in left.items():
        for name in place.running(role):
            if points and not place.armed(name):
                place.arm(name, f"{points.pop(0)}:kill@2")
    return any(left.values()) or any(place.armed(name) for role in left for name in place.of(role))


def test_servers_that_are_killed_and_wires_that_are_cut_cost_time_and_nothing_else(place: ChaosInstallation) -> None:
    with under_load(place, 6, RATE, *ROLES) as experiment:
        experiment.wait(3)
        for down_s in (0.0, 3.0):
            broken_for(experiment, place.kill_broker(0), down_s)
            broken_for(experiment, place.kill_database(), down_s)
        for what in ("database", "kafka"):
            for how in ("cut", "stall"):
                broken_for(experiment, place.cut(what, "worker-1", how), 2 * SESSION_S)
        check(experiment.rest())


def broken_for(experiment: Experiment, mend: Any, seconds: float) -> None:
    """Leave it broken for a while, and see that the line moves again."""
    experiment.wait(seconds)
    mend()
    experiment.moves(MOVES_S)


def test_a_worker_that_sleeps_through_its_session_wakes_and_does_no_harm(place: ChaosInstallation) -> None:
    with under_load(place, 7, RATE, *ROLES) as experiment:
        experiment.wait(2)
        broken_for(experiment, place.freeze("worker-1"), 2 * SESSION_S)
        for name, point in ASLEEP:
            place.arm(name, point)
            experiment.until(partial(place.stopped, name), 60, f"{name} stops in mid-slice")
            broken_for(experiment, place.thaw(name), 2 * SESSION_S)
        check(experiment.rest())


def test_of_three_brokers_one_dies_at_a_time(tmp_path: Path) -> None:
    with chaos_installation(tmp_path, brokers=3, workers=2) as place, under_load(place, 8, RATE, *ROLES) as experiment:
        experiment.wait(3)
        for number in range(3):
            broken_for(experiment, place.kill_broker(number), 4)
            experiment.until(lambda: place.in_sync(), 60, "all brokers have everything")
        check(experiment.rest())

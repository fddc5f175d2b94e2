"""Cases talk to cases of other homes over a topic: workers fail between the commit, the append and the mark.

Enters: events in a topic of a real broker, workers on PostgreSQL that are turned by hand. Leaves: what was said, once
in each case, and a log that gives the same when it is replayed embedded.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from engine import failpoints
from engine.clock import now_ms
from engine.failpoints import Interrupted
from engine.store import sends
from tests.simulation.cluster import Cluster
from tests.simulation.line import Line
from tests.support.builders import subject
from tests.support.errands import Owed, Passed, errands
from workflows.decision import Decision

ROUND = ("WY02", "WY03", "WY04", "WY05", "WY02")


def says(d: Decision) -> None:
    """An urged case bears an errand in each home, and sends a word from one to the next."""
    for home in ROUND[:4]:
        d.send(subject(home, 4), "errand.owed", Owed(grid=f"{home}-01"), bears="errand")
    d.send(subject(ROUND[0], 4), "errand.passed", Passed(to=tuple(subject(home, 4) for home in ROUND[1:])))


def urge(line: Line) -> None:
    line.say("case.urged", "WY-SUPERVISOR", now_ms(), case=subject("WY01", 1))


def settled(cluster: Cluster) -> Callable[[], bool]:
    """Whether all is decided, and nothing is on its way."""

    def found() -> bool:
        with cluster.database.read() as connection:
            waits = sends.count_outgoing(connection)
        return not waits and cluster.is_settled()

    return found


def check(cluster: Cluster, folder: Path, times: int) -> None:
    """Every errand was born once, and the word came as often as it was said, in order."""
    line = Line(cluster.result())
    for home in ROUND[1:4]:
        told = [type(fact).__name__ for fact in line.facts(4, home)]
        assert (told.count("Born"), told.count("Noted")) == (1, times), (home, told)
    heard = [json.loads(step.cause)["id"] for step in line.steps(4, "WY02")]
    own = [id_ for id_ in heard if id_.endswith(".5")]
    assert own == [f"{2 + number}.5" for number in range(times)], heard
    lines = cluster.check_export(folder)
    assert sum(b'"kind":"sent"' in each for each in lines) >= 8 * times
    cluster.check_published()


def test_what_is_said_to_other_homes_goes_through_the_topic_whoever_owns_them(cluster: Cluster, tmp_path: Path) -> None:
    with errands(says):
        cluster.worker("one"), cluster.worker("two")
        line: Any = Line(cluster.gateway)
        line.report(1, now_ms(), None)
        urge(line)
        cluster.turn(settled(cluster))
        urge(line)
        cluster.turn(settled(cluster))
        check(cluster, tmp_path, 2)


@pytest.mark.parametrize("point", ["sends.before_append", "sends.before_mark", "sends.after_mark"])
def test_a_worker_that_fails_on_the_way_is_followed_by_one_that_says_it_again(
    cluster: Cluster, tmp_path: Path, point: str
) -> None:
    with errands(says):
        line: Any = Line(cluster.gateway)
        line.report(1, now_ms(), None)
        urge(line)
        urge(line)
        worker = cluster.worker()
        for count in (1, 2, 1):
            failpoints.arm(f"{point}:raise@{count}")
            with pytest.raises(Interrupted):
                cluster.turn(lambda: False)
            failpoints.arm("")
            worker.inbox.taken_over = True  # as the next owner: all memory is read again
        cluster.turn(settled(cluster))
        check(cluster, tmp_path, 2)

"""Signals over a topic: the process that says them, and the worker that decides them, end in the middle of episodes.

Enters: batches of values of devices, a topic of a real broker, PostgreSQL. Leaves: each episode as one case that began
once, and a log that gives the same when it is replayed embedded.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from consumers.signals.adapter import Adapter
from consumers.signals.loop import SignalLoop
from engine import failpoints
from engine.clock import now_ms
from engine.cluster.gateway import Gateway
from engine.failpoints import Interrupted
from engine.store import watched
from lab import runs
from tests.integration.test_signals import YARD, YARD_2, storm, take, told
from tests.simulation.cluster import Cluster
from tests.support.builders import HOUR
from workflows import case as cases


@contextmanager
def saying(cluster: Cluster) -> Iterator[tuple[Adapter, SignalLoop]]:
    """A gateway with its adapter, as one process has them; all that it remembers ends with it."""
    cluster.restart()
    gateway, adapter = Gateway(cluster.gateway), Adapter(cluster.database)
    loop = SignalLoop(gateway, adapter, leased=True)
    gateway.start()
    try:
        assert loop.may_say()
        yield adapter, loop
    finally:
        loop.release()
        gateway.stop()


@pytest.mark.mechanism("M73", "M116")
@pytest.mark.parametrize("place", ["signals.stored", "signals.said"])
def test_an_episode_is_one_case_whoever_ends_in_the_middle_of_it(cluster: Cluster, tmp_path: Path, place: str) -> None:
    now = now_ms()
    batches, said = storm(now - 3 * HOUR), list[str]()
    half = len(batches) // 3  # both devices are in an episode
    cluster.worker("one")
    cluster.turn(cluster.is_settled)  # the pack is active
    with saying(cluster) as (adapter, loop):
        for batch in batches[:half]:
            take(adapter, batch, now)
        said += told(cluster.database)
        failpoints.arm(f"{place}:raise")
        taken = half
        try:
            with pytest.raises(Interrupted):
                for batch in batches[half:]:
                    take(adapter, batch, now)
                    loop.say_next()
                    taken += 1
        finally:
            failpoints.arm("")
    cluster.turn(cluster.is_settled)
    cluster.end(cluster.workers[0])
    with saying(cluster) as (adapter, loop):
        said += told(cluster.database)
        for batch in batches[taken:]:  # whose answer was lost comes again
            take(adapter, batch, now)
        said += told(cluster.database)
        while loop.say_next():
            pass
    with cluster.database.read() as connection:
        assert not watched.read_sayings(connection, 1)
    cluster.worker("two")
    cluster.turn(cluster.is_settled)
    check(cluster, tmp_path, {*said})


def check(cluster: Cluster, folder: Path, said: set[str]) -> None:
    """Each thing was said once and heard once: three episodes of two devices, the last of which goes on."""
    heard = [row for row in runs.steps(cluster.result()) if '"type":"gridpatrol.signal.' in row.cause]
    found = Counter(row.case_id for row in heard)
    assert len(said) == len(heard) == 6 and sorted(found.values()) == [1, 2, 3]
    with cluster.database.read() as connection:
        rows = connection.exec_driver_sql("SELECT body FROM cases WHERE definition = 'signal'").scalars().all()
    signals = [cases.decode(body) for body in rows]
    assert Counter(case.reference for case in signals) == {YARD: 1, YARD_2: 2}
    assert Counter(case.opened > 0 for case in signals) == {True: 3}
    cluster.check_export(folder)
    cluster.check_published()

"""A worker that fetches more than it can decide: partitions are paused in the middle of a fetch, and go on.

Enters: more records in several partitions than one fetch hands out. Leaves: all of them decided.
"""

from __future__ import annotations

import pytest

from engine.cluster import worker as workers
from tests.simulation.cluster import cluster_on

EACH = 1500
"""Three partitions have more than one fetch hands out (2,000): one of them is handed out in part."""
TURNS = 200


def test_partitions_that_are_paused_in_the_middle_of_a_fetch_go_on(
    postgres_url: str, kafka_server: str, kafka_prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(workers, "POLL_S", 0.0)  # a slow database: one slice in a turn
    with cluster_on(postgres_url, kafka_server, kafka_prefix, 32) as cluster:
        cluster.install()
        for partition in (4, 14, 24):
            cluster.lay_raw(partition, [b"{}"] * EACH)
        worker = cluster.worker()
        for _ in range(TURNS):
            worker.try_once()
            if cluster.is_settled():
                break
        assert {p: row.position for p, row in worker.engine.rows.items()} == cluster.ends()

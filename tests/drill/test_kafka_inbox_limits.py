"""The log as a topic under other limits: a storm and a month give the same facts as from a table, and a storm of now,
with ticks of its owners, the same as its log replayed embedded."""

from __future__ import annotations

import time
from functools import partial
from pathlib import Path

import pytest

from engine import admission
from engine.clock import now_ms
from lab.runs import month, storm
from tests.integration.test_kafka_inbox import check_from_a_topic
from tests.simulation.cluster import cluster_on
from tests.simulation.line import Line


@pytest.mark.parametrize(
    ("lines", "partitions", "records", "steps"),
    [("storm", 1, 1, 1), ("storm", 8, 7, 3), ("storm", 1, 500, 1000), ("month", 8, 500, 1000)],
)
def test_a_log_gives_the_same_facts_from_a_topic_as_from_a_table(
    postgres_url: str,
    kafka_server: str,
    kafka_prefix: str,
    tmp_path: Path,
    lines: str,
    partitions: int,
    records: int,
    steps: int,
) -> None:
    events = storm() if lines == "storm" else month()
    check_from_a_topic(postgres_url, kafka_server, kafka_prefix, tmp_path, events, partitions, records, steps)


@pytest.mark.parametrize(("partitions", "records", "steps"), [(8, 500, 1000), (1, 7, 3)])
def test_a_storm_of_now_with_the_brokers_stamps_and_the_owners_ticks_is_the_same_replayed_embedded(
    postgres_url: str, kafka_server: str, kafka_prefix: str, tmp_path: Path, partitions: int, records: int, steps: int
) -> None:
    limits = {"slice_records": records, "slice_steps": steps}
    with cluster_on(postgres_url, kafka_server, kafka_prefix, partitions, **limits) as cluster:
        cluster.install()
        cluster.worker("one"), cluster.worker("two")
        received = [admission.receive(line, "door", partitions) for line in storm(4)]
        events = [found[0] for found in received if isinstance(found, tuple)]
        for first in range(0, len(events), 60):
            cluster.gateway.append(events[first : first + 60], now_ms())
            until = time.monotonic() + 0.2
            cluster.turn(partial(is_past, until))
        cluster.settle(within_s=90)
        line = Line(cluster.gateway)
        line.report(9000, now_ms(), now_ms() + 700, id="last")
        cluster.turn(lambda: bool(line.breaches(9000)))
        cluster.settle()
        lines = cluster.check_export(tmp_path)
        assert any(b'"kind":"tick"' in line for line in lines)
        cluster.check_export(tmp_path, 500, 1000)
        cluster.check_published()


def is_past(instant_s: float) -> bool:
    return time.monotonic() > instant_s

"""Publishing steps: in order, at least once, marked only when the brokers have them, and never blocked for good.

In: workers that are killed, cut off or replaced while they publish. Out: the facts topic, read to its end.
"""

from __future__ import annotations

import time
from collections import Counter
from typing import Any

import msgspec
import pytest
from kafka.admin import ConfigResource, ConfigResourceType

from engine import failpoints
from engine.cluster import relay
from engine.cluster.relay import NAME
from engine.errors import BrokerAway, BrokerRefuses
from engine.failpoints import Interrupted
from engine.store.positions import read_positions
from lab import runs
from schemas import facts
from tests.integration.test_worker import check_once, gauges, report
from tests.simulation.cluster import Cluster


def marks(cluster: Cluster) -> dict[int, int]:
    with cluster.database.read() as connection:
        return read_positions(connection, NAME)


def ids(cluster: Cluster) -> Counter[str]:
    """How often the topic has each message."""
    return Counter(dict(m.headers)["ce_id"].decode() for m in cluster.messages(cluster.topics.facts))


def test_a_message_is_the_step_with_its_key_partition_and_headers(cluster: Cluster) -> None:
    report(cluster, 1, 8)
    cluster.worker()
    cluster.settle()
    rows = {(row.partition, row.n): row for row in runs.steps(cluster.result())}
    messages = cluster.messages(cluster.topics.facts)
    assert len(messages) == len(rows)
    for message in messages:
        step = msgspec.json.decode(message.value, type=facts.Step)
        row, headers = rows[message.partition, step.n], dict(message.headers)
        assert facts.encode_facts(step.facts).decode() == row.body
        assert (step.case, message.key) == (row.case_id, row.case_id.encode())
        assert headers["ce_id"] == f"{row.partition}.{row.n}".encode()
        assert headers["ce_type"] == b"gridpatrol.step.v1"


def test_a_new_owner_begins_at_the_mark(cluster: Cluster) -> None:
    report(cluster, 1, 30)
    first = cluster.worker("one")
    cluster.settle()
    first.relay.finish()
    cluster.end(first)
    report(cluster, 31, 10)
    before = ids(cluster)
    cluster.worker("one")
    cluster.settle()
    check_once(cluster, 40)
    assert {id_: count for id_, count in ids(cluster).items() if id_ in before} == before  # nothing was sent again


def test_what_is_not_published_is_a_gauge_and_a_large_backlog_is_sent_page_by_page(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(relay, "PAGE", 10)
    monkeypatch.setattr(relay, "WAITING", 15)
    report(cluster, 1, 60)
    worker = cluster.worker()
    cluster.turn(lambda: bool(worker.inbox.heads), worker)
    failpoints.arm("relay.before_send:raise@1")
    with pytest.raises(Interrupted):
        cluster.turn(lambda: False)
    failpoints.arm("")
    while worker.engine.work(None) is not None:
        pass
    behind = sum(row.n for row in worker.engine.rows.values())
    assert gauges(worker)["gridpatrol_facts_unpublished", ""] == behind >= 60
    assert worker.relay.catch_up(worker.engine.rows) == 10
    cluster.settle()
    assert gauges(worker)["gridpatrol_facts_unpublished", ""] == 0
    check_once(cluster, 60)


def test_a_step_that_no_message_takes_does_not_block_the_line(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    report(cluster, 1, 20)
    worker = cluster.worker()
    cluster.turn(lambda: bool(worker.inbox.heads), worker)
    monkeypatch.setattr(relay, "LARGEST", 0)
    cluster.turn(lambda: all(row.n for row in worker.engine.rows.values()), worker)
    sizes = {(row.partition, row.n): len(relay.message(row)) for row in runs.steps(cluster.result())}
    assert "no message takes it" in caplog.text
    monkeypatch.setattr(relay, "LARGEST", 10**6)
    report(cluster, 21, 20)
    cluster.settle()
    told = set(ids(cluster))
    wanted = {f"{row.partition}.{row.n}" for row in runs.steps(cluster.result())}
    assert told < wanted and wanted - told <= {f"{p}.{n}" for p, n in sizes}
    worker.relay.mark()
    assert marks(cluster) == {p: row.n for p, row in cluster.result().rows.items()}


def test_the_largest_event_makes_a_step_that_a_message_takes(cluster: Cluster) -> None:
    with cluster.admin() as admin:
        name = cluster.topics.facts
        asked = ConfigResource(ConfigResourceType.TOPIC, name, {"max.message.bytes": None})
        limit = int(admin.describe_configs([asked], config_filter="all")["topic"][name]["max.message.bytes"]["value"])
    assert limit > relay.LARGEST > 8 * 262_144


def test_a_topic_that_takes_less_is_told_with_the_remedy_and_nothing_is_skipped(cluster: Cluster) -> None:
    worker = cluster.worker()
    cluster.settle()
    set_limit(cluster, 300)
    report(cluster, 1, 10)
    cluster.turn(lambda: bool(worker.away), worker)
    assert "MessageSizeTooLarge" in worker.away and isinstance(refusal(worker), BrokerRefuses)
    set_limit(cluster, 4_000_000)
    cluster.settle()
    check_once(cluster, 10)


def set_limit(cluster: Cluster, size: int) -> None:
    with cluster.admin() as admin:
        config = {"max.message.bytes": str(size)}
        admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, cluster.topics.facts, config)])
    time.sleep(0.2)


def refusal(worker: Any) -> Exception | None:
    """What the worker meets while it tries again."""
    try:
        for _ in range(5):
            worker.decide_batch()
            worker.relay.publisher.flush()
    except (BrokerAway, BrokerRefuses) as error:
        worker.inbox.taken_over = True
        return error
    return None

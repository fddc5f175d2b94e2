"""Publishing steps while the publisher is killed between sending and marking, or the broker takes nothing."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pytest

from engine.cluster import publisher, relay
from engine.errors import BrokerAway
from lab.installation import Role
from lab.parts.kafka import running_broker
from lab.parts.processes import freeze
from tests.drill.test_worker_outages import environment
from tests.integration.test_relay import ids, marks
from tests.integration.test_worker import check_once, report
from tests.simulation.cluster import Cluster, cluster_on


@pytest.mark.parametrize("name", ["relay.before_send", "relay.before_mark"])
def test_killed_between_send_and_mark_the_same_messages_are_sent_again_under_the_same_ids(
    cluster: Cluster, tmp_path: Path, name: str
) -> None:
    report(cluster, 1, 40)
    role = Role("one", "worker", environment(cluster), tmp_path)
    try:
        role.start(GRIDPATROL_FAILPOINT=f"{name}:kill@{11 if name == 'relay.before_send' else 1}")
        assert role.process is not None and role.process.wait(30) == -signal.SIGKILL
        before = ids(cluster)
        assert marks(cluster) == dict.fromkeys(range(2), 0)
    finally:
        role.kill()
    cluster.worker("one")
    cluster.settle()
    cluster.workers[0].relay.mark()
    check_once(cluster, 40)
    after = ids(cluster)
    assert all(after[id_] > count for id_, count in before.items())
    assert marks(cluster) == {p: row.n for p, row in cluster.result().rows.items()}
    if name == "relay.before_mark":
        assert before


def test_while_the_broker_takes_nothing_nothing_is_marked_and_afterwards_all_is_sent_in_order(
    postgres_url: str, kafka_parts: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(publisher, "SILENT_S", 1.5)
    monkeypatch.setattr(relay, "MARK_S", 0.0)
    with running_broker() as broker, cluster_on(postgres_url, broker.bootstrap, "", 2, slice_records=5) as cluster:
        cluster.install()
        report(cluster, 1, 10)
        worker = cluster.worker()
        cluster.settle()
        worker.relay.mark()
        stood = marks(cluster)
        report(cluster, 11, 30)
        fetched = 0
        while fetched < 30:
            fetched += worker.inbox.poll(100, worker.engine.rows)
        freeze(broker.pid)
        while (result := worker.engine.work(None)) is not None:
            worker.relay.take(result.steps)
        with pytest.raises(BrokerAway):
            while True:
                worker.relay.settle()
                time.sleep(0.05)
        assert marks(cluster) == stood
        os.kill(broker.pid, signal.SIGCONT)
        worker.inbox.taken_over = True  # as after every error
        cluster.settle()
        check_once(cluster, 40)

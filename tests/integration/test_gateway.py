"""A gateway that is stopped while its brokers are away: it ends soon, and what it said is stored is stored.

In: a broker of its own, killed or frozen, and PostgreSQL. Out: futures of «durable», and what stands in the topic.
"""

from __future__ import annotations

import time

import pytest

from engine.cluster import gateway as gateways
from engine.cluster.gateway import Gateway
from engine.errors import BrokerAway
from tests.integration.test_worker import bring_back, report_of, take_away
from tests.kafka import running_broker
from tests.simulation.cluster import cluster_on


@pytest.mark.parametrize("how", ["killed", "stopped"])
def test_at_a_stop_silent_brokers_are_waited_for_once_and_not_for_long(
    postgres_url: str, kafka_parts: object, how: str
) -> None:
    with running_broker() as broker, cluster_on(postgres_url, broker.bootstrap, "", 2, append_batch=1) as cluster:
        gateway = Gateway(cluster.gateway)
        gateway.start()
        told = [gateway.submit(report_of(cluster, number)).durable.result(30) for number in range(3)]
        take_away(broker, how)
        untold = [gateway.submit(report_of(cluster, number)).durable for number in range(3, 8)]
        time.sleep(0.5)  # the first of them is on its way
        began = time.monotonic()
        gateway.close()
        took = time.monotonic() - began
        bring_back(broker, how)
        assert took < gateways.STOP_S + 5  # a thread or two have a second each to end
        assert all(isinstance(durable.exception(0), BrokerAway) for durable in untold)
        bodies = [message.value.decode() for message in cluster.messages(cluster.topics.inbox)]
        assert {row.body for row in told} <= set(bodies)

"""A gateway whose brokers are away: it says so; stopped, it ends soon, and what it said is stored is stored.

In: a broker of its own, killed or frozen, and PostgreSQL. Out: futures of «durable», and what stands in the topic.
"""

from __future__ import annotations

import time

import pytest
from litestar.testing import TestClient
from msgspec.structs import replace

from engine.cluster import clients, publisher
from engine.cluster import gateway as gateways
from engine.cluster.gateway import Gateway
from engine.errors import BrokerAway
from engine.http.app import create_app
from lab.parts.kafka import running_broker
from lab.parts.processes import eventually
from tests.drill.test_worker_outages import bring_back, report_of, take_away
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
        gateway.stop()
        took = time.monotonic() - began
        bring_back(broker, how)
        assert took < gateways.STOP_S + 5  # a thread or two have a second each to end
        assert all(isinstance(durable.exception(0), BrokerAway) for durable in untold)
        bodies = [message.value.decode() for message in cluster.messages(cluster.topics.inbox)]
        assert {row.body for row in told} <= set(bodies)


def test_a_gateway_that_cannot_store_is_not_ready_and_counts_it_until_it_can(
    postgres_url: str, kafka_parts: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clients, "DELIVERY_MS", 2000)
    monkeypatch.setattr(publisher, "SILENT_S", 2.0)
    with running_broker() as broker, cluster_on(postgres_url, broker.bootstrap, "", 2) as cluster:
        cluster.install()
        cluster.worker()
        cluster.settle()
        cluster.gateway.settings = replace(cluster.gateway.settings, principals="")
        gateway = Gateway(cluster.gateway)
        gateway.start()
        counted = cluster.gateway.counters.registry.get_sample_value
        with TestClient(create_app(gateway, cluster.database), "http://127.0.0.1") as door:
            assert door.get("/readyz").status_code == 200
            take_away(broker, "stopped")
            assert isinstance(gateway.submit(report_of(cluster, 1)).durable.exception(60), BrokerAway)
            eventually(lambda: gateway.unable() != "", "the writer has heard of it")
            said = door.get("/readyz")
            assert said.status_code == 503 and "broker" in said.json()["detail"]
            assert counted("gridpatrol_unstored_total", {"way": "door"}) == 1
            bring_back(broker, "stopped")
            gateway.submit(report_of(cluster, 2)).durable.result(60)
            assert not gateway.unable() and door.get("/readyz").status_code == 200
        gateway.stop()

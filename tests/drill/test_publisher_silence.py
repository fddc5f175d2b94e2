"""What a silent broker does not take, the publisher gives up as a whole."""

from __future__ import annotations

import os
import signal
import time

import pytest

from engine.cluster import clients, publisher
from engine.cluster.publisher import Publisher
from engine.errors import BrokerAway, BrokerRefuses
from engine.settings import Settings
from lab.parts.kafka import Broker, running_broker
from lab.parts.kafka_jars import Parts
from lab.parts.processes import freeze
from tests.integration.test_kafka_publisher import TOPIC, senders, told


@pytest.fixture
def broker(kafka_parts: Parts):
    with running_broker() as made:
        settings = Settings(role="worker", kafka=made.bootstrap)
        admin = clients.admin(settings)
        admin.create_topics({TOPIC: {"num_partitions": 1, "replication_factor": 1}}, wait_for_metadata=True)
        admin.close()
        yield made


@pytest.mark.parametrize("how", ["settle", "flush"])
def test_what_a_silent_broker_does_not_take_is_given_up_as_a_whole(
    broker: Broker, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    monkeypatch.setattr(publisher, "SILENT_S", 2.0)
    threads, sender = senders(), Publisher(Settings(role="worker", kafka=broker.bootstrap), "relay")
    for number in range(5):
        sender.send(TOPIC, "k", b"%d" % number, partition=0)
    sender.flush()
    freeze(broker.pid)
    try:
        for number in range(5, 400):
            sender.send(TOPIC, "k", b"%d" % number, partition=0)
            time.sleep(0.005)
        began = time.monotonic()
        with pytest.raises((BrokerAway, BrokerRefuses)):
            while time.monotonic() < began + 30:
                sender.flush() if how == "flush" else sender.settled()
                time.sleep(0.01)
        assert time.monotonic() - began < 20
        assert senders() == threads  # or it would go on sending
    finally:
        os.kill(broker.pid, signal.SIGCONT)
    for number in range(5, 400):  # as whoever gave up does
        sender.send(TOPIC, "k", b"%d" % number, partition=0)
    sender.flush()
    sender.close()
    highest = -1
    for number in told(broker):
        assert number <= highest + 1
        highest = max(highest, number)
    assert highest == 399

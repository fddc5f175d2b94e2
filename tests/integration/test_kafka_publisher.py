"""What is published when the broker is away: nothing is half given up, and nothing is sent behind somebody's back.

Enters: a broker of its own, frozen. Leaves: an error after a while, no thread that goes on, and messages in order.
"""

from __future__ import annotations

import threading
import time

import pytest
from kafka import KafkaConsumer, TopicPartition

from engine.cluster import clients
from engine.cluster.publisher import Publisher
from engine.settings import Settings
from lab.parts.kafka import Broker, running_broker
from lab.parts.kafka_jars import Parts

TOPIC = "told"


@pytest.fixture
def broker(kafka_parts: Parts):
    with running_broker() as made:
        settings = Settings(role="worker", kafka=made.bootstrap)
        admin = clients.admin(settings)
        admin.create_topics({TOPIC: {"num_partitions": 1, "replication_factor": 1}}, wait_for_metadata=True)
        admin.close()
        yield made


def senders() -> int:
    return sum(thread.name.endswith("-network-thread") for thread in threading.enumerate())


def told(broker: Broker) -> list[int]:
    consumer = KafkaConsumer(bootstrap_servers=broker.bootstrap, auto_offset_reset="earliest", group_id=None)
    place = TopicPartition(TOPIC, 0)
    consumer.assign([place])
    found: list[int] = []
    end = consumer.end_offsets([place])[place]
    until = time.monotonic() + 20
    while len(found) < end and time.monotonic() < until:
        found += [int(message.value) for messages in consumer.poll(500).values() for message in messages]
    consumer.close()
    return found


def test_a_closed_publisher_leaves_no_thread_behind(broker: Broker) -> None:
    threads, sender = senders(), Publisher(Settings(role="worker", kafka=broker.bootstrap), "relay")
    sender.send(TOPIC, "k", b"0", partition=0)
    sender.flush()
    assert senders() == threads + 1
    sender.close()
    assert senders() == threads

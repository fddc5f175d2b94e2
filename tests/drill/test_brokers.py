"""The brokers that the drills stand on: killed, started again, three of them, and gone with who started them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from kafka import KafkaConsumer

from lab.parts import kafka
from tests.integration.test_kafka_broker import create, produce, stored
from tests.support.serving import wait_until

RUNS_A_BROKER = """
import sys
from lab.parts import kafka
with kafka.running_broker() as broker:
    print(broker.home, broker.bootstrap, flush=True)
    sys.stdin.read()
"""


def asked_for(topic: str, **client) -> set[int]:
    """The partitions of a topic, if there is one after it was asked for twice."""
    consumer = KafkaConsumer(**client)
    consumer.partitions_for_topic(topic)
    partitions = consumer.partitions_for_topic(topic)
    consumer.close()
    return partitions


def test_a_killed_broker_comes_back_with_what_it_acknowledged_and_makes_no_topic_unasked(kafka_parts):
    with kafka.running_broker() as broker:
        create("reports", **broker.client())
        produce("reports", b"1", b"2", **broker.client())
        broker.kill()
        broker.start()
        produce("reports", b"3", **broker.client())
        assert stored("reports", 3, **broker.client()) == [b"1", b"2", b"3"]
        assert asked_for("repotrs", **broker.client()) == set()
        assert asked_for("reports", **broker.client()) == {0}


def test_a_cluster_of_three_goes_on_without_one(kafka_parts):
    with kafka.running_cluster(3) as cluster:
        create("reports", **cluster.client())
        produce("reports", b"1", **cluster.client())
        cluster.brokers[1].kill()
        produce("reports", b"2", **cluster.client())
        cluster.brokers[1].start()
        produce("reports", b"3", **cluster.client())
        assert stored("reports", 3, **cluster.client()) == [b"1", b"2", b"3"]


def test_a_broker_dies_with_the_process_that_started_it(kafka_parts):
    command = [sys.executable, "-c", RUNS_A_BROKER]
    root = Path(kafka.__file__).parents[2]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=root) as process:
        assert process.stdout is not None
        home, bootstrap = process.stdout.readline().split()
        assert kafka.accepts(bootstrap)
        process.kill()
    wait_until(lambda: not kafka.accepts(bootstrap))
    wait_until(lambda: not Path(home).exists())

"""Topics, written by the clients that systems really use and read from the first message to the last."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from confluent_kafka import Producer
from kafka import KafkaConsumer, KafkaProducer, TopicPartition

WITHIN_S = 30


class Sent(NamedTuple):
    """A message on its way."""

    value: bytes | None
    key: bytes | None = None
    headers: Sequence[tuple[str, bytes]] = ()
    partition: int | None = None


def by_librdkafka(bootstrap: str, topic: str, messages: Sequence[Sent]) -> list[int]:
    """Publish as C, Go, .NET and Node clients do, with the partitioner that they have by default. The partitions."""
    told: list[int] = []
    failed: list[str] = []

    def delivered(error: Any, message: Any) -> None:
        failed.append(str(error)) if error else told.append(message.partition())

    producer = Producer({"bootstrap.servers": bootstrap, "linger.ms": 5})
    for sent in messages:
        producer.produce(topic, sent.value, sent.key, headers=list(sent.headers), on_delivery=delivered)
    left = producer.flush(WITHIN_S)
    assert not left and not failed, (left, failed)
    return told


def by_kafka_python(bootstrap: str, topic: str, messages: Sequence[Sent]) -> list[int]:
    """Publish as this library does: Java's partitioner, or straight into a partition. The partitions."""
    producer = KafkaProducer(bootstrap_servers=bootstrap, acks="all", max_request_size=4 * 1024 * 1024)
    try:
        futures = [
            producer.send(topic, sent.value, key=sent.key, headers=list(sent.headers), partition=sent.partition)
            for sent in messages
        ]
        producer.flush(WITHIN_S)
        return [future.get(0).partition for future in futures]
    finally:
        producer.close(timeout=1)


def read_topic(bootstrap: str, topic: str) -> list[Any]:
    """Every message that a topic holds now, partition by partition."""
    consumer = KafkaConsumer(bootstrap_servers=bootstrap, auto_offset_reset="earliest", enable_auto_commit=False)
    try:
        places = [TopicPartition(topic, number) for number in sorted(consumer.partitions_for_topic(topic))]
        ends = consumer.end_offsets(places)
        consumer.assign(places)
        consumer.seek_to_beginning(*places)
        found: dict[Any, list[Any]] = {place: [] for place in places}
        while any(consumer.position(place) < ends[place] for place in places):
            for place, some in consumer.poll(1000).items():
                found[place] += [message for message in some if message.offset < ends[place]]
        return [message for place in places for message in found[place]]
    finally:
        consumer.close(timeout_ms=1000)

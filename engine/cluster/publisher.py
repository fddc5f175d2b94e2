"""Publishing to topics, after commit, at least once.

Messages have stable ids. After `flush` the brokers have all of them. If `flush` raises BrokerAway, nothing that was
sent since the last one may be marked as published, and all of it is sent again.
"""

import time
from collections.abc import Sequence
from typing import Any

from kafka import KafkaProducer, TopicPartition
from kafka.errors import KafkaError, KafkaTimeoutError

from engine.cluster import clients, kafka_quirks
from engine.errors import BrokerAway, BrokerRefuses
from engine.settings import Settings

Header = tuple[str, bytes]
SILENT_S = clients.DELIVERY_MS / 1000
"""When the oldest message has had no answer for so long, everything is given up at once, so that the order is kept."""
SMALL = 65_536
"""Bytes of a value that is far below every limit of the brokers and the producer."""


class Publisher:
    """A producer that is replaced after a failure: with its sequence numbers a failed one may not go on."""

    def __init__(self, settings: Settings, name: str) -> None:
        self.settings = settings
        self.name = name
        self._producer: KafkaProducer | None = None
        self._sent: list[Any] = []
        self._places: dict[tuple[str, int], TopicPartition] = {}  # known to this producer
        self._heard_s = 0.0
        self._topic = ""  # the last one that was written to

    def send(
        self, topic: str, key: str, value: bytes, headers: Sequence[Header] = (), partition: int | None = None
    ) -> Any:
        """Hand a message to the producer, in order. It sets out with the next `go` or `flush` at the latest. Returns
        the future of its place; `flush` looks at all of them."""
        self._topic = topic
        try:
            if self._producer is None:
                self._producer, self._places = clients.producer(self.settings, self.name), {}
            place = self._places.get((topic, partition)) if partition is not None and len(value) < SMALL else None
            if place is not None:
                future = kafka_quirks.append(self._producer, place, key.encode(), value, headers)
            else:
                future = self._producer.send(topic, value, key=key.encode(), headers=list(headers), partition=partition)
                if partition is not None:
                    self._places[topic, partition] = TopicPartition(topic, partition)
        except KafkaError as error:
            raise self._failed(error) from error
        if not self._sent:
            self._heard_s = time.monotonic()
        self._sent.append(future)
        return future

    def go(self) -> None:
        """Let what was handed over set out."""
        if self._producer is not None:
            kafka_quirks.wake(self._producer)

    def flush(self) -> None:
        """Wait until everything sent is acknowledged; BrokerAway or BrokerRefuses if something is not."""
        if self._producer is None:
            return
        sent, self._sent = self._sent, []
        try:
            self._producer.flush(SILENT_S)
            for future in sent:
                future.get(0)
        except KafkaError as error:
            raise self._failed(error) from error

    def settled(self) -> int:
        """Forget acknowledged messages, without waiting. Returns how many of the oldest there were."""
        done = 0
        for future in self._sent:
            if not future.is_done:
                break
            if future.failed():
                raise self._failed(future.exception)
            done += 1
        del self._sent[:done]
        now = time.monotonic()
        if done or not self._sent:
            self._heard_s = now
        elif now - self._heard_s > SILENT_S:
            raise self._failed(KafkaTimeoutError(f"no word on what was sent {SILENT_S:.0f} s ago"))
        return done

    def forget(self) -> None:
        """Ask no more for what was sent. It may arrive all the same, before what is sent from now on."""
        self._sent = []

    def _failed(self, error: Exception) -> BrokerAway | BrokerRefuses:
        self.close()
        return clients.translated(self.settings, error, self._topic)

    def close(self) -> None:
        """Give up what is not acknowledged: nothing of it is sent from here on."""
        producer, self._producer, self._sent = self._producer, None, []
        if producer is not None:
            kafka_quirks.close_for_good(producer)

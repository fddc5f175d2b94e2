"""What brokers and database can do by themselves: the same messages consumed, the same statements executed, no engine.

Enters: an installation whose inbox is full and undecided, once per run. Leaves: a recording of what a worker asked of
its database and published, turn by turn; the seconds that fetching the messages and executing the statements take
without it, and if wanted publishing the same steps.
"""

from __future__ import annotations

import gc
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NamedTuple

from kafka import KafkaConsumer, TopicPartition

from engine.cluster import clients, topics
from engine.cluster.publisher import Publisher
from engine.cluster.worker import Worker
from engine.metrics.counters import Counters
from engine.settings import Settings, read_settings
from engine.store import recording
from engine.store.database import Database, open_database
from gridpatrol import cpu
from schemas.topics import Topics


class Turn(NamedTuple):
    """One turn of a worker's loop: its transactions, what it published, and how many records were decided then."""

    decided: int
    transactions: list[recording.Transaction]
    published: list[tuple[Any, ...]]


class Bare(NamedTuple):
    """Seconds for so many records, and the CPU seconds of this process and of the database."""

    records: int
    seconds: float
    client: float
    server: float | None

    @property
    def rate(self) -> float:
        return self.records / self.seconds

    def ms(self) -> dict[str, float]:
        """CPU ms per record, by part."""
        known = {"client": self.client} | ({"postgresql": self.server} if self.server is not None else {})
        return {part: round(1000 * seconds / self.records, 4) for part, seconds in known.items()}


def record(environment: Mapping[str, str], end: int) -> list[Turn]:
    """Let a worker decide everything, here, and write down what it asks of the database."""
    settings = read_settings({"role": "worker", "instance": "worker-1"}, environment)
    turns: list[Turn] = []
    with _opened(settings) as database:
        recorder = recording.Recorder(database)
        member = Worker(settings, database, topics.open_inbox(settings, database), Counters(), [], threading.Event())
        published = _overheard(member)
        try:
            while not turns or turns[-1].decided < end:
                member.decide_batch()
                decided = sum(row.position for row in member.engine.rows.values())
                turns.append(Turn(decided, recorder.transactions[:], published[:]))
                recorder.transactions.clear()
                published.clear()
        finally:
            member.inbox.close()
            member.relay.close()
    return turns


def _overheard(member: Worker) -> list[tuple[Any, ...]]:
    """Everything that a worker publishes from now on."""
    heard: list[tuple[Any, ...]] = []
    publisher = member.relay.publisher
    send = publisher.send

    def overheard(*message: Any) -> Any:
        heard.append(message)
        return send(*message)

    setattr(publisher, "send", overheard)  # noqa: B010 the type checker is right: nobody else may
    return heard


def replay(environment: Mapping[str, str], turns: list[Turn], warm: int, publishing: bool = False) -> Bare:
    """Fetch and execute the same, in the same portions; the first `warm` records before the clock runs. `publishing`:
    and publish the same steps."""
    settings = read_settings({}, environment)
    publisher = Publisher(settings, "bare")
    gc.collect()
    gc.freeze()  # the recording is large, and nobody's business while the clock runs
    try:
        with _opened(settings) as database, _all_of_the_inbox(settings) as consumer:
            fetched, began, first = 0, 0.0, 0
            own, server = 0.0, None
            for turn in turns:
                if not began and fetched >= warm:
                    began, first = time.perf_counter(), fetched
                    own, server = time.process_time(), cpu.of_server(recording.backend_pid(database))
                while fetched < turn.decided:
                    fetched += sum(map(len, consumer.poll(100).values()))
                for transaction in turn.transactions:
                    recording.execute(database, transaction)
                for message in turn.published if publishing else ():
                    publisher.send(*message)
                publisher.go()
            publisher.flush()
            seconds, own = time.perf_counter() - began, time.process_time() - own
            ended = cpu.of_server(recording.backend_pid(database))
            return Bare(turns[-1].decided - first, seconds, own, ended - server if ended and server else None)
    finally:
        publisher.close()
        gc.unfreeze()


@contextmanager
def _opened(settings: Settings) -> Iterator[Database]:
    database = open_database(settings.database)
    try:
        yield database
    finally:
        database.close()


@contextmanager
def _all_of_the_inbox(settings: Settings) -> Iterator[KafkaConsumer]:
    """A consumer as the worker's, without a group."""
    consumer = clients.consumer(settings, "bare")
    try:
        name = Topics(settings.kafka_prefix).inbox
        consumer.assign([TopicPartition(name, p) for p in consumer.partitions_for_topic(name)])
        consumer.seek_to_beginning()
        yield consumer
    finally:
        consumer.close(timeout_ms=1000)

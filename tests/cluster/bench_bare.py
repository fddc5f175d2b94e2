"""What brokers and database can do by themselves: the same messages consumed, the same statements executed, no engine.

Enters: an installation whose inbox is full and undecided, once per run. Leaves: a recording of what a worker asked of
its database, turn by turn; the seconds that fetching the messages and executing the statements take without it.
"""

from __future__ import annotations

import gc
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import NamedTuple

from kafka import KafkaConsumer, TopicPartition

from engine.cluster import clients, topics
from engine.cluster.worker import Worker
from engine.settings import Settings, read_settings
from engine.store import recording
from engine.store.database import Database, open_database
from engine.telemetry import Telemetry
from gridpatrol import cpu
from schemas.topics import Topics


class Turn(NamedTuple):
    """One turn of a worker's loop: its transactions, and how many records were decided when it ended."""

    decided: int
    transactions: list[recording.Transaction]


class Bare(NamedTuple):
    """Seconds for so many records, and the CPU seconds of this process and of the database."""

    records: int
    seconds: float
    client: float
    server: float | None

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
        member = Worker(settings, database, topics.open_inbox(settings, database), Telemetry(), [], threading.Event())
        try:
            while not turns or turns[-1].decided < end:
                member.turn()
                decided = sum(row.position for row in member.engine.rows.values())
                turns.append(Turn(decided, recorder.transactions[:]))
                recorder.transactions.clear()
        finally:
            member.inbox.close()
            member.relay.close()
    return turns


def replay(environment: Mapping[str, str], turns: list[Turn], warm: int) -> Bare:
    """Fetch and execute the same, in the same portions; the first `warm` records before the clock runs."""
    settings = read_settings({}, environment)
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
            seconds, own = time.perf_counter() - began, time.process_time() - own
            ended = cpu.of_server(recording.backend_pid(database))
            return Bare(turns[-1].decided - first, seconds, own, ended - server if ended and server else None)
    finally:
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

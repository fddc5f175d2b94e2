"""The distributed run within one process: a topic on a real broker, PostgreSQL, workers that are turned by hand.

Enters: where brokers and database answer. Leaves: a log to append to as a gateway does, or with stamps of one's own;
workers that take turns in the order that a test wants, each with its own connections.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer, TopicPartition
from kafka.admin import ConfigResource, ConfigResourceType
from kafka.errors import RetriableError

from consumers.alerts import fold
from consumers.performance import consume
from consumers.verify import verify
from engine.clock import now_ms
from engine.cluster import topics
from engine.cluster.inbox import KafkaInbox
from engine.cluster.worker import Worker
from engine.metrics.counters import Counters
from engine.replay import export_log, replay_log
from engine.runtime import Engine
from engine.settings import Settings
from engine.store import inbox_table
from engine.store.database import Database, open_database
from engine.store.rows import InboxRow
from lab import runs
from lab.runs import engine_on, pack_of
from schemas.partition import home_of
from schemas.topics import Topics
from workflows.policy import model
from workflows.policy.model import Pack

SESSION_MS = 1500


class Cluster:
    """A database, the topics that belong to it, and the workers that a test has made."""

    def __init__(self, url: str, kafka: str, prefix: str, partitions: int, **settings: Any) -> None:
        self.url = url
        self.settings = Settings(
            role="worker",
            database=url,
            kafka=kafka,
            kafka_prefix=prefix,
            partitions=partitions,
            **({"kafka_session_ms": SESSION_MS} | settings),
        )
        self.topics = Topics(prefix)
        self.database = self.open()
        self.database.upgrade()
        topics.create(self.settings, self.database, 1, [])
        self.workers: list[Worker] = []
        self._eyes = KafkaConsumer(bootstrap_servers=kafka)
        self.inbox = KafkaInbox(self.as_("gateway"), self.database, self.origin())
        self.gateway = Engine(self.database, self.as_("gateway"), (), None, (), self.inbox)

    def restart(self) -> None:
        """As a gateway that is started again: it reads anew which topic the log is."""
        self.inbox.close()
        self.inbox = self.gateway.inbox = KafkaInbox(self.as_("gateway"), self.database, self.origin())

    def as_(self, role: str, **more: Any) -> Settings:
        """The settings of a process."""
        return Settings(
            **(
                {name: getattr(self.settings, name) for name in Settings.__struct_fields__}
                | {"role": role, "principals": "nobody.toml"}
                | more
            )
        )

    def open(self) -> Database:
        """A database handle of one's own, as a process has it."""
        return open_database(self.url)

    def origin(self) -> inbox_table.Origin:
        with self.database.read() as connection:
            origin = inbox_table.read_origin(connection)
        assert origin is not None
        return origin

    # ---- the log ----------------------------------------------------------------------------------------------

    def install(self, name: str = "weiyang", pack: Pack | None = None) -> None:
        """Activate a pack, through the log."""
        self.gateway.reload()
        self.gateway.install(pack or pack_of(name), 0)

    def lay_pack(self, stamp: int = 1) -> None:
        """Activate the sample pack at an instant of one's own, as `take_stamps` allows."""
        self.gateway.keep_pack(pack_of("weiyang"))
        digest = model.digest(pack_of("weiyang"))
        self.lay([InboxRow(p, 0, stamp, "pack", "operator", digest) for p in range(self.settings.partitions)])

    def take_stamps(self) -> None:
        """From now on the inbox keeps the stamps that `lay` gives, as if the brokers' clocks had shown them."""
        with self.admin() as admin:
            resource = ConfigResource(
                ConfigResourceType.TOPIC,
                self.topics.inbox,
                {
                    "message.timestamp.type": "CreateTime",
                    "message.timestamp.before.max.ms": str(2**62),
                    "message.timestamp.after.max.ms": str(2**62),
                },
            )
            admin.alter_configs([resource])
        time.sleep(0.2)  # the broker takes it over a moment later

    def lay(self, rows: Sequence[InboxRow]) -> None:
        """Append records with their own stamps (after `take_stamps`)."""
        producer = KafkaProducer(bootstrap_servers=self.settings.kafka, acks="all", linger_ms=5)
        try:
            sent = [
                producer.send(
                    self.topics.inbox,
                    row.body.encode(),
                    key=_key(row),
                    partition=row.partition,
                    timestamp_ms=row.stamp,
                    headers=[("kind", row.kind.encode()), ("principal", row.principal.encode())],
                )
                for row in rows
            ]
            producer.flush(20)
            for future in sent:
                future.get(1)
        finally:
            producer.close()

    def lay_raw(self, partition: int, values: Sequence[bytes]) -> None:
        """Append what no gateway would, as events."""
        producer = KafkaProducer(bootstrap_servers=self.settings.kafka, acks="all", linger_ms=5)
        try:
            for value in values:
                producer.send(self.topics.inbox, value, partition=partition, headers=[("kind", b"event")])
            producer.flush(20)
        finally:
            producer.close()

    def await_no(self, topic: str, within_s: float = 10) -> None:
        """Until the brokers have deleted a topic."""
        until = time.monotonic() + within_s
        with self.admin() as admin:
            while topic in admin.list_topics():
                assert time.monotonic() < until, f"{topic} is still there"
                time.sleep(0.05)

    @contextmanager
    def admin(self) -> Iterator[KafkaAdminClient]:
        admin = KafkaAdminClient(bootstrap_servers=self.settings.kafka)
        try:
            yield admin
        finally:
            admin.close()

    def messages(self, topic: str, within_s: float = 30) -> list[Any]:
        """All that a topic holds, in order of partition and offset."""
        consumer = KafkaConsumer(bootstrap_servers=self.settings.kafka, auto_offset_reset="earliest")
        try:
            until = time.monotonic() + within_s
            places = [TopicPartition(topic, partition) for partition in _partitions_of(consumer, topic, until)]
            ends = consumer.end_offsets(places)
            left = {place for place, end in ends.items() if end}
            consumer.assign(places)
            found: list[Any] = []
            while left and time.monotonic() < until:
                for some in consumer.poll(200).values():
                    found += some
                left = {place for place in left if consumer.position(place) < ends[place]}
            assert not left, f"{topic} could not be read to its end"
            return sorted(found, key=lambda message: (message.partition, message.offset))
        finally:
            consumer.close()

    # ---- workers ----------------------------------------------------------------------------------------------

    def worker(self, name: str = "one", *, url: str = "", ticking: bool = True, **settings: Any) -> Worker:
        """A worker that nobody has turned yet. One that is not `ticking` has only the ticks that a test lays."""
        database = open_database(url or self.url)
        told = self.as_("worker", instance=name, **settings)
        worker = Worker(told, database, self.origin(), Counters(), [], threading.Event())
        if not ticking:
            worker.engine.ticked = dict.fromkeys(range(self.settings.partitions), (0, 2**62))
        self.workers.append(worker)
        return worker

    def end(self, worker: Worker) -> None:
        """As a process that ends."""
        self.workers.remove(worker)
        worker.relay.close()
        worker.inbox.close()
        worker.engine.database.close()

    def turn(self, done: Callable[[], bool], *workers: Worker, within_s: float = 30) -> None:
        """Let workers (all of them) take turns until something holds: one by hand, several each in a thread."""
        until, turning = time.monotonic() + within_s, workers or tuple(self.workers)
        with _threads([worker.try_once for worker in turning] if len(turning) > 1 else []) as failed:
            while not done():
                assert time.monotonic() < until, f"not within {within_s} s: {[self.shown(w) for w in self.workers]}"
                if failed:
                    raise failed[0]
                if len(turning) > 1:
                    time.sleep(0.02)
                else:
                    turning[0].try_once()

    def settle(self, *workers: Worker, within_s: float = 30) -> None:
        """Until every partition is owned, and everything in the log is decided and published."""
        self.turn(lambda: self.is_settled(*workers), *workers, within_s=within_s)

    def shown(self, worker: Worker) -> str:
        """How a worker stands, for whoever reads why a test failed."""
        rows = [worker.engine.rows[p] for p in worker.inbox.heads]
        consumer, inbox = worker.inbox._consumer, worker.inbox
        member = consumer and (consumer.group_metadata(), sorted(consumer.assignment()))
        return f"{worker.away or 'works'}, {member}, heads {inbox.heads}, lost {inbox.lost}, rows {rows}"

    def is_settled(self, *workers: Worker) -> bool:
        own = [worker for worker in workers or self.workers if not worker.inbox.taken_over]
        owned = [p for worker in own for p in worker.inbox.heads]
        if sorted(owned) != list(range(self.settings.partitions)):
            return False
        stands = self.result().rows
        return all(
            stands[p].halted or worker.engine.rows[p].position == end
            for worker in own
            for p, end in self.ends().items()
            if p in worker.inbox.heads
        ) and not any(worker.relay.unpublished(worker.engine.rows) for worker in own)

    def ends(self) -> dict[int, int]:
        """The position after the last record of each partition, asked of the broker."""
        places = {TopicPartition(self.topics.inbox, p): base for p, base in enumerate(self.origin().bases)}
        return {place.partition: places[place] + end for place, end in self._eyes.end_offsets(list(places)).items()}

    def close(self) -> None:
        self._eyes.close()
        for worker in list(self.workers):
            self.end(worker)
        self.inbox.close()
        self.database.close()

    # ---- what came of it --------------------------------------------------------------------------------------

    def result(self) -> Engine:
        """An engine that decides nothing, to look at what the workers left."""
        self.gateway.reload()
        return self.gateway

    def export(self) -> list[bytes]:
        return list(export_log(self.result()))

    def check_export(self, folder: Path, records: int = 1, steps: int = 1) -> list[bytes]:
        """The log of the run, replayed embedded on SQLite, gives every step again, byte by byte, and every answer; the
        figures of both are the same, and equal their recount."""
        lines = self.export()
        with engine_on(
            f"sqlite:///{folder / f'again-{time.monotonic_ns()}.db'}", self.settings.partitions, records, steps
        ) as again:
            replay_log(again, lines)
            assert list(export_log(again)) == lines, "the same log has another digest on a table than on a topic"
            assert runs.steps(again) == runs.steps(self.result())
            assert runs.answers(again, shapes=False) == runs.answers(self.result(), shapes=False)
            assert {p: (row.position, row.clock, row.n) for p, row in again.rows.items()} == {
                p: (row.position, row.clock, row.n) for p, row in self.result().rows.items()
            }
            assert _figures(again.database) == _figures(self.database)
        return lines

    def check_published(self, after: dict[int, int] | None = None) -> None:
        """Every step, or every one after these numbers, is on the facts topic, in its partition, in order but for
        repetitions that follow their first."""
        begin = after or dict.fromkeys(range(self.settings.partitions), 0)
        wanted = {p: list(range(begin[p] + 1, row.n + 1)) for p, row in self.result().rows.items()}
        told: dict[int, list[int]] = {p: [] for p in wanted}
        for message in self.messages(self.topics.facts):
            number = int(dict(message.headers)["ce_id"].decode().partition(".")[2])
            if number not in told[message.partition]:
                told[message.partition].append(number)
        assert told == wanted


def _figures(database: Database) -> list[tuple[Any, ...]]:
    """The figures of everything that was decided; they are as they are counted anew."""
    while consume.consume(database) or fold.consume(database, now=now_ms()):
        pass
    assert verify(database) == []
    with database.read() as connection:
        return sorted((*row,) for row in connection.exec_driver_sql("SELECT * FROM figures WHERE value <> 0"))


@contextmanager
def _threads(loops: Sequence[Callable[[], None]]) -> Iterator[list[Exception]]:
    """Run each again and again in a thread of its own, until the block ends. What they raised."""
    stop, failed = threading.Event(), list[Exception]()

    def run(loop: Callable[[], None]) -> None:
        try:
            while not stop.is_set():
                loop()
        except Exception as error:
            failed.append(error)

    threads = [threading.Thread(target=run, args=(loop,)) for loop in loops]
    for thread in threads:
        thread.start()
    try:
        yield failed
    finally:
        stop.set()
        for thread in threads:
            thread.join()


def _partitions_of(consumer: KafkaConsumer, topic: str, until: float) -> list[int]:
    """The partitions of a topic that is there. A broker that was frozen first answers as one without a cluster."""
    while True:
        try:
            return sorted(consumer.partitions_for_topic(topic))
        except RetriableError:
            if time.monotonic() > until:
                raise
            time.sleep(0.05)


def _key(row: InboxRow) -> bytes:
    """The home of an event's subject, as a gateway would send it."""
    from schemas.envelope import decode_record

    return home_of(decode_record(row.body).event.subject).encode() if row.kind == "event" else b""


@contextmanager
def cluster_on(url: str, kafka: str, prefix: str, partitions: int = 8, **settings: Any) -> Iterator[Cluster]:
    """A cluster with its topics, and no worker yet; all are gone when the block ends."""
    built = Cluster(url, kafka, prefix, partitions, **settings)
    try:
        yield built
    finally:
        built.close()

"""The inbox log as a topic of Apache Kafka.

A record's position is its partition's base plus its offset; positions below the base are those of the table that was
the log before. The broker stamps the records. A `KafkaInbox` appends and reads; the partitions that a process decides
are those of its `engine.cluster.partition_consumer`.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from kafka import TopicPartition
from kafka.errors import KafkaError, OffsetOutOfRangeError

from engine import failpoints
from engine.cluster import clients
from engine.cluster.publisher import Publisher
from engine.errors import BrokerAway, LogMismatch
from engine.inbox import Submission
from engine.settings import Settings
from engine.store import inbox_table, writes
from engine.store.database import Connection, Database
from engine.store.rows import InboxRow, PartitionRow
from engine.store.tables import sealed
from schemas.envelope import decode_record
from schemas.partition import home_of
from schemas.topics import Topics

KINDS = ("event", "tick", "pack", "release", "archive", "sent")
SILENT_S = 30.0
"""How long a reader of the whole log waits for a message that is there."""


class KafkaInbox:
    """Appends to the inbox topic, and decides no partition of it."""

    at_once = False

    def __init__(self, settings: Settings, database: Database, origin: inbox_table.Origin) -> None:
        self.settings = settings
        self.database = database
        self.origin = origin
        self.topic = Topics(settings.kafka_prefix).inbox
        self.heads: dict[int, int] = {}
        self._publisher = Publisher(settings, settings.role)

    def reload(self, connection: Connection, rows: dict[int, PartitionRow]) -> None:
        return

    def append(
        self, wanted: Sequence[Submission], now: int, also_write: Callable[[Connection], object] | None = None
    ) -> list[InboxRow]:
        """Store the sealed texts, then append the records in order and wait until the brokers have them.

        BrokerAway where they do not say so. Then it is not known whether the records are in the log; a resend is told
        apart by its source and id.
        """
        bodies = [item.sealed for item in wanted if item.sealed]
        if bodies:
            with self.database.begin() as connection:
                writes.insert_missing(connection, sealed, bodies)
        failpoints.hit("append.before_commit")
        futures = []
        for item in wanted:
            key = home_of(decode_record(item.body).event.subject) if item.kind == "event" else ""
            headers = [("kind", item.kind.encode()), ("principal", item.principal.encode())]
            futures.append(self._publisher.send(self.topic, key, item.body.encode(), headers, item.partition))
        self._publisher.flush()
        failpoints.hit("append.after_commit")
        if also_write is not None:
            with self.database.begin() as connection:
                also_write(connection)
        rows = []
        for item, place in zip(wanted, (future.value for future in futures), strict=True):
            position = self.origin.bases[item.partition] + place.offset
            rows.append(InboxRow(item.partition, position, place.timestamp, item.kind, item.principal, item.body))
        return rows

    def noted(self, rows: Sequence[InboxRow]) -> None:
        if rows:
            raise LogMismatch("a slice may not append to a topic")

    def read(self, partition: int, position: int, most: int) -> list[InboxRow]:
        """Records of the table that was the log before. None of the topic are at hand here."""
        if position >= self.origin.bases[partition]:
            return []
        with self.database.read() as connection:
            return inbox_table.read(connection, partition, position, most)

    def caught_up(self, partition: int, position: int) -> bool:
        return False

    def end(self, partition: int) -> int:
        return self.ends()[partition]

    def ends(self) -> list[int]:
        bases = self.origin.bases
        with Reader(self.settings) as reader:
            found = reader.ends([TopicPartition(self.topic, p) for p in range(len(bases))])
        return [base + end for base, end in zip(bases, found, strict=True)]

    def read_all(self, connection: Connection, partition: int) -> Iterator[InboxRow]:
        """The table's records, then the topic's up to its present end."""
        base, start, upto = self.origin.bases[partition], self.origin.start(partition), 0
        for row in inbox_table.read_all(connection, partition):
            yield row
            upto = row.position + 1
        if upto != base + start:
            raise LogCut(f"records {upto} to {base + start - 1} of partition {partition} were lost with their topic")
        place = TopicPartition(self.topic, partition)
        with Reader(self.settings) as reader:
            for message in reader.all_of(place, start):
                yield row_of(message, base)

    def close(self) -> None:
        """Give the connections back."""
        self._publisher.close()


# ---- records ------------------------------------------------------------------------------------------------


def row_of(message: Any, base: int) -> InboxRow:
    """A message as a record. Kind and text of a foreign message are kept: it becomes a dead letter."""
    headers = {name: value for name, value in message.headers or ()}
    kind, principal = _text(headers.get("kind")), _text(headers.get("principal"))
    return InboxRow(
        message.partition,
        base + message.offset,
        message.timestamp,
        kind if kind in KINDS else "unknown",
        principal,
        _text(message.value),
    )


def _text(raw: bytes | None) -> str:
    """Text that every database takes."""
    return (raw or b"").decode("utf-8", "backslashreplace").replace("\x00", "\\u0000")


class LogCut(LogMismatch):
    """The brokers have deleted the beginning of the log: what is left cannot be replayed."""

    remedy = (
        "The database has all that came of it: back that up, and see `gridpatrol facts export`. Set the topic's "
        "retention.ms to -1 to lose no more."
    )


class Reader:
    """A consumer outside any group, for reading a partition from its beginning to its end."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings

    def __enter__(self) -> "Reader":
        self._consumer = clients.consumer(self.settings, "reader", auto_offset_reset="none")
        return self

    def __exit__(self, _: object, error: BaseException | None, __: object) -> None:
        self._consumer.close(timeout_ms=1000)
        if isinstance(error, KafkaError):
            raise clients.translated(self.settings, error) from error

    def ends(self, places: list[TopicPartition]) -> list[int]:
        found = self._consumer.end_offsets(places)
        return [found[place] for place in places]

    def all_of(self, place: TopicPartition, start: int) -> Iterator[Any]:
        """Every message from an offset up to the present end. LogCut where the beginning is gone."""
        first, [end] = self._consumer.beginning_offsets([place])[place], self.ends([place])
        if first > start:
            raise LogCut(f"the log of partition {place.partition} begins at offset {first}, its beginning is gone")
        self._consumer.assign([place])
        self._consumer.seek(place, start)
        next_, heard = start, time.monotonic()
        while next_ < end:
            try:
                found = self._consumer.poll(1000).get(place, ())
            except OffsetOutOfRangeError as error:
                raise LogCut(f"offset {next_} of partition {place.partition} is gone") from error
            if not found and time.monotonic() - heard > SILENT_S:
                raise BrokerAway(f"partition {place.partition} could not be read on from offset {next_}")
            for message in found:
                if message.offset >= end:
                    return
                if message.offset != next_:
                    raise LogCut(f"offset {next_} of partition {place.partition} is gone, {message.offset} came next")
                next_ += 1
                yield message
            if found:
                heard = time.monotonic()  # the caller may have taken long over the messages

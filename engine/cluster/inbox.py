"""The inbox log as a topic of Apache Kafka.

In: submissions; the partition rows, which say how far was decided. Out: records with the broker's stamp. A record's
position is its partition's base plus its offset; below the base lies what a table held before.

`KafkaInbox` appends, and owns nothing. `OwnedInbox` decides: the group gives it partitions, the database says where to
go on, and what does not follow on that is thrown away and sought again. Offsets have no gaps, so a gap is a loss: the
partition halts and says so, it is never jumped over.
"""

import logging
import time
from collections import deque
from collections.abc import Iterator, Sequence
from typing import Any

from kafka import ConsumerRebalanceListener, KafkaConsumer, TopicPartition
from kafka.errors import (
    CommitFailedError,
    FencedInstanceIdError,
    IllegalGenerationError,
    KafkaError,
    RebalanceInProgressError,
    UnknownMemberIdError,
)  # fmt: skip
from kafka.structs import OffsetAndMetadata

from engine import failpoints
from engine.cluster import clients
from engine.cluster.publisher import Publisher
from engine.errors import BrokerAway, Fenced, LogMismatch
from engine.inbox import Submission
from engine.settings import Settings
from engine.store import log as table
from engine.store import writes
from engine.store.database import Connection, Database
from engine.store.rows import InboxRow, PartitionRow
from engine.store.tables import sealed
from schemas.envelope import decode_record
from schemas.partition import home_of
from schemas.topics import Topics

log = logging.getLogger(__name__)

KINDS = ("event", "tick", "pack", "release")
ENOUGH = 4_000
"""Records at hand with which nothing more is fetched: a slow database holds the brokers up, not the memory."""
UNASSIGNED_S = 15.0
"""Without partitions for so long, the group is joined anew: this library can miss its own rejoin."""
STALLED_S = 60.0
"""With records in the log and none fetched for so long, the process ends: a fresh one is started."""
REBALANCING = (CommitFailedError, IllegalGenerationError, RebalanceInProgressError, UnknownMemberIdError)
COMMIT_S = 5.0
"""How often the position is told to the group: for dashboards, and to hear whether this process was fenced."""


class KafkaInbox:
    """Appends to the inbox topic. No partition of it is ours to decide."""

    def __init__(self, settings: Settings, database: Database, origin: table.Origin) -> None:
        self.settings = settings
        self.database = database
        self.origin = origin
        self.topic = Topics(settings.kafka_prefix).inbox
        self.heads: dict[int, int] = {}
        self._publisher = Publisher(settings, settings.role)

    def reload(self, connection: Connection, rows: dict[int, PartitionRow]) -> None:
        return

    def append(self, wanted: Sequence[Submission], now: int) -> list[InboxRow]:
        """First what is sealed, then the records, in order, until the brokers have them: BrokerAway if they do not say
        so. Whether the records are in the log is not known then; a resend is told apart by its source and id."""
        bodies = [item.sealed for item in wanted if item.sealed]
        if bodies:
            with self.database.begin() as connection:
                writes.ignore(connection, sealed, bodies)
        failpoints.hit("append.before_commit")
        places = [self._send(item) for item in wanted]
        self._publisher.flush()
        failpoints.hit("append.after_commit")
        return [self._row(item, place.value) for item, place in zip(wanted, places, strict=True)]

    def _send(self, item: Submission) -> Any:
        key = home_of(decode_record(item.body).event.subject) if item.kind == "event" else ""
        headers = [("kind", item.kind.encode()), ("principal", item.principal.encode())]
        return self._publisher.send(self.topic, key, item.body.encode(), headers, item.partition)

    def _row(self, item: Submission, place: Any) -> InboxRow:
        position = self.origin.bases[item.partition] + place.offset
        return InboxRow(item.partition, position, place.timestamp, item.kind, item.principal, item.body)

    def noted(self, rows: Sequence[InboxRow]) -> None:
        if rows:
            raise LogMismatch("a slice may not append to a topic")

    def read(self, partition: int, position: int, most: int) -> list[InboxRow]:
        """What a table held before. Nothing of the topic is at hand here."""
        if position >= self.origin.bases[partition]:
            return []
        with self.database.read() as connection:
            return table.read(connection, partition, position, most)

    def caught_up(self, partition: int, position: int) -> bool:
        return False

    def end(self, partition: int) -> int:
        with _Reader(self.settings) as reader:
            return self.origin.bases[partition] + reader.ends([TopicPartition(self.topic, partition)])[0]

    def read_all(self, connection: Connection, partition: int) -> Iterator[InboxRow]:
        """The table's records, then the topic's up to its present end."""
        base = self.origin.bases[partition]
        for row in table.read_all(connection, partition):
            if row.position < base:
                yield row
        place = TopicPartition(self.topic, partition)
        with _Reader(self.settings) as reader:
            for message in reader.all_of(place):
                yield row_of(message, base)

    def close(self) -> None:
        """Give the connections back."""
        self._publisher.close()


class OwnedInbox(KafkaInbox):
    """The partitions that the group gave to this process. `poll` is where they come and go."""

    def __init__(self, settings: Settings, database: Database, origin: table.Origin) -> None:
        super().__init__(settings, database, origin)
        self._consumer: KafkaConsumer | None = None
        self._listener = _Listener()
        self._tails: dict[int, deque[InboxRow]] = {}
        self.lost: dict[int, str] = {}  # partitions of which records are missing, and which
        self.gaps: dict[int, int] = {}  # how many
        self._reach_checked = True
        self.taken_over = False  # partitions have come or gone: memory is to be read again
        self._since = self._moved = self._committed = self._looked = time.monotonic()

    # ---- where to go on ---------------------------------------------------------------------------------------

    def reload(self, connection: Connection, rows: dict[int, PartitionRow]) -> None:
        """Go on after what these rows have decided, whatever was fetched."""
        self.taken_over = False
        owned = [place.partition for place in self._assignment()]
        self.heads = {p: max(rows[p].position, self.origin.bases[p]) for p in owned}
        self._tails = {p: deque() for p in owned}
        self.lost, self.gaps = {}, {}
        for partition in owned:
            self._seek(partition)
        self._reach_checked = False

    def _assignment(self) -> list[TopicPartition]:
        found = self._consumer.assignment() if self._consumer is not None else ()
        return sorted(found, key=lambda place: place.partition)

    def _place(self, partition: int) -> TopicPartition:
        return TopicPartition(self.topic, partition)

    def _offset(self, partition: int) -> int:
        """The next offset to fetch; what lies below the base is the table's."""
        return max(0, self.heads[partition] - self.origin.bases[partition])

    def _seek(self, partition: int) -> None:
        assert self._consumer is not None
        self._consumer.seek(self._place(partition), self._offset(partition))
        if self._place(partition) in self._consumer.paused():
            self._consumer.resume(self._place(partition))

    def _check_reach(self) -> None:
        """What the log no longer has, or does not have yet, was lost: nothing is decided past it."""
        places = self._assignment()
        self._reach_checked = True
        if not places or self._consumer is None:
            return
        first, ends = self._consumer.beginning_offsets(places), self._consumer.end_offsets(places)
        for place in places:
            wanted = self._offset(place.partition)
            if first[place] > wanted:
                self._lose(place.partition, first[place] - wanted, f"the log begins at offset {first[place]}")
            elif ends[place] < wanted:
                self._lose(place.partition, wanted - ends[place], f"the log ends at offset {ends[place]}")

    def _lose(self, partition: int, count: int, why: str) -> None:
        head = self.heads[partition]
        self.gaps[partition] = count
        self.lost[partition] = f"{count} records are missing, the next one is {partition}.{head}: {why}"
        if self._consumer is not None:
            self._consumer.pause(self._place(partition))

    # ---- fetching ---------------------------------------------------------------------------------------------

    def open(self) -> None:
        """Join the group. The topic's metadata come first: without them a fresh member can stay without partitions."""
        self.close_consumer()
        self._consumer = clients.consumer(
            self.settings, self.settings.role, group_id=Topics(self.settings.kafka_prefix).group("worker"),
            group_instance_id=clients.instance(self.settings),
        )  # fmt: skip
        self._consumer.partitions_for_topic(self.topic)
        self._consumer.subscribe([self.topic], listener=self._listener)
        self._since = self._moved = time.monotonic()

    def poll(self, timeout_ms: int) -> int:
        """Fetch what there is, or wait for it; rebalances happen in here. How many records came to hand.

        BrokerAway where the brokers do not answer, Fenced where another process has taken this one's name.
        """
        if self._consumer is None:
            self.open()
        assert self._consumer is not None
        try:
            if not self._reach_checked:
                self._check_reach()
            fetched = self._consumer.poll(timeout_ms) if self._at_hand() < ENOUGH else {}
            self._keep_place()
        except FencedInstanceIdError as error:
            raise Fenced(f"another process runs as {clients.instance(self.settings)!r}") from error
        except KafkaError as error:
            raise clients.told_apart(self.settings, error) from error
        if self._listener.changed:
            self._listener.changed = False
            self.taken_over = True
            log.info("partitions are %s", [place.partition for place in self._assignment()])
        if self.taken_over:
            return 0  # what was fetched may follow on nothing: it is sought again
        return sum(self._take(place.partition, messages) for place, messages in fetched.items())

    def _at_hand(self) -> int:
        return sum(map(len, self._tails.values()))

    def _take(self, partition: int, messages: Sequence[Any]) -> int:
        """Records that follow on those at hand."""
        tail, base = self._tails.get(partition), self.origin.bases[partition]
        if tail is None or partition in self.lost:
            return 0
        before = len(tail)
        for message in messages:
            position = base + message.offset
            if position < self.heads[partition]:
                continue
            if position > self.heads[partition]:
                self._lose(partition, position - self.heads[partition], f"offset {message.offset} came next")
                break
            tail.append(row_of(message, base))
            self.heads[partition] += 1
        self._moved = time.monotonic()
        return len(tail) - before

    def read(self, partition: int, position: int, most: int) -> list[InboxRow]:
        if position < self.origin.bases[partition]:
            return super().read(partition, position, most)
        tail = self._tails[partition]
        while tail and tail[0].position < position:
            tail.popleft()
        return [tail[i] for i in range(min(most, len(tail)))]

    def waiting(self) -> dict[int, int]:
        """Records in the log that are not at hand yet, as far as the last fetch knew, by partition."""
        if self._consumer is None:
            return {}
        marks = {p: self._consumer.highwater(self._place(p)) for p in self.heads}
        return {p: max(0, (mark or 0) - self._offset(p)) for p, mark in marks.items()}

    def caught_up(self, partition: int, position: int) -> bool:
        if self._consumer is None or self.heads.get(partition, -1) > position or self.taken_over:
            return False
        mark = self._consumer.highwater(self._place(partition))
        return mark is not None and mark <= max(0, position - self.origin.bases[partition])

    # ---- keeping the place in the group -----------------------------------------------------------------------

    def _keep_place(self) -> None:
        """Watch over what this library does not tell."""
        assert self._consumer is not None
        now = time.monotonic()
        if self._consumer.assignment():
            self._since = now
        elif now - self._since > UNASSIGNED_S:
            log.warning("no partitions for %d s: joining the group anew", UNASSIGNED_S)
            self._consumer.unsubscribe()
            self._consumer.subscribe([self.topic], listener=self._listener)
            self._since = now
        if now - self._committed > COMMIT_S and self._consumer.assignment():
            self._committed = now
            self._tell_group()
            self._look_for_stall(now)

    def _tell_group(self) -> None:
        """Where the next owner begins to fetch, until it has read the database; FencedInstanceIdError comes of this."""
        assert self._consumer is not None
        decided = {p: tail[0].position if tail else self.heads[p] for p, tail in self._tails.items()}
        offsets = {p: max(0, position - self.origin.bases[p]) for p, position in decided.items()}
        try:
            self._consumer.commit({self._place(p): OffsetAndMetadata(offset, "", -1) for p, offset in offsets.items()})
        except REBALANCING:
            log.info("the group is changing: its offsets are told later")

    def _look_for_stall(self, now: float) -> None:
        if not any(count for p, count in self.waiting().items() if p not in self.lost):
            self._moved = now
        elif now - self._moved > STALLED_S and self._at_hand() < ENOUGH:
            raise BrokerAway(f"records are in the log and none has come for {STALLED_S:.0f} s")

    def hold(self) -> None:
        """Fetch nothing, and stay in the group: the database is away."""
        if self._consumer is not None:
            self._consumer.pause(*self._assignment())

    def close_consumer(self) -> None:
        """Leave; a static member's partitions wait for its return."""
        if self._consumer is not None:
            consumer, self._consumer = self._consumer, None
            consumer.close(timeout_ms=3000)

    def close(self) -> None:
        self.close_consumer()
        super().close()


class _Listener(ConsumerRebalanceListener):  # type: ignore[misc]  # the library ships no types
    """Notes that partitions came or went. It runs on the library's own thread, where hardly anything is allowed."""

    def __init__(self) -> None:
        self.changed = False

    def on_partitions_revoked(self, revoked: Any) -> None:
        self.changed = self.changed or bool(revoked)

    def on_partitions_assigned(self, assigned: Any) -> None:
        self.changed = self.changed or bool(assigned)


# ---- records ------------------------------------------------------------------------------------------------


def row_of(message: Any, base: int) -> InboxRow:
    """A message as a record. Of one that is none of ours, kind and text are kept: it becomes a dead letter."""
    headers = {name: value for name, value in message.headers or ()}
    kind, principal = _text(headers.get("kind")), _text(headers.get("principal"))
    return InboxRow(
        message.partition, base + message.offset, message.timestamp, kind if kind in KINDS else "unknown", principal,
        _text(message.value),
    )  # fmt: skip


def _text(raw: bytes | None) -> str:
    """Text that every store takes."""
    return (raw or b"").decode("utf-8", "backslashreplace").replace("\x00", "\\u0000")


class _Reader:
    """A consumer outside any group, for reading a partition from its beginning to its end."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings

    def __enter__(self) -> "_Reader":
        self._consumer = clients.consumer(self.settings, "reader")
        return self

    def __exit__(self, *_: object) -> None:
        self._consumer.close(timeout_ms=1000)

    def ends(self, places: list[TopicPartition]) -> list[int]:
        found = self._consumer.end_offsets(places)
        return [found[place] for place in places]

    def all_of(self, place: TopicPartition) -> Iterator[Any]:
        """Every message up to the present end. LogMismatch where the beginning is gone."""
        first, [end] = self._consumer.beginning_offsets([place])[place], self.ends([place])
        if first:
            raise LogMismatch(f"the log of partition {place.partition} begins at offset {first}: its beginning is gone")
        self._consumer.assign([place])
        self._consumer.seek(place, 0)
        next_ = 0
        while next_ < end:
            for message in self._consumer.poll(1000).get(place, ()):
                if message.offset >= end:
                    return
                next_ = message.offset + 1
                yield message

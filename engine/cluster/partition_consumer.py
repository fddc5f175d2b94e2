"""The consumer of the partitions of the inbox topic that the group gave to this process.

The partition rows of the database say where to go on, after every change of partitions and every error; the group's own
offsets are for dashboards. Offsets have no gaps, so a record that does not follow the last one means a loss: the
partition halts and says so. Nothing is ever skipped.

The library does not report a lost rejoin, a stalled fetch or a second process of the same name: they are watched for
here (`kafka_quirks` has the details).
"""

import logging
import time
from collections import deque
from collections.abc import Collection, Sequence
from itertools import islice
from typing import Any

from kafka import ConsumerRebalanceListener, KafkaConsumer, TopicPartition
from kafka.errors import (
    CommitFailedError,
    FencedInstanceIdError,
    IllegalGenerationError,
    KafkaError,
    LogTruncationError,
    NoOffsetForPartitionError,
    OffsetOutOfRangeError,
    RebalanceInProgressError,
    UnknownMemberIdError,
)

from engine.cluster import clients, kafka_quirks
from engine.cluster.inbox import KafkaInbox, row_of
from engine.errors import Fenced, Stalled
from engine.settings import Settings
from engine.store import inbox_table
from engine.store.database import Connection, Database
from engine.store.rows import InboxRow, PartitionRow
from schemas.topics import Topics

log = logging.getLogger(__name__)

ENOUGH = 4_000
"""Records at hand with which nothing more is fetched: a slow database holds the brokers up, not the memory."""
HEAVY = 64 * 1024 * 1024
"""The same in characters: an event may have 256 KiB."""
ANSWER_MS = 5_000
"""How long an answer is waited for; the library would wait for ever."""
AWAY_MS = 45_000
"""The group removes a member that does not fetch for so long. Until then a change of the group waits for it."""
GLANCE_MS = 2
"""How long a fetch waits that is not to hold anybody up."""
COMPANY_MS, SINGLE_MS = 50, 25
"""While records keep coming, a fetch waits so long for more of them, at most, several at a time or one: a slice costs
nearly the same for one and for ten. What comes after silence is fetched at once."""
ENOUGH_TOGETHER = 100
"""So many records at once have company enough."""
LOOK_S = 5.0
"""How often the position is committed, which is how a process hears that it was fenced, and the end of the log is asked
for."""
JOIN_S = 5.0
"""How long a change of the group keeps a member from everything else. It has no partitions meanwhile."""
REJOINS = 5
"""How often a fresh client joins the group, which takes longer than any change of the group; then the process ends."""
STALLED_S = 60.0
"""With records in the log and none fetched for so long, the process ends and a fresh one is started."""
REMEDY = "Bring the log back; or stop the roles: `gridpatrol topic create --adopt` says what going on without it costs."
REBALANCING = (CommitFailedError, IllegalGenerationError, RebalanceInProgressError, UnknownMemberIdError)
OUT_OF_PLACE = (LogTruncationError, NoOffsetForPartitionError, OffsetOutOfRangeError)
"""The group or the log disagrees about where to go on. The database decides."""


class PartitionConsumer(KafkaInbox):
    """The inbox of a process that decides. Partitions come and go in `poll`."""

    def __init__(self, settings: Settings, database: Database, origin: inbox_table.Origin) -> None:
        super().__init__(settings, database, origin)
        self.taken_over = False  # memory is to be read again: partitions have come or gone, or something failed
        self.lost: dict[int, str] = {}  # partitions of which records are missing, and which
        self.gaps: dict[int, int] = {}  # how many
        self._consumer: KafkaConsumer | None = None
        self._listener = _Listener()
        self._tails: dict[int, deque[InboxRow]] = {}
        self._ends: dict[int, int] = {}  # the offset after the last record of the log, as last seen
        self._watch = _Watch()

    # ---- where to go on ---------------------------------------------------------------------------------------

    def reload(self, connection: Connection, rows: dict[int, PartitionRow]) -> None:
        """Forget what was fetched, and go on after what these rows have decided."""
        self.taken_over = self._listener.changed = False
        owned = [place.partition for place in self._assignment()]
        self.heads = {p: max(rows[p].position, self.origin.bases[p]) for p in owned}
        self._tails = {p: deque() for p in owned}
        self.lost = {p: why for p, why in self.lost.items() if p in owned and rows[p].halted}
        self.gaps = {p: self.gaps[p] for p in self.lost}
        self._ends = {}
        self._watch.progressed(owned)
        for partition in owned:
            self._seek(partition, self._offset(partition))

    def check_reach(self) -> None:
        """Halt partitions whose next record is no longer in the log, or not yet: records were lost."""
        places = self._assignment()
        if not places or self._consumer is None or self._is_another_topic(self._consumer):
            return
        try:
            first = self._consumer.beginning_offsets(places, timeout_ms=ANSWER_MS)
            ends = self._consumer.end_offsets(places, timeout_ms=ANSWER_MS)
        except KafkaError as error:
            raise clients.translated(self.settings, error) from error
        for place in places:
            wanted = self._offset(place.partition)
            if first[place] > wanted:
                self._lose(place.partition, first[place] - wanted, f"the log begins at offset {first[place]}")
                self._seek(place.partition, first[place])
            elif ends[place] < wanted:
                self._lose(place.partition, wanted - ends[place], f"the log ends at offset {ends[place]}")
                self._seek(place.partition, ends[place])

    def _is_another_topic(self, consumer: KafkaConsumer) -> bool:
        """Whether the topic was deleted and made anew: its offsets mean nothing here."""
        found = kafka_quirks.topic_id(consumer, self.topic)
        if found in ("", self.origin.topic):
            return False
        for partition in self.heads.keys() - self.lost.keys():
            self._lose(partition, 0, f"the topic is {found} now, no longer {self.origin.topic}")
        return True

    def _lose(self, partition: int, count: int, why: str) -> None:
        self.gaps[partition] = count
        missing = f"{count} records are missing" if count else "the log is another one"
        self.lost[partition] = f"{missing}, the next one would be {partition}.{self.heads[partition]}: {why}. {REMEDY}"

    def _assignment(self) -> list[TopicPartition]:
        found = self._consumer.assignment() if self._consumer is not None else ()
        return sorted(found, key=lambda place: place.partition)

    def _offset(self, partition: int) -> int:
        """The next offset to fetch. Positions below the base are the table's."""
        return max(0, self.heads[partition] - self.origin.bases[partition])

    def _seek(self, partition: int, offset: int) -> None:
        assert self._consumer is not None
        self._consumer.seek(TopicPartition(self.topic, partition), offset)

    # ---- fetching ---------------------------------------------------------------------------------------------

    def poll(self, timeout_ms: int, rows: dict[int, PartitionRow], fetch: bool = True) -> int:
        """Fetch what follows, or wait for it. Returns how many records came to hand. Rebalances happen in here. Without
        `fetch` only the place in the group is kept.

        BrokerAway where the brokers do not answer, Fenced where another process has taken this one's name, Stalled
        where only a fresh process helps.
        """
        try:
            consumer = self._member()
            self._watch.resumed()
            self._drop_decided(rows)
            prompt = self._tails.keys() - kafka_quirks.with_rest_of_fetch(consumer)
            fetched: list[tuple[TopicPartition, Any]] = []
            if 0 < len(prompt) < len(self._tails):  # else they would wait for what is left of all other fetches
                self._pause_or_resume(consumer, rows, prompt if fetch else ())
                fetched.extend(kafka_quirks.poll_through_rebalance(consumer, GLANCE_MS, JOIN_S).items())
            self._pause_or_resume(consumer, rows, self._tails.keys() if fetch else ())
            kafka_quirks.release_paused_records(consumer)
            wait_ms = GLANCE_MS if fetched else timeout_ms
            fetched.extend(kafka_quirks.poll_through_rebalance(consumer, wait_ms, JOIN_S).items())
            self._check_place(consumer, rows)
        except FencedInstanceIdError as error:
            raise Fenced(f"another process runs as {clients.instance(self.settings)!r}") from error
        except OUT_OF_PLACE as error:
            log.info("where to go on is read again: %s", error)
            self.taken_over = True
            return 0
        except KafkaError as error:
            raise clients.translated(self.settings, error) from error
        if self._listener.changed:
            self.taken_over = True
            log.info("partitions are %s", [place.partition for place in self._assignment()])
        if self.taken_over or self._is_another_topic(consumer):
            return 0  # what was fetched may follow on nothing: `reload` seeks again
        return sum(self._take(place.partition, messages) for place, messages in fetched)

    def wait_for_company(self, came: int) -> None:
        """Let the next fetches wait for company, as many records as `came` have of it."""
        if self._consumer is not None:
            wait_ms = COMPANY_MS if came > 1 else SINGLE_MS
            kafka_quirks.fetch_together(self._consumer, wait_ms if 0 < came < ENOUGH_TOGETHER else 0)

    def _member(self) -> KafkaConsumer:
        """The consumer. The first call joins the group."""
        if self._consumer is None:
            consumer = clients.consumer(
                self.settings,
                self.settings.role,
                group_id=Topics(self.settings.kafka_prefix).group("worker"),
                group_instance_id=clients.instance(self.settings),
                auto_offset_reset="none",
                partition_assignment_strategy=kafka_quirks.ASSIGNORS,
                max_poll_interval_ms=AWAY_MS,
            )
            try:
                kafka_quirks.topics_found(consumer, [self.topic], clients.FIND_MS)
                consumer.subscribe([self.topic], listener=self._listener)
            except KafkaError:
                consumer.close(timeout_ms=1000)
                raise
            self._consumer = consumer
            self._watch.restart()
        return self._consumer

    def _drop_decided(self, rows: dict[int, PartitionRow]) -> None:
        """Drop the records that are decided."""
        for partition, tail in self._tails.items():
            while tail and tail[0].position < rows[partition].position:
                tail.popleft()
            if tail and rows[partition].halted:  # perhaps for long: it is fetched again when the partition goes on
                tail.clear()
                self.heads[partition] = max(rows[partition].position, self.origin.bases[partition])
                self._seek(partition, self._offset(partition))

    def _pause_or_resume(
        self, consumer: KafkaConsumer, rows: dict[int, PartitionRow], partitions: Collection[int]
    ) -> None:
        """Fetch for these partitions, and only what there is room for, each its share of it."""
        room = not self.is_full()
        share = max(1, ENOUGH // max(1, len(self._tails)))
        paused = consumer.paused()
        for place in self._assignment():
            works = place.partition in partitions and place.partition not in self.lost
            wanted = works and room and not rows[place.partition].halted and len(self._tails[place.partition]) < share
            if wanted and place in paused:
                consumer.resume(place)
                self._watch.progressed([place.partition])
            elif not wanted and place not in paused:
                consumer.pause(place)

    def is_full(self) -> bool:
        """Whether enough is at hand, so that nothing more is fetched. Other threads may ask, so copies are counted."""
        rows = [row for tail in self._tails.values() for row in list(tail)]
        return len(rows) >= ENOUGH or sum(len(row.body) for row in rows) >= HEAVY

    def _take(self, partition: int, messages: Sequence[Any]) -> int:
        """Append the records that follow on those at hand."""
        if partition not in self._tails or partition in self.lost:
            return 0
        tail, base = self._tails[partition], self.origin.bases[partition]
        for count, message in enumerate(messages):
            if base + message.offset != self.heads[partition]:
                ahead = base + message.offset - self.heads[partition]
                self._lose(partition, max(0, ahead), f"offset {message.offset} came next")
                return count
            tail.append(row_of(message, base))
            self.heads[partition] += 1
        self._watch.progressed([partition])
        return len(messages)

    def read(self, partition: int, position: int, most: int) -> list[InboxRow]:
        if position < self.origin.bases[partition]:
            return super().read(partition, position, most)
        tail = self._tails[partition]
        while tail and tail[0].position < position:
            tail.popleft()
        return list(islice(tail, most))

    def waiting(self) -> dict[int, int]:
        """Records in the log that are not at hand yet, as far as is known, by partition."""
        return {p: max(0, self._ends.get(p, 0) - self._offset(p)) for p in self.heads}

    def stamps(self) -> dict[int, list[tuple[int, int]]]:
        """Position and arrival (ms since 1970) of the records at hand, by partition. Other threads may ask."""
        return {p: [(row.position, row.stamp) for row in list(tail)] for p, tail in self._tails.items()}

    def caught_up(self, partition: int, position: int) -> bool:
        if self.taken_over or self.heads.get(partition, -1) != position:
            return False
        end = self._ends.get(partition)
        return end is not None and end <= self._offset(partition)

    # ---- the place in the group -------------------------------------------------------------------------------

    def _check_place(self, consumer: KafkaConsumer, rows: dict[int, PartitionRow]) -> None:
        """Look for what the library does not report: a lost rejoin, a second process of this name, a stalled fetch."""
        places = self._assignment()
        for place in places:
            if (end := consumer.highwater(place)) is not None:
                self._ends[place.partition] = end
        now = time.monotonic()
        self._watch.polled_s = now
        if self._watch.wants_to_rejoin(kafka_quirks.is_member(consumer), now):
            log.warning("no place in the group for %d s: joining it anew", kafka_quirks.REJOIN_S)
            self.leave()
            self.taken_over = True
        elif places and self._watch.is_time_to_look(now) and not (self.taken_over or self._listener.changed):
            decided = {p: max(0, rows[p].position - self.origin.bases[p]) for p in self.heads}
            offsets = {TopicPartition(self.topic, p): offset for p, offset in decided.items()}
            try:
                kafka_quirks.raise_if_fenced(consumer, offsets, ANSWER_MS)
            except REBALANCING:
                log.info("the group is changing: offsets are committed later")
            paused, ends = consumer.paused(), consumer.end_offsets(places, timeout_ms=ANSWER_MS)
            for place in places:
                self._ends[place.partition] = ends[place]
                if place in paused or ends[place] <= self._offset(place.partition):
                    self._watch.progressed([place.partition])
                elif self._watch.silent_s(place.partition, now) > STALLED_S:
                    raise Stalled(f"partition {place.partition} has records and none has come for {STALLED_S:.0f} s")

    def leave(self) -> None:
        """Close the consumer. The partitions of a static member wait for its return."""
        if self._consumer is not None:
            consumer, self._consumer = self._consumer, None
            consumer.close(timeout_ms=3000)

    def close(self) -> None:
        self.leave()
        super().close()


class _Listener(ConsumerRebalanceListener):  # type: ignore[misc]  # the library ships no types
    """Notes that partitions came or went. It runs on the library's own thread, where no call may block."""

    def __init__(self) -> None:
        self.changed = False

    def on_partitions_revoked(self, revoked: Any) -> None:
        self.changed = self.changed or bool(revoked)  # partitions that were lost come here too

    def on_partitions_assigned(self, assigned: Any) -> None:
        self.changed = self.changed or bool(assigned)


class _Watch:
    """Since when nothing has moved. Instants are of the monotonic clock, in seconds."""

    def __init__(self) -> None:
        self._rejoins = 0
        self.restart()

    def restart(self) -> None:
        """Begin anew, with a fresh client."""
        self.polled_s = self._looked_s = self._member_s = time.monotonic()
        self._moved_s: dict[int, float] = {}

    def resumed(self) -> None:
        """It is polled again. After a long pause of our own the silence says nothing about the group."""
        now = time.monotonic()
        if now - self.polled_s > LOOK_S:
            self._moved_s = dict.fromkeys(self._moved_s, now)
            self._member_s = now

    def progressed(self, partitions: Sequence[int]) -> None:
        """Records came, or none are waited for."""
        self._moved_s |= dict.fromkeys(partitions, time.monotonic())

    def silent_s(self, partition: int, now: float) -> float:
        """How long a partition's records have been waited for."""
        return now - self._moved_s.setdefault(partition, now)

    def is_time_to_look(self, now: float) -> bool:
        """Whether LOOK_S have passed since the last look. If so, the look counts as taken."""
        if now - self._looked_s < LOOK_S:
            return False
        self._looked_s = now
        return True

    def wants_to_rejoin(self, is_member: bool, now: float) -> bool:
        """Whether a member waits too long for its place. Stalled where joining anew has not helped either."""
        if is_member:
            self._member_s, self._rejoins = now, 0
        elif now - self._member_s > kafka_quirks.REJOIN_S:
            self._member_s, self._rejoins = now, self._rejoins + 1
            if self._rejoins > REJOINS:
                raise Stalled(f"the group has given no place after joining it {REJOINS} times anew")
            return True
        return False

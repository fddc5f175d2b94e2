"""The partitions of the inbox topic that the group gave to this process.

In: the partition rows, which say how far was decided. Out: the records that follow, in order. The database says where
to go on, after every change of partitions and every error; the group's own offsets are for dashboards. Offsets have no
gaps, so whatever does not follow is a loss: the partition stands still and says so, nothing is ever jumped over.

What this library does not tell is watched for: a rejoin that it forgets, a fetch that stands still, a process of the
same name.
"""

import logging
import time
from collections import deque
from collections.abc import Sequence
from itertools import islice
from typing import Any

from kafka import ConsumerRebalanceListener, KafkaConsumer, TopicPartition
from kafka.coordinator.assignors.range import RangePartitionAssignor
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
from kafka.structs import MemberState, OffsetAndMetadata

from engine.cluster import clients
from engine.cluster.inbox import KafkaInbox, row_of
from engine.errors import Fenced, Stalled
from engine.settings import Settings
from engine.store import inbox as table
from engine.store.database import Connection, Database
from engine.store.rows import InboxRow, PartitionRow
from schemas.topics import Topics

log = logging.getLogger(__name__)

ENOUGH = 4_000
"""Records at hand with which nothing more is fetched: a slow database holds the brokers up, not the memory."""
HEAVY = 64 * 1024 * 1024
"""So many characters of them are enough as well: an event may have 256 KiB."""
ANSWER_MS = 5_000
"""How long an answer is waited for; the library would wait for ever."""
AWAY_MS = 45_000
"""Who does not fetch for so long is taken for dead: a change of the group waits for every member until then."""
LOOK_S = 5.0
"""How often the group is told the position, which is how a process hears that it was fenced, and the log's end is asked
for."""
JOIN_S = 5.0
"""How long a change of the group keeps a member from everything else; it has no partitions meanwhile."""
REJOINS = 5
"""So often the group is joined by a fresh client, longer than any change of the group takes; then the process ends."""
STALLED_S = 60.0
"""With records in the log and none fetched for so long, the process ends and a fresh one is started."""
REMEDY = "Bring the log back; or stop the roles: `gridpatrol topic create --adopt` says what going on without it costs."
REBALANCING = (CommitFailedError, IllegalGenerationError, RebalanceInProgressError, UnknownMemberIdError)
OUT_OF_PLACE = (LogTruncationError, NoOffsetForPartitionError, OffsetOutOfRangeError)
"""The group or the log has another idea of where to go on: the database says it."""


class OwnedInbox(KafkaInbox):
    """The log of a process that decides. `poll` is where partitions come and go."""

    def __init__(self, settings: Settings, database: Database, origin: table.Origin) -> None:
        super().__init__(settings, database, origin)
        self.taken_over = False  # memory is to be read again: partitions have come or gone, or something failed
        self.lost: dict[int, str] = {}  # partitions of which records are missing, and which
        self.gaps: dict[int, int] = {}  # how many
        self._consumer: KafkaConsumer | None = None
        self._listener = _Listener()
        self._tails: dict[int, deque[InboxRow]] = {}
        self._marks: dict[int, int] = {}  # offsets at which the log was seen to end
        self._watch = _Watch()

    # ---- where to go on ---------------------------------------------------------------------------------------

    def reload(self, connection: Connection, rows: dict[int, PartitionRow]) -> None:
        """Go on after what these rows have decided, whatever was fetched."""
        self.taken_over = self._listener.changed = False
        places = self._assignment()
        owned = [place.partition for place in places]
        self.heads = {p: max(rows[p].position, self.origin.bases[p]) for p in owned}
        self._tails = {p: deque() for p in owned}
        self.lost = {p: why for p, why in self.lost.items() if p in owned and rows[p].halted}
        self.gaps = {p: self.gaps[p] for p in self.lost}
        self._marks = {}
        self._watch.fetching(owned)
        for partition in owned:
            self._seek(partition, self._offset(partition))

    def check_reach(self) -> None:
        """What the log no longer has, or does not have yet, was lost: nothing is decided past it."""
        places = self._assignment()
        if not places or self._consumer is None or self._is_another_topic():
            return
        try:
            first = self._consumer.beginning_offsets(places, timeout_ms=ANSWER_MS)
            ends = self._consumer.end_offsets(places, timeout_ms=ANSWER_MS)
        except KafkaError as error:
            raise clients.told_apart(self.settings, error) from error
        for place in places:
            wanted = self._offset(place.partition)
            if first[place] > wanted:
                self._lose(place.partition, first[place] - wanted, f"the log begins at offset {first[place]}")
                self._seek(place.partition, first[place])
            elif ends[place] < wanted:
                self._lose(place.partition, wanted - ends[place], f"the log ends at offset {ends[place]}")
                self._seek(place.partition, ends[place])

    def _is_another_topic(self) -> bool:
        """Whether the brokers have another topic of this name by now: its offsets mean nothing here."""
        assert self._consumer is not None
        found = self._consumer._cluster.topic_id(self.topic)
        if found is None or str(found) == self.origin.topic:
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

    def _place(self, partition: int) -> TopicPartition:
        return TopicPartition(self.topic, partition)

    def _offset(self, partition: int) -> int:
        """The next offset to fetch; what lies below the base is the table's."""
        return max(0, self.heads[partition] - self.origin.bases[partition])

    def _seek(self, partition: int, offset: int) -> None:
        assert self._consumer is not None
        self._consumer.seek(self._place(partition), offset)

    # ---- fetching ---------------------------------------------------------------------------------------------

    def poll(self, timeout_ms: int, rows: dict[int, PartitionRow], fetch: bool = True) -> int:
        """Fetch what follows, or wait for it; rebalances happen in here. How many records came to hand. Without `fetch`
        only the place in the group is kept.

        BrokerAway where the brokers do not answer, Fenced where another process has taken this one's name, Stalled
        where only a fresh process helps.
        """
        try:
            consumer = self._member()
            self._regulate(consumer, rows, fetch)
            _hand_out_what_was_kept(consumer)
            self._watch.goes_on()
            fetched = _fetch(consumer, timeout_ms)
            self._keep_place(consumer, rows)
        except FencedInstanceIdError as error:
            raise Fenced(f"another process runs as {clients.instance(self.settings)!r}") from error
        except OUT_OF_PLACE as error:
            log.info("where to go on is read again: %s", error)
            self.taken_over = True
            return 0
        except KafkaError as error:
            raise clients.told_apart(self.settings, error) from error
        if self._listener.changed:
            self.taken_over = True
            log.info("partitions are %s", [place.partition for place in self._assignment()])
        if self.taken_over or self._is_another_topic():
            return 0  # what was fetched may follow on nothing: it is sought again
        return sum(self._take(place.partition, messages) for place, messages in fetched.items())

    def _member(self) -> KafkaConsumer:
        """The consumer; at first it joins. The topic's metadata come before: without them a fresh member can stay
        without partitions. The assignor is an eager one: the cooperative one of this library does not settle."""
        if self._consumer is None:
            consumer = clients.consumer(
                self.settings,
                self.settings.role,
                group_id=Topics(self.settings.kafka_prefix).group("worker"),
                group_instance_id=clients.instance(self.settings),
                auto_offset_reset="none",
                partition_assignment_strategy=[RangePartitionAssignor],
                max_poll_interval_ms=AWAY_MS,
            )
            try:
                clients.known(consumer, [self.topic])
                consumer.subscribe([self.topic], listener=self._listener)
            except KafkaError:
                consumer.close(timeout_ms=1000)
                raise
            self._consumer = consumer
            self._watch.begins()
        return self._consumer

    def _regulate(self, consumer: KafkaConsumer, rows: dict[int, PartitionRow], fetch: bool) -> None:
        """Forget what is decided, and fetch only what there is room for, each partition its share of it."""
        for partition, tail in self._tails.items():
            while tail and tail[0].position < rows[partition].position:
                tail.popleft()
            if tail and rows[partition].halted:  # for how long, nobody knows: it is fetched again when it goes on
                tail.clear()
                self.heads[partition] = max(rows[partition].position, self.origin.bases[partition])
                self._seek(partition, self._offset(partition))
        room = fetch and not self.is_full()
        share = max(1, ENOUGH // max(1, len(self._tails)))
        paused = consumer.paused()
        for place in self._assignment():
            wanted = room and self._goes_on(place.partition, rows) and len(self._tails[place.partition]) < share
            if wanted and place in paused:
                consumer.resume(place)
                self._watch.fetching([place.partition])
            elif not wanted and place not in paused:
                consumer.pause(place)

    def is_full(self) -> bool:
        """Whether enough is at hand, so that nothing more is fetched. Copies are looked at: other threads may ask."""
        rows = [row for tail in self._tails.values() for row in list(tail)]
        return len(rows) >= ENOUGH or sum(len(row.body) for row in rows) >= HEAVY

    def _goes_on(self, partition: int, rows: dict[int, PartitionRow]) -> bool:
        return partition in self._tails and partition not in self.lost and not rows[partition].halted

    def _take(self, partition: int, messages: Sequence[Any]) -> int:
        """Records that follow on those at hand."""
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
        self._watch.fetching([partition])
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
        marks = self._marks
        return {p: max(0, marks.get(p, 0) - max(0, head - self.origin.bases[p])) for p, head in self.heads.items()}

    def caught_up(self, partition: int, position: int) -> bool:
        if self.taken_over or self.heads.get(partition, -1) != position:
            return False
        mark = self._marks.get(partition)
        return mark is not None and mark <= self._offset(partition)

    # ---- keeping the place in the group -----------------------------------------------------------------------

    def _keep_place(self, consumer: KafkaConsumer, rows: dict[int, PartitionRow]) -> None:
        """Watch over what this library does not tell."""
        places = self._assignment()
        for place in places:
            if (mark := consumer.highwater(place)) is not None:
                self._marks[place.partition] = mark
        now = time.monotonic()
        self._watch.polled_s = now
        if self._watch.wants_to_rejoin(clients.seated(consumer), now):
            log.warning("no place in the group for %d s: joining it anew", clients.UNSEATED_S)
            self.leave()
            self.taken_over = True
        elif places and self._watch.looks(now) and not (self.taken_over or self._listener.changed):
            self._tell_group(consumer, rows)
            self._look_for_stall(consumer, places, now)

    def _tell_group(self, consumer: KafkaConsumer, rows: dict[int, PartitionRow]) -> None:
        """How far was decided, for dashboards; FencedInstanceIdError comes of this and of nothing else."""
        decided = {p: max(0, rows[p].position - self.origin.bases[p]) for p in self.heads}
        offsets = {self._place(p): OffsetAndMetadata(offset, "", -1) for p, offset in decided.items()}
        try:
            consumer.commit(offsets, timeout_ms=ANSWER_MS)
        except REBALANCING:
            log.info("the group is changing: its offsets are told later")

    def _look_for_stall(self, consumer: KafkaConsumer, places: list[TopicPartition], now: float) -> None:
        """Whether records are in the log that are fetched and do not come."""
        paused, ends = consumer.paused(), consumer.end_offsets(places, timeout_ms=ANSWER_MS)
        for place in places:
            self._marks[place.partition] = ends[place]
            still = place not in paused and ends[place] > self._offset(place.partition)
            if not still:
                self._watch.fetching([place.partition])
            elif self._watch.silent_s(place.partition, now) > STALLED_S:
                raise Stalled(f"partition {place.partition} has records and none has come for {STALLED_S:.0f} s")

    def leave(self) -> None:
        """Leave; a static member's partitions wait for its return."""
        if self._consumer is not None:
            consumer, self._consumer = self._consumer, None
            consumer.close(timeout_ms=3000)

    def close(self) -> None:
        self.leave()
        super().close()


def _hand_out_what_was_kept(consumer: KafkaConsumer) -> None:
    """What this library keeps back of a partition that was paused it hands out only where this place holds None, and it
    leaves an emptied object there: a partition paused in the middle of a fetch would never move again."""
    fetcher = consumer._fetcher
    if not fetcher._next_partition_records:
        fetcher._next_partition_records = None


def _fetch(consumer: KafkaConsumer, timeout_ms: int) -> Any:
    """Fetch. What the group answers between two calls this library throws away, and asks again, which makes the whole
    group begin anew: until a change of the group is through, nothing comes between."""
    until = time.monotonic() + JOIN_S
    fetched = consumer.poll(timeout_ms)
    while not fetched and consumer.group_metadata().state == MemberState.REBALANCING and time.monotonic() < until:
        fetched = consumer.poll(timeout_ms)
    return fetched


class _Listener(ConsumerRebalanceListener):  # type: ignore[misc]  # the library ships no types
    """Notes that partitions came or went. It runs on the library's own thread, where hardly anything is allowed."""

    def __init__(self) -> None:
        self.changed = False

    def on_partitions_revoked(self, revoked: Any) -> None:
        self.changed = self.changed or bool(revoked)  # those that were lost come here too

    def on_partitions_assigned(self, assigned: Any) -> None:
        self.changed = self.changed or bool(assigned)


class _Watch:
    """Since when nothing has moved."""

    def __init__(self) -> None:
        self._rejoins = 0
        self.begins()

    def begins(self) -> None:
        """There is a fresh client."""
        self.polled_s = self._looked = self._seated = time.monotonic()
        self._moved: dict[int, float] = {}

    def goes_on(self) -> None:
        """It is polled again. After a pause of our own nobody else is to blame for the silence."""
        now = time.monotonic()
        if now - self.polled_s > LOOK_S:
            self._moved = dict.fromkeys(self._moved, now)
            self._seated = now

    def fetching(self, partitions: Sequence[int]) -> None:
        """Records came, or none are waited for."""
        self._moved |= dict.fromkeys(partitions, time.monotonic())

    def silent_s(self, partition: int, now: float) -> float:
        """How long a partition's records have been waited for."""
        return now - self._moved.setdefault(partition, now)

    def looks(self, now: float) -> bool:
        """Whether it is time for another look; it counts as taken."""
        if now - self._looked < LOOK_S:
            return False
        self._looked = now
        return True

    def wants_to_rejoin(self, seated: bool, now: float) -> bool:
        """Whether a member waits too long for its place. Stalled where joining anew has not helped either."""
        if seated:
            self._seated, self._rejoins = now, 0
        elif now - self._seated > clients.UNSEATED_S:
            self._seated, self._rejoins = now, self._rejoins + 1
            if self._rejoins > REJOINS:
                raise Stalled(f"the group has given no place after joining it {REJOINS} times anew")
            return True
        return False

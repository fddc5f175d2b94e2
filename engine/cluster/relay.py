"""Publishing steps after their commit: in the order of their numbers, at least once, to the same partition's topic.

Steps of a slice are sent as soon as it is committed; on a new partition, those in the store after its mark. A mark per
partition (`positions`, consumer `facts.topic`) says how far they are acknowledged. After a crash the steps after the
mark are sent again; readers go by `n`.
"""

import logging
import time
from collections import deque
from collections.abc import Sequence

import msgspec
from msgspec import Raw, Struct

from engine import failpoints
from engine.cluster import clients
from engine.cluster.publisher import Publisher
from engine.store import steps
from engine.store.database import Database
from engine.store.positions import PositionRow, raise_positions, read_positions
from engine.store.rows import PartitionRow, StepRow
from engine.store.steps import StepRange
from schemas import binary
from schemas.topics import Topics

log = logging.getLogger(__name__)

NAME = "facts.topic"
PAGE = 1000
"""Steps that are read from the store and sent at once, of all partitions together."""
LARGEST = clients.MESSAGE_BYTES - 16_384
"""Bytes of a step that fits into a message with its headers. No event makes a step that large. Should one, its readers
find a gap and fill it from the store, as every gap."""
WAITING = 20_000
"""Steps on their way; with more, the brokers are waited for."""
MARK_S = 1.0
"""How often the marks are written. Steps after them are sent twice after a crash, and skipped by their number."""


class Message(Struct, frozen=True):
    """A step as it travels: `schemas.facts.Step`, with what is JSON already passed through."""

    partition: int
    n: int
    case: str
    seq: int
    at: int
    day: int
    policy: str
    definition: str
    path: str
    category: str
    group: str
    department: str
    post: str
    cause: Raw
    facts: Raw


def message(row: StepRow) -> bytes:
    """The value of a step's message."""
    value = Message(
        row.partition,
        row.n,
        row.case_id,
        row.seq,
        row.at,
        row.day,
        row.policy,
        row.definition,
        row.path,
        row.category,
        row.grp,
        row.department,
        row.post,
        Raw(row.cause.encode()),
        Raw(row.body.encode()),
    )
    return msgspec.json.encode(value)


class Relay:
    """The publisher of a worker's partitions."""

    def __init__(self, database: Database, topics: Topics, publisher: Publisher) -> None:
        self.database = database
        self.topic = topics.facts
        self.publisher = publisher
        self._sent: dict[int, int] = {}  # last number handed to the publisher, by partition
        self._acknowledged: dict[int, int] = {}
        self._marked: dict[int, int] = {}
        self._waiting: deque[tuple[int, int]] = deque()  # (partition, n) on their way, in order
        self._written_s = time.monotonic()

    def reload(self, owned: Sequence[int]) -> None:
        """Begin again at the marks of these partitions. A mark after the last step is of another backup than the steps:
        from the last one on they are published, for a second time perhaps."""
        self.publisher.forget()
        self._waiting.clear()
        with self.database.read() as connection:
            marks, ends = read_positions(connection, NAME), steps.read_ends(connection)
        for partition in owned:
            if (mark := marks.get(partition, 0)) > (end := ends.get(partition, 0)):
                log.error("steps up to %d.%d were published, and the store has %d", partition, mark, end)
                marks[partition] = end
        self._marked = {p: marks.get(p, 0) for p in owned}
        self._sent, self._acknowledged = dict(self._marked), dict(self._marked)

    def take(self, rows: Sequence[StepRow]) -> None:
        """Send steps that were just committed and follow on those that were sent; `catch_up` sends the others."""
        for row in rows:
            if self._sent.get(row.partition) == row.n - 1:
                self._send(row)
        self.publisher.go()

    def catch_up(self, rows: dict[int, PartitionRow]) -> int:
        """Send steps of the store that were not sent. Returns how many."""
        late = {p: sent for p, sent in self._sent.items() if rows[p].n > sent}
        if not late:
            return 0
        share = max(1, PAGE // len(late))
        behind = [StepRange(p, sent, min(rows[p].n, sent + share)) for p, sent in late.items()]
        with self.database.read() as connection:
            missing = steps.read_ranges(connection, NAME, sorted(behind))
        for row in missing:
            self._send(row)
        self.publisher.go()
        return len(missing)

    def _send(self, row: StepRow) -> None:
        headers = binary.headers(
            type="gridpatrol.step.v1", id=f"{row.partition}.{row.n}", subject=row.case_id, at_ms=row.at
        )
        failpoints.hit("relay.before_send")
        value = message(row)
        self._sent[row.partition] = row.n
        if len(value) > LARGEST:
            log.error("step %d.%d has %d bytes: no message takes it", row.partition, row.n, len(value))
            return
        self.publisher.send(self.topic, row.case_id, value, headers, row.partition)
        self._waiting.append((row.partition, row.n))

    def settle(self) -> None:
        """Note what is acknowledged by now, and write the marks every MARK_S."""
        if len(self._waiting) > WAITING:
            self.publisher.flush()
            self._note(len(self._waiting))
        self._note(self.publisher.settled())
        if time.monotonic() - self._written_s >= MARK_S:
            self.mark()

    def _note(self, count: int) -> None:
        for _ in range(count):
            partition, n = self._waiting.popleft()
            self._acknowledged[partition] = n

    def mark(self) -> None:
        """Write how far everything is acknowledged."""
        self._written_s = time.monotonic()
        moved = {p: n for p, n in self._acknowledged.items() if n > self._marked.get(p, 0)}
        if not moved:
            return
        failpoints.hit("relay.before_mark")
        with self.database.begin() as connection:
            raise_positions(connection, [PositionRow(NAME, p, n) for p, n in sorted(moved.items())])
        self._marked |= moved

    def unpublished(self, rows: dict[int, PartitionRow]) -> int:
        """Steps that are committed and not acknowledged by the brokers."""
        return sum(rows[p].n - n for p, n in self._acknowledged.items())

    def finish(self) -> None:
        """Wait for the steps that are on their way, and write the marks."""
        self.publisher.flush()
        self._note(len(self._waiting))
        self.mark()

    def close(self) -> None:
        """Close the producer. The next owner sends again what was on its way."""
        self.publisher.close()

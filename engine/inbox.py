"""The inbox log as the engine sees it, and its form as a table. The other form is a topic: `engine.cluster.inbox`.

The log gives each submission its position within the partition, from 0, and its stamp: the time of arrival in ms.
"""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import Protocol

from msgspec import Struct

from engine import failpoints
from engine.errors import StaleWriter
from engine.store import inbox_table
from engine.store.database import TAKEN, Connection, Database
from engine.store.rows import InboxRow, PartitionRow, SealedRow

TAIL = 20_000
"""Records of a partition kept in memory between append and decision. One more, and all are read from the table."""


class Submission(Struct, frozen=True):
    """A record that is to be appended."""

    partition: int
    kind: str
    principal: str
    body: str
    sealed: SealedRow | None = None
    unknown: tuple[str, ...] = ()
    """Members that the contract does not know, for the answer to the sender. They are not appended."""


class Inbox(Protocol):
    """A log with numbered partitions."""

    heads: dict[int, int]
    """How far records are at hand: the position after the last one, by partition that is ours to decide."""

    def reload(self, connection: Connection, rows: dict[int, PartitionRow]) -> None:
        """Forget what is in memory. Reading goes on at the positions of these rows."""

    at_once: bool
    """Whether an append is one transaction, and so leaves all of its records or none."""

    def append(
        self, wanted: Sequence[Submission], now: int, also_write: Callable[[Connection], object] | None = None
    ) -> list[InboxRow]:
        """Append durably, in order. Sealed members are stored no later than the records that refer to them. What is
        written besides is so in the same transaction, or once the log has the records."""

    def noted(self, rows: Sequence[InboxRow]) -> None:
        """A slice of a replay has appended these."""

    def read(self, partition: int, position: int, most: int) -> list[InboxRow]:
        """Records at hand, from a position on."""

    def caught_up(self, partition: int, position: int) -> bool:
        """Whether the log is known to hold nothing at or after this position."""

    def end(self, partition: int) -> int:
        """The position after the last record in the log."""

    def ends(self) -> list[int]:
        """The same of every partition."""

    def read_all(self, connection: Connection, partition: int) -> Iterator[InboxRow]:
        """Everything that a partition ever took in; LogMismatch where the log's beginning is gone."""


class TableInbox:
    """The log as a table. The holder of the lease owns all partitions."""

    at_once = True

    def __init__(self, database: Database) -> None:
        self.database = database
        self.heads: dict[int, int] = {}
        self._tails: dict[int, deque[InboxRow]] = {}

    def reload(self, connection: Connection, rows: dict[int, PartitionRow]) -> None:
        self.heads = dict.fromkeys(rows, 0) | inbox_table.read_heads(connection)
        self._tails = {p: deque() for p in rows}

    def append(
        self, wanted: Sequence[Submission], now: int, also_write: Callable[[Connection], object] | None = None
    ) -> list[InboxRow]:
        """One transaction. StaleWriter if another writer was here."""
        rows = self.placed(wanted, now)
        try:
            with self.database.begin() as connection:
                inbox_table.append(connection, rows, [item.sealed for item in wanted if item.sealed])
                if also_write is not None:
                    also_write(connection)
                failpoints.hit("append.before_commit")
        except TAKEN as error:
            raise StaleWriter("another writer has appended at these positions") from error
        failpoints.hit("append.after_commit")
        self.noted(rows)
        for row in rows:
            tail = self._tails[row.partition]
            tail.append(row)
            if len(tail) > TAIL:
                tail.clear()
        return rows

    def placed(self, wanted: Sequence[Submission], now: int) -> list[InboxRow]:
        """The records at the places that an append gives them."""
        heads, rows = dict(self.heads), []
        for item in wanted:
            rows.append(InboxRow(item.partition, heads[item.partition], now, item.kind, item.principal, item.body))
            heads[item.partition] += 1
        return rows

    def noted(self, rows: Sequence[InboxRow]) -> None:
        for row in rows:
            self.heads[row.partition] = max(self.heads[row.partition], row.position + 1)

    def read(self, partition: int, position: int, most: int) -> list[InboxRow]:
        tail = self._tails[partition]
        while tail and tail[0].position < position:
            tail.popleft()
        if tail and tail[0].position == position:
            return [tail[i] for i in range(min(most, len(tail)))]
        with self.database.read() as connection:
            return inbox_table.read(connection, partition, position, most)

    def caught_up(self, partition: int, position: int) -> bool:
        return self.heads[partition] <= position

    def end(self, partition: int) -> int:
        return self.heads[partition]

    def ends(self) -> list[int]:
        return [self.heads[partition] for partition in sorted(self.heads)]

    def read_all(self, connection: Connection, partition: int) -> Iterator[InboxRow]:
        return inbox_table.read_all(connection, partition)

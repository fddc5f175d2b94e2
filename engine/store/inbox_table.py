"""The inbox log as a table, and what is stored beside it: which topic is the log instead, settlements, packs."""

from collections.abc import Iterator, Sequence

import msgspec
from msgspec import Struct
from sqlalchemy import Connection

from engine.store import writes
from engine.store.meta import read_meta, write_meta
from engine.store.rows import InboxRow, PackRow, PartitionRow, SealedRow, SettlementRow
from engine.store.sql import execute
from engine.store.tables import inbox, packs, partitions, sealed, settlements
from engine.store.writes import Target

TOPIC = "inbox"
"""Name in `meta` of the `Origin`, as JSON; missing: the log is the table."""


class Origin(Struct, frozen=True):
    """Which topic is the log, and at which position of each partition it begins: position = base + offset."""

    cluster: str
    topic: str
    bases: list[int]
    starts: list[int] = []  # the offsets from which on the topic is this log; empty: from its beginning

    def start(self, partition: int) -> int:
        """The first offset that counts."""
        return self.starts[partition] if self.starts else 0


# ---- installation -------------------------------------------------------------------------------------------


def read_origin(connection: Connection) -> Origin | None:
    """Which topic is the log; None: the table is."""
    found = read_meta(connection, TOPIC)
    return msgspec.json.decode(found, type=Origin) if found else None


def write_origin(connection: Connection, origin: Origin) -> None:
    """From now on this topic is the log."""
    write_meta(connection, TOPIC, msgspec.json.encode(origin).decode())


def create_partitions(connection: Connection, count: int) -> None:
    """The rows of an empty database."""
    rows = [PartitionRow(p, 0, 0, 0, 0, "", "[]") for p in range(count)]
    writes.insert(connection, partitions, rows)


# ---- records ------------------------------------------------------------------------------------------------


def append(target: Target, rows: Sequence[InboxRow], bodies: Sequence[SealedRow] = ()) -> None:
    """Records at the positions that the single writer gave them, with what was sealed of them."""
    writes.insert(target, inbox, rows)
    writes.insert_missing(target, sealed, bodies)


def read_heads(connection: Connection) -> dict[int, int]:
    """The next free position of each partition."""
    rows = execute(connection, "SELECT partition, max(position) + 1 FROM inbox GROUP BY partition")
    return {partition: head for partition, head in rows}


def read(connection: Connection, partition: int, position: int, limit: int) -> list[InboxRow]:
    """Records of a partition from a position on."""
    sql = """
        SELECT partition, position, stamp, kind, principal, body FROM inbox
        WHERE partition = ? AND position >= ? ORDER BY position LIMIT ?"""
    return [InboxRow(*row) for row in execute(connection, sql, partition, position, limit)]


def read_all(connection: Connection, partition: int, page: int = 2000) -> Iterator[InboxRow]:
    """All records of a partition, page by page."""
    position = 0
    while rows := read(connection, partition, position, page):
        yield from rows
        position = rows[-1].position + 1


def read_settlements(connection: Connection) -> list[SettlementRow]:
    """What operators settled."""
    sql = "SELECT partition, position, verdict, detail FROM settlements ORDER BY partition, position"
    return [SettlementRow(*row) for row in execute(connection, sql)]


def write_settlements(connection: Connection, rows: Sequence[SettlementRow]) -> None:
    """Keep how records are settled."""
    writes.upsert(connection, settlements, rows)


# ---- packs --------------------------------------------------------------------------------------------------


def write_pack(connection: Connection, row: PackRow) -> None:
    """Keep a compiled pack under its hash."""
    writes.insert_missing(connection, packs, [row])


def read_pack(connection: Connection, digest: str) -> str | None:
    """The body of a pack."""
    body: str | None = execute(connection, "SELECT body FROM packs WHERE hash = ?", digest).scalar_one_or_none()
    return body


def read_packs(connection: Connection) -> list[PackRow]:
    """All packs that were ever stored."""
    return [PackRow(*row) for row in execute(connection, "SELECT hash, code, title, body FROM packs ORDER BY hash")]

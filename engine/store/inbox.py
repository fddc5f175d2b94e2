"""The inbox log as a table, and what is installed beside it.

In: the open transaction. Out: records, packs, settlements, what is fixed at installation.
"""

from collections.abc import Iterator, Sequence

import msgspec
from msgspec import Struct
from sqlalchemy import Connection

from engine.store import writes
from engine.store.rows import InboxRow, PackRow, PartitionRow, SealedRow, SettlementRow
from engine.store.tables import inbox, packs, partitions, sealed, settlements

TOPIC = "inbox"
"""Name in `meta` of what is known about the topic that is the log; missing: the log is the table."""


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


def read_meta(connection: Connection, name: str) -> str | None:
    """A value fixed at installation."""
    found = connection.exec_driver_sql(f"SELECT value FROM meta WHERE name = {writes.mark(connection)}", (name,))
    value: str | None = found.scalar_one_or_none()
    return value


def write_meta(connection: Connection, name: str, value: str) -> None:
    """Set such a value."""
    mark = writes.mark(connection)
    conflict = "ON CONFLICT (name) DO UPDATE SET value = excluded.value"
    sql = f"INSERT INTO meta (name, value) VALUES ({mark}, {mark}) {conflict}"
    connection.exec_driver_sql(sql, (name, value))


def read_origin(connection: Connection) -> Origin | None:
    """Which topic the log is; None: it is the table."""
    found = read_meta(connection, TOPIC)
    return msgspec.json.decode(found, type=Origin) if found else None


def write_origin(connection: Connection, origin: Origin) -> None:
    """From now on the log is this topic."""
    write_meta(connection, TOPIC, msgspec.json.encode(origin).decode())


def create_partitions(connection: Connection, count: int) -> None:
    """The rows of an empty database."""
    rows = [PartitionRow(p, 0, 0, 0, 0, "", "[]") for p in range(count)]
    writes.insert(connection, partitions, rows)


# ---- records ------------------------------------------------------------------------------------------------


def append(connection: Connection, rows: Sequence[InboxRow], bodies: Sequence[SealedRow] = ()) -> None:
    """Records at the positions the single writer gave them, with what was sealed of them."""
    writes.insert(connection, inbox, rows)
    writes.ignore(connection, sealed, bodies)


def read_heads(connection: Connection) -> dict[int, int]:
    """The next free position of each partition."""
    rows = connection.exec_driver_sql("SELECT partition, max(position) + 1 FROM inbox GROUP BY partition")
    return {partition: head for partition, head in rows}


def read(connection: Connection, partition: int, position: int, limit: int) -> list[InboxRow]:
    """Records of a partition from a position on."""
    mark = writes.mark(connection)
    sql = (
        f"SELECT partition, position, stamp, kind, principal, body FROM inbox "
        f"WHERE partition = {mark} AND position >= {mark} ORDER BY position LIMIT {mark}"
    )
    return [InboxRow(*row) for row in connection.exec_driver_sql(sql, (partition, position, limit))]


def read_all(connection: Connection, partition: int, page: int = 2000) -> Iterator[InboxRow]:
    """All records of a partition, page by page."""
    position = 0
    while rows := read(connection, partition, position, page):
        yield from rows
        position = rows[-1].position + 1


def read_settlements(connection: Connection) -> list[SettlementRow]:
    """What operators settled."""
    rows = connection.exec_driver_sql(
        "SELECT partition, position, verdict, detail FROM settlements ORDER BY partition, position"
    )
    return [SettlementRow(*row) for row in rows]


def write_settlements(connection: Connection, rows: Sequence[SettlementRow]) -> None:
    """Keep an operator's word on records."""
    writes.upsert(connection, settlements, rows)


# ---- packs --------------------------------------------------------------------------------------------------


def write_pack(connection: Connection, row: PackRow) -> None:
    """Keep a compiled pack under its hash."""
    writes.ignore(connection, packs, [row])


def read_pack(connection: Connection, digest: str) -> str | None:
    """The body of a pack."""
    found = connection.exec_driver_sql(f"SELECT body FROM packs WHERE hash = {writes.mark(connection)}", (digest,))
    value: str | None = found.scalar_one_or_none()
    return value


def read_packs(connection: Connection) -> list[PackRow]:
    """All packs that were ever stored."""
    rows = connection.exec_driver_sql("SELECT hash, code, title, body FROM packs ORDER BY hash")
    return [PackRow(*row) for row in rows]

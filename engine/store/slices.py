"""What a slice reads and writes. In: the open transaction. Out: rows; each statement with its purpose.

Lists go in as one JSON parameter on both databases, so every statement is prepared once.
"""

from collections.abc import Iterable, Sequence
from operator import attrgetter

import msgspec
from msgspec.structs import replace
from sqlalchemy import Connection

from engine.errors import StaleWriter
from engine.store import writes
from engine.store.rows import LETTER_TEXTS, CaseRow, LetterRow, PartitionRow, SealedRow, SeenRow, StepRow
from engine.store.tables import cases, dead_letters, facts, partitions, sealed, seen

_COLUMNS = "partition, position, clock, n, version, halted, packs"


def _json(values: object) -> str:
    return msgspec.json.encode(values).decode()


def read_partitions(connection: Connection) -> list[PartitionRow]:
    """All partition rows."""
    rows = connection.exec_driver_sql(f"SELECT {_COLUMNS} FROM partitions ORDER BY partition")
    return [PartitionRow(*row) for row in rows]


def lock_partitions(connection: Connection, wanted: Sequence[PartitionRow]) -> None:
    """Lock these rows in order, and compare: whoever moved one on has made our memory void."""
    ids = ", ".join(str(row.partition) for row in wanted)
    lock = " FOR UPDATE" if connection.dialect.name == "postgresql" else ""
    rows = connection.exec_driver_sql(
        f"SELECT partition, version FROM partitions WHERE partition IN ({ids}) ORDER BY partition{lock}"
    )
    stands = {partition: version for partition, version in rows}
    for row in wanted:
        if stands.get(row.partition) != row.version:
            found = stands.get(row.partition)
            raise StaleWriter(f"partition {row.partition} stands at version {found}, not {row.version}")


def write_partitions(connection: Connection, rows: Sequence[PartitionRow]) -> None:
    """Move the partitions on; their versions were compared under the lock."""
    writes.upsert(connection, partitions, rows)


def read_cases(connection: Connection, ids: Iterable[str]) -> list[tuple[str, int | None, str]]:
    """Cases by id: (id, next_at, body)."""
    if connection.dialect.name == "sqlite":
        sql = "SELECT c.id, c.next_at, c.body FROM json_each(?) j JOIN cases c ON c.id = j.value"
        return [(*row,) for row in connection.exec_driver_sql(sql, (_json(sorted(ids)),))]
    sql = "SELECT id, next_at, body FROM cases WHERE id = ANY(%s)"
    return [(*row,) for row in connection.exec_driver_sql(sql, (sorted(ids),))]


def read_due(connection: Connection, partition: int, before: int, limit: int) -> list[tuple[str, int, str]]:
    """Cases of a partition with something due before an instant, by (due, case): (id, next_at, body)."""
    mark = writes.mark(connection)
    sql = (
        f"SELECT id, next_at, body FROM cases WHERE partition = {mark} AND next_at IS NOT NULL AND next_at < {mark} "
        f"ORDER BY next_at, id LIMIT {mark}"
    )
    return [(*row,) for row in connection.exec_driver_sql(sql, (partition, before, limit))]


def read_next_due(connection: Connection, partition: int) -> int | None:
    """The earliest instant at which something of a partition is due."""
    mark = writes.mark(connection)
    sql = f"SELECT min(next_at) FROM cases WHERE partition = {mark} AND next_at IS NOT NULL"
    value: int | None = connection.exec_driver_sql(sql, (partition,)).scalar_one()
    return value


def read_nearby(connection: Connection, keys: Iterable[str]) -> list[tuple[str, int | None, str]]:
    """Open cases under correlation keys: (id, next_at, body)."""
    if connection.dialect.name == "sqlite":
        sql = "SELECT c.id, c.next_at, c.body FROM json_each(?) j JOIN cases c ON c.key = j.value"
        return [(*row,) for row in connection.exec_driver_sql(sql, (_json(sorted(keys)),))]
    sql = "SELECT id, next_at, body FROM cases WHERE key = ANY(%s)"
    return [(*row,) for row in connection.exec_driver_sql(sql, (sorted(keys),))]


def read_seen(connection: Connection, keys: Sequence[tuple[int, str, str]]) -> list[SeenRow]:
    """What is known of these events: (partition, source, id)."""
    names = ", ".join(f"s.{name}" for name in SeenRow.__struct_fields__)
    match = "s.partition = j.partition AND s.source = j.source AND s.id = j.id"
    if connection.dialect.name == "sqlite":
        rows = (
            "(SELECT json_extract(value, '$[0]') AS partition, json_extract(value, '$[1]') AS source, "
            "json_extract(value, '$[2]') AS id FROM json_each(?)) j"
        )
        sql = f"SELECT {names} FROM {rows} CROSS JOIN seen s ON {match}"
        found = connection.exec_driver_sql(sql, (_json(keys),))
    else:
        p, s, i = (list(column) for column in zip(*keys, strict=True))
        rows = "unnest(%s::int[], %s::text[], %s::text[]) AS j(partition, source, id)"
        found = connection.exec_driver_sql(f"SELECT {names} FROM {rows} JOIN seen s ON {match}", (p, s, i))
    return [SeenRow(*row) for row in found]


def write_steps(connection: Connection, rows: Sequence[StepRow]) -> None:
    """New steps; a number that exists already means that another writer was here."""
    writes.insert(connection, facts, rows)


def write_cases(connection: Connection, rows: Sequence[CaseRow]) -> None:
    """The cases as they are now."""
    writes.upsert(connection, cases, sorted(rows, key=attrgetter("id")))


def write_seen(connection: Connection, rows: Sequence[SeenRow]) -> None:
    """What became of events."""
    writes.upsert(connection, seen, rows)


def update_seen(connection: Connection, rows: Sequence[tuple[str, str, str, str, int, str, str]]) -> None:
    """What became of parked events: (outcome, reason, field, detail, partition, source, id)."""
    if rows:
        mark = writes.mark(connection)
        sql = (
            f"UPDATE seen SET outcome = {mark}, reason = {mark}, field = {mark}, detail = {mark} "
            f"WHERE partition = {mark} AND source = {mark} AND id = {mark}"
        )
        connection.exec_driver_sql(sql, list(rows))


def write_letters(connection: Connection, rows: Sequence[LetterRow], bodies: Sequence[SealedRow]) -> None:
    """Dead letters and their sealed bytes. An id stands for the same bytes ever after: what was erased stays erased."""
    writes.upsert(connection, dead_letters, [_cut(row) for row in rows])
    subjects = [replace(body, subject=body.subject[: LETTER_TEXTS["case_id"]]) for body in bodies]
    writes.ignore(connection, sealed, subjects)


def _cut(row: LetterRow) -> LetterRow:
    """A letter with as much of its texts as is kept."""
    return replace(row, **{name: getattr(row, name)[:most] for name, most in LETTER_TEXTS.items()})


def await_recalculation(connection: Connection, partition: int, at: int, provisional_only: bool) -> None:
    """Let open cases with deadlines come up at `at`, to be looked at under a newer pack."""
    mark = writes.mark(connection)
    which = "provisional" if provisional_only else "due_at IS NOT NULL"
    sql = (
        f"UPDATE cases SET next_at = {mark} WHERE partition = {mark} AND open AND {which} "
        f"AND (next_at IS NULL OR next_at > {mark})"
    )
    connection.exec_driver_sql(sql, (at, partition, at))

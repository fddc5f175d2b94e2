"""What a slice reads and writes, each table once."""

from collections.abc import Iterable, Sequence
from operator import attrgetter

from sqlalchemy import Connection

from engine.errors import StaleWriter
from engine.store import writes
from engine.store.rows import CaseRow, ParkedRow, PartitionRow, SeenKey, SeenRow, StepRow
from engine.store.sql import among, execute, execute_many, is_sqlite, rows_as
from engine.store.tables import UNBORN, cases, facts, parked, partitions, seen


def read_partitions(connection: Connection) -> list[PartitionRow]:
    """All partition rows."""
    sql = f"SELECT {', '.join(PartitionRow.__struct_fields__)} FROM partitions ORDER BY partition"
    return [PartitionRow(*row) for row in execute(connection, sql)]


def lock_partitions(connection: Connection, wanted: Sequence[PartitionRow]) -> None:
    """Lock these rows in the order of partitions, so that two who want several never wait in a circle. StaleWriter if
    another writer has moved one of them on."""
    condition, ids = among(connection, "partition", [row.partition for row in wanted])
    lock = "" if is_sqlite(connection) else " FOR UPDATE"
    sql = f"SELECT partition, version FROM partitions WHERE {condition} ORDER BY partition{lock}"
    versions = {partition: version for partition, version in execute(connection, sql, ids)}
    for row in wanted:
        if (found := versions.get(row.partition)) != row.version:
            raise StaleWriter(f"partition {row.partition} stands at version {found}, not {row.version}")


def write_partitions(connection: Connection, rows: Sequence[PartitionRow]) -> None:
    """Move the partitions on; their versions were compared under the lock."""
    writes.upsert(connection, partitions, rows)


def read_cases(connection: Connection, ids: Iterable[str]) -> list[tuple[str, int | None, str]]:
    """Cases by id: (id, next_at, body)."""
    condition, wanted = among(connection, "id", sorted(ids))
    rows = execute(connection, f"SELECT id, next_at, body FROM cases WHERE {condition}", wanted)
    return [(*row,) for row in rows]


def read_due(connection: Connection, partition: int, before: int, limit: int) -> list[tuple[str, int, str]]:
    """Cases of a partition with something due before an instant, by (due, case): (id, next_at, body)."""
    sql = """
        SELECT id, next_at, body FROM cases WHERE partition = ? AND next_at IS NOT NULL AND next_at < ?
        ORDER BY next_at, id LIMIT ?"""
    return [(*row,) for row in execute(connection, sql, partition, before, limit)]


def read_next_due(connection: Connection, partition: int) -> int | None:
    """The earliest instant at which something of a partition is due."""
    sql = "SELECT min(next_at) FROM cases WHERE partition = ? AND next_at IS NOT NULL"
    instant: int | None = execute(connection, sql, partition).scalar_one()
    return instant


def count_unborn(connection: Connection, home: str) -> int:
    """The cases of a home that hold early events and wait for their report."""
    # `/` comes after `.`; a code may hold a dot, so the home of a longer id that begins alike is another one.
    sql = f"SELECT count(*) FROM cases WHERE {UNBORN} AND id > ? AND id < ? AND length(id) = ?"
    count: int = execute(connection, sql, f"{home}.", f"{home}/", len(home) + 37).scalar_one()
    return count


def count_parked(connection: Connection, home: str, principal: str) -> int:
    """The events of a principal that wait in a home."""
    sql = "SELECT coalesce(sum(number), 0) FROM parked WHERE home = ? AND principal = ?"
    return int(execute(connection, sql, home, principal).scalar_one())


def read_nearby(connection: Connection, keys: Iterable[str]) -> list[tuple[str, int | None, str]]:
    """Open cases under correlation keys: (id, next_at, body)."""
    condition, wanted = among(connection, "key", sorted(keys))
    rows = execute(connection, f"SELECT id, next_at, body FROM cases WHERE {condition}", wanted)
    return [(*row,) for row in rows]


def read_seen(connection: Connection, keys: Sequence[SeenKey]) -> list[SeenRow]:
    """What is known of these events."""
    names = ", ".join(f"s.{name}" for name in SeenRow.__struct_fields__)
    kinds = {"partition": "int"} | dict.fromkeys(("source", "id", "home", "actor"), "text")
    asked, values = rows_as(connection, "k", kinds, keys)
    same = " AND ".join(f"s.{name} = k.{name}" for name in kinds)
    sql = f"SELECT {names} FROM {asked} CROSS JOIN seen s WHERE {same}"
    return [SeenRow(*row) for row in execute(connection, sql, *values)]


def write_steps(connection: Connection, rows: Sequence[StepRow]) -> None:
    """New steps; a number that exists already means that another writer was here."""
    writes.insert(connection, facts, rows)


def write_cases(connection: Connection, rows: Sequence[CaseRow]) -> None:
    """The cases as they are now."""
    writes.upsert(connection, cases, sorted(rows, key=attrgetter("id")))


def write_due(connection: Connection, rows: Sequence[tuple[int, str]]) -> None:
    """When cases come up, beside what they say themselves: (instant, id)."""
    if rows:
        execute_many(connection, "UPDATE cases SET next_at = ? WHERE id = ?", rows)


def write_parked(connection: Connection, rows: Sequence[ParkedRow]) -> None:
    """How many events of principals wait with cases now. Where none does, there is no row."""
    writes.upsert(connection, parked, [row for row in rows if row.number])
    if gone := [(row.case_id, row.principal) for row in rows if not row.number]:
        execute_many(connection, "DELETE FROM parked WHERE case_id = ? AND principal = ?", gone)


def write_seen(connection: Connection, rows: Sequence[SeenRow]) -> None:
    """What became of events."""
    writes.upsert(connection, seen, rows)


def update_seen(
    connection: Connection, rows: Sequence[tuple[str, str, str, str, int, str, str, str, str, str]]
) -> None:
    """What became of parked events: (outcome, reason, field, detail, partition, source, id, home, actor, case)."""
    sql = """
        UPDATE seen SET outcome = ?, reason = ?, field = ?, detail = ?
        WHERE partition = ? AND source = ? AND id = ? AND home IN (?, '') AND actor IN (?, '')
        AND case_id = ? AND outcome = 'parked'"""
    if rows:
        execute_many(connection, sql, rows)


def await_recalculation(connection: Connection, partition: int, at: int, provisional_only: bool) -> None:
    """Let open cases with deadlines come up at `at`, to be looked at under a newer pack. Those that stand have their
    turn when they go on."""
    which = "provisional" if provisional_only else "due_at IS NOT NULL"
    sql = f"""
        UPDATE cases SET next_at = ? WHERE partition = ? AND open AND {which} AND (next_at IS NULL OR next_at > ?)
        AND id NOT IN (SELECT case_id FROM standing WHERE partition = ?)"""
    execute(connection, sql, at, partition, at, partition)

"""What a slice reads and writes, each table once."""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from operator import attrgetter

import msgspec
from sqlalchemy import Connection

from engine.errors import StaleWriter
from engine.store import writes
from engine.store.rows import CaseRow, ParkedRow, PartitionRow, SeenKey, SeenRow, SharedWorkRow, StepRow
from engine.store.sql import FEW, among, among_few, execute, execute_many, fetch, is_sqlite, rows_as
from engine.store.tables import UNBORN, cases, facts, parked, partitions, seen, shared_work
from engine.store.writes import Target

KNOWN = ", ".join(f"s.{name}" for name in SeenRow.__struct_fields__)
KEY = {"partition": "int"} | dict.fromkeys(("source", "id", "home", "actor"), "text")
SAME_KEY = " AND ".join(f"s.{name} = k.{name}" for name in KEY)
ONE_KNOWN = f"FROM seen s WHERE {' AND '.join(f's.{name} = ?' for name in KEY)}"


def read_partitions(connection: Connection) -> list[PartitionRow]:
    """All partition rows."""
    sql = f"SELECT {', '.join(PartitionRow.__struct_fields__)} FROM partitions ORDER BY partition"
    return [PartitionRow(*row) for row in fetch(connection, sql)]


def lock_partitions(connection: Connection, wanted: Sequence[PartitionRow]) -> None:
    """Lock these rows in the order of partitions, so that two who want several never wait in a circle. StaleWriter if
    another writer has moved one of them on."""
    lock_and_read(connection, wanted, (), (), ())


def lock_and_read(
    connection: Connection,
    wanted: Sequence[PartitionRow],
    ids: Collection[str],
    nearby: Collection[str],
    events: Sequence[SeenKey],
) -> tuple[list[tuple[str, int | None, str]], list[SeenRow]]:
    """The same, and in the same statement cases by id, and open ones under correlation keys (id, next_at, body), and
    what is known of events.

    Where it has waited for the lock, all is as it stood before; whoever had it has moved a partition on, or changed
    nothing.
    """
    condition, values = among_few(connection, "partition", [row.partition for row in wanted])
    lock = "" if is_sqlite(connection) else " FOR UPDATE"
    sql = f"""SELECT * FROM (SELECT CAST(partition AS TEXT) AS name, version, CAST(NULL AS TEXT) AS body
                             FROM partitions WHERE {condition} ORDER BY partition{lock}) AS locked"""
    for column, asked in (("id", ids), ("key", nearby)):
        if asked:
            condition, given = among_few(connection, column, sorted(asked))
            sql += f" UNION ALL SELECT id, next_at, body FROM cases WHERE {condition}"
            values += given
    array = "json_array" if is_sqlite(connection) else "json_build_array"
    for source, keys in known_of(connection, events):
        sql += f" UNION ALL SELECT CAST(NULL AS TEXT), 0, CAST({array}({KNOWN}) AS TEXT) {source}"
        values += keys
    rows = fetch(connection, sql, *values)
    versions = {int(name): version for name, version, body in rows if body is None}
    for row in wanted:
        if (found := versions.get(row.partition)) != row.version:
            raise StaleWriter(f"partition {row.partition} stands at version {found}, not {row.version}")
    known = [SeenRow(*msgspec.json.decode(body)) for name, _, body in rows if name is None]
    return [row for row in rows if row[0] is not None and row[2] is not None], known


def write_partitions(target: Target, rows: Sequence[PartitionRow]) -> None:
    """Move the partitions on; their versions were compared under the lock."""
    writes.upsert(target, partitions, rows)


def read_cases(connection: Connection, ids: Iterable[str]) -> list[tuple[str, int | None, str]]:
    """Cases by id: (id, next_at, body)."""
    condition, wanted = among_few(connection, "id", sorted(ids))
    return fetch(connection, f"SELECT id, next_at, body FROM cases WHERE {condition}", *wanted)


def read_last_arrival(connection: Connection, case: str) -> int:
    """When the last step of a case arrived (ms); 0: it has none."""
    sql = "SELECT at FROM facts WHERE case_id = ? ORDER BY seq DESC LIMIT 1"
    return int(execute(connection, sql, case).scalar() or 0)


def read_due(connection: Connection, before: Mapping[int, int], limit: int) -> dict[int, list[tuple[str, int, str]]]:
    """Cases of these partitions with something due before an instant of each, by (due, case): (id, next_at, body), so
    many of each partition at most."""
    found: dict[int, list[tuple[str, int, str]]] = {partition: [] for partition in before}
    due = "SELECT id, next_at, body FROM cases WHERE partition = {} AND next_at IS NOT NULL AND next_at < {}"
    first = f"{due} ORDER BY next_at, id LIMIT ?"
    if is_sqlite(connection):  # where a statement more costs no way to a server
        for partition, instant in before.items():
            found[partition] += fetch(connection, first.format("?", "?"), partition, instant, limit)
    elif before:
        wanted, values = rows_as(connection, "w", {"partition": "int", "instant": "bigint"}, sorted(before.items()))
        sql = f"""SELECT w.partition, c.id, c.next_at, c.body FROM {wanted}
                  CROSS JOIN LATERAL ({first.format("w.partition", "w.instant")}) c
                  ORDER BY w.partition, c.next_at, c.id"""
        for partition, *row in fetch(connection, sql, *values, limit):
            found[partition].append((*row,))
    return found


def read_next_due(connection: Connection, partitions: Iterable[int]) -> dict[int, int | None]:
    """The earliest instant at which something of each of these partitions is due."""
    rows = [(partition,) for partition in sorted(partitions)]
    if not rows:
        return {}
    wanted, values = rows_as(connection, "w", {"partition": "int"}, rows)
    sql = f"""SELECT w.partition, (SELECT min(next_at) FROM cases c
                                   WHERE c.partition = w.partition AND c.next_at IS NOT NULL) FROM {wanted}"""
    return {partition: instant for partition, instant in fetch(connection, sql, *values)}


def count_unborn(connection: Connection, home: str) -> int:
    """The cases of a home that hold early events and wait for their report."""
    # `/` comes after `.`; a code may hold a dot, so the home of a longer id that begins alike is another one.
    sql = f"SELECT count(*) FROM cases WHERE {UNBORN} AND id > ? AND id < ? AND length(id) = ?"
    [(count,)] = fetch(connection, sql, f"{home}.", f"{home}/", len(home) + 37)
    return int(count)


def count_parked(connection: Connection, home: str, principal: str) -> int:
    """The events of a principal that wait in a home."""
    sql = "SELECT coalesce(sum(number), 0) FROM parked WHERE home = ? AND principal = ?"
    [(count,)] = fetch(connection, sql, home, principal)
    return int(count)


def read_nearby(connection: Connection, keys: Iterable[str]) -> list[tuple[str, int | None, str]]:
    """Open cases under correlation keys: (id, next_at, body)."""
    condition, wanted = among(connection, "key", sorted(keys))
    return fetch(connection, f"SELECT id, next_at, body FROM cases WHERE {condition}", wanted)


def read_seen(connection: Connection, keys: Sequence[SeenKey]) -> list[SeenRow]:
    """What is known of these events."""
    found = list[SeenRow]()
    for source, values in known_of(connection, keys):
        found += [SeenRow(*row) for row in fetch(connection, f"SELECT {KNOWN} {source}", *values)]
    return found


def known_of(connection: Connection, keys: Sequence[SeenKey]) -> Iterator[tuple[str, tuple[object, ...]]]:
    """Where what is known of events comes from, in one piece or, of a few on SQLite, in several; and the values that
    each takes."""
    if is_sqlite(connection) and len(keys) <= 2 * FEW:  # an event has two: one of them is of earlier releases
        yield from ((ONE_KNOWN, key) for key in keys)
        return
    asked, values = rows_as(connection, "k", KEY, keys)
    yield f"FROM {asked} CROSS JOIN seen s WHERE {SAME_KEY}", values


def write_steps(target: Target, rows: Sequence[StepRow]) -> None:
    """New steps; a number that exists already means that another writer was here."""
    writes.insert(target, facts, rows)


def write_cases(target: Target, rows: Sequence[CaseRow]) -> None:
    """The cases as they are now. The short number of one that is known stays: it follows from the id, and so its index
    is left alone."""
    writes.upsert(target, cases, sorted(rows, key=attrgetter("id")), but="short_number")


def write_due(connection: Connection, rows: Sequence[tuple[int, str]]) -> None:
    """When cases come up, beside what they say themselves: (instant, id)."""
    if rows:
        execute_many(connection, "UPDATE cases SET next_at = ? WHERE id = ?", rows)


def write_shared_work(connection: Connection, rows: Mapping[str, Sequence[SharedWorkRow]]) -> None:
    """Who may act on cases on which several may. Of the others among them, nobody has a row."""
    if rows:
        execute_many(connection, "DELETE FROM shared_work WHERE case_id = ?", [(id_,) for id_ in sorted(rows)])
        writes.insert(connection, shared_work, [row for of_case in rows.values() for row in of_case])


def write_parked(connection: Connection, rows: Sequence[ParkedRow]) -> None:
    """How many events of principals wait with cases now. Where none does, there is no row."""
    writes.upsert(connection, parked, [row for row in rows if row.number])
    if gone := [(row.case_id, row.principal) for row in rows if not row.number]:
        execute_many(connection, "DELETE FROM parked WHERE case_id = ? AND principal = ?", gone)


def write_seen(target: Target, rows: Sequence[SeenRow]) -> None:
    """What became of events."""
    writes.upsert(target, seen, rows)


def update_seen(
    connection: Connection, rows: Sequence[tuple[str, str, str, str, int, int, int, str, str, str, str, str]]
) -> None:
    """What became of parked events: (outcome, reason, field, detail, decided, decided_at, partition, source, id, home,
    actor, case)."""
    sql = """
        UPDATE seen SET outcome = ?, reason = ?, field = ?, detail = ?, decided = ?, decided_at = ?
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


def await_succession(
    connection: Connection, partition: int, at: int, grids: Sequence[str], kinds: Sequence[str]
) -> None:
    """Let open cases of these kinds come up at `at` that lie in one of these grids, or are owned by one. Those that
    stand have their turn when they go on."""
    asked, values = rows_as(connection, "k", {"code": "text"}, [(code,) for code in grids])
    of_kinds, names = among(connection, "definition", kinds)
    place = "instr" if is_sqlite(connection) else "strpos"
    sql = f"""
        UPDATE cases SET next_at = ? WHERE partition = ? AND open AND {of_kinds} AND (next_at IS NULL OR next_at > ?)
        AND EXISTS (SELECT 1 FROM {asked} WHERE cases.grid = k.code OR {place}(cases.path, '/' || k.code || '/') > 0)
        AND id NOT IN (SELECT case_id FROM standing WHERE partition = ?)"""
    execute(connection, sql, at, partition, names, at, *values, partition)

"""What has left the tables for files, what may leave next, and how both are read together.

A case that is archived (`engine.slice.archiving`) leaves with its row, its steps, its dead letters and what it
contributes to figures. A stub stays, and how its steps have changed the figures, by the arrival: so figures of any
period can be read as they were published. Outcomes, alerts, notices, the feed, the log and what is sealed stay.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from msgspec import Struct
from msgspec.structs import replace
from sqlalchemy import BigInteger, Boolean, Connection

from engine.store import writes
from engine.store.database import Database
from engine.store.rows import PartitionRow
from engine.store.sql import among, execute, execute_many, is_sqlite, text_of
from engine.store.table_bytes import bytes_of_row
from engine.store.tables import archived_cases, archived_figures, archives, metadata

LEAVING = {"cases": "id", "facts": "case_id", "dead_letters": "case_id", "contributions": "case_id"}
"""The tables of which rows leave, and the column that names the case."""
COLUMNS = {name: tuple(str(column.name) for column in metadata.tables[name].columns) for name in LEAVING}
"""Their columns, in the order in which a file has them."""
ABSENT: dict[str, dict[str, Any]] = {
    name: {
        str(column.name): None if column.nullable else 0 if isinstance(column.type, BigInteger) else ""
        for column in metadata.tables[name].columns
    }
    for name in LEAVING
}
"""What a row has in a column that came after its file was written."""
UPTO = ("performance", "alerts", "facts.topic")
"""Who reads steps. The last one is the publisher's mark, where facts are published."""


class ArchiveRow(Struct):
    """A file, and what left with it. `before`, `written_at`: ms since 1970. `size`: bytes; `digest`: SHA-256 in hex."""

    name: str
    partition: int
    before: int
    cases: int
    steps: int
    letters: int
    size: int
    digest: str
    written_at: int


class StubRow(Struct):
    """What stays of a case that has left. `ended_at`: ms since 1970; `path`: where it lay; `archive`: its file."""

    id: str
    partition: int
    definition: str
    short_number: str
    reference: str
    state: str
    path: str
    ended_at: int
    archive: str


class ArchivedFigureRow(Struct):
    """By how much a cell of the figures was changed by steps of an arrival that have left."""

    definition: str
    measure: str
    day: int
    path: str
    department: str
    category: str
    grp: str
    post: str
    at: int
    value: int


class EndedCase(Struct):
    """A case that has ended: its text, the number of its last step, and when that arrived (ms)."""

    id: str
    body: str
    n: int
    last: int


class Counted(Struct):
    """How much could leave: cases, steps, dead letters, and bytes as `table_bytes` counts them."""

    cases: int = 0
    steps: int = 0
    letters: int = 0
    bytes: int = 0


ROW = ", ".join(ArchiveRow.__struct_fields__)
STUB = ", ".join(StubRow.__struct_fields__)


# ---- what has left ------------------------------------------------------------------------------------------


def find_left(connection: Connection, ids: Collection[str]) -> set[str]:
    """Those of these cases that have left."""
    condition, wanted = among(connection, "id", sorted(ids))
    return set(execute(connection, f"SELECT id FROM archived_cases WHERE {condition}", wanted).scalars())


def find_stub(connection: Connection, id_: str) -> StubRow | None:
    """What stays of a case; None: it has not left."""
    row = execute(connection, f"SELECT {STUB} FROM archived_cases WHERE id = ?", id_).one_or_none()
    return None if row is None else StubRow(*row)


def search(connection: Connection, sought: Mapping[str, str], limit: int) -> list[StubRow]:
    """Stubs by what identifies their cases, in the order of their ids: column -> text, of `short_number`, `reference`
    and `id`."""
    found = dict[str, StubRow]()
    for column, text in sought.items():
        indexed = "reference <> '' AND " if column == "reference" else ""
        sql = f"SELECT {STUB} FROM archived_cases WHERE {indexed}{column} = ? ORDER BY id LIMIT ?"
        found |= {row[0]: StubRow(*row) for row in execute(connection, sql, text, limit)}
    return [found[id_] for id_ in sorted(found)][:limit]


def listed(connection: Connection) -> list[ArchiveRow]:
    """All files, in the order in which they were written."""
    return [ArchiveRow(*row) for row in execute(connection, f"SELECT {ROW} FROM archives ORDER BY written_at, name")]


def unfinished(connection: Connection, partition: int) -> list[ArchiveRow]:
    """Files of a partition of which some cases are still in the tables."""
    sql = f"""
        SELECT {ROW} FROM archives a WHERE partition = ?
        AND cases > (SELECT count(*) FROM archived_cases c WHERE c.archive = a.name) ORDER BY name"""
    return [ArchiveRow(*row) for row in execute(connection, sql, partition)]


def wrong_counts(connection: Connection) -> list[tuple[str, int, int]]:
    """(file, its cases, stubs of it) where that differs, and stubs of no file."""
    sql = """
        SELECT name, max(cases), max(stubs) FROM (
            SELECT name, cases, 0 AS stubs FROM archives
            UNION ALL SELECT archive, 0, count(*) FROM archived_cases GROUP BY archive) AS sides
        GROUP BY name HAVING max(cases) <> max(stubs) ORDER BY name"""
    return [(*row,) for row in execute(connection, sql)]


def doubled(connection: Connection) -> list[str]:
    """Cases that have left and are there as well."""
    return list(execute(connection, "SELECT id FROM archived_cases WHERE id IN (SELECT id FROM cases)").scalars())


def latest(connection: Connection) -> int:
    """The latest instant (ms) before which cases had ended that have left; 0: none have."""
    instant: int = execute(connection, "SELECT coalesce(max(before), 0) FROM archives").scalar_one()
    return instant


# ---- what may leave -----------------------------------------------------------------------------------------


def read_floor(connection: Connection, partition: int) -> int:
    """The number of the last step of a partition that everybody has read who reads steps."""
    condition, names = among(connection, "consumer", UPTO)
    sql = f"SELECT consumer, n FROM positions WHERE partition = ? AND {condition}"
    found: dict[str, int] = {consumer: n for consumer, n in execute(connection, sql, partition, names)}
    return min([found.get(name, 0) for name in UPTO[:2]] + [found[name] for name in UPTO[2:] if name in found])


def read_held(connection: Connection) -> set[str]:
    """Cases of which something is still to come: they stand, an event or what another case said waits for them, or is
    on its way from home to home, a dead letter has its bytes, an alert or a notice is not told yet."""
    sql = """
        SELECT case_id FROM standing UNION SELECT case_id FROM waiting UNION SELECT case_id FROM parked
        UNION SELECT case_id FROM outgoing UNION SELECT target FROM outgoing
        UNION SELECT case_id FROM dead_letters WHERE size > 0 UNION SELECT case_id FROM notices WHERE number = 0
        UNION SELECT case_id FROM alerts WHERE not_before IS NOT NULL AND status = 'firing'"""
    return set(execute(connection, sql).scalars())


def read_open_letters(connection: Connection) -> set[tuple[str, str]]:
    """(source, id) of dead letters that name no case and have their bytes: they may be about one of its events."""
    sql = "SELECT DISTINCT source, event_id FROM dead_letters WHERE size > 0 AND case_id = ''"
    return {(source, id_) for source, id_ in execute(connection, sql)}


def candidates(connection: Connection, partition: int, before: int, after: str, limit: int) -> list[EndedCase]:
    """Ended cases of a partition, by id from `after` on, whose last step arrived before an instant (ms)."""
    sql = """
        SELECT c.id, c.body, s.n, s.at FROM cases c JOIN facts s ON s.case_id = c.id AND s.seq = c.seq
        WHERE c.id > ? AND c.partition = ? AND NOT c.open AND c.closed_at < ? AND c.next_at IS NULL AND s.at < ?
        ORDER BY c.id LIMIT ?"""
    return [EndedCase(*row) for row in execute(connection, sql, after, partition, before, before, limit)]


def read_last(connection: Connection, partition: int, before: int) -> int:
    """The number of the last step of a partition that arrived before an instant (ms); 0: there is none."""
    sql = "SELECT coalesce(max(n), 0) FROM facts WHERE partition = ? AND at < ?"
    number: int = execute(connection, sql, partition, before).scalar_one()
    return number


def read_causes(connection: Connection, ids: Collection[str]) -> dict[str, list[str]]:
    """What caused the steps of these cases, by case."""
    condition, wanted = among(connection, "case_id", sorted(ids))
    found: dict[str, list[str]] = {}
    for case, cause in execute(connection, f"SELECT case_id, cause FROM facts WHERE {condition}", wanted):
        found.setdefault(case, []).append(cause)
    return found


def read_bodies(connection: Connection, ids: Collection[str]) -> dict[str, str]:
    """The texts of these cases."""
    condition, wanted = among(connection, "id", sorted(ids))
    return {id_: body for id_, body in execute(connection, f"SELECT id, body FROM cases WHERE {condition}", wanted)}


def read_rows(connection: Connection, ids: Collection[str]) -> Iterator[tuple[str, tuple[Any, ...]]]:
    """(table, row) of everything that leaves with these cases, each table by case and key."""
    for table, column in LEAVING.items():
        condition, wanted = among(connection, column, sorted(ids))
        order = {"facts": "case_id, seq", "dead_letters": "case_id, id"}.get(table, column)
        texts = [text_of(connection, name) if name == "body" else name for name in COLUMNS[table]]
        sql = f"SELECT {', '.join(texts)} FROM {table} WHERE {condition} ORDER BY {order}"
        for row in execute(connection, sql, wanted):
            yield table, tuple(row)


# ---- leaving, and coming back -------------------------------------------------------------------------------


def register(connection: Connection, row: ArchiveRow) -> None:
    """Keep that there is such a file. Its cases may leave from now on."""
    writes.insert_missing(connection, archives, [row])


def hold(connection: Connection, partition: int) -> PartitionRow:
    """Keep slices from a partition until the transaction ends; its row."""
    lock = "" if is_sqlite(connection) else " FOR UPDATE"
    sql = f"SELECT {', '.join(PartitionRow.__struct_fields__)} FROM partitions WHERE partition = ?{lock}"
    return PartitionRow(*execute(connection, sql, partition).one())


def unchanged(connection: Connection, rows: Iterable[tuple[Any, ...]]) -> set[str]:
    """Those of the cases of these rows that are in the tables with as many steps."""
    id_, seq = COLUMNS["cases"].index("id"), COLUMNS["cases"].index("seq")
    wanted = {row[id_]: row[seq] for row in rows}
    condition, asked = among(connection, "id", sorted(wanted))
    found = execute(connection, f"SELECT id, seq FROM cases WHERE {condition}", asked)
    return {case for case, number in found if wanted[case] == number}


def leave(
    connection: Connection,
    rows: Mapping[str, Sequence[tuple[Any, ...]]],
    stubs: Sequence[StubRow],
    figures: Sequence[ArchivedFigureRow],
    sent: Collection[tuple[int, str, str, str]],
    before: int,
) -> None:
    """Take rows of cases out of the tables, by table, and leave stubs and changes of figures.

    `sent`: (partition, source, id, case) of their events, whose outcomes go where they came before an instant (ms).
    """
    writes.insert(connection, archived_cases, stubs)
    writes.increase(connection, archived_figures, figures, "value")
    for table, found in rows.items():
        keys = [column.name for column in metadata.tables[table].primary_key]
        places = [COLUMNS[table].index(key) for key in keys]
        condition = " AND ".join(f"{key} = ?" for key in keys)
        if found:
            values = [tuple(row[place] for place in places) for row in found]
            execute_many(connection, f"DELETE FROM {table} WHERE {condition}", values)
    if sent:
        sql = "DELETE FROM seen WHERE partition = ? AND source = ? AND id = ? AND case_id = ? AND arrival < ?"
        execute_many(connection, sql, [(*key, before) for key in sorted(sent)])


def come_back(
    connection: Connection,
    rows: Mapping[str, Sequence[tuple[Any, ...]]],
    ids: Collection[str],
    figures: Sequence[ArchivedFigureRow],
) -> None:
    """Put rows of cases back into the tables, and take their stubs and changes of figures out."""
    for table, found in rows.items():
        _put(connection, table, table, found)
    condition, wanted = among(connection, "id", sorted(ids))
    execute(connection, f"DELETE FROM archived_cases WHERE {condition}", wanted)
    writes.increase(connection, archived_figures, [replace(row, value=-row.value) for row in figures], "value")
    execute(connection, "DELETE FROM archived_figures WHERE value = 0")


def forget(connection: Connection, name: str) -> None:
    """A file has nothing any more that has left."""
    execute(connection, "DELETE FROM archives WHERE name = ?", name)


def _put(connection: Connection, table: str, into: str, rows: Sequence[tuple[Any, ...]]) -> None:
    """Insert rows of a table into it, or into a temporary one like it. SQLite has given numbers for truth values."""
    flags = [at for at, column in enumerate(metadata.tables[table].columns) if isinstance(column.type, Boolean)]
    values = [tuple(bool(v) if at in flags else v for at, v in enumerate(row)) for row in rows]
    if values:
        if into == table and is_sqlite(connection):
            values = [*writes.as_stored(metadata.tables[table], COLUMNS[table], values)]
        names, marks = ", ".join(COLUMNS[table]), ", ".join("?" * len(COLUMNS[table]))
        execute_many(connection, f"INSERT INTO {into} ({names}) VALUES ({marks})", values)


# ---- reading both together ----------------------------------------------------------------------------------

Rows = Callable[[ArchiveRow], Iterable[tuple[str, tuple[Any, ...]]]]
"""(table, row) of everything in a file."""


@contextmanager
def together(database: Database, rows: Rows, page: int = 2000) -> Iterator[Connection]:
    """A read transaction in which what has left lies in the tables again, for whoever reads by their names.

    Both databases look for a name among temporary views first. Those lay what is stored and what has left together;
    the changes of figures that stand for the latter are hidden. Nothing is changed, and nobody else sees it.
    """
    with database.db.connect() as connection:
        if is_sqlite(connection):
            cursor = connection.connection.cursor()  # before a transaction begins: years may not fit into memory
            cursor.execute("PRAGMA temp_store = FILE")
            cursor.close()
        else:
            connection = connection.execution_options(isolation_level="REPEATABLE READ")
        try:
            with connection.begin():
                if not is_sqlite(connection):
                    connection.exec_driver_sql("SET LOCAL enable_seqscan = on")
                _lay(connection, rows, page)
                yield connection
                connection.rollback()  # the views go with the transaction
        finally:
            connection.invalidate()  # and what is temporary with the connection


def _lay(connection: Connection, rows: Rows, page: int) -> None:
    """Fill temporary tables from the files, and lay views over them and the stored tables."""
    main = "main" if is_sqlite(connection) else str(execute(connection, "SELECT current_schema()").scalar_one())
    for table in LEAVING:
        names = ", ".join(COLUMNS[table])
        connection.exec_driver_sql(f"CREATE TEMPORARY TABLE left_{table} AS SELECT {names} FROM {table} WHERE 1 = 0")
    pages: dict[str, list[tuple[Any, ...]]] = {table: [] for table in LEAVING}
    for archive in listed(connection):
        left = find_left_in(connection, archive.name)
        for table, row in rows(archive):
            if row[COLUMNS[table].index(LEAVING[table])] in left:
                pages[table].append(row)
            if len(pages[table]) >= page:
                _put(connection, table, f"left_{table}", pages[table])
                pages[table].clear()
    for table, found in pages.items():
        _put(connection, table, f"left_{table}", found)
    for table, column in LEAVING.items():
        keys = {"facts": "case_id, seq"}.get(table, column)
        connection.exec_driver_sql(f"CREATE INDEX left_{table}_case ON left_{table} ({keys})")
        if table == "facts":
            connection.exec_driver_sql("CREATE INDEX left_facts_n ON left_facts (partition, n)")
        if not is_sqlite(connection):  # it plans by statistics
            connection.exec_driver_sql(f"ANALYZE left_{table}")
        names = ", ".join(COLUMNS[table])
        both = f"SELECT {names} FROM {main}.{table} UNION ALL SELECT {names} FROM left_{table}"
        connection.exec_driver_sql(f"CREATE TEMPORARY VIEW {table} AS {both}")
    names = ", ".join(column.name for column in archived_figures.columns)
    nothing = f"SELECT {names} FROM {main}.archived_figures WHERE 1 = 0"
    connection.exec_driver_sql(f"CREATE TEMPORARY VIEW archived_figures AS {nothing}")


def find_left_in(connection: Connection, name: str) -> set[str]:
    """The cases that have left with a file."""
    return set(execute(connection, "SELECT id FROM archived_cases WHERE archive = ?", name).scalars())


# ---- how much it is -------------------------------------------------------------------------------


def count(connection: Connection, ids: Collection[str]) -> Counted:
    """How much would leave with these cases."""
    found = Counted(len(ids))
    for table, column in LEAVING.items():
        size = bytes_of_row(connection, metadata.tables[table])
        condition, wanted = among(connection, column, sorted(ids))
        number, size_ = execute(
            connection, f"SELECT count(*), coalesce(sum({size}), 0) FROM {table} WHERE {condition}", wanted
        ).one()
        found.bytes += int(size_)
        found.steps += number if table == "facts" else 0
        found.letters += number if table == "dead_letters" else 0
    return found

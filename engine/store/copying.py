"""A whole store, copied to another database of either kind.

In: two open databases at the schema of this release; nobody writes to either. Out: every row of every table in the
target, read back and compared with what was sent, or nothing: one transaction of the target holds it all. Rows stream
by their key, a batch at a time.
"""

from collections.abc import Callable, Collection, Generator, Sequence
from contextlib import closing
from hashlib import sha256
from typing import Any, NamedTuple

import msgspec
import psycopg
from sqlalchemy import Connection, Select, Table, func, select

from engine import failpoints
from engine.errors import GridpatrolError
from engine.store.database import Database
from engine.store.rows import LETTER_TEXTS
from engine.store.sql import execute, execute_many, is_sqlite
from engine.store.tables import dead_letters, meta, metadata, sealed

BATCH = 2000
"""Rows in memory at a time."""

_encode = msgspec.msgpack.Encoder().encode

Row = tuple[Any, ...]
Batches = Generator[list[Row], None, None]
Told = Callable[[int, int], object]
"""Hears how much is done, of how much."""


class TargetNotEmpty(GridpatrolError):
    """A copy would mix two stores."""

    remedy = "Name an empty database: a SQLite file that is not there yet, or one fresh from `createdb`."


class CopyFailed(GridpatrolError):
    """The target holds something else than was sent, or does not take it. It was left empty."""


class Copied(NamedTuple):
    """A table: its rows, and the SHA-256 of them in the order of their key, the same for the same rows anywhere."""

    table: str
    rows: int
    checksum: str


def copy(source: Database, target: Database, told: Told, but_meta: Collection[str] = ()) -> list[Copied]:
    """Copy every table; of `meta` all but these names. TargetNotEmpty, CopyFailed: the target is as it was."""
    with source.read() as reader, target.begin() as writer:
        check_empty(writer, target)
        asked = {table: _rows(table, but_meta) for table in metadata.sorted_tables}
        total = 2 * sum(_count(reader, table) for table in asked)
        done = _Done(told, total)
        sent = [_send(reader, writer, table, query, done) for table, query in asked.items()]
        for copied, (table, query) in zip(sent, asked.items(), strict=True):
            _compare(copied, _checked(table.name, _batches(writer, query), done))
        failpoints.hit("copy.before_commit")
    _analyse(target)
    return sent


def check_empty(connection: Connection, target: Database) -> None:
    """Refuse a database in which anything is stored."""
    full = [t.name for t in metadata.sorted_tables if connection.execute(select(t).limit(1)).first() is not None]
    if full:
        raise TargetNotEmpty(f"{target.url.render_as_string(hide_password=True)} has rows in {', '.join(full)}")


class _Done:
    """How much is done: rows sent and rows read back."""

    def __init__(self, told: Told, total: int) -> None:
        self.told, self.total, self.rows = told, total, 0

    def more(self, rows: int) -> None:
        self.rows += rows
        self.told(self.rows, self.total)


def _rows(table: Table, but_meta: Collection[str]) -> Select[Any]:
    """All rows of a table, in the order of the bytes of its key."""
    # A letter that SQLite took from an older release may have a subject that the other's index does not take.
    cut = {sealed.c.subject, dead_letters.c.case_id}
    columns = [func.substr(c, 1, LETTER_TEXTS["case_id"]).label(c.name) if c in cut else c for c in table.columns]
    query = select(*columns).order_by(*table.primary_key.columns)
    return query.where(meta.c.name.not_in(but_meta)) if table is meta else query


def _count(connection: Connection, table: Table) -> int:
    return connection.execute(select(func.count()).select_from(table)).scalar_one()


def _batches(connection: Connection, query: Select[Any]) -> Batches:
    """The rows of a query, as they come from the database."""
    with connection.execute(query, execution_options={"yield_per": BATCH}) as found:
        for batch in found.partitions():
            yield [tuple(row) for row in batch]


def _send(reader: Connection, writer: Connection, table: Table, query: Select[Any], done: _Done) -> Copied:
    """One table, from one database to the other."""
    write = _write_sqlite if is_sqlite(writer) else _write_postgresql

    def sent() -> Batches:
        with closing(_batches(reader, query)) as batches:
            for rows in batches:
                write(writer, table, rows)
                yield rows

    return _checked(table.name, sent(), done)


def _checked(name: str, batches: Batches, done: _Done) -> Copied:
    """Count rows and take their checksum while they pass. Whatever ends it, the cursor behind them is closed."""
    count, digest = 0, sha256()
    with closing(batches):
        for rows in batches:
            digest.update(b"".join(map(_encode, rows)))
            count += len(rows)
            done.more(len(rows))
    return Copied(name, count, digest.hexdigest())


def _write_sqlite(connection: Connection, table: Table, rows: Sequence[Row]) -> None:
    names = [column.name for column in table.columns]
    sql = f"INSERT INTO {table.name} ({', '.join(names)}) VALUES ({', '.join('?' * len(names))})"
    execute_many(connection, sql, rows)


def _write_postgresql(connection: Connection, table: Table, rows: Sequence[Row]) -> None:
    """COPY, which is several times faster than INSERT; what is refused is told with its table and key."""
    driver: Any = connection.connection.driver_connection
    names = ", ".join(column.name for column in table.columns)
    try:
        with driver.cursor() as cursor, cursor.copy(f"COPY {table.name} ({names}) FROM STDIN") as stream:
            for row in rows:
                stream.write_row(row)
    except (psycopg.DataError, psycopg.errors.ProgramLimitExceeded) as error:
        first, last = (_key_of(table, row) for row in (rows[0], rows[-1]))
        raise CopyFailed(f"PostgreSQL refuses a row of {table.name} from {first} to {last}: {error}") from error


def _key_of(table: Table, row: Row) -> str:
    """A row's primary key, which stands in the first columns."""
    return repr(row[: len(table.primary_key.columns)])


def _compare(sent: Copied, found: Copied) -> None:
    if sent != found:
        raise CopyFailed(
            f"{sent.table}: {sent.rows} rows were sent with checksum {sent.checksum[:12]}, "
            f"{found.rows} were found with {found.checksum[:12]}"
        )


def _analyse(target: Database) -> None:
    """PostgreSQL plans by statistics that a bulk load leaves empty until its next round."""
    if target.dialect == "postgresql":
        with target.begin() as connection:
            execute(connection, f"ANALYZE {', '.join(metadata.tables)}")

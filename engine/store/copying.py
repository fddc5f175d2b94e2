"""A whole store, copied to another database of either kind.

Both databases have the schema of this release, and nobody writes to either. Rows stream by their key, a batch at a
time, and are read back and compared with what was sent. All of it is one transaction of the target, which so gets every
row or none.
"""

from collections.abc import Callable, Collection, Generator
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
from engine.store.writes import as_stored

BATCH = 2000
"""Rows in memory at a time."""

_encode = msgspec.msgpack.Encoder().encode

Row = tuple[Any, ...]
Batches = Generator[list[Row], None, None]
Progress = Callable[[int, int], object]
"""Is told how many rows are done, of how many; each counts twice, when it is sent and when it is read back."""


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


def copy(source: Database, target: Database, progress: Progress, but_meta: Collection[str] = ()) -> list[Copied]:
    """Copy every table; of `meta` all but these names. TargetNotEmpty, CopyFailed: the target is as it was."""
    with source.read() as reader, target.begin() as writer:
        check_empty(writer, target)
        queries = dict[Table, Select[Any]]()
        # A letter that SQLite took from an older release may have a subject that PostgreSQL's index does not take.
        cut = {sealed.c.subject, dead_letters.c.case_id}
        for table in metadata.sorted_tables:
            columns = [
                func.substr(c, 1, LETTER_TEXTS["case_id"]).label(c.name) if c in cut else c for c in table.columns
            ]
            query = select(*columns).order_by(*table.primary_key.columns)
            queries[table] = query.where(meta.c.name.not_in(but_meta)) if table is meta else query
        count = "SELECT count(*) FROM "
        done = _Done(progress, 2 * sum(execute(reader, count + table.name).scalar_one() for table in queries))
        copied = [_checked(table, _send(reader, writer, table, query), done) for table, query in queries.items()]
        for sent, (table, query) in zip(copied, queries.items(), strict=True):
            found = _checked(table, _batches(writer, query), done)
            if sent != found:
                raise CopyFailed(
                    f"{sent.table}: {sent.rows} rows were sent with checksum {sent.checksum[:12]}, "
                    f"{found.rows} were found with {found.checksum[:12]}"
                )
        failpoints.hit("copy.before_commit")
    if target.dialect == "postgresql":  # it plans by statistics, which a bulk load leaves empty until its next round
        with target.begin() as writer:
            execute(writer, f"ANALYZE {', '.join(metadata.tables)}")
    return copied


def check_empty(connection: Connection, target: Database) -> None:
    """Refuse a database in which anything is stored."""
    full = [t.name for t in metadata.sorted_tables if connection.execute(select(t).limit(1)).first() is not None]
    if full:
        raise TargetNotEmpty(f"{target.url.render_as_string(hide_password=True)} has rows in {', '.join(full)}")


class _Done:
    """How much is done: rows sent and rows read back."""

    def __init__(self, progress: Progress, total: int) -> None:
        self.progress, self.total, self.rows = progress, total, 0

    def more(self, rows: int) -> None:
        self.rows += rows
        self.progress(self.rows, self.total)


def _batches(connection: Connection, query: Select[Any]) -> Batches:
    """The rows of a query, as they come from the database."""
    with connection.execute(query, execution_options={"yield_per": BATCH}) as found:
        for batch in found.partitions():
            yield [tuple(row) for row in batch]


def _send(reader: Connection, writer: Connection, table: Table, query: Select[Any]) -> Batches:
    """The rows of one table, each batch after it was written to the other database.

    CopyFailed names table and keys of rows that PostgreSQL refuses.
    """
    names = ", ".join(column.name for column in table.columns)
    insert = f"INSERT INTO {table.name} ({names}) VALUES ({', '.join('?' for _ in table.columns)})"
    with closing(_batches(reader, query)) as batches:
        for rows in batches:
            if is_sqlite(writer):
                execute_many(writer, insert, as_stored(table, tuple(table.columns.keys()), rows))
                yield rows
                continue
            driver: Any = writer.connection.driver_connection
            try:  # COPY is several times faster than INSERT
                with driver.cursor() as cursor, cursor.copy(f"COPY {table.name} ({names}) FROM STDIN") as stream:
                    for row in rows:
                        stream.write_row(row)
            except (psycopg.DataError, psycopg.errors.ProgramLimitExceeded) as error:
                keys = len(table.primary_key.columns)  # they are the first columns
                between = f"from {rows[0][:keys]!r} to {rows[-1][:keys]!r}"
                raise CopyFailed(f"PostgreSQL refuses a row of {table.name} {between}: {error}") from error
            yield rows


def _checked(table: Table, batches: Batches, done: _Done) -> Copied:
    """Count rows and take their checksum while they pass. The cursor behind them is closed, whatever ends it."""
    count, digest = 0, sha256()
    with closing(batches):
        for rows in batches:
            digest.update(b"".join(map(_encode, rows)))
            count += len(rows)
            done.more(len(rows))
    return Copied(table.name, count, digest.hexdigest())

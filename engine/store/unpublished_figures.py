"""Which figures have changed since a topic was told of them. PostgreSQL only: without Kafka nobody is to be told.

In: the open transaction; what a transaction of the fold changed. Out: figures as they stand, to be published; the notes
go when the brokers have them. A note lies in the transaction that made the change, so no crash can lose it.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import msgspec
from msgspec import Struct
from sqlalchemy import Connection

from engine.store import writes
from engine.store.tables import untold

ALONE = 0x66696775  # "figu": the advisory lock's number
SILENT_MS = 60_000
"""How long the publisher may be silent within its transaction; longer than its brokers may take."""
GONE = -1
"""Stands for the partition in notes of figures that a fold from the beginning may not make again."""
_KEY = "measure, day, path, department, category, grp, post"


class UntoldRow(Struct):
    """Figures that one transaction changed, by the last step that it took in: a JSON list of their keys."""

    partition: int
    n: int
    cells: str


class FigureRow(NamedTuple):
    """A figure as it stands."""

    measure: str
    day: int
    path: str
    department: str
    category: str
    grp: str
    post: str
    value: int


def note(connection: Connection, partition: int, n: int, changes: Sequence[Struct]) -> None:
    """These figures have changed; their last field, the change, is left out."""
    if changes:
        keys = [msgspec.structs.astuple(change)[:-1] for change in changes]
        writes.upsert(connection, untold, [UntoldRow(partition, n, msgspec.json.encode(keys).decode())])


def note_all(connection: Connection) -> None:
    """Every figure, before all of them are folded anew: one that does not come back has become 0."""
    connection.exec_driver_sql("DELETE FROM untold WHERE partition <> %s", (GONE,))
    sql = f"""
        INSERT INTO untold (partition, n, cells)
        SELECT %s, batch + (SELECT coalesce(max(n), 0) + 1 FROM untold),
               CAST(json_agg(json_build_array({_KEY})) AS text)
        FROM (SELECT {_KEY}, (row_number() OVER () - 1) / 1000 AS batch FROM figures) AS numbered GROUP BY batch"""
    connection.exec_driver_sql(sql, (GONE,))


def read(connection: Connection, limit: int) -> list[UntoldRow]:
    """Notes, the oldest first, about one transaction each.

    None while another process publishes: one at a time, or an older value could overtake a newer one.
    """
    connection.exec_driver_sql(f"SET LOCAL idle_in_transaction_session_timeout = {SILENT_MS}")
    if not connection.exec_driver_sql(f"SELECT pg_try_advisory_xact_lock({ALONE})").scalar_one():
        return []
    sql = "SELECT partition, n, cells FROM untold ORDER BY n, partition LIMIT %s FOR UPDATE"
    return [UntoldRow(*row) for row in connection.exec_driver_sql(sql, (limit,))]


def figures_of(connection: Connection, rows: Sequence[UntoldRow]) -> list[FigureRow]:
    """The figures of these notes as they stand now, each once."""
    keys: list[Any] = list({tuple(key): None for row in rows for key in msgspec.json.decode(row.cells)})
    columns = ", ".join(f"w.value ->> {k} AS {name}" for k, name in enumerate(_KEY.split(", ")) if name != "day")
    match = " AND ".join(f"f.{name} = w.{name}" for name in _KEY.split(", "))
    names = ", ".join(f"w.{name}" for name in _KEY.split(", "))
    sql = f"""
        SELECT {names}, coalesce(f.value, 0)
        FROM (SELECT {columns}, CAST(w.value ->> 1 AS integer) AS day
              FROM jsonb_array_elements(CAST(%s AS jsonb)) AS w(value)) AS w
        LEFT JOIN figures f ON {match}"""
    found = connection.exec_driver_sql(sql, (msgspec.json.encode(keys).decode(),))
    return [FigureRow(*row) for row in found]


def drop(connection: Connection, rows: Sequence[UntoldRow]) -> None:
    """These notes are published."""
    sql = """
        DELETE FROM untold WHERE (partition, n) IN (
            SELECT r.partition, r.n FROM jsonb_to_recordset(CAST(%s AS jsonb)) AS r(partition int, n bigint))"""
    connection.exec_driver_sql(sql, (msgspec.json.encode(rows).decode(),))


def put_back(connection: Connection, rows: Sequence[UntoldRow]) -> None:
    """These figures are to be published after all; notes that stand already stay."""
    writes.ignore(connection, untold, rows)


def count(connection: Connection) -> int:
    """How many transactions of the fold no topic knows of."""
    return int(connection.exec_driver_sql("SELECT count(*) FROM untold").scalar_one())

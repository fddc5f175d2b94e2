"""Which figures have changed since they were last published. PostgreSQL only: without Kafka nothing is published.

A note of the changed figures is written in the transaction of the fold that changes them, so no crash can lose it. The
figures are published as they stand then, and the note goes when the brokers have them. The table of the notes is
`untold`.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import msgspec
from msgspec import Struct
from sqlalchemy import Connection

from engine.store import writes
from engine.store.sql import execute, to_json
from engine.store.tables import untold

PUBLISHER_LOCK = 0x66696775  # "figu": the advisory lock of the process that publishes
SILENT_MS = 60_000
"""How long the publisher may be silent within its transaction; longer than its brokers may take."""
GONE = -1
"""Stands for the partition in notes of figures that a fold from the beginning may not make again."""
KEY = ("measure", "day", "path", "department", "category", "grp", "post", "definition")
"""What names a figure, in the order of the members of its message."""


class UnpublishedRow(Struct):
    """Figures that one transaction changed, by the last step that it took in: `cells` is a JSON list of their keys."""

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
    definition: str
    value: int


def note(connection: Connection, partition: int, n: int, changes: Sequence[Struct]) -> None:
    """These figures have changed, by their columns."""
    if changes:
        keys = [[getattr(change, name) for name in KEY] for change in changes]
        writes.upsert(connection, untold, [UnpublishedRow(partition, n, to_json(keys))])


def note_all(connection: Connection) -> None:
    """Every figure, before all of them are folded anew: one that does not come back has become 0."""
    execute(connection, "DELETE FROM untold WHERE partition <> ?", GONE)
    names = ", ".join(KEY)
    sql = f"""
        INSERT INTO untold (partition, n, cells)
        SELECT ?, batch + (SELECT coalesce(max(n), 0) + 1 FROM untold),
               CAST(json_agg(json_build_array({names})) AS text)
        FROM (SELECT {names}, (row_number() OVER () - 1) / 1000 AS batch FROM figures) AS numbered GROUP BY batch"""
    execute(connection, sql, GONE)


def read(connection: Connection, limit: int) -> list[UnpublishedRow]:
    """Notes, the oldest first, about one transaction each.

    None while another process publishes: one at a time, or an older value could overtake a newer one.
    """
    execute(connection, f"SET LOCAL idle_in_transaction_session_timeout = {SILENT_MS}")
    if not execute(connection, f"SELECT pg_try_advisory_xact_lock({PUBLISHER_LOCK})").scalar_one():
        return []
    sql = "SELECT partition, n, cells FROM untold ORDER BY n, partition LIMIT ? FOR UPDATE"
    return [UnpublishedRow(*row) for row in execute(connection, sql, limit)]


def keys_of(row: UnpublishedRow) -> list[tuple[Any, ...]]:
    """The keys in a note. Those of a release that told no definition have an empty one, and no figure any more."""
    return [(*key, "")[: len(KEY)] for key in msgspec.json.decode(row.cells)]


def figures_of(connection: Connection, rows: Sequence[UnpublishedRow]) -> list[FigureRow]:
    """The figures of these notes as they stand now, each once."""
    keys = list({key: None for row in rows for key in keys_of(row)})
    columns = ", ".join(f"w.value ->> {k} AS {name}" for k, name in enumerate(KEY) if name != "day")
    match = " AND ".join(f"f.{name} = w.{name}" for name in KEY)
    names = ", ".join(f"w.{name}" for name in KEY)
    sql = f"""
        SELECT {names}, coalesce(f.value, 0)
        FROM (SELECT {columns}, CAST(w.value ->> 1 AS integer) AS day
              FROM jsonb_array_elements(CAST(? AS jsonb)) AS w(value)) AS w
        LEFT JOIN figures f ON {match}"""
    return [FigureRow(*row) for row in execute(connection, sql, to_json(keys))]


def drop(connection: Connection, rows: Sequence[UnpublishedRow]) -> None:
    """The figures of these notes are published."""
    sql = """
        DELETE FROM untold WHERE (partition, n) IN (
            SELECT r.partition, r.n FROM jsonb_to_recordset(CAST(? AS jsonb)) AS r(partition int, n bigint))"""
    execute(connection, sql, to_json(rows))


def put_back(connection: Connection, rows: Sequence[UnpublishedRow]) -> None:
    """The figures of these notes are to be published after all. Notes that exist already stay as they are."""
    writes.insert_missing(connection, untold, rows)


def count(connection: Connection) -> int:
    """How many transactions of the fold are not published."""
    return int(execute(connection, "SELECT count(*) FROM untold").scalar_one())

"""A database with very many open incidents, in a minute instead of in a year.

Enters: a database in which some incidents are open, which nobody else writes to. Leaves: copies of them under ids of
their own: cases as the engine reads and decides them, with their clocks running, in the standing counts as well. Their
steps, events and letters are not copied: nothing that decides reads those.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from typing import Any, NamedTuple

import psycopg
from msgspec.structs import replace

from engine.slice.open_counts import changes
from engine.store import open_counts
from engine.store.database import file_of, open_database
from engine.store.tables import metadata
from workflows import case as cases

SOON_MS = 3_600_000
"""Nothing of the copies falls due within this time."""
MONTH_MS = 30 * 24 * SOON_MS
"""The copies fall due within so long, one after another."""
TEMPLATES = 500
STRIDE = 104_729
"""A prime: copies that fall due one after another lie far apart in the table."""


INDEXES = {
    True: "SELECT name, sql FROM sqlite_schema WHERE tbl_name = 'cases' AND type = 'index' AND sql IS NOT NULL",
    False: "SELECT indexname, indexdef FROM pg_indexes WHERE tablename = 'cases' AND indexname LIKE 'cases\\_%' "
    "AND indexname <> 'cases_pkey'",
}
"""By whether it is SQLite: the indexes beside the key, which are built again at the end."""
AFTERWARDS = {True: (), False: ("VACUUM ANALYZE cases", "CHECKPOINT")}
"""So that the server does not do it while something is measured."""


class Crowd(NamedTuple):
    """Who waits: how many incidents are open, and from when on (ms) which copies come up, in what order."""

    open: int
    begins_ms: int
    templates: list[str]
    copies: int

    def latest(self, place: int) -> tuple[str, str]:
        """The copy that comes up last but `place`, and the template that it is a copy of: their ids."""
        total = len(self.templates) * self.copies
        number = (total - 1 - place) * pow(STRIDE, -1, total) % total
        template = self.templates[number // self.copies]
        return f"{template[:-12]}{number % self.copies + 1:012x}", template


def crowd(
    url: str,
    number: int,
    after_ms: int | None = None,
    falling: int = 0,
    within_ms: int = SOON_MS,
    told: Callable[[int], object] = lambda done: None,
) -> Crowd:
    """Fill up to so many open incidents at least; `told` hears how many are made. What waits longer than until
    `after_ms` (None: for an hour) is copied. An hour after all that the first `falling` copies come up, evenly within
    `within_ms`, and the others within a month after those."""
    after = int(time.time() * 1000) + SOON_MS if after_ms is None else after_ms
    with closing(connect(url)) as connection:
        indexes = connection.execute(INDEXES[isinstance(connection, sqlite3.Connection)]).fetchall()
        waiting = connection.execute(
            f"""SELECT id, partition, next_at, body FROM cases WHERE open AND definition = 'incident' AND key IS NULL
                AND next_at > {after} ORDER BY id LIMIT {TEMPLATES}"""
        ).fetchall()
        if not waiting:
            raise RuntimeError("there is no open incident to copy")
        begins = max(row[2] for row in waiting) + SOON_MS
        stood = count_open(connection)
        copies = max(1, -(-(number - stood) // len(waiting)))
        total = len(waiting) * copies
        later = f"""CASE WHEN place < {falling} THEN place * {within_ms} / {max(1, falling)}
                    ELSE {within_ms + SOON_MS} + place * {MONTH_MS} / {total} END"""
        for name, _ in indexes:
            connection.execute(f"DROP INDEX {name}")
        for turn, (id_, _, next_at, body) in enumerate(waiting):
            placed = f"(CAST({turn * copies - 1} AS BIGINT) + copy) * {STRIDE} % {total}"
            copy(connection, id_, cases.decode(body), copies, placed, f"{begins - next_at} + {later}")
            told((turn + 1) * copies)
        for _, definition in indexes:
            connection.execute(definition)
        for statement in AFTERWARDS[isinstance(connection, sqlite3.Connection)]:
            connection.execute(statement)
    with closing(open_database(url)) as database, database.begin() as writer:
        counted = changes([(partition, None, cases.decode(body)) for _, partition, _, body in waiting])
        open_counts.change(writer, [replace(row, value=row.value * copies) for row in counted])
    return Crowd(stood + total, begins, [row[0] for row in waiting], copies)


def connect(url: str) -> Any:
    """A connection that writes as fast as it can; a file at which it breaks off is lost."""
    if (file := file_of(url)) is None:
        connection = psycopg.connect(url.replace("postgresql+psycopg", "postgresql"), autocommit=True)
        connection.execute("SET maintenance_work_mem = '256MB'")
        return connection
    alone = sqlite3.connect(file, isolation_level=None)
    for pragma in ("journal_mode = OFF", "synchronous = OFF", "cache_size = -65536"):
        alone.execute(f"PRAGMA {pragma}")
    return alone


def copy(connection: Any, id_: str, case: cases.Case, copies: int, placed: str, later: str) -> None:
    """Copies of one incident, which differ in the last digits of their ids. All their deadlines are later by as many ms
    as `later` says, SQL over the `place` of a copy among all, which is `placed`, SQL over its number."""
    body = f"replace(body, '{id_}', name)"
    # The greatest first: none becomes one that is still to be replaced.
    for instant in sorted({ms for clock in case.clocks for ms in (clock.due, clock.next) if ms}, reverse=True):
        body = f"replace({body}, '{instant}', CAST({instant} + later AS TEXT))"
    taken = {"id": "name", "body": body, "next_at": "next_at + later", "due_at": "due_at + later"}
    names = [column.name for column in metadata.tables["cases"].columns]
    digits = "printf('%012x', copy)" if isinstance(connection, sqlite3.Connection) else "lpad(to_hex(copy), 12, '0')"
    connection.execute(
        f"""WITH RECURSIVE numbers(copy) AS (SELECT 1 UNION ALL SELECT copy + 1 FROM numbers WHERE copy < {copies}),
                placed AS (SELECT copy, {placed} AS place FROM numbers),
                timed AS (SELECT '{id_[:-12]}' || {digits} AS name, {later} AS later FROM placed)
            INSERT INTO cases ({", ".join(names)}) SELECT {", ".join(taken.get(name, name) for name in names)}
            FROM timed CROSS JOIN (SELECT * FROM cases WHERE id = '{id_}') AS template"""
    )


def count_open(connection: Any) -> int:
    """How many incidents are open, of a crowd that is not made yet: no index knows it."""
    return int(connection.execute("SELECT count(*) FROM cases WHERE open AND definition = 'incident'").fetchone()[0])

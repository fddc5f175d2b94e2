"""A database with very many open incidents, in a minute instead of in a year.

Enters: a database in which some incidents are open. Leaves: as many copies of them as asked for, under ids of their
own: cases as the engine reads them, with their clocks running. Their steps are not copied: nothing here reads those.
"""

from __future__ import annotations

import time

import psycopg

SOON_MS = 3_600_000
"""Nothing of the copies falls due within this time."""


def crowd(url: str, number: int) -> int:
    """Fill up to so many open incidents. How many there are."""
    with psycopg.connect(url.replace("postgresql+psycopg", "postgresql"), autocommit=True) as connection:
        indexes = connection.execute(
            "SELECT indexname, indexdef FROM pg_indexes WHERE tablename = 'cases' AND indexname LIKE 'cases\\_%' "
            "AND indexname <> 'cases_pkey'"
        ).fetchall()
        for name, _ in indexes:
            connection.execute(f"DROP INDEX {name}")
        _copy(connection, number)
        connection.execute("SET maintenance_work_mem = '256MB'")
        for _, definition in indexes:
            connection.execute(definition)
        connection.execute("VACUUM ANALYZE cases")
        return _open(connection)


def _copy(connection: psycopg.Connection, number: int) -> None:
    """Each template's copies differ in the last digits of their ids."""
    columns = [
        row[0]
        for row in connection.execute(
            "SELECT column_name FROM information_schema.columns WHERE table_name = 'cases' ORDER BY ordinal_position"
        )
    ]
    late = int(time.time() * 1000) + SOON_MS
    chosen = "FROM cases WHERE open AND key IS NULL AND next_at > %s ORDER BY id LIMIT 500"
    templates = connection.execute(f"SELECT count(*) FROM (SELECT 1 {chosen})", (late,)).fetchone()
    wanted = number - _open(connection)
    if not templates or not templates[0]:
        raise RuntimeError("there is no open incident to copy")
    taken = {"id": "name", "body": "replace(body, id, name)"}
    values = ", ".join(taken.get(column, column) for column in columns)
    connection.execute(
        f"INSERT INTO cases ({', '.join(columns)}) SELECT {values} FROM (SELECT *, left(id, -12) || "
        f"lpad(to_hex(copy), 12, '0') AS name FROM (SELECT * {chosen}) t, generate_series(1, %s) copy) c LIMIT %s",
        (late, -(-wanted // templates[0]), wanted),
    )


def _open(connection: psycopg.Connection) -> int:
    row = connection.execute("SELECT count(*) FROM cases WHERE open").fetchone()
    return int(row[0]) if row else 0

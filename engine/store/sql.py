"""How statements and their parameters are written, the same for SQLite and PostgreSQL.

A statement marks each parameter with `?`, and the values follow it in that order. `execute` gives each driver its own
mark, so a `?` stands nowhere else in a statement. A list is one parameter, however long it is, and a statement is
therefore prepared once; but for the shortest ones where that costs more (`among_few`).
"""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import msgspec
from sqlalchemy import Connection, CursorResult

from engine.store.driver_quirks import run

FEW = 2
"""So many values need no list of their own on SQLite."""


def is_sqlite(connection: Connection) -> bool:
    """SQLite; else it is PostgreSQL."""
    return connection.dialect.name == "sqlite"


def execute(connection: Connection, statement: str, *values: object) -> CursorResult[*tuple[Any, ...]]:
    """Execute a statement with these values."""
    return connection.exec_driver_sql(_marked(connection, statement), values or None)


def fetch(connection: Connection, statement: str, *values: object) -> list[Any]:
    """Execute a statement with these values; its rows as tuples, all of them at once. For statements of every event:
    it takes half the time of `execute`."""
    return run(connection, _marked(connection, statement), values)


def execute_many(connection: Connection, statement: str, rows: Sequence[tuple[object, ...]]) -> None:
    """Execute a statement once for the values of each row."""
    if len(rows) == 1:
        run(connection, _marked(connection, statement), rows[0])
    else:
        run(connection, _marked(connection, statement), rows, many=True)


def _marked(connection: Connection, statement: str) -> str:
    """A statement as the driver takes it."""
    return statement if is_sqlite(connection) else statement.replace("?", "%s")


def among(connection: Connection, column: str, values: Collection[object]) -> tuple[str, object]:
    """The condition that a column has one of these values, and the one value that it takes."""
    if is_sqlite(connection):
        return f"{column} IN (SELECT value FROM json_each(?))", to_json(values)
    return f"{column} = ANY(?)", list(values)


def among_few(connection: Connection, column: str, values: Collection[object]) -> tuple[str, list[object]]:
    """The same, and the values that it takes, for statements of every event: an event that comes alone asks for one or
    two rows, and to read a list from JSON takes SQLite several times as long as to find them. So up to FEW values are
    parameters of their own, and such a statement is prepared once for each number of them."""
    if not is_sqlite(connection) or len(values) > FEW:
        condition, value = among(connection, column, values)
        return condition, [value]
    return f"{column} IN ({', '.join('?' * len(values))})", [*values]


def rows_as(
    connection: Connection, name: str, columns: Mapping[str, str], rows: Sequence[tuple[object, ...]]
) -> tuple[str, tuple[object, ...]]:
    """Rows as a table of this name for a FROM, and the values that it takes. `columns`: their types in PostgreSQL.

    On SQLite a CROSS JOIN keeps it the outer table: the planner cannot know how few its rows are.
    """
    if is_sqlite(connection):
        parts = ", ".join(f"json_extract(value, '$[{k}]') AS {column}" for k, column in enumerate(columns))
        return f"(SELECT {parts} FROM json_each(?)) {name}", (to_json(rows),)
    arrays = ", ".join(f"CAST(? AS {kind}[])" for kind in columns.values())
    return f"unnest({arrays}) AS {name}({', '.join(columns)})", tuple(
        [row[k] for row in rows] for k in range(len(columns))
    )


def text_of(connection: Connection, column: str) -> str:
    """The SQL of a text that SQLite may keep deflated: bodies of steps, and of lines of the alert feed."""
    return f"inflated({column})" if is_sqlite(connection) else column


def to_json(value: object) -> str:
    """A value as the JSON text that a statement takes."""
    return msgspec.json.encode(value).decode()

"""Bulk writes: one statement for all rows of a table, which are msgspec structs with columns as their fields.

PostgreSQL takes the rows as one JSON document, one parameter of a prepared statement; SQLite as an executemany.
"""

from collections.abc import Sequence
from functools import lru_cache

import msgspec
from msgspec import Struct
from sqlalchemy import BigInteger, Boolean, Connection, Integer, Table

from engine.store.sql import execute, execute_many, is_sqlite, to_json

POSTGRESQL = {BigInteger: "bigint", Integer: "integer", Boolean: "boolean"}
"""Types of columns that are not text."""


def insert(connection: Connection, table: Table, rows: Sequence[Struct]) -> None:
    """New rows; a row that exists already is an error."""
    _write(connection, table, rows, "")


def upsert(connection: Connection, table: Table, rows: Sequence[Struct], but: str = "") -> None:
    """New rows, or the existing ones replaced, all columns but one. No key may occur twice in `rows`."""
    _write(connection, table, rows, f"replace {but}")


def insert_missing(connection: Connection, table: Table, rows: Sequence[Struct]) -> None:
    """New rows; those that exist already stay as they are."""
    _write(connection, table, rows, "keep")


def increase(connection: Connection, table: Table, rows: Sequence[Struct], column: str) -> None:
    """New rows, or `column` of the existing ones increased by the new value. No key may occur twice in `rows`."""
    _write(connection, table, rows, f"increase {column}")


def _write(connection: Connection, table: Table, rows: Sequence[Struct], conflict: str) -> None:
    if not rows:
        return
    sqlite = is_sqlite(connection)
    statement = _statement(table, tuple(rows[0].__struct_fields__), sqlite, conflict)
    if sqlite:
        execute_many(connection, statement, [msgspec.structs.astuple(row) for row in rows])
    else:
        execute(connection, statement, to_json(rows))


@lru_cache(maxsize=256)
def _statement(table: Table, fields: tuple[str, ...], sqlite: bool, conflict: str) -> str:
    """The text of the statement. `conflict`: what becomes of rows that exist already; empty: an error."""
    names, tail = ", ".join(fields), ""
    if conflict:
        keys = [column.name for column in table.primary_key]
        stay = {*keys, conflict.removeprefix("replace ")}
        if conflict == "keep":
            action = "NOTHING"
        elif conflict.startswith("replace "):
            action = "UPDATE SET " + ", ".join(f"{f} = excluded.{f}" for f in fields if f not in stay)
        else:
            column = conflict.removeprefix("increase ")
            action = f"UPDATE SET {column} = {table.name}.{column} + excluded.{column}"
        tail = f" ON CONFLICT ({', '.join(keys)}) DO {action}"
    if sqlite:
        return f"INSERT INTO {table.name} ({names}) VALUES ({', '.join('?' * len(fields))}){tail}"
    columns = ", ".join(f"{f} {POSTGRESQL.get(type(table.c[f].type), 'text')}" for f in fields)
    return (
        f"INSERT INTO {table.name} ({names}) "
        f"SELECT {names} FROM jsonb_to_recordset(CAST(? AS jsonb)) AS r({columns}){tail}"
    )

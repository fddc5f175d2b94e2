"""Bulk writes: one statement for all rows of a table, which are msgspec structs with columns as their fields.

PostgreSQL takes the rows as one JSON document, one parameter of a prepared statement; SQLite as an executemany. What is
written `together` is one statement there: each way to a server costs more than the rows of an event.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache

import msgspec
from msgspec import Struct
from sqlalchemy import BigInteger, Boolean, Connection, Integer, Table

from engine.store.deflating import deflated
from engine.store.sql import execute_many, fetch, is_sqlite, to_json
from engine.store.tables import DeflatedText

POSTGRESQL = {BigInteger: "bigint", Integer: "integer", Boolean: "boolean"}
"""Types of columns that are not text."""


class RowsTogether:
    """Rows that wait to be written together: by table, and what becomes of rows that exist already."""

    def __init__(self) -> None:
        self.parts: list[tuple[Table, Sequence[Struct], str]] = []


Target = Connection | RowsTogether
"""Where rows go: they are written at once, or with others."""


@contextmanager
def together(connection: Connection) -> Iterator[RowsTogether]:
    """Gather rows, and write them at the end. No row may depend on another one that is gathered, for on PostgreSQL all
    of them are written at the same moment."""
    gathered = RowsTogether()
    yield gathered
    _write(connection, *gathered.parts)


def insert(target: Target, table: Table, rows: Sequence[Struct]) -> None:
    """New rows; a row that exists already is an error."""
    _take(target, table, rows, "")


def upsert(target: Target, table: Table, rows: Sequence[Struct], but: str = "") -> None:
    """New rows, or the existing ones replaced, all columns but one. No key may occur twice in `rows`."""
    _take(target, table, rows, f"replace {but}")


def insert_missing(target: Target, table: Table, rows: Sequence[Struct]) -> None:
    """New rows; those that exist already stay as they are."""
    _take(target, table, rows, "keep")


def increase(target: Target, table: Table, rows: Sequence[Struct], column: str) -> None:
    """New rows, or `column` of the existing ones increased by the new value. No key may occur twice in `rows`."""
    _take(target, table, rows, f"increase {column}")


def as_stored(
    table: Table, fields: tuple[str, ...], rows: Sequence[tuple[object, ...]]
) -> Sequence[tuple[object, ...]]:
    """Rows as SQLite keeps them, some of their texts deflated. `fields`: the columns of a row."""
    for place, number in _deflated_places(table, fields):
        texts = [text for row in rows if isinstance(text := row[place], str)]
        assert len(texts) == len(rows), "what is deflated already would be so twice"
        rows = [
            (*row[:place], deflated(text, number), *row[place + 1 :]) for row, text in zip(rows, texts, strict=True)
        ]
    return rows


@lru_cache(maxsize=256)
def _deflated_places(table: Table, fields: tuple[str, ...]) -> list[tuple[int, int]]:
    """Where texts stand in a row that are deflated, and the numbers of their dictionaries."""
    kinds = [table.c[field].type for field in fields]
    return [(place, kind.number) for place, kind in enumerate(kinds) if isinstance(kind, DeflatedText)]


Part = tuple[Table, tuple[str, ...], str]
"""What tells bulk writes apart: the table, the fields of its rows, and what becomes of those that exist already."""


def _take(target: Target, table: Table, rows: Sequence[Struct], conflict: str) -> None:
    if isinstance(target, RowsTogether):
        target.parts.append((table, rows, conflict))
    else:
        _write(target, (table, rows, conflict))


def _write(connection: Connection, *gathered: tuple[Table, Sequence[Struct], str]) -> None:
    parts = [(table, rows, conflict) for table, rows, conflict in gathered if rows]
    kinds = [(table, rows[0].__struct_fields__, conflict) for table, rows, conflict in parts]
    if not is_sqlite(connection):
        if parts:
            fetch(connection, _one_statement(*kinds), *(to_json(rows) for _, rows, _ in parts))
        return
    for (table, fields, conflict), (_, rows, _) in zip(kinds, parts, strict=True):
        values = as_stored(table, fields, [msgspec.structs.astuple(row) for row in rows])
        execute_many(connection, _statement(table, fields, True, conflict), values)


@lru_cache(maxsize=256)
def _one_statement(*kinds: Part) -> str:
    """The text of the statement for rows of several tables, for PostgreSQL."""
    *others, last = (_statement(table, fields, False, conflict) for table, fields, conflict in kinds)
    before = ", ".join(f"w{number} AS ({text})" for number, text in enumerate(others))
    return f"WITH {before} {last}" if others else last


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

"""The rows of one table in the order of their key, the same order on every database, for comparing two of them."""

from collections.abc import Collection, Iterator
from typing import Any, NamedTuple

from sqlalchemy import Connection, select

from engine.store.tables import metadata

PAGE = 2000
"""Rows in memory at a time."""


class Columns(NamedTuple):
    """The columns of a table that are compared; the first `keys` of them are its key."""

    names: tuple[str, ...]
    keys: int


def columns_of(table: str, but: Collection[str], key: tuple[str, ...] = ()) -> Columns:
    """All columns of a table but these, its key first, or another one."""
    found = metadata.tables[table]
    keys = key or tuple(column.name for column in found.primary_key.columns)
    rest = tuple(column.name for column in found.columns if column.name not in (*keys, *but))
    return Columns(keys + rest, len(keys))


def rows(connection: Connection, table: str, columns: Columns) -> Iterator[tuple[Any, ...]]:
    """The rows of a table, by its key."""
    found = metadata.tables[table].c
    query = select(*(found[name] for name in columns.names)).order_by(
        *(found[n] for n in columns.names[: columns.keys])
    )
    with connection.execute(query, execution_options={"yield_per": PAGE}) as result:
        for row in result:
            yield tuple(row)


def paired(
    left: Iterator[tuple[Any, ...]], right: Iterator[tuple[Any, ...]], keys: int
) -> Iterator[tuple[tuple[Any, ...], tuple[Any, ...] | None, tuple[Any, ...] | None]]:
    """(key, row of the left, row of the right) of two sides in the order of their keys; None: there is no such row."""
    one, two = next(left, None), next(right, None)
    while one is not None or two is not None:
        key = min(row[:keys] for row in (one, two) if row is not None)
        here = one if one is not None and one[:keys] == key else None
        there = two if two is not None and two[:keys] == key else None
        yield key, here, there
        one = next(left, None) if here is not None else one
        two = next(right, None) if there is not None else two

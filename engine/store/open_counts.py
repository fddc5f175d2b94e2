"""Standing counts: how many cases are open, where, in whose hands, and how many of them are late.

`engine.slice.open_counts` says what a case adds. A cell that has come to nothing counts as if it were not there, and is
deleted once in a while, since looking for it would be a statement of every slice. So there are hardly more cells than
open cases, and those by state and by holder are few.
"""

from collections.abc import Collection, Sequence
from typing import NamedTuple

from sqlalchemy import Connection

from engine.store import writes
from engine.store.figures import Selection, key_of, where
from engine.store.rows import OpenCountRow
from engine.store.sql import among, execute, rows_as
from engine.store.tables import open_counts
from engine.store.writes import Target

SWEEP = 64
"""A partition forgets its empty cells once in so many of its transactions."""


def change(target: Target, rows: Sequence[OpenCountRow]) -> None:
    """Add changes to the counts, in the order of their keys."""
    writes.increase(target, open_counts, rows, "value")


def sweep(connection: Connection, partitions: Collection[int]) -> None:
    """Forget the cells of partitions that have come to nothing."""
    if partitions:
        condition, ids = among(connection, "partition", sorted(partitions))
        execute(connection, f"DELETE FROM open_counts WHERE {condition} AND value = 0", ids)


def by_state(connection: Connection) -> list[tuple[str, int, str, int]]:
    """Open cases by definition, level of the owner and state."""
    sql = """SELECT definition, level, state, CAST(sum(value) AS BIGINT) FROM open_counts WHERE what = 'state'
             GROUP BY 1, 2, 3 HAVING sum(value) <> 0 ORDER BY 1, 2, 3"""
    return [(*row,) for row in execute(connection, sql)]


def late_by_hour(connection: Connection) -> list[tuple[str, str, str, int, int]]:
    """Open cases that are late by definition, path down to the third level, category group, and the hour since 1970 in
    which the earliest of the deadlines lay that they have missed."""
    sql = """SELECT definition, path, grp, hour, CAST(sum(value) AS BIGINT) FROM open_counts WHERE what = 'late'
             GROUP BY 1, 2, 3, 4 HAVING sum(value) <> 0 ORDER BY 1, 2, 3, 4"""
    return [(*row,) for row in execute(connection, sql)]


def counted_in(connection: Connection, cells: Sequence[OpenCountRow] | None) -> tuple[str, tuple[object, ...]]:
    """The table of the counts for a FROM: as it stands, or these cells in its place; and the values that it takes."""
    if cells is None:
        return "open_counts", ()
    names = OpenCountRow.__struct_fields__
    kinds = {name: str(open_counts.c[name].type.compile()) for name in names}
    return rows_as(connection, "open_counts", kinds, [tuple(getattr(cell, name) for name in names) for cell in cells])


def by_place(
    connection: Connection, selection: Selection, cells: Sequence[OpenCountRow] | None = None
) -> list[tuple[str, int, int, int, int]]:
    """(key, open, overdue, not due, without a deadline), by the deadline of the whole case and where it lies. `cells`:
    the counts of another instant."""
    condition, values = where(selection, days=False, post=False)
    source, given = counted_in(connection, cells)
    each = ", ".join(f"CAST(sum(CASE WHEN late = '{late}' THEN value ELSE 0 END) AS BIGINT)" for late in LATE)
    sql = f"""SELECT {key_of(connection, selection)} AS k, CAST(sum(value) AS BIGINT), {each} FROM {source}
              WHERE what = 'place' AND {condition} GROUP BY 1 HAVING sum(value) <> 0 ORDER BY 1"""
    return [(*row,) for row in execute(connection, sql, *given, *values)]


def by_path(connection: Connection, kinds: Collection[str]) -> list[tuple[str, int]]:
    """(path, open) of cases of these kinds, by where they lie."""
    condition, names = among(connection, "definition", sorted(kinds))
    sql = f"""SELECT path, CAST(sum(value) AS BIGINT) FROM open_counts WHERE what = 'place' AND {condition}
              GROUP BY path HAVING sum(value) <> 0 ORDER BY path"""
    return [(*row,) for row in execute(connection, sql, names)]


class PlaceCell(NamedTuple):
    """How many open cases of a kind lie somewhere, and how many of them have missed a deadline that runs still: what is
    late is told apart down to the third level."""

    definition: str
    path: str
    open: int
    late: int


def all_places(connection: Connection, kinds: Collection[str]) -> list[PlaceCell]:
    """Open cases of these kinds, by where they lie."""
    condition, names = among(connection, "definition", sorted(kinds))
    sql = f"""SELECT definition, path, CAST(sum(CASE WHEN what = 'place' THEN value ELSE 0 END) AS BIGINT),
                     CAST(sum(CASE WHEN what = 'late' THEN value ELSE 0 END) AS BIGINT) FROM open_counts
              WHERE what IN ('place', 'late') AND {condition} GROUP BY 1, 2 ORDER BY 1, 2"""
    return [PlaceCell(*row) for row in execute(connection, sql, names)]


class HeldCell(NamedTuple):
    """How many open cases of a kind somebody holds, and how many of them have missed a deadline that runs still. `path`
    ends with the grid of who holds them."""

    definition: str
    path: str
    department: str
    post: str
    open: int
    late: int


def all_held(connection: Connection, kinds: Collection[str]) -> list[HeldCell]:
    """Work in hand of these kinds, by who must act."""
    condition, names = among(connection, "definition", sorted(kinds))
    sql = f"""SELECT definition, path, department, post, CAST(sum(value) AS BIGINT),
                     CAST(sum(CASE WHEN late = 'missed' THEN value ELSE 0 END) AS BIGINT) FROM open_counts
              WHERE what = 'holder' AND {condition} GROUP BY 1, 2, 3, 4 HAVING sum(value) <> 0 ORDER BY 1, 2, 3, 4"""
    return [HeldCell(*row) for row in execute(connection, sql, names)]


def by_holder(
    connection: Connection, selection: Selection, cells: Sequence[OpenCountRow] | None = None
) -> list[tuple[str, int, int]]:
    """(key, open, late): work in hand, by who must act, and how much of it has missed a deadline that runs still.
    `cells`: the counts of another instant."""
    condition, values = where(selection, days=False)
    source, given = counted_in(connection, cells)
    sql = f"""SELECT {key_of(connection, selection)} AS k, CAST(sum(value) AS BIGINT),
                     CAST(sum(CASE WHEN late = 'missed' THEN value ELSE 0 END) AS BIGINT) FROM {source}
              WHERE what = 'holder' AND {condition} GROUP BY 1 HAVING sum(value) <> 0 ORDER BY 1"""
    return [(*row,) for row in execute(connection, sql, *given, *values)]


LATE = ("missed", "ahead", "none")
"""How a case stands with the deadline of the whole of it."""

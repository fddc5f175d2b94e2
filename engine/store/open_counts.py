"""Standing counts: how many cases are open, where, in whose hands, and how many of them are late.

`engine.slice.open_counts` says what a case adds. A cell that comes to nothing is deleted, so there are never more cells
than open cases, and those by state and by holder are few.
"""

from collections.abc import Sequence

from sqlalchemy import Connection

from engine.store import writes
from engine.store.figures import Selection, key_of, where
from engine.store.rows import OpenCountRow
from engine.store.sql import execute, rows_as
from engine.store.tables import open_counts

KEY = {"partition": "int", "definition": "text", "what": "text", "level": "int", "state": "text", "path": "text"}
KEY |= dict.fromkeys(("department", "post", "category", "grp", "late"), "text") | {"hour": "bigint"}


def change(connection: Connection, rows: Sequence[OpenCountRow]) -> None:
    """Add changes to the counts, in the order of their keys."""
    writes.increase(connection, open_counts, rows, "value")
    less = [row.key for row in rows if row.value < 0]
    if less:
        gone, values = rows_as(connection, "k", KEY, less)
        same = " AND ".join(f"k.{name} = c.{name}" for name in KEY)
        names = ", ".join(KEY)
        sql = f"""DELETE FROM open_counts WHERE ({names}) IN
                  (SELECT {", ".join(f"c.{name}" for name in KEY)} FROM {gone} CROSS JOIN open_counts c
                   WHERE {same} AND c.value = 0)"""
        execute(connection, sql, *values)


def by_state(connection: Connection) -> list[tuple[str, int, str, int]]:
    """Open cases by definition, level of the owner and state."""
    sql = """SELECT definition, level, state, CAST(sum(value) AS BIGINT) FROM open_counts WHERE what = 'state'
             GROUP BY 1, 2, 3 ORDER BY 1, 2, 3"""
    return [(*row,) for row in execute(connection, sql)]


def late_by_hour(connection: Connection) -> list[tuple[str, str, str, int, int]]:
    """Open cases that are late by definition, path down to the third level, category group, and the hour since 1970 in
    which the earliest of the deadlines lay that they have missed."""
    sql = """SELECT definition, path, grp, hour, CAST(sum(value) AS BIGINT) FROM open_counts WHERE what = 'late'
             GROUP BY 1, 2, 3, 4 ORDER BY 1, 2, 3, 4"""
    return [(*row,) for row in execute(connection, sql)]


def by_place(connection: Connection, selection: Selection) -> list[tuple[str, int, int, int, int]]:
    """(key, open, overdue, not due, without a deadline), by the deadline of the whole case and where it lies."""
    condition, values = where(selection, days=False, post=False)
    each = ", ".join(f"CAST(sum(CASE WHEN late = '{late}' THEN value ELSE 0 END) AS BIGINT)" for late in LATE)
    sql = f"""SELECT {key_of(connection, selection)} AS k, CAST(sum(value) AS BIGINT), {each} FROM open_counts
              WHERE what = 'place' AND {condition} GROUP BY 1 ORDER BY 1"""
    return [(*row,) for row in execute(connection, sql, *values)]


def by_holder(connection: Connection, selection: Selection) -> list[tuple[str, int, int]]:
    """(key, open, late): work in hand, by who must act, and how much of it has missed a deadline that runs still."""
    condition, values = where(selection, days=False)
    sql = f"""SELECT {key_of(connection, selection)} AS k, CAST(sum(value) AS BIGINT),
                     CAST(sum(CASE WHEN late = 'missed' THEN value ELSE 0 END) AS BIGINT) FROM open_counts
              WHERE what = 'holder' AND {condition} GROUP BY 1 ORDER BY 1"""
    return [(*row,) for row in execute(connection, sql, *values)]


LATE = ("missed", "ahead", "none")
"""How a case stands with the deadline of the whole of it."""

"""What waits for somebody: cases by who must act on them, each along an index. Reads only.

Where levels may still record a check whose turn has passed, several may act on one case: then all of them stand in
`shared_work`, and nobody is found by the case's holder.
"""

from collections.abc import Sequence
from typing import NamedTuple

from sqlalchemy import Connection

from engine.store.sql import fetch

HOLDER = "c.holder <> '' AND c.holder = ? AND c.holder_department = ''"
DEPARTMENT = "c.holder_department <> '' AND c.holder_department = ?"
_NOT_SHARED = "NOT EXISTS (SELECT 1 FROM shared_work w WHERE w.case_id = c.id)"
_HELD = "SELECT c.due_at, c.id, c.body FROM cases c WHERE {which} AND {due} AND {shared} ORDER BY {order} LIMIT ?"
_SHARED = """SELECT w.due_at, w.case_id, c.body FROM shared_work w JOIN cases c ON c.id = w.case_id
             WHERE w.grid = ? AND {due} ORDER BY {order} LIMIT ?"""


class Key(NamedTuple):
    """Where a task stands in the order: what has a deadline comes first, by that; then by id."""

    undated: bool
    due: int
    id: str


FIRST = Key(False, -(10**15), "")
"""Before all tasks."""


class TaskRow(NamedTuple):
    """A case on which somebody must act, and its place in the order."""

    key: Key
    body: str


def read_held(connection: Connection, which: str, code: str, after: Key, limit: int) -> list[TaskRow]:
    """Cases that a grid or a post holds without a department (`HOLDER`), or a department (`DEPARTMENT`)."""
    sql = _HELD.format(which=which, shared=_NOT_SHARED, due="{due}", order="{order}")
    return _in_order(connection, sql, "c.due_at", "c.id", code, after, limit)


def read_shared(connection: Connection, grid: str, after: Key, limit: int) -> list[TaskRow]:
    """Cases on which several may act, and a grid is one of them."""
    return _in_order(connection, _SHARED, "w.due_at", "w.case_id", grid, after, limit)


def _in_order(connection: Connection, sql: str, due: str, id_: str, code: str, after: Key, limit: int) -> list[TaskRow]:
    """First what has a deadline, then the rest: each part is a stretch of one index."""
    found, undated_after = list[TaskRow](), ""
    if after.undated:
        undated_after = after.id
    else:
        part = sql.format(due=f"{due} IS NOT NULL AND ({due}, {id_}) > (?, ?)", order=f"{due}, {id_}")
        rows = fetch(connection, part, code, after.due, after.id, limit)
        found += [TaskRow(Key(False, at, case), body) for at, case, body in rows]
    if len(found) < limit:
        part = sql.format(due=f"{due} IS NULL AND {id_} > ?", order=f"{due}, {id_}")
        rows = fetch(connection, part, code, undated_after, limit - len(found))
        found += [TaskRow(Key(True, 0, case), body) for _, case, body in rows]
    return found


def read(
    connection: Connection, holders: Sequence[str], department: str, grids: Sequence[str], after: Key, limit: int
) -> list[TaskRow]:
    """What waits for these holders, this department, and these grids beside others, in order, after a place: so many
    rows at most. Fewer: there are no more."""
    rows = [row for code in holders for row in read_held(connection, HOLDER, code, after, limit)]
    if department:
        rows += read_held(connection, DEPARTMENT, department, after, limit)
    rows += [row for grid in grids for row in read_shared(connection, grid, after, limit)]
    return sorted(rows)[:limit]

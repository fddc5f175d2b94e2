"""Notices: who is told of which move of a case, and by which line of the feed. What the alert consumer writes.

A notice has no state. Its `number` is that of its line, 0 until it is told.
"""

from collections.abc import Iterable, Sequence

from msgspec import Struct
from sqlalchemy import Connection

from engine.store import writes
from engine.store.reading import line_term
from engine.store.sql import among, execute, execute_many
from engine.store.tables import notices
from engine.store.writes import Target
from workflows.reading import READS_EVERYTHING, Readable

DAILY_TOLD = "notices_daily_told"
"""Name in `meta` of the last instant whose daily lines have been told."""


class NoticeRow(Struct):
    """A notice. Instants in ms UTC; `recipients` is a JSON list of posts."""

    id: str
    partition: int
    case_id: str
    move: str
    definition: str
    path: str
    category: str
    recipients: str
    raised_at: int
    not_before: int | None
    daily: bool
    number: int = 0


_NOTICE = ", ".join(NoticeRow.__struct_fields__)


def write(target: Target, rows: Sequence[NoticeRow]) -> None:
    """New notices."""
    writes.insert(target, notices, rows)


def mark_told(connection: Connection, rows: Iterable[NoticeRow]) -> None:
    """Notices that were written earlier have the numbers of their lines now."""
    marked = [(row.number, row.id) for row in rows]
    if marked:
        execute_many(connection, "UPDATE notices SET number = ? WHERE id = ?", marked)


def read_waiting(connection: Connection, upto: int, limit: int) -> list[NoticeRow]:
    """Notices that have waited until an instant up to `upto`, in that order; without those of the daily lines."""
    sql = f"""SELECT {_NOTICE} FROM notices WHERE number = 0 AND not_before <= ? AND NOT daily
              ORDER BY not_before, id LIMIT ?"""
    return [NoticeRow(*row) for row in execute(connection, sql, upto, limit)]


def any_due(connection: Connection, upto: int) -> bool:
    """Whether any notice waits whose instant has come."""
    sql = "SELECT 1 FROM notices WHERE number = 0 AND not_before <= ? ORDER BY not_before LIMIT 1"
    return execute(connection, sql, upto).scalar_one_or_none() is not None


def first_daily(connection: Connection, after: int, upto: int) -> int | None:
    """The first instant after `after` and up to `upto` at which daily lines are due; None: there is none."""
    sql = "SELECT min(not_before) FROM notices WHERE number = 0 AND daily AND not_before > ? AND not_before <= ?"
    instant: int | None = execute(connection, sql, after, upto).scalar_one()
    return instant


def read_daily(connection: Connection, upto: int, limit: int) -> list[NoticeRow]:
    """Notices for the daily lines of `limit` recipients and kinds of case, which are due by `upto`, in their order."""
    due = "number = 0 AND daily AND not_before <= ?"
    sql = f"""SELECT {_NOTICE} FROM notices WHERE {due} AND (recipients, definition) IN (
                  SELECT DISTINCT recipients, definition FROM notices WHERE {due} ORDER BY 1, 2 LIMIT ?)
              ORDER BY recipients, definition, raised_at, id"""
    return [NoticeRow(*row) for row in execute(connection, sql, upto, upto, limit)]


def states_of(connection: Connection, ids: Iterable[str]) -> dict[str, str]:
    """The present state of each of these cases."""
    condition, wanted = among(connection, "id", sorted(ids))
    return {row[0]: row[1] for row in execute(connection, f"SELECT id, state FROM cases WHERE {condition}", wanted)}


def listed(
    connection: Connection,
    *,
    path: str = "/",
    move: str = "",
    post: str = "",
    case: str = "",
    definition: str = "",
    since: int = 0,
    before: tuple[int, str] | None = None,
    limit: int = 100,
    readable: Readable = READS_EVERYTHING,
) -> list[NoticeRow]:
    """Notices of a subtree, the latest first; `before` is the (raised_at, id) where the last page ended."""
    own, given = line_term(connection, readable)
    terms, values = ["substr(path, 1, ?) = ?", own], [len(path), path, *given]
    for condition, value in (("move = ?", move), ("definition = ?", definition), ("raised_at >= ?", since)):
        if value:
            terms.append(condition)
            values.append(value)
    if case:  # the id begins with the case: its key is an index of cases
        terms.append("id > ? AND id < ? AND case_id = ?")
        values += (f"{case}|", f"{case}}}", case)
    if post:
        terms.append("replace(recipients, ?, '') <> recipients")
        values.append(f'"{post}"')
    if before is not None:
        terms.append("(raised_at, id) < (?, ?)")
        values += before
    sql = f"SELECT {_NOTICE} FROM notices WHERE {' AND '.join(terms)} ORDER BY raised_at DESC, id DESC LIMIT ?"
    return [NoticeRow(*row) for row in execute(connection, sql, *values, limit)]

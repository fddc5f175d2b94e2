"""The cases of a ledger, in the order in which they were reported. Reads only."""

from sqlalchemy import Connection

from engine.store.sql import execute


def read_reported(
    connection: Connection, definition: str, path: str, begin: int, end: int, after: tuple[int, str] | None, limit: int
) -> list[tuple[int, str]]:
    """(when, id) of cases of a kind that lie in a subtree and were reported from `begin` to `end` (ms UTC), both
    inclusive, after a case, along the index by kind and instant."""
    sql = """SELECT opened_at, id FROM cases
             WHERE definition = ? AND opened_at BETWEEN ? AND ? AND (opened_at, id) > (?, ?) AND substr(path, 1, ?) = ?
             ORDER BY opened_at, id LIMIT ?"""
    begin, first = (begin, (-1, "")) if after is None else (max(begin, after[0]), after)
    return [(*row,) for row in execute(connection, sql, definition, begin, end, *first, len(path), path, limit)]

"""The stored steps in a fixed order, for exports and comparisons.

The order is by bytes on both databases, so two runs can be compared line by line.
"""

from collections.abc import Iterator

from sqlalchemy import Connection

from engine.store.rows import StepRow
from engine.store.sql import execute, fetch, text_of


def steps_sql(connection: Connection) -> str:
    """The statement that reads steps, up to its condition."""
    *names, body = StepRow.__struct_fields__
    return f"SELECT {', '.join(names)}, {text_of(connection, body)} FROM facts"


def steps_by_case(connection: Connection, page: int = 2000) -> Iterator[StepRow]:
    """All steps by (case, number within the case)."""
    sql = f"{steps_sql(connection)} WHERE (case_id, seq) > (?, ?) ORDER BY case_id, seq LIMIT ?"
    last: tuple[str, int] = ("", 0)
    while rows := [StepRow(*row) for row in execute(connection, sql, *last, page)]:
        yield from rows
        last = (rows[-1].case_id, rows[-1].seq)


def steps_by_number(connection: Connection, page: int = 2000) -> Iterator[StepRow]:
    """All steps by (partition, n): the order in which each partition made them."""
    sql = f"{steps_sql(connection)} WHERE (partition, n) > (?, ?) ORDER BY partition, n LIMIT ?"
    last = (-1, 0)
    while rows := [StepRow(*row) for row in execute(connection, sql, *last, page)]:
        yield from rows
        last = (rows[-1].partition, rows[-1].n)


def steps_of(connection: Connection, case_id: str) -> list[StepRow]:
    """The steps of one case, from its first."""
    sql = f"{steps_sql(connection)} WHERE case_id = ? ORDER BY seq"
    return [StepRow(*row) for row in fetch(connection, sql, case_id)]

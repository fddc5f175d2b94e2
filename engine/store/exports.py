"""Facts in an order of their own, for exports and comparisons. In: the open transaction. Out: rows of `facts`.

Ordered by bytes on both databases, so that two runs can be compared line by line.
"""

from collections.abc import Iterator

from sqlalchemy import Connection

from engine.store import writes
from engine.store.rows import StepRow

_COLUMNS = ", ".join(StepRow.__struct_fields__)


def steps_by_case(connection: Connection, page: int = 2000) -> Iterator[StepRow]:
    """All steps by (case, number within the case)."""
    mark = writes.mark(connection)
    sql = f"SELECT {_COLUMNS} FROM facts WHERE (case_id, seq) > ({mark}, {mark}) ORDER BY case_id, seq LIMIT {mark}"
    last: tuple[str, int] = ("", 0)
    while rows := [StepRow(*row) for row in connection.exec_driver_sql(sql, (*last, page))]:
        yield from rows
        last = (rows[-1].case_id, rows[-1].seq)


def steps_by_number(connection: Connection, page: int = 2000) -> Iterator[StepRow]:
    """All steps by (partition, n): the order in which each partition told them."""
    mark = writes.mark(connection)
    sql = f"SELECT {_COLUMNS} FROM facts WHERE (partition, n) > ({mark}, {mark}) ORDER BY partition, n LIMIT {mark}"
    last = (-1, 0)
    while rows := [StepRow(*row) for row in connection.exec_driver_sql(sql, (*last, page))]:
        yield from rows
        last = (rows[-1].partition, rows[-1].n)


def steps_of(connection: Connection, case_id: str) -> list[StepRow]:
    """The steps of one case, from its first."""
    sql = f"SELECT {_COLUMNS} FROM facts WHERE case_id = {writes.mark(connection)} ORDER BY seq"
    return [StepRow(*row) for row in connection.exec_driver_sql(sql, (case_id,))]

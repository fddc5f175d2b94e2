"""What cases say to cases of other homes: what is on its way into the log, and what was heard already."""

from collections.abc import Collection, Sequence

from sqlalchemy import Connection

from engine.store import writes
from engine.store.rows import HeardRow, OutgoingRow
from engine.store.sql import execute, execute_many, fetch, rows_as
from engine.store.tables import heard, outgoing
from engine.store.writes import Target

HeardKey = tuple[str, str, str]
"""The case that hears it, the one that said it, and the number of its step and of the send in it."""

_OUTGOING = ", ".join(OutgoingRow.__struct_fields__)


# ---- on their way -------------------------------------------------------------------------------------------


def write_outgoing(target: Target, rows: Sequence[OutgoingRow]) -> None:
    """What was said in a slice, and the log is to take."""
    writes.insert(target, outgoing, rows)


def read_outgoing(connection: Connection, partitions: Collection[int], limit: int) -> dict[int, list[OutgoingRow]]:
    """What the log does not have yet of what was said in these partitions, in order, so many of each at most."""
    sql = f"SELECT {_OUTGOING} FROM outgoing WHERE partition = ? ORDER BY n, k LIMIT ?"
    found = {p: [OutgoingRow(*row) for row in fetch(connection, sql, p, limit)] for p in sorted(partitions)}
    return {partition: rows for partition, rows in found.items() if rows}


def count_outgoing(connection: Connection) -> dict[int, int]:
    """How much the log does not have yet, by the partition in which it was said."""
    rows = execute(connection, "SELECT partition, count(*) FROM outgoing GROUP BY partition")
    return {partition: count for partition, count in rows}


def read_oldest_outgoing(connection: Connection) -> int | None:
    """When that was said (ms since 1970) which the log has longest not got; None: it has all."""
    found: int | None = execute(connection, "SELECT min(arrival) FROM outgoing").scalar_one()
    return found


def keys_outgoing(connection: Connection) -> set[tuple[str, int, int]]:
    """What the log does not have yet: who said it, the number of the step, and of the send in it."""
    return {(case, seq, k) for case, seq, k in execute(connection, "SELECT case_id, seq, k FROM outgoing")}


def without_step(connection: Connection) -> list[tuple[str, int, int]]:
    """The same of what no step has said, though it is not said for a case that takes none (`k` below zero)."""
    sql = """
        SELECT o.case_id, o.seq, o.k FROM outgoing o LEFT JOIN facts s
            ON s.partition = o.partition AND s.n = o.n AND s.case_id = o.case_id AND s.seq = o.seq AND s.at <= o.arrival
        WHERE s.n IS NULL AND o.k > 0 ORDER BY 1, 2, 3"""
    return [(case, seq, k) for case, seq, k in execute(connection, sql)]


def forget_outgoing(connection: Connection, rows: Sequence[OutgoingRow]) -> None:
    """The log has these."""
    if rows:
        sql = "DELETE FROM outgoing WHERE partition = ? AND n = ? AND k = ?"
        execute_many(connection, sql, [(row.partition, row.n, row.k) for row in rows])


def forget_heard(connection: Connection) -> None:
    """The log has what was heard already: it was laid into the database, and not appended by it."""
    execute(
        connection,
        """DELETE FROM outgoing WHERE EXISTS (
               SELECT 1 FROM heard h WHERE h.case_id = outgoing.target AND h.source = outgoing.case_id
               AND h.id = CAST(outgoing.seq AS TEXT) || '.' || CAST(outgoing.k AS TEXT))""",
    )


# ---- heard --------------------------------------------------------------------------------------------------


def find_heard(connection: Connection, keys: Collection[HeardKey]) -> set[HeardKey]:
    """Which of these were heard already."""
    kinds = dict.fromkeys(("case_id", "source", "id"), "text")
    asked, values = rows_as(connection, "k", kinds, sorted(keys))
    same = " AND ".join(f"h.{name} = k.{name}" for name in kinds)
    sql = f"SELECT h.case_id, h.source, h.id FROM {asked} CROSS JOIN heard h WHERE {same}"
    return {(case, source, id_) for case, source, id_ in fetch(connection, sql, *values)}


def write_heard(target: Target, rows: Sequence[HeardRow]) -> None:
    """What cases have heard in a slice."""
    writes.insert(target, heard, rows)

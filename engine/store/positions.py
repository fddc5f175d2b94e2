"""How far each consumer has read. In: the open transaction. Out: numbers by consumer and partition."""

from collections.abc import Sequence

from msgspec import Struct
from sqlalchemy import Connection

from engine.store import writes
from engine.store.tables import positions


class PositionRow(Struct):
    """A consumer's position in a partition: the last number it has taken in."""

    consumer: str
    partition: int
    n: int


def read_positions(connection: Connection, consumer: str) -> dict[int, int]:
    """Positions of a consumer; partitions it never read are missing."""
    mark = writes.mark(connection)
    rows = connection.exec_driver_sql(f"SELECT partition, n FROM positions WHERE consumer = {mark}", (consumer,))
    return {partition: n for partition, n in rows}


def count_behind(connection: Connection, consumers: Sequence[str]) -> list[tuple[str, int]]:
    """How many steps each of these has still to take in, over all partitions."""
    mark = writes.mark(connection)
    names = " UNION ALL ".join(f"SELECT CAST({mark} AS text) AS consumer" for _ in consumers)
    sql = (
        f"SELECT w.consumer, sum(p.n - coalesce(s.n, 0)) FROM ({names}) AS w CROSS JOIN partitions p "
        "LEFT JOIN positions s ON s.consumer = w.consumer AND s.partition = p.partition "
        "GROUP BY w.consumer ORDER BY w.consumer"
    )
    return [(name, max(0, int(count))) for name, count in connection.exec_driver_sql(sql, tuple(consumers))]


def write_positions(connection: Connection, rows: list[PositionRow]) -> None:
    """Move positions on."""
    writes.upsert(connection, positions, rows)


def raise_positions(connection: Connection, rows: list[PositionRow]) -> None:
    """Move positions on where they are not further yet: whoever comes late with an old number moves nothing back."""
    mark = writes.mark(connection)
    sql = (
        f"INSERT INTO positions (consumer, partition, n) VALUES ({mark}, {mark}, {mark}) "
        f"ON CONFLICT (consumer, partition) DO UPDATE SET n = excluded.n WHERE positions.n < excluded.n"
    )
    connection.exec_driver_sql(sql, [(row.consumer, row.partition, row.n) for row in rows])

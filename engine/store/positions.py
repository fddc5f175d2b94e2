"""How far each consumer has read: the number of the last step of each partition that it has taken in."""

from collections.abc import Sequence

from msgspec import Struct
from sqlalchemy import Connection

from engine.store import writes
from engine.store.sql import execute, execute_many
from engine.store.tables import positions


class PositionRow(Struct):
    """A consumer's position in a partition: the last number it has taken in."""

    consumer: str
    partition: int
    n: int


def read_positions(connection: Connection, consumer: str) -> dict[int, int]:
    """Positions of a consumer; partitions it never read are missing."""
    rows = execute(connection, "SELECT partition, n FROM positions WHERE consumer = ?", consumer)
    return {partition: n for partition, n in rows}


def count_behind(connection: Connection, consumers: Sequence[str]) -> list[tuple[str, int]]:
    """How many steps each of these has still to take in, over all partitions."""
    names = " UNION ALL ".join("SELECT CAST(? AS text) AS consumer" for _ in consumers)
    sql = f"""
        SELECT w.consumer, sum(p.n - coalesce(s.n, 0)) FROM ({names}) AS w CROSS JOIN partitions p
        LEFT JOIN positions s ON s.consumer = w.consumer AND s.partition = p.partition
        GROUP BY w.consumer ORDER BY w.consumer"""
    return [(name, max(0, int(count))) for name, count in execute(connection, sql, *consumers)]


def write_positions(connection: Connection, rows: list[PositionRow]) -> None:
    """Set positions."""
    writes.upsert(connection, positions, rows)


def raise_positions(connection: Connection, rows: list[PositionRow]) -> None:
    """Move positions on where they are not further yet: an old number that comes late moves nothing back."""
    sql = """
        INSERT INTO positions (consumer, partition, n) VALUES (?, ?, ?)
        ON CONFLICT (consumer, partition) DO UPDATE SET n = excluded.n WHERE positions.n < excluded.n"""
    execute_many(connection, sql, [(row.consumer, row.partition, row.n) for row in rows])

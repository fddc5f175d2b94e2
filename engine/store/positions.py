"""How far each consumer has read. In: the open transaction. Out: numbers by consumer and partition."""

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


def write_positions(connection: Connection, rows: list[PositionRow]) -> None:
    """Move positions on."""
    writes.upsert(connection, positions, rows)

"""What is to be published of the alert feed and of the dead letters, and how far that has come.

In: the open transaction. Out: lines after the mark, letters without one; marks. What was told before there were topics
counts as published: a new subscriber waits for news, not for years of history. The mark of the feed is the position of
the consumer `alerts.topic` in its partition 0: a number of `deliveries`.
"""

from collections.abc import Sequence
from typing import NamedTuple

import msgspec
from sqlalchemy import Connection

from engine.errors import StaleWriter
from engine.store import writes
from engine.store.alerts import DeliveryRow
from engine.store.rows import LETTER_TEXTS, LetterRow

FEED = "alerts.topic"
_LINE = ", ".join(DeliveryRow.__struct_fields__)
_LETTER = ", ".join(
    f"substr({name}, 1, {LETTER_TEXTS[name]})" if name in LETTER_TEXTS else name for name in LetterRow.__struct_fields__
)
"""No more than is kept today: older releases kept texts that no message takes."""


class News(NamedTuple):
    """What there is to do: steps that a consumer has not read, lines and letters that no topic has."""

    steps: bool
    lines: bool
    letters: bool


def read_news(connection: Connection, consumer: str) -> News:
    """What there is to do, in one query that touches nothing: it is asked many times a second."""
    sql = """
        SELECT EXISTS (SELECT 1 FROM partitions p WHERE p.n > coalesce(
                   (SELECT s.n FROM positions s WHERE s.consumer = ? AND s.partition = p.partition), 0)),
               (SELECT coalesce(max(number), 0) FROM deliveries) > coalesce(
                   (SELECT n FROM positions WHERE consumer = ? AND partition = 0), 0),
               (SELECT 1 FROM dead_letters WHERE NOT published ORDER BY at, id LIMIT 1) IS NOT NULL"""
    row = connection.exec_driver_sql(sql.replace("?", writes.mark(connection)), (consumer, FEED)).one()
    return News(*map(bool, row))


def count_unpublished(connection: Connection) -> tuple[int, int]:
    """How many lines and how many letters no topic has."""
    sql = """
        SELECT (SELECT coalesce(max(number), 0) FROM deliveries) - coalesce(
                   (SELECT n FROM positions WHERE consumer = ? AND partition = 0), 0),
               (SELECT count(*) FROM dead_letters WHERE NOT published)"""
    lines, letters = connection.exec_driver_sql(sql.replace("?", writes.mark(connection)), (FEED,)).one()
    return max(0, lines), letters


def read_lines(connection: Connection, limit: int) -> tuple[int, list[DeliveryRow]]:
    """The mark, and the lines after it, in order."""
    mark = writes.mark(connection)
    sql = f"SELECT n FROM positions WHERE consumer = {mark} AND partition = 0"
    last: int = connection.exec_driver_sql(sql, (FEED,)).scalar_one_or_none() or 0
    sql = f"SELECT {_LINE} FROM deliveries WHERE number > {mark} ORDER BY number LIMIT {mark}"
    return last, [DeliveryRow(*row) for row in connection.exec_driver_sql(sql, (last, limit))]


def mark_lines(connection: Connection, was: int, upto: int) -> None:
    """Move the mark on from where it was read. StaleWriter if it is elsewhere by now: another process publishes."""
    mark = writes.mark(connection)
    sql = (
        f"INSERT INTO positions (consumer, partition, n) VALUES ({mark}, 0, {mark}) "
        f"ON CONFLICT (consumer, partition) DO UPDATE SET n = excluded.n WHERE positions.n = {mark}"
    )
    if connection.exec_driver_sql(sql, (FEED, upto, was)).rowcount != 1:
        raise StaleWriter(f"the alert feed was published beyond line {was} by another process")


def mark_all(connection: Connection) -> None:
    """Every line and every letter of so far counts as published."""
    mark = writes.mark(connection)
    sql = (
        f"INSERT INTO positions (consumer, partition, n) SELECT {mark}, 0, coalesce(max(number), 0) FROM deliveries "
        "WHERE true ON CONFLICT (consumer, partition) DO UPDATE SET n = excluded.n"
    )
    connection.exec_driver_sql(sql, (FEED,))
    connection.exec_driver_sql("UPDATE dead_letters SET published = true WHERE NOT published")


def read_letters(connection: Connection, limit: int) -> list[LetterRow]:
    """Letters that are not published, the oldest first."""
    sql = f"SELECT {_LETTER} FROM dead_letters WHERE NOT published ORDER BY at, id LIMIT {writes.mark(connection)}"
    return [LetterRow(*row) for row in connection.exec_driver_sql(sql, (limit,))]


def mark_letters(connection: Connection, ids: Sequence[str]) -> None:
    """These letters are published."""
    if connection.dialect.name == "sqlite":
        sql = "UPDATE dead_letters SET published = 1 WHERE id IN (SELECT value FROM json_each(?))"
        connection.exec_driver_sql(sql, (msgspec.json.encode(ids).decode(),))
    else:
        connection.exec_driver_sql("UPDATE dead_letters SET published = true WHERE id = ANY(%s)", (list(ids),))

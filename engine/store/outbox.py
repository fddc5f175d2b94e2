"""What is still to be published of the alert feed and of the dead letters.

The feed is published up to a mark, which is the position of the consumer `alerts.topic` in its partition 0: a number of
`deliveries`. A dead letter has a mark of its own. Everything older than the topics counts as published: a new
subscriber waits for news, not for years of history.
"""

from collections.abc import Sequence
from typing import NamedTuple

from sqlalchemy import Connection

from engine.errors import StaleWriter
from engine.store.alerts import DeliveryRow
from engine.store.rows import LETTER_TEXTS, LetterRow
from engine.store.sql import among, execute, text_of

FEED = "alerts.topic"
_LINE = ", ".join(DeliveryRow.__struct_fields__[:-1])
_LETTER = ", ".join(
    f"substr({name}, 1, {LETTER_TEXTS[name]})" if name in LETTER_TEXTS else name for name in LetterRow.__struct_fields__
)
"""The texts are cut to what is kept today: older releases kept some that are too long for a message."""


class Backlog(NamedTuple):
    """Whether there are steps that a consumer has not read (or that it has read and the store does not have), and lines
    and letters that are not published."""

    steps: bool
    lines: bool
    letters: bool


def read_backlog(connection: Connection, consumer: str) -> Backlog:
    """What there is to do, in one query that touches nothing: it is asked many times a second."""
    sql = """
        SELECT EXISTS (SELECT 1 FROM partitions p WHERE p.n <> coalesce(
                   (SELECT s.n FROM positions s WHERE s.consumer = ? AND s.partition = p.partition), 0)),
               (SELECT coalesce(max(number), 0) FROM deliveries) > coalesce(
                   (SELECT n FROM positions WHERE consumer = ? AND partition = 0), 0),
               (SELECT 1 FROM dead_letters WHERE NOT published ORDER BY at, id LIMIT 1) IS NOT NULL"""
    return Backlog(*map(bool, execute(connection, sql, consumer, FEED).one()))


def count_unpublished(connection: Connection) -> tuple[int, int]:
    """How many lines and how many letters are not published."""
    sql = """
        SELECT (SELECT coalesce(max(number), 0) FROM deliveries) - coalesce(
                   (SELECT n FROM positions WHERE consumer = ? AND partition = 0), 0),
               (SELECT count(*) FROM dead_letters WHERE NOT published)"""
    lines, letters = execute(connection, sql, FEED).one()
    return max(0, lines), letters


def read_lines(connection: Connection, limit: int) -> tuple[int, list[DeliveryRow]]:
    """The mark, and the lines after it, in order."""
    sql = "SELECT n FROM positions WHERE consumer = ? AND partition = 0"
    last: int = execute(connection, sql, FEED).scalar_one_or_none() or 0
    sql = f"SELECT {_LINE}, {text_of(connection, 'body')} FROM deliveries WHERE number > ? ORDER BY number LIMIT ?"
    return last, [DeliveryRow(*row) for row in execute(connection, sql, last, limit)]


def mark_lines(connection: Connection, was: int, upto: int) -> None:
    """Move the mark on from where it was read. StaleWriter if it is elsewhere by now: another process publishes."""
    sql = """
        INSERT INTO positions (consumer, partition, n) VALUES (?, 0, ?)
        ON CONFLICT (consumer, partition) DO UPDATE SET n = excluded.n WHERE positions.n = ?"""
    if execute(connection, sql, FEED, upto, was).rowcount != 1:
        raise StaleWriter(f"the alert feed was published beyond line {was} by another process")


def mark_all(connection: Connection) -> None:
    """Every line and every letter that there is counts as published."""
    sql = """
        INSERT INTO positions (consumer, partition, n) SELECT ?, 0, coalesce(max(number), 0) FROM deliveries
        WHERE true ON CONFLICT (consumer, partition) DO UPDATE SET n = excluded.n"""
    execute(connection, sql, FEED)
    execute(connection, "UPDATE dead_letters SET published = true WHERE NOT published")


def read_letters(connection: Connection, limit: int) -> list[LetterRow]:
    """Letters that are not published, the oldest first."""
    sql = f"SELECT {_LETTER} FROM dead_letters WHERE NOT published ORDER BY at, id LIMIT ?"
    return [LetterRow(*row) for row in execute(connection, sql, limit)]


def mark_letters(connection: Connection, ids: Sequence[str]) -> None:
    """These letters are published."""
    condition, wanted = among(connection, "id", ids)
    execute(connection, f"UPDATE dead_letters SET published = true WHERE {condition}", wanted)

"""Audit draws in the store: those that wait, what was closed as known at an instant, and the visits of a draw."""

from collections.abc import Sequence

from msgspec import Struct
from sqlalchemy import Connection

from engine.store.sql import execute
from workflows.case import TOTAL
from workflows.definitions import DEFINITIONS
from workflows.figures import CLOSED


class Progress(Struct, frozen=True):
    """How far a partition has come: the arrival of its last record (ms UTC), how many of its cases stand, and whether
    the figures have read all of its steps."""

    partition: int
    clock: int
    standing: int
    halted: str
    is_read: bool


class VisitRow(Struct, frozen=True):
    """A visit of a draw, and the body of its case."""

    id: str
    state: str
    body: str


def read_open(connection: Connection, definition: str) -> list[tuple[str, str]]:
    """The draws that are not over, by id, with their bodies."""
    # Sorted here: asked for the order of the key, a database would walk all cases instead of those of the kind.
    rows = execute(connection, "SELECT id, body FROM cases WHERE definition = ? AND closed_at IS NULL", definition)
    return sorted((id_, body) for id_, body in rows)


def read_progress(connection: Connection, consumer: str) -> list[Progress]:
    """How far each partition has come, and a consumer in it."""
    sql = """
        SELECT p.partition, p.clock, p.standing, p.halted, coalesce(s.n, 0) >= p.n FROM partitions p
        LEFT JOIN positions s ON s.consumer = ? AND s.partition = p.partition ORDER BY p.partition"""
    return [
        Progress(partition, clock, standing, halted, bool(is_read))
        for partition, clock, standing, halted, is_read in execute(connection, sql, consumer)
    ]


def read_closed(
    connection: Connection, definition: str, path: str, since: int, before: int, known_at: int
) -> list[str]:
    """The cases of a kind in the subtree of a path that were closed from one instant on and before another, as known at
    a third (ms UTC): in the order of their ids."""
    endings = [trigger for trigger, measure in DEFINITIONS[definition].endings.items() if measure == CLOSED]
    sql = f"""
        SELECT DISTINCT case_id FROM outcomes
        WHERE definition = ? AND clock = '{TOTAL}' AND why IN ({", ".join("?" * len(endings))})
              AND stopped >= ? AND stopped < ? AND arrival <= ? AND (reopened_at IS NULL OR reopened_at > ?)
              AND substr(path, 1, ?) = ? ORDER BY case_id"""
    values = (definition, *endings, since, before, known_at, known_at, len(path), path)
    return [id_ for (id_,) in execute(connection, sql, *values)]


def read_known(connection: Connection, ids: Sequence[str]) -> list[str]:
    """Those of these cases that have not left the tables."""
    found = list[str]()
    for begin in range(0, len(ids), 500):
        some = ids[begin : begin + 500]
        sql = f"SELECT id FROM cases WHERE id IN ({', '.join('?' * len(some))}) ORDER BY id"
        found += [id_ for (id_,) in execute(connection, sql, *some)]
    return found


def read_visits(connection: Connection, definition: str, draw: str) -> list[VisitRow]:
    """The visits of a draw, by id: its id is their reference."""
    sql = """
        SELECT id, state, body FROM cases
        WHERE reference <> '' AND reference = ? AND definition = ? ORDER BY id"""
    return [VisitRow(*row) for row in execute(connection, sql, draw, definition)]

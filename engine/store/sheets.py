"""Stored sheets of assessments (考核得分表), and what an assessment asks of the tables besides."""

from collections.abc import Iterator

from msgspec import Struct
from sqlalchemy import Connection

from engine.store import writes
from engine.store.sheet_table import sheets
from engine.store.sql import execute

_COLUMNS = "hash, card, period, as_of, body"


class SheetRow(Struct):
    """A sheet by its hash: `body` is its canonical JSON, `as_of` in ms UTC."""

    hash: str
    card: str
    period: str
    as_of: int
    body: str


def write_sheet(connection: Connection, row: SheetRow) -> None:
    """Keep a sheet under its hash; one that is there already stays."""
    writes.insert_missing(connection, sheets, [row])


def read_sheet(connection: Connection, digest: str) -> SheetRow | None:
    """A sheet by its hash."""
    row = execute(connection, f"SELECT {_COLUMNS} FROM sheets WHERE hash = ?", digest).one_or_none()
    return None if row is None else SheetRow(*row)


def read_sheets(connection: Connection) -> Iterator[SheetRow]:
    """All sheets that were ever stored, in the order of their hashes."""
    for row in execute(connection, f"SELECT {_COLUMNS} FROM sheets ORDER BY hash"):
        yield SheetRow(*row)


def has_moved(connection: Connection, since: int, until: int, after: int, upto: int) -> bool:
    """Whether a case that has a step in these local days (YYYYMMDD) has taken one that arrived after an instant and not
    after another (ms UTC): only then can a sheet of these days have changed."""
    sql = """
        SELECT 1 FROM partitions p CROSS JOIN facts late
        WHERE late.partition = p.partition AND late.at > ? AND late.at <= ? AND EXISTS (
            SELECT 1 FROM facts f WHERE f.case_id = late.case_id AND f.day BETWEEN ? AND ?) LIMIT 1"""
    return execute(connection, sql, after, upto, since, until).first() is not None


def read_quarantined(connection: Connection) -> list[str]:
    """The cases that were ever put into quarantine, by the verdicts on what the database refused of them."""
    found = set[str]()
    for (verdict,) in execute(connection, "SELECT verdict FROM settlements WHERE verdict LIKE ?", "%quarantine:%"):
        words = [word for word in verdict.split() if word.startswith("quarantine:")]
        found.update(word.removeprefix("quarantine:").rpartition("@")[0] for word in words)
    return sorted(found)

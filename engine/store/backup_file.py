"""A backup of a SQLite database, made while it is served, in one file; and what a database says of its own restoring.

1. All pages are copied within one read transaction. Else SQLite begins the copy anew each time that another process
   has written, and under load it never ends.
2. A reader holds up no writer. Until the copy ends, no checkpoint passes its snapshot: the write-ahead log grows by
   what is written meanwhile.
3. A row of `meta` in the copy says of what instant it is, and of which installation.
"""

import sqlite3
from collections.abc import Callable
from contextlib import closing
from importlib.metadata import version
from pathlib import Path
from typing import Any
from uuid import uuid4

import msgspec
from msgspec import Struct
from msgspec.structs import replace
from sqlalchemy import Connection

from engine import failpoints
from engine.errors import GridpatrolError
from engine.store.database import Database, unusable
from engine.store.meta import read_meta, write_meta
from engine.store.sql import execute

NOTE = "backup"
"""Name in `meta` of a backup's note, as JSON. The note of the last restored one stays, with when that was."""
INSTALLATION = "installation"
"""Name in `meta` of what tells one installation from another, the same in its copies and backups."""
PAGES = 1000
"""Pages that are copied between two looks at the progress: about 4 MB."""

Progress = Callable[[int, int], object]
"""Is told how much is done, and of how much."""


class BackupFailed(GridpatrolError):
    """The copy could not be written. Nothing has its name."""

    remedy = "Make room where it is written, or name a file on another disk."


class PutByHand(GridpatrolError):
    """The database is a backup that nobody has restored: its feed would give out again the numbers of alerts that its
    subscribers have heard, and they would miss the new ones in silence."""

    remedy = "Run `gridpatrol restore --in-place` once, before its server starts."


class PartitionEnd(Struct, frozen=True):
    """How far a partition was: the next record to decide, the last step, and its clock (ms UTC)."""

    partition: int
    position: int
    n: int
    clock: int


class BackupNote(Struct, frozen=True):
    """What a backup says of itself. Everything that was answered before `at` (ms UTC) is in it."""

    installation: str
    at: int
    release: str
    partitions: list[PartitionEnd]
    restored_at: int | None = None

    @property
    def steps(self) -> int:
        """The steps of all partitions."""
        return sum(partition.n for partition in self.partitions)


# ---- the note -----------------------------------------------------------------------------------------------


def installation_of(connection: Connection) -> str:
    """What tells this installation from others; the first call makes it up."""
    write_meta(connection, INSTALLATION, uuid4().hex, keep=True)
    return read_meta(connection, INSTALLATION) or ""


def describe(connection: Connection, installation: str, at: int) -> BackupNote:
    """The note of what this transaction sees. It reads what every release has."""
    rows = execute(connection, "SELECT partition, position, n, clock FROM partitions ORDER BY partition")
    return BackupNote(installation, at, version("gridpatrol"), [PartitionEnd(*row) for row in rows])


def read_note(connection: Connection) -> BackupNote | None:
    """What a backup, or a database that was restored from one, says of itself."""
    text = read_meta(connection, NOTE)
    return None if text is None else msgspec.json.decode(text, type=BackupNote)


def write_note(connection: Connection, note: BackupNote) -> None:
    """Keep it in the backup, or in the database that was restored from it."""
    write_meta(connection, NOTE, msgspec.json.encode(note).decode())


def mark_restored(connection: Connection, at: int) -> None:
    """The database has begun anew at this instant (ms UTC), if it ever was a backup."""
    note = read_note(connection)
    if note is not None:
        write_note(connection, replace(note, restored_at=at))


def check_restored(database: Database) -> None:
    """PutByHand where the database is a backup, and no restore has begun it anew."""
    with database.read() as connection:
        note = read_note(connection)
    if note is not None and note.restored_at is None:
        raise PutByHand(f"{database.url.render_as_string(hide_password=True)} is a backup that was put there by hand")


# ---- the file -----------------------------------------------------------------------------------------------


def count_bytes(connection: Connection) -> int:
    """How large the copy of what this transaction sees will be."""
    pages, size = (connection.exec_driver_sql(f"PRAGMA {name}").scalar_one() for name in ("page_count", "page_size"))
    return int(pages) * int(size)


def copy_pages(connection: Connection, target: Path, progress: Progress) -> None:
    """Copy all that an open read transaction sees into an empty file, which is not flushed to the disk.

    The transaction has read something already: SQLite takes its snapshot then. BackupFailed, DatabaseUnusable.
    """
    source: Any = connection.connection.driver_connection

    def show(_: int, remaining: int, pages: int) -> None:
        failpoints.hit("backup.between_pages")
        progress(pages - remaining, pages)

    with closing(sqlite3.connect(target, isolation_level=None)) as copy:
        for pragma in ("journal_mode=OFF", "synchronous=OFF"):  # after an error nothing of the file is of use
            copy.execute(f"PRAGMA {pragma}")
        try:
            source.backup(copy, pages=PAGES, progress=show)
        except sqlite3.Error as error:
            if error.sqlite_errorcode in (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR_WRITE):
                raise BackupFailed(f"{target} cannot be written: {error}") from error
            raise unusable(error) or BackupFailed(f"the copy to {target} failed: {error}") from error


def close_whole(file: Path) -> None:
    """Fold the write-ahead log of a database that nobody has open into its file, which is all of it then."""
    with closing(sqlite3.connect(file, isolation_level=None)) as raw:
        raw.execute("PRAGMA journal_mode=DELETE")

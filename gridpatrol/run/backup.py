"""Backups that are made while a server serves, and their way back into service.

1. A backup has its name when it is whole: copied from one instant, read back, verified, on the disk. FILE.sha256
   beside it, which `sha256sum -c` reads as well, has its name before that.
2. What is restored is copied first, and the copy is checked: what was looked at is what is put in place. A database
   that is there is never replaced.
3. A restored database begins the feed of alerts anew, and knows no server's address. Its figures and alerts follow from
   all of its facts, though its consumers may have been behind. The lease of before is not in it: that is a lock.
"""

import logging
import os
import re
import shutil
from collections.abc import Callable
from contextlib import ExitStack, closing
from hashlib import file_digest, sha256
from pathlib import Path

from msgspec import Struct

from consumers import verify
from consumers.alerts import fold
from consumers.audit import anchors
from consumers.audit.restoring import begin_epochs
from consumers.verify import Snapshot
from engine import files
from engine.clock import now_ms
from engine.errors import DatabaseUnusable, GridpatrolError
from engine.failures import away
from engine.lease import Lease, lock_file
from engine.metrics.counters import Counters
from engine.settings import Settings
from engine.store import audit, backup_file, inbox_table
from engine.store.audit import Act
from engine.store.backup_file import BackupFailed, BackupNote
from engine.store.database import FAILURES, Database, file_of, open_database, unusable, url_of_file
from engine.store.meta import remove_meta
from engine.wall_clock import WallClock
from gridpatrol import options
from gridpatrol.run.chaining import file_of_anchors
from gridpatrol.run.closed_years import snapshot
from gridpatrol.run.kept_files import left_out
from gridpatrol.run.wiring import DOOR, NothingThere, consumers, exists, is_empty, reading, shown

log = logging.getLogger(__name__)

CHUNK = 1 << 20
"""Bytes that are copied between two looks at the progress."""
ROOM = 1.1
"""How much room a backup must find, as a multiple of its size: the server may write to the same disk meanwhile."""
MAGIC = b"SQLite format 3\0"
"""How a SQLite file begins."""

Show = Callable[[int, int, str], None]
"""Is told how much is done, of how much, and of what."""


class ServersDatabase(GridpatrolError):
    """The database is a server's, which has tools of its own."""

    remedy = (
        "Use those of PostgreSQL: see docs/operations.md, Backup and restore. After its restore give "
        "`gridpatrol restore --in-place`."
    )


class BackupUnusable(GridpatrolError):
    """A file is not what was backed up. Nothing was put in place."""

    remedy = "Restore another backup."


class Backup(Struct, frozen=True):
    """A backup. `mismatches`: what does not follow from the facts in it; None: of an older release, not verified.
    `left_out`: what belongs to the database and lies elsewhere; empty: nothing."""

    file: str
    bytes: int
    sha256: str
    note: BackupNote
    mismatches: int | None
    left_out: str = ""


class Restored(Struct, frozen=True):
    """A restored database. `note`: what its backup says; None: it was made by other means."""

    database: str
    epoch: str
    note: BackupNote | None


# ---- backup -------------------------------------------------------------------------------------------------


def make(settings: Settings, file: Path, show: Show) -> Backup:
    """Back up the SQLite database of the settings, served or not. FileTaken, BackupFailed, ServersDatabase,
    DatabaseUnusable: the file is not there then."""
    if file_of(settings.database) is None:
        raise ServersDatabase(f"{shown(settings.database)} is a server's database")
    if not exists(settings.database):
        raise NothingThere(f"there is no database at {shown(settings.database)}")
    with closing(open_database(settings.database)) as source:
        if is_empty(source):
            raise NothingThere(f"nothing has been stored at {shown(settings.database)}")
        stands, wanted = source.revisions()
        with files.whole(file) as part:
            installation = sign(source, str(file), audited=stands == wanted)
            with source.read() as connection:
                note = backup_file.describe(connection, installation, now_ms())
                needed, free = ROOM * backup_file.count_bytes(connection), shutil.disk_usage(part.parent).free
                if needed > free:
                    raise BackupFailed(f"{file} needs {megabytes(int(needed))}, and its disk has {megabytes(free)}")
                backup_file.copy_pages(connection, part, lambda done, of: show(done, of, "copying"))
            mismatches = read_back(part, note, show, snapshot(settings) if stands == wanted else None)
            with part.open("rb") as whole:
                digest = file_digest(whole, "sha256").hexdigest()
            with options.whole_file(f"{file}.sha256") as out:
                out.write(f"{digest}  {file.name}\n".encode())
        more = left_out(settings, source) if stands == wanted else ""
    made = Backup(str(file), file.stat().st_size, digest, note, mismatches, more)
    log.info("backup.made", extra={"file": made.file, "sha256": digest, "by": options.account()})
    return made


def sign(source: Database, file: str, *, audited: bool) -> str:
    """Say in the audit, and so in the backup itself, who makes it; an older release's tables have none. Returns what
    tells the installation from others.

    A database that cannot be written needs its backup most of all: it is empty then, and the log warns.
    """
    try:
        with source.begin() as connection:
            if audited:
                audit.write(connection, options.operator(), Act.BACKUP_MADE, file)
            return backup_file.installation_of(connection)
    except FAILURES as error:
        log.warning("who makes the backup, and of which installation, is not in it: %s", unusable(error) or error)
        return ""


def read_back(part: Path, note: BackupNote, show: Show, whole: Snapshot | None) -> int | None:
    """Check the pages of a copy, write its note into it, and verify it, with what has left it. The number of
    mismatches; None: an older release's tables are not verified. Consumers may have been behind."""
    with closing(open_database(url_of_file(part))) as copy:
        copy.check_pages()
        with copy.begin() as connection:
            if backup_file.describe(connection, note.installation, note.at) != note:
                raise BackupFailed("the copy is not of one instant", remedy="Report this as a defect.")
            backup_file.write_note(connection, note)
        found = None
        if whole is not None:
            found = len(verify.verify(copy, lambda done, of: show(done, of, "reading back"), live=True, snapshot=whole))
    backup_file.close_whole(part)
    return found


def megabytes(count: int) -> str:
    """`12.3 MB`."""
    return f"{count / 1e6:,.1f} MB"


# ---- restore ------------------------------------------------------------------------------------------------


def restore(settings: Settings, file: Path, digest: str | None, unchecked: bool, show: Show) -> Restored:
    """Put a backup in the place that the settings name, where there is nothing yet. `digest`: its SHA-256; None:
    FILE.sha256 says it.

    `unchecked` takes a file of which nobody knows the SHA-256, and verifies all of it. BackupUnusable, FileTaken,
    SchemaMismatch, LeaseTaken, ServersDatabase: nothing is in the place then.
    """
    target = file_of(settings.database)
    if target is None:
        raise ServersDatabase(f"{shown(settings.database)} is a server's database")
    digest = digest or (None if unchecked else read_digest(file))
    if digest is None and not unchecked:
        raise BackupUnusable(
            f"nothing says what {file} was when it was made: {file}.sha256 is not there",
            remedy="Give its SHA-256 with --sha256, or take it as it is with --unchecked: then all of it is verified.",
        )
    for beside in (Path(f"{target}{ending}") for ending in files.BESIDE):
        if beside.exists():
            raise files.FileTaken(
                f"{beside} is left of another database", remedy="Move it away, with what is beside it."
            )
    target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with closing(lock_file(target)), files.whole(target) as part:
        found = copy_checked(file, part, show)
        if digest is not None and found != digest:
            raise BackupUnusable(
                f"{file} was cut short or changed since it was made: its SHA-256 is {found}",
                remedy="Restore another backup. A command that took it for a database changes it too: with --unchecked "
                "all of it is verified instead.",
            )
        with closing(open_checked(file, part)) as copy:
            with copy.read() as connection:
                note = backup_file.read_note(connection)
            if note is None and digest is not None and not unchecked:
                raise BackupUnusable(
                    f"{file} was not made by `gridpatrol backup`",
                    remedy="Take it as it is with --unchecked: then all of it is verified.",
                )
            if unchecked:
                check_facts(copy, str(file), show, snapshot(settings))
            epoch = begin_anew(copy, str(file), file_of_anchors(settings))
        backup_file.close_whole(part)
    log.info("backup.restored", extra={"file": str(file), "sha256": found, "by": options.account()})
    return Restored(shown(settings.database), epoch, note)


def restore_in_place(settings: Settings, show: Show) -> Restored:
    """The same check and the same new beginning for a database that other tools have restored, before its server
    starts. BackupUnusable, DatabaseUnusable, LeaseTaken: nothing is changed then."""
    with reading(settings) as opened, closing(Lease(opened)):
        opened.check_pages()
        check_facts(opened, shown(settings.database), show, snapshot(settings))
        with opened.read() as connection:
            note = backup_file.read_note(connection)
        epoch = begin_anew(opened, shown(settings.database), file_of_anchors(settings))
    log.info("backup.restored", extra={"database": shown(settings.database), "by": options.account()})
    return Restored(shown(settings.database), epoch, note)


def read_digest(file: Path) -> str | None:
    """The SHA-256 that FILE.sha256 says; None: there is no such file."""
    beside = Path(f"{file}.sha256")
    if not beside.exists():
        return None
    found = re.match(rb"([0-9a-f]{64})\b", beside.read_bytes())
    if found is None:
        raise BackupUnusable(f"{beside} says no SHA-256", remedy="Give it with --sha256, as the backup printed it.")
    return found[1].decode()


def copy_checked(file: Path, target: Path, show: Show) -> str:
    """Copy a backup. Returns the SHA-256 of what was copied; BackupUnusable where it is no SQLite file, or a part of
    one."""
    beside = Path(f"{file}-wal")
    if beside.exists() and beside.stat().st_size:
        raise BackupUnusable(f"{beside} belongs to it: {file} is a database in use", remedy="Use `gridpatrol backup`.")
    digest, done = sha256(), 0
    with file.open("rb") as source, target.open("wb") as copy:
        size = os.fstat(source.fileno()).st_size
        while chunk := source.read(CHUNK):
            if not done and not chunk.startswith(MAGIC):
                raise BackupUnusable(f"{file} is no SQLite database")
            digest.update(chunk)
            copy.write(chunk)
            done += len(chunk)
            show(done, size, "copying")
    if not done:
        raise BackupUnusable(f"{file} is empty")
    return digest.hexdigest()


def check_facts(database: Database, name: str, show: Show, whole: Snapshot) -> None:
    """BackupUnusable where something stored does not follow from the facts. Consumers may be behind."""
    found = verify.verify(database, lambda done, of: show(done, of, "reading back"), live=True, snapshot=whole)
    if found:
        raise BackupUnusable(
            f"{len(found)} things in {name} do not follow from its facts, the first is a {found[0].what}",
            remedy="Restore another backup. `gridpatrol verify` lists them.",
        )


def open_checked(file: Path, part: Path) -> Database:
    """The copy of a backup, with the tables of this release. BackupUnusable where a page is damaged, or where it is
    another program's; SchemaMismatch where a newer release made it."""
    with ExitStack() as undo:
        try:
            with away():
                copy = open_database(url_of_file(part))
                undo.callback(copy.close)
                copy.check_pages()
                if is_empty(copy):
                    raise BackupUnusable(f"{file} has no tables of gridpatrol")
                stands, wanted = copy.revisions()
        except DatabaseUnusable as error:
            raise BackupUnusable(f"{file} cannot be used: {error.message}") from error
        if stands != wanted:
            copy.upgrade()
        undo.pop_all()
    return copy


def begin_anew(database: Database, source: str, file: Path | None) -> str:
    """Begin the feed of alerts anew, forget what was of the server of before, and bring figures and alerts to the last
    step, where no role does that. The audit says what was restored, and the chains what they lack by the `file` of
    anchors. Returns the feed's epoch; ConsumerAhead."""
    with database.read() as connection:
        has_roles = inbox_table.read_origin(connection) is not None
    wall = WallClock(database)
    wall.look({}, ())
    for consumer in () if has_roles else consumers(Counters(), wall):
        while consumer(database, ()):
            pass
    epoch, kept = fold.restart_feed(database), list[str]()
    if file is not None and file.exists():
        try:
            kept = anchors.read_file(file)
        except anchors.AnchorsUnusable as error:
            log.warning("the chains begin anew without the anchors that were kept: %s", error)
    with database.begin() as connection:
        remove_meta(connection, DOOR)
        audit.write(connection, options.operator(), Act.BACKUP_RESTORED, source)
        backup_file.mark_restored(connection, now_ms())
        begin_epochs(connection, kept, now_ms())
    return epoch

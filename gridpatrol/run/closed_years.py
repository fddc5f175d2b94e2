"""Cases that are archived leave the tables for files, while a server works, and come back.

1. A file is written, flushed and read back before anything leaves. Then its cases leave in transactions of some
   hundred, each with its stub: killed at any moment, the next run goes on where this one was.
2. A partition is locked for one such transaction, so no slice lies in between, and none waits long.
3. What is read over all cases (`snapshot`) finds those that have left in their files.
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from consumers.audit.chainer import Chainer
from consumers.performance.archived import changes_of
from consumers.verify import Snapshot
from engine import archive_file, failpoints
from engine.archive_file import FORMAT, ArchiveFolder, ArchiveUnusable, Header, Row
from engine.clock import now_ms
from engine.operations import leaving
from engine.principals import Operator
from engine.settings import Settings
from engine.slice.archiving import before_of
from engine.store import archives, audit, backup_file, slices
from engine.store.archives import COLUMNS, ArchivedFigureRow, ArchiveRow, StubRow
from engine.store.audit import Act
from engine.store.database import Connection, Database
from engine.store.rows import PartitionRow, StepRow
from schemas.facts import decode_cause

CASES = 5_000
"""Cases of one file at most: some ten megabytes."""

Show = Callable[[int], object]
"""Told how many cases have left, or come back, so far."""
Group = dict[str, list[tuple[Any, ...]]]
"""Rows of some cases, by table."""


class Moved(Struct):
    """What a run has done: the files, and how many cases, steps and letters left with them or came back."""

    files: list[str]
    cases: int = 0
    steps: int = 0
    letters: int = 0
    bytes: int = 0

    def add(self, group: Group) -> None:
        """Count a group."""
        self.cases += len(group["cases"])
        self.steps += len(group["facts"])
        self.letters += len(group["dead_letters"])


def folder_of(settings: Settings) -> ArchiveFolder:
    """The folder of the settings."""
    return ArchiveFolder(Path(settings.archives))


def snapshot(settings: Settings) -> Snapshot:
    """How to read a database with all that has left it. ArchiveUnusable where a file is not at hand."""

    @contextmanager
    def read(database: Database) -> Iterator[Connection]:
        with database.read() as connection:
            known = archives.listed(connection)
        folder = folder_of(settings)
        folder.check(known)
        with archives.together(database, folder.rows) if known else database.read(whole=True) as connection:
            yield connection

    return read


# ---- leaving ------------------------------------------------------------------------------------------------


def write(settings: Settings, database: Database, operator: Operator, show: Show) -> Moved:
    """Let all cases leave that are archived and of which nothing is still to come."""
    moved, folder = Moved([]), folder_of(settings)
    Chainer(database).catch_up()  # what leaves stands in its chain
    with database.begin() as connection:
        installation = backup_file.installation_of(connection)
        partitions = slices.read_partitions(connection)
    for row in partitions:
        with database.read() as connection:
            begun = archives.unfinished(connection, row.partition)
        for archive in begun:
            folder.check([archive])
            take_out(database, archive, folder, moved, show)
        before = before_of(row, row.position)
        while before and (written := write_file(database, row, before, installation, folder)):
            with database.begin() as connection:
                archives.register(connection, written)
                audit.write(connection, operator, Act.ARCHIVE_WRITTEN, written.name)
            failpoints.hit("archive.after_register")
            take_out(database, written, folder, moved, show)
    return moved


def write_file(
    database: Database, row: PartitionRow, before: int, installation: str, folder: ArchiveFolder
) -> ArchiveRow | None:
    """Write the next file of a partition, and read it back; None: nothing may leave."""
    with database.read() as connection:
        found = (c.id for page, _ in leaving.pages(connection, row.partition, before) for c in page)
        ids = list(islice(found, CASES))
        if not ids:
            return None
        counts = {table: 0 for table in COLUMNS}

        def rows() -> Iterator[Row]:
            for at in range(0, len(ids), leaving.PAGE):
                for table, values in archives.read_rows(connection, ids[at : at + leaving.PAGE]):
                    counts[table] += 1
                    yield table, values

        path = free_name(folder.folder, row.partition, before)
        archive_file.write(path, Header(FORMAT, installation, row.partition, before, COLUMNS), rows())
    failpoints.hit("archive.after_file")
    if sum(1 for _ in archive_file.read(path)) != sum(counts.values()):
        raise ArchiveUnusable(f"{path} has not the rows that were written", remedy="Look at the disk, and ask again.")
    numbers = (counts["cases"], counts["facts"], counts["dead_letters"])
    digest, size = archive_file.digest_of(path), path.stat().st_size
    return ArchiveRow(path.name, row.partition, before, *numbers, size, digest, now_ms())


def free_name(folder: Path, partition: int, before: int) -> Path:
    """A name that no file has: the day, the partition, a number. A file that is there may be another database's."""
    day = datetime.fromtimestamp(before // 1000, UTC).strftime("%Y-%m-%d")
    number = 1
    while (path := folder / f"before-{day}-p{partition:03d}-{number:04d}.jsonl.gz").exists():
        number += 1
    return path


def take_out(database: Database, archive: ArchiveRow, folder: ArchiveFolder, moved: Moved, show: Show) -> None:
    """Take the cases of a file out of the tables that are still there, some hundred in a transaction."""
    moved.files.append(archive.name)
    moved.bytes += archive.size
    for group in archive_file.groups(folder.rows(archive)):
        with database.begin() as connection:
            archives.hold(connection, archive.partition)
            group = only(group, archives.unchanged(connection, group["cases"]))
            archives.leave(
                connection, group, stubs_of(group, archive.name), figures_of(group), sent_in(group), archive.before
            )
            failpoints.hit("archive.before_commit")
        failpoints.hit("archive.after_commit")
        moved.add(group)
        show(moved.cases)


def only(group: Group, ids: set[str]) -> Group:
    """The rows of these cases."""
    places = {table: COLUMNS[table].index(column) for table, column in archives.LEAVING.items()}
    return {table: [row for row in rows if row[places[table]] in ids] for table, rows in group.items()}


def stubs_of(group: Group, archive: str) -> list[StubRow]:
    """What stays of the cases."""
    rows = (dict(zip(COLUMNS["cases"], row, strict=True)) for row in group["cases"])
    return [msgspec.convert(row | {"ended_at": row["closed_at"], "archive": archive}, StubRow) for row in rows]


def figures_of(group: Group) -> list[ArchivedFigureRow]:
    """By how much the steps have changed the figures."""
    return changes_of(StepRow(**dict(zip(COLUMNS["facts"], row, strict=True))) for row in group["facts"])


def sent_in(group: Group) -> set[tuple[int, str, str, str]]:
    """(partition, source, id, case) of the events of the cases: those that made steps, and those that were refused."""
    sent = set[tuple[int, str, str, str]]()
    for row in (dict(zip(COLUMNS["facts"], values, strict=True)) for values in group["facts"]):
        cause = decode_cause(row["cause"])
        sent.add((row["partition"], cause.source, cause.id, row["case_id"]))
    for row in (dict(zip(COLUMNS["dead_letters"], values, strict=True)) for values in group["dead_letters"]):
        if row["partition"] is not None:
            sent.add((row["partition"], row["source"], row["event_id"], row["case_id"]))
    return sent


# ---- coming back --------------------------------------------------------------------------------------------


def bring_back(settings: Settings, database: Database, names: Iterable[str], operator: Operator, show: Show) -> Moved:
    """Put the cases of these files back into the tables, or of all files where none is named. They stay archived:
    nothing more comes to them."""
    moved, folder, wanted = Moved([]), folder_of(settings), set(names)
    with database.read() as connection:
        known = [row for row in archives.listed(connection) if not wanted or row.name in wanted]
    if unknown := wanted - {row.name for row in known}:
        raise ArchiveUnusable(f"no cases have left with {', '.join(sorted(unknown))}", remedy="See `archive list`.")
    folder.check(known)
    for archive in known:
        moved.files.append(archive.name)
        for group in archive_file.groups(folder.rows(archive)):
            with database.begin() as connection:
                archives.hold(connection, archive.partition)
                group = only(group, archives.find_left_in(connection, archive.name))
                ids = {row[COLUMNS["cases"].index("id")] for row in group["cases"]}
                archives.come_back(connection, group, ids, figures_of(group))
                failpoints.hit("archive.before_commit")
            moved.add(group)
            show(moved.cases)
        with database.begin() as connection:
            archives.forget(connection, archive.name)
            audit.write(connection, operator, Act.ARCHIVE_RETURNED, archive.name)
    return moved

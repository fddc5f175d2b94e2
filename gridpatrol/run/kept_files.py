"""The files of an installation: who may keep them, what removes them in time, and which of them are missing."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from consumers.verify import Mismatch
from engine.errors import LeaseTaken, SettingsError
from engine.lease import Lease, LeaseName
from engine.metrics.counters import Counters
from engine.operations.file_retention import FileRetention
from engine.runtime import Chore
from engine.settings import Settings
from engine.store import backup_file, sent_files
from engine.store.database import Database
from engine.store.meta import read_meta
from engine.uploads.folder import FolderStore
from engine.uploads.opening import open_store
from engine.uploads.store import PREFIXES
from engine.wall_clock import WallClock

KEEPER = LeaseName("keeps files in a folder for", ".files.lease", 0x66696C65)  # "file"


@contextmanager
def keeping(settings: Settings, database: Database, counters: Counters, wall: WallClock) -> Iterator[list[Chore]]:
    """The chores of a process that takes files, while a thread removes what has to go. SettingsError where the store is
    another installation's, or a folder that another gateway does not see."""
    if (store := open_store(settings)) is None:
        yield []
        return
    with database.read() as connection:
        installation = read_meta(connection, backup_file.INSTALLATION)
    store.claim(installation or "none yet", begin=False)
    with ExitStack() as stack:
        chores = list[Chore]()
        if settings.kafka and not settings.files_shared and isinstance(store, FolderStore):
            lease = alone(database)
            stack.callback(lease.close)
            chores.append(lease.keep)
        retention = FileRetention(settings, database, store, counters.door.files, wall.known_instant)
        retention.start()
        stack.callback(retention.stop)
        yield chores


def alone(database: Database) -> Lease:
    """The right to keep files in a folder, which one gateway has. SettingsError where another one has it."""
    try:
        return Lease(database, KEEPER)
    except LeaseTaken as error:
        raise SettingsError(
            "files: another gateway keeps files in a folder, and does not see what this one would take",
            remedy="Name a bucket (files = s3://BUCKET/PREFIX); or, where all gateways have the same folder, say "
            "files_shared = true.",
        ) from error


def left_out(settings: Settings, database: Database) -> str:
    """What a backup of the database leaves out; empty: nothing."""
    with database.read() as connection:
        kept = sent_files.kept(connection)
    if not kept.files:
        return ""
    there = settings.files or str(getattr(open_store(settings), "root", "their store"))
    return (
        f"{kept.files} files of {kept.bytes / 1e6:,.1f} MB lie in {there} and are not in it: keep a copy of them too."
    )


def missing(settings: Settings, database: Database) -> Iterator[Mismatch]:
    """Files that are to be in the store and are not, or have another size."""
    store = open_store(settings)
    for prefix in PREFIXES:
        with database.read() as connection:
            wanted = sent_files.sizes(connection, prefix)
        if not wanted:
            continue
        found = store.listed(prefix) if store is not None else {}
        with database.read() as connection:  # what was removed meanwhile is not missing
            wanted = {name: size for name, size in sent_files.sizes(connection, prefix).items() if name in wanted}
        for sha256, size in wanted.items():
            has = found[sha256][0] if sha256 in found else None
            if has != size:
                yield Mismatch("file", sha256, f"{size} bytes", "none" if has is None else f"{has} bytes")

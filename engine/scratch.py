"""A folder for a database that is thrown away, beside the one that it is made for.

It is its owner's alone, and goes when the work is done. A process that is killed leaves it; the next one that wants
such a folder there removes it. A lock on a file in it tells whether its process still runs.
"""

import fcntl
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from engine import files
from engine.errors import GridpatrolError

PREFIX = "gridpatrol-scratch-"
LOCK = "lock"


class NoRoom(GridpatrolError):
    """A disk has less room than the work is expected to need."""

    remedy = "Make room there, or name a folder of another disk with --scratch DIR."


def check_room(folder: Path, needed: int) -> int:
    """The bytes that are free on the disk of a folder; NoRoom where these are fewer than needed."""
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise NoRoom(f"{folder} has {free >> 20} MiB free, about {needed >> 20} MiB are needed")
    return free


@contextmanager
def scratch(folder: Path) -> Iterator[Path]:
    """A new folder within this one, removed at the end; those of processes that were killed are removed first."""
    for left in folder.glob(f"{PREFIX}*"):
        try:
            with (left / LOCK).open("rb") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(left, ignore_errors=True)
        except OSError:
            continue  # its process runs, or has not made the lock yet, or it is somebody else's
    with (
        TemporaryDirectory(prefix=PREFIX, dir=folder) as made,
        open(Path(made) / LOCK, "wb", opener=files.opener) as lock,
    ):
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield Path(made)

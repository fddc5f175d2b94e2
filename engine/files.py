"""Files that are their owner's alone, for they hold what people said and who they are; and files that are there whole
or not at all.

SQLite gives `-wal` and `-shm` the mode of the database file, so that the mode of one file counts for all three.
"""

import fcntl
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

from engine import failpoints
from engine.errors import GridpatrolError

OWN = 0o600
"""The mode of such a file: its owner reads and writes it."""
OTHERS = 0o077
"""What others may do with a file."""
OPEN_FOLDER = 0o026
"""What a folder lets others do: read its list, or write in it; its group may read."""

BESIDE = ("-wal", "-shm", "-journal")
"""Endings of what SQLite keeps beside a database. Left over from another one, it would be taken for this one's."""

log = logging.getLogger(__name__)


class FileTaken(GridpatrolError):
    """A new file would take the place of another, or another process is writing it."""


def opener(path: str, flags: int) -> int:
    """For `open`: a file that is made is its owner's alone, whatever the umask says."""
    return os.open(path, flags, OWN)


def make(path: Path) -> None:
    """Make an empty file unless it is there. One that is there is not opened: closing it would take away the locks that
    SQLite holds on it in this process."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with suppress(FileExistsError):
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, OWN))


def lock(file: IO[Any], *, shared: bool = False) -> bool:
    """Lock an open file for as long as it is open. False where another process has it."""
    try:
        fcntl.flock(file, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


@contextmanager
def whole(path: Path) -> Iterator[Path]:
    """Where to write a file that gets its name when all of it is on the disk. FileTaken where the name is taken.

    Until then it is PATH.partial, locked, and its owner's alone. After an error nothing is left. What a killed process
    left is begun anew, and never has the name.
    """
    part = Path(f"{path}.partial")
    if os.path.lexists(path):
        raise FileTaken(f"{path} is there already", remedy="Name another file: none is overwritten.")
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with open(part, "ab", opener=opener) as held:
        # Between the opening and the lock another process may have finished the file, or given it up.
        if not lock(held) or not part.exists() or not os.path.samestat(os.fstat(held.fileno()), part.stat()):
            raise FileTaken(f"another process is writing {path}", remedy="Wait for it, or name another file.")
        try:
            for ending in BESIDE:
                Path(f"{part}{ending}").unlink(missing_ok=True)
            held.truncate(0)
            os.fchmod(held.fileno(), OWN)
            yield part
            os.fsync(held.fileno())
            failpoints.hit("file.before_rename")
            if os.path.lexists(path):
                raise FileTaken(f"{path} has come meanwhile", remedy="Name another file: none is overwritten.")
            part.rename(path)
        except BaseException:
            for ending in ("", *BESIDE):
                Path(f"{part}{ending}").unlink(missing_ok=True)
            raise
    keep_names(path.parent)


def keep_names(folder: Path) -> None:
    """Bring to the disk which files a folder has: without that a power cut may take a name that was given."""
    opened = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)


def close_to_others(path: Path) -> None:
    """Take the rights of others from a SQLite database that was open to them, and warn where they remain or its folder
    is open. Nothing fails: who may write the database need not own it."""
    closed, left = [], []
    for file in (path, *(Path(f"{path}{ending}") for ending in ("-wal", "-shm"))):
        try:
            mode = file.stat().st_mode
            if mode & OTHERS:
                file.chmod(mode & 0o777 & ~OTHERS)
                closed.append(str(file))
        except FileNotFoundError:
            continue
        except OSError:
            left.append(str(file))
    if closed:
        log.warning("others could open %s, with what people said; now only the owner can", ", ".join(closed))
    if left:
        log.warning("others may open files of the database. Let their owner do: chmod 600 %s", " ".join(left))
    folder = path.resolve().parent
    with suppress(OSError):
        if (mode := folder.stat().st_mode) & OPEN_FOLDER:
            what = "write in" if mode & 0o022 else "list"
            log.warning(
                "others may %s the folder of the database, %s. Give the database a folder that only its owner reads "
                "and writes (chmod 700), and keep nothing else there",
                what,
                folder,
            )

"""Files that are their owner's alone, for they hold what people said and who they are.

SQLite gives `-wal` and `-shm` the mode of the database file, so that the mode of one file counts for all three.
"""

import logging
import os
from contextlib import suppress
from pathlib import Path

OWN = 0o600
"""The mode of such a file: its owner reads and writes it."""
OTHERS = 0o077
"""What others may do with a file."""
OPEN_FOLDER = 0o026
"""What a folder lets others do: read its list, or write in it; its group may read."""

log = logging.getLogger(__name__)


def opener(path: str, flags: int) -> int:
    """For `open`: a file that is made is its owner's alone, whatever the umask says."""
    return os.open(path, flags, OWN)


def make(path: Path) -> None:
    """Make an empty file unless it is there. One that is there is not opened: closing it would take away the locks that
    SQLite holds on it in this process."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with suppress(FileExistsError):
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, OWN))


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

"""Files in a folder, which is their owner's alone.

`ab/SHA256` is a file, `partial/PRINCIPAL/SHA256` what has come of one. A file gets its name when all of it is on the
disk, by renaming. A process that writes a part has it locked.
"""

import errno
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import IO, Self

from engine import failpoints, files
from engine.uploads.store import CHUNK, Part, PartShort, PartTaken, StoreAway, StoreTaken

PARTIAL = "partial"
MARK = "installation"
"""The file that says whose files these are."""
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


@contextmanager
def disk() -> Iterator[None]:
    """Errors of the disk as StoreAway."""
    try:
        yield
    except FileNotFoundError:
        raise
    except OSError as error:
        what = "the disk of the files is full" if error.errno in FULL else "the disk of the files fails"
        raise StoreAway(what, remedy="Look at its room, its quota, its errors.") from error


class FolderPart:
    """A part as an open, locked file."""

    def __init__(self, path: Path, start: int) -> None:
        self.path = path
        with disk():
            for folder in (path.parents[2], path.parents[1], path.parents[0]):
                if not folder.exists():
                    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
                    files.keep_names(folder.parent)
            self._file = open(path, "ab", opener=files.opener)  # noqa: SIM115  # closed by `close`
        try:
            # Between the opening and the lock another process may have finished it: then it is the file itself.
            if not files.lock(self._file) or not _is_at(self._file, path):
                raise PartTaken("another request is sending this file")
            if (has := self._file.tell()) < start:
                raise PartShort(has)
            with disk():
                self._file.truncate(start)
        except BaseException:
            self._file.close()
            raise
        self.size = start

    def write(self, data: bytes) -> None:
        with disk():
            self._file.write(data)
            self._file.flush()
        self.size += len(data)

    def keep(self) -> None:
        with disk():
            os.fsync(self._file.fileno())
            files.keep_names(self.path.parent)

    def read(self) -> IO[bytes]:
        return self.path.open("rb")

    def close(self) -> None:
        with suppress(OSError):  # it has been flushed, or its failure was told
            self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        self.close()


class FolderStore:
    """A folder. It is made when the first file comes."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def claim(self, installation: str, *, begin: bool) -> None:
        mark = self.root / MARK
        if not (begin or mark.exists()):
            return
        with disk():
            files.make(mark)
            if not (known := mark.read_text(encoding="ascii")):
                mark.write_text(installation, encoding="ascii")
            elif known != installation:
                raise StoreTaken(f"{self.root} holds the files of another installation")

    def offset(self, principal: str, sha256: str) -> int | None:
        try:
            return self._part(principal, sha256).stat().st_size
        except FileNotFoundError:
            return None

    def parts(self, principal: str) -> int:
        with suppress(FileNotFoundError):
            return len(os.listdir(self.root / PARTIAL / principal))
        return 0

    def open_part(self, principal: str, sha256: str, start: int) -> FolderPart:
        path = self._part(principal, sha256)
        if start and not path.exists():
            raise PartShort(0)
        return FolderPart(path, start)

    def finish(self, part: Part, sha256: str) -> None:
        assert isinstance(part, FolderPart)
        target = self._file(sha256)
        with disk():
            os.utime(part.path)
            part.keep()
            failpoints.hit("upload.before_rename")
            if not target.parent.exists():
                target.parent.mkdir(mode=0o700, exist_ok=True)
                files.keep_names(self.root)
            part.path.replace(target)
            files.keep_names(target.parent)
        failpoints.hit("upload.after_rename")

    def discard(self, principal: str, sha256: str) -> None:
        with disk():
            self._part(principal, sha256).unlink(missing_ok=True)

    def expire(self, before: int) -> int:
        count = 0
        for path in sorted((self.root / PARTIAL).glob("*/*")):
            with suppress(FileNotFoundError), disk():
                if path.stat().st_mtime_ns < before * 1_000_000:
                    with path.open("ab") as held:
                        if not files.lock(held):
                            continue  # it is being written
                        path.unlink()
                        count += 1
        return count

    def size(self, sha256: str) -> int | None:
        try:
            return self._file(sha256).stat().st_size
        except FileNotFoundError:
            return None

    def read(self, sha256: str, start: int, length: int) -> Iterator[bytes]:
        return _chunks(self._file(sha256).open("rb"), start, length)

    def remove(self, sha256: str) -> None:
        with disk():
            self._file(sha256).unlink(missing_ok=True)

    def listed(self, prefix: str) -> Mapping[str, tuple[int, int]]:
        found = dict[str, tuple[int, int]]()
        folder = self.root / prefix[:2]
        for path in folder.iterdir() if folder.is_dir() else ():
            with suppress(FileNotFoundError):
                stat = path.stat()
                found[path.name] = stat.st_size, stat.st_mtime_ns // 1_000_000
        return found

    def _file(self, sha256: str) -> Path:
        return self.root / sha256[:2] / sha256

    def _part(self, principal: str, sha256: str) -> Path:
        return self.root / PARTIAL / principal / sha256


def _is_at(file: IO[bytes], path: Path) -> bool:
    """Whether an open file still has its name."""
    with suppress(FileNotFoundError):
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    return False


def _chunks(file: IO[bytes], start: int, length: int) -> Iterator[bytes]:
    with file:
        file.seek(start)
        while length > 0 and (chunk := file.read(min(CHUNK, length))):
            length -= len(chunk)
            yield chunk

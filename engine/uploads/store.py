"""Where the bytes of files lie: what a folder and a bucket have in common.

All of it waits for a disk or for a server, so the door calls it on threads. A file is named by its SHA-256. What has
come of one so far is a part: of one principal, so that nobody goes on with, or finds out about, what another sends.
"""

from collections.abc import Iterator, Mapping
from hashlib import sha256 as new_sha256
from types import TracebackType
from typing import IO, Protocol, Self

from engine.errors import TRY_AGAIN, GridpatrolError, SettingsError

CHUNK = 1 << 18
"""Bytes that are read or written at once."""
PREFIXES = tuple(f"{number:02x}" for number in range(256))
"""How names begin: files lie in so many folders."""


class StoreAway(GridpatrolError):
    """The files cannot be written or read just now: the disk is full or fails, or the bucket's server is away."""

    exit_status = TRY_AGAIN


class StoreTaken(SettingsError):
    """The folder or bucket holds the files of another installation."""

    remedy = "Name another one in `files`: what this database does not know would be removed there."


class PartTaken(GridpatrolError):
    """Another process is writing this part."""

    exit_status = TRY_AGAIN


class PartShort(GridpatrolError):
    """Fewer bytes have come than a sender wants to go on after. `offset`: how many."""

    def __init__(self, offset: int) -> None:
        super().__init__(f"only {offset} bytes have come so far")
        self.offset = offset


class Part(Protocol):
    """What has come of a file, open for more. `size` counts it."""

    size: int

    def write(self, data: bytes) -> None:
        """Add bytes. StoreAway where the disk takes no more."""

    def keep(self) -> None:
        """Bring what has come to where it outlives this process, and a power cut."""

    def read(self) -> IO[bytes]:
        """All of it, from the beginning."""

    def close(self) -> None:
        """End writing. What was not kept may be lost."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None: ...


class FileStore(Protocol):
    """A place for files, and for parts of them."""

    def claim(self, installation: str, *, begin: bool) -> None:
        """Look whose files these are; StoreTaken where they are another installation's. With `begin` say whose they are
        where nothing does so yet."""

    def offset(self, principal: str, sha256: str) -> int | None:
        """How many bytes of a part have come; None: there is no part."""

    def parts(self, principal: str) -> int:
        """How many parts of a principal there are."""

    def open_part(self, principal: str, sha256: str, start: int) -> Part:
        """A part, to go on after `start` bytes; what came after them is given up. PartShort, PartTaken."""

    def finish(self, part: Part, sha256: str) -> None:
        """A part becomes the file, which is there after a power cut as well."""

    def discard(self, principal: str, sha256: str) -> None:
        """Remove a part."""

    def expire(self, before: int) -> int:
        """Remove the parts to which nothing was added since an instant (ms UTC). How many those were."""

    def size(self, sha256: str) -> int | None:
        """The bytes of a file; None: it is not there."""

    def read(self, sha256: str, start: int, length: int) -> Iterator[bytes]:
        """Bytes of a file, from an offset on. FileNotFoundError."""

    def remove(self, sha256: str) -> None:
        """Remove a file, if it is there."""

    def listed(self, prefix: str) -> Mapping[str, tuple[int, int]]:
        """The files whose names begin so: their bytes, and since when they are there (ms UTC)."""


def digest_of(part: Part) -> str:
    """The SHA-256 of all that has come, in hex."""
    digest = new_sha256()
    with part.read() as whole:
        while chunk := whole.read(CHUNK):
            digest.update(chunk)
    return digest.hexdigest()

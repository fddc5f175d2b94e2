"""A file of events, or standard input for `-`: its lines, the name by which it is recognised, its replay."""

import hashlib
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO

import click
import msgspec

from engine import replay
from engine.errors import GridpatrolError, LogMismatch
from engine.runtime import Engine
from engine.store.positions import read_positions
from gridpatrol.run.wiring import BEFORE_ALL, install_if_empty


def events_of(lines: Iterable[bytes]) -> Iterator[bytes]:
    """Events as they were written: one per line, or the items of an array."""
    rest = (line for line in lines if line.strip())
    first = next(rest, b"")
    if not first.lstrip().startswith(b"["):
        yield from (line.strip() for line in (first, *rest) if line)
        return
    try:
        yield from (bytes(raw) for raw in msgspec.json.decode(b"".join([first, *rest]), type=list[msgspec.Raw]))
    except msgspec.DecodeError as error:
        raise click.UsageError(f"The file begins like a JSON array but is none: {error}.") from error


class lines_of:
    """The lines of a file, or of stdin, as a context that closes it."""

    def __init__(self, file: Path) -> None:
        self._file = sys.stdin.buffer if str(file) == "-" else file.open("rb")

    def __enter__(self) -> Iterator[bytes]:
        return iter(self._file)

    def __exit__(self, *_: object) -> None:
        if self._file is not sys.stdin.buffer:
            self._file.close()


LOOKED_AT = 100
"""So many lines say what a file is."""


class NoEvents(GridpatrolError):
    """A file holds neither events nor a log."""

    remedy = (
        "Give it JSON lines of CloudEvents, as `gridpatrol import` writes them, or a file that `gridpatrol log export` "
        "wrote."
    )


def check_events(first: Sequence[bytes]) -> None:
    """NoEvents where none of a file's first lines is anything like an event: it would become letters only."""
    for line in first:
        try:
            if "specversion" in msgspec.json.decode(line, type=dict[str, msgspec.Raw]):
                return
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            continue
    raise NoEvents(f"none of the first {len(first)} lines is an event" if first else "the file is empty")


@contextmanager
def read_again(file: Path, lines: Iterable[bytes]) -> Iterator[IO[bytes]]:
    """A file that can be read more than once. What comes over stdin is written aside, where nobody else can read it."""
    with TemporaryFile(prefix="gridpatrol-") if str(file) == "-" else file.open("rb") as whole:
        if str(file) == "-":
            whole.writelines(lines)
            whole.seek(0)
        yield whole


def count_lines(file: Path) -> int | None:
    """How many lines a file has; None for stdin."""
    if str(file) == "-":
        return None
    with file.open("rb") as source:
        return sum(block.count(b"\n") for block in iter(lambda: source.read(1 << 20), b""))


def name_of(file: Path) -> str:
    """What an interrupted replay is recognised by: the content, whatever the file is called."""
    if str(file) == "-":
        return "stdin"
    with file.open("rb") as source:
        return hashlib.file_digest(source, "sha256").hexdigest()[:16]


def replay_events(
    engine: Engine, lines: Iterable[bytes], name: str, until: int | None, show: replay.Progress
) -> replay.Replayed:
    """Replay into an empty database, or go on with the same file."""
    install_if_empty(engine, BEFORE_ALL)
    with engine.database.read() as connection:
        begun = read_positions(connection, f"replay:{name}")
    if not begun and any(engine.heads[p] > 1 for p in engine.heads):
        raise LogMismatch(
            "this database holds other events already: replay into an empty one (--database sqlite:///var/replay.db), "
            "or send the file to a running server with `gridpatrol publish`"
        )
    return replay.replay_events(engine, lines, name, until, show)

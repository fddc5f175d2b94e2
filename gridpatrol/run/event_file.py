"""A file of events, or standard input for `-`: its lines, the name by which it is recognised, its replay."""

import codecs
import hashlib
import itertools
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, NamedTuple

import msgspec

from engine import replay
from engine.errors import GridpatrolError, LogMismatch
from engine.operations.auditing import audited
from engine.pack_plan import PlannedPack
from engine.runtime import Engine
from engine.store.audit import Act
from engine.store.positions import read_positions
from gridpatrol.options import operator
from gridpatrol.run.wiring import BEFORE_ALL, install_if_empty


class WrittenEvent(NamedTuple):
    """An event as it was written, and where: the `line` of a file of lines, or the `item` of an array, from 1."""

    where: str
    number: int
    raw: bytes


def events_of(lines: Iterable[bytes]) -> Iterator[WrittenEvent]:
    """Events as they were written: one per line, or the items of an array."""
    numbered = ((number, line.strip()) for number, line in enumerate(lines, 1))
    rest = ((number, line) for number, line in numbered if line)
    first = next(rest, None)
    if first is None:
        return
    if not first[1].startswith(b"["):
        yield from (WrittenEvent("line", number, line) for number, line in itertools.chain([first], rest))
        return
    try:
        items = msgspec.json.decode(b"\n".join([first[1], *(line for _, line in rest)]), type=list[msgspec.Raw])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise NoEvents(f"the file begins like a JSON array but is none: {error}") from error
    yield from (WrittenEvent("item", number, bytes(raw)) for number, raw in enumerate(items, 1))


class lines_of:
    """The lines of a file, or of stdin, as a context that closes it. A byte order mark before the first is no part of
    it."""

    def __init__(self, file: Path) -> None:
        self._file = sys.stdin.buffer if str(file) == "-" else file.open("rb")

    def __enter__(self) -> Iterator[bytes]:
        lines = iter(self._file)
        first = next(lines, b"")
        if first.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
            raise NoEvents("the file is UTF-16", remedy="Save it as UTF-8.")
        return itertools.chain([first.removeprefix(codecs.BOM_UTF8)] if first else [], lines)

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
    engine: Engine,
    lines: Iterable[bytes],
    name: str,
    until: int | None,
    show: replay.Progress,
    plan: Sequence[PlannedPack] = (),
    first: int | None = None,
) -> replay.Replayed:
    """Replay into an empty database, or go on with the same file.

    `first`: the arrival (ms) of the file's first event. A plan that begins no later has the first pack of all; else the
    pack of the settings counts from ever on until the plan's first instant.
    """
    check_same_file(engine, name)
    replay.check_plan(engine, name, plan)
    if not plan or first is None or plan[0].at > first:
        install_if_empty(engine, BEFORE_ALL)
    with ExitStack() as acts:
        for planned in plan:
            engine.keep_pack(planned.pack)
            if any((planned.hash, planned.at) not in engine.activations(p) for p in engine.rows):
                acts.enter_context(audited(engine.database, operator(), Act.PACK_ACTIVATED, planned.hash))
        return replay.replay_events(engine, lines, name, until, show, plan)


def check_same_file(engine: Engine, name: str) -> None:
    """LogMismatch where a database holds other events than those of the file of this name."""
    with engine.database.read() as connection:
        begun = read_positions(connection, f"replay:{name}")
    if not begun and any(engine.heads[p] > 1 for p in engine.heads):
        raise LogMismatch(
            "this database holds other events already: replay into an empty one (--database sqlite:///var/replay.db), "
            "or send the file to a running server with `gridpatrol publish`"
        )

"""Anchors: once a day, where all chains stand, on a line for somebody else to keep.

An anchor is made with the first turn after midnight UTC for which everything is chained. It is told to a file and to a
topic at least once: what was not told when the process ended is told by the next one. Each has the digest of the line
before it, so that none can be left out between two that somebody keeps.
"""

import logging
import os
from collections.abc import Iterable, Iterator, Mapping
from hashlib import sha256
from pathlib import Path

import msgspec

from engine import failpoints, files
from engine.errors import GridpatrolError
from engine.store import backup_file, chains
from engine.store.chains import AnchorRow
from engine.store.database import Connection, Database
from schemas.messages import ANCHORS, Anchor, ChainEnd

log = logging.getLogger(__name__)

DAY_MS = 86_400_000


class AnchorsUnusable(GridpatrolError):
    """A file of anchors cannot be read, or is another installation's."""

    remedy = "Name the file that was kept of this installation: one anchor on a line, as they were written."


def due(connection: Connection, now: int) -> bool:
    """Whether the day of an instant (ms UTC) has no anchor yet, or the epoch that a restore has begun."""
    last, epochs = chains.last_anchor(connection), [row.epoch for row in chains.read_epochs(connection)]
    if last is None or not epochs:
        return bool(epochs)
    return last.at // DAY_MS < now // DAY_MS or decode(last.body).epoch < max(epochs)


def make(connection: Connection, now: int) -> AnchorRow:
    """Keep an anchor of where the chains stand now."""
    ends = {row.name: ChainEnd(row.epoch, row.n, row.hash) for row in chains.hold_chains(connection).values()}
    before, installation = chains.last_anchor(connection), backup_file.installation_of(connection)
    previous = "" if before is None else sha256(before.body.encode()).hexdigest()
    number = 1 if before is None else before.number + 1
    line = msgspec.json.encode(Anchor(ANCHORS, installation, number, now, previous, ends)).decode()
    row = AnchorRow(number, now, line)
    chains.write_anchor(connection, row)
    return row


def append(database: Database, path: Path) -> int:
    """Append anchors to a file that are not in it yet, and flush it to the disk; how many. OSError."""
    with database.read() as connection:
        rows = chains.anchors_untold(connection, "filed")
    if not rows:
        return 0
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    files.make(path)
    with path.open("r+b") as out:
        # A process that was killed in the middle of a line has left a part of it, which is told again now.
        out.seek(0, os.SEEK_END)
        out.truncate(whole_lines(path, out.tell()))
        out.seek(0, os.SEEK_END)
        out.write(b"".join(row.body.encode() + b"\n" for row in rows))
        out.flush()
        os.fsync(out.fileno())
    failpoints.hit("anchor.after_file")
    with database.begin() as connection:
        chains.mark_told(connection, "filed", [row.number for row in rows])
    return len(rows)


def whole_lines(path: Path, size: int) -> int:
    """How many bytes of a file are whole lines."""
    return path.read_bytes().rfind(b"\n") + 1 if size else 0


def decode(line: str | bytes) -> Anchor:
    """An anchor from its line. AnchorsUnusable."""
    try:
        found = msgspec.json.decode(line, type=Anchor)
    except msgspec.DecodeError as error:
        raise AnchorsUnusable(f"a line of the anchors cannot be read: {error}") from error
    if found.anchor != ANCHORS:
        raise AnchorsUnusable(f"a line of the anchors is of another format than {ANCHORS!r}")
    return found


def read_file(path: Path) -> list[str]:
    """The lines of a file of anchors. What follows the last line feed is part of a line that is being written.
    AnchorsUnusable."""
    try:
        whole = path.read_bytes().rpartition(b"\n")[0]
    except OSError as error:
        raise AnchorsUnusable(f"{path} cannot be read: {error.strerror}") from error
    return [line for line in whole.decode(errors="replace").splitlines() if line.strip()]


def distinct(lines: Iterable[str]) -> Iterator[tuple[str, Anchor]]:
    """Anchors with their lines, each once: what is told at least once may stand there twice."""
    for line in dict.fromkeys(lines):
        yield line, decode(line)


def beyond(ends: Mapping[str, int], anchors: Iterable[Anchor]) -> dict[str, tuple[int, int]]:
    """By chain, the first and the last number that was anchored beyond where it ends."""
    most = dict[str, int]()
    for anchor in anchors:
        for name, end in anchor.chains.items():
            most[name] = max(most.get(name, 0), end.n)
    return {name: (ends.get(name, 0) + 1, n) for name, n in sorted(most.items()) if n > ends.get(name, 0)}

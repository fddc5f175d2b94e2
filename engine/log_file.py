"""An exported log as a file: JSON lines, with the proof that none of them is missing or changed.

1. The header names the format and the number of partitions. Packs, sheets of assessments, settlements and the records
   of each partition follow, one a line.
2. After every hundred of these lines stands a checkpoint: the SHA-256 of all bytes before it, earlier checkpoints
   included. The footer ends the file; it has the same, and the number of records.
3. `LogLines` hands a line out when the checkpoint behind it agrees, so nothing of a damaged part is decided.
4. The proof shows accidents. Who changes a log on purpose can compute it anew: that shows against the digest that the
   export printed, if it was kept where the log does not lie.

A log of release 0.1 or before has neither checkpoints nor footer (`gridpatrol/1`). It is taken `unchecked`.
"""

from collections.abc import Callable, Iterable, Iterator
from hashlib import sha256

import msgspec
from msgspec import Struct

from engine.errors import LogMismatch
from engine.store.rows import InboxRow, PackRow, SettlementRow
from engine.store.sheets import SheetRow

FORMAT, OLDER = "gridpatrol/2", "gridpatrol/1"
EVERY = 100
"""Lines between two checkpoints: an edit is found to lie among so many."""
HEADER = b'{"log":'
RECORD = b'{"record":'
PROOF = (b'{"checkpoint":', b'{"footer":')
"""How the lines of these kinds begin."""
UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""What a line that is no JSON, or no line of a log, raises in the decoder."""


class Header(Struct, frozen=True):
    """First line of an exported log."""

    log: str  # format: gridpatrol/2
    partitions: int


class Checkpoint(Struct, frozen=True):
    """The lines before this one, and their SHA-256 in hex, line feeds included."""

    lines: int
    digest: str


class Footer(Struct, frozen=True):
    """Last line of an exported log. Its digest is the one of the log: `head -n -1 FILE | sha256sum` gives it too."""

    lines: int
    records: int
    digest: str


class LogLine(Struct, forbid_unknown_fields=True):
    """A line of an exported log after its header: one of these."""

    record: InboxRow | None = None
    pack: PackRow | None = None
    settlement: SettlementRow | None = None
    sheet: SheetRow | None = None
    checkpoint: Checkpoint | None = None
    footer: Footer | None = None


class LogDamaged(LogMismatch):
    """The proof of an exported log does not agree with its lines."""

    remedy = "Export the log again, or fetch the file again. `gridpatrol replay --unchecked` takes it as it stands."


def is_log(first: bytes) -> bool:
    """Whether a file's first line is that of an exported log."""
    return first.lstrip().startswith(HEADER)


def with_proof(lines: Iterable[bytes]) -> Iterator[bytes]:
    """Header and items, with the checkpoints between them and the footer. No line has its line feed."""
    digest, written, records = sha256(), 0, 0
    for number, line in enumerate(lines, 1):
        records += line.startswith(RECORD)
        pair = [line]
        if number % EVERY == 0:
            upto = digest.copy()
            upto.update(line + b"\n")
            pair.append(msgspec.json.encode({"checkpoint": Checkpoint(written + 1, upto.hexdigest())}))
        for each in pair:
            digest.update(each + b"\n")
            yield each
        written += len(pair)
    yield msgspec.json.encode({"footer": Footer(written, records, digest.hexdigest())})


class LogLines:
    """The items of an exported log in their order, for one reading. LogMismatch names the line at which it ends.

    The lines have their line feeds, as a file has, or none. `unchecked`: what the proof says does not count, and it may
    be missing. What cannot be read at all is refused even so.
    """

    def __init__(self, lines: Iterable[bytes], *, unchecked: bool = False) -> None:
        self.footer: Footer | None = None  # known when all is read
        self.unchecked = unchecked
        self.number = 1  # of the line that was handed out last
        self._lines = iter(lines)
        self._first = next(self._lines, b"")
        try:
            self.header = msgspec.json.decode(self._first, type=Header)
        except UNREADABLE as error:
            raise LogMismatch("the first line is no header of an exported log") from error
        if self.header.log not in (FORMAT, OLDER):
            raise LogMismatch(f"format {self.header.log!r} is not {FORMAT!r}")
        if self.header.log == OLDER and not unchecked:
            raise LogMismatch(
                f"the log is of an older release ({OLDER}): nothing in it proves that it is whole",
                remedy="If you know that it is, replay it with --unchecked.",
            )

    def __iter__(self) -> Iterator[LogLine]:
        next_ = dict[int, int]()  # position by partition
        for number, line in enumerate(self._lines, 2) if self.unchecked else self.proven():
            if line.startswith(PROOF):
                continue
            self.number = number
            item = item_of(line, self.number)
            if item.record is not None:
                partition, position = item.record.partition, item.record.position
                wanted = next_.get(partition, 0) if 0 <= partition < self.header.partitions else None
                if position != wanted:  # None: there is no such partition
                    place = f"record {partition}.{position}, where position {wanted} comes next"
                    raise LogMismatch(f"line {self.number} of the log: {place}")
                next_[partition] = position + 1
            elif item.pack is not None and sha256(item.pack.body.encode()).hexdigest() != item.pack.hash:
                raise LogMismatch(f"line {self.number} of the log: the pack is not what its hash says")
            elif item.sheet is not None and sha256(item.sheet.body.encode()).hexdigest() != item.sheet.hash:
                raise LogMismatch(f"line {self.number} of the log: the sheet is not what its hash says")
            yield item

    def proven(self) -> Iterator[tuple[int, bytes]]:
        """Numbered lines, each when the proof behind it agrees."""
        end = b"\n" if self._first.endswith(b"\n") else b""
        digest, held, number, records = sha256(self._first.removesuffix(end) + b"\n"), list[tuple[int, bytes]](), 1, 0
        for number, line in enumerate(self._lines, 2):
            bare = line.removesuffix(end)
            proves = bare.startswith(PROOF)
            held.append((number, bare))
            if self.footer is not None or not line.endswith(end) or (len(held) > EVERY and not proves):
                raise damaged(held)
            if proves:
                footer = Footer(number - 1, records, digest.hexdigest())
                if bare == msgspec.json.encode({"footer": footer}):
                    self.footer = footer
                elif bare != msgspec.json.encode({"checkpoint": Checkpoint(number - 1, digest.hexdigest())}):
                    raise damaged(held)
                yield from held[:-1]
                held.clear()
            digest.update(bare + b"\n")
            records += bare.startswith(RECORD)
        if self.footer is None:
            raise LogDamaged(f"the log breaks off after line {number}: its footer is missing")


def item_of(line: bytes, number: int) -> LogLine:
    """A line of a log. LogMismatch with its number for anything else."""
    try:
        item = msgspec.json.decode(line, type=LogLine)
    except UNREADABLE as error:
        raise LogMismatch(f"line {number} of the log cannot be read: {error}") from error
    if item == LogLine():
        raise LogMismatch(f"line {number} of the log is neither pack, sheet, settlement nor record")
    return item


def damaged(lines: list[tuple[int, bytes]]) -> LogDamaged:
    """The error for lines with which the proof behind them does not agree; it names one that is no line of a log."""
    for number, line in lines:
        try:
            item_of(line, number)
        except LogMismatch as error:
            return LogDamaged(error.message)
    (first, _), (last, _) = lines[0], lines[-1]
    where = f"line {first}" if first == last else f"one of lines {first} to {last}"
    return LogDamaged(f"{where} of the log is not as it was exported, or one before it is missing")


def examine(
    lines: Iterable[bytes], *, unchecked: bool = False, progress: Callable[[int], None] = lambda done: None
) -> Footer | None:
    """Read a log to its end and decide nothing. The footer, None where an unchecked log has none; LogMismatch."""
    log = LogLines(lines, unchecked=unchecked)
    for _ in log:
        if log.number % 1000 == 0:
            progress(log.number)
    return log.footer


def check_digest(footer: Footer | None, expected: str) -> None:
    """LogMismatch where a log is another one than the one whose digest was kept."""
    if footer is None or footer.digest != expected.strip().lower():
        raise LogMismatch(
            f"the digest of this log is {footer.digest if footer else 'not proved'}, not the one that is expected",
            remedy="It is another log, or somebody changed it: fetch it again from where it was exported.",
        )

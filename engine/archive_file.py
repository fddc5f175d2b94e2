"""A file of cases that have left the tables: JSON lines, compressed by gzip.

1. The first line is the header: format, installation, partition, the instant before which the cases had ended, and the
   columns of each table. Every other line but the last is a row, `{"TABLE": [VALUE, ...]}`, its values in the order of
   these columns.
2. Cases come by id, in groups of some hundred: first the rows of `cases`, then those of `facts`, `dead_letters` and
   `contributions` of the same group.
3. The last line is the footer: how many lines are before it, and the SHA-256 of their bytes, line feeds included.
   `zcat FILE | head -n -1 | sha256sum` gives it too.
"""

import gzip
from collections.abc import Iterable, Iterator, Mapping, Sequence
from hashlib import file_digest, sha256
from itertools import chain
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from engine import files
from engine.errors import GridpatrolError
from engine.store.archives import ABSENT, COLUMNS, ArchiveRow
from schemas.facts import decode_facts
from workflows import case as cases
from workflows import evolve

FORMAT = "gridpatrol-archive/1"
LEVEL = 6
"""How hard gzip tries."""

Row = tuple[str, tuple[Any, ...]]
"""Table, and values in the order of its columns."""


class Header(Struct, frozen=True):
    """The first line. `before`: ms since 1970."""

    archive: str
    installation: str
    partition: int
    before: int
    tables: Mapping[str, Sequence[str]]


class Footer(Struct, frozen=True):
    """What the last line says."""

    lines: int
    digest: str


class LastLine(Struct, frozen=True, forbid_unknown_fields=True):
    """The last line."""

    footer: Footer


class ArchiveUnusable(GridpatrolError):
    """A file of cases that have left is missing, or is not what was written."""

    remedy = "Bring the file back from where it is kept, into the folder that GRIDPATROL_ARCHIVES names."


def write(path: Path, header: Header, rows: Iterable[Row]) -> None:
    """Write a file that has its name when all of it is on the disk. FileTaken where the name is taken."""
    with files.whole(path) as part, part.open("wb") as raw, gzip.GzipFile("", "wb", LEVEL, raw, mtime=0) as out:
        digest, lines = sha256(), 0
        for item in chain([header], ({table: row} for table, row in rows)):
            line = msgspec.json.encode(item) + b"\n"
            digest.update(line)
            out.write(line)
            lines += 1
        out.write(msgspec.json.encode(LastLine(Footer(lines, digest.hexdigest()))) + b"\n")


def digest_of(path: Path) -> str:
    """The SHA-256 of a file, in hex."""
    with path.open("rb") as raw:
        return file_digest(raw, "sha256").hexdigest()


def read(path: Path) -> Iterator[Row]:
    """The rows of a file, in the columns of this release. ArchiveUnusable where it is cut short or changed; what came
    before is right in itself."""
    digest, lines, header = sha256(), 0, None
    try:
        with gzip.open(path, "rb") as source:
            for line in source:
                if header is None:
                    header = msgspec.json.decode(line, type=Header)
                    if header.archive != FORMAT:
                        raise ArchiveUnusable(f"{path} is of the format {header.archive!r}, not {FORMAT!r}")
                    places = {table: list(names) for table, names in header.tables.items()}
                elif line.startswith(b'{"footer":'):
                    if msgspec.json.decode(line, type=LastLine).footer != Footer(lines, digest.hexdigest()):
                        raise ArchiveUnusable(f"{path} was changed since it was written")
                    return
                else:
                    [(table, values)] = msgspec.json.decode(line, type=dict[str, list[Any]]).items()
                    yield table, in_columns(table, dict(zip(places[table], values, strict=True)))
                digest.update(line)
                lines += 1
    except (OSError, EOFError, msgspec.DecodeError, KeyError, ValueError) as error:
        raise ArchiveUnusable(f"{path} cannot be read: {error}") from error
    raise ArchiveUnusable(f"{path} breaks off")


def in_columns(table: str, row: Mapping[str, Any]) -> tuple[Any, ...]:
    """A row in the columns of this release. One of an older release lacks those that came since: they are empty, and
    who reported a case stands in its body."""
    if table == "cases" and "reporter" not in row:
        row = {**row, "reporter": cases.decode(row["body"]).by}
    return tuple(row.get(name, absent) for name, absent in ABSENT[table].items())


def groups(rows: Iterable[Row]) -> Iterator[dict[str, list[tuple[Any, ...]]]]:
    """The rows of a file by table, a group of cases at a time."""
    group: dict[str, list[tuple[Any, ...]]] = {table: [] for table in COLUMNS}
    for table, row in rows:
        if table == "cases" and group["facts"]:
            yield group
            group = {name: [] for name in COLUMNS}
        group[table].append(row)
    if group["cases"]:
        yield group


def with_end(row: tuple[Any, ...], steps: Iterable[tuple[Any, ...]]) -> tuple[Any, ...]:
    """The row of a case that may be taken up again, with the clock that it keeps beyond its end. An older release did
    not keep it: it follows from the steps."""
    kind, body, id_ = (COLUMNS["cases"].index(name) for name in ("definition", "body", "id"))
    if row[kind] not in cases.REOPENING:
        return row
    case, folded = cases.decode(row[body]), cases.Case(id=row[id_])
    if case.ended is not None:
        return row
    of, text = (COLUMNS["facts"].index(name) for name in ("case_id", "body"))
    for step in steps:
        if step[of] == row[id_]:
            for fact in decode_facts(step[text]):
                evolve.apply(folded, fact)
    case.ended = folded.ended
    return (*row[:body], cases.encode(case).decode(), *row[body + 1 :])


class ArchiveFolder:
    """The folder in which the files lie."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def path(self, archive: ArchiveRow) -> Path:
        """Where a file lies."""
        return self.folder / archive.name

    def check(self, archives: Sequence[ArchiveRow]) -> None:
        """ArchiveUnusable where a file is missing, or is not the one that was written."""
        missing = [archive.name for archive in archives if not self.path(archive).is_file()]
        if missing:
            more = f" and {len(missing) - 3} more" if len(missing) > 3 else ""
            raise ArchiveUnusable(f"{self.folder} lacks {', '.join(missing[:3])}{more}")
        for archive in archives:
            if digest_of(self.path(archive)) != archive.digest:
                raise ArchiveUnusable(f"{self.path(archive)} is not the file that was written: its SHA-256 is another")

    def rows(self, archive: ArchiveRow) -> Iterator[Row]:
        """The rows of a file, as this release writes them."""
        for group in groups(read(self.path(archive))):
            steps = group["facts"]
            group["cases"] = [with_end(row, steps) for row in group["cases"]]
            for table in COLUMNS:
                yield from ((table, row) for row in group[table])

"""Boston 311, a real city's record, as events: a CSV of cases in, CloudEvents as JSON lines in order out.

In: the file (`.csv` or `.csv.gz`, any size, rows in any order), and the pack's grid tree as code -> parent.
Out: one `gridpatrol.report.submitted.v1` per case, one `gridpatrol.incident.closed.v1` per closed case; what
cannot be imported goes to `problems` with its line and the reason, and is never dropped in silence.

1. Nothing is repaired in time: a case that the city closed before it opened says so here too; the engine
   parks the closing until the opening arrives.
2. Times of the file are local, without an offset. An hour that comes twice is read as the first one (summer
   time); a time in an hour that is skipped is read with the offset before the change: 02:30 is 03:30.
3. A record is one line. An unclosed quote costs its own line only, not the lines after it.
4. A case lies in its precinct; without one in its district and ward, then in its district, then in the city.
5. Memory: at most `RUN` events at once, whatever the size and order of the file; the rest waits in sorted
   temporary files of about 400 bytes per event.
"""

import csv
import gzip
import hashlib
import heapq
import re
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import IO, Literal, NamedTuple
from zoneinfo import ZoneInfo

import msgspec

from engine.errors import GridpatrolError
from schemas.envelope import to_ms

SHIPPED = Path(__file__).parents[1] / "data" / "boston311" / "boston311_2015-04-13_2015-05-31.csv.gz"
"""The file that ships: 16,782 cases opened from 13 April to 31 May 2015, 14,545 of them closed."""
ZONE = ZoneInfo("America/New_York")
ROOT = "BOS"
ACTOR = "B311"
REPORTED = "gridpatrol.report.submitted.v1"
CLOSED = "gridpatrol.incident.closed.v1"
HEADER = (
    "case_enquiry_id,open_dt,target_dt,closed_dt,ontime,case_status,subject,reason,type,queue,department,"
    "city_council_district,neighborhood_services_district,police_district,pwd_district,fire_district,"
    "neighborhood,ward,precinct,latitude,longitude,source"
)
COLUMNS = tuple(HEADER.split(","))
SOURCES = {
    "Constituent Call": "hotline",
    "Citizens Connect App": "public",
    "Self Service": "public",
    "City Worker App": "patrol",
    "Employee Generated": "inspection",
    "Maximo Integration": "transfer",
}
RUN = 50_000  # events that are sorted in memory at once, about 30 MB
FAN_IN = 64  # sorted files that are open at once
MAX_LINE = 65_536
_CASE = re.compile(r"[0-9A-Za-z_-]{1,40}")
_UNSTORABLE = re.compile("[\x00-\x1f\x7f\ud800-\udfff]")


class NotBoston311(GridpatrolError):
    """The file as a whole is not this record: wrong columns, or an archive that breaks off."""


class Problem(NamedTuple):
    """A line that was not imported, or was imported with a remark, kept with its bytes as text."""

    row: int  # line of the file, the header is line 1
    field: str  # column, or "" for the whole line
    reason: str
    imported: bool
    line: str


class Row(NamedTuple):
    """One case as the city recorded it, its times with their offset, its places normalised to grid codes."""

    case: str
    opened: datetime
    target: datetime | None
    closed: datetime | None
    category: str
    source: str
    department: str
    unit: str
    places: tuple[str, ...]  # candidates for the grid, the finest first; none: the city itself
    position: tuple[float, float] | None  # latitude, longitude
    number: int  # of its line
    line: str


class _Bad(Exception):
    """A field that keeps its row out: column and reason."""


def category_code(case_type: str) -> str:
    """The pack's code of a case type: `Sidewalk Repair (Make Safe)` -> `sidewalk-repair-make-safe`."""
    return re.sub(r"[^a-z0-9]+", "-", case_type.lower()).strip("-")


def unit_code(queue: str) -> str:
    """The code of a working queue, as the contract wants units: the same slug, cut to its 64 characters."""
    return category_code(queue)[:64].strip("-")


def events(
    path: Path,
    tree: Mapping[str, str],
    problems: Callable[[Problem], None],
    *,
    deadlines: Literal["city", "pack"] = "city",
    partition_level: int = 3,
    run: int = RUN,
) -> Iterator[bytes]:
    """The CloudEvents of a file in time order, one JSON text each; at one instant reports come first.

    `tree` is the pack's grid tree, code -> parent ("" at the root). `deadlines`: "city" orders the city's own
    target (null where it has none), "pack" leaves it to the pack's limits. All problems are told before the
    first event. Raises NotBoston311 if the file as a whole cannot be read.
    """
    said = (event for row in read(path, problems) for event in _said(row, tree, problems, deadlines, partition_level))
    return _in_time_order(said, run)


def read(path: Path, problems: Callable[[Problem], None]) -> Iterator[Row]:
    """The cases of a file in its own order; each line that is none goes to `problems`."""
    lines = _lines(path, problems)
    header = next(lines, (0, ""))[1].removeprefix("\ufeff")
    columns = next(csv.reader([header]), [])
    _check_header(path, columns)
    for number, line in lines:
        try:
            row, remarks = _row(_fields(line, columns), number, line)
        except _Bad as bad:
            problems(Problem(number, bad.args[0], bad.args[1], False, line))
            continue
        for field, reason in remarks:
            problems(Problem(number, field, reason, True, line))
        yield row


def subject(case: str, opened: datetime, home: str) -> str:
    """`<home>.<UUIDv7>`, the same on every run: the opening's ms, then bits of the number's hash."""
    digest = int.from_bytes(hashlib.sha256(f"boston311:{case}".encode()).digest()[:10])
    bits = to_ms(opened) << 80 | 7 << 76 | (digest >> 62 & 0xFFF) << 64 | 2 << 62 | digest & (1 << 62) - 1
    text = f"{bits:032x}"
    return f"{home}.{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def home_of_grid(grid: str, tree: Mapping[str, str], partition_level: int = 3) -> str:
    """The ancestor at the partition level, the grid itself if it lies there, the root if it lies above."""
    path = [grid]
    while tree.get(path[0]):
        path.insert(0, tree[path[0]])
    return path[partition_level - 1] if len(path) >= partition_level else path[0]


# ---- lines -----------------------------------------------------------------------------------------------


def _lines(path: Path, problems: Callable[[Problem], None]) -> Iterator[tuple[int, str]]:
    """Numbered lines as text, without blank ones; what is no UTF-8 or too long goes to `problems`."""
    number = 0
    with _open(path) as file:
        try:
            while raw := file.readline(MAX_LINE):
                number += 1
                line = raw.decode(errors="backslashreplace").rstrip("\r\n")
                if len(raw) == MAX_LINE and not raw.endswith(b"\n"):
                    _skip_line(file)
                    reason = f"longer than {MAX_LINE} bytes; its beginning is kept"
                    problems(Problem(number, "", reason, False, line[:200]))
                elif not _is_utf8(raw):
                    problems(Problem(number, "", "not UTF-8", False, line))
                elif line:
                    yield number, line
        except (EOFError, gzip.BadGzipFile, zlib.error) as error:
            raise NotBoston311(f"{path}: breaks off after line {number} ({error})", remedy="Get it again.") from error


def _is_utf8(raw: bytes) -> bool:
    try:
        raw.decode()
    except UnicodeDecodeError:
        return False
    return True


def _skip_line(file: IO[bytes]) -> None:
    while (piece := file.readline(MAX_LINE)) and not piece.endswith(b"\n"):
        pass


def _open(path: Path) -> IO[bytes]:
    """The file, unpacked if its first bytes say gzip, whatever its name."""
    with path.open("rb") as file:
        packed = file.read(2) == b"\x1f\x8b"
    return gzip.open(path, "rb") if packed else path.open("rb")  # type: ignore[return-value]


def _check_header(path: Path, columns: list[str]) -> None:
    missing = [name for name in COLUMNS if name not in columns]
    unknown = [name for name in columns if name not in COLUMNS]
    if missing or unknown or len(columns) != len(COLUMNS):
        found = f"missing: {', '.join(missing) or 'none'}; unknown: {', '.join(unknown)[:500] or 'none'}"
        remedy = f"Name each of these {len(COLUMNS)} columns once in the first line: {HEADER}"
        raise NotBoston311(f"{path}: not the columns of this record ({found})", remedy=remedy)


# ---- fields ----------------------------------------------------------------------------------------------


def _fields(line: str, columns: list[str]) -> dict[str, str]:
    try:
        values = next(csv.reader([line], strict=True))
    except csv.Error as error:
        raise _Bad("", f"broken line: {error}") from error
    if len(values) != len(columns):
        raise _Bad("", f"broken line: {len(values)} values for {len(columns)} columns")
    fields = dict(zip(columns, (value.strip() for value in values), strict=True))
    for name, value in fields.items():
        if _UNSTORABLE.search(value):
            raise _Bad(name, "contains a control character")
    return fields


def _row(fields: dict[str, str], number: int, line: str) -> tuple[Row, list[tuple[str, str]]]:
    """A row and what is to remark on it."""
    opened, target, closed = (_instant(fields, name) for name in ("open_dt", "target_dt", "closed_dt"))
    if not _CASE.fullmatch(fields["case_enquiry_id"]):
        raise _Bad("case_enquiry_id", "missing, or not a case number")
    if opened is None:
        raise _Bad("open_dt", "missing: a case without an opening cannot be placed in time")
    if not category_code(fields["type"]):
        raise _Bad("type", "missing: the category is not known")
    if fields["source"] not in SOURCES:
        raise _Bad("source", f"{fields['source']!r} is not one of {', '.join(SOURCES)}")
    remarks = []
    if closed and closed < opened:
        remarks.append(("closed_dt", f"closed {opened - closed} before it opened; both kept as recorded"))
    if fields["case_status"] == "Closed" and not closed:
        remarks.append(("closed_dt", "Closed without an instant; imported as open"))
    position = _position(fields)
    if position is None and (fields["latitude"] or fields["longitude"]):
        remarks.append(("latitude", "not a position; imported without one"))
    row = Row(
        fields["case_enquiry_id"],
        opened,
        target,
        closed,
        category_code(fields["type"]),
        SOURCES[fields["source"]],
        fields["department"],
        unit_code(fields["queue"]),
        _places(fields),
        position,
        number,
        line,
    )
    return row, remarks


def _instant(fields: dict[str, str], name: str) -> datetime | None:
    """Local time of the city with its offset; `fold` stays 0, which is the rule of the module's head."""
    text = fields[name]
    if not text:
        return None
    try:
        when = datetime.fromisoformat(text)
    except ValueError as error:
        raise _Bad(name, f"{text!r} is not a time such as 2015-04-13T08:30:00") from error
    if len(text) < len("2015-04-13T08:30") or when.tzinfo or not 1970 < when.year < 2200:
        raise _Bad(name, f"{text!r} is not a local time from 1971 to 2199 such as 2015-04-13T08:30:00, without offset")
    return when.replace(tzinfo=ZONE)


def _places(fields: dict[str, str]) -> tuple[str, ...]:
    """Grid codes from fine to coarse. `Ward 3`, `03`, `3` are one ward; district 0 is outside them."""
    precinct, ward, district = (_digits(fields[name]) for name in ("precinct", "ward", "city_council_district"))
    places = [f"P{precinct:04d}"] if precinct else []
    if district:
        places += [f"D{district}W{ward}", f"D{district}"] if ward else [f"D{district}"]
    return tuple(places)


def _digits(text: str) -> int:
    """The number inside a label, 0 without one."""
    found = re.fullmatch(r"(?:[A-Za-z]+\s*)?(\d{1,6})", text)
    return int(found[1]) if found else 0


def _position(fields: dict[str, str]) -> tuple[float, float] | None:
    try:
        lat, lon = float(fields["latitude"]), float(fields["longitude"])
    except ValueError:
        return None
    return (lat, lon) if abs(lat) <= 90 and abs(lon) <= 180 else None


# ---- events ----------------------------------------------------------------------------------------------

_Keyed = tuple[int, int, str, bytes]
"""Milliseconds UTC, 0 report or 1 closing, case number, the event: sorts as the stream is told."""


def _said(
    row: Row,
    tree: Mapping[str, str],
    problems: Callable[[Problem], None],
    deadlines: Literal["city", "pack"],
    partition_level: int,
) -> Iterator[_Keyed]:
    """One or two events of a case with their place in the stream."""
    grid = next((place for place in row.places if place in tree), None)
    if row.places and grid != row.places[0] and row.places[0].startswith("P"):
        reason = f"{row.places[0]} is not in the pack's tree; placed in {grid or ROOT}"
        problems(Problem(row.number, "precinct", reason, True, row.line))
    case = subject(row.case, row.opened, home_of_grid(grid or ROOT, tree, partition_level))
    report = _report(row, grid, deadlines)
    yield to_ms(row.opened), 0, row.case, _event(f"{row.case}-report", REPORTED, case, row.opened, report)
    if row.closed:
        yield to_ms(row.closed), 1, row.case, _event(f"{row.case}-close", CLOSED, case, row.closed, {})


def _event(number: str, kind: str, case: str, when: datetime, data: dict[str, object]) -> bytes:
    return msgspec.json.encode(
        {
            "specversion": "1.0",
            "id": number,
            "source": "urn:boston311",
            "type": kind,
            "subject": case,
            "time": when.isoformat(),
            "actor": ACTOR,
            "data": data,
        }
    )


def _report(row: Row, grid: str | None, deadlines: Literal["city", "pack"]) -> dict[str, object]:
    data: dict[str, object] = {"definition": "service_request"}
    data |= {"category": row.category, "source": row.source, "reference": row.case}
    if grid:
        data["grid"] = grid
    if row.position:
        data["position"] = {"lat": row.position[0], "lon": row.position[1]}
    if row.department:
        data["department"] = row.department
    if row.unit:
        data["unit"] = row.unit
    if deadlines == "city":
        data["deadline"] = row.target.isoformat() if row.target else None
    return data


# ---- order -----------------------------------------------------------------------------------------------


def _in_time_order(items: Iterable[_Keyed], run: int) -> Iterator[bytes]:
    """External merge sort: runs sorted in memory, kept in temporary files, merged `FAN_IN` at a time."""
    source = iter(items)
    batch = sorted(islice(source, run))
    if len(batch) < run:
        yield from (item[3] for item in batch)
        return
    with TemporaryDirectory(prefix="gridpatrol-import-") as folder:
        files: list[Path] = []
        while batch:
            files.append(_keep(batch, Path(folder) / f"run-{len(files)}"))
            batch = sorted(islice(source, run))
        for turn in range(64):  # each turn divides the number of files by FAN_IN
            if len(files) <= FAN_IN:
                break
            groups = [files[i : i + FAN_IN] for i in range(0, len(files), FAN_IN)]
            files = [_merge_to(group, Path(folder) / f"merge-{turn}-{i}") for i, group in enumerate(groups)]
        yield from (item[3] for item in heapq.merge(*map(_kept, files)))


def _keep(items: Iterable[_Keyed], path: Path) -> Path:
    with path.open("wb") as file:
        file.writelines(b"%d %d %s %s\n" % (ms, kind, case.encode(), body) for ms, kind, case, body in items)
    return path


def _kept(path: Path) -> Iterator[_Keyed]:
    with path.open("rb") as file:
        for line in file:
            ms, kind, case, body = line.rstrip(b"\n").split(b" ", 3)
            yield int(ms), int(kind), case.decode(), body


def _merge_to(files: list[Path], path: Path) -> Path:
    _keep(heapq.merge(*map(_kept, files)), path)
    for file in files:
        file.unlink()
    return path

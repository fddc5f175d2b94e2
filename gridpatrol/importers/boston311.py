"""Boston 311, a real city's record: a CSV of cases as CloudEvents in order of time.

The file is `.csv` or `.csv.gz` of any size, its rows in any order. Each case gives one `gridpatrol.report.submitted.v1`
and, once it is closed, one `gridpatrol.incident.closed.v1`. A line that is not imported, or not as it stands, is handed
to `remark` with the reason; none is dropped in silence.

1. Nothing is repaired in time: a case that the city closed before it opened says so here too; the engine
   parks the closing until the opening arrives.
2. Times of the file are local, without an offset. An hour that comes twice is read as the first one (summer
   time); a time in an hour that is skipped is read with the offset before the change: 02:30 is 03:30.
3. A record is one line. An unclosed quote costs its own line only, not the lines after it.
4. A case lies in its precinct; without one in its district and ward, then in its district, then in the city.
5. The city has named its columns in two ways; columns are known by their header, whatever else stands beside them.
   A type, department or source that the pack or we do not know keeps its line out, unless `Codes` say what it is.
6. Memory: at most `RUN` events at once, whatever the size and order of the file; the rest waits in sorted
   temporary files of about 400 bytes per event.
"""

import csv
import gzip
import hashlib
import heapq
import re
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from datetime import datetime
from itertools import chain, islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal, NamedTuple
from zoneinfo import ZoneInfo

import msgspec

from engine.errors import GridpatrolError
from schemas.envelope import to_ms
from workflows.policy.csv_tables import CODE

SHIPPED = Path(__file__).parents[1] / "data" / "boston311" / "boston311_2015-04-13_2015-05-31.csv.gz"
"""The file that ships: 16,782 cases opened from 13 April to 31 May 2015, 14,545 of them closed."""
ZONE = ZoneInfo("America/New_York")
ROOT = "BOS"
ACTOR = "B311"
REPORTED = "gridpatrol.report.submitted.v1"
CLOSED = "gridpatrol.incident.closed.v1"
NAMES: dict[str, tuple[str, ...]] = {
    "case_enquiry_id": ("case_enquiry_id",),
    "open_dt": ("open_dt",),
    "target_dt": ("target_dt", "sla_target_dt"),
    "closed_dt": ("closed_dt",),
    "case_status": ("case_status",),
    "type": ("type",),
    "queue": ("queue",),
    "department": ("department",),
    "city_council_district": ("city_council_district",),
    "ward": ("ward",),
    "precinct": ("precinct",),
    "latitude": ("latitude",),
    "longitude": ("longitude",),
    "source": ("source",),
}
"""The columns that are read, and what the city has called each of them, the older name first."""
NOT_READ = (
    "ontime on_time ontime_status closure_reason case_title subject reason submittedphoto submitted_photo closedphoto "
    "closed_photo location fire_district pwd_district police_district neighborhood neighborhood_services_district "
    "location_street_name location_zipcode property_type property_id geom_4326 _id"
)
"""Columns of either set that are left alone: the city's own verdict, free text, addresses, labels that do not nest."""
MAPPED = ("source", "type", "department")
"""Columns whose values a user may give another meaning."""
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


class ImportRemark(NamedTuple):
    """Why a line was not imported, or not as it stands; with the line as text."""

    row: int  # line of the file, the header is line 1
    field: str  # column, or "" for the whole line
    reason: str  # the same for all lines with this fault
    imported: bool
    line: str
    value: str = ""  # what the line has there


class Codes(NamedTuple):
    """What the codes of a pack are, None where nobody asks; and which code (column, value) of the city stands for."""

    categories: AbstractSet[str] | None = None
    departments: AbstractSet[str] | None = None
    mapped: Mapping[tuple[str, str], str] = {}


class CityCase(NamedTuple):
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


ANY_CODE = Codes()


class _NotImported(Exception):
    """A field that keeps its row out: column, reason, and its value where that says more."""


def category_code(case_type: str) -> str:
    """The pack's code of a case type: `Sidewalk Repair (Make Safe)` -> `sidewalk-repair-make-safe`."""
    return re.sub(r"[^a-z0-9]+", "-", case_type.lower()).strip("-")


def unit_code(queue: str) -> str:
    """The code of a working queue, as the contract wants units: the same slug, cut to its 64 characters."""
    return category_code(queue)[:64].strip("-")


def events(
    path: Path,
    tree: Mapping[str, str],
    remark: Callable[[ImportRemark], None],
    *,
    deadlines: Literal["city", "pack"] = "city",
    partition_level: int = 3,
    codes: Codes = ANY_CODE,
    run: int = RUN,
) -> Iterator[bytes]:
    """The CloudEvents of a file in time order, one JSON text each; at one instant reports come first.

    `tree` is the pack's grid tree, code -> parent ("" at the root). `deadlines`: "city" orders the city's own
    target (null where it has none), "pack" leaves it to the pack's limits. All remarks are made before the
    first event. Raises NotBoston311 if the file as a whole cannot be read.
    """
    rows = read(path, remark, codes)
    found = (event for row in rows for event in _events(row, tree, remark, deadlines, partition_level))
    return _in_time_order(found, run)


def header_of(path: Path) -> str:
    """The first line of a file."""
    return next(_lines(path, lambda _: None), (0, ""))[1].removeprefix("\ufeff")


def columns_of(path: Path, header: str) -> list[str]:
    """What each column of a file is, by the older name of those that are read; empty for all others."""
    names = [name.strip().lower() for name in next(csv.reader([header]), [])]
    found = {role: [name for name in names if name in alike] for role, alike in NAMES.items()}
    missing = ", ".join(" or ".join(NAMES[role]) for role, there in found.items() if not there)
    doubled = ", ".join(" and ".join(there) for there in found.values() if len(there) > 1)
    if missing or doubled:
        wrong = [f"missing: {missing}"] if missing else []
        wrong += [f"more than once: {doubled}"] if doubled else []
        every = ", ".join(" or ".join(alike) for alike in NAMES.values())
        raise NotBoston311(
            f"{path}: not the columns of this record ({'; '.join(wrong)})",
            remedy=f"Name each of these {len(NAMES)} columns once in the first line, in any order: {every}",
        )
    of_name = {name: role for role, there in found.items() for name in there}
    return [of_name.get(name, "") for name in names]


def read(path: Path, remark: Callable[[ImportRemark], None], codes: Codes = ANY_CODE) -> Iterator[CityCase]:
    """The cases of a file in its own order; each line that is none goes to `remark`."""
    lines = _lines(path, remark)
    header = next(lines, (0, ""))[1].removeprefix("\ufeff")
    columns = columns_of(path, header)
    for name, role in zip(next(csv.reader([header]), []), columns, strict=True):
        if not role and name.strip().lower() not in NOT_READ.split():
            remark(ImportRemark(1, name[:64], "a column of neither set, which is not read", True, header))
    for number, line in lines:
        try:
            fields = fields_of(line, columns)
            row, remarks = _row(fields, number, line, codes)
        except csv.Error as error:
            remark(ImportRemark(number, "", f"broken line: {error}", False, line))
            continue
        except _NotImported as bad:
            remark(ImportRemark(number, bad.args[0], bad.args[1], False, line, "".join(bad.args[2:])))
            continue
        for field, reason, value in remarks:
            remark(ImportRemark(number, field, reason, True, line, value))
        yield row


def fields_of(line: str, columns: Sequence[str]) -> dict[str, str]:
    """The values of a line by column, those that are read."""
    values = next(csv.reader([line], strict=True))
    if len(values) != len(columns):
        raise _NotImported("", "broken line: not as many values as columns", f"{len(values)} for {len(columns)}")
    fields = {name: value.strip() for name, value in zip(columns, values, strict=True) if name}
    if bad_field := next((name for name, value in fields.items() if _UNSTORABLE.search(value)), ""):
        raise _NotImported(bad_field, "contains a control character")
    return fields


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


def _lines(path: Path, remark: Callable[[ImportRemark], None]) -> Iterator[tuple[int, str]]:
    """Numbered lines as text, without blank ones; what is no UTF-8 or too long goes to `remark`."""
    number = 0
    with path.open("rb") as file:
        packed = file.read(2) == b"\x1f\x8b"  # gzip says so in its first bytes, whatever the file's name
    with gzip.open(path, "rb") if packed else path.open("rb") as file:
        try:
            while raw := file.readline(MAX_LINE):
                number += 1
                line = raw.decode(errors="backslashreplace").rstrip("\r\n")
                if len(raw) == MAX_LINE and not raw.endswith(b"\n"):
                    while (piece := file.readline(MAX_LINE)) and not piece.endswith(b"\n"):
                        pass
                    reason = f"longer than {MAX_LINE} bytes; its beginning is kept"
                    remark(ImportRemark(number, "", reason, False, line[:200]))
                elif raw.decode(errors="replace").encode() != raw:
                    remark(ImportRemark(number, "", "not UTF-8", False, line))
                elif line:
                    yield number, line
        except (EOFError, gzip.BadGzipFile, zlib.error) as error:
            raise NotBoston311(f"{path}: breaks off after line {number} ({error})", remedy="Get it again.") from error


# ---- fields ----------------------------------------------------------------------------------------------


def _row(fields: dict[str, str], number: int, line: str, codes: Codes) -> tuple[CityCase, list[tuple[str, str, str]]]:
    """A row, and what is to remark on it: column, reason and value."""
    opened, target, closed = (_instant(fields, name) for name in ("open_dt", "target_dt", "closed_dt"))
    if not _CASE.fullmatch(fields["case_enquiry_id"]):
        raise _NotImported("case_enquiry_id", "missing, or not a case number")
    if opened is None:
        raise _NotImported("open_dt", "missing: a case without an opening cannot be placed in time")
    source, category, department = (code_of(column, fields[column], codes) for column in MAPPED)
    remarks = list[tuple[str, str, str]]()
    if closed and closed < opened:
        remarks.append(("closed_dt", "closed before it opened; both kept as recorded", f"{opened - closed} earlier"))
    if fields["case_status"] == "Closed" and not closed:
        remarks.append(("closed_dt", "Closed without an instant; imported as open", ""))
    labels = (fields[name] for name in ("precinct", "ward", "city_council_district"))
    found = (re.fullmatch(r"(?:[A-Za-z]+\s*)?(\d{1,6})", label) for label in labels)  # `Ward 3`, `03`, `3` are one
    precinct, ward, district = (int(match[1]) if match else 0 for match in found)
    places = [f"P{precinct:04d}"] if precinct else []
    if district:  # 0 is outside the districts
        places += [f"D{district}W{ward}", f"D{district}"] if ward else [f"D{district}"]
    position = None
    try:
        lat, lon = float(fields["latitude"]), float(fields["longitude"])
        position = (lat, lon) if abs(lat) <= 90 and abs(lon) <= 180 else None
    except ValueError:
        pass
    if position is None and (fields["latitude"] or fields["longitude"]):
        remarks.append(("latitude", "not a position; imported without one", ""))
    row = CityCase(
        fields["case_enquiry_id"],
        opened,
        target,
        closed,
        category,
        source,
        department,
        unit_code(fields["queue"]),
        tuple(places),
        position,
        number,
        line,
    )
    return row, remarks


def code_of(column: str, value: str, codes: Codes) -> str:
    """Our code for a value of the city: of a source, a category or a department; empty: it has no department. Raises
    _NotImported where there is none."""
    if (column, value) in codes.mapped:
        return codes.mapped[column, value]
    if column == "source":
        if value not in SOURCES:
            raise _NotImported(column, "how it came in is not known here", value)
        return SOURCES[value]
    if column == "type":
        category = category_code(value)
        if not category:
            raise _NotImported(column, "missing: the category is not known")
        if codes.categories is not None and category not in codes.categories:
            raise _NotImported(column, "no category of the pack", value)
        return category
    if value and (value not in codes.departments if codes.departments is not None else not CODE.fullmatch(value)):
        raise _NotImported(column, "no department of the pack", value)
    return value


def _instant(fields: dict[str, str], name: str) -> datetime | None:
    """Local time of the city with its offset; `fold` stays 0, which is the rule of the module's head."""
    text = fields[name]
    if not text:
        return None
    try:
        when = datetime.fromisoformat(text)
    except ValueError as error:
        raise _NotImported(name, "not a time such as 2015-04-13T08:30:00", text) from error
    if len(text) < len("2015-04-13T08:30") or when.tzinfo or not 1970 < when.year < 2200:
        reason = "not a local time from 1971 to 2199 such as 2015-04-13T08:30:00, without offset"
        raise _NotImported(name, reason, text)
    return when.replace(tzinfo=ZONE)


# ---- events ----------------------------------------------------------------------------------------------

_Keyed = tuple[int, int, str, bytes]
"""Milliseconds UTC, 0 report or 1 closing, case number, the event: sorts in the order of the stream."""


def _events(
    row: CityCase,
    tree: Mapping[str, str],
    remark: Callable[[ImportRemark], None],
    deadlines: Literal["city", "pack"],
    partition_level: int,
) -> Iterator[_Keyed]:
    """One or two events of a case with their place in the stream."""
    grid = next((place for place in row.places if place in tree), None)
    if row.places and grid != row.places[0] and row.places[0].startswith("P"):
        reason = "not in the pack's tree; placed in its ward, its district or the city"
        remark(ImportRemark(row.number, "precinct", reason, True, row.line, f"{row.places[0]}, now {grid or ROOT}"))
    case = subject(row.case, row.opened, home_of_grid(grid or ROOT, tree, partition_level))
    report: dict[str, object] = {"definition": "service_request"}
    report |= {"category": row.category, "source": row.source, "reference": row.case}
    if grid:
        report["grid"] = grid
    if row.position:
        report["position"] = {"lat": row.position[0], "lon": row.position[1]}
    if row.department:
        report["department"] = row.department
    if row.unit:
        report["unit"] = row.unit
    if deadlines == "city":
        report["deadline"] = row.target.isoformat() if row.target else None
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
            files = [
                _keep(heapq.merge(*map(_kept, group)), Path(folder) / f"merge-{turn}-{i}")
                for i, group in enumerate(groups)
            ]
            for merged in chain.from_iterable(groups):
                merged.unlink()
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

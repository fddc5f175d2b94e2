"""A plan of packs: which pack becomes active at which instant of a history that is replayed.

It is a CSV file with the columns `instant` and `folder`. All of it is read, compiled, linted and rehearsed before
anything is written: a history under half of its packs is worse than none.
"""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path

from msgspec import Struct

from engine import admission, packs
from engine.errors import USAGE, GridpatrolError
from engine.rehearsals import rehearse
from schemas.envelope import to_ms
from schemas.instants import EARLIEST, LATEST, SPAN, written
from schemas.refusals import Refusal
from workflows.policy.csv_tables import Columns, Row, plain, read_table
from workflows.policy.index import Policy
from workflows.policy.model import Pack, digest
from workflows.policy.problems import Finding, Problems

COLUMNS = ("instant", "folder")


class PlanRefused(GridpatrolError):
    """A plan cannot be followed. The message names file, row and column; nothing was written."""

    exit_status = USAGE


class PlannedPack(Struct, frozen=True):
    """A row of a plan: from `at` (ms since 1970) on, the pack of this `hash` is the active one in every partition."""

    at: int
    hash: str
    pack: Pack
    row: int = 0
    """Where it stands in its file, counted as in a spreadsheet; 0: in none."""


class Extent(Struct):
    """The arrivals of a file of events (ms since 1970): the first one, and the latest. None: it holds no event."""

    first: int | None = None
    last: int | None = None


def read_plan(path: Path) -> tuple[list[PlannedPack], list[Finding]]:
    """The rows of a plan, all of them usable, and what else was found. PlanRefused with the first thing that is wrong.

    A folder is relative to the plan's own, or the name of a shipped pack. An instant without an offset is one of the
    wall clock in the zone of its row's pack; where that shows it twice, the first.
    """
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise PlanRefused(f"{path.name}: is not UTF-8", remedy="Save it as CSV UTF-8.") from error
    problems = Problems()
    rows = read_table(text, Columns(path.name, COLUMNS), problems)
    if not rows:
        problems.error(path.name, 0, "", "has no row", "name an instant and a folder in each row")
    planned = list[PlannedPack]()
    for row in rows:
        refuse(problems)
        planned.append(planned_of(row, path.parent, planned, problems))
    refuse(problems)
    for each in planned:
        try:
            rehearse(Policy(each.pack, each.hash), each.at)
        except GridpatrolError as error:
            raise PlanRefused(f"{path.name}:{each.row} folder: {error.message}", remedy=error.remedy) from error
    return planned, problems


def planned_of(row: Row, place: Path, before: Sequence[PlannedPack], problems: Problems) -> PlannedPack:
    """One row, after those `before` it. What is wrong with it is among the problems, or raised at once."""
    name, said = row.needed("folder"), plain(row.needed("instant"))
    refuse(problems)
    folder = place / name if (place / name).is_dir() else packs.folder_of(name)
    pack, found = packs.check_folder(folder)
    errors = [str(each) for each in found if each.severity == "error"]
    if pack is None or errors:
        row.bad("folder", f"its pack cannot be used: {'; '.join(errors[:3])}", "see `gridpatrol pack check DIR`")
        refuse(problems)
    assert pack is not None
    policy = Policy(pack, digest(pack))
    at = instant_in(said, policy)
    if at is None:
        row.bad("instant", f"{said!r} is no instant {SPAN}", "write it as 2015-06-01T08:00 or 2015-06-01T08:00-04:00")
    elif before and at == before[-1].at:
        row.bad("instant", f"is that of row {before[-1].row}", "keep one of them, or give it another instant")
    elif before and at < before[-1].at:
        row.bad("instant", f"lies before that of row {before[-1].row}", "put the rows in the order of their instants")
    elif before and pack.options.partition_level != before[-1].pack.options.partition_level:
        row.bad("folder", f"has another partition_level than row {before[-1].row}", "it is fixed at installation")
    refuse(problems)
    assert at is not None
    return PlannedPack(at, policy.hash, pack, row.number)


def refuse(problems: Problems) -> None:
    """PlanRefused with the first error, if there is one."""
    first = next((found for found in problems if found.severity == "error"), None)
    if first is not None:
        place = f"{first.file}:{first.row}" if first.row else first.file
        raise PlanRefused(f"{place} {first.column}: {first.text}".replace(" : ", ": "), remedy=first.remedy)


def instant_in(text: str, policy: Policy) -> int | None:
    """An instant (ms since 1970) that has an offset, or is one of the wall clock in a pack's zone; None: it is none."""
    try:
        when = datetime.fromisoformat(text)
    except ValueError:
        return None
    local = when.tzinfo is None
    at = policy.clock_of_days.wall.reach(to_ms(when.replace(tzinfo=UTC))) if local else to_ms(when)
    return at if to_ms(EARLIEST) <= at <= to_ms(LATEST) else None


def extent_of(lines: Iterable[bytes]) -> Extent:
    """From when to when the events of a file arrive; lines that are refused by their shape say nothing."""
    extent = Extent()
    for line in lines:
        received = admission.receive(line.strip(), "replay", 1) if line.strip() else None
        if received is None or isinstance(received, Refusal):
            continue
        at = to_ms(received[1].recordedtime or received[1].time)
        extent.first = at if extent.first is None else extent.first
        extent.last = at if extent.last is None else max(extent.last, at)
    return extent


def check_end(name: str, planned: Sequence[PlannedPack], extent: Extent, until: int | None) -> None:
    """PlanRefused where a row lies after the end of the history, `until` (ms) or else its latest arrival: time would
    have to run on to there, and everything that is open would fall due."""
    end = extent.last if until is None else until
    late = next((each for each in planned if end is not None and each.at > end), None)
    if late is not None and end is not None:
        what = "--until" if until is not None else "the file's last event"
        raise PlanRefused(
            f"{name}:{late.row} instant: {written(late.at)} lies after {what}, {written(end)}",
            remedy="leave the row out, or let the history go on to there with --until",
        )

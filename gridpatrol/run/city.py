"""A real city's seven weeks, replayed and judged: what `gridpatrol demo city` shows.

The shipped record of Boston 311 gives a database that stands as of 12 January 2016, which is compared with the city's
own flags and deadlines. Those are read from the CSV here and nowhere else: the importer leaves the flags out, so the
engine has never seen them.

1. With the city's own targets as ordered deadlines: each case comes out on time, overdue or without a deadline, from
   the engine's facts alone, and is compared with the city's flag.
2. With no targets, but with the pack's limits: the engine's own deadlines are compared with the city's.
"""

import csv
import gzip
from collections import Counter
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal

import click
import msgspec
from msgspec import Struct

from engine import replay
from engine.lease import Lease
from engine.runtime import Engine
from engine.settings import Settings
from engine.store import exports
from engine.store.database import Database, open_database
from engine.store.meta import read_meta, write_meta
from engine.views import figure_question, performance
from engine.views.names import Names
from gridpatrol.importers import boston311
from gridpatrol.render.progress import progress
from gridpatrol.render.tables import duration, table
from gridpatrol.run.event_file import check_same_file
from gridpatrol.run.wiring import BEFORE_ALL, install_if_empty, is_empty, read_pack, writing
from schemas import facts
from schemas.envelope import to_ms

END = "2016-01-12T23:00:00-05:00"
"""The evening of the city's export."""
CLOSE_MS = 60_000
"""The city counts from the instant of creation and shows the minute: a deadline within a minute is the same."""
EVENTS = 31_327
PACK = "boston311"
DONE = "demo_city"
"""Name in `meta` that says that the replay came to its end."""


class CityRecord(Struct):
    """What the city wrote down about a case and the engine has not seen."""

    flag: str  # ONTIME, OVERDUE or empty
    target: int | None  # ms UTC


class TotalClock(Struct):
    """The clock of a whole case by the engine's facts."""

    due: int | None = None
    result: str = ""  # empty: still open
    breached: bool = False


class District(Struct, frozen=True):
    """A district's figures, exact."""

    code: str
    reported: int
    on_time: int
    overdue: int
    open: int
    median_ms: int | None
    p90_ms: int | None


class City(Struct, frozen=True):
    """What the engine makes of the city. `outcomes` (on_time, overdue, not_due, without_deadline) add up to `cases`."""

    as_of: str
    events: int
    cases: int
    closed: int
    open: int
    outcomes: dict[str, int]
    flags: int  # cases with a deadline and a flag of the city
    flags_equal: int
    deadlines: int  # cases whose type has a limit in the pack, and a target of the city
    deadlines_equal: int
    districts: list[District]


def run(settings: Settings) -> City:
    """Replay, judge, count. An interrupted replay resumes; a finished one begins anew where the file can be removed."""
    settings = msgspec.structs.replace(settings, pack=PACK)
    records, end = read_city(boston311.SHIPPED), to_ms(datetime.fromisoformat(END))
    _begin_anew(settings)
    with writing(settings) as engine:
        _replay(engine, "city", end, "replaying the city")
        found = read_engine(engine.database)
        districts = _districts(engine)
        with engine.database.begin() as connection:
            write_meta(connection, DONE, END)
    with TemporaryDirectory(prefix="gridpatrol-city-") as folder:
        apart = msgspec.structs.replace(settings, database=f"sqlite:///{folder}/city.db")
        with writing(apart, listening=False) as engine:  # of the pack's limits, for which the reports are enough
            _replay(engine, "pack", None, "deadlines by the pack's limits", lambda event: b"-report" in event)
            due = {number: clock.due for number, clock in read_engine(engine.database).items()}
    outcomes = Counter(outcome(found.get(number, TotalClock())) for number in records)
    flagged = [n for n, record in records.items() if record.flag and record.target is not None]
    ruled = [n for n, record in records.items() if record.target is not None and due.get(n) is not None]
    return City(
        as_of=END,
        events=EVENTS,
        cases=len(found),
        closed=sum(bool(clock.result) for clock in found.values()),
        open=sum(not clock.result for clock in found.values()),
        outcomes=dict(sorted(outcomes.items())),
        flags=len(flagged),
        flags_equal=sum(flag(found[n]) == records[n].flag for n in flagged),
        deadlines=len(ruled),
        deadlines_equal=sum(abs((due[n] or 0) - (records[n].target or 0)) <= CLOSE_MS for n in ruled),
        districts=districts,
    )


def _begin_anew(settings: Settings) -> None:
    """Remove a finished replay's database, so that what is shown is what this release makes of the city."""
    path = Path(settings.database.partition(":///")[2])
    if not settings.database.startswith("sqlite") or not path.is_file():
        return
    database = open_database(settings.database)
    try:
        Lease(database).close()
        with database.read() as connection:
            done = not is_empty(database) and read_meta(connection, DONE) is not None
    finally:
        database.close()
    if done:
        for end in ("", "-wal", "-shm"):
            Path(f"{path}{end}").unlink(missing_ok=True)


def _replay(
    engine: Engine,
    deadlines: Literal["city", "pack"],
    end: int | None,
    what: str,
    only: Callable[[bytes], bool] | None = None,
) -> None:
    install_if_empty(engine, BEFORE_ALL)
    check_same_file(engine, deadlines)
    tree = {grid.code: grid.parent for grid in read_pack(PACK).grids}
    events = boston311.events(boston311.SHIPPED, tree, lambda remark: None, deadlines=deadlines)
    with progress(what, EVENTS) as show:
        replay.replay_events(engine, filter(only, events) if only else events, deadlines, end, show)


def read_city(path: Path) -> dict[str, CityRecord]:
    """What the city wrote down: case number -> flag and target."""
    records = {}
    with gzip.open(path, "rt", encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            local = datetime.fromisoformat(row["target_dt"]) if row["target_dt"] else None
            target = to_ms(local.replace(tzinfo=boston311.ZONE)) if local else None
            records[row["case_enquiry_id"]] = CityRecord(row["ontime"], target)
    return records


def read_engine(database: Database) -> dict[str, TotalClock]:
    """Case number -> its total clock, from the facts."""
    found: dict[str, TotalClock] = {}
    with database.read() as connection:
        clock = TotalClock()
        for step in exports.steps_by_case(connection):
            if step.seq == 1:
                clock = TotalClock()
            for fact in facts.decode_facts(step.body):
                match fact:
                    case facts.Reported():
                        found[fact.reference] = clock
                    case facts.ClockStarted(clock="total") | facts.ClockRetargeted(clock="total"):
                        clock.due = fact.due
                    case facts.ClockRung(clock="total", breach=True):
                        clock.breached = True
                    case facts.ClockStopped(clock="total"):
                        clock.result = fact.result
    return found


def outcome(clock: TotalClock) -> str:
    """How a case stands at the end."""
    if clock.result:
        return clock.result
    if clock.due is None:
        return "without_deadline"
    return "overdue" if clock.breached else "not_due"


def flag(clock: TotalClock) -> str:
    """The same in the city's words: what is open and not due is on time so far."""
    return "OVERDUE" if outcome(clock) == "overdue" else "ONTIME"


def _districts(engine: Engine) -> list[District]:
    """The districts' figures, from the fold, the largest share on time first."""
    policy = engine.active()
    assert policy is not None
    names, selection = Names(policy), figure_question.select(policy, grid=policy.root, by="grid")
    with engine.database.read() as connection:
        rows = performance.figure_rows(connection, names, selection)
        open_ = {row.key: row.open for row in performance.open_cases(connection, names, selection)}
    made = [
        District(
            row.key,
            row.counts.get("reported", 0),
            row.counts.get("on_time", 0),
            row.n - row.counts.get("on_time", 0),
            open_.get(row.key, 0),
            row.median_ms,
            row.p90_ms,
        )
        for row in rows
    ]
    return sorted(made, key=lambda d: (-d.on_time * 10_000 // max(1, d.on_time + d.overdue), d.code))


# ---- as people read it --------------------------------------------------------------------------------------


def proof(city: City) -> str:
    """One line for the README. It says what the engine was given: a fit to the data is no forecast of it."""
    return (
        f"Boston's record of {city.cases:,} real cases, replayed: with the city's own deadlines given as orders, "
        f"{city.flags_equal:,} of {city.flags:,} on-time flags come out equal to the city's; with one limit per case "
        "type instead (read off these same deadlines, for the city publishes none), "
        f"{_percent(city.deadlines_equal, city.deadlines, 2)} of {city.deadlines:,} deadlines come out within a minute."
    )


def _percent(part: int, whole: int, decimals: int = 1) -> str:
    """A share as percent, cut, never rounded up."""
    scale = 10**decimals
    units = part * 100 * scale // whole if whole else 0
    return f"{units // scale}.{units % scale:0{decimals}d} %"


def print_city(city: City, database: str) -> None:
    """Print what the engine makes of the city."""
    outcomes = city.outcomes
    click.echo(f"Boston 311, {city.events:,} events of {city.cases:,} cases, as of {city.as_of}:\n")
    table(
        ("outcome", "cases"),
        [
            ("按期 closed on time", f"{outcomes.get('on_time', 0):,}"),
            ("超期 overdue, closed or open", f"{outcomes.get('overdue', 0):,}"),
            ("在办 open, not due yet", f"{outcomes.get('not_due', 0):,}"),
            ("无时限 without a deadline", f"{outcomes.get('without_deadline', 0):,}"),
            ("open", f"{city.open:,}"),
        ],
        right=(1,),
    )
    click.echo(f"\nOn-time flags equal to the city's own: {city.flags_equal:,} of {city.flags:,}.")
    click.echo(
        f"Deadlines by the pack's limits within a minute of the city's: {city.deadlines_equal:,} of "
        f"{city.deadlines:,}, {_percent(city.deadlines_equal, city.deadlines, 2)}.\n"
    )
    rows = [
        (
            d.code,
            f"{d.reported:,}",
            f"{d.on_time:,}",
            f"{d.overdue:,}",
            _percent(d.on_time, d.on_time + d.overdue),
            f"{d.open:,}",
            duration(d.median_ms or 0),
            duration(d.p90_ms or 0),
        )
        for d in city.districts
    ]
    heads = ("district", "reported", "on time", "overdue", "按期率", "open", "median", "p90")
    table(heads, rows, right=range(1, 8))
    click.echo("\nLook closer:")
    for what in (
        "performance show --grid BOS --by department --period all",
        "incident list --overdue",
        "alert list --limit 5",
        "verify",
    ):
        click.echo(f"  .venv/bin/gridpatrol {what} --database {database}")

"""The demo's year: what people say, and what offices answer to what the engine makes of it, into an empty database.

The year is replayed day by day, as a file of events is; between two days the assessor speaks, the lot falls, and the
offices look at what they have in hand. What they say stands in the log like everybody's words, so the log of the year
replays to the same facts, without any of them.
"""

from collections.abc import Callable, Iterable
from datetime import UTC, date, datetime, timedelta
from heapq import merge
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from engine import admission, replay
from engine.errors import GridpatrolError
from engine.operations.draws import PRINCIPAL, due_events
from engine.packs import folder_of
from engine.policies import Policies
from engine.runtime import Engine
from engine.settings import Settings
from engine.store import draws, incident_queries
from engine.store.meta import write_meta
from engine.views.duties import DutyQuestion, duty_page
from gridpatrol.demo.locality import Locality
from gridpatrol.demo.offices import MISSED, Offices
from gridpatrol.demo.year import AFTER, Year, arrival, write_pack
from gridpatrol.run.assessing import assessor_in
from gridpatrol.run.demo import DONE
from gridpatrol.run.wiring import BEFORE_ALL, install_if_empty, shown, writing
from schemas.refusals import Refusal
from workflows import case as cases
from workflows.case import Case

SEED = 311
EVERY = 3
"""After so many days offices look at what they have in hand."""
IN_HAND = ("supervision", "task", "assessment", "visit", "incident", "service_request")
ASSESSED = 2
"""The assessor takes its turns on one of so many of these days: whatever moves makes it compute sheets anew."""
LATE = 65
"""So many days after a month ends that ends a quarter, what was missed in it is excused."""
Show = Callable[[int], None]


class Wanted(Struct, frozen=True, kw_only=True):
    """Which year, and how much happens in it. `rounds`: with what posts record of their duties."""

    year: int
    incidents: int = 1500
    rounds: bool = True
    every: int = EVERY
    seed: int = SEED


class NotEmpty(GridpatrolError):
    """The year begins with an empty database."""

    remedy = "Name another database with --database, or delete this one."


def run(settings: Settings, folder: Path, wanted: Wanted, show: Show = lambda done: None) -> int:
    """Fill an empty database with a year. Returns how many events were said by people and offices."""
    pack = folder / "pack"
    if not pack.is_dir():
        write_pack(folder_of(settings.pack), pack, wanted.year, rounds=wanted.rounds)
    settings = msgspec.structs.replace(settings, pack=str(pack))
    with writing(settings) as engine:
        if any(head > 0 for head in engine.heads.values()):
            raise NotEmpty(f"something has been stored at {shown(settings.database)} already")
        install_if_empty(engine, BEFORE_ALL)
        said = play(engine, Locality(pack), wanted, show)
        with engine.database.begin() as connection:
            write_meta(connection, DONE, str(max(row.clock for row in engine.rows.values())))
        return said


def last_whole(now: int) -> int:
    """The last calendar year that has ended so long ago that its sheets would be published, at an instant (ms)."""
    return (datetime.fromtimestamp(now / 1000, UTC).date() - timedelta(days=AFTER + EVERY)).year - 1


def beside(settings: Settings) -> Path:
    """The folder beside a SQLite database, under its name, or that of the demo's year."""
    path = settings.database.partition(":///")[2]
    return Path(path).with_suffix("") if settings.database.startswith("sqlite") else Path("var/year")


def play(engine: Engine, locality: Locality, wanted: Wanted, show: Show = lambda done: None) -> int:
    """Let a year happen in an engine in which the year's pack is active. Returns how many events were said."""
    year, offices = Year(locality, wanted.year, wanted.seed), Offices(locality, wanted.seed)
    left, said = iter(year.events(wanted.incidents, wanted.rounds)), 0
    event, watched, words = next(left, None), set[str](), list[dict[str, Any]]()
    assessor, before, turns = assessor_in(engine), year.begin, 0
    day = date(wanted.year, 1, 1 + wanted.every)
    while day <= date(wanted.year + 1, 1, 1) + timedelta(days=AFTER):
        stop, planned = year.at(day, 16 * 60), list[dict[str, Any]]()
        while event is not None and arrival(event) <= stop:
            planned.append(event)
            event = next(left, None)
        said += say(engine, list(merge(planned, words, key=arrival)), f"{locality.policy.pack.code}-{day}", stop)
        turns += 1
        while turns % ASSESSED == 0 and assessor.turn():
            pass
        draw_all(engine)
        with engine.database.read() as connection:
            closed = draws.read_closed(connection, "incident", "/XA/", before, stop, stop)
        before, in_hand = stop, look(engine, {*watched, *closed})
        words = list(offices.turn(in_hand, stop))
        if (day - timedelta(days=LATE)).month % 3 == 0 and (day - timedelta(days=LATE)).day > 31 - wanted.every:
            words = list(
                merge(words, offices.excuses(missed(engine, day - timedelta(days=LATE), stop), stop), key=arrival)
            )
        watched |= {word["subject"] for word in words if word["type"].startswith("gridpatrol.exemption.")}
        show(said)
        day += timedelta(days=wanted.every)
    end = year.at(day, 16 * 60)
    return said + say(engine, words, f"{locality.policy.pack.code}-end", end)


def say(engine: Engine, events: list[dict[str, Any]], name: str, until: int) -> int:
    """Replay events, in order of arrival, up to an instant (ms)."""
    replay.replay_events(engine, map(msgspec.json.encode, events), name, until)
    return len(events)


def look(engine: Engine, watched: Iterable[str]) -> list[Case]:
    """What stands open, and those cases that are over of which something was asked."""
    with engine.database.read() as connection:
        found = dict(each for kind in IN_HAND for each in draws.read_open(connection, kind))
        for id_ in sorted({*watched} - found.keys()):
            body = incident_queries.read_case(connection, id_)
            found |= {id_: body} if body is not None else {}
    return [cases.decode(body) for body in found.values()]


def missed(engine: Engine, day: date, now: int) -> list[tuple[str, str]]:
    """What was missed in the month of a local day: subjects, with their grids."""
    question = DutyQuestion(period="month", day=day.isoformat(), limit=500)
    with engine.database.read() as connection:
        lines = duty_page(connection, Policies(), question, now).duties
    return [(line.subject, line.grid.code) for line in lines if line.state == MISSED]


def draw_all(engine: Engine) -> None:
    """Let the lot fall on whatever has come to its time in a history that is replayed."""
    policies = Policies()
    while True:
        with engine.database.read() as connection:
            wanted = list(due_events(connection, policies))
        if not wanted:
            return
        for event in wanted:
            received = admission.receive(msgspec.json.encode(event), PRINCIPAL, engine.count)
            if isinstance(received, Refusal):
                raise ValueError(f"what the lot says is refused: {received.detail}")
            engine.inbox.append([received[0]], engine.rows[received[0].partition].clock)
        while engine.work(None) is not None:
            pass
        engine.feed()

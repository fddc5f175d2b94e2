"""The demo's year: what people say, and what offices answer to what the engine makes of it, into an empty database.

The year is replayed day by day, as a file of events is; between two days the assessor speaks, the lot falls, and the
offices look at what they have in hand. What they say stands in the log like everybody's words, so the log of the year
replays to the same facts, without any of them.
"""

from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any

import msgspec
from msgspec import Struct

from engine import admission, replay
from engine.errors import GridpatrolError
from engine.operations.draws import PRINCIPAL, due_events
from engine.packs import folder_of
from engine.policies import Policies
from engine.principals import DOOR
from engine.runtime import Engine
from engine.settings import Settings
from engine.store import draws, incident_queries
from engine.store.meta import write_meta
from engine.views.answers import new_code
from engine.views.duties import DutyQuestion, duty_page
from gridpatrol.demo.doors import Doors
from gridpatrol.demo.locality import Locality
from gridpatrol.demo.offices import MISSED, Offices
from gridpatrol.demo.year import AFTER, Year, arrival, write_pack
from gridpatrol.run.assessing import assessor_in
from gridpatrol.run.demo import DONE
from gridpatrol.run.wiring import BEFORE_ALL, install_if_empty, shown, writing
from schemas.instants import written
from schemas.kinds.petition import CODE_GIVEN, Petition
from schemas.refusals import Refusal
from workflows import case as cases
from workflows.case import Case

SEED = 311
EVERY = 3
"""After so many days offices look at what they have in hand."""
IN_HAND = (
    "supervision",
    "task",
    "assessment",
    "visit",
    "incident",
    "service_request",
    "petition",
    "signal",
    "part",
    "approval",
    "home",
)
ASSESSED = 12
"""After so many days the assessor takes its turns, not whenever offices look: whatever moves makes it compute anew."""
LATE = 65
"""So many days after a month ends that ends a quarter, what was missed in it is excused."""
CODES = "codes.txt"
"""The file with the codes of those who asked, beside the pack."""
ENDS_LISTING = ("gridpatrol.supervision.cleared.v1", "gridpatrol.supervision.revoked.v1")
"""After this a supervision lists nothing any more."""
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
    for each in (folder.parent, folder):  # beside a database, whose names are its owner's alone
        each.mkdir(mode=0o700, parents=True, exist_ok=True)
    if not pack.is_dir():
        write_pack(folder_of(settings.pack), pack, wanted.year, rounds=wanted.rounds)
    settings = msgspec.structs.replace(settings, pack=str(pack))
    with writing(settings) as engine:
        if any(head > 0 for head in engine.heads.values()):
            raise NotEmpty(f"something has been stored at {shown(settings.database)} already")
        install_if_empty(engine, BEFORE_ALL)
        said = play(engine, Locality(pack), wanted, show, folder / CODES)
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


def play(
    engine: Engine,
    locality: Locality,
    wanted: Wanted,
    show: Show = lambda done: None,
    codes: Path | None = None,
) -> int:
    """Let a year happen in an engine in which the year's pack is active. Returns how many events were said. `codes`:
    the file in which the codes of those who asked are kept."""
    year, said = Year(locality, wanted.year, wanted.seed), 0
    planned = year.events(wanted.incidents, wanted.rounds)
    scripted, doors = {event["subject"] for event in planned}, Doors(year).events()
    offices = Offices(locality, wanted.seed, scripted, {event["subject"]: arrival(event) for event in doors})
    left, watched = sorted([*planned, *doors], key=arrival), set[str]()
    assessor, before, turns = assessor_in(engine), year.begin, 0
    day, every = date(wanted.year, 1, 1 + wanted.every), timedelta(days=wanted.every)
    while day <= date(wanted.year + 1, 1, 1) + timedelta(days=AFTER):
        stop, after = year.at(day, 16 * 60), year.at(day + every, 16 * 60)
        now = bisect_right(left, stop, key=arrival)
        said += say(engine, left[:now], f"{locality.policy.pack.code}-{day}", stop)
        turns += 1
        while turns % max(2, ASSESSED // wanted.every) == 0 and assessor.turn():
            pass
        while ordered := due_draws(engine):
            said_by(engine, PRINCIPAL, ordered)
        with engine.database.read() as connection:
            closed = draws.read_closed(connection, "incident", "/XA/", before, stop, stop)
        before, in_hand = stop, look(engine, {*watched, *closed})
        given = dict(codes_for(in_hand, stop, wanted.seed))
        said_by(engine, DOOR.name, given.values())
        if given and codes is not None:
            with codes.open("a", encoding="utf-8") as file:
                file.writelines(f"{code}\n" for code in given)
        words = list(offices.turn(in_hand, stop))
        ended = {word["subject"] for word in words if word["type"] in ENDS_LISTING}
        words += offices.patrols(in_hand, stop, after, ended)
        if (day - timedelta(days=LATE)).month % 3 == 0 and (day - timedelta(days=LATE)).day > 31 - wanted.every:
            words += offices.excuses(missed(engine, day - timedelta(days=LATE), stop), stop)
        watched |= {word["subject"] for word in words if word["type"].startswith("gridpatrol.exemption.")}
        left = sorted([*left[now:], *words], key=arrival)
        show(said)
        day += every
    end = year.at(day, 16 * 60)
    last = [event for event in left if arrival(event) <= end]
    return said + say(engine, last, f"{locality.policy.pack.code}-end", end)


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


def codes_for(cases: Iterable[Case], at: int, seed: int) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every second caller of a hotline gets a code for the answer, once there is one: the codes with what the door says
    of them. They are made up, as all of it: whoever knows the seed knows them."""
    for case in sorted(cases, key=lambda case: case.id):
        chance, kept = Random(f"{seed}:{case.id}:code"), case.own
        if isinstance(kept, Petition) and kept.channel == "phone" and kept.answers and not kept.code:
            code, digest = new_code(case.id, chance.randbytes)
            event = {
                "specversion": "1.0",
                "type": f"gridpatrol.{CODE_GIVEN}.v1",
                "source": "/demo/year/door",
                "id": f"{case.id}-code",
                "subject": case.id,
                "time": written(at),
                "actor": case.by,
                "data": {"digest": digest},
            }
            if chance.random() < 0.5:
                yield code.code, event


def due_draws(engine: Engine) -> list[dict[str, Any]]:
    """What the lot has to say of draws that have come to their time."""
    with engine.database.read() as connection:
        return list(due_events(connection, Policies()))


def said_by(engine: Engine, principal: str, events: Iterable[dict[str, Any]]) -> None:
    """Let a part of the server say something in a history that is replayed."""
    for event in events:
        received = admission.receive(msgspec.json.encode(event), principal, engine.count)
        if isinstance(received, Refusal):
            raise ValueError(f"what {principal} says is refused: {received.detail}")
        engine.inbox.append([received[0]], engine.rows[received[0].partition].clock)
    while engine.work(None) is not None:
        pass
    engine.feed()

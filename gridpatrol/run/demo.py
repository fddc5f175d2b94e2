"""The demo: a seeded month of the sample city, then the same city in real time.

The server's database holds a month that ended when it was first started; demo traffic goes on from there, in a process
of its own.

The month's file is kept with the instant that it ends at, so that an interrupted start replays the rest of the same
month. Door and ticks stay shut until it has been replayed: in between, time is that of the month.
"""

import os
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from random import Random

import click
import msgspec
from msgspec import Struct

from engine.clock import now_ms
from engine.packs import folder_of
from engine.runtime import Engine
from engine.settings import Settings
from engine.store import clocks, incident_queries
from engine.store.meta import read_meta, write_meta
from gridpatrol.demo.events import mint
from gridpatrol.demo.month import write_month
from gridpatrol.options import say, token
from gridpatrol.render.progress import progress
from gridpatrol.run.event_file import count_lines, name_of, replay_events
from gridpatrol.run.serve import serve
from gridpatrol.run.wiring import install_if_empty, shown

SEED = 311
DONE = "demo_month"
"""Name in `meta` of the month that has been replayed to its end."""


class Month(Struct, frozen=True):
    """The month's file and its end."""

    file: str
    end: int


def run(settings: Settings, folder: Path | None, seconds: float | None, rate: float) -> None:
    """Replay the month if that has not been done, then serve, with traffic, until a signal.

    Without a `folder` the month lies beside a SQLite database, under its name: var/demo.db has var/demo/.
    """
    path = settings.database.partition(":///")[2]
    beside = Path(path).with_suffix("") if settings.database.startswith("sqlite") else Path("var/demo")
    traffic = Traffic(settings, rate)
    try:
        serve(settings, prepare=lambda engine: prepare(engine, folder or beside), opened=traffic.start, seconds=seconds)
    finally:
        traffic.stop()


def prepare(engine: Engine, folder: Path) -> None:
    """Bring the database to where the demo goes on: a month that it has begun to its end, an empty one through a new
    month that ends now."""
    with engine.database.begin() as connection:
        done = read_meta(connection, DONE)
        clocks.note_replayed(connection, "demo")  # however long the city was not visited, its time goes on from here
    install_if_empty(engine, 1 if not any(engine.heads.values()) else None)
    if done is not None:
        return
    note = folder / "month.json"
    if note.is_file() and any(head > 1 for head in engine.heads.values()):
        month = msgspec.json.decode(note.read_bytes(), type=Month)  # which this database has begun
    else:
        month = Month("month.jsonl", now_ms())
        folder.mkdir(parents=True, exist_ok=True)
        end = datetime.fromtimestamp(month.end / 1000, UTC)
        write_month(folder / month.file, folder_of(engine.settings.pack), end, SEED)
        note.write_bytes(msgspec.json.encode(month))
    file = folder / month.file
    say(f"Replaying a month of {file} into {shown(engine.settings.database)} ...")
    with progress("one month", count_lines(file)) as show, file.open("rb") as lines:
        replay_events(engine, lines, name_of(file), month.end, show)
    with engine.database.begin() as connection:
        write_meta(connection, DONE, str(month.end))


class Traffic:
    """The live traffic, as a process that knows the server by its address only."""

    def __init__(self, settings: Settings, rate: float) -> None:
        self._settings, self._rate, self._token = settings, rate, token()
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, url: str, engine: Engine) -> None:
        """Begin when the door is open, and say where to look."""
        folder = str(folder_of(self._settings.pack))
        command = [sys.executable, "-m", "gridpatrol.demo.traffic", "--url", url, "--pack", folder]
        settings = os.environ | {"GRIDPATROL_TOKEN": self._token}
        self._process = subprocess.Popen([*command, "--rate", str(self._rate)], env=settings, start_new_session=True)
        click.echo(welcome(url, engine))

    def stop(self) -> None:
        """End it, and wait for that."""
        if self._process is None:
            return
        self._process.terminate()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


def welcome(url: str, engine: Engine) -> str:
    """Where to look, and three commands that work as they are printed."""
    # Where the door asks who speaks, with the token of whoever pastes the line.
    curl = 'curl -H "Authorization: Bearer $GRIDPATROL_TOKEN"' if engine.settings.principals else "curl"
    headers = "-H 'Content-Type: application/cloudevents+json' -H 'Prefer: wait=5'"
    with engine.database.read() as connection:  # an incident with a story: overdue if there is one
        late = incident_queries.Filters(now=now_ms(), overdue=True)
        every = incident_queries.Filters(now=now_ms(), open=None)
        pages = (incident_queries.read_page(connection, wanted, "due_at", False, None, 1) for wanted in (late, every))
        incident = next((page[0][0].id for page in pages if page), "")
    return "\n".join(
        [
            "",
            f"The sample city is alive at {url} (Ctrl-C stops it, the next run goes on from here).",
            "",
            f"  {url}                             pages for people: open it in a browser",
            f"  {url}/v1/incidents?overdue=true   what is late, and with whom",
            f"  {url}/v1/alerts/stream            alerts as they are told",
            f"  {url}/v1/performance?by=grid      figures of this month",
            f"  {url}/metrics                     for Prometheus",
            f"  {url}/openapi.json                the contract",
            "",
            "Try it:",
            "",
            f"  {curl} '{url}/v1/incidents?overdue=true&limit=3'",
            "",
            f"  {curl} '{url}/v1/incidents/{incident}'",
            "",
            f"  {curl} '{url}/v1/events' {headers} -d '{_report(engine)}'",
            "",
            f"Or: .venv/bin/gridpatrol incident list --overdue --database {shown(engine.settings.database)}",
            "",
        ]
    )


def _report(engine: Engine) -> str:
    """A report of a fresh incident by a member of a leaf grid, as JSON in one line."""
    policy, now = engine.active(), now_ms()
    assert policy is not None
    post = next(
        p
        for p in policy.pack.posts
        if p.role == "member" and not p.vacant and policy.grids[p.grid].level == policy.leaf_level
    )
    level = policy.options.default_level
    category = next(c for c in policy.pack.categories if c.dissuade and c.level == level)
    subject = mint(policy.home(post.grid), now, Random(now))
    event = {
        "specversion": "1.0",
        "id": subject.rpartition(".")[2],
        "source": "/curl",
        "type": "gridpatrol.report.submitted.v1",
        "subject": subject,
        "time": datetime.fromtimestamp(now // 1000, UTC).isoformat(),
        "actor": post.code,
        "data": {"category": category.code, "source": "patrol", "grid": post.grid},
    }
    return msgspec.json.encode(event).decode()

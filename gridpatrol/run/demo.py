"""The demo: a seeded month of the sample city, then the same city in real time.

The server's database holds a month that ended when it was first started; demo traffic goes on from there, in a process
of its own. Three people have tokens of their own, of which one has a phone; what supervisors are told by channels is
written into a file. None of that stands in the month.

The month's file is kept with the instant that it ends at, so that an interrupted start replays the rest of the same
month. Door and ticks stay shut until it has been replayed: in between, time is that of the month.
"""

import os
import shlex
import shutil
import subprocess
import sys
from contextlib import ExitStack, closing
from datetime import UTC, datetime
from pathlib import Path

import click
import msgspec
from msgspec import Struct

from engine.clock import now_ms
from engine.packs import folder_of
from engine.runtime import Engine
from engine.settings import Settings
from engine.store import clocks
from engine.store.meta import read_meta, write_meta
from gridpatrol.demo.month import write_month
from gridpatrol.options import say, token
from gridpatrol.render.progress import progress
from gridpatrol.run.demo_inbox import Inbox
from gridpatrol.run.demo_people import Person, give_tokens, people_of, token_file
from gridpatrol.run.event_file import count_lines, name_of, replay_events
from gridpatrol.run.serve import serve
from gridpatrol.run.wiring import install_if_empty, read_pack, shown
from workflows.policy.index import Policy

SEED = 311
DONE = "demo_month"
"""Name in `meta` of the month that has been replayed to its end."""


class Month(Struct, frozen=True):
    """The month's file and its end."""

    file: str
    end: int


class Place(Struct):
    """Where the demo keeps what it writes, who has a token there, and where supervisors' messages are written; None:
    the channels are those of the settings. `level`: that of the homes, which have these `chiefs`."""

    folder: Path
    people: list[Person]
    level: int
    chiefs: list[str]
    messages: Path | None = None


def run(settings: Settings, folder: Path | None, seconds: float | None, rate: float) -> None:
    """Replay the month if that has not been done, then serve, with people, until a signal.

    Without a `folder` everything lies beside a SQLite database, under its name: var/demo.db has var/demo/.
    """
    path = settings.database.partition(":///")[2]
    beside = Path(path).with_suffix("") if settings.database.startswith("sqlite") else Path("var/demo")
    folder, policy = folder or beside, Policy(read_pack(settings.pack), "")
    level = policy.pack.options.partition_level
    chiefs = [p.code for p in policy.pack.posts if p.role == "chief" and policy.grids[p.grid].level == level]
    place = Place(folder, people_of(policy), level, chiefs)
    traffic = Traffic(settings, rate, place)

    def prepared(engine: Engine) -> None:
        prepare(engine, folder)
        active = engine.active()
        assert active is not None
        place.people = people_of(active)  # another pack may be active than that of the settings
        give_tokens(engine, place.people, folder)

    with ExitStack() as stack:
        stack.callback(traffic.stop)
        if not settings.channels and place.people:
            inbox = stack.enter_context(closing(Inbox(folder, policy.pack.zone)))
            place.messages = inbox.messages
            known = "" if settings.listen.endswith(":0") else f"http://{settings.listen}"
            file = write_channels(inbox, known, place)
            settings = msgspec.structs.replace(settings, channels=str(file))

        def opened(url: str, engine: Engine) -> None:
            if place.messages is not None:  # with the port that was free
                write_channels(inbox, url, place)
            traffic.start(url, engine)

        serve(settings, prepare=prepared, opened=opened, seconds=seconds)
    say("Stopped. The next run goes on from here.")
    say(farewell(place, settings))


def write_channels(inbox: Inbox, url: str, place: Place) -> Path:
    """Those who supervise are told at once; what the chiefs of all homes are told of deadlines comes in digests."""
    above = [person.post.code for person in place.people if person.name != "member"]
    return inbox.write_channels(url, above, [*place.chiefs, *above])


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

    def __init__(self, settings: Settings, rate: float, place: Place) -> None:
        self._settings, self._rate, self._place = settings, rate, place
        self._token = token() if settings.principals else ""  # a door that asks for none refuses one of elsewhere
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, url: str, engine: Engine) -> None:
        """Begin when the door is open, and say where to look."""
        folder = str(folder_of(self._settings.pack))
        command = [sys.executable, "-m", "gridpatrol.demo.traffic", "--url", url, "--pack", folder]
        command += ["--rate", str(self._rate)]
        for member in self._place.people[:1]:
            command += ["--phone", str(token_file(self._place.folder, member))]
        settings = os.environ | {"GRIDPATROL_TOKEN": self._token}
        self._process = subprocess.Popen(command, env=settings, start_new_session=True)
        click.echo(welcome(url, self._place, self._settings))

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


def welcome(url: str, place: Place, settings: Settings) -> str:
    """Where to look, and what to try."""
    looks = [
        (url, "网页，用浏览器打开 pages for people: open it in a browser"),
        (f"{url}/v1/incidents?overdue=true", "超期的件 what is late, and with whom"),
        (f"{url}/v1/alerts/stream", "实时告警 alerts as they are told"),
        (f"{url}/v1/performance?by=grid", "本月指标 figures of this month"),
        (f"{url}/metrics", "for Prometheus"),
        (f"{url}/openapi.json", "the contract"),
    ]
    if place.messages is not None:
        looks.append((str(place.messages), "主管收到的消息 what supervisors are told by a channel"))
    width = max(len(where) for where, _ in looks)
    return "\n".join(
        [
            "",
            f"示例城区已运行 The sample city is alive at {url} (Ctrl-C stops it, the next run goes on from here).",
            "",
            *(f"  {where:{width}}   {what}" for where, what in looks),
            "",
            *to_try(place, settings, url),
            "More for each of them: docs/demo.md",
            "",
        ]
    )


def farewell(place: Place, settings: Settings) -> str:
    """What to try without the server."""
    return "\n".join(["", *to_try(place, settings)])


def to_try(place: Place, settings: Settings, url: str = "") -> list[str]:
    """For each of three people a command that works as it is printed; without `url` while no server runs."""
    run, database = command_name(), f"--database {shlex.quote(shown(settings.database))}"
    found = {person.name: person for person in place.people}
    lines = ["试一试 Try it, as"]
    if member := found.get("member"):
        post = member.post
        asked = f"{run} task list --post {post.code} {database}"
        if url:
            token = shlex.quote(str(token_file(place.folder, member)))
            asked = f"""curl -H "Authorization: Bearer $(cat {token})" '{url}/v1/tasks?post={post.code}'"""
        lines += told(f"a grid member 网格员 ({post.code}): what waits for me", asked)
    if chief := found.get("chief"):
        grid, level = chief.post.grid, place.level
        ranked = f"{run} performance show --by grid --level {level} --rank on_time_rate {database}"
        lines += told(f"a supervisor 主管 ({chief.post.code}): where {grid} stands among its peers", ranked)
    lines += told("an operator 运维: every figure, recomputed from the facts", f"{run} verify {database}")
    return lines


def told(who: str, command: str) -> list[str]:
    """A command with who would give it."""
    return [f"  {who}", f"    {command}", ""]


def command_name() -> str:
    """How this command is called again, from the same folder."""
    called = Path(sys.argv[0])
    if called.name != "gridpatrol":
        return f"{shlex.quote(sys.executable)} -m gridpatrol"
    found = shutil.which("gridpatrol")
    if found is not None and Path(found).resolve() == called.resolve():
        return "gridpatrol"
    here = os.path.relpath(called)
    return shlex.quote(here if not here.startswith("..") else str(called.resolve()))

"""`gridpatrol replay`: a file of events with event time as the clock, or an exported log with its own stamps.

In: JSON lines. Out: a database that stands as if they had arrived live, and a summary on stdout.
"""

import hashlib
import itertools
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

import click
from msgspec.structs import replace

from engine import replay
from engine.errors import LogMismatch
from engine.runtime import Engine
from engine.settings import Settings
from engine.store.positions import read_positions
from gridpatrol import options
from gridpatrol.render.progress import progress
from gridpatrol.run.wiring import BEFORE_ALL, install_if_empty, settings_of, shown, writing


@click.command("replay")
@click.argument("file", type=click.Path(dir_okay=False, allow_dash=True, path_type=Path))
@click.option("--until", type=options.INSTANT, help="Stop there, e.g. 2015-06-01T00:00Z.")
@options.database
@options.pack
@options.as_json
def command(file: Path, until: int | None, database: str | None, pack: str | None, as_json: bool) -> None:
    """Replay FILE (or - for stdin): JSON lines of CloudEvents, or a log that `gridpatrol log export` wrote.

    Events are decided with their own time as the clock, and whatever falls due between them falls due. The database
    must be empty, or hold an interrupted replay of the same file, which then goes on.

    \b
    Examples:
      gridpatrol import boston311 rows.csv -o city.jsonl
      gridpatrol replay city.jsonl --pack boston311 --database sqlite:///var/city.db
      gridpatrol replay city.jsonl --until 2015-05-01T00:00-04:00 --pack boston311 --database sqlite:///var/may.db
    """
    settings = settings_of(database=database, pack=pack)
    if settings.database.startswith("sqlite"):
        settings = replace(settings, kafka="")  # a log in a file of one's own, whatever the roles beside it use
    with lines_of(file) as lines:
        first = next(lines, b"")
        everything = itertools.chain([first], lines)
        with writing(settings) as engine:
            if replay.is_log(first):
                _replay_log(engine, everything, as_json)
            else:
                total = count_lines(file)
                with progress("replaying", total) as told:
                    done = replay_events(engine, everything, name_of(file), until, told)
                _report(done, settings, as_json)


class lines_of:
    """The lines of a file, or of stdin, as a context that closes it."""

    def __init__(self, file: Path) -> None:
        self._file = sys.stdin.buffer if str(file) == "-" else file.open("rb")

    def __enter__(self) -> Iterator[bytes]:
        return iter(self._file)

    def __exit__(self, *_: object) -> None:
        if self._file is not sys.stdin.buffer:
            self._file.close()


def count_lines(file: Path) -> int | None:
    """How many lines a file has; None for stdin."""
    if str(file) == "-":
        return None
    with file.open("rb") as source:
        return sum(block.count(b"\n") for block in iter(lambda: source.read(1 << 20), b""))


def name_of(file: Path) -> str:
    """What an interrupted replay is recognised by: the content, whatever the file is called."""
    if str(file) == "-":
        return "stdin"
    with file.open("rb") as source:
        return hashlib.file_digest(source, "sha256").hexdigest()[:16]


def replay_events(
    engine: Engine, lines: Iterable[bytes], name: str, until: int | None, told: replay.Progress
) -> replay.Replayed:
    """Replay into an empty database, or go on with the same file."""
    install_if_empty(engine, BEFORE_ALL)
    with engine.database.read() as connection:
        begun = read_positions(connection, f"replay:{name}")
    if not begun and any(engine.heads[p] > 1 for p in engine.heads):
        raise LogMismatch(
            "this database holds other events already: replay into an empty one (--database sqlite:///var/replay.db), "
            "or send the file to a running server with `gridpatrol publish`"
        )
    return replay.replay_events(engine, lines, name, until, told)


def _replay_log(engine: Engine, lines: Iterable[bytes], as_json: bool) -> None:
    """An exported log brings its packs and stamps along."""
    with progress("replaying the log", None) as told:
        count = replay.replay_log(engine, lines, told)
    if as_json:
        options.print_json({"records": count, "database": shown(engine.settings.database)})
    else:
        click.echo(f"{count} records of an exported log replayed into {shown(engine.settings.database)}.")
        _look_next(shown(engine.settings.database))


def _report(done: replay.Replayed, settings: Settings, as_json: bool) -> None:
    if as_json:
        options.print_json(done)
        return
    outcomes = ", ".join(f"{count} {outcome}" for outcome, count in sorted(done.outcomes.items())) or "none"
    click.echo(f"{done.lines} lines read into {shown(settings.database)}. Decided in this run: {outcomes}.")
    for count, what in (
        (done.skipped, "were decided by an earlier run"),
        (done.beyond, "lie after --until"),
        (done.rejected, "are no valid events: see `gridpatrol deadletter list`"),
    ):
        if count:
            click.echo(f"{count} {what}.")
    _look_next(shown(settings.database))


def _look_next(url: str) -> None:
    click.echo("Look next:")
    for what in ("incident list --overdue", "performance show", "deadletter list", "verify"):
        click.echo(f"  gridpatrol {what} --database {url}")

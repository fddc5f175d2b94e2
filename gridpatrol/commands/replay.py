"""`gridpatrol replay`: a file of events with event time as the clock, or an exported log with its own stamps.

The database then stands as if the events had arrived live.
"""

import itertools
from pathlib import Path

import click
from msgspec.structs import replace

from engine import replay
from gridpatrol import options
from gridpatrol.render.progress import progress
from gridpatrol.run.event_file import count_lines, lines_of, name_of, replay_events
from gridpatrol.run.wiring import settings_of, shown, writing


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
            if replay.is_log(first):  # it brings its packs and stamps along
                with progress("replaying the log", None) as show:
                    count = replay.replay_log(engine, everything, show)
            else:
                with progress("replaying", count_lines(file)) as show:
                    replayed = replay_events(engine, everything, name_of(file), until, show)
    url = shown(settings.database)
    if replay.is_log(first):
        if as_json:
            return options.print_json({"records": count, "database": url})
        click.echo(f"{count} records of an exported log replayed into {url}.")
    else:
        if as_json:
            return options.print_json(replayed)
        outcomes = ", ".join(f"{count} {outcome}" for outcome, count in sorted(replayed.outcomes.items())) or "none"
        click.echo(f"{replayed.lines} lines read into {url}. Decided in this run: {outcomes}.")
        for number, what in (
            (replayed.skipped, "were decided by an earlier run"),
            (replayed.beyond, "lie after --until"),
            (replayed.rejected, "are no valid events: see `gridpatrol deadletter list`"),
        ):
            if number:
                click.echo(f"{number} {what}.")
    click.echo("Look next:")
    for what in ("incident list --overdue", "performance show", "deadletter list", "verify"):
        click.echo(f"  gridpatrol {what} --database {url}")

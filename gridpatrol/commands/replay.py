"""`gridpatrol replay`: a file of events with event time as the clock, or an exported log with its own stamps.

The database then stands as if the events had arrived live. Exit status 1 where anything was refused.
"""

import itertools
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import IO

import click
import msgspec
from msgspec.structs import replace

from engine import log_file, replay
from engine.errors import LogMismatch
from engine.pack_plan import PlannedPack, check_end, extent_of, read_plan
from engine.settings import Settings
from engine.store import dead_letters
from gridpatrol import options
from gridpatrol.options import say
from gridpatrol.render.progress import progress
from gridpatrol.run.assessing import assess_all
from gridpatrol.run.event_file import (
    LOOKED_AT,
    check_events,
    count_lines,
    lines_of,
    name_of,
    read_again,
    replay_events,
)
from gridpatrol.run.wiring import settings_of, shown, writing


@click.command("replay")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, allow_dash=True, path_type=Path))
@click.option("--until", type=options.INSTANT, help="Stop there, e.g. 2015-06-01T00:00Z. Of events only.")
@click.option("--expect", metavar="DIGEST", help="Refuse a log with another digest: the one that its export printed.")
@click.option(
    "--unchecked",
    is_flag=True,
    help="Take a log as it stands: one of an older release, which proves nothing, or what is left of a damaged one.",
)
@click.option(
    "--packs",
    "plan",
    metavar="PLAN.csv",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Packs by instant: a CSV file with the columns instant and folder. Of events only.",
)
@click.option(
    "--assess",
    is_flag=True,
    help="Also assess what has come to its time. Without it assessments are those of the file.",
)
@options.database
@options.pack
@options.as_json
@click.pass_context
def command(
    ctx: click.Context,
    file: Path,
    until: int | None,
    expect: str | None,
    unchecked: bool,
    plan: Path | None,
    assess: bool,
    database: str | None,
    pack: str | None,
    as_json: bool,
) -> None:
    """Replay FILE (or - for stdin): JSON lines of CloudEvents, or a log that `gridpatrol log export` wrote.

    Events are decided with their own time as the clock, and whatever falls due between them falls due. The database
    must be empty, or hold an interrupted replay of the same file, which then goes on. With --packs each pack of a plan
    becomes active at its instant; before the first one the pack of --pack is, unless the plan begins before the events.

    A log is read to its end before anything is decided: one that breaks off, that was changed or that is no log is
    refused, with the line. Exit status 1 if a file or an event of it was refused; what a log's own run refused is no
    fault of its replay.

    \b
    Examples:
      gridpatrol import boston311 rows.csv -o city.jsonl
      gridpatrol replay city.jsonl --pack boston311 --database sqlite:///var/city.db
      gridpatrol replay city.jsonl --until 2015-05-01T00:00-04:00 --pack boston311 --database sqlite:///var/may.db
      gridpatrol replay city.jsonl --packs packs.csv --database sqlite:///var/years.db
      gridpatrol replay log.jsonl --expect 5e15…c0de --database sqlite:///var/copy.db
    """
    settings = settings_of(database=database, pack=pack)
    if settings.database.startswith("sqlite"):
        settings = replace(settings, kafka="", role="all")  # a log of one's own, whatever the roles beside it use
    with lines_of(file) as lines:
        first = list(itertools.islice(lines, LOOKED_AT))
        everything = itertools.chain(first, lines)
        if first and log_file.is_log(first[0]):
            for option, value in (("--until", until), ("--packs", plan)):
                if value is not None:
                    raise click.UsageError(f"{option} is of events: the instants and packs of a log are its own.")
            with read_again(file, everything) as log:
                return replay_log(settings, log, expect, unchecked, as_json, assess)
        if expect or unchecked:
            raise click.UsageError("--expect and --unchecked are of exported logs, and the file is none.")
        check_events(first)
        if plan is None:
            letters = replay_file(settings, file, everything, until, as_json, assess=assess)
        else:
            planned, found = read_plan(plan)
            for warning in found:
                say(f"Warning: {warning}")
            with read_again(file, everything) as whole:
                extent = extent_of(whole)
                check_end(plan.name, planned, extent, until)
                whole.seek(0)
                letters = replay_file(settings, file, whole, until, as_json, planned, extent.first, assess=assess)
    ctx.exit(1 if letters else 0)


def replay_log(
    settings: Settings, log: IO[bytes], expect: str | None, unchecked: bool, as_json: bool, assess: bool
) -> None:
    """Replay an exported log, once all of it is proved or taken unchecked."""
    footer = proved(log, expect, unchecked)
    log.seek(0)
    with writing(settings) as engine, progress("replaying the log", footer.records if footer else None) as show:
        count = replay.replay_log(engine, log, show, unchecked=unchecked)
        assessed = assess_all(engine) if assess else 0
    url = shown(settings.database)
    if as_json:
        return options.print_json({"records": count, "database": url, "digest": footer and footer.digest})
    click.echo(f"{count} records of an exported log replayed into {url}.")
    tell_assessed(assess, assessed)
    look_next(url)


def proved(log: IO[bytes], expect: str | None, unchecked: bool) -> log_file.Footer | None:
    """The footer of a log whose proof agrees. Without one a warning says why, if it is taken `unchecked`."""
    footer: log_file.Footer | None = None
    with progress("reading the log", None) as show:
        try:
            footer = log_file.examine(log, progress=show)
        except LogMismatch as error:
            if not unchecked:
                raise
            say(f"Warning: {error.message}. The log is taken as it stands; nothing proves that it is whole.")
            log.seek(0)
            log_file.examine(log, unchecked=True, progress=show)
    if expect:
        log_file.check_digest(footer, expect)
    return footer


def replay_file(
    settings: Settings,
    file: Path,
    lines: Iterable[bytes],
    until: int | None,
    as_json: bool,
    plan: Sequence[PlannedPack] = (),
    first: int | None = None,
    *,
    assess: bool = False,
) -> int:
    """Replay a file of events. How many letters they left, those of an earlier run of the same file included. `plan`,
    `first`: see `event_file.replay_events`."""
    with writing(settings) as engine, progress("replaying", count_lines(file)) as show:
        replayed = replay_events(engine, lines, name_of(file), until, show, plan, first)
        assessed = assess_all(engine) if assess else 0
        with engine.database.read() as connection:
            letters = {reason: open_ for reason, _, open_ in dead_letters.counts(connection) if open_}
    url = shown(settings.database)
    if as_json:
        options.print_json(msgspec.to_builtins(replayed) | {"letters": letters})
        return sum(letters.values())
    outcomes = ", ".join(f"{count} {outcome}" for outcome, count in sorted(replayed.outcomes.items())) or "none"
    click.echo(f"{replayed.lines} lines read into {url}. Decided in this run: {outcomes}.")
    for number, what in (
        (replayed.packs, "packs of the plan were activated at their instants"),
        (replayed.skipped, "were decided by an earlier run"),
        (replayed.beyond, "lie after --until"),
        (replayed.rejected, "are no valid events"),
    ):
        if number:
            click.echo(f"{number} {what}.")
    tell_assessed(assess, assessed)
    if letters:
        reasons = ", ".join(f"{count} {reason}" for reason, count in sorted(letters.items()))
        click.echo(f"{sum(letters.values())} were refused and kept as dead letters: {reasons}.")
    look_next(url)
    return sum(letters.values())


def tell_assessed(assess: bool, count: int) -> None:
    """How many events the assessor has said, where it was asked to."""
    if assess:
        click.echo(f"{count} events were said by the assessor.")


def look_next(url: str) -> None:
    """Commands with which to go on."""
    click.echo("Look next:")
    for what in ("incident list --overdue", "performance show", "deadletter list", "verify"):
        click.echo(f"  gridpatrol {what} --database {url}")

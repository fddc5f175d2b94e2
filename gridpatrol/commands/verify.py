"""`gridpatrol verify`: does everything that is stored follow from the stored facts, and these from the log?

The number of mismatches is kept for the metric `gridpatrol_reconcile_mismatches`.
"""

import signal
import sys
import tempfile
from collections import Counter
from contextlib import nullcontext
from pathlib import Path

import click

from consumers import verify
from consumers.verify import Mismatch, replayed
from engine import log_file
from engine.errors import LeaseTaken
from engine.lease import Lease
from engine.operations.verifying import recorded
from engine.runtime import Engine
from engine.scratch import check_room, scratch
from engine.settings import Settings
from engine.store import slices
from engine.store.database import Database
from engine.store.meta import write_meta
from engine.store.verifications import VERIFY
from gridpatrol import options
from gridpatrol.options import say
from gridpatrol.render.progress import progress
from gridpatrol.run.closed_years import snapshot
from gridpatrol.run.kept_files import missing
from gridpatrol.run.wiring import reading, settings_of, shown, whole_log

PER_RECORD = 1000
"""Bytes of a record of a topic, which is no part of the size of the database."""


@click.command("verify")
@click.option("--show", "most", default=20, show_default=True, help="How many mismatches to list.")
@click.option("--replay", is_flag=True, help="Also replay the log beside, and compare every fact and outcome.")
@click.option(
    "--log",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Replay this exported log, and compare its records as well. Default: the log of the database or its topic.",
)
@click.option("--expect", metavar="DIGEST", help="Refuse a --log with another digest than its export printed.")
@click.option(
    "--scratch",
    "folder",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Where to put the database of the replay. Default: beside a SQLite database, else where temporary files go.",
)
@options.database
@options.as_json
@click.pass_context
def command(
    ctx: click.Context,
    most: int,
    replay: bool,
    log: Path | None,
    expect: str | None,
    folder: Path | None,
    database: str | None,
    as_json: bool,
) -> None:
    """Recompute incidents, figures, outcomes and alerts from the facts, and compare. Works while a server runs.

    Packs, records, outcomes of events and dead letters are held against each other as well, and files that were sent
    are looked for, by their names and sizes. That shows damage and edits that were made in one place. It does not show
    what decides nothing twice: an edit within the data of a record, an instant moved to another record's, a letter of
    bytes that never entered the log, a sealed text.

    With --replay the log is decided again by this release, in a database beside that is removed afterwards, and every
    fact, incident, outcome of an event, letter, clock and pack is compared: an edit shows unless it was made in the log
    and in all that follows from it. With --log FILE that shows as well, against a log that was exported before.

    Exit status 1 if there is a mismatch.

    \b
    Examples:
      gridpatrol verify --database sqlite:///var/demo.db
      gridpatrol verify --replay
      gridpatrol verify --replay --log log.jsonl --expect 5e15…c0de
    """
    if (log or expect or folder) and not replay:
        raise click.UsageError("--log, --expect and --scratch are of --replay.")
    if expect and not log:
        raise click.UsageError("--expect is of a --log.")
    settings = settings_of(database=database)
    with reading(settings) as opened:
        opened.check_pages()
        live = False
        try:
            Lease(opened).close()
        except LeaseTaken:
            live = True  # a server works on it right now: consumers may be some steps behind
        words = " ".join([VERIFY, *(["--replay"] if replay else []), *(["--log"] if log else [])])
        with recorded(opened, words, options.operator()) as run:
            with progress("verifying", None) as show:
                found = verify.verify(opened, show, live=live, snapshot=snapshot(settings))
            found += missing(settings, opened)
            if replay:
                found += replay_beside(settings, opened, log, expect, folder)
            with opened.begin() as connection:
                write_meta(connection, "reconcile_mismatches", str(len(found)))
            run.counts = dict(counts := Counter(mismatch.what for mismatch in found))
    if as_json:
        options.print_json({"mismatches": found, "count": len(found), "kinds": counts, "live": live})
    else:
        for mismatch in found[:most]:
            click.echo(str(mismatch))
        kinds = ", ".join(f"{count} {what}" for what, count in sorted(counts.items()))
        follows = "the facts, and these from the log" if replay else "the facts"
        result = f"{len(found)} mismatches ({kinds})" if found else f"Everything that is stored follows from {follows}"
        click.echo(f"{result} in {shown(settings.database)}.")
    ctx.exit(1 if found else 0)


def replay_beside(
    settings: Settings, database: Database, log: Path | None, expect: str | None, folder: Path | None
) -> list[Mismatch]:
    """What the log, replayed beside, gives otherwise."""
    if log is not None:
        with log.open("rb") as lines:
            footer = log_file.examine(lines)
        if expect:
            log_file.check_digest(footer, expect)
    if folder is None:
        beside = Path(str(database.url.database)).parent if database.dialect == "sqlite" else tempfile.gettempdir()
        folder = Path(beside)
    with database.read() as connection:
        records = sum(row.position for row in slices.read_partitions(connection))
    needed = database.size() + (records * PER_RECORD if settings.kafka else 0)
    free = check_room(folder, needed)
    say(f"The log is replayed in {folder}, which has {free >> 20} MiB free; about {needed >> 20} MiB are needed.")
    whole = nullcontext(Engine(database, settings)) if log is not None else whole_log(settings, database)
    before = signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that the folder is removed then as well
    try:
        with whole as engine, scratch(folder) as place, progress("replaying", records) as show:
            if log is None:
                return replayed.replayed_beside(engine, place, None, show, snapshot(settings))
            with log.open("rb") as lines:
                return replayed.replayed_beside(engine, place, lines, show, snapshot(settings))
    finally:
        signal.signal(signal.SIGTERM, before)

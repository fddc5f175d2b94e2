"""`gridpatrol whatif`: recorded history under another pack beside what was, without writing to it."""

import signal
import sys
import tempfile
from pathlib import Path

import click

from consumers.performance.consume import consume
from consumers.whatif import compared
from consumers.whatif.deciding import decided
from consumers.whatif.history import Instead
from engine.clock import now_ms
from engine.errors import USAGE, GridpatrolError
from engine.policies import Policies
from engine.rehearsals import rehearse
from engine.scratch import check_room, scratch
from engine.store import slices
from engine.store.database import Database
from engine.store.rows import PackRow
from engine.views.assessment import AssessmentQuestion
from engine.views.names import active_names
from engine.views.questions import BadQuestion
from gridpatrol import collector, options
from gridpatrol.options import say
from gridpatrol.render.progress import progress
from gridpatrol.render.whatif import beside_table
from gridpatrol.run.closed_years import snapshot
from gridpatrol.run.wiring import read_pack, reading, settings_of, whole_log
from workflows.policy import model
from workflows.policy.index import Policy
from workflows.policy.model import Pack


class OtherHomes(GridpatrolError):
    """A pack divides places into homes otherwise than the installation does."""

    exit_status = USAGE
    remedy = "Compare with a pack of the same partition_level: it is fixed at installation."


@click.command("whatif")
@click.option(
    "--pack",
    "name",
    required=True,
    type=options.TEXT,
    help="The other pack: a folder, a shipped pack, or a compiled one as a .json file.",
)
@click.option(
    "--from", "since", required=True, type=options.INSTANT, help="From when on it stands in for the real one."
)
@click.option("--to", "until", type=options.INSTANT, help="Until when history is read; default: to its end.")
@click.option("--case", type=options.TEXT, default="", help="Show where this case differs first.")
@click.option("--show", "most", default=20, show_default=True, help="How many cases that differ to list.")
@click.option("--card", type=options.TEXT, default="", help="Also compare the scores of this card of scorecards.csv.")
@click.option("--period", type=options.TEXT, default="", help="The period of the card; default: the one of --to.")
@click.option(
    "--scratch",
    "folder",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Where to put the two databases. Default: beside a SQLite database, else where temporary files go.",
)
@options.database
@options.as_json
def command(
    name: str,
    since: int,
    until: int | None,
    case: str,
    most: int,
    card: str,
    period: str,
    folder: Path | None,
    database: str | None,
    as_json: bool,
) -> None:
    """Decide recorded history once more under another pack, beside what was, and compare (假如). Nothing is changed.

    The other pack stands in for every one that was activated from --from on. Missed deadlines, alerts, notices, what
    each post was told, places and, with --card, scores stand side by side, and of each case the first difference.

    People acted under the pack that they had. A case that was over and waits under the other one for what nobody was
    asked for is counted apart. What the other pack would have refused is counted and not repaired. What falls due after
    the last record is left open.

    \b
    Examples:
      gridpatrol whatif --pack ./next-year --from 2026-03-01T00:00+08:00
      gridpatrol whatif --pack weiyang --from 2026-03-01T00:00Z --to 2026-03-15T00:00Z --json
    """
    pack = read_pack(name)
    row = PackRow(model.digest(pack), pack.code, pack.title_en, model.encode(pack).decode())
    rehearse(Policy(pack, row.hash), since)
    end = until if until is not None else now_ms()
    if end < since:
        raise click.UsageError("--to lies before --from.")
    asked = AssessmentQuestion(card=card, period=period) if card else None
    settings = settings_of(database=database)
    with reading(settings) as opened, whole_log(settings, opened) as engine:
        with opened.read() as connection:
            check_homes(pack, active_names(connection, Policies()).register.pack)
            records = sum(each.position for each in slices.read_partitions(connection))
        before = signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that the folder is removed then as well
        try:
            with (
                scratch(place_for(opened, folder)) as place,
                progress("deciding twice", 2 * records) as show,
                snapshot(settings)(opened) as connection,
                decided(
                    engine, connection, place, Instead(row, since), end, [consume], show, spare=collector.spare
                ) as sides,
            ):
                found = compared(sides, Instead(row, since), end, most, case, asked)
        except BadQuestion as error:
            raise click.UsageError(str(error)) from error
        finally:
            signal.signal(signal.SIGTERM, before)
    if as_json:
        return options.print_json(found)
    beside_table(found)


def check_homes(other: Pack, active: Pack) -> None:
    """OtherHomes where the other pack cannot stand in for the active one."""
    here, there = active.options.partition_level, other.options.partition_level
    if here != there:
        raise OtherHomes(f"the pack has homes at level {there}, this installation at level {here}")


def place_for(database: Database, folder: Path | None) -> Path:
    """Where two copies have room; says how much they take."""
    if folder is None:
        beside = Path(str(database.url.database)).parent if database.dialect == "sqlite" else tempfile.gettempdir()
        folder = Path(beside)
    needed = 2 * database.size()
    free = check_room(folder, needed)
    say(f"Two databases are made in {folder}, which has {free >> 20} MiB free; about {needed >> 20} MiB are needed.")
    return folder

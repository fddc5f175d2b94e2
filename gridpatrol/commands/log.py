"""`gridpatrol log`: export a run's log, settle records that halt their partition.

An exported log is JSON lines, which `gridpatrol replay` turns into the same facts.
"""

import click
import msgspec

from engine import log_file, replay
from engine.errors import LeaseTaken
from engine.operations import settlements
from engine.operations.settlements import Settled
from gridpatrol import options
from gridpatrol.run.wiring import reading, settings_of, whole_log, writer_of, writing


@click.group("log")
def command() -> None:
    """The inbox log: everything that can change an incident, in order."""


@command.command("export")
@options.output
@click.option(
    "--settle-after", type=options.INSTANT, help="Settle records that are stamped later: they came with the one before."
)
@options.database
def export(output: str, settle_after: int | None, database: str | None) -> None:
    """Write the log: packs, settlements and records with their stamps. What is sealed stays in the database.

    Works while a server runs. Replayed into an empty database it gives the same facts; with --settle-after, those that
    would have been without the clock that was ahead. Checkpoints and a footer in the file prove that nothing of it is
    missing or changed by accident. The digest that is printed last proves that it is this log and no other: keep it
    where the file does not lie, and give it to `gridpatrol replay --expect`. The same log has the same digest, whatever
    database or broker holds it.

    \b
    Examples:
      gridpatrol log export -o log.jsonl
      gridpatrol replay log.jsonl --database sqlite:///var/copy.db
      gridpatrol log export --settle-after 2026-11-22T10:00+08:00 -o settled.jsonl
    """
    settings, line = settings_of(database=database), b""
    with reading(settings) as opened, whole_log(settings, opened) as engine, options.whole_file(output) as out:
        for line in replay.export_log(engine, settle_after):
            out.write(line + b"\n")
    footer = log_file.item_of(line, 0).footer
    assert footer is not None
    click.echo(f"{footer.records} records in {footer.lines + 1} lines. Digest: {footer.digest}", err=output == "-")


@command.command("settle")
@click.argument("partition", type=int)
@click.argument("position", type=int)
@click.option("--skip", is_flag=True, help="Pass over the record; it becomes a dead letter.")
@click.option("--stamp", type=options.INSTANT, help="Decide it as if it had arrived at this instant.")
@click.option("--through", type=int, metavar="POSITION", help="Settle all records up to this one the same way.")
@click.option("--why", type=options.TEXT, default="", help="The reason, kept beside the log.")
@options.server
@options.token_file
@options.database
def settle(
    partition: int, position: int, skip: bool, stamp: int | None, through: int | None, why: str, database: str | None
) -> None:
    """Settle the record at PARTITION POSITION that the engine cannot pass, and let its partition go on.

    A partition halts where a record is stamped more than 30 seconds ahead of the wall clock. What is said of it (see
    /readyz) names the last record at hand that is stamped ahead like it. Set the clock right first.

    \b
    Examples:
      gridpatrol log settle 17 4711 --stamp 2026-11-22T10:00+08:00 --why 'clock of the host was ahead'
      gridpatrol log settle 17 4711 --stamp 2026-11-22T10:00+08:00 --through 4980
      gridpatrol log settle 17 4711 --skip
    """
    if skip == (stamp is not None):
        raise click.UsageError("Say either --skip or --stamp INSTANT.")
    verdict = Settled(partition, position, "skip" if skip else f"stamp:{stamp}", why, through)
    settings = settings_of(database=database)
    try:
        with writing(settings) as engine:
            try:
                settlements.settle(engine, verdict, options.operator())
            except ValueError as error:
                raise click.UsageError(str(error)) from error
            engine.drain(None)
    except LeaseTaken:
        writer_of(settings).post("/v1/operator/settlements", msgspec.json.encode(verdict))
    upto = "" if through is None else f" to {partition}.{through}"
    click.echo(f"Record {partition}.{position}{upto} is settled: {verdict.verdict}.")

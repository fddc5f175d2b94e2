"""`gridpatrol log`: export a run's log, settle records that halt their partition, try again what stands.

An exported log is JSON lines, which `gridpatrol replay` turns into the same facts.
"""

import click
import msgspec

from engine import log_file, replay
from engine.errors import LeaseTaken
from engine.operations import settlements, tries
from engine.operations.settlements import Settled
from engine.operations.tries import Asked, Wanted
from engine.store import incident_queries, standing
from gridpatrol import options, pages
from gridpatrol.render.tables import clock_of, table
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


@command.command("standing")
@options.limit
@options.database
@options.as_json
@options.as_csv
def list_standing(limit: int | None, database: str | None, as_json: bool, as_csv: bool) -> None:
    """List the cases that stand after a defect, the earliest first, and the partitions that halt.

    What comes for such a case waits in order and nothing of it is lost; all others go on. A release without the defect
    decides what waits when it starts.

    \b
    Examples:
      gridpatrol log standing
      gridpatrol log standing --json | jq -r '.cases[].place' | sort | uniq -c
    """
    with reading(settings_of(database=database)) as opened, opened.read() as connection:
        found = standing.listed(connection, pages.asked(limit, as_csv))
        total = sum(count for _, count in standing.counts(connection))
        halted = incident_queries.read_halted(connection)
        clock = clock_of(connection)
    if as_json or as_csv:
        cases = [
            {
                "case": row.case_id,
                "partition": row.partition,
                "position": row.position,
                "since": clock.instant(row.arrival),
                "place": row.place,
                "kind": row.kind,
                "voice": row.voice,
                "tries": row.tries,
                "waiting": waiting,
            }
            for row, waiting in found
        ]
        if as_csv:
            return pages.print_rows(cases)
        stand_still = [{"partition": partition, "why": why} for partition, why in halted]
        return options.print_json({"standing": total, "cases": cases, "halted": stand_still})
    names = ("case", "since", "record", "waiting", "place", "kind", "voice", "tries")
    rows = [
        (
            row.case_id,
            clock.minute(row.arrival),
            f"{row.partition}.{row.position}",
            str(waiting),
            row.place,
            row.kind,
            row.voice,
            str(row.tries),
        )
        for row, waiting in found
    ]
    if rows:
        table(names, rows)
    for partition, why in halted:
        click.echo(f"Partition {partition} stands still: {why}")
    click.echo(f"{total} cases stand." if total else "No case stands.")


@command.command("retry")
@click.argument("case", type=options.TEXT, nargs=-1)
@options.server
@options.token_file
@options.database
@click.pass_context
def retry(ctx: click.Context, case: tuple[str, ...], database: str | None) -> None:
    """Try cases again that stand: each CASE named, or all. Partitions that a defect has halted go on where none is
    named.

    A release without the defect does so by itself when it starts. Status 1 where a case still stands; with a server
    that runs, its owner tries and `gridpatrol log standing` shows what came of it.

    \b
    Examples:
      gridpatrol log retry
      gridpatrol log retry WY01.0191f2a4-7d60-7c5e-9d3a-3f1f6f0a9b11
    """
    settings, left = settings_of(database=database), 0
    try:
        with writing(settings) as engine:
            try:
                asked = tries.ask(engine, Wanted(case), options.operator())
            except ValueError as error:
                raise click.UsageError(str(error)) from error
            engine.drain(engine.now())
            left = sum(row.standing for row in engine.rows.values())
            click.echo(f"Cases tried again: {asked.cases}. Cases that stand now: {left}.")
    except LeaseTaken:
        answer = writer_of(settings).post("/v1/operator/tries", msgspec.json.encode(Wanted(case)))
        asked = msgspec.convert(answer, Asked)
        click.echo(f"Cases to be tried again: {asked.cases}. See `gridpatrol log standing`.")
    ctx.exit(1 if left else 0)

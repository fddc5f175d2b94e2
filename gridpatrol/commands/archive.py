"""`gridpatrol archive`: a closed year leaves the tables, and nothing more comes to what ended in it."""

from pathlib import Path

import click
import msgspec

from engine.errors import LeaseTaken
from engine.operations import leaving
from engine.operations.leaving import ArchiveWanted
from engine.store import archives
from gridpatrol import options, pages
from gridpatrol.render.progress import progress
from gridpatrol.render.tables import clock_of, table
from gridpatrol.run import closed_years
from gridpatrol.run.endings import interrupted_by_sigterm
from gridpatrol.run.wiring import reading, settings_of, writer_of, writing

before = click.option(
    "--before", type=options.INSTANT, required=True, help="What had ended before it, with a zone: a year's first hour."
)


@click.group("archive")
def command() -> None:
    """Archive what ended long ago: it takes nothing more, and its rows leave the tables for files."""


@command.command("preview")
@before
@options.database
@options.as_json
def preview(before: int, database: str | None, as_json: bool) -> None:
    """Count what would leave, and change nothing: cases, their steps and dead letters, and bytes without indexes.

    A case has ended before an instant where its last step arrived before it. Cases of which something is still to come
    are kept for now: they stand, a letter of theirs has its bytes, a notice is not told, or figures have not read them.

    \b
    Example:
      gridpatrol archive preview --before 2025-01-01T00:00+08:00
    """
    with reading(settings_of(database=database)) as opened, opened.read() as connection:
        found = leaving.survey(connection, before)
    if as_json:
        return options.print_json(found)
    out = found.leaving
    click.echo(f"{out.cases} cases with {out.steps} steps and {out.letters} dead letters would leave:")
    click.echo(f"{out.bytes / 1e6:,.1f} MB of rows. Kept for now: {found.kept} cases.")


@command.command("order")
@before
@options.server
@options.token_file
@options.database
def order(before: int, database: str | None) -> None:
    """Archive what had ended before an instant: from now on whatever speaks to such a case is refused (`archived`).

    It is a record of every partition's log, and cannot be taken back. Its rows leave with `gridpatrol archive write`.

    \b
    Example:
      gridpatrol archive order --before 2025-01-01T00:00+08:00
    """
    settings = settings_of(database=database)
    try:
        with writing(settings) as engine:
            engine.drain(engine.now())
            try:
                leaving.order(engine, ArchiveWanted(before), options.operator())
            except ValueError as error:
                raise click.UsageError(str(error)) from error
            engine.drain(None)
    except LeaseTaken:
        writer_of(settings).post("/v1/operator/archives", msgspec.json.encode(ArchiveWanted(before)))
    click.echo(f"What had ended before {options.utc(before)} is archived.")


@command.command("write")
@options.database
@options.as_json
def write(database: str | None, as_json: bool) -> None:
    """Let the rows of archived cases leave for files in the folder of GRIDPATROL_ARCHIVES, also while a server works.

    A file is on the disk and read back before anything leaves. Interrupted, the next run goes on.

    \b
    Example:
      gridpatrol archive write
    """
    settings = settings_of(database=database)
    with reading(settings) as opened, interrupted_by_sigterm(), progress("leaving", None) as show:
        moved = closed_years.write(settings, opened, options.operator(), show)
    told(moved, "have left for", Path(settings.archives), as_json)


@command.command("return")
@click.argument("name", type=options.TEXT, nargs=-1)
@options.database
@options.as_json
def bring_back(name: tuple[str, ...], database: str | None, as_json: bool) -> None:
    """Put the rows of files back into the tables: of each file NAME, or of all. The files stay, and so does what was
    ordered: nothing more comes to these cases.

    \b
    Example:
      gridpatrol archive return && gridpatrol performance rebuild && gridpatrol archive write
    """
    settings = settings_of(database=database)
    with reading(settings) as opened, interrupted_by_sigterm(), progress("returning", None) as show:
        moved = closed_years.bring_back(settings, opened, name, options.operator(), show)
    told(moved, "came back from", Path(settings.archives), as_json)


@command.command("list")
@options.limit
@options.database
@options.as_json
@options.as_csv
def list_files(limit: int | None, database: str | None, as_json: bool, as_csv: bool) -> None:
    """List the files with which cases have left: `gridpatrol verify` and `gridpatrol facts export` read all of them.

    \b
    Examples:
      gridpatrol archive list
      gridpatrol archive list --csv > archives.csv
    """
    with reading(settings_of(database=database)) as opened, opened.read() as connection:
        found, clock = archives.listed(connection), clock_of(connection)
    shown = found[: pages.asked(limit, as_csv)]
    rows = [
        msgspec.to_builtins(row) | {"before": clock.instant(row.before), "written_at": clock.instant(row.written_at)}
        for row in shown
    ]
    if as_csv:
        return pages.print_rows(rows)
    if as_json:
        return options.print_json({"archives": rows, "count": len(found)})
    heads = ("file", "cases", "steps", "letters", "bytes", "SHA-256")
    if shown:
        table(
            heads,
            [(r.name, str(r.cases), str(r.steps), str(r.letters), str(r.size), r.digest[:16]) for r in shown],
            right=(1, 2, 3, 4),
        )
    click.echo(f"{len(found)} files." if found else "Nothing has left.")


def told(moved: closed_years.Moved, what: str, folder: Path, as_json: bool) -> None:
    """Say what was done."""
    if as_json:
        return options.print_json(moved)
    click.echo(f"{moved.cases} cases with {moved.steps} steps and {moved.letters} dead letters {what} {folder}.")
    for name in moved.files:
        click.echo(name)

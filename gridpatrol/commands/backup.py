"""`gridpatrol backup`: a verified copy of the database in one file, while the server serves."""

from pathlib import Path

import click

from gridpatrol import options
from gridpatrol.render.progress import progress
from gridpatrol.render.tables import table
from gridpatrol.run import backup
from gridpatrol.run.endings import interrupted_by_sigterm
from gridpatrol.run.wiring import settings_of


@click.command("backup")
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@options.database
@options.as_json
@click.pass_context
def command(ctx: click.Context, file: Path, database: str | None, as_json: bool) -> None:
    """Back up the database to FILE, also while a server writes to it. FILE must not be there yet.

    FILE is of one instant: everything that was answered before it is in it. It has its name when all of it was read
    back and verified and is on the disk; FILE.sha256 beside it says what it must be when it is restored. It holds what
    people said, so it is its owner's alone.

    Photos and other files lie beside the database, or in a bucket, and are not in it: it says how many there are.

    Of PostgreSQL, make a backup with its own tools: see docs/operations.md.

    \b
    Example:
      gridpatrol backup /backup/gridpatrol-2026-11-28.db
    """
    with interrupted_by_sigterm(), progress("copying", None) as show:
        made = backup.make(settings_of(database=database), file, show)
    if as_json:
        options.print_json(made)
    else:
        heads = ("partition", "next record", "last step", "clock")
        rows = [(p.partition, p.position, p.n, options.utc(p.clock)) for p in made.note.partitions if p.n]
        table(heads, rows, right=(0, 1, 2))
        click.echo(f"{file} is the database as of {options.utc(made.note.at)}: {made.note.steps} steps,")
        click.echo(f"{backup.megabytes(made.bytes)}, SHA-256 {made.sha256}")
        if made.mismatches is None:
            click.echo("Its tables are of an older release: its pages were checked, and nothing was verified.")
        elif not made.mismatches:
            click.echo("It was read back: everything in it follows from the facts.")
    if made.left_out and not as_json:
        options.say(made.left_out)
    if made.mismatches:
        options.say(
            f"The backup is what the database is, and {made.mismatches} things in it do not follow from the facts: "
            "`gridpatrol verify` lists them."
        )
    ctx.exit(1 if made.mismatches else 0)

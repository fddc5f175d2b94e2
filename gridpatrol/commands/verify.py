"""`gridpatrol verify`: does everything that is stored follow from the stored facts?

The number of mismatches is kept for the metric `gridpatrol_reconcile_mismatches`.
"""

import click

from consumers import verify
from engine.errors import LeaseTaken
from engine.lease import Lease
from engine.store.meta import write_meta
from gridpatrol import options
from gridpatrol.render.progress import progress
from gridpatrol.run.wiring import reading, settings_of, shown


@click.command("verify")
@click.option("--show", "most", default=50, show_default=True, help="How many mismatches to list.")
@options.database
@options.as_json
@click.pass_context
def command(ctx: click.Context, most: int, database: str | None, as_json: bool) -> None:
    """Recompute incidents, figures, outcomes and alerts from the facts, and compare. Works while a server runs.

    \b
    Example:
      gridpatrol verify --database sqlite:///var/demo.db
    """
    settings = settings_of(database=database)
    with reading(settings) as opened:
        opened.check_pages()
        live = False
        try:
            Lease(opened).close()
        except LeaseTaken:
            live = True  # a server works on it right now: consumers may be some steps behind
        with progress("verifying", None) as show:
            found = verify.verify(opened, show, live=live)
        with opened.begin() as connection:
            write_meta(connection, "reconcile_mismatches", str(len(found)))
    if as_json:
        options.print_json({"mismatches": found, "count": len(found), "live": live})
    else:
        for mismatch in found[:most]:
            click.echo(str(mismatch))
        result = f"{len(found)} mismatches" if found else "Everything that is stored follows from the facts"
        click.echo(f"{result} in {shown(settings.database)}.")
    ctx.exit(1 if found else 0)

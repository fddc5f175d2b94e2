"""`gridpatrol db`: the schema of a database, what a restored one needs, and its move to another place."""

from contextlib import closing

import click

from consumers.alerts import fold
from consumers.performance import consume
from engine.clock import now_ms
from engine.lease import Lease
from engine.operations.auditing import audited
from engine.store import audit, backup_file, copying, inbox_table, steps
from engine.store.audit import Act
from engine.store.database import open_database
from engine.store.positions import read_positions
from gridpatrol import options
from gridpatrol.render.progress import progress
from gridpatrol.render.tables import table
from gridpatrol.run.wiring import DOOR, is_empty, reading, settings_of, shown


@click.group("db")
def command() -> None:
    """The database and its schema."""


@command.command("upgrade")
@options.database
def upgrade(database: str | None) -> None:
    """Bring the tables to this release, with all servers of the database stopped. Creates them if it is empty.

    What a release of before counted in another way is counted anew; interrupted, the next start of a server goes on.
    Where they are of this release already, nothing is done and servers may run.

    \b
    Example:
      gridpatrol db upgrade --database postgresql://gridpatrol@db.example/gridpatrol
    """
    opened = open_database(settings_of(database=database).database)
    with closing(opened):
        stands, wanted = opened.revisions()
        if stands == wanted:
            click.echo("The schema is of this release already.")
            return
        with closing(Lease(opened)):
            opened.upgrade()
            if stands is not None:
                with opened.begin() as connection:
                    audit.write(connection, options.operator(), Act.DATABASE_UPGRADED, f"{stands} to {wanted}")
                    published = inbox_table.read_origin(connection) is not None
                    last, ends = read_positions(connection, consume.NAME), steps.read_ends(connection)
                with progress("folding", total := sum(ends.values()) - sum(last.values())) as show:
                    consume.fold_rest(opened, lambda folded: show(min(folded, total)), note=published)
    click.echo("The schema is that of this release.")


@command.command("restart-feed")
@options.database
def restart_feed(database: str | None) -> None:
    """Begin the alert feed anew, once, after a database was restored by hand and before its server starts;
    `gridpatrol restore` does so itself, and checks what it restores.

    What was told after the backup is gone from the database, and its numbers are given out again. Subscribers that
    go on after one of them would miss alerts in silence. In a new epoch each of them is sent the event `restarted`,
    then the whole feed; lines that they know have the ids that they had. Nowhere else is it needed: a server that
    stops and starts goes on where it was.

    \b
    Example:
      gridpatrol db restart-feed --database sqlite:///var/gridpatrol.db
    """
    with reading(settings_of(database=database)) as opened:
        lease = Lease(opened)
        try:
            with audited(opened, options.operator(), Act.FEED_RESTARTED, ""):
                epoch = fold.restart_feed(opened)
            with opened.begin() as connection:
                backup_file.mark_restored(connection, now_ms())
        finally:
            lease.close()
    click.echo(f"The alert feed begins anew, as epoch {epoch}.")


@command.command("copy")
@click.option("--from", "source", required=True, metavar="URL", help="SQLAlchemy URL of the database to copy.")
@options.database
@options.as_json
def copy(source: str, database: str | None, as_json: bool) -> None:
    """Copy a whole store into an empty database, of either kind: incidents, log, figures, alerts, dead letters.

    No server may run on either. The target gets everything or nothing: whoever interrupts it starts it again. What was
    written is read back and compared, table by table. The copy is all there is to move; `gridpatrol verify` says
    whether it holds together.

    \b
    Example:
      gridpatrol db copy --from sqlite:///var/gridpatrol.db --database postgresql://gridpatrol@db.example/gridpatrol
    """
    settings = settings_of(database=database)
    with (
        reading(settings_of(database=source)) as old,
        closing(Lease(old)),
        closing(open_database(settings.database)) as new,
        closing(Lease(new)),
    ):
        if is_empty(new):
            new.upgrade()
        new.check_schema()
        with old.begin() as connection:  # first, for it reads all that is sealed; and so that the copy has the row too
            audit.write(connection, options.operator(), Act.DATABASE_COPIED, shown(settings.database))
        with progress("copying and reading back", None) as show:
            copied = copying.copy(old, new, show, but_meta=(DOOR,))
    if as_json:
        options.print_json({name: {"rows": rows, "checksum": checksum} for name, rows, checksum in copied})
        return
    table(("table", "rows", "checksum"), [(name, rows, checksum[:12]) for name, rows, checksum in copied], right=(1,))
    click.echo(f"{sum(t.rows for t in copied)} rows are in {shown(settings.database)}, read back and the same.")

"""`gridpatrol db`: the schema of a database, and what a restored one needs. In: its URL. Out: tables of this release;
an alert feed of a new epoch.
"""

import click

from consumers import alerts
from engine.lease import Lease
from engine.store.database import open_database
from gridpatrol import options
from gridpatrol.opening import reading, settings_of


@click.group("db")
def command() -> None:
    """The database and its schema."""


@command.command("upgrade")
@options.database
def upgrade(database: str | None) -> None:
    """Bring the tables to this release, with all servers of the database stopped. Creates them if it is empty.

    \b
    Example:
      gridpatrol db upgrade --database postgresql://gridpatrol@db.example/gridpatrol
    """
    opened = open_database(settings_of(database=database).database)
    try:
        lease = Lease(opened)
        try:
            opened.upgrade()
        finally:
            lease.close()
    finally:
        opened.close()
    click.echo("The schema is that of this release.")


@command.command("restart-feed")
@options.database
def restart_feed(database: str | None) -> None:
    """Begin the alert feed anew, once, after a database was restored from a backup and before its server starts.

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
            epoch = alerts.restart_feed(opened)
        finally:
            lease.close()
    click.echo(f"The alert feed begins anew, as epoch {epoch}.")

"""`gridpatrol db`: the schema of a database. In: its URL. Out: tables of this release."""

import click

from engine.lease import Lease
from engine.store.database import open_database
from gridpatrol import options
from gridpatrol.opening import settings_of


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

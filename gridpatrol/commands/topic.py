"""`gridpatrol topic`: the topics of the distributed run."""

from functools import partial

import click

from engine.operations.auditing import audited
from engine.principals import Principals
from engine.store.audit import Act
from engine.store.database import open_database
from gridpatrol import options
from gridpatrol.run.wiring import settings_of


@click.group("topic")
def command() -> None:
    """The topics of the distributed run."""


@command.command("create")
@options.database
@click.option("--kafka", metavar="HOST:PORT,...", help="The brokers.")
@click.option("--replication", type=int, default=None, help="Copies of each record; 3 where there are 3 brokers.")
@click.option(
    "--system",
    "systems",
    multiple=True,
    help="A system that publishes over Kafka; those of the principals file are known, and gateways listen to no other.",
)
@click.option("--acls", is_flag=True, help="Give each role and system the rights that it needs, and no more.")
@click.option("--adopt", is_flag=True, help="Go on with the inbox topic as it is, after it was lost or cut.")
@click.option("--lose-undecided", "lose", is_flag=True, help="With --adopt: write off records that nobody decided.")
def create(
    database: str | None,
    kafka: str | None,
    replication: int | None,
    systems: tuple[str, ...],
    acls: bool,
    adopt: bool,
    lose: bool,
) -> None:
    """Create what is missing, and tie the database to its inbox topic. Run it again whenever a system is added.

    A database whose log was a table goes on where the table ends: stop its server first.

    Where the inbox topic was deleted, or records of it before they were decided, the partitions stand still. If it
    cannot be brought back: stop the roles, see with --adopt what is lost, and add --lose-undecided.

    \b
    Example:
      gridpatrol topic create --kafka broker-1:9092 --database postgresql://gridpatrol@db.example/gridpatrol
    """
    from engine.cluster import topics
    from engine.cluster.acls import grant
    from engine.cluster.adopt import adopt as adopt_topic

    settings = settings_of(database=database, kafka=kafka)
    named = [principal.name for principal in Principals(settings.principals)]
    every = sorted({*systems, *named})
    opened = open_database(settings.database)
    try:
        opened.check_schema()
        going_on = partial(adopt_topic, lose=lose) if adopt else None
        how = "create --adopt --lose-undecided" if adopt and lose else "create --adopt" if adopt else "create"
        with audited(opened, options.operator(), Act.TOPICS_CREATED, how):
            done = topics.create(settings, opened, replication, every, going_on)
    finally:
        opened.close()
    for name, what in done.items():
        click.echo(f"{what:8} {name}")
    if unheard := sorted(set(systems) - set(named)):
        file = settings.principals or "GRIDPATROL_PRINCIPALS is not set"
        click.echo(
            f"Nobody listens to {', '.join(unheard)} yet: gateways forward what principals publish, and the "
            f"file of principals ({file}) does not name them.",
            err=True,
        )
    if acls:
        for line in grant(settings, every):
            click.echo(line)

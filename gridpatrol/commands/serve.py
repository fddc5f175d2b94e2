"""`gridpatrol serve`: the engine behind its HTTP door."""

import click

from engine.runtime import Engine
from engine.settings import ROLES
from gridpatrol import options
from gridpatrol.run import process
from gridpatrol.run.wiring import settings_of


@click.command("serve")
@options.listen
@options.database
@options.pack
@click.option("--role", type=click.Choice(ROLES), help="What this process does; all but `all` need Kafka.")
@click.option("--kafka", metavar="HOST:PORT,...", help="Brokers: the log is a topic. Without: a table.")
@click.option("--instance", metavar="NAME", help="This process's name among those of its role, kept over restarts.")
@click.option("--log-format", type=click.Choice(["text", "json"]), help="For people or for machines.")
@click.option("--for", "seconds", type=float, metavar="SECONDS", help="Stop by itself after so long.")
def command(
    listen: str | None,
    database: str | None,
    pack: str | None,
    role: str | None,
    kafka: str | None,
    instance: str | None,
    log_format: str | None,
    seconds: float | None,
) -> None:
    """Serve: take events at the HTTP door, decide them, let clocks run, tell alerts, keep figures.

    Listens on loopback, unless tokens say who may speak. An empty database is set up, with the pack of --pack or
    GRIDPATROL_PACK. Ctrl-C or SIGTERM stops it cleanly; what was answered with 202 is never lost.

    \b
    Examples:
      gridpatrol serve
      gridpatrol serve --database postgresql://gridpatrol@/gridpatrol --pack ./my-district --log-format json
      GRIDPATROL_LISTEN=127.0.0.1:0 gridpatrol serve     (any free port; it is printed)
      gridpatrol serve --kafka broker-1:9092 --role worker --instance worker-1 --listen 127.0.0.1:8421
    """
    settings = settings_of(
        listen=listen, database=database, pack=pack, role=role, kafka=kafka, instance=instance, log_format=log_format
    )
    process.run(settings, opened=announce, seconds=seconds)
    options.say("Stopped; everything that was taken is stored.")


def announce(url: str, engine: Engine) -> None:
    """Where to look."""
    policy = engine.active()
    click.echo(f"gridpatrol listens at {url}")
    if policy is not None:
        click.echo(f"  pack       {policy.pack.code} {policy.pack.title_en} ({policy.hash[:12]})")
    click.echo(f"  database   {engine.database.url.render_as_string(hide_password=True)}")
    if (doubt := engine.wall.doubt()) is not None:
        click.echo(f"  {doubt}")
    for path in (
        "/v1/incidents?overdue=true",
        "/v1/alerts/stream",
        "/v1/performance?by=grid",
        "/metrics",
        "/readyz",
        "/openapi.json",
    ):
        click.echo(f"  {url}{path}")

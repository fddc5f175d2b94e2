"""`gridpatrol alert`: the alerts of a database with their recipients, and the feed of a running server."""

import json
import time

import click

from engine.policies import Policies
from engine.store import alerts
from engine.views.alerts import AlertLine, alert_line
from engine.views.names import active_names, prefix_of
from engine.views.questions import check_definition
from gridpatrol import options, pages
from gridpatrol.client import ServerAway
from gridpatrol.render.alerts import alert_list, alert_members, feed_line
from gridpatrol.run.wiring import NothingThere, reading, server_of, settings_of, writer_of

RETRY_S = 2.0


@click.group("alert")
def command() -> None:
    """Alerts (告警): what falls due, who was told, and what became of it."""


@command.command("list")
@click.option("--status", type=click.Choice(["firing", "withdrawn", "resolved"]), help="Only these.")
@click.option("--grid", type=options.TEXT, default="", help="Only of this grid and all below it.")
@click.option("--clock", type=options.TEXT, help="Only of this clock, e.g. handle.")
@click.option("--rung", type=options.TEXT, help="Only of this rung, e.g. due: one for each deadline missed.")
@click.option("--incident", type=options.TEXT, help="Only of this incident.")
@click.option("--definition", type=options.TEXT, default="", help="Only of cases of this kind.")
@options.limit
@options.database
@options.as_json
@options.as_csv
def list_alerts(
    status: str | None,
    grid: str,
    clock: str | None,
    rung: str | None,
    incident: str | None,
    definition: str,
    limit: int | None,
    database: str | None,
    as_json: bool,
    as_csv: bool,
) -> None:
    """List alerts, the latest first. Who has acknowledged one is ticked (✓).

    \b
    Examples:
      gridpatrol alert list --status firing
      gridpatrol alert list --grid WY --clock handle --rung due --json
    """
    check_definition(definition)
    with reading(settings_of(database=database)) as opened, opened.read() as connection:
        names = active_names(connection, Policies())
        path = prefix_of(names, grid) if grid else "/"
        rows = alerts.listed(
            connection,
            path=path,
            status=status,
            clock=clock,
            rung=rung,
            case=incident,
            definition=definition or None,
            limit=pages.asked(limit, as_csv),
        )
        if as_csv:
            return pages.print_structs(AlertLine, [alert_line(row, names) for row in rows])
    if as_json:
        options.print_json([alert_members(row, names) for row in rows])
    else:
        alert_list(rows, names)


@command.command("follow")
@click.option("--grid", type=options.TEXT, default="", help="Only of this grid and all below it.")
@click.option("--definition", type=options.TEXT, default="", help="Only of cases of this kind.")
@click.option("--kind", type=click.Choice(["alert", "notice"]), help="Only alerts, or only notices.")
@click.option("--post", type=options.TEXT, default="", help="Only what this post is told.")
@click.option("--since", type=options.TEXT, default="", metavar="ID", help="Go on after this last_event_id.")
@click.option("--count", type=click.IntRange(1), help="Stop after so many.")
@options.listen
@options.token_file
@options.database
@options.as_json
def follow(
    grid: str,
    definition: str,
    kind: str | None,
    post: str,
    since: str,
    count: int | None,
    listen: str | None,
    database: str | None,
    as_json: bool,
) -> None:
    """Follow the feed of a running server. A broken line is taken up again where it broke: nothing is missed.

    \b
    Examples:
      gridpatrol alert follow --grid WY
      gridpatrol alert follow --kind notice --post WY01-CHIEF
      gridpatrol alert follow --json --count 1
    """
    settings = settings_of(listen=listen, database=database)
    try:
        server = server_of(settings) if listen else writer_of(settings)
    except NothingThere:
        server = server_of(settings)
    if not server.answers():
        raise ServerAway(f"no server answers at {server.url}")
    last, printed = since, 0
    asked = {"grid": grid or None, "definition": definition or None, "kind": kind, "post": post or None}
    while True:
        try:
            for event, id_, data in server.follow("/v1/alerts/stream", last, **asked):
                if not id_ or id_ == last:
                    continue
                last = id_
                if event != "alert":
                    begins = "The feed has begun anew" if event == "restarted" else "Alerts are followed"
                    options.say(f"{begins} after {id_}; --since {id_} goes on from here.")
                    continue
                printed += 1
                place = {"last_event_id": id_}  # beside the `id` of the alert, which is the same in every sending
                click.echo(json.dumps(place | json.loads(data), ensure_ascii=False) if as_json else feed_line(data))
                if printed == count:
                    return
        except ServerAway as error:
            options.say(f"{error}; trying again")
        time.sleep(RETRY_S)

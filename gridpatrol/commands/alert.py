"""`gridpatrol alert`: who was told what, and the feed as it grows.

In: a database; for `follow`, a running server. Out: alerts, one per line.
"""

import json
import time
from collections.abc import Iterator

import click

from consumers.alerts import fold
from engine.policies import Policies
from engine.settings import Settings
from engine.views.names import Names, active_names, prefix_of
from gridpatrol import options
from gridpatrol.client import Server, ServerAway
from gridpatrol.render import terminal
from gridpatrol.run.wiring import NothingThere, reading, server_of, settings_of

RETRY_S = 2.0


@click.group("alert")
def command() -> None:
    """Alerts (告警): what falls due, who was told, and what became of it."""


@command.command("list")
@click.option("--status", type=click.Choice(["firing", "acknowledged", "withdrawn", "resolved"]), help="Only these.")
@click.option("--grid", default="", help="Only of this grid and all below it.")
@click.option("--clock", help="Only of this clock, e.g. handle.")
@click.option("--incident", help="Only of this incident.")
@click.option("--limit", default=50, show_default=True, type=click.IntRange(1, 10_000), help="How many.")
@options.database
@options.as_json
def list_alerts(
    status: str | None,
    grid: str,
    clock: str | None,
    incident: str | None,
    limit: int,
    database: str | None,
    as_json: bool,
) -> None:
    """List alerts, the latest first.

    \b
    Examples:
      gridpatrol alert list --status firing
      gridpatrol alert list --grid WY --clock handle --json
    """
    with reading(settings_of(database=database)) as opened:
        with opened.read() as connection:
            words = active_names(connection, Policies())
        path = prefix_of(words, grid) if grid else "/"
        rows = fold.listed(opened, path=path, status=status, clock=clock, case=incident, limit=limit)
    if as_json:
        options.print_json([_shown(row, words) for row in rows])
    else:
        terminal.alerts(rows, words)


def _shown(row, words: Names) -> dict:
    posts = json.loads(row.recipients)
    return {
        "id": row.id,
        "case": row.case_id,
        "kind": row.kind,
        "clock": row.clock,
        "level": row.level,
        "cycle": row.cycle,
        "category": row.category,
        "recipients": posts,
        "due_at": words.instant(row.due_at),
        "deadline": words.maybe(row.due),
        "raised_at": words.instant(row.raised_at),
        "not_before": words.maybe(row.not_before),
        "status": row.status,
        "ended_at": words.maybe(row.ended_at),
        "ended_by": row.ended_by,
    }


@command.command("follow")
@click.option("--grid", default="", help="Only of this grid and all below it.")
@click.option("--since", default="", metavar="ID", help="Go on after this last_event_id.")
@click.option("--count", type=click.IntRange(1), help="Stop after so many.")
@options.listen
@options.token_file
@options.database
@options.as_json
def follow(grid: str, since: str, count: int | None, listen: str | None, database: str | None, as_json: bool) -> None:
    """Follow the feed of a running server. A broken line is taken up again where it broke: nothing is missed.

    \b
    Examples:
      gridpatrol alert follow --grid WY
      gridpatrol alert follow --json --count 1
    """
    server = _server(settings_of(listen=listen, database=database), listen)
    if not server.answers():
        raise ServerAway(f"no server answers at {server.url}")
    for number, (id_, data) in enumerate(_lines(server, grid, since), 1):
        place = {"last_event_id": id_}  # beside the `id` of what is told, which is the same in every sending
        click.echo(json.dumps(place | json.loads(data), ensure_ascii=False) if as_json else _line(data))
        if number == count:
            return


def _server(settings: Settings, listen: str | None) -> Server:
    """Where the database's server left its address, unless an address was named."""
    if not listen:
        try:
            with reading(settings) as opened:
                return server_of(settings, opened)
        except NothingThere:
            pass
    return server_of(settings)


def _lines(server: Server, grid: str, last: str) -> Iterator[tuple[str, str]]:
    """The feed without end."""
    while True:
        try:
            for id_, data in server.follow("/v1/alerts/stream", last, grid=grid or None):
                if id_ and id_ != last:
                    last = id_
                    yield id_, data
        except ServerAway as error:
            options.say(f"{error}; trying again")
        time.sleep(RETRY_S)


def _line(data: str) -> str:
    """One line of the feed for people."""
    told = json.loads(data)
    due = terminal.both_clock(told["clock"], told["kind"])
    to = ", ".join(told["recipients"])
    return f"{terminal.both_end(told['what'])}  {due}  {told['case']}  → {to}"

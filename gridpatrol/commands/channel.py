"""`gridpatrol channel`: where alerts are told outside of this house, whether it works, and what was told to whom."""

from typing import Any
from urllib.parse import urlsplit

import click
import msgspec

from consumers.channels.kinds import send
from consumers.channels.message import in_language
from consumers.channels.outcome import Outcome
from consumers.channels.settings import ChannelFile, read_channels
from consumers.channels.trial import example
from engine.clock import now_ms
from engine.errors import GridpatrolError, SettingsError
from engine.settings import Settings
from engine.store import audit, channels, subscriptions
from engine.store.audit import Act
from engine.store.channels import ChannelState
from engine.store.database import open_database
from engine.store.subscriptions import SubscriptionRow
from engine.views.channel_lines import STATUSES, ChannelQuestion, channel_page
from gridpatrol import options, pages
from gridpatrol.render.tables import minute, table
from gridpatrol.render.terms import both
from gridpatrol.run.wiring import exists, is_empty, reading, settings_of
from schemas.line_words import ALERT_ENDS

file_option: options.Decorator = click.option(
    "--channels", "file", metavar="FILE", help="The file of channels; else GRIDPATROL_CHANNELS."
)


class NotTaken(GridpatrolError):
    """A test message was not taken."""


@click.group("channel")
def command() -> None:
    """Channels (渠道): webhooks, chat robots, mail and SMS that tell alerts and notices to people."""


@command.command("check")
@file_option
def check(file: str | None) -> None:
    """Check the file of channels as a server would read it. Exit status 1 if it could not be used.

    \b
    Example:
      gridpatrol channel check --channels channels.toml
    """
    config = config_of(settings_of(channels=file))
    for remark in config.remarks:
        options.say(f"remark: {remark}")
    count = f"{counted(len(config.channels), 'channel')}, {counted(len(config.routes), 'route')}"
    click.echo(f"{count}: the file can be used.")
    options.say("A running server takes a change of it within a second or two; no restart is needed.")


@command.command("list")
@file_option
@options.database
@options.as_json
def list_channels(file: str | None, database: str | None, as_json: bool) -> None:
    """List the channels and the subscriptions, and how each stands: lines of the feed that it has not taken in, lines
    that wait, messages.

    \b
    Example:
      gridpatrol channel list
    """
    settings = settings_of(channels=file, database=database)
    config = config_of(settings) if settings.channels else ChannelFile()
    states, subscribed = states_of(settings, list(config.channels))
    if as_json:
        found = [members_of(config, state) for state in states]
        return options.print_json(found + [members_of_subscription(row, state) for row, state in subscribed])
    rows: list[tuple[Any, ...]] = []
    for state in states:
        known = config.channels.get(state.channel)
        routes = ", ".join(route.name for route in config.routes_of(state.channel)) or "none"
        counts = (state.behind, state.waiting, state.sending, state.sent, state.given_up)
        tried = options.utc(state.tried_at) if state.tried_at else ""
        kind = (known.kind, known.where, routes) if known else ("not in the file", "", "")
        rows.append((state.channel, *kind, *counts, tried, state.reply))
    for row, state in subscribed:
        counts = (state.behind, state.waiting, state.sending, state.sent, state.given_up)
        tried = options.utc(state.tried_at) if state.tried_at else ""
        whose = f"{row.principal}: {row.name}"
        rows.append((row.id, f"subscribed {row.kind}", host_of(row), whose, *counts, tried, state.reply))
    heads = ("channel", "kind", "leads to", "routes", "behind", "waiting", "sending", "sent", "given up")
    table((*heads, "last try", "reply"), rows, right=(4, 5, 6, 7, 8))


@command.command("deliveries")
@click.option("--channel", type=options.TEXT, default="", help="Only of this channel.")
@click.option("--post", type=options.TEXT, default="", help="Only what this post was or is to be told.")
@click.option("--case", type=options.TEXT, default="", help="Only of this case.")
@click.option("--status", type=click.Choice(STATUSES), default=None, help="Only these.")
@options.limit
@options.database
@options.as_json
@options.as_csv
def deliveries(
    status: str | None, limit: int | None, database: str | None, as_json: bool, as_csv: bool, **asked: Any
) -> None:
    """List what channels told: to whom, when, by which route, and what came of it. The latest first.

    \b
    Examples:
      gridpatrol channel deliveries --post WY01-CHIEF
      gridpatrol channel deliveries --channel mail --status given_up --json
    """
    question = ChannelQuestion(status=status or "", **asked)
    page = pages.of_view(settings_of(database=database), channel_page, question, limit, as_csv)
    if page is None:
        return
    if as_json:
        return options.print_json(msgspec.to_builtins(page.deliveries))
    rows = [
        (
            minute(line.told_at),
            line.channel,
            line.post.name,
            both(ALERT_ENDS, line.what),
            line.case,
            line.route,
            line.status,
            minute(line.tried_at) or f"({minute(line.due_at)})",
            line.reply,
        )
        for line in page.deliveries
    ]
    table(("told", "channel", "post", "what", "case", "route", "status", "sent (due)", "reply"), rows)


@command.command("test")
@click.argument("name", type=options.TEXT)
@click.option("--post", type=options.TEXT, default="", help="The post whose address is written to, for mail and SMS.")
@file_option
def send_test(name: str, post: str, file: str | None) -> None:
    """Send a test message by the channel NAME, and show what the other side answers. Exit status 1 if it is not taken.

    \b
    Example:
      gridpatrol channel test robot
    """
    config = config_of(settings_of(channels=file))
    channel = config.channels.get(name)
    if channel is None:
        known = ", ".join(config.channels) or "none"
        raise SettingsError(f"the file has no channel {name!r}; there are: {known}")
    if channel.to and not post:
        post = next(iter(channel.to))
    message = example(channel, config, post)
    click.echo(f"{channel.kind} at {channel.where}: {in_language(message.subject, channel.language)}")
    outcome = send(channel, message, now_ms())
    if outcome.said:
        click.echo(f"it says: {' '.join(outcome.said.split())}")
    if outcome.result != "sent":
        raise NotTaken(said_of(outcome))
    click.echo(f"sent: {outcome.words}")


@command.command("retry")
@click.argument("name", type=options.TEXT)
@options.database
def retry(name: str, database: str | None) -> None:
    """Try anew what the channel NAME has given up. A running server sends it.

    \b
    Example:
      gridpatrol channel retry mail
    """
    settings = settings_of(database=database)
    states, subscribed = states_of(settings, [])
    known = [state.channel for state in states] + [row.id for row, _ in subscribed]
    if name not in known:
        raise click.UsageError(f"no channel {name!r} has told anything; there are: {', '.join(known) or 'none'}")
    with reading(settings) as opened, opened.begin() as connection:
        count = channels.try_again(connection, name, now_ms())
        audit.write(connection, options.operator(), Act.CHANNEL_RETRIED, name)
    click.echo(f"{counted(count, 'message')} of {name} {'is' if count == 1 else 'are'} tried anew.")


# ---- helpers -------------------------------------------------------------------------------------------------


def config_of(settings: Settings) -> ChannelFile:
    """The channels of the settings. SettingsError where no file is named, or it cannot be used."""
    if not settings.channels:
        raise SettingsError("no file of channels is named: give --channels FILE or set GRIDPATROL_CHANNELS")
    return read_channels(settings.channels)


Subscribed = tuple[SubscriptionRow, ChannelState]
"""A subscription, and how it stands."""


def states_of(settings: Settings, names: list[str]) -> tuple[list[ChannelState], list[Subscribed]]:
    """How each channel stands, and each subscription; before a database is there, how each will begin."""
    if not exists(settings.database):
        return [ChannelState(name) for name in names], []
    database = open_database(settings.database)
    try:
        if is_empty(database):
            return [ChannelState(name) for name in names], []
        database.check_schema()
        with database.read() as connection:
            rows = subscriptions.listed(connection)
            subscribed = channels.states_of(connection, [row.id for row in rows])
            return channels.states(connection, names), list(zip(rows, subscribed, strict=True))
    finally:
        database.close()


def host_of(row: SubscriptionRow) -> str:
    """Where a subscription leads to; empty of a stream."""
    return urlsplit(row.url).hostname or ""


def members_of_subscription(row: SubscriptionRow, state: ChannelState) -> dict[str, Any]:
    """A subscription as JSON shows it; no secret and no address is in it."""
    members = {
        "kind": f"subscribed {row.kind}",
        "leads_to": host_of(row) or None,
        "posts": 0,
        "routes": [row.name],
        "principal": row.principal,
    }
    counts: dict[str, Any] = msgspec.to_builtins(state)
    return {"channel": row.id} | members | counts


def members_of(config: ChannelFile, state: ChannelState) -> dict[str, Any]:
    """A channel as JSON shows it; no secret and no address is in it."""
    known = config.channels.get(state.channel)
    members = {
        "kind": known.kind if known else None,
        "leads_to": known.where if known else None,
        "posts": len(known.to) if known else 0,
        "routes": [route.name for route in config.routes_of(state.channel)],
    }
    counts: dict[str, Any] = msgspec.to_builtins(state)
    return {"channel": state.channel} | members | counts


def counted(count: int, what: str) -> str:
    """`1 channel`, `2 channels`."""
    return f"{count} {what}{'s' * (count != 1)}"


def said_of(outcome: Outcome) -> str:
    """What came of a test that was not taken."""
    after = f"; it asks for {outcome.wait_s:g} s of silence" if outcome.wait_s else ""
    return f"not sent: {outcome.words}{after}"

"""`gridpatrol principal`: who may speak, and tokens: of systems for the file, of people in the database."""

import json
from urllib.parse import quote

import click
import msgspec

from engine import principals
from engine.clock import now_ms
from engine.errors import GridpatrolError, LeaseTaken, SettingsError
from engine.operations import tokens
from engine.operations.tokens import Issued, PersonWanted, TokenWanted, Withdrawn
from engine.people import person_of
from engine.principals import Principal, Principals, Written, as_written
from engine.settings import Settings
from engine.store import people
from gridpatrol import options, pages
from gridpatrol.render.tables import table
from gridpatrol.run.wiring import NothingThere, reading, settings_of, writer_of, writing


@click.group("principal")
def command() -> None:
    """Principals: systems and people that may speak, and for which posts."""


@command.command("token")
@click.argument("name")
@options.as_json
def token(name: str, as_json: bool) -> None:
    """Make a token for the principal NAME. It is shown once; the file gets its digest only.

    A principal may have several: add the new one, hand it out, then remove the old one. A running door takes the file
    up within a second.

    \b
    Example:
      gridpatrol principal token hotline
    """
    principals.check_name(name)
    fresh = principals.new_token()
    digest = principals.digest_of(fresh)
    if as_json:
        options.print_json({"principal": name, "token": fresh, "digest": digest})
        return
    click.echo(fresh)
    options.say(
        f"The token of {name}, shown once: it is sent as `Authorization: Bearer TOKEN`. Into the file of "
        f'principals, under `tokens` of [principal.{name}]:\n  "{digest}"'
    )


@command.command("add")
@click.argument("post", type=options.TEXT)
@click.option(
    "--reads",
    multiple=True,
    type=options.TEXT,
    help="own, all, none, or the code of a grid; several times. Without it by the role of the post.",
)
@click.option("--days", type=click.IntRange(1), help="How long the token is good; else GRIDPATROL_TOKEN_DAYS.")
@options.server
@options.token_file
@options.database
@options.as_json
def add(post: str, reads: tuple[str, ...], days: int | None, database: str | None, as_json: bool) -> None:
    """Give a person a token with which to speak for POST. It is shown once; the database keeps its digest only.

    It reads what the post has to do with and, for a chief or a supervisor, the subtree of its grid. Every gateway knows
    it within two seconds. Systems stand in the file of principals, see `gridpatrol principal token`.

    \b
    Examples:
      gridpatrol principal add WY01-01-MEMBER
      gridpatrol principal add WY-DISPATCH --reads WY --days 365
    """
    wanted = PersonWanted(post, written_reads(reads), days)
    settings = settings_of(database=database)
    server = writer_of(settings)
    try:
        with writing(settings, listening=False) as engine:
            issued = tokens.add(engine, wanted, options.operator())
    except tokens.UnknownPost as error:
        raise click.UsageError(str(error)) from error
    except LeaseTaken:
        issued = msgspec.convert(server.post("/v1/operator/people", msgspec.json.encode(wanted)), Issued)
    show_issued(issued, as_json)


def written_reads(words: tuple[str, ...]) -> Written | None:
    """What --reads says, as the file of principals has it."""
    if not words:
        return None
    alone = {"all": True, "none": False}.get(words[0])
    if alone is None:
        return list(words)
    if len(words) > 1:
        raise click.UsageError(f"--reads {words[0]} stands alone")
    return alone


def show_issued(issued: Issued, as_json: bool) -> None:
    """A token, once."""
    if as_json:
        options.print_json(issued)
        return
    click.echo(issued.token)
    options.say(
        f"The token of {issued.principal}, shown once: it is sent as `Authorization: Bearer TOKEN`, until "
        f"{options.utc(issued.expires_at)}."
    )
    if issued.old_until is not None:
        options.say(f"The one before it ends {options.utc(issued.old_until)}.")


@command.command("rotate")
@click.argument("post", type=options.TEXT)
@click.option("--at-once", is_flag=True, help="End the old token now, as when it was lost.")
@click.option("--days", type=click.IntRange(1), help="How long the token is good; else GRIDPATROL_TOKEN_DAYS.")
@options.server
@options.token_file
@options.database
@options.as_json
def rotate(post: str, at_once: bool, days: int | None, database: str | None, as_json: bool) -> None:
    """Give the person of POST a new token. The old one goes on for GRIDPATROL_TOKEN_GRACE_HOURS, unless --at-once.

    \b
    Example:
      gridpatrol principal rotate WY01-01-MEMBER --at-once
    """
    wanted = TokenWanted(at_once, days)
    settings = settings_of(database=database)
    server = writer_of(settings)
    try:
        with writing(settings, listening=False) as engine:
            issued = tokens.rotate(engine, post, wanted, options.operator())
    except LeaseTaken:
        route = f"/v1/operator/people/{quote(post, safe='')}/tokens"
        issued = msgspec.convert(server.post(route, msgspec.json.encode(wanted)), Issued)
    show_issued(issued, as_json)


@command.command("withdraw")
@click.argument("post", type=options.TEXT)
@options.server
@options.token_file
@options.database
@options.as_json
def withdraw(post: str, database: str | None, as_json: bool) -> None:
    """End all tokens of the person of POST: at every gateway within two seconds, streams included.

    \b
    Example:
      gridpatrol principal withdraw WY01-01-MEMBER
    """
    settings = settings_of(database=database)
    server = writer_of(settings)
    try:
        with writing(settings, listening=False) as engine:
            ended = tokens.withdraw(engine, post, options.operator())
    except LeaseTaken:
        route = f"/v1/operator/people/{quote(post, safe='')}/withdrawals"
        ended = msgspec.convert(server.post(route), Withdrawn)
    if as_json:
        options.print_json(ended)
    else:
        click.echo(f"{ended.principal}: ended {ended.tokens} of its tokens")


@command.command("list")
@click.option("--principals", "file", metavar="FILE", help="The file of principals; else GRIDPATROL_PRINCIPALS.")
@options.database
@options.as_json
@options.as_csv
def list_principals(file: str | None, database: str | None, as_json: bool, as_csv: bool) -> None:
    """List who may speak and for whom: systems as a door would read the file, and people of the database, if there is
    one. Exit status 1 if the file could not be read.

    \b
    Example:
      gridpatrol principal list --principals principals.toml
    """
    settings = settings_of(principals=file, database=database)
    persons = persons_of(settings)
    if not settings.principals and not persons:
        raise SettingsError("no file of principals is named: give --principals FILE or set GRIDPATROL_PRINCIPALS")
    found = [(one, 0) for one in Principals(settings.principals)] + persons
    if as_json or as_csv:
        members = [
            msgspec.to_builtins(one)
            | {"codes": sorted(one.codes), "reads": as_written(one.reads), "until": options.utc(until) if until else ""}
            for one, until in found
        ]
        return pages.print_rows(members) if as_csv else options.print_json(members)
    rows = []
    for one, until in found:
        names = [*one.patterns, *sorted(one.codes)]
        more = f" and {len(names) - 5} more" if len(names) > 5 else ""
        speaks_for = ", ".join(names[:5]) + more or "nobody"
        limits = (one.quota.events_per_s, one.quota.streams, one.quota.parked)
        quota = [f"{number:g}" if number else "no limit" for number in limits]
        ends = options.utc(until) if until else ""
        rows.append((one.name, speaks_for, shown_reads(one), "yes" if one.operator else "", *quota, ends))
    table(("principal", "speaks for", "reads", "operator", "events/s", "streams", "parked", "until"), rows)


def persons_of(settings: Settings) -> list[tuple[Principal, int]]:
    """People whose tokens have not ended, and when they do (ms UTC); none where there is no database yet."""
    try:
        with reading(settings) as opened, opened.read() as connection:
            rows = people.listed(connection, now_ms())
    except NothingThere:
        return []
    except GridpatrolError as error:  # the file can be judged without the database
        options.say(f"People are not listed: {error.message}.")
        return []
    return [(person_of(row), row.expires_at) for row in rows]


def shown_reads(principal: Principal) -> str:
    """What a principal reads, in a cell."""
    written = as_written(principal.reads)
    if isinstance(written, dict):
        return "; ".join(f"{kind}: {json.dumps(reach, ensure_ascii=False)}" for kind, reach in written.items())
    if isinstance(written, bool):
        return "yes" if written else ""
    return written if isinstance(written, str) else ", ".join(written)

"""`gridpatrol principal`: who may speak, and a token for one of them."""

import click
import msgspec

from engine import principals
from engine.errors import SettingsError
from engine.principals import Principals
from gridpatrol import options, pages
from gridpatrol.render.tables import table
from gridpatrol.run.wiring import settings_of


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


@command.command("list")
@click.option("--principals", "file", metavar="FILE", help="The file of principals; else GRIDPATROL_PRINCIPALS.")
@options.as_json
@options.as_csv
def list_principals(file: str | None, as_json: bool, as_csv: bool) -> None:
    """List who may speak and for whom, as a door would read the file. Exit status 1 if it could not.

    \b
    Example:
      gridpatrol principal list --principals principals.toml
    """
    settings = settings_of(principals=file)
    if not settings.principals:
        raise SettingsError("no file of principals is named: give --principals FILE or set GRIDPATROL_PRINCIPALS")
    found = list(Principals(settings.principals))
    if as_json or as_csv:
        members = [msgspec.to_builtins(one) | {"codes": sorted(one.codes)} for one in found]
        return pages.print_rows(members) if as_csv else options.print_json(members)
    rows = []
    for one in found:
        names = [*one.patterns, *sorted(one.codes)]
        more = f" and {len(names) - 5} more" if len(names) > 5 else ""
        speaks_for = ", ".join(names[:5]) + more or "nobody"
        limits = (one.quota.events_per_s, one.quota.streams, one.quota.parked)
        quota = [f"{number:g}" if number else "no limit" for number in limits]
        rows.append((one.name, speaks_for, "yes" if one.reads else "", "yes" if one.operator else "", *quota))
    table(("principal", "speaks for", "reads", "operator", "events/s", "streams", "parked"), rows)

"""`gridpatrol audit`: who read what is sealed, erased it, or acted as an operator."""

from collections.abc import Callable

import click
import msgspec

from engine.store import audit
from engine.store.audit import Act
from engine.views.questions import NoActivePack
from gridpatrol import options, pages
from gridpatrol.render.tables import clock_of, minute, table
from gridpatrol.run.wiring import reading, settings_of


@click.group("audit")
def command() -> None:
    """The audit: every reading of what is sealed, every erasure, every act of an operator."""


@command.command("list")
@click.option("--act", type=click.Choice([act.value for act in Act]), help="Only of this act.")
@click.option(
    "--object", "object_", type=options.TEXT, default="", help="Only about this case, letter, record or hash."
)
@click.option("--since", type=options.INSTANT, help="Only from this instant on.")
@click.option("--until", type=options.INSTANT, help="Only before this instant.")
@options.limit
@options.database
@options.as_json
@options.as_csv
def list_acts(
    act: str | None,
    object_: str,
    since: int | None,
    until: int | None,
    limit: int | None,
    database: str | None,
    as_json: bool,
    as_csv: bool,
) -> None:
    """List who did what, when and by which way, the latest first.

    An act whose outcome is `begun` was not heard of again: the process ended in the middle of it.

    \b
    Examples:
      gridpatrol audit list --act sealed.read --since 2026-11-01T00:00+08:00
      gridpatrol audit list --object WY-L3-01.0190c5e2-7bb4-7c21-9a55-d1f4c2b8a001 --json
    """
    with reading(settings_of(database=database)) as opened, opened.read() as connection:
        most = pages.asked(limit, as_csv)
        rows = audit.listed(connection, act=act or "", object_=object_, since=since, until=until, limit=most)
        instant: Callable[[int], str]
        try:
            instant = clock_of(connection).instant
        except NoActivePack:  # topics were created, or a database upgraded, before there was one
            instant = options.utc
    if as_json or as_csv:
        members = [msgspec.to_builtins(row) | {"at": instant(row.at), "at_ms": row.at} for row in rows]
        return pages.print_rows(members) if as_csv else options.print_json(members)
    cells = [(minute(instant(row.at)), row.who, row.act, row.object, row.via, row.outcome) for row in rows]
    table(("at", "who", "act", "object", "via", "outcome"), cells)

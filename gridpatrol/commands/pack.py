"""`gridpatrol pack`: check a locality's folder, activate it, see what was active when.

In: a folder of CSV, TOML and GeoJSON. Out: findings with file, row and remedy; a pack activated through the log.
"""

from datetime import UTC, datetime

import click
import msgspec

from engine.clock import now_ms
from engine.errors import LeaseTaken
from engine.packs import check_folder, folder_of
from engine.settings import Settings
from engine.store import inbox, slices
from gridpatrol import options
from gridpatrol.client import Server
from gridpatrol.run.wiring import read_pack, reading, server_of, settings_of, writing
from workflows.clocks.calendar import Calendar
from workflows.policy import model


@click.group("pack")
def command() -> None:
    """Policy packs: a locality as data."""


@command.command("check")
@click.argument("folder", metavar="DIR")
@options.as_json
@click.pass_context
def check(ctx: click.Context, folder: str, as_json: bool) -> None:
    """Check the pack in DIR: every problem with file, row and remedy. Exit status 1 if one is an error.

    \b
    Examples:
      gridpatrol pack check weiyang
      gridpatrol pack check ./my-district --json
    """
    today = int(datetime.fromtimestamp(now_ms() / 1000, UTC).strftime("%Y%m%d"))
    pack, problems = check_folder(folder, today)
    errors = sum(problem.severity == "error" for problem in problems)
    if as_json:
        digest = model.digest(pack) if pack and not errors else None
        options.print_json({"folder": str(folder_of(folder)), "hash": digest, "problems": problems})
    else:
        for problem in problems:
            click.echo(f"{problem.severity}: {problem}")
        click.echo(_summary(pack, errors, len(problems) - errors))
    ctx.exit(1 if errors else 0)


def _summary(pack: model.Pack | None, errors: int, warnings: int) -> str:
    if pack is None or errors:
        return f"{errors} errors, {warnings} warnings: this pack cannot be activated."
    counts = ", ".join(f"{len(getattr(pack, what))} {what}" for what in ("grids", "posts", "categories", "limits"))
    return f"{pack.title_zh} {pack.title_en}: {counts}; {warnings} warnings. It can be activated."


@command.command("activate")
@click.argument("folder", metavar="DIR")
@options.server
@options.token_file
@options.database
def activate(folder: str, database: str | None) -> None:
    """Activate the pack in DIR, in every partition, through the log.

    Incidents that are open keep the rules they were born under; grids, posts and calendars count from now on.

    \b
    Example:
      gridpatrol pack activate ./my-district
    """
    settings = settings_of(database=database)
    pack = read_pack(folder)
    try:
        with writing(settings) as engine:
            engine.drain(now_ms())
            digest = engine.install(pack, now_ms())
            engine.drain(now_ms())
    except LeaseTaken:
        digest = _activate_there(_server(settings), pack)
    click.echo(f"{pack.code} is active: {digest}")


def _server(settings: Settings) -> Server:
    with reading(settings) as opened:
        return server_of(settings, opened)


def _activate_there(server: Server, pack: model.Pack) -> str:
    digest: str = server.post("/v1/operator/packs", model.encode(pack))["hash"]
    return digest


@command.command("list")
@options.database
@options.as_json
def list_packs(database: str | None, as_json: bool) -> None:
    """List the packs of a database, and since when each is active.

    \b
    Example:
      gridpatrol pack list
    """
    with reading(settings_of(database=database)) as opened, opened.read() as connection:
        rows = inbox.read_packs(connection)
        first = slices.read_partitions(connection)[:1]
    activations: list[tuple[str, int]] = msgspec.json.decode(first[0].packs) if first else []
    listed = [_listed(row.hash, row.body, activations) for row in rows]
    listed.sort(key=lambda item: item["activated_at"][-1:] or [""])
    if as_json:
        options.print_json(listed)
        return
    for item in listed:
        since = f"active since {item['activated_at'][-1]}" if item["active"] else "not active"
        click.echo(f"{item['hash'][:12]}  {item['code']}  {item['title_zh']}  {since}")


def _listed(digest: str, body: str, activations: list[tuple[str, int]]) -> dict:
    pack = model.decode(body.encode())
    calendar = Calendar(pack.calendars[0])
    at = [arrival for hash_, arrival in activations if hash_ == digest]
    return {
        "hash": digest,
        "code": pack.code,
        "title_zh": pack.title_zh,
        "title_en": pack.title_en,
        "active": bool(activations) and activations[-1][0] == digest,
        "activated_at": [_local(calendar, instant) for instant in at],
    }


def _local(calendar: Calendar, instant: int) -> str:
    """An activation's instant; one from before the first event has none."""
    return calendar.local(instant) if instant > 86_400_000 else "ever"

"""`gridpatrol pack`: check a locality's folder, activate it, see what was active when."""

from datetime import UTC, datetime
from typing import Any

import click
import msgspec

from engine.clock import now_ms
from engine.errors import LeaseTaken
from engine.operations.auditing import audited
from engine.packs import check_folder, folder_of
from engine.store import inbox_table, slices
from engine.store.audit import Act
from gridpatrol import options
from gridpatrol.run.wiring import read_pack, reading, settings_of, writer_of, writing
from workflows.clocks.calendar import Calendar
from workflows.policy import model
from workflows.policy.lint.context import LintContext
from workflows.policy.lint.duties import owed_by_period
from workflows.policy.lint.fixings import fixings


@click.group("pack")
def command() -> None:
    """Policy packs: a locality as data."""


@command.command("check")
@click.argument("folder", metavar="DIR")
@options.as_json
@click.pass_context
def check(ctx: click.Context, folder: str, as_json: bool) -> None:
    """Check the pack in DIR: every problem with file, row and remedy. Exit status 1 if one is an error.

    Then it counts the six fixings (六定) that a locality needs: area, people, duty, standard, process. Assessment is
    not asked yet.

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
        for fixing in fixings(LintContext(pack, day=today)) if pack else ():
            lacking = f"; not {fixing.listed}" if fixing.missing else ""
            click.echo(
                f"{fixing.zh} {fixing.en}: {fixing.asked - fixing.lacking} of {fixing.asked} {fixing.of}{lacking}"
            )
        if pack and pack.duties:
            by_period = owed_by_period(LintContext(pack, day=today)).items()
            owed = ", ".join(f"{count:,} each {period.replace('_', '-')}" for period, count in by_period)
            click.echo(f"履职 duties: {len(pack.duties)} in duties.csv; owed by posts: {owed or 'none'}")
        if pack:
            click.echo("定考核 assessment: not asked yet")
        warnings = len(problems) - errors
        if pack is None or errors:
            click.echo(f"{errors} errors, {warnings} warnings: this pack cannot be activated.")
        else:
            tables = ("grids", "posts", "categories", "limits")
            counts = ", ".join(f"{len(getattr(pack, table))} {table}" for table in tables)
            click.echo(f"{pack.title_zh} {pack.title_en}: {counts}; {warnings} warnings. It can be activated.")
    ctx.exit(1 if errors else 0)


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
            engine.drain(engine.now())
            with audited(engine.database, options.operator(), Act.PACK_ACTIVATED, model.digest(pack)):
                digest = engine.install(pack, engine.stamp(engine.rows))
            engine.drain(engine.now())
    except LeaseTaken:
        digest = writer_of(settings).post("/v1/operator/packs", model.encode(pack))["hash"]
    click.echo(f"{pack.code} is active: {digest}")


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
        rows = inbox_table.read_packs(connection)
        first = slices.read_partitions(connection)[:1]
    activations: list[tuple[str, int]] = msgspec.json.decode(first[0].packs) if first else []
    listed = list[dict[str, Any]]()
    for row in rows:
        pack = model.decode(row.body.encode())
        calendar = Calendar(pack.calendars[0])
        active_at = [arrival for digest, arrival in activations if digest == row.hash]
        listed.append(
            {
                "hash": row.hash,
                "code": pack.code,
                "title_zh": pack.title_zh,
                "title_en": pack.title_en,
                "active": bool(activations) and activations[-1][0] == row.hash,
                # A pack that was active before the first event has no instant.
                "activated_at": [calendar.local(at) if at > 86_400_000 else "ever" for at in active_at],
            }
        )
    listed.sort(key=lambda item: item["activated_at"][-1:] or [""])
    if as_json:
        options.print_json(listed)
        return
    for item in listed:
        since = f"active since {item['activated_at'][-1]}" if item["active"] else "not active"
        click.echo(f"{item['hash'][:12]}  {item['code']}  {item['title_zh']}  {since}")

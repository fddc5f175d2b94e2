"""`gridpatrol pack`: check a locality's folder, activate it, see what was active when."""

import re
from collections.abc import Sequence
from datetime import UTC, datetime
from itertools import groupby
from typing import Any

import click
import msgspec

from engine.clock import now_ms
from engine.errors import LeaseTaken, PackUnusable
from engine.operations import activation
from engine.packs import check_folder, folder_of, load_folder, shipped
from engine.settings import Settings
from engine.store import inbox_table, incident_queries, open_counts, slices
from gridpatrol import options, pages
from gridpatrol.render.fixings import fixings_page
from gridpatrol.run.wiring import exists, read_pack, reading, settings_of, writer_of, writing
from workflows.assessment.cards import card_codes
from workflows.clocks.calendar import Calendar
from workflows.pack_diff import Difference, pack_diff
from workflows.policy import model
from workflows.policy.index import Policy
from workflows.policy.lint.context import LintContext
from workflows.policy.lint.duties import owed_by_period
from workflows.policy.lint.fixings import fixings
from workflows.succession import GO_ON, Succession, foreseen


@click.group("pack")
def command() -> None:
    """Policy packs: a locality as data."""


@command.command("check")
@click.argument("folder", metavar="DIR")
@click.option("--report", metavar="FILE", default="", help="Write the six fixings of each grid, a page of A4 each.")
@click.option("--grid", "grids", multiple=True, type=options.TEXT, help="Of this grid only; may be repeated.")
@options.database
@options.as_json
@click.pass_context
def check(
    ctx: click.Context, folder: str, report: str, grids: tuple[str, ...], database: str | None, as_json: bool
) -> None:
    """Check the pack in DIR: every problem with file, row and remedy. Exit status 1 if one is an error.

    Then it counts the six fixings (六定) that a locality needs: area, people, duty, standard, process,
    assessment. Where grids end and name a successor, and there is a database, it says how many of its open cases
    would go on where.

    \b
    Examples:
      gridpatrol pack check weiyang
      gridpatrol pack check ./my-district --json
      gridpatrol pack check weiyang --report sixfixings.html --grid WY01-01
    """
    today = int(datetime.fromtimestamp(now_ms() / 1000, UTC).strftime("%Y%m%d"))
    if grids and not report:
        raise click.UsageError("--grid names pages of a report: give --report FILE as well")
    pack, problems = check_folder(folder, today)
    errors = sum(problem.severity == "error" for problem in problems)
    goes_on = foreseen_in(settings_of(database=database), pack) if pack and not errors else []
    if report and pack and not errors:
        write_report(Policy(pack, model.digest(pack)), grids, report)
    if as_json:
        digest = model.digest(pack) if pack and not errors else None
        told = {"folder": str(folder_of(folder)), "hash": digest, "problems": problems}
        options.print_json(told | ({"successions": goes_on} if goes_on else {}))
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
        for each in goes_on:
            where = f"{each.grid} → {each.successor} after {each.last_day}"
            click.echo(f"网格调整 cut anew: {where}: {each.cases:,} open cases go on there")
        if pack:
            cards = card_codes(pack)
            click.echo(f"定考核 assessment: {len(cards)} cards in scorecards.csv: {', '.join(cards) or 'none'}")
        warnings = len(problems) - errors
        if pack is None or errors:
            click.echo(f"{errors} errors, {warnings} warnings: this pack cannot be activated.")
        else:
            tables = ("grids", "posts", "categories", "limits")
            counts = ", ".join(f"{len(getattr(pack, table))} {table}" for table in tables)
            click.echo(f"{pack.title_zh} {pack.title_en}: {counts}; {warnings} warnings. It can be activated.")
    ctx.exit(1 if errors else 0)


def write_report(register: Policy, grids: Sequence[str], file: str) -> None:
    """Write the six fixings of these grids, or of all that stand now. UsageError for a grid that there is not."""
    at = now_ms()
    standing = [grid.code for grid in register.pack.grids if register.stands(grid, at)]
    if unknown := [code for code in grids if code not in standing]:
        raise click.UsageError(f"{len(unknown)} of these grids are not in the pack now: give codes of grids.csv")
    with options.whole_file(file) as out:
        out.write(fixings_page(register, grids or standing, at).encode())


def foreseen_in(settings: Settings, pack: model.Pack) -> list[Succession]:
    """How many open cases of a database would go on in successors; empty where there is no database, or none ends."""
    if not any(grid.successor for grid in pack.grids) or not exists(settings.database):
        return []
    with reading(settings) as opened, opened.read() as connection:
        places = open_counts.by_path(connection, GO_ON)
    return foreseen(places, Policy(pack, model.digest(pack)), now_ms())


@command.command("activate")
@click.argument("folder", metavar="DIR")
@click.option("--at", type=options.INSTANT, help="From when on it counts, on a database of a history.")
@options.server
@options.token_file
@options.database
def activate(folder: str, at: int | None, database: str | None) -> None:
    """Activate the pack in DIR, in every partition, through the log.

    Incidents that are open keep the rules they were born under; grids, posts and calendars count from now on. On a
    database of a history that was replayed --at says from when on: not before what was replayed, nor after now.

    \b
    Examples:
      gridpatrol pack activate ./my-district
      gridpatrol pack activate ./2015-july --at 2015-07-01T00:00-04:00 --database sqlite:///var/city.db
    """
    settings = settings_of(database=database)
    pack = read_pack(folder)
    try:
        with writing(settings) as engine:
            if at is not None:
                digest = activation.activate_at(engine, pack, at, options.operator())
            else:
                engine.drain(engine.now())
                digest = activation.activate(engine, pack, options.operator())
                engine.drain(engine.now())
    except LeaseTaken:
        if at is not None:
            raise
        digest = writer_of(settings).post("/v1/operator/packs", model.encode(pack))["hash"]
    click.echo(f"{pack.code} is active: {digest}")


@command.command("list")
@options.database
@options.as_json
@options.as_csv
def list_packs(database: str | None, as_json: bool, as_csv: bool) -> None:
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
    if as_json or as_csv:
        return pages.print_rows(listed) if as_csv else options.print_json(listed)
    for item in listed:
        since = f"active since {item['activated_at'][-1]}" if item["active"] else "not active"
        click.echo(f"{item['hash'][:12]}  {item['code']}  {item['title_zh']}  {since}")


@command.command("diff")
@click.argument("old", metavar="A")
@click.argument("new", metavar="B")
@options.database
@options.as_json
@options.as_csv
def diff(old: str, new: str, database: str | None, as_json: bool, as_csv: bool) -> None:
    """Say in words what changes from pack A to pack B, and for whom: limits, days, grids, posts, roles, options.

    A and B are folders, names of shipped packs, or packs of the database: the beginning of a hash that `gridpatrol pack
    list` shows, or `active`.

    \b
    Examples:
      gridpatrol pack diff active ./my-district
      gridpatrol pack diff ./2015 ./2015-july --csv
    """
    settings = settings_of(database=database)
    before, after = named_pack(old, settings), named_pack(new, settings)
    found = pack_diff(before, after)
    if as_csv:
        return pages.print_structs(Difference, found)
    hashes = {"from": model.digest(before), "to": model.digest(after)}
    if as_json:
        return options.print_json(hashes | {"differences": found})
    if not found:
        same = hashes["from"] == hashes["to"]
        click.echo("没有变化。 Nothing changes." if same else "只有行序不同。 Only the order of rows differs.")
    for whom, told in groupby(found, key=lambda each: f"{each.concerns_zh}  {each.concerns_en}"):
        click.echo(f"{whom}")
        for each in told:
            click.echo(f"  {each.zh}\n  {each.en}  [{each.file}]")


def named_pack(name: str, settings: Settings) -> model.Pack:
    """The pack of a folder or of a shipped name, or a stored one by its hash. UsageError where there is none."""
    if folder_of(name).is_dir():
        pack, problems = load_folder(name)
        if pack is None:
            raise PackUnusable(f"the pack in {folder_of(name)} cannot be read: {problems[0]}")
        return pack
    digits = re.fullmatch(r"[0-9a-f]{6,64}|active", name)
    stored = list[str]()
    if digits and exists(settings.database):
        with reading(settings) as opened, opened.read() as connection:
            active = incident_queries.read_active(connection) or ""
            wanted = active if name == "active" else name
            stored = [row.body for row in inbox_table.read_packs(connection) if wanted and row.hash.startswith(wanted)]
    if len(stored) != 1:
        what = "several stored packs" if stored else "no folder, no shipped pack and no stored one"
        raise click.UsageError(f"{name!r} names {what}: give a folder, one of {', '.join(shipped())}, or a hash.")
    return model.decode(stored[0].encode())

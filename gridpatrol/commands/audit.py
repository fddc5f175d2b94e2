"""`gridpatrol audit`: who read what is sealed, erased it, or acted as an operator; and the chains that nobody bends."""

from collections.abc import Callable
from pathlib import Path

import click
import msgspec

from consumers.audit import anchors, verification
from consumers.audit.chainer import Chainer
from engine.clock import now_ms
from engine.errors import ALTERED
from engine.operations.verifying import recorded
from engine.store import audit, chains, verifications
from engine.store.audit import Act
from engine.views.questions import NoActivePack
from gridpatrol import options, pages
from gridpatrol.render.tables import clock_of, minute, table
from gridpatrol.run.chaining import file_of_anchors
from gridpatrol.run.closed_years import folder_of
from gridpatrol.run.wiring import reading, settings_of, shown


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


@command.command()
@click.option(
    "--anchor",
    "others",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    multiple=True,
    help="Hold the chains against these anchors, which somebody else has kept. Default: those of the database alone.",
)
@click.option("--show", "most", default=20, show_default=True, help="How many findings to list.")
@options.database
@options.as_json
@click.pass_context
def verify(ctx: click.Context, others: tuple[Path, ...], most: int, database: str | None, as_json: bool) -> None:
    """Find every step, dead letter and act of the audit that was edited, removed, put in or moved since it was chained,
    what lies sealed of them among it, also in files of what is archived. Works while a server runs.

    What was erased is none of these: its digest stays. Whoever can write to the database can make its chains anew, and
    they will fit one another: against that stand anchors that somebody else has kept.

    Exit status 3 if there is a finding.

    \b
    Examples:
      gridpatrol audit verify
      gridpatrol audit verify --anchor anchors-of-the-inspection.jsonl
    """
    settings = settings_of(database=database)
    with reading(settings) as opened:
        words = verifications.AUDIT + (" --anchor" if others else "")
        with recorded(opened, words, options.operator()) as run:
            lines = [line for file in others for line in anchors.read_file(file)]
            found = verification.verify(opened, folder_of(settings), lines)
            run.counts = verification.counts_of(found.findings)
    if as_json:
        options.print_json(msgspec.to_builtins(found) | {"count": len(found.findings), "kinds": run.counts})
    else:
        for finding in found.findings[:most]:
            click.echo(str(finding))
        for lacks in found.lacking:
            click.echo(f"A restore has said that it lacks what was anchored: {lacks}.")
        looked = f"{found.steps} steps, {found.letters} letters and {found.acts} acts"
        beside = f"{found.waiting} rows are not chained yet, {found.erased} sealed texts are erased"
        result = f"{len(found.findings)} findings" if found.findings else f"Nothing was changed of {looked}"
        click.echo(f"{result}, by {found.anchors} anchors, in {shown(settings.database)}. {beside}.")
    ctx.exit(ALTERED if found.findings else 0)


@command.command("anchor")
@options.database
def anchor(database: str | None) -> None:
    """Make an anchor now, and print its line: chain what there is, and say where all chains stand. Works while a server
    runs, which makes one a day by itself.

    \b
    Example:
      gridpatrol audit anchor >> anchors.jsonl
    """
    settings = settings_of(database=database)
    with reading(settings) as opened:
        with opened.begin() as connection:
            audit.write(connection, options.operator(), Act.ANCHOR_MADE, "anchor")
        Chainer(opened).catch_up()
        with opened.begin() as connection:
            row = anchors.make(connection, now_ms())
        file = file_of_anchors(settings)
        if file is not None:
            anchors.append(opened, file)
    click.echo(row.body)


@command.command("chains")
@options.database
@options.as_json
@options.as_csv
def list_chains(database: str | None, as_json: bool, as_csv: bool) -> None:
    """List the chains with their ends: of the steps of each partition, of dead letters and of acts.

    \b
    Example:
      gridpatrol audit chains
    """
    with reading(settings_of(database=database)) as opened, opened.read() as connection:
        rows, waiting = list(chains.read_chains(connection).values()), chains.count_waiting(connection)
        last = chains.last_anchor(connection)
    members = [{"name": row.name, "epoch": row.epoch, "n": row.n, "hash": row.hash} for row in rows]
    if as_csv:
        return pages.print_rows(members)
    if as_json:
        told = None if last is None else msgspec.json.decode(last.body)
        return options.print_json({"chains": members, "waiting": waiting, "anchor": told})
    if rows:
        cells = [(row.name, str(row.epoch), str(row.n), row.hash) for row in rows]
        table(("chain", "epoch", "links", "hash"), cells, right=(1, 2))
    when = "no anchor yet" if last is None else f"anchor {last.number} of {options.utc(last.at)}"
    click.echo(f"{len(rows)} chains, {waiting} rows are not chained yet, {when}.")

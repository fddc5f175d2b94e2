"""`gridpatrol performance`: counts, rates and durations of a subtree, the same answer as over HTTP; or all folded anew.

In: a question by grid, grouping and period. Out: a table, or JSON with exact numerators and denominators; or figures
that follow from the stored steps once more.
"""

from contextlib import closing
from typing import Any

import click

from consumers.performance import consume
from engine.clock import now_ms
from engine.lease import WRITER, Lease
from engine.policies import Policies
from engine.store import inbox
from engine.views.performance import GROUPINGS, PerformancePage, PerformanceQuestion, performance_page
from engine.views.questions import BadQuestion
from gridpatrol import options
from gridpatrol.render import terminal
from gridpatrol.render.progress import progress
from gridpatrol.run.wiring import reading, settings_of, shown
from workflows.figures import Rate


@click.group("performance")
def command() -> None:
    """Performance figures (考核): 结案率, 按期结案率, 返工率, medians."""


@command.command("show")
@click.option("--grid", default="", help="Of this grid and all below it; default: all.")
@click.option(
    "--by",
    type=click.Choice([name for name in GROUPINGS if name]),
    default="grid",
    show_default=True,
    help="One row per what.",
)
@click.option("--level", default="", help="With --by grid: the grids of this level below.")
@click.option("--period", default="", help="day, week, month, quarter, half, year or all; default: month.")
@click.option("--day", default="", metavar="DAY", help="The period that holds this local day; default: today.")
@click.option("--from", "from_", default="", metavar="DAY", help="First local day, instead of a period.")
@click.option("--to", default="", metavar="DAY", help="Last local day, inclusive.")
@click.option("--department", default="", help="Only of this department.")
@click.option("--group", default="", help="Only of this group of categories.")
@click.option("--category", default="", help="Only of this category.")
@click.option("--post", default="", help="Only of this post.")
@click.option("--published", is_flag=True, help="Beside each row, how it stood when it was published.")
@options.database
@options.as_json
def show_performance(database: str | None, as_json: bool, from_: str, to: str, published: bool, **asked: str) -> None:
    """Show figures by grid, department, group, category, post or day.

    \b
    Examples:
      gridpatrol performance show --grid WY --period month
      gridpatrol performance show --by department --from 2026-03-01 --to 2026-03-31 --json
    """
    question = PerformanceQuestion(since=from_, until=to, published="true" if published else "", **asked)
    with reading(settings_of(database=database)) as opened, opened.read() as connection:
        try:
            found = performance_page(connection, Policies(), question, now_ms())
        except BadQuestion as error:
            raise click.UsageError(str(error)) from error
    if as_json:
        options.print_json(found)
    else:
        figures(found)


@command.command("rebuild")
@options.database
@options.as_json
def rebuild(database: str | None, as_json: bool) -> None:
    """Forget all figures and fold every stored step again, for when `gridpatrol verify` says that they are wrong.

    An embedded server has to be stopped. The roles of a distributed run may work on: its performance role helps, and
    every figure is published again. Until it is done figures are too low; interrupted, it is done by the next start of
    a server, or by running it again.

    \b
    Example:
      gridpatrol performance rebuild --database sqlite:///var/gridpatrol.db && gridpatrol verify
    """
    settings = settings_of(database=database)
    with reading(settings) as opened:
        with opened.read() as connection:
            published = inbox.read_origin(connection) is not None
        with closing(Lease(opened, WRITER, shared=published)):
            total = consume.rebuild(opened, note=published)
            with progress("folding", total) as told:
                folded = 0
                while more := consume.fold_from_store(opened) if published else consume.consume(opened, 2000):
                    folded += more
                    told(min(folded, total))
    if as_json:
        options.print_json({"steps": total, "database": shown(settings.database)})
    else:
        click.echo(f"The figures of {shown(settings.database)} follow from its {total} steps.")


def figures(found: PerformancePage) -> None:
    """A table of figures. A rate from too few cases stands in brackets: it ranks nothing."""
    days = f"{found.since or 'the beginning'} to {found.until or 'now'}"
    click.echo(f"{found.pack} {found.grid} by {found.by or 'all'}, {days}")
    standing = {row.key: row for row in found.standing}
    rows: list[tuple[Any, ...]] = []
    for row in found.rows:
        counts, now = row.counts, standing.get(row.key)
        rows.append(
            (
                row.key,
                row.name,
                counts.get("reported", 0),
                counts.get("closed", 0),
                row.n,
                *(_rate(rate, row.thin) for rate in (row.close_rate, row.on_time_rate, row.rework_rate)),
                terminal.lasted(row.median_ms) if row.median_ms is not None else "",
                terminal.lasted(row.p90_ms) if row.p90_ms is not None else "",
                now.open if now else 0,
                now.overdue if now else 0,
            )
        )
    heads = (
        "key",
        "name",
        "上报 reported",
        "结案 closed",
        "应结案 closable",
        "结案率",
        "按期结案率",
        "返工率",
        "median",
        "p90",
        "在办 open",
        "超期 overdue",
    )
    terminal.table(heads, rows, right=range(2, 12))
    if any(row.thin for row in found.rows):
        click.echo("(in brackets: too few cases to rank)")


def _rate(rate: Rate, thin: bool) -> str:
    if rate.basis_points is None:
        return "-"
    text = f"{rate.basis_points / 100:.2f}%"
    return f"({text})" if thin else text

"""`gridpatrol performance`: counts, rates and durations of a subtree as over HTTP; or all figures folded anew."""

from collections.abc import Callable
from contextlib import closing
from typing import Any

import click

from consumers.performance import consume
from engine.clock import now_ms
from engine.errors import CasesArchived
from engine.lease import WRITER, Lease
from engine.operations.auditing import audited
from engine.policies import Policies
from engine.store import archives, inbox_table
from engine.store.audit import Act
from engine.views.figure_cases import FigureCasesQuestion, figure_cases_page
from engine.views.figure_question import GROUPINGS, PerformanceQuestion
from engine.views.performance import performance_page
from engine.views.questions import BadQuestion
from engine.views.year_before import WORD
from gridpatrol import options, pages
from gridpatrol.render.figures import case_table, figure_table
from gridpatrol.render.progress import progress
from gridpatrol.run.wiring import reading, settings_of, shown
from schemas.instants import written


@click.group("performance")
def command() -> None:
    """Performance figures (考核): 结案率, 按期结案率, 返工率, medians."""


WHICH = (
    click.option(
        "--definition", type=options.TEXT, default="", help="Of this kind of case; default: the pack's main one."
    ),
    click.option("--grid", type=options.TEXT, default="", help="Of this grid and all below it; default: all."),
    click.option("--level", type=options.TEXT, default="", help="With --by grid: the grids of this level below."),
    click.option(
        "--period",
        type=options.TEXT,
        default="",
        help="day, week, half_month, month, quarter, half, year or all; default: month.",
    ),
    click.option(
        "--day",
        type=options.TEXT,
        default="",
        metavar="DAY",
        help="The period that holds this local day; default: today, or where the log ends.",
    ),
    click.option(
        "--from", "from_", type=options.TEXT, default="", metavar="DAY", help="First local day, instead of a period."
    ),
    click.option("--to", type=options.TEXT, default="", metavar="DAY", help="Last local day, inclusive."),
    click.option("--department", type=options.TEXT, default="", help="Only of this department."),
    click.option("--group", type=options.TEXT, default="", help="Only of this group of categories."),
    click.option("--category", type=options.TEXT, default="", help="Only of this category."),
    click.option("--post", type=options.TEXT, default="", help="Only of this post."),
    click.option(
        "--clock", type=options.TEXT, default="", help="One clock alone, at the units that are charged with it."
    ),
    click.option("--campaign", type=options.TEXT, default="", help="Only cases that count as part of this campaign."),
    click.option(
        "--found",
        type=options.TEXT,
        default="",
        metavar="own|others|confirmed",
        help="Of one unit, only cases by who reported them: its own posts, all others, or its own as another counts.",
    ),
)
"""Which figures are asked for."""


def asked(command: Callable[..., None]) -> Callable[..., None]:
    """The options that say which figures are asked for."""
    for option in reversed(WHICH):
        command = option(command)
    return command


@command.command("show")
@click.option(
    "--by",
    type=click.Choice([name for name in GROUPINGS if name]),
    default="grid",
    show_default=True,
    help="One row per what.",
)
@asked
@click.option("--rank", type=options.TEXT, default="", metavar="FIGURE", help="Rank the rows, e.g. on_time_rate.")
@click.option("--order", type=options.TEXT, default="", metavar="desc|asc", help="With --rank; default: best first.")
@click.option("--beside", type=options.TEXT, default="", metavar=WORD, help="The same days of the year before (同比).")
@click.option("--published", is_flag=True, help="Beside each row, how it stood when it was published.")
@options.at
@options.database
@options.as_json
@options.as_csv
def show_performance(
    at: int | None,
    database: str | None,
    as_json: bool,
    as_csv: bool,
    from_: str,
    to: str,
    published: bool,
    **filters: str,
) -> None:
    """Show figures by grid, level, department, group, category, post or day; or by the responsible unit (责任单位) that
    was ordered to rectify: what became of its orders.

    Open cases stand beside them as of the end of the period, or as of now while it runs.

    \b
    Examples:
      gridpatrol performance show --grid WY --period month
      gridpatrol performance show --by department --from 2026-03-01 --to 2026-03-31 --json
      gridpatrol performance show --by department --clock handle
      gridpatrol performance show --by unit --department WY-URBAN
      gridpatrol performance show --grid WY --rank on_time_rate
      gridpatrol performance show --definition petition --period year --beside year_before
      gridpatrol performance show --at 2026-03-31T17:00+08:00
    """
    then, early = "" if at is None else written(at), "true" if published else ""
    question = PerformanceQuestion(since=from_, until=to, published=early, at=then, **filters)
    with reading(settings_of(database=database)) as opened, opened.read() as connection:
        try:
            found = performance_page(connection, Policies(), question, now_ms())
        except BadQuestion as error:
            raise click.UsageError(str(error)) from error
    if found.reading == "last_record" and not (filters["day"] or from_ or to) and found.until:
        options.say(f"The log ends at {found.log_at}: these are the figures of then. --day asks for others.")
    if as_csv:
        pages.print_pages(iter([found]))
    elif as_json:
        options.print_json(found)
    else:
        figure_table(found)


@command.command("cases")
@click.argument("measure", type=options.TEXT)
@click.option(
    "--unit", type=options.TEXT, default="", help="The key of a row; without --by a grid, department or post."
)
@click.option("--by", type=options.TEXT, default="", help="By what the row is one of several, as for `show`.")
@asked
@click.option("--published", is_flag=True, help="Of the figure as it was published.")
@options.limit
@click.option("--cursor", type=options.TEXT, default="", help="Go on where --json said `next`.")
@options.at
@options.database
@options.as_json
@options.as_csv
def show_cases(
    at: int | None,
    database: str | None,
    limit: int | None,
    cursor: str,
    as_json: bool,
    as_csv: bool,
    from_: str,
    to: str,
    published: bool,
    **filters: Any,
) -> None:
    """List the cases behind one figure: MEASURE as `performance show --json` names it, of the row of a unit.

    Counts and rates: each case with what it adds, and on which day. Medians and percentiles: the clocks that they rank,
    from the shortest; an arrow marks the one that the figure names.

    \b
    Examples:
      gridpatrol performance cases on_time_rate --unit WY01 --period month
      gridpatrol performance cases overdue --by department --unit WY-URBAN --day 2026-03-01
      gridpatrol performance cases p90_ms --unit WY --csv > durations.csv
      gridpatrol performance cases held.overdue --unit WY03
    """
    then, early = "" if at is None else written(at), "true" if published else ""
    question = FigureCasesQuestion(since=from_, until=to, published=early, at=then, **filters)
    settings = settings_of(database=database)
    try:
        found = pages.of_view(settings, figure_cases_page, question, limit, as_csv, now=now_ms(), cursor=cursor)
    except BadQuestion as error:
        raise click.UsageError(str(error)) from error
    if found is None:
        return
    if as_json:
        options.print_json(found)
    else:
        case_table(found)


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
            published = inbox_table.read_origin(connection) is not None
            if archives.listed(connection):
                raise CasesArchived("figures are folded from all steps, and some have left for files")
        lease = Lease(opened, WRITER, shared=published)
        with closing(lease), audited(opened, options.operator(), Act.FIGURES_REBUILT, ""):
            total = consume.rebuild(opened, note=published)
            with progress("folding", total) as show:
                consume.fold_rest(opened, lambda folded: show(min(folded, total)), note=published)
    if as_json:
        options.print_json({"steps": total, "database": shown(settings.database)})
    else:
        click.echo(f"The figures of {shown(settings.database)} follow from its {total} steps.")

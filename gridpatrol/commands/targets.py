"""`gridpatrol targets`: what owners have signed for in a year (目标责任书), and what it says."""

import click

from engine.clock import now_ms
from engine.policies import Policies
from engine.views.questions import BadQuestion
from engine.views.targets import TargetDetail, TargetLine, TargetQuestion, target_detail, target_page
from gridpatrol import options, pages
from gridpatrol.render.incidents import spelled
from gridpatrol.render.tables import minute, table
from gridpatrol.run.wiring import reading, settings_of


@click.group("targets")
def command() -> None:
    """Targets (目标责任书): what owners have signed for, what was measured, and what came of it."""


@command.command("list")
@click.option("--owner", type=options.TEXT, default="", help="Only those of this grid or department.")
@click.option("--year", type=options.TEXT, default="", help="Only those of this year.")
@click.option("--target", type=options.TEXT, default="", help="Only this target of targets.csv.")
@click.option("--standing", type=options.TEXT, default="", help="met, missed, unscored, behind, ahead or withdrawn.")
@options.limit
@options.database
@options.as_json
@options.as_csv
def list_targets(
    owner: str,
    year: str,
    target: str,
    standing: str,
    limit: int | None,
    database: str | None,
    as_json: bool,
    as_csv: bool,
) -> None:
    """List targets with the value of their year so far, and why one is not scored.

    \b
    Examples:
      gridpatrol targets list --year 2026
      gridpatrol targets list --standing behind --json
    """
    settings = settings_of(database=database)
    question = TargetQuestion(owner=owner, year=year, target=target, standing=standing)
    try:
        page = pages.of_view(settings, target_page, question, limit, as_csv, now=now_ms())
    except BadQuestion as error:
        raise click.UsageError(str(error)) from error
    if page is None:
        return
    if as_json:
        return options.print_json(page)
    table(("target", "owner", "year", "indicator", "asked", "value", "standing", "why"), map(cells_of, page.targets))
    rest = "; there are more: --limit all" if page.next is not None else ""
    click.echo(f"{len(page.targets)} targets as of {spelled(page.reading, page.as_of)}{rest}.")


@command.command("show")
@click.argument("id_", metavar="ID", type=options.TEXT)
@options.database
@options.as_json
def show_target(id_: str, database: str | None, as_json: bool) -> None:
    """Open the target ID into the numbers of its value, and into everything that was measured.

    \b
    Example:
      gridpatrol targets show NT.016f5e66-e800-7000-8000-000000000000
    """
    with reading(settings_of(database=database)) as opened, opened.read() as connection:
        found = target_detail(connection, Policies(), id_, now_ms())
    if as_json:
        return options.print_json(found)
    print_detail(found)


def cells_of(line: TargetLine) -> tuple[str, ...]:
    """A target as a row."""
    owner = line.department.name if line.department else line.owner.name
    asked = f"{line.comparison} {line.bound} {line.unit}" if line.bound else "未给出 none given"
    why = f"{line.reason_zh} {line.reason_en}".strip()
    standing = f"{line.standing_zh} {line.standing}"
    return line.id, owner, str(line.year), line.indicator_zh, asked, line.value, standing, why


def print_detail(found: TargetDetail) -> None:
    """Print one target, opened."""
    line = found.line
    click.echo(f"{line.indicator_zh} {line.indicator_en}, {line.year}: {line.standing_zh} {line.standing} {line.value}")
    rows = [
        (e.station, e.period, e.number, "✓" if e.within else "", " ".join(e.by), e.standard, e.reason)
        for e in found.counted
    ]
    table(("station", "period", "number", "within", "by", "standard", "why not"), rows)
    click.echo(f"{len(found.values)} measured:")
    for each in found.values:
        parts = ", ".join(f"{item} {value}" for item, value in each.parts.items())
        marks = " 更正 corrects" * each.corrects + " 补录 late" * each.late + " 已被更正 corrected" * (not each.counts)
        click.echo(f"  {minute(each.at)} {each.by.name}: {each.station} {each.period} {each.value or parts}{marks}")
    for score in found.told:
        before = f"; before {score.was} {score.was_value}" if score.was else ""
        click.echo(f"  {minute(score.at)} 评分 scored: {score.outcome} {score.value} {score.reason}{before}")

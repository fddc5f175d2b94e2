"""`gridpatrol deduction`: what supervisions charge (扣款), as over HTTP."""

import click

from engine.clock import now_ms
from engine.policies import Policies
from engine.views.deductions import DeductionPage, DeductionQuestion, deduction_page
from engine.views.questions import BadQuestion
from gridpatrol import options, pages
from gridpatrol.run.wiring import reading, settings_of


@click.group("deduction")
def command() -> None:
    """Deductions (扣款): what supervisions charge to whom, and what was taken back."""


@command.command("list")
@click.option("--year", type=options.TEXT, default="", help="The year; default: the present one.")
@click.option("--grid", type=options.TEXT, default="", help="Of this grid and all below it; default: all.")
@options.database
@options.as_json
@options.as_csv
def list_deductions(year: str, grid: str, database: str | None, as_json: bool, as_csv: bool) -> None:
    """List what was charged in a year, line by line, with the sums of each unit.

    \b
    Examples:
      gridpatrol deduction list --year 2026
      gridpatrol deduction list --grid WY --csv > deductions.csv
    """
    question = DeductionQuestion(year=year, grid=grid)
    with reading(settings_of(database=database)) as opened, opened.read() as connection:
        try:
            found = deduction_page(connection, Policies(), question, now_ms())
        except BadQuestion as error:
            raise click.UsageError(str(error)) from error
    if as_csv:
        pages.print_pages(iter([found]))
    elif as_json:
        options.print_json(found)
    else:
        print_sheet(found)


def yuan(fen: int) -> str:
    """`1,000,000.00` of 100,000,000 fen, exactly."""
    whole, rest = divmod(abs(fen), 100)
    return f"{'-' if fen < 0 else ''}{whole:,}.{rest:02d}"


def print_sheet(page: DeductionPage) -> None:
    """Print the sums of each unit, and its lines."""
    click.echo(f"{page.year} {page.grid}".rstrip())
    for unit in page.units:
        sums = f"扣款 charged {yuan(unit.charged_fen)}, 冲回 taken back {yuan(unit.countered_fen)}"
        click.echo(f"  {unit.unit.code} {unit.unit.name}: {sums}, 结余 balance {yuan(unit.balance_fen)} 元 yuan")
        for line in page.lines:
            if (line.kind, line.unit.code) == (unit.kind, unit.unit.code):
                click.echo(
                    f"    {line.day}  {yuan(line.amount_fen)}  {line.action} {line.document}  {line.supervision}"
                )
    if not page.units:
        click.echo("  无 nothing was charged")

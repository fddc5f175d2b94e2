"""`gridpatrol assess`: the sheet of a scorecard and a period, as over HTTP."""

import click

from engine.clock import now_ms
from engine.policies import Policies
from engine.views.assessment import AssessmentQuestion
from engine.views.questions import BadQuestion
from engine.views.stored_sheets import sheet_page
from gridpatrol import options, pages
from gridpatrol.render.assessment import sheet_table
from gridpatrol.run.wiring import reading, settings_of
from schemas.instants import written


@click.command("assess")
@click.option("--card", type=options.TEXT, default="", help="A card of scorecards.csv; default: the only one.")
@click.option(
    "--period",
    type=options.TEXT,
    default="",
    help="2026, 2026-H1, 2026-Q3 or 2026-08, as the card assesses, or a day in it; default: the present one.",
)
@click.option("--hash", "hash_", type=options.TEXT, default="", help="A stored sheet, as an assessment names it.")
@options.at
@options.database
@options.as_json
@options.as_csv
def command(
    card: str, period: str, hash_: str, at: int | None, database: str | None, as_json: bool, as_csv: bool
) -> None:
    """Compute the sheet of a scorecard (考核打分、排名): points and places of each subject, and what the card proposes.

    Nothing is published by it. With --hash it is one that was stored, as it was published. --json has for each line the
    questions that list the cases behind it.

    \b
    Examples:
      gridpatrol assess --card QUARTER --period 2026-Q3
      gridpatrol assess --card QUARTER --period 2026-Q3 --csv > sheet.csv
    """
    question = AssessmentQuestion(card=card, period=period, at="" if at is None else written(at), hash=hash_)
    with reading(settings_of(database=database)) as opened, opened.read() as connection:
        try:
            found = sheet_page(connection, Policies(), question, now_ms())
        except BadQuestion as error:
            raise click.UsageError(str(error)) from error
    if as_csv:
        pages.print_pages(iter([found]))
    elif as_json:
        options.print_json(found)
    else:
        sheet_table(found)

"""`gridpatrol duty`: what a post owes (履职), and what became of it, as a calendar of its month."""

import click

from engine.clock import now_ms
from engine.views.duties import DutyQuestion, duty_page
from engine.views.questions import BadQuestion
from gridpatrol import options, pages
from gridpatrol.render.duties import print_duties
from gridpatrol.run.wiring import settings_of


@click.group("duty")
def command() -> None:
    """Duties (履职): patrols, rounds and contacts that posts owe in each period."""


@command.command("show")
@click.argument("post", type=options.TEXT)
@click.option("--month", "period", flag_value="month", default=True, help="Its month (also without this).")
@click.option("--week", "period", flag_value="week", help="Its week.")
@click.option("--day", type=options.TEXT, default="", metavar="DAY", help="That holds this local day; default: today.")
@options.database
@options.as_json
@options.as_csv
def show_duties(post: str, period: str, day: str, database: str | None, as_json: bool, as_csv: bool) -> None:
    """Show what POST owes in a month: its patrols as a calendar, its rounds as a list.

    \b
    Examples:
      gridpatrol duty show WY01-01-MEMBER --month
      gridpatrol duty show WY01-SPONSOR --day 2026-03-01 --json
    """
    settings, question = settings_of(database=database), DutyQuestion(post=post, period=period, day=day)
    try:
        page = pages.of_view(settings, duty_page, question, options.EVERY, as_csv, now=now_ms())
    except BadQuestion as error:
        raise click.UsageError(str(error)) from error
    if page is None:
        return
    if as_json:
        options.print_json(page)
    else:
        print_duties(post, page)

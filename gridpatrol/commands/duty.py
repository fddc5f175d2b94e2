"""`gridpatrol duty`: what a post owes (履职), and what became of it, as a calendar of its month."""

import click
from msgspec.structs import replace

from engine.clock import now_ms
from engine.policies import Policies
from engine.views.duties import DutyPage, DutyQuestion, duty_page
from engine.views.questions import BadQuestion
from gridpatrol import options, pages
from gridpatrol.render.duties import print_duties
from gridpatrol.run.wiring import reading, settings_of


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
    policies, question, now = Policies(), DutyQuestion(post=post, period=period, day=day), now_ms()
    with reading(settings_of(database=database)) as opened, opened.read() as connection:

        def ask(after: str, size: int) -> DutyPage:
            return duty_page(connection, policies, replace(question, cursor=after, limit=size), now)

        try:
            found = pages.each_page(ask, "", options.EVERY)
            if as_csv:
                return pages.print_pages(found)
            page = pages.whole(found)
        except BadQuestion as error:
            raise click.UsageError(str(error)) from error
    if as_json:
        options.print_json(page)
    else:
        print_duties(post, page)

"""`gridpatrol duty`: what a post owes (履职), and what became of it, as a calendar of its month."""

import click
import msgspec

from engine.clock import now_ms
from engine.policies import Policies
from engine.views.duties import MOST, DutyPage, DutyQuestion, duty_page
from engine.views.questions import BadQuestion
from gridpatrol import options
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
def show_duties(post: str, period: str, day: str, database: str | None, as_json: bool) -> None:
    """Show what POST owes in a month: its patrols as a calendar, its rounds as a list.

    \b
    Examples:
      gridpatrol duty show WY01-01-MEMBER --month
      gridpatrol duty show WY01-SPONSOR --day 2026-03-01 --json
    """
    pages = list[DutyPage]()
    with reading(settings_of(database=database)) as opened, opened.read() as connection:
        question = DutyQuestion(post=post, period=period, day=day, limit=MOST)
        try:
            while not pages or pages[-1].next:
                cursor = pages[-1].next if pages else None
                asked = msgspec.structs.replace(question, cursor=cursor or "")
                pages.append(duty_page(connection, Policies(), asked, now_ms()))
        except BadQuestion as error:
            raise click.UsageError(str(error)) from error
    page = DutyPage([line for each in pages for line in each.duties], *msgspec.structs.astuple(pages[-1])[1:])
    if as_json:
        options.print_json(page)
    else:
        print_duties(post, page)

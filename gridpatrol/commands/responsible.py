"""`gridpatrol responsible`: who must act on a problem in a grid."""

import click

from engine.clock import now_ms
from engine.policies import Policies
from engine.views.questions import BadQuestion
from engine.views.responsible import ResponsibleQuestion, responsible
from gridpatrol import options
from gridpatrol.render.responsible import print_responsible
from gridpatrol.run.wiring import reading, settings_of
from schemas.instants import written


@click.command("responsible")
@click.option("--grid", type=options.TEXT, required=True, help="Where the problem lies.")
@click.option("--category", type=options.TEXT, default="", help="Of this category; default: of any.")
@options.at
@options.lang
@options.database
@options.as_json
def command(grid: str, category: str, at: int | None, lang: str, database: str | None, as_json: bool) -> None:
    """Show who must act on a problem in a grid (谁来管): the owner and its posts, the department, who leads and who
    assists by which text, the party and the government post, and how long each step may take.

    \b
    Examples:
      gridpatrol responsible --grid WY01-01 --category D3-01
      gridpatrol responsible --grid WY01 --at 2026-03-02T09:00+08:00 --lang en
    """
    question = ResponsibleQuestion(grid=grid, category=category, at="" if at is None else written(at))
    with reading(settings_of(database=database)) as opened, opened.read() as connection:
        try:
            found = responsible(connection, Policies(), question, now_ms())
        except BadQuestion as error:
            raise click.UsageError(str(error)) from error
    if as_json:
        options.print_json(found)
    else:
        print_responsible(found, lang)

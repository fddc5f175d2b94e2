"""`gridpatrol responsibility`: what bodies answer for, and who has signed it."""

import click

from engine.clock import now_ms
from engine.views.questions import BadQuestion
from engine.views.signatures import MOST, SignatureQuestion, list_page
from gridpatrol import options, pages
from gridpatrol.render.responsible import print_lists
from gridpatrol.run.wiring import settings_of


@click.group("responsibility")
def command() -> None:
    """Responsibilities (责任清单): the lists of bodies, and who has signed them."""


@command.command("list")
@click.option("--body", type=options.TEXT, default="", help="The list of this body.")
@click.option("--grid", type=options.TEXT, default="", help="Lists of the bodies of this grid's subtree.")
@click.option("--post", type=options.TEXT, default="", help="Lists that this post signs.")
@click.option("--unsigned", is_flag=True, help="Only lists that somebody has still to sign.")
@options.limit
@options.database
@options.as_json
@options.as_csv
def list_all(
    body: str,
    grid: str,
    post: str,
    unsigned: bool,
    limit: int | None,
    database: str | None,
    as_json: bool,
    as_csv: bool,
) -> None:
    """List the responsibilities of bodies (责任清单) with their hashes, and who has signed them as they are now.

    \b
    Examples:
      gridpatrol responsibility list --unsigned
      gridpatrol responsibility list --post WY-CHIEF --json
    """
    question = SignatureQuestion(body=body, grid=grid, post=post, unsigned=unsigned)
    settings = settings_of(database=database)
    try:
        page = pages.of_view(settings, list_page, question, limit, as_csv, now=now_ms(), most=MOST)
    except BadQuestion as error:
        raise click.UsageError(str(error)) from error
    if page is None:
        return
    if as_json:
        options.print_json(page)
    else:
        print_lists(page)

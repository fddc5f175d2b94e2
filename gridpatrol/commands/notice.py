"""`gridpatrol notice`: who was told of which move of a case."""

from typing import Any

import click
import msgspec

from engine.views.notices import NoticeQuestion, notice_page
from gridpatrol import options, pages
from gridpatrol.render.alerts import notice_list
from gridpatrol.run.wiring import settings_of
from workflows.policy.moves import MOVES


@click.group("notice")
def command() -> None:
    """Notices (告知): work that arrived, copies, decisions and endings, and who was told of them."""


@command.command("list")
@click.option("--on", type=click.Choice(MOVES), default=None, help="Only of this move.")
@click.option("--grid", type=options.TEXT, default="", help="Only of this grid and all below it.")
@click.option("--post", type=options.TEXT, default="", help="Only what this post is told.")
@click.option("--case", type=options.TEXT, default="", help="Only of this case.")
@click.option("--definition", type=options.TEXT, default="", help="Only of cases of this kind.")
@options.limit
@options.database
@options.as_json
@options.as_csv
def list_notices(
    on: str | None, limit: int | None, database: str | None, as_json: bool, as_csv: bool, **asked: Any
) -> None:
    """List notices, the latest first.

    \b
    Examples:
      gridpatrol notice list --post WY01-CHIEF
      gridpatrol notice list --on returned --grid WY --json
    """
    question = NoticeQuestion(on=on or "", **asked)
    page = pages.of_view(settings_of(database=database), notice_page, question, limit, as_csv)
    if page is None:
        return
    if as_json:
        options.print_json(msgspec.to_builtins(page.notices))
    else:
        notice_list(page.notices)

"""`gridpatrol notice`: who was told of which move of a case."""

from typing import Any

import click
import msgspec

from engine.policies import Policies
from engine.views.notices import NoticeQuestion, notice_page
from gridpatrol import options
from gridpatrol.render.alerts import notice_list
from gridpatrol.run.wiring import reading, settings_of
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
@click.option("--limit", default=50, show_default=True, type=click.IntRange(1, 500), help="How many.")
@options.database
@options.as_json
def list_notices(on: str | None, limit: int, database: str | None, as_json: bool, **asked: Any) -> None:
    """List notices, the latest first.

    \b
    Examples:
      gridpatrol notice list --post WY01-CHIEF
      gridpatrol notice list --on returned --grid WY --json
    """
    settings = settings_of(database=database)
    with reading(settings) as opened, opened.read() as connection:
        question = NoticeQuestion(on=on or "", limit=limit, **asked)
        page = notice_page(connection, Policies(), question, 0)
    if as_json:
        options.print_json(msgspec.to_builtins(page.notices))
    else:
        notice_list(page.notices)

"""`gridpatrol task`: what waits for a post, and what it may say."""

import click

from engine.clock import now_ms
from engine.views.questions import BadQuestion
from engine.views.task_codes import TaskCodeQuestion, task_code_page
from engine.views.tasks import MOST, TaskQuestion, task_page
from gridpatrol import options, pages
from gridpatrol.render.incidents import spelled
from gridpatrol.render.tables import minute, table
from gridpatrol.run.wiring import settings_of


@click.group("task")
def command() -> None:
    """Tasks (待办, 任务): what waits for a post, and what was given under a code."""


@command.command("list")
@click.option("--post", type=options.TEXT, required=True, help="What waits for this post.")
@options.limit
@options.database
@options.as_json
@options.as_csv
def list_tasks(post: str, limit: int | None, database: str | None, as_json: bool, as_csv: bool) -> None:
    """List what waits for a post: cases on which it must act, and its duties, with what is left of the clock.

    \b
    Examples:
      gridpatrol task list --post WY01-CHIEF
      gridpatrol task list --post WY01-01-MEMBER --json
    """
    settings, question = settings_of(database=database), TaskQuestion(post=post)
    try:
        page = pages.of_view(settings, task_page, question, limit, as_csv, now=now_ms(), most=MOST)
    except BadQuestion as error:
        raise click.UsageError(str(error)) from error
    if page is None:
        return
    if as_json:
        return options.print_json(page)
    rows = [
        (
            line.id,
            f"{line.task.zh} {line.task.en}",
            line.path[-1].name if line.path else "",
            line.category.name_zh if line.category else line.duty.duty.name if line.duty else "",
            minute(line.due_at),
            line.clock.remaining.zh if line.clock and line.clock.remaining else "",
            " ".join(each.trigger for each in line.allowed if each.works),
        )
        for line in page.tasks
    ]
    table(("case", "task", "place", "about", "due", "left", "may say"), rows)
    rest = "; there are more: --limit all" if page.next is not None else ""
    click.echo(f"{len(rows)} tasks as of {spelled(page.reading, page.as_of)}{rest}.")


@command.command("code")
@click.argument("code", type=options.TEXT)
@click.option("--grid", type=options.TEXT, default="", help="Only those of this grid's subtree.")
@options.limit
@options.database
@options.as_json
@options.as_csv
def show_code(code: str, grid: str, limit: int | None, database: str | None, as_json: bool, as_csv: bool) -> None:
    """Show the tasks (任务) that were given under CODE: to whom, how much is done, who is late.

    \b
    Examples:
      gridpatrol task code ready-2026
      gridpatrol task code ready-2026 --grid WY01 --json
    """
    settings, question = settings_of(database=database), TaskCodeQuestion(code=code, grid=grid)
    try:
        page = pages.of_view(settings, task_code_page, question, limit, as_csv, now=now_ms())
    except BadQuestion as error:
        raise click.UsageError(str(error)) from error
    if page is None:
        return
    if as_json:
        return options.print_json(page)
    rows = [
        (
            line.id,
            line.department.name if line.department else line.owner.name,
            f"{line.state_zh} {line.state}",
            f"{line.done}/{line.quantity} {line.counted_in}",
            line.due,
            "逾期 late" if line.late else "",
        )
        for line in page.tasks
    ]
    table(("task", "owner", "state", "done", "due", ""), rows)
    done = ", ".join(f"{each.done}/{each.quantity} {each.counted_in}" for each in page.amounts)
    rest = "; there are more: --limit all" if page.next is not None else ""
    said = f"{page.owners} owners, {page.late} late, done {done or '0'}"
    click.echo(f"{code}: {said} as of {spelled(page.reading, page.as_of)}{rest}.")

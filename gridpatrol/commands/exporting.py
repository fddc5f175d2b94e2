"""`gridpatrol export`: one map, one net, one set of standards (一张图、一张网、一套标准), for other programs."""

from collections.abc import Callable
from typing import Any, TypeVar

import click

from engine.clock import now_ms
from engine.policies import Policies
from engine.store.database import Connection
from engine.views import locality
from engine.views.locality import GridQuestion, grid_collection
from engine.views.questions import BadQuestion
from gridpatrol import options, pages
from gridpatrol.run.wiring import reading, settings_of

T = TypeVar("T")


@click.group("export")
def command() -> None:
    """The active policy pack for other programs: its map, its organisation, its workflow."""


@command.command("map")
@click.option("--grid", type=options.TEXT, default="", help="Of this grid and all below it; default: all.")
@click.option("--definition", type=options.TEXT, default="", help="Open cases of this kind; default: the main one.")
@options.database
def export_map(grid: str, definition: str, database: str | None) -> None:
    """The grids as GeoJSON (一张图): borders, names, owners, and what is open and overdue in each.

    \b
    Example:
      gridpatrol export map --grid WY > weiyang.geojson
    """
    question = GridQuestion(grid=grid, definition=definition)
    options.print_json(answer_of(database, lambda read, policies: grid_collection(read, policies, question, now_ms())))


@command.command("organisation")
@click.option(
    "--csv", "part", type=click.Choice(["grids", "departments", "posts"]), help="One of its tables as CSV, not JSON."
)
@options.database
def export_organisation(part: str | None, database: str | None) -> None:
    """Grids, departments and posts (一张网).

    \b
    Example:
      gridpatrol export organisation --csv posts > posts.csv
    """
    found = answer_of(database, locality.organisation)
    if part is None:
        options.print_json(found)
    else:
        rows: list[Any] = getattr(found, part)
        pages.print_structs(locality.ENTRIES[part], rows)


@command.command("workflow")
@options.database
@options.as_csv
def export_workflow(database: str | None, as_csv: bool) -> None:
    """The states, transitions, clocks and limits in force (一套标准); as CSV the limits alone.

    \b
    Example:
      gridpatrol export workflow > workflow.json
    """
    found = answer_of(database, locality.workflow)
    if as_csv:
        pages.print_structs(locality.LimitEntry, found.limits)
    else:
        options.print_json(found)


def answer_of(database: str | None, question: Callable[[Connection, Policies], T]) -> T:
    """What a view answers on a database."""
    with reading(settings_of(database=database)) as opened, opened.read() as connection:
        try:
            return question(connection, Policies())
        except BadQuestion as error:
            raise click.UsageError(str(error)) from error

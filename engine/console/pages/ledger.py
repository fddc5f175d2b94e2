"""台账: the cases that were reported in a period, to look through, and to take along as a file."""

from functools import partial
from typing import Any

from litestar import Request, Response, get
from litestar.di import NamedDependency
from litestar.response import Stream

from engine.console.pages.ranking import Day, Grid, Kind, Lang, Period
from engine.console.rendering import page
from engine.http.context import DoorContext
from engine.http.ledger import XLSX, as_csv, as_workbook, opened
from engine.principals import Principal
from engine.views.ledger import COLUMNS, PAGE, LedgerQuestion, read_rows
from workflows.definitions import DEFINITIONS
from workflows.figures import PERIODS

SHOWN = 50
"""Rows of the preview."""
PREVIEW = ("number", "state", "reported_at", "place", "category", "owner", "due", "ended_at", "result", "late_by")
"""The columns of the preview; a file has all."""
PLACES = {column.name: number for number, column in enumerate(COLUMNS)}


@get("/ledger", include_in_schema=False)
async def show_ledger(
    request: Request[Principal, Any, Any],
    context: NamedDependency[DoorContext],
    definition: Kind = "",
    grid: Grid = "",
    period: Period = "",
    day: Day = "",
    lang: Lang = "",
) -> Response[Any]:
    """What was reported, and what became of it."""
    question = LedgerQuestion(definition=definition, grid=grid, period=period, day=day)
    found = await opened(context, request.user, question)
    rows, after = await context.read(partial(read_rows, asked=found, after=None))
    return page(
        request,
        "ledger.html",
        found=found,
        question=question,
        columns=[COLUMNS[PLACES[name]] for name in PREVIEW],
        rows=[{name: row[PLACES[name]] for name in (*PREVIEW, "id")} for row in rows[:SHOWN]],
        count=len(rows),
        more=PAGE if after is not None else 0,
        periods=PERIODS,
        kinds=[kind for kind in DEFINITIONS.values() if kind.listed != "never"],
    )


@get("/ledger.csv", include_in_schema=False, media_type="text/csv")
async def ledger_as_csv(
    request: Request[Principal, Any, Any],
    context: NamedDependency[DoorContext],
    definition: Kind = "",
    grid: Grid = "",
    period: Period = "",
    day: Day = "",
) -> Stream:
    """The whole ledger as CSV."""
    question = LedgerQuestion(definition=definition, grid=grid, period=period, day=day)
    return await as_csv(context, request.user, question)


@get("/ledger.xlsx", include_in_schema=False, media_type=XLSX)
async def ledger_as_workbook(
    request: Request[Principal, Any, Any],
    context: NamedDependency[DoorContext],
    definition: Kind = "",
    grid: Grid = "",
    period: Period = "",
    day: Day = "",
) -> Stream:
    """The whole ledger as a workbook."""
    question = LedgerQuestion(definition=definition, grid=grid, period=period, day=day)
    return await as_workbook(context, request.user, question)


ROUTES = [show_ledger, ledger_as_csv, ledger_as_workbook]

"""通报: a report in the page, to print, and as a file."""

from typing import Annotated, Any

from litestar import Request, Response, get
from litestar.di import NamedDependency
from litestar.params import PathParameter, QueryParameter

from engine.console.pages.ranking import Grid, Kind, Lang
from engine.console.rendering import page
from engine.http.context import DoorContext
from engine.http.performance import figures
from engine.http.reports import report_answer
from engine.principals import Principal
from engine.reports.files import formats_here
from engine.reports.html import body_of
from engine.reports.making import REPORTS, report_of
from engine.reports.reading import ReportQuestion, Source

FIRST = next(iter(REPORTS))
Name = Annotated[str, QueryParameter(description="Which report.")]
PathName = Annotated[str, PathParameter(description="Which report.")]
PathFormat = Annotated[str, PathParameter(description="As which file.")]
Period = Annotated[str, QueryParameter(description="2026-03, 2026-Q1, 2026-H1, 2026, or a day in it.")]
Case = Annotated[str, QueryParameter(description="Of a letter: the supervision.")]


@get("/reports", include_in_schema=False)
async def show_report(
    request: Request[Principal, Any, Any],
    context: NamedDependency[DoorContext],
    name: Name = FIRST,
    period: Period = "",
    grid: Grid = "",
    definition: Kind = "",
    id: Case = "",
    lang: Lang = "",
) -> Response[Any]:
    """A report as its files have it."""
    question = ReportQuestion(period=period, grid=grid, definition=definition, id=id)
    now, policies = context.now(), context.policies
    document = await figures(
        context,
        request.user,
        lambda connection, readable: report_of(name, Source(connection, policies, now, readable), question),
    )
    return page(
        request,
        "reports.html",
        name=name,
        question=question,
        length=REPORTS[name].length,
        # A letter is of one supervision: the page of that leads to it.
        reports={key: report for key, report in REPORTS.items() if report.of_a_period or key == name},
        formats=[kind for kind in formats_here() if kind != "html"],
        body=body_of(document),
        document=document,
    )


@get("/reports/{name:str}/{form:str}", include_in_schema=False)
async def report_as_file(
    request: Request[Principal, Any, Any],
    context: NamedDependency[DoorContext],
    name: PathName,
    form: PathFormat,
    period: Period = "",
    grid: Grid = "",
    definition: Kind = "",
    id: Case = "",
) -> Response[Any]:
    """A report as a file, or as a page that prints on A4."""
    question = ReportQuestion(period=period, grid=grid, definition=definition, id=id)
    return await report_answer(context, request.user, name, question, form)


ROUTES = [show_report, report_as_file]

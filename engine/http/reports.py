"""Reports at the door (通报、台账、函): one route for all of them, in each format."""

from functools import partial
from typing import Annotated, Any

from litestar import Request, Response, get
from litestar.di import NamedDependency
from litestar.params import PathParameter, QueryParameter

from engine.http.context import DoorContext
from engine.http.operator import act
from engine.http.performance import Definition, figures
from engine.http.problems import busy
from engine.operations.auditing import NotAudited, audit_report
from engine.principals import Operator, Principal
from engine.reports.files import format_of
from engine.reports.making import REPORTS, report_of
from engine.reports.reading import ReportQuestion, Source

Name = Annotated[str, PathParameter(description=f"Which report: {', '.join(REPORTS)}.")]
ReportPeriod = Annotated[
    str,
    QueryParameter(
        description="2026, 2026-H1, 2026-Q3 or 2026-08, of the report's own length, or a local day in it; without one "
        "the period that holds the present day."
    ),
]
ReportGrid = Annotated[
    str, QueryParameter(description="Code of a grid: the subtree that the report is of; without one all that is read.")
]
ReportAt = Annotated[str, QueryParameter(description="RFC 3339 with a zone: as known at this instant.")]
ReportCase = Annotated[str, QueryParameter(description="Of a letter: the id of the supervision.")]
ReportPost = Annotated[
    str,
    QueryParameter(
        description="Of a letter: the post, one of the reader's own, for which its ground is in it. Of the negative "
        "list: the post that reads it. That reading is in the audit before it is answered."
    ),
]
ReportFormat = Annotated[str, QueryParameter(name="format", description="html (without one), xlsx, docx or csv.")]


@get("/v1/reports/{name:str}", summary="A report as a file", tags=["performance"], media_type="text/html")
async def make_report(
    request: Request[Principal, Any, Any],
    context: NamedDependency[DoorContext],
    name: Name,
    period: ReportPeriod = "",
    grid: ReportGrid = "",
    definition: Definition = "",
    at: ReportAt = "",
    id: ReportCase = "",
    post: ReportPost = "",
    format_: ReportFormat = "html",
) -> Response[bytes]:
    """Bulletins (通报), rankings, the data of a debrief (述职), the ledger of leaders' rounds, evidence for a review,
    the letter of a supervision (督办函) and the negative list (负面清单), made for this answer from what the other
    routes answer to the same reader: no figure is the report's own. The text is in Chinese. HTML prints on A4 and
    fetches nothing."""
    question = ReportQuestion(period=period, grid=grid, definition=definition, at=at, id=id, post=post)
    return await report_answer(context, request.user, name, question, format_)


async def report_answer(
    context: DoorContext, reader: Principal, name: str, question: ReportQuestion, format_: str
) -> Response[bytes]:
    """A report as a reader reads it, as the answer to a request. Raises Unanswerable."""
    written = format_of(format_)
    now, policies = context.now(), context.policies
    document = await figures(
        context,
        reader,
        lambda connection, readable: report_of(name, Source(connection, policies, now, readable, reader), question),
    )
    if document.read_by:
        operator, of = Operator(f"{reader.name}:{document.read_by}", "http"), document.read_of
        try:
            await act(context, lambda engine: audit_report(engine.database, operator, name, of))
        except NotAudited as error:
            raise busy(error.message, error.remedy) from error
    body = await context.aside(partial(written.write, document))
    headers = {"X-Content-Type-Options": "nosniff", "Cache-Control": "no-store"}
    if format_ == "html":
        from engine.reports.html import policy

        headers["Content-Security-Policy"] = policy()
    else:
        headers["Content-Disposition"] = f'attachment; filename="{document.stem}.{format_}"'
    return Response(body, media_type=written.media, headers=headers)


ROUTES = [make_report]

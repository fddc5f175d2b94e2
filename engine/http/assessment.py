"""Assessments at the door (考核): the sheet of a card and a period."""

from typing import Annotated, Any

from litestar import Request, get
from litestar.di import NamedDependency
from litestar.params import QueryParameter

from engine.http.context import DoorContext
from engine.http.listings import Listing
from engine.http.performance import figures
from engine.principals import Principal
from engine.views.assessment import AssessmentPage, AssessmentQuestion
from engine.views.stored_sheets import sheet_page

CardCode = Annotated[str, QueryParameter(description="Code of a card of scorecards.csv; without one the only one.")]
CardPeriod = Annotated[
    str,
    QueryParameter(
        description="2026, 2026-H1, 2026-Q3 or 2026-08, as the card assesses, or a local day in it; without one the "
        "period that holds the present day, as far as it is over."
    ),
]
At = Annotated[
    str,
    QueryParameter(
        description="RFC 3339 with a zone: the sheet by what had arrived up to this instant. Without it that is the "
        "end of the period's days of grace, or now while they last."
    ),
]

SheetHash = Annotated[
    str,
    QueryParameter(
        name="hash",
        description="The hash of a stored sheet, as an assessment names it: that sheet, and not one computed now.",
    ),
]


@get("/v1/assessment", response_class=Listing, summary="The sheet of a scorecard and a period", tags=["performance"])
async def assessment(
    request: Request[Principal, Any, Any],
    context: NamedDependency[DoorContext],
    card: CardCode = "",
    period: CardPeriod = "",
    at: At = "",
    hash_: SheetHash = "",
) -> AssessmentPage:
    """Points and places (考核打分、排名) of the subjects of a card, line by line, with what the card proposes. It is
    computed for this answer: nothing is published, and nobody is told; with `hash` it is one that was stored, as it was
    commented on and published. Each line has in `opens` the questions that list the cases behind its terms. Totals,
    points and values are in hundredths."""
    question = AssessmentQuestion(card=card, period=period, at=at, hash=hash_)
    now, policies = context.now(), context.policies
    return await figures(
        context,
        request.user,
        lambda connection, readable: sheet_page(connection, policies, question, now, readable),
    )


ROUTES = [assessment]

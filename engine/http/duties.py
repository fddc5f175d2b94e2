"""What posts owe in their periods (履职), with the subjects under which phones record it."""

from typing import Annotated, Any

from litestar import Request, get
from litestar.di import NamedDependency
from litestar.params import QueryParameter

from engine.http.context import DoorContext
from engine.http.listings import Listing
from engine.principals import Principal
from engine.views import duties
from engine.views.duties import DutyPage, DutyQuestion, duty_page

Post = Annotated[str, QueryParameter(description="Code of a post: what it owes.")]
Grid = Annotated[str, QueryParameter(description="Code of a grid: what posts of its subtree owe.")]
Period = Annotated[
    str,
    QueryParameter(
        description="day, week, half_month, month, quarter, half or year: duties whose own period shares a day with "
        "the one that holds `day`. Without it that day, or today and the seven days to come."
    ),
]
Day = Annotated[str, QueryParameter(description="A local day, YYYYMMDD or YYYY-MM-DD; without one: today.")]
Limit = Annotated[
    int, QueryParameter(description="Duties of a page.", schema_extra={"minimum": 1, "maximum": duties.MOST})
]
Cursor = Annotated[str, QueryParameter(description="`next` of the page before this one.")]


@get("/v1/duties", response_class=Listing, summary="Duties of posts: what is owed, recorded and left", tags=["duties"])
async def list_duties(
    request: Request[Principal, Any, Any],
    context: NamedDependency[DoorContext],
    post: Post = "",
    grid: Grid = "",
    period: Period = "",
    day: Day = "",
    limit: Limit = 100,
    cursor: Cursor = "",
) -> DutyPage:
    """Each duty with its `subject`, which is derived: send `duty.recorded` to it, also from a phone that is offline and
    for a period that has not begun when it asks. Up to 31 days ahead are told."""
    question = DutyQuestion(post=post, grid=grid, period=period, day=day, limit=limit, cursor=cursor)
    now, policies = context.now(), context.policies
    return await context.read_as(
        request.user, lambda connection, readable: duty_page(connection, policies, question, now, readable)
    )


ROUTES = [list_duties]

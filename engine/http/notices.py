"""Notices at the door: the list. They are told by the stream of the alerts."""

from typing import Annotated, Any

from litestar import Request, get
from litestar.di import NamedDependency
from litestar.params import QueryParameter

from engine.http.context import DoorContext
from engine.http.listings import Listing
from engine.principals import Principal
from engine.views.notices import MOST, NoticePage, NoticeQuestion, notice_page
from workflows.policy.moves import MOVES

Move = Annotated[str, QueryParameter(description=f"Notices of this move: {', '.join(MOVES)}.")]
Grid = Annotated[str, QueryParameter(description="Code of a grid: notices of cases in its subtree.")]
PostCode = Annotated[str, QueryParameter(description="Code of a post: what it is told.")]
CaseId = Annotated[str, QueryParameter(description="Notices of this case.")]
Definition = Annotated[str, QueryParameter(description="Notices of cases of this kind; without one of all kinds.")]
Since = Annotated[str, QueryParameter(description="RFC 3339: notices of steps that arrived at this instant or later.")]
Limit = Annotated[int, QueryParameter(description="Notices of a page.", schema_extra={"minimum": 1, "maximum": MOST})]
Cursor = Annotated[str, QueryParameter(description="`next` of the page before this one.")]


@get("/v1/notices", response_class=Listing, summary="Notices, the latest first", tags=["alerts"])
async def list_notices(
    request: Request[Principal, Any, Any],
    context: NamedDependency[DoorContext],
    on: Move = "",
    grid: Grid = "",
    post: PostCode = "",
    case: CaseId = "",
    definition: Definition = "",
    since: Since = "",
    limit: Limit = 100,
    cursor: Cursor = "",
) -> NoticePage:
    """Who is told of which move of a case: work that arrives, copies, decisions, endings. A notice has no state."""
    question = NoticeQuestion(
        on=on,
        grid=grid,
        post=post,
        case=case,
        definition=definition,
        since=since,
        limit=limit,
        cursor=cursor,
    )
    now, policies = context.now(), context.policies
    return await context.read_as(
        request.user, lambda connection, readable: notice_page(connection, policies, question, now, readable)
    )


ROUTES = [list_notices]

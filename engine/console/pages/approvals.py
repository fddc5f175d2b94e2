"""审批: what is applied for, until when by the promise and by the law, and why the time stands still. What may be said
of one is offered on its own page."""

from typing import Annotated, Any

from litestar import Request, Response, get
from litestar.di import NamedDependency
from litestar.params import QueryParameter

from engine.console.rendering import page
from engine.http.context import DoorContext
from engine.principals import Principal
from engine.store.database import Connection
from engine.views.approvals import ApprovalPage, ApprovalQuestion, approval_page
from engine.views.names import active_names
from schemas.value_words import WORDS
from workflows.reading import Readable

Ended = Annotated[bool, QueryParameter(description="Those that have ended, the latest first.")]
Cursor = Annotated[str, QueryParameter(description="Where the page begins.")]
Lang = Annotated[str, QueryParameter(description="zh or en.")]


@get("/approvals", include_in_schema=False)
async def show_approvals(
    request: Request[Principal, Any, Any],
    context: NamedDependency[DoorContext],
    ended: Ended = False,
    cursor: Cursor = "",
    lang: Lang = "",
) -> Response[Any]:
    """What is open, until when, and what stands still."""
    question, now, policies = ApprovalQuestion(ended=ended, cursor=cursor), context.now(), context.policies

    def ask(connection: Connection, readable: Readable) -> tuple[ApprovalPage, str]:
        found = approval_page(connection, policies, question, now, readable)
        return found, active_names(connection, policies).register.pack.zone

    found, zone = await context.read_as(request.user, ask)
    return page(request, "approvals.html", found=found, question=question, zone=zone, value_words=WORDS)


ROUTES = [show_approvals]

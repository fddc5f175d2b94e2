"""我的告警: what the visitor's post was told, what it has seen of it, and by which channels it was told."""

from typing import Annotated, Any

from litestar import Request, Response, get, post
from litestar.di import NamedDependency
from litestar.params import QueryParameter

from engine.console.access import form_of, post_of
from engine.console.rendering import page, query, seen_elsewhere
from engine.http.context import DoorContext
from engine.http.deliveries import mark_as_seen
from engine.principals import Principal
from engine.views.questions import BadQuestion
from engine.views.told_posts import told_page

Lang = Annotated[str, QueryParameter(description="zh or en.")]
Marked = Annotated[int, QueryParameter(description="So many were marked as seen just now.")]
MOST = 200
"""Lines that one form marks at most."""


@get("/alerts", include_in_schema=False)
async def show_alerts(
    request: Request[Principal, Any, Any],
    context: NamedDependency[DoorContext],
    marked: Marked = 0,
    lang: Lang = "",
) -> Response[Any]:
    """What the post was told, the latest first."""
    now, policies, whose = context.now(), context.policies, post_of(request)
    found = None
    if whose:
        found = await context.read_as(
            request.user, lambda connection, readable: told_page(connection, policies, whose, now, readable)
        )
    return page(request, "alerts.html", told=found, marked=max(0, min(marked, MOST)))


@post("/alerts/seen", include_in_schema=False)
async def mark_alerts(request: Request[Principal, Any, Any], context: NamedDependency[DoorContext]) -> Response[Any]:
    """Say that the post has seen the lines of a page."""
    fields, whose = await form_of(request), post_of(request)
    wanted = [text for text in fields.get("alerts", "").split("\n") if text.strip()][:MOST]
    if not whose:
        raise BadQuestion("post", "no post was chosen", "choose the post whose alerts these are")
    outcome = await mark_as_seen(context, request.user, whose, [text.strip() for text in wanted]) if wanted else None
    return seen_elsewhere(request, query("/alerts", marked=outcome.seen if outcome is not None else 0))


ROUTES = [show_alerts, mark_alerts]

"""包抓: grids with a sponsor: what lies open there, and what the sponsor owed and kept. A sponsor sees its own."""

from typing import Annotated, Any

from litestar import Request, Response, get
from litestar.di import NamedDependency
from litestar.params import QueryParameter

from engine.console.access import post_of
from engine.console.pages.duties import first_day, sign_of
from engine.console.rendering import page
from engine.http.context import DoorContext
from engine.http.performance import figures
from engine.principals import Principal
from engine.store.database import Connection
from engine.views.names import active_names
from engine.views.sponsored import SponsoredPage, SponsorQuestion, sponsored_page
from workflows.reading import Readable

Grid = Annotated[str, QueryParameter(description="Code of a grid: the sponsors of those right below it.")]
MonthOf = Annotated[str, QueryParameter(name="month", description="2026-03, or a day of it; without one this month.")]
Lang = Annotated[str, QueryParameter(description="zh or en.")]


@get("/sponsors", include_in_schema=False)
async def show_sponsors(
    request: Request[Principal, Any, Any],
    context: NamedDependency[DoorContext],
    grid: Grid = "",
    month: MonthOf = "",
    lang: Lang = "",
) -> Response[Any]:
    """The grids that I sponsor; of who sponsors none, those of all sponsors that are read."""
    now, policies = context.now(), context.policies
    question = SponsorQuestion(post=post_of(request), grid=grid, day=first_day(month))

    def ask(connection: Connection, readable: Readable) -> tuple[SponsoredPage, str]:
        found = sponsored_page(connection, policies, question, now, readable)
        return found, active_names(connection, policies).register.pack.zone

    found, zone = await figures(context, request.user, ask)
    return page(request, "sponsors.html", found=found, zone=zone, month=month, sign=sign_of)


ROUTES = [show_sponsors]

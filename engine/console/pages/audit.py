"""审计, for who operates the server: the chains that nobody bends, the last anchor, and the last verifications."""

from typing import Annotated, Any

from litestar import Request, Response, get
from litestar.di import NamedDependency
from litestar.params import QueryParameter

from engine.console.rendering import page
from engine.http.context import DoorContext
from engine.principals import Principal
from engine.store.database import Connection
from engine.views.names import active_names
from engine.views.verifications import Verifications, verifications_of

Lang = Annotated[str, QueryParameter(description="zh or en.")]


@get("/audit", include_in_schema=False)
async def show_audit(
    request: Request[Principal, Any, Any], context: NamedDependency[DoorContext], lang: Lang = ""
) -> Response[Any]:
    """Where the chains stand, and whether somebody has looked."""
    now, policies = context.now(), context.policies

    def ask(connection: Connection) -> tuple[Verifications, str, str]:
        names = active_names(connection, policies)
        return verifications_of(connection, names.instant), names.instant(now), names.register.pack.zone

    found, as_of, zone = await context.read(ask)
    told = bool(context.settings.anchors or context.settings.kafka)
    return page(request, "audit.html", found=found, as_of=as_of, zone=zone, told=told)


ROUTES = [show_audit]

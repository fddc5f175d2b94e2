"""监测: the devices, what stands of them, and which are silent. What is to be done about it stands with its case."""

from typing import Annotated, Any

from litestar import Request, Response, get
from litestar.di import NamedDependency
from litestar.params import QueryParameter

from engine.console.rendering import page
from engine.http.context import DoorContext
from engine.principals import Principal
from engine.store.database import Connection
from engine.views.names import active_names
from engine.views.signals import SignalPage, signal_page
from workflows.reading import Readable

Lang = Annotated[str, QueryParameter(description="zh or en.")]


@get("/signals", include_in_schema=False)
async def show_signals(
    request: Request[Principal, Any, Any], context: NamedDependency[DoorContext], lang: Lang = ""
) -> Response[Any]:
    """The devices whose signals the visitor reads."""
    policies = context.policies

    def ask(connection: Connection, readable: Readable) -> tuple[SignalPage, str]:
        found = signal_page(connection, policies, readable)
        return found, active_names(connection, policies).register.pack.zone

    found, zone = await context.read_as(request.user, ask)
    return page(request, "signals.html", found=found, zone=zone)


ROUTES = [show_signals]

"""联合处置: incidents with parts of several owners, and who is waited for. What may be done with one stands with it."""

from typing import Annotated, Any

from litestar import Request, Response, get
from litestar.di import NamedDependency
from litestar.params import QueryParameter

from engine.console.rendering import page
from engine.http.context import DoorContext
from engine.principals import Principal
from engine.store.database import Connection
from engine.views.joint import JointPage, joint_page
from engine.views.names import active_names
from workflows.reading import Readable

Lang = Annotated[str, QueryParameter(description="zh or en.")]


@get("/joint", include_in_schema=False)
async def show_joint(
    request: Request[Principal, Any, Any], context: NamedDependency[DoorContext], lang: Lang = ""
) -> Response[Any]:
    """What is open of joint work, and with whom."""
    now, policies = context.now(), context.policies

    def ask(connection: Connection, readable: Readable) -> tuple[JointPage, str]:
        found = joint_page(connection, policies, now, readable)
        return found, active_names(connection, policies).register.pack.zone

    found, zone = await context.read_as(request.user, ask)
    return page(request, "joint.html", found=found, zone=zone)


ROUTES = [show_joint]

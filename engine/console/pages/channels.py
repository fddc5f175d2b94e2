"""渠道, for who operates the server: how each channel stands, what it has not delivered and why, and a test message."""

from typing import Annotated, Any

from litestar import Request, Response, get, post
from litestar.di import NamedDependency
from litestar.params import PathParameter, QueryParameter

from engine.console.access import form_of
from engine.console.rendering import page, query, seen_elsewhere
from engine.errors import GridpatrolError
from engine.http.context import DoorContext
from engine.http.operator import act, operator_of
from engine.http.problems import Problem
from engine.principals import Operator, Principal
from engine.runtime import Engine
from engine.store import audit, channels
from engine.store.audit import Act
from engine.views.channel_desk import ChannelKnown, ChannelProbe, ChannelTrial, channel_desk

Lang = Annotated[str, QueryParameter(description="zh or en.")]
Retried = Annotated[int, QueryParameter(description="So many messages are tried anew.")]
Name = Annotated[str, PathParameter(description="Name of a channel or a subscription.")]
MOST_TOLD = 100_000


@get("/channels", include_in_schema=False)
async def show_channels(
    request: Request[Principal, Any, Any],
    context: NamedDependency[DoorContext],
    retried: Retried = -1,
    lang: Lang = "",
) -> Response[Any]:
    """How the channels stand."""
    return await channels_page(request, context, None, retried)


async def channels_page(
    request: Request[Principal, Any, Any], context: DoorContext, trial: ChannelTrial | None, retried: int = -1
) -> Response[Any]:
    """The page, with what came of a test message."""
    probe, now, known, unusable = probe_of(request), context.now(), tuple[ChannelKnown, ...](), ""
    if probe is not None:
        try:
            known = await context.aside(probe.known)
        except GridpatrolError as error:
            unusable = str(error)
    found = await context.read(lambda connection: channel_desk(connection, context.policies, known, now))
    return page(
        request,
        "channels.html",
        found=found,
        unusable=unusable,
        trial=trial,
        retried=min(retried, MOST_TOLD),
        tests=probe is not None,
    )


def probe_of(request: Request[Any, Any, Any]) -> ChannelProbe | None:
    """What this process knows of its channels; None: nothing."""
    probe: ChannelProbe | None = request.app.state["console_channels"]
    return probe


@post("/channels/{name:str}/tests", include_in_schema=False, status_code=200)
async def try_channel(
    request: Request[Principal, Any, Any], context: NamedDependency[DoorContext], name: Name
) -> Response[Any]:
    """Send a test message, and say whether it was taken."""
    fields, probe = await form_of(request), probe_of(request)
    if probe is None:
        raise Problem(409, "no_channels", "this process knows of no file of channels", remedy="set GRIDPATROL_CHANNELS")
    try:
        trial = await context.aside(lambda: probe.attempt(name, fields.get("post", "")))
    except GridpatrolError as error:
        raise Problem(400, "form", error.message, remedy=error.remedy or "choose one of the list") from error
    return await channels_page(request, context, trial)


@post("/channels/{name:str}/retries", include_in_schema=False)
async def retry_channel(
    request: Request[Principal, Any, Any], context: NamedDependency[DoorContext], name: Name
) -> Response[Any]:
    """Let a channel try anew what it has given up."""
    await form_of(request)
    operator, now = operator_of(request), context.now()
    count = await act(context, lambda engine: tried_anew(engine, name, operator, now))
    return seen_elsewhere(request, query("/channels", retried=str(count)))


def tried_anew(engine: Engine, name: str, operator: Operator, now: int) -> int:
    """Messages of a channel that were given up are tried anew: how many, and the audit says who wanted it."""
    with engine.database.begin() as connection:
        count = channels.try_again(connection, name, now)
        audit.write(connection, operator, Act.CHANNEL_RETRIED, name)
    return count


ROUTES = [show_channels, try_channel, retry_channel]

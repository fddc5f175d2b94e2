"""Subscriptions: who wants to be told of alerts by a webhook of its own, or as a stream with a place that is kept.

A principal makes them for itself, and sees its own only; who operates sees all.
"""

from collections.abc import Callable
from functools import partial
from typing import Annotated, Any, TypeVar

from litestar import Request, delete, get, post
from litestar.di import NamedDependency
from litestar.params import JSONBody, PathParameter, QueryParameter
from litestar.response import Stream
from msgspec import Meta, Struct

from engine.http.alerts import Feed, LastId, stream
from engine.http.auth import LACKS, principal_now, speaks_or_reads
from engine.http.context import DoorContext
from engine.http.problems import Problem
from engine.operations import subscriptions as making
from engine.operations.subscriptions import HOUR_MS, SecretWanted, SubscriptionRefused, SubscriptionWanted
from engine.policies import Policies
from engine.principals import Operator, Principal
from engine.store import subscriptions
from engine.store.database import Connection
from engine.store.subscriptions import SubscriptionRow
from engine.views.alerts import FeedLines
from engine.views.channel_lines import STATUSES, ChannelLinePage
from engine.views.names import active_names
from engine.views.questions import check_text
from engine.views.subscriptions import (
    MOST,
    SubscribedLines,
    Subscriber,
    SubscriptionPage,
    SubscriptionShown,
    decode_selection,
    deliveries_page,
    lines_page,
    number_of,
    subscribed_lines,
    subscription_page,
    subscription_shown,
    subscription_start,
)
from workflows.reading import Readable
from workflows.selection import Selection

SubscriptionId = Annotated[str, PathParameter(description="The id of a subscription.")]
Ended = Annotated[bool, QueryParameter(description="Also those that have ended.")]
Everybody = Annotated[bool, QueryParameter(description="Those of all principals, with the right to operate.")]
Place = Annotated[str, QueryParameter(description="A place of this feed; without one the subscription's own.")]
Status = Annotated[str, QueryParameter(description=f"One of {', '.join(STATUSES)}.")]
Limit = Annotated[int, QueryParameter(description="Lines of a page.", schema_extra={"minimum": 1, "maximum": MOST})]
Cursor = Annotated[str, QueryParameter(description="`next` of the page before this one.")]
STATUS_OF = {"exists": 409, "too_many": 409, "no_secret": 409, "ended": 404}
"""The status of the answer to each refusal."""
T = TypeVar("T")


class SubscriptionMade(Struct, frozen=True, omit_defaults=True):
    """A subscription as it was made, and the secret that signs its messages, which is shown this once."""

    subscription: SubscriptionShown
    secret: str = ""


class PlaceReceived(Struct, frozen=True, forbid_unknown_fields=True):
    """All lines up to this place have been received: an id of the stream, or `next` of an answer."""

    place: Annotated[str, Meta(min_length=1, max_length=64)]


@post("/v1/subscriptions", summary="Subscribe to alerts", tags=["alerts"], guards=[speaks_or_reads])
async def subscribe(
    request: Request[Principal, Any, Any], context: NamedDependency[DoorContext], data: JSONBody[SubscriptionWanted]
) -> SubscriptionMade:
    """Be told what one's own posts are told, and what one reads, from the next line of the feed on: by a webhook as
    Standard Webhooks says, or without `url` as a stream whose place this server keeps. What may be read is asked anew
    each time something is told. The subscription ends with its principal's token."""
    principal = request.user
    check_text(data.name, "name")
    if data.url:
        check_text(data.url, "url")
        making.check_address(data.url, context.settings)

    def select(connection: Connection, readable: Readable) -> Selection:
        register = active_names(connection, context.policies).register
        return making.selection_of(data, principal, readable, register)

    selection = await context.read_as(principal, select)
    now = context.now()
    row = await _done(context, lambda: making.make(context.database, principal, data, selection, now))
    return SubscriptionMade(await _shown(context, row), row.secret)


@get("/v1/subscriptions", summary="One's subscriptions", tags=["alerts"])
async def list_subscriptions(
    request: Request[Principal, Any, Any],
    context: NamedDependency[DoorContext],
    ended: Ended = False,
    all: Everybody = False,
) -> SubscriptionPage:
    """The subscriptions of this principal, and how each stands."""
    if all and not request.user.operator:
        raise Problem(
            403, "no_right", f"principal {request.user.name} may not {LACKS['operator']}", remedy="leave `all` out"
        )
    name, now = "" if all else request.user.name, context.now()
    return await context.read(lambda connection: subscription_page(connection, context.policies, name, ended, now))


@get("/v1/subscriptions/{subscription:str}", summary="A subscription", tags=["alerts"])
async def show_subscription(
    request: Request[Principal, Any, Any], context: NamedDependency[DoorContext], subscription: SubscriptionId
) -> SubscriptionShown:
    """What it asks for, how it stands, and what the other side said last."""
    return await _shown(context, await _own(request, context, subscription))


@delete("/v1/subscriptions/{subscription:str}", status_code=200, summary="End a subscription", tags=["alerts"])
async def unsubscribe(
    request: Request[Principal, Any, Any], context: NamedDependency[DoorContext], subscription: SubscriptionId
) -> SubscriptionShown:
    """Nothing more is sent by it, within two seconds. What waited is given up."""
    row, now = await _own(request, context, subscription, standing=True), context.now()
    why = "it was deleted" if row.principal == request.user.name else "an operator ended it"
    by = Operator(request.user.name, "http")
    await _done(context, lambda: making.end(context.database, row, by, now, why))
    return await _shown(context, await _own(request, context, subscription))


@post("/v1/subscriptions/{subscription:str}/secrets", status_code=200, summary="Rotate a secret", tags=["alerts"])
async def rotate_secret(
    request: Request[Principal, Any, Any],
    context: NamedDependency[DoorContext],
    subscription: SubscriptionId,
    data: JSONBody[SecretWanted],
) -> SubscriptionMade:
    """A new secret for the messages of a webhook. The old one signs along for `token_grace_hours`, or no more."""
    row = await _own(request, context, subscription, standing=True)
    hours = context.settings.token_grace_hours
    by, until = Operator(request.user.name, "http"), context.now() + hours * HOUR_MS
    at_once = data.at_once or not hours
    fresh = await _done(context, lambda: making.rotate(context.database, row, at_once, by, until))
    return SubscriptionMade(await _shown(context, fresh), fresh.secret)


@get("/v1/subscriptions/{subscription:str}/deliveries", summary="What it told", tags=["alerts"])
async def list_own_deliveries(
    request: Request[Principal, Any, Any],
    context: NamedDependency[DoorContext],
    subscription: SubscriptionId,
    status: Status = "",
    limit: Limit = 100,
    cursor: Cursor = "",
) -> ChannelLinePage:
    """What a webhook was told, when, and what came of it, the latest first."""
    row, principal, now = await _own(request, context, subscription), request.user, context.now()

    def ask(connection: Connection, readable: Readable) -> ChannelLinePage:
        reader = Subscriber(readable, principal.may_speak)
        return deliveries_page(connection, context.policies, row, status, limit, cursor, now, reader)

    return await context.read_as(principal, ask)


# ---- streams -----------------------------------------------------------------------------------------------------


@get("/v1/subscriptions/{subscription:str}/lines", summary="The next lines of a subscription", tags=["alerts"])
async def read_lines(
    request: Request[Principal, Any, Any],
    context: NamedDependency[DoorContext],
    subscription: SubscriptionId,
    place: Place = "",
    limit: Limit = 100,
) -> SubscribedLines:
    """Of the next `limit` lines of the feed those that are asked for, after the subscription's own place. The same are
    answered again until `/place` has been told that they were received."""
    row, principal = await _own(request, context, subscription, standing=True), request.user

    def ask(connection: Connection, readable: Readable) -> SubscribedLines:
        reader = Subscriber(readable, principal.may_speak)
        return lines_page(connection, context.policies, row, place, limit, reader)

    return await context.read_as(principal, ask)


@post("/v1/subscriptions/{subscription:str}/place", status_code=200, summary="Say what was received", tags=["alerts"])
async def keep_place(
    request: Request[Principal, Any, Any],
    context: NamedDependency[DoorContext],
    subscription: SubscriptionId,
    data: JSONBody[PlaceReceived],
) -> SubscriptionShown:
    """Lines up to this place are told no more to who asks without one. A place never goes back."""
    check_text(data.place, "place")
    row = await _own(request, context, subscription, standing=True)
    if row.kind != "stream":
        raise Problem(409, "no_place", "a webhook moves its place by itself", remedy="see its deliveries")
    number = await context.read(lambda connection: number_of(connection, data.place))
    await _done(context, lambda: making.move_to(context.database, row, number))
    return await _shown(context, row)


@get(
    "/v1/subscriptions/{subscription:str}/stream",
    summary="A subscription as Server-Sent Events",
    tags=["alerts"],
    media_type="text/event-stream",
)
async def stream_subscription(
    request: Request[Principal, Any, Any],
    context: NamedDependency[DoorContext],
    feed: NamedDependency[Feed],
    subscription: SubscriptionId,
    last_event_id: LastId = "",
) -> Stream:
    """The lines as they are told, in the form of `/v1/alerts/stream`: after `Last-Event-ID`, without it after the place
    that `/place` was told last. The stream ends with its subscription, and with the token."""
    row = await _own(request, context, subscription, standing=True)
    last = request.headers.get("last-event-id") or last_event_id
    start = await context.read(lambda connection: subscription_start(connection, row, last))
    feed.check_room(request.user)
    principal, selection = request.user, decode_selection(row.asks)

    def read(policies: Policies, asks: object, after: int, connection: Connection, readable: Readable) -> FeedLines:
        reader = Subscriber(readable, (principal_now(request) or principal).may_speak)
        return subscribed_lines(connection, policies, selection, after, reader)

    def stands(connection: Connection) -> bool:
        found = subscriptions.of_id(connection, row.id)
        return found is not None and not found.ended_at

    return Stream(
        stream(context, feed, start, principal, partial(principal_now, request), read, stands),
        media_type="text/event-stream",
        headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"},
    )


# ---- what several routes share -----------------------------------------------------------------------------------


async def _own(
    request: Request[Principal, Any, Any], context: DoorContext, id_: str, *, standing: bool = False
) -> SubscriptionRow:
    """A subscription that this principal may see. One of others is none."""
    row = await context.read(lambda connection: subscriptions.of_id(connection, id_))
    if row is None or not (row.principal == request.user.name or request.user.operator):
        raise Problem(404, "unknown_subscription", "there is no such subscription", remedy="see GET /v1/subscriptions")
    if standing and row.ended_at:
        raise Problem(404, "ended", f"this subscription has ended: {row.why}", remedy="make another one")
    return row


async def _shown(context: DoorContext, row: SubscriptionRow) -> SubscriptionShown:
    now = context.now()
    return await context.read(lambda connection: subscription_shown(connection, context.policies, row, now))


async def _done(context: DoorContext, act: Callable[[], T]) -> T:
    """Do something to a subscription, on a reading thread."""
    context.check_open()
    try:
        return await context.aside(act)
    except SubscriptionRefused as error:
        raise Problem(
            STATUS_OF[error.reason], error.reason, error.message, field=error.field, remedy=error.remedy
        ) from error


ROUTES = [
    subscribe,
    list_subscriptions,
    show_subscription,
    unsubscribe,
    rotate_secret,
    list_own_deliveries,
    read_lines,
    keep_place,
    stream_subscription,
]

"""What posts have seen of what they were told, and what channels told them."""

from collections.abc import Sequence
from typing import Annotated, Any

from litestar import Request, get, post
from litestar.di import NamedDependency
from litestar.params import JSONBody, QueryParameter
from msgspec import Meta, Struct

from engine.http.context import DoorContext
from engine.http.listings import Listing
from engine.http.problems import Problem
from engine.principals import Principal
from engine.store import seen_alerts
from engine.store.seen_alerts import SeenRow
from engine.views.channel_lines import MOST, STATUSES, ChannelLinePage, ChannelQuestion, channel_page
from engine.views.questions import check_text

ChannelName = Annotated[str, QueryParameter(description="Name of a channel.")]
PostCode = Annotated[str, QueryParameter(description="Code of a post: what it was or is to be told.")]
CaseId = Annotated[str, QueryParameter(description="What was told of this case.")]
Status = Annotated[str, QueryParameter(description=f"One of {', '.join(STATUSES)}.")]
Limit = Annotated[int, QueryParameter(description="Lines of a page.", schema_extra={"minimum": 1, "maximum": MOST})]
Cursor = Annotated[str, QueryParameter(description="`next` of the page before this one.")]


class SeenAlerts(Struct, frozen=True, forbid_unknown_fields=True):
    """A post has seen these alerts and notices, by their ids."""

    post: Annotated[str, Meta(min_length=1, max_length=64)]
    alerts: Annotated[list[Annotated[str, Meta(min_length=1, max_length=512)]], Meta(min_length=1, max_length=MOST)]


class SeenOutcome(Struct, frozen=True):
    """How many of them are seen now, and those that do not tell this post."""

    seen: int
    unknown: list[str]


@post("/v1/alerts/seen", status_code=200, summary="Say that a post has seen alerts", tags=["alerts"])
async def mark_seen(
    request: Request[Principal, Any, Any], context: NamedDependency[DoorContext], data: JSONBody[SeenAlerts]
) -> SeenOutcome:
    """Say that a post has seen what it was told (已读). It is no fact and stops nothing: an alert that is seen fires
    on, and the event `case.acknowledged` is what stops its repeats. What was seen before stays as it was."""
    principal = request.user
    if not principal.may_speak(data.post):
        detail = f"principal {principal.name} may not speak for this post: its `actors` do not name it"
        raise Problem(403, "forbidden", detail, field="post", remedy="use the token of who speaks for it")
    check_text(data.post, "post")
    for id_ in data.alerts:
        check_text(id_, "alerts")
    return await mark_as_seen(context, principal, data.post, data.alerts)


async def mark_as_seen(context: DoorContext, principal: Principal, post: str, alerts: Sequence[str]) -> SeenOutcome:
    """Keep that a post has seen what it was told; whoever asks has looked whether the principal speaks for it."""
    now, wanted = context.now(), sorted(set(alerts))

    def write() -> SeenOutcome:
        with context.database.begin() as connection:
            told = seen_alerts.told_to(connection, post, wanted)
            rows = [SeenRow(id_, post, now, principal.name) for id_ in wanted if id_ in told]
            seen_alerts.write(connection, rows)
        return SeenOutcome(len(rows), [id_ for id_ in wanted if id_ not in told])

    return await context.aside(write)


@get("/v1/deliveries", response_class=Listing, summary="What channels told, the latest first", tags=["operator"])
async def list_deliveries(
    context: NamedDependency[DoorContext],
    channel: ChannelName = "",
    post: PostCode = "",
    case: CaseId = "",
    status: Status = "",
    limit: Limit = 100,
    cursor: Cursor = "",
) -> ChannelLinePage:
    """What channels told outside of this house: to which post, when, by which route, and what came of it."""
    question = ChannelQuestion(channel=channel, post=post, case=case, status=status, limit=limit, cursor=cursor)
    now = context.now()
    return await context.read(lambda connection: channel_page(connection, context.policies, question, now))


OPERATOR_ROUTES = [list_deliveries]
ROUTES = [mark_seen]

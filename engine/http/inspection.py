"""The feed for discipline inspection (纪检监察, M39, M125) at the door: by page, and as Server-Sent Events."""

import asyncio
from collections.abc import AsyncIterator
from typing import Annotated, Any

import msgspec
from litestar import Request, get
from litestar.di import NamedDependency
from litestar.params import QueryParameter
from litestar.response import Stream

from engine.http.alerts import HEARTBEAT_S, Feed, LastId
from engine.http.auth import principal_now
from engine.http.context import DoorContext
from engine.http.listings import Listing
from engine.http.operator import act
from engine.http.problems import Problem, busy
from engine.operations.auditing import NotAudited, audit_inspection
from engine.principals import Operator, Principal
from engine.store.database import Connection
from engine.views.cursors import read_cursor, write_cursor
from engine.views.inspection import (
    MOST,
    InspectionPage,
    InspectionQuestion,
    NoInspection,
    inspection_page,
)
from workflows.policy.model import INSPECTION

LOOK_S = 1.0
"""How often a stream looks whether more was chained: that itself happens once a second."""
NEEDS_NO_LAG = 1 << 62
"""A place beyond the feed of alerts: a stream of inspection does not lag behind that."""

Only = Annotated[str, QueryParameter(description="`exempted`: where a missed deadline was exempted, or was not.")]
PostCode = Annotated[
    str, QueryParameter(description="The post of inspection that reads, where the principal speaks for several.")
]
Limit = Annotated[int, QueryParameter(description="Lines of a page.", schema_extra={"minimum": 1, "maximum": MOST})]
Cursor = Annotated[str, QueryParameter(description="`next` of the page before this one.")]


@get("/v1/audit", response_class=Listing, summary="What was done and chained, for inspection", tags=["incidents"])
async def audit_page(
    request: Request[Principal, Any, Any],
    context: NamedDependency[DoorContext],
    only: Only = "",
    post: PostCode = "",
    limit: Limit = 100,
    cursor: Cursor = "",
) -> InspectionPage:
    """Every step in the grid of a post of inspection and below, in words, in the order in which they were chained; at
    the root dead letters and acts of the audit as well. Each line has its hash: whoever keeps a line can tell later
    that nothing before it was changed. Only a principal that speaks for a post with the role `inspection` reads it, and
    each reading is in the audit before it is answered."""
    question = InspectionQuestion(only=only, post=post, limit=limit, cursor=cursor)
    found = await asked(context, request.user, question)
    await audit_reading(context, request.user, found, f"{len(found.lines)} lines")
    return found


@get(
    "/v1/audit/stream",
    summary="The same as Server-Sent Events",
    tags=["incidents"],
    media_type="text/event-stream",
)
async def audit_stream(
    request: Request[Principal, Any, Any],
    context: NamedDependency[DoorContext],
    feed: NamedDependency[Feed],
    only: Only = "",
    post: PostCode = "",
    last_event_id: LastId = "",
) -> Stream:
    """Lines as they are chained, those missed since `Last-Event-ID` first; without it, from now on. The first event is
    `opened`, or `restarted` where the id is of another epoch: then the whole feed follows. Its opening is in the audit;
    it ends when the token is withdrawn."""
    question = InspectionQuestion(only=only, post=post, limit=MOST)
    start = await asked(context, request.user, question)
    await audit_reading(context, request.user, start, "stream")
    feed.check_room(request.user)
    last = request.headers.get("last-event-id") or last_event_id
    epoch, _, number = last.partition("-")
    known = epoch == str(start.epoch) and number.isdigit() and len(number) < 19
    after = int(number) if known else 0 if last else start.last
    return Stream(
        stream(context, feed, request, question, start, after, restarted=bool(last) and not known),
        media_type="text/event-stream",
        headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"},
    )


async def asked(context: DoorContext, reader: Principal, question: InspectionQuestion) -> InspectionPage:
    """A page for who may read it."""

    def ask(connection: Connection) -> InspectionPage:
        return inspection_page(connection, context.policies, question, reader, context.now())

    try:
        return await context.read(ask)
    except NoInspection as error:
        why = f"principal {reader.name} may not read the feed of inspection"
        raise Problem(403, "no_right", why, remedy=error.remedy, right=INSPECTION) from error


async def audit_reading(context: DoorContext, reader: Principal, found: InspectionPage, what: str) -> None:
    """Keep that somebody reads the feed, before he does."""
    operator = Operator(f"{reader.name}:{found.reader}", "http")
    try:
        await act(context, lambda engine: audit_inspection(engine.database, operator, found.grid, what))
    except NotAudited as error:
        raise busy(error.message, error.remedy) from error


async def stream(
    context: DoorContext,
    feed: Feed,
    request: Request[Principal, Any, Any],
    question: InspectionQuestion,
    start: InspectionPage,
    after: int,
    *,
    restarted: bool,
) -> AsyncIterator[str]:
    """What was missed, then each line as it is chained, and a comment now and then so that the connection stays open.
    Whether the principal still reads it is asked anew each time."""
    listener, loop, why = feed.join(request.user, NEEDS_NO_LAG), asyncio.get_running_loop(), "left"
    if listener is None:
        return
    try:
        event = "restarted" if restarted else "opened"
        at = f"{start.epoch}-{after}"
        yield f'retry: 2000\nid: {at}\nevent: {event}\ndata: {{"epoch":{start.epoch},"number":{after}}}\n\n'
        spoke = loop.time()
        while not context.closing.is_set() and (reader := principal_now(request)) is not None:
            page = await asked(context, reader, msgspec.structs.replace(question, cursor=write_cursor(after)))
            for line in page.lines:
                data = msgspec.json.encode(line).decode()
                yield f"id: {page.epoch}-{line.number}\nevent: line\ndata: {data}\n\n"
                spoke = loop.time()
            if page.next is None:
                after = page.last
                await feed.wait(LOOK_S)
            else:
                after = read_cursor(page.next, tuple[int])[0]
            if loop.time() - spoke >= HEARTBEAT_S:
                yield ": still here\n\n"
                spoke = loop.time()
        why = "closing" if context.closing.is_set() else "revoked"
    except Problem:
        why = "revoked"
    except Exception:
        why = "failed"
        raise
    finally:
        feed.leave(listener, why)


OF_INSPECTION = [audit_page, audit_stream]

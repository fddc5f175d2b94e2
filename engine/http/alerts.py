"""Alerts at the door: the list, and the feed as Server-Sent Events.

Each line of the stream has its place as its id, so that a subscriber that comes back misses nothing. The feed is a
table: a slow subscriber reads at its own pace and holds up no other. One look at the table serves all who wait.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from functools import partial
from typing import Annotated, Any

import msgspec
from litestar import Request, get
from litestar.di import NamedDependency
from litestar.params import QueryParameter
from litestar.response import Stream

from engine.http.auth import principal_now
from engine.http.context import DoorContext
from engine.http.listings import Listing
from engine.http.problems import Problem, busy
from engine.policies import Policies
from engine.principals import Principal
from engine.quotas import OverQuota
from engine.store import alerts
from engine.store.database import Connection
from engine.views.alerts import (
    MOST,
    AlertPage,
    AlertQuestion,
    FeedLines,
    FeedQuestion,
    FeedStart,
    alert_page,
    feed_lines,
    feed_start,
)
from workflows.reading import Readable

SUBSCRIBERS = 200
"""Streams of all principals together."""
HEARTBEAT_S = 15
STILL_S = 0.5
"""How often it is asked whether the token of a stream is still known."""
LOOK_S = 0.2
"""How often the feed is looked at when the writer does not say that it grew."""
PAUSE_S = 0.05

Status = Annotated[str, QueryParameter(description="firing, withdrawn or resolved.")]
Grid = Annotated[str, QueryParameter(description="Code of a grid: alerts of cases in its subtree.")]
ClockName = Annotated[str, QueryParameter(description="Alerts of a clock of this name.")]
Rung = Annotated[str, QueryParameter(description="Alerts of this rung (`kind`); due: one for each missed deadline.")]
CaseId = Annotated[str, QueryParameter(description="Alerts of this case.")]
Definition = Annotated[str, QueryParameter(description="Alerts of cases of this kind; without one of all kinds.")]
Kind = Annotated[str, QueryParameter(description="alert or notice; without one both.")]
PostCode = Annotated[str, QueryParameter(description="Code of a post: what it is told.")]
Limit = Annotated[int, QueryParameter(description="Alerts of a page.", schema_extra={"minimum": 1, "maximum": MOST})]
Cursor = Annotated[str, QueryParameter(description="`next` of the page before this one.")]
LastId = Annotated[str, QueryParameter(description="What the header `Last-Event-ID` says, where it cannot be set.")]
Since = Annotated[str, QueryParameter(description="RFC 3339: alerts that were raised at this instant or later.")]


@get("/v1/alerts", response_class=Listing, summary="Alerts, the latest first", tags=["alerts"])
async def list_alerts(
    request: Request[Principal, Any, Any],
    context: NamedDependency[DoorContext],
    status: Status = "",
    grid: Grid = "",
    clock: ClockName = "",
    rung: Rung = "",
    case: CaseId = "",
    definition: Definition = "",
    post: PostCode = "",
    since: Since = "",
    limit: Limit = 100,
    cursor: Cursor = "",
) -> AlertPage:
    """Alerts of a subtree by status: firing, withdrawn or resolved. One that somebody has acknowledged fires on, and
    says who. With `post` those that tell it, and when it said that it has seen each."""
    question = AlertQuestion(
        status=status,
        grid=grid,
        clock=clock,
        rung=rung,
        case=case,
        definition=definition,
        post=post,
        since=since,
        limit=limit,
        cursor=cursor,
    )
    now, policies = context.now(), context.policies
    return await context.read_as(
        request.user, lambda connection, readable: alert_page(connection, policies, question, now, readable)
    )


class Listener(msgspec.Struct, eq=False):
    """An open stream: whose it is, and the last line of the feed that it needs no more."""

    principal: str
    after: int


class Feed:
    """Wakes all subscribers when the feed has grown. It looks only while somebody listens."""

    def __init__(self, context: DoorContext) -> None:
        self.context = context
        self.listeners = Counter[str]()  # by principal
        self.open: list[Listener] = []
        self.head = 0
        context.counters.door.streams.feed_lag.set_function(self.lag)
        self._grown = asyncio.Event()
        self._watch: asyncio.Task[None] | None = None

    def check_room(self, principal: Principal) -> None:
        """Refuse one more where a principal has as many streams as it may, or where enough listen."""
        name, most = principal.name, principal.quota.streams
        if most and self.listeners[name] >= most:
            message = f"principal {name} has {most} alert streams open already, and may open no more"
            raise OverQuota("streams", message, HEARTBEAT_S)
        if self.listeners.total() >= SUBSCRIBERS:
            raise busy(f"{SUBSCRIBERS} subscribers listen already", "come again later, or read /v1/alerts")

    def lag(self) -> int:
        """How many lines the slowest listener has not been told yet. Another thread may ask."""
        return max((0, *(self.head - listener.after for listener in tuple(self.open))))

    def join(self, principal: Principal, after: int) -> "Listener | None":
        """Count one more listener; the first one starts the looking. None where others were faster and there is no
        room any more."""
        try:
            self.check_room(principal)
        except (OverQuota, Problem):
            return None
        listener = Listener(principal.name, after)
        self.open.append(listener)
        self.listeners[principal.name] += 1
        self.context.counters.door.streams.subscribers.inc()
        self.context.counters.door.streams.subscribed.inc()
        if self._watch is None or self._watch.done():
            self._watch = asyncio.create_task(self._look())
        return listener

    def leave(self, listener: "Listener", why: str) -> None:
        """Count one less; the last one ends the looking."""
        self.open.remove(listener)
        self.listeners[listener.principal] -= 1
        self.context.counters.door.streams.subscribers.dec()
        self.context.counters.door.streams.unsubscribed.labels(why).inc()
        if not self.listeners.total() and self._watch is not None:
            self._watch.cancel()
            self._watch = None

    async def wait(self, timeout_s: float) -> None:
        """Until the feed has grown, the door closes, or the time is over."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self._grown.wait(), timeout_s)

    async def _look(self) -> None:
        """Look when the writer has done something, and every LOOK_S: others may write to this database."""
        changed, loop = self.context.writer.changed, asyncio.get_running_loop()
        looked = 0.0
        while not self.context.closing.is_set():
            if changed.is_set() or loop.time() - looked >= LOOK_S:
                changed.clear()
                looked = loop.time()
                with suppress(Problem):
                    head = await self.context.read(alerts.last_number)
                    if head != self.head:
                        self.head = head
                        self._wake()
            await asyncio.sleep(PAUSE_S)
        self._wake()

    def _wake(self) -> None:
        self._grown.set()
        self._grown = asyncio.Event()


@get(
    "/v1/alerts/stream", summary="The alert feed as Server-Sent Events", tags=["alerts"], media_type="text/event-stream"
)
async def stream_alerts(
    request: Request[Principal, Any, Any],
    context: NamedDependency[DoorContext],
    feed: NamedDependency[Feed],
    grid: Grid = "",
    definition: Definition = "",
    kind: Kind = "",
    post: PostCode = "",
    last_event_id: LastId = "",
) -> Stream:
    """Lines of the feed as they are told, those missed since `Last-Event-ID` first; without it, from now on. The first
    event is `opened` and has the place from which on lines follow, so that who has heard nothing yet can come back to
    it. An id of another epoch (the database was restored), or none of this feed's, is answered with `restarted`
    instead, then with the whole epoch. The stream ends when its token is withdrawn."""
    last = request.headers.get("last-event-id") or last_event_id
    asked = {"grid": grid, "definition": definition, "kind": kind, "post": post}
    policies = context.policies
    start = await context.read_as(
        request.user, lambda connection, readable: feed_start(connection, policies, last, **asked, readable=readable)
    )
    feed.check_room(request.user)
    return Stream(
        stream(context, feed, start, request.user, lambda: reader_now(request)),
        media_type="text/event-stream",
        headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"},
    )


LinesRead = Callable[[Policies, FeedQuestion, int, Connection, Readable], FeedLines]
"""What reads the next lines of a stream after a number."""


def reader_now(request: Request[Principal, Any, Any]) -> Principal | None:
    """Who listens, as it is known now; None: it may not read any more."""
    principal = principal_now(request)
    return principal if principal is not None and principal.has("reads") else None


def lines_read(
    policies: Policies, asks: FeedQuestion, after: int, connection: Connection, readable: Readable
) -> FeedLines:
    """The next lines of a stream."""
    return feed_lines(connection, policies, asks, after, readable)


async def stream(
    context: DoorContext,
    feed: Feed,
    start: FeedStart,
    principal: Principal,
    who_listens: Callable[[], Principal | None],
    read: LinesRead = lines_read,
    stands: Callable[[Connection], bool] | None = None,
) -> AsyncIterator[str]:
    """What was missed, then each line as it is told, and a comment now and then so that the connection stays open. What
    the principal reads is asked anew each time; `stands` says whether what it listens to is still there."""
    loop, (asks, epoch, after, restarted) = asyncio.get_running_loop(), start
    listener = feed.join(principal, after)
    if listener is None:  # here and not before: a stream that is never read never begins, and never leaves
        return
    why = "left"
    try:
        event = "restarted" if restarted else "opened"
        yield f'retry: 2000\nid: {epoch}-{after}\nevent: {event}\ndata: {{"epoch":"{epoch}","number":{after}}}\n\n'
        spoke, more = loop.time(), True
        while not context.closing.is_set() and (reader := who_listens()) is not None:
            if stands is not None and not await context.read(stands):
                break
            if more or feed.head > after:
                lines, after, more = await context.read_as(reader, partial(read, context.policies, asks, after))
                for number, line in lines:
                    yield f"id: {epoch}-{number}\nevent: alert\ndata: {msgspec.json.encode(line).decode()}\n\n"
                    spoke = loop.time()
                listener.after = after
            if not more and feed.head <= after:
                await feed.wait(min(STILL_S, max(0.0, spoke + HEARTBEAT_S - loop.time())))
            if loop.time() - spoke >= HEARTBEAT_S:
                yield ": still here\n\n"
                spoke = loop.time()
        why = "closing" if context.closing.is_set() else "revoked"
    except Exception:
        why = "failed"
        raise
    finally:
        feed.leave(listener, why)


ROUTES = [list_alerts, stream_alerts]

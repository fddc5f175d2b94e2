"""Alerts at the door: the list, and the feed as Server-Sent Events.

In: a subtree of the grid, and where a subscriber stopped. Out: alerts; lines of the feed, each with its place as
`<epoch>-<number>`, so that a subscriber that comes back misses nothing. The feed is a table: a slow subscriber reads at
its own pace and holds up nobody. One look at the table serves all who wait.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Annotated, Any

import msgspec
from litestar import Request, get
from litestar.di import NamedDependency
from litestar.params import FromQuery, QueryParameter
from litestar.response import Stream
from msgspec import Struct

from engine.http.context import DoorContext
from engine.http.problems import Problem, bad_query, busy
from engine.store import alerts as store
from engine.store.alerts import AlertRow, DeliveryRow
from engine.store.incident_queries import Connection
from engine.store.meta import read_meta
from engine.views.cursors import read_cursor, whole, write_cursor
from engine.views.names import CategoryNamed, Named, Names, active_names, parse_instant, prefix_of

STATUSES = ("firing", "acknowledged", "withdrawn", "resolved")
MOST = 500
SUBSCRIBERS = 200
HEARTBEAT_S = 15
LOOK_S = 0.5
"""How often the feed is looked at when nobody says that it grew."""
PAUSE_S = 0.05
INSTANTS = ("due_at", "raised_at", "due")
"""Members of a line of the feed that are instants."""
PAGE = 200
"""Lines that are read at once for one subscriber."""


class AlertLine(Struct, frozen=True):
    """An alert: that something is or was due, who was told, and what became of it."""

    id: str
    case: str
    kind: str
    clock: str
    level: int
    cycle: int
    path: list[Named]
    category: CategoryNamed | None
    recipients: list[Named]
    due_at: str
    deadline: str | None
    raised_at: str
    not_before: str | None
    status: str
    ended_at: str | None
    ended_by: str


class AlertPage(Struct, frozen=True):
    """Alerts, the latest first. `next` continues; None: this was the last page."""

    alerts: list[AlertLine]
    next: str | None
    as_of: str


# ---- the list -----------------------------------------------------------------------------------------------

Since = Annotated[str, QueryParameter(description="RFC 3339: alerts that were raised at this instant or later.")]


@get("/v1/alerts", summary="Alerts, the latest first", tags=["alerts"])
async def list_alerts(
    context: NamedDependency[DoorContext],
    status: FromQuery[str] = "",
    grid: FromQuery[str] = "",
    clock: FromQuery[str] = "",
    case: FromQuery[str] = "",
    since: Since = "",
    limit: FromQuery[int] = 100,
    cursor: FromQuery[str] = "",
) -> AlertPage:
    """Alerts of a subtree by status: firing, acknowledged, withdrawn or resolved."""
    if status and status not in STATUSES:
        raise bad_query("status", f"{status!r} is no status", f"choose one of: {', '.join(STATUSES)}")
    if not 1 <= limit <= MOST:
        raise bad_query("limit", f"{limit} is not from 1 to {MOST}", "ask for fewer and follow `next`")
    before = read_cursor(cursor, tuple[int, str]) if cursor else None
    first = parse_instant(since, "since") if since else None
    now = context.now()

    def ask(connection: Connection) -> AlertPage:
        words = active_names(connection, context.policies)
        path = prefix_of(words, grid) if grid else "/"
        rows = store.listed(
            connection,
            path=path,
            status=status or None,
            clock=clock or None,
            case=case or None,
            before=before,
            limit=limit + 1,
        )
        rows = [row for row in rows if first is None or row.raised_at >= first]
        shown = rows[:limit]
        more = write_cursor(shown[-1].raised_at, shown[-1].id) if len(rows) > limit else None
        return AlertPage([_line(row, words) for row in shown], more, words.instant(now))

    return await context.read(ask)


def _line(row: AlertRow, words: Names) -> AlertLine:
    known = words.register.categories.get(row.category)
    posts: list[str] = msgspec.json.decode(row.recipients)
    return AlertLine(
        row.id,
        row.case_id,
        row.kind,
        row.clock,
        row.level,
        row.cycle,
        words.path(tuple(code for code in row.path.split("/") if code)),
        words.category(row.category, known.group if known else ""),
        [words.post(post) for post in posts],
        words.instant(row.due_at),
        words.maybe(row.due),
        words.instant(row.raised_at),
        words.maybe(row.not_before),
        row.status,
        words.maybe(row.ended_at),
        row.ended_by,
    )


# ---- the feed -----------------------------------------------------------------------------------------------


class Feed:
    """Wakes everybody who waits for the feed to grow. It looks only while somebody listens."""

    def __init__(self, context: DoorContext) -> None:
        self.context = context
        self.listeners = 0
        self.head = 0
        self._grown = asyncio.Event()
        self._watch: asyncio.Task[None] | None = None

    def check_room(self) -> None:
        """Refuse one more when enough listen."""
        if self.listeners >= SUBSCRIBERS:
            raise busy(f"{SUBSCRIBERS} subscribers listen already", "come again later, or read /v1/alerts")

    def join(self) -> None:
        """One more listens."""
        self.listeners += 1
        if self._watch is None or self._watch.done():
            self._watch = asyncio.create_task(self._look())

    def leave(self) -> None:
        """One less; after the last one nobody looks."""
        self.listeners -= 1
        if not self.listeners and self._watch is not None:
            self._watch.cancel()
            self._watch = None

    async def wait(self, timeout_s: float) -> None:
        """Until the feed has grown, the door closes, or the time is over."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self._grown.wait(), timeout_s)

    async def _look(self) -> None:
        """Look when the writer has done something, and every half second: others may write to this database."""
        told, loop = self.context.writer.told, asyncio.get_running_loop()
        looked = 0.0
        while not self.context.closing.is_set():
            if told.is_set() or loop.time() - looked >= LOOK_S:
                told.clear()
                looked = loop.time()
                with suppress(Problem):
                    head = await self.context.read(store.last_number)
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
    request: Request[Any, Any, Any],
    context: NamedDependency[DoorContext],
    feed: NamedDependency[Feed],
    grid: FromQuery[str] = "",
    last_event_id: FromQuery[str] = "",
) -> Stream:
    """Lines of the feed as they are told, those missed since `Last-Event-ID` first; without it, from now on. An id of
    another epoch (the database was restored), or none of this feed's, is answered with the event `restarted`, then
    with the whole epoch."""
    last = request.headers.get("last-event-id") or last_event_id

    def ask(connection: Connection) -> tuple[str, str, int]:
        path = prefix_of(active_names(connection, context.policies), grid) if grid else "/"
        return path, read_meta(connection, store.EPOCH) or "0", store.last_number(connection)

    path, epoch, head = await context.read(ask)
    restarted, after = _place(last, epoch, head)
    feed.check_room()
    lines = _lines(context, feed, path, epoch, after, restarted)
    return Stream(
        lines, media_type="text/event-stream", headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    )


def _place(last: str, epoch: str, head: int) -> tuple[bool, int]:
    """Whether the feed has begun anew since this id was given, and the number to go on after.

    A number beyond the head is of a feed that had more lines: whoever went on after it would hear nothing for long.
    """
    if not last:
        return False, head
    begun, _, text = last.rpartition("-")
    number = whole(text)
    if begun != epoch or number is None or number > head:
        return True, 0
    return False, number


async def _lines(
    context: DoorContext, feed: Feed, path: str, epoch: str, after: int, restarted: bool
) -> AsyncIterator[str]:
    """The stream: what was missed, then what is told, and a comment now and then so that the line stays open."""
    loop = asyncio.get_running_loop()
    feed.join()  # here and not before: a stream that nobody reads never begins, and never leaves either
    try:
        yield f"retry: 2000\n: epoch {epoch}\n\n"
        if restarted:
            yield f'event: restarted\ndata: {{"epoch":"{epoch}"}}\n\n'
        spoke = loop.time()
        while not context.closing.is_set():
            told, after = await _told(context, path, epoch, after)
            for text in told:
                yield text
                spoke = loop.time()
            if len(told) < PAGE and feed.head <= after:
                await feed.wait(max(0.0, spoke + HEARTBEAT_S - loop.time()))
            if loop.time() - spoke >= HEARTBEAT_S:
                yield ": still here\n\n"
                spoke = loop.time()
    finally:
        feed.leave()


async def _told(context: DoorContext, path: str, epoch: str, after: int) -> tuple[list[str], int]:
    """The next lines for a subtree as they are sent, and the number to go on after."""

    def ask(connection: Connection) -> tuple[list[str], int]:
        rows = store.read_feed(connection, after, path, PAGE)
        # A full page may end before the feed does; else everything up to the feed's end has been looked at.
        last = rows[-1].number if len(rows) == PAGE else max(after, store.last_number(connection))
        words = active_names(connection, context.policies) if rows else None
        return [_event(row, epoch, words) for row in rows if words], last

    return await context.read(ask)


def _event(row: DeliveryRow, epoch: str, words: Names) -> str:
    """A line of the feed, its instants written out as everywhere at the door."""
    body: dict[str, Any] = msgspec.json.decode(row.body)
    written = {name: words.instant(value) if name in INSTANTS else value for name, value in body.items()}
    written |= {"why": row.reason, "told_at": words.instant(row.told_at)}
    return f"id: {epoch}-{row.number}\nevent: alert\ndata: {msgspec.json.encode(written).decode()}\n\n"


ROUTES = [list_alerts, stream_alerts]

"""Alerts: the list, the latest first, and the lines of the feed.

A place in the feed is written `<epoch>-<number>`. Numbers are dense; a restored database begins a new epoch.
"""

from typing import Any, NamedTuple

import msgspec
from msgspec import Struct

from engine.policies import Policies
from engine.store import alerts, seen_alerts
from engine.store.alerts import AlertRow, DeliveryRow
from engine.store.database import Connection
from engine.store.meta import read_meta
from engine.views.cursors import read_cursor, write_cursor
from engine.views.feed_words import names_of, sentence
from engine.views.names import CategoryNamed, Named, Names, active_names, prefix_of
from engine.views.questions import BadQuestion, check_definition, check_limit, parse_instant, parse_whole
from engine.views.readers import check_list
from schemas.messages import LineNames, Words, decode_line
from workflows.reading import READS_EVERYTHING, Readable

STATUSES = ("firing", "withdrawn", "resolved")
MOST = 500
"""Alerts of a page at most."""
INSTANTS = ("due_at", "raised_at", "due")
"""Members of a line of the feed that are instants."""
KINDS = ("alert", "notice")
"""What lines of the feed tell of."""
FEED_PAGE = 200
"""Lines that are read at once for one subscriber."""


class AlertQuestion(Struct, frozen=True, kw_only=True):
    """Which alerts; empty asks nothing. `post`: those that tell it. `since` is the RFC 3339 instant from which on they
    were raised."""

    status: str = ""
    grid: str = ""
    clock: str = ""
    rung: str = ""
    case: str = ""
    definition: str = ""
    post: str = ""
    since: str = ""
    limit: int = 100
    cursor: str = ""


class AlertLine(Struct, frozen=True):
    """An alert: that something is or was due, who was told, who of them has acknowledged it, and what became of it.

    `names` and `sentence` are those of its lines in the feed. `seen_at`: when the post that was asked for said that it
    has seen it.
    """

    id: str
    case: str
    definition: str
    kind: str
    clock: str
    level: int
    cycle: int
    path: list[Named]
    category: CategoryNamed | None
    department: Named | None
    recipients: list[Named]
    acknowledged_by: list[Named]
    due_at: str
    deadline: str | None
    raised_at: str
    not_before: str | None
    status: str
    ended_at: str | None
    ended_by: str
    names: LineNames
    sentence: Words
    seen_at: str | None = None


class AlertPage(Struct, frozen=True):
    """Alerts, the latest first. `next` continues; None: this was the last page."""

    alerts: list[AlertLine]
    next: str | None
    as_of: str


def alert_page(
    connection: Connection,
    policies: Policies,
    question: AlertQuestion,
    now: int,
    readable: Readable = READS_EVERYTHING,
) -> AlertPage:
    """The alerts that are asked for, of those that are read. Raises Unanswerable."""
    if question.status and question.status not in STATUSES:
        raise BadQuestion("status", "no alert has such a status", f"choose one of: {', '.join(STATUSES)}")
    check_definition(question.definition)
    check_limit(question.limit, MOST)
    before = read_cursor(question.cursor, tuple[int, str]) if question.cursor else None
    since = parse_instant(question.since, "since") if question.since else None
    names = active_names(connection, policies)
    check_list(readable, names, question.definition, question.grid)
    rows = alerts.listed(
        connection,
        path=prefix_of(names, question.grid) if question.grid else "/",
        status=question.status or None,
        clock=question.clock or None,
        rung=question.rung or None,
        case=question.case or None,
        definition=question.definition or None,
        post=question.post,
        before=before,
        limit=question.limit + 1,
        readable=readable,
    )
    rows = [row for row in rows if since is None or row.raised_at >= since]
    shown = rows[: question.limit]
    more = write_cursor(shown[-1].raised_at, shown[-1].id) if len(rows) > len(shown) else None
    seen = seen_alerts.seen_at(connection, question.post, [row.id for row in shown])
    return AlertPage([alert_line(row, names, seen.get(row.id)) for row in shown], more, names.instant(now))


def alert_line(row: AlertRow, names: Names, seen_at: int | None = None) -> AlertLine:
    """An alert with the names of the active pack. `seen_at`: when the post that was asked for has seen it."""
    category = names.register.categories.get(row.category)
    posts: list[str] = msgspec.json.decode(row.recipients)
    seen: list[str] = msgspec.json.decode(row.acknowledged_by)
    return AlertLine(
        id=row.id,
        case=row.case_id,
        definition=row.definition,
        kind=row.kind,
        clock=row.clock,
        level=row.level,
        cycle=row.cycle,
        path=names.path(tuple(code for code in row.path.split("/") if code)),
        category=names.category(row.category, category.group if category else ""),
        department=names.department(row.department) if row.department else None,
        recipients=[names.post(post) for post in posts],
        acknowledged_by=[names.post(post) for post in seen],
        due_at=names.instant(row.due_at),
        deadline=names.maybe(row.due),
        raised_at=names.instant(row.raised_at),
        not_before=names.maybe(row.not_before),
        status=row.status,
        ended_at=names.maybe(row.ended_at),
        ended_by=row.ended_by,
        names=names_of(row, posts, row.ended_by, names),
        sentence=sentence(row, row.status, row.ended_by, names),
        seen_at=names.maybe(seen_at),
    )


# ---- the feed -----------------------------------------------------------------------------------------------


class FeedQuestion(NamedTuple):
    """What a subscriber asks for, each empty: all. The path of a subtree, a kind of case, alerts or notices, and what a
    post is told."""

    path: str = "/"
    definition: str = ""
    kind: str = ""
    post: str = ""


class FeedStart(NamedTuple):
    """Where a subscriber begins: what it asks for, the feed's epoch, the number to go on after, and whether the place
    that it named is of another feed."""

    asks: FeedQuestion
    epoch: str
    after: int
    restarted: bool


class FeedLine(Struct, frozen=True, omit_defaults=True, kw_only=True):
    """A line of the feed: who was alerted that something is or was due, and what became of it: `what` is firing,
    resolved or withdrawn; or acknowledged, then `by` has seen it, it fires on, and nobody is told. Or, with `kind`
    notice and `what` told, a notice: `on` is the move that it tells of, and a daily line has several `cases` with their
    states. `id` is stable; `recipients` maps each post to the id of its delivery."""

    id: str
    alert: str
    what: str
    case: str
    definition: str
    kind: str
    clock: str
    level: int
    path: str
    category: str
    recipients: dict[str, str]
    due_at: str
    raised_at: str
    due: str | None = None
    by: str = ""
    on: str = ""
    cases: dict[str, str] = {}
    more: int = 0
    department: str = ""
    feed_only: bool = False
    names: LineNames
    sentence: Words
    why: str
    told_at: str


class FeedLines(NamedTuple):
    """The next lines of a subtree by their numbers, and the number to go on after. With `full` there may be more."""

    lines: list[tuple[int, FeedLine]]
    after: int
    full: bool


def feed_start(
    connection: Connection,
    policies: Policies,
    last: str,
    grid: str = "",
    definition: str = "",
    kind: str = "",
    post: str = "",
    readable: Readable = READS_EVERYTHING,
) -> FeedStart:
    """Where to begin after the place `last`; without one, from now on. Raises Unanswerable."""
    check_definition(definition)
    if kind and kind not in KINDS:
        raise BadQuestion("kind", "no line of the feed is of such a kind", f"choose one of: {', '.join(KINDS)}")
    path = "/"
    if grid or not readable.whole:
        names = active_names(connection, policies)
        check_list(readable, names, definition, grid)
        path = prefix_of(names, grid) if grid else path
    epoch = read_meta(connection, alerts.EPOCH) or "0"
    head = alerts.last_number(connection)
    after = place_in_feed(last, epoch, head) if last else head
    return FeedStart(FeedQuestion(path, definition, kind, post), epoch, after or 0, restarted=after is None)


def place_in_feed(last: str, epoch: str, head: int) -> int | None:
    """The number of a place, None where this feed never had it.

    A number beyond the head is of a feed that had more lines: after it a subscriber would hear nothing for long.
    """
    begun, _, text = last.rpartition("-")
    number = parse_whole(text)
    return number if begun == epoch and number is not None and number <= head else None


def feed_lines(
    connection: Connection,
    policies: Policies,
    asks: FeedQuestion,
    after: int,
    readable: Readable = READS_EVERYTHING,
) -> FeedLines:
    """The lines after a number, of those that are read; their instants written out as everywhere at the door."""
    path, definition, kind, post = asks
    rows = alerts.read_feed(connection, after, path, definition, FEED_PAGE, kind=kind, post=post, readable=readable)
    full = len(rows) == FEED_PAGE
    # A full page may end before the feed does; else everything up to the feed's end has been looked at.
    last = rows[-1].number if full else max(after, alerts.last_number(connection))
    if not rows:
        return FeedLines([], last, full)
    names = active_names(connection, policies)
    return FeedLines([(row.number, line_shown(row, names)) for row in rows], last, full)


def line_shown(row: DeliveryRow, names: Names) -> FeedLine:
    """A line of the feed with its words, and its instants written out."""
    line: dict[str, Any] = msgspec.json.decode(row.body)
    words = dict(zip(("names", "sentence"), in_words(row, names), strict=True))
    line |= {name: names.instant(line[name]) for name in INSTANTS if name in line}
    line |= {"definition": row.definition, "why": row.reason, "told_at": names.instant(row.told_at)}
    return msgspec.convert(line | words, FeedLine)


def in_words(row: DeliveryRow, names: Names) -> tuple[LineNames, Words]:
    """The names of a line's codes, and what it says."""
    line = msgspec.structs.replace(decode_line(row.body), definition=row.definition)
    cases = len(line.cases) + line.more
    return (
        names_of(line, line.recipients, line.by, names),
        sentence(line, line.what, line.by, names, on=line.on, cases=cases),
    )

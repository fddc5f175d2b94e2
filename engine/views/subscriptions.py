"""Subscriptions as their principals see them, and the lines of the feed that each asks for and may be told.

Who subscribed is told what it speaks for or reads at that moment (`Readable.may_be_told`), whatever it was when the
subscription was made.
"""

from collections.abc import Callable
from typing import NamedTuple
from urllib.parse import urlsplit

import msgspec
from msgspec import Struct

from engine.policies import Policies
from engine.store import alerts, channels, subscriptions
from engine.store.alerts import DeliveryRow
from engine.store.channels import ChannelState
from engine.store.database import Connection
from engine.store.meta import read_meta
from engine.store.subscriptions import SubscriptionRow
from engine.views.alerts import FEED_PAGE, FeedLine, FeedLines, FeedQuestion, FeedStart, line_shown, place_in_feed
from engine.views.channel_lines import ChannelLinePage, ChannelQuestion, channel_page
from engine.views.names import Names, active_names
from engine.views.questions import BadQuestion, check_limit
from schemas.messages import Line, decode_line
from workflows.reading import Readable
from workflows.selection import Selection, selects_line, selects_post

MOST = 500
"""Lines of a page at most."""
Speaks = Callable[[str], bool]
"""Whether a principal may speak for a post."""
decode_selection = msgspec.json.Decoder(Selection).decode


class SubscriptionShown(Struct, frozen=True, omit_defaults=True, kw_only=True):
    """A subscription and how it stands, without its secret. `leads_to`: the host of its webhook; `place`: of a stream,
    behind which its next lines are; `behind`: lines of the feed that it has not taken in or received. `waiting` lines
    are not in a message yet; `sending`, `sent` and `given_up` are messages, `reply` is what the other side said last.
    """

    id: str
    name: str
    principal: str
    kind: str
    asks: Selection
    made_at: str
    leads_to: str = ""
    wait_s: int = 0
    old_secret_until: str | None = None
    place: str = ""
    behind: int = 0
    waiting: int = 0
    sending: int = 0
    sent: int = 0
    given_up: int = 0
    tried_at: str | None = None
    reply: str = ""
    ended_at: str | None = None
    why: str = ""


class SubscriptionPage(Struct, frozen=True):
    """The subscriptions that are asked for."""

    subscriptions: list[SubscriptionShown]


class SubscribedLines(Struct, frozen=True):
    """Lines of the feed after a place, in order, and the place after them: received, it is sent to
    `/v1/subscriptions/{id}/place`. `more`: there is more now."""

    lines: list[FeedLine]
    next: str
    more: bool


def subscription_page(
    connection: Connection, policies: Policies, principal: str, ended: bool, now: int
) -> SubscriptionPage:
    """The subscriptions of a principal; of all where it is empty."""
    rows = subscriptions.listed(connection, principal, ended=ended)
    states = {state.channel: state for state in channels.states_of(connection, [row.id for row in rows])}
    names = active_names(connection, policies)
    epoch = read_meta(connection, alerts.EPOCH) or "0"
    return SubscriptionPage([_shown(row, states[row.id], names, epoch, now) for row in rows])


def subscription_shown(connection: Connection, policies: Policies, row: SubscriptionRow, now: int) -> SubscriptionShown:
    """One subscription."""
    [state] = channels.states_of(connection, [row.id])
    return _shown(row, state, active_names(connection, policies), read_meta(connection, alerts.EPOCH) or "0", now)


def _shown(row: SubscriptionRow, state: ChannelState, names: Names, epoch: str, now: int) -> SubscriptionShown:
    stream = row.kind == "stream" and not row.ended_at
    return SubscriptionShown(
        id=row.id,
        name=row.name,
        principal=row.principal,
        kind=row.kind,
        asks=decode_selection(row.asks),
        made_at=names.instant(row.made_at),
        leads_to=urlsplit(row.url).hostname or "",
        wait_s=row.wait_s if row.kind == "webhook" else 0,
        old_secret_until=names.instant(row.old_until) if row.old_until > now else None,
        place=f"{epoch}-{state.taken}" if stream else "",
        behind=state.behind,
        waiting=state.waiting,
        sending=state.sending,
        sent=state.sent,
        given_up=state.given_up,
        tried_at=names.maybe(state.tried_at),
        reply=state.reply,
        ended_at=names.instant(row.ended_at) if row.ended_at else None,
        why=row.why,
    )


# ---- what is told ----------------------------------------------------------------------------------------------


def told_posts(selection: Selection, line: Line, readable: Readable, speaks: Speaks) -> list[str]:
    """The posts for which somebody asks for a line and may be told it."""
    if not selects_line(selection, line):
        return []
    return [
        post
        for post in line.recipients
        if selects_post(selection, post)
        and readable.may_be_told(line.definition, line.path, line.recipients, post, speaks(post))
    ]


class Subscriber(NamedTuple):
    """Whose lines are asked for: what it reads now, and for whom it speaks."""

    readable: Readable
    speaks: Speaks


def subscription_start(connection: Connection, row: SubscriptionRow, last: str) -> FeedStart:
    """Where a stream begins: after the place `last`, without one after its own."""
    epoch = read_meta(connection, alerts.EPOCH) or "0"
    own, head = channels.place(connection, row.id)
    after = place_in_feed(last, epoch, head) if last else own
    return FeedStart(FeedQuestion(), epoch, after or 0, restarted=after is None)


def subscribed_lines(
    connection: Connection,
    policies: Policies,
    selection: Selection,
    after: int,
    subscriber: Subscriber,
    limit: int = FEED_PAGE,
) -> FeedLines:
    """The next lines of a stream, of `limit` that the feed has."""
    rows = alerts.read_feed(connection, after, "/", "", limit)
    full = len(rows) == limit
    names, lines = active_names(connection, policies), list[tuple[int, FeedLine]]()
    for row in rows:
        if (shown := _told(row, selection, subscriber)) is not None:
            lines.append((row.number, line_shown(shown, names)))
    return FeedLines(lines, rows[-1].number if rows else after, full)


def _told(row: DeliveryRow, selection: Selection, subscriber: Subscriber) -> DeliveryRow | None:
    """A line with the posts alone that are asked for and may be told; None: there is none. One that rings nobody is for
    who asks for all posts, and reads the place."""
    line = msgspec.structs.replace(decode_line(row.body), definition=row.definition)
    readable, speaks = subscriber
    posts = told_posts(selection, line, readable, speaks)
    rings_nobody = not line.recipients and not selection.posts and selects_line(selection, line)
    if not posts and not (rings_nobody and readable.of(line.definition).reads_line(line.path, ())):
        return None
    told = msgspec.structs.replace(line, recipients={post: line.recipients[post] for post in posts})
    return msgspec.structs.replace(row, body=msgspec.json.encode(told).decode())


def lines_page(
    connection: Connection, policies: Policies, row: SubscriptionRow, last: str, limit: int, subscriber: Subscriber
) -> SubscribedLines:
    """Lines after a place, or after the subscription's own. Raises BadQuestion."""
    check_limit(limit, MOST)
    _, epoch, after, restarted = subscription_start(connection, row, last)
    if restarted:
        raise foreign_place()
    lines, after, full = subscribed_lines(connection, policies, decode_selection(row.asks), after, subscriber, limit)
    return SubscribedLines([line for _, line in lines], f"{epoch}-{after}", full)


def number_of(connection: Connection, place: str) -> int:
    """The number of a place. Raises BadQuestion for one that this feed never had."""
    epoch = read_meta(connection, alerts.EPOCH) or "0"
    found = place_in_feed(place, epoch, alerts.last_number(connection))
    if found is None:
        raise foreign_place()
    return found


def foreign_place() -> BadQuestion:
    """The answer to a place of another feed, such as that of before a restore."""
    return BadQuestion("place", "this feed never had this place", "ask without one: after the subscription's own")


def deliveries_page(
    connection: Connection,
    policies: Policies,
    row: SubscriptionRow,
    status: str,
    limit: int,
    cursor: str,
    now: int,
    subscriber: Subscriber,
) -> ChannelLinePage:
    """What was told by a subscription, and what waits, as far as it was sent or may be told now. Raises
    Unanswerable."""
    question = ChannelQuestion(channel=row.id, status=status, limit=limit, cursor=cursor)
    readable, speaks = subscriber

    def may_see(line: channels.ChannelLine) -> bool:
        kind, path, post = line.definition, line.path, line.post
        return line.status == "sent" or readable.may_be_told(kind, path, (post,), post, speaks(post))

    return channel_page(connection, policies, question, now, may_see)

"""What channels told: to whom, when, why, and what came of it; the latest first."""

from collections.abc import Callable

from msgspec import Struct

from engine.policies import Policies
from engine.store import channels
from engine.store.channels import ChannelLine, Told
from engine.store.database import Connection
from engine.views.cursors import read_cursor, write_cursor
from engine.views.names import Named, Names, active_names
from engine.views.questions import BadQuestion, check_limit

STATUSES = ("waiting", "grouped", "sent", "given_up", "overtaken", "too_old")
MOST = 500
"""Lines of a page at most."""


class ChannelQuestion(Struct, frozen=True, kw_only=True):
    """Which lines of channels; empty asks nothing."""

    channel: str = ""
    post: str = ""
    case: str = ""
    status: str = ""
    limit: int = 100
    cursor: str = ""


class ChannelLineShown(Struct, frozen=True):
    """A line of the feed that a channel told a post, or is to tell it. `id` is stable for channel, alert and post;
    several lines go in one `message`. `tries` and `reply` are of that message; `tried_at` is when it was sent last."""

    id: str
    channel: str
    post: Named
    alert: str
    what: str
    case: str
    definition: str
    route: str
    told_at: str
    due_at: str
    status: str
    message: str
    tries: int
    tried_at: str | None
    reply: str


class ChannelLinePage(Struct, frozen=True):
    """Lines of channels, the latest first. `next` continues; None: this was the last page."""

    deliveries: list[ChannelLineShown]
    next: str | None
    as_of: str


def channel_page(
    connection: Connection,
    policies: Policies,
    question: ChannelQuestion,
    now: int,
    may_see: Callable[[ChannelLine], bool] = lambda line: True,
) -> ChannelLinePage:
    """The lines that are asked for, and may be seen. Raises Unanswerable."""
    if question.status and question.status not in STATUSES:
        raise BadQuestion("status", "no line of a channel has such a status", f"choose one of: {', '.join(STATUSES)}")
    check_limit(question.limit, MOST)
    names = active_names(connection, policies)
    rows = channels.listed(
        connection,
        channel=question.channel,
        post=question.post,
        case=question.case,
        status=question.status,
        before=read_cursor(question.cursor, tuple[int, str, str]) if question.cursor else None,
        limit=question.limit + 1,
    )
    shown = rows[: question.limit]
    last = shown[-1].line if shown else None
    more = write_cursor(last.told_at, last.channel, last.id) if last and len(rows) > len(shown) else None
    found = [_shown(row, names) for row in shown if may_see(row.line)]
    return ChannelLinePage(found, more, names.instant(now))


def _shown(row: Told, names: Names) -> ChannelLineShown:
    line = row.line
    return ChannelLineShown(
        id=line.id,
        channel=line.channel,
        post=names.post(line.post),
        alert=line.alert,
        what=line.what,
        case=line.case_id,
        definition=line.definition,
        route=line.route,
        told_at=names.instant(line.told_at),
        due_at=names.instant(line.due_at),
        status=line.status,
        message=line.message,
        tries=row.tries,
        tried_at=names.instant(row.tried_at) if row.tried_at else None,
        reply=row.reply,
    )

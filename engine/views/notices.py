"""Notices: who was told of which move of a case, the latest first."""

import msgspec
from msgspec import Struct

from engine.policies import Policies
from engine.store import notices, seen_alerts
from engine.store.database import Connection
from engine.store.notices import NoticeRow
from engine.views.cursors import read_cursor, write_cursor
from engine.views.feed_words import NoticeWords, names_of, sentence
from engine.views.names import CategoryNamed, Named, Names, active_names, prefix_of
from engine.views.questions import BadQuestion, check_definition, check_limit, parse_instant
from engine.views.readers import check_list
from schemas.messages import LineNames, Words
from workflows.policy.moves import MOVES
from workflows.reading import READS_EVERYTHING, Readable

MOST = 500
"""Notices of a page at most."""


class NoticeQuestion(Struct, frozen=True, kw_only=True):
    """Which notices; empty asks nothing. `since` is the RFC 3339 instant from which on their steps arrived."""

    on: str = ""
    grid: str = ""
    post: str = ""
    case: str = ""
    definition: str = ""
    since: str = ""
    limit: int = 100
    cursor: str = ""


class NoticeLine(Struct, frozen=True):
    """A notice: who is told of a move of a case. `names` and `sentence` are those of its line in the feed.

    Not `told` yet, it waits for `not_before`: the end of the quiet hours, or, if it is `daily`, the hour at which its
    reporter hears of all cases together. `seen_at`: when the post that was asked for said that it has seen it.
    """

    id: str
    case: str
    definition: str
    on: str
    path: list[Named]
    category: CategoryNamed | None
    recipients: list[Named]
    raised_at: str
    not_before: str | None
    daily: bool
    told: bool
    names: LineNames
    sentence: Words
    seen_at: str | None = None


class NoticePage(Struct, frozen=True):
    """Notices, the latest first. `next` continues; None: this was the last page."""

    notices: list[NoticeLine]
    next: str | None
    as_of: str


def notice_page(
    connection: Connection,
    policies: Policies,
    question: NoticeQuestion,
    now: int,
    readable: Readable = READS_EVERYTHING,
) -> NoticePage:
    """The notices that are asked for, of those that are read. Raises Unanswerable."""
    if question.on and question.on not in MOVES:
        raise BadQuestion("on", "no notice tells of such a move", f"choose one of: {', '.join(MOVES)}")
    check_definition(question.definition)
    check_limit(question.limit, MOST)
    names = active_names(connection, policies)
    check_list(readable, names, question.definition, question.grid)
    rows = notices.listed(
        connection,
        path=prefix_of(names, question.grid) if question.grid else "/",
        move=question.on,
        post=question.post,
        case=question.case,
        definition=question.definition,
        since=parse_instant(question.since, "since") if question.since else 0,
        before=read_cursor(question.cursor, tuple[int, str]) if question.cursor else None,
        limit=question.limit + 1,
        readable=readable,
    )
    shown = rows[: question.limit]
    more = write_cursor(shown[-1].raised_at, shown[-1].id) if len(rows) > len(shown) else None
    seen = seen_alerts.seen_at(connection, question.post, [row.id for row in shown])
    return NoticePage([notice_line(row, names, seen.get(row.id)) for row in shown], more, names.instant(now))


def notice_line(row: NoticeRow, names: Names, seen_at: int | None = None) -> NoticeLine:
    """A notice with the names of the active pack. `seen_at`: when the post that was asked for has seen it."""
    category = names.register.categories.get(row.category)
    posts: list[str] = msgspec.json.decode(row.recipients)
    about = NoticeWords(row.path, row.category, row.definition)
    return NoticeLine(
        id=row.id,
        case=row.case_id,
        definition=row.definition,
        on=row.move,
        path=names.path(tuple(code for code in row.path.split("/") if code)),
        category=names.category(row.category, category.group if category else ""),
        recipients=[names.post(post) for post in posts],
        raised_at=names.instant(row.raised_at),
        not_before=names.maybe(row.not_before),
        daily=bool(row.daily),
        told=bool(row.number),
        names=names_of(about, posts, "", names),
        sentence=sentence(about, "told", "", names, on=row.move),
        seen_at=names.maybe(seen_at),
    )

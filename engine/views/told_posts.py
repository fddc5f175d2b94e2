"""What a post was told, alerts and notices together: seen or not, and by which channels."""

from msgspec import Struct

from engine.policies import Policies
from engine.store import channels
from engine.store.database import Connection
from engine.views.alerts import AlertLine, AlertQuestion, alert_page
from engine.views.notices import NoticeLine, NoticeQuestion, notice_page
from workflows.reading import Readable

PAGE = 50
"""Alerts, and as many notices, of a page."""

CHANNEL_LINES = 500
"""So many of the last lines that channels told this post are looked at."""


class ToldLine(Struct, frozen=True, kw_only=True):
    """A line: an alert with how it stands, or a notice (its `status` is `told`, or `waits` until `not_before`).
    `soon`: an alert whose deadline has not passed.
    `channels`: by name of the channel, how the telling ended there."""

    id: str
    case: str
    is_alert: bool
    zh: str
    en: str
    at: str
    status: str
    soon: bool
    not_before: str | None
    acknowledged: bool
    seen_at: str | None
    channels: dict[str, str]


class ToldPage(Struct, frozen=True):
    """The lines, the latest first, and how many of them the post has not seen."""

    lines: list[ToldLine]
    unseen: int
    more: bool
    as_of: str


def told_page(connection: Connection, policies: Policies, post: str, now: int, readable: Readable) -> ToldPage:
    """What a post was told, of what is read. Raises Unanswerable."""
    alerts = alert_page(connection, policies, AlertQuestion(post=post, limit=PAGE), now, readable)
    notices = notice_page(connection, policies, NoticeQuestion(post=post, limit=PAGE), now, readable)
    ways = dict[str, dict[str, str]]()
    for told in channels.listed(connection, post=post, limit=CHANNEL_LINES):  # the latest first
        ways.setdefault(told.line.alert, {}).setdefault(told.line.channel, told.line.status)
    lines = [of_alert(line, post, ways.get(line.id, {}), alerts.as_of) for line in alerts.alerts]
    lines += [of_notice(line, ways.get(line.id, {})) for line in notices.notices]
    lines = sorted(lines, key=lambda line: (line.at, line.id), reverse=True)
    more = alerts.next is not None or notices.next is not None
    return ToldPage(lines, sum(line.seen_at is None for line in lines), more, alerts.as_of)


def of_alert(line: AlertLine, post: str, ways: dict[str, str], as_of: str) -> ToldLine:
    """An alert as a line, as of an instant of the same zone."""
    seen = any(each.code == post for each in line.acknowledged_by)
    return ToldLine(
        id=line.id,
        case=line.case,
        is_alert=True,
        zh=line.sentence.zh,
        en=line.sentence.en,
        at=line.raised_at,
        status=line.status,
        soon=line.deadline is not None and line.deadline > as_of,
        not_before=line.not_before,
        acknowledged=seen,
        seen_at=line.seen_at,
        channels=ways,
    )


def of_notice(line: NoticeLine, ways: dict[str, str]) -> ToldLine:
    """A notice as a line."""
    return ToldLine(
        id=line.id,
        case=line.case,
        is_alert=False,
        zh=line.sentence.zh,
        en=line.sentence.en,
        at=line.raised_at,
        status="told" if line.told else "waits",
        soon=False,
        not_before=None if line.told else line.not_before,
        acknowledged=False,
        seen_at=line.seen_at,
        channels=ways,
    )

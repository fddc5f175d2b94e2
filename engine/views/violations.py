"""The feed of decided violations (信用信息共享, M123): which enterprise an office has acted against in public.

For the post of a bank (绿色信贷), of the grid of that post and all below it. What is told in public stands in it once
it was served: the codes of the pack and of the register of units, the document, the amount; no words and no person.
What was revoked stays, and says so.
"""

from typing import Literal

from msgspec import Struct

from engine.policies import Policies
from engine.principals import Principal
from engine.store.database import Connection
from engine.views.deductions import supervisions
from engine.views.names import Named, Names, active_names, prefix_of
from engine.views.questions import BadQuestion, Unanswerable, parse_instant
from schemas.kinds.supervision import Supervision
from workflows.case import Case
from workflows.definitions.supervision import RESCINDED
from workflows.notices import is_public
from workflows.policy.model import BANK, Post
from workflows.reading import READS_EVERYTHING

Standing = Literal["in_force", "ended", "revoked"]


class ViolationQuestion(Struct, frozen=True, kw_only=True):
    """What has been served, or has ended, from an instant on (RFC 3339); empty: all. `supervision`: that act alone.
    `post`: the one that reads, where the principal speaks for several banks."""

    since: str = ""
    supervision: str = ""
    post: str = ""


class Violation(Struct, frozen=True, kw_only=True):
    """An act against an enterprise: `site` is its code in the office's register of units."""

    site: str
    action: str
    title_zh: str
    title_en: str
    document: str
    amount_fen: int
    place: list[Named]
    served_at: str
    standing: Standing
    ended_at: str | None
    supervision: str


class ViolationPage(Struct, frozen=True, kw_only=True):
    """The feed, the earliest first. `reader` is the post for which it was read."""

    violations: list[Violation]
    reader: str
    grid: str
    as_of: str


class NoBank(Unanswerable):
    """The principal has no post that reads the feed."""

    def __init__(self) -> None:
        remedy = "ask who runs the system for a post whose role is `bank`"
        super().__init__("post", "none of your posts reads the feed of violations", remedy)


def violation_page(
    connection: Connection, policies: Policies, question: ViolationQuestion, reader: Principal, now: int
) -> ViolationPage:
    """The feed for a post of a bank. Raises Unanswerable: NoBank also where there is no such post."""
    names = active_names(connection, policies)
    since = parse_instant(question.since, "since") if question.since else 0
    post = bank_of(names, reader, question.post, now)
    grid = names.register.standing(post.grid, now)
    found = [
        (case, case.own)
        for case in supervisions(connection, prefix_of(names, grid), now, READS_EVERYTHING)
        if isinstance(case.own, Supervision) and is_public(case.own) and question.supervision in ("", case.id)
    ]
    recent = [each for each in found if max(each[1].served or 0, each[0].closed or 0) >= since]
    recent.sort(key=lambda each: (each[1].served or 0, each[0].id))
    return ViolationPage(
        violations=[violation(case, own, names) for case, own in recent],
        reader=post.code,
        grid=grid,
        as_of=names.instant(now),
    )


def bank_of(names: Names, reader: Principal, code: str, now: int) -> Post:
    """The bank's post for which a principal reads. Raises NoBank; BadQuestion where it has to name one of several."""
    register = names.register
    own = [
        post
        for post in register.pack.posts
        if post.role == BANK and not post.vacant and reader.may_speak(post.code) and register.stands(post, now)
    ]
    if code:
        own = [post for post in own if post.code == code]
    if not own:
        raise NoBank()
    if len(own) > 1:
        listed = ", ".join(post.code for post in own[:3])
        raise BadQuestion("post", "you speak for the posts of several banks", f"name one, such as {listed}")
    return own[0]


def violation(case: Case, own: Supervision, names: Names) -> Violation:
    """One act in words."""
    title_zh, title_en = names.titles(case.category)
    standing: Standing = "in_force" if case.closed is None else "revoked" if case.state == RESCINDED else "ended"
    assert own.served is not None
    return Violation(
        site=own.site,
        action=case.category,
        title_zh=title_zh,
        title_en=title_en,
        document=own.document,
        amount_fen=own.amount_fen,
        place=names.path(case.path),
        served_at=names.instant(own.served),
        standing=standing,
        ended_at=names.maybe(case.closed),
        supervision=case.id,
    )

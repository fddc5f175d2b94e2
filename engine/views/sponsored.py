"""Grids with a sponsor (包抓): a leader who answers for a grid beside its chief (M44-M47). A sponsor is a post of the
pack, and its grid is the one that it sponsors; who sponsors several has a post for each.

Told is what lies open in each of these grids and what of it is overdue, and what the sponsor owed and kept in a month.
"""

from collections.abc import Sequence

from msgspec import Struct

from engine.policies import Policies
from engine.slice.as_rows import path_text
from engine.store.database import Connection
from engine.views.duties import DutyLine, DutyQuestion, duty_page
from engine.views.figure_question import PerformanceQuestion
from engine.views.figure_rows import FigureRow
from engine.views.names import Named, active_names, prefix_of
from engine.views.performance import OpenCases, PerformancePage, performance_page
from engine.views.present import Reading
from engine.views.readers import grid_asked, reads_grid
from workflows.definitions import REFERENCE
from workflows.definitions.duty import DUTY
from workflows.figures import Rate
from workflows.policy.index import Policy
from workflows.policy.model import Post
from workflows.reading import Readable

SPONSOR = "sponsor"
"""The role of a post that sponsors its grid."""


class SponsorQuestion(Struct, frozen=True, kw_only=True):
    """Whose grids: those of the post where that is a sponsor's, else those right below a grid (empty: the first one
    from the root down that has several). `day`: of which month duties are told; empty: the present one."""

    post: str = ""
    grid: str = ""
    day: str = ""


class Sponsored(Struct, frozen=True, kw_only=True):
    """A grid with its sponsor. Of the month: how many of the duties that count were kept, and how they ended."""

    grid: Named
    level: int
    post: Named
    vacant: bool
    open: int
    overdue: int
    coverage: Rate
    counts: dict[str, int]
    duties_read: bool  # the duties of the sponsor, one by one


class SponsoredPage(Struct, frozen=True, kw_only=True):
    """The answer. `mine`: it is of the post that asks. `duties` are those of that post alone."""

    grids: list[Sponsored]
    mine: bool
    grid: Named
    parent: Named | None
    has_below: frozenset[str]
    duties: list[DutyLine]
    since: str
    until: str
    as_of: str
    reading: Reading


def sponsored_page(
    connection: Connection, policies: Policies, question: SponsorQuestion, now: int, readable: Readable
) -> SponsoredPage:
    """The sponsored grids that are asked for, of what is read. Raises Unanswerable."""
    names = active_names(connection, policies)
    register = names.register
    asker = register.posts.get(question.post)
    mine = asker is not None and asker.role == SPONSOR and not question.grid
    if mine and asker is not None:
        above = asker.grid
    else:
        main = register.pack.options.main_definition or REFERENCE
        above = question.grid or grid_asked(readable, names, main, "") or first_with_several(register)
    prefix_of(names, above)  # refuses one that there is not
    shown = sponsors_of(register, above) if not mine or asker is None else [asker]

    def asked(definition: str, by: str) -> PerformancePage:
        wanted = PerformanceQuestion(definition=definition, grid=above, by=by, period="month", day=question.day)
        return performance_page(connection, policies, wanted, now, readable)

    cases, owed = asked("", "" if mine else "grid"), asked(DUTY.name, "post")
    standing = {above if mine else each.key: each for each in cases.standing}
    duties = {row.key: row for row in owed.rows}
    lines = list[DutyLine]()
    if mine:
        own = DutyQuestion(post=question.post, period="month", day=question.day or owed.since)
        lines = duty_page(connection, policies, own, now, readable).duties
    below = {register.grids[post.grid].parent for post in register.posts.values() if is_sponsor(post, register)}
    parent = register.grids[above].parent
    return SponsoredPage(
        grids=[
            one_of(post, names.grid(post.grid), register, standing, duties.get(post.code), readable) for post in shown
        ],
        mine=mine,
        grid=names.grid(above),
        parent=names.grid(parent) if parent in below and reads_grid(readable, register, DUTY.name, parent) else None,
        has_below=frozenset(below),
        duties=lines,
        since=owed.since,
        until=owed.until,
        as_of=cases.as_of,
        reading=cases.reading,
    )


def is_sponsor(post: Post, register: Policy) -> bool:
    """Whether a post sponsors a grid that there is."""
    return post.role == SPONSOR and post.grid in register.grids


def sponsors_of(register: Policy, above: str) -> Sequence[Post]:
    """The sponsors of the grids right below one, by grid."""
    found = [post for post in register.posts.values() if is_sponsor(post, register)]
    return sorted((post for post in found if register.grids[post.grid].parent == above), key=lambda post: post.code)


def first_with_several(register: Policy) -> str:
    """The first grid from the root down that has more than one below it."""
    grid = register.root
    while len(below := [each.code for each in register.pack.grids if each.parent == grid]) == 1:
        grid = below[0]
    return grid


def one_of(
    post: Post,
    grid: Named,
    register: Policy,
    standing: dict[str, OpenCases],
    owed: FigureRow | None,
    readable: Readable,
) -> Sponsored:
    """A grid with its sponsor."""
    cases = standing.get(post.grid)
    return Sponsored(
        grid=grid,
        level=register.grids[post.grid].level,
        post=Named(post.code, post.title),
        vacant=post.vacant,
        open=cases.open if cases is not None else 0,
        overdue=cases.overdue if cases is not None else 0,
        coverage=owed.rates[DUTY.ratios[0].name] if owed is not None else Rate(0, 0, None, False),
        counts=owed.counts if owed is not None else {},
        duties_read=readable.of(DUTY.name).reads_line(path_text(register.path(post.grid)), (post.code,)),
    )

"""Who reads which case: what a principal was given, and what follows from its posts and the register.

1. A reach is everything, nothing, the subtrees of grids, or `own`: what the posts of a principal have to do with. It
   may be another one for each kind of case. A post that supervises may be given its own subtree by its role.
2. A case has to do with its reporter, its owners, the departments and grids that lead or assist, those whose check it
   owes, who handled it, and who holds it or has held it. Of a case that is one post's work the grid has no part.
3. An alert or a notice has to do with the posts that it tells, a duty with the post that owes it, a figure with the
   unit that it is of.
4. What is concealed, as a supervision is until it is served and a visit until it is recorded, lies nowhere
   (`workflows.definitions.shown_path`): it is read by the post that began it, by those posts of the unit that has it in
   hand that may decide of it, or visit, by the roles table, and by who reads everything. Its lines are read by the
   posts that they tell.
5. A role supervises at the levels at which the roles table lets it order deadlines from above (M58). It directs where
   it may give cases to others by where they lie (统一调度指挥, M55). Chiefs, and posts that do either, read the subtree
   of their grid where a reach says so.
"""

from collections.abc import Collection, Iterable
from typing import NamedTuple

from msgspec import Struct

from schemas.events import OF_ANY_CASE, DeadlineOrdered
from schemas.kinds.incident import INCIDENT, Reassigned
from schemas.kinds.supervision import DECIDES
from schemas.kinds.visit import VISITS
from workflows.case import Case
from workflows.definitions import DEFINITIONS, is_concealed, shown_path
from workflows.permissions import forbid, grids_of
from workflows.policy.index import Policy
from workflows.policy.model import Post

SUPERVISING = next(trigger for trigger, event in OF_ANY_CASE.items() if event.data is DeadlineOrdered)
"""The trigger by which a role supervises (对处置时限、处置过程进行监督, M58)."""
DIRECTING = next(trigger for trigger, event in INCIDENT.events.items() if event.data is Reassigned)
"""The trigger by which a role directs."""
OWN = "own"
"""The word for a reach of what the posts of a principal have to do with, beside codes of grids."""


NOWHERE = "/"
"""The path of what has no place yet, or is concealed."""


class Reach(Struct, frozen=True):
    """How far a principal reads cases of a kind; all of it empty: nothing.

    `supervised`: also the subtrees of those of its posts that are chiefs, or that supervise by their roles.
    """

    everything: bool = False
    own: bool = False
    grids: tuple[str, ...] = ()
    supervised: bool = False

    def __bool__(self) -> bool:
        return self.everything or self.own or self.supervised or bool(self.grids)


NOTHING, EVERYTHING = Reach(), Reach(everything=True)


class Reads(Struct, frozen=True):
    """The reach of a principal: the usual one, and those of single kinds of case."""

    usual: Reach = NOTHING
    kinds: tuple[tuple[str, Reach], ...] = ()

    def __bool__(self) -> bool:
        return any(reach for reach in (self.usual, *dict(self.kinds).values()))

    @property
    def whole(self) -> bool:
        """Whether it is everything, of every kind."""
        return all(reach.everything for reach in (self.usual, *dict(self.kinds).values()))


class Units(NamedTuple):
    """Posts, departments and grids, by their codes. A post of a department stands for it, any other for its grid."""

    posts: frozenset[str] = frozenset()
    departments: frozenset[str] = frozenset()
    grids: frozenset[str] = frozenset()

    def meets(self, other: "Units") -> bool:
        """Whether they have anything in common."""
        return not all(map(frozenset.isdisjoint, self, other))


def units_of(posts: Iterable[Post], register: Policy, at: int) -> Units:
    """Whom these posts stand for at an instant."""
    codes, departments, grids = set[str](), set[str](), set[str]()
    for post in posts:
        codes.add(post.code)
        if post.department:
            departments.add(post.department)
        else:
            grids.update(grids_of(post, register, at))
    return Units(frozenset(codes), frozenset(departments), frozenset(grids))


def on_the_way(case: Case) -> Units:
    """Whom a case has to do with."""
    posts, departments, grids = {case.by, case.handled_by, case.post}, {*case.assisting}, {*case.assisting}
    owners = () if case.post else (case.owner, *case.trail)
    for owner in owners:
        departments.add(owner.department)
        grids.add(owner.grid)
    grids.update(case.path[level - 1] for level in case.checks if 0 < level <= len(case.path))
    for holding in case.holdings:
        unit = holding.unit
        kind, code = (posts, unit.post) if unit.post else (departments, unit.department)
        if code:
            kind.add(code)
        else:
            grids.add(unit.grid)
    for grid, department in case.own.units if case.own is not None else ():
        departments.add(department)
        grids.add("" if department else grid)
    none = {""}
    return Units(frozenset(posts - none), frozenset(departments - none), frozenset(grids - none))


def supervises(post: Post, register: Policy) -> bool:
    """Whether the role of a post lets it order deadlines from above, at the level of its grid."""
    grid = register.grids.get(post.grid)
    rows = register.role_rows_at(grid.level, SUPERVISING, post.role) if grid is not None else []
    return any(row.scope == "above" for row in rows)


def reads_subtree(post: Post, register: Policy) -> bool:
    """Whether a post reads the subtree of its grid by its role: a chief, or one that supervises or directs."""
    grid = register.grids.get(post.grid)
    rows = register.role_rows_at(grid.level, DIRECTING, post.role) if grid is not None else []
    directs = any(row.scope in ("above", "place") for row in rows)
    return post.role == "chief" or directs or supervises(post, register)


INNER = (*DECIDES, *VISITS)
"""By what a post decides of what is concealed until then, or visits."""


def decides(post: Post, register: Policy) -> bool:
    """Whether a post may decide, at the level of its grid, of what is concealed until then, or visit."""
    grid = register.grids.get(post.grid)
    return grid is not None and any(register.role_rows_at(grid.level, trigger, post.role) for trigger in INNER)


class Sight(NamedTuple):
    """What is read of one kind of case: everything, the subtrees of some paths, and what some units have to do with.

    `inner`: posts, and departments and grids of which one may decide; they read what is concealed.
    """

    everything: bool = False
    prefixes: tuple[str, ...] = ()
    own: Units = Units()
    inner: Units = Units()

    def __bool__(self) -> bool:
        return self.everything or bool(self.prefixes) or any(self.own)

    def within(self, path: str) -> bool:
        """Whether a path (`/XA/WY/`) lies in one of the subtrees."""
        return self.everything or path.startswith(self.prefixes)

    def reads_case(self, case: Case) -> bool:
        """Whether a case is read."""
        if self.within(shown_path(case)):
            return True
        if is_concealed(case):
            return self.inner.meets(insiders(case))
        return any(self.own) and self.own.meets(on_the_way(case))

    def reads_line(self, path: str, recipients: Collection[str]) -> bool:
        """Whether an alert, a notice or a duty is read: by the place of its case, and the posts that it is for."""
        own = self.inner if path == NOWHERE else self.own
        return self.within(path) or not own.posts.isdisjoint(recipients)

    def reads_figures(self, path: str, department: str, post: str) -> bool:
        """Whether figures are read: of a subtree, or of a unit of its own (a grid with all below it, a department, a
        post)."""
        grids = path.split("/")
        mine = len(grids) > 2 and grids[-2] in self.own.grids
        return self.within(path) or mine or department in self.own.departments or post in self.own.posts


def insiders(case: Case) -> Units:
    """Who reads a case that is concealed: the post that began it, and the unit that has it in hand."""
    owner, last = case.owner, case.holdings[-1].unit if case.holdings else None
    grid, department = (last.grid, last.department) if last is not None else (owner.grid, owner.department)
    units = (frozenset({department}), frozenset[str]()) if department else (frozenset[str](), frozenset({grid}))
    return Units(frozenset({case.by}), *units)


class Readable(Struct, frozen=True):
    """What a principal reads, resolved against the register: a sight for each kind of case. `who` is for reasons."""

    who: str = ""
    usual: Sight = Sight()
    kinds: dict[str, Sight] = {}

    @property
    def whole(self) -> bool:
        """Whether it is everything."""
        return all(sight.everything for sight in (self.usual, *self.kinds.values()))

    def of(self, definition: str) -> Sight:
        """The sight of a kind of case; the usual one where the kind is not known yet, and empty."""
        return self.kinds.get(definition, self.usual)

    def reads_case(self, case: Case) -> bool:
        """Whether a case is read."""
        return self.of(case.definition).reads_case(case)

    def grids(self, definition: str) -> list[str]:
        """The roots of what it reads of a kind, for a reason or a default: those of its subtrees, and its own grids."""
        sight = self.of(definition)
        return sorted({prefix.split("/")[-2] for prefix in sight.prefixes if prefix != "/"} | sight.own.grids)

    def may_be_told(self, definition: str, path: str, recipients: Collection[str], post: str, speaks: bool) -> bool:
        """Whether a subscriber may be told what a line of the feed tells a post: it speaks for that post, or it reads
        the line."""
        return speaks or self.of(definition).reads_line(path, recipients)


READS_EVERYTHING = Readable(usual=Sight(everything=True))


def resolve(who: str, reads: Reads, posts: Collection[Post], register: Policy, at: int) -> Readable:
    """What a principal reads that may speak for these posts, at an instant. A grid that the register does not have is
    nothing; one that has ended is its successor, too."""
    own = units_of(posts, register, at)
    deciding = units_of([post for post in posts if decides(post, register)], register, at)
    inner = Units(own.posts, deciding.departments, deciding.grids)

    def sight(reach: Reach) -> Sight:
        grids = set(reach.grids)
        if reach.supervised:
            grids.update(post.grid for post in posts if reads_subtree(post, register))
        grids.update(register.standing(grid, at) for grid in tuple(grids) if grid in register.grids)
        prefixes = sorted("".join(f"/{code}" for code in register.path(g)) + "/" for g in grids if g in register.grids)
        return Sight(reach.everything, tuple(prefixes), own if reach.own else Units(), inner if reach else Units())

    return Readable(who, sight(reads.usual), {kind: sight(reach) for kind, reach in reads.kinds})


class WordRights(NamedTuple):
    """What a post reads of what people wrote to a case: the words, and identity and contact among them (R14)."""

    words: bool
    contact: bool


def word_rights(post: Post, case: Case, register: Policy, at: int) -> WordRights:
    """Words are read by the posts on a case's way and by those that supervise it from above; contact by its owner, who
    handles it, and who supervises."""
    own, owner = units_of([post], register, at), case.owner
    if is_concealed(case):
        reads = post.code == case.by or (decides(post, register) and own.meets(insiders(case)))
        return WordRights(reads, reads)
    owns = post.code in (case.post, case.handled_by) or (not case.post and owner.grid in own.grids)
    leads = owner.department in own.departments
    above = {*case.path, *(register.path(owner.grid) if owner.grid in register.grids else ())}
    over = supervises(post, register) and not above.isdisjoint(grids_of(post, register, at))
    contact = owns or leads or over
    words, asks = contact or own.meets(on_the_way(case)), DEFINITIONS[case.definition].identity
    if asks:
        contact = any(forbid(post, trigger, case, register, register, at=at) is None for trigger in asks)
    return WordRights(words or contact, contact)

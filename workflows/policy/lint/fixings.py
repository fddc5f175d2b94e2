"""Asks a pack for the six fixings (六定, M11): area, people, duty, standard, process. Assessment is `assessment`'s.

`fixings` counts what is fixed, for people to read; `lint_fixings` names what is missing and no other rule names.
"""

from collections import defaultdict
from typing import NamedTuple

from workflows.case import TOTAL
from workflows.policy.lint.context import READS, LintContext
from workflows.policy.model import Category, Grid, Post, RoleRow
from workflows.policy.settings import FILE

LEAF = ("chief", "member")
"""The roles that every leaf grid has: 一长一员 (M7)."""


class Fixing(NamedTuple):
    """One of the six: of how many it is asked, and which of them lack it, by code."""

    zh: str
    en: str
    of: str  # what is counted
    asked: int
    missing: tuple[str, ...]
    why: tuple[str, ...] = ()  # what is missing, where the codes do not say it

    @property
    def lacking(self) -> int:
        """How many lack it."""
        return len(self.missing)

    @property
    def listed(self) -> str:
        """The first of them."""
        return ", ".join(self.missing[:3]) + (" …" if len(self.missing) > 3 else "")


def fixings(context: LintContext) -> tuple[Fixing, ...]:
    """The fixings of a pack, in the order of the plan. Grids and posts count that stand on the day of the context."""
    pack = context.pack
    leaves = [grid for grid in pack.grids if grid.level == context.leaf_level and context.stands(grid)]
    posts = [post for post in pack.posts if not post.vacant and context.stands(post)]
    roles = defaultdict[str, set[str]](set)
    for post in posts:
        roles[post.grid].add(post.role)
    unborder = [g.code for g in leaves if not g.polygon] if pack.polygons != "none" else []
    unmanned = [g.code for g in leaves if not roles[g.code].issuperset(LEAF)]
    speaking = {post.code: speaker(context, post) for post in posts if post.role not in READS}
    mute = {who for who in speaking.values() if not any(allows(row, who) for row in pack.roles)}
    idle = [code for code, who in speaking.items() if who in mute]
    loose = [c.code for c in pack.categories if c.level not in context.levels or not held(context, c, TOTAL)]
    silent = silences(context, leaves, posts)
    unsaid = tuple(dict.fromkeys(trigger for found in silent.values() for trigger in found))
    area = "leaf grids have a border" if pack.polygons != "none" else "leaf grids; the pack says that it has no map"
    process = "leaf grids have somebody for each step of roles.csv"
    return (
        Fixing("定区域", "area", area, len(leaves), tuple(unborder)),
        Fixing("定人员", "people", "leaf grids have a chief and a member", len(leaves), tuple(unmanned)),
        Fixing("定职责", "duty", "posts may say something", len(speaking), tuple(idle)),
        Fixing(
            "定标准",
            "standard",
            "categories have a level and a limit for the whole",
            len(pack.categories),
            tuple(loose),
        ),
        Fixing("定流程", "process", process, len(leaves), tuple(silent), unsaid),
    )


def speaker(context: LintContext, post: Post) -> tuple[str, int, bool]:
    """A post as rules see it: its role, the level of its grid, and whether it acts for a department."""
    grid = context.grids.get(post.grid)
    return post.role, grid.level if grid else 0, bool(post.department)


def allows(row: RoleRow, who: tuple[str, int, bool]) -> bool:
    """Whether a rule can allow something to a speaker in some case."""
    role, level, department = who
    return row.role == role and (not row.levels or level in row.levels) and (row.scope != "department" or department)


def held(context: LintContext, category: Category, clock: str) -> bool:
    """Whether a clock has a limit for a category, at the level that handles it or at the leaf's.

    The clock of the whole case runs at no level, and gets none from a row with one.
    """
    levels = (0,) if clock == TOTAL else (0, category.level, context.leaf_level)
    return any(
        row.clock == clock
        and not row.listed
        and row.category in ("", category.code)
        and row.group in ("", category.group)
        and row.level in levels
        and (not context.day or not row.valid_to or context.day <= row.valid_to)
        for row in context.pack.limits
    )


def silences(context: LintContext, leaves: list[Grid], posts: list[Post]) -> dict[str, tuple[str, ...]]:
    """The leaves in which nobody can say a trigger that has rules, and those triggers.

    Asked are the posts on the way from the leaf to the root; of rules for any case and for reporters, all posts.
    """
    everybody = frozenset(speaker(context, post) for post in posts)
    standing = defaultdict[str, set[tuple[str, int, bool]]](set)
    for post in posts:
        standing[post.grid].add(speaker(context, post))
    known: dict[frozenset[tuple[str, int, bool]], tuple[str, ...]] = {}
    found: dict[str, tuple[str, ...]] = {}
    for leaf in leaves:
        here = frozenset(who for code in context.path(leaf.code) for who in standing[code])
        if here not in known:
            said = {
                row.trigger
                for row in context.pack.roles
                if any(allows(row, who) for who in (everybody if row.scope in ("any", "reporter") else here))
            }
            known[here] = tuple(dict.fromkeys(r.trigger for r in context.pack.roles if r.trigger not in said))
        if known[here]:
            found[leaf.code] = known[here]
    return found


def lint_fixings(context: LintContext) -> None:
    """People, duty, standard and process are fixed; where another rule names what is missing, it is not told twice."""
    problems = context.problems
    _, people, duty, standard, process = fixings(context)
    asked = {role for level in context.pack.levels if level.level == context.leaf_level for role in level.posts}
    if people.missing and not asked.issuperset(LEAF):
        text = f"{people.lacking} of {people.asked} leaf grids lack a chief or a member ({people.listed})"
        remedy = 'ask for them with posts = ["chief", "member"] at the last level, and fill them in posts.csv (定人员)'
        problems.warning(FILE, 0, "levels.posts", text, remedy)
    if duty.missing:
        text = f"{duty.lacking} of {duty.asked} posts may say nothing ({duty.listed})"
        remedy = f"give their role a rule at their level, or let them only read: role {READS[0]} (定职责)"
        problems.warning("posts.csv", 0, "role", text, remedy)
    if standard.missing and not any(row.clock == TOTAL for row in context.pack.limits):
        text = "no category has a limit for the whole: no case is late, and none counts as due"
        problems.warning("limits.csv", 0, "clock", text, f"add rows for the clock {TOTAL}, with their basis (定标准)")
    if process.missing:
        text = f"in {process.lacking} of {process.asked} leaf grids ({process.listed}) nobody may say "
        remedy = "fill the posts of these grids and of those above, or let others say it in roles.csv (定流程)"
        problems.warning("roles.csv", 0, "trigger", text + ", ".join(process.why), remedy)

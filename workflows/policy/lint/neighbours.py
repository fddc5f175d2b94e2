"""Lints the neighbours of a pack (毗邻地区, M74, M75): who writes to them, and who may enter what they answer."""

from schemas.kinds.part import PART
from workflows.policy.lint.context import LintContext, one_of

NEIGHBOURS = "neighbours.csv"
ANSWERED = next(trigger for trigger, event in PART.events.items() if "outcome" in event.data.__struct_fields__)
"""The trigger by which an answer is entered."""


def lint_neighbours(context: LintContext) -> None:
    """Each has a code of its own, and a grid, or a department of it, some post of which may enter its answers."""
    pack = context.pack
    taken = {*context.grids, *(d.code for d in pack.departments), *(post.code for post in pack.posts)}
    departments = {department.code: department for department in pack.departments}
    entering = [row for row in pack.roles if row.trigger == ANSWERED and row.definition in ("", PART.name)]
    for index, each in enumerate(pack.neighbours):
        if each.code in taken:
            text = f"{each.code!r} is the code of a grid, a department or a post"
            context.error(NEIGHBOURS, index, "code", text, "a neighbour is outside the register: give it another code")
        if not each.basis:
            remedy = "say where it comes from, such as an agreement, or write: ours"
            context.warning(NEIGHBOURS, index, "basis", "does not say where it comes from", remedy)
        if each.grid not in context.grids:
            text = f"there is no grid {each.grid!r}"
            context.error(NEIGHBOURS, index, "grid", text, one_of(set(context.grids)))
            continue
        department = departments.get(each.department)
        if each.department and (department is None or department.grid != each.grid):
            text = f"{each.department!r} is no department of {each.grid}"
            context.error(NEIGHBOURS, index, "department", text, f"name a department of {each.grid}, or leave it empty")
            continue
        level = context.grids[each.grid].level
        roles = {row.role for row in entering if not row.levels or level in row.levels}
        posts = [p for p in pack.posts if p.grid == each.grid and p.department == each.department and not p.vacant]
        if roles.isdisjoint(post.role for post in posts):
            text = f"no post of {each.department or each.grid} may enter what {each.code} answers"
            remedy = f"give a role of it {ANSWERED} in roles.csv, or let another unit write to it"
            context.warning(NEIGHBOURS, index, "grid", text, remedy)

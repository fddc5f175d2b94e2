"""Who may say what: the roles table of the pack. A refusal names the rules that would have allowed it."""

from collections.abc import Callable
from functools import partial

from schemas.refusals import Reason, Refusal
from workflows.case import Case
from workflows.policy.index import Policy
from workflows.policy.model import Post, RoleRow


def forbid(post: Post, trigger: str, case: Case, rules: Policy, register: Policy) -> Refusal | None:
    """Why a post may not pull a trigger on a case; None if it may. `case.path` must be known."""
    return _forbid(post, trigger, rules, register, partial(_in_scope, post=post, case=case, register=register))


def forbid_early(post: Post, trigger: str, case: Case, rules: Policy, register: Policy, home: str) -> Refusal | None:
    """Why a post will never be allowed to pull a trigger on a case in this cycle; None if that cannot be said yet.

    Role and level are asked for at once, and of the scope what stands already: the place and the reporter of a case
    that is born. What depends on the owner is asked when the trigger is pulled; until then the post's grid has to lie
    on one line with the place, or with the home of an unborn case.
    """
    path = case.path or register.path(home)
    on_line = post.grid in path or (post.grid in register.grids and path[-1] in register.path(post.grid))

    def may_come(row: RoleRow) -> bool:
        settled = row.scope == "any" or (case.path and row.scope in ("place", "reporter"))
        if settled or not on_line:
            return _in_scope(row, post, case, register)
        return bool(post.department) or row.scope != "department"

    return _forbid(post, trigger, rules, register, may_come)


def _forbid(
    post: Post, trigger: str, rules: Policy, register: Policy, in_scope: Callable[[RoleRow], bool]
) -> Refusal | None:
    """The refusal of a trigger where no row of the roles table allows it."""
    grid = register.grids.get(post.grid)
    level = grid.level if grid else 0
    rows = rules.role_rows(trigger, post.role)
    for row in rows:
        if (not row.levels or level in row.levels) and in_scope(row):
            return None
    if not rows:
        others = sorted({m.role for m in rules.pack.roles if m.trigger == trigger})
        said_by = ", ".join(others) or "nobody"
        return Refusal(Reason.FORBIDDEN, "actor", f"role {post.role} may not say {trigger}; it is said by: {said_by}")
    names = []
    for row in rows:
        levels = f"level {'/'.join(map(str, row.levels))}, " if row.levels else ""
        names.append(f"{row.rule} ({levels}scope {row.scope})")
    return Refusal(
        Reason.FORBIDDEN,
        "actor",
        f"post {post.code} (role {post.role}, level {level}) may not say {trigger} here: {'; '.join(names)}",
    )


def _in_scope(row: RoleRow, post: Post, case: Case, register: Policy) -> bool:
    """Whether the post has to do with the case in the way that the row asks for."""
    owner = case.owner
    match row.scope:
        case "any":
            return True
        case "owner":
            if post.department:
                return post.department == owner.department
            return post.grid == owner.grid
        case "department":
            return bool(post.department) and post.department in (owner.department, *case.assisting)
        case "place":
            return post.grid in case.path
        case "above":
            return owner.grid in register.grids and post.grid in register.path(owner.grid)
        case "reporter":
            return post.code == case.by

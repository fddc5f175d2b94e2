"""Who may say what: the roles table of the pack. A refusal names the rules that would have allowed it."""

from schemas.refusals import Reason, Refusal
from workflows.case import Case
from workflows.policy.index import Policy
from workflows.policy.model import Post, RoleRow


def forbid(post: Post, trigger: str, case: Case, rules: Policy, register: Policy) -> Refusal | None:
    """Why a post may not pull a trigger on a case; None if it may. `case.path` must be known."""
    grid = register.grids.get(post.grid)
    level = grid.level if grid else 0
    rows = rules.role_rows(trigger, post.role)
    for row in rows:
        if (not row.levels or level in row.levels) and _in_scope(row, post, case, register):
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

"""Who may say what: one table of the pack, asked in one place.

In: a post, a trigger, the case. Out: nothing (allowed) or a refusal that names the rules that would have
allowed it.
"""

from schemas.refusals import Reason, Refusal
from workflows.case import Case
from workflows.policy.index import Policy
from workflows.policy.model import May, Post


def forbid(post: Post, trigger: str, case: Case, rules: Policy, register: Policy) -> Refusal | None:
    """Why this post may not pull this trigger on this case; None when it may. `case.path` must be known."""
    grid = register.grids.get(post.grid)
    level = grid.level if grid else 0
    rows = rules.may(trigger, post.role)
    for row in rows:
        if (not row.levels or level in row.levels) and _stands(row, post, case, register):
            return None
    if not rows:
        others = sorted({m.role for m in rules.pack.roles if m.trigger == trigger})
        said_by = ", ".join(others) or "nobody"
        return Refusal(Reason.FORBIDDEN, "actor", f"role {post.role} may not say {trigger}; it is said by: {said_by}")
    names = "; ".join(f"{r.rule} ({_words(r)})" for r in rows)
    return Refusal(
        Reason.FORBIDDEN,
        "actor",
        f"post {post.code} (role {post.role}, level {level}) may not say {trigger} here: {names}",
    )


def _words(row: May) -> str:
    """A row's condition in words."""
    levels = f"level {'/'.join(map(str, row.levels))}, " if row.levels else ""
    return f"{levels}scope {row.scope}"


def _stands(row: May, post: Post, case: Case, register: Policy) -> bool:
    """Whether the post stands where the row wants it."""
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

"""Who may say what, and claim what: the roles table of the pack. A refusal names the rules that would allow it."""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

from msgspec import UNSET

from schemas.events import DeadlineOrdered
from schemas.kinds.incident import ReportSubmitted
from schemas.members import BirthData, EventData
from schemas.proposals import ExtensionGranted, ExtensionRequested
from schemas.refusals import Reason, Refusal
from workflows.case import TOTAL, Case
from workflows.policy.index import Policy
from workflows.policy.model import Post, RoleRow


class Claim(NamedTuple):
    """What an event claims: where a report comes from, and the clock whose deadline it orders. Empty: nothing."""

    source: str = ""
    clock: str = ""
    ordered_by: str = ""
    """The field that orders the deadline."""


NOTHING = Claim()
DATED_BIRTHS = (ReportSubmitted, BirthData)
"""What may order the deadline of the case that it begins."""
ORDERING = (DeadlineOrdered, ExtensionRequested, ExtensionGranted)
"""What orders, or asks for, the deadline of a clock that it names."""


def claim_of(data: EventData) -> Claim:
    """What the data of an event claim. A report that says of its deadline that there is none orders that, too."""
    if isinstance(data, DATED_BIRTHS):
        clock = "" if data.deadline is UNSET else TOTAL
        return Claim(data.source if isinstance(data, ReportSubmitted) else "", clock, "data.deadline")
    if isinstance(data, ORDERING):
        return Claim("", data.clock, "data.clock")
    return NOTHING


def offline_allowance(post: Post, trigger: str, rules: Policy, register: Policy, definition: str = "") -> int:
    """How late, in ms, the instant is still believed at which a post says to have pulled a trigger (R10).

    An act in the field has an allowance, since phones go offline; one at a desk has none, so that no desk sets itself
    on time. It is the widest of the rows that role and level have.
    """
    grid = register.grids.get(post.grid)
    return rules.offline_ms_at(grid.level if grid else 0, trigger, post.role, definition)


def forbid(
    post: Post, trigger: str, case: Case, rules: Policy, register: Policy, claim: Claim = NOTHING, at: int = 0
) -> Refusal | None:
    """Why a post may not pull a trigger on a case, or claim this, at an arrival; None if it may. `case.path` must be
    known."""
    grid = register.grids.get(post.grid)
    for row in rules.role_rows_at(grid.level if grid else 0, trigger, post.role, case.definition):
        if _in_scope(row, post, case, register, at) and (claim is NOTHING or _too_much(row, claim) is None):
            return None
    in_scope = partial(_in_scope, post=post, case=case, register=register, at=at)
    return _forbid(post, trigger, case.definition, rules, register, in_scope, claim)


def forbid_early(
    post: Post,
    trigger: str,
    case: Case,
    rules: Policy,
    register: Policy,
    home: str,
    claim: Claim = NOTHING,
    at: int = 0,
) -> Refusal | None:
    """Why a post will never be allowed to pull a trigger on a case in this cycle; None if that cannot be said yet.

    Role and level are asked for at once, and of the scope what stands already: the place and the reporter of a case
    that is born. What depends on the owner is asked when the trigger is pulled; until then the post's grid has to lie
    on one line with the place, or with the home of an unborn case.
    """
    path = case.path or register.path(home)
    on_line = any(
        grid in path or (grid in register.grids and path[-1] in register.path(grid))
        for grid in grids_of(post, register, at)
    )

    def may_come(row: RoleRow) -> bool:
        if row.categories and case.category and case.category not in row.categories:
            return False
        settled = row.scope == "any" or (case.path and row.scope in ("place", "reporter"))
        if settled or not on_line:
            return _in_scope(row, post, case, register, at)
        return bool(post.department) or row.scope != "department"

    return _forbid(post, trigger, case.definition, rules, register, may_come, claim)


def _forbid(
    post: Post,
    trigger: str,
    definition: str,
    rules: Policy,
    register: Policy,
    in_scope: Callable[[RoleRow], bool],
    claim: Claim,
) -> Refusal | None:
    """The refusal of a trigger where no row of the roles table allows it, or none with this claim."""
    grid = register.grids.get(post.grid)
    level = grid.level if grid else 0
    too_much: Refusal | None = None
    for row in rules.role_rows_at(level, trigger, post.role, definition):
        if in_scope(row):
            refused = _too_much(row, claim)
            if refused is None:
                return None
            too_much = too_much or refused
    if too_much is not None:
        return too_much
    rows = rules.role_rows(trigger, post.role, definition)
    if not rows:
        said_by = ", ".join(rules.roles_of(trigger, definition)) or "nobody"
        return Refusal(Reason.FORBIDDEN, "actor", f"role {post.role} may not say {trigger}; it is said by: {said_by}")
    names = []
    for row in rows:
        levels = f"level {'/'.join(map(str, row.levels))}, " if row.levels else ""
        of = f", for {'/'.join(row.categories)}" if row.categories else ""
        names.append(f"{row.rule} ({levels}scope {row.scope}{of})")
    return Refusal(
        Reason.FORBIDDEN,
        "actor",
        f"post {post.code} (role {post.role}, level {level}) may not say {trigger} here: {'; '.join(names)}",
    )


def _too_much(row: RoleRow, claim: Claim) -> Refusal | None:
    """Why a row does not allow a claim; None if it does."""
    if claim.source and row.sources and claim.source not in row.sources:
        detail = f"rule {row.rule} lets role {row.role} report from these sources only: {', '.join(row.sources)}"
        return Refusal(Reason.FORBIDDEN, "data.source", detail)
    if claim.clock and row.deadlines and claim.clock not in row.deadlines:
        clocks = ", ".join(row.deadlines)
        detail = f"rule {row.rule} lets role {row.role} order deadlines of these clocks only: {clocks}"
        return Refusal(Reason.FORBIDDEN, claim.ordered_by, detail)
    return None


def grids_of(post: Post, register: Policy, at: int) -> tuple[str, ...]:
    """The grids for which a post speaks at an instant: its own, and the successor of one that has ended."""
    successor = register.standing(post.grid, at)
    return (post.grid,) if successor == post.grid else (post.grid, successor)


def _in_scope(row: RoleRow, post: Post, case: Case, register: Policy, at: int) -> bool:
    """Whether the post has to do with the case in the way that the row asks for, and the row is for its category."""
    if row.categories and case.category and case.category not in row.categories:
        return False
    if row.scope == "any":
        return True
    owner, own = case.owner, post.grid
    instead = register.standing(own, at) if register.ends else own
    match row.scope:
        case "owner":
            if post.department:
                return post.department == owner.department
            return owner.grid == own or owner.grid == instead
        case "department":
            return bool(post.department) and post.department in (owner.department, *case.assisting)
        case "place":
            return own in case.path or instead in case.path
        case "above":
            path = register.path(owner.grid) if owner.grid in register.grids else ()
            return own in path or instead in path
        case "reporter":
            return post.code == case.by

"""Where a case goes: its owner by authority, the copies of a report, the recipients of an alert, the checks on site.

Ownership and copies are apart: an escalation passes ownership and sends copies.
"""

from functools import lru_cache
from itertools import takewhile

from schemas.facts import Copied, Unit
from schemas.kinds.responsibility import Responsibility
from workflows.case import Case, Owner
from workflows.policy.index import Policy
from workflows.policy.model import BANK, Category
from workflows.policy.registers import AuthorityRow
from workflows.responsibility import told_of_change


def ancestor(path: tuple[str, ...], level: int) -> str:
    """The grid of a path at a level, or the deepest one above it where the path ends earlier."""
    return path[min(level, len(path)) - 1]


def common_path(case: Case, register: Policy) -> tuple[str, ...]:
    """The path to the lowest grid that contains the place and every grid that the problem touches (跨界, M30-M32)."""
    others = [register.path(code) for code in case.touches if code in register.grids]
    levels = zip(case.path, *others, strict=False)
    shared = tuple(codes[0] for codes in takewhile(lambda codes: len(set(codes)) == 1, levels))
    return shared or case.path[:1]


def authority(case: Case, rules: Policy) -> int:
    """The level with authority over the category, else the pack's default level (M16).

    A row of authority.csv that fits the place on the day of the report goes before the catalogue (M67): of several the
    one that names the category, then the group; of these the one of the deepest grid, then of a kind of grid.
    """
    category = rules.categories.get(case.category)
    if rules.pack.authority_rows and category is not None:
        day = rules.clock_of_days.local_day(case.opened)
        fitting = [row for row in rules.pack.authority_rows if delegates(row, category, case.path, day, rules)]
        if fitting:
            return max(fitting, key=lambda row: rank_of(row, case.path)).level
    return category.level if category else rules.options.default_level


def delegates(row: AuthorityRow, category: Category, path: tuple[str, ...], day: int, rules: Policy) -> bool:
    """Whether a row of authority.csv holds for a category at a place, given as its path, on a local day."""
    return (
        row.category in ("", category.code)
        and row.group in ("", category.group)
        and (not row.grid or row.grid in path)
        and (not row.kind or any(code in rules.grids and rules.grids[code].kind == row.kind for code in path))
        and row.valid_from <= day
        and (not row.valid_to or day <= row.valid_to)
    )


def rank_of(row: AuthorityRow, path: tuple[str, ...]) -> tuple[bool, bool, int, bool]:
    """How specific a row of authority.csv is for a place."""
    depth = path.index(row.grid) + 1 if row.grid in path else 0
    return bool(row.category), bool(row.group), depth, bool(row.kind)


def upward(case: Case, rules: Policy, register: Policy) -> Owner:
    """The owner of a report: the upper grid with authority, or a higher one where the problem crosses a border."""
    level = upward_level(case, rules, register)
    return Owner(case.path[level - 1], level)


def upward_level(case: Case, rules: Policy, register: Policy) -> int:
    """The level of that owner."""
    level, deepest = authority(case, rules), len(case.path)
    level = level if level < deepest else deepest
    return min(level, len(common_path(case, register))) if case.touches else level


def leading(case: Case, rules: Policy, register: Policy, at: int) -> str:
    """The department that the pack names for the category (责任部门), if it serves the place; empty: it names none."""
    category = rules.categories.get(case.category)
    known = register.departments.get(category.department) if category is not None else None
    return known.code if known is not None and register.standing(known.grid, at) in case.path else ""


def next_above(case: Case, reason: str, rules: Policy, register: Policy) -> Owner | None:
    """The owner of an escalation: the level with authority, the common ancestor, or one level up; None at the top."""
    level = case.owner.level - 1
    if level < 1:
        return None
    if reason == "authority":
        level = min(level, authority(case, rules))
    if reason == "cross_boundary" and case.touches:
        level = min(level, len(common_path(case, register)))
    return Owner(ancestor(case.path, level), level)


STAFF = ("chief", "member", "office")
"""The roles that a copy to a grid reaches: those that may act for it."""


def passed_over(sender: str, case: Case, to: Owner, register: Policy) -> tuple[str, ...]:
    """The grids above the place that lie between the one that reports and the new owner, from the top down."""
    grid = register.grids.get(sender)
    return case.path[to.level : max(grid.level - 1, 0)] if grid else ()


def copies(
    sender: str, case: Case, to: Owner, rules: Policy, register: Policy, at: int
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Posts and departments that get a copy of a report from the grid `sender` to its new owner, at an instant.

    The sponsors of the sending grid get one (同时上报包抓领导, M17). A leaf reports to a grid or to a department. The
    grids above it report to both, so the departments of the receiving grid that the problem concerns get one too
    (上报到一级、二级网格及市、区相关职能部门; 同时上报市级相关职能部门, M26). Where the pack says so, levels that the
    report passes over count as receiving: their posts get one, and their departments where it goes to departments.
    """
    passed = passed_over(sender, case, to, register) if rules.options.copy_passed else ()
    told = [*register.posts_at(sender, "sponsor")]
    told += [post for grid in passed for role in STAFF for post in register.posts_at(grid, role)]
    posts = tuple(code for code in told if register.stands(register.posts[code], at))
    if sender == case.path[-1] and len(case.path) == rules.leaf_level:
        return posts, ()
    lanes = [code for grid in (to.grid, *passed) for code in concerned(case, grid, rules, register)]
    return posts, tuple(code for code in lanes if code != to.department)


def concerned(case: Case, grid: str, rules: Policy, register: Policy) -> tuple[str, ...]:
    """The departments of a grid that the pack names for the problem or its group, else those without any group."""
    category = rules.categories.get(case.category)
    lead = category.department if category else ""
    own = [d for d in register.pack.departments if d.grid == grid]
    named = [d.code for d in own if d.code == lead or case.group in d.groups]
    return tuple(named or [d.code for d in own if not d.groups])


def checks(case: Case, rules: Policy) -> tuple[int, ...]:
    """The levels that check on site after the owner's handling, from the top; the last one decides (M33, M34)."""
    deepest = len(case.path)
    return levels_below(case.owner.level, deepest) if rules.options.checks == "all" else (deepest,)


@lru_cache(maxsize=64)
def levels_below(level: int, deepest: int) -> tuple[int, ...]:
    """The levels below one, from the top down to the deepest; that one alone where none lies below."""
    return tuple(range(level + 1, deepest + 1)) or (deepest,)


def hands_of(grid: str, department: str, register: Policy) -> list[str]:
    """The posts that act for a unit: those of its department, else members and chief of its grid."""
    return (register.posts_of(department) if department else []) or register.staff_of(grid)


def acting(holder: Unit, register: Policy) -> list[str]:
    """The occupied posts of who holds a case: one post, or those that act for a unit."""
    if not holder.post:
        return hands_of(holder.grid, holder.department, register)
    own = register.posts.get(holder.post)
    return [own.code] if own is not None and not own.vacant else []


OF_THE_CASE = frozenset({"reporter", "copied", "neighbour", "checkers", "signers"})
"""The words of a `tell` that ask the case for more than who owns it and who assists. All others ask the register
alone."""
MOST_RECIPIENTS = 8192
"""So many lists of recipients a register keeps: by the words that ask for them, the holder, the owner and who
assists."""


def recipients(
    words: tuple[str, ...], case: Case, register: Policy, at: int, holder: Unit, copied: Copied | None = None
) -> tuple[str, ...]:
    """The posts behind the words of a `tell` that exist at an instant, in order, each once.

    Words are holder, holder_chief, owner, owner_chief, reporter, handler, sponsor, upper_chief, supervisor, office; for
    a notice also copied, assisting (units that assist the owner), checkers (levels that owe a check), neighbour (who is
    written to outside the register), signers (who sign a list) and bank (those of the grids in which the place lies).
    A row that names the holder or its chief means those above it; one that names neither counts from the owner. Above a
    post that holds the case is the chief of its grid, and above that chief the one of the next grid.
    """
    if not OF_THE_CASE.isdisjoint(words):
        found = tuple(dict.fromkeys(_recipients(words, case, register, holder, copied)))
    else:
        asked = words, holder, case.owner, case.assisting
        known = register.recipients.get(asked)
        if known is None:
            known = tuple(dict.fromkeys(_recipients(words, case, register, holder)))
            if len(register.recipients) >= MOST_RECIPIENTS:
                register.recipients.clear()
            register.recipients[asked] = known
        found = known
    if register.dated.isdisjoint(found):
        return found
    # A neighbour is no post, and stands as long as the case is open.
    return tuple(code for code in found if code not in register.posts or register.stands(register.posts[code], at))


def _recipients(
    words: tuple[str, ...], case: Case, register: Policy, holder: Unit, copied: Copied | None = None
) -> list[str]:
    """Those posts, whether they exist at an instant or not, some perhaps more than once."""
    owner, held = case.owner, holder.grid
    base = held if "holder" in words or "holder_chief" in words else owner.grid
    path = register.path(base) if base in register.grids else ()
    upper = path[-2] if len(path) > 1 else base
    posts: list[str] = []
    for word in words:
        match word:
            case "holder":
                posts += acting(holder, register)
            case "owner":
                posts += hands_of(owner.grid, owner.department, register)
            case "holder_chief":
                chiefs = register.posts_at(held, "chief")
                posts += register.posts_at(upper, "chief") if holder.post in chiefs else chiefs
            case "owner_chief":
                posts += register.posts_at(owner.grid, "chief")
            case "reporter":
                posts += [case.by] if case.by in register.posts else []
            case "handler":
                posts += register.posts_of(owner.department)
            case "sponsor":
                posts += register.posts_at(base, "sponsor")
            case "upper_chief":
                posts += register.posts_at(upper, "chief")
            case "copied":
                posts += copied.posts if copied else ()
                posts += [post for lane in copied.departments for post in register.posts_of(lane)] if copied else []
            case "assisting":
                for code in case.assisting:
                    posts += register.posts_of(code) if code in register.departments else hands_of(code, "", register)
            case "neighbour":
                posts += [case.own.writes_to] if case.own is not None and case.own.writes_to else []
            case "checkers":
                for level in case.checks:
                    posts += hands_of(ancestor(case.path, level), "", register)
            case "signers":
                posts += told_of_change(register, case.own.body) if isinstance(case.own, Responsibility) else ()
            case "bank":
                posts += [post for code in case.path for post in register.posts_at(code, BANK)]
            case _:  # supervisor, office: the nearest one upwards
                posts += next(filter(None, (register.posts_at(code, word) for code in reversed(path))), [])
    return posts

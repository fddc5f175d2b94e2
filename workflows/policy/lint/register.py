"""Lints the register of a pack: levels, the grid tree, departments and posts.

These belong to area and people of 六定 (M11): one chief and one member (一长一员, M7), and sponsors (包抓, M43).
"""

from collections import Counter, defaultdict
from collections.abc import Iterable

from workflows.policy.lint.context import ROLES, LintContext, one_of, overlap
from workflows.policy.model import Post
from workflows.policy.registers import DELEGATE, FULL_TIME, POST_KINDS
from workflows.policy.settings import FILE

GRIDS, DEPARTMENTS, POSTS = "grids.csv", "departments.csv", "posts.csv"


def lint_levels(context: LintContext) -> None:
    """Levels are numbered from 1 without gaps, and ask for known roles only."""
    numbers = sorted(level.level for level in context.pack.levels)
    if numbers != list(range(1, len(numbers) + 1)) or not numbers:
        text = f"levels are {numbers}"
        context.problems.error(FILE, 0, "levels", text, "number them 1, 2, 3 … from the root down, each once")
    for level in context.pack.levels:
        for role in level.posts:
            if role not in ROLES:
                text = f"level {level.level} asks for the unknown role {role!r}"
                context.problems.error(FILE, 0, "levels.posts", text, one_of(ROLES))


def lint_codes(context: LintContext) -> None:
    """A code stands once in its file."""
    tables: tuple[tuple[str, Iterable[str]], ...] = (
        (GRIDS, (grid.code for grid in context.pack.grids)),
        (DEPARTMENTS, (department.code for department in context.pack.departments)),
        (POSTS, (post.code for post in context.pack.posts)),
        ("categories.csv", (category.code for category in context.pack.categories)),
        ("duties.csv", (duty.code for duty in context.pack.duties)),
        ("indicators.csv", (indicator.code for indicator in context.pack.indicators)),
        ("actions.csv", (action.action for action in context.pack.actions)),
        ("sites.csv", (site.code for site in context.pack.sites)),
        ("bodies.csv", (body.code for body in context.pack.bodies)),
        ("responsibilities.csv", (row.code for row in context.pack.responsibilities)),
        ("neighbours.csv", (neighbour.code for neighbour in context.pack.neighbours)),
        ("sources.csv", (source.code for source in context.pack.sources)),
        ("rewards.csv", (reward.code for reward in context.pack.rewards)),
        ("campaigns.csv", (campaign.code for campaign in context.pack.campaigns)),
        ("approvals.csv", (row.code for row in context.pack.approvals)),
        ("device_types.csv", (each.code for each in context.pack.device_types)),
        ("devices.csv", (device.code for device in context.pack.devices)),
        ("signals.csv", (rule.code for rule in context.pack.signals)),
    )
    for file, codes in tables:
        first: dict[str, int] = {}
        for index, code in enumerate(codes):
            if first.setdefault(code, index) != index:
                text = f"{code!r} stands in row {context.row(file, first[code])} already"
                context.error(file, index, "code", text, "give each its own code; codes are retired, not reused")


def lint_tree(context: LintContext) -> None:
    """There is one root; every other grid has a parent one level above; the parents form no circle."""
    roots = [index for index, grid in enumerate(context.pack.grids) if not grid.parent]
    if not roots:
        context.problems.error(GRIDS, 0, "parent", "no grid is the root", "leave the parent of the top grid empty")
    for index in roots[1:]:
        remedy = "name its parent, or remove it"
        context.error(GRIDS, index, "parent", f"a second root beside {context.pack.grids[roots[0]].code!r}", remedy)
    for index, grid in enumerate(context.pack.grids):
        if grid.level not in context.levels:
            remedy = one_of([str(level) for level in sorted(context.levels)])
            context.error(GRIDS, index, "level", f"{grid.level} is no level of pack.toml", remedy)
        if not grid.parent:
            if grid.level != 1:
                context.error(GRIDS, index, "level", f"the root stands on level {grid.level}", "write 1")
            continue
        parent = context.grids.get(grid.parent)
        if parent is None:
            remedy = "correct it, or add the parent as a row of its own"
            context.error(GRIDS, index, "parent", f"{grid.parent!r} is no grid", remedy)
        elif parent.level != grid.level - 1:
            text = f"{grid.parent!r} stands on level {parent.level}, this grid on level {grid.level}"
            context.error(GRIDS, index, "parent", text, "name a parent exactly one level above")
        if parent is not None and context.grids[context.path(grid.code)[0]].parent in context.grids:
            text = f"its ancestors go round in a circle ({' > '.join(context.path(grid.code))})"
            context.error(GRIDS, index, "parent", text, "let every grid lead up to the root")


def lint_division(context: LintContext) -> None:
    """Every grid above the leaf level has grids below it, or its problems have nobody on site (不留空白, M5)."""
    parents = {grid.parent for grid in context.pack.grids}
    for index, grid in enumerate(context.pack.grids):
        if grid.level < context.leaf_level and grid.code not in parents:
            text = f"level {grid.level} has no grid below it"
            context.warning(GRIDS, index, "code", text, f"divide it down to level {context.leaf_level}")


def lint_validity(context: LintContext) -> None:
    """Dates run forward, and a grid exists no longer than its parent."""
    for index, grid in enumerate(context.pack.grids):
        lint_dates(context, GRIDS, index, grid.valid_from, grid.valid_to)
    for index, post in enumerate(context.pack.posts):
        lint_dates(context, POSTS, index, post.valid_from, post.valid_to)
    for index, grid in enumerate(context.pack.grids):
        parent = context.grids.get(grid.parent)
        if parent is None:
            continue
        if grid.valid_from < parent.valid_from:
            text = f"begins before its parent {parent.code!r} ({parent.valid_from})"
            context.error(GRIDS, index, "valid_from", text, f"begin it on {parent.valid_from} or later")
        if parent.valid_to and (not grid.valid_to or grid.valid_to > parent.valid_to):
            text = f"goes on after its parent {parent.code!r} has ended ({parent.valid_to})"
            context.error(GRIDS, index, "valid_to", text, f"end it on {parent.valid_to}, or name another parent")


def lint_dates(context: LintContext, file: str, index: int, valid_from: int, valid_to: int) -> None:
    """The last day lies not before the first."""
    if valid_to and valid_from > valid_to:
        text = f"{valid_to} lies before valid_from {valid_from}"
        context.error(file, index, "valid_to", text, "exchange the days, or leave valid_to empty")


def lint_calendars_of_grids(context: LintContext) -> None:
    """A grid's own calendar is one of the pack."""
    codes = {calendar.code for calendar in context.pack.calendars}
    for index, grid in enumerate(context.pack.grids):
        if grid.calendar and grid.calendar not in codes:
            text = f"{grid.calendar!r} is no calendar of pack.toml"
            context.error(GRIDS, index, "calendar", text, one_of(codes) + ", or leave it empty for the parent's")


def lint_departments(context: LintContext) -> None:
    """A department belongs to a grid, names known groups, and has an occupied post."""
    speaking = {post.department for post in context.pack.posts if not post.vacant}
    for index, department in enumerate(context.pack.departments):
        if department.grid not in context.grids:
            text = f"{department.grid!r} is no grid"
            context.error(DEPARTMENTS, index, "grid", text, "name the grid whose subtree it serves")
        for group in department.groups:
            if group not in context.groups:
                text = f"{group!r} is no group of categories.csv"
                context.error(
                    DEPARTMENTS, index, "groups", text, one_of(context.groups) + ", or leave it empty for all"
                )
        if department.code not in speaking:
            text = f"nobody speaks for {department.code!r}"
            context.warning(DEPARTMENTS, index, "code", text, "add a post with this department to posts.csv")


def lint_posts(context: LintContext) -> None:
    """A post has a known role, stands at a grid, and a handler in a department."""
    for index, post in enumerate(context.pack.posts):
        if post.role not in ROLES:
            context.error(POSTS, index, "role", f"{post.role!r} is no role", one_of(ROLES))
        if post.grid not in context.grids:
            remedy = "correct it, or add the grid to grids.csv"
            context.error(POSTS, index, "grid", f"{post.grid!r} is no grid", remedy)
        department = context.departments.get(post.department)
        if post.department and department is None:
            remedy = "correct it, or add it to departments.csv"
            context.error(POSTS, index, "department", f"{post.department!r} is no department", remedy)
        elif post.role == "handler" and not post.department:
            remedy = "name the department for which it handles"
            context.error(POSTS, index, "department", "a handler without a department", remedy)
        elif department is not None and department.grid != post.grid:
            text = f"stands at {post.grid!r}, its department at {department.grid!r}"
            context.warning(POSTS, index, "grid", text, "give post and department the same grid")
        if post.kind and post.kind not in POST_KINDS:
            context.error(POSTS, index, "kind", f"{post.kind!r} is no kind of post", one_of(tuple(POST_KINDS)))
        if post.kind == DELEGATE and not post.department:
            text = f"{post.code!r} is a delegate of no team"
            context.warning(POSTS, index, "department", text, "name its supervision team in departments.csv")
        if context.pack.options.untrained and post.kind and not (post.trained_on or post.vacant or post.machine):
            text = f"{post.code!r} has not been trained before duty"
            context.warning(POSTS, index, "trained_on", text, "train it, and write the day (岗前培训)")
        if post.vacant:
            text = f"{post.code!r} is vacant ({post.title})"
            context.warning(POSTS, index, "vacant", text, "fill the post and empty this cell")


def lint_asked_posts(context: LintContext) -> None:
    """Every grid has the posts that its level asks for (一长一员, M7; 包抓, M43)."""
    filled: dict[str, list[Post]] = defaultdict(list)
    for post in context.pack.posts:
        if not post.vacant:
            filled[post.grid].append(post)
    asked = {level.level: level.posts for level in context.pack.levels}
    for index, grid in enumerate(context.pack.grids):
        roles = Counter(post.role for post in filled[grid.code])
        for role in asked.get(grid.level, ()):
            if not roles[role]:
                text = f"{grid.code!r} has no {role}"
                context.warning(GRIDS, index, "code", text, f"add or fill a post with role {role} in posts.csv")


def lint_staff(context: LintContext) -> None:
    """Every grid has as many full-time posts as its level asks for (M40: 3-5 名环保专职人员)."""
    staffed = Counter(
        post.grid for post in context.pack.posts if post.kind == FULL_TIME and not post.vacant and context.stands(post)
    )
    asked = {level.level: level.staff for level in context.pack.levels}
    for index, grid in enumerate(context.pack.grids):
        span = asked.get(grid.level, ())
        if span and context.stands(grid) and not span[0] <= staffed[grid.code] <= span[1]:
            text = f"{grid.code!r} has {staffed[grid.code]} full-time posts, its level asks for {span[0]} to {span[1]}"
            remedy = "fill posts of the kind full_time in posts.csv, or change staff in pack.toml"
            context.warning(GRIDS, index, "code", text, remedy)


def lint_chiefs(context: LintContext) -> None:
    """A grid has one chief at a time."""
    chiefs: dict[str, list[Post]] = defaultdict(list)
    for index, post in enumerate(context.pack.posts):
        if post.role != "chief" or post.vacant:
            continue
        for other in chiefs[post.grid]:
            if overlap(post.valid_from, post.valid_to, other.valid_from, other.valid_to):
                text = f"{post.grid!r} has a second chief beside {other.code!r}"
                context.warning(POSTS, index, "role", text, "keep one chief per grid, or part them by valid_to")
        chiefs[post.grid].append(post)

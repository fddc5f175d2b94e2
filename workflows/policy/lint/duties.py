"""Lints the duties of a pack (履职): every row can be kept by somebody, and no leaf grid is without one.

This belongs to duty and standard of 六定 (M11): 巡视检查 (M13), 包抓 (M44-M47).
"""

from collections import Counter

from workflows.clocks.limits import DAY_MS, HOUR_MS
from workflows.definitions.duty import RECORDED
from workflows.figures import PERIODS
from workflows.periods import SPREAD_MS
from workflows.policy.duties import SHORTEST
from workflows.policy.lint.context import ROLES, TELL, LintContext, one_of
from workflows.policy.model import OWES_NOTHING, DutyRow, Post
from workflows.policy.settings import FILE

DUTIES = "duties.csv"
NEEDS = ("photo", "form")
"""What a record of a duty can be asked to bring."""


def bearers(context: LintContext, duty: DutyRow) -> list[Post]:
    """The posts that owe a duty on the day of the context."""
    grids = context.grids
    return [
        post
        for post in context.pack.posts
        if post.grid in grids and context.stands(post) and duty.owed_by(post, grids[post.grid].level)
    ]


def sites_of(context: LintContext, duty: DutyRow, post: Post) -> int:
    """How often a post owes a duty in a period: once, or once for each site of its subtree."""
    if not duty.per:
        return 1
    sites = (site for site in context.pack.sites if post.grid in context.path(site.grid))
    return sum(site.key or duty.per == "site" for site in sites)


def owed_by_period(context: LintContext) -> dict[str, int]:
    """How many duties are owed in one period of each kind, shortest first; kinds without any are left out."""
    owed = Counter[str]()
    for duty in context.pack.duties:
        owed[duty.period] += sum(sites_of(context, duty, post) for post in bearers(context, duty))
    return {period: owed[period] for period in PERIODS if owed[period]}


def lint_duties(context: LintContext) -> None:
    """Every duty names a known role, level, period and calendar, has somebody who owes it, and can be kept."""
    patrolled = set[str]()
    for index, duty in enumerate(context.pack.duties):
        lint_words(context, index, duty)
        lint_quota(context, index, duty)
        if not duty.basis:
            remedy = "say where the duty comes from, or write: our proposal"
            context.warning(DUTIES, index, "basis", "does not say where the duty comes from", remedy)
        if duty.role not in ROLES or duty.role in OWES_NOTHING:
            continue
        found = bearers(context, duty)
        patrolled |= {post.grid for post in found if not duty.listed}
        if not found:
            text = f"{duty.code!r}: no post owes it"
            context.warning(DUTIES, index, "role", text, "fill a post of this role at these levels in posts.csv")
        rules = [row for row in context.pack.roles if (row.trigger, row.role) == (RECORDED, duty.role)]
        levels = {context.grids[post.grid].level for post in found}
        mute = [level for level in sorted(levels) if not any(not r.levels or level in r.levels for r in rules)]
        if mute:
            text = f"{duty.code!r}: {duty.role}s of level {', '.join(map(str, mute))} owe it and may not record it"
            context.warning(DUTIES, index, "role", text, f"allow {RECORDED} to the role in roles.csv")
    if not context.pack.duties:
        return
    leaves = [grid.code for grid in context.pack.grids if grid.level == context.leaf_level and context.stands(grid)]
    bare = [code for code in leaves if code not in patrolled]
    if bare:
        text = f"in {len(bare)} of {len(leaves)} leaf grids ({', '.join(bare[:3])}) no post owes a duty"
        remedy = "fill their posts, or add a duty of their level (定职责)"
        context.problems.warning(DUTIES, 0, "levels", text, remedy)
    lint_grace(context)


def lint_words(context: LintContext, index: int, duty: DutyRow) -> None:
    """Role, levels, period, needs, recipients and calendar are known ones."""
    owing = tuple(role for role in ROLES if role not in OWES_NOTHING)
    if duty.role not in owing:
        unknown = "is no role" if duty.role not in ROLES else "can owe nothing"
        context.error(DUTIES, index, "role", f"{duty.code!r}: {duty.role!r} {unknown}", one_of(owing))
    for level in duty.levels:
        if level not in context.levels:
            remedy = one_of([str(n) for n in sorted(context.levels)]) + ", or leave it empty for any"
            context.error(DUTIES, index, "levels", f"{duty.code!r}: {level} is no level of pack.toml", remedy)
    if duty.calendar not in ("", *(calendar.code for calendar in context.pack.calendars)):
        text = f"{duty.code!r}: {duty.calendar!r} is no calendar of pack.toml"
        remedy = one_of({calendar.code for calendar in context.pack.calendars}) + ", or leave it empty for every period"
        context.error(DUTIES, index, "calendar", text, remedy)
    for column, given, words in (
        ("period", (duty.period,), PERIODS),
        ("needs", duty.needs, NEEDS),
        ("reports_to", duty.reports_to, TELL),
    ):
        for word in given:
            if word not in words:
                context.error(DUTIES, index, column, f"{duty.code!r}: {word!r} is unknown", one_of(words))


def lint_quota(context: LintContext, index: int, duty: DutyRow) -> None:
    """The quota can be reached: a period has as many days, or a grid as many places, as it asks for."""
    if duty.quota < 1:
        text = f"{duty.code!r} asks for {duty.quota} records"
        context.error(DUTIES, index, "quota", text, "write 1 or more, or remove the row")
    days = SHORTEST.get(duty.period, duty.quota)
    if duty.distinct == "day" and duty.quota > days:
        text = f"{duty.code!r} asks for {duty.quota} days, a {duty.period} may have {days}"
        context.error(DUTIES, index, "quota", text, f"write at most {days}, or leave distinct empty")
    if duty.distinct == "place" and duty.quota > 1 and set(duty.levels) == {context.leaf_level}:
        text = f"{duty.code!r} asks for {duty.quota} places, a leaf grid is one"
        context.error(DUTIES, index, "distinct", text, "write day, or leave it empty")


def lint_grace(context: LintContext) -> None:
    """A duty's period ends in its own figures: the days of grace outlast how late a record may come."""
    options = context.pack.options
    late = options.offline_ms + SPREAD_MS
    if options.grace_days * DAY_MS < late:
        needed = -(-late // DAY_MS)
        text = f"{options.grace_days} days after a period's end its figures are published, while records of its last "
        text += f"day may still come for {options.offline_ms // HOUR_MS} hours"
        remedy = f"write grace_days = {needed}, or shorten offline_allowance"
        context.problems.warning(FILE, 0, "options.grace_days", text, remedy)

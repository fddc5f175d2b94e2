"""Lints the targets of a pack (目标): each has an owner, a method that gives a value, and a basis."""

from workflows.definitions.target import MEASURED, SIGNED
from workflows.policy.lint.context import LintContext, one_of
from workflows.policy.model import TargetRow

TARGETS = "targets.csv"
MOST_PLACES = 6
YEARS = (2000, 2100)


def lint_targets(context: LintContext) -> None:
    """Every row is one target of one owner in one year, and somebody may sign and somebody measure."""
    said = {row.trigger for row in context.pack.roles}
    silent = [trigger for trigger in (SIGNED, MEASURED) if context.pack.targets and trigger not in said]
    if silent:
        text = f"there are targets, and nobody may say {', '.join(silent)}"
        context.problems.warning(TARGETS, 0, "", text, "allow it to a role in roles.csv")
    seen: dict[tuple[str, str, int], int] = {}
    names: dict[str, int] = {}
    for index, row in enumerate(context.pack.targets):
        first = seen.setdefault((row.target, row.owner, row.year), index)
        if first != index:
            text = f"{row.target!r} of {row.owner} in {row.year} stands in row {context.row(TARGETS, first)} already"
            context.error(TARGETS, index, "target", text, "give an owner one value of a target for a year")
        if row.owner not in context.grids and row.owner not in context.departments:
            known = (*context.grids, *context.departments)
            context.error(TARGETS, index, "owner", f"{row.owner!r} is no grid and no department", one_of(known))
        if not YEARS[0] <= row.year <= YEARS[1]:
            context.error(TARGETS, index, "year", f"{row.year} is no year of a target", "write it as 2026")
        if row.target in context.categories or any(row.target == a.action for a in context.pack.actions):
            text = f"{row.target!r} is a category or an action, too: a list of it would show both"
            context.error(TARGETS, index, "target", text, "give the target another code")
        other = context.pack.targets[names.setdefault(row.target, index)]
        if (other.indicator_zh, other.unit) != (row.indicator_zh, row.unit):
            text = f"{row.target!r} is something else in row {context.row(TARGETS, names[row.target])}"
            context.error(TARGETS, index, "indicator_zh", text, "call it the same in all rows, with the same unit")
        if not row.basis:
            remedy = "say where the target comes from, or write: ours"
            context.warning(TARGETS, index, "basis", "does not say where the target comes from", remedy)
        lint_method(context, index, row)


def lint_method(context: LintContext, index: int, row: TargetRow) -> None:
    """A method that counts has a condition, an index is made of days or of sections, and days are in their order."""
    counts = row.method in ("count", "share")
    if counts and not row.each:
        context.error(TARGETS, index, "each", f"a {row.method} says nothing of what it counts", "such as <=100")
    if row.each and not counts:
        context.error(
            TARGETS, index, "each", f"a {row.method} counts nothing", "leave it empty, or write count or share"
        )
    if row.index == "aqi" and row.period != "day":
        text = "the air quality index is one of a day"
        context.error(TARGETS, index, "period", text, "write day, or leave the index empty")
    if row.index == "water" and not counts:
        text = f"a {row.method} of classes of water says nothing"
        context.error(TARGETS, index, "method", text, "count sections, or take their share")
    if row.places > MOST_PLACES:
        context.error(TARGETS, index, "places", f"{row.places} decimals are too many", f"write at most {MOST_PLACES}")
    if row.standard_to and row.standard_to < row.standard_from:
        text = "the last day of the standard lies before its first"
        context.error(TARGETS, index, "standard_to", text, "correct one of them")
    if (row.standard_from or row.standard_to) and not row.standard:
        text = "days of a standard that is not named"
        context.error(TARGETS, index, "standard", text, "name the standard, or leave its days empty")
    if row.value and not row.least and row.method != "value":
        text = "does not say how many values it takes: one alone would score the year"
        context.warning(TARGETS, index, "least", text, "write the number, such as 12 months")

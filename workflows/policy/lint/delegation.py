"""Lints delegated powers (放权, M67): rows of authority.csv name what there is, and no two of them say two things."""

from collections import defaultdict

from workflows.policy.lint.context import LintContext, one_of, overlap
from workflows.policy.lint.register import lint_dates

AUTHORITY = "authority.csv"


def lint_delegation(context: LintContext) -> None:
    """Levels, categories, groups, grids and kinds are known; equal selectors do not overlap; every row has a basis."""
    kinds = {grid.kind for grid in context.pack.grids} - {""}
    equals = defaultdict[tuple[str, str, str, str], list[int]](list)
    for index, row in enumerate(context.pack.authority_rows):
        lint_dates(context, AUTHORITY, index, row.valid_from, row.valid_to)
        if row.level not in context.levels:
            remedy = one_of([str(level) for level in sorted(context.levels)])
            context.error(AUTHORITY, index, "level", f"{row.level} is no level of pack.toml", remedy)
        for column, code, known, what in (
            ("category", row.category, set(context.categories), "no category"),
            ("group", row.group, context.groups, "no group of categories.csv"),
            ("grid", row.grid, set(context.grids), "no grid"),
            ("kind", row.kind, kinds, "the kind of no grid"),
        ):
            if code and code not in known:
                remedy = "leave it empty for any" + (f", or {one_of(known)}" if known else "")
                context.error(AUTHORITY, index, column, f"{code!r} is {what}", remedy)
        if row.category and row.group:
            text = f"{row.category!r} lies in one group anyhow"
            context.error(AUTHORITY, index, "group", text, "name the category or the group, not both")
        if not row.basis:
            remedy = "say which decision delegates the power, or write: ours"
            context.warning(AUTHORITY, index, "basis", "does not say where the power comes from", remedy)
        same = equals[row.category, row.group, row.grid, row.kind]
        for other in same:
            first = context.pack.authority_rows[other]
            if overlap(row.valid_from, row.valid_to, first.valid_from, first.valid_to):
                text = f"selects the same as row {context.row(AUTHORITY, other)}, on days of both"
                context.error(AUTHORITY, index, "valid_from", text, "let one of them end before the other begins")
        same.append(index)

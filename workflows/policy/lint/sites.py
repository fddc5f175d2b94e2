"""Lints the register of sources of pollution (污染源, M70, M71), and the duties that are owed for each of them."""

import re

from workflows.policy.lint.context import LintContext, one_of
from workflows.policy.lint.register import lint_dates
from workflows.policy.registers import DIRECTOR

SITES, DUTIES = "sites.csv", "duties.csv"
UNIT = re.compile(r"[A-Za-z0-9._-]{1,64}")
"""The pattern of schemas.members.UnitCode: what an event may name."""


def lint_sites(context: LintContext) -> None:
    """Every site has a code that events may name, stands in a grid, and names a known category and director."""
    posts = {post.code: post for post in reversed(context.pack.posts)}
    for index, site in enumerate(context.pack.sites):
        lint_dates(context, SITES, index, site.valid_from, site.valid_to)
        if not UNIT.fullmatch(site.code):
            remedy = "use letters, digits, points and dashes of ASCII, so that no name passes for a code"
            context.error(SITES, index, "code", f"{site.code!r} is no code of a unit", remedy)
        if site.grid not in context.grids:
            context.error(SITES, index, "grid", f"{site.grid!r} is no grid", "name the grid in which it lies")
        elif context.grids[site.grid].level != context.leaf_level:
            text = f"{site.grid!r} is no leaf grid: nobody on site looks at it"
            context.warning(SITES, index, "grid", text, "name the leaf in which it lies")
        if site.category and site.category not in context.categories and site.category not in context.groups:
            text = f"{site.category!r} is no category, and no group"
            context.error(SITES, index, "category", text, "use a code or a group of categories.csv, or leave it empty")
        director = posts.get(site.director)
        if site.director and director is None:
            context.error(SITES, index, "director", f"{site.director!r} is no post", "add it to posts.csv")
        elif director is not None and director.kind != DIRECTOR:
            text = f"{director.code!r} is no post of the kind {DIRECTOR}"
            context.warning(SITES, index, "director", text, f"write {DIRECTOR} as its kind in posts.csv (环保总监)")
    key = any(site.key for site in context.pack.sites)
    for index, duty in enumerate(context.pack.duties):
        if (duty.per == "site" and not context.pack.sites) or (duty.per == "key_site" and not key):
            text = f"{duty.code!r} is owed for each {duty.per.replace('_', ' ')}, and there is none"
            context.warning(DUTIES, index, "per", text, "add them to sites.csv, or leave it empty")
        if duty.per and duty.distinct == "place":
            text = f"{duty.code!r} is owed for each site: other places do not count"
            context.error(DUTIES, index, "distinct", text, one_of(("day",)) + ", or leave it empty")

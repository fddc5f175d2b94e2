"""Lints a compiled policy pack: whether its rows can work together. A pack without errors can be activated."""

from collections.abc import Mapping, Sequence

from workflows.policy.lint.actions import lint_actions, lint_called_for, lint_listed, lint_selected
from workflows.policy.lint.approvals import lint_approvals, lint_times
from workflows.policy.lint.assessment import lint_assessment
from workflows.policy.lint.campaigns import lint_campaigns
from workflows.policy.lint.context import LintContext
from workflows.policy.lint.delegation import lint_delegation
from workflows.policy.lint.devices import lint_devices, lint_signals
from workflows.policy.lint.duties import lint_duties
from workflows.policy.lint.fixings import lint_fixings
from workflows.policy.lint.neighbours import lint_neighbours
from workflows.policy.lint.public import lint_rewards, lint_sources
from workflows.policy.lint.register import (
    lint_asked_posts,
    lint_calendars_of_grids,
    lint_chiefs,
    lint_codes,
    lint_departments,
    lint_division,
    lint_levels,
    lint_posts,
    lint_staff,
    lint_tree,
    lint_validity,
)
from workflows.policy.lint.responsibility import lint_bodies, lint_leads, lint_pairs, lint_responsibilities
from workflows.policy.lint.rings import GEOJSON, lint_rings
from workflows.policy.lint.rules import (
    lint_authority,
    lint_calendars,
    lint_categories,
    lint_coverage,
    lint_definitions,
    lint_limits,
    lint_notices,
    lint_options,
    lint_roles,
    lint_rungs,
    lint_unnamed,
)
from workflows.policy.lint.sites import lint_sites
from workflows.policy.lint.successors import lint_successors
from workflows.policy.lint.targets import lint_targets
from workflows.policy.model import Pack
from workflows.policy.problems import Finding

CHECKS = (
    lint_levels,
    lint_codes,
    lint_tree,
    lint_division,
    lint_validity,
    lint_successors,
    lint_calendars_of_grids,
    lint_departments,
    lint_posts,
    lint_asked_posts,
    lint_staff,
    lint_chiefs,
    lint_categories,
    lint_authority,
    lint_unnamed,
    lint_limits,
    lint_coverage,
    lint_rungs,
    lint_notices,
    lint_roles,
    lint_definitions,
    lint_options,
    lint_duties,
    lint_sites,
    lint_neighbours,
    lint_assessment,
    lint_actions,
    lint_campaigns,
    lint_approvals,
    lint_times,
    lint_sources,
    lint_rewards,
    lint_selected,
    lint_called_for,
    lint_listed,
    lint_bodies,
    lint_responsibilities,
    lint_leads,
    lint_pairs,
    lint_delegation,
    lint_targets,
    lint_fixings,
    lint_devices,
    lint_signals,
)


def lint(pack: Pack, day: int = 0, rows: Mapping[str, Sequence[int]] | None = None) -> list[Finding]:
    """All findings on a pack as of a local day (YYYYMMDD; 0 leaves out horizons and the validity of grids).

    `rows` has the spreadsheet row of each entry, by file, where it is known.
    """
    context = LintContext(pack, rows, day)
    for check in CHECKS:
        check(context)
    lint_calendars(context)
    if pack.polygons != "none":
        lint_rings(context)
        lint_borders(context)
    return context.problems


def lint_borders(context: LintContext) -> None:
    """How borders fit together, where there are any, and the library for it: it is 80 MB, and only who draws a map
    needs it. A pack is safe without: what decides needs closed rings, and takes overlaps and blanks as they are."""
    if not any(grid.polygon for grid in context.pack.grids):
        return
    try:
        from workflows.policy.lint.geometry import lint_geometry
    except ModuleNotFoundError as error:
        if error.name != "shapely":
            raise
        text = "crossings, overlaps and blanks of its borders are not checked: shapely is not installed"
        context.problems.warning(GEOJSON, 0, "", text, "pip install 'gridpatrol[geo]', then check it again")
    else:
        lint_geometry(context)

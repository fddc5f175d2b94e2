"""Lints the map of a pack: siblings do not overlap and cover their parent (不留空白、不留死角, M5).

Areas are compared in square degrees; only shares of one small parent are computed and shown.
"""

from collections import defaultdict

from shapely import STRtree, make_valid, union_all
from shapely.geometry import MultiPolygon, shape
from shapely.validation import explain_validity

from workflows.policy.lint.context import LintContext
from workflows.policy.lint.rings import GEOJSON, is_closed, is_on_earth
from workflows.policy.model import Grid

TOLERANCE = 1e-4  # share of an area that rounding by a map program may leave open or cover twice

Shapes = dict[str, MultiPolygon]


def lint_geometry(context: LintContext) -> None:
    """All rules about polygons, for the grids that stand on the day of the context."""
    shapes: Shapes = {}
    for grid in context.pack.grids:
        if grid.polygon and (sound := _sound_shape(context, grid)) is not None:
            shapes[grid.code] = sound
    children: dict[str, list[str]] = defaultdict(list)
    for grid in context.pack.grids:
        if context.stands(grid) and grid.code in shapes:
            children[grid.parent].append(grid.code)
    for parent, codes in children.items():
        _lint_children(context, shapes, parent, codes)


def _sound_shape(context: LintContext, grid: Grid) -> MultiPolygon | None:
    """The polygon of a grid; None, with a finding, if it is not sound."""
    if not (is_on_earth(grid) and is_closed(grid)):
        return None
    made: MultiPolygon = shape({"type": "MultiPolygon", "coordinates": grid.polygon})
    if not made.is_valid:
        text = f"{grid.code!r} is no sound polygon ({explain_validity(made)})"
        context.problems.error(GEOJSON, 0, grid.code, text, "redraw it so that its border does not cross itself")
        return None
    return made


def _lint_children(context: LintContext, shapes: Shapes, parent: str, codes: list[str]) -> None:
    """No two children of a parent share more than a border; together they fill it, if it is drawn, and stay inside."""
    areas = [shapes[code] for code in codes]
    tree = STRtree(areas)
    for first, area in enumerate(areas):
        for second in sorted(int(n) for n in tree.query(area) if n > first):
            other = areas[second]
            share = area.intersection(other).area / min(area.area, other.area)
            if share > TOLERANCE:
                text = f"overlaps {codes[second]!r} by {_percent(share)} of the smaller one"
                remedy = "draw their common border once, with the same points on both sides"
                context.problems.error(GEOJSON, 0, codes[first], text, remedy)
    if parent not in shapes:
        return
    whole = shapes[parent]
    blank = whole.difference(make_valid(union_all(areas)))
    if blank.area / whole.area > TOLERANCE:
        at = blank.representative_point()
        text = f"{_percent(blank.area / whole.area)} of it belongs to no grid below, e.g. at {at.x:.5f}, {at.y:.5f}"
        context.problems.error(GEOJSON, 0, parent, text, "let the grids below it fill it (不留空白)")
    for code, area in zip(codes, areas, strict=True):
        outside = area.difference(whole).area / area.area
        if outside > TOLERANCE:
            text = f"{_percent(outside)} of it lies outside its parent {parent!r}"
            context.problems.error(GEOJSON, 0, code, text, "draw it inside, or name another parent in grids.csv")


def _percent(share: float) -> str:
    return f"{100 * share:.2f} %"

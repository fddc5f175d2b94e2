"""Lints the rings of a map, without a library: each leaf has one, and each is closed and lies on the earth."""

from workflows.policy.lint.context import LintContext
from workflows.policy.model import Grid

GEOJSON, GRIDS = "grids.geojson", "grids.csv"


def lint_rings(context: LintContext) -> None:
    """All rules about rings alone. Leaves that stand on the day of the context have a polygon."""
    for index, grid in enumerate(context.pack.grids):
        if not is_on_earth(grid):
            text = f"{grid.code!r} has a point outside 180 degrees of longitude and 90 of latitude"
            context.problems.error(GEOJSON, 0, grid.code, text, "write [longitude, latitude] in degrees (WGS 84)")
        elif not is_closed(grid):
            text = f"{grid.code!r} has a ring that is not closed"
            context.problems.error(GEOJSON, 0, grid.code, text, "end each ring with its first point")
        if grid.level == context.leaf_level and not grid.polygon and context.stands(grid):
            remedy = 'draw it in grids.geojson, or set polygons = "none" in pack.toml'
            context.warning(GRIDS, index, "code", f"{grid.code!r} has no polygon: no position lies in it", remedy)


def is_on_earth(grid: Grid) -> bool:
    """Whether all points of a grid are degrees of longitude and latitude."""
    points = (point for polygon in grid.polygon for ring in polygon for point in ring)
    return all(-180 <= lon <= 180 and -90 <= lat <= 90 for lon, lat in points)


def is_closed(grid: Grid) -> bool:
    """Whether each ring of a grid ends with its first point, and has an inside."""
    return all(len(ring) >= 4 and ring[0] == ring[-1] for polygon in grid.polygon for ring in polygon)

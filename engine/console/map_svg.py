"""Maps of the pack's borders as SVG: shapes, and nothing that a style or a script would have to add.

Longitudes are narrowed by the cosine of the middle latitude, which at the size of a city is as good as any projection.
Corners are whole numbers of a field of 1,000 units, which is finer than a screen.
"""

from collections.abc import Iterable, Sequence
from functools import lru_cache
from math import cos, radians
from typing import NamedTuple

from workflows.policy.geometry import Polygon
from workflows.policy.index import Policy

WIDTH = 1000
MARGIN = 12


class Projection(NamedTuple):
    """From degrees to units: the west and north edge, how many units a degree has, and the size of the field."""

    west: float
    north: float
    across: float
    down: float
    width: int
    height: int

    def point(self, lon: float, lat: float) -> tuple[int, int]:
        """A place in units."""
        return round(MARGIN + (lon - self.west) * self.across), round(MARGIN + (self.north - lat) * self.down)


class Area(NamedTuple):
    """A grid on the map: its outline, its middle, and how wide it is, in units."""

    code: str
    name: str
    outline: str
    x: int
    y: int
    room: int

    @property
    def short_name(self) -> str:
        """The name without what stands in brackets."""
        return self.name.partition("（")[0]


class GridMap(NamedTuple):
    """The grids of a map, and how to put a place on it."""

    areas: tuple[Area, ...]
    projection: Projection


@lru_cache(maxsize=64)
def map_of(register: Policy, codes: tuple[str, ...]) -> GridMap | None:
    """A map of these grids, by their own borders or those of the leaves in them; None where there are none."""
    drawn = [(code, polygons_of(register, code)) for code in codes]
    shown = [(code, polygons) for code, polygons in drawn if polygons]
    corners = [corner for _, polygons in shown for ring in rings_of(polygons) for corner in ring]
    if not corners:
        return None
    wests, souths = [x for x, _ in corners], [y for _, y in corners]
    narrow = cos(radians((min(souths) + max(souths)) / 2))
    wide, high = (max(wests) - min(wests)) * narrow or 1e-6, max(souths) - min(souths) or 1e-6
    scale = (WIDTH - 2 * MARGIN) / max(wide, high)
    width, height = round(wide * scale) + 2 * MARGIN, round(high * scale) + 2 * MARGIN
    projection = Projection(min(wests), max(souths), scale * narrow, scale, width, height)
    return GridMap(tuple(area_of(register, code, polygons, projection) for code, polygons in shown), projection)


def polygons_of(register: Policy, code: str) -> list[Polygon]:
    """The borders of a grid: its own, else those of the leaves in it."""
    own = register.grids[code].polygon if code in register.grids else ()
    return [own] if own else [register.grids[leaf].polygon for leaf in register.leaves(code)]


def rings_of(polygons: Iterable[Polygon]) -> list[Sequence[tuple[float, float]]]:
    """All rings of some polygons."""
    return [ring for polygon in polygons for rings in polygon for ring in rings]


def area_of(register: Policy, code: str, polygons: list[Polygon], projection: Projection) -> Area:
    """A grid as it is drawn."""
    paths, spots = [], []
    for ring in rings_of(polygons):
        points = [projection.point(*corner) for corner in ring]
        spots += points
        paths.append("M" + "L".join(f"{x} {y}" for x, y in points) + "Z")
    left, right = min(x for x, _ in spots), max(x for x, _ in spots)
    top, bottom = min(y for _, y in spots), max(y for _, y in spots)
    return Area(code, register.grids[code].name, "".join(paths), (left + right) // 2, (top + bottom) // 2, right - left)

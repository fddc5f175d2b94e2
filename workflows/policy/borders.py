"""Borders in whole numbers: which grids lie around a point, and how far away a grid is. No floats decide.

Where two maps draw a common border with different points, each gets the other's points first (noding), and only then
all of it is snapped to units of 1e-7 degree: so a corner of one that lies on an edge of the other stays on it, and no
blank and no overlap comes between them by rounding.

A point on an edge belongs to every grid whose edge that is. Any other point belongs to the grids inside whose rings it
lies, all rings of a grid counted together (even-odd, so holes are holes). A point in no grid within two units of an
edge lies in what rounding has left blank: it belongs to that edge's grid, to that of the lowest code if there are more.
"""

from collections.abc import Iterable, Mapping, Sequence
from fractions import Fraction
from itertools import pairwise
from typing import NamedTuple

from schemas.coordinates import UNITS, Point
from workflows.policy.geometry import Polygon

SLACK = 2
"""Units within which a blank between grids is taken for rounding: two centimetres."""
METRES_PER_DEGREE = 111_320
ONE = 10**12
"""What `cosine` calls 1."""
FINE = 100
"""So many fine steps are a unit: points are compared in them, before they are snapped."""

Number = int | Fraction
Corner = tuple[Number, Number]
Edge = tuple[Number, Number, Number, Number]


class Area(NamedTuple):
    """A grid on the map: the edges of all its rings, and the box around them (west, south, east, north)."""

    code: str
    edges: list[Edge]
    box: Edge


class Borders:
    """The borders of some grids. `slack`: in units; 0 for borders that were never snapped."""

    def __init__(self, rings: Mapping[str, Iterable[Sequence[Corner]]], slack: int = SLACK) -> None:
        self.slack = slack
        self.areas: dict[str, Area] = {}
        for code, outline in sorted(rings.items()):
            edges = [(*p, *q) for ring in outline for p, q in pairwise([*ring, *ring[:1]]) if p != q]
            if edges:
                xs, ys = [x for edge in edges for x in edge[::2]], [y for edge in edges for y in edge[1::2]]
                self.areas[code] = Area(code, edges, (min(xs), min(ys), max(xs), max(ys)))
        boxes = [area.box for area in self.areas.values()]
        self._width = _side([int(east - west) for west, _, east, _ in boxes])
        self._height = _side([int(north - south) for _, south, _, north in boxes])
        self._cells: dict[tuple[int, int], list[Area]] = {}
        for area in self.areas.values():
            west, south, east, north = area.box
            for column in range(int((west - slack) // self._width), int((east + slack) // self._width) + 1):
                for row in range(int((south - slack) // self._height), int((north + slack) // self._height) + 1):
                    self._cells.setdefault((column, row), []).append(area)

    def around(self, x: Number, y: Number) -> tuple[str, ...]:
        """The grids of a point, in order of their codes; none off the map."""
        slack, areas = self.slack, list[Area]()
        for area in self._cells.get((int(x // self._width), int(y // self._height)), ()):
            west, south, east, north = area.box
            if west - slack <= x <= east + slack and south - slack <= y <= north + slack:
                areas.append(area)
        found = tuple(area.code for area in areas if covers(area.edges, x, y))
        if found or not slack:
            return found
        return tuple(area.code for area in areas if squared(area.edges, x, y) <= slack**2)[:1]

    def nearest(self, point: Point, metres: int, codes: Iterable[str]) -> str:
        """Of some grids the one whose border is nearest to a point, if that is at most so many metres away; else
        empty. Of several at one distance the lowest code."""
        x, y = point
        across, most = cosine(y), metres * UNITS
        best, found = Fraction(most * ONE, METRES_PER_DEGREE) ** 2, ""
        reach = most * ONE // (METRES_PER_DEGREE * max(across, ONE // 100)) + 1
        for area in (self.areas[code] for code in sorted(codes) if code in self.areas):
            west, south, east, north = area.box
            if west - reach <= x <= east + reach and south - reach <= y <= north + reach:
                away = squared(area.edges, x, y, across, ONE)
                if away < best or (away == best and not found):
                    best, found = away, area.code
        return found


def _side(extents: Sequence[int]) -> int:
    """The side of the cells in which grids are looked up: about that of a grid."""
    return 1 + max(sum(extents) // max(1, len(extents)), max(extents, default=0) // 200)


def covers(edges: Iterable[Edge], x: Number, y: Number) -> bool:
    """Whether a point lies on one of the edges, or inside the rings that they make."""
    inside = False
    for x1, y1, x2, y2 in edges:
        if (y1 > y and y2 > y) or (y1 < y and y2 < y):
            continue
        side = (x2 - x1) * (y - y1) - (y2 - y1) * (x - x1)
        if side == 0 and (x1 <= x <= x2 or x2 <= x <= x1):
            return True
        if (y1 > y) != (y2 > y) and (side > 0) == (y2 > y1):
            inside = not inside
    return inside


def squared(edges: Iterable[Edge], x: Number, y: Number, across: int = 1, up: int = 1) -> Fraction:
    """The square of the distance from a point to the nearest of some edges, where a unit of longitude is `across` long
    and one of latitude `up`."""
    found: Fraction | None = None
    for x1, y1, x2, y2 in edges:
        ax, ay, dx, dy = (x - x1) * across, (y - y1) * up, (x2 - x1) * across, (y2 - y1) * up
        along, length = ax * dx + ay * dy, dx * dx + dy * dy
        if along <= 0 or along >= length:
            bx, by = (ax, ay) if along <= 0 else (ax - dx, ay - dy)
            away = Fraction(bx * bx + by * by)
        else:
            away = Fraction((ax * dy - ay * dx) ** 2, length)
        if found is None or away < found:
            found = away
    assert found is not None
    return found


def within(a: Point, b: Point, metres: int) -> bool:
    """Whether two points are at most so many metres apart, as the plane around the first one has it."""
    across, up = (a[0] - b[0]) * cosine(a[1]), (a[1] - b[1]) * ONE
    return (across**2 + up**2) * METRES_PER_DEGREE**2 <= (metres * UNITS * ONE) ** 2


def cosine(latitude: int) -> int:
    """The cosine of a latitude in units, times `ONE`, by its series: the same whole number on every machine."""
    radians = abs(latitude) * 3_141_592_653_589_793 * ONE // (180 * UNITS * 10**15)
    square, term, total = radians**2 // ONE, ONE, ONE
    for k in range(2, 20, 2):
        term = -term * square // (ONE * k * (k - 1))
        total += term
    return max(0, total)


def snapped(polygons: Mapping[str, Polygon]) -> dict[str, list[list[Point]]]:
    """The rings of each grid in units, noded. Coordinates of polygons are degrees, as a pack has them."""
    fine = {
        code: [
            [(round(lon * UNITS * FINE), round(lat * UNITS * FINE)) for lon, lat in ring]
            for rings in polygon
            for ring in rings
        ]
        for code, polygon in polygons.items()
    }
    edges = [edge for rings in fine.values() for ring in rings for edge in pairwise([*ring, *ring[:1]])]
    spread = sum(max(abs(x2 - x1), abs(y2 - y1)) for (x1, y1), (x2, y2) in edges)
    side = max(10 * FINE, 2 * spread // max(1, len(edges)))
    cells: dict[Point, set[Point]] = {}
    for (x, y), _ in edges:
        cells.setdefault((x // side, y // side), set()).add((x, y))
    found: dict[str, list[list[Point]]] = {}
    for code, rings in fine.items():
        noded = [[p for edge in pairwise([*ring, *ring[:1]]) for p in nodes(*edge, cells, side)] for ring in rings]
        units = [[((x + FINE // 2) // FINE, (y + FINE // 2) // FINE) for x, y in ring] for ring in noded]
        found[code] = [[p for p, q in pairwise([*ring, *ring[:1]]) if p != q] for ring in units]
    return found


def nodes(start: Point, end: Point, cells: Mapping[Point, set[Point]], side: int) -> list[Point]:
    """The start of an edge, and in their order the corners that lie on it, within a unit. All in fine steps; `cells`
    has the corners of all rings by squares of a side."""
    (x1, y1), (x2, y2) = start, end
    dx, dy = x2 - x1, y2 - y1
    steps, around = max(abs(dx), abs(dy)) // side + 1, set[Point]()
    for k in range(steps):  # a long edge is looked at piece by piece
        xs, ys = [x1 + dx * k // steps, x1 + dx * (k + 1) // steps], [y1 + dy * k // steps, y1 + dy * (k + 1) // steps]
        for column in range((min(xs) - FINE - 1) // side, (max(xs) + FINE + 1) // side + 1):
            for row in range((min(ys) - FINE - 1) // side, (max(ys) + FINE + 1) // side + 1):
                around.update(cells.get((column, row), ()))
    around -= {start, end}
    length, on = dx * dx + dy * dy, list[tuple[int, Point]]()
    for x, y in around:
        along, off = (x - x1) * dx + (y - y1) * dy, (x - x1) * dy - (y - y1) * dx
        if 0 < along < length and off * off <= FINE * FINE * length:
            on.append((along, (x, y)))
    return [start, *(point for _, point in sorted(on))]


def exact(polygons: Mapping[str, Polygon]) -> dict[str, list[list[Corner]]]:
    """The rings of each grid as the very numbers of the pack, in units: by them records of older releases are decided,
    as the floats of those releases decided them."""
    return {
        code: [
            [(Fraction(lon) * UNITS, Fraction(lat) * UNITS) for lon, lat in ring] for rings in polygon for ring in rings
        ]
        for code, polygon in polygons.items()
    }

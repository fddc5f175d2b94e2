"""Which grids lie around a point, in whole numbers, compared with shapely on the same snapped borders.

Enters: rectangles that random lines cut into grids, each drawn by itself, so that corners of one lie on edges of
another. Leaves: the grids of random points, of points on edges, and of corners and what is next to them.
"""

from __future__ import annotations

import math
from itertools import pairwise
from random import Random

import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st
from shapely.geometry import Point as Spot
from shapely.geometry import Polygon as Shape
from shapely.ops import split

from schemas.coordinates import UNITS
from schemas.members import Position
from tests.support.builders import weiyang
from workflows.policy.borders import METRES_PER_DEGREE, ONE, SLACK, Borders, cosine, snapped, within
from workflows.policy.geometry import Polygon

WEST, SOUTH = 108.84, 34.3


def cut(random: Random, grids: int) -> dict[str, Polygon]:
    """A rectangle of 0.001 degrees, cut by random lines into so many grids."""
    parts = [shapely.box(WEST, SOUTH, WEST + 0.001, SOUTH + 0.001)]
    while len(parts) < grids:
        parts.sort(key=lambda part: part.area)
        x, y = (c + random.uniform(-1e-4, 1e-4) for c in parts[-1].centroid.coords[0])
        angle = random.choice((0, math.pi / 2, random.uniform(0, math.pi)))
        dx, dy = math.cos(angle), math.sin(angle)
        line = shapely.LineString([(x - dx, y - dy), (x + dx, y + dy)])
        parts += [part for part in split(parts.pop(), line).geoms if part.area]
    return {f"G{number:02}": ((tuple(part.exterior.coords),),) for number, part in enumerate(parts)}


@given(st.integers(0, 2**32), st.integers(1, 9))
def test_every_point_lies_where_shapely_finds_it(seed, grids):
    random = Random(seed)
    rings = snapped(cut(random, grids))
    borders, shapes = Borders(rings), {code: shapely.make_valid(Shape(ring)) for code, (ring,) in rings.items()}
    corners = [corner for outline in rings.values() for ring in outline for corner in ring]
    west, south = round(WEST * UNITS), round(SOUTH * UNITS)
    points = [(west + random.randint(-50, 10_050), south + random.randint(-50, 10_050)) for _ in range(40)]
    points += [(x + random.randint(-3, 3), y + random.randint(-3, 3)) for x, y in corners] + corners
    for (x1, y1), (x2, y2) in pairwise(corners):
        points.append(((x1 + x2) // 2, (y1 + y2) // 2))  # of an edge, mostly
    for x, y in points:
        expected = tuple(sorted(code for code, shape in shapes.items() if shape.intersects(Spot(x, y))))
        away = {code: shape.distance(Spot(x, y)) for code, shape in shapes.items()}
        if not expected and any(abs(distance - SLACK) < 1e-6 for distance in away.values()):
            continue  # where a double cannot tell
        assert borders.around(x, y) == (expected or tuple(sorted(c for c in away if away[c] < SLACK))[:1])
        if west < x < west + 10_000 and south < y < south + 10_000:
            assert borders.around(x, y), "the grids fill the rectangle"


@pytest.mark.mechanism("M4")
def test_a_corner_on_a_neighbours_edge_stays_on_it():
    """T-junction: without noding the corner is snapped away from the long edge."""
    left, right, corner = (WEST, SOUTH), (WEST + 0.00100003, SOUTH + 0.00033337), 0.37
    middle = (left[0] + corner * (right[0] - left[0]), left[1] + corner * (right[1] - left[1]))
    above: Polygon = (((left, right, (WEST, SOUTH + 0.001), left),),)
    below: dict[str, Polygon] = {
        "B": (((left, middle, (WEST + 0.0005, SOUTH - 0.001), left),),),
        "C": (((middle, right, (WEST + 0.0005, SOUTH - 0.001), middle),),),
    }
    borders = Borders(snapped({"A": above, **below}), slack=0)
    x, y = (round(number * UNITS) for number in middle)
    assert borders.around(x, y) == ("A", "B", "C")
    blank = [
        (x + dx, y + dy) for dx in range(-300, 300) for dy in (-1, 0, 1) if not borders.around(x + dx, y + dy + dx // 3)
    ]
    assert blank == []


def test_a_hole_is_no_part_of_its_grid_and_an_island_in_it_is():
    def square(low: int, high: int) -> list[tuple[int, int]]:
        return [(low, low), (high, low), (high, high), (low, high)]

    borders = Borders({"A": [square(0, 1000), square(100, 900), square(400, 600)], "B": [square(100, 900)]})
    assert borders.around(50, 50) == ("A",)
    assert borders.around(200, 200) == ("B",)
    assert borders.around(500, 500) == ("A", "B")
    assert borders.around(100, 500) == ("A", "B")  # on the edge of both


def test_two_centimetres_between_grids_are_rounding_and_belong_to_the_lowest_code():
    square = [(0, 0), (1000, 0), (1000, 1000), (0, 1000)]
    borders = Borders({"B": [square], "A": [[(x + 1004, y) for x, y in square]]})
    assert borders.around(1001, 500) == ("B",)
    assert borders.around(1002, 500) == ("A",)
    assert borders.around(1003, 500) == ("A",)
    assert borders.around(500, -2) == ("B",)
    assert borders.around(1001, -3) == ()


@given(st.integers(-90 * UNITS, 90 * UNITS))
def test_a_cosine_in_whole_numbers_is_the_cosine(latitude):
    assert abs(cosine(latitude) / ONE - math.cos(math.radians(latitude / UNITS))) < 1e-10


def test_metres_are_as_long_to_the_east_as_to_the_north():
    x, y, metre = round(108.9 * UNITS), round(60.0 * UNITS), UNITS / METRES_PER_DEGREE
    for east, north in ((100, 0), (0, 100), (60, 80)):
        for length, near in ((0.999, True), (1.001, False)):
            there = (x + round(2 * east * metre * length), y + round(north * metre * length))
            assert within((x, y), there, 100) == near


def test_the_nearest_of_some_grids_is_found_within_some_metres_only():
    borders, metre = weiyang().borders, UNITS / METRES_PER_DEGREE
    north = (round(108.855 * UNITS), round(34.39 * UNITS + 30 * metre))  # 30 m north of WY01-02
    assert borders.around(*north) == ()
    assert borders.nearest(north, 31, weiyang().leaves("WY01")) == "WY01-02"
    assert borders.nearest(north, 29, weiyang().leaves("WY01")) == ""
    assert borders.nearest(north, 20_000, weiyang().leaves("WY02")) == "WY02-01"
    corner = (round(108.85 * UNITS), round(34.39 * UNITS + 30 * metre))
    assert borders.nearest(corner, 31, ["WY01-02", "WY01-01"]) == "WY01-01"


@given(st.floats(108.83, 108.97), st.floats(34.29, 34.40), st.booleans())
def test_what_older_releases_located_with_shapely_is_located_as_before(lon, lat, on_border):
    if on_border:
        lon = round(lon, 2)
    leaves = [grid for grid in weiyang().pack.grids if grid.level == 4]
    expected = [g.code for g in leaves if Shape(g.polygon[0][0]).intersects(Spot(lon, lat))]
    assert weiyang().locate_as_sent(Position(lon=lon, lat=lat)) == tuple(sorted(expected))

"""Positions of Chinese maps as whole numbers of WGS 84."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.coordinates import UNITS, measured, reading, to_bd09, to_gcj02, wgs84

TIANANMEN = (116.404, 39.915)


def test_the_shifts_are_those_of_the_public_formulas():
    """As coordtransform (wandergis), which apps in China use, prints them."""
    assert to_gcj02(*TIANANMEN) == pytest.approx((116.41024449916938, 39.91640428150164), abs=1e-12)
    assert to_bd09(*TIANANMEN) == pytest.approx((116.41036949371029, 39.92133699351021), abs=1e-12)


def test_what_one_step_back_gives_is_near():
    """That library undoes a shift in one step, which leaves a metre or two."""
    assert wgs84(*TIANANMEN, "GCJ02") == pytest.approx((116.39775550083061, 39.91359571849836), abs=2e-5)


@given(st.floats(73, 135), st.floats(3, 54))
def test_a_shift_there_and_back_is_no_shift(lon, lat):
    shifted = to_gcj02(lon, lat)
    assert wgs84(*shifted, "GCJ02") == pytest.approx((lon, lat), abs=1e-8)
    assert wgs84(*to_bd09(*shifted), "BD09") == pytest.approx((lon, lat), abs=1e-8)
    assert math.dist(shifted, (lon, lat)) * 111_320 < 2000


def test_in_the_middle_of_china_the_shift_is_half_a_kilometre():
    here = (108.845, 34.385)
    assert 400 < math.dist(to_gcj02(*here), here) * 111_320 < 700


@pytest.mark.parametrize("crs", ["WGS84", "CGCS2000"])
def test_a_position_of_wgs84_is_only_rounded(crs):
    assert measured(108.84512345, -34.38500004, crs) == (1_088_451_234, -343_850_000)


def test_outside_china_nothing_is_shifted():
    assert measured(-71.056, 42.311, "GCJ02") == (-710_560_000, 423_110_000)


def test_what_does_not_say_its_map_is_kept_in_every_reading():
    said = measured(*TIANANMEN, None)
    assert [reading(said, crs) for crs in ("", "WGS84", "CGCS2000")] == [(1_164_040_000, 399_150_000)] * 3
    assert reading(said, "GCJ02") == reading(measured(*TIANANMEN, "GCJ02"), "")
    assert reading(said, "BD09") == reading(measured(*TIANANMEN, "BD09"), "GCJ02")


@pytest.mark.parametrize("crs", [None, "WGS84", "CGCS2000", "GCJ02", "BD09"])
def test_zero_is_no_position(crs):
    assert measured(0.0, -0.0, crs) == ()
    assert reading((), crs or "") is None
    assert measured(0.0, 1 / UNITS, crs) != ()

"""Positions as whole numbers: units of 1e-7 degree of WGS 84, about a centimetre, whatever map they were measured on.

Chinese maps are shifted by some hundred metres: GCJ-02 (国测局坐标系, what most phones and map services there give) and
BD-09 (Baidu's, shifted once more). Both formulas are public knowledge and nowhere published as a standard; CGCS2000 is
WGS 84 to a few centimetres. The door converts, with floats; from then on a position is what stands in the record.
"""

import math
from collections.abc import Callable
from typing import Literal

Crs = Literal["WGS84", "CGCS2000", "GCJ02", "BD09"]
"""The coordinate reference systems that a position may be measured in."""
Point = tuple[int, int]
"""Longitude and latitude of WGS 84, in units of 1e-7 degree."""
UNITS = 10**7
"""So many units are a degree."""
READINGS: tuple[Crs, ...] = ("WGS84", "GCJ02", "BD09")
"""What a position may mean whose sender does not say: in this order its readings stand in a record."""

SHIFTED = ("GCJ02", "BD09")
"""Maps that are not WGS 84: their numbers mean another place there."""

_AXIS, _ECCENTRICITY = 6_378_245.0, 0.006_693_421_622_965_943  # of the ellipsoid of Krasovsky, squared
_TURN = math.pi * 3000 / 180  # of the ripples of BD-09
_EXACT = 1e-9  # degrees; a hundredth of a unit


def measured(lon: float, lat: float, crs: Crs | None) -> tuple[int, ...]:
    """A position as a record keeps it: longitude and latitude in units; of each of `READINGS` where the sender does
    not say what it measured with. Empty for 0/0, which phones send that know no position."""
    readings = READINGS if crs is None else (crs,)
    points = [in_units(*wgs84(lon, lat, reading)) for reading in readings]
    return () if in_units(lon, lat) == (0, 0) else tuple(number for point in points for number in point)


def reading(numbers: tuple[int, ...], crs: str) -> Point | None:
    """The point of what `measured` gave; where it has several readings, that of `crs`. None for no position."""
    if not numbers:
        return None
    index = 2 * READINGS.index(crs) if crs in READINGS and len(numbers) > 2 else 0
    return numbers[index], numbers[index + 1]


def in_units(lon: float, lat: float) -> Point:
    """Degrees as whole units."""
    return round(lon * UNITS), round(lat * UNITS)


def wgs84(lon: float, lat: float, crs: str) -> tuple[float, float]:
    """Longitude and latitude of WGS 84, in degrees. The shifts are undone to a tenth of a millimetre."""
    if crs == "BD09":
        lon, lat = _undone(to_bd09, lon, lat)
    if crs in SHIFTED:
        lon, lat = _undone(to_gcj02, lon, lat)
    return lon, lat


def to_gcj02(lon: float, lat: float) -> tuple[float, float]:
    """WGS 84 to GCJ-02. Outside a rectangle around China nothing is shifted."""
    if not (72.004 <= lon <= 137.8347 and 0.8293 <= lat <= 55.8271):
        return lon, lat
    x, y, root = lon - 105.0, lat - 35.0, math.sqrt(abs(lon - 105.0))
    fine = 20 * math.sin(6 * math.pi * x) + 20 * math.sin(2 * math.pi * x)
    north = 2 * x - 100 + 3 * y + 0.2 * y * y + 0.1 * x * y + 0.2 * root
    north += (fine + 20 * math.sin(math.pi * y) + 40 * math.sin(math.pi * y / 3)) * 2 / 3
    north += (160 * math.sin(math.pi * y / 12) + 320 * math.sin(math.pi * y / 30)) * 2 / 3
    east = 300 + x + 2 * y + 0.1 * x * x + 0.1 * x * y + 0.1 * root
    east += (fine + 20 * math.sin(math.pi * x) + 40 * math.sin(math.pi * x / 3)) * 2 / 3
    east += (150 * math.sin(math.pi * x / 12) + 300 * math.sin(math.pi * x / 30)) * 2 / 3
    bulge = 1 - _ECCENTRICITY * math.sin(math.radians(lat)) ** 2
    meridian = _AXIS * (1 - _ECCENTRICITY) / bulge**1.5
    parallel = _AXIS / math.sqrt(bulge) * math.cos(math.radians(lat))
    return lon + math.degrees(east / parallel), lat + math.degrees(north / meridian)


def to_bd09(lon: float, lat: float) -> tuple[float, float]:
    """GCJ-02 to BD-09."""
    length = math.hypot(lon, lat) + 0.00002 * math.sin(lat * _TURN)
    angle = math.atan2(lat, lon) + 0.000003 * math.cos(lon * _TURN)
    return length * math.cos(angle) + 0.0065, length * math.sin(angle) + 0.006


def _undone(shift: Callable[[float, float], tuple[float, float]], lon: float, lat: float) -> tuple[float, float]:
    """Where a shift came from. It hardly changes over its own length, so each turn is nearer by orders of magnitude."""
    x, y = lon, lat
    for _ in range(30):
        shifted = shift(x, y)
        off = lon - shifted[0], lat - shifted[1]
        x, y = x + off[0], y + off[1]
        if max(map(abs, off)) < _EXACT:
            break
    return x, y

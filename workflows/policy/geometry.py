"""Reads the map of a pack: grids.geojson, a FeatureCollection with one polygon per grid.

GeoJSON is RFC 7946: WGS 84, longitude first. Coordinates are passed through as they are; `lint` checks whether they
fit together.
"""

from collections.abc import Iterable, Mapping
from contextlib import suppress

import msgspec

from workflows.policy.csv_tables import plain
from workflows.policy.model import Grid
from workflows.policy.problems import Problems

GEOJSON = "grids.geojson"
Polygon = tuple[tuple[tuple[tuple[float, float], ...], ...], ...]


class _Geometry(msgspec.Struct, frozen=True):
    type: str
    coordinates: msgspec.Raw


class _Feature(msgspec.Struct, frozen=True):
    geometry: _Geometry | None
    properties: dict[str, object]


class _Collection(msgspec.Struct, frozen=True):
    features: list[_Feature]


_Rings = tuple[tuple[tuple[float, ...], ...], ...]


def read_polygons(text: str, problems: Problems) -> dict[str, Polygon]:
    """MultiPolygon coordinates by grid code. A finding names the number of a feature as its row."""
    if not text.strip():
        return {}
    found: dict[str, Polygon] = {}
    try:
        collection = msgspec.json.decode(text.removeprefix("\ufeff"), type=_Collection)
    except msgspec.DecodeError as error:
        problems.error(GEOJSON, 0, "", f"is no FeatureCollection ({error})", "export it as GeoJSON (RFC 7946)")
        return {}
    for number, feature in enumerate(collection.features, start=1):
        code = plain(str(feature.properties.get("code", "")))
        geometry = feature.geometry
        polygon: Polygon | None = None
        with suppress(msgspec.DecodeError):
            if geometry is not None and geometry.type == "Polygon":
                polygon = flat((msgspec.json.decode(geometry.coordinates, type=_Rings),))
            elif geometry is not None and geometry.type == "MultiPolygon":
                polygon = flat(msgspec.json.decode(geometry.coordinates, type=tuple[_Rings, ...]))
        if not code or code in found:
            remedy = "give each feature the code of one grid as properties.code"
            problems.error(GEOJSON, number, "code", f"feature {number}: code {code!r} is empty or used twice", remedy)
        elif polygon is None:
            remedy = "use a Polygon or MultiPolygon of [longitude, latitude] pairs, with an altitude or without"
            problems.error(GEOJSON, number, "geometry", f"feature {number} ({code}): no polygon", remedy)
        else:
            found[code] = polygon
    return found


def flat(polygon: tuple[_Rings, ...]) -> Polygon | None:
    """A polygon of longitudes and latitudes; an altitude behind them is left out. None where a point has no two."""
    if any(len(point) not in (2, 3) for rings in polygon for ring in rings for point in ring):
        return None
    return tuple(tuple(tuple((point[0], point[1]) for point in ring) for ring in rings) for rings in polygon)


def name_lost_polygons(polygons: Mapping[str, Polygon], grids: Iterable[Grid], problems: Problems) -> None:
    """Report polygons whose code is no grid."""
    codes = {grid.code for grid in grids}
    for number, code in enumerate(polygons, start=1):
        if code not in codes:
            remedy = "correct properties.code, or add the grid to grids.csv"
            problems.error(GEOJSON, number, "code", f"{code!r} is no grid of grids.csv", remedy)

"""Which open cases may be the same problem: proposed by place and time, merged only by people.

The engine looks cases up by correlation key (category and map cell); `similar` keeps those that are near enough. Both
are computed in whole numbers. A record of an older release has none; what was done for it then is in the second part.
"""

import math
from collections.abc import Callable, Sequence

from msgspec import structs

from schemas.coordinates import UNITS, Point, in_units, reading
from schemas.kinds import incident
from workflows.case import Case
from workflows.decision import Decision
from workflows.policy.borders import METRES_PER_DEGREE, ONE, cosine, within
from workflows.policy.model import Options


def correlation_keys(category: str, point: Point | None, radius_m: int) -> list[str]:
    """The keys under which cases within the radius can lie: the key of the point's cell and of cells near it."""
    if not radius_m or point is None:
        return []
    near = radius_m * UNITS // METRES_PER_DEGREE + 1
    wide = near * ONE // max(cosine(point[1]), ONE // 100) + 1
    corners = [(point[0] + dx, point[1] + dy) for dx in (-wide, wide) for dy in (-near, near)]
    return list(dict.fromkeys(correlation_key(category, at, radius_m) for at in (point, *corners)))


def correlation_key(category: str, point: Point | None, radius_m: int) -> str:
    """Category and map cell, four radii wide; empty if the pack proposes no duplicates or there is no position."""
    if not radius_m or point is None:
        return ""
    x, y = (number * METRES_PER_DEGREE // (4 * radius_m * UNITS) for number in point)
    return f"{category}|{x}|{y}"


def similar(d: Decision, point: Point | None, nearby: Sequence[Case]) -> tuple[str, ...]:
    """Open cases of the same key within the pack's distance and time, in order of their ids; 8 at most."""
    return similar_at(point, d.case.judged, d.rules.options, [other for other in nearby if other.id != d.case.id])


def similar_at(point: Point | None, judged: int, options: Options, nearby: Sequence[Case]) -> tuple[str, ...]:
    """The same for a report of a judged instant that is not a case yet."""
    if point is None:
        return ()

    def near(other: Case) -> bool:
        return (at := spot_of(other)) is not None and within(point, at, options.similar_radius_m)

    return _alike(judged, options, nearby, near)


def spot_of(case: Case) -> Point | None:
    """Where a case was measured, in units; None: nowhere."""
    if case.spot is not None or case.lon is None or case.lat is None:
        return case.spot
    return in_units(case.lon, case.lat)


def point_of(measured: tuple[int, ...] | None, options: Options) -> Point | None:
    """The point of a record under a pack, which says what a position means that names no reference system."""
    return reading(measured, options.crs) if measured else None


def _alike(judged: int, options: Options, nearby: Sequence[Case], near: Callable[[Case], bool]) -> tuple[str, ...]:
    window = options.similar_window_ms
    found = [other.id for other in nearby if judged - other.opened <= window and near(other)]
    return tuple(sorted(found)[:8])


# ---- records of older releases ----------------------------------------------------------------------------


def correlation_keys_as_sent(report: incident.ReportSubmitted, radius_m: int) -> list[str]:
    """`correlation_keys`, of a record without whole numbers."""
    if not radius_m or report.position is None:
        return []
    near = radius_m / METRES_PER_DEGREE
    wide = near / max(math.cos(math.radians(report.position.lat)), 0.01)
    corners = [(dx, dy) for dx in (-wide, wide) for dy in (-near, near)]
    here = report.position
    places = [structs.replace(here, lon=here.lon + dx, lat=here.lat + dy) for dx, dy in corners]
    moved = [structs.replace(report, position=at) for at in (here, *places)]
    return list(dict.fromkeys(correlation_key_as_sent(at, radius_m) for at in moved))


def correlation_key_as_sent(report: incident.ReportSubmitted, radius_m: int) -> str:
    """`correlation_key`, of a record without whole numbers. Positions on another map have cells of their own."""
    if not radius_m or report.position is None:
        return ""
    cell = METRES_PER_DEGREE / (4 * radius_m)
    datum = "" if report.position.crs in (None, "WGS84", "CGCS2000") else f"|{report.position.crs}"
    x, y = math.floor(report.position.lon * cell), math.floor(report.position.lat * cell)
    return f"{report.category}{datum}|{x}|{y}"


def similar_as_sent(d: Decision, nearby: Sequence[Case]) -> tuple[str, ...]:
    """`similar`, for a record without whole numbers."""
    lon, lat = d.case.lon, d.case.lat
    if lon is None or lat is None:
        return ()

    def near(other: Case) -> bool:
        if other.lon is None or other.lat is None:
            return False
        dx = (lon - other.lon) * math.cos(math.radians(lat))
        return math.hypot(dx, lat - other.lat) * METRES_PER_DEGREE <= d.rules.options.similar_radius_m

    others = [other for other in nearby if other.id != d.case.id]
    return _alike(d.case.judged, d.rules.options, others, near)

"""Which open cases may be the same problem: proposed by place and time, merged only by people.

The engine looks cases up by correlation key (category and map cell); `similar` keeps those that are near enough.
"""

import math
from collections.abc import Sequence

from msgspec import structs

from schemas.kinds import incident
from workflows.case import Case
from workflows.decision import Decision

METRES_PER_DEGREE = 111_320


def correlation_keys(report: incident.ReportSubmitted, radius_m: int) -> list[str]:
    """The keys under which cases within the radius can lie: the key of the report's cell and of cells near it."""
    if not radius_m or report.position is None:
        return []
    near = radius_m / METRES_PER_DEGREE
    wide = near / max(math.cos(math.radians(report.position.lat)), 0.01)
    corners = [(dx, dy) for dx in (-wide, wide) for dy in (-near, near)]
    here = report.position
    places = [structs.replace(here, lon=here.lon + dx, lat=here.lat + dy) for dx, dy in corners]
    moved = [structs.replace(report, position=at) for at in (here, *places)]
    return list(dict.fromkeys(correlation_key(at, radius_m) for at in moved))


def correlation_key(report: incident.ReportSubmitted, radius_m: int) -> str:
    """Category and map cell of a report; empty if the pack proposes no duplicates or there is no position."""
    if not radius_m or report.position is None:
        return ""
    cell = METRES_PER_DEGREE / (4 * radius_m)
    datum = "" if report.position.crs in ("WGS84", "CGCS2000") else f"|{report.position.crs}"
    x, y = math.floor(report.position.lon * cell), math.floor(report.position.lat * cell)
    return f"{report.category}{datum}|{x}|{y}"


def similar(d: Decision, nearby: Sequence[Case]) -> tuple[str, ...]:
    """Open cases of the same key within the pack's distance and time, in order of their ids; 8 at most."""
    options, case = d.rules.options, d.case
    if case.lon is None or case.lat is None:
        return ()
    found = []
    for other in nearby:
        if other.id == case.id or other.lon is None or other.lat is None:
            continue
        dx = (case.lon - other.lon) * math.cos(math.radians(case.lat))
        metres = math.hypot(dx, case.lat - other.lat) * METRES_PER_DEGREE
        if metres <= options.similar_radius_m and case.judged - other.opened <= options.similar_window_ms:
            found.append(other.id)
    return tuple(sorted(found)[:8])

"""Before a report is sent: the grid in which its position lies, and open cases that may be the same problem.

Both are told by the very functions by which a report is decided (`workflows.birth.place`, `workflows.duplicates`), as a
report would be decided that arrived now. What is told of a case of others is bounded: no words, nobody's name.
"""

import re
from typing import NamedTuple, get_args

from msgspec import Struct

from engine.policies import Policies
from engine.slice.reads import keys_around
from engine.store import slices
from engine.store.database import Connection
from engine.views.names import CategoryNamed, Named, Names, active_names
from engine.views.questions import BadQuestion
from engine.views.speaking import check_post
from schemas.coordinates import UNITS, Crs, Point
from schemas.kinds.incident import ReportSubmitted
from schemas.members import Position, Source
from schemas.refusals import Refusal
from workflows import case as cases
from workflows.birth import How, Placed, Remark, home_around, place
from workflows.definitions import DEFINITIONS
from workflows.duplicates import point_of, similar_at, spot_of
from workflows.policy.borders import within
from workflows.policy.index import Policy

POSITION = r"-?[0-9]{1,3}(\.[0-9]{1,15})?,-?[0-9]{1,3}(\.[0-9]{1,15})?"
"""How a position is written in a question: longitude and latitude in degrees."""
MAPS: tuple[str, ...] = get_args(Crs)
"""The coordinate reference systems of the contract."""
MOST_METRES = 100_000
"""The worst accuracy that a position may have, as the contract has it."""
DISTANCES_M = (10, 20, 50, 100, 200, 500)
"""Classes of distance: the nearest that holds a case is told, and no nearer one."""


class PlaceQuestion(Struct, frozen=True, kw_only=True):
    """A position as a phone measured it: `position` is `longitude,latitude` in degrees, `crs` one of `MAPS` or empty,
    `accuracy_m` None where it is not known. `post` is who would report, `category` what."""

    position: str
    crs: str = ""
    accuracy_m: float | None = None
    post: str = ""
    category: str = ""


class Where(NamedTuple):
    """A question as a report would have it: what it says, where that is in whole numbers, and of which home."""

    names: Names
    report: ReportSubmitted
    point: Point | None
    own: str
    home: str


class LocatedPlace(Struct, frozen=True, kw_only=True):
    """Where a report of this position would lie. `home` begins the subject to mint, `<home>.<UUIDv7>`; null where the
    position is off the map and no post is named. `how`: `located` by the position, `own` for the post's own grid,
    `home` for all of the home. `remark`: `elsewhere` (the grid counts although the position lies in another one),
    `off_map`, `no_position` (0/0). `touches`: other grids on whose border it lies. `own`: the post's grid is on the
    path; null without a post. `lon` and `lat` are of WGS84, `crs` is what the position was read as."""

    home: str | None
    grid: Named | None
    level: int
    path: list[Named]
    how: How
    remark: Remark
    touches: list[Named]
    own: bool | None
    lon: float | None
    lat: float | None
    crs: str
    as_of: str


class SimilarCase(Struct, frozen=True, kw_only=True):
    """An open case that may be the same problem. `within_m`: it lies no further away than so many metres."""

    id: str
    definition: str
    state: str
    state_zh: str
    category: CategoryNamed | None
    age_ms: int
    within_m: int


class SimilarCases(Struct, frozen=True, kw_only=True):
    """Open cases near a position, the nearest class of distance first: those that the engine would propose for a report
    that arrived now, 8 at most. `radius_m` and `window_ms` are the pack's; 0 metres: it proposes none."""

    cases: list[SimilarCase]
    home: str | None
    radius_m: int
    window_ms: int
    as_of: str


def located_place(connection: Connection, policies: Policies, question: PlaceQuestion, now: int) -> LocatedPlace:
    """Where a report of this position would lie. Raises Unanswerable."""
    names, _, point, own, home = where = read_question(connection, policies, question, now)
    placed = placed_in(where, now) if home else Placed("", "", (), "off_map" if point else "no_position")
    grid, register = placed.grid, names.register
    return LocatedPlace(
        home=home or None,
        grid=names.grid(grid) if grid else None,
        level=register.grids[grid].level if grid else 0,
        path=names.path(register.path(grid)) if grid else [],
        how=placed.how,
        remark=placed.remark,
        touches=[names.grid(code) for code in placed.touches],
        own=(bool(grid) and own in register.path(grid)) if question.post else None,
        lon=point[0] / UNITS if point else None,
        lat=point[1] / UNITS if point else None,
        crs=question.crs or register.options.crs or "WGS84",
        as_of=names.instant(now),
    )


def placed_in(where: Where, now: int) -> Placed:
    """Where the engine would put the report."""
    placed = place(where.names.register, now, where.report, where.own, where.home, where.point)
    if isinstance(placed, Refusal):
        raise BadQuestion("position", placed.detail)
    return placed


def similar_cases(connection: Connection, policies: Policies, question: PlaceQuestion, now: int) -> SimilarCases:
    """Open cases that may be the same problem. Raises Unanswerable."""
    names, report, point, _, home = read_question(connection, policies, question, now)
    register, found = names.register, dict[str, cases.Case]()
    if question.category not in register.categories:
        raise BadQuestion("category", "the active pack has no category of this code", "ask /v1/pack for the catalogue")
    if home and point is not None:
        keys = keys_around(report, report.measured, f"{home}.", register)
        for id_, _, body in slices.read_nearby(connection, keys):
            found[id_] = cases.decode(body)
    open_cases = [case for case in found.values() if case.closed is None]
    same = similar_at(point, now, register.options, open_cases)
    lines = [similar_case(found[id_], names, point, now) for id_ in same if point is not None]
    return SimilarCases(
        cases=sorted(lines, key=lambda line: (line.within_m, line.age_ms, line.id)),
        home=home or None,
        radius_m=register.options.similar_radius_m,
        window_ms=register.options.similar_window_ms,
        as_of=names.instant(now),
    )


def similar_case(case: cases.Case, names: Names, point: Point, now: int) -> SimilarCase:
    """What is told of a case to whoever may report its problem again."""
    spot, radius = spot_of(case), names.register.options.similar_radius_m
    classes = [metres for metres in DISTANCES_M if metres < radius and spot is not None and within(point, spot, metres)]
    return SimilarCase(
        id=case.id,
        definition=case.definition,
        state=case.state,
        state_zh=DEFINITIONS[case.definition].states[case.state].zh,
        category=names.category(case.category, case.group),
        age_ms=max(0, now - case.opened),
        within_m=min(classes, default=radius),
    )


def read_question(connection: Connection, policies: Policies, question: PlaceQuestion, now: int) -> Where:
    """The question as a report that arrives now. Raises Unanswerable."""
    names = active_names(connection, policies)
    register: Policy = names.register
    check_post(register, question.post)
    report = ReportSubmitted(category=question.category, source=Source.PATROL, position=read_position(question))
    point = point_of(report.measured, register.options)
    own = register.posts[question.post].grid if question.post else ""
    return Where(names, report, point, own, home_around(register, now, report, own, point))


def read_position(question: PlaceQuestion) -> Position:
    """The position of a question, as the contract has it. Raises BadQuestion."""
    if not re.fullmatch(POSITION, question.position):
        remedy = "write longitude and latitude in degrees, such as 108.845,34.385"
        raise BadQuestion("position", "this is no position", remedy)
    lon, lat = map(float, question.position.split(","))
    if abs(lon) > 180 or abs(lat) > 90:
        remedy = "longitude comes first, and lies within 180 degrees; latitude within 90"
        raise BadQuestion("position", "this lies nowhere on Earth", remedy)
    if question.crs and question.crs not in MAPS:
        raise BadQuestion("crs", "no such coordinate reference system is known", f"choose one of: {', '.join(MAPS)}")
    accuracy = question.accuracy_m
    if accuracy is not None and not 0 <= accuracy <= MOST_METRES:
        raise BadQuestion("accuracy_m", "this is no accuracy", f"send metres, at most {MOST_METRES}, or leave it out")
    crs = next((known for known in get_args(Crs) if known == question.crs), None)
    return Position(lon, lat, crs, accuracy)

"""The birth of a case: where it is, who owns it first, which clock runs from the start.

A report begins an incident or a service request. `plain` is how an event of another kind begins a case of it.
"""

import math
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any, Literal, NamedTuple

from msgspec import UNSET, UnsetType, structs

from schemas import facts
from schemas.coordinates import SHIFTED, Point
from schemas.envelope import is_subject, to_ms
from schemas.kinds import incident
from schemas.members import EventData, Source
from schemas.partition import home_of
from schemas.refusals import Reason, Refusal
from workflows import listing, routing, sla
from workflows.case import TOTAL, Case, Owner
from workflows.decision import Decision
from workflows.duplicates import (
    correlation_key,
    correlation_key_as_sent,
    correlation_keys,
    correlation_keys_as_sent,
    point_of,
    similar,
    similar_as_sent,
)
from workflows.effects import assign, check_department, tell_evidence, unknown_code
from workflows.machine import Birth, Speaker
from workflows.policy.index import Policy

UNSURE_M = 500
"""How far off a position may be of which nobody says how exact it is."""


How = Literal["", "sent", "located", "own", "home", "successor"]
Remark = Literal["", "elsewhere", "off_map", "no_position"]


class Placed(NamedTuple):
    """The grid of a place, how it was found, the other grids in which the problem lies, and what is remarkable."""

    grid: str
    how: How = ""
    touches: tuple[str, ...] = ()
    remark: Remark = ""


def place(
    register: Policy, at: int, data: incident.ReportSubmitted, own: str, home: str, point: Point | None
) -> Placed | Refusal:
    """The grid of the place at a judged instant, which must lie in the home; a refusal names the field.

    It is the grid that was sent, else the leaf around the position, else the speaker's `own`, else the home. On a
    border the speaker's own grid goes first, so that its own report is not taken from it. In the place of a grid that
    has ended counts the leaf around the position, else its successor. A position outside the home
    by no more than its accuracy lies in the home's leaf that is nearest; one further away belongs to another home.
    """
    found = leaves_around(register, at, point)
    here = [code for code in found if register.home(code) == home]
    grid: str = register.standing(data.grid or "", at)
    how: How = "sent" if grid == (data.grid or "") else "successor"
    own = register.standing(own, at)
    if how == "successor" and here:
        grid = ""
    if not grid and point is not None and not here:
        near = nearest(register, at, data, point, home)
        if found and not near:
            code, right = found[0], register.home(found[0])
            detail = f"the position lies in grid {code}, whose home is {right}: mint {right}.<UUIDv7>"
            return Refusal(Reason.MISROUTED, "subject", f"{detail}, or send the grid as data.grid")
        here = [near] if near else []
    if not grid and here:
        grid, how = own if own in here else here[0], "located"
    elif not grid:
        mine = own in register.grids and register.home(own) == home
        grid, how = (own, "own") if mine else (home, "home")
    asked = data.grid if how == "successor" and data.grid else grid
    refused = refuse_grid(register, at, asked, home, "data.grid" if data.grid is not None else "subject")
    if refused:
        return refused
    grid = register.standing(grid, at)
    touches = data.touches or tuple(code for code in found if code != grid and grid in found)
    return Placed(grid, how, touches, remark(register, at, data, grid, point, found))


def leaves_around(register: Policy, at: int, point: Point | None) -> list[str]:
    """The leaf grids around a point that stand at an instant, in order of their codes."""
    around = register.locate(point) if point is not None else ()
    return [code for code in around if register.stands(register.grids[code], at)]


def home_around(register: Policy, at: int, data: incident.ReportSubmitted, own: str, point: Point | None) -> str:
    """The home of which a report of a position is to be, so that `place` takes it: the speaker's if the position, or
    its accuracy, allows for it, else that of the leaf around it; off the map that of the nearest leaf within its
    accuracy, else the speaker's. Empty where there is none of all that."""
    homes = [register.home(code) for code in leaves_around(register, at, point)]
    own = register.standing(own, at)
    mine = register.home(own) if own in register.grids else ""
    if mine in homes:
        return mine
    near = nearest(register, at, data, point, mine or register.root) if point is not None else ""
    if homes:
        return mine if near and register.home(near) == mine else homes[0]
    return register.home(near) if near else mine


def nearest(register: Policy, at: int, data: incident.ReportSubmitted, point: Point, grid: str) -> str:
    """The leaf nearest to a position among those of a grid, if it lies within the accuracy of the position; else empty.

    The accuracy is the one that was sent, 500 m where none was. It is 500 m at least where nobody says on which map the
    position was measured: Chinese maps are shifted by as much.
    """
    position = data.position
    accuracy = math.ceil(position.accuracy_m) if position and position.accuracy_m is not None else UNSURE_M
    known = bool(position and position.crs) or bool(register.options.crs)
    leaves = [code for code in register.leaves(grid) if register.stands(register.grids[code], at)]
    return register.borders.nearest(point, accuracy if known else max(accuracy, UNSURE_M), leaves)


def remark(
    register: Policy, at: int, data: incident.ReportSubmitted, grid: str, point: Point | None, found: Sequence[str]
) -> Remark:
    """What is remarkable in the position of a report that lies in a grid: it was 0/0, or the grid counts although the
    position lies elsewhere, or nowhere on the map."""
    if data.position is None:
        return ""
    if point is None:
        return "no_position"
    if not register.leaves(grid) or any(grid in register.path(code) for code in found):
        return ""
    if nearest(register, at, data, point, grid):
        return ""
    return "elsewhere" if found else "off_map"


def place_as_sent(d: Decision, data: incident.ReportSubmitted, own: str, home: str) -> Placed | Refusal:
    """`place`, for a record of an older release."""
    register, grid = d.register, data.grid
    found = register.locate_as_sent(data.position) if data.position else ()
    if grid is None:
        here = [code for code in found if code in register.grids and register.home(code) == home]
        near = [code for code in (own,) if code in register.grids and register.home(code) == home]
        grid = own if own in here else next(iter(here or near), home)
    touches = data.touches or tuple(code for code in found if code != grid and grid in found)
    refused = refuse_grid(register, d.judged(0), grid, home, "data.grid" if data.grid is not None else "subject")
    return refused or Placed(grid, touches=touches)


def refuse_grid(register: Policy, at: int, grid: str, home: str, field: str) -> Refusal | None:
    """Why a grid, of this field, cannot be the place of a case: it is unknown, not of this time, or of another home."""
    ended = grid
    grid = register.standing(grid, at)
    if grid not in register.grids:
        return unknown_code(field, "grid" if field == "data.grid" else "home")
    if not register.stands(register.grids[grid], at):
        return Refusal(Reason.UNKNOWN_CODE, "data.grid", f"grid {grid} does not exist at this time: send its successor")
    if register.home(grid) != home:
        expected, over = register.home(grid), f"grid {ended} has ended, and {grid} goes on for it; " * (grid != ended)
        detail = f"{over}the home of grid {grid} is {expected}: mint {expected}.<UUIDv7>"
        return Refusal(Reason.MISROUTED, "subject", detail)
    return None


def report(
    d: Decision, data: incident.ReportSubmitted, own: str, home: str, nearby: Sequence[Case], about: str = ""
) -> Refusal | None:
    """Tell what the problem is, where it is, and which open cases may be the same one. `about`: the case that bears
    it."""
    if data.category not in d.rules.categories:
        return unknown_code("data.category", "category")
    if unknown := unknown_site(d.register, data.site):
        return unknown
    campaign = d.register.campaigns.get(data.campaign) if data.campaign else None
    if data.campaign and campaign is None:
        return unknown_code("data.campaign", "campaign")
    for code in data.touches:
        if code not in d.register.grids:
            return unknown_code("data.touches", "grid")
    point, radius = point_of(d.measured, d.register.options), d.rules.options.similar_radius_m
    old, at = d.measured is None, d.judged(0)
    placed = place_as_sent(d, data, own, home) if old else place(d.register, at, data, own, home, point)
    if isinstance(placed, Refusal):
        return placed
    category = d.rules.categories[data.category]
    position = data.position if old or point is not None else None
    crs = (position.crs or ("" if old else d.register.options.crs) or "WGS84") if position else ""
    path = d.register.path(placed.grid)
    reported = facts.Reported(  # fifteen members: with more of them it is told through a dictionary, which takes longer
        definition=data.definition,
        policy=d.rules.hash,
        category=category.code,
        group=category.group,
        source=data.source,
        by=d.by,
        path=path,
        occurred=d.instant,
        judged=at,
        touches=placed.touches,
        unit=data.unit or "",
        key=correlation_key_as_sent(data, radius) if old else correlation_key(category.code, point, radius),
        how=placed.how,
        remark=placed.remark,
        about=about,
    )
    more = listing.at_report(d, path)
    if position is not None:
        more |= {"lon": position.lon, "lat": position.lat, "crs": crs}
        more |= {"spot": point} if crs in SHIFTED and not old else {}
    if data.site or data.reference:
        more |= {"site": data.site or "", "reference": data.reference or ""}
    d.tell(structs.replace(reported, **more) if more else reported)
    if campaign is not None:
        day = d.register.clock_of_days.local_day(at)
        why = campaign.remark(day, category.code, category.group, d.case.path)
        d.tell(facts.CampaignNamed(campaign=campaign.code, remark=why))
    tell_evidence(d, data.evidence)
    same = similar_as_sent(d, nearby) if old else similar(d, point, nearby)
    if same:
        d.tell(facts.Similar(cases=same))
    return None


def borne(d: Decision, data: incident.Borne, own: str, home: str, nearby: Sequence[Case]) -> Refusal | None:
    """Another case bears it: it is reported as what that one says."""
    as_report = data.report
    d.measured = as_report.measured
    return report(d, as_report, own, home, nearby, data.about)


def assign_borne(d: Decision, data: incident.Borne, speaker: Speaker, state: str) -> Refusal | None:
    """The first owner of what another case bears is that of a report of it."""
    return assign_by_authority(d, data.report, speaker, state)


def unknown_site(register: Policy, site: str | None) -> Refusal | None:
    """The refusal of a site that the register of sources of pollution does not have; None where the pack has none."""
    if site is None or not register.sites or site in register.sites:
        return None
    return unknown_code("data.site", "site")


def report_keys(data: incident.ReportSubmitted, measured: tuple[int, ...] | None, register: Policy) -> Sequence[str]:
    """The keys under which open cases may be the same problem."""
    radius = register.options.similar_radius_m
    if measured is None:
        return correlation_keys_as_sent(data, radius)
    return correlation_keys(data.category, point_of(measured, register.options), radius)


def assign_by_authority(d: Decision, data: incident.ReportSubmitted, speaker: Speaker, state: str) -> Refusal | None:
    """The first owner is the level with authority, with the department that the sender's system names."""
    refused = check_department(d, data.department, "data.department")
    if refused:
        return refused
    owner = routing.upward(d.case, d.rules, d.register)
    inspected = data.source in (Source.PATROL, Source.INSPECTION, Source.SUPERVISION)
    sender = speaker.grid if inspected and speaker.level > owner.level else ""
    assign(d, Owner(owner.grid, owner.level, data.department or ""), "reported", sender)
    return None


def plain(
    kind: str,
    tell: Callable[[Decision, Any], Refusal | None] = lambda d, data: None,
    post: Callable[[Any], str] = lambda data: "",
) -> Birth:
    """How an event of a kind begins a case of it, without a report: the data are a `BirthData`.

    It lies in the grid that was sent, else in its home. `tell` adds what only this kind tells of it. `post` reads from
    the data whose work it is, for kinds that posts hold. The first owner of others is the department that was sent,
    else the grid.
    """

    def begin(d: Decision, data: Any, own: str, home: str, nearby: Sequence[Case]) -> Refusal | None:
        grid = data.grid or home
        refused = refuse_grid(d.register, d.judged(0), grid, home, "data.grid" if data.grid else "subject")
        if refused:
            return refused
        if data.about is not None and not (is_subject(data.about) and home_of(data.about) == home):
            return Refusal(Reason.INVALID, "data.about", f"must be the id of a case of the same home: {home}.<UUIDv7>")
        if post(data) and post(data) not in d.register.posts:
            return unknown_code("data.post", "post")
        grid = d.register.standing(grid, d.judged(0))
        d.tell(
            facts.Born(
                definition=kind,
                policy=d.rules.hash,
                by=d.by,
                path=d.register.path(grid),
                occurred=d.instant,
                judged=d.judged(0),
                about=data.about or "",
                reference=data.reference or "",
                post=post(data),
            )
        )
        return tell(d, data)

    def own(d: Decision, data: Any, speaker: Speaker, state: str) -> Refusal | None:
        refused = check_department(d, data.department, "data.department")
        if refused or d.case.post:
            return refused
        known = d.register.departments.get(data.department)
        grid = known.grid if known is not None else d.case.path[-1]
        assign(d, Owner(grid, d.register.grids[grid].level, data.department or ""), "begun")
        return None

    return Birth(begin, own)


def total_clock(d: Decision, data: EventData, *, endless: bool = False) -> None:
    """Start the clock of the whole case. A deadline in the event comes first (null: none), then the pack's limit."""
    deadline: datetime | UnsetType | None = getattr(data, "deadline", UNSET)
    if deadline is UNSET:
        sla.start(d, TOTAL, 0, endless=endless)
    elif deadline is None:
        sla.start(d, TOTAL, 0, endless=True)
    else:
        sla.start(d, TOTAL, 0, ordered=to_ms(deadline))

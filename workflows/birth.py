"""The birth of a case: where it is, who owns it first, which clock runs from the start.

A report begins an incident or a service request. `plain` is how an event of another kind begins a case of it.
"""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

from msgspec import UNSET, UnsetType

from schemas import facts
from schemas.envelope import is_subject, to_ms
from schemas.kinds import incident
from schemas.members import EventData, Source
from schemas.partition import home_of
from schemas.refusals import Reason, Refusal
from workflows import routing, sla
from workflows.case import TOTAL, Case, Owner
from workflows.decision import Decision
from workflows.duplicates import correlation_key, correlation_keys, similar
from workflows.effects import assign, check_department, tell_evidence, unknown_code
from workflows.machine import Birth, Speaker
from workflows.policy.index import Policy


def place(d: Decision, data: incident.ReportSubmitted, own: str, home: str) -> str | Refusal:
    """The grid of the place, which must lie in the home; a refusal names the field.

    It is the grid that was sent, else the leaf around the position, else the speaker's `own`, else the home. On a
    border the speaker's own grid goes first, so that its own report is not taken from it.
    """
    register, grid = d.register, data.grid
    if grid is None:
        found = register.locate(data.position) if data.position else ()
        here = [code for code in found if code in register.grids and register.home(code) == home]
        near = [code for code in (own,) if code in register.grids and register.home(code) == home]
        grid = own if own in here else next(iter(here or near), home)
    return refuse_grid(d, grid, home, "data.grid" if data.grid is not None else "subject") or grid


def refuse_grid(d: Decision, grid: str, home: str, field: str) -> Refusal | None:
    """Why a grid, of this field, cannot be the place of a case: it is unknown, not of this time, or of another home."""
    register = d.register
    if grid not in register.grids:
        return unknown_code(field, "grid" if field == "data.grid" else "home")
    if not register.stands(register.grids[grid], d.judged(0)):
        return Refusal(Reason.UNKNOWN_CODE, "data.grid", f"grid {grid} does not exist at this time: send its successor")
    if register.home(grid) != home:
        expected = register.home(grid)
        return Refusal(Reason.MISROUTED, "subject", f"the home of grid {grid} is {expected}: mint {expected}.<UUIDv7>")
    return None


def touched(d: Decision, data: incident.ReportSubmitted, grid: str) -> tuple[str, ...]:
    """The other grids in which the problem lies: as sent, else those on whose common border it was measured."""
    if data.touches or data.position is None:
        return data.touches
    found = d.register.locate(data.position)
    return tuple(code for code in found if code != grid) if grid in found else ()


def report(d: Decision, data: incident.ReportSubmitted, own: str, home: str, nearby: Sequence[Case]) -> Refusal | None:
    """Tell what the problem is, where it is, and which open cases may be the same one."""
    if data.category not in d.rules.categories:
        return unknown_code("data.category", "category")
    for code in data.touches:
        if code not in d.register.grids:
            return unknown_code("data.touches", "grid")
    grid = place(d, data, own, home)
    if isinstance(grid, Refusal):
        return grid
    category, position = d.rules.categories[data.category], data.position
    judged = d.judged(0)
    key = correlation_key(data, d.rules.options.similar_radius_m)
    d.tell(
        facts.Reported(
            definition=data.definition,
            policy=d.rules.hash,
            category=category.code,
            group=category.group,
            source=data.source,
            by=d.by,
            path=d.register.path(grid),
            occurred=d.instant,
            judged=judged,
            touches=touched(d, data, grid),
            unit=data.unit or "",
            reference=data.reference or "",
            key=key,
            lon=position.lon if position else None,
            lat=position.lat if position else None,
            crs=position.crs if position else "",
        )
    )
    tell_evidence(d, data.evidence)
    same = similar(d, nearby)
    if same:
        d.tell(facts.Similar(cases=same))
    return None


def report_keys(data: incident.ReportSubmitted, register: Policy) -> Sequence[str]:
    """The keys under which open cases may be the same problem."""
    return [key for key in correlation_keys(data, register.options.similar_radius_m) if key]


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
        refused = refuse_grid(d, grid, home, "data.grid" if data.grid else "subject")
        if refused:
            return refused
        if data.about is not None and not (is_subject(data.about) and home_of(data.about) == home):
            return Refusal(Reason.INVALID, "data.about", f"must be the id of a case of the same home: {home}.<UUIDv7>")
        if post(data) and post(data) not in d.register.posts:
            return unknown_code("data.post", "post")
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


def total_clock(d: Decision, data: EventData) -> None:
    """Start the clock of the whole case. A deadline in the event comes first (null: none), then the pack's limit."""
    deadline: datetime | UnsetType | None = getattr(data, "deadline", UNSET)
    if deadline is UNSET:
        sla.start(d, TOTAL, 0)
    elif deadline is None:
        sla.start(d, TOTAL, 0, endless=True)
    else:
        sla.start(d, TOTAL, 0, ordered=to_ms(deadline))

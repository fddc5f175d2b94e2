"""The birth of a case: where it is, who owns it first, which clock runs from the start.

In: a decision on a case that nobody has reported yet, the report, who sent it. Out: facts told into the decision, or a
refusal that names the field.
"""

from collections.abc import Sequence

from msgspec import UNSET

from schemas import events as e
from schemas import facts as f
from schemas.envelope import to_ms
from schemas.refusals import Reason, Refusal
from workflows import routing, sla
from workflows.case import Case, Owner
from workflows.decision import Decision
from workflows.definitions.machine import Speaker
from workflows.duplicates import correlation_key, similar
from workflows.effects import assign, tell_evidence, unknown_code


def place(d: Decision, said: e.ReportSubmitted, own: str, home: str) -> str | Refusal:
    """The grid of the place: as sent, or the leaf around the position, or the speaker's `own`, or the home.

    It must lie in the home. On a border the speaker's own grid goes first, so nobody is sent away from it.
    """
    register = d.register
    if said.grid is not None:
        if said.grid not in register.grids:
            return unknown_code("data.grid", said.grid, "grid")
        grid = said.grid
    else:
        found = register.locate(said.position) if said.position else ()
        here = [code for code in found if code in register.grids and register.home(code) == home]
        near = [code for code in (own,) if code in register.grids and register.home(code) == home]
        grid = own if own in here else next(iter(here or near), home)
    if grid not in register.grids:
        return unknown_code("subject", home, "home")
    if not register.stands(register.grids[grid], d.judged(0)):
        return Refusal(Reason.UNKNOWN_CODE, "data.grid", f"grid {grid} does not exist at this time: send its successor")
    if register.home(grid) != home:
        expected = register.home(grid)
        return Refusal(Reason.MISROUTED, "subject", f"the home of grid {grid} is {expected}: mint {expected}.<UUIDv7>")
    return grid


def touched(d: Decision, said: e.ReportSubmitted, grid: str) -> tuple[str, ...]:
    """The other grids that it lies in: as sent, else those on whose common border it was measured."""
    if said.touches or said.position is None:
        return said.touches
    found = d.register.locate(said.position)
    return tuple(code for code in found if code != grid) if grid in found else ()


def report(d: Decision, said: e.ReportSubmitted, grid: str, nearby: Sequence[Case]) -> None:
    """Birth: what it is, where it is, which open cases may be the same problem."""
    category, position = d.rules.categories[said.category], said.position
    judged = d.judged(0)
    key = correlation_key(said, d.rules.options.similar_radius_m)
    d.tell(
        f.Reported(
            definition=said.definition,
            policy=d.rules.hash,
            category=category.code,
            group=category.group,
            source=said.source,
            by=d.by,
            path=d.register.path(grid),
            occurred=d.instant,
            judged=judged,
            touches=touched(d, said, grid),
            unit=said.unit or "",
            reference=said.reference or "",
            key=key,
            lon=position.lon if position else None,
            lat=position.lat if position else None,
            crs=position.crs if position else "",
        )
    )
    tell_evidence(d, said.evidence)
    same = similar(d, nearby)
    if same:
        d.tell(f.Similar(cases=same))


def first_owner(d: Decision, said: e.ReportSubmitted, at: Speaker, dest: str) -> None:
    """The first owner: the finder while it dissuades or handles there, else the level with authority."""
    if dest == "discovered":
        return assign(d, Owner(d.case.path[-1], len(d.case.path)), "found")
    if dest == "accepted":
        return assign(d, Owner(at.grid, at.level), "found")
    owner = routing.upward(d.case, d.rules, d.register)
    inspected = said.source in (e.Source.PATROL, e.Source.INSPECTION, e.Source.SUPERVISION)
    sender = at.grid if inspected and at.level > owner.level else ""
    assign(d, Owner(owner.grid, owner.level, said.department or ""), "reported", sender)


def total_clock(d: Decision, said: e.ReportSubmitted) -> None:
    """The clock of the whole case: the pack's limit, or the deadline that the report carries, or none."""
    if said.deadline is UNSET:
        sla.start(d, sla.TOTAL, 0)
    elif said.deadline is None:
        sla.start(d, sla.TOTAL, 0, endless=True)
    else:
        sla.start(d, sla.TOTAL, 0, ordered=to_ms(said.deadline))

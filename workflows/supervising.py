"""How a supervision begins, which office has it in hand, and who says what of it besides the roles. Pure.

What becomes of one, and its states, is in `workflows.definitions.supervision`; what a rung calls for in
`workflows.calling`.
"""

from schemas import facts
from schemas.derived_ids import home_subject
from schemas.envelope import is_subject
from schemas.kinds import KINDS, supervision
from schemas.kinds.incident import HOLD_PLACED
from schemas.kinds.supervision import (
    DECIDED,
    CalledFor,
    Contested,
    OfficeNamed,
    Proposed,
    Supervision,
    SupervisionContested,
    SupervisionProposed,
    SupervisionUpheld,
    Upheld,
)
from schemas.partition import home_of
from schemas.refusals import Reason, Refusal
from workflows import birth, effects
from workflows.case import Case, Owner
from workflows.decision import Decision
from workflows.machine import Speaker
from workflows.policy.csv_tables import parse_day
from workflows.policy.index import Policy
from workflows.policy.model import ActionRow

HELD = tuple(kind.name for kind in KINDS if HOLD_PLACED in kind.sends)
"""The kinds of case that a supervision may bar from ending."""
MOST_YEARS = 5
"""So far ahead may the day lie up to which a grid is listed."""


def kept_by(case: Case) -> Supervision:
    """What a supervision keeps of its own."""
    assert isinstance(case.own, Supervision)
    return case.own


# ---- how it begins ----------------------------------------------------------------------------------------


def propose(d: Decision, data: Proposed, own: str, home: str, nearby: object) -> Refusal | None:
    """Tell what is proposed, where it lies, and who would have to answer."""
    action = d.rules.actions.get(data.action)
    if action is None:
        return effects.unknown_code("data.action", "action")
    if unknown := birth.unknown_site(d.register, data.site):
        return unknown
    if data.about is not None and not (is_subject(data.about) and home_of(data.about) == home):
        remedy = "name a case of another home in data.reference"
        detail = f"must be the id of a case of the same home, {home}.<UUIDv7>: {remedy}"
        return Refusal(Reason.INVALID, "data.about", detail)
    if data.about == home_subject(home):  # to which it could say nothing
        return Refusal(Reason.INVALID, "data.about", "this is the case of the home itself: name its grid as data.grid")
    about = d.find(data.about) if data.about else None
    if refused := refuse_hold(action, about):
        return refused
    grid = place_of(d, data, home, about)
    if isinstance(grid, Refusal):
        return grid
    until = listed_until(d, action, data.until)
    if isinstance(until, Refusal):
        return until
    if refused := refuse_listing(d, action, d.register.path(grid)):
        return refused
    unit, path = unit_of(d, data, grid, about), d.register.path(grid)
    tell_proposed(d, data, action, unit, path, site=data.site or "", count=data.count, until=until)
    return None


def listed_until(d: Decision, action: ActionRow, until: str | None) -> int | Refusal:
    """The last day on which a grid is to be listed; 0 where none is named."""
    if until is None:
        return 0
    if not action.lists:
        return Refusal(Reason.INVALID, "data.until", "this action lists no grid: leave it out")
    day = parse_day(until)
    today = d.register.clock_of_days.local_day(d.judged(0))
    if not today <= day <= today + MOST_YEARS * 10_000:
        return Refusal(Reason.INVALID, "data.until", f"must be a day from today on, within {MOST_YEARS} years")
    return day


def refuse_hold(action: ActionRow, about: Case | None) -> Refusal | None:
    """Why an action that bars a case from ending is none about this case: nothing bars cases of its kind. Of which kind
    a case will be of which no report has come is not known."""
    if not action.holds or about is None or about.definition in ("", *HELD):
        return None
    detail = f"this action bars a case from ending, and of {about.definition} none is barred: propose another action"
    return Refusal(Reason.INVALID, "data.action", detail)


def refuse_listing(d: Decision, action: ActionRow, path: tuple[str, ...]) -> Refusal | None:
    """Why nothing can be listed at a path: it lies above the grids of which each has a home."""
    level = d.register.options.partition_level
    if not action.lists or len(path) >= level:
        return None
    detail = f"grids of level {level} and below are listed: propose it for each of them, in its own home"
    return Refusal(Reason.INVALID, "data.grid", detail)


def tell_proposed(
    d: Decision,
    data: Proposed | CalledFor,
    action: ActionRow,
    unit: Owner,
    path: tuple[str, ...],
    *,
    site: str = "",
    count: int = 1,
    until: int = 0,
) -> None:
    """An action is proposed about something that lies at a path, and a unit would have to answer."""
    d.tell(
        facts.Born(
            definition=supervision.SUPERVISION.name,
            policy=d.rules.hash,
            by=d.by,
            path=path,
            occurred=d.instant,
            judged=d.judged(0),
            about=data.about or "",
            category=action.action,
            reference=data.reference or "",
        )
    )
    d.tell(
        SupervisionProposed(
            unit=unit.grid,
            department=unit.department,
            site=site,
            count=count,
            answer=action.answer,
            public=action.public,
            token=d.token,
            until=until,
        )
    )


def place_of(d: Decision, data: Proposed, home: str, about: Case | None) -> str | Refusal:
    """The grid in which it lies, which must be of its home: the one that is named, that of the case of which it speaks,
    or that of the department, which lies in the home of the root."""
    register, at = d.register, d.judged(0)
    known = register.departments.get(data.department) if data.department else None
    if data.department and known is None:
        return effects.unknown_code("data.department", "department")
    if data.grid is None and about is not None and about.path:
        return register.standing(about.path[-1], at)
    if data.grid is None and data.about is None and known is not None:
        if home != register.root:
            root = f"{register.root}.<UUIDv7>"
            return Refusal(Reason.MISROUTED, "subject", f"what is about a department lies in the root: mint {root}")
        grid = register.standing(known.grid, at)
        return grid if register.home(grid) == home else home
    refused = birth.refuse_grid(register, at, data.grid or home, home, "data.grid" if data.grid else "subject")
    return refused or register.standing(data.grid or home, at)


def unit_of(d: Decision, data: Proposed, grid: str, about: Case | None) -> Owner:
    """Who has to answer: the department, or the grid, or who owns the case of which it speaks."""
    register, at = d.register, d.judged(0)
    if data.department:
        found, department = register.departments[data.department].grid, data.department
    elif data.grid is None and about is not None and about.owner.grid:
        found, department = about.owner.grid, about.owner.department
    else:
        found, department = grid, ""
    found = register.standing(found, at)
    return Owner(found, register.grids[found].level if found in register.grids else 0, department)


def name_office(d: Decision, data: Proposed | CalledFor, speaker: Speaker, state: str) -> Refusal | None:
    """The office that decides gets it first."""
    kept = kept_by(d.case)
    upwards = d.register.path(kept.unit) if kept.unit in d.register.grids else ()
    office = office_upwards(d, upwards if kept.department else upwards[:-1])
    if office is None:
        detail = "no post of a grid above the unit may decide this action: say in roles.csv who does"
        return Refusal(Reason.IMPOSSIBLE, "data.action", detail)
    d.tell(OfficeNamed(office=office.grid))
    effects.assign(d, office, "begun")
    return None


def office_upwards(d: Decision, path: tuple[str, ...]) -> Owner | None:
    """The nearest grid, from the end of a path upwards, in which a post may decide the action of a case."""
    register = d.register
    for grid in reversed(path):
        level = register.grids[grid].level
        if any(may_decide(register, role, level, d.case.category) for role in register.roles_at(grid, d.arrival)):
            return Owner(grid, level)
    return None


def may_decide(register: Policy, role: str, level: int, action: str) -> bool:
    """Whether a role may decide an action at a level."""
    rows = register.role_rows_at(level, DECIDED, role, supervision.SUPERVISION.name)
    return any(action in row.categories or not row.categories for row in rows)


def to_office(d: Decision, why: str) -> None:
    """The office that has it in hand goes on with it."""
    grid = d.register.standing(kept_by(d.case).office, d.arrival)
    effects.assign(d, Owner(grid, d.register.grids[grid].level), why)


# ---- what its action does -----------------------------------------------------------------------------------


def holds(d: Decision) -> bool:
    """Whether it bars a case from ending, once it is served."""
    return bool(d.case.about) and d.rules.actions[d.case.category].holds


def bans(d: Decision) -> bool:
    """Whether nothing is permitted where it lies while it is in force."""
    return d.rules.actions[d.case.category].bans


# ---- who says what besides the roles ----------------------------------------------------------------------


def is_of_the_office(d: Decision, speaker: Speaker) -> Refusal | None:
    """Said by the office that has it in hand, or from above it: never by the unit of itself."""
    office = d.register.standing(kept_by(d.case).office, d.arrival)
    if speaker.grid in (d.register.path(office) if office in d.register.grids else ()):
        return None
    return Refusal(Reason.FORBIDDEN, "actor", f"this is for the office that has it in hand, {office}, and those above")


def is_another(d: Decision, speaker: Speaker) -> Refusal | None:
    """Nobody decides what he has proposed himself."""
    if speaker.post != d.case.by:
        return None
    return Refusal(Reason.FORBIDDEN, "actor", "nobody decides what he has proposed: another post of the office does")


def may_revoke(d: Decision, speaker: Speaker) -> Refusal | None:
    """The office revokes it; what is cleared, only where it is contested."""
    return is_of_the_office(d, speaker) if d.case.closed is None else may_uphold(d, speaker)


def may_contest(d: Decision, speaker: Speaker) -> Refusal | None:
    """Who has proposed it asks once whether it stands."""
    if not kept_by(d.case).contested:
        return None
    return Refusal(Reason.IMPOSSIBLE, "type", "whether it stands is asked already, and not decided")


def may_uphold(d: Decision, speaker: Speaker) -> Refusal | None:
    """The office decides whether it stands, where that is asked."""
    if kept_by(d.case).contested:
        return is_of_the_office(d, speaker)
    return Refusal(Reason.IMPOSSIBLE, "type", "nobody asks whether it stands: no assessment has taken it back")


# ---- whether it stands, where its ground has gone -----------------------------------------------------------


def contest(d: Decision, data: Contested, speaker: Speaker) -> Refusal | None:
    """Its ground has gone: the office is asked. Nothing else changes by it."""
    office = d.register.standing(kept_by(d.case).office, d.arrival)
    d.tell(SupervisionContested(office=office, by=d.by, hash=data.hash))
    return None


def uphold(d: Decision, data: Upheld, speaker: Speaker) -> Refusal | None:
    """It stands."""
    d.tell(SupervisionUpheld(by=d.by, reason=data.reason, token=d.token))
    return None

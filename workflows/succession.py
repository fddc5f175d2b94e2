"""What becomes of a case whose grid has ended: the successor goes on with it (网格调整). Pure.

1. A grid ends with the last millisecond of its last local day, `valid_to` in the pack that is active. Until then it
   holds its cases; from then on its successor does, or the successor's own where that has ended as well. The case keeps
   its id, home and partition: the place is data that can change.
2. The unit of the successor takes the place of the one that ended: as owner, among the owners before, among those that
   assist. A grid that stands, and in which the problem lies no more, passes its work on as well. A department goes on
   with what it has, unless the grid for which it works has ended.
3. Nothing of the case begins anew. Its clocks run on under another holder, as they do where one is named: who held them
   until then is charged with the time that it consumed, and who must act from then on is told. An alert that a clock
   has told is told again to its new holder, and ends for the one before.
4. Cases that are over stay where they ended, and those that time bears end with the grid: their home sees to it.
"""

from collections.abc import Iterable

from msgspec import Struct

from schemas import facts
from workflows import holding, routing, sla
from workflows.case import Case, Clock
from workflows.decision import Decision
from workflows.definitions import DEFINITIONS
from workflows.policy.index import Policy

DUE = "grid"
"""The source of the cause of such a step."""
GO_ON = tuple(each.name for each in DEFINITIONS.values() if each.bears is None and each.listed != "never")
"""The kinds of case that go on in a successor."""


class Succession(Struct, frozen=True):
    """How many open cases go on in the place of a grid, and after which local day (YYYYMMDD) of it."""

    grid: str
    successor: str
    last_day: int
    cases: int


def foreseen(places: Iterable[tuple[str, int]], register: Policy, at: int) -> list[Succession]:
    """What becomes of open cases, of which so many lie in a place (`/root/.../leaf/`), once a register is active at an
    instant."""
    found = dict[tuple[str, str], int]()
    for path, cases in places:
        ends = [(register.ends[code], code) for code in reversed(path.split("/")) if code in register.ends]
        if ends:
            end, code = min(ends)
            key = code, register.standing(code, max(end, at) + 1)
            found[key] = found.get(key, 0) + cases
    grids = register.grids
    return [Succession(grid, now, grids[grid].valid_to, cases) for (grid, now), cases in sorted(found.items())]


def due_of(case: Case, register: Policy, since: int) -> int | None:
    """When the grid of a case ends, or that of its owner, so that a successor takes it: not before the register became
    active, `since`. None: no end of theirs is known."""
    if not register.ends or case.closed is not None or case.quarantined or not case.path:
        return None
    units = case.own.units if case.own is not None else ()
    codes = (*case.path, case.owner.grid, *(grid for grid, _ in units))
    ends = [register.ends[code] for code in codes if code in register.ends]
    if not ends or case.definition not in GO_ON:
        return None
    due = max(min(ends), since, case.reopened)  # one that was over when its grid ended is taken over when it is open
    return due if changes(case, register, due + 1)[1] else None  # else nothing would come of it, again and again


def changes(case: Case, register: Policy, at: int) -> tuple[tuple[str, ...], dict[str, str]]:
    """The path of a case at an instant, and the grids in the place of others, as its facts tell them."""
    leaf = register.standing(case.path[-1], at)
    over = any(register.ends.get(code, at) < at for code in case.path)
    path = register.path(leaf) if over and leaf in register.grids else case.path
    instead = {was: now for was, now in zip(case.path, path, strict=False) if was != now}
    if leaf != case.path[-1]:
        instead[case.path[-1]] = leaf
    owner, lane = case.owner, register.departments.get(case.owner.department)
    stands = register.ends.get(owner.grid, at) >= at
    if stands and lane is not None and lane.grid not in path:
        instead.pop(owner.grid, None)
    units = (grid for grid, _ in (case.own.units if case.own is not None else ()))
    for code in (owner.grid, *(before.grid for before in case.trail), *case.assisting, *case.touches, *units):
        if (now := register.standing(code, at)) != code:
            instead.setdefault(code, now)
    return path, instead


def take_over(d: Decision) -> None:
    """Tell that successors go on with a case, who holds it now, and of what that one is told."""
    case, register = d.case, d.register
    clocks = [(clock, holding.holder_of_clock(d, clock)) for clock in case.clocks if clock.alert_open]
    path, instead = changes(case, register, d.instant + 1)
    d.tell(facts.Regridded(path=path, grids=tuple(instead.items())))
    units = (code if code in register.departments else instead.get(code, code) for code in case.assisting)
    if (assisting := tuple(dict.fromkeys(units))) != case.assisting:
        d.tell(facts.Assisting(units=assisting))
    holding.hold(d, DEFINITIONS[case.definition].states[case.state].hands)
    for clock, before in clocks:
        if (unit := holding.holder_of_clock(d, clock)) != before:
            tell_again(d, clock, unit)


def tell_again(d: Decision, clock: Clock, unit: facts.Unit) -> None:
    """The alert of a clock goes to whose it is now: it ends for those whom it told, and its last rung tells anew. Who
    has seen that rung is not told again."""
    told = [rung for rung in d.case.alerted if (rung.clock, rung.level) == (clock.name, clock.level)]
    sla.end_alerts(d, clock)
    words = {row.rung: row.tell for row, _ in d.rules.ladder(clock.name, d.case.definition, d.case.category)}
    if not told:
        return
    rung = told[-1]
    posts = routing.recipients(words.get(rung.rung, ()), d.case, d.register, d.arrival, unit)
    posts = tuple(code for code in posts if not rung.quiet_for(code, d.register.posts[code].valid_from))
    sla.raise_alert(d, clock, rung.rung, f"0|{d.case.seq + 1}", posts, rung.since)

"""The overdue desk: which cases stand where, what falls due next, and what is late."""

from typing import Any

from msgspec import Struct

from engine.policies import Policies
from engine.store import incident_queries
from engine.store.database import Connection
from engine.store.incident_queries import After, Filters, HeldBy
from engine.views.cursors import foreign_cursor, read_cursor, write_cursor
from engine.views.names import CategoryNamed, HolderNamed, Named, Names, OwnerNamed, active_names, prefix_of
from engine.views.questions import BadQuestion, check_definition, check_limit, parse_instant
from workflows import case as cases
from workflows.case import AWAITED, Case
from workflows.definitions import DEFINITIONS, REFERENCE, held_by
from workflows.policy.index import Policy

MOST = 500
"""Cases of a page at most."""


class IncidentQuestion(Struct, frozen=True, kw_only=True):
    """Which cases, as texts; empty asks nothing. `sort` takes a `-` in front to go downwards. A `state` in which cases
    are over is found among the closed ones, whatever `open` says; what is `overdue` is open. Without a `definition`
    they are of all kinds that are listed without being asked for."""

    definition: str = ""
    overdue: bool = False
    open: bool | None = True
    grid: str = ""
    clock: str = ""
    owner: str = ""
    holder: str = ""  # code of a grid, a department or a post
    state: str = ""
    category: str = ""
    group: str = ""
    due_before: str = ""
    sort: str = "due_at"
    limit: int = 50
    cursor: str = ""


class ClockLine(Struct, frozen=True):
    """A clock in brief."""

    name: str
    level: int
    due_at: str | None
    overdue: bool
    paused: bool


class IncidentHead(Struct, frozen=True, kw_only=True):
    """The members that every view of a case has. `holder` is who must act, as its state says: None of a case that is
    over, or whose report is awaited. `due_at` is the next deadline of its running clocks, past or ahead; `next_at` the
    instant at which the engine will look at it by itself."""

    id: str
    definition: str
    state: str
    state_zh: str
    open: bool
    category: CategoryNamed | None
    owner: OwnerNamed | None
    holder: HolderNamed | None
    path: list[Named]
    cycle: int
    opened_at: str | None
    closed_at: str | None
    due_at: str | None
    overdue: bool
    overdue_ms: int
    provisional: bool
    next_at: str | None


class IncidentLine(IncidentHead, frozen=True, kw_only=True):
    """A case in brief."""

    clocks: list[ClockLine]


class IncidentPage(Struct, frozen=True):
    """A page of cases. `next` continues it; None: this was the last one."""

    incidents: list[IncidentLine]
    next: str | None
    as_of: str


def work_of(code: str, register: Policy) -> HeldBy | None:
    """The holder behind a code: of a post what is its own work, and that of what it stands for. Raises BadQuestion."""
    if not code:
        return None
    if code in register.departments:
        return HeldBy(department=code)
    if code in register.grids:
        return HeldBy(grid=code)
    post = register.posts.get(code)
    if post is not None:
        return HeldBy("" if post.department else post.grid, post.department, code)
    remedy = "send the code of a grid, a department or a post of the active pack"
    raise BadQuestion("holder", "nobody of this code can hold a case", remedy)


def incident_page(connection: Connection, policies: Policies, question: IncidentQuestion, now: int) -> IncidentPage:
    """The cases that are asked for. Raises Unanswerable."""
    names = active_names(connection, policies)
    column, descending = question.sort.removeprefix("-"), question.sort.startswith("-")
    if column not in incident_queries.SORTS:
        ways = ", ".join(f"{name}, -{name}" for name in incident_queries.SORTS)
        raise BadQuestion("sort", "cases are not sorted by this", f"choose one of: {ways}")
    check_limit(question.limit, MOST)
    after = None
    if question.cursor:
        order, key, id_ = read_cursor(question.cursor, tuple[str, int | str | None, str])
        # A cursor belongs to the order that it was handed out for, and its key must fit the column.
        if order != question.sort or not isinstance(key, str if column == "id" else int | None):
            raise foreign_cursor()
        after = After(key, id_)
    wanted = filters(names, question, now)
    rows = incident_queries.read_page(connection, wanted, column, descending, after, question.limit + 1)
    shown = rows[: question.limit]
    more = write_cursor(question.sort, shown[-1][0].key, shown[-1][0].id) if len(rows) > len(shown) else None
    return IncidentPage([incident_line(cases.decode(body), names, now) for _, body in shown], more, names.instant(now))


def filters(names: Names, question: IncidentQuestion, now: int) -> Filters:
    """The question as the store takes it. Raises BadQuestion."""
    states = tuple(name.strip() for name in question.state.split(",") if name.strip())
    known = [state for definition in DEFINITIONS.values() for state in definition.states.values()]
    if not {item.name for item in known}.issuperset(states):
        remedy = f"there are: {', '.join(sorted({item.name for item in known}))}"
        raise BadQuestion("state", "no case has such a state", remedy)
    check_definition(question.definition)
    listed = [definition.name for definition in DEFINITIONS.values() if definition.listed == "always"]
    open_, over = question.open, {item.name for item in known if item.terminal}
    if open_ and not over.isdisjoint(states):
        open_ = False if over.issuperset(states) else None
    return Filters(
        now=now,
        open=True if question.overdue else open_,
        overdue=question.overdue,
        definitions=(question.definition,) if question.definition else ("", *listed),  # empty: its report is awaited
        prefix=prefix_of(names, question.grid) if question.grid else "",
        owner=question.owner,
        holder=work_of(question.holder, names.register),
        states=states,
        category=question.category,
        group=question.group,
        clock=question.clock,
        due_before=parse_instant(question.due_before, "due_before") if question.due_before else None,
    )


def incident_line(case: Case, names: Names, now: int) -> IncidentLine:
    """A case in brief."""
    clocks = []
    for clock in case.clocks:
        paused = clock.since is None
        late = clock.due is not None and clock.due < now and not paused
        clocks.append(ClockLine(clock.name, clock.level, names.maybe(clock.due), late, paused))
    return IncidentLine(**head_members(case, names, now), clocks=clocks)


def head_members(case: Case, names: Names, now: int) -> dict[str, Any]:
    """The members of `IncidentHead`."""
    late = max(0, now - case.due_at) if case.due_at is not None and case.closed is None else 0
    born = case.state != AWAITED
    return dict(
        id=case.id,
        definition=case.definition,
        state=case.state,
        # An unborn case has the state of the reference definition.
        state_zh=DEFINITIONS[case.definition or REFERENCE].states[case.state].zh,
        open=case.closed is None,
        category=names.category(case.category, case.group),
        owner=names.owner(case.owner),
        holder=names.holder(held_by(case)),
        path=names.path(case.path),
        cycle=case.cycle,
        opened_at=names.instant(case.opened) if born else None,
        closed_at=names.maybe(case.closed),
        due_at=names.maybe(case.due_at),
        overdue=late > 0,
        overdue_ms=late,
        provisional=any(c.provisional for c in case.clocks),
        next_at=names.maybe(case.next_at),
    )

"""The overdue desk: which cases stand where, what falls due next, and what is late.

In: an open read transaction and a `Question`. Out: a `Page` of cases, with a cursor to the next one. All instants are
RFC 3339 with the offset of the pack's zone.
"""

from typing import Any

from msgspec import Struct

from engine.http.problems import bad_query
from engine.policies import Policies
from engine.store import incident_queries
from engine.store.incident_queries import After, Connection, Filters
from engine.views.cursors import no_cursor, read_cursor, write_cursor
from engine.views.names import CategoryNamed, Named, Names, OwnerNamed, active_names, parse_instant, prefix_of
from workflows import case as cases
from workflows.case import AWAITED, Case, Clock
from workflows.definitions import DEFINITIONS

MOST = 500
"""Cases of a page at most."""


class Question(Struct, frozen=True, kw_only=True):
    """What is asked of the desk, as texts; empty asks nothing. `sort` takes a `-` in front to go downwards. A `state`
    in which cases are over is found among the closed ones, whatever `open` says; what is `overdue` is open."""

    overdue: bool = False
    open: bool | None = True
    grid: str = ""
    clock: str = ""
    owner: str = ""
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


class Head(Struct, frozen=True, kw_only=True):
    """What is said of a case in any length. `due_at` is the next deadline of its running clocks, past or ahead;
    `next_at` the instant at which the engine will look at it by itself."""

    id: str
    definition: str
    state: str
    state_zh: str
    open: bool
    category: CategoryNamed | None
    owner: OwnerNamed | None
    path: list[Named]
    cycle: int
    opened_at: str | None
    closed_at: str | None
    due_at: str | None
    overdue: bool
    overdue_ms: int
    provisional: bool
    next_at: str | None


class Line(Head, frozen=True, kw_only=True):
    """A case in brief."""

    clocks: list[ClockLine]


class Page(Struct, frozen=True):
    """A page of the desk. `next` continues it; None: this was the last one."""

    incidents: list[Line]
    next: str | None
    as_of: str


def page(connection: Connection, policies: Policies, question: Question, now: int) -> Page:
    """The cases that the question asks for. Raises Problem where it cannot be answered."""
    words = active_names(connection, policies)
    sort, descending = _sort(question.sort)
    if not 1 <= question.limit <= MOST:
        raise bad_query("limit", f"{question.limit} is not from 1 to {MOST}", "ask for fewer and follow `next`")
    after = _read_cursor(question.cursor, question.sort)
    rows = incident_queries.read_page(
        connection, filters(words, question, now), sort, descending, after, question.limit + 1
    )
    shown = rows[: question.limit]
    more = write_cursor(question.sort, shown[-1][0].key, shown[-1][0].id) if len(rows) > len(shown) else None
    return Page([line(cases.decode(body), words, now) for _, body in shown], more, words.instant(now))


def filters(words: Names, question: Question, now: int) -> Filters:
    """The question as the store takes it."""
    states = _states(question.state)
    return Filters(
        now=now,
        open=True if question.overdue else _open(question.open, states),
        overdue=question.overdue,
        prefix=prefix_of(words, question.grid) if question.grid else "",
        owner=question.owner,
        states=states,
        category=question.category,
        group=question.group,
        clock=question.clock,
        due_before=parse_instant(question.due_before, "due_before") if question.due_before else None,
    )


def _open(asked: bool | None, states: tuple[str, ...]) -> bool | None:
    """Open cases, closed ones or all. Who names a state in which cases are over asks for closed ones as well."""
    over = {state.name for definition in DEFINITIONS.values() for state in definition.states.values() if state.terminal}
    if not asked or over.isdisjoint(states):
        return asked
    return False if over.issuperset(states) else None


def _states(text: str) -> tuple[str, ...]:
    """State names, separated by commas."""
    names = tuple(name.strip() for name in text.split(",") if name.strip())
    known = {state for definition in DEFINITIONS.values() for state in definition.states}
    for name in names:
        if name not in known:
            raise bad_query("state", f"{name!r} is no state", f"there are: {', '.join(sorted(known))}")
    return names


def _sort(text: str) -> tuple[str, bool]:
    """The column, and whether downwards."""
    column = text.removeprefix("-")
    if column not in incident_queries.SORTS:
        ways = ", ".join(f"{name}, -{name}" for name in incident_queries.SORTS)
        raise bad_query("sort", f"{text!r} sorts nothing", f"choose one of: {ways}")
    return column, text.startswith("-")


def _read_cursor(text: str, sort: str) -> After | None:
    """Where the page begins. A cursor belongs to the order in which it was handed out."""
    if not text:
        return None
    order, key, id_ = read_cursor(text, tuple[str, int | str | None, str])
    # What a stranger wrote into it must fit the column that it is compared with.
    if order != sort or not isinstance(key, str if sort.endswith("id") else int | None):
        raise no_cursor()
    return After(key, id_)


def line(case: Case, words: Names, now: int) -> Line:
    """A case in brief."""
    return Line(**head(case, words, now), clocks=[_clock(clock, words, now) for clock in case.clocks])


def head(case: Case, words: Names, now: int) -> dict[str, Any]:
    """The members of `Head`."""
    late = max(0, now - case.due_at) if case.due_at is not None and case.closed is None else 0
    born = case.state != AWAITED
    return dict(
        id=case.id,
        definition=case.definition,
        state=case.state,
        state_zh=state_zh(case),
        open=case.closed is None,
        category=words.category(case.category, case.group),
        owner=words.owner(case.owner),
        path=words.path(case.path),
        cycle=case.cycle,
        opened_at=words.instant(case.opened) if born else None,
        closed_at=words.maybe(case.closed),
        due_at=words.maybe(case.due_at),
        overdue=late > 0,
        overdue_ms=late,
        provisional=any(c.provisional for c in case.clocks),
        next_at=words.maybe(case.next_at),
    )


def state_zh(case: Case) -> str:
    """The Chinese name of a case's state. An unborn case has the state of the reference definition."""
    return DEFINITIONS[case.definition or "incident"].states[case.state].zh


def _clock(clock: Clock, words: Names, now: int) -> ClockLine:
    paused = clock.since is None
    late = clock.due is not None and clock.due < now and not paused
    return ClockLine(clock.name, clock.level, words.maybe(clock.due), late, paused)

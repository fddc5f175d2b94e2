"""The overdue desk: which cases stand where, what falls due next, and what is late."""

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any, NamedTuple

from msgspec import UNSET, Struct, UnsetType, structs

from engine.policies import Policies
from engine.store import archives, incident_queries
from engine.store.archives import StubRow
from engine.store.database import Connection
from engine.store.incident_queries import After, Filters, HeldBy
from engine.views import past
from engine.views.cursors import foreign_cursor, read_cursor, write_cursor
from engine.views.names import CategoryNamed, HolderNamed, Named, Names, OwnerNamed, active_names, prefix_of
from engine.views.past import Order
from engine.views.present import Present, Reading, reading_of
from engine.views.questions import BadQuestion, check_definition, check_limit, parse_instant
from engine.views.readers import check_list
from schemas.short_numbers import check_digit, short_number, written_number
from workflows import case as cases
from workflows.case import AWAITED, Case
from workflows.definitions import DEFINITIONS, REFERENCE, held_by
from workflows.policy.index import Policy
from workflows.reading import READS_EVERYTHING, Readable

MOST = 500
"""Cases of a page at most."""


class IncidentQuestion(Struct, frozen=True, kw_only=True):
    """Which cases, as texts; empty asks nothing. `sort` takes a `-` in front to go downwards. A `state` in which cases
    are over is found among the closed ones, whatever `open` says; what is `overdue` is open. Without a `definition`
    they are of all kinds that are listed without being asked for."""

    search: str = ""  # a short number, a reference or an id: all that it fits, open or closed, by id
    definition: str = ""
    overdue: bool = False
    open: bool | None = True
    grid: str = ""
    clock: str = ""
    owner: str = ""
    holder: str = ""  # code of a grid, a department or a post
    held_in: tuple[str, ...] = ()  # codes of grids, one of which holds it and no department of it
    reporter: str = ""  # code of a post
    campaign: str = ""  # code of one of which it counts as a part
    unit: str = ""  # the same: what its unit holds, or is responsible for as the owner
    state: str = ""
    category: str = ""
    group: str = ""
    due_before: str = ""
    at: str = ""  # as of this instant, as known then
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
    instant at which the engine will look at it by itself. `short_number` is said on telephones, and `reference` is the
    number of the sender's own record; `search` finds both."""

    id: str
    short_number: str
    reference: str
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


class ArchivedCase(Struct, frozen=True):
    """What is still known of a case that has left the tables; `archive` is the file in which it lies."""

    id: str
    short_number: str
    reference: str
    definition: str
    state: str
    state_zh: str
    ended_at: str
    archive: str


class IncidentPage(Struct, frozen=True):
    """A page of cases. `next` continues it; None: this was the last one. `archived`: what a search has found beside
    them that has left the tables, on its first page."""

    incidents: list[IncidentLine]
    next: str | None
    as_of: str
    reading: Reading = "now"  # what `as_of` is: of an instant that was asked for, by what had arrived by then
    remark: str = ""
    archived: list[ArchivedCase] | UnsetType = UNSET


def campaign_asked(code: str, register: Policy) -> str:
    """The code of a campaign of the active pack, or empty. Raises BadQuestion."""
    if not code or code in register.campaigns:
        return code
    raise BadQuestion("campaign", "the active pack has no campaign of this code", "send a code of campaigns.csv")


def work_of(code: str, register: Policy, field: str = "holder") -> HeldBy | None:
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
    raise BadQuestion(field, "nobody of this code can hold a case", remedy)


def reporter_of(code: str, register: Policy) -> str:
    """The code of a post that may have reported something. Raises BadQuestion."""
    if code and code not in register.posts:
        raise BadQuestion("reporter", "the active pack has no post of this code", "send the code of one of posts.csv")
    return code


def incident_page(
    connection: Connection,
    policies: Policies,
    question: IncidentQuestion,
    now: int,
    readable: Readable = READS_EVERYTHING,
) -> IncidentPage:
    """The cases that are asked for, of those that are read. Raises Unanswerable."""
    names = active_names(connection, policies)
    check_definition(question.definition)
    check_list(readable, names, question.definition, question.grid)
    here = reading_of(connection, names, now, question.at)
    column, descending = question.sort.removeprefix("-"), question.sort.startswith("-")
    if column not in incident_queries.SORTS:
        ways = ", ".join(f"{name}, -{name}" for name in incident_queries.SORTS)
        raise BadQuestion("sort", "cases are not sorted by this", f"choose one of: {ways}")
    check_limit(question.limit, MOST)
    if question.search:
        return found_page(connection, names, question, here, readable)
    after = None
    if question.cursor:
        order, key, id_ = read_cursor(question.cursor, tuple[str, int | str | None, str])
        # A cursor belongs to the order that it was handed out for, and its key must fit the column.
        if order != question.sort or not isinstance(key, str if column == "id" else int | None):
            raise foreign_cursor()
        after = After(key, id_)
    wanted, size = filters(names, question, here.at, readable), question.limit + 1
    if question.at:
        found = past.past_page(connection, wanted, Order(column, descending, after), size)
    else:
        found = list(islice(each_read(connection, wanted, Order(column, descending, after), size), size))
    shown = found[: question.limit]
    more = write_cursor(question.sort, shown[-1][0].key, shown[-1][0].id) if len(found) > len(shown) else None
    return page_of([case for _, case in shown], more, names, here)


def each_read(connection: Connection, wanted: Filters, order: Order, size: int) -> Iterator[tuple[After, Case]]:
    """The cases that are asked for and read, in order, each with the key after which the next page begins."""
    after, full = order.after, True
    while full:
        rows = incident_queries.read_page(connection, wanted, order.column, order.descending, after, size)
        full = len(rows) == size
        for after, body in rows:
            case = cases.decode(body)
            if wanted.readable.reads_case(case):
                yield after, case


class KindPage(NamedTuple):
    """The cases of a page of one kind, and where the next page begins."""

    cases: list[Case]
    next: str | None


def kind_page(connection: Connection, wanted: Filters, *, ended: bool, cursor: str, size: int) -> KindPage:
    """Cases that are open, by their deadline, or those that have ended, the latest first. Raises BadQuestion."""
    after = None
    if cursor:
        key, id_ = read_cursor(cursor, tuple[int | None, str])
        if not isinstance(key, int | None):
            raise foreign_cursor()
        after = After(key, id_)
    order = Order("opened_at", True, after) if ended else Order("due_at", False, after)
    found = list(islice(each_read(connection, structs.replace(wanted, open=not ended), order, size + 1), size + 1))
    last = found[size - 1][0] if len(found) > size else None
    return KindPage([case for _, case in found[:size]], write_cursor(last.key, last.id) if last is not None else None)


def page_of(shown: Iterable[Case], more: str | None, names: Names, here: Present) -> IncidentPage:
    """A page of these cases. `more`: where the next one begins."""
    lines = [incident_line(case, names, here.at) for case in shown]
    return IncidentPage(lines, more, names.instant(here.at), here.kind, here.remark)


def found_page(
    connection: Connection,
    names: Names,
    question: IncidentQuestion,
    here: Present,
    readable: Readable = READS_EVERYTHING,
) -> IncidentPage:
    """All cases that a search fits and the filters let pass, of those that are read. Raises BadQuestion."""
    after = read_cursor(question.cursor, tuple[str])[0] if question.cursor else ""
    kinds = tuple(definition.name for definition in DEFINITIONS.values() if definition.listed != "never")
    wanted = filters(names, structs.replace(question, open=None), here.at, readable)
    if not question.definition:
        wanted = structs.replace(wanted, definitions=("", *kinds))
    asked = wanted
    if question.at:  # what they were then is asked of them once they are folded
        wanted = Filters(now=here.at, open=None, definitions=wanted.definitions)
    text = question.search.strip()
    number = written_number(text)
    sought = {"reference": text, "id": text} | ({"short_number": number} if number else {})
    rows = incident_queries.read_found(connection, wanted, sought, after, question.limit + 1)
    stubs = [] if after else archives.search(connection, sought, MOST)
    left = [stub for stub in stubs if readable.of(stub.definition).within(stub.path)]
    if not rows and not left and number and check_digit(number) != "0":
        reason = "nothing has this reference, and it is no short number: a digit was misheard, or two were swapped"
        raise BadQuestion("search", reason, "ask for the nine digits again")
    shown = rows[: question.limit]
    more = write_cursor(shown[-1][0]) if len(rows) > len(shown) else None
    if question.at:
        then = past.cases_at(connection, (id_ for id_, _ in shown), here.at)
        return page_of((case for case in then if past.fits(case, asked)), more, names, here)
    decoded = (cases.decode(body) for _, body in shown)
    page = page_of((case for case in decoded if readable.reads_case(case)), more, names, here)
    return structs.replace(page, archived=[archived_case(stub, names) for stub in left]) if left else page


def archived_case(stub: StubRow, names: Names) -> ArchivedCase:
    """What stays of a case that has left."""
    state = DEFINITIONS[stub.definition].states.get(stub.state)
    return ArchivedCase(
        id=stub.id,
        short_number=stub.short_number,
        reference=stub.reference,
        definition=stub.definition,
        state=stub.state,
        state_zh=state.zh if state is not None else stub.state,
        ended_at=names.instant(stub.ended_at),
        archive=stub.archive,
    )


def filters(names: Names, question: IncidentQuestion, now: int, readable: Readable = READS_EVERYTHING) -> Filters:
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
        held_in=question.held_in,
        reporter=reporter_of(question.reporter, names.register),
        campaign=campaign_asked(question.campaign, names.register),
        unit=work_of(question.unit, names.register, "unit"),
        states=states,
        category=question.category,
        group=question.group,
        clock=question.clock,
        due_before=parse_instant(question.due_before, "due_before") if question.due_before else None,
        readable=readable,
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
        short_number=short_number(case.id),
        reference=case.reference,
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

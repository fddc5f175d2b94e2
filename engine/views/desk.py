"""The desk (督办台): what is late now and with whom, what falls due today, and what a post may say of each case.

Counts are the standing ones of who must act (`engine.slice.open_counts`): a deadline is missed once the log says so.
They are of what a principal reads as figures. An *office* is a grid of the level that the desk looks at with all below
it, a grid above that level alone, or a department.
"""

from collections.abc import Iterable
from itertools import islice
from typing import NamedTuple

from msgspec import Struct, structs

from engine.policies import Policies
from engine.slice.open_counts import LATE_DOWN_TO
from engine.store import open_counts
from engine.store.database import Connection
from engine.store.incident_queries import After, Filters
from engine.store.open_counts import HeldCell
from engine.store.steps import count_told
from engine.views.cursors import foreign_cursor, read_cursor, write_cursor
from engine.views.incident_list import IncidentLine, IncidentQuestion, each_read, filters, incident_line
from engine.views.names import Names, active_names
from engine.views.past import Order
from engine.views.present import Present, Reading, present
from engine.views.questions import BadQuestion
from engine.views.readers import check_list
from workflows.case import Case
from workflows.decision import Decision
from workflows.definitions import DEFINITIONS
from workflows.policy.index import Policy
from workflows.reading import Readable
from workflows.saying import pulls_of, silence_of

PAGE = 30
"""Cases of a page."""
MOST = 200
"""What no standing count has is counted case by case, up to so many."""


class DeskQuestion(Struct, frozen=True, kw_only=True):
    """What is looked at: all, one office, one kind of case; only what is late, or else only what falls due before the
    local day is over. `post`: who looks, and may speak."""

    office: str = ""
    definition: str = ""
    overdue: bool = False
    today: bool = False
    post: str = ""
    cursor: str = ""


class DeskOffice(Struct, frozen=True):
    """Who has how many open cases in hand, and how many of them are late."""

    code: str
    name: str
    is_department: bool
    open: int
    overdue: int


class DeskLine(Struct, frozen=True):
    """A case of the list. `sayable`: which of the acts that were asked about the post may do now; `clock`: the running
    one that is due first."""

    case: IncidentLine
    clock: str
    sayable: frozenset[str]


class Count(NamedTuple):
    """How many; `more`: there are more than were counted."""

    n: int
    more: bool = False


class Desk(Struct, frozen=True, kw_only=True):
    """The answer. `open` and `overdue` count what the list shows, of the office that was chosen or of all; `offices`
    those of it that units have in hand whose figures are read. `longest`: the case that is late for longest. `today`:
    how many fall due before the day is over."""

    offices: list[DeskOffice]
    open: Count
    overdue: Count
    longest: IncidentLine | None
    today: Count
    lines: list[DeskLine]
    next: str | None
    told: int  # how many steps the log had told
    as_of: str
    reading: Reading


def desk(
    connection: Connection,
    policies: Policies,
    question: DeskQuestion,
    now: int,
    readable: Readable,
    acts: Iterable[str] = (),
) -> Desk:
    """What is late and with whom, of what is read. `acts`: of which triggers it is asked whether the post may say them.
    Raises Unanswerable."""
    names, here = active_names(connection, policies), present(connection, now)
    register, kinds = names.register, listed_kinds(question.definition)
    check_list(readable, names, question.definition, "")
    cells = [cell for cell in open_counts.all_held(connection, kinds) if is_read(cell, readable)]
    level = desk_level(cells, register)
    offices = offices_of(cells, level, names)
    chosen = next((office for office in offices if office.code == question.office), None)
    asked = asked_cases(question, level, register)
    wanted = filters(names, asked, here.at, readable)
    most, most_late = sum(office.open for office in offices), sum(office.overdue for office in offices)
    late = structs.replace(wanted, overdue=True, few=few(question, chosen, most_late))
    wanted = structs.replace(wanted, few=few(question, chosen, PAGE * most // max(1, chosen.open if chosen else 1)))
    first = next((case for _, case in each_read(connection, late, Order("due_at", False, None), 1)), None)
    opened, overdue = counts(connection, chosen, kinds, readable, wanted, late)
    day_end = register.clock_of_days.day_start(day_after(register, here.at))
    due_today = structs.replace(wanted, due_before=day_end)
    from_now = After(here.at, "")
    if question.overdue or not question.today:
        found, more = page(connection, late if question.overdue else wanted, question.cursor)
    else:
        found, more = page(connection, due_today, question.cursor, from_now)
    return Desk(
        offices=offices,
        open=opened,
        overdue=overdue,
        longest=incident_line(first, names, here.at) if first is not None else None,
        today=counted(connection, due_today, from_now),
        lines=[desk_line(connection, policies, case, question.post, tuple(acts), names, here) for case in found],
        next=more,
        told=count_told(connection),
        as_of=names.instant(here.at),
        reading=here.kind,
    )


def counts(
    connection: Connection,
    chosen: DeskOffice | None,
    kinds: list[str],
    readable: Readable,
    wanted: Filters,
    late: Filters,
) -> tuple[Count, Count]:
    """How many of the listed cases are open, and how many late: by the standing counts where these can tell, as of an
    office or of whole subtrees; what else is read is counted case by case."""
    if chosen is not None:
        return Count(chosen.open), Count(chosen.overdue)
    sights = [readable.of(kind) for kind in kinds]
    if wanted.holder is not None or wanted.held_in:  # an office with nothing in hand that is read as figures
        return counted(connection, wanted), counted(connection, late)
    if any(any(sight.own) or any(len(codes_of(each)) > LATE_DOWN_TO for each in sight.prefixes) for sight in sights):
        return counted(connection, wanted), counted(connection, late)
    cells = [
        cell for cell in open_counts.all_places(connection, kinds) if readable.of(cell.definition).within(cell.path)
    ]
    return Count(sum(cell.open for cell in cells)), Count(sum(cell.late for cell in cells))


def few(question: DeskQuestion, chosen: DeskOffice | None, passed: int) -> bool:
    """Whether the cases of an office are fewer than those that are passed over where one goes by deadlines."""
    return bool(question.office) and (chosen is None or chosen.open < passed)


def counted(connection: Connection, wanted: Filters, after: After | None = None) -> Count:
    """How many cases there are, counted one by one."""
    found = sum(1 for _ in islice(each_read(connection, wanted, Order("due_at", False, after), MOST + 1), MOST + 1))
    return Count(min(found, MOST), found > MOST)


def listed_kinds(definition: str) -> list[str]:
    """The kind of case that is asked for, or all that are listed unless asked for."""
    return [
        kind.name
        for kind in DEFINITIONS.values()
        if definition in ("", kind.name) and kind.listed != "never" and (definition or kind.listed == "always")
    ]


def is_read(cell: HeldCell, readable: Readable) -> bool:
    """Whether a count is read, as figures are."""
    return readable.of(cell.definition).reads_figures(cell.path, cell.department, cell.post)


def day_after(register: Policy, at: int) -> int:
    """The local day after that of an instant."""
    days = register.clock_of_days
    return days.local_day(days.day_start(days.local_day(at)) + 36 * 3_600_000)


# ---- offices ------------------------------------------------------------------------------------------------


def desk_level(cells: Iterable[HeldCell], register: Policy) -> int:
    """The level of the grids that are told apart: where reports go by default, or below the one grid that has all."""
    roots = {codes[: register.options.default_level] for cell in cells if (codes := codes_of(cell.path))}
    alone = len(roots) == 1 and len(next(iter(roots))) == register.options.default_level
    return min(register.options.default_level + alone, register.leaf_level)


def codes_of(path: str) -> tuple[str, ...]:
    """The codes of a path, from the root down."""
    return tuple(code for code in path.split("/") if code)


def offices_of(cells: Iterable[HeldCell], level: int, names: Names) -> list[DeskOffice]:
    """Who has what in hand; who has most that is late comes first."""
    found = dict[tuple[str, bool], tuple[int, int]]()
    for cell in cells:
        codes = codes_of(cell.path)
        code = cell.department or (codes[level - 1] if len(codes) >= level else codes[-1] if codes else "")
        opened, late = found.get(key := (code, bool(cell.department)), (0, 0))
        found[key] = opened + cell.open, late + cell.late
    offices = [
        DeskOffice(code, (names.department(code) if department else names.grid(code)).name, department, *counts)
        for (code, department), counts in found.items()
    ]
    return sorted(offices, key=lambda office: (-office.overdue, -office.open, office.code))


def asked_cases(question: DeskQuestion, level: int, register: Policy) -> IncidentQuestion:
    """The question of the list that a desk shows. Raises BadQuestion for an office that there is not."""
    office, holder, grids = question.office, "", tuple[str, ...]()
    if office in register.departments:
        holder = office
    elif office in register.grids:
        deep = len(register.path(office)) >= level
        grids = tuple(code for code in register.grids if office in register.path(code)) if deep else (office,)
    elif office:
        raise BadQuestion("office", "nobody of this code can hold a case", "choose one of the list of offices")
    return IncidentQuestion(definition=question.definition, holder=holder, held_in=grids)


# ---- the list -----------------------------------------------------------------------------------------------


def page(
    connection: Connection, wanted: Filters, cursor: str, after: After | None = None
) -> tuple[list[Case], str | None]:
    """Cases by their next deadline, from one on, and where the next page begins."""
    if cursor:
        key, id_ = read_cursor(cursor, tuple[int | None, str])
        if not isinstance(key, int | None):
            raise foreign_cursor()
        after = After(key, id_)
    found = list(islice(each_read(connection, wanted, Order("due_at", False, after), PAGE + 1), PAGE + 1))
    last = found[PAGE - 1][0] if len(found) > PAGE else None
    return [case for _, case in found[:PAGE]], write_cursor(last.key, last.id) if last is not None else None


def desk_line(
    connection: Connection,
    policies: Policies,
    case: Case,
    post: str,
    acts: tuple[str, ...],
    names: Names,
    here: Present,
) -> DeskLine:
    """A case of the list, with what the post may say of it."""
    running = [clock for clock in case.clocks if clock.since is not None and clock.due is not None]
    clock = min(running, key=lambda each: (each.due, each.name), default=None)
    speaker, definition = names.register.posts.get(post), DEFINITIONS.get(case.definition)
    may = set[str]()
    if speaker is not None and definition is not None and not silence_of(speaker, names.register, here.at):
        rules = policies.get(connection, case.policy) if case.policy else names.register
        d = Decision(case, rules, names.register, here.at, here.at, post)
        known = {definition.event_of(trigger) for trigger in definition.triggers(case.state)}
        may = {act for act in acts if act in known and pulls_of(d, speaker, act)}
    return DeskLine(incident_line(case, names, here.at), clock.name if clock else "", frozenset(may))

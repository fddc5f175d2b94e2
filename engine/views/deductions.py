"""Money by supervision (扣款): what was charged to whom in a year, and what was taken back, line by line (M121).

A line stands from the serving on, at its local day. What is rescinded afterwards is not erased: a counter-line takes
the amount back, at the day of the rescinding, perhaps in another year. Every line opens into its supervision. Amounts
are in fen, 1/100 yuan, and fit into 64 bits.
"""

from collections import defaultdict
from collections.abc import Iterator
from typing import Literal

from msgspec import Struct

from engine.policies import Policies
from engine.store import incident_queries
from engine.store.database import Connection
from engine.store.incident_queries import After, Filters
from engine.views.names import Named, Names, active_names, prefix_of
from engine.views.present import reading_of
from engine.views.questions import BadQuestion, parse_whole
from schemas.kinds.supervision import Supervision
from workflows import case as cases
from workflows.case import Case
from workflows.definitions.supervision import RESCINDED, SUPERVISION
from workflows.reading import READS_EVERYTHING, Readable

PAGE = 500
"""Supervisions that are read at once."""
Entry = Literal["charge", "counter"]


class DeductionQuestion(Struct, frozen=True, kw_only=True):
    """Which year, by its local days, and of which grid with all below it; empty: the present year, and all."""

    year: str = ""
    grid: str = ""


class MoneyLine(Struct, frozen=True, kw_only=True):
    """A charge, or what takes it back (counter, below zero): to whom, by which supervision, at which local day."""

    unit: Named
    kind: str  # of who is charged: site, department or grid
    entry: Entry
    day: int
    amount_fen: int
    supervision: str
    action: str
    document: str
    count: int
    place: list[Named]


class MoneyOfUnit(Struct, frozen=True, kw_only=True):
    """What a unit was charged in the year, what was taken back, and the balance."""

    unit: Named
    kind: str
    charged_fen: int
    countered_fen: int
    balance_fen: int
    supervisions: list[str]


class DeductionPage(Struct, frozen=True, kw_only=True):
    """The sheet of a year: its lines by day, and the sums of each unit."""

    lines: list[MoneyLine]
    units: list[MoneyOfUnit]
    year: int
    grid: str
    as_of: str


def deduction_page(
    connection: Connection,
    policies: Policies,
    question: DeductionQuestion,
    now: int,
    readable: Readable = READS_EVERYTHING,
) -> DeductionPage:
    """The sheet of a year. Raises Unanswerable."""
    names = active_names(connection, policies)
    here = reading_of(connection, names, now, "")
    days = names.register.clock_of_days
    year = parse_whole(question.year) if question.year else days.local_day(here.at) // 10_000
    if year is None or not 1900 <= year < 3000:
        raise BadQuestion("year", "year is none of 1900 to 2999")
    grid = question.grid
    found = [
        line
        for case in supervisions(connection, prefix_of(names, grid) if grid else "", now, readable)
        for line in lines_of(case, names)
        if line.day // 10_000 == year
    ]
    lines = sorted(found, key=lambda line: (line.day, line.supervision, line.entry))
    return DeductionPage(lines=lines, units=sums_of(lines), year=year, grid=grid, as_of=names.instant(here.at))


def supervisions(connection: Connection, prefix: str, now: int, readable: Readable) -> Iterator[Case]:
    """The supervisions of a subtree that are read, in the order of their ids."""
    filters = Filters(now=now, open=None, prefix=prefix, definitions=(SUPERVISION.name,), readable=readable)
    after: After | None = None
    while rows := incident_queries.read_page(connection, filters, "id", False, after, PAGE):
        yield from (case for case in (cases.decode(body) for _, body in rows) if readable.reads_case(case))
        after = rows[-1][0]


def lines_of(case: Case, names: Names) -> Iterator[MoneyLine]:
    """The charge of a supervision that was served, and what took it back."""
    own = case.own
    if not isinstance(own, Supervision) or not own.amount_fen or own.served is None:
        return
    kind, unit = charged_unit(own, names)
    entries: list[tuple[Entry, int, int]] = [("charge", own.served, own.amount_fen)]
    if case.state == RESCINDED and case.closed is not None:
        entries.append(("counter", case.closed, -own.amount_fen))
    for entry, at, amount in entries:
        yield MoneyLine(
            unit=unit,
            kind=kind,
            entry=entry,
            day=names.register.clock_of_days.local_day(at),
            amount_fen=amount,
            supervision=case.id,
            action=case.category,
            document=own.document,
            count=own.count,
            place=names.path(case.path),
        )


def charged_unit(own: Supervision, names: Names) -> tuple[str, Named]:
    """Who is charged: the responsible unit (责任单位) by its code, where the action charges that and one is named; else
    the department or the grid that has to answer."""
    if own.charged == "unit" and own.site:
        return "site", Named(own.site, own.site)
    if own.charged == "unit" and own.department:
        return "department", names.department(own.department)
    return "grid", names.grid(own.unit)


def sums_of(lines: list[MoneyLine]) -> list[MoneyOfUnit]:
    """The sums of each unit, in the order of kinds and codes."""
    of_unit = defaultdict[tuple[str, str], list[MoneyLine]](list)
    for line in lines:
        of_unit[line.kind, line.unit.code].append(line)
    return [
        MoneyOfUnit(
            unit=own[0].unit,
            kind=kind,
            charged_fen=sum(line.amount_fen for line in own if line.entry == "charge"),
            countered_fen=sum(line.amount_fen for line in own if line.entry == "counter"),
            balance_fen=sum(line.amount_fen for line in own),
            supervisions=list(dict.fromkeys(line.supervision for line in own)),
        )
        for (kind, _), own in sorted(of_unit.items())
    ]

"""One unit over some months (街办、部门): how much came in, what was on time, came back or was passed on, its place
among its peers, its duties and exemptions. Whether a bad month is bad luck or a habit is left to who reads it: it is
said in how many months the unit stood in the rear half.

A place among peers is told where the figures of the peers are read, too.
"""

from datetime import date

from msgspec import UNSET, Struct

from engine.policies import Policies
from engine.store.database import Connection
from engine.views.figure_question import PerformanceQuestion, dashed, parse_day
from engine.views.figure_rows import FigureRow
from engine.views.names import Named, active_names
from engine.views.performance import PerformancePage, performance_page
from engine.views.present import Reading, present
from engine.views.questions import BadQuestion
from engine.views.readers import reads_grid
from schemas.facts import PASSED_ON
from workflows.definitions import REFERENCE
from workflows.definitions.duty import DUTY
from workflows.figures import REPORTED, SHARES, Rate, period_bounds
from workflows.policy.index import Policy
from workflows.reading import Readable

MONTHS = 6
"""So many months are told, the present one included."""
ON_TIME = next(name for name, (above, _) in SHARES.items() if above == ("on_time",))
"""The rate by which months are ranked."""
COVERAGE = DUTY.ratios[0].name
MOST_CATEGORIES = 12
EXEMPTED = "exempted"


class UnitQuestion(Struct, frozen=True, kw_only=True):
    """Which unit, of which kind of case, up to which month (a local day in it; empty: the present one)."""

    code: str
    definition: str = ""
    day: str = ""


class MonthRecord(Struct, frozen=True, kw_only=True):
    """A month. `place` among `of` peers by the on-time rate, None where there is none. `passed_on` counts clocks that
    ended because the work went elsewhere, returns among them; `coverage`: of duties, None where none was owed."""

    since: str
    until: str
    over: bool
    counts: dict[str, int]
    on_time: Rate
    rework: Rate
    median_ms: int | None
    passed_on: int
    exempted: int
    place: int | None
    of: int
    coverage: Rate | None

    @property
    def behind(self) -> bool:
        """Whether it stands in the rear half of those that have a place."""
        return self.place is not None and self.place * 2 > self.of + 1


class UnitRecord(Struct, frozen=True, kw_only=True):
    """The answer: months from the first to the present one, and what was reported in all of them, by category."""

    unit: Named
    is_department: bool
    parent: Named | None
    level: int
    definition: str
    months: list[MonthRecord]
    categories: list[FigureRow]
    open: int
    overdue: int
    as_of: str
    reading: Reading

    @property
    def ranked(self) -> int:
        """In how many months it has a place."""
        return sum(month.place is not None for month in self.months)

    @property
    def behind(self) -> int:
        """In how many of these it stands in the rear half."""
        return sum(month.behind for month in self.months)


def unit_record(
    connection: Connection, policies: Policies, question: UnitQuestion, now: int, readable: Readable
) -> UnitRecord:
    """What became of the work of a unit, month by month. Raises Unanswerable."""
    names, here = active_names(connection, policies), present(connection, now)
    register = names.register
    department = register.departments.get(question.code)
    grid = register.grids.get(department.grid if department is not None else question.code)
    if grid is None:
        raise BadQuestion("unit", "the active pack has neither a grid nor a department of this code")
    today = register.clock_of_days.local_day(here.at)
    last = period_bounds(parse_day("day", question.day) if question.day else today, "month")
    spans = [last]
    while len(spans) < MONTHS:
        before = spans[0][0]
        spans.insert(0, period_bounds(day_before(before), "month"))
    definition = question.definition or register.pack.options.main_definition or REFERENCE
    who = {"grid": grid.code} | ({"department": question.code} if department is not None else {})

    def asked(kind: str, days: tuple[int, int], **more: str) -> PerformancePage:
        """Figures of the unit in some days, or of others that are named instead."""
        which = more if more.get("grid") else who | more
        wanted = PerformanceQuestion(definition=kind, since=dashed(days[0]), until=dashed(days[1]), **which)
        return performance_page(connection, policies, wanted, now, readable)

    peers = peers_of(register, question.code, readable, definition)
    months = []
    for span in spans:
        rows = asked(definition, span, **peers, rank=ON_TIME).rows if peers else []
        own = [row for row in rows if row.key == question.code] or asked(definition, span).rows
        owed = asked(DUTY.name, span).rows[0] if department is None else None
        months.append(month_of(own[0], owed, span, over=span[1] < today))
    sorted_by, whole = asked(definition, (spans[0][0], last[1]), by="category"), asked(definition, last)
    held = next(iter(whole.held), None)
    parent = grid.code if department is not None else grid.parent
    return UnitRecord(
        unit=names.department(question.code) if department is not None else names.grid(question.code),
        is_department=department is not None,
        parent=names.grid(parent) if parent else None,
        level=grid.level,
        definition=definition,
        months=months,
        categories=most_overdue(sorted_by.rows),
        open=held.open if held is not None else 0,
        overdue=held.overdue if held is not None else 0,
        as_of=names.instant(here.at),
        reading=here.kind,
    )


def day_before(day: int) -> int:
    """The local day before one (YYYYMMDD)."""
    before = date.fromordinal(date(day // 10_000, day // 100 % 100, day % 100).toordinal() - 1)
    return int(f"{before:%Y%m%d}")


def peers_of(register: Policy, code: str, readable: Readable, definition: str) -> dict[str, str]:
    """The question about the peers of a unit: the grids of its level under the same one, or the departments of it.
    Empty where it has none, or where their figures are not read."""
    department = register.departments.get(code)
    above = department.grid if department is not None else register.grids[code].parent
    if not above:
        return {}
    if not reads_grid(readable, register, definition, above):
        return {}
    return {"grid": above, "by": "department" if department is not None else "grid"}


def month_of(row: FigureRow, owed: FigureRow | None, span: tuple[int, int], *, over: bool) -> MonthRecord:
    """A month of a unit, of its row among those of its peers, and that of its duties."""
    rank = row.rank if row.rank is not UNSET else None
    coverage = owed.rates.get(COVERAGE) if owed is not None else None
    return MonthRecord(
        since=dashed(span[0]),
        until=dashed(span[1]),
        over=over,
        counts=row.counts,
        on_time=row.on_time_rate,
        rework=row.rework_rate,
        median_ms=row.median_ms,
        passed_on=counted(row, PASSED_ON),
        exempted=counted(row, EXEMPTED),
        place=rank.place if rank is not None else None,
        of=rank.of if rank is not None else 0,
        coverage=coverage if coverage is not None and coverage.denominator else None,
    )


def counted(row: FigureRow, measure: str) -> int:
    """A measure of clocks, of all of them together."""
    return sum(value for name, value in row.counts.items() if name.partition(":")[0] == measure and ":" in name)


def most_overdue(rows: list[FigureRow]) -> list[FigureRow]:
    """The categories of which most is overdue, then most was reported."""
    known = sorted(rows, key=lambda row: (-row.counts.get("overdue", 0), -row.counts.get(REPORTED, 0), row.key))
    return known[:MOST_CATEGORIES]

"""The ledger (台账) of a grid and a period: a row for each case that was reported in it, with who held it and how its
clocks came out. For files: it is read page by page, and every row is of one instant, however long the reading takes.

Each row is folded from the steps that had arrived by that instant. Cases that have left the tables are not in it, which
`remark` says.
"""

from datetime import datetime
from typing import NamedTuple

from msgspec import Struct

from engine.policies import Policies
from engine.store import known_then, ledger
from engine.store.database import Connection
from engine.views import past
from engine.views.figure_question import PerformanceQuestion, ask, dashed
from engine.views.holders import CaseHistory, ClockOutcome, HeldSpan, held_spans, history_of, outcomes_of, worded
from engine.views.names import HolderNamed, Names, OwnerNamed
from engine.views.present import Reading, what_left
from schemas.kinds.duty import Duty
from schemas.line_words import RESULTS
from schemas.short_numbers import short_number, spoken
from schemas.value_words import SOURCES
from workflows.case import TOTAL, Case
from workflows.definitions import CLOCKS, DEFINITIONS
from workflows.figures import BEGINNING, EVER, publication_day
from workflows.reading import READS_EVERYTHING, Readable

PAGE = 500
"""Cases that are read at once."""
Cell = str | int | datetime | None
"""A cell: a text, a number, or an instant on the wall clock of the pack."""


class Column(NamedTuple):
    """A column: its name, its heads in Chinese and English, and its width in characters."""

    name: str
    zh: str
    en: str
    width: int


COLUMNS = (
    Column("number", "编号", "number", 13),
    Column("reference", "来文号", "reference", 16),
    Column("definition", "类型", "kind", 14),
    Column("state", "状态", "state", 12),
    Column("reported_at", "上报时间", "reported at", 17),
    Column("source", "来源", "source", 16),
    Column("reporter", "上报岗位", "reporter's post", 24),
    Column("place", "地点", "place", 40),
    Column("grid", "网格编码", "grid", 12),
    Column("category", "类别", "category", 22),
    Column("owner", "责任单位", "owner", 28),
    Column("holders", "经手", "holders", 60),
    Column("clocks", "时限情况", "clocks", 60),
    Column("due", "全程时限", "due", 17),
    Column("ended_at", "了结时间", "ended at", 17),
    Column("result", "结果", "result", 16),
    Column("late_by", "超期", "late by", 40),
    Column("late_minutes", "全程超期分钟", "late by, minutes", 12),
    Column("duty", "履职", "duty", 36),
    Column("id", "标识", "id", 44),
)


class LedgerQuestion(Struct, frozen=True, kw_only=True):
    """Which cases, as texts: as for figures. Without any day it is the present month of the log."""

    definition: str = ""
    grid: str = ""
    period: str = ""
    day: str = ""
    since: str = ""
    until: str = ""
    at: str = ""


class Ledger(NamedTuple):
    """A question as it is read: the kind of case, the subtree, the first instant and the last one in which a case was
    reported, and the instant of which every row is."""

    names: Names
    definition: str
    path: str
    begin: int
    end: int
    since: str
    until: str
    at: int
    reading: Reading
    remark: str
    readable: Readable = READS_EVERYTHING


class After(NamedTuple):
    """The case after which a page begins."""

    opened: int
    id: str


def open_ledger(
    connection: Connection,
    policies: Policies,
    question: LedgerQuestion,
    now: int,
    readable: Readable = READS_EVERYTHING,
) -> Ledger:
    """Read a question. Raises Unanswerable, also for a subtree that is not read."""
    asked = ask(
        connection,
        policies,
        PerformanceQuestion(
            definition=question.definition,
            grid=question.grid,
            period=question.period,
            day=question.day,
            since=question.since,
            until=question.until,
            at=question.at,
        ),
        now,
        readable,
    )
    selection, days = asked.selection, asked.names.register.clock_of_days
    first, last = selection.since, selection.until
    return Ledger(
        asked.names,
        selection.definition,
        selection.path,
        0 if first == BEGINNING else days.day_start(first),
        asked.here.at if last == EVER else min(asked.here.at, days.day_start(publication_day(last, 1)) - 1),
        dashed(first),
        dashed(last),
        asked.here.at,
        asked.here.kind,
        what_left(connection, asked.names, asked.here.at) or asked.here.remark,
        readable,
    )


def read_rows(connection: Connection, asked: Ledger, after: After | None) -> tuple[list[list[Cell]], After | None]:
    """The next rows, and after which case those behind them begin; None: there are no more."""
    found = ledger.read_reported(connection, asked.definition, asked.path, asked.begin, asked.end, after, PAGE)
    ids = [id_ for _, id_ in found]
    steps: dict[str, list[tuple[int, str]]] = {id_: [] for id_ in ids}
    for id_, seq, body in known_then.read_steps(connection, ids, asked.at):
        steps[id_].append((seq, body))
    cases = filter(asked.readable.reads_case, past.cases_at(connection, ids, asked.at))
    rows = [row_of(case, history_of(steps[case.id], case, asked.at), asked) for case in cases]
    return rows, After(*found[-1]) if len(found) == PAGE else None


# ---- a row --------------------------------------------------------------------------------------------------


def row_of(case: Case, history: CaseHistory, asked: Ledger) -> list[Cell]:
    """The cells of a case, in the order of COLUMNS."""
    names, now = asked.names, asked.at
    kind = DEFINITIONS[case.definition]
    outcomes = list(outcomes_of(history.clocks, names, now))
    # Of a case that has been taken up again the end before is none.
    ends = () if case.closed is None else reversed(outcomes)
    total = next((outcome for outcome in ends if outcome.name == TOTAL), None)
    running = case.clock(TOTAL)
    due = running.due if running is not None else None
    category, poster = names.category(case.category, case.group), case.by or case.post
    return [
        spoken(short_number(case.id)),
        case.reference,
        f"{kind.zh} {kind.name}",
        f"{kind.states[case.state].zh} {case.state}",
        wall(names, case.opened),
        said(SOURCES, case.source) if case.source else "",
        f"{names.post(poster).name} {poster}" if poster else "",
        " / ".join(grid.name for grid in names.path(case.path)),
        case.path[-1] if case.path else "",
        f"{category.name_zh} {category.code}" if category else "",
        unit_text(names.owner(case.owner)),
        "; ".join(held_text(span, names) for span in held_spans(history, names, now)),
        "; ".join(clock_text(outcome, names) for outcome in outcomes if outcome.name != TOTAL),
        wall(names, due) if total is None else local(total.due_at),
        wall(names, case.closed),
        result_text(total, late_now(case, now)),
        "; ".join(late_text(outcome, names) for outcome in outcomes if outcome.lapsed and outcome.late_by_ms),
        None if total is None or total.late_by_ms is None else total.late_by_ms // 60_000,
        duty_text(case, names),
        case.id,
    ]


def late_now(case: Case, now: int) -> bool:
    """Whether the deadline of the whole case has passed and it is not over."""
    total = case.clock(TOTAL)
    return total is not None and total.due is not None and total.due < now and case.closed is None


def result_text(total: ClockOutcome | None, late: bool) -> str:
    """What became of the whole case."""
    if total is None:
        return "在办已超期 open, overdue" if late else "在办 open"
    return said(RESULTS, total.result)


def held_text(span: HeldSpan, names: Names) -> str:
    """Who held it, from when to when, and what the clock of the whole case consumed meanwhile."""
    spent = [worded(clock.kind, clock.consumed_ms, names)[0] for clock in span.clocks if clock.name == TOTAL]
    until = "今" if span.held_until is None else minute(span.held_until)
    return f"{unit_text(span.unit)} {minute(span.held_from)}至{until}" + (f"（{spent[0]}）" if spent else "")


def clock_text(outcome: ClockOutcome, names: Names) -> str:
    """How a clock came out, and what it consumed in its own time."""
    return (
        f"{CLOCKS[outcome.name][0]}{RESULTS[outcome.result][0]} {worded(outcome.kind, outcome.consumed_ms, names)[0]}"
    )


def late_text(outcome: ClockOutcome, names: Names) -> str:
    """By how much a clock was late, and who is charged with it."""
    by = f" 责任 {unit_text(outcome.charged)}" if outcome.charged is not None else ""
    return f"{CLOCKS[outcome.name][0]}超{worded(outcome.kind, outcome.late_by_ms or 0, names)[0]}{by}"


def duty_text(case: Case, names: Names) -> str:
    """What is owed, for which period, and how many records it has of how many."""
    own = case.own
    if not isinstance(own, Duty):
        return ""
    known = names.register.duties.get(own.duty)
    return f"{known.name if known else own.duty} {dashed(own.first)}: {len(own.records)}/{own.quota}"


def unit_text(unit: OwnerNamed | HolderNamed | None) -> str:
    """A unit by the names of its grid, its department and its post."""
    if unit is None:
        return ""
    beside = (unit.department, unit.post if isinstance(unit, HolderNamed) else None)
    return "·".join([unit.grid.name, *(named.name for named in beside if named is not None)])


def said(words: dict[str, tuple[str, str]], name: str) -> str:
    """A name in Chinese and English."""
    return " ".join(words.get(name, (name,)))


def minute(instant: str) -> str:
    """`03-02 09:00` of an RFC 3339 instant."""
    return instant[5:16].replace("T", " ")


def local(instant: str | None) -> datetime | None:
    """An RFC 3339 instant as the wall clock showed it, in whole seconds: spreadsheets know no zones."""
    return None if instant is None else datetime.fromisoformat(instant).replace(tzinfo=None, microsecond=0)


def wall(names: Names, ms: int | None) -> datetime | None:
    """The same of milliseconds UTC, on the clock of the pack's zone."""
    return local(names.maybe(ms))

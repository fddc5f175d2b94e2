"""What the engine told of the city's cases, read from its facts alone.

In: an engine that has replayed the record. Out: per case number its outcome in the judge's words, its deadline, how
long it took, and who was told of its deadline. Nothing here looks at a column of the city's record.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache
from typing import Literal, NamedTuple

from engine.replay import Replayed
from engine.runtime import Engine
from engine.views import figure_question, performance
from engine.views.figure_rows import FigureRow
from engine.views.names import Names
from engine.views.past import standing_at
from engine.views.performance import OpenCases
from gridpatrol.importers import boston311
from gridpatrol.importers.boston311 import category_code
from lab.runs import pack_of, replayed, steps
from schemas import facts
from tests.city.judge import Case, Figures, utc_ms

Deadlines = Literal["city", "pack"]


@dataclass
class CaseFacts:
    """One case by the engine's facts. Instants are ms UTC."""

    started: int = 0
    due: int | None = None
    result: str = ""  # of the total clock, once it has stopped
    elapsed: int | None = None
    breaches: list[int] = field(default_factory=list)  # instants of the deadline's rung
    contradicted: int = 0
    alerts: list[int] = field(default_factory=list)  # instants of alerts for the deadline
    ended: list[str] = field(default_factory=list)

    @property
    def outcome(self) -> str:
        """on_time, overdue_closed, overdue_open, not_due or without_deadline."""
        if self.due is None:
            return "without_deadline"
        if self.result:
            return {"on_time": "on_time", "overdue": "overdue_closed"}[self.result]
        return "overdue_open" if self.breaches else "not_due"


EXPORT = utc_ms(datetime(2016, 1, 12, 23))
"""When the city wrote its record."""


class Run(NamedTuple):
    """A replay that is over."""

    engine: Engine
    result: Replayed
    cases: dict[str, CaseFacts]
    facts: dict[str, list[bytes]]


@cache
def record(deadlines: Deadlines = "city") -> tuple[bytes, ...]:
    """The events of the whole record."""
    return tuple(boston311.events(boston311.SHIPPED, tree(), lambda remark: None, deadlines=deadlines))


@cache
def tree() -> dict[str, str]:
    """The grid tree of the city's pack."""
    return {grid.code: grid.parent for grid in pack_of("boston311").grids}


def replay_city(engine: Engine, lines: Iterable[bytes], until: int | None) -> Replayed:
    """Replay the city's events under its pack."""
    return replayed(engine, lines, "boston311", until)


def cases_of(engine: Engine) -> dict[str, CaseFacts]:
    """Every case that was reported, by the city's number."""
    cases: dict[str, CaseFacts] = {}
    numbers: dict[str, str] = {}
    for row in sorted(steps(engine), key=lambda row: (row.case_id, row.seq)):
        for fact in facts.decode_facts(row.body):
            if isinstance(fact, facts.Reported):
                assert fact.reference not in cases
                numbers[row.case_id] = fact.reference
                cases[fact.reference] = CaseFacts(fact.judged)
            elif row.case_id in numbers:
                _note(cases[numbers[row.case_id]], fact)
    return cases


def _note(case: CaseFacts, fact: facts.AnyFact) -> None:
    """Take in what concerns the clock of the whole case."""
    if getattr(fact, "clock", "") != "total":
        return
    match fact:
        case facts.ClockStarted():
            assert case.due is None
            case.due = fact.due
        case facts.ClockRung(rung="due"):
            assert fact.breach and fact.due == case.due
            case.breaches.append(fact.due_at)
        case facts.ClockContradicted():
            case.contradicted += 1
        case facts.ClockStopped():
            assert not case.result and fact.due == case.due
            case.result, case.elapsed = fact.result, fact.elapsed
        case facts.AlertRaised(kind="due"):
            case.alerts.append(fact.due_at)
        case facts.AlertEnded():
            case.ended.append(fact.how)


def kinds(engine: Engine) -> Counter[str]:
    """The log by kind of record."""
    with engine.database.read() as connection:
        rows = connection.exec_driver_sql("SELECT kind, count(*) FROM inbox GROUP BY kind")
        return Counter({kind: number for kind, number in rows})


# ---- as people read them ------------------------------------------------------------------------------------

KEYS: dict[str, Callable[[Case], str]] = {
    "grid": lambda case: case.district,
    "department": lambda case: case.department,
    "category": lambda case: category_code(case.type),
}
"""The dimensions of the figures, and the judge's key of each."""


def figures_by(engine: Engine, by: str, upto: int | None = None) -> dict[str, Figures]:
    """The figures as the engine reads them, as of now or as known at an instant, in the judge's words."""
    policy = engine.active()
    assert policy is not None
    level = 2 if by == "grid" else None
    names, selection = Names(policy), figure_question.select(policy, level=level, by=by, upto=upto)  # type: ignore[arg-type]
    with engine.database.read() as connection:
        rows = performance.figure_rows(connection, names, selection)
        cells = None if upto is None else standing_at(connection, selection.definition, upto)
        opened = {row.key: row for row in performance.open_cases(connection, names, selection, cells)}
    return {row.key: _figures(row, opened.get(row.key)) for row in rows}


def _figures(row: FigureRow, stands: OpenCases | None) -> Figures:
    """One line: what the fold counted, and how the open cases stand."""
    counts = row.counts
    overdue_open = stands.overdue if stands else 0
    return Figures(
        reported=counts.get("reported", 0),
        closed=row.durations_n,
        on_time=counts.get("on_time", 0),
        overdue=counts.get("overdue_closed", 0) + overdue_open,
        overdue_open=overdue_open,
        not_due=stands.not_due if stands else 0,
        without_deadline=counts.get("without_deadline", 0) + (stands.without_deadline if stands else 0),
        median_ms=row.median_ms,
        p90_ms=row.p90_ms,
    )

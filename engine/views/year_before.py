"""Figures beside those of the same days of the year before (同比): both readings, and by how much they differ."""

from calendar import monthrange
from datetime import date, timedelta
from typing import NamedTuple

from msgspec import Struct

from engine.views.figure_question import Asked, PerformanceQuestion, dashed
from engine.views.figure_rows import FigureRow
from engine.views.questions import BadQuestion
from workflows.figures import BEGINNING, EVER, Rate, to_date, to_day

WORD = "year_before"
"""What `beside` asks for."""
EARLIEST_YEAR = 1900


class RowChange(Struct, frozen=True, kw_only=True):
    """By how much a row has changed: counts by their number, rates by basis points where both sides have one."""

    key: str
    name: str
    counts: dict[str, int]
    rates: dict[str, int]


class YearBefore(Struct, frozen=True, kw_only=True):
    """The same days of the year before. While a period runs, its days up to today are meant, here as there: `until`
    says up to which. A week is compared with that of 52 weeks before, so that its days are the same."""

    since: str
    until: str
    until_now: str  # the last day of this year that is compared
    rows: list[FigureRow]
    changes: list[RowChange]


class Days(NamedTuple):
    """First and last local day of the year before, and the last one of this year that is compared."""

    since: int
    until: int
    until_now: int


def days_year_before(asked: Asked, question: PerformanceQuestion) -> Days:
    """The same days of the year before. Raises BadQuestion where there are none."""
    since, until = asked.selection.since, asked.selection.until
    if question.beside != WORD:
        raise BadQuestion("beside", f"beside is nothing but {WORD}")
    if since == BEGINNING or until == EVER or to_date(since).year <= EARLIEST_YEAR:
        raise BadQuestion("beside", "these days have no year before", "ask for a period, or for from and to")
    today = asked.names.register.clock_of_days.local_day(asked.here.at)
    last = today if since <= today < until else until
    if question.period == "week":
        weeks = timedelta(weeks=52)
        return Days(to_day(to_date(since) - weeks), to_day(to_date(last) - weeks), last)
    return Days(to_day(back(to_date(since), end=False)), to_day(back(to_date(last), end=last == until)), last)


def back(when: date, *, end: bool) -> date:
    """The same day of the year before. The `end` of a month stays one: it is the last day of both Februaries."""
    year, days = when.year - 1, monthrange(when.year - 1, when.month)[1]
    last = end and when.day == monthrange(when.year, when.month)[1]
    return date(year, when.month, days if last else min(when.day, days))


def beside(rows: list[FigureRow], then: list[FigureRow], days: Days) -> YearBefore:
    """The rows of the year before, with by how much those of now differ. A row that one side has alone changed from or
    to nothing."""
    now, before = {row.key: row for row in rows}, {row.key: row for row in then}
    changes = [change_of(now.get(key), before.get(key)) for key in sorted({**now, **before})]
    since, until, now_until = map(dashed, days)
    return YearBefore(since=since, until=until, until_now=now_until, rows=then, changes=changes)


def change_of(now: FigureRow | None, then: FigureRow | None) -> RowChange:
    """By how much a row has changed."""
    known = now or then
    assert known is not None
    counts, before = ({} if row is None else row.counts for row in (now, then))
    rates, were = rates_of(now), rates_of(then)
    both = [
        (name, left, right)
        for name in rates
        if (left := rates[name].basis_points) is not None and name in were
        if (right := were[name].basis_points) is not None
    ]
    return RowChange(
        key=known.key,
        name=known.name,
        counts={name: counts.get(name, 0) - before.get(name, 0) for name in sorted({**counts, **before})},
        rates={name: left - right for name, left, right in both},
    )


def rates_of(row: FigureRow | None) -> dict[str, Rate]:
    """All rates of a row, by name."""
    if row is None:
        return {}
    shared = {"close_rate": row.close_rate, "on_time_rate": row.on_time_rate, "rework_rate": row.rework_rate}
    return {**shared, **row.rates}

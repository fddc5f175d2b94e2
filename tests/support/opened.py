"""Figures held against the cases that they open into: sums add up, percentiles lie where they say.

Enters: a database that is folded, a question about its figures. Leaves: how many numbers were opened, or the first one
that its cases do not give.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from msgspec import structs

from engine.policies import Policies
from engine.store import figure_cases, recount
from engine.store.database import Connection
from engine.store.sql import execute
from engine.views.figure_cases import DURATIONS, MOST, FigureCasesPage, FigureCasesQuestion, figure_cases_page
from engine.views.figure_question import PerformanceQuestion
from engine.views.figure_rows import FigureRow
from engine.views.performance import HeldCases, OpenCases, performance_page
from workflows.figures import SHARES


def opened(connection: Connection, policies: Policies, question: FigureCasesQuestion, now: int) -> FigureCasesPage:
    """All pages of the cases behind a figure as one."""
    page = whole = figure_cases_page(connection, policies, question, now)
    while page.next is not None:
        page = figure_cases_page(connection, policies, structs.replace(question, cursor=page.next), now)
        assert (page.value, page.of, page.lines) == (whole.value, whole.of, whole.lines)
        whole = structs.replace(whole, cases=[*whole.cases, *page.cases], next=page.next)
    return whole


def numbers_of(row: FigureRow, definition: str, clock: str) -> Iterator[tuple[str, int | None, int | None]]:
    """Every number of a row: its name, its value, and what stands below the line of a rate, or how many it ranks."""
    for name in DURATIONS:
        if clock or not name.startswith("consumed"):
            yield name, getattr(row, name), row.durations_n
    for name in ("on_time_rate",) if clock else SHARES:
        yield name, getattr(row, name).numerator, getattr(row, name).denominator
    for name, rate in row.rates.items():
        yield name, rate.numerator, rate.denominator
    for name, value in row.counts.items():
        yield name, value, None


def check_opened(
    connection: Connection,
    policies: Policies,
    question: PerformanceQuestion,
    now: int,
    limit: int = MOST,
    standing_too: bool = True,
) -> int:
    """Open every number of an answer, those of open cases among them. How many they were."""
    answer = performance_page(connection, policies, question, now)
    asked = {name: getattr(question, name) for name in PerformanceQuestion.__struct_fields__}
    numbers = 0
    for row in answer.rows:
        for name, value, of in numbers_of(row, answer.definition, answer.clock):
            found = opened(
                connection, policies, FigureCasesQuestion(**asked, measure=name, unit=row.key, limit=limit), now
            )
            check_lines(found, (question, row.key, name), value, of)
            numbers += 1
    standing: list[tuple[str, OpenCases | HeldCases]] = [("standing", row) for row in answer.standing]
    standing += [("held", row) for row in answer.held]
    if not standing_too:
        return numbers
    for where, stood in standing:
        for name in stood.__struct_fields__[2:]:
            measure = f"{where}.{name}"
            asked_of = FigureCasesQuestion(**asked, measure=measure, unit=stood.key, limit=limit)
            found = opened(connection, policies, asked_of, now)
            check_lines(found, (question, stood.key, measure), getattr(stood, name), None)
            numbers += 1
    return numbers


def check_lines(found: FigureCasesPage, which: object, value: int | None, of: int | None) -> None:
    """The lines of a figure are what it says."""
    values = [line.value for line in found.cases]
    assert (found.value, len(values)) == (value, found.lines), which
    if found.measure.name not in DURATIONS:
        assert sum(values) == (value or 0) - found.archived, which
        if of is not None:
            assert found.of == of == sum(line.of or 0 for line in found.cases) + found.archived_of, which
        keys = [(line.day, line.id) for line in found.cases]
        assert found.clock or (keys == sorted(keys) and len(keys) == len({*keys})), which
        return
    assert values == sorted(values) and [line.place for line in found.cases] == [*range(1, len(values) + 1)], which
    assert len(values) == of == found.of, which
    ranked = [line for line in found.cases if line.ranked]
    percent = 50 if "median" in found.measure.name else 90
    assert [line.value for line in ranked] == ([] if value is None else [value]), which
    assert [line.place for line in ranked] == ([] if value is None else [-(-len(values) * percent // 100)]), which


def keep_cells(connection: Connection, patch: pytest.MonkeyPatch) -> None:
    """Count all facts once and keep what they count, so that thousands of numbers can be opened. Left out of the
    reading is only how it is narrowed."""
    read, values = recount.facts_read(connection, "performance", recount.COUNTED, recount.COUNTED_BY)
    execute(
        connection, f"CREATE TEMPORARY TABLE kept_cells AS WITH {read}, {recount.CELLS} SELECT * FROM cells", *values
    )
    execute(connection, "CREATE INDEX kept_by ON kept_cells (definition, measure, day)")
    patch.setattr(figure_cases, "facts_read", lambda *_: ("unread AS (SELECT 1)", []))
    patch.setattr(figure_cases, "CELLS", "cells AS (SELECT * FROM kept_cells)")

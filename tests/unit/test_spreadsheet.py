"""Listings as spreadsheets open them: the same columns on every page, codes and names apart, and no formula."""

from __future__ import annotations

import csv
import io
from typing import Any

import pytest

from engine.views.alerts import AlertLine
from engine.views.duties import DutyLine
from engine.views.figure_rows import FigureRow
from engine.views.incident_list import ClockLine, IncidentLine, IncidentPage
from engine.views.names import CategoryNamed, Named, OwnerNamed
from engine.views.notices import NoticeLine
from engine.views.spreadsheet import MARK, columns_of, dict_lines, page_lines, struct_lines
from workflows.figures import Rate


def line(**changes: Any) -> IncidentLine:
    known: dict[str, Any] = dict(
        id="WY01.1", short_number="012345678", reference="17", definition="incident", state="handling", state_zh="处置",
        open=True, category=CategoryNamed("D3-08", "烧荒", "Burning", "smoke"), cycle=0, holder=None,
        owner=OwnerNamed(Named("WY01", "一号"), 3), path=[Named("XA", "西安市"), Named("WY", "未央区")],
        opened_at="2026-03-02T09:00:00+08:00",
        closed_at=None, due_at=None, overdue=False, overdue_ms=0, provisional=False, next_at=None,
        clocks=[ClockLine("handle", 3, None, False, False)],
    )  # fmt: skip
    return IncidentLine(**known | changes)


def read(text: str) -> list[dict[str, str]]:
    assert text.startswith(MARK) and "\r\n" in text
    return list(csv.DictReader(io.StringIO(text.removeprefix(MARK), newline="")))


def test_codes_and_names_have_columns_of_their_own_and_what_is_missing_is_empty() -> None:
    [found] = read(page_lines(IncidentPage([line()], None, "2026-03-02T09:00:00+08:00")))
    assert found["owner_grid_code"] == "WY01" and found["owner_grid_name"] == "一号" and found["owner_level"] == "3"
    assert (
        found["category_name_zh"] == "烧荒"
        and found["path_code"] == "XA; WY"
        and found["path_name"] == "西安市; 未央区"
    )
    assert found["holder_grid_code"] == found["owner_department_code"] == found["due_at"] == ""
    assert found["open"] == "true" and found["short_number"] == "012 345 678"
    assert found["clocks"].startswith('[{"name":"handle"')


def test_pages_have_the_same_columns_and_only_the_first_has_a_header() -> None:
    full, bare = line(), line(category=None, owner=None, path=[], clocks=[])
    first = page_lines(IncidentPage([bare], "next", ""))
    assert columns_of(IncidentLine, [full]) == columns_of(IncidentLine, [bare]) == columns_of(IncidentLine, [])
    found = read(first + page_lines(IncidentPage([full], None, ""), header=False))
    assert [row["category_code"] for row in found] == ["", "D3-08"]


@pytest.mark.parametrize("text", ["=1+1", "+7", "-2", "@SUM(A1)", "\tx", "\r=x", "＝1", "＋1", "－1", "＠a"])
def test_a_text_that_a_spreadsheet_would_compute_is_a_text(text: str) -> None:
    [found] = read(page_lines(IncidentPage([line(reference=text)], None, "")))
    assert found["reference"] == f"'{text}"
    assert read(dict_lines([{"a": text, "b": -2}])) == [{"a": f"'{text}", "b": "-2"}]


def test_a_cell_with_separators_quotes_and_line_feeds_comes_back_whole() -> None:
    text = 'a,b;"c"\n\r\nd'
    [found] = read(page_lines(IncidentPage([line(reference=text)], None, "")))
    assert found["reference"] == text


def row(**changes: Any) -> FigureRow:
    known: dict[str, Any] = dict(
        key="WY01", name="一号", counts={"reported": 3}, close_rate=Rate(1, 2, 5000), on_time_rate=Rate(0, 0, None),
        rework_rate=Rate(0, 1, 0), n=2, thin=True, durations_n=1, median_ms=60_000, p90_ms=None,
    )  # fmt: skip
    return FigureRow(**known | changes)


def test_figures_have_a_column_for_each_count_and_for_both_sides_of_a_rate() -> None:
    first, second = read(struct_lines(FigureRow, [row(), row(counts={"closed": 2, "breach:handle": 1})]))
    assert (first["counts_reported"], first["counts_closed"], second["counts_breach:handle"]) == ("3", "", "1")
    assert (first["close_rate_numerator"], first["close_rate_denominator"]) == ("1", "2")
    assert first["on_time_rate_basis_points"] == "" and "published_n" not in first


def test_as_published_stands_beside_as_it_is_where_it_was_asked_for() -> None:
    [found] = read(struct_lines(FigureRow, [row(published=row(n=1), restated=True)]))
    assert (found["n"], found["published_n"], found["restated"]) == ("2", "1", "true")


@pytest.mark.parametrize("kind", [AlertLine, NoticeLine, DutyLine, IncidentLine, FigureRow])
def test_every_listing_has_columns_with_names_of_their_own(kind: Any) -> None:
    names = [column.name for column in columns_of(kind, [])]
    assert len(set(names)) == len(names) > 8

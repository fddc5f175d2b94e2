"""The ledger as a file: read back by another library than the one that wrote it."""

from __future__ import annotations

import csv
import io
from datetime import datetime
from pathlib import Path
from typing import Any

import openpyxl
import pytest

from engine.views.ledger import COLUMNS, Cell, Ledger
from engine.views.ledger_files import LedgerBook, csv_head, csv_lines
from engine.views.names import Names
from tests.support.builders import at, weiyang

NAMES = [column.name for column in COLUMNS]
WHEN = datetime(2026, 3, 2, 9, 0, 41)


def row(**given: Cell) -> list[Cell]:
    return [given.get(name) for name in NAMES]


def asked(definition: str) -> Ledger:
    begin, end = at("03-01 00:00"), at("03-31 23:59")
    return Ledger(Names(weiyang()), definition, "/XA/WY/", begin, end, "2026-03-01", "2026-03-31", end, "now", "")


ROWS = [
    row(
        number="012 345 678",
        reference="=1+1",
        reported_at=WHEN,
        late_minutes=110,
        place="西安市 / 未央区",
        holders="x" * 40_000,
    ),
    row(number="012 345 679", reference="＠SUM(A1)", category="+82", due=None, late_minutes=0),
]


def cells(sheet: Any, name: str) -> list[Any]:
    return [line[NAMES.index(name)].value for line in sheet.iter_rows(min_row=3)]


@pytest.fixture(scope="module")
def book(tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = tmp_path_factory.mktemp("book")
    with open(folder / "a.xlsx", "wb") as out:
        written = LedgerBook(out, str(folder))
        written.add(asked("incident"), ROWS[:1])
        written.add(asked("incident"), ROWS[1:])
        written.add(asked("duty"), [row(number="1", duty="巡查 2026-03-01: 1/1")])
        written.close(asked("incident"))
    assert [path.name for path in Path(folder).iterdir()] == ["a.xlsx"], "what the rows were kept in is left behind"
    return openpyxl.load_workbook(folder / "a.xlsx")


@pytest.mark.mechanism("M48")
def test_each_kind_has_a_sheet_with_heads_in_two_languages_that_stay_in_sight(book: Any) -> None:
    assert book.sheetnames == ["网格事件", "履职", "说明 about"]
    sheet = book["网格事件"]
    assert [cell.value for cell in sheet[1]] == [column.zh for column in COLUMNS]
    assert [cell.value for cell in sheet[2]] == [column.en for column in COLUMNS]
    assert sheet.freeze_panes == "B3" and sheet.auto_filter.ref == "A2:T4"
    assert abs(sheet.column_dimensions["H"].width - 40) < 1


def test_instants_are_real_ones_and_numbers_are_numbers(book: Any) -> None:
    sheet = book["网格事件"]
    assert cells(sheet, "reported_at") == [WHEN, None] and sheet["E3"].number_format == "yyyy-mm-dd hh:mm"
    assert cells(sheet, "late_minutes") == [110, 0]
    assert cells(sheet, "number") == ["012 345 678", "012 345 679"]
    assert cells(book["履职"], "duty") == ["巡查 2026-03-01: 1/1"]


def test_no_text_is_a_formula_and_none_is_longer_than_a_cell_may_be(book: Any) -> None:
    sheet = book["网格事件"]
    assert cells(sheet, "reference") == ["'=1+1", "'＠SUM(A1)"] and cells(sheet, "category") == [None, "'+82"]
    assert {cell.data_type for line in sheet.iter_rows(min_row=3) for cell in line} <= {"s", "n", "d"}
    assert len(cells(sheet, "holders")[0]) == 32_000


def test_the_last_sheet_says_what_the_ledger_is(book: Any) -> None:
    about = {line[0].value: line[1].value for line in book["说明 about"].iter_rows()}
    assert about["网格 grid"] == "XA / WY" and about["上报日期 reported"] == "2026-03-01 – 2026-03-31"
    assert about["时区 zone"] == "Asia/Shanghai"


def test_as_csv_it_has_one_line_of_heads_and_the_same_texts() -> None:
    text = csv_head() + csv_lines(ROWS)
    assert text.startswith("\ufeff编号 number,")
    first, second = csv.DictReader(io.StringIO(text.removeprefix("\ufeff"), newline=""))
    assert (first["来文号 reference"], first["上报时间 reported at"]) == ("'=1+1", "2026-03-02 09:00:41")
    assert (second["来文号 reference"], second["全程时限 due"], second["全程超期分钟 late by, minutes"]) == (
        "'＠SUM(A1)",
        "",
        "0",
    )

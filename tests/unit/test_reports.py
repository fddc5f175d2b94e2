"""A document as files: what a cell says in each of them, and what no text may do to any of them.

Enters: documents with awkward texts. Leaves: files, read back by other libraries than those that wrote them.
"""

from __future__ import annotations

import csv
import io
import re
import sys
from typing import Any

import docx
import openpyxl
import pytest

from engine.reports.charts import drawing_of
from engine.reports.document import Chart, Column, Document, Points, Section, Share, Span, Table, printable, text_of
from engine.reports.files import FORMATS, format_of, formats_here
from engine.reports.html import policy
from engine.reports.workbook import sheet_name
from engine.views.questions import BadQuestion
from tests.support.builders import at
from tests.support.reports import html_tables
from workflows.figures import rate

CELLS = (
    "=1+1",
    "<b>&\x0b\ud800",
    7,
    Share(9706),
    Share(5000, thin=True),
    Share(None),
    Span(90 * 60_000),
    Span(None),
    Points(-5),
    None,
)
TEXTS = ["=1+1", "<b>&", "7", "97.06%", "50.00%＊", "—", "1 小时 30 分", "—", "-0.05", "—"]
COLUMNS = tuple(Column(f"列{number}", number > 1) for number in range(len(CELLS)))
TABLE = Table("各网格/[表]", COLUMNS, (CELLS,), "注：=2", Chart("率", "bars", (3,)))
TWIN = Table("各网格 表", COLUMNS, ())
DOCUMENT = Document(
    stem="bulletin-WY-20260301",
    title="=通报<script>",
    subtitle="2026 年 3 月",
    lead="上报 7 件。",
    facts=(("截至", "2026-04-01"),),
    sections=(Section("一、总体", ("第一段\x00",), (TABLE, TWIN)),),
    at=at("2026-04-01 00:00"),
)


def written(name: str) -> bytes:
    return format_of(name).write(DOCUMENT)


def test_a_cell_says_what_the_view_says() -> None:
    assert [printable(text_of(cell)) for cell in CELLS] == TEXTS
    assert text_of(Share(rate(2, 3).basis_points)) == "66.67%" and text_of(Share(10_000)) == "100.00%"
    assert text_of(Points(8735)) == "87.35" and text_of(0) == "0" and text_of("") == ""


def test_a_page_escapes_every_text_and_fetches_nothing() -> None:
    page = written("html").decode()
    assert html_tables(page) == [[[column.head for column in COLUMNS], TEXTS]]
    assert "<script" not in page and "=通报&lt;script&gt;" in page and "<b>" not in page
    assert not re.search(r"(src|href)=|url\(|@import| style=", page)
    assert "size: A4" in page and page.count("<svg") == 1 and "default-src 'none'" in policy()


def test_a_workbook_has_numbers_that_are_numbers_and_texts_that_are_no_formulas() -> None:
    book: Any = openpyxl.load_workbook(io.BytesIO(written("xlsx")))
    assert book.sheetnames == ["摘要", "各网格表", "各网格 表"]
    sheet = book["各网格表"]
    assert [cell.value for cell in sheet[2]] == ["'=1+1", "<b>&", 7, 0.9706, 0.5, None, 90, None, -0.05, None]
    assert [sheet[f"{letter}2"].number_format for letter in "DE"] == ["0.00%", '0.00%"＊"']
    assert [cell.value for cell in sheet[1]][6] == "列6（分钟）" and sheet.freeze_panes == "B2"
    assert {cell.data_type for name in book.sheetnames for row in book[name].iter_rows() for cell in row} <= {"s", "n"}
    assert book["摘要"]["A1"].value == "'=通报<script> 2026 年 3 月" and "截至" in [
        cell.value for cell in book["摘要"]["A"]
    ]
    assert book.properties.created.isoformat() == "2026-03-31T16:00:00"


def test_names_of_sheets_are_short_and_differ_whatever_their_case() -> None:
    taken = set[str]()
    names = [sheet_name(title, taken) for title in ("A" * 40, "a" * 35, "A" * 40, "[]", "")]
    assert names == ["A" * 31, f"{'a' * 29} 2", f"{'A' * 29} 3", "表", "表 2"]
    assert all(len(name) <= 31 for name in names) and len({name.casefold() for name in names}) == 5


def test_a_word_file_has_the_same_texts_on_a4_with_heads_that_are_repeated() -> None:
    made = docx.Document(io.BytesIO(written("docx")))
    [table] = made.tables
    assert [[cell.text for cell in row.cells] for row in table.rows] == [[column.head for column in COLUMNS], TEXTS]
    texts = [paragraph.text for paragraph in made.paragraphs]
    assert texts[:3] == ["=通报<script>", "2026 年 3 月", "上报 7 件。"]
    assert {"第一段", "无。", "注：=2", "截至：2026-04-01"} <= {*texts}
    page = made.sections[0]
    assert page.page_width is not None and page.page_height is not None
    assert (round(page.page_width.mm), round(page.page_height.mm)) == (210, 297)
    assert "w:tblHeader" in made.element.xml and "PAGE" in page.footer.part.element.xml


def test_a_csv_has_every_table_under_its_title_and_no_formula() -> None:
    text = written("csv").decode("utf-8-sig")
    lines = list(csv.reader(io.StringIO(text, newline="")))
    assert lines[0] == ["'=通报<script>", "2026 年 3 月"] and lines[2] == ["各网格/[表]"]
    assert lines[4] == ["'=1+1", *TEXTS[1:8], "'-0.05", "—"] and lines[6] == ["各网格 表"]


def test_the_same_document_gives_the_same_bytes_wherever_a_format_has_no_clock() -> None:
    for name in ("html", "csv"):
        assert written(name) == written(name)


def test_no_format_is_guessed() -> None:
    with pytest.raises(BadQuestion) as caught:
        format_of("pdf")
    assert caught.value.field == "format" and caught.value.remedy == f"choose one of: {', '.join(FORMATS)}"


def test_without_the_extra_a_word_file_is_refused_with_the_remedy_and_not_offered(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert formats_here() == list(FORMATS)
    monkeypatch.setattr("engine.reports.files.find_spec", lambda name: None)
    assert formats_here() == ["html", "xlsx", "csv"]
    monkeypatch.delitem(sys.modules, "engine.reports.word_file")
    monkeypatch.setitem(sys.modules, "docx", None)
    with pytest.raises(BadQuestion) as caught:
        written("docx")
    assert caught.value.field == "format" and "gridpatrol[docx]" in caught.value.remedy


# ---- charts -------------------------------------------------------------------------------------------------


def test_bars_of_shares_are_drawn_of_the_whole_and_missing_ones_are_left_out() -> None:
    rows = (("甲", Share(10_000)), ("乙", Share(5_000)), ("丙", Share(None)))
    drawing = drawing_of(Table("", (Column("网格", False), Column("率")), rows, "", Chart("率", "bars", (1,))))
    assert drawing is not None and [bar.label for bar in drawing.bars] == ["甲", "乙"]
    assert drawing.bars[0].width == 2 * drawing.bars[1].width > 400


def test_lines_go_from_row_to_row_with_a_dash_for_each_and_heads_that_do_not_meet() -> None:
    columns = (Column("日", False), Column("上报"), Column("结案"))
    rows = tuple((f"{day:02d}", day % 5, day % 5) for day in range(1, 32))
    drawing = drawing_of(Table("", columns, rows, "", Chart("", "lines", (1, 2))))
    assert drawing is not None
    first, second = drawing.lines
    assert first.points == second.points and len(first.points.split()) == 31
    assert first.dashes != second.dashes and abs(first.y - second.y) >= 14
    assert len(drawing.ticks) <= 10


def test_nothing_to_draw_is_no_chart() -> None:
    columns = (Column("日", False), Column("上报"))
    for shape in ("bars", "lines"):
        chart = Chart("", shape, (1,))
        assert drawing_of(Table("", columns, (), "", chart)) is None
        assert drawing_of(Table("", columns, (("01", 0), ("02", 0)), "", chart)) is None
    assert drawing_of(Table("", columns, (("01", 1),), "")) is None

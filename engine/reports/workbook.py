"""A report as a workbook: a sheet that says what it is, and one for each table, with numbers that are numbers.

Rates are numbers with a format of per cent, spans of time whole minutes.
"""

import io
from datetime import UTC, datetime
from typing import Any

import xlsxwriter

from engine.reports.document import THIN, Cell, Document, Points, Share, Span, Table, printable
from engine.views import spreadsheet

MINUTES = "（分钟）"
"""What a head says beside itself where its cells are spans of time."""
BARRED = str.maketrans("", "", "[]:*?/\\'")
"""What no sheet's name may hold."""
MOST_CHARACTERS = 32_000


def workbook_of(document: Document) -> bytes:
    """The bytes of a workbook."""
    out = io.BytesIO()
    options = {"in_memory": True, "strings_to_formulas": False, "strings_to_numbers": False, "strings_to_urls": False}
    book: Any = xlsxwriter.Workbook(out, options)
    book.set_properties(
        {"title": document.title, "created": datetime.fromtimestamp(document.at // 1000, UTC).replace(tzinfo=None)}
    )
    formats = {
        "title": book.add_format({"bold": True, "font_size": 14}),
        "head": book.add_format({"bold": True, "bottom": 1, "text_wrap": True, "valign": "top"}),
        "share": book.add_format({"num_format": "0.00%"}),
        "thin": book.add_format({"num_format": f'0.00%"{THIN}"'}),
        "points": book.add_format({"num_format": "0.00"}),
        "wrapped": book.add_format({"text_wrap": True, "valign": "top"}),
    }
    about(book, document, formats)
    taken = set[str]()
    for section in document.sections:
        for table in section.tables:
            sheet_of(book, table, sheet_name(table.title, taken), formats)
    book.close()
    return out.getvalue()


def sheet_name(title: str, taken: set[str]) -> str:
    """A name that a sheet may have, and no other one has. Letters of either case are the same here."""
    plain = printable(title).translate(BARRED).strip() or "表"
    name, number = plain[:31], 1
    while name.casefold() in taken:
        number += 1
        name = f"{plain[: 30 - len(str(number))]} {number}"
    taken.add(name.casefold())
    return name


def about(book: Any, document: Document, formats: dict[str, Any]) -> None:
    """The first sheet: title, answer, paragraphs, and what the report is made of."""
    sheet = book.add_worksheet("摘要")
    sheet.set_column(0, 0, 14)
    sheet.set_column(1, 1, 90)
    sheet.write_string(0, 0, spreadsheet.cell(printable(f"{document.title} {document.subtitle}")), formats["title"])
    lines = [("", document.lead)]
    for section in document.sections:
        lines += [(section.heading, "")] + [("", paragraph) for paragraph in section.paragraphs]
    for row, (name, text) in enumerate([*lines, *document.facts], 2):
        sheet.write_string(row, 0, spreadsheet.cell(printable(name)), formats["head"] if name and not text else None)
        sheet.write_string(row, 1, spreadsheet.cell(printable(text)), formats["wrapped"])


def sheet_of(book: Any, table: Table, name: str, formats: dict[str, Any]) -> None:
    """The sheet of a table, with its chart beside it."""
    sheet = book.add_worksheet(name)
    for number, column in enumerate(table.columns):
        spans = any(isinstance(row[number], Span) for row in table.rows)
        sheet.set_column(number, number, column.width + 2)
        sheet.write_string(0, number, column.head + (MINUTES if spans else ""), formats["head"])
    for at, row in enumerate(table.rows, 1):
        for number, cell in enumerate(row):
            write_cell(sheet, at, number, cell, formats)
    sheet.freeze_panes(1, 1)
    last = len(table.rows)
    if table.note:
        sheet.write_string(last + 2, 0, spreadsheet.cell(printable(table.note)))
    if table.chart is None or not last:
        return
    labels = 1 if table.columns[1].figures is False else 0
    chart = book.add_chart({"type": "bar" if table.chart.shape == "bars" else "line"})
    for number in table.chart.values:
        chart.add_series(
            {
                "name": table.columns[number].head,
                "categories": [name, 1, labels, last, labels],
                "values": [name, 1, number, last, number],
            }
        )
    chart.set_title({"name": table.chart.title})
    sheet.insert_chart(last + 4, 0, chart)


def write_cell(sheet: Any, at: int, number: int, cell: Cell, formats: dict[str, Any]) -> None:
    """A cell: a number where it is one, else text that no program computes; nothing where a view has no value."""
    match cell:
        case Share(points=int(points), thin=thin):
            sheet.write_number(at, number, points / 10_000, formats["thin" if thin else "share"])
        case Span(ms=int(ms)):
            sheet.write_number(at, number, ms // 60_000)
        case Points(hundredths=int(value)):
            sheet.write_number(at, number, value / 100, formats["points"])
        case int():
            sheet.write_number(at, number, cell)
        case str() if cell:
            sheet.write_string(at, number, spreadsheet.cell(printable(cell))[:MOST_CHARACTERS])

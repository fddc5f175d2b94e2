"""A report as a file of a word processor (DOCX), on A4 with page numbers."""

import io
from datetime import UTC, datetime
from typing import Any

import docx
from docx.enum.text import WD_ALIGN_PARAGRAPH
from docx.oxml import OxmlElement
from docx.oxml.ns import qn
from docx.shared import Mm, Pt

from engine.reports.document import Document, Table, printable, text_of

FONT = "宋体"
"""The font of Chinese characters; programs that have none of this name take their own."""
TEXT_PT, TABLE_PT = 12, 8
PAGE_WIDTH, PAGE_HEIGHT, MARGIN = Mm(210), Mm(297), Mm(20)
MOST_ROWS = 500
"""Rows of a table at most: more are no letter, and the workbook has all of them."""


def word_file_of(document: Document) -> bytes:
    """The bytes of a document."""
    made: Any = docx.Document()
    properties = made.core_properties
    properties.title, properties.author, properties.comments = printable(document.title), "", ""
    properties.created = properties.modified = datetime.fromtimestamp(document.at // 1000, UTC).replace(tzinfo=None)
    for style in ("Normal", "Title", "Heading 1", "Heading 2"):
        font = made.styles[style].font
        font.name, font.color.rgb = "Times New Roman", None
        made.styles[style].element.get_or_add_rPr().get_or_add_rFonts().set(qn("w:eastAsia"), FONT)
    made.styles["Normal"].font.size = Pt(TEXT_PT)
    page = made.sections[0]
    page.page_width, page.page_height = PAGE_WIDTH, PAGE_HEIGHT
    page.left_margin = page.right_margin = page.top_margin = page.bottom_margin = MARGIN
    number_pages(page.footer.paragraphs[0], page.footer.part.element)
    made.add_heading(printable(document.title), 0).alignment = WD_ALIGN_PARAGRAPH.CENTER
    if document.subtitle:
        made.add_paragraph(printable(document.subtitle)).alignment = WD_ALIGN_PARAGRAPH.CENTER
    if document.lead:
        made.add_paragraph(printable(document.lead))
    for section in document.sections:
        if section.heading:
            made.add_heading(printable(section.heading), 1)
        for paragraph in section.paragraphs:
            made.add_paragraph(printable(paragraph))
        for table in section.tables:
            made.add_heading(printable(table.title), 2)
            add_table(made, table)
    for name, text in document.facts:
        line = made.add_paragraph().add_run(printable(f"{name}：{text}"))
        line.font.size = Pt(TABLE_PT)
    repeat_heads(made.element.body)
    out = io.BytesIO()
    made.save(out)
    return out.getvalue()


def add_table(made: Any, table: Table) -> None:
    """A table with its note."""
    notes = [table.note] if table.note else []
    if not table.rows:
        made.add_paragraph("无。")
    else:
        shown = table.rows[:MOST_ROWS]
        heads = [column.head for column in table.columns]
        grid = made.add_table(rows=1 + len(shown), cols=len(heads), style="Table Grid")
        grid.autofit = False
        whole = sum(column.width for column in table.columns)
        widths = [(PAGE_WIDTH - 2 * MARGIN) * column.width // whole for column in table.columns]
        for column, width in zip(grid.columns, widths, strict=True):
            column.width = width
        texts = [heads, *([text_of(cell) for cell in row] for row in shown)]
        for line, row in zip(grid.rows, texts, strict=True):
            for column, width, cell, text in zip(table.columns, widths, line.cells, row, strict=True):
                cell.width = width
                paragraph = cell.paragraphs[0]
                paragraph.add_run(printable(text)).font.size = Pt(TABLE_PT)
                paragraph.paragraph_format.space_after = Pt(0)
                if column.figures:
                    paragraph.alignment = WD_ALIGN_PARAGRAPH.RIGHT
        notes += [f"只列前 {MOST_ROWS} 行，全部见工作簿。"] if len(table.rows) > MOST_ROWS else []
    for note in notes:
        made.add_paragraph().add_run(printable(note)).font.size = Pt(TABLE_PT)


def repeat_heads(body: Any) -> None:
    """Have the head of each table stand on every page that the table goes on to."""
    for grid in body.iter(qn("w:tbl")):
        grid.find(qn("w:tr")).get_or_add_trPr().append(OxmlElement("w:tblHeader"))


def number_pages(paragraph: Any, footer: Any) -> None:
    """The number of the page at the foot, as a field that the program fills in."""
    paragraph.alignment = WD_ALIGN_PARAGRAPH.CENTER
    field = OxmlElement("w:fldSimple")
    field.set(qn("w:instr"), "PAGE")
    field.append(OxmlElement("w:r"))
    footer.find(qn("w:p")).append(field)

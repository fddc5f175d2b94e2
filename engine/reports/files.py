"""The files of a report: by which format each is written, and of which media type it is."""

from collections.abc import Callable
from importlib.util import find_spec
from typing import NamedTuple

from engine.reports.document import Document, printable, text_of
from engine.views import spreadsheet
from engine.views.questions import BadQuestion


class Format(NamedTuple):
    """A kind of file. `write` gives its bytes; libraries are loaded when the first one is written."""

    media: str
    write: Callable[[Document], bytes]


def as_html(document: Document) -> bytes:
    """A page that prints on A4."""
    from engine.reports.html import page_of

    return page_of(document)


def as_workbook(document: Document) -> bytes:
    """A workbook."""
    from engine.reports.workbook import workbook_of

    return workbook_of(document)


def as_word_file(document: Document) -> bytes:
    """A file of a word processor. Raises BadQuestion where the library for it is not installed."""
    try:
        from engine.reports.word_file import word_file_of
    except ModuleNotFoundError as error:
        reason = "this installation writes no DOCX: that needs the extra `docx`"
        raise BadQuestion("format", reason, "pip install 'gridpatrol[docx]', or ask for html, xlsx or csv") from error
    return word_file_of(document)


def as_csv(document: Document) -> bytes:
    """The tables one below the other, each under its title."""
    lines = [[printable(document.title), printable(document.subtitle)]]
    for section in document.sections:
        for table in section.tables:
            lines += [[], [table.title], [column.head for column in table.columns]]
            lines += [[text_of(cell) for cell in row] for row in table.rows]
    text = spreadsheet.lines_of([[spreadsheet.cell(printable(cell)) for cell in line] for line in lines])
    return (spreadsheet.MARK + text).encode()


FORMATS = {
    "html": Format("text/html", as_html),
    "xlsx": Format("application/vnd.openxmlformats-officedocument.spreadsheetml.sheet", as_workbook),
    "docx": Format("application/vnd.openxmlformats-officedocument.wordprocessingml.document", as_word_file),
    "csv": Format("text/csv", as_csv),
}
"""Every report can be each of them, DOCX with the extra `docx`."""


def formats_here() -> list[str]:
    """The formats that this installation writes."""
    return [name for name in FORMATS if name != "docx" or find_spec("docx") is not None]


def format_of(name: str) -> Format:
    """A format by its name. Raises BadQuestion."""
    if name not in FORMATS:
        raise BadQuestion("format", "there is no such format", f"choose one of: {', '.join(FORMATS)}")
    return FORMATS[name]

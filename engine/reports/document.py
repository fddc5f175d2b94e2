"""What a report is before it is a file: sentences and tables. A chart is a way to draw columns of a table.

Every figure is written by `text_of`, so that a page, a workbook and a letter say the same.
"""

import re
from typing import Literal, NamedTuple

from engine.views.local_times import duration_zh
from workflows.figures import Rate

UNPRINTABLE = re.compile("[^\t\n\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""What no XML may hold."""
NONE = "—"
"""What stands where a view has no value."""
THIN = "＊"
"""The mark of a rate that is made of too few cases to be compared."""


class Share(NamedTuple):
    """A rate as a view gives it: in basis points, None where there is nothing to divide by."""

    points: int | None
    thin: bool = False


class Span(NamedTuple):
    """A span of time in milliseconds, as a view gives it."""

    ms: int | None


class Points(NamedTuple):
    """A number in hundredths, as sheets of assessments have them."""

    hundredths: int | None


Cell = str | int | Share | Span | Points | None


class Column(NamedTuple):
    """A column: its head, whether its cells are figures, and about how many Latin characters wide it is."""

    head: str
    figures: bool = True
    width: int = 9


class Chart(NamedTuple):
    """How columns of a table are drawn: each row as a bar, or each column as a line from row to row. The first column
    has the labels; `values` are the numbers of the columns that are drawn."""

    title: str
    shape: Literal["bars", "lines"]
    values: tuple[int, ...]


class Table(NamedTuple):
    """A table with its title, and a sentence below it."""

    title: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[Cell, ...], ...]
    note: str = ""
    chart: Chart | None = None


class Section(NamedTuple):
    """A part of a document under its heading."""

    heading: str
    paragraphs: tuple[str, ...] = ()
    tables: tuple[Table, ...] = ()


class Document(NamedTuple):
    """A report. `lead` is its answer in one sentence, `facts` say what it is made of, `at` (ms UTC) as of when.
    `read_by` is the post for which more stands in it than figures, of the case or grid `read_of`: that reading is
    audited before it is handed out (`engine.operations.auditing.audit_report`)."""

    stem: str  # of the names of its files
    title: str
    subtitle: str
    lead: str
    facts: tuple[tuple[str, str], ...]
    sections: tuple[Section, ...]
    at: int
    read_by: str = ""
    read_of: str = ""


def share_of(rate: Rate) -> Share:
    """A rate as a cell."""
    return Share(rate.basis_points, rate.thin and rate.basis_points is not None)


def text_of(cell: Cell) -> str:
    """A cell as people read it: a rate in hundredths of a per cent, a span of time by its two largest units."""
    match cell:
        case Share(points=None) | Span(ms=None) | Points(hundredths=None) | None:
            return NONE
        case Share(points=int(points), thin=thin):
            return f"{points // 100}.{points % 100:02d}%{THIN if thin else ''}"
        case Span(ms=int(ms)):
            return duration_zh(ms)
        case Points(hundredths=int(number)):
            return f"{'-' if number < 0 else ''}{abs(number) // 100}.{abs(number) % 100:02d}"
        case _:
            return str(cell)


def printable(text: str) -> str:
    """A text without what no XML may hold: control characters but for tabs and ends of lines, and what is no
    character."""
    return UNPRINTABLE.sub("", text)

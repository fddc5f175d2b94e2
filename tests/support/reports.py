"""Files of reports, read back as tables of texts."""

from __future__ import annotations

from html.parser import HTMLParser

from engine.reports.document import Document, Table, printable, text_of


class TablesOf(HTMLParser):
    """The tables of a page: rows of texts."""

    def __init__(self) -> None:
        super().__init__()
        self.tables: list[list[list[str]]] = []
        self.inside = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "table":
            self.tables.append([])
        elif tag == "tr":
            self.tables[-1].append([])
        elif tag in ("td", "th"):
            self.tables[-1][-1].append("")
            self.inside = True

    def handle_endtag(self, tag: str) -> None:
        if tag in ("td", "th"):
            self.inside = False

    def handle_data(self, data: str) -> None:
        if self.inside:
            self.tables[-1][-1][-1] += data


def html_tables(page: str) -> list[list[list[str]]]:
    """The tables of a page, heads first."""
    found = TablesOf()
    found.feed(page)
    return found.tables


def tables_of(document: Document) -> list[Table]:
    """The tables of a document."""
    return [table for section in document.sections for table in section.tables]


def texts_of(table: Table) -> list[list[str]]:
    """A table as people read it, heads first."""
    heads = [column.head for column in table.columns]
    return [heads, *([printable(text_of(cell)) for cell in row] for row in table.rows)]

"""A ledger as a file: CSV, or a workbook that is written row by row, so that its memory does not grow with it.

Heads stand in Chinese and in English, above what stays in sight when one scrolls. A text that a spreadsheet would take
for a formula has an apostrophe before it, as in every CSV of the system.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import IO, Any

import xlsxwriter

from engine.views import spreadsheet
from engine.views.ledger import COLUMNS, Cell, Ledger
from workflows.definitions import DEFINITIONS

HEADS = 2
"""Rows of heads."""
MOST_CHARACTERS = 32_000
"""Of a cell; a workbook takes 32,767."""


def csv_head() -> str:
    """The mark by which programs of offices know UTF-8, and the heads in one line."""
    return spreadsheet.MARK + spreadsheet.lines_of([[f"{column.zh} {column.en}" for column in COLUMNS]])


def csv_lines(rows: Iterable[Sequence[Cell]]) -> str:
    """Rows as CSV; instants as `2026-03-02 09:00:00` on the wall clock of the pack."""
    return spreadsheet.lines_of([[spreadsheet.cell(plain(value)) for value in row] for row in rows])


def plain(value: Cell) -> str | int | None:
    """A cell as text or number."""
    return value.isoformat(" ") if isinstance(value, datetime) else value


class LedgerBook:
    """A workbook that is being written: a sheet for each kind of case, and one that says what it is. `folder` takes the
    rows until the workbook is closed."""

    def __init__(self, out: IO[bytes], folder: str) -> None:
        options = {
            "constant_memory": True,
            "tmpdir": folder,
            "strings_to_formulas": False,
            "strings_to_numbers": False,
            "strings_to_urls": False,
        }
        self._book: Any = xlsxwriter.Workbook(out, options)
        self._head = self._book.add_format({"bold": True, "bottom": 1, "text_wrap": True, "valign": "top"})
        self._instant = self._book.add_format({"num_format": "yyyy-mm-dd hh:mm"})
        self._kind = ""
        self._sheet: Any = None
        self._row = 0

    def _begin(self, ledger: Ledger) -> None:
        """Begin the sheet of a kind of case."""
        self._end()
        self._kind = ledger.definition
        self._sheet = self._book.add_worksheet(DEFINITIONS[ledger.definition].zh)
        for number, column in enumerate(COLUMNS):
            self._sheet.set_column(number, number, column.width)
        for row, heads in enumerate(([column.zh for column in COLUMNS], [column.en for column in COLUMNS])):
            for number, head in enumerate(heads):
                self._sheet.write_string(row, number, head, self._head)
        self._sheet.freeze_panes(HEADS, 1)
        self._row = HEADS

    def add(self, ledger: Ledger, rows: Iterable[Sequence[Cell]]) -> None:
        """Add rows to the sheet of a kind of case: one kind after the other."""
        if ledger.definition != self._kind:
            self._begin(ledger)
        for row in rows:
            for number, value in enumerate(row):
                if isinstance(value, datetime):
                    self._sheet.write_datetime(self._row, number, value, self._instant)
                elif isinstance(value, int):
                    self._sheet.write_number(self._row, number, value)
                elif value:
                    self._sheet.write_string(self._row, number, spreadsheet.cell(value)[:MOST_CHARACTERS])
            self._row += 1

    def _end(self) -> None:
        """End the sheet: its rows can be filtered by any column."""
        if self._row > HEADS:
            self._sheet.autofilter(HEADS - 1, 0, self._row - 1, len(COLUMNS) - 1)

    def close(self, ledger: Ledger) -> None:
        """Say what the workbook is, and write it."""
        self._end()
        sheet, names = self._book.add_worksheet("说明 about"), ledger.names
        sheet.set_column(0, 0, 24)
        sheet.set_column(1, 1, 80)
        zone = names.register.clock_of_days.data.zone
        lines = (
            ("规则包 pack", names.register.pack.code),
            ("网格 grid", ledger.path.strip("/").replace("/", " / ") or names.register.root),
            ("上报日期 reported", f"{ledger.since or '…'} – {ledger.until or '…'}"),
            ("截至 as of", f"{names.instant(ledger.at)} {ledger.reading}"),
            ("时区 zone", zone),
            ("耗用与超期 consumed, late by", "按各时限自身的计时方式 in each clock's own kind of time"),
            ("备注 remark", ledger.remark),
        )
        for row, (what, value) in enumerate(lines):
            sheet.write_string(row, 0, what, self._head)
            sheet.write_string(row, 1, spreadsheet.cell(value))
        self._book.close()

"""Reads the tables of a pack: CSV text as a spreadsheet program saves it, with any line ending, with or without byte
order mark. A `Row` knows its place, so a bad cell becomes a `Finding` with file, row, column and remedy.
"""

import csv
import re
import unicodedata
from collections.abc import Sequence
from typing import NamedTuple

from workflows.clocks.limits import Limit, parse_limit
from workflows.policy.problems import Problems

CODE = re.compile(r"[^\s|/]{1,64}")  # the pattern of schemas.events.Code
_DAY = re.compile(r"(\d{4})([-/.])(\d{1,2})\2(\d{1,2})|(\d{4})(\d{2})(\d{2})", re.ASCII)
_SEPARATORS = re.compile(r"[;；、,，\s]+")
_YES_NO = {
    "": False,
    "no": False,
    "false": False,
    "0": False,
    "否": False,
    "yes": True,
    "true": True,
    "1": True,
    "是": True,
}
SEPARATORS = {";": "semicolons", "\t": "tabs", "；": "full-width semicolons", "，": "full-width commas", "|": "bars"}
"""What spreadsheet programs, and people, put between cells instead of commas."""
_MONTH_DAYS = (31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)


class Columns(NamedTuple):
    """The columns of one file: those that it needs, and those that it may leave out."""

    file: str
    needed: tuple[str, ...]
    others: tuple[str, ...] = ()


class Row:
    """One row of a table. Each method reads the cell of a column, and reports a bad one instead of raising."""

    def __init__(self, file: str, number: int, cells: dict[str, str], problems: Problems) -> None:
        self.file = file
        self.number = number
        self._cells = cells
        self._problems = problems

    def bad(self, column: str, text: str, remedy: str) -> None:
        """Report a cell of this row as an error."""
        self._problems.error(self.file, self.number, column, text, remedy)

    def text(self, column: str) -> str:
        """The cell without blanks around it; empty if the column is absent."""
        return self._cells.get(column, "")

    def needed(self, column: str) -> str:
        """A cell that must not be empty."""
        value = self.text(column)
        if not value:
            self.bad(column, "is empty", f"fill in the {column}")
        return value

    def word(self, column: str) -> str:
        """A code or a word of the tables, in its plain form: full-width letters, digits and signs are the usual ones.
        Characters that nobody sees are reported, for two codes that look alike are not the same."""
        value = plain(self.text(column))
        if unseen := unseen_in(value):
            self.bad(column, f"{value!r} has {unseen}", "remove it: nobody sees it, and it makes another code")
        return value

    def code(self, column: str) -> str:
        """A code of the pack: 1 to 64 characters without blanks, `|` and `/`."""
        value = self.word(column)
        if not CODE.fullmatch(value):
            self.bad(column, f"{value!r} is not a code", "use 1 to 64 characters without blanks, | and /")
        return value

    def number_in(self, column: str, default: int = 0) -> int:
        """A whole number; empty means the default."""
        value = plain(self.text(column))
        if not value:
            return default
        if value.isascii() and value.isdigit() and len(value) < 9:
            return int(value)
        self.bad(column, f"{value!r} is not a whole number", "write digits only, such as 3")
        return default

    def amount(self, column: str) -> int:
        """An amount of money in fen (1/100 yuan), a whole number of up to 15 digits; empty means none (0)."""
        value = plain(self.text(column))
        if not value:
            return 0
        if value.isascii() and value.isdigit() and len(value) < 16:
            return int(value)
        self.bad(column, f"{value!r} is not an amount in fen", "write digits only, 100 for each yuan")
        return 0

    def day(self, column: str) -> int:
        """A local day as YYYYMMDD; empty means open-ended (0)."""
        value = self.text(column)
        if not value:
            return 0
        day = parse_day(value)
        if not day:
            self.bad(column, f"{value!r} is not a day", "write it as 2026-02-14")
        return day

    def yes(self, column: str, *, default: bool = False) -> bool:
        """A yes or a no; empty means no, unless it says another default."""
        value = plain(self.text(column)).lower()
        if not value:
            return default
        if value not in _YES_NO:
            self.bad(column, f"{value!r} is neither yes nor no", "write yes or no (是 or 否)")
        return _YES_NO.get(value, False)

    def words(self, column: str) -> tuple[str, ...]:
        """Several words in one cell, separated by `;`, a comma or blanks."""
        return tuple(word for word in _SEPARATORS.split(self.word(column)) if word)

    def levels(self, column: str) -> tuple[int, ...]:
        """Several levels in one cell, such as `2;3`."""
        words = self.words(column)
        if all(word.isascii() and word.isdigit() and len(word) < 3 for word in words):
            return tuple(int(word) for word in words)
        self.bad(column, f"{self.text(column)!r} is not a list of levels", "write numbers, such as 2;3")
        return ()

    def choice(self, column: str, choices: Sequence[str]) -> str:
        """One word of a list."""
        value = self.word(column)
        if value in choices:
            return value
        self.bad(column, f"{value!r} is unknown", "use one of: " + ", ".join(word or "(empty)" for word in choices))
        return choices[0]

    def limit(self, column: str) -> Limit | None:
        """A limit such as `4工作时`; empty means none."""
        value = self.text(column)
        if not value:
            return None
        try:
            return parse_limit(value)
        except ValueError as error:
            remedy = "write a number and 紧急工作时, 工作时, 工作日 or 自然日, such as 4工作时"
            self.bad(column, f"{value!r} is not a limit ({error})", remedy)
            return None


def plain(value: str) -> str:
    """A text in its plain form (NFKC): `２０２６－１２` is `2026-12`. For codes, numbers and words, never for names."""
    return unicodedata.normalize("NFKC", value)


def unseen_in(value: str) -> str:
    """The first character of a text that nobody sees, such as a zero width space, with its place; empty: there is none.

    They are the format characters of Unicode (class Cf) and its controls (Cc).
    """
    for place, character in enumerate(value, 1):
        if unicodedata.category(character) in ("Cf", "Cc") and not character.isspace():
            name = unicodedata.name(character, "a control character")
            return f"U+{ord(character):04X} ({name}) as character {place}"
    return ""


def parse_day(value: str) -> int:
    """`2026-02-14`, `2026/2/14` or `20260214` as 20260214; 0 if it is no day. A day has three parts, with the same
    separator between all of them, or with none and all eight digits."""
    match = _DAY.fullmatch(plain(value))
    if match is None:
        return 0
    year, month, day = (int(part) for part in (match.group(1, 3, 4) if match[1] else match.group(5, 6, 7)))
    if not 1 <= month <= 12 or not 1 <= day <= _MONTH_DAYS[month - 1]:
        return 0
    if month == 2 and day == 29 and (year % 4 or (year % 100 == 0 and year % 400)):
        return 0
    return year * 10_000 + month * 100 + day


def read_table(text: str, columns: Columns, problems: Problems) -> list[Row]:
    """The rows of a CSV file. Blank rows are left out, but counted."""
    if "\x00" in text:
        row = text.count("\n", 0, text.index("\x00")) + 1
        problems.error(columns.file, row, "", "has U+0000, which no database takes", "remove it, or save it anew")
        return []
    lines = text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")
    reader = csv.reader([line + "\n" for line in lines.split("\n")], strict=True)
    try:
        records = list(reader)
    except csv.Error as error:
        problems.error(columns.file, reader.line_num, "", f"cannot be read ({error})", "close the quotation marks")
        return []
    header = [cell.strip() for cell in records[0]] if records else []
    missing = [column for column in columns.needed if column not in header]
    for sign, name in SEPARATORS.items() if missing and records else ():
        others = {plain(cell.strip().strip('"')) for cell in ",".join(records[0]).split(sign)}
        if len(others & {*columns.needed}) > len(columns.needed) - len(missing):
            remedy = "save it with commas between them (Excel: Save As, file type 'CSV UTF-8 (comma delimited)')"
            problems.error(columns.file, 1, "", f"its cells are separated by {name}", remedy)
            return []
    for column in missing:
        problems.error(columns.file, 1, column, "this column is missing", f"add a column named {column} to row 1")
    known = {"", *columns.needed, *columns.others}
    for column in header:
        if column not in known:
            remedy = "remove it, or use one of: " + ", ".join(columns.needed + columns.others)
            problems.warning(columns.file, 1, column, "this column is unknown and is not read", remedy)
    for column in {column for column in header if column and header.count(column) > 1}:
        problems.error(columns.file, 1, column, "this column stands twice", "keep one of them")
    if missing:
        return []
    rows = []
    for number, record in enumerate(records[1:], start=2):
        cells = [cell.strip() for cell in record]
        if any(cells[len(header) :]):
            remedy = "put the cell with the comma into quotation marks"
            problems.error(columns.file, number, "", "has more cells than row 1", remedy)
        elif any(cells):
            rows.append(Row(columns.file, number, dict(zip(header, cells, strict=False)), problems))
    return rows

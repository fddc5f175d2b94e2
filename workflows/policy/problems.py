"""Findings on a pack, for the office that edits it: each names file, row, column and remedy."""

from collections.abc import Iterable
from typing import Literal

from msgspec import Struct


class Finding(Struct, frozen=True):
    """One finding. Rows are counted as in a spreadsheet: the header is row 1, and 0 means the whole file."""

    file: str
    row: int
    column: str
    severity: Literal["error", "warning"]
    text: str
    remedy: str

    def __str__(self) -> str:
        """One line, e.g. `grids.csv:17 parent: ... — ...`."""
        place = f"{self.file}:{self.row}" if self.row else self.file
        return f"{place} {self.column}: {self.text} — {self.remedy}".replace(" : ", ": ")


class Problems(list[Finding]):
    """Findings in the order in which they were met."""

    def error(self, file: str, row: int, column: str, text: str, remedy: str) -> None:
        """Add a finding that keeps the pack from being activated."""
        self.append(Finding(file, row, column, "error", text, remedy))

    def warning(self, file: str, row: int, column: str, text: str, remedy: str) -> None:
        """Add a finding that the office should look at; the pack can be activated all the same."""
        self.append(Finding(file, row, column, "warning", text, remedy))


def has_errors(problems: Iterable[Finding]) -> bool:
    """Whether at least one of them is an error."""
    return any(problem.severity == "error" for problem in problems)

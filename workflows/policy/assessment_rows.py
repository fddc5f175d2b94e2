"""The rows of indicators.csv, scorecards.csv and consequences.csv, compiled."""

from typing import Literal

from workflows.policy.csv_tables import Columns, Row, plain
from workflows.policy.model import ConsequenceRow, IndicatorRow, ScorecardRow

INDICATORS = Columns(
    "indicators.csv",
    ("code", "numerator", "unit", "direction"),
    (
        "denominator",
        "subtracted",
        "definition",
        "category",
        "found",
        "name_zh",
        "name_en",
        "says_zh",
        "says_en",
        "basis",
    ),
)
SCORECARDS = Columns(
    "scorecards.csv",
    ("card", "year", "period", "subjects", "indicator", "weight", "zero_at", "full_at"),
    ("peer", "cap", "bonus", "min_n", "title_zh", "title_en", "basis"),
)
CONSEQUENCES = Columns("consequences.csv", ("card", "when", "action"), ("basis",))
FOUND: tuple[Literal["", "own", "others", "confirmed"], ...] = ("", "own", "others", "confirmed")
SUBJECTS: tuple[Literal["grid", "department", "post"], ...] = ("grid", "department", "post")
MOST_POINTS = 10_000
"""Points of a weight or a cap, at most."""


def indicator_row(row: Row) -> IndicatorRow:
    """A row of indicators.csv. An indicator without a name is called by its code."""
    unit, direction = row.choice("unit", ("percent", "count")), row.choice("direction", ("higher", "lower"))
    found = row.choice("found", FOUND)
    row.needed("numerator")
    return IndicatorRow(
        code=row.code("code"),
        numerator=row.words("numerator"),
        denominator=row.words("denominator"),
        subtracted=row.words("subtracted"),
        unit="percent" if unit == "percent" else "count",
        direction="lower" if direction == "lower" else "higher",
        definition=row.word("definition"),
        category=row.word("category"),
        found=FOUND[FOUND.index(found)],
        name_zh=row.text("name_zh") or row.word("code"),
        name_en=row.text("name_en") or row.word("code"),
        says_zh=row.text("says_zh"),
        says_en=row.text("says_en"),
        basis=row.text("basis"),
    )


def scorecard_row(row: Row) -> ScorecardRow:
    """A row of scorecards.csv: one line of a card."""
    kind, _, level = row.word("subjects").partition(":")
    if kind not in SUBJECTS or not (level.isascii() and level.isdigit() and len(level) < 3):
        remedy = "write grid, department or post and the level of the grids, such as grid:3"
        row.bad("subjects", f"{row.word('subjects')!r} names no subjects", remedy)
        kind, level = SUBJECTS[0], "0"
    return ScorecardRow(
        card=row.code("card"),
        year=row.number_in("year"),
        period=row.word("period"),
        subjects=SUBJECTS[SUBJECTS.index(kind)],
        level=int(level),
        indicator=row.word("indicator"),
        weight=row.number_in("weight"),
        zero_at=hundredths(row, "zero_at"),
        full_at=hundredths(row, "full_at"),
        peer=row.word("peer"),
        cap=row.number_in("cap"),
        bonus=row.yes("bonus"),
        min_n=row.number_in("min_n") if row.text("min_n") else None,
        title_zh=row.text("title_zh"),
        title_en=row.text("title_en"),
        basis=row.text("basis"),
    )


def consequence_row(row: Row) -> ConsequenceRow:
    """A row of consequences.csv."""
    return ConsequenceRow(row.code("card"), row.needed("when").replace(" ", ""), row.code("action"), row.text("basis"))


def hundredths(row: Row, column: str) -> int:
    """A number with at most two decimals, in hundredths: `97.5` is 9750."""
    text = plain(row.text(column)).removesuffix("%")
    whole, point, part = text.partition(".")
    digits = whole.isascii() and whole.isdigit() and len(whole) < 9
    if digits and (not point or (part.isascii() and part.isdigit() and len(part) < 3)):
        return int(whole) * 100 + int(part.ljust(2, "0") or 0)
    row.bad(column, f"{row.text(column)!r} is no number with at most two decimals", "write it as 97.5, without a unit")
    return 0

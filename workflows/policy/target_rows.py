"""The rows of targets.csv, compiled."""

import re

import msgspec

from workflows.policy.csv_tables import Columns, Row, plain
from workflows.policy.model import TargetRow

TARGETS = Columns(
    "targets.csv",
    ("target", "owner", "year", "indicator_zh", "comparison", "value", "unit", "method", "period"),
    ("indicator_en", "each", "index", "places", "least", "standard", "standard_from", "standard_to", "basis"),
)
NUMBER = re.compile(r"-?(0|[1-9][0-9]{0,14})(\.[0-9]{1,6})?", re.ASCII)
"""An exact number as decimal text."""
SIGNS = {"≤": "<=", "≥": ">="}
"""What offices write for a comparison."""
COMPARISONS = ("<=", ">=", "<", ">", "=")
METHODS = ("value", "mean", "sum", "count", "share")
PERIODS_MEASURED = ("day", "month", "quarter", "half", "year")
INDEXES = ("", "aqi", "water")


def target_row(row: Row) -> TargetRow:
    """A row of targets.csv. A target without an English name is called by the Chinese one."""
    each = compared(row.word("each"))
    sign = next((sign for sign in COMPARISONS if each.startswith(sign)), "")
    if each and not (sign and NUMBER.fullmatch(each.removeprefix(sign))):
        row.bad("each", f"{each!r} is no condition", "write a comparison and a number, such as <=100")
        each = ""
    comparison = compared(row.word("comparison"))
    if comparison not in COMPARISONS:
        row.bad("comparison", f"{comparison!r} is unknown", "use one of: " + ", ".join(COMPARISONS))
        comparison = COMPARISONS[0]
    row.needed("indicator_zh")
    said = {
        "target": row.code("target"),
        "owner": row.code("owner"),
        "year": row.number_in("year"),
        "indicator_zh": row.text("indicator_zh"),
        "indicator_en": row.text("indicator_en") or row.text("indicator_zh"),
        "comparison": comparison,
        "value": number_of(row, "value"),
        "unit": row.text("unit"),
        "method": row.choice("method", METHODS),
        "period": row.choice("period", PERIODS_MEASURED),
        "each": each,
        "index": row.choice("index", INDEXES),
        "places": row.number_in("places") if row.text("places") else -1,
        "least": row.number_in("least"),
        "standard": row.text("standard"),
        "standard_from": row.day("standard_from"),
        "standard_to": row.day("standard_to"),
        "basis": row.text("basis"),
    }
    return msgspec.convert(said, TargetRow)


def compared(text: str) -> str:
    """A comparison as programs write it."""
    return SIGNS.get(text[:1], text[:1]) + text[1:]


def number_of(row: Row, column: str) -> str:
    """An exact number as decimal text; empty where the cell is."""
    text = plain(row.text(column))
    if not text or NUMBER.fullmatch(text):
        return text
    remedy = "write it as 0.7, without a unit and without commas, with up to 6 decimals; empty where there is none"
    row.bad(column, f"{row.text(column)!r} is no exact number", remedy)
    return ""

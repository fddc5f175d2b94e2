"""A scorecard (考核细则) as a pack has it: its lines with their indicators, and what follows from a sheet. Pure.

The rows of one card and year stand together. A card goes on until one of a later year replaces it.
"""

from typing import Literal

from msgspec import Struct

from workflows.policy.model import ConsequenceRow, IndicatorRow, Pack, ScorecardRow

PERIODS = ("month", "quarter", "half", "year")
"""The periods by which a card may assess."""
BY_KIND = "kind"
"""The peer group of all grids of one kind."""


class CardLine(Struct, frozen=True):
    """A line of a card: what an indicator is worth."""

    row: ScorecardRow
    indicator: IndicatorRow


class Card(Struct, frozen=True, kw_only=True):
    """A card of one year. `min_n`: what the pack's options ask for where a line says nothing."""

    code: str
    year: int
    period: str
    subjects: Literal["grid", "department", "post"]
    level: int
    peer: str
    title_zh: str
    title_en: str
    min_n: int
    lines: tuple[CardLine, ...]
    consequences: tuple[ConsequenceRow, ...]

    def least(self, line: CardLine) -> int:
        """The least number below the line of a rate for it to count."""
        return self.min_n if line.row.min_n is None else line.row.min_n


def card_of(pack: Pack, code: str, year: int) -> Card | None:
    """The card that holds in a year: of that year, else of the last one before; None where there is none. Lines whose
    indicator there is not are left out, as the lint of a pack that can be activated finds none."""
    years = [row.year for row in pack.scorecards if row.card == code and row.year <= year]
    if not years:
        return None
    rows = [row for row in pack.scorecards if row.card == code and row.year == max(years)]
    known = {indicator.code: indicator for indicator in pack.indicators}
    first = rows[0]
    return Card(
        code=code,
        year=first.year,
        period=first.period,
        subjects=first.subjects,
        level=first.level,
        peer=first.peer,
        title_zh=first.title_zh or code,
        title_en=first.title_en or code,
        min_n=pack.options.min_n,
        lines=tuple(CardLine(row, known[row.indicator]) for row in rows if row.indicator in known),
        consequences=tuple(row for row in pack.consequences if row.card == code),
    )


def card_codes(pack: Pack) -> list[str]:
    """The cards of a pack, sorted."""
    return sorted({row.card for row in pack.scorecards})

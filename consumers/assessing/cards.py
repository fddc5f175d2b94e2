"""Which cards are to be assessed for which periods: those that have ended, with their days of grace, under the packs
that were active meanwhile.

A period that had begun before the log is not assessed: what was done in its first days is not known. Nor is one of a
year before the card's first one.
"""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from engine.views.assessment import final_instant
from workflows.assessment.cards import card_codes, card_of
from workflows.assessment.filed import period_text, subject_of
from workflows.clocks.calendar import day_number, day_of_number
from workflows.figures import period_bounds
from workflows.policy.index import Policy


class Assessed(NamedTuple):
    """A card and a period whose time has come: the id of the case, local days (YYYYMMDD), and the instant (ms UTC) as
    of which it is assessed."""

    subject: str
    card: str
    period: str
    since: int
    until: int
    as_of: int


def due(registers: Iterable[Policy], begun: int, known: int) -> dict[str, Assessed]:
    """What is to be assessed by the id of its case: of a log that began at one instant and is known up to another."""
    found = dict[str, Assessed]()
    for register in registers:
        for code in card_codes(register.pack):
            for since, until, period in periods(register, code, begun, known):
                as_of, subject = final_instant(register, until), subject_of(register, code, since)
                if as_of <= known:
                    each = Assessed(subject, code, period_text(period, since), since, until, as_of)
                    found.setdefault(subject, each)
    return found


def periods(register: Policy, code: str, begun: int, known: int) -> Iterator[tuple[int, int, str]]:
    """First and last local day of the periods of a card that began with the log or after it, and ended by now."""
    days = register.clock_of_days
    first_year = min(row.year for row in register.pack.scorecards if row.card == code)
    day, today = max(first_year * 10_000 + 101, days.local_day(begun)), days.local_day(known)
    while day <= today:
        card = card_of(register.pack, code, day // 10_000)
        assert card is not None, "a year of the card, or a later one"
        since, until = period_bounds(day, card.period)
        if days.day_start(since) >= begun and until < today:
            yield since, until, card.period
        day = day_of_number(day_number(until) + 1)

"""Time limits: the texts that offices write (`4工作时`, `10 working days`) and the exact `Limit` that they mean.

A limit is an amount and one of four kinds of clock. Amounts are kept in thousandths, so that the 1.5工作时 of
published tables and half an hour are exact and no float enters a deadline. What a limit is worth on a given calendar
is an integer, see `workflows.clocks.calendar.Calendar.budget`.
"""

from __future__ import annotations

import re
import unicodedata
from decimal import Decimal
from enum import StrEnum
from functools import lru_cache

import msgspec

HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS

#: The largest amount. No published limit comes near it; an amount above is a slip of the keyboard.
MAX_MILLI = 100_000_000


class Kind(StrEnum):
    """The four clocks of Chinese limits. The values are part of the contract and never change."""

    urgent_hour = "urgent_hour"  # 紧急工作时: nights, weekends and holidays count
    working_hour = "working_hour"  # 工作时: only time inside working windows counts
    working_day = "working_day"  # 工作日: what N of them means is calendar data, see DayMeaning
    calendar_day = "calendar_day"  # 自然日: N x 24 h on the local wall clock


URGENT_HOUR, WORKING_HOUR, WORKING_DAY, CALENDAR_DAY = Kind
"""The same, bound once: Python looks a member of an enumeration up in a function of its own."""


class DayMeaning(StrEnum):
    """What "N working days" means. Places differ, so it is data of the calendar."""

    same_time = "same_time"  # the same time of day, N working days on
    end_of_day = "end_of_day"  # the closing instant of the Nth working day after the start's date
    hours = "hours"  # N x the calendar's nominal daily hours, counted as working hours


class LimitError(ValueError):
    """A limit that cannot be read, or not be used here. `text` is what was given, `remedy` what to do about it, `rule`
    both the problem and the remedy without the text, for answers that quote nothing."""

    def __init__(self, text: str, problem: str, remedy: str) -> None:
        super().__init__(f"limit {text!r}: {problem}. {remedy}")
        self.text = text
        self.remedy = remedy
        self.rule = f"{problem}. {remedy}"


class Limit(msgspec.Struct, frozen=True, order=True):
    """`milli` thousandths of a `kind`: Limit(Kind.working_hour, 4000) is 4工作时."""

    kind: Kind
    milli: int

    def __post_init__(self) -> None:
        if not 0 < self.milli <= MAX_MILLI:
            raise LimitError(
                f"{self.milli} thousandths of {self.kind}",
                "a limit lies above 0 and at or below 100,000 units",
                "Leave the limit empty if there is no deadline.",
            )


class _Words(msgspec.Struct, frozen=True):
    zh: str
    one: str
    many: str
    also: tuple[str, ...]


_WORDS = {
    Kind.urgent_hour: _Words("紧急工作时", "urgent hour", "urgent hours", ("紧急工作小时", "uh")),
    Kind.working_hour: _Words("工作时", "working hour", "working hours", ("工作小时", "wh")),
    Kind.working_day: _Words("工作日", "working day", "working days", ("工作天", "wd")),
    # 紧急工作日 occurs in one county's table and is read there as a natural day.
    Kind.calendar_day: _Words(
        "自然日", "calendar day", "calendar days", ("自然天", "日历日", "日历天", "紧急工作日", "cd")
    ),
}
_KINDS = {word: kind for kind, words in _WORDS.items() for word in (words.zh, words.one, words.many, *words.also)}

#: The forms that `parse_limit` takes, for messages and help texts.
ACCEPTED = (
    "Write a number and one of: 紧急工作时, 工作时, 工作日, 自然日 (个 may stand between), "
    "urgent hours, working hours, working days, calendar days, or short 3uh, 4wh, 10wd, 30cd."
)
_FORM = re.compile(r"(\d+(?:\.\d+)?)\s*个?\s*(\D+)")


@lru_cache(maxsize=4096)
def parse_limit(text: str) -> Limit:
    """Read `4工作时`, `4个工作时`, `10 working days`, `10wd` or `10 working_day`; full-width digits too.

    Words that leave the kind of clock open (小时, 天, 日, hours, days) are refused, since guessing between working and
    running time would move every deadline. Raises LimitError, which lists the accepted forms.
    """
    plain = unicodedata.normalize("NFKC", text).strip().lower()
    form = _FORM.fullmatch(plain)
    if form is None:
        raise LimitError(text, "no number followed by a unit", ACCEPTED)
    amount, unit = form.groups()
    kind = _KINDS.get(" ".join(unit.replace("_", " ").split()))
    if kind is None:
        raise LimitError(text, "the unit does not say which clock runs", ACCEPTED)
    milli = Decimal(amount) * 1000
    if milli != int(milli):
        raise LimitError(text, "more than three decimals", "Round it to thousandths, or use a smaller unit.")
    if not 0 < milli <= MAX_MILLI:
        raise LimitError(text, "a limit lies above 0 and at or below 100,000", "Leave it empty for none.")
    return Limit(kind, int(milli))


@lru_cache(maxsize=4096)
def limit_text(limit: Limit, lang: str = "zh") -> str:
    """The canonical text, `1.5工作时` or `1.5 working hours`, which `parse_limit` reads back."""
    amount = decimal_text(limit.milli)
    words = _WORDS[limit.kind]
    if lang == "zh":
        return amount + words.zh
    return f"{amount} {words.one if limit.milli == 1000 else words.many}"


def decimal_text(milli: int) -> str:
    """Thousandths as the shortest decimal: 4000 is `4`, 1500 is `1.5`."""
    whole, rest = divmod(milli, 1000)
    return f"{whole}.{rest:03d}".rstrip("0") if rest else str(whole)

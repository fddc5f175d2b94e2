"""What the figures mean: measures that are sums of others, the rates, and the periods that they are read by. Pure.

A measure counts something at a local day; `consumers.performance.fold` says what. The rates, all exact:

- 结案率 close rate = closed ones among the closable / closable. 应结案 (closable): cases with a deadline that were
  closed or fell due in the period.
- 按期结案率 on-time close rate = closed on time / closable.
- 返工率 rework rate = unsolved deciding checks / deciding checks. The published formula is unknown: this is our
  definition.

A local day is a whole number, YYYYMMDD. Figures of a period are published when its days of grace are over; what arrives
later restates them.
"""

from collections.abc import Iterable, Mapping
from datetime import date, timedelta
from typing import NamedTuple

from msgspec import Struct

from schemas.members import Fact

# ---- measures ------------------------------------------------------------------------------------------------


class Measure(Struct, frozen=True):
    """What a kind of case counts: the facts of a type whose members have these values, each once, at its step's day.

    With `per` it is one measure for each value of that member: `reported:patrol`, `reported:hotline`.
    """

    name: str
    fact: type[Fact]
    per: str = ""
    where: tuple[tuple[str, str | bool], ...] = ()

    @property
    def members(self) -> tuple[str, ...]:
        """The members of the fact that it asks for."""
        return (*(member for member, _ in self.where), *filter(None, (self.per,)))


class Sum(Struct, frozen=True):
    """A count that a kind of case shows and nobody stores: measures, less others."""

    name: str
    zh: str
    en: str
    plus: tuple[str, ...]
    minus: tuple[str, ...] = ()

    def of(self, counts: Mapping[str, int]) -> int:
        """Its value."""
        return sum(counts.get(name, 0) for name in self.plus) - sum(counts.get(name, 0) for name in self.minus)


class Ratio(Struct, frozen=True):
    """A rate that only one kind of case has, of counts that it shows."""

    name: str
    zh: str
    en: str
    numerator: str
    denominator: Sum


CLOSED = "closed"
"""The measure of those endings that count as closing (结案). Any other ending has its own."""


class Rate(Struct, frozen=True):
    """A share, exact; `basis_points` rounded half up, None where there is nothing to divide by. `thin` (样本过少): of
    fewer than the pack's `min_n`, by its own denominator."""

    numerator: int
    denominator: int
    basis_points: int | None
    thin: bool = False


class Rates(NamedTuple):
    """The rates of one reading, and the number of closable cases that the first two are made of."""

    close: Rate
    on_time: Rate
    rework: Rate
    closable: int


def with_sums(counts: Mapping[str, int]) -> dict[str, int]:
    """Stored measures, and those that are sums of them. Sums of nothing are left out, as in the store."""
    on_time = counts.get("on_time", 0)
    sums = {
        "reported": sum(value for measure, value in counts.items() if measure.startswith("reported:")),
        CLOSED: on_time + counts.get("closed_late", 0) + counts.get("without_deadline", 0),
        "closable": on_time + counts.get("overdue", 0),
    }
    return {**counts, **{measure: value for measure, value in sums.items() if value}}


def derived(
    counts: Mapping[str, int], sums: Iterable[Sum], ratios: Iterable[Ratio], min_n: int = 0
) -> tuple[dict[str, int], dict[str, Rate]]:
    """What a kind of case shows besides what is stored: its sums, and its rates."""
    shown = {each.name: each.of(counts) for each in sums}
    return shown, {each.name: rate(shown[each.numerator], each.denominator.of(shown), min_n) for each in ratios}


def rates(counts: Mapping[str, int], min_n: int = 0) -> Rates:
    """The rates of counts `with_sums`."""
    on_time, closable = counts.get("on_time", 0), counts.get("closable", 0)
    return Rates(
        close=rate(on_time + counts.get("overdue_closed", 0), closable, min_n),
        on_time=rate(on_time, closable, min_n),
        rework=rate(counts.get("rework", 0), counts.get("verified", 0), min_n),
        closable=closable,
    )


def rate(numerator: int, denominator: int, min_n: int = 0) -> Rate:
    """A rate with its basis points: 2 of 3 are 6667. It is thin where fewer than `min_n` are counted."""
    points = (20_000 * numerator + denominator) // (2 * denominator) if denominator else None
    return Rate(numerator, denominator, points, denominator < min_n)


# ---- periods -------------------------------------------------------------------------------------------------

BEGINNING, EVER = 0, 99_991_231
"""The days of a reading without a first day, or without a last one."""
MONTHS = {"month": 1, "quarter": 3, "half": 6, "year": 12}
"""Periods of whole months, with their length. Beside them `day`, `week` from Monday to Sunday, and `half_month`: to the
15th, and from the 16th on."""
PERIODS = ("day", "week", "half_month", *MONTHS)


def period_bounds(day: int, period: str) -> tuple[int, int]:
    """First and last local day of the period that holds `day`; ValueError for an unknown period or no day."""
    when = to_date(day)
    if period == "day":
        return day, day
    if period == "week":
        monday = when - timedelta(days=when.weekday())
        return to_day(monday), to_day(monday + timedelta(days=6))
    if period == "half_month" and when.day <= 15:
        return to_day(when.replace(day=1)), to_day(when.replace(day=15))
    months = MONTHS.get("month" if period == "half_month" else period)
    if months is None:
        raise ValueError(f"no such period: choose one of {', '.join(PERIODS)}")
    first = (when.month - 1) // months * months
    year, month = divmod(when.year * 12 + first + months, 12)
    begin = date(when.year, first + 1, 16 if period == "half_month" else 1)
    return to_day(begin), to_day(date(year, month + 1, 1) - timedelta(days=1))


def publication_day(last: int, grace_days: int) -> int:
    """The local day at whose end a period that ended on `last` counts as published."""
    return to_day(to_date(last) + timedelta(days=grace_days))


def to_date(day: int) -> date:
    """YYYYMMDD as a date; ValueError where it is none."""
    return date(day // 10_000, day // 100 % 100, day % 100)


def to_day(when: date) -> int:
    """A date as YYYYMMDD."""
    return when.year * 10_000 + when.month * 100 + when.day

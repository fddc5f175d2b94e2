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

from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import date, timedelta
from typing import Literal, NamedTuple

from msgspec import Struct

from schemas.members import Fact

# ---- measures ------------------------------------------------------------------------------------------------


Better = Literal["higher", "lower", ""]
"""Which way a figure is better; empty: neither, it only says how much there was."""


class Measure(Struct, frozen=True):
    """What a kind of case counts: the facts of a type whose members have these values, each once, at its step's day.

    With `per` it is one measure for each value of that member: `reported:patrol`, `reported:hotline`. `zh` and `en` say
    in a sentence what is counted. It counts where the problem lies; `charged`: at the unit that the fact names so.
    """

    name: str
    fact: type[Fact]
    per: str = ""
    where: tuple[tuple[str, str | bool], ...] = ()
    zh: str = ""
    en: str = ""
    better: Better = ""
    charged: bool = False

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
    """A rate that only one kind of case has, of counts that it shows. A `rare` one is shown only where there is
    something below its line."""

    name: str
    zh: str
    en: str
    numerator: str
    denominator: Sum
    better: Better = "higher"
    rare: bool = False


REPORTED = "reported"
"""The measure of those that have begun with a report."""
CLOSED = "closed"
"""The measure of those endings that count as closing (结案). Any other ending has its own."""
AFTER_EXEMPTION = "on_time_rate_after"
"""The on-time rate without what is exempted, beside the one with it: of closing, and of each clock."""
EACH = ":*"
"""Ends the name of what stands for every measure of one kind: `reported:*`."""
COMPOSED: dict[str, tuple[str, ...]] = {
    REPORTED: (f"{REPORTED}{EACH}",),
    CLOSED: ("on_time", "closed_late", "without_deadline"),
    "closable": ("on_time", "overdue"),
}
"""The sums of any kind of case that nobody stores."""
SHARES: dict[str, tuple[tuple[str, ...], str]] = {
    "close_rate": (("on_time", "overdue_closed"), "closable"),
    "on_time_rate": (("on_time",), "closable"),
    "rework_rate": (("rework",), "verified"),
}
"""The rates of any kind of case: the measures above the line, and the one below it."""


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


class Terms(NamedTuple):
    """What a figure is made of: stored measures, each with how often it is added (or taken away). A rate has some below
    the line too; None: it is a count."""

    numerator: dict[str, int]
    denominator: dict[str, int] | None = None


def weigh(names: Mapping[str, int], sums: Iterable[Sum] = ()) -> dict[str, int]:
    """Measures with their weights; those that are sums as what is stored of them."""
    known, found = {each.name: each for each in sums}, Counter[str]()
    for name, weight in names.items():
        parts = {name: weight}
        if name in known:
            parts = dict.fromkeys(known[name].plus, weight) | dict.fromkeys(known[name].minus, -weight)
        for part, times in parts.items():
            for stored in COMPOSED.get(part, (part,)):
                found[stored] += times
    return {name: weight for name, weight in found.items() if weight}


def terms_of(name: str, sums: Iterable[Sum] = (), ratios: Iterable[Ratio] = ()) -> Terms:
    """What a figure of this name is made of; a name that is no sum and no rate is that measure itself."""
    sums = tuple(sums)
    if name in SHARES:
        above, below = SHARES[name]
        return Terms(weigh(dict.fromkeys(above, 1)), weigh({below: 1}))
    for ratio in ratios:
        if ratio.name == name:
            whole = dict.fromkeys(ratio.denominator.plus, 1) | dict.fromkeys(ratio.denominator.minus, -1)
            return Terms(weigh({ratio.numerator: 1}, sums), weigh(whole, sums))
    return Terms(weigh({name: 1}, sums))


def with_sums(counts: Mapping[str, int]) -> dict[str, int]:
    """Stored measures, and those that are sums of them. Sums of nothing are left out, as in the store."""
    sums = {name: sum(taken(counts, part) for part in parts) for name, parts in COMPOSED.items()}
    return {**counts, **{measure: value for measure, value in sums.items() if value}}


def taken(counts: Mapping[str, int], part: str) -> int:
    """The count of a measure, or of every measure of one kind."""
    if not part.endswith(EACH):
        return counts.get(part, 0)
    begin = part.removesuffix("*")
    return sum(value for measure, value in counts.items() if measure.startswith(begin))


def derived(
    counts: Mapping[str, int], sums: Iterable[Sum], ratios: Iterable[Ratio], min_n: int = 0
) -> tuple[dict[str, int], dict[str, Rate]]:
    """What a kind of case shows besides what is stored: its sums, and its rates."""
    shown = {each.name: each.of(counts) for each in sums}
    known = {**counts, **shown}
    below = {each: number for each in ratios if (number := each.denominator.of(known)) or not each.rare}
    return shown, {each.name: rate(known.get(each.numerator, 0), number, min_n) for each, number in below.items()}


def rates(counts: Mapping[str, int], min_n: int = 0) -> Rates:
    """The rates of counts `with_sums`."""
    close, on_time, rework = (
        rate(sum(counts.get(name, 0) for name in above), counts.get(below, 0), min_n)
        for above, below in SHARES.values()
    )
    return Rates(close, on_time, rework, counts.get("closable", 0))


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

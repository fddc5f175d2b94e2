"""What the value of a target's year is, and whether it was reached. Pure, exact, and computed anew from what was
measured: nothing else is stored of it than the answer.

1. Every value is a number: as it was recorded, or the air quality index of its day, or the class of its section.
2. A section of a river has the class of the means of its items over the year, not the mean of classes.
3. The year's value is by the method of the row: the `value` of the last period; the `mean` or the `sum` of all values,
   each counted alike; the `count` of those that keep the condition `each`, or their `share` in percent.
4. Where the row says to how many decimals, the year's value is rounded to them, once, half to even (GB/T 8170), and
   compared as it is rounded (修约值比较法). Else it is compared as it is (全数值比较法), and shown with up to six.
5. A value that no standard in force at its time judges leaves the whole year unscored, with that reason. So do fewer
   values than the row asks for, and a row without a value.
"""

from collections import defaultdict
from datetime import date
from fractions import Fraction
from typing import NamedTuple

from schemas.kinds.target import MET, MISSED, UNSCORED, Measured, Outcome, Target
from workflows.figures import period_bounds, to_day
from workflows.targets.standards import Judged, air_index, rounded, water_class

METHODS = ("value", "mean", "sum", "count", "share")
COMPARISONS = ("<=", ">=", "<", ">", "=")
INDEXES = ("", "aqi", "water")
SHOWN_PLACES = 6


class Counted(NamedTuple):
    """A number that enters the year's value: of a station in a period, or of a section in the year. `standard` judged
    it, by these items; `within`: it keeps the condition of the row; `reason`: why it is none."""

    station: str
    period: str
    number: Fraction | None
    standard: str = ""
    by: tuple[str, ...] = ()
    within: bool = False
    reason: str = ""


class Score(NamedTuple):
    """What came of it: the year's value as decimal text, empty where there is none; from how many numbers, of which so
    many keep the row's condition."""

    outcome: Outcome
    value: str = ""
    reason: str = ""
    used: int = 0
    within: int = 0


def days_of(period: str) -> tuple[int, int]:
    """First and last local day of a period as people write it; ValueError where there is no such day."""
    year, _, rest = period.partition("-")
    first = int(year) * 10_000 + 101
    if not rest:
        return period_bounds(first, "year")
    if rest[0] in "QH":
        months, name = (3, "quarter") if rest[0] == "Q" else (6, "half")
        return period_bounds(first + (int(rest[1:]) - 1) * months * 100, name)
    if "-" in rest:
        day = to_day(date.fromisoformat(period))
        return day, day
    if not 1 <= int(rest) <= 12:
        raise ValueError("there is no such month")
    return period_bounds(first + (int(rest) - 1) * 100, "month")


def kind_of(period: str) -> str:
    """What kind of period a text is: year, half, quarter, month or day."""
    rest = period[5:]
    return {"": "year", "H": "half", "Q": "quarter"}.get(rest[:1], "day" if "-" in rest else "month")


def keeps(number: Fraction, comparison: str, bound: Fraction) -> bool:
    """Whether a number is as a comparison asks."""
    match comparison:
        case "<=":
            return number <= bound
        case ">=":
            return number >= bound
        case "<":
            return number < bound
        case ">":
            return number > bound
    return number == bound


def condition_of(each: str) -> tuple[str, str]:
    """The comparison and the number of a condition such as `<=100`; empty ones where it is none."""
    comparison = next((sign for sign in COMPARISONS if each.startswith(sign)), "")
    return comparison, each.removeprefix(comparison) if comparison else ""


def counted_of(kept: Target) -> list[Counted]:
    """All numbers of a target, in order of station and period."""
    measured = sorted(kept.measured, key=lambda each: (each.station, each.period))
    found = sections_of(kept, measured) if kept.index == "water" else [number_of(kept, each) for each in measured]
    comparison, bound = condition_of(kept.each)
    if not comparison:
        return found
    return [
        each._replace(within=each.number is not None and keeps(each.number, comparison, Fraction(bound)))
        for each in found
    ]


def number_of(kept: Target, each: Measured) -> Counted:
    """The number of one value: itself, or the index of its day."""
    first, last = days_of(each.period)
    place = each.station, each.period
    if not in_force(kept, first, last):
        return Counted(*place, None, kept.standard, reason="not_in_force")
    if each.value:
        return Counted(*place, Fraction(each.value), kept.standard)
    if kept.index != "aqi":
        return Counted(*place, None, reason="no_items")
    if first != last:
        return Counted(*place, None, reason="no_day")
    return judged_as(place, air_index(first, {item: Fraction(value) for item, value in each.parts}))


def sections_of(kept: Target, measured: list[Measured]) -> list[Counted]:
    """The class of each section in the year: as it was recorded, or of the means of its items."""
    sections: dict[str, list[Measured]] = defaultdict(list)
    for each in measured:
        sections[each.station].append(each)
    found = list[Counted]()
    for station, of_section in sections.items():
        place, classes = (station, str(kept.year)), [each.value for each in of_section if each.value]
        if not all(in_force(kept, *days_of(each.period)) for each in of_section):
            found.append(Counted(*place, None, kept.standard, reason="not_in_force"))
        elif classes:
            alone = len(of_section) == 1
            number = Fraction(classes[0]) if alone else None
            found.append(Counted(*place, number, kept.standard, reason="" if alone else "no_mean"))
        else:
            items: dict[str, list[Fraction]] = defaultdict(list)
            for each in of_section:
                for item, value in each.parts:
                    items[item].append(Fraction(value))
            means = {item: sum(values, Fraction(0)) / len(values) for item, values in items.items()}
            found.append(judged_as(place, water_class(kept.year * 10_000 + 1231, means)))
    return found


def judged_as(place: tuple[str, str], judged: Judged) -> Counted:
    """What a table says, as a number of a place."""
    number = None if judged.number is None else Fraction(judged.number)
    return Counted(*place, number, judged.standard, judged.by, reason=judged.reason)


def in_force(kept: Target, first: int, last: int) -> bool:
    """Whether the standard of the row holds for all days of a period."""
    return kept.standard_from <= first and (not kept.standard_to or last <= kept.standard_to)


def score(kept: Target) -> Score:
    """The value of the year by what was measured so far, and what it means."""
    found = counted_of(kept)
    within, used = sum(each.within for each in found), len(found)
    reason = next((each.reason for each in found if each.reason), "")
    if not reason and used < max(kept.least, 1):
        reason = "too_few"
    if not reason and kept.method == "value":
        last = max(days_of(each.period)[1] for each in found)
        reason = "many_values" if sum(days_of(each.period)[1] == last for each in found) > 1 else ""
    if reason:
        return Score(UNSCORED, "", reason if kept.bound else "no_value", used, within)
    exact = year_value(kept, found)
    text = shown(exact, kept.places)
    if not kept.bound:
        return Score(UNSCORED, text, "no_value", used, within)
    compared = Fraction(text) if kept.places >= 0 else exact
    outcome: Outcome = MET if keeps(compared, kept.comparison, Fraction(kept.bound)) else MISSED
    return Score(outcome, text, "", used, within)


def year_value(kept: Target, found: list[Counted]) -> Fraction:
    """The value of the year by the method of the row, exact."""
    numbers = [each.number for each in found if each.number is not None]
    within = Fraction(sum(each.within for each in found))
    match kept.method:
        case "value":
            last = max(found, key=lambda each: days_of(each.period)[1])
            return last.number or Fraction(0)
        case "sum":
            return sum(numbers, Fraction(0))
        case "count":
            return within
        case "share":
            return 100 * within / len(found)
    return sum(numbers, Fraction(0)) / len(numbers)


def shown(value: Fraction, places: int) -> str:
    """A number as decimal text: with so many decimals, or (-1) with as few as it takes, six at most."""
    if places >= 0:
        return f"{rounded(value, places):f}"
    text = f"{rounded(value, SHOWN_PLACES):f}"
    return text.rstrip("0").rstrip(".")

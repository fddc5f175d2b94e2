"""What measured values mean by the standards in force at their time: the air quality index, and classes of river water.

Each table is copied from the text of its standard, and holds from its first day to its last. A day for which no table
stands here has no index and no class. Exact: fractions in, whole numbers out.

- HJ 633-2012 环境空气质量指数（AQI）技术规定（试行）, in force since 2016-01-01: table 1, formulas (1) and (2), 6.2.
- HJ 633-2026 环境空气质量指数（AQI）技术规定, in its place since 2026-03-01: table 3, 4.2.2, 4.2.6, 5.3.1.
- GB 3838-2002 地表水环境质量标准, in force since 2002-06-01: of table 1 the six items that rivers are mostly judged by,
  total phosphorus as for rivers. Total nitrogen is none of them: rivers are not judged by it. A section has the class
  of its worst item (单因子评价法, 地表水环境质量评价办法（试行）, 2011).
"""

from collections.abc import Mapping
from decimal import Decimal
from fractions import Fraction
from typing import Literal, NamedTuple

Reason = Literal["", "no_table", "no_items", "unknown_item", "incomplete", "no_day"]
"""Why there is no index or no class: no table of that day, nothing that it knows, something that it does not know, too
little to say, or no single day."""

IAQI = (0, 50, 100, 150, 200, 300, 400, 500)
"""空气质量分指数: what the columns of the tables stand for."""
HEAVIEST = 300
"""严重污染 is an index above this (表 2 of HJ 633-2012, 表 1 of HJ 633-2026)."""
GOOD = 100
"""优良 is an index up to this."""
DAILY = ("so2", "no2", "pm10", "co", "o3_8h", "pm25")
"""The means of a day by which its index is made; co in mg/m3, the others in ug/m3, o3_8h the highest of eight hours."""
POORER = 6
"""劣Ⅴ: worse than class V."""


class AirTable(NamedTuple):
    """Concentrations that stand for the numbers of `IAQI`, by item, from a day to a day (YYYYMMDD; 0: open)."""

    standard: str
    first: int
    last: int
    items: dict[str, tuple[int, ...]]
    rounds: bool  # concentrations are rounded first: whole ug/m3, one decimal of mg/m3 (GB/T 8170)
    o3_above: int  # the number of o3_8h above its last concentration; 0: it has none, and o3_1h counts


SAME = {
    "so2": (0, 50, 150, 475, 800, 1600, 2100, 2620),
    "no2": (0, 40, 80, 180, 280, 565, 750, 940),
    "co": (0, 2, 4, 14, 24, 36, 48, 60),
    "o3_1h": (0, 160, 200, 300, 400, 800, 1000, 1200),
    "o3_8h": (0, 100, 160, 215, 265, 800),
}
"""The columns that are alike in both tables."""
AIR = (
    AirTable(
        "HJ 633-2012",
        20160101,
        20260228,
        {**SAME, "pm10": (0, 50, 150, 250, 350, 420, 500, 600), "pm25": (0, 35, 75, 115, 150, 250, 350, 500)},
        rounds=False,
        o3_above=0,
    ),
    AirTable(
        "HJ 633-2026",
        20260301,
        0,
        {**SAME, "pm10": (0, 50, 120, 250, 350, 420, 500, 600), "pm25": (0, 35, 60, 115, 150, 250, 350, 500)},
        rounds=True,
        o3_above=300,
    ),
)

WATER_STANDARD = "GB 3838-2002"
WATER_SINCE = 20020601
WATER = {
    "codmn": ("2", "4", "6", "10", "15"),
    "cod": ("15", "15", "20", "30", "40"),
    "bod5": ("3", "3", "4", "6", "10"),
    "nh3n": ("0.15", "0.5", "1.0", "1.5", "2.0"),
    "tp": ("0.02", "0.1", "0.2", "0.3", "0.4"),
}
"""mg/L, at most, of classes I to V."""
OXYGEN = ("7.5", "6", "5", "3", "2")
"""Dissolved oxygen (`do`), mg/L, at least. That class I is also met at 90 % of saturation is not asked here: nobody
measures that, and a class II in its place is as good for every target of rivers."""
ITEMS = (*DAILY, "o3_1h", *WATER, "do")
"""Everything that a measurement may have parts of."""


class Judged(NamedTuple):
    """An index or a class, the standard by which it is one, and the items that made it so; or why there is none."""

    number: int | None
    standard: str = ""
    by: tuple[str, ...] = ()
    reason: Reason = ""


def air_table(day: int) -> AirTable | None:
    """The table in force on a day (YYYYMMDD)."""
    return next((t for t in AIR if t.first <= day and (not t.last or day <= t.last)), None)


def rounded(value: Fraction, places: int) -> Decimal:
    """A number with so many decimals, half to even (GB/T 8170: 四舍六入五成双), in one step."""
    scaled = value * 10**places
    whole, left = divmod(scaled.numerator, scaled.denominator)
    twice = 2 * left
    up = twice > scaled.denominator or (twice == scaled.denominator and whole % 2 == 1)
    return Decimal(whole + up).scaleb(-places)


def sub_index(value: Fraction, limits: tuple[int, ...]) -> int:
    """空气质量分指数 of a concentration, by formula (1), rounded up to a whole number. Above the last concentration of
    the table it is the last number: that it is as bad is all that the table says."""
    for low, high, below, above in zip(limits, limits[1:], IAQI, IAQI[1:], strict=False):
        if value <= high:
            index = Fraction(above - below, high - low) * (value - low) + below
            return -(-index.numerator // index.denominator)
    return IAQI[len(limits) - 1]


def air_index(day: int, parts: Mapping[str, Fraction]) -> Judged:
    """空气质量指数 of a day by its means: the highest number of any item.

    Where one of the six is missing there is an index only if the others show one above 100 (HJ 633-2026, 5.3.1; that
    the same is asked of days before is ours: HJ 633-2012 says only that the missing item is to be named).
    """
    table = air_table(day)
    if table is None:
        return Judged(None, reason="no_table")
    if any(item not in table.items for item in parts):
        return Judged(None, table.standard, reason="unknown_item")
    numbers = dict[str, int]()
    for item, value in parts.items():
        if table.rounds:
            value = Fraction(rounded(value, 1 if item == "co" else 0))
        if item == "o3_8h" and value > table.items[item][-1]:
            if table.o3_above:
                numbers[item] = table.o3_above
        elif item != "o3_1h" or not table.rounds:  # the later standard makes no daily index of it
            numbers[item] = sub_index(value, table.items[item])
    if not numbers:
        return Judged(None, table.standard, reason="no_items")
    index = max(numbers.values())
    if index <= GOOD and any(item not in numbers for item in DAILY):
        return Judged(None, table.standard, reason="incomplete")
    return Judged(index, table.standard, tuple(item for item in numbers if numbers[item] == index))


def water_class(day: int, parts: Mapping[str, Fraction]) -> Judged:
    """The class of a river's section by its worst item: 1 to 5, and 6 where it is worse than V."""
    if day < WATER_SINCE:
        return Judged(None, reason="no_table")
    if any(item != "do" and item not in WATER for item in parts):
        return Judged(None, WATER_STANDARD, reason="unknown_item")
    classes = {
        item: class_of(value, OXYGEN, at_least=True) if item == "do" else class_of(value, WATER[item])
        for item, value in parts.items()
    }
    if not classes:
        return Judged(None, WATER_STANDARD, reason="no_items")
    worst = max(classes.values())
    return Judged(worst, WATER_STANDARD, tuple(item for item in classes if classes[item] == worst))


def class_of(value: Fraction, limits: tuple[str, ...], *, at_least: bool = False) -> int:
    """The best class whose limit a value keeps."""
    for number, limit in enumerate(limits, 1):
        if value >= Fraction(limit) if at_least else value <= Fraction(limit):
            return number
    return POORER

"""Tables of the standards: the air quality index and classes of river water, at and beside every boundary.

In: concentrations of a day or a section. Out: the index, its class, by which items; or why there is none.
"""

from __future__ import annotations

from fractions import Fraction

import pytest

from workflows.targets.standards import AIR, DAILY, HEAVIEST, IAQI, air_index, rounded, sub_index, water_class

OLD, NEW = 20200601, 20260601
CLEAN = {"so2": "5", "no2": "10", "pm10": "20", "co": "0.5", "o3_8h": "40", "pm25": "10"}


def index(day: int, **parts: str) -> int | str:
    """The index of a day that is clean but for these, or why there is none."""
    found = air_index(day, {item: Fraction(value) for item, value in {**CLEAN, **parts}.items()})
    return found.reason if found.number is None else found.number


def water(day: int = OLD, **parts: str) -> int | str:
    """The class of a section, or why there is none."""
    found = water_class(day, {item: Fraction(value) for item, value in parts.items()})
    return found.reason if found.number is None else found.number


def test_every_column_rises_with_the_numbers_that_it_stands_for():
    for table in AIR:
        assert {*DAILY} <= table.items.keys()
        for limits in table.items.values():
            assert list(limits) == sorted(set(limits)) and len(limits) <= len(IAQI)
            for limit, number in zip(limits, IAQI, strict=False):
                assert sub_index(Fraction(limit), limits) == number


@pytest.mark.mechanism("M108")
@pytest.mark.parametrize(
    ("day", "item", "value", "expected"),
    [
        # HJ 633-2012: good up to 75 of PM2.5 and 150 of PM10, the index rounded up
        (OLD, "pm25", "35", 50),
        (OLD, "pm25", "35.1", 51),
        (OLD, "pm25", "75", 100),
        (OLD, "pm25", "75.1", 101),
        (OLD, "pm10", "150", 100),
        (OLD, "pm10", "151", 101),
        (OLD, "pm25", "250", 300),
        (OLD, "pm25", "250.1", 301),  # heavy
        (OLD, "pm25", "500", 500),
        (OLD, "pm25", "900", 500),
        (OLD, "so2", "475", 150),
        (OLD, "no2", "80", 100),
        (OLD, "co", "4", 100),
        (OLD, "co", "4.1", 101),
        (OLD, "o3_8h", "160", 100),
        (OLD, "o3_8h", "800", 300),
        # HJ 633-2026: 60 and 120, of concentrations that are rounded first
        (NEW, "pm25", "60", 100),
        (NEW, "pm25", "60.5", 100),  # half to even: 60
        (NEW, "pm25", "61.5", 102),  # half to even: 62
        (NEW, "pm10", "120", 100),
        (NEW, "pm10", "121", 101),
        (NEW, "co", "4.05", 100),  # half to even: 4.0
        (NEW, "co", "4.15", 101),
        (NEW, "o3_8h", "801", 300),
    ],
)
def test_the_index_is_read_off_the_table_of_its_day(day: int, item: str, value: str, expected: int):
    assert index(day, **{item: value}) == expected


def test_the_day_decides_by_which_table():
    assert index(20260228, pm25="70") == 94  # 50 + 50 * 35/40, up
    assert index(20260301, pm25="70") == 110
    assert index(20151231) == "no_table" and index(20160101) == 20
    assert HEAVIEST == 300


def test_ozone_of_an_hour_counts_where_the_table_says_so():
    assert index(OLD, o3_8h="801", o3_1h="1000") == 400
    assert index(OLD, o3_8h="801") == "incomplete"  # no index of eight hours, and none of an hour
    assert index(OLD, o3_1h="1200") == 500
    assert index(NEW, o3_1h="1200") == 20  # a day has no index of it any more


def test_a_day_that_lacks_an_item_has_an_index_only_where_the_others_show_it_bad():
    for day in (OLD, NEW):
        parts = {item: Fraction(value) for item, value in CLEAN.items() if item != "co"}
        assert air_index(day, parts).reason == "incomplete"
        assert air_index(day, {**parts, "pm25": Fraction(200)}).number == 250
        assert air_index(day, {}).reason == "no_items"
        assert air_index(day, {"tp": Fraction(1)}).reason == "unknown_item"


def test_the_items_that_make_the_index_are_named():
    found = air_index(OLD, {"pm25": Fraction(115), "o3_8h": Fraction(215), "so2": Fraction(1)})
    assert (found.number, found.by, found.standard) == (150, ("pm25", "o3_8h"), "HJ 633-2012")


@pytest.mark.mechanism("M138")
@pytest.mark.parametrize(
    ("parts", "expected"),
    [
        ({"nh3n": "0.15"}, 1),
        ({"nh3n": "0.151"}, 2),
        ({"nh3n": "1.0"}, 3),
        ({"nh3n": "1.01"}, 4),
        ({"nh3n": "2"}, 5),
        ({"nh3n": "2.01"}, 6),
        ({"do": "7.5"}, 1),
        ({"do": "7.49"}, 2),
        ({"do": "5"}, 3),
        ({"do": "4.99"}, 4),
        ({"do": "1.99"}, 6),
        ({"tp": "0.2"}, 3),
        ({"tp": "0.21"}, 4),
        ({"cod": "15"}, 1),
        ({"cod": "20"}, 3),
        ({"codmn": "6"}, 3),
        ({"bod5": "4.1"}, 4),
        ({"cod": "10", "tp": "0.5", "do": "8"}, 6),  # the worst one
    ],
)
def test_a_section_has_the_class_of_its_worst_item(parts: dict[str, str], expected: int):
    assert water(OLD, **parts) == expected


def test_water_before_the_standard_or_of_other_items_has_no_class():
    assert water(20020531, tp="0.1") == "no_table"
    assert water(20020601, tp="0.1") == 2
    assert water(pm25="1") == "unknown_item" and water() == "no_items"


@pytest.mark.parametrize(
    ("value", "places", "text"),
    [
        ("12.1498", 0, "12"),
        ("12.1498", 1, "12.1"),
        ("10.5002", 0, "11"),
        ("1.050", 1, "1.0"),
        ("0.35", 1, "0.4"),
        ("2.5", 0, "2"),
        ("3.5", 0, "4"),
        ("-2.5", 0, "-2"),
        ("8.53459", 2, "8.53"),  # in one step
    ],
)
def test_numbers_are_rounded_half_to_even_and_once(value: str, places: int, text: str):
    assert f"{rounded(Fraction(value), places):f}" == text

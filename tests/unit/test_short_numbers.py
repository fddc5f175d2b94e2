"""Short numbers: the same for ever, and what is misheard is noticed."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.short_numbers import CHECK, check_digit, short_number, spoken, written_number
from tests.support.builders import subject

NUMBERS = st.integers(0, 10**8 - 1).map(lambda n: f"{n:08d}").map(lambda digits: digits + check_digit(digits))


def test_the_number_of_a_case_never_changes() -> None:
    """Callers have it on paper."""
    assert short_number("WY01.019ca8f8-5a00-7000-8000-000000000001") == "429367807"


@given(NUMBERS, st.integers(0, 8), st.integers(1, 9))
def test_each_wrong_digit_is_noticed(number: str, place: int, by: int) -> None:
    wrong = str((int(number[place]) + by) % 10)
    assert check_digit(number) == "0" != check_digit(number[:place] + wrong + number[place + 1 :])


@given(NUMBERS, st.integers(0, 7))
def test_each_swap_of_neighbours_is_noticed(number: str, place: int) -> None:
    swapped = number[:place] + number[place + 1] + number[place] + number[place + 2 :]
    assert swapped == number or check_digit(swapped) != "0"


def test_the_table_is_a_quasigroup_that_no_swap_leaves_as_it_was() -> None:
    rows = [[int(digit) for digit in row] for row in CHECK]
    assert all(sorted(line) == list(range(10)) for line in [*rows, *map(list, zip(*rows, strict=True))])
    assert all(rows[i][i] == 0 for i in range(10))
    assert all(rows[rows[c][x]][y] != rows[rows[c][y]][x] for c in range(10) for x in range(10) for y in range(x))


@pytest.mark.parametrize(
    ("said", "digits"),
    [
        ("482913605", "482913605"),
        ("482 913 605", "482913605"),
        (" 482-913-605 ", "482913605"),
        ("４８２ ９１３ ６０５", "482913605"),
        ("48291360", None),
        ("101001354519", None),
        ("48291360a", None),
        ("", None),
    ],
)
def test_a_number_is_read_as_people_write_it(said: str, digits: str | None) -> None:
    assert written_number(said) == digits


def test_it_is_said_in_groups_of_three() -> None:
    assert spoken("482913605") == "482 913 605"


def test_numbers_are_spread_evenly() -> None:
    firsts = Counter(short_number(subject("WY01", n))[0] for n in range(2000))
    assert set(firsts) == set("0123456789") and max(firsts.values()) < 280

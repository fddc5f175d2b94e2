"""A deflated text comes back to the byte, whatever it is; a text of before is read as it stands."""

from __future__ import annotations

import sqlite3
import zlib
from contextlib import closing
from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.store import deflating
from engine.store.deflating import FILES, LINES, STEPS, deflated, inflated
from schemas import facts
from tests.support.histories import Choice, live

KEPT = {
    STEPS: "50704dd8b22e5ac52ec6fb00eed66136f536ae56c3275e37fbcfabfee6084883",
    LINES: "addb1578b4d32fb6f23db7330fe4bc50ce2ac7e0606d7e57ad14a88ed8f253e1",
}
"""Each dictionary's SHA-256. Rows were written with it: another text is another file under the next number."""
LIVES = [live(number, [Choice(number + k * 7, 60_000, 0, k % 4) for k in range(9)]) for number in range(1, 13)]
BODIES = [facts.encode_facts(step.facts).decode() for life in LIVES for step in life.steps]


@given(st.text() | st.text('{}"abc:,é网😀', min_size=200), st.sampled_from(sorted(FILES)))
def test_any_text_comes_back(text: str, number: int) -> None:
    stored = deflated(text, number)
    assert inflated(stored) == text
    assert isinstance(stored, str) or len(stored) < len(text.encode())


def test_a_step_takes_a_third_and_many_come_back_one_after_another() -> None:
    stored = [deflated(body, STEPS) for body in BODIES]
    assert [inflated(each) for each in stored] == BODIES
    assert sum(map(len, stored)) * 3 < sum(len(body.encode()) for body in BODIES)


def test_what_is_no_blob_is_as_it_stands() -> None:
    assert inflated("[]") == "[]" and inflated("") == "" and inflated(None) is None
    assert deflated("[]", STEPS) == "[]"


def test_a_number_keeps_its_dictionary_for_ever() -> None:
    found = {number: sha256(deflating.dictionary(number)).hexdigest() for number in FILES}
    assert found == KEPT
    assert all(len(deflating.dictionary(number)) <= (1 << -deflating.WINDOW) - 262 for number in FILES)


@pytest.mark.parametrize("damaged", [b"\x63abc", deflated(BODIES[0], STEPS)[:9], b""])
def test_a_damaged_value_is_an_error_and_no_text(damaged: bytes) -> None:
    with pytest.raises((zlib.error, LookupError, ValueError)):
        inflated(damaged)
    with closing(sqlite3.connect(":memory:")) as raw:
        raw.create_function("inflated", 1, inflated, deterministic=True)
        with pytest.raises(sqlite3.OperationalError, match="user-defined function"):
            raw.execute("SELECT inflated(?)", (damaged,)).fetchone()

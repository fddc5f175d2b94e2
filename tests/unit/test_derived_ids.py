"""Derived ids: the published vectors, the shape that the door asks for, and that no two duties share one."""

from __future__ import annotations

import hashlib
import json
from typing import Any
from uuid import UUID

import pytest

from schemas.derived_ids import derived_subject, home_subject, instant_of
from schemas.envelope import is_subject
from schemas.partition import home_of
from tests.support.source_files import ROOT

VECTORS = json.loads((ROOT / "docs" / "derived-ids.json").read_text(encoding="utf-8"))
NAMES = [vector["text"] for vector in VECTORS]


def derived_as_the_page_says(home: str, text: str, begins: int) -> str:
    """The six steps of docs/derived-ids.md, in the words of the page and without our code."""
    digest = hashlib.sha256(text.encode("utf-8")).hexdigest()
    number = int(f"{begins:012x}{digest[:20]}", 16)
    number = number & ~(0xF << 76) | 0x7 << 76
    number = number & ~(0x3 << 62) | 0x2 << 62
    return f"{home}.{UUID(int=number)}"


@pytest.mark.parametrize("vector", VECTORS, ids=NAMES)
def test_the_code_and_the_page_give_what_is_published(vector):
    given = vector["input"]
    if given["definition"] == "home":
        found = home_subject(given["home"])
    else:
        found = derived_subject(**{**given, "first_day": int(given["first_day"])})
    assert found == vector["subject"] == derived_as_the_page_says(given["home"], vector["text"], given["begins"])


@pytest.mark.parametrize("vector", VECTORS, ids=NAMES)
def test_a_derived_id_is_a_subject_that_the_door_takes_and_says_when_its_period_begins(vector):
    subject = vector["subject"]
    assert is_subject(subject) and home_of(subject) == vector["input"]["home"]
    found = UUID(subject[-36:])
    assert (found.version, found.variant) == (7, "specified in RFC 4122")
    assert instant_of(subject) == vector["input"]["begins"]


def test_each_part_of_a_duty_makes_another_id():
    told: dict[str, Any] = dict(home="WY01", definition="duty", row="PATROL", post="A", first_day=20260302, begins=1)
    others: list[dict[str, Any]] = [
        {"home": "WY02"},
        {"definition": "petition"},
        {"row": "ROUND"},
        {"post": "B"},
        {"first_day": 20260303},
        {"begins": 2},
        {"row": "A", "post": "PATROL"},
    ]
    found = {derived_subject(**told), *(derived_subject(**{**told, **other}) for other in others)}
    assert len(found) == len(others) + 1


@pytest.mark.parametrize("begins", [-1, 1 << 48])
def test_an_instant_that_no_id_holds_is_refused(begins):
    with pytest.raises(ValueError, match="48 bits"):
        derived_subject("WY01", "duty", "PATROL", "A", 20260302, begins)

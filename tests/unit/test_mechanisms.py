"""Every rule of the founding texts has a test that shows it, or a reason why none does.

Enters: the table of rules and the marks of all tests. Leaves: nothing; docs/mechanisms.md is what they give.
"""

from __future__ import annotations

import pytest

from tests.support.mechanisms import PAGE, Mechanism, marks_in, read_mechanisms, rendered, shown_by


def missing(mechanisms: list[Mechanism], tests: dict[str, list[str]]) -> list[str]:
    """What is wrong: a rule without test and reason, one with both, a mark of a rule that there is not."""
    said = []
    for number, _, _, why in mechanisms:
        if not why and number not in tests:
            said.append(f"{number} has neither test nor reason")
        if why and number in tests:
            said.append(f"{number} has a test and says why it has none")
    return said + [f"{number} is no rule" for number in sorted(tests.keys() - {each.number for each in mechanisms})]


def test_each_rule_is_shown_or_says_why_not():
    assert missing(read_mechanisms(), shown_by()) == []


def test_the_rules_are_m1_to_m140():
    assert [each.number for each in read_mechanisms()] == [f"M{number}" for number in range(1, 141)]


def test_the_page_is_what_rules_and_marks_give():
    assert PAGE.read_text(encoding="utf-8") == rendered(read_mechanisms(), shown_by()), (
        "write it anew: python -m tests.support.mechanisms"
    )


@pytest.mark.parametrize(
    ("why", "tests", "said"),
    [
        ("", {}, ["M1 has neither test nor reason"]),
        ("it asks for nothing", {}, []),
        ("it asks for nothing", {"M1": ["a.py::t"]}, ["M1 has a test and says why it has none"]),
        ("", {"M1": ["a.py::t"], "M141": ["a.py::t"]}, ["M141 is no rule"]),
    ],
)
def test_what_is_missing_is_named(why, tests, said):
    assert missing([Mechanism("M1", "文", "A rule", why)], tests) == said


def test_a_mark_may_name_several_rules():
    source = '@pytest.mark.mechanism("M1", "M2")\ndef test_it():\n    pass\n\ndef test_other():\n    pass\n'
    assert list(marks_in(source)) == [("M1", "test_it"), ("M2", "test_it")]

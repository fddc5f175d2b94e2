"""The figures of the house stay within their bounds."""

from __future__ import annotations

import pytest

from tests.support.house_figures import Helper, figures, helpers, used_once
from tests.support.source_files import Source

USED_ONCE_AT_MOST = 0.45
"""Share of private helpers that their own file uses once. A helper that is used once and is hardly longer than its
name, its docstring and its call reads better where it is used; those that name a step of a long function stay."""


def test_most_private_helpers_are_used_more_than_once() -> None:
    found = figures()
    worst = ", ".join(f"{room} {once} of {total}" for room, once, total in found.rooms[:5])
    assert found.share <= USED_ONCE_AT_MOST, f"{found.once} of {found.helpers} are used once, most in {worst}"


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("def _f(): ...\n_f()\n_f()", []),
        ("def _f(): ...\n_f()", ["_f"]),
        ("def _f(): ...", ["_f"]),
        ("def _f(): ...\nx = [_f, _f]", []),
        ("class A:\n async def _f(self): ...\n def g(self): self._f()", ["_f"]),
        ("def f(): ...\ndef __g(): ...", []),
    ],
)
def test_a_helper_that_is_used_once_is_counted(text: str, found: list[str]) -> None:
    assert [helper.name for helper in used_once(helpers(Source("engine/a.py", text)))] == found


def test_a_helper_knows_its_place_and_its_length() -> None:
    (helper,) = helpers(Source("engine/store/a.py", "x = 1\ndef _f():\n    return x\n"))
    assert helper == Helper("engine/store/a.py", 2, "_f", lines=2, uses=0)

"""What others rely on is what it was in release f28de43: commands, routes, messages, metrics, topics, tables, settings.

In: the running code. Out: no difference to `tests/fixtures/f28de43/surface.json`. A change of the contract that is
meant goes into that file by `python -m tests.support.surface`, and into the CHANGELOG.
"""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.support import surface
from tests.support.recorded import FOLDER
from tests.support.surface import differences, unfolded

KEPT = json.loads((FOLDER / "surface.json").read_text(encoding="utf-8"))
MOST = 20
"""So many differences are shown."""


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The surface of the code that runs."""
    computed = surface.fixed(tmp_path_factory.mktemp("surface"))
    return unfolded(json.loads(json.dumps(computed)))


def check_same(old: Any, new: Any) -> None:
    told = list(differences(old, new))
    assert not told, "\n".join([f"{len(told)} differences", *told[:MOST]])


@pytest.mark.parametrize("section", sorted({*KEPT} - {"structures", "tables"}))
def test_what_others_rely_on_is_unchanged(found: dict[str, Any], section: str) -> None:
    check_same(unfolded(KEPT)[section], found[section])


def test_no_section_is_left_out(found: dict[str, Any]) -> None:
    assert {*found, "structures", "tables"} == {*KEPT}


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_the_tables_are_unchanged(request: pytest.FixtureRequest, kind: str) -> None:
    url = request.getfixturevalue("sqlite_url" if kind == "sqlite" else "postgres_url")
    check_same(KEPT["tables"][kind], surface.tables(url))


def test_a_difference_is_told_with_its_place() -> None:
    old = {"a": {"b": [1, {"c": 2}]}, "d": 1}
    assert list(differences(old, {"a": {"b": [1, {"c": 3}]}, "d": 1})) == ["a > b > 1 > c: f28de43 2, now 3"]
    assert list(differences(old, {"a": old["a"]})) == ['d: f28de43 1, now "(nothing)"']

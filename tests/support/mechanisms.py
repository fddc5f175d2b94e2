"""The rules that the founding texts ask for, M1 to M140, and the tests that show each.

Enters: `mechanisms.csv` beside this file, one row for each rule, and the marks `mechanism` of the tests. Leaves:
docs/mechanisms.md. To write it anew: `python -m tests.support.mechanisms`.
"""

from __future__ import annotations

import ast
import csv
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "mechanisms.md"
ROWS = Path(__file__).with_name("mechanisms.csv")
MARK = "mechanism"
HEAD = """# Mechanisms

What the five founding texts ask of grid management, rule by rule, and the tests that show that it works. The numbers
are those that packs cite in their column `basis`. A rule without a test says why it has none. This page is made from
the marks of the tests: `python -m tests.support.mechanisms` writes it anew.

| | text | what it asks for | shown by |
|---|---|---|---|
"""


class Mechanism(NamedTuple):
    """One rule: its number, the words of the text, what they ask for, and why no test shows it, if none does."""

    number: str
    text: str
    rule: str
    why: str


def read_mechanisms() -> list[Mechanism]:
    """All rules, in their order."""
    with ROWS.open(encoding="utf-8", newline="") as file:
        return [Mechanism(**row) for row in csv.DictReader(file)]


def marks_in(source: str) -> Iterator[tuple[str, str]]:
    """Each number that a test of this source is marked with, and the name of the test."""
    for node in ast.parse(source).body:
        for decorator in getattr(node, "decorator_list", ()):
            if isinstance(decorator, ast.Call) and ast.unparse(decorator.func) == f"pytest.mark.{MARK}":
                for argument in decorator.args:
                    yield ast.literal_eval(argument), node.name  # type: ignore[attr-defined]


def shown_by() -> dict[str, list[str]]:
    """The tests that show each rule, by number, as `path::name`."""
    found: dict[str, list[str]] = {}
    for path in sorted((ROOT / "tests").rglob("test_*.py")):
        source = path.read_text(encoding="utf-8")
        if MARK in source:
            for number, name in marks_in(source):
                found.setdefault(number, []).append(f"{path.relative_to(ROOT).as_posix()}::{name}")
    return found


def rendered(mechanisms: list[Mechanism], tests: dict[str, list[str]]) -> str:
    """The page."""
    lines = []
    for number, text, rule, why in mechanisms:
        links = [f"[{test.partition('::')[2]}](../{test.partition('::')[0]})" for test in tests.get(number, [])]
        lines.append(f"| {number} | {text} | {rule} | {'<br>'.join([*links, *filter(None, [why])])} |\n")
    return HEAD + "".join(lines)


if __name__ == "__main__":
    PAGE.write_text(rendered(read_mechanisms(), shown_by()), encoding="utf-8")

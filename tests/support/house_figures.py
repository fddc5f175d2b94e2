"""Figures of the code: sizes of files and functions, and private helpers that are used once.

`python -m tests.support.house_figures` prints them; with `--once`, each such helper and its length in lines.
Migrations are left out: Alembic writes them.
"""

from __future__ import annotations

import ast
import sys
from collections import Counter
from collections.abc import Iterable
from statistics import median, quantiles
from typing import NamedTuple

from tests.support.source_files import CODE, WRITTEN_BY_ALEMBIC, Source, sources

FUNCTION = ast.FunctionDef | ast.AsyncFunctionDef


class Helper(NamedTuple):
    """A private function or method, and how often its own file uses its name."""

    path: str
    line: int
    name: str
    lines: int
    uses: int


class Figures(NamedTuple):
    """What is counted. Lengths are in lines, sorted; `rooms` are (folder, used once, all), most used once first."""

    files: list[int]
    functions: list[int]
    helpers: int
    once: int
    rooms: list[tuple[str, int, int]]

    @property
    def share(self) -> float:
        """The part of the private helpers that is used once."""
        return self.once / self.helpers


def code() -> list[Source]:
    """Every file that counts."""
    return [s for package in CODE for s in sources(package) if not s.path.startswith(WRITTEN_BY_ALEMBIC)]


def functions(source: Source) -> list[ast.FunctionDef | ast.AsyncFunctionDef]:
    """Every function and method of a file, nested ones too."""
    return [node for node in ast.walk(source.tree) if isinstance(node, FUNCTION)]


def helpers(source: Source) -> list[Helper]:
    """The private functions and methods of a file. A use is a name or an attribute that is the helper's."""
    uses = Counter(node.id for node in ast.walk(source.tree) if isinstance(node, ast.Name))
    uses.update(node.attr for node in ast.walk(source.tree) if isinstance(node, ast.Attribute))
    private = [f for f in functions(source) if f.name.startswith("_") and not f.name.startswith("__")]
    return [Helper(source.path, f.lineno, f.name, _length(f), uses[f.name]) for f in private]


def used_once(found: Iterable[Helper]) -> list[Helper]:
    """Those that are used once, or not by name at all."""
    return [helper for helper in found if helper.uses <= 1]


def _length(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    return (node.end_lineno or node.lineno) - node.lineno + 1


def figures() -> Figures:
    """The figures of the whole code."""
    files = code()
    found = [helper for source in files for helper in helpers(source)]
    once = used_once(found)
    totals, singles = (Counter(_room(helper.path) for helper in some) for some in (found, once))
    rooms = sorted(((room, singles[room], total) for room, total in totals.items()), key=lambda row: -row[1])
    lengths = sorted(_length(function) for source in files for function in functions(source))
    return Figures(sorted(source.lines for source in files), lengths, len(found), len(once), rooms)


def _room(path: str) -> str:
    return "/".join(path.split("/")[:2])


def main() -> None:
    if "--once" in sys.argv[1:]:
        for helper in used_once(helper for source in code() for helper in helpers(source)):
            print(f"{helper.path}:{helper.line}: {helper.name} ({helper.lines} lines)")
        return
    found = figures()
    for title, lengths, far in (("files", found.files, 400), ("functions", found.functions, 60)):
        p90 = quantiles(lengths, n=10)[-1]
        over = sum(length > far for length in lengths)
        print(f"{len(lengths)} {title}: median {median(lengths):g} lines, 90 % up to {p90:g}, {over} over {far}")
    print(f"{found.helpers} private helpers, {found.once} used once: {found.share:.1%}")
    for room, once, total in found.rooms:
        print(f"  {room:<32} {once:>4} of {total}")


if __name__ == "__main__":
    main()

"""The project's own Python as text and as trees, for the tests that hold the shape of the house.

`SHIPPED` are the packages of the wheel; `CODE` adds lab/, which is strict about types too, but is not shipped.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SHIPPED = ("schemas", "workflows", "engine", "consumers", "gridpatrol")
CODE = (*SHIPPED, "lab")
NOT_OURS = {".git", ".venv", "var", "build", "dist"}
CACHES = {"__pycache__", ".pytest_cache", ".mypy_cache", ".ruff_cache", ".hypothesis"}
WRITTEN_BY_ALEMBIC = "engine/store/migrations/"


class Source:
    """One Python file: its path below the root, and the dotted names that it imports and uses."""

    def __init__(self, path: str, text: str) -> None:
        self.path = path
        self.lines = text.count("\n")
        self.tree = ast.parse(text, filename=path)
        self.names = dict(self._bindings())

    @property
    def imports(self) -> set[str]:
        """Full dotted names: `from datetime import date` imports `datetime.date`."""
        return {name for _, name in self._bindings()}

    @property
    def imported(self) -> set[str]:
        """The packages of these names, without what lies inside them."""
        return {name.partition(".")[0] for name in self.imports}

    @property
    def module(self) -> str:
        """Its dotted name; a package's own file has the package's."""
        return self.path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")

    def used(self) -> set[str]:
        """Dotted names as written anywhere, with the file's own aliases undone."""
        chains = (node for node in ast.walk(self.tree) if isinstance(node, ast.Name | ast.Attribute))
        return {name for node in chains if (name := self._dotted(node))}

    def _bindings(self) -> Iterator[tuple[str, str]]:
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Import):
                for alias in node.names:
                    # `import a.b` binds `a`, but imports `a.b`; both are wanted, under different names.
                    yield alias.asname or alias.name, alias.name
            elif isinstance(node, ast.ImportFrom):
                module = self._absolute(node)
                for alias in node.names:
                    yield alias.asname or alias.name, ".".join([*module, alias.name])

    def _absolute(self, node: ast.ImportFrom) -> list[str]:
        folder = Path(self.path).parts[: -node.level] if node.level else ()
        return [*folder, *filter(None, [node.module])]

    def _dotted(self, node: ast.expr) -> str | None:
        if isinstance(node, ast.Name):
            return self.names.get(node.id, node.id)
        if isinstance(node, ast.Attribute):
            owner = self._dotted(node.value)
            return f"{owner}.{node.attr}" if owner else None
        return None


def lines(found: Mapping[str, Iterable[str]]) -> str:
    """Findings by file, one a line, for the message of a test."""
    return "\n".join(["", *(f"{path}: {', '.join(sorted(bad))}" for path, bad in sorted(found.items()) if bad)])


def project_files() -> list[Path]:
    """Every file of the project, without what tools and runs leave behind."""
    own = [path for path in ROOT.iterdir() if path.name not in NOT_OURS and path.suffix != ".egg-info"]
    below = [path for top in own for path in ([top] if top.is_file() else top.rglob("*"))]
    return [path for path in below if path.is_file() and not CACHES & set(path.parts)]


@cache
def sources(package: str) -> list[Source]:
    found = sorted((ROOT / package).rglob("*.py"))
    assert found, f"{package}/ holds no Python file: is this test looking at the right folder?"
    return [Source(str(path.relative_to(ROOT)), path.read_text(encoding="utf-8")) for path in found]

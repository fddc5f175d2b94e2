"""No file imports in a circle, nothing that is shipped needs lab/ or tests/, and a module has one name everywhere.

An import counts wherever it stands: in a function, or behind TYPE_CHECKING. Such an import hides a circle from the
interpreter, not from a reader. That importing `a.b` also runs `a/__init__.py` does not count: only what a file names.
"""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterable

import pytest

from tests.support.source_files import CODE, SHIPPED, Source, lines, sources

LOADS_THE_LAB = "gridpatrol/source_tree.py"
"""The one file that may name lab/, and does so when it is asked to only: the wheel has no lab/."""


def imports_within(files: Iterable[Source]) -> dict[str, set[str]]:
    """For each module, the modules among these that it imports."""
    kept = {source.module: source for source in files}
    return {
        name: {found for target in source.imports if (found := _module_of(target, kept))} - {name}
        for name, source in kept.items()
    }


def _module_of(name: str, modules: Iterable[str]) -> str:
    """`a.b.f` is the name `f` of the module `a.b`, unless there is a module `a.b.f`."""
    return next((shorter for shorter in (name, name.rpartition(".")[0]) if shorter in modules), "")


def circles(imports: dict[str, set[str]]) -> list[set[str]]:
    """Groups of modules that reach each other."""
    reached = {name: _reached(name, imports) for name in imports}
    groups = {frozenset({a} | {b for b in reached[a] if a in reached[b]}) for a in imports if a in reached[a]}
    return [set(group) for group in sorted(groups, key=sorted)]


def _reached(start: str, imports: dict[str, set[str]]) -> set[str]:
    reached, frontier = set[str](), imports[start]
    while frontier:
        reached |= frontier
        frontier = {name for source in frontier for name in imports[source]} - reached
    return reached


def names_of_modules(files: Iterable[Source]) -> dict[str, set[str]]:
    """For each module that some of these files import by a name, the names under which they do."""
    kept = list(files)
    modules, found = {source.module for source in kept}, dict[str, set[str]]()
    for source in kept:
        for name, target in source.names.items():
            if target in modules and name != target:  # `import a.b` gives it no other name
                found.setdefault(target, set()).add(name)
    return found


def lab_and_tests(source: Source) -> set[str]:
    """What a file takes from lab/ or tests/, also as the text of a name: `import_module("lab.storm")`."""
    texts = {n.value for n in ast.walk(source.tree) if isinstance(n, ast.Constant) and isinstance(n.value, str)}
    named = {text for text in texts if re.fullmatch(r"(lab|tests)(\.\w+)+", text)}
    return named | {name for name in source.imports if name.partition(".")[0] in ("lab", "tests")}


def test_no_file_imports_in_a_circle() -> None:
    files = [source for package in (*CODE, "tests") for source in sources(package)]
    found = circles(imports_within(files))
    assert not found, "\n".join(["", *(" <-> ".join(sorted(circle)) for circle in found)])


def test_a_module_is_imported_under_one_name_everywhere() -> None:
    files = [source for package in (*CODE, "tests") for source in sources(package)]
    found = {module: names for module, names in names_of_modules(files).items() if len(names) > 1}
    assert not found, lines(found)


def test_what_is_shipped_needs_neither_lab_nor_tests() -> None:
    shipped = [source for package in SHIPPED for source in sources(package)]
    found = {source.path: lab_and_tests(source) for source in shipped if source.path != LOADS_THE_LAB}
    assert not any(found.values()), lines(found)


def test_the_lab_is_loaded_lazily() -> None:
    (loader,) = [source for source in sources("gridpatrol") if source.path == LOADS_THE_LAB]
    assert lab_and_tests(loader) == set()


def test_the_lab_needs_no_tests() -> None:
    found = {source.path: {name for name in lab_and_tests(source) if name[:5] == "tests"} for source in sources("lab")}
    assert not any(found.values()), lines(found)


@pytest.mark.parametrize(
    ("files", "found"),
    [
        ({"a/b.py": "from a.c import f", "a/c.py": "import json"}, []),
        ({"a/b.py": "from a.c import f", "a/c.py": "import a.b"}, [{"a.b", "a.c"}]),
        ({"a/b.py": "from a import c", "a/c.py": "def f():\n    from a.b import g"}, [{"a.b", "a.c"}]),
        ({"a/b.py": "if TYPE_CHECKING:\n    from a import c", "a/c.py": "from a.b import g"}, [{"a.b", "a.c"}]),
        ({"b.py": "from . import c", "c.py": "from .d import g", "d.py": "from .b import h"}, [{"b", "c", "d"}]),
        ({"a/__init__.py": "from a.b import f", "a/b.py": "from a import VERSION"}, [{"a", "a.b"}]),
        # The package's own file names its parts; that they lie in it does not lead back.
        ({"a/__init__.py": "from a.b import f", "a/b.py": "from a.c import g", "a/c.py": ""}, []),
    ],
)
def test_a_circle_is_found_wherever_its_imports_stand(files: dict[str, str], found: list[set[str]]) -> None:
    assert circles(imports_within(Source(path, text) for path, text in files.items())) == found


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("def f():\n    from lab.storm import story", {"lab.storm.story"}),
        ("import tests.support.builders", {"tests.support.builders"}),
        ("import_module('lab.bench.run')", {"lab.bench.run"}),
        ("'lab/ is in the source tree only'\nimport labels", set()),
    ],
)
def test_a_hidden_need_for_lab_or_tests_is_found(text: str, found: set[str]) -> None:
    assert lab_and_tests(Source("gridpatrol/a.py", text)) == found


def test_a_second_name_of_a_module_is_found() -> None:
    texts = {
        "a/b.py": "from a import c\nfrom a.c import f\nimport a.d",
        "a/c.py": "",
        "a/d.py": "def g():\n    from a import c as see",
    }
    assert names_of_modules(Source(path, text) for path, text in texts.items()) == {"a.c": {"c", "see"}}


def test_a_start_loads_no_library_that_only_few_commands_need() -> None:
    """Alembic is for a schema to be changed, shapely (and numpy) for a map to be checked: half a start's time."""
    code = "import sys, gridpatrol.run.wiring, gridpatrol.commands.serve; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert "sqlalchemy" in loaded
    assert {"alembic", "mako", "shapely", "numpy", "litestar", "kafka"}.isdisjoint(loaded)


def test_a_role_without_a_door_loads_no_http_server() -> None:
    """A quarter of its start. It has a small server of its own for probes, out of the standard library."""
    code = "import sys, gridpatrol.run.process, gridpatrol.run.roles; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert "kafka" in loaded
    assert {"litestar", "uvicorn", "faust"}.isdisjoint(loaded)

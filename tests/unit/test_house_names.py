"""Who may know which name: private names of others, and what a definition calls its states, triggers and clocks.

- A private name belongs to the file that makes it. Workarounds for a library that need more stand in one file per
  library.
- A state, a trigger or a clock is named by the definition that has it, and by schemas/, which is the contract. What
  names them elsewhere stands in `names_outside_definitions.txt`. The list only shrinks: a line that is not needed
  any more fails the test as a new name does.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from collections.abc import Set as AbstractSet
from pathlib import Path

import pytest

from schemas.events import OLDER_NAMES
from tests.support.source_files import CODE, Source, lines, sources
from workflows.case import AWAITED
from workflows.definitions import DEFINITIONS

QUIRKS = {"engine/cluster/kafka_quirks.py", "engine/store/driver_quirks.py", "consumers/performance/faust_quirks.py"}
"""What they reach into is pinned, and a test of each workaround fails when the library changes."""
PUBLIC_IN_SPITE = {"_replace", "_asdict", "_fields", "_make", "_exit"}
"""Documented names of NamedTuple and of `os`."""
OF_EVERY_NAME = {"CLOCKS"}
"""Tables that say something of every clock. The recipes of CONTRIBUTING have a line for each of them."""
EXCEPTIONS = Path(__file__).with_name("names_outside_definitions.txt")


# ---- private names --------------------------------------------------------------------------------------------


def private_names_of_others(source: Source, inherited: AbstractSet[str] = frozenset()) -> set[str]:
    """`x._name`, `getattr(x, "_name")` and `from m import _name` for names that this file does not make.

    `self._name` may also be one of `inherited`: a class has the private names of the class that it extends.
    """
    own = names_made_in(source) | PUBLIC_IN_SPITE
    return {
        text for name, text, of_self in _private_names(source.tree) if name not in (own | inherited if of_self else own)
    }


def names_made_in(source: Source) -> set[str]:
    """Names of functions and classes, and those that are assigned, also to `self`."""
    made = set()
    for node in ast.walk(source.tree):
        match node:
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
                made.add(name)
            case ast.Name(id=name, ctx=ast.Store()):
                made.add(name)
            case ast.Attribute(attr=name, ctx=ast.Store(), value=owner) if _is_own(owner):
                made.add(name)
    return made


def _is_own(owner: ast.expr) -> bool:
    return isinstance(owner, ast.Name) and owner.id in ("self", "cls")


def _private_names(tree: ast.AST) -> Iterator[tuple[str, str, bool]]:
    """Each private name that the file uses, how it is written there, and whether it is one of `self` or `cls`."""
    for node in ast.walk(tree):
        match node:
            case ast.Attribute(attr=name, value=owner):
                found = [(name, ast.unparse(node), _is_own(owner))]
            case ast.Call(
                func=ast.Name(id="getattr" | "setattr" | "hasattr"), args=[owner, ast.Constant(value=str(name)), *_]
            ):
                found = [(name, ast.unparse(node), _is_own(owner))]
            case ast.ImportFrom(module=module, names=aliases):
                found = [(alias.name, f"from {module} import {alias.name}", False) for alias in aliases]
            case _:
                continue
        yield from (each for each in found if each[0].startswith("_") and not each[0].startswith("__"))


def test_no_file_uses_a_private_name_that_another_file_or_a_library_made() -> None:
    files = [source for package in CODE for source in sources(package)]
    ours = {name for source in files for name in names_made_in(source)}
    found = {s.path: private_names_of_others(s, ours) for s in files if s.path not in QUIRKS}
    assert not any(found.values()), lines(found)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("consumer._fetcher", {"consumer._fetcher"}),
        ("self._consumer._cluster", {"self._consumer._cluster", "self._consumer"}),
        ("class A:\n def f(self):\n  self._b = 1\ndef g(a):\n return a._b", set()),
        ("class A(Library):\n def f(self):\n  return self._theirs", {"self._theirs"}),
        ("getattr(consumer, '_net', None)", {"getattr(consumer, '_net', None)"}),
        ("from kafka.client import _x", {"from kafka.client import _x"}),
        ("row._replace(a=1)\nos._exit(1)\nx.__class__", set()),
    ],
)
def test_a_private_name_of_another_is_found(text: str, found: set[str]) -> None:
    assert private_names_of_others(Source("engine/a.py", text)) == found


def test_a_class_may_use_what_it_inherits_but_nobody_else() -> None:
    source = Source("engine/a.py", "class A(B):\n def f(self, b):\n  return self._x + b._x")
    assert private_names_of_others(source, {"_x"}) == {"b._x"}


# ---- states, triggers, clocks ---------------------------------------------------------------------------------


def names_of_definitions() -> set[str]:
    """Every state, trigger and clock, without the unborn state and the clock that a case of any kind has."""
    names = set(OLDER_NAMES)
    for definition in DEFINITIONS.values():
        names |= {*definition.states, *(row.trigger for row in definition.rows), *definition.clocks}
    return names - {AWAITED}


def named_in(source: Source, names: set[str]) -> set[str]:
    """Those of the names that stand in a file as a text of its own, tables `OF_EVERY_NAME` aside."""
    nodes = [node for statement in source.tree.body if not _is_table(statement) for node in ast.walk(statement)]
    return {node.value for node in nodes if isinstance(node, ast.Constant) and isinstance(node.value, str)} & names


def _is_table(statement: ast.stmt) -> bool:
    match statement:
        case ast.Assign(targets=[ast.Name(id=name)]) | ast.AnnAssign(target=ast.Name(id=name)):
            return name in OF_EVERY_NAME
    return False


def exceptions(text: str) -> set[tuple[str, str]]:
    """`path: name name ...` as (path, name); a path may have more than one line."""
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    return {(path, name) for path, _, names in (line.partition(": ") for line in lines) for name in names.split()}


def test_states_triggers_and_clocks_are_named_by_definitions_or_listed() -> None:
    names = names_of_definitions()
    owners = ("schemas/", "workflows/definitions/")
    files = [source for package in CODE for source in sources(package) if not source.path.startswith(owners)]
    found = {(source.path, name) for source in files for name in named_in(source, names)}
    listed = exceptions(EXCEPTIONS.read_text(encoding="utf-8"))
    assert not found - listed, f"let the definition name it; the list is not to grow: {sorted(found - listed)}"
    assert not listed - found, f"no longer needed, take it out of {EXCEPTIONS.name}: {sorted(listed - found)}"


def test_a_name_of_a_definition_is_found_as_a_text_of_its_own_only() -> None:
    text = (
        '"""A closed case."""\nstate == "closed" or "is closed"\nmatch x:\n    case "rectify": 1\nCLOCKS = ("verify",)'
    )
    assert named_in(Source("engine/a.py", text), names_of_definitions()) == {"closed", "rectify"}


def test_the_list_is_read_as_it_is_written() -> None:
    assert exceptions("# why\na/b.py: x y\n\na/b.py: z\n") == {("a/b.py", "x"), ("a/b.py", "y"), ("a/b.py", "z")}

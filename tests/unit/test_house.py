"""The shape of the house: which part may import what, and where time is read.

Enters: the text of every Python file. The rules below say what a file must not do; the first half of the
tests holds the project to them, the second half holds the reader of imports to its own examples.
"""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("schemas", "workflows", "engine", "consumers", "gridpatrol")
NOT_OURS = {".git", ".venv", "var", "build", "dist"}
CACHES = {"__pycache__", ".pytest_cache", ".mypy_cache", ".ruff_cache", ".hypothesis"}

STANDARD = frozenset(sys.stdlib_module_names)
# The rules are functions of their arguments: nothing that reads, waits, logs or draws lots.
IMPURE = frozenset(("os", "pathlib", "shutil", "tempfile", "sqlite3", "logging", "random", "secrets", "time")) | {
    "asyncio",
    "threading",
    "multiprocessing",
    "subprocess",
    "socket",
    "urllib",
    "http",
}
RULES_MAY_IMPORT = (STANDARD - IMPURE) | {"msgspec", "transitions", "shapely", "schemas", "workflows"}
# Holidays and zone rules are expanded once, when a pack is compiled; nothing asks them afterwards.
ONLY_WHEN_COMPILING = {"holidays", "zoneinfo"}
COMPILES_CALENDARS = {"workflows/policy/holidays_and_zones.py"}
SQL_LIBRARIES = {"sqlalchemy", "alembic", "psycopg", "sqlite3"}
KAFKA_LIBRARIES = {"kafka"}
FAUST_LIBRARIES = {"faust", "aiokafka", "mode"}
FAUST_FILES = {"consumers/performance/faust_app.py", "consumers/performance/faust_quirks.py"}
WALL_CLOCK = {
    "datetime.datetime.now",
    "datetime.datetime.utcnow",
    "datetime.datetime.today",
    "datetime.date.today",
    "time.time",
    "time.time_ns",
}
# The demo's traffic is a process of its own that imports nothing of the engine, so it has a clock of its own.
READS_THE_CLOCK = {"engine/clock.py", "gridpatrol/demo/traffic.py"}


class Source:
    """One Python file: its path below the root, and the dotted names that it imports and uses."""

    def __init__(self, path: str, text: str) -> None:
        self.path = path
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


def foreign_to_schemas(source: Source) -> set[str]:
    return source.imported - STANDARD - {"msgspec", "schemas"}


def foreign_to_workflows(source: Source) -> set[str]:
    allowed = set(RULES_MAY_IMPORT)
    if source.path in COMPILES_CALENDARS:
        allowed |= ONLY_WHEN_COMPILING
    else:
        allowed -= ONLY_WHEN_COMPILING
    return (source.imported - allowed) | ({"open"} & source.used())


def foreign_to_engine(source: Source) -> set[str]:
    return source.imported & {"consumers", "gridpatrol"}


def foreign_to_consumers(source: Source) -> set[str]:
    return source.imported & {"gridpatrol"}


def sql_outside_the_store(source: Source) -> set[str]:
    return set() if source.path.startswith("engine/store/") else source.imported & SQL_LIBRARIES


def brokers_outside_the_cluster(source: Source) -> set[str]:
    """The embedded run installs neither client: nothing that it imports may need one."""
    within = source.path.startswith("engine/cluster/")
    found = set() if within else source.imported & KAFKA_LIBRARIES
    return found | (set() if source.path in FAUST_FILES else source.imported & FAUST_LIBRARIES)


def wall_clock_readings(source: Source) -> set[str]:
    return set() if source.path in READS_THE_CLOCK else source.used() & WALL_CLOCK


def foreign_to_the_demo(source: Source) -> set[str]:
    """What a demo shows must have come in at the door: it reads files and speaks HTTP."""
    foreign = set(PACKAGES) - {"gridpatrol"}
    own = {name for name in source.imports if name.startswith("gridpatrol.")}
    return (source.imported & foreign) | {name for name in own if not name.startswith("gridpatrol.demo")}


def consumer_of(name: str) -> str:
    """The consumer that a dotted name or a path inside consumers/ belongs to: its first part below it."""
    parts = name.removesuffix(".py").replace("/", ".").split(".")
    return parts[1] if len(parts) > 1 else ""


def does_input_or_output(source: Source) -> bool:
    """Arithmetic imports pure libraries and other arithmetic; whatever needs more is an edge."""
    return bool(source.imported - (STANDARD - IMPURE) - {"msgspec", "schemas", "workflows", "consumers"})


def edges_of_other_consumers(source: Source, edges: set[str]) -> set[str]:
    """Names that `source` imports from a file of another consumer that does input or output."""
    own = consumer_of(source.path)
    theirs = {name for name in source.imports if name.startswith("consumers.") and consumer_of(name) != own}
    return {name for name in theirs if any(f"{name}.".startswith(f"{edge}.") for edge in edges)}


def project_files() -> list[Path]:
    """Every file of the project, without what tools and runs leave behind."""
    own = [path for path in ROOT.iterdir() if path.name not in NOT_OURS and path.suffix != ".egg-info"]
    below = [path for top in own for path in ([top] if top.is_file() else top.rglob("*"))]
    return [path for path in below if path.is_file() and not CACHES & set(path.parts)]


def sources(package: str) -> list[Source]:
    found = sorted((ROOT / package).rglob("*.py"))
    assert found, f"{package}/ holds no Python file: is this test looking at the right folder?"
    return [Source(str(path.relative_to(ROOT)), path.read_text(encoding="utf-8")) for path in found]


def findings(packages, rule) -> dict[str, set[str]]:
    return {source.path: bad for package in packages for source in sources(package) if (bad := rule(source))}


@pytest.mark.parametrize(
    ("package", "rule"),
    [
        ("schemas", foreign_to_schemas),
        ("workflows", foreign_to_workflows),
        ("engine", foreign_to_engine),
        ("consumers", foreign_to_consumers),
    ],
)
def test_dependencies_run_one_way(package, rule):
    assert findings([package], rule) == {}


def test_sql_is_spoken_in_the_store_only():
    assert findings(PACKAGES, sql_outside_the_store) == {}


def test_brokers_are_spoken_to_in_the_cluster_only_and_faust_fills_two_files():
    assert findings(PACKAGES, brokers_outside_the_cluster) == {}


def test_the_embedded_run_imports_nothing_of_the_cluster():
    """In a process of its own: what this one has imported says nothing."""
    parts = "gridpatrol.cli", "gridpatrol.run.serve", "gridpatrol.run.wiring", "engine.http.app"
    wanted = f"import sys, {', '.join(parts)}, consumers.performance.consume"
    said = "print(sorted({name.partition('.')[0] for name in sys.modules} & {'kafka', 'faust', 'aiokafka', 'mode'}))"
    done = subprocess.run([sys.executable, "-c", f"{wanted}\n{said}"], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_wall_clock_is_read_where_it_is_meant_to_be_only():
    assert findings(PACKAGES, wall_clock_readings) == {}


def test_the_demo_is_a_stranger_to_the_engine():
    demo = [source for source in sources("gridpatrol") if source.path.startswith("gridpatrol/demo/")]
    assert demo
    assert {source.path: bad for source in demo if (bad := foreign_to_the_demo(source))} == {}


def test_one_consumer_never_imports_the_edge_of_another():
    edges = {
        source.path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
        for source in sources("consumers")
        if does_input_or_output(source)
    }
    assert findings(["consumers"], lambda source: edges_of_other_consumers(source, edges)) == {}


def test_no_file_names_a_folder_of_the_machine_it_was_written_on():
    # Put together here, or this file would be its own finding.
    folder = b"/" + b"work" + b"/"
    files = project_files()
    assert ROOT / "setup.cfg" in files
    assert [str(path.relative_to(ROOT)) for path in files if folder in path.read_bytes()] == []


@pytest.mark.parametrize(
    ("rule", "path", "text", "found"),
    [
        (foreign_to_schemas, "schemas/a.py", "import json, msgspec.json", set()),
        (foreign_to_schemas, "schemas/a.py", "from workflows import pack", {"workflows"}),
        (foreign_to_schemas, "schemas/a.py", "from . import events", set()),
        (foreign_to_workflows, "workflows/a.py", "import random", {"random"}),
        # Hidden in a function, it counts as well.
        (foreign_to_workflows, "workflows/a.py", "def f():\n    from os.path import join", {"os"}),
        (foreign_to_workflows, "workflows/a.py", "open('x')", {"open"}),
        (foreign_to_workflows, "workflows/a.py", "from zoneinfo import ZoneInfo", {"zoneinfo"}),
        (foreign_to_workflows, "workflows/policy/holidays_and_zones.py", "from zoneinfo import ZoneInfo", set()),
        (foreign_to_workflows, "workflows/policy/holidays_and_zones.py", "import pathlib", {"pathlib"}),
        (foreign_to_workflows, "workflows/packs/a.py", "from ... import engine", {"engine"}),
        (foreign_to_engine, "engine/a.py", "import consumers.performance.fold", {"consumers"}),
        (foreign_to_consumers, "consumers/a.py", "from gridpatrol import cli", {"gridpatrol"}),
        (sql_outside_the_store, "engine/a.py", "from sqlalchemy import text", {"sqlalchemy"}),
        (sql_outside_the_store, "engine/store/a.py", "from sqlalchemy import text", set()),
        (brokers_outside_the_cluster, "engine/a.py", "from kafka import KafkaConsumer", {"kafka"}),
        (brokers_outside_the_cluster, "engine/cluster/a.py", "import faust", {"faust"}),
        (brokers_outside_the_cluster, "engine/cluster/a.py", "from kafka import KafkaConsumer", set()),
        (wall_clock_readings, "engine/a.py", "import time as t\nt.time()", {"time.time"}),
        (wall_clock_readings, "engine/a.py", "from time import time_ns as n\nf(n)", {"time.time_ns"}),
        (wall_clock_readings, "engine/a.py", "import time\ntime.monotonic()", set()),
        (
            wall_clock_readings,
            "workflows/a.py",
            "from datetime import datetime as d\nd.now()",
            {"datetime.datetime.now"},
        ),
        (
            wall_clock_readings,
            "engine/a.py",
            "import datetime as dt\ndt.date.today()",
            {"datetime.date.today"},
        ),
        (wall_clock_readings, "engine/clock.py", "import time\ntime.time_ns()", set()),
        (foreign_to_the_demo, "gridpatrol/demo/a.py", "import json\nfrom gridpatrol.demo import town", set()),
        (foreign_to_the_demo, "gridpatrol/demo/a.py", "from engine import clock", {"engine"}),
        (
            foreign_to_the_demo,
            "gridpatrol/demo/a.py",
            "from gridpatrol.client import Server",
            {"gridpatrol.client.Server"},
        ),
    ],
)
def test_a_breach_is_noticed_and_nothing_else(rule, path, text, found):
    assert rule(Source(path, text)) == found


def test_arithmetic_may_be_shared_between_consumers_but_an_edge_may_not():
    edges = {"consumers.alerts.fold"}
    text = "from consumers.alerts.fold import tell\nfrom consumers.sums import add"
    assert edges_of_other_consumers(Source("consumers/figures.py", text), edges) == {"consumers.alerts.fold.tell"}
    assert edges_of_other_consumers(Source("consumers/alerts/feed.py", text), edges) == set()


def test_a_file_that_opens_a_socket_or_the_store_is_an_edge():
    assert does_input_or_output(Source("consumers/a.py", "from engine import store"))
    assert does_input_or_output(Source("consumers/a.py", "import socket"))
    assert not does_input_or_output(Source("consumers/a.py", "import msgspec\nfrom workflows import pack"))

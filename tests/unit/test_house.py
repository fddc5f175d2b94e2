"""The shape of the house: which part may import what, and where time is read.

Enters: the text of every Python file. The rules below say what a file must not do; the first half of the
tests holds the project to them, the second half holds the reader of imports to its own examples.
"""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.support.source_files import ROOT, SHIPPED, Source, project_files, sources

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
RULES_MAY_IMPORT = (STANDARD - IMPURE) | {"msgspec", "transitions", "schemas", "workflows"}
# Floats judge a map before it is activated; whole numbers decide with it.
LINTS_BORDERS = {"workflows/policy/lint/geometry.py"}
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
# The demo's traffic is a process of its own and a stranger to the engine, so it has a clock of its own.
READS_THE_CLOCK = {"engine/clock.py", "gridpatrol/demo/traffic.py"}


# A folder becomes a compiled pack in engine/packs.py, which opens no store.
# The ids of what posts owe are derived as their documentation says, as any app derives them.
DEMO_MAY_IMPORT = ("gridpatrol.demo.", "gridpatrol.client.", "engine.packs.", "schemas.derived_ids.", "workflows.")
DECIDES = ("workflows.decide", "workflows.definitions", "workflows.machine")
CLIENT_MAY_IMPORT = {f"engine.errors.{name}" for name in ("GridpatrolError", "SettingsError", "TRY_AGAIN", "WRONG")}


def foreign_to_schemas(source: Source) -> set[str]:
    return source.imported - STANDARD - {"msgspec", "schemas"}


def foreign_to_workflows(source: Source) -> set[str]:
    allowed = set(RULES_MAY_IMPORT)
    if source.path in COMPILES_CALENDARS:
        allowed |= ONLY_WHEN_COMPILING
    else:
        allowed -= ONLY_WHEN_COMPILING
    if source.path in LINTS_BORDERS:
        allowed.add("shapely")
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
    """What a demo shows must have come in at the door: it writes a file, or speaks HTTP.

    It reads the compiled pack and asks the rules' look-ups (paths, limits, who may say what), which are pure, but never
    what an event comes to: its author expects that, and tests/unit/test_demo_month.py holds him to the rules.
    """
    ours = {name for name in source.imports if name.partition(".")[0] in SHIPPED}
    return {name for name in ours if name.startswith(DECIDES) or not name.startswith(DEMO_MAY_IMPORT)}


def foreign_to_the_client(source: Source) -> set[str]:
    """A client of the public routes: the demo's traffic uses it too, so it may not lead into the engine."""
    return {name for name in source.imports if name.partition(".")[0] not in STANDARD} - CLIENT_MAY_IMPORT


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
    assert findings(SHIPPED, sql_outside_the_store) == {}


def test_brokers_are_spoken_to_in_the_cluster_only_and_faust_fills_two_files():
    assert findings(SHIPPED, brokers_outside_the_cluster) == {}


def test_the_embedded_run_imports_nothing_of_the_cluster():
    """In a process of its own: what this one has imported says nothing."""
    parts = "gridpatrol.cli", "gridpatrol.run.serve", "gridpatrol.run.wiring", "engine.http.app"
    wanted = f"import sys, {', '.join(parts)}, consumers.performance.consume"
    said = "print(sorted({name.partition('.')[0] for name in sys.modules} & {'kafka', 'faust', 'aiokafka', 'mode'}))"
    done = subprocess.run([sys.executable, "-c", f"{wanted}\n{said}"], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_wall_clock_is_read_where_it_is_meant_to_be_only():
    assert findings(SHIPPED, wall_clock_readings) == {}


def test_the_demo_is_a_stranger_to_the_engine():
    demo = [source for source in sources("gridpatrol") if source.path.startswith("gridpatrol/demo/")]
    assert demo
    assert {source.path: bad for source in demo if (bad := foreign_to_the_demo(source))} == {}


def test_the_client_knows_the_public_routes_only():
    [client] = [source for source in sources("gridpatrol") if source.path == "gridpatrol/client.py"]
    assert foreign_to_the_client(client) == set()


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


def test_make_check_runs_all_of_these_tests():
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    house = [path.relative_to(ROOT).as_posix() for path in (ROOT / "tests" / "unit").glob("test_house*.py")]
    assert [path for path in house if path not in makefile] == []


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
        (foreign_to_the_demo, "gridpatrol/demo/a.py", "import json\nfrom gridpatrol.demo import events", set()),
        (foreign_to_the_demo, "gridpatrol/demo/a.py", "from engine import clock", {"engine.clock"}),
        (foreign_to_the_demo, "gridpatrol/demo/a.py", "from gridpatrol.client import Server", set()),
        (foreign_to_the_demo, "gridpatrol/demo/a.py", "from workflows.permissions import forbid", set()),
        (foreign_to_the_demo, "gridpatrol/demo/a.py", "from workflows.decide import take", {"workflows.decide.take"}),
        (foreign_to_the_demo, "gridpatrol/demo/a.py", "from gridpatrol.run import city", {"gridpatrol.run.city"}),
        (foreign_to_the_client, "gridpatrol/client.py", "import http.client, ssl", set()),
        (
            foreign_to_the_client,
            "gridpatrol/client.py",
            "from engine.store import inbox_table",
            {"engine.store.inbox_table"},
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

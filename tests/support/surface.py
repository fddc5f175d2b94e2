"""What others rely on: commands, routes, messages, metrics, topics, tables, settings. Computed from the running code.

Enters: the installed packages and a database of this release. Leaves: plain values that can be written as JSON, without
words for people and without the names of classes, so that only a change of the contract changes them.

To write it anew: `python -m tests.support.surface FILE`.
"""

from __future__ import annotations

import ast
import hashlib
import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import click
import msgspec
from prometheus_client import generate_latest
from prometheus_client.parser import text_string_to_metric_families
from sqlalchemy import inspect

from engine.cluster import acls, topics
from engine.failpoints import NAMES
from engine.http.app import create_app
from engine.settings import Settings
from engine.store.database import open_database
from engine.writer import Writer
from gridpatrol.cli import main
from lab.parts.postgres import fresh_database, running_server
from tests.support.recorded import gridpatrol
from tests.support.serving import prepared

NOTHING = "(nothing)"
ROOT = Path(__file__).parents[2]
PACKAGES = ("schemas", "workflows", "engine", "consumers", "gridpatrol")
FOR_PEOPLE = {"title", "description", "summary", "examples", "tags", "operationId", "$id", "$schema", "$defs",
              "$comment", "mapping", "externalDocs", "license"}  # fmt: skip
"""Members of a schema that say nothing to a program."""
NAMED = {"properties", "headers", "variables", "patternProperties"}
"""Members whose own members are names, none of them for people."""
ORDERED = {"default", "const", "prefixItems"}
"""Members that are left as they are: the order of lists means something there."""
LARGE = {"schema", "payload", "items", "headers", "oneOf", "anyOf"}
"""Members that stand in a table of their own where they are long, under a digest of their content."""


# ---- commands and settings ----------------------------------------------------------------------------------


def commands() -> dict[str, Any]:
    """Every command by its words, with arguments and options as they are parsed."""
    return dict(_commands(main, click.Context(main), ()))


def _commands(command: click.Command, ctx: click.Context, words: tuple[str, ...]) -> Iterator[tuple[str, Any]]:
    yield " ".join(("gridpatrol", *words)), [_parameter(param) for param in command.params]
    if isinstance(command, click.Group):
        for name in command.list_commands(ctx):
            found = command.get_command(ctx, name)
            assert found is not None, name
            yield from _commands(found, ctx, (*words, name))


def _parameter(param: click.Parameter) -> dict[str, Any]:
    told = param.to_info_dict()
    kind = told.pop("type")
    kind.pop("param_type")
    for words in ("help", "prompt", "hidden", "flag_value"):
        told.pop(words, None)
    return json.loads(json.dumps(told | {"type": kind}, default=str))


def settings() -> dict[str, Any]:
    """Every setting with its type and default."""
    return {field.name: [str(field.type), field.default] for field in msgspec.structs.fields(Settings)}


def statuses(url: str, missing: str) -> dict[str, int]:
    """With which status commands end: 0, 1 if something is wrong, 2 if the command line is."""
    asked = (
        "--version", "--help", "nonsense", "verify --nonsense", f"verify --database {url}",
        f"verify --database {missing}", f"incident list --database {missing}",
        f"incident show WY01.none --database {url}", "pack check weiyang", "pack check nowhere",
        f"log settle 0 0 --database {url}", f"log settle 0 0 --skip --database {url}",
        "deadline explain --limit 4wh --from 2026-02-14T17:00+08:00",
        "deadline explain --limit 4xx --from 2026-02-14T17:00+08:00",
        "deadline explain --limit 4wh --from 2026-02-14T17:00", "schema report.submitted.v1", "schema nonsense",
        "db upgrade --database nonsense", "serve --role nonsense", f"replay {missing}", "publish nowhere.jsonl",
    )  # fmt: skip
    return {words.replace(url, "URL").replace(missing, "MISSING"): _status(words) for words in asked}


def _status(words: str) -> int:
    for status in (0, 1, 2):
        try:
            gridpatrol(*words.split(), status=status)
            return status
        except AssertionError:
            continue
    raise AssertionError(words)


# ---- routes and messages ------------------------------------------------------------------------------------


class Structures:
    """Documents without names of components: references are resolved, long parts stand once in `table`."""

    def __init__(self) -> None:
        self.table: dict[str, Any] = {}

    def of(self, document: dict[str, Any], value: Any) -> Any:
        """A part of a document."""
        return self._plain(document, document, value, ())

    def _plain(self, document: Any, resource: Any, value: Any, path: tuple[str, ...]) -> Any:
        if isinstance(value, list):
            items = [self._plain(document, resource, item, path) for item in value]
            return sorted(items, key=lambda item: json.dumps(item, sort_keys=True))
        if not isinstance(value, dict):
            return value
        resource = value if "$id" in value or "$defs" in value else resource
        plain: dict[str, Any] = {}
        if isinstance(reference := value.get("$ref"), str):
            if reference in path:
                return {"again": len(path) - path.index(reference)}
            target, home = _resolved(document, resource, reference)
            found = self._plain(document, home, target, (*path, reference))
            if len(value) == 1 or not isinstance(found, dict):
                return found
            plain |= found
        for name, member in value.items():
            if name == "$ref" or name in FOR_PEOPLE:
                continue
            made: Any
            if name in ORDERED:
                made = member
            elif name in NAMED and isinstance(member, dict):
                made = {key: self._plain(document, resource, one, path) for key, one in member.items()}
            else:
                made = self._plain(document, resource, member, path)
            plain[name] = self._short(made) if name in LARGE else made
        return plain

    def _short(self, made: Any) -> Any:
        text = json.dumps(made, sort_keys=True, ensure_ascii=False)
        if len(text) < 200:
            return made
        name = f"#{hashlib.sha256(text.encode()).hexdigest()[:12]}"
        self.table[name] = made
        return name


def _resolved(document: Any, resource: Any, reference: str) -> tuple[Any, Any]:
    """What a reference points to, and the resource in which its own references are looked up."""
    for home in (resource, document):
        found = home
        for step in reference.removeprefix("#").strip("/").split("/"):
            step = step.replace("~1", "/").replace("~0", "~")
            found = found.get(step) if isinstance(found, dict) else None
        if found is not None:
            return found, home
    for made in document.get("components", {}).get("schemas", {}).values():
        if made.get("$id") == reference:
            return made, made
    raise AssertionError(f"{reference} points nowhere")


def http(url: str, structures: Structures) -> dict[str, Any]:
    """The door: every route with its methods; parameters, bodies and answers of what it describes."""
    with prepared(url) as engine:
        app = create_app(Writer(engine), engine.database)
        routes = {route.path: sorted(getattr(route, "methods", ())) for route in app.routes}
        described: dict[str, Any] = json.loads(msgspec.json.encode(app.state["description"]()))
    paths = {
        f"{method.upper()} {path}": structures.of(described, operation)
        for path, operations in described["paths"].items() for method, operation in operations.items()
    }  # fmt: skip
    return {"routes": routes, "operations": paths, "security": described.get("security")}


def messages(structures: Structures) -> dict[str, Any]:
    """Topics and what lies in them, as the AsyncAPI document says; and the schema of every event."""
    document = json.loads(gridpatrol("schema", "--asyncapi"))
    channels = {
        channel["address"]: {name: structures.of(document, one) for name, one in channel["messages"].items()}
        for channel in document["channels"].values()
    }
    events = {}
    for name in json.loads(gridpatrol("schema", "--json")):
        schema = json.loads(gridpatrol("schema", name))
        events[name] = structures.of(schema, schema)
    return {"channels": channels, "events": events}


def kafka() -> dict[str, Any]:
    """Every topic with its settings, the names without a prefix, and who has which right."""
    told = Settings(kafka="broker:9092", kafka_prefix="staging.", partitions=32)
    plans = topics.wanted(told, 32, 3, ["city"])
    rights = sorted(" ".join(right) for right in acls.rights("staging.", ["city"]))
    return {"topics": plans, "names": sorted(topics.wanted(Settings(), 32, 1, ["city"])), "rights": rights}


# ---- metrics and failpoints ---------------------------------------------------------------------------------


def _sources() -> Iterator[ast.AST]:
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            yield ast.parse(path.read_text(encoding="utf-8"))


def metrics() -> dict[str, list[list[str]]]:
    """Every metric that the code makes, with the labels that it is made with: each of the ways in which it is made."""
    found: dict[str, set[tuple[str, ...]]] = {}
    for tree in _sources():
        for call in (node for node in ast.walk(tree) if isinstance(node, ast.Call)):
            texts = [arg.value for arg in call.args[:2] if isinstance(arg, ast.Constant) and isinstance(arg.value, str)]
            if len(texts) == 2 and re.fullmatch("gridpatrol_[a-z_]+", texts[0]):  # its name, and what it says
                found.setdefault(texts[0], set()).add(_labels(call))
    return {name: sorted(map(list, ways)) for name, ways in sorted(found.items())}


def _labels(call: ast.Call) -> tuple[str, ...]:
    named = [keyword.value for keyword in call.keywords if keyword.arg in ("labels", "labelnames")]
    tuples = [node for node in [*named, *call.args[2:]] if isinstance(node, ast.Tuple)]
    return tuple(str(item.value) for item in tuples[0].elts if isinstance(item, ast.Constant)) if tuples else ()


def page(url: str) -> dict[str, str]:
    """The families of the metrics page of an embedded run, with their types; what a client library tells of any process
    depends on the system."""
    with prepared(url) as engine:
        create_app(Writer(engine), engine.database)
        text = generate_latest(engine.counters.registry).decode()
    families = text_string_to_metric_families(text)
    return {family.name: family.type for family in families if family.name.startswith("gridpatrol_")}


def failpoints() -> dict[str, list[str]]:
    """Failpoints that can be armed, and those that are hit somewhere."""
    hit = {
        call.args[0].value for tree in _sources() for call in ast.walk(tree)
        if isinstance(call, ast.Call) and call.args and isinstance(call.args[0], ast.Constant)
        and getattr(call.func, "attr", getattr(call.func, "id", "")) == "hit"
    }  # fmt: skip
    return {"names": sorted(NAMES), "hit": sorted(map(str, hit))}


# ---- tables -------------------------------------------------------------------------------------------------


def tables(url: str) -> dict[str, Any]:
    """Tables with columns, keys and indexes, as the migrations make them."""
    gridpatrol("db", "upgrade", "--database", url)
    database = open_database(url)
    try:
        seen = inspect(database.db)
        return json.loads(json.dumps({
            table: {
                "columns": {c["name"]: [str(c["type"]), c["nullable"], c["default"]] for c in seen.get_columns(table)},
                "key": seen.get_pk_constraint(table)["constrained_columns"],
                "indexes": {str(i["name"]): [i["column_names"], bool(i["unique"]), _condition(i)]
                            for i in seen.get_indexes(table)},
            }
            for table in seen.get_table_names()
        }, default=str))  # fmt: skip
    finally:
        database.close()


def _condition(index: Any) -> list[list[str]]:
    return sorted([name, str(value)] for name, value in index.get("dialect_options", {}).items())


# ---- all of it ----------------------------------------------------------------------------------------------


def fixed(folder: Path) -> dict[str, Any]:
    """Everything but the tables, which there are once per kind of database."""
    url = f"sqlite:///{folder / 'surface.db'}"
    structures = Structures()
    found = {
        "commands": commands(), "settings": settings(), "http": http(url, structures), "messages": messages(structures),
        "kafka": kafka(), "metrics": metrics(), "page": page(url), "failpoints": failpoints(),
        "statuses": statuses(url, f"sqlite:///{folder / 'missing.db'}"),
    }  # fmt: skip
    return found | {"structures": dict(sorted(structures.table.items()))}


def write(path: Path) -> None:
    """Write the surface of this release."""
    with TemporaryDirectory() as folder, running_server() as server, fresh_database(server) as postgresql:
        kinds = {"sqlite": f"sqlite:///{folder}/tables.db", "postgresql": postgresql}
        found = fixed(Path(folder)) | {"tables": {kind: tables(url) for kind, url in kinds.items()}}
    sections = [f"{_line(name)}: {{\n{_lines(section)}\n}}" for name, section in sorted(found.items())]
    path.write_text("{\n" + ",\n".join(sections) + "\n}\n", encoding="utf-8")


def _lines(section: dict[str, Any]) -> str:
    """One entry a line, so that a difference is a few lines."""
    return ",\n".join(f" {_line(name)}: {_line(value)}" for name, value in sorted(section.items()))


def _line(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, sort_keys=True)


def unfolded(found: dict[str, Any]) -> dict[str, Any]:
    """The same with every long part at its place, and without their table."""
    table = found["structures"]

    def whole(value: Any) -> Any:
        if isinstance(value, str) and value in table:
            return whole(table[value])
        if isinstance(value, dict):
            return {name: whole(member) for name, member in value.items()}
        return [whole(item) for item in value] if isinstance(value, list) else value

    return {name: whole(section) for name, section in found.items() if name != "structures"}


def differences(old: Any, new: Any, path: str = "") -> Iterator[str]:
    """Where two of them differ, and how."""
    if old == new:
        return
    if isinstance(old, dict) and isinstance(new, dict):
        for name in sorted({*old, *new}):
            yield from differences(old.get(name, NOTHING), new.get(name, NOTHING), f"{path} > {name}")
    elif isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        for number, (one, other) in enumerate(zip(old, new, strict=True)):
            yield from differences(one, other, f"{path} > {number}")
    else:
        yield f"{path.removeprefix(' > ')}: f28de43 {_line(old)[:300]}, now {_line(new)[:300]}"


if __name__ == "__main__":
    write(Path(sys.argv[1]))

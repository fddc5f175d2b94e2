"""docker/compose.yaml as data: what each container runs, with which environment, after which others.

Enters: the file, and the variables that it asks for. Leaves: `Service`s in the order in which they start, so that a
test can start the same commands as plain processes.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from graphlib import TopologicalSorter
from pathlib import Path
from typing import Any

import yaml  # type: ignore[import-untyped, unused-ignore]

LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""The one in C, where the library has it: every process that collects tests reads these files."""
ROOT = Path(__file__).parents[2]
FILE = ROOT / "docker" / "compose.yaml"
OURS = "gridpatrol:"
"""What the image of our own processes is called, up to its release."""
SETUP = "setup"
REPLACED = ("command", "entrypoint", "test")
"""Sequences of which the last one counts."""

_VARIABLE = re.compile(r"\$(?:\$|\{(?P<name>\w+)(?:(?P<how>:?[-?])(?P<word>[^}]*))?\})")


class Unset(Exception):
    """A variable that the file insists on."""


@dataclass(frozen=True)
class Port:
    """What of a container is published, and where on the host."""

    host: str
    published: int
    target: int


@dataclass(frozen=True)
class Service:
    """One container. `after` says which others it waits for, and how: service -> condition."""

    name: str
    image: str
    command: tuple[str, ...]
    environment: dict[str, str]
    after: dict[str, str]
    ports: tuple[Port, ...]
    secrets: tuple[str, ...]
    networks: tuple[str, ...]
    told: Mapping[str, Any] = field(repr=False)
    """Everything that the file says of it, anchors and merges resolved."""

    @property
    def ours(self) -> bool:
        """Whether it runs our image."""
        return self.image.startswith(OURS)

    @property
    def port(self) -> int | None:
        """The port at which one of our roles listens."""
        listen = self.environment.get("GRIDPATROL_LISTEN")
        return int(listen.rpartition(":")[2]) if listen else None


def parsed(text: str) -> Any:
    """What a text of YAML says."""
    return yaml.load(text, Loader=LOADER)


def load(environ: Mapping[str, str], *files: Path) -> dict[str, Any]:
    """The whole file, each further one laid over it, with variables filled in. Unset where one without default is
    missing."""
    read: dict[str, Any] = {}
    for file in files or (FILE,):
        read = _laid_over(read, parsed(file.read_text(encoding="utf-8")))
    return dict(_filled(read, environ))


def _laid_over(below: dict[str, Any], above: dict[str, Any]) -> dict[str, Any]:
    """Two files as one, as Compose merges them: mappings by key, sequences one after another, commands replaced."""
    merged = dict(below)
    for key, value in above.items():
        old = below.get(key)
        if isinstance(old, dict) and isinstance(value, dict):
            merged[key] = _laid_over(old, value)
        elif isinstance(old, list) and isinstance(value, list) and key not in REPLACED:
            merged[key] = old + [item for item in value if item not in old]
        else:
            merged[key] = value
    return merged


def services(environ: Mapping[str, str], *files: Path) -> list[Service]:
    """All containers, in an order in which they may start."""
    found = load(environ, *files)["services"]
    made = {name: _service(name, told) for name, told in found.items()}
    order = TopologicalSorter({name: service.after.keys() for name, service in made.items()})
    return [made[name] for name in order.static_order()]


def _filled(value: Any, environ: Mapping[str, str]) -> Any:
    """Variables are replaced in values, never in keys."""
    if isinstance(value, str):
        return _VARIABLE.sub(lambda found: _value(found, environ), value)
    if isinstance(value, list):
        return [_filled(item, environ) for item in value]
    if isinstance(value, dict):
        return {key: _filled(item, environ) for key, item in value.items()}
    return value


def _value(found: re.Match[str], environ: Mapping[str, str]) -> str:
    name, how, word = found["name"], found["how"] or "", found["word"] or ""
    if name is None:
        return "$"
    value = environ.get(name)
    if value is not None and (value or ":" not in how):
        return value
    if how.endswith("?"):
        raise Unset(f"{name}: {word}")
    return word if how.endswith("-") else ""


def _service(name: str, told: Mapping[str, Any]) -> Service:
    after = told.get("depends_on", {})
    return Service(
        name=name,
        image=told["image"],
        command=(*_words(told.get("entrypoint")), *_words(told.get("command"))),
        environment={key: str(value) for key, value in told.get("environment", {}).items()},
        after={other: how["condition"] for other, how in after.items()},
        ports=tuple(_ports(told.get("ports", []))),
        secrets=tuple(told.get("secrets", [])),
        networks=tuple(told.get("networks", [])),
        told=told,
    )


def _words(command: str | list[str] | None) -> list[str]:
    return shlex.split(command) if isinstance(command, str) else list(command or [])


def _ports(told: list[str]) -> Iterator[Port]:
    for text in told:
        host, published, target = text.rsplit(":", 2)
        yield Port(host, int(published), int(target))

"""Programs that know nothing of gridpatrol make clients of the door's description, and the clients publish a report.

Enters: the description, as a door serves it; a running door. Leaves: a report of each client. The client of TypeScript
and the linter come from the npm registry (`clients/package.json`), where node and npm are there.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest

from schemas import examples
from schemas.short_numbers import short_number
from tests.support.serving import Served, prepared, served
from tests.unit.test_description import document

WITHIN_S = 240
CLIENTS = Path(__file__).with_name("clients")


@pytest.fixture(scope="module")
def description(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file of the description."""
    file = tmp_path_factory.mktemp("description") / "openapi.json"
    file.write_bytes(msgspec.json.encode(document()))
    return file


@pytest.fixture(scope="module")
def door(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A door that runs."""
    url = f"sqlite:///{tmp_path_factory.mktemp('door') / 'door.db'}"
    with prepared(url) as engine, served(engine) as running:
        yield running


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which npm has installed the linter and the generator."""
    if shutil.which("npm") is None and os.environ.get("CI") != "true":
        pytest.skip("needs node and npm")
    folder = tmp_path_factory.mktemp("node")
    for name in ("package.json", "publish.ts"):
        shutil.copy(CLIENTS / name, folder)
    call(folder, "npm", "install", "--no-audit", "--no-fund", "--ignore-scripts", "--prefer-offline")
    return folder


@pytest.fixture(scope="module")
def python(description: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a client of Python, generated without a warning."""
    folder = tmp_path_factory.mktemp("python")
    settings = folder / "settings.yaml"
    settings.write_text("post_hooks: []\n", encoding="utf-8")  # it would format what it wrote
    options = ("--output-path", "client", "--meta", "none", "--config", str(settings), "--fail-on-warning")
    run(folder, "-m", "openapi_python_client", "generate", "--path", str(description), *options)
    return folder


def call(folder: Path, *words: str) -> str:
    """A program in a folder; what it prints."""
    done = subprocess.run(words, cwd=folder, capture_output=True, text=True, timeout=WITHIN_S)
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    return done.stdout


def run(folder: Path, *words: str) -> str:
    """A Python program in a folder; what it prints."""
    return call(folder, sys.executable, "-W", "ignore", *words)


def report(number: int) -> dict[str, Any]:
    """A report that is made now."""
    event: dict[str, Any] = examples.event("report.submitted")
    data = {"category": "D3-08", "source": "patrol", "grid": "WY01-01"}
    subject = f"WY01.019a9d2e-0000-7000-8000-{number:012d}"
    now = datetime.now(UTC).isoformat()
    return event | {"id": f"client-{number}", "subject": subject, "time": now, "actor": "WY01-01-MEMBER", "data": data}


def test_a_client_of_python_is_generated_without_a_warning_and_publishes_a_report(door: Served, python: Path) -> None:
    operations = {one["operationId"] for ways in document()["paths"].values() for one in ways.values()}
    assert {path.stem for path in (python / "client" / "api").rglob("*.py")} - {"__init__"} == operations
    event = report(1)
    code = (
        "from client import Client\n"
        "from client.api.events import publish, publish_batch\n"
        "from client.models import Accepted, ReportSubmittedEvent\n"
        f"made = ReportSubmittedEvent.from_dict({event!r})\n"
        f"with Client(base_url={str(door.client.base_url)!r}) as client:\n"
        "    answer = publish.sync(client=client, body=made, prefer='wait=20')\n"
        "    again = publish_batch.sync(client=client, body=[made], prefer='wait=20')\n"
        "assert isinstance(answer, Accepted), answer\n"
        "print(answer.outcome, again.results[0].outcome)\n"
    )
    assert run(python, "-c", code).strip() == "done duplicate"
    assert door.get(f"/v1/incidents/{event['subject']}")["open"]


def test_a_client_of_python_asks_as_a_phone_does(door: Served, python: Path) -> None:
    """Answers are what the description says: the client reads them into classes of its own."""
    code = (
        "from client import Client\n"
        "from client.api.apps import list_similar, locate, show_me, show_pack\n"
        "from client.models import LocatedPlace, Me, PhonePack, SimilarCases\n"
        "here, post = '108.845,34.385', 'WY01-01-MEMBER'\n"
        f"with Client(base_url={str(door.client.base_url)!r}) as client:\n"
        "    me = show_me.sync(client=client, limit=1)\n"
        "    pack = show_pack.sync(client=client, post=post)\n"
        "    place = locate.sync(client=client, position=here, post=post, accuracy_m=5.0)\n"
        "    known = list_similar.sync(client=client, position=here, category='D3-08')\n"
        "assert isinstance(me, Me) and isinstance(pack, PhonePack), (me, pack)\n"
        "assert isinstance(place, LocatedPlace) and isinstance(known, SimilarCases), (place, known)\n"
        "drawn = [grid.border for grid in pack.grids if grid.border]\n"
        "print(me.principal, pack.posts[0].code, place.grid.code, place.own, known.radius_m, len(drawn))\n"
    )
    assert run(python, "-c", code).strip() == "local WY01-01-MEMBER WY01-01 True 50 1"


def test_a_public_linter_finds_no_error(description: Path, node: Path) -> None:
    found = json.loads(call(node, "npx", "--no-install", "redocly", "lint", str(description), "--format", "json"))
    assert found["totals"]["errors"] == 0 and found["totals"]["warnings"] <= 1, found["problems"]


def test_a_client_of_typescript_compiles_strictly_and_publishes_a_report(
    description: Path, door: Served, node: Path
) -> None:
    call(
        node, "npx", "--no-install", "openapi-ts", "-i", str(description), "-o", "client", "-c", "@hey-api/client-fetch"
    )
    options = ("--strict", "--target", "es2022", "--module", "commonjs", "--moduleResolution", "node10")
    more = ("--lib", "es2022,dom,dom.iterable", "--skipLibCheck", "--outDir", "built")
    call(node, "npx", "--no-install", "tsc", *options, *more, "publish.ts")
    event = report(2)
    printed = json.loads(call(node, "node", "built/publish.js", str(door.client.base_url), json.dumps(event)))
    assert printed == {"outcomes": ["done", "duplicate"], "number": short_number(event["subject"])}


def test_models_are_generated_and_take_every_event_by_its_type(description: Path, tmp_path: Path) -> None:
    kind = ("--input-file-type", "openapi", "--output-model-type", "pydantic_v2.BaseModel")
    run(tmp_path, "-m", "datamodel_code_generator", "--input", str(description), *kind, "--output", "models.py")
    events = [examples.event(name) for name in examples.DATA]
    code = (
        "import models\n"
        f"for event in {events!r}:\n"
        "    made = models.Event.model_validate(event).root\n"
        "    assert made.type == event['type'] and type(made).__name__.endswith('Event'), made\n"
    )
    run(tmp_path, "-c", code)

"""Programs that know nothing of gridpatrol make clients of the door's description, and the clients work.

Enters: the description, as a door serves it. Leaves: nothing.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from schemas import examples
from tests.unit.test_description import document

WITHIN_S = 240


@pytest.fixture(scope="module")
def description(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file of the description."""
    file = tmp_path_factory.mktemp("description") / "openapi.json"
    file.write_bytes(msgspec.json.encode(document()))
    return file


def run(folder: Path, *words: str) -> str:
    """A Python program in a folder; what it prints."""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", *words], cwd=folder, capture_output=True, text=True, timeout=WITHIN_S
    )
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    return done.stdout + done.stderr


def test_a_client_of_python_is_generated_without_a_warning_and_builds_an_event(
    description: Path, tmp_path: Path
) -> None:
    settings = tmp_path / "settings.yaml"
    settings.write_text("post_hooks: []\n", encoding="utf-8")  # it would format what it wrote
    options = ("--output-path", "client", "--meta", "none", "--config", str(settings), "--fail-on-warning")
    run(tmp_path, "-m", "openapi_python_client", "generate", "--path", str(description), *options)
    operations = {one["operationId"] for ways in document()["paths"].values() for one in ways.values()}
    assert {path.stem for path in (tmp_path / "client" / "api").rglob("*.py")} - {"__init__"} == operations
    event = examples.event("report.submitted")
    code = (
        "from client.api.events import publish\n"
        "from client.models import ReportSubmittedEvent\n"
        f"event = {event!r}\n"
        "made = ReportSubmittedEvent.from_dict(event)\n"
        "assert made.data.category == event['data']['category'] and made.to_dict()['subject'] == event['subject']\n"
        "assert callable(publish.sync)\n"
    )
    run(tmp_path, "-c", code)


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

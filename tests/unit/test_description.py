"""The door's description: valid OpenAPI, complete, and such that programs which read it need to know nothing else."""

from __future__ import annotations

import re
from functools import cache
from typing import Any

import msgspec
import pytest
from jsonschema import Draft202012Validator
from litestar.di import Provide
from openapi_spec_validator import OpenAPIV31SpecValidator

from engine.http import description
from engine.http.app import BEHIND_GUARDS, ROUTES, UNGUARDED
from engine.http.description import PROBLEMS, describe, references
from engine.http.events import BATCH, SINGLE
from engine.http.open311_answers import BASE
from engine.http.open311_description import AS_XML
from engine.http.openapi import PAGE
from engine.http.problems import UNANSWERABLE
from engine.views.alerts import FeedLine
from schemas import examples
from schemas.events import EVENT_TYPES
from schemas.messages import Line
from tests.support.source_files import ROOT

PARTS = "#/components/schemas/"


@cache
def document() -> dict[str, Any]:
    given = {name: Provide(lambda: None, sync_to_thread=False) for name in ("context", "feed")}
    return describe(UNGUARDED, BEHIND_GUARDS, given)


def operations() -> list[tuple[str, dict[str, Any]]]:
    """Every operation with its method and path."""
    found = [(f"{m.upper()} {path}", one) for path, ways in document()["paths"].items() for m, one in ways.items()]
    assert len(found) == sum(len(route.paths) for route in ROUTES)
    return found


NAMES = [f"{m} {path.replace(':str', '')}" for r in ROUTES for m in r.http_methods for path in sorted(r.paths)]
"""Of the routes, since to describe them takes a second, which no test process spends to collect its tests."""


@pytest.fixture(params=NAMES)
def operation(request: pytest.FixtureRequest) -> dict[str, Any]:
    """Each operation in turn."""
    return dict(operations())[request.param]


def test_a_public_linter_finds_nothing_to_say() -> None:
    assert [f"{list(error.path)}: {error.message}" for error in OpenAPIV31SpecValidator(document()).iter_errors()] == []


def test_every_reference_leads_to_a_component_and_nothing_is_a_resource_of_its_own() -> None:
    text = msgspec.json.encode(document()).decode()
    assert '"$id"' not in text and '"$defs"' not in text and '"$schema"' not in text
    schemas = document()["components"]["schemas"]
    met = set(references(document()))
    assert {reference.removeprefix("#/components/schemas/") for reference in met} <= set(schemas)
    assert len(met) > 60


def test_an_operation_is_named_explained_and_ordered(operation: dict[str, Any]) -> None:
    assert operation["operationId"].isidentifier() and operation["summary"] and operation["description"]
    assert len(operation["tags"]) == 1 and set(operation["tags"]) <= set(description.TAGS)
    for parameter in operation.get("parameters", []):
        assert parameter["description"] and parameter["schema"], parameter["name"]
        assert parameter["in"] != "path" or parameter["required"]


def test_operations_have_names_of_their_own() -> None:
    names = [operation["operationId"] for _, operation in operations()]
    assert len(set(names)) == len(names)


def test_every_answer_has_a_schema(operation: dict[str, Any]) -> None:
    answers = operation["responses"]
    assert "default" not in answers, "it would take every status for described"
    assert {status for status in answers if status < "4"} & {"200", "201", "202"}
    assert {"400", "503"} <= set(answers)
    for status, answer in answers.items():
        assert answer["description"] and answer["content"], status
        for media, shown in answer["content"].items():
            assert shown["schema"], (status, media)
            if operation["tags"] == ["open311"]:
                wrong = AS_XML if media == "text/xml" else {"type": "array", "items": {"$ref": f"{PARTS}RequestError"}}
                assert media in ("text/xml", "application/json")
            else:
                wrong = {"$ref": f"{PARTS}ProblemDetails"}
                assert (media == "application/problem+json") == (status >= "4")
            assert status < "4" or shown["schema"] == wrong
    known = {"403"} if operation["tags"] == ["open311"] else {"401", "403"}
    assert (known <= set(answers)) == bool(operation["security"])
    assert known == {"401", "403"} or "401" not in answers


def test_figures_and_the_stream_have_a_schema_that_names_their_members() -> None:
    paths, schemas = document()["paths"], document()["components"]["schemas"]
    page = paths["/v1/performance"]["get"]["responses"]["200"]["content"]["application/json"]["schema"]
    assert {"rows", "standing"} <= set(schemas[page["$ref"].rpartition("/")[2]]["properties"])
    stream = paths["/v1/alerts/stream"]["get"]["responses"]["200"]["content"]["text/event-stream"]["schema"]
    assert "`FeedLine`" in stream["description"]
    assert {"recipients", "due_at", "told_at"} <= set(schemas["FeedLine"]["properties"])


def test_a_line_of_the_feed_has_every_member_of_the_line_that_is_stored() -> None:
    stored, shown = ({field.name for field in msgspec.structs.fields(kind)} for kind in (Line, FeedLine))
    assert shown == stored | {"why", "told_at", "names", "sentence"}


def test_every_event_is_a_component_whose_parts_are_components() -> None:
    schemas = document()["components"]["schemas"]
    body = document()["paths"]["/v1/events"]["post"]["requestBody"]["content"]
    assert set(body) == {*SINGLE}
    [(kind, several)] = document()["paths"]["/v1/events/batch"]["post"]["requestBody"]["content"].items()
    assert (kind, several["schema"]["items"]) == (BATCH, {"$ref": "#/components/schemas/Event"})
    assert {body[kind]["schema"]["$ref"] for kind in SINGLE} == {"#/components/schemas/Event"}
    mapping = schemas["Event"]["discriminator"]["mapping"]
    assert list(mapping) == list(EVENT_TYPES)
    assert [one["$ref"] for one in schemas["Event"]["oneOf"]] == list(mapping.values())
    for event, reference in mapping.items():
        assert schemas[reference.removeprefix("#/components/schemas/")]["properties"]["type"]["const"] == event


def test_names_of_components_are_names_of_classes_and_no_schema_is_a_bare_false() -> None:
    schemas = document()["components"]["schemas"]
    assert [name for name in schemas if not name.isidentifier()] == []
    assert {name: shape["title"] for name, shape in schemas.items()} == {name: name for name in schemas}
    assert '"items":false' not in msgspec.json.encode(document()).decode()


@pytest.mark.parametrize("kind", sorted(examples.DATA))
def test_an_example_of_each_event_is_valid_as_it_is_described_and_of_one_type_only(kind: str) -> None:
    judge = Draft202012Validator({"$ref": "#/components/schemas/Event", **document()})
    event = examples.event(kind)
    judge.validate(event)
    assert not judge.is_valid(event | {"type": "gridpatrol.nothing.v1"})
    assert not judge.is_valid({name: value for name, value in event.items() if name != "actor"})


def test_the_examples_of_the_description_are_what_it_describes() -> None:
    routes = [
        document()["paths"][path]["post"]["requestBody"]["content"] for path in ("/v1/events", "/v1/events/batch")
    ]
    for shown in [shown for body in routes for shown in body.values()]:
        Draft202012Validator({**shown["schema"], "components": document()["components"]}).validate(shown["example"])


def test_every_status_that_the_door_answers_with_is_described() -> None:
    texts = [path.read_text(encoding="utf-8") for path in (ROOT / "engine" / "http").glob("*.py")]
    raised = {int(status) for text in texts for status in re.findall(r"\bProblem\(\s*(\d{3})", text)}
    assert {400, 401, 415, 503} <= raised
    assert raised | {status for status, _ in UNANSWERABLE.values()} <= set(PROBLEMS)


def test_each_status_that_an_operation_names_is_explained_once() -> None:
    named = {int(status) for _, operation in operations() for status in operation["responses"] if status >= "4"}
    assert named == set(PROBLEMS)


SEVERAL = ("/v1/operator/", "/v1/subscriptions/", f"{BASE}/")


def test_the_first_page_names_every_route() -> None:
    """Those of operators as one, those of one subscription and of Open311 as one of them, and a file under what
    identifies it."""
    lines = [line.split()[1:] for line in PAGE.splitlines() if re.match(r"  (GET|PUT|POST) ", line)]
    named = {
        word.replace("/ID", "/{id:str}")
        .replace("/CODE", "/{code:str}")
        .replace("SHA256", "{sha256:str}")
        .replace("NAME", "{name:str}")
        for line in lines
        for word in line
    }
    paths = {path for handler in ROUTES for path in handler.paths} - {"/", "/v1/ledger.xlsx"}
    assert {path for path in paths if not path.startswith(SEVERAL)} - named == set()
    assert {"/v1/operator/...", f"{BASE}/services"} <= named

"""The door describes itself: /openapi.json with the schemas of every event, and / with the routes and lines to try."""

from collections.abc import Sequence
from functools import cache
from importlib.metadata import version
from typing import Any

import msgspec
from litestar import Litestar, MediaType, Request, get
from litestar.di import Provide
from litestar.openapi import OpenAPIConfig
from litestar.response import Response

from engine.http.events import BATCH, SINGLE
from engine.http.problems import MEDIA_TYPE
from schemas import jsonschema
from schemas.events import EVENT_TYPES

VERSION = version("gridpatrol")
TITLE = "gridpatrol"
ABOUT = (
    "Incidents of four-level grid management (四级网格化管理). Events come in as CloudEvents 1.0; what becomes of "
    "them is decided in the order in which they arrived. Errors are problem documents (RFC 9457). Instants are RFC "
    "3339 with the offset of the policy pack's zone."
)
PROBLEM: dict[str, Any] = {
    "type": "object",
    "required": ["type", "title", "status", "detail", "reason"],
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "reason": {"type": "string"},
        "field": {"type": "string"},
        "remedy": {"type": "string"},
        "dead_letter": {"type": "string"},
    },
}

PAGE = """gridpatrol {version}

  POST /v1/events            publish CloudEvents ({single}, {batch})
  GET  /v1/events/status     what became of one: ?source=&id=
  GET  /v1/incidents         the overdue desk: ?overdue=true&grid=&clock=&owner=&due_before=&sort=&cursor=
  GET  /v1/incidents/ID      one case in full, with its history
  GET  /v1/alerts            who was told that something is due: ?status=&grid=&since=
  GET  /v1/alerts/stream     the same as it happens (Server-Sent Events)
  GET  /v1/performance       figures of a subtree: ?grid=&by=&period=
  GET  /metrics /healthz /readyz /openapi.json

  curl {token}'{url}/v1/incidents?overdue=true&limit=5'
  curl {token}-N {url}/v1/alerts/stream
  curl {token}'{url}/v1/performance?by=grid&period=month'
"""


@get("/", summary="The routes, and three lines to try", include_in_schema=False, media_type=MediaType.TEXT)
async def index(request: Request[Any, Any, Any]) -> str:
    """A first page for people."""
    url = str(request.base_url).rstrip("/")
    token = '-H "Authorization: Bearer $GRIDPATROL_TOKEN" ' if request.app.state.principals.asked else ""
    return PAGE.format(token=token, version=VERSION, single=SINGLE[0], batch=BATCH, url=url)


@get("/openapi.json", include_in_schema=False)
async def openapi(request: Request[Any, Any, Any]) -> Response[dict[str, Any]]:
    """The description of this door, generated when it is first asked for."""
    return Response(request.app.state.description(), media_type=MediaType.JSON)


def describe(routes: Sequence[Any], dependencies: dict[str, Provide]) -> dict[str, Any]:
    """What the framework knows of the routes, with the events and the problems that only the contract knows.

    A second application makes it: one that describes itself also serves pages that load scripts from elsewhere.
    """
    config = OpenAPIConfig(TITLE, VERSION, description=ABOUT, use_handler_docstrings=True)
    app = Litestar(list(routes), dependencies=dependencies, openapi_config=config, logging_config=None)
    generated: dict[str, Any] = app.openapi_schema.to_schema()
    schemas = generated.setdefault("components", {}).setdefault("schemas", {})
    schemas |= event_schemas() | {"Problem": PROBLEM}
    generated["components"]["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
    generated["security"] = [{}, {"token": []}]  # without principals no token is asked for
    one = {"oneOf": [{"$ref": f"#/components/schemas/{name}"} for name in EVENT_TYPES]}
    content: dict[str, Any] = {kind: {"schema": one} for kind in SINGLE}
    content[BATCH] = {"schema": {"type": "array", "items": one}}
    generated["paths"]["/v1/events"]["post"]["requestBody"] = {"required": True, "content": content}
    problem = {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}
    for path in generated["paths"].values():
        for operation in path.values():
            answers = operation.setdefault("responses", {})
            answers.pop("400", None)
            answers["default"] = {"description": "What is wrong, and what to do about it.", "content": problem}
    return generated


@cache
def event_schemas() -> dict[str, Any]:
    """The schema of every event by its type; each is a resource of its own, so that its references stay inside it."""
    documents = jsonschema.documents()
    found: dict[str, Any] = {}
    for name in EVENT_TYPES:
        schema = msgspec.json.decode(documents[f"{name}.json"])
        schema.setdefault("$id", f"urn:gridpatrol:schema:{name}")
        found[name] = schema
    return found


ROUTES = [index, openapi]

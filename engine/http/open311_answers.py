"""What Open311 routes answer with: the same values as XML or as JSON (GeoReport v2), errors among them.

The format is that of the path's ending, `.xml` or `.json`; without one the client's `Accept` decides, and XML where it
takes either. A list becomes an element for each of its items; in JSON it has no root of its own (Spark convention).
"""

import re
from typing import Any
from xml.etree.ElementTree import Element, SubElement, tostring

import msgspec
from litestar import Request, Response
from litestar.response.base import ASGIResponse
from msgspec import Struct

from engine.http.errors import problem_of
from engine.http.problems import Problem

BASE = "/open311/v2"
"""How the paths begin."""
XML, JSON = "text/xml", "application/json"
TYPES = {XML: XML, JSON: f"{JSON}; charset=utf-8"}
"""What the framework is told: it names the encoding of texts by itself."""
ENDINGS = {".xml": XML, ".json": JSON}
ITEMS = {
    "services": "service",
    "service_requests": "request",
    "attributes": "attribute",
    "values": "value",
    "errors": "error",
    "endpoints": "endpoint",
    "formats": "format",
}
"""List -> the element of each of its items."""
DECLARATION = b'<?xml version="1.0" encoding="utf-8"?>\n'
NOT_XML = re.compile("[^\t\n\r -\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""Characters that no XML 1.0 document may hold, however they are written."""


class RequestError(Struct, frozen=True):
    """One thing that is wrong with a request: the status of the answer, and what to tell a person."""

    code: int
    description: str


class InFormat(Response[Any]):
    """A value in the format that the request asks for. The route names its root: `opt={"root": ...}`."""

    def to_asgi_response(self, app: Any, request: Request[Any, Any, Any], **given: Any) -> ASGIResponse:
        """The value, written out."""
        media = media_of(request)
        self.headers["Vary"] = "Accept"
        self.content = written(str(request.route_handler.opt["root"]), self.content, media)
        self.media_type = TYPES[media]
        return super().to_asgi_response(app, request, **given)


def ending_of(path: str) -> str:
    """The ending of a path that says a format; empty: it says none."""
    return next((ending for ending in ENDINGS if path.endswith(ending)), "")


def media_of(request: Request[Any, Any, Any]) -> str:
    """The media type in which a request is answered."""
    if ending := ending_of(request.url.path):
        return ENDINGS[ending]
    return JSON if request.accept.best_match([XML, JSON]) == JSON else XML


def written(root: str, value: Any, media: str) -> bytes:
    """A value of structs, lists and plain values in one of the formats."""
    if media == JSON:
        return msgspec.json.encode(value)
    element = Element(root)
    fill(element, msgspec.to_builtins(value))
    document: bytes = tostring(element, encoding="utf-8")
    return DECLARATION + document


def fill(element: Element, value: Any) -> None:
    """Write a plain value into an element: nothing at all where it is None."""
    if isinstance(value, dict):
        for name, member in value.items():
            fill(SubElement(element, name), member)
    elif isinstance(value, list):
        for item in value:
            fill(SubElement(element, ITEMS[element.tag]), item)
    elif isinstance(value, bool):
        element.text = "true" if value else "false"
    elif value is not None:
        element.text = NOT_XML.sub("\ufffd", str(value))


def answer_error(request: Request[Any, Any, Any], error: Exception) -> Response[bytes]:
    """An error in the shape of the specification. Who is not known is answered 403, as it asks for."""
    problem = problem_of(error, request.scope, request.app.state["watch"])
    status, media = 403 if problem.status == 401 else problem.status, media_of(request)
    body = written("errors", [RequestError(status, told(problem))], media)
    headers = {name: value for name, value in problem.headers.items() if name.lower() != "www-authenticate"}
    return Response(body, status_code=status, media_type=TYPES[media], headers=headers)


def told(problem: Problem) -> str:
    """A problem in one sentence: the field, what is wrong with it, and what to do about it."""
    field, remedy = problem.members.get("field"), problem.members.get("remedy")
    text = str(problem)
    if field and not text.startswith(str(field)):
        text = f"{field}: {text}"
    return f"{text}; {remedy}" if remedy else text

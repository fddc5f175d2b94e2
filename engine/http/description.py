"""The description of the door: OpenAPI 3.1, with a schema of everything that is asked, sent and answered.

What the framework knows of the routes (paths, parameters, words) it tells; bodies and answers are made from the structs
that are decoded and encoded, by msgspec. Events have the schemas of the contract, their parts among the components: a
program that reads this document meets no `$id` and no reference but `#/components/...`.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from importlib.metadata import version
from types import UnionType
from typing import Any, get_args, get_origin

import msgspec
from litestar import Litestar, Response
from litestar.di import Provide
from litestar.handlers import HTTPRouteHandler
from litestar.openapi import OpenAPIConfig
from litestar.openapi.spec import License, Tag
from litestar.response import Stream

from engine.http.events import BATCH, SINGLE
from engine.http.ledger import XLSX
from engine.http.listings import CSV, Listing
from engine.http.open311_answers import InFormat, RequestError
from engine.http.open311_description import body_of_form, in_formats, operation_name
from engine.http.problems import MEDIA_TYPE
from engine.reports.files import FORMATS
from engine.uploads.media import ENDINGS
from engine.views.alerts import FeedLine
from schemas import examples, jsonschema
from schemas.events import EVENT_TYPES, OLDER_NAMES, trigger_of
from schemas.kinds.incident import INCIDENT

VERSION = version("gridpatrol")
TITLE = "gridpatrol"
ABOUT = (
    "Incidents of four-level grid management (四级网格化管理). Events come in as CloudEvents 1.0; what becomes of "
    "them is decided in the order in which they arrived. Errors are problem documents (RFC 9457). Instants are RFC "
    "3339 with the offset of the policy pack's zone. Large answers have an ETag, and are gzip where a client takes it."
)
TAGS = {
    "events": "What people and systems say, and what became of it.",
    "apps": "What a phone asks before it sends: who it is, what it takes along, where a position lies.",
    "incidents": "Cases: what falls due, what is late, and one case in full.",
    "tasks": "What waits for a post, and what it may say; what was given to many under one code.",
    "signals": "Values that devices measure, in batches.",
    "petitions": "What the public asks: a code for who asked, and the answer that it opens.",
    "alerts": "Who was told that something is or was due, and of which move of a case.",
    "files": "Photos and other files that evidence refers to.",
    "duties": "What posts owe in their periods, recorded and left, with the subjects under which phones record it.",
    "targets": "What owners have signed for in a year, and what came of it by what was measured.",
    "performance": "Figures with their numerators and denominators.",
    "responsibility": "Who must act on a problem, by which text, and who has signed it.",
    "register": "The active policy pack for other programs: its map, its organisation, its workflow.",
    "open311": "What the public asks for, as programs of cities send and read it (Open311 GeoReport v2): XML or JSON.",
    "operator": "What operators do to a running engine.",
    "operations": "Probes, metrics, and this description.",
}
SCHEMAS = "#/components/schemas/"
OF_DATA = "Data"
"""Ends the name of each part of an event's schema: `Accepted` is what the door answers, `AcceptedData` an event's."""


class ProblemDetails(msgspec.Struct, kw_only=True):
    """Why there is no other answer (RFC 9457). `reason` is for programs and stays as it is; `field` is the member or
    parameter that is wrong, `remedy` what to do, `dead_letter` the number under which a refused event was kept, `right`
    or `quota` what the principal lacks, `findings` what is wrong with a pack."""

    type: str
    title: str
    status: int
    detail: str
    reason: str
    field: str = ""
    remedy: str = ""
    dead_letter: str = ""
    right: str = ""
    quota: str = ""
    findings: list[str] = msgspec.field(default_factory=list)


PROBLEMS = {
    400: "The request cannot be read, or asks for what there is not: `field` names it.",
    401: "The door asks for a token, and this request has none that it knows.",
    403: "Who asks may not do this.",
    404: "There is none of this name.",
    416: "The file has no such bytes.",
    501: "This installation keeps no files.",
    410: "It ended long ago and has been archived: the detail says where it lies. Of a file: it was erased.",
    405: "This route has no such method: `Allow` names those that it has.",
    408: "The request came too slowly, or not to its end.",
    409: "There is more than one, or it is not in a state for this.",
    413: "The request is larger than any may be, or its event is.",
    414: "The address is too long.",
    415: "The content type of the body, or its encoding, is none that is taken here.",
    421: "A door without tokens answers to names of this machine only.",
    422: "The batch has too many events, the pack cannot be used, or the bytes are not those of the SHA-256.",
    429: "The principal asks for more than its quota: send the same again after `Retry-After`.",
    431: "Request line and headers are too long.",
    500: "A defect of the server: its log says more.",
    503: "Not now: send the same again after `Retry-After`.",
}
"""What each status other than success means."""
ALWAYS = (400, 405, 408, 414, 415, 421, 431, 500, 503)
"""What any route may answer: the limits of the wire, the framework, the guards of the whole door."""
PUBLISHING = ("publish", "publish_batch")
"""The handlers that take one event, and several."""
OF_ROUTE: dict[str, tuple[int, ...]] = {
    "publish": (413, 422, 429),
    "publish_batch": (413, 422, 429),
    "stream_alerts": (429,),
    "audit_stream": (429,),
    "status": (404, 409),
    "show_incident": (404, 410),
    "show_words": (404, 410),
    "make_report": (404, 410),
    "list_services": (404, 429),
    "define_service": (404, 429),
    "list_requests": (404, 429),
    "show_request": (404, 429),
    "show_token": (404, 429),
    "look_up": (404, 429),
    "create_request": (403, 404, 413, 429),
    "one_target": (404, 410),
    "activate": (409, 422),
    "replay_letter": (404, 409),
    "send_file": (409, 410, 413, 422, 429, 501),
    "show_file": (404, 416, 501),
    "subscribe": (409,),
    "show_subscription": (404,),
    "unsubscribe": (404,),
    "rotate_secret": (404, 409),
    "list_own_deliveries": (404,),
    "read_lines": (404,),
    "keep_place": (404, 409),
    "stream_subscription": (404, 429),
}
"""What a route answers besides, by the name of its handler."""
HEADERS: dict[str, dict[str, str]] = {
    "publish": {"Prefer": "`wait=N`: answer when the outcome is known, after N seconds at most (RFC 7240)."},
    "publish_batch": {"Prefer": "`wait=N`: answer when all outcomes are known, after N seconds at most (RFC 7240)."},
    "send_file": {"Content-Range": "`bytes FIRST-LAST/TOTAL`: which part of the file the body is (RFC 9110, 14.4)."},
    "show_file": {"Range": "`bytes=FIRST-LAST`: one range of the file (RFC 9110, 14.2)."},
    "stream_alerts": {"Last-Event-ID": "The id of the last line that was heard: what was told since comes first."},
    "audit_stream": {"Last-Event-ID": "The id of the last line that was heard: what was chained since comes first."},
}
"""Headers that change an answer."""
AS_CSV = "The same lines for a spreadsheet, with a byte order mark; the next page in `Link`."
FILE = {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}}
"""A body that is a file. Its type is that of the content; generators know bytes by this one alone."""
WHOLE_CSV = "The whole ledger, with a byte order mark and heads in both languages."
STREAMED = """Server-Sent Events. `retry` and a comment come first, then an event `alert` for each line of the feed: its
`data` is a `FeedLine`, its `id` the place in the feed. The first event of a stream is `opened`, with the place after
which lines follow, or `restarted` where the feed has begun anew.
Comments keep the connection open."""

INSPECTED = """Server-Sent Events. `retry` comes first, then an event `line` for each line of the feed: its `data` is an
`InspectionLine`, its `id` the place in the feed. The first event of a stream is `opened`, with the place after which
lines follow, or `restarted` where the chains have begun another epoch.
Comments keep the connection open."""


def describe(
    unguarded: Sequence[HTTPRouteHandler], guarded: Sequence[HTTPRouteHandler], dependencies: Mapping[str, Provide]
) -> dict[str, Any]:
    """The OpenAPI document of these routes; those that are guarded ask for a token, where the door does.

    A second application makes it: one that describes itself also serves pages that load scripts from elsewhere.
    """
    config = OpenAPIConfig(
        TITLE,
        VERSION,
        description=ABOUT,
        license=License("Apache-2.0", identifier="Apache-2.0"),
        tags=[Tag(name, description) for name, description in TAGS.items()],
        use_handler_docstrings=True,
        operation_id_creator=lambda handler, _, parts: operation_name(handler.handler_name, "/".join(map(str, parts))),
    )
    routes = [*unguarded, *guarded]
    app = Litestar(routes, dependencies=dict(dependencies), openapi_config=config, logging_config=None)
    document: dict[str, Any] = app.openapi_schema.to_schema()
    handlers = {operation_name(handler.handler_name, path): handler for handler in routes for path in handler.paths}
    open_names = {handler.handler_name for handler in unguarded}
    kinds = {kind for handler in routes for kind in [*answered(handler), *sent(handler)] if has_components(kind)}
    in_order = sorted(kinds, key=str)
    shapes, parts = msgspec.json.schema_components(
        [*in_order, FeedLine, ProblemDetails, RequestError], ref_template=SCHEMAS + "{name}"
    )
    shape_of = dict(zip(in_order, shapes, strict=False))
    document["components"] = {
        # Generators name their classes after the title, where there is one.
        "schemas": {name: shape | {"title": name} for name, shape in (parts | event_schemas()).items()},
        "securitySchemes": {"token": {"type": "http", "scheme": "bearer", "description": "A principal's token."}},
    }
    for path, operations in document["paths"].items():
        for operation in operations.values():
            handler = handlers[operation["operationId"]]
            name = handler.handler_name
            operation["responses"] = responses(handler, shape_of, name not in open_names)
            if handler.response_class is InFormat:
                operation["responses"] = in_formats(operation["responses"], path, f"{SCHEMAS}{RequestError.__name__}")
            operation["security"] = (
                [] if name in open_names else [{}, {"token": []}]
            )  # without principals none is asked
            if name == "send_file":
                operation["requestBody"] = {"required": True, "content": FILE}
            elif name == "create_request":
                operation["requestBody"] = body_of_form()
            elif name in PUBLISHING:
                operation["requestBody"] = body_of_events(batch=name != PUBLISHING[0])
            elif "requestBody" in operation:
                [kind] = sent(handler)
                content = {"application/json": {"schema": shape_of[kind]}}
                operation["requestBody"] = {"required": True, "content": content}
            for header, text in HEADERS.get(name, {}).items():
                shown = {"name": header, "in": "header", "description": text, "schema": {"type": "string"}}
                operation.setdefault("parameters", []).append(shown)
    document["servers"] = [{"url": "/", "description": "this door"}]
    described: dict[str, Any] = for_generators(document)
    return described


def answered(handler: HTTPRouteHandler) -> list[Any]:
    """The types that a route may answer with."""
    returned = handler.parsed_fn_signature.return_type
    if returned.is_subclass_of(Response) and returned.inner_types:
        returned = returned.inner_types[0]
    return list(get_args(returned.annotation)) if isinstance(returned.annotation, UnionType) else [returned.annotation]


def sent(handler: HTTPRouteHandler) -> list[Any]:
    """The type of the body that a route decodes; none for most."""
    data = handler.parsed_fn_signature.parameters.get("data")
    return [data.annotation] if data is not None else []


def has_components(kind: Any) -> bool:
    """Whether a type is a struct of ours, or a list of them; what else is answered are texts."""
    if get_origin(kind) is list:
        kind = get_args(kind)[0]
    return isinstance(kind, type) and issubclass(kind, msgspec.Struct)


def responses(handler: HTTPRouteHandler, shape_of: Mapping[Any, Any], is_guarded: bool) -> dict[str, Any]:
    """The answers of a route by status."""
    structs = [shape_of[kind] for kind in answered(handler) if kind in shape_of]
    statuses = [handler.status_code]
    if structs:
        media = str(handler.media_type or "application/json")
        shape = structs[0] if len(structs) == 1 else {"anyOf": structs}
    elif (media := str(handler.media_type or "")) == CSV:
        shape = {"type": "string", "description": WHOLE_CSV}
    elif answered(handler) == [Stream]:
        told = INSPECTED if handler.handler_name == "audit_stream" else STREAMED
        media, shape = "text/event-stream", {"type": "string", "description": told.replace("\n", " ")}
    elif answered(handler) == [dict[str, Any]]:
        media, shape = "application/json", {"type": "object", "description": "an OpenAPI document"}
    else:
        media, shape = "text/plain", {"type": "string"}
    name = handler.handler_name
    if name in PUBLISHING:
        statuses = [200, 202]
    elif name == "send_file":
        statuses = [200, 201, 202]
    text = {
        200: "The answer.",
        201: "Made, and durable.",
        202: "Taken, and durable; what comes of it is decided in its turn. Of a file: more of it is to come.",
    }
    found: dict[str, Any] = {
        str(status): {"description": text[status], "content": {media: {"schema": shape}}} for status in statuses
    }
    if handler.media_type == XLSX:
        workbook = "A workbook (Office Open XML) with a sheet for each kind of case."
        found = {"200": {"description": workbook, "content": {XLSX: next(iter(FILE.values())), **FILE}}}
    if name == "make_report":
        content = {kind.media.partition(";")[0]: next(iter(FILE.values())) for kind in FORMATS.values()}
        found = {"200": {"description": f"The report, as {', '.join(FORMATS)}.", "content": {**FILE, **content}}}
    if name == "show_file":
        found = {
            "200": {"description": f"The bytes, as {', '.join(ENDINGS)}.", "content": FILE},
            "206": {"description": "The range that was asked for.", "content": FILE},
        }
    if handler.response_class is Listing:
        found[str(handler.status_code)]["content"][CSV] = {"schema": {"type": "string", "description": AS_CSV}}
    wrong = {*ALWAYS, *OF_ROUTE.get(name, ()), *((401, 403) if is_guarded else ()), *((413,) if sent(handler) else ())}
    problem = {MEDIA_TYPE: {"schema": {"$ref": f"{SCHEMAS}{ProblemDetails.__name__}"}}}
    return found | {str(status): {"description": PROBLEMS[status], "content": problem} for status in sorted(wrong)}


def body_of_events(*, batch: bool) -> dict[str, Any]:
    """What may be published: one event in either content type, or several. One operation for both would have clients
    that cannot tell which of them they are given."""
    one = {"$ref": f"{SCHEMAS}Event"}
    sample = examples.event(next(iter(examples.DATA)))
    content: dict[str, Any] = {kind: {"schema": one, "example": sample} for kind in SINGLE}
    if batch:
        content = {BATCH: {"schema": {"type": "array", "items": one}, "example": [sample]}}
    return {"required": True, "content": content}


def name_of(event_type: str) -> str:
    """What generators call an event: its trigger, as in `CaseUrged`. Those of the incident keep the names that they had
    before there were other kinds."""
    trigger = trigger_of(event_type)
    if trigger in INCIDENT.events or trigger in OLDER_NAMES:
        return EVENT_TYPES[event_type].__name__
    return "".join(word.capitalize() for word in re.split(r"[._]", trigger))


@cache
def event_schemas() -> dict[str, Any]:
    """The schemas of all events, `Event` for any of them, and their parts. Names are of letters and digits: generators
    make classes of them, and one that meets a dot makes a folder."""
    found: dict[str, Any] = {}
    documents = jsonschema.documents()
    which = {event: f"{name_of(event)}Event" for event in EVENT_TYPES}
    for event, name in which.items():
        own, named = EVENT_TYPES[event].__name__, name_of(event)
        text = re.sub(rf'"#/\$defs/{own}"', f'"#/$defs/{named}"', documents[f"{event}.json"].decode())
        text = re.sub(r'"#/\$defs/(\w+)"', rf'"{SCHEMAS}\1{OF_DATA}"', text)
        schema: dict[str, Any] = msgspec.json.decode(text)
        parts = {named if part == own else part: shape for part, shape in schema.pop("$defs").items()}
        found |= {f"{part}{OF_DATA}": shape for part, shape in parts.items()}
        found[name] = {member: value for member, value in schema.items() if member not in ("$schema", "$id")}
    found["Event"] = {
        "description": "A CloudEvent of any type that the door takes.",
        "oneOf": [{"$ref": f"{SCHEMAS}{name}"} for name in which.values()],
        "discriminator": {
            "propertyName": "type",
            "mapping": {event: f"{SCHEMAS}{name}" for event, name in which.items()},
        },
    }
    return found


def for_generators(value: Any) -> Any:
    """A document as programs of other languages read it: lists for tuples, and behind the items of a tuple what any of
    them may be instead of `items: false`, where `maxItems` says the same. No generator takes `false` for a schema, and
    no linter an array without `items`."""
    if isinstance(value, dict):
        made = {name: for_generators(member) for name, member in value.items()}
        if made.get("items") is False and "maxItems" in made:
            kinds = list({msgspec.json.encode(one): one for one in made["prefixItems"]}.values())
            made["items"] = kinds[0] if len(kinds) == 1 else {"anyOf": kinds}
        return made
    return [for_generators(item) for item in value] if isinstance(value, list | tuple) else value


def references(value: Any) -> Iterator[str]:
    """Every reference in a document."""
    if isinstance(value, dict):
        if isinstance(reference := value.get("$ref"), str):
            yield reference
        for member in value.values():
            yield from references(member)
    elif isinstance(value, list):
        for item in value:
            yield from references(item)

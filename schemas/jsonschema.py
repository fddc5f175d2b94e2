"""The contract for other languages: JSON Schema 2020-12, generated from the structs that decode.

One document per event type describes the whole CloudEvent, another one the step that the engine publishes. The copies
that ship lie in `schemas/jsonschema/`; `write` renews them.
"""

from inspect import cleandoc
from pathlib import Path
from typing import Any

import msgspec
from msgspec import defstruct, structs

from schemas.envelope import DATASCHEMA, Envelope
from schemas.events import EVENT_TYPES
from schemas.facts import Step
from schemas.instants import SPAN
from schemas.members import SUBJECT

DIALECT = "https://json-schema.org/draft/2020-12/schema"
STEP = "gridpatrol.step.v1"
FOLDER = Path(__file__).parent / "jsonschema"

ATTRIBUTES = {
    "specversion": "The version of CloudEvents.",
    "id": "With `source` the idempotency key: the same pair with other content is refused as a conflict.",
    "source": "The app or system that sends, for example `app/3f9c` or `city/12345`.",
    "type": "What happened, and the version of its data.",
    "subject": "The case: `<home>.<UUIDv7>`, minted by its reporter, or derived; home is a grid's code.",
    "time": f"When it happened, as the sender's clock had it, with a zone, {SPAN}.",
    "actor": "The code of the post that says it, never a person.",
    "datacontenttype": "Always JSON: as `data`, or its Base64 as `data_base64`, which is read as `data`.",
    "dataschema": "The address of this schema, of http, https or a urn, if the sender names it.",
    "recordedtime": f"When the sender's system recorded it, if later than it happened, {SPAN}.",
    "partitionkey": "The home, for brokers that route by it.",
    "traceparent": "W3C trace context, copied to the facts.",
    "tracestate": "W3C trace context.",
}
"""What the attributes of a CloudEvent mean here."""
REQUIRED = [field.name for field in structs.fields(Envelope) if field.required]
"""The attributes without which there is no event."""

_BARE = defstruct(
    "Attributes", [(field.name, field.type) for field in structs.fields(Envelope) if field.name != "data"]
)
_SCHEMAS = msgspec.json.schema(_BARE)["$defs"]["Attributes"]["properties"]
_SCHEMAS["subject"]["pattern"] = SUBJECT
_SCHEMAS["dataschema"]["anyOf"][0]["pattern"] = DATASCHEMA
PROPERTIES = {name: {**schema, "description": ATTRIBUTES[name]} for name, schema in _SCHEMAS.items()}
"""The schemas of an event's attributes without `data`, by name."""


def documents() -> dict[str, bytes]:
    """Schemas by file name, in order of the names. The same code gives the same bytes.

    An event may have other members, which are sealed.
    """
    made: dict[str, dict[str, Any]] = {}
    for name, struct in EVENT_TYPES.items():
        (data,), parts = msgspec.json.schema_components([struct], ref_template="#/$defs/{name}")
        of_type = {"const": name, "description": ATTRIBUTES["type"]}
        made[f"{name}.json"] = {
            "$schema": DIALECT,
            "$id": f"urn:gridpatrol:schema:{name}",
            "title": name,
            "description": struct.__doc__ or "",
            "type": "object",
            "properties": PROPERTIES | {"type": of_type, "data": data},
            "required": [*REQUIRED, "data"] if parts[struct.__name__].get("required") else REQUIRED,
            "$defs": parts,
        }
    _, parts = msgspec.json.schema_components([Step], ref_template="#/$defs/{name}")
    head = {"$schema": DIALECT, "$id": f"urn:gridpatrol:schema:{STEP}"}
    made[f"{STEP}.json"] = {**head, **parts.pop("Step"), "title": STEP, "$defs": parts}
    return {name: encode(made[name]) for name in sorted(made)}


def write(folder: Path = FOLDER) -> list[Path]:
    """Write all documents into a folder and remove stale ones. Returns the paths written."""
    folder.mkdir(parents=True, exist_ok=True)
    made = documents()
    for stale in folder.glob("*.json"):
        if stale.name not in made:
            stale.unlink()
    for name, body in made.items():
        (folder / name).write_bytes(body)
    return [folder / name for name in made]


def encode(document: dict[str, Any]) -> bytes:
    """A generated document, indented, with descriptions that are the same on every Python."""
    return msgspec.json.format(msgspec.json.encode(_dedented(document)), indent=2) + b"\n"


def _dedented(value: Any) -> Any:
    """Descriptions without the indentation of the source, which Python keeps in docstrings before 3.13."""
    if isinstance(value, dict):
        return {k: cleandoc(v) if k == "description" and isinstance(v, str) else _dedented(v) for k, v in value.items()}
    return [_dedented(item) for item in value] if isinstance(value, list | tuple) else value

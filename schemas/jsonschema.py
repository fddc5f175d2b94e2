"""The contract for other languages: JSON Schema 2020-12, generated from the structs that decode.

One document per event type describes the whole CloudEvent, another one the step that the engine publishes. The copies
that ship lie in `schemas/jsonschema/`; `write` renews them.
"""

from inspect import cleandoc
from pathlib import Path
from typing import Any

import msgspec
from msgspec import defstruct, structs

from schemas.envelope import SUBJECT, Envelope
from schemas.events import EVENT_TYPES, EventData
from schemas.facts import Step
from schemas.instants import SPAN

DIALECT = "https://json-schema.org/draft/2020-12/schema"
STEP = "gridpatrol.step.v1"
FOLDER = Path(__file__).parent / "jsonschema"

ATTRIBUTES = {
    "specversion": "The version of CloudEvents.",
    "id": "With `source` the idempotency key: the same pair with other content is refused as a conflict.",
    "source": "The app or system that sends, for example `app/3f9c` or `city/12345`.",
    "type": "What happened, and the version of its data.",
    "subject": "The case: `<home>.<UUIDv7>`, minted by its reporter; home is a grid's code.",
    "time": f"When it happened, as the sender's clock had it, with a zone, {SPAN}.",
    "actor": "The code of the post that says it, never a person.",
    "datacontenttype": "Always JSON.",
    "dataschema": "The address of this schema, if the sender names it.",
    "recordedtime": f"When the sender's system recorded it, if later than it happened, {SPAN}.",
    "partitionkey": "The home, for brokers that route by it.",
    "traceparent": "W3C trace context, copied to the facts.",
    "tracestate": "W3C trace context.",
}
"""What the attributes of a CloudEvent mean here."""


def documents() -> dict[str, bytes]:
    """Schemas by file name, in order of the names. The same code gives the same bytes."""
    made = {f"{name}.json": _event(name, struct) for name, struct in EVENT_TYPES.items()}
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


def _event(name: str, struct: type[EventData]) -> dict[str, Any]:
    """The schema of a whole CloudEvent of one type. Other members are allowed, and sealed."""
    (data,), parts = msgspec.json.schema_components([struct], ref_template="#/$defs/{name}")
    attributes = dict(PROPERTIES)
    attributes["type"] = {"const": name, "description": ATTRIBUTES["type"]}
    attributes["data"] = data
    required = [field.name for field in structs.fields(Envelope) if field.required]
    return {
        "$schema": DIALECT,
        "$id": f"urn:gridpatrol:schema:{name}",
        "title": name,
        "description": struct.__doc__ or "",
        "type": "object",
        "properties": attributes,
        "required": [*required, "data"] if parts[struct.__name__].get("required") else required,
        "$defs": parts,
    }


def _attributes() -> dict[str, Any]:
    """The schemas of the envelope's attributes without `data`, with descriptions."""
    kept = [field for field in structs.fields(Envelope) if field.name != "data"]
    bare = defstruct("Attributes", [(field.name, field.type) for field in kept])
    properties = msgspec.json.schema(bare)["$defs"]["Attributes"]["properties"]
    properties["subject"]["pattern"] = SUBJECT
    return {name: {**schema, "description": ATTRIBUTES[name]} for name, schema in properties.items()}


PROPERTIES = _attributes()
"""The schemas of an event's attributes, by name."""

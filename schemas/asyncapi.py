"""The contract over Apache Kafka: an AsyncAPI 3.0 document, generated from the structs that decode messages.

It has every topic with its key, settings, writers and readers, and every message with its schema and an example. The
copy that ships lies in `schemas/asyncapi/`; `write` renews it.
"""

from inspect import cleandoc
from pathlib import Path
from typing import Any, get_args

import msgspec
from msgspec import Struct

from schemas import binary, examples, facts, jsonschema, messages
from schemas.channels import LARGEST, OPERATIONS, TOPICS, Topic
from schemas.envelope import MAX_EVENT_BYTES
from schemas.events import EVENT_TYPES, EVENTS, OLDER_NAMES, trigger_of
from schemas.jsonschema import ATTRIBUTES, PROPERTIES, REQUIRED, STEP

FOLDER = Path(__file__).parent / "asyncapi"
NAME = "gridpatrol.json"
VERSION = "1.0.0"
"""The version of this contract. Every topic and type ends in v1."""
BINDING = "0.5.0"
"""The version of AsyncAPI's Kafka bindings."""

ABOUT = """Incidents of four-level grid management (四级网格化管理): events come in, facts, alerts and figures go out.

Operations are told as gridpatrol sees them: it *receives* from intake topics, to which others send; it *sends* facts,
alerts, dead letters and figures, which others receive. Every message but the inbox's is a CloudEvent 1.0; events are
taken in structured and in binary mode. All that is sent is sent at least once: read by the rule of its topic. Topic
names may have a prefix that tells installations apart. The same events are taken over HTTP: see /openapi.json there."""

CHINESE = {trigger: event.zh for trigger, event in EVENTS.items()} | {
    "step": "事实",
    "alert": "预警",
    "deadletter": "死信",
    "figure": "考核指标",
}
"""The Chinese term for each message."""

SERVERS = {
    "cluster": {
        "host": "{broker}",
        "protocol": "kafka-secure",
        "description": "Apache Kafka with TLS and SCRAM-SHA-512.",
        "variables": {"broker": {"default": "kafka.example:9093", "description": "Any broker, with its port."}},
        "security": [{"$ref": "#/components/securitySchemes/scram"}],
    },
    "laptop": {
        "host": "localhost:9092",
        "protocol": "kafka",
        "description": "One machine for a trial, without TLS and passwords: loopback only.",
    },
}
SECURITY_SCHEMES = {
    "scram": {
        "type": "scramSha512",
        "description": "A user and a password for each principal, over TLS only. "
        "ACLs of the brokers say which topics a principal may write and read.",
    }
}

_TEXT = {"type": "string"}
SENT_HEADERS = {
    "title": "SentHeaders",
    "type": "object",
    "description": "The attributes of a CloudEvent in binary mode.",
    "properties": {
        "ce_specversion": {"const": "1.0"},
        "ce_type": _TEXT,
        "ce_source": _TEXT,
        "ce_id": _TEXT,
        "ce_subject": _TEXT,
        "ce_time": _TEXT | {"format": "date-time"},
        "content-type": {"const": binary.JSON},
    },
    "required": ["ce_specversion", "ce_type", "ce_source", "ce_id", "ce_time", "content-type"],
}
"""The Kafka headers of what the engine sends."""
EVENT_HEADERS = {
    "title": "EventHeaders",
    "type": "object",
    "description": "The attributes of an event in binary mode. Over HTTP they are called ce-… and percent-encoded.",
    "properties": {
        f"ce_{name}": {**kind, "description": schema["description"]}
        for name, schema in PROPERTIES.items()
        if name != "datacontenttype"
        for kind in schema.get("anyOf", [schema])
        if kind.get("type") != "null"  # never null: a header is there or not
    }
    | {"content-type": _TEXT | {"pattern": "^application/json", "description": "The data's type."}},
    "required": [f"ce_{name}" for name in REQUIRED],
}
"""The Kafka headers of an event in binary mode: UTF-8 text, one per attribute."""
RECORD = {
    "title": "Record",
    "type": "object",
    "required": ["event", "digest"],
    "description": "A sealed event, and what the gateway found out about it.",
    "properties": {
        "event": {"type": "object", "properties": PROPERTIES | {"data": {"type": "object"}}, "required": REQUIRED},
        "digest": _TEXT | {"description": "SHA-256 of what was sent, before sealing and without tracing."},
        "token": _TEXT | {"description": "Of the sealed members, if there were any."},
        "letter": _TEXT | {"description": "The dead letter that this replays."},
    },
}
"""An event in the inbox. Its data is sealed by then, and of the event's type."""


def document() -> bytes:
    """The document as bytes, the same for the same code."""
    names, schemas = _schemas()
    operations: dict[str, dict[str, Any]] = {}
    for name, row in OPERATIONS.items():
        refs = [{"$ref": f"#/channels/{row.channel}/messages/{message}"} for message in TOPICS[row.channel].messages]
        channel = {"$ref": f"#/channels/{row.channel}"}
        operations[name] = {"action": row.action, "channel": channel, "summary": row.summary, "messages": refs}
        if row.group:
            group = {"type": "string", "const": row.group}
            operations[name]["bindings"] = {"kafka": {"groupId": group, "bindingVersion": BINDING}}
    return jsonschema.encode(
        {
            "asyncapi": "3.0.0",
            "id": "urn:gridpatrol",
            "info": {
                "title": "gridpatrol",
                "version": VERSION,
                "description": ABOUT,
                "license": {"name": "Apache-2.0", "url": "https://www.apache.org/licenses/LICENSE-2.0"},
            },
            "defaultContentType": binary.JSON,
            "servers": SERVERS,
            "channels": {name: _channel(topic) for name, topic in TOPICS.items()},
            "operations": operations,
            "components": {
                "messages": _messages(names),
                "schemas": schemas,
                "securitySchemes": SECURITY_SCHEMES,
            },
        }
    )


def write(folder: Path = FOLDER) -> Path:
    """Write the document into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / NAME).write_bytes(document())
    return folder / NAME


# ---- channels and operations --------------------------------------------------------------------------------


def _channel(topic: Topic) -> dict[str, Any]:
    bound: dict[str, Any] = {"topicConfiguration": topic.config | LARGEST, "bindingVersion": BINDING}
    if topic.partitions:
        bound["partitions"] = topic.partitions
    channel: dict[str, Any] = {
        "address": topic.address,
        "title": topic.title,
        "description": topic.text(),
        "messages": {name: {"$ref": f"#/components/messages/{name}"} for name in topic.messages},
        "bindings": {"kafka": bound},
    }
    if "{system}" in topic.address:
        about = "The system's name: lower-case letters, digits and hyphens, at most 63."
        channel["parameters"] = {"system": {"description": about, "examples": ["hotline", "sensors-2"]}}
    return channel


# ---- messages -----------------------------------------------------------------------------------------------


def _messages(names: dict[type, str]) -> dict[str, Any]:
    """Every message by its name."""
    found: dict[str, Any] = {}
    for name, struct in EVENT_TYPES.items():
        found |= _both_modes(name, names[struct])
    found |= {f"inbox.{kind}": made for kind, made in _records().items()}
    shown = (
        ("step", STEP, facts.Step, examples.STEP, "3.17", examples.SUBJECT, "The case's id."),
        (
            "alert",
            messages.LINE,
            messages.PublishedAlert,
            examples.LINE,
            examples.LINE.id,
            examples.SUBJECT,
            "The case's id.",
        ),
        (
            "deadletter",
            messages.LETTER,
            messages.DeadLetter,
            examples.LETTER,
            examples.LETTER.id,
            examples.SUBJECT,
            "The letter's id.",
        ),
        ("figure", messages.CELL, messages.Cell, examples.CELL, "3.17.1", "", "The cell's dimensions."),
    )
    keys = {
        "step": examples.SUBJECT,
        "alert": examples.SUBJECT,
        "deadletter": examples.LETTER.id,
        "figure": messages.cell_key(examples.CELL),
    }
    for name, type_, message, example, id_, subject, about in shown:
        only = {"type": "object", "properties": {"ce_type": {"const": type_}}}
        headers = binary.headers(type=type_, id=id_, subject=subject, at_ms=examples.AT + 180_000)
        found[name] = {
            "name": type_,
            "title": _title(name),
            "summary": _summary(message),
            "contentType": binary.JSON,
            "headers": {"allOf": [_component("SentHeaders"), only]},
            "payload": _component(names[message]),
            "bindings": _key(about, keys[name]),
            "examples": [_example({k: v.decode() for k, v in headers}, msgspec.to_builtins(example))],
        }
    return found


def _both_modes(name: str, data: str) -> dict[str, Any]:
    """An event in structured mode, and in binary mode, where its attributes are headers."""
    kind = trigger_of(name)
    event = examples.event(kind)
    summary = f"An older name of {OLDER_NAMES[kind]}." if kind in OLDER_NAMES else _summary(EVENT_TYPES[name])
    bindings = _key("Free; best the home of the subject.", examples.HOME)
    content = {"content-type": {"type": "string", "pattern": "^application/cloudevents\\+json"}}
    structured = {
        "name": name,
        "title": _title(kind),
        "summary": summary,
        "contentType": binary.STRUCTURED,
        "headers": {"type": "object", "properties": content},
        "payload": _component(kind),
        "bindings": bindings,
        "examples": [_example({"content-type": binary.STRUCTURED}, event)],
    }
    headers = {f"ce_{attribute}": value for attribute, value in event.items() if attribute != "data"}
    only = {"type": "object", "properties": {"ce_type": {"const": name}}}
    in_binary = {
        "name": f"{name} in binary mode",
        "title": f"{_title(kind)}, binary",
        "summary": summary,
        "contentType": binary.JSON,
        "headers": {"allOf": [_component("EventHeaders"), only]},
        "payload": _component(data),
        "bindings": bindings,
        "examples": [_example(headers | {"content-type": binary.JSON}, event["data"])],
    }
    return {kind: structured, f"{kind}.binary": in_binary}


def _records() -> dict[str, Any]:
    """The records of the inbox, by kind."""
    report = msgspec.json.decode(msgspec.json.encode(examples.record()))
    text = {"type": "string"}
    digest = text | {"pattern": "^[0-9a-f]{64}$", "description": "The SHA-256 of the compiled pack."}
    case = text | {"description": "The case's id."}
    sender = text | {"minLength": 1, "description": "Who sent it, as authenticated."}
    said = {
        "to": case,
        "trigger": text | {"description": "What is said."},
        "data": {"type": "object"},
        "cause": {
            "type": "object",
            "properties": {"type": text, "source": case, "id": text | {"pattern": r"^\d+\.\d+$"}},
            "required": ["type", "source", "id"],
            "description": "Who says it; the number of its step, and of the send in it: by these it is known.",
        },
        "instant": {"type": "integer", "description": "By which the step of the sender counts, ms since 1970."},
        "arrival": {"type": "integer", "description": "Of that step, ms since 1970."},
        "bears": text | {"description": "The kind of the case that comes to be by it."},
        "mover": text | {"description": "The post whose move it follows from."},
        "homes": {"type": "integer", "description": "How often in a row a home has spoken to another one."},
    }
    word = {"type": "object", "properties": said, "required": ["to", "trigger", "data", "cause", "instant", "arrival"]}
    rows: tuple[tuple[str, str, dict[str, Any], Any, str, str], ...] = (
        ("event", "An event that was taken, sealed.", _component("Record"), report, examples.HOME, "app"),
        ("tick", "Time has passed this record's stamp. No value.", text | {"maxLength": 0}, "", "", "owner"),
        ("pack", "A policy pack is active from here on.", digest, examples.PACK, "", "operator"),
        ("release", "A case leaves quarantine.", case, examples.SUBJECT, "", "operator"),
        ("sent", "What a case says to one of another home.", word, examples.sent(), "", "owner"),
    )
    return {
        kind: {
            "name": f"inbox {kind}",
            "title": f"Inbox record: {kind}",
            "summary": about,
            "contentType": binary.JSON if kind in ("event", "sent") else "text/plain",
            "headers": {
                "type": "object",
                "properties": {"kind": {"const": kind}, "principal": sender},
                "required": ["kind", "principal"],
            },
            "payload": payload,
            "bindings": _key("The home of an event's subject; empty for others.", key),
            "examples": [_example({"kind": kind, "principal": principal}, example)],
        }
        for kind, about, payload, example, key, principal in rows
    }


def _key(about: str, example: str) -> dict[str, Any]:
    key = {"type": "string", "description": about, "examples": [example]}
    return {"kafka": {"key": key, "bindingVersion": BINDING}}


def _example(headers: dict[str, Any], payload: Any) -> dict[str, Any]:
    return {"headers": headers, "payload": payload}


def _title(name: str) -> str:
    """A message's name as words, with the Chinese term."""
    return f"{name.replace('.', ' ').replace('_', ' ').capitalize()} {CHINESE[name]}"


def _summary(struct: type[Struct]) -> str:
    return (struct.__doc__ or "").strip().partition("\n")[0]


# ---- schemas ------------------------------------------------------------------------------------------------


def _component(name: str) -> dict[str, Any]:
    return {"$ref": f"#/components/schemas/{name}"}


def _schemas() -> tuple[dict[type, str], dict[str, Any]]:
    """Component names by struct, and the schemas by these names.

    Events are named by their kind; their data and the facts have prefixes, since both use the same words.
    """
    named: dict[type, str] = {struct: f"data.{trigger_of(name)}" for name, struct in EVENT_TYPES.items()}
    named |= {fact: f"fact.{fact.__struct_config__.tag}" for fact in get_args(facts.AnyFact)}
    sent = (facts.Step, messages.PublishedAlert, messages.DeadLetter, messages.Cell)
    named |= {struct: struct.__name__ for struct in sent}
    refs, parts = msgspec.json.schema_components(list(named), ref_template="{name}")
    renamed = {str(ref["$ref"]): name for ref, name in zip(refs, named.values(), strict=True)}
    schemas = {renamed.get(name, name): _referring(schema, renamed) for name, schema in parts.items()}
    size = f"At most {MAX_EVENT_BYTES} bytes as structured JSON. Members beyond the contract are allowed, and sealed."
    for name, struct in EVENT_TYPES.items():
        of_type = {"const": name, "description": ATTRIBUTES["type"]}
        needs_data = any(field.required for field in msgspec.structs.fields(struct))
        schemas[trigger_of(name)] = {
            "title": name,
            "description": f"{cleandoc(struct.__doc__ or '')}\n\n{size}",
            "type": "object",
            "properties": PROPERTIES | {"type": of_type, "data": _component(named[struct])},
            "required": [*REQUIRED, "data"] if needs_data else REQUIRED,
        }
    schemas |= {"Record": RECORD, "EventHeaders": EVENT_HEADERS, "SentHeaders": SENT_HEADERS}
    return named, dict(sorted(schemas.items()))


def _referring(schema: Any, renamed: dict[str, str]) -> Any:
    """A schema whose references lead into the components.

    `discriminator` is left out, since AsyncAPI's is another one; the constant in each fact is enough.
    """
    if isinstance(schema, dict):
        if "$ref" in schema:
            return _component(renamed.get(schema["$ref"]) or schema["$ref"])
        return {name: _referring(member, renamed) for name, member in schema.items() if name != "discriminator"}
    return [_referring(item, renamed) for item in schema] if isinstance(schema, list) else schema

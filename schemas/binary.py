"""CloudEvents in binary mode, attributes in headers and data in the body; and data in Base64 inside an event.

`structured` makes the structured event of a message that came over HTTP (`ce-` headers, percent-encoded) or Kafka
(`ce_` headers, UTF-8), so that both modes are decoded alike and give the same digest. `with_data` does so for a
structured event whose data are in `data_base64`, as official SDKs send bytes. `headers` makes the headers of what the
engine publishes. Source: CloudEvents 1.0.2, JSON format, HTTP and Kafka protocol bindings.
"""

import binascii
import re
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any
from urllib.parse import unquote_to_bytes

import msgspec

from schemas.envelope import BOM, MAX_EVENT_BYTES, MEMBERS, not_json
from schemas.instants import written
from schemas.refusals import Reason, Refusal

Headers = Mapping[str, str] | Sequence[tuple[str, str | bytes | None]]
"""Names in any case. Values are text (HTTP) or bytes (Kafka; None: not there). Pairs may name a header twice."""

HTTP, KAFKA = "ce-", "ce_"
CONTENT_TYPE = "content-type"
STRUCTURED = "application/cloudevents+json"
JSON = "application/json"
BASE64 = "data_base64"
_NAME = re.compile(r"[a-z0-9]{1,40}")
_BAD_PERCENT = re.compile(r"%(?![0-9A-Fa-f]{2})")
_QUOTED = re.compile(r'"((?:[^"\\]|\\.)*)"')


class _HeaderError(Exception):
    """A header that cannot be read. `args` are the field and the reason."""


# ---- what comes in ------------------------------------------------------------------------------------------


def is_binary(headers: Headers) -> bool:
    """Whether headers carry the event's attributes, and the body only its data."""
    if (_media(_content_type(headers)) or "").startswith("application/cloudevents"):
        return False  # the content type says that the body is the event itself
    return any(name.startswith((HTTP, KAFKA)) for name, _ in _pairs(headers))


def structured(headers: Headers, body: bytes) -> bytes | Refusal:
    """The structured event of a message of either mode, as JSON.

    A body in structured mode is returned as it is, for the decoder to judge. An attribute beyond the contract becomes
    text, whatever its type in structured mode. A byte order mark before the body is no part of it.
    """
    body = body.removeprefix(BOM)
    if not is_binary(headers):
        kind = _content_type(headers)
        if _media(kind) in (None, STRUCTURED, JSON):
            return body
        remedy = f"send one event as {STRUCTURED}, or in binary mode"
        return Refusal(Reason.UNDECODABLE, "", f"this content type is not taken: {remedy}")
    try:
        attributes = dict(_attributes(headers))
    except _HeaderError as bad:
        return Refusal(Reason.INVALID, *bad.args)
    kind = attributes.pop(CONTENT_TYPE, None)
    refusal = _refused(attributes, kind, body)
    if refusal:
        return refusal
    event: dict[str, object] = dict(attributes)
    if kind is not None:
        event["datacontenttype"] = kind
    if body:
        event["data"] = msgspec.Raw(body)  # one whole JSON value by now, so nothing in it can pass for an attribute
    return msgspec.json.encode(event)


def with_data(event: dict[str, Any]) -> bytes | Refusal:
    """The structured event that says in `data` what this one says in `data_base64`."""
    if "data" in event:
        return Refusal(Reason.INVALID, BASE64, "stands beside data: send one of the two")
    if not isinstance(event[BASE64], str):
        return Refusal(Reason.INVALID, BASE64, "no text: send the Base64 of the data as JSON, or the JSON as data")
    try:
        body = binascii.a2b_base64(event[BASE64], strict_mode=True)
    except ValueError as error:
        remedy = "write RFC 4648 with padding and without line breaks, or send JSON as data"
        return Refusal(Reason.UNDECODABLE, BASE64, f"not Base64 ({str(error).lower()}): {remedy}")
    if problem := _not_json(body):
        return Refusal(Reason.UNDECODABLE, BASE64, f"not the Base64 of {JSON}: {problem}")
    rest = {name: value for name, value in event.items() if name != BASE64}
    return msgspec.json.encode(rest | {"data": msgspec.Raw(body)})


def as_sent(headers: Headers, body: bytes) -> bytes:
    """A message that was refused, in one piece for the dead letter.

    In binary mode it is the headers with the body as text beside them, so that nothing takes it for an event later.
    """
    if not is_binary(headers):
        return body
    shown = {"data": body.decode("utf-8", "backslashreplace")}
    for name, value in _pairs(headers):
        if name == CONTENT_TYPE or name.startswith((HTTP, KAFKA)):
            text = value if isinstance(value, str) else value.decode("utf-8", "backslashreplace")
            shown.setdefault("datacontenttype" if name == CONTENT_TYPE else name[len(HTTP) :], text)
    return msgspec.json.encode(shown)


def _refused(attributes: dict[str, str], kind: str | None, body: bytes) -> Refusal | None:
    """Why headers and body are no event in binary mode; None if they are one."""
    version = attributes.get("specversion")
    if version != "1.0":
        found = "is missing beside other attributes" if version is None else "is not known"
        return Refusal(Reason.INVALID, "specversion", f"{found}: send 1.0 as ce-specversion (in Kafka ce_specversion)")
    if _media(kind) not in (None, JSON):
        return Refusal(Reason.INVALID, "datacontenttype", f"this type of data is not taken: send {JSON}")
    if len(body) > MAX_EVENT_BYTES:
        too_large = f"{len(body)} bytes, {MAX_EVENT_BYTES} are allowed: put files elsewhere and send their address"
        return Refusal(Reason.TOO_LARGE, "", too_large)
    if body and (problem := _not_json(body)):
        return Refusal(Reason.UNDECODABLE, "data", problem)
    return None


def _not_json(body: bytes) -> str:
    """Why bytes are not one whole JSON value; empty if they are."""
    try:
        body.decode()
        msgspec.json.decode(body, type=msgspec.Raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        return not_json(error)
    return ""


def _attributes(headers: Headers) -> Iterator[tuple[str, str]]:
    """The attributes by name, and the content type under its header's name. Raises _HeaderError, which names attributes
    of the contract only."""
    seen, prefixes = set[str](), set[str]()
    for name, value in _pairs(headers):
        prefix, attribute = name[: len(HTTP)], name[len(HTTP) :]
        if name == CONTENT_TYPE:
            prefix, attribute = "", name
        elif prefix not in (HTTP, KAFKA):
            continue
        elif not _NAME.fullmatch(attribute) or attribute in ("data", "datacontenttype"):
            remedy = "a name has letters and digits only; data is the body, its type Content-Type"
            raise _HeaderError(_named(attribute), f"no header of an event: {remedy}")
        if attribute in seen:
            raise _HeaderError(_named(attribute), "a header stands there more than once: send each once")
        seen.add(attribute)
        prefixes.add(prefix)
        yield attribute, _value(attribute, prefix, value)
    if prefixes >= {HTTP, KAFKA}:
        raise _HeaderError(
            "", f"headers with {HTTP} and with {KAFKA} in one message: HTTP has the first, Kafka the second"
        )


def _pairs(headers: Headers) -> Iterator[tuple[str, str | bytes]]:
    """Headers that have a value, their names in lower case."""
    pairs = headers.items() if isinstance(headers, Mapping) else headers
    return ((name.lower(), value) for name, value in pairs if value is not None)


def _value(attribute: str, prefix: str, value: str | bytes) -> str:
    """The text of a header's value; over HTTP out of its quotes, then percent-decoded once. Raises _HeaderError."""
    try:
        text = value.decode() if isinstance(value, bytes) else value
        if prefix != HTTP:
            return text
        if not text.isascii() or _BAD_PERCENT.search(text):
            remedy = "write whatever is not printable ASCII, blanks, quotes and % itself as %XX of its UTF-8"
            raise _HeaderError(_named(attribute), f"the header's value is not percent-encoded: {remedy}")
        quoted = _QUOTED.fullmatch(text)
        return unquote_to_bytes(re.sub(r"\\(.)", r"\1", quoted[1]) if quoted else text).decode()
    except UnicodeDecodeError as error:
        raise _HeaderError(_named(attribute), "the header's value is not UTF-8: encode it so") from error


def _named(attribute: str) -> str:
    """An attribute of the contract; empty for any other, whose name may be somebody's words."""
    return attribute if attribute in MEMBERS or attribute == CONTENT_TYPE else ""


def _content_type(headers: Headers) -> str | None:
    """The value of the content type header; None if there is none."""
    found = next((value for name, value in _pairs(headers) if name == CONTENT_TYPE), None)
    return found.decode("latin-1") if isinstance(found, bytes) else found


def _media(kind: str | None) -> str | None:
    """The media type without its parameters."""
    return kind.partition(";")[0].strip().lower() if kind is not None else None


# ---- what goes out ------------------------------------------------------------------------------------------


def headers(*, type: str, id: str, subject: str, at_ms: int, source: str = "/gridpatrol") -> list[tuple[str, bytes]]:
    """The Kafka headers of a message that the engine publishes; `at_ms` is its instant, milliseconds UTC."""
    first, last = _shared(type, source)
    own = [(name, value.encode()) for name, value in ((_ID, id), (_SUBJECT, subject), (_TIME, written(at_ms))) if value]
    return [*first, *own, last]


_ID, _SUBJECT, _TIME = f"{KAFKA}id", f"{KAFKA}subject", f"{KAFKA}time"


@lru_cache(maxsize=64)
def _shared(type: str, source: str) -> tuple[list[tuple[str, bytes]], tuple[str, bytes]]:
    """The headers that messages of a type share, before and after those of each message."""
    attributes = {"specversion": "1.0", "type": type, "source": source}
    first = [(f"{KAFKA}{name}", value.encode()) for name, value in attributes.items() if value]
    return first, (CONTENT_TYPE, JSON.encode())

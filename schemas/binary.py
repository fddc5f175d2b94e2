"""CloudEvents in binary mode: attributes in headers, data in the body, made the structured event that they stand for.

In: headers and body as HTTP (`ce-` headers, percent-encoded) or Kafka (`ce_` headers, UTF-8) brought them. Out: the
bytes of the structured event, which go the way of every other one and give the same digest; or a `Refusal`. And the
other way: the headers of what the engine publishes. Source: CloudEvents 1.0.2, HTTP and Kafka protocol bindings.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from functools import lru_cache
from urllib.parse import unquote_to_bytes

import msgspec

from schemas.envelope import MAX_EVENT_BYTES
from schemas.instants import EARLIEST
from schemas.refusals import Reason, Refusal

Headers = Mapping[str, str] | Sequence[tuple[str, str | bytes | None]]
"""Names in any case. Values: text (HTTP), or bytes (Kafka; None: not there). Pairs may name a header twice."""

HTTP, KAFKA = "ce-", "ce_"
CONTENT_TYPE = "content-type"
STRUCTURED = "application/cloudevents+json"
JSON = "application/json"
_NAME = re.compile(r"[a-z0-9]{1,40}")
_BAD_PERCENT = re.compile(r"%(?![0-9A-Fa-f]{2})")
_QUOTED = re.compile(r'"((?:[^"\\]|\\.)*)"')


class _Bad(Exception):
    """A header that cannot be read. `args`: the field, and why."""


# ---- what comes in ------------------------------------------------------------------------------------------


def is_binary(headers: Headers) -> bool:
    """Whether headers carry the event's attributes, and the body only its data."""
    return not _is_cloudevents(_content_type(headers)) and any(
        name.startswith((HTTP, KAFKA)) for name, _ in _pairs(headers)
    )


def structured(headers: Headers, body: bytes) -> bytes | Refusal:
    """The structured event of a message of either mode, as JSON.

    A body that is structured already is passed as it is: whether it is an event, the decoder says. An attribute beyond
    the contract is text here, whatever type its structured twin gives it.
    """
    if not is_binary(headers):
        return _structured_already(_content_type(headers), body)
    try:
        attributes = dict(_attributes(headers))
    except _Bad as bad:
        return Refusal(Reason.INVALID, *bad.args)
    kind = attributes.pop(CONTENT_TYPE, None)
    return _broken(attributes, kind, body) or _joined(attributes, kind, body)


def as_sent(headers: Headers, body: bytes) -> bytes:
    """What was sent and is refused, in one piece for the dead letter.

    In binary mode: the headers with the body as text beside them, so that no later reading takes it for an event.
    """
    if not is_binary(headers):
        return body
    shown = {"data": body.decode("utf-8", "backslashreplace")}
    for name, value in _pairs(headers):
        if name == CONTENT_TYPE or name.startswith((HTTP, KAFKA)):
            text = value if isinstance(value, str) else value.decode("utf-8", "backslashreplace")
            shown.setdefault("datacontenttype" if name == CONTENT_TYPE else name[len(HTTP) :], text)
    return msgspec.json.encode(shown)


def _structured_already(kind: str | None, body: bytes) -> bytes | Refusal:
    """A body without attributes in its headers is the event itself, if it is JSON."""
    if _media(kind) in (None, STRUCTURED, JSON):
        return body
    return Refusal(Reason.UNDECODABLE, "", f"{kind} is not taken: send one event as {STRUCTURED}, or in binary mode")


def _broken(attributes: dict[str, str], kind: str | None, body: bytes) -> Refusal | None:
    """Why these headers and this body are no event in binary mode; None: they are one."""
    said = attributes.get("specversion")
    if said != "1.0":
        found = "is missing beside other attributes" if said is None else f"{said!r} is not known"
        return Refusal(Reason.INVALID, "specversion", f"{found}: send 1.0 as ce-specversion (in Kafka ce_specversion)")
    if _media(kind) not in (None, JSON):
        return Refusal(Reason.INVALID, "datacontenttype", f"{kind} is not taken: data is {JSON}")
    if len(body) > MAX_EVENT_BYTES:
        too_large = f"{len(body)} bytes, {MAX_EVENT_BYTES} are allowed: put files elsewhere and send their address"
        return Refusal(Reason.TOO_LARGE, "", too_large)
    try:
        if body:
            body.decode()
            msgspec.json.decode(body, type=msgspec.Raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        return Refusal(Reason.UNDECODABLE, "data", f"not JSON in UTF-8: {error}")
    return None


def _joined(attributes: dict[str, str], kind: str | None, body: bytes) -> bytes:
    """The structured event. The body is one whole JSON value by now, so nothing in it can pass for an attribute."""
    event: dict[str, object] = dict(attributes)
    if kind is not None:
        event["datacontenttype"] = kind
    if body:
        event["data"] = msgspec.Raw(body)
    return msgspec.json.encode(event)


def _attributes(headers: Headers) -> Iterator[tuple[str, str]]:
    """Attributes by their names, and the content type under its own. Raises _Bad."""
    seen, prefixes = set[str](), set[str]()
    for name, value in _pairs(headers):
        prefix, attribute = name[: len(HTTP)], name[len(HTTP) :]
        if name == CONTENT_TYPE:
            prefix, attribute = "", name
        elif prefix not in (HTTP, KAFKA):
            continue
        elif not _NAME.fullmatch(attribute) or attribute in ("data", "datacontenttype"):
            raise _Bad(attribute[:40], f"{name[:40]} is no header of an event: data is the body, its type Content-Type")
        if attribute in seen:
            raise _Bad(attribute, f"the header {name} stands there more than once")
        seen.add(attribute)
        prefixes.add(prefix)
        yield attribute, _value(attribute, prefix, value)
    if prefixes >= {HTTP, KAFKA}:
        raise _Bad("", f"headers with {HTTP} and with {KAFKA} in one message: HTTP has the first, Kafka the second")


def _pairs(headers: Headers) -> Iterator[tuple[str, str | bytes]]:
    """Headers that have a value, their names in lower case."""
    pairs = headers.items() if isinstance(headers, Mapping) else headers
    return ((name.lower(), value) for name, value in pairs if value is not None)


def _value(attribute: str, prefix: str, value: str | bytes) -> str:
    """The text of a header's value. Raises _Bad."""
    try:
        text = value.decode() if isinstance(value, bytes) else value
        return _percent_decoded(attribute, text) if prefix == HTTP else text
    except UnicodeDecodeError as error:
        raise _Bad(attribute, f"the header's value is not UTF-8: {error}") from error


def _percent_decoded(attribute: str, text: str) -> str:
    """A value of an HTTP header: out of its quotes, then percent-decoded once."""
    if not text.isascii() or _BAD_PERCENT.search(text):
        remedy = "write whatever is not printable ASCII, blanks, quotes and % itself as %XX of its UTF-8"
        raise _Bad(attribute, f"the header's value is not percent-encoded: {remedy}")
    quoted = _QUOTED.fullmatch(text)
    plain = re.sub(r"\\(.)", r"\1", quoted[1]) if quoted else text
    return unquote_to_bytes(plain).decode()


def _content_type(headers: Headers) -> str | None:
    """The content type, if one is told."""
    found = next((value for name, value in _pairs(headers) if name == CONTENT_TYPE), None)
    return found.decode("latin-1") if isinstance(found, bytes) else found


def _media(kind: str | None) -> str | None:
    """The media type without its parameters."""
    return kind.partition(";")[0].strip().lower() if kind is not None else None


def _is_cloudevents(kind: str | None) -> bool:
    """Whether a content type says that the body is the event itself."""
    return (_media(kind) or "").startswith("application/cloudevents")


# ---- what goes out ------------------------------------------------------------------------------------------


def headers(*, type: str, id: str, subject: str, at_ms: int, source: str = "/gridpatrol") -> list[tuple[str, bytes]]:
    """The Kafka headers of a message that is published in binary mode; `at_ms` is its instant, milliseconds UTC."""
    instant = (EARLIEST + timedelta(milliseconds=at_ms)).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    first, last = _alike(type, source)
    own = [(name, value.encode()) for name, value in ((_ID, id), (_SUBJECT, subject), (_TIME, instant)) if value]
    return [*first, *own, last]


_ID, _SUBJECT, _TIME = f"{KAFKA}id", f"{KAFKA}subject", f"{KAFKA}time"


@lru_cache(maxsize=64)
def _alike(type: str, source: str) -> tuple[list[tuple[str, bytes]], tuple[str, bytes]]:
    """The headers that messages of a type share: before what is their own, and after it."""
    said = {"specversion": "1.0", "type": type, "source": source}
    first = [(f"{KAFKA}{name}", value.encode()) for name, value in said.items() if value]
    return first, (CONTENT_TYPE, JSON.encode())

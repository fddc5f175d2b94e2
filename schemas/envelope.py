"""CloudEvents 1.0: decodes bytes into an `Envelope`, or into a refusal with reason and field. Also the log's record.

The `data` of an envelope stays raw until `decode_data`. Values that any store would refuse are refused here: U+0000,
lone surrogates, numbers out of range.
"""

import json
import math
import re
from collections.abc import Iterator
from datetime import datetime
from typing import Annotated, Literal, get_args

import msgspec
from msgspec import Meta, Raw, Struct, inspect

from schemas.events import EVENT_TYPES, trigger_of
from schemas.facts import AnyFact
from schemas.instants import EARLIEST, SPAN, outside
from schemas.kinds import SENDS
from schemas.kinds.incident import Merged
from schemas.members import LINK, SUBJECT, WEB, BirthData, Code, EventData, Instant
from schemas.refusals import Reason, Refusal

MAX_EVENT_BYTES = 262_144
DATASCHEMA = rf"^({WEB}|[Uu][Rr][Nn]:)"
_SUBJECT, _DATASCHEMA, _LINK = re.compile(SUBJECT), re.compile(DATASCHEMA), re.compile(LINK)
BOM, GZIP = b"\xef\xbb\xbf", b"\x1f\x8b"
"""How bytes begin that an editor of texts has saved (UTF-8 all the same), or that are compressed."""
_NO_SECONDS = re.compile(rb'"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d(?:[Zz]|[+-]\d\d:?\d\d)?"')
_SUSPECT_TEXT = re.compile(rb"\\u(?:0000|[dD])")
_SUSPECT_NUMBER = re.compile(rb"[:,\[\s]-?[0-9.](?:[0-9]{18}|[0-9.]*[eE]\+?[0-9]{3})")
"""Spellings that may stand for a value that no store takes. Only events with one of them are read member by member. A
number begins behind one of few bytes, which are found quickly: ids are full of digits, and of digits around an e."""
_ENGINE_TYPES = frozenset(fact.__struct_config__.tag for fact in get_args(AnyFact)) | {
    "step",
    "pack.activated",
    "deadletter",
    "figure",
    "anchor",
    "case.sent",
    *SENDS,
}
"""The types that only the engine uses: facts, published messages, causes of steps, what cases say to each other."""
_KNOWN_TYPES = _ENGINE_TYPES | {"clock.due"} | {trigger_of(name) for name in EVENT_TYPES}
_VERSION = re.compile(r"\.v[0-9]{1,3}$(?!\n)")


class Envelope(Struct, frozen=True, omit_defaults=True, kw_only=True):
    """A CloudEvent in structured mode. `source` and `id` are the idempotency key; `actor` is a post's code."""

    specversion: Literal["1.0"]
    id: Annotated[str, Meta(min_length=1, max_length=200)]
    source: Annotated[str, Meta(min_length=1, max_length=200)]
    type: Annotated[str, Meta(min_length=1, max_length=200)]
    subject: Annotated[str, Meta(min_length=38, max_length=120)]
    time: Instant
    actor: Code
    data: Raw = Raw(b"{}")
    datacontenttype: Annotated[str, Meta(pattern=r"^application/json *(;.*)?$", max_length=100)] | None = (
        "application/json"
    )
    dataschema: Annotated[str, Meta(max_length=400)] | None = None
    recordedtime: Instant | None = None
    partitionkey: Annotated[str, Meta(max_length=64)] | None = None
    traceparent: Annotated[str, Meta(pattern=r"^[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$(?!\n)")] | None = (
        None
    )
    tracestate: Annotated[str, Meta(max_length=512)] | None = None


class Record(Struct, frozen=True, omit_defaults=True, kw_only=True):
    """The body of an event's record in the log: the sealed event, with its digests and token.

    A record without `digests` is of an older release, and is decided as that release decided it.
    """

    event: Envelope
    digest: str  # form 1, which has no name; `schemas.digests`
    token: str = ""  # of the sealed members, if there were any
    letter: str = ""  # the dead letter that this replays
    digests: tuple[str, ...] = ()  # in the other forms, and any other of form 1
    principal: str = ""  # who sent it, if that is one of those with quotas
    parked: int = 0  # how many of its events may wait in the home; 0: it has no limit of its own
    # Where a report says that it is, as the door has converted it (`schemas.coordinates.measured`), empty where it does
    # not say so. None: it is no report, or of an older release, and is located as that release did it.
    measured: tuple[int, ...] | None = None
    # Of a replayed letter: when its event came first, as the store knows it (ms UTC). 0: of no letter, or of an older
    # release, which took it for come when it was replayed.
    came: int = 0
    # 32 random bytes that the door has written, in hex, for an event that asks for some; they are no part of what its
    # sender means, so a resend is one whatever bytes it gets. Empty: it asks for none.
    seed: str = ""


_, _parts = msgspec.json.schema_components(EVENT_TYPES.values())
MEMBERS = frozenset(Envelope.__struct_fields__).union(*(part.get("properties", {}) for part in _parts.values()))
"""The names of all members of the contract, for refusals: what a sender calls another member may be personal too."""
_decode_envelope = msgspec.json.Decoder(Envelope).decode
decode_record = msgspec.json.Decoder(Record).decode
encode_record = msgspec.json.Encoder().encode
_DATA = {name: msgspec.json.Decoder(struct).decode for name, struct in EVENT_TYPES.items()}


def to_ms(instant: datetime) -> int:
    """Whole milliseconds since 1970 UTC, rounded down."""
    delta = instant - EARLIEST
    return (delta.days * 86_400 + delta.seconds) * 1000 + delta.microseconds // 1000


def decode_envelope(raw: bytes) -> Envelope | Refusal:
    """The event in `raw`, or why there is none."""
    if len(raw) > MAX_EVENT_BYTES:
        return Refusal(
            Reason.TOO_LARGE,
            "",
            f"{len(raw)} bytes, {MAX_EVENT_BYTES} are allowed: put files elsewhere and send their address",
        )
    unstorable = _unstorable(raw) if _SUSPECT_TEXT.search(raw) or _SUSPECT_NUMBER.search(raw) else None
    if unstorable:
        return unstorable
    if raw.startswith(GZIP):
        return Refusal(Reason.UNDECODABLE, "", "compressed with gzip, which is not read here: send it as it is")
    try:
        raw.decode()  # the decoder does not look at the text of unknown members
        event = _decode_envelope(raw)
    except msgspec.ValidationError as error:
        if raw.lstrip().startswith(b"["):
            several = "several at once go over HTTP, as application/cloudevents-batch+json"
            return Refusal(Reason.INVALID, "", f"an array, where one event is expected: {several}")
        return _refused(Reason.INVALID, error, raw=raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        return Refusal(Reason.UNDECODABLE, "", not_json(error))
    if event.type not in EVENT_TYPES:
        return unknown_type(event.type)
    if not is_subject(event.subject):
        return Refusal(Reason.INVALID, "subject", "must be <home>.<UUIDv7>, minted by the sender; home is a grid code")
    if event.dataschema is not None and not _DATASCHEMA.match(event.dataschema):
        remedy = "send an address of http or https, or a urn: as `gridpatrol schema` prints it"
        return Refusal(Reason.INVALID, "dataschema", f"no address of a schema: {remedy}, or leave it out")
    return _untimely(event) or event


def not_json(error: Exception) -> str:
    """Why bytes are not the JSON that is asked for, by the error of their decoder, and without any of them."""
    if isinstance(error, UnicodeDecodeError):
        return f"not JSON in UTF-8: at byte {error.start} no character begins"
    return f"not JSON in UTF-8: {error}"


def is_subject(text: str) -> bool:
    """Whether a text has the form of a case's id."""
    return _SUBJECT.match(text) is not None


def _untimely(struct: Struct, prefix: str = "") -> Refusal | None:
    """The refusal of a struct with an instant outside the years that are taken; None if there is none."""
    field = outside(struct)
    if not field:
        return None
    return Refusal(Reason.INVALID, prefix + field, f"an instant must lie {SPAN}: check the clock that it comes from")


def _unstorable(raw: bytes) -> Refusal | None:
    """The first text or number of an event that some store would refuse, named by the last member on its way that the
    contract knows."""
    try:
        members = list(_members(json.loads(raw, parse_int=_whole), ""))
    except (ValueError, RecursionError):
        return None  # not JSON at all: the decoder refuses it
    for path, value in members:
        if isinstance(value, float) and value in (math.inf, -math.inf):
            return Refusal(Reason.INVALID, path, "a number out of range: send it as text, or smaller")
        if isinstance(value, str) and "\x00" in value:
            return Refusal(Reason.INVALID, path, "contains U+0000, which no database stores: remove it")
        if isinstance(value, str) and any("\ud800" <= c <= "\udfff" for c in value):
            return Refusal(Reason.INVALID, path, "contains a lone surrogate: send whole characters")
    return None


def _whole(digits: str) -> float:
    """A whole number, or infinity if it does not fit into 64 bits."""
    value = int(digits) if len(digits) <= 20 else math.inf
    return value if -(2**63) <= value < 2**63 else math.inf


def _members(value: object, path: str, known: bool = True) -> Iterator[tuple[str, object]]:
    """Every scalar and key inside a JSON value, with its path as far as the contract knows it."""
    if isinstance(value, dict):
        for name, member in value.items():
            yield path, name
            here = known and name in MEMBERS
            yield from _members(member, f"{path}.{name}".lstrip(".") if here else path, here)
    elif isinstance(value, list):
        for i, item in enumerate(value):
            yield from _members(item, f"{path}[{i}]" if known else path, known)
    else:
        yield path, value


def unknown_type(name: str) -> Refusal:
    """The refusal of a type: another version, the engine's own, or unknown."""
    stem, _, _version = name.rpartition(".v")
    known = [t for t in EVENT_TYPES if t.rpartition(".v")[0] == stem]
    if known:
        return Refusal(Reason.UNKNOWN_VERSION, "type", f"version not known: send {known[0]}")
    tag = (stem or name).removeprefix("gridpatrol.")
    if tag in _ENGINE_TYPES or tag.startswith(("clock.", "alert.")):
        return Refusal(Reason.ENGINE_ONLY, "type", "only the engine tells this type, nobody sends it")
    return Refusal(Reason.UNKNOWN_TYPE, "type", "not in the contract: see `gridpatrol schema`")


def is_known_type(name: str) -> bool:
    """Whether a type is one of the contract or of the engine, in any version; another may be somebody's words."""
    return _VERSION.sub("", name).removeprefix("gridpatrol.") in _KNOWN_TYPES


def decode_data(event: Envelope) -> EventData | Refusal:
    """The data of an event by its type. Unknown members are left out here; the door has sealed them."""
    raw = bytes(event.data)
    try:
        data = _DATA[event.type](b"{}" if raw == b"null" else raw)  # null is absent
    except msgspec.ValidationError as error:
        return _refused(Reason.INVALID, error, "data", EVENT_TYPES[event.type], raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        return Refusal(Reason.UNDECODABLE, "data", not_json(error))
    return _untimely(data, "data.") or data


def decode_sent(event: Envelope) -> EventData | Refusal:
    """The data of an event as it was sent, sealed members and all, held to the contract that is published.

    The log is read with `decode_data`, which asks no more of it than the releases did that wrote it.
    """
    data = decode_data(event)
    for i, item in enumerate(getattr(data, "evidence", ())):
        if item.url is not None and not _LINK.match(item.url):
            remedy = "send https:// or http:// with a host, without a name and password"
            return Refusal(Reason.INVALID, f"data.evidence[{i}].url", f"no address that can be opened: {remedy}")
    if isinstance(data, Merged) and not is_subject(data.into):
        return Refusal(Reason.INVALID, "data.into", "no id of a case: send that of the one which goes on")
    if isinstance(data, BirthData) and data.about is not None and not is_subject(data.about):
        return Refusal(Reason.INVALID, "data.about", "no id of a case: send that of the one which it speaks of")
    return data


def words_of(contract: type[Struct], path: str) -> list[str]:
    """The words that the contract lists for a member, by its path below a struct, such as `.evidence[...].kind`."""
    found: list[inspect.Type] = [inspect.type_info(contract)]
    for name in re.findall(r"[a-z_]+", path):
        structs = [kind for kind in found if isinstance(kind, inspect.StructType)]
        inner = [field.type for kind in structs for field in kind.fields if field.encode_name == name]
        inner = [part for kind in inner for part in (kind.types if isinstance(kind, inspect.UnionType) else (kind,))]
        found = [getattr(kind, "item_type", kind) for kind in inner]
    listed = [list(kind.values) for kind in found if isinstance(kind, inspect.LiteralType)]
    listed += [[word.value for word in kind.cls] for kind in found if isinstance(kind, inspect.EnumType)]
    return [str(word) for words in listed for word in words]


def _refused(
    reason: Reason,
    error: msgspec.ValidationError,
    prefix: str = "",
    contract: type[Struct] = Envelope,
    raw: bytes = b"",
) -> Refusal:
    """A refusal with the field that msgspec's message names: `Expected ... - at `$.data.outcome``; never its value."""
    text, at, where = str(error).rpartition(" - at `$")
    text, where = (text, where) if at else (where, "")
    if "timezone" in text or "RFC3339" in text:
        missing = " it has no seconds," if _NO_SECONDS.search(raw) else ""
        text += f":{missing} write 2026-03-02T09:00:00+08:00, or with Z for UTC"
    elif text.startswith("Invalid enum value"):
        text = f"must be one of: {', '.join(words_of(contract, where))}"
    elif "of length <=" in text:
        text += ": shorten it"
    elif text.startswith("Expected"):
        text += ": `gridpatrol schema TYPE` shows what is taken"
    field = where.rstrip("`").lstrip(".")
    missing = text.split("`")[1] if "missing required field" in text else ""
    joined = ".".join(part for part in (prefix, field, missing) if part)
    return Refusal(reason, joined, text)

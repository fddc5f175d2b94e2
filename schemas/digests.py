"""What an event means, as digests: two sendings of one event have a digest in common, whatever lay between them.

A digest names its form. Form 1, without a name, is of the members as they were sent. Form 2 is of what they mean, so a
relay may stamp an event anew and a phone may write it down anew. A record carries every form that the releases of the
last duplicate window know; records that are equal in one form are equal.
"""

import hashlib
import json
from collections.abc import Iterable
from typing import Any

import msgspec
from msgspec import NODEFAULT, inspect

from schemas.envelope import Envelope, Record, to_ms
from schemas.events import EVENT_TYPES
from schemas.members import Instant

_BESIDE = frozenset({"traceparent", "tracestate", "recordedtime", "datacontenttype"})
"""Attributes that form 1 leaves out: tracing, when it was recorded, and the data's type, which is always JSON."""
_canonical = msgspec.json.Encoder(order="deterministic").encode
_text = json.JSONEncoder(sort_keys=True, separators=(",", ":")).encode
"""Of values of this kind the same text in every release of Python."""
MEANING = "2:"
"""The name of form 2."""

NUMBERS = (int, float)
INSTANT = "instant"
Shape = dict[str, tuple[Any, bool]] | list[Any] | str | None
"""What the contract knows of a value: its members (each a Shape, and whether null says something else than a missing
member), one Shape for the items of an array, INSTANT, or None."""


def as_sent(event: dict[str, Any]) -> str:
    """Form 1: SHA-256 of an event as it was sent, in either mode, without `_BESIDE`; the order of members does not
    count."""
    counted = event if _BESIDE.isdisjoint(event) else {k: v for k, v in event.items() if k not in _BESIDE}
    return hashlib.sha256(_canonical(counted)).hexdigest()


def meaning(event: Envelope, data: object) -> str:
    """Form 2: SHA-256 of type, subject, actor, time and data. `data` is the decoded JSON, before anything is sealed.

    Instants count in whole milliseconds, numbers as the double that they decode to (-0 is 0), and null is absent where
    the contract does not tell them apart. Members of the data that it does not know count as they stand; no other
    attribute of the envelope counts.
    """
    meant = [event.type, event.subject, event.actor, to_ms(event.time), _meant(data, _SHAPES[event.type])]
    return MEANING + hashlib.sha256(_text(meant).encode()).hexdigest()


def all_of(record: Record) -> list[str]:
    """The digests of a record in every form."""
    return list(dict.fromkeys((record.digest, *record.digests)))


def completed(known: str, others: Iterable[str]) -> str:
    """Known digests with blanks between, and behind them the first of each form that is not among them."""
    found = known.split()
    for other in others:
        if _form(other) not in map(_form, found):
            found.append(other)
    return " ".join(found)


def _form(digest: str) -> str:
    return digest.rpartition(":")[0]


def _meant(value: Any, shape: Shape) -> Any:
    """A value of the data as form 2 counts it. What is not of the shape stands as it is: the decoder refuses it."""
    if isinstance(value, str):
        if shape != INSTANT:
            return value
        try:
            return to_ms(msgspec.convert(value, Instant))
        except msgspec.ValidationError:
            return value
    if isinstance(value, dict):
        known = shape if isinstance(shape, dict) else {}
        return {
            name: _meant(member, known[name][0] if name in known else None)
            for name, member in value.items()
            if member is not None or name not in known or known[name][1]
        }
    if isinstance(value, list):
        inner = shape[0] if isinstance(shape, list) else None
        return [_meant(item, inner) for item in value]
    if isinstance(value, NUMBERS) and not isinstance(value, bool):
        return value + 0.0  # a double, and never -0
    return value


def _shape(kind: inspect.Type) -> Shape:
    """What the contract knows of values of this type."""
    if isinstance(kind, inspect.StructType):
        # A member that is unset where it is missing tells null apart; msgspec shows it as optional and without default.
        return {
            f.encode_name: (_shape(f.type), not f.required and f.default is f.default_factory is NODEFAULT)
            for f in kind.fields
        }
    if isinstance(kind, inspect.VarTupleType | inspect.ListType):
        return [_shape(kind.item_type)]
    if isinstance(kind, inspect.UnionType):
        return next((shape for shape in map(_shape, kind.types) if shape is not None), None)
    if isinstance(kind, inspect.Metadata):
        return _shape(kind.type)
    return INSTANT if isinstance(kind, inspect.DateTimeType) else None


_SHAPES = {name: _shape(inspect.type_info(struct)) for name, struct in EVENT_TYPES.items()}

"""Which members of an event stay in the log, and which are sealed.

In: the decoded JSON of an event as it was sent. Out: the event that may enter the log, the sealed members
(identity, contact, free text, and everything the contract does not know, for nobody can tell what stands
there), and the digest of what was sent.
"""

import hashlib
from typing import Any

import msgspec
from msgspec import inspect

from schemas.envelope import Envelope
from schemas.events import EVENT_TYPES

_BESIDE = ("traceparent", "tracestate", "recordedtime", "datacontenttype")
"""What tells no events apart: tracing, and that data is JSON, which binary mode says and structured mode need not."""
_ENVELOPE = frozenset(Envelope.__struct_fields__)
_canonical = msgspec.json.Encoder(order="deterministic").encode

Keep = dict[str, Any] | list[Any] | None
"""What may stay: members by name (each a Keep), one Keep in a list for an array's items, None: a value."""


def _keep(kind: inspect.Type) -> Keep:
    """What may stay of a value of this type."""
    if isinstance(kind, inspect.StructType):
        return {f.encode_name: _keep(f.type) for f in kind.fields if not _sealed(f.type)}
    if isinstance(kind, inspect.VarTupleType | inspect.ListType):
        inner = _keep(kind.item_type)
        return [inner] if inner is not None else None
    if isinstance(kind, inspect.UnionType):
        return next((k for k in map(_keep, kind.types) if k is not None), None)
    if isinstance(kind, inspect.Metadata):
        return _keep(kind.type)
    return None


def _sealed(kind: inspect.Type) -> bool:
    """Whether the contract marks a member as sealed."""
    if isinstance(kind, inspect.Metadata):
        return bool((kind.extra or {}).get("sealed")) or _sealed(kind.type)
    return isinstance(kind, inspect.UnionType) and any(map(_sealed, kind.types))


_KEEP = {name: _keep(inspect.type_info(struct)) for name, struct in EVENT_TYPES.items()}


def digest(event: dict[str, Any]) -> str:
    """SHA-256 of what was sent, in either mode, without tracing; the order of members does not count."""
    said = {k: v for k, v in event.items() if k not in _BESIDE}
    return hashlib.sha256(_canonical(said)).hexdigest()


def split(event: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """The event for the log, and the sealed members in the same shape (empty when there are none)."""
    kept = {k: v for k, v in event.items() if k in _ENVELOPE and v is not None}
    sealed = {k: v for k, v in event.items() if k not in _ENVELOPE}
    data, hidden = _divide(event.get("data", {}), _KEEP.get(str(event.get("type")), {}))
    kept["data"] = data
    if hidden:
        sealed["data"] = hidden
    return kept, sealed


def _divide(value: Any, keep: Keep) -> tuple[Any, Any]:
    """Split one value along what may stay. Values of a wrong shape stay: the decoder refuses them by name."""
    if isinstance(keep, dict) and isinstance(value, dict):
        kept, sealed = {}, {}
        for name, member in value.items():
            if name not in keep:
                sealed[name] = member
                continue
            stays, goes = _divide(member, keep[name])
            kept[name] = stays
            if goes:
                sealed[name] = goes
        return kept, sealed
    if isinstance(keep, list) and isinstance(value, list):
        pairs = [_divide(item, keep[0]) for item in value]
        hidden = [goes for _, goes in pairs]
        return [stays for stays, _ in pairs], hidden if any(hidden) else None
    return value, None

"""Splits an event into the members that stay in the log and those that are sealed.

Sealed are identity, contact and free text, and every member that the contract does not know, since it may hold either.
The digests of an event are taken before that (`schemas.digests`).
"""

from collections.abc import Iterator
from itertools import islice
from typing import Any

from msgspec import inspect

from schemas.envelope import Envelope
from schemas.events import EVENT_TYPES

_ENVELOPE = frozenset(Envelope.__struct_fields__)

SEALED = "sealed"
Keep = dict[str, Any] | list[Any] | str | None
"""What may stay: members by name (each a Keep), a list with one Keep for the items of an array, or None for a value.
SEALED for a member that the contract knows and that may not stay."""
MOST_UNKNOWN, LONGEST_PATH = 20, 100
"""So many members that the contract does not know are named, and so much of each."""


def _keep(kind: inspect.Type) -> Keep:
    """What may stay of a value of this type."""
    if isinstance(kind, inspect.StructType):
        return {f.encode_name: SEALED if _sealed(f.type) else _keep(f.type) for f in kind.fields}
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


def split(event: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """The event for the log, and the sealed members in the same shape (empty if there are none)."""
    kept, sealed = dict[str, Any](), dict[str, Any]()
    for name, member in event.items():
        if name not in _ENVELOPE:
            sealed[name] = member
        elif member is not None:
            kept[name] = member
    data, hidden = _divide(event.get("data", {}), _KEEP.get(str(event.get("type")), {}))
    kept["data"] = data
    if hidden:
        sealed["data"] = hidden
    return kept, sealed


def unknown(event_type: str, sealed: dict[str, Any]) -> list[str]:
    """The paths of sealed members that the contract does not know, such as a misspelt one; the first of them.

    They are for the sender alone. Their names are the sender's words, so they enter no log and no metric.
    """
    paths = islice(_unknown(sealed, {"data": _KEEP[event_type]}, ""), MOST_UNKNOWN)
    return [path if len(path) <= LONGEST_PATH else f"{path[: LONGEST_PATH - 1]}…" for path in paths]


def _unknown(sealed: Any, keep: Any, path: str) -> Iterator[str]:
    """The paths of sealed members that have no place in `keep`."""
    if isinstance(sealed, list):
        for i, item in enumerate(sealed):
            yield from _unknown(item, keep[0], f"{path}[{i}]")
        return
    for name, member in (sealed or {}).items():
        here = f"{path}.{name}" if path else name
        if name not in keep:
            yield here
        elif keep[name] != SEALED:
            yield from _unknown(member, keep[name], here)


def _divide(value: Any, keep: Keep) -> tuple[Any, Any]:
    """Split a value by what may stay. A value of a wrong shape stays, since the decoder refuses it by name."""
    if isinstance(keep, dict) and isinstance(value, dict):
        kept, sealed = {}, {}
        for name, member in value.items():
            inside = keep.get(name, SEALED)
            if inside is None:
                kept[name] = member
            elif inside == SEALED:
                sealed[name] = member
            else:
                kept[name], goes = _divide(member, inside)
                if goes:
                    sealed[name] = goes
        return kept, sealed
    if isinstance(keep, list) and isinstance(value, list):
        pairs = [_divide(item, keep[0]) for item in value]
        hidden = [goes for _, goes in pairs]
        return [stays for stays, _ in pairs], hidden if any(hidden) else None
    return value, None

"""Splits an event into the members that stay in the log and those that are sealed.

Sealed are identity, contact and free text, and every member that the contract does not know, since it may hold either.
The digests of an event are taken before that (`schemas.digests`).
"""

from collections.abc import Iterator
from itertools import islice
from typing import Any, NamedTuple

import msgspec
from msgspec import inspect

from schemas.envelope import Envelope
from schemas.events import EVENT_TYPES

_ENVELOPE = frozenset(Envelope.__struct_fields__)

SEALED, CONTACT = "sealed", "contact"
Keep = dict[str, Any] | list[Any] | str | None
"""What may stay: members by name (each a Keep), a list with one Keep for the items of an array, or None for a value.
SEALED or CONTACT for a member that the contract knows and that may not stay."""
MOST_UNKNOWN, LONGEST_PATH = 20, 100
"""So many members that the contract does not know are named, and so much of each."""


def _keep(kind: inspect.Type) -> Keep:
    """What may stay of a value of this type."""
    if isinstance(kind, inspect.StructType):
        marks = {f.encode_name: [mark for mark in (CONTACT, SEALED) if _marked(f.type, mark)] for f in kind.fields}
        return {f.encode_name: marks[f.encode_name][0] if marks[f.encode_name] else _keep(f.type) for f in kind.fields}
    if isinstance(kind, inspect.VarTupleType | inspect.ListType):
        inner = _keep(kind.item_type)
        return [inner] if inner is not None else None
    if isinstance(kind, inspect.UnionType):
        return next((k for k in map(_keep, kind.types) if k is not None), None)
    if isinstance(kind, inspect.Metadata):
        return _keep(kind.type)
    return None


def _marked(kind: inspect.Type, mark: str) -> bool:
    """Whether the contract marks a member as sealed, or as contact."""
    if isinstance(kind, inspect.Metadata):
        return bool((kind.extra or {}).get(mark)) or _marked(kind.type, mark)
    return isinstance(kind, inspect.UnionType) and any(_marked(each, mark) for each in kind.types)


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
        elif not isinstance(keep[name], str):
            yield from _unknown(member, keep[name], here)


class Word(NamedTuple):
    """A sealed member: its path in the event, what it says, and whether it is identity or contact. What the contract
    does not know may be either, and counts as it."""

    member: str
    text: str
    contact: bool


def words_of(event_type: str, sealed: dict[str, Any]) -> Iterator[Word]:
    """What was sealed of an event, member by member; those of its data by their own names."""
    beside = {name: member for name, member in sealed.items() if name != "data"}
    yield from _words(sealed.get("data"), _KEEP.get(event_type, {}), "")
    yield from _words(beside, {}, "")


def _words(value: Any, keep: Any, path: str) -> Iterator[Word]:
    """The words in what was sealed. `keep`: what the contract knows there."""
    if isinstance(value, dict) and isinstance(keep, dict):
        for name, member in value.items():
            yield from _words(member, keep.get(name, CONTACT), f"{path}.{name}" if path else name)
    elif isinstance(value, list) and isinstance(keep, list):
        for i, item in enumerate(value):
            yield from _words(item, keep[0], f"{path}[{i}]")
    elif value is not None:
        text = value if isinstance(value, str) else msgspec.json.encode(value).decode()
        yield Word(path, text, keep != SEALED)


def _divide(value: Any, keep: Keep) -> tuple[Any, Any]:
    """Split a value by what may stay. A value of a wrong shape stays, since the decoder refuses it by name."""
    if isinstance(keep, dict) and isinstance(value, dict):
        kept, sealed = {}, {}
        for name, member in value.items():
            inside = keep.get(name, SEALED)
            if inside is None:
                kept[name] = member
            elif isinstance(inside, str):
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

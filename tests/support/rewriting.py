"""One event in other words: numbers, instants, nulls and the order of members as another serializer would write them,
and what relays stamp. Strategies of hypothesis.
"""

from __future__ import annotations

import base64
import json
from datetime import datetime, timedelta, timezone
from typing import Any, cast

from hypothesis import strategies as st
from msgspec import Struct, inspect, structs

from schemas.events import EVENT_TYPES
from schemas.members import Evidence, Position

STAMPS: dict[str, st.SearchStrategy[str]] = {
    "knativearrivaltime": st.sampled_from(["2026-03-02T09:00:01Z", "2026-03-02T09:00:02.5Z"]),
    "recordedtime": st.sampled_from(["2026-03-02T09:00:01Z", "2026-03-02T17:00:02.5+08:00"]),
    "traceparent": st.sampled_from([f"00-{'1' * 32}-{n * 16}-01" for n in "23"]),
    "datacontenttype": st.sampled_from(["application/json", "application/json; charset=utf-8"]),
    "sequence": st.sampled_from(["1", "2"]),
}
"""What may be stamped on an event on its way."""


class Whole(int):
    """A number that the contract takes without a fraction only."""


def is_whole(kind: inspect.Type) -> bool:
    """Whether a member of this type takes a number without a fraction only."""
    if isinstance(kind, inspect.Metadata):
        return is_whole(kind.type)
    return isinstance(kind, inspect.IntType) or any(map(is_whole, getattr(kind, "types", ())))


WHOLE = {
    member.encode_name
    for data in EVENT_TYPES.values()
    for member in cast(inspect.StructType, inspect.type_info(data)).fields
    if is_whole(member.type)
}
"""Members of events that are such numbers."""
INSTANTS = ("time", "deadline", "due", "until", "taken_at")
NESTED: dict[str, type[Struct]] = {"position": Position, "evidence": Evidence}


def written_down(value: Any) -> bytes:
    """JSON as Python writes it."""
    return json.dumps(value, ensure_ascii=False).encode()


@st.composite
def rewritings(draw: st.DrawFn, said: dict[str, Any]) -> bytes:
    """The bytes of the same event, sent once more."""
    data = _members(draw, said["data"], EVENT_TYPES[said["type"]])
    event = {name: _value(draw, value, name) for name, value in said.items() if name != "data"}
    for name in draw(st.sets(st.sampled_from(sorted(STAMPS)))):
        event[name] = draw(STAMPS[name])
    body = _text(draw, data)
    members = [(name, _text(draw, value)) for name, value in event.items()]
    if draw(st.booleans()):
        members.append(("data", body))
    else:
        members.append(("data_base64", json.dumps(base64.b64encode(body.encode()).decode())))
    return (
        "{" + ",".join(f"{json.dumps(name)}: {text}" for name, text in draw(st.permutations(members))) + "}"
    ).encode()


def _members(draw: st.DrawFn, data: dict[str, Any], kind: type[Struct]) -> dict[str, Any]:
    """The members of an object, perhaps with nulls where the contract does not tell them from nothing."""
    found = {name: _value(draw, value, name) for name, value in data.items()}
    for field in structs.fields(kind):
        if field.name not in data and field.default is None and draw(st.booleans()):
            found[field.name] = None
    return found


def _value(draw: st.DrawFn, value: Any, name: str) -> Any:
    """A value by the name of its member; an instant in another zone, perhaps to the microsecond."""
    if name in INSTANTS and isinstance(value, str) and "T" in value:  # a day is no instant
        at = datetime.fromisoformat(value) + timedelta(microseconds=draw(st.sampled_from([0, 0, 999])))
        zone = timezone(timedelta(minutes=draw(st.sampled_from([0, 480, -210]))))
        text = at.astimezone(zone).isoformat()
        return text.replace("+00:00", "Z") if draw(st.booleans()) else text
    if isinstance(value, dict) and name in NESTED:
        return _members(draw, value, NESTED[name])
    if isinstance(value, list) and name in NESTED:
        return [_members(draw, item, NESTED[name]) for item in value]
    return Whole(value) if name in WHOLE and isinstance(value, int) else value


def _text(draw: st.DrawFn, value: Any) -> str:
    """JSON with members in any order and numbers in any spelling."""
    if isinstance(value, dict):
        pairs = draw(st.permutations(list(value.items())))
        return "{" + " , ".join(f"{json.dumps(name)}:{_text(draw, member)}" for name, member in pairs) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(_text(draw, item) for item in value) + "]"
    if isinstance(value, Whole):
        return str(int(value))
    if isinstance(value, int | float) and not isinstance(value, bool):
        spellings = [repr(value), repr(float(value)), f"{value:.17e}"]
        return draw(st.sampled_from([*spellings, str(int(value))] if value == int(value) else spellings))
    return json.dumps(value, ensure_ascii=draw(st.booleans()))

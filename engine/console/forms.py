"""Forms of what may be said: made of the contract, so that a kind of case brings its own.

A member with a list of words is a choice, a sealed text is a text, an instant is a local time of the pack, a limit, a
number, a code and some lists of codes are short texts, a code that is one of the register's is a choice of these, and
parts of an incident are chosen among its own. What no form can say, such as a photo or another list, is left to the
phone: an act that needs such a member has no form.
"""

import re
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from functools import cache
from typing import Any, Literal, NamedTuple

from msgspec import inspect

from engine.views.names import Names
from schemas.events import EVENTS
from schemas.value_words import WORDS

Shape = Literal["choice", "text", "instant", "limit", "number", "code", "codes", "case", "cases", "clock"]
NOTE = "note"
"""The free text that goes along with every event."""
GRIDS, DEPARTMENTS = ("to_grid", "grid"), ("to_department", "department", "lead")
"""Members that are codes of grids or departments, by the contract's names."""
LISTS = ("owners", "neighbours", "participants")
"""Members that are lists of codes, and are typed one after the other."""
PART, PARTS = "part", "parts"
"""Members that name a part of the incident, or several."""
BETWEEN_CODES = re.compile(r"[;,；，、\s]+")
ACTION = "action"
"""The member that is the code of an action of supervision."""


class Field(NamedTuple):
    """A field of a form: a member of an event's data. `choices`: values with what they are called."""

    name: str
    shape: Shape
    needed: bool
    choices: tuple[tuple[str, str, str], ...] = ()


class Form(NamedTuple):
    """What a trigger asks for. `whole`: false where the phone alone can say it."""

    trigger: str
    zh: str
    fields: tuple[Field, ...]
    whole: bool


@cache
def form_for(trigger: str) -> Form:
    """The form of a trigger, by the struct of its event."""
    event, found, whole = EVENTS[trigger], list[Field](), True
    known = inspect.type_info(event.data)
    assert isinstance(known, inspect.StructType)
    for member in known.fields:
        needed = member.required
        field = field_of(member.encode_name, member.type, needed)
        if field is not None:
            found.append(field)
        whole = whole and (field is not None or not needed)
    if any(field.shape == "text" and field.name != NOTE for field in found):
        found = [field for field in found if field.name != NOTE]  # one text is enough
    ordered = sorted(found, key=lambda field: (not field.needed, field.name == NOTE))
    return Form(trigger, event.zh, tuple(ordered), whole)


def field_of(name: str, kind: inspect.Type, needed: bool) -> Field | None:
    """The field of a member; None where a form cannot say it."""
    options = kind.types if isinstance(kind, inspect.UnionType) else (kind,)
    sealed = any(isinstance(each, inspect.Metadata) and (each.extra or {}).get("sealed") for each in options)
    plain = [each.type if isinstance(each, inspect.Metadata) else each for each in options]
    for each in plain:
        match each:
            case inspect.LiteralType(values=values):
                words = [(str(value), *WORDS.get(str(value), (str(value), str(value)))) for value in values]
                return Field(name, "choice", needed, tuple(words))
            case inspect.DateTimeType():
                return Field(name, "instant", needed)
            case inspect.IntType():
                return Field(name, "number", needed)
            case inspect.VarTupleType() if name in LISTS:
                return Field(name, "codes", needed)
            case inspect.VarTupleType() if name == PARTS:
                return Field(name, "cases", needed)
            case inspect.StrType() if name == PART:
                return Field(name, "case", needed)
            case inspect.StrType():
                shape: Shape = "text" if sealed else {"clock": "clock", "limit": "limit"}.get(name, "code")  # type: ignore[assignment]
                return Field(name, shape, needed)
    return None


def data_of(form: Form, sent: Mapping[str, str], names: Names) -> dict[str, Any]:
    """The data of an event as its fields say it; what is empty is left out. Values that are none go on as they are: the
    contract refuses them, by the name of their member."""
    data: dict[str, Any] = {}
    for field in form.fields:
        text = sent.get(field.name, "").strip()
        if not text:
            continue
        if field.shape == "number" and text.isascii() and text.isdigit() and len(text) < 10:
            data[field.name] = int(text)
        elif field.shape in ("codes", "cases"):
            data[field.name] = [code for code in BETWEEN_CODES.split(text) if code]
        elif field.shape == "instant":
            data[field.name] = local_instant(text, names)
        else:
            data[field.name] = text
    return data


def local_instant(text: str, names: Names) -> str:
    """`2026-03-02T18:00` on the wall clock of the pack as RFC 3339; what is no such text as it is."""
    try:
        wall = datetime.fromisoformat(text)
    except ValueError:
        return text
    if wall.tzinfo is not None:
        return text
    days = names.register.clock_of_days
    day = int(f"{wall:%Y%m%d}")
    try:
        start = datetime.fromisoformat(names.instant(days.day_start(day)))
    except (ValueError, KeyError):
        return text
    return (start + timedelta(hours=wall.hour, minutes=wall.minute)).isoformat()


def codes_for(field: Field, names: Names) -> Iterable[tuple[str, str]]:
    """Codes of the register among which a field chooses, with their names; none where it is another kind of code."""
    if field.name == ACTION:
        return [(each.action, each.title_zh) for each in names.register.pack.actions]
    if field.name in DEPARTMENTS:
        return [(each.code, each.name) for each in names.register.pack.departments]
    if field.name == "campaign":
        return [(each.code, each.title_zh) for each in names.register.pack.campaigns]
    if field.name in GRIDS:
        leaf = names.register.leaf_level
        return [(each.code, each.name) for each in names.register.pack.grids if each.level < leaf]
    return ()


def act_words(trigger: str) -> tuple[str, str]:
    """An act in Chinese and in English: `handling.completed` is 处置完成, Handling done."""
    event = EVENTS[trigger]
    return event.zh, event.en or trigger.partition(".")[2].replace("_", " ").capitalize()

"""The years from which instants are taken, the search for an instant outside them in a decoded struct, and their text.

Deadlines, local days and calendars are computed from instants. A year 1 or 9999 is a wrong clock or a placeholder,
leaves no room to compute in, and cannot be written in every zone, so it is refused before it enters the log.
"""

from datetime import UTC, datetime, timedelta
from functools import cache

from msgspec import Struct, inspect

EARLIEST = datetime(1970, 1, 1, tzinfo=UTC)
LATEST = datetime(2200, 1, 1, tzinfo=UTC)
SPAN = "from 1970-01-01 to 2200-01-01 UTC"
"""The years in words. Both ends belong to them."""


def written(ms: int) -> str:
    """RFC 3339 of an instant in milliseconds UTC: `2026-03-02T01:00:00.000Z`."""
    return (EARLIEST + timedelta(milliseconds=ms)).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def outside(struct: Struct) -> str:
    """The path of the first instant of a decoded struct that lies outside the years; empty if there is none."""
    for name in _holding(type(struct)):
        member = getattr(struct, name)
        if member and (found := _outside(member)) is not None:
            return name + found
    return ""


def _outside(member: object) -> str | None:
    """The rest of the path to such an instant in a member; None if it has none."""
    if isinstance(member, datetime):
        return None if EARLIEST <= member <= LATEST else ""
    if isinstance(member, Struct):
        found = outside(member)
        return f".{found}" if found else None
    for i, item in enumerate(member if isinstance(member, tuple) else ()):
        if (inner := _outside(item)) is not None:
            return f"[{i}]{inner}"
    return None


@cache
def _holding(struct: type[Struct]) -> tuple[str, ...]:
    """The members of a struct that may hold instants, directly or further inside."""
    kind = inspect.type_info(struct)
    assert isinstance(kind, inspect.StructType)
    return tuple(field.name for field in kind.fields if _holds(field.type))


def _holds(kind: inspect.Type) -> bool:
    if isinstance(kind, inspect.UnionType):
        return any(map(_holds, kind.types))
    if isinstance(kind, inspect.Metadata):
        return _holds(kind.type)
    if isinstance(kind, inspect.VarTupleType):
        return _holds(kind.item_type)
    return isinstance(kind, inspect.DateTimeType) or (isinstance(kind, inspect.StructType) and bool(_holding(kind.cls)))

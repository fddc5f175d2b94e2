"""Cursors: where the next page begins, as an opaque text that comes back from strangers.

In: the members of a key. Out: a text for a URL, and the members again, or a `Problem`: what comes back must fit the
columns that it is compared with.
"""

import base64
from typing import Any, TypeVar

import msgspec

from engine.http.problems import bad_query

T = TypeVar("T")

MOST_DIGITS = 18
"""Digits of a whole number that a stranger may send: 18 fit any column."""


def write_cursor(*members: Any) -> str:
    """The members of a key as a text."""
    return base64.urlsafe_b64encode(msgspec.json.encode(members)).decode().rstrip("=")


def read_cursor(text: str, shape: type[T]) -> T:
    """The members, of these types. Raises Problem."""
    try:
        members = msgspec.json.decode(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)), type=shape)
    except (ValueError, RecursionError) as error:
        raise no_cursor() from error
    if not all(_storable(member) for member in members):  # type: ignore[attr-defined]
        raise no_cursor()
    return members


def no_cursor() -> Exception:
    """What a cursor is answered with that this question never handed out."""
    return bad_query("cursor", "this cursor does not belong to this question", "begin again without a cursor")


def _storable(member: object) -> bool:
    """Whether a database takes it: PostgreSQL has no NUL in its texts, and neither has wider whole numbers."""
    if isinstance(member, int):
        return len(str(abs(member))) <= MOST_DIGITS
    return not isinstance(member, str) or "\0" not in member


def whole(text: str) -> int | None:
    """A whole number as a stranger writes it; None where it is none, or longer than any column."""
    return int(text) if text.isascii() and text.isdigit() and len(text) <= MOST_DIGITS else None

"""Cursors: where the next page begins, as an opaque text for a URL. It comes back from strangers."""

import base64
from typing import Any, TypeVar

import msgspec

from engine.views.questions import MOST_DIGITS, BadQuestion

T = TypeVar("T", bound=tuple[Any, ...])


def write_cursor(*members: Any) -> str:
    """The members of a key as a text."""
    return base64.urlsafe_b64encode(msgspec.json.encode(members)).decode().rstrip("=")


def read_cursor(text: str, shape: type[T]) -> T:
    """The members of a key, of the types of `shape`. They fit the columns that they are compared with. Raises
    BadQuestion."""
    try:
        members: T = msgspec.json.decode(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)), type=shape)
    except (ValueError, RecursionError) as error:
        raise foreign_cursor() from error
    for member in members:
        too_wide = isinstance(member, int) and len(str(abs(member))) > MOST_DIGITS
        if too_wide or (isinstance(member, str) and "\0" in member):  # PostgreSQL has no NUL in its texts
            raise foreign_cursor()
    return members


def foreign_cursor() -> BadQuestion:
    """The answer to a cursor that this question never handed out."""
    return BadQuestion("cursor", "this cursor does not belong to this question", "begin again without a cursor")

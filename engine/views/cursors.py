"""Cursors: where the next page begins, as an opaque text for a URL. It comes back from strangers."""

import base64
from typing import Any, TypeVar

import msgspec

from engine.views.questions import MOST_DIGITS, BadQuestion, check_text

T = TypeVar("T", bound=tuple[Any, ...])


def write_cursor(*members: Any) -> str:
    """The members of a key as a text."""
    return base64.urlsafe_b64encode(msgspec.json.encode(members)).decode().rstrip("=")


def read_cursor(text: str, shape: type[T]) -> T:
    """The members of a key, of the types of `shape`. They fit the columns that they are compared with. Raises
    BadQuestion."""
    try:
        members: T = msgspec.json.decode(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)), type=shape)
        for member in members:
            check_text(str(member), "cursor")
            if isinstance(member, int) and abs(member) >= 10**MOST_DIGITS:
                raise foreign_cursor()
    except (ValueError, RecursionError, BadQuestion) as error:
        raise foreign_cursor() from error
    return members


def foreign_cursor() -> BadQuestion:
    """The answer to a cursor that this question never handed out."""
    return BadQuestion("cursor", "this cursor does not belong to this question", "begin again without a cursor")

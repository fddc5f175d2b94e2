"""Questions that people ask as texts, over HTTP and on the command line: how they are read, and why one has no answer.

A view raises these errors; the door words them as problem documents, the command line as a sentence.
"""

from datetime import datetime

from engine.errors import USAGE, GridpatrolError
from schemas.envelope import to_ms
from workflows.definitions import DEFINITIONS

MOST_DIGITS = 18
"""Digits of a whole number that a stranger may send: 18 fit any column."""
MOST_CHARACTERS = 8000
"""Characters of one text of a question; ids and sources have up to 200, cursors a few hundred."""


class Unanswerable(GridpatrolError):
    """Base: a question without an answer. `field` names the part that is wrong, `remedy` says what to do instead."""

    def __init__(self, field: str, reason: str, remedy: str = "") -> None:
        super().__init__(reason, remedy=remedy)
        self.field = field


class BadQuestion(Unanswerable):
    """It cannot be answered as it was asked."""

    exit_status = USAGE


class NoActivePack(Unanswerable):
    """Without a policy pack codes have no names and days no zone: there is nothing to show yet."""

    def __init__(self) -> None:
        super().__init__("", "no policy pack is active", "run `gridpatrol pack activate DIR`")


def check_text(text: str, field: str) -> None:
    """Raise BadQuestion for a text that not every database takes, so that all of them answer alike."""
    if len(text) > MOST_CHARACTERS:
        reason = f"the text has {len(text)} characters, {MOST_CHARACTERS} are allowed"
        raise BadQuestion(field, reason, "ask for one thing at a time")
    if "\0" in text:
        raise BadQuestion(field, "the text holds the character U+0000", "leave it out: nothing here has it in its name")
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise BadQuestion(field, "the text is no UTF-8", "send whole characters, each encoded as UTF-8") from error


def check_definition(name: str) -> None:
    """Raise BadQuestion for a kind of case that nobody can ask for. Empty names none."""
    known = [definition.name for definition in DEFINITIONS.values() if definition.listed != "never"]
    if name and name not in known:
        raise BadQuestion("definition", "there is no such kind of case", f"choose one of: {', '.join(known)}")


def parse_instant(text: str, field: str) -> int:
    """An RFC 3339 instant with a zone as milliseconds UTC. Raises BadQuestion."""
    # In a query an unescaped + arrives as a blank, and curl escapes nothing.
    text = text[:10] + text[10:].replace(" ", "+")
    try:
        instant = datetime.fromisoformat(text)
    except ValueError:
        instant = None
    if instant is None or instant.tzinfo is None:
        remedy = "write 2026-03-02T09:00:00+08:00, or with Z for UTC"
        raise BadQuestion(field, f"{field} is no instant with a zone", remedy)
    return to_ms(instant)


def parse_whole(text: str) -> int | None:
    """A whole number; None where it is none, or longer than any column."""
    return int(text) if text.isascii() and text.isdigit() and len(text) <= MOST_DIGITS else None


def check_limit(limit: int, most: int) -> None:
    """Raise BadQuestion for a page that is empty or too long."""
    if not 1 <= limit <= most:
        raise BadQuestion("limit", f"the limit is not from 1 to {most}", "ask for fewer and follow `next`")

"""Long texts that SQLite keeps deflated: an event takes less than half of the room.

A deflated text is a BLOB: the number of its dictionary, then raw deflate with that dictionary. Any other value is
the text itself, so rows of older releases are read as they stand, and a text that deflates badly stays as it is.
Python reads and writes through `inflated` and `deflated`; SQL on SQLite has the function `inflated`, see
`engine.store.sql.text_of`. PostgreSQL has no such function and keeps texts: there `verify` counts by SQL over bodies.
Records of the inbox log stay texts everywhere: half of one is ids and digests, and it costs as much time as a step.
"""

import zlib
from functools import lru_cache
from pathlib import Path
from typing import Any

STEPS, LINES = 1, 2
"""The numbers of dictionaries: bodies of steps, and of lines of the alert feed. A number keeps its dictionary for ever;
a better one gets the next number."""
FILES = {STEPS: "steps.txt", LINES: "lines.txt"}
FOLDER = Path(__file__).parent / "dictionaries"
WINDOW, MEMORY, LEVEL = -12, 4, 2
"""A window of 4 KB holds a dictionary and most texts. A larger one costs more for every row: its tables are copied."""


@lru_cache
def dictionary(number: int) -> bytes:
    """What texts of a kind have in common, the most frequent last. At most 3.8 KB, or the window passes over it."""
    return (FOLDER / FILES[number]).read_bytes()


@lru_cache
def _deflater(number: int) -> Any:
    """Deflates nothing itself: it is copied, which spares it to read the dictionary for every text."""
    return zlib.compressobj(LEVEL, zlib.DEFLATED, WINDOW, MEMORY, zlib.Z_DEFAULT_STRATEGY, dictionary(number))


@lru_cache
def _inflater(number: int) -> Any:
    """The same for the other way."""
    return zlib.decompressobj(WINDOW, dictionary(number))


def deflated(text: str, number: int) -> bytes | str:
    """The text as it is stored, with the dictionary of that number; the text itself where that is not longer."""
    raw = text.encode()
    deflate = _deflater(number).copy()
    stored: bytes = bytes((number,)) + deflate.compress(raw) + deflate.flush()
    return stored if len(stored) < len(raw) else text


def inflated(stored: bytes | str | None) -> str | None:
    """The text of a stored value. zlib.error, LookupError or ValueError for one that is damaged."""
    if not isinstance(stored, bytes):
        return stored
    inflate = _inflater(stored[0]).copy()
    text: bytes = inflate.decompress(stored[1:])
    if not inflate.eof:
        raise ValueError("a deflated text ends early")
    return text.decode()

"""Columns, instants and durations at a terminal: plain lines that can be piped, read aloud and pasted.

Widths are counted as a terminal counts them, two for a Chinese character.
"""

from collections.abc import Iterable, Sequence
from typing import Any

import click
from rich.cells import cell_len

from engine.policies import Policies
from engine.store.database import Connection
from engine.views.names import Names, active_names


def table(heads: Sequence[str], rows: Iterable[Sequence[Any]], right: Sequence[int] = ()) -> None:
    """Print columns as wide as their widest cell; `right` are those of numbers."""
    cells = [list(heads), *([("" if v is None else str(v)) for v in row] for row in rows)]
    widths = [max(cell_len(row[i]) for row in cells) for i in range(len(heads))]
    for row in cells:
        padded = [pad(text, width, i in right) for i, (text, width) in enumerate(zip(row, widths, strict=True))]
        click.echo("  ".join(padded).rstrip())


def pad(text: str, width: int, right: bool = False) -> str:
    """A text with blanks after it, or before it, up to a width."""
    blank = " " * (width - cell_len(text))
    return blank + text if right else text + blank


def minute(instant: str | None) -> str:
    """`2026-03-02 09:00` of an RFC 3339 instant; nothing for no instant."""
    return (instant or "")[:16].replace("T", " ")


def duration(ms: int) -> str:
    """`3 d 4 h`, `25 min`: the two largest units."""
    minutes = ms // 60_000
    days, hours, rest = minutes // 1440, minutes // 60 % 24, minutes % 60
    parts = [f"{n} {unit}" for n, unit in ((days, "d"), (hours, "h"), (rest, "min")) if n]
    return " ".join(parts[:2]) or "0 min"


class LocalClock:
    """Instants in milliseconds UTC on the wall clock of the active pack."""

    def __init__(self, names: Names) -> None:
        self.instant = names.instant
        """RFC 3339 with its offset."""

    def minute(self, ms: int | None) -> str:
        """`2026-03-02 09:00`; nothing for no instant."""
        return "" if ms is None else minute(self.instant(ms))

    def beside(self, ms: int, known: int) -> str:
        """`03-02 09:00` where another instant says the year, `2027-03-02 09:00` where that is another one."""
        text = self.minute(ms)
        return text[5:] if text[:4] == self.minute(known)[:4] else text


def clock_of(connection: Connection) -> LocalClock:
    """The wall clock of the pack that is active."""
    return LocalClock(active_names(connection, Policies()))

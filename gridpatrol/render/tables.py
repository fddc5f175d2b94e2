"""Columns, instants and durations at a terminal: plain lines that can be piped, read aloud and pasted.

Widths are counted as a terminal counts them, two for a Chinese character.
"""

from collections.abc import Iterable, Sequence
from typing import Any

import click
from rich.cells import cell_len

from engine.policies import Policies
from engine.store.database import Connection
from engine.views.local_times import LocalClock, duration, minute
from engine.views.names import active_names

__all__ = ["LocalClock", "clock_of", "duration", "minute", "pad", "table"]
"""How instants and durations are written is the views' to say; commands find it here beside their columns."""


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


def clock_of(connection: Connection) -> LocalClock:
    """The wall clock of the pack that is active."""
    return LocalClock(active_names(connection, Policies()))

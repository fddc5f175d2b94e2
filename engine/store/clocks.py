"""What a database knows of the time: its partitions' clocks, what operators said, and whether it holds replayed files.

The latter two are values of `meta`. They are no part of the log: facts do not depend on them.
"""

from collections.abc import Sequence

import msgspec
from msgspec import Struct, field
from sqlalchemy import Connection

from engine.store.meta import read_meta, write_meta
from engine.store.sql import fetch

WORDS = "clock_words"
"""Name in `meta` of what operators said about the clock: JSON, the latest last."""
REPLAYED = "replayed"
"""Name in `meta` of the file of events that was replayed. Empty, or none: the time is that of the wall."""
MOST = 100
"""So many words are kept."""


class ClockWord(Struct, frozen=True):
    """An operator's word: the wall clock was right when it said `at` (ms since 1970).

    `ahead`: clocks of partitions that were further ahead then. `still`: those of them that stand still until the wall
    gets there.
    """

    at: int
    by: str = ""
    why: str = ""
    ahead: dict[int, int] = field(default_factory=dict)
    still: dict[int, int] = field(default_factory=dict)


def read(connection: Connection) -> dict[int, int]:
    """The clock of each partition, in ms since 1970; 0 where nothing was ever decided."""
    return {partition: clock for partition, clock in fetch(connection, "SELECT partition, clock FROM partitions")}


def read_words(connection: Connection) -> list[ClockWord]:
    """What operators said, the latest last."""
    return msgspec.json.decode(read_meta(connection, WORDS) or "[]", type=list[ClockWord])


def add_word(connection: Connection, word: ClockWord) -> None:
    """Keep what an operator said."""
    write_meta(connection, WORDS, "[]", keep=True)
    words: Sequence[ClockWord] = msgspec.json.decode(
        read_meta(connection, WORDS, lock=True) or "[]", type=list[ClockWord]
    )
    write_meta(connection, WORDS, msgspec.json.encode([*words, word][-MOST:]).decode())


def is_replayed(connection: Connection) -> bool:
    """Whether a file of events was replayed here, and no event has come by itself since."""
    return bool(read_meta(connection, REPLAYED))


def note_replayed(connection: Connection, name: str) -> None:
    """A file of events was replayed; empty: from now on events come by themselves."""
    write_meta(connection, REPLAYED, name)

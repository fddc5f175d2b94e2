"""Settling records that the engine cannot pass: an operator's word, kept beside the log and part of its export.

In: the word. Out: a partition that goes on, or a ValueError that says what cannot be settled.
"""

from msgspec import Struct

from engine.runtime import Engine
from engine.store.rows import SettlementRow

MOST = 10_000
"""So many records get a word at once: all of it is one transaction."""


class Settled(Struct, frozen=True):
    """An operator's word on a record: pass over it (`skip`), or decide it at another instant (`stamp:<ms>`). With
    `through` it goes for every record from `position` to that one, such as those that an advanced clock has stamped."""

    partition: int
    position: int
    verdict: str
    detail: str = ""
    through: int | None = None


def settle(engine: Engine, word: Settled) -> None:
    """Keep the word, and let the partition go on. Only records that wait can be settled."""
    name = f"record {word.partition}.{word.position}"
    last = word.position if word.through is None else word.through
    if word.partition not in engine.rows:
        raise ValueError(f"there is no partition {word.partition}: they run from 0 to {engine.count - 1}")
    if word.position < engine.rows[word.partition].position:
        raise ValueError(f"{name} has been decided already")
    if not word.position <= last < word.position + MOST:
        raise ValueError(f"through is {name} or one of the {MOST - 1:,} that follow on it, got {last}")
    if last >= (end := engine.inbox.end(word.partition)):
        raise ValueError(f"record {word.partition}.{last} is not in the log: it has {end} records there")
    kind, _, stamp = word.verdict.partition(":")
    if not (word.verdict == "skip" or (kind == "stamp" and stamp.isascii() and stamp.isdigit())):
        raise ValueError(f"the verdict is skip or stamp:<ms>, got {word.verdict!r}")
    positions = range(word.position, last + 1)
    engine.partitions.settle(*[SettlementRow(word.partition, at, word.verdict, word.detail) for at in positions])

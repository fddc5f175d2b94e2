"""Settling a record that the engine cannot pass: an operator's word, kept beside the log and part of its export.

In: the word. Out: a partition that goes on, or a ValueError that says what cannot be settled.
"""

from msgspec import Struct

from engine.runtime import Engine
from engine.store.rows import SettlementRow


class Settled(Struct, frozen=True):
    """An operator's word on a record: pass over it (`skip`), or decide it at another instant (`stamp:<ms>`)."""

    partition: int
    position: int
    verdict: str
    detail: str = ""


def settle(engine: Engine, word: Settled) -> None:
    """Keep the word, and let the partition go on. Only a record that waits can be settled."""
    name = f"record {word.partition}.{word.position}"
    if word.partition not in engine.rows:
        raise ValueError(f"there is no partition {word.partition}: they run from 0 to {engine.count - 1}")
    if word.position < engine.rows[word.partition].position:
        raise ValueError(f"{name} has been decided already")
    if word.position >= (end := engine.inbox.end(word.partition)):
        raise ValueError(f"{name} is not in the log: it has {end} records there")
    kind, _, stamp = word.verdict.partition(":")
    if not (word.verdict == "skip" or (kind == "stamp" and stamp.isascii() and stamp.isdigit())):
        raise ValueError(f"the verdict is skip or stamp:<ms>, got {word.verdict!r}")
    engine.settle(SettlementRow(word.partition, word.position, word.verdict, word.detail))

"""Settling records that halt a partition: an operator's verdict, kept beside the log and part of its export."""

from msgspec import Struct

from engine.principals import Operator
from engine.runtime import Engine
from engine.store import audit
from engine.store.audit import Act
from engine.store.database import Connection
from engine.store.rows import SettlementRow

MOST = 10_000
"""Records that are settled at once: all of it is one transaction."""


class Settled(Struct, frozen=True):
    """An operator's verdict on a record: pass over it (`skip`), or decide it at another instant (`stamp:<ms>`). With
    `through` it goes for every record from `position` to that one, such as those that a fast clock has stamped."""

    partition: int
    position: int
    verdict: str
    detail: str = ""
    through: int | None = None


def settle(engine: Engine, settled: Settled, operator: Operator) -> None:
    """Keep the verdict, and let the partition go on. Only records that wait can be settled, else ValueError."""
    partition, first = settled.partition, settled.position
    last = first if settled.through is None else settled.through
    name = f"record {partition}.{first}"
    if partition not in engine.rows:
        raise ValueError(f"there is no partition {partition}: they run from 0 to {engine.count - 1}")
    if first < engine.rows[partition].position:
        raise ValueError(f"{name} has been decided already")
    if not first <= last < first + MOST:
        raise ValueError(f"through is {name} or one of the {MOST - 1:,} that follow on it, got {last}")
    if last >= (end := engine.inbox.end(partition)):
        raise ValueError(f"record {partition}.{last} is not in the log: it has {end} records there")
    kind, _, stamp = settled.verdict.partition(":")
    if not (settled.verdict == "skip" or (kind == "stamp" and stamp.isascii() and stamp.isdigit())):
        raise ValueError(f"the verdict is skip or stamp:<ms>, got {settled.verdict!r}")
    rows = [SettlementRow(partition, at, settled.verdict, settled.detail) for at in range(first, last + 1)]
    records = f"{partition}.{first}" if first == last else f"{partition}.{first} to {partition}.{last}"

    def write(connection: Connection) -> None:
        audit.write(connection, operator, Act.RECORD_SETTLED, records, settled.verdict)

    engine.partitions.settle(*rows, also_write=write)

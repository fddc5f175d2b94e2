"""What no retry cures is isolated: the record, or the firing, that the database or a rule cannot take.

In: batches whose slice failed, and the error. Out: a slice that went through with part of them; each call moves the
line on, the rest gets its turn later. Halves are tried until one record is left; what falls due before it is tried
apart, in ever smaller slices. The culprit is settled beside the log, so that a replay of the exported log passes it in
the same way: a record becomes a dead letter, a firing stands its case's clocks still.
"""

import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING

from msgspec.structs import replace

from engine.errors import GridpatrolError
from engine.failpoints import Interrupted
from engine.slice.types import UNDECIDABLE, AlsoWrite, Batch, SliceResult, firing_name
from engine.store import slices
from engine.store.database import StoreError, refuses
from engine.store.rows import PartitionRow, SettlementRow
from workflows import case as cases

if TYPE_CHECKING:
    from engine.runtime import Engine

log = logging.getLogger(__name__)


DEFECTS = (NameError, AttributeError, ImportError, AssertionError, MemoryError)
"""No record is to blame for these: the line stops with the error instead of emptying itself into the dead letters."""


def cureless(error: Exception) -> bool:
    """Whether the same slice would fail again: the database refuses it, or a rule does. Not if the database is away."""
    if isinstance(error, StoreError):
        return refuses(error)
    return not isinstance(error, (GridpatrolError, Interrupted, *DEFECTS))


def isolate(
    engine: "Engine", batches: Sequence[Batch], now: int | None, beside: AlsoWrite | None, error: Exception
) -> SliceResult:
    """Decide part of the batches, or settle what cannot be decided. The error itself where nothing helps."""
    rows, due = engine.rows, engine.next_due
    batches = [replace(b, row=rows[b.row.partition], next_due=due[b.row.partition]) for b in batches]
    if len(batches) > 1:
        return engine.decide(batches[: len(batches) // 2], now, beside)
    batch = batches[0]
    if len(batch.records) > 1:
        half = batch.records[: len(batch.records) // 2]
        return engine.decide([replace(batch, records=half, until=None)], now, beside)
    until = max(batch.records[0].stamp, batch.row.clock) if batch.records else batch.until or 0
    if batch.next_due is not None and batch.next_due < until:
        return _fire(engine, replace(batch, records=[], until=until), now, error)
    return _pass_over(engine, batch, now, beside, error)


def _fire(engine: "Engine", batch: Batch, now: int | None, error: Exception) -> SliceResult:
    """Fire what is due before a record, as much at once as goes through; what fails alone stands still."""
    steps = engine.limits.steps
    while steps:
        try:
            return engine.run([batch], now, None, replace(engine.limits, steps=steps))
        except Exception as again:
            if not cureless(again):
                raise
            engine.reload()
            steps //= 2
    _settle(engine, batch.row, _first_due(engine, batch), error)
    batch = replace(batch, row=engine.rows[batch.row.partition])
    return engine.run([batch], now, None, replace(engine.limits, steps=1))


def _first_due(engine: "Engine", batch: Batch) -> str:
    """The name of the next firing."""
    with engine.database.read() as connection:
        [(_, _, body)] = slices.read_due(connection, batch.row.partition, batch.until or 0, 1)
    return firing_name(cases.decode(body))


def _pass_over(
    engine: "Engine", batch: Batch, now: int | None, beside: AlsoWrite | None, error: Exception
) -> SliceResult:
    """The record itself it is: a dead letter."""
    if not batch.records:
        raise error
    _settle(engine, batch.row, UNDECIDABLE, error)
    return engine.run([replace(batch, row=engine.rows[batch.row.partition])], now, beside, engine.limits)


def _settle(engine: "Engine", row: PartitionRow, word: str, error: Exception) -> None:
    """Keep a word on the next record; once it was no help, it will not be."""
    words = engine.settlements.get((row.partition, row.position), "").split()
    if word in words:
        raise error
    said = str(getattr(error, "orig", None) or error).partition("\n")[0]  # without the rows: those are not for logs
    detail = f"{type(error).__name__}: {said}"[:500]
    log.error("record %d.%d: settled with %r, after %s", row.partition, row.position, word, detail)
    engine.settle(SettlementRow(row.partition, row.position, " ".join([*words, word]), detail))

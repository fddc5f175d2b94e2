"""Isolation of what no retry cures: the record, or the firing, that the database does not take.

Where a slice fails for good, smaller ones are tried: half of the partitions, half of the records, at last one record;
what falls due before it is fired apart, in ever smaller slices. The culprit gets a verdict beside the log, so that a
replay of the exported log passes it in the same way: a record becomes a dead letter, a firing stands its case's clocks
still. Each call moves the line on; the caller hands in the rest again.

A case whose rule fails stands, and never gets here. Any other defect is found in the same way, and halts its partition
before the record: nothing is settled, and a release without the defect goes on there.
"""

import logging
from collections.abc import Sequence
from functools import partial

from msgspec.structs import replace

from engine.errors import DatabaseUnusable
from engine.failures import HALTED, is_defect, is_permanent, named
from engine.partitions import Partitions
from engine.slice.trial import refused_target
from engine.slice.types import UNDECIDABLE, AlsoWrite, Batch, SliceCounts, SliceResult, firing_name
from engine.store import slices
from engine.store.rows import PartitionRow, SettlementRow
from workflows import case as cases

log = logging.getLogger(__name__)


def decide(
    partitions: Partitions, batches: Sequence[Batch], now: int | None, also_write: AlsoWrite | None = None
) -> SliceResult:
    """Run a slice. If it fails for good, isolate the cause: the result is then that of a part of the batches."""
    try:
        return partitions.run(batches, now, also_write)
    except DatabaseUnusable:
        raise  # its caller waits until the database is back, and reloads then
    except Exception as error:
        partitions.reload()
        if not is_permanent(error) and not is_defect(error):
            raise
        return _isolate(partitions, batches, now, also_write, error)


def _isolate(
    partitions: Partitions, batches: Sequence[Batch], now: int | None, also_write: AlsoWrite | None, error: Exception
) -> SliceResult:
    """Decide part of the batches, or settle what cannot be decided. The error itself where nothing helps."""
    rows, due = partitions.rows, partitions.next_due
    batches = [replace(b, row=rows[b.row.partition], next_due=due[b.row.partition]) for b in batches]
    if len(batches) > 1:
        return decide(partitions, batches[: len(batches) // 2], now, also_write)
    batch = batches[0]
    if len(batch.records) > 1:
        half = batch.records[: len(batch.records) // 2]
        return decide(partitions, [replace(batch, records=half, until=None)], now, also_write)
    if batch.records and batch.until is not None:  # it may be what falls due behind the record that fails
        return decide(partitions, [replace(batch, until=None)], now, also_write)
    if not is_permanent(error):
        partitions.halt(batch.row.partition, f"{HALTED}{named(error)}", error)
        moved = partitions.rows[batch.row.partition]
        return SliceResult([moved], [], {}, [], [], [], SliceCounts({}, {}, []), {}, finished=False)
    until = max(batch.records[0].stamp, batch.row.clock) if batch.records else batch.until or 0
    if batch.next_due is not None and batch.next_due < until:
        return _fire(partitions, replace(batch, records=[], until=until), now, error)
    if not batch.records:
        raise error
    heard = refused_target(partial(partitions.run, [batch], now, None), partitions.reload, partitions.limits)
    _settle(partitions, batch.row, heard or UNDECIDABLE, error, UNDECIDABLE)
    batch = replace(batch, row=partitions.rows[batch.row.partition])
    return decide(partitions, [batch], now, also_write) if heard else partitions.run([batch], now, also_write)


def _fire(partitions: Partitions, batch: Batch, now: int | None, error: Exception) -> SliceResult:
    """Fire what is due before a record, as much at once as goes through; a firing that fails alone stands still."""
    steps = partitions.limits.steps
    while steps:
        try:
            return partitions.run([batch], now, None, replace(partitions.limits, steps=steps))
        except Exception as again:
            if not is_permanent(again):
                raise
            partitions.reload()
            steps //= 2
    with partitions.database.read() as connection:
        [[(_, _, body)]] = slices.read_due(connection, {batch.row.partition: batch.until or 0}, 1).values()
    limits = replace(partitions.limits, steps=1)
    heard, firing = (
        refused_target(partial(partitions.run, [batch], now, None), partitions.reload, limits),
        cases.decode(body),
    )
    _settle(partitions, batch.row, heard or firing_name(firing), error, firing_name(firing))
    batch = replace(batch, row=partitions.rows[batch.row.partition])
    return _fire(partitions, batch, now, error) if heard else partitions.run([batch], now, None, limits)


def _settle(partitions: Partitions, row: PartitionRow, word: str, error: Exception, instead: str) -> None:
    """Add a word to the verdict on the next record. If it is there already it did not help, so the other one counts; if
    that is there too: the error itself."""
    words = partitions.settlements.get((row.partition, row.position), "").split()
    word = instead if word in words else word
    if word in words:
        raise error
    detail = named(error)  # never its text, which may quote a row
    log.error("record %d.%d: settled with %r, after %s", row.partition, row.position, word, detail)
    partitions.settle(SettlementRow(row.partition, row.position, " ".join([*words, word]), detail))

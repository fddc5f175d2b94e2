"""One slice: the records that arrived while the last one was committed, decided in memory, written in one transaction.

It locks the partitions in order, reads what the records touch (`SliceReads`), decides one partition after another
(`PartitionRun`; nothing is read across partitions), and writes each table once (`SliceWrites`).

Before a record with arrival *a* is decided, everything due before *a* fires, by (due, case). A slice never goes past
the last due case that it fetched: it may commit a partition's clock without moving its position.
"""

from collections.abc import Sequence

from msgspec.structs import replace

from engine import failpoints
from engine.policies import Policies
from engine.slice.partition import PartitionRun
from engine.slice.reads import SliceReads
from engine.slice.types import LATER_MS, AlsoWrite, Batch, BeyondRound, Limits, SliceResult, TriedOut
from engine.slice.writes import SliceWrites
from engine.store.database import Database


def run_slice(
    database: Database,
    batches: Sequence[Batch],
    policies: Policies,
    limits: Limits,
    count: int,
    settlements: dict[tuple[int, int], str],
    now: int | None = None,
    also_write: AlsoWrite | None = None,
) -> SliceResult:
    """Decide these batches and commit; on any error nothing is committed. `count`: partitions of the log.

    `now` is the wall clock in ms that stamps are held against; None believes every stamp. TriedOut where the limits say
    how many sends are to be tried, BeyondRound where they say within which time all of it is to be, and it is not.
    """
    with database.begin() as connection:
        # Half of the steps is for all partitions alike, so that no burst of what is due keeps the others waiting, and
        # half is for their records.
        records, half = sum(len(b.records) for b in batches), limits.steps // 2
        alike = max(1, (limits.steps - half) // len(batches))
        reads = SliceReads(connection, policies, settlements, -(-limits.steps // len(batches)))
        reads.read(batches)
        failpoints.hit("slice.after_read")
        writes, turns, finished = SliceWrites(reads), list[PartitionRun](), True
        for batch in sorted(batches, key=lambda b: b.row.partition):
            own = replace(limits, steps=alike + half * len(batch.records) // max(records, 1))
            turns.append(PartitionRun(batch, reads, writes, own, count, now))
            writes.appended += batch.records if batch.new else ()
            writes.sealed += batch.sealed
        reads.read_due({turn.row.partition: turn.last for turn in turns if turn.comes_up})
        for turn in turns:
            finished = turn.run() and finished
        if limits.within is not None:
            arrives = min((row.arrival + LATER_MS for row in writes.outgoing), default=limits.within + 1)
            if not finished or arrives <= limits.within:
                raise BeyondRound(arrives if finished else 0)
        moved = [turn.row for turn in turns]
        failpoints.hit("slice.before_write")
        writes.write(moved)
        if limits.sends is not None:
            raise TriedOut(reads.left_out)
        if also_write is not None:
            also_write(connection, writes.taken)
        next_due = writes.next_due(batches)
        failpoints.hit("slice.before_commit")
    failpoints.hit("slice.after_commit")
    return SliceResult(
        moved,
        writes.steps,
        writes.taken,
        writes.answers,
        writes.released,
        writes.appended,
        writes.counts,
        next_due,
        finished,
        writes.outgoing,
    )

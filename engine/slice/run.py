"""One slice: what has arrived while the last one was committed, decided in memory, written once, in one transaction.

In: records of several partitions, in order, and the partitions' rows as this writer last committed them. Out: steps,
cases, seen events and dead letters in the database, the rows moved on, and a `SliceResult`. Partitions are locked in
order and decided one after another; nothing is read across.

Before a record with arrival *a* is decided, everything due before *a* fires, by (due, case). A slice never goes past
the last due case that it fetched: it may commit a partition's clock without moving its position.
"""

from collections.abc import Sequence

from msgspec.structs import replace

from engine import failpoints
from engine.policies import Policies
from engine.slice.partition import PartitionRun
from engine.slice.reads import Workspace
from engine.slice.types import AlsoWrite, Batch, Limits, SliceResult
from engine.store import slices
from engine.store.database import Database


def run_slice(
    database: Database,
    batches: Sequence[Batch],
    policies: Policies,
    limits: Limits,
    count: int,
    settlements: dict[tuple[int, int], str],
    now: int | None = None,
    beside: AlsoWrite | None = None,
) -> SliceResult:
    """Decide these batches and commit. `now` is the wall clock that stamps are held against; None believes them.

    `beside` writes in the same transaction, told how many records of each partition were taken.
    """
    with database.begin() as connection:
        slices.lock_partitions(connection, [b.row for b in batches])
        failpoints.hit("slice.after_lock")
        fair = replace(limits, steps=-(-limits.steps // len(batches)))  # no partition's burst keeps the others waiting
        work = Workspace(connection, policies, fair, count, settlements, now)
        work.read(batches)
        failpoints.hit("slice.after_read")
        moved, finished = [], True
        for batch in sorted(batches, key=lambda b: b.row.partition):
            row, done = PartitionRun(work, batch).run()
            moved.append(row)
            finished = finished and done
        failpoints.hit("slice.before_write")
        work.write(moved)
        if beside is not None:
            beside(connection, work.taken)
        next_due = {b.row.partition: work.next_due(b) for b in batches}
        failpoints.hit("slice.before_commit")
    failpoints.hit("slice.after_commit")
    return SliceResult(moved, work.steps, work.taken, work.answers, work.appended, work.counted, next_due, finished)

"""What a slice is given, and what it answers with: plain structs that slice, runtime, writer and operators share."""

from collections.abc import Callable, Sequence

from msgspec import Struct

from engine.store.database import Connection
from engine.store.rows import InboxRow, PartitionRow, StepRow
from schemas.refusals import Refusal
from workflows.case import Case

SKIP, STAMP = "skip", "stamp:"
"""Verdicts of an operator: pass the record over, its stamp too; decide it at this instant (ms)."""
UNDECIDABLE, QUARANTINE = "undecidable", "quarantine:"
"""Verdicts of isolation: the record moves time, but is not decided; a firing before it cannot be stored."""

PENDING = "pending"
"""The outcome of an event whose case stands: it is in the log, and not decided yet."""

AlsoWrite = Callable[[Connection, dict[int, int]], None]
"""Writes in the slice's transaction. It gets the number of records that were taken, by partition."""


class Limits(Struct, frozen=True):
    """How much one slice takes on, and how far ahead a stamp may be."""

    records: int = 500
    steps: int = 1000
    ahead_ms: int = 30_000  # a stamp further ahead of the worker's clock halts its partition


class SliceCounts(Struct):
    """The numbers of one slice for the metrics."""

    events: dict[tuple[str, str], int]  # (type, outcome)
    breaches: dict[tuple[str, int], int]  # (clock, level)
    lateness: list[int]  # ms from a due instant to the arrival that released its firing
    stood: int = 0  # cases that began to stand


class Answer(Struct, frozen=True):
    """What became of the event at a position, for the sender that waits for it."""

    partition: int
    position: int
    outcome: str  # done, parked, refused, duplicate, conflict; pending: its case stands
    refusal: Refusal | None = None
    first: str = ""  # of a duplicate: the outcome of the first arrival


class SliceResult(Struct):
    """What a committed slice did."""

    partitions: list[PartitionRow]
    steps: list[StepRow]
    taken: dict[int, int]  # records decided, by partition
    answers: list[Answer]
    appended: list[InboxRow]  # records and ticks of a replay that entered the log in this slice
    counts: SliceCounts
    next_due: dict[int, int | None]  # nothing of these partitions is due earlier
    finished: bool  # every record given was decided, and nothing is due before `until`


class Batch(Struct):
    """The records of one partition. `ticking`: a replay of events, whose records enter the log in this slice.

    `until`: fire what is due before it after the last record (the declared end of a replay).
    """

    row: PartitionRow
    records: Sequence[InboxRow]
    next_due: int | None  # nothing of the partition is due before this; None: nothing is due at all
    ticking: bool = False
    until: int | None = None


def firing_name(case: Case) -> str:
    """The verdict that stands a case's next firing still."""
    return f"{QUARANTINE}{case.id}@{case.seq}"

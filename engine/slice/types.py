"""What a slice is given and what it answers with, shared by slice, runtime and writer.

In: nothing. Out: plain structs.
"""

from collections.abc import Callable, Sequence

from msgspec import Struct

from engine.store.database import Connection
from engine.store.rows import InboxRow, PartitionRow, StepRow
from schemas.refusals import Refusal
from workflows.case import Case

SKIP, STAMP = "skip", "stamp:"
"""An operator's words: pass the record over, its stamp too; take it at this instant (ms)."""
UNDECIDABLE, QUARANTINE = "undecidable", "quarantine:"
"""Words of isolation: the record moves time, but no more can be decided of it; a firing before it cannot be stored."""


AlsoWrite = Callable[[Connection, dict[int, int]], None]
"""What else a slice's transaction writes, told how many records of each partition were taken."""


class Limits(Struct, frozen=True):
    """How much one slice takes on, and what it refuses to believe."""

    records: int = 500
    steps: int = 1000
    ahead_ms: int = 30_000  # a stamp further ahead of the worker's clock halts its partition


class Counted(Struct):
    """What the metrics want to know of a slice."""

    events: dict[tuple[str, str], int]  # (type, outcome)
    breaches: dict[tuple[str, int], int]  # (clock, level)
    lateness: list[int]  # arrival minus due of every firing


class Answer(Struct, frozen=True):
    """What became of the event at a position."""

    partition: int
    position: int
    outcome: str  # done, parked, refused, duplicate, conflict
    refusal: Refusal | None = None
    first: str = ""  # of a duplicate: what became of the first


class SliceResult(Struct):
    """What a committed slice did."""

    partitions: list[PartitionRow]
    steps: list[StepRow]
    taken: dict[int, int]  # records decided, by partition
    answers: list[Answer]
    appended: list[InboxRow]  # ticks that a replay wrote through
    counted: Counted
    next_due: dict[int, int | None]  # nothing of these partitions is due earlier
    finished: bool  # every record given was decided, and nothing is due before `until`


class Batch(Struct):
    """The records of one partition. `ticking`: a replay of events, whose records enter the log in this slice.

    `until`: fire what is due before it, when the records are through (a replay's declared end).
    """

    row: PartitionRow
    records: Sequence[InboxRow]
    next_due: int | None  # nothing of the partition is due before this; None: nothing is due at all
    ticking: bool = False
    until: int | None = None


def firing_name(case: Case) -> str:
    """The word by which a settlement names a case's next firing."""
    return f"{QUARANTINE}{case.id}@{case.seq}"

"""What a slice is given, and what it answers with: plain structs that slice, runtime, writer and operators share."""

from collections.abc import Callable, Sequence

import msgspec
from msgspec import Struct

from engine.store.database import Connection
from engine.store.rows import InboxRow, OutgoingRow, PartitionRow, SealedRow, SeenKey, StepRow
from schemas.envelope import Envelope
from schemas.partition import home_of
from schemas.refusals import Refusal
from workflows.case import Case
from workflows.parking import Wait

SKIP, STAMP = "skip", "stamp:"
"""Verdicts of an operator: pass the record over, its stamp too; decide it at this instant (ms)."""
UNDECIDABLE, QUARANTINE = "undecidable", "quarantine:"
"""Verdicts of isolation: the record moves time, but is not decided; a firing before it cannot be stored."""

FROM_EVER_MS = 86_400_000
"""A clock of the first day of 1970 is that of a pack that was active before all events of a file."""
LATER_MS = 1_000
"""In a replay of events what is said to another home arrives so long after the step in which it is said."""
VOICES = 3
"""Cases that stand at one place in the code: where so many have spoken, it is no odd value of one of them, and the
partition halts."""

PENDING = "pending"
"""The outcome of an event whose case stands: it is in the log, and not decided yet."""


def settled_stamp(stamp: int, verdict: Sequence[str]) -> int:
    """A record's stamp, or the one that was settled. A record that is passed over does not move the clock."""
    if SKIP in verdict:
        return 0
    return next((int(word.removeprefix(STAMP)) for word in verdict if word.startswith(STAMP)), stamp)


def news_in(instants: Sequence[int], activated: int, since: int, until: int) -> int | None:
    """The first of the instants (ms) at which a pack comes to know more that lies after its activation, from an instant
    on and not after another; None: there is none. A slice may end with the clock at it, and the activation to come."""
    return next((at for at in instants if activated < at and since <= at <= until), None)


AlsoWrite = Callable[[Connection, dict[int, int]], None]
"""Writes in the slice's transaction. It gets the number of records that were taken, by partition."""


class Limits(Struct, frozen=True):
    """How much one slice takes on, and how far ahead a stamp may be."""

    records: int = 500
    steps: int = 1000
    ahead_ms: int = 30_000  # a stamp further ahead of the worker's clock halts its partition
    within: int | None = None  # nothing is committed unless all is decided, and nothing said in it arrives up to then
    sends: int | None = None  # to try out what the database refuses: so many are carried out, and nothing is committed


class BeyondRound(Exception):
    """A slice of a replay has come too far. `arrival`: when the first of what was said in it arrives; 0: not all was
    decided, so it is not known."""

    def __init__(self, arrival: int) -> None:
        super().__init__(arrival)
        self.arrival = arrival


class TriedOut(Exception):
    """The database takes all that was tried out. `left_out` names the first send that was not, as a verdict would;
    empty: there was none."""

    def __init__(self, left_out: str) -> None:
        super().__init__(left_out)
        self.left_out = left_out


class SliceCounts(Struct):
    """The numbers of one slice for the metrics."""

    events: dict[tuple[str, str], int]  # (type, outcome)
    breaches: dict[tuple[str, int], int]  # (clock, level)
    lateness: list[int]  # ms from when it could be known that something is due to the arrival that released its firing
    stood: int = 0  # cases that began to stand
    remarks: dict[str, int] = msgspec.field(default_factory=dict)  # on positions of reports


class Answer(Struct, frozen=True):
    """What became of the event at a position, for the sender that waits for it."""

    partition: int
    position: int
    outcome: str  # done, parked, refused, duplicate, conflict; pending: its case stands
    refusal: Refusal | None = None
    first: str = ""  # of a duplicate: the outcome of the first arrival
    wait: Wait | None = None  # of an event that is parked, and of its duplicate

    def after(self, end: "Released") -> "Answer":
        """The answer once the event waits no longer."""
        if self.outcome == "duplicate":
            return Answer(self.partition, self.position, "duplicate", end.refusal, end.outcome)
        return Answer(self.partition, self.position, end.outcome, end.refusal)


class Released(Struct, frozen=True):
    """What became of a parked event, by its idempotency key: done or refused."""

    key: SeenKey
    outcome: str
    refusal: Refusal | None = None


class SliceResult(Struct):
    """What a committed slice did."""

    partitions: list[PartitionRow]
    steps: list[StepRow]
    taken: dict[int, int]  # records decided, by partition
    answers: list[Answer]
    released: list[Released]
    appended: list[InboxRow]  # records and ticks of a replay that entered the log in this slice
    counts: SliceCounts
    next_due: dict[int, int | None]  # nothing of these partitions is due earlier
    finished: bool  # every record given was decided, and nothing is due before `until`
    outgoing: list[OutgoingRow] = msgspec.field(default_factory=list)  # what was said to cases of other homes


class Batch(Struct):
    """The records of one partition. `ticking`: a replay of events, whose records enter the log in this slice. `new`: so
    do these, as they are, with what is `sealed` of them.

    `until`: fire what is due before it after the last record (the declared end of a replay).
    """

    row: PartitionRow
    records: Sequence[InboxRow]
    next_due: int | None  # nothing of the partition is due before this; None: nothing is due at all
    ticking: bool = False
    until: int | None = None
    new: bool = False
    sealed: Sequence[SealedRow] = ()


def key_of(partition: int, event: Envelope) -> SeenKey:
    """The idempotency key of an event."""
    return partition, event.source, event.id, home_of(event.subject), event.actor


def old_key_of(key: SeenKey) -> SeenKey:
    """The key of the same event in a release that kept no home and actor."""
    return (*key[:3], "", "")


def keys_of(partition: int, event: Envelope) -> tuple[SeenKey, SeenKey]:
    """Both keys under which an event may be known."""
    key = key_of(partition, event)
    return key, old_key_of(key)


def firing_name(case: Case) -> str:
    """The verdict that stands a case's next firing still."""
    return f"{QUARANTINE}{case.id}@{case.seq}"

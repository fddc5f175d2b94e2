"""The memory of one slice: what was read of the database, what will be written to it, each table once.

In: the open transaction and the batches. Out: decoded records, the cases, seen events and neighbours that they touch;
at the end the rows that the turns of the partitions have gathered.
"""

from collections.abc import Iterable, Sequence

import msgspec
from msgspec import Struct

from engine.policies import Policies
from engine.slice.types import SKIP, UNDECIDABLE, Answer, Batch, Counted, Limits
from engine.store import inbox, slices
from engine.store.database import Connection
from engine.store.rows import CaseRow, InboxRow, LetterRow, PartitionRow, SealedRow, SeenRow, StepRow
from schemas.envelope import Record, decode_data, decode_record
from schemas.events import EventData, ReportSubmitted
from schemas.partition import home_of
from schemas.refusals import Reason, Refusal
from workflows import case as cases
from workflows.case import Case
from workflows.duplicates import correlation_keys
from workflows.policy.index import Policy


class Read(Struct):
    """A record decoded before anything is decided."""

    row: InboxRow
    record: Record | None
    said: EventData | None
    refusal: Refusal | None


class Workspace:
    """The memory of one slice: what was read, what will be written."""

    def __init__(
        self,
        connection: Connection,
        policies: Policies,
        limits: Limits,
        count: int,
        settlements: dict[tuple[int, int], str],
        now: int | None,
    ) -> None:
        self.connection = connection
        self.policies = policies
        self.limits = limits
        self.count = count
        self.settlements = settlements
        self.unstorable = {word for verdict in settlements.values() for word in verdict.split()}
        self.now = now
        self.cases: dict[str, Case] = {}
        self.due_at: dict[str, int | None] = {}  # when each case in memory comes up, as the heap should see it
        self.recalculate: set[str] = set()
        self.changed: dict[str, CaseRow] = {}
        self.open_under: dict[str, dict[str, None]] = {}  # correlation key -> open cases
        self.seen: dict[tuple[int, str, str], SeenRow] = {}
        self.seen_changed: dict[tuple[int, str, str], SeenRow] = {}
        self.seen_later: list[tuple[str, str, str, str, int, str, str]] = []
        self.steps: list[StepRow] = []
        self.letters: list[LetterRow] = []
        self.bodies: list[SealedRow] = []
        self.appended: list[InboxRow] = []
        self.answers: list[Answer] = []
        self.recalculations: list[tuple[int, int, bool]] = []
        self.counted = Counted({}, {}, [])
        self.asked = set[int]()  # partitions whose due cases were read
        self.earliest: dict[int, int] = {}  # earliest next_at of the changed cases, by partition
        self.taken: dict[int, int] = {}
        self.batches: dict[int, list[Read]] = {}

    # ---- reading ------------------------------------------------------------------------------------------

    def read(self, batches: Sequence[Batch]) -> None:
        """Decode all records, then fetch all they touch: cases, seen events, neighbours."""
        ids, keys, nearby = set[str](), list[tuple[int, str, str]](), set[str]()
        for batch in batches:
            reads = [decode_row(row) for row in batch.records]
            self.batches[batch.row.partition] = reads
            rules = self.active(batch.row)
            for item in reads:
                if item.record is None or self._passed_over(batch, item.row):
                    continue
                event = item.record.event
                ids.add(event.subject)
                keys.append((batch.row.partition, event.source, event.id))
                if rules and isinstance(item.said, ReportSubmitted):
                    nearby.update(_nearby(item.said, event.subject, rules))
        if ids:
            self.load(slices.read_cases(self.connection, ids))
            self.seen = {(r.partition, r.source, r.id): r for r in slices.read_seen(self.connection, keys)}
        if nearby:
            self.load(slices.read_nearby(self.connection, nearby))

    def _passed_over(self, batch: Batch, row: InboxRow) -> bool:
        """Whether a record was settled to be passed over: its case may be what cannot be read."""
        alone = len(batch.records) == 1  # in a replay of events only then the record's place in the log is known
        position = batch.row.position if batch.ticking and alone else -1 if batch.ticking else row.position
        words = self.settlements.get((row.partition, position), "").split()
        return SKIP in words or UNDECIDABLE in words

    def active(self, row: PartitionRow) -> Policy | None:
        """The register that is active in a partition; None before the first activation."""
        activations: list[tuple[str, int]] = msgspec.json.decode(row.packs)
        return self.policies.get(self.connection, activations[-1][0]) if activations else None

    def load(self, rows: Iterable[tuple[str, int | None, str]]) -> None:
        """Take cases into memory, unless they are there already."""
        for id_, next_at, body in rows:
            if id_ in self.cases:
                continue
            case = self.cases[id_] = cases.decode(body)
            self.due_at[id_] = next_at
            if next_at is not None and next_at != case.next_at:
                self.recalculate.add(id_)
            if case.key and case.closed is None:
                self.open_under.setdefault(scoped(case.key, id_) or "", {})[id_] = None

    def neighbours(self, said: EventData, subject: str, rules: Policy) -> tuple[Case, ...]:
        """The open cases under a report's key, as they stand within this slice."""
        if not isinstance(said, ReportSubmitted):
            return ()
        keys = _nearby(said, subject, rules)
        return tuple(self.cases[id_] for key in keys for id_ in self.open_under.get(key, ()))

    # ---- writing ------------------------------------------------------------------------------------------

    def write(self, moved: Sequence[PartitionRow]) -> None:
        """Each table once."""
        inbox.append(self.connection, self.appended)
        slices.write_steps(self.connection, self.steps)
        slices.write_cases(self.connection, list(self.changed.values()))
        slices.write_seen(self.connection, list(self.seen_changed.values()))
        slices.update_seen(self.connection, self.seen_later)
        slices.write_letters(self.connection, self.letters, self.bodies)
        for partition, at, provisional_only in self.recalculations:
            slices.await_recalculation(self.connection, partition, at, provisional_only)
        slices.write_partitions(self.connection, moved)

    def next_due(self, batch: Batch) -> int | None:
        """The earliest instant at which something of a partition may be due from now on."""
        partition = batch.row.partition
        if partition in self.asked or any(p == partition for p, _, _ in self.recalculations):
            return slices.read_next_due(self.connection, partition)
        known = (batch.next_due, self.earliest.get(partition))
        return min((due for due in known if due is not None), default=None)


def _nearby(said: ReportSubmitted, subject: str, rules: Policy) -> list[str]:
    """The keys under which open cases of the same home may be the same problem."""
    keys = correlation_keys(said, rules.options.similar_radius_m)
    return [key for key in (scoped(key, subject) for key in keys) if key]


def scoped(key: str, subject: str) -> str | None:
    """A correlation key within a home."""
    return f"{home_of(subject)}|{key}" if key else None


def decode_row(row: InboxRow) -> Read:
    """A record's event and data; what cannot be decoded is refused when its turn comes."""
    if row.kind != "event":
        return Read(row, None, None, None)
    try:
        record = decode_record(row.body)
    except (msgspec.DecodeError, ValueError) as error:
        return Read(row, None, None, Refusal(Reason.UNDECODABLE, "", str(error)))
    said = decode_data(record.event) if record.event.type else None
    if isinstance(said, Refusal):
        return Read(row, record, None, said)
    return Read(row, record, said, None)

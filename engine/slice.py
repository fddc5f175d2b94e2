"""One slice: what has arrived while the last one was committed, decided in memory, written once, in one transaction.

In: records of several partitions, in order, and the partitions' rows as this writer last committed them. Out: steps,
cases, seen events and dead letters in the database, the rows moved on, and a `SliceResult`. Partitions are locked in
order and decided one after another; nothing is read across.

Before a record with arrival *a* is decided, everything due before *a* fires, by (due, case). A slice never goes past
the last due case that it fetched: it may commit a partition's clock without moving its position.
"""

import heapq
import logging
from collections.abc import Callable, Iterable, Sequence

import msgspec
from msgspec import Struct

from engine import failpoints
from engine.errors import LogMismatch
from engine.policies import Policies
from engine.store import log as inbox
from engine.store import slices
from engine.store.database import Connection, Database
from engine.store.rows import CaseRow, InboxRow, LetterRow, PartitionRow, SealedRow, SeenRow, StepRow
from schemas import facts as f
from schemas.envelope import Record, decode_data, decode_record
from schemas.events import ReportSubmitted, Said
from schemas.partition import home_of, partition_of
from schemas.refusals import Reason, Refusal
from workflows import case as cases
from workflows import decide, triggers
from workflows.case import Case
from workflows.policy import Policy

log = logging.getLogger(__name__)

SKIP, STAMP, QUARANTINE = "skip", "stamp:", "quarantine:"
"""Words of a settlement: pass the record over; take it at this instant (ms); a firing before it cannot be stored."""


Beside = Callable[[Connection, dict[int, int]], None]
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
    steps: int
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


class _Read(Struct):
    """A record decoded before anything is decided."""

    row: InboxRow
    record: Record | None
    said: Said | None
    refusal: Refusal | None


def run_slice(
    database: Database, batches: Sequence[Batch], policies: Policies, limits: Limits, count: int,
    settlements: dict[tuple[int, int], str], now: int | None = None, beside: Beside | None = None,
) -> SliceResult:  # fmt: skip
    """Decide these batches and commit. `now` is the wall clock that stamps are held against; None believes them.

    `beside` writes in the same transaction, told how many records of each partition were taken.
    """
    with database.begin() as connection:
        slices.lock_partitions(connection, [b.row for b in batches])
        failpoints.hit("slice.after_lock")
        work = Workspace(connection, policies, limits, count, settlements, now)
        work.read(batches)
        failpoints.hit("slice.after_read")
        moved, finished = [], True
        for batch in sorted(batches, key=lambda b: b.row.partition):
            row, done = _Partition(work, batch).run()
            moved.append(row)
            finished = finished and done
        failpoints.hit("slice.before_write")
        work.write(moved)
        if beside is not None:
            beside(connection, work.taken)
        next_due = {b.row.partition: work.next_due(b) for b in batches}
        failpoints.hit("slice.before_commit")
    failpoints.hit("slice.after_commit")
    return SliceResult(
        moved, len(work.steps), work.taken, work.answers, work.appended, work.counted, next_due, finished
    )


class Workspace:
    """The memory of one slice: what was read, what will be written."""

    def __init__(self, connection: Connection, policies: Policies, limits: Limits, count: int,
                 settlements: dict[tuple[int, int], str], now: int | None) -> None:  # fmt: skip
        self.connection = connection
        self.policies = policies
        self.limits = limits
        self.count = count
        self.settlements = settlements
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
        self.batches: dict[int, list[_Read]] = {}

    # ---- reading ------------------------------------------------------------------------------------------

    def read(self, batches: Sequence[Batch]) -> None:
        """Decode all records, then fetch all they touch: cases, seen events, neighbours."""
        ids, keys, nearby = set[str](), list[tuple[int, str, str]](), set[str]()
        for batch in batches:
            reads = [_decode(row) for row in batch.records]
            self.batches[batch.row.partition] = reads
            rules = self.active(batch.row)
            for item in reads:
                if item.record is None:
                    continue
                event = item.record.event
                ids.add(event.subject)
                keys.append((batch.row.partition, event.source, event.id))
                if rules and isinstance(item.said, ReportSubmitted):
                    key = triggers.correlation_key(item.said, rules.options.similar_radius_m)
                    nearby.update(filter(None, [_scoped(key, event.subject)]))
        if ids:
            self.load(slices.read_cases(self.connection, ids))
            self.seen = {(r.partition, r.source, r.id): r for r in slices.read_seen(self.connection, keys)}
        if nearby:
            self.load(slices.read_nearby(self.connection, nearby))

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
                self.open_under.setdefault(_scoped(case.key, id_) or "", {})[id_] = None

    def neighbours(self, said: Said, subject: str, rules: Policy) -> tuple[Case, ...]:
        """The open cases under a report's key, as they stand within this slice."""
        if not isinstance(said, ReportSubmitted):
            return ()
        key = _scoped(triggers.correlation_key(said, rules.options.similar_radius_m), subject)
        return tuple(self.cases[id_] for id_ in self.open_under.get(key, ())) if key else ()

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


def _scoped(key: str, subject: str) -> str | None:
    """A correlation key within a home."""
    return f"{home_of(subject)}|{key}" if key else None


def _decode(row: InboxRow) -> _Read:
    """A record's event and data; what cannot be decoded is refused when its turn comes."""
    if row.kind != "event":
        return _Read(row, None, None, None)
    try:
        record = decode_record(row.body)
    except (msgspec.DecodeError, ValueError) as error:
        return _Read(row, None, None, Refusal(Reason.UNDECODABLE, "", str(error)))
    said = decode_data(record.event) if record.event.type else None
    if isinstance(said, Refusal):
        return _Read(row, record, None, said)
    return _Read(row, record, said, None)


class _Partition:
    """One partition's turn in a slice."""

    def __init__(self, work: Workspace, batch: Batch) -> None:
        self.work = work
        self.batch = batch
        self.row = msgspec.structs.replace(batch.row)
        self.row.version += 1
        self.active = work.active(self.row)
        self.heap: list[tuple[int, str]] = []
        self.horizon: tuple[int, str] | None = None  # the last due case fetched; None: all were
        self.steps_left = work.limits.steps

    # ---- the walk through the records -----------------------------------------------------------------------

    def run(self) -> tuple[PartitionRow, bool]:
        """Decide the records in order. The row as it will stand, and whether all was done."""
        reads = self.work.batches[self.row.partition]
        self._fetch_due(reads)
        for item in reads:
            if self.row.halted or not self._take(item):
                return self.row, False
        if self.batch.until is not None and (self.steps_left <= 0 or not self._run_out(self.batch.until)):
            return self.row, False
        return self.row, True

    def _fetch_due(self, reads: Sequence[_Read]) -> None:
        """Everything due before the last arrival of the batch, up to a limit."""
        stamps = [stamp for item in reads for stamp in (item.row.stamp, self._stamp(item.row))]
        last = max([self.row.clock, *stamps, self.batch.until or 0])
        if self.batch.next_due is None or self.batch.next_due >= last:
            return
        limit = self.work.limits.steps
        found = slices.read_due(self.work.connection, self.row.partition, last, limit)
        self.work.load(found)
        self.work.asked.add(self.row.partition)
        for id_, _, _ in found:
            due = self.work.due_at[id_]
            if due is not None:
                heapq.heappush(self.heap, (due, id_))
        if len(found) == limit:
            self.horizon = (found[-1][1], found[-1][0])

    def _take(self, item: _Read) -> bool:
        """Fire what is due before a record, then the record itself. False: stop here, the slice is full."""
        record = item.row
        if not self.batch.ticking and record.position != self.row.position:
            place = f"{record.partition}.{record.position}"
            raise LogMismatch(f"record {place} is not the next one, {self.row.position} is")
        stamp, now = self._stamp(record), self.work.now
        if now is not None and stamp > now + self.work.limits.ahead_ms and not self._verdict(record.position):
            self.row.halted = (
                f"record {record.partition}.{record.position} is stamped {stamp - now} ms ahead of this worker's clock"
            )
            return False
        arrival = max(stamp, self.row.clock)
        if not (self._tick_through(arrival) if self.batch.ticking else self._fire_before(arrival)):
            return False
        if self.steps_left <= 0:
            return False
        if self.batch.ticking:
            record = self._write_through(record, arrival)
        self.row.clock = arrival
        self._decide(item, record, arrival)
        self.row.position = record.position + 1
        self.work.taken[record.partition] = self.work.taken.get(record.partition, 0) + 1
        return True

    def _verdict(self, position: int) -> list[str]:
        """What was settled about the record at a position: an operator's word, or what the database refused."""
        return self.work.settlements.get((self.row.partition, position), "").split()

    def _stamp(self, record: InboxRow) -> int:
        """A record's stamp, or the one that was settled. What is passed over does not move the clock."""
        verdict = self._verdict(self.row.position if self.batch.ticking else record.position)
        if SKIP in verdict:
            return 0
        return next((int(word.removeprefix(STAMP)) for word in verdict if word.startswith(STAMP)), record.stamp)

    def _write_through(self, record: InboxRow, arrival: int) -> InboxRow:
        """In a replay of events a record gets its place in the log here."""
        placed = msgspec.structs.replace(record, position=self.row.position, stamp=arrival)
        self.work.appended.append(placed)
        return placed

    def _tick_through(self, before: int) -> bool:
        """In a replay's silent gaps, a tick at due + 1 ms releases each firing, as an attentive owner would."""
        while (at := self._next_tick(before)) is not None and at < before:
            if not self._tick(at):
                return False
        if at is None and self._beyond(before):
            return False  # without moving the clock: what was not fetched may want a tick of its own
        return self._fire_before(before)

    def _run_out(self, until: int) -> bool:
        """Everything that is due before an instant, without a record that arrives then."""
        if not self.batch.ticking:
            done = self._fire_before(until)
            self.row.clock = max(self.row.clock, until)
            return done
        while (at := self._next_tick(until)) is not None:
            if not self._tick(at):
                return False
        return not self._beyond(until)

    def _next_tick(self, before: int) -> int | None:
        """When an owner would tick next for what is due before an instant; None if this slice knows of nothing."""
        due = self._next_due()
        if due is None or due >= before or not self._may_fire():
            return None
        return max(due + 1, self.row.clock)

    def _tick(self, at: int) -> bool:
        """Fire what is due before an instant, and append the tick that released it."""
        if not self._fire_before(at):
            return False
        self.work.appended.append(InboxRow(self.row.partition, self.row.position, at, "tick", "owner", ""))
        self.row.clock = at
        self.row.position += 1
        return True

    # ---- what is due ----------------------------------------------------------------------------------------

    def _next_due(self) -> int | None:
        """The next instant at which something is due, stale entries dropped."""
        while self.heap:
            due, id_ = self.heap[0]
            if self.work.due_at.get(id_) == due:
                return due
            heapq.heappop(self.heap)
        return None

    def _may_fire(self) -> bool:
        """Whether the top of the heap really is next: nothing unfetched can come before it."""
        return self.horizon is None or self.heap[0] <= self.horizon

    def _beyond(self, before: int) -> bool:
        """Whether something that was not fetched may be due before an instant."""
        return self.horizon is not None and self.horizon[0] < before

    def _fire_before(self, arrival: int) -> bool:
        """Fire everything due before an arrival. False when the slice is full or knows no further."""
        while (due := self._next_due()) is not None and due < arrival:
            if self.steps_left <= 0 or not self._may_fire():
                self.row.clock = max(self.row.clock, arrival)
                return False
            _, id_ = heapq.heappop(self.heap)
            self._fire(id_, due, arrival)
        if self._beyond(arrival):
            self.row.clock = max(self.row.clock, arrival)
            return False
        return True

    def _fire(self, id_: str, due: int, arrival: int) -> None:
        """One firing of one case, dated at its due instant; one that fails stands the case's clocks still, visibly."""
        case = self.work.cases[id_]
        rules, register = self._policies(case)
        self.work.counted.lateness.append(arrival - due)
        recalculate, failed = id_ in self.work.recalculate, ""
        self.work.recalculate.discard(id_)
        if firing_name(case) in self._verdict(self.row.position):
            failed = "the database refuses it"
        else:
            try:
                outcome = (decide.recalculate if recalculate else decide.fire)(case, due + 1, rules, register)
            except Exception as error:
                log.exception("firing of case %s at %d failed", id_, due)
                failed = f"{type(error).__name__}: {error}"
        if failed:
            log.error("case %s: its clocks stand still from %d until it is released: %s", id_, due, failed)
            outcome = decide.quarantine(case, due, rules, register, detail=failed)
            self._letter_of_firing(case, arrival, failed)
        self._book(outcome, arrival, outcome.settled)

    def _letter_of_firing(self, case: Case, arrival: int, detail: str) -> None:
        """A dead letter without bytes, named after the step that is told next."""
        letter = f"{self.row.partition}.n{self.row.n + 1}"
        self.work.letters.append(
            LetterRow(letter, arrival, self.row.partition, None, Reason.FAILED, "", detail, "", "", decide.DUE,
                      case.id, "owner", "")
        )  # fmt: skip

    def _policies(self, case: Case) -> tuple[Policy, Policy]:
        """The rules pinned to a case, and the active register."""
        active = self.active
        if active is None:
            raise LookupError("no pack is active in this partition")
        rules = self.work.policies.get(self.work.connection, case.policy) if case.policy else active
        return rules, active

    # ---- one record -----------------------------------------------------------------------------------------

    def _decide(self, item: _Read, row: InboxRow, arrival: int) -> None:
        """A record by its kind. A tick has done its work by arriving."""
        if row.kind == "tick":
            return
        if SKIP in self._verdict(row.position):
            return self._refuse(item, row, arrival, Refusal(Reason.FAILED, "", "settled: passed over"))
        if row.kind == "pack":
            return self._activate(row, arrival)
        if row.kind == "release":
            return self._lift_quarantine(row, arrival)
        refusal_or_none = item.refusal or self._misrouted(item)
        if refusal_or_none or item.record is None or item.said is None:
            return self._refuse(item, row, arrival, refusal_or_none or Refusal(Reason.UNDECODABLE, "", "no event"))
        earlier = self._earlier(item.record, arrival)
        if earlier is not None:
            return self._repeat(item, row, arrival, earlier)
        self._event(item, item.record, item.said, row, arrival)

    def _misrouted(self, item: _Read) -> Refusal | None:
        """Subject, key and partition must agree."""
        if item.record is None:
            return None
        event = item.record.event
        home = home_of(event.subject)
        if event.partitionkey not in (None, home):
            return Refusal(Reason.MISROUTED, "partitionkey", f"must be the home of the subject, {home!r}")
        if partition_of(home, self.work.count) != self.row.partition:
            return Refusal(Reason.MISROUTED, "subject", f"home {home!r} belongs to another partition")
        return None

    def _earlier(self, record: Record, arrival: int) -> SeenRow | None:
        """The first arrival of this event, while it counts as such. A replayed dead letter is decided anew."""
        event = record.event
        row = self.work.seen.get((self.row.partition, event.source, event.id))
        window = self.active.options.duplicate_window_ms if self.active else 0
        if row is None or arrival - row.arrival > window or (record.letter and row.outcome == "refused"):
            return None
        return row

    def _repeat(self, item: _Read, row: InboxRow, arrival: int, earlier: SeenRow) -> None:
        """The same event again: the answer it got. The same key with other content: a conflict, kept."""
        record = item.record
        assert record is not None
        if record.digest != earlier.digest:
            refusal = Refusal(Reason.CONFLICT, "id", "this source and id came before with other content: send a new id")
            return self._refuse(item, row, arrival, refusal, "conflict")
        refused = Refusal(Reason(earlier.reason), earlier.field, earlier.detail) if earlier.reason else None
        self._answer(record.event.type, row, "duplicate", refused, earlier.outcome)

    def _event(self, item: _Read, record: Record, said: Said, row: InboxRow, arrival: int) -> None:
        """Decide an event. What fails in deciding is dead-lettered: it never stops the line."""
        subject = record.event.subject
        case = self.work.cases.get(subject) or Case(id=subject)
        if self.active is None:
            refusal = Refusal(Reason.FAILED, "", "no policy pack is active: run `gridpatrol pack activate DIR`")
            return self._refuse(item, row, arrival, refusal)
        rules, register = self._policies(case)
        arrived = decide.Arrived(record, said, arrival, row.body.encode())
        try:
            outcome = decide.take(case, arrived, rules, register, self.work.neighbours(said, subject, register))
        except Exception as error:
            log.exception("record %d.%d failed in deciding", row.partition, row.position)
            return self._refuse(item, row, arrival, Refusal(Reason.FAILED, "", f"{type(error).__name__}: {error}"))
        first = outcome.settled[0]
        self._remember(record, row, arrival, first)
        self._answer(record.event.type, row, first.outcome, first.refusal)
        if first.refusal:
            self._letter(item, row, arrival, first.refusal)
        self._book(outcome, arrival, outcome.settled[1:])

    def _refuse(self, item: _Read, row: InboxRow, arrival: int, refusal: Refusal, outcome: str = "refused") -> None:
        """A record that no case sees: answered and kept."""
        if item.record is not None and outcome == "refused":
            event = item.record.event
            self._remember(item.record, row, arrival, decide.Settled(event.source, event.id, "refused", refusal))
        self._answer(item.record.event.type if item.record else "", row, outcome, refusal)
        self._letter(item, row, arrival, refusal)

    def _answer(self, kind: str, row: InboxRow, outcome: str, refusal: Refusal | None, first: str = "") -> None:
        counts = self.work.counted.events
        counts[kind, outcome] = counts.get((kind, outcome), 0) + 1
        self.work.answers.append(Answer(row.partition, row.position, outcome, refusal, first))

    def _remember(self, record: Record, row: InboxRow, arrival: int, settled: decide.Settled) -> None:
        event, why = record.event, settled.refusal
        key = (self.row.partition, event.source, event.id)
        seen = SeenRow(
            self.row.partition, event.source, event.id, record.digest, arrival, row.position, settled.outcome,
            why.reason if why else "", why.field if why else "", why.detail if why else "", event.subject,
        )  # fmt: skip
        self.work.seen[key] = self.work.seen_changed[key] = seen

    def _letter(self, item: _Read, row: InboxRow, arrival: int, why: Refusal) -> None:
        """Keep a refused record with its bytes."""
        event = item.record.event if item.record else None
        id_ = f"{row.partition}.{row.position}"
        self.work.letters.append(
            LetterRow(
                id_, arrival, row.partition, row.position, why.reason, why.field, why.detail,
                event.source if event else "", event.id if event else "", event.type if event else "",
                event.subject if event else "", row.principal, f"letter:{id_}",
            )
        )  # fmt: skip
        self.work.bodies.append(SealedRow(f"letter:{id_}", row.body))

    # ---- operators' records ---------------------------------------------------------------------------------

    def _activate(self, row: InboxRow, arrival: int) -> None:
        """A pack becomes active, and the slice ends: what it read was chosen under the pack before.

        Cases to be looked at again come up just before the activation, so before any record after it.
        """
        digest = row.body
        self.active = self.work.policies.get(self.work.connection, digest)
        activations: list[list[object]] = msgspec.json.decode(self.row.packs)
        move = self.active.options.deadlines_move
        if activations and move != "never":
            self.work.recalculations.append((self.row.partition, arrival - 1, move == "provisional"))
        self.row.packs = msgspec.json.encode([*activations, [digest, arrival]]).decode()
        self.steps_left = 0

    def _lift_quarantine(self, row: InboxRow, arrival: int) -> None:
        """An operator lets a case's clocks run again."""
        case = self.work.cases.get(row.body)
        if case is None:
            self.work.load(slices.read_cases(self.work.connection, [row.body]))
            case = self.work.cases.get(row.body)
        if case is not None and case.quarantined:
            self._book(decide.quarantine(case, arrival, *self._policies(case), on=False), arrival, ())

    # ---- booking what was decided ---------------------------------------------------------------------------

    def _book(self, outcome: decide.Outcome, arrival: int, settled: Sequence[decide.Settled]) -> None:
        """Number the steps, keep the case, remember what became of parked events."""
        for told in outcome.steps:
            self._number(told, arrival)
        if outcome.steps:
            self._keep(outcome.case)
        for back, item in enumerate(reversed(settled)):  # the last steps are theirs, one each
            self._settle(item, outcome.case, arrival, self.row.n - back)

    def _number(self, told: decide.Told, arrival: int) -> None:
        """A step gets the partition's next number."""
        self.row.n += 1
        self.steps_left -= 1
        case, active = told.case, self.active
        assert active is not None
        day = active.clock_of_days.local_day(told.instant)
        self.work.steps.append(
            StepRow(
                self.row.partition, self.row.n, case.id, case.seq, arrival, day, case.policy, path_text(case.path),
                case.category, case.group, told.department, told.cause.actor, f.encode_cause(told.cause).decode(),
                f.encode_facts(told.facts).decode(),
            )
        )  # fmt: skip
        for fact in told.facts:
            if isinstance(fact, f.ClockRung) and fact.breach:
                key = (fact.clock, fact.level)
                self.work.counted.breaches[key] = self.work.counted.breaches.get(key, 0) + 1

    def _keep(self, case: Case) -> None:
        """The case as it now stands, in memory and to be written."""
        work = self.work
        work.cases[case.id] = case
        due = work.due_at[case.id] = case.next_at
        if due is not None:
            heapq.heappush(self.heap, (due, case.id))
            work.earliest[self.row.partition] = min(due, work.earliest.get(self.row.partition, due))
        key = _scoped(case.key, case.id) if case.closed is None else None
        if case.key:
            under = work.open_under.setdefault(_scoped(case.key, case.id) or "", {})
            under.pop(case.id, None)
            if key:
                under[case.id] = None
        work.changed[case.id] = case_row(case, self.row.partition, key)

    def _settle(self, item: decide.Settled, case: Case, arrival: int, n: int) -> None:
        """A parked event was released or given up in step `n`: its answer changes, and it may become a dead letter."""
        why = item.refusal
        key = (self.row.partition, item.source, item.id)
        words = (item.outcome, why.reason if why else "", why.field if why else "", why.detail if why else "")
        seen = self.work.seen.get(key)
        if seen is not None:
            seen.outcome, seen.reason, seen.field, seen.detail = words
            self.work.seen_changed[key] = seen
        else:
            self.work.seen_later.append((*words, *key))
        if why is None:
            return
        event = decode_record(item.raw).event
        id_ = f"{self.row.partition}.n{n}"
        self.work.letters.append(
            LetterRow(id_, arrival, self.row.partition, None, why.reason, why.field, why.detail, event.source, event.id,
                      event.type, case.id, "", f"letter:{id_}")
        )  # fmt: skip
        self.work.bodies.append(SealedRow(f"letter:{id_}", item.raw.decode()))


def path_text(path: Sequence[str]) -> str:
    """An ancestor path as text: `/root/.../leaf/`."""
    return f"/{'/'.join(path)}/" if path else "/"


def firing_name(case: Case) -> str:
    """The word by which a settlement names a case's next firing."""
    return f"{QUARANTINE}{case.id}@{case.seq}"


def case_row(case: Case, partition: int, key: str | None) -> CaseRow:
    """A case as its row."""
    return CaseRow(
        case.id, partition, case.definition, case.state, case.closed is None, case.owner.level, path_text(case.path),
        case.owner.grid, case.owner.department, case.category, case.group, key, case.cycle, case.seq, case.opened,
        case.closed, case.next_at, case.due_at, any(c.provisional for c in case.clocks), cases.encode(case).decode(),
    )  # fmt: skip

"""One partition's turn in a slice: its records in order, and before each what was due before it.

In: the slice's memory and a batch. Out: the partition's row as it will stand, everything else booked. A turn ends early
when the slice is full or knows no further due case; it may then leave the clock moved and the position where it was.
"""

import logging
from collections.abc import Sequence
from itertools import takewhile

import msgspec

from engine.errors import LogMismatch
from engine.slice.due import DueCases
from engine.slice.reads import Read, Workspace
from engine.slice.types import SKIP, STAMP, UNDECIDABLE, Batch, firing_name
from engine.slice.writes import Book
from engine.store import slices
from engine.store.rows import InboxRow, PartitionRow, SeenRow
from schemas.envelope import Record
from schemas.events import EventData
from schemas.partition import home_of, partition_of
from schemas.refusals import Reason, Refusal
from workflows import decide
from workflows.case import Case
from workflows.policy.index import Policy

log = logging.getLogger(__name__)


class PartitionRun:
    """One partition's turn in a slice."""

    def __init__(self, work: Workspace, batch: Batch) -> None:
        self.work = work
        self.batch = batch
        self.row = msgspec.structs.replace(batch.row)
        self.row.version += 1
        self.active = work.active(self.row)
        self.due = DueCases(work, self.row.partition)
        self.book = Book(work, self.row, self.due)
        self.ended = False  # no further record in this slice

    # ---- the walk through the records -----------------------------------------------------------------------

    def run(self) -> tuple[PartitionRow, bool]:
        """Decide the records in order. The row as it will stand, and whether all was done."""
        reads = self.work.batches[self.row.partition]
        self._fetch_due(reads)
        for item in reads:
            if self.row.halted or not self._take(item):
                return self.row, False
        if self.batch.until is not None and (self._full() or not self._run_out(self.batch.until)):
            return self.row, False
        return self.row, True

    def _full(self) -> bool:
        """Whether the slice has made as many steps as it may, or ends for another reason."""
        return self.ended or self.book.made >= self.work.limits.steps

    def _fetch_due(self, reads: Sequence[Read]) -> None:
        """Everything due before the last arrival of the batch, up to a limit."""
        stamps = [stamp for item in reads for stamp in (item.row.stamp, self._stamp(item.row))]
        last = max([self.row.clock, *stamps, self.batch.until or 0])
        if self.batch.next_due is None or self.batch.next_due >= last:
            return
        self.due.fetch(last)

    def _take(self, item: Read) -> bool:
        """Fire what is due before a record, then the record itself. False: stop here, the slice is full."""
        record = item.row
        if not self.batch.ticking and record.position != self.row.position:
            place = f"{record.partition}.{record.position}"
            raise LogMismatch(f"record {place} is not the next one, {self.row.position} is")
        stamp, now = self._stamp(record), self.work.now
        if now is not None and self._is_ahead(record, now):
            self._halt(record, now)
            return False
        arrival = max(stamp, self.row.clock)
        if not (self._tick_through(arrival) if self.batch.ticking else self._fire_before(arrival)):
            return False
        if self._full():
            return False
        if self.batch.ticking:
            record = self._write_through(record, arrival)
        self.row.clock = arrival
        self._decide(item, record, arrival)
        self.row.position = record.position + 1
        self.work.taken[record.partition] = self.work.taken.get(record.partition, 0) + 1
        return True

    def _is_ahead(self, record: InboxRow, now: int) -> bool:
        """Whether a record is stamped so far ahead that somebody's clock is wrong, and nobody has settled it."""
        return record.stamp > now + self.work.limits.ahead_ms and not self._verdict(record.position)

    def _halt(self, first: InboxRow, now: int) -> None:
        """Stand still before a record that is stamped ahead, and say how many at hand are to be settled with it."""
        rows = [item.row for item in self.work.batches[self.row.partition] if item.row.position >= first.position]
        ahead = list(takewhile(lambda row: self._is_ahead(row, now), rows))
        more = f", and so are those through {ahead[-1].position}" if len(ahead) > 1 else ""
        name = f"record {first.partition}.{first.position}"
        self.row.halted = f"{name} is stamped {first.stamp - now} ms ahead of this worker's clock{more}"

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
        if at is None and self.due.beyond(before):
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
        return not self.due.beyond(until)

    def _next_tick(self, before: int) -> int | None:
        """When an owner would tick next for what is due before an instant; None if this slice knows of nothing."""
        due = self.due.next()
        if due is None or due >= before or not self.due.known():
            return None
        return max(due + 1, self.row.clock)

    def _tick(self, at: int) -> bool:
        """Fire what is due before an instant, and append the tick that released it; what is left gets another."""
        before = self.book.made
        done = self._fire_before(at)
        if self.book.made > before:
            self.work.appended.append(InboxRow(self.row.partition, self.row.position, at, "tick", "owner", ""))
            self.row.clock = at
            self.row.position += 1
        return done

    # ---- what is due ----------------------------------------------------------------------------------------

    def _fire_before(self, arrival: int) -> bool:
        """Fire everything due before an arrival. False when the slice is full or knows no further."""
        while (due := self.due.next()) is not None and due < arrival:
            if self._full() or not self.due.known():
                self.row.clock = max(self.row.clock, arrival)
                return False
            self._fire(self.due.pop(), due, arrival)
        if self.due.beyond(arrival):
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
        if firing_name(case) in self.work.unstorable:
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
            self.book.letter_of_firing(case, arrival, failed)
        self.book.outcome(outcome, arrival, outcome.outcomes, register.clock_of_days)

    def _policies(self, case: Case) -> tuple[Policy, Policy]:
        """The rules pinned to a case, and the active register."""
        active = self.active
        if active is None:
            raise LookupError("no pack is active in this partition")
        rules = self.work.policies.get(self.work.connection, case.policy) if case.policy else active
        return rules, active

    # ---- one record -----------------------------------------------------------------------------------------

    def _decide(self, item: Read, row: InboxRow, arrival: int) -> None:
        """A record by its kind. A tick has done its work by arriving."""
        if row.kind == "tick":
            return
        if passed := [word for word in self._verdict(row.position) if word in (SKIP, UNDECIDABLE)]:
            return self.book.refuse(item, row, arrival, Refusal(Reason.FAILED, "", f"settled: {passed[0]}"))
        if row.kind == "pack":
            return self._activate(row, arrival)
        if row.kind == "release":
            return self._lift_quarantine(row, arrival)
        refusal_or_none = item.refusal or self._misrouted(item)
        if refusal_or_none or item.record is None or item.said is None:
            return self.book.refuse(item, row, arrival, refusal_or_none or Refusal(Reason.UNDECODABLE, "", "no event"))
        earlier = self._earlier(item.record, arrival)
        if earlier is not None:
            return self._repeat(item, row, arrival, earlier)
        self._event(item, item.record, item.said, row, arrival)

    def _misrouted(self, item: Read) -> Refusal | None:
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

    def _repeat(self, item: Read, row: InboxRow, arrival: int, earlier: SeenRow) -> None:
        """The same event again: the answer it got. The same key with other content: a conflict, kept."""
        record = item.record
        assert record is not None
        if record.digest != earlier.digest:
            refusal = Refusal(Reason.CONFLICT, "id", "this source and id came before with other content: send a new id")
            return self.book.refuse(item, row, arrival, refusal, "conflict")
        refused = Refusal(Reason(earlier.reason), earlier.field, earlier.detail) if earlier.reason else None
        self.book.answer(record.event.type, row, "duplicate", refused, earlier.outcome)

    def _event(self, item: Read, record: Record, said: EventData, row: InboxRow, arrival: int) -> None:
        """Decide an event. What fails in deciding is dead-lettered: it never stops the line."""
        subject = record.event.subject
        case = self.work.cases.get(subject) or Case(id=subject)
        if self.active is None:
            refusal = Refusal(Reason.FAILED, "", "no policy pack is active: run `gridpatrol pack activate DIR`")
            return self.book.refuse(item, row, arrival, refusal)
        rules, register = self._policies(case)
        arrived = decide.IncomingEvent(record, said, arrival, row.body.encode())
        try:
            outcome = decide.take(case, arrived, rules, register, self.work.neighbours(said, subject, register))
        except Exception as error:
            log.exception("record %d.%d failed in deciding", row.partition, row.position)
            return self.book.refuse(item, row, arrival, Refusal(Reason.FAILED, "", f"{type(error).__name__}: {error}"))
        first = outcome.outcomes[0]
        self.book.remember(record, row, arrival, first)
        self.book.answer(record.event.type, row, first.outcome, first.refusal)
        if first.refusal:
            self.book.letter(item, row, arrival, first.refusal)
        self.book.outcome(outcome, arrival, outcome.outcomes[1:], register.clock_of_days)

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
        self.ended = True

    def _lift_quarantine(self, row: InboxRow, arrival: int) -> None:
        """An operator lets a case's clocks run again."""
        case = self.work.cases.get(row.body)
        if case is None:
            self.work.load(slices.read_cases(self.work.connection, [row.body]))
            case = self.work.cases.get(row.body)
        if case is not None and case.quarantined:
            rules, register = self._policies(case)
            lifted = decide.quarantine(case, arrival, rules, register, on=False)
            self.book.outcome(lifted, arrival, (), register.clock_of_days)

"""One partition's turn in a slice: its records in order, and before each what was due before it.

A turn ends early when the slice is full or knows no further due case. It may then leave the clock moved and the
position where it was; the next slice goes on from there.
"""

import logging
from functools import partial
from itertools import takewhile

import msgspec
from msgspec.structs import replace

from engine.errors import LogMismatch
from engine.slice.reads import DecodedRecord, SliceReads
from engine.slice.types import SKIP, UNDECIDABLE, Batch, Limits, firing_name, settled_stamp
from engine.slice.writes import SliceWrites
from engine.store.rows import InboxRow
from schemas import digests
from schemas.envelope import Record
from schemas.events import EventData, ReportSubmitted
from schemas.partition import home_of, partition_of
from schemas.refusals import Reason, Refusal
from workflows import decide
from workflows.case import AWAITED, Case
from workflows.policy.index import Policy

log = logging.getLogger(__name__)


class PartitionRun:
    """One partition's turn. It looks up in `reads`, decides, and enters everything into `writes`.

    `row` is the partition as it will stand after the slice; only this turn moves its clock and position.
    """

    def __init__(
        self, batch: Batch, reads: SliceReads, writes: SliceWrites, limits: Limits, count: int, now: int | None
    ) -> None:
        self.batch = batch
        self.reads = reads
        self.writes = writes
        self.limits = limits
        self.count = count
        self.now = now
        self.row = replace(batch.row, version=batch.row.version + 1)
        self.due = reads.due[self.row.partition]
        self.active = reads.active_policy(self.row)
        self.ended = False  # no further record in this slice

    # ---- the walk through the records -----------------------------------------------------------------------

    def run(self) -> bool:
        """Decide the records in order. Whether all was done."""
        records, until = self.reads.records[self.row.partition], self.batch.until
        stamps = [stamp for record in records for stamp in (record.row.stamp, self._stamp(record.row))]
        last = max([self.row.clock, *stamps, until or 0])
        if self.batch.next_due is not None and self.batch.next_due < last:
            self.due.fetch(last)
        for record in records:
            if self.row.halted or not self._take(record):
                return False
        if until is None or self._is_full():
            return until is None
        # Everything that is due before `until` fires, without a record that arrives then.
        if not self.batch.ticking:
            done = self._fire_before(until)
            self.row.clock = max(self.row.clock, until)
            return done
        while (at := self._next_tick(until)) is not None:
            if not self._tick(at):
                return False
        return not self.due.beyond(until)

    def _take(self, record: DecodedRecord) -> bool:
        """Fire what is due before a record, then decide the record itself. False: the turn ends before it."""
        row, ticking = record.row, self.batch.ticking
        if not ticking and row.position != self.row.position:
            raise LogMismatch(f"record {row.partition}.{row.position} is not the next one, {self.row.position} is")
        if self.now is not None and self._is_ahead(row, self.now):
            # Stand still, and say how many records at hand are to be settled with this one.
            later = (each.row for each in self.reads.records[self.row.partition] if each.row.position >= row.position)
            *_, last = takewhile(partial(self._is_ahead, now=self.now), later)
            more = f", and so are those through {last.position}" if last is not row else ""
            lead_ms = row.stamp - self.now
            name = f"record {row.partition}.{row.position}"
            self.row.halted = f"{name} is stamped {lead_ms} ms ahead of this worker's clock{more}"
            return False
        arrival = max(self._stamp(row), self.row.clock)
        if ticking:  # in silent gaps a tick at due + 1 ms releases each firing, as an attentive owner would
            while (at := self._next_tick(arrival)) is not None and at < arrival:
                if not self._tick(at):
                    return False
            if at is None and self.due.beyond(arrival):
                return False  # without moving the clock: a case that was not fetched may want a tick of its own
        if not self._fire_before(arrival) or self._is_full():
            return False
        if ticking:  # in a replay of events a record gets its place in the log here
            record = replace(record, row=replace(row, position=self.row.position, stamp=arrival))
            self.writes.appended.append(record.row)
        self.row.clock = arrival
        self._decide(record, arrival)
        self.row.position += 1
        self.writes.taken[row.partition] = self.writes.taken.get(row.partition, 0) + 1
        return True

    def _is_full(self) -> bool:
        """Whether the turn has made as many steps as it may, or ends for another reason."""
        return self.ended or self.row.n - self.batch.row.n >= self.limits.steps

    def _verdict(self, position: int) -> list[str]:
        return self.reads.verdict(self.row.partition, position)

    def _stamp(self, row: InboxRow) -> int:
        """The stamp that counts for a record."""
        return settled_stamp(row.stamp, self._verdict(self.row.position if self.batch.ticking else row.position))

    def _is_ahead(self, row: InboxRow, now: int) -> bool:
        """Whether a record has a stamp of a clock that is wrong: too far ahead of ours, and not settled."""
        return row.stamp > now + self.limits.ahead_ms and not self._verdict(row.position)

    # ---- what is due ----------------------------------------------------------------------------------------

    def _fire_before(self, arrival: int) -> bool:
        """Fire everything due before an arrival. False when the slice is full or knows no further due case."""
        while (due := self.due.next()) is not None and due < arrival:
            if self._is_full() or not self.due.known():
                self.row.clock = max(self.row.clock, arrival)
                return False
            self._fire(self.due.pop(), due, arrival)
        if self.due.beyond(arrival):
            self.row.clock = max(self.row.clock, arrival)
            return False
        return True

    def _fire(self, id_: str, due: int, arrival: int) -> None:
        """One firing of one case, dated at its due instant; one that fails stands the case's clocks still, visibly."""
        case = self.reads.cases[id_]
        rules, register = self._policies(case)
        self.writes.counts.lateness.append(arrival - due)
        fire = decide.recalculate if id_ in self.reads.recalculate else decide.fire
        self.reads.recalculate.discard(id_)
        failed = ""
        if firing_name(case) in self.reads.unstorable:
            failed = "the database refuses it"
        else:
            try:
                result = fire(case, due + 1, rules, register)
            except Exception as error:
                log.exception("firing of case %s at %d failed", id_, due)
                failed = f"{type(error).__name__}: {error}"
        if failed:
            log.error("case %s: its clocks stand still from %d until it is released: %s", id_, due, failed)
            result = decide.quarantine(case, due, rules, register, detail=failed)
            self.writes.bury_firing(self.row, case, arrival, failed)
        self.writes.book(self.row, result, arrival, result.outcomes, register.clock_of_days)

    def _policies(self, case: Case) -> tuple[Policy, Policy]:
        """The rules pinned to a case, and the active register."""
        if self.active is None:
            raise LookupError("no pack is active in this partition")
        return self.reads.policy(case.policy) if case.policy else self.active, self.active

    # ---- ticks of a replay ----------------------------------------------------------------------------------

    def _next_tick(self, before: int) -> int | None:
        """When an owner would tick next for what is due before an instant; None if this slice knows of nothing."""
        due = self.due.next()
        if due is None or due >= before or not self.due.known():
            return None
        return max(due + 1, self.row.clock)

    def _tick(self, at: int) -> bool:
        """Fire what is due before an instant, and append the tick that released it; what is left gets another."""
        before = self.row.n
        done = self._fire_before(at)
        if self.row.n > before:
            self.writes.appended.append(InboxRow(self.row.partition, self.row.position, at, "tick", "owner", ""))
            self.row.clock = at
            self.row.position += 1
        return done

    # ---- one record -----------------------------------------------------------------------------------------

    def _decide(self, record: DecodedRecord, arrival: int) -> None:
        """Decide a record by its kind. A tick has done its work by arriving."""
        kind = record.row.kind
        if kind == "tick":
            return
        if passed := [word for word in self._verdict(record.row.position) if word in (SKIP, UNDECIDABLE)]:
            return self.writes.refuse(record, arrival, Refusal(Reason.FAILED, "", f"settled: {passed[0]}"))
        if kind == "pack":
            return self._activate(record.row.body, arrival)
        if kind == "release":
            case = self.reads.find_case(record.row.body)
            if case is not None and case.quarantined:  # an operator lets its clocks run again
                rules, register = self._policies(case)
                lifted = decide.quarantine(case, arrival, rules, register, on=False)
                self.writes.book(self.row, lifted, arrival, (), register.clock_of_days)
            return
        body, data, refusal = record.body, record.data, record.refusal
        if refusal is None and body is not None:  # subject, key and partition must agree
            home = home_of(body.event.subject)
            if body.event.partitionkey not in (None, home):
                refusal = Refusal(Reason.MISROUTED, "partitionkey", "must be the home of the subject")
            elif partition_of(home, self.count) != self.row.partition:
                refusal = Refusal(Reason.MISROUTED, "subject", "its home belongs to another partition")
        if refusal or body is None or data is None:
            return self.writes.refuse(record, arrival, refusal or Refusal(Reason.UNDECODABLE, "", "no event"))
        if not self._repeat(record, body, arrival):
            self._take_event(record, body, data, arrival)

    def _repeat(self, record: DecodedRecord, body: Record, arrival: int) -> bool:
        """Answer an event that came before within the pack's window; False: it did not.

        It gets the answer of the first arrival. The same key with another meaning is a conflict, and kept. A replayed
        dead letter is decided anew.
        """
        first = self.reads.find_seen(self.row.partition, body)
        window = self.active.options.duplicate_window_ms if self.active else 0
        if first is None or arrival - first.arrival > window or (body.letter and first.outcome == "refused"):
            return False
        sent = digests.all_of(body)
        if set(sent).isdisjoint(first.digest.split()):
            other = "this source and id came before from this actor with another meaning: send a new id"
            self.writes.refuse(record, arrival, Refusal(Reason.CONFLICT, "id", other), "conflict")
        else:
            self.writes.complete(first, sent)
            refused = Refusal(Reason(first.reason), first.field, first.detail) if first.reason else None
            self.writes.answer(record, "duplicate", refused, first.outcome, self.reads.cases.get(first.case_id))
        return True

    def _take_event(self, record: DecodedRecord, body: Record, data: EventData, arrival: int) -> None:
        """Decide an event. One that fails in deciding becomes a dead letter: it never stops the line."""
        subject = body.event.subject
        case = self.reads.cases.get(subject) or Case(id=subject)
        if self.active is None:
            refusal = Refusal(Reason.FAILED, "", "no policy pack is active: run `gridpatrol pack activate DIR`")
            return self.writes.refuse(record, arrival, refusal)
        rules, register = self._policies(case)
        incoming = decide.IncomingEvent(body, data, arrival, record.row.body.encode())
        try:
            nearby = self.reads.neighbours(data, subject, register)
            # Only an event that would begin the waiting of an unborn case asks how many there are.
            begins = case.state == AWAITED and not case.parked and not isinstance(data, ReportSubmitted)
            unborn = self.reads.unborn(home_of(subject)) if begins and body.digests else 0
            result = decide.take(case, incoming, rules, register, nearby, unborn)
        except Exception as error:
            log.exception("record %d.%d failed in deciding", record.row.partition, record.row.position)
            failed = Refusal(Reason.FAILED, "", f"{type(error).__name__}: {error}")
            return self.writes.refuse(record, arrival, failed)
        own, *parked = result.outcomes
        self.writes.remember(record, arrival, own)
        self.writes.answer(record, own.outcome, own.refusal, case=result.case)
        if own.refusal:
            self.writes.bury(record, arrival, own.refusal)
        self.writes.book(self.row, result, arrival, parked, register.clock_of_days)

    # ---- activation -----------------------------------------------------------------------------------------

    def _activate(self, digest: str, arrival: int) -> None:
        """A pack becomes active, and the slice ends: what it read was chosen under the pack before.

        Cases to be looked at again come up just before the activation, so before any record after it.
        """
        self.active = self.reads.policy(digest)
        activations: list[list[object]] = msgspec.json.decode(self.row.packs)
        move = self.active.options.deadlines_move
        if activations and move != "never":
            self.writes.recalculations.append((self.row.partition, arrival - 1, move == "provisional"))
        self.row.packs = msgspec.json.encode([*activations, [digest, arrival]]).decode()
        self.ended = True

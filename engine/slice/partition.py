"""One partition's turn in a slice: its records in order, and before each what was due before it.

A turn ends early when the slice is full or knows no further due case. It may then leave the clock moved and the
position where it was; the next slice goes on from there.
"""

import logging
from functools import partial
from itertools import takewhile

import msgspec
from msgspec.structs import replace

from engine import failures
from engine.errors import LogMismatch
from engine.principals import OURS
from engine.slice import archiving, entering, timeline
from engine.slice.coming_up import active_since, newly_ending
from engine.slice.decisions import Decisions, HomeCases
from engine.slice.reads import DecodedRecord, SliceReads, find_seen, heard_key
from engine.slice.types import FROM_EVER_MS, SKIP, UNDECIDABLE, Batch, Limits, news_in, settled_stamp
from engine.slice.writes import SliceWrites, turn_of_record
from engine.store.rows import ArrivalsRow, InboxRow, WaitingRow
from schemas import digests
from schemas.envelope import Record
from schemas.partition import home_of, partition_of
from schemas.refusals import Reason, Refusal
from workflows.definitions import comes_up, is_home
from workflows.policy.index import Policy
from workflows.turn import Sent

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
        writes.begin(self.row)
        others = HomeCases(reads, self.row, limits.sends)
        self.decisions = Decisions(reads, writes, self.row, reads.active_policy(self.row), others)
        self.points: list[tuple[int, int]] = []  # (position, arrival) where the arrival changed
        self.ended = False  # no further record in this slice

    # ---- the walk through the records -----------------------------------------------------------------------

    @property
    def last(self) -> int:
        """The last instant that the turn may come to: of its records, or up to which what is due fires."""
        records = self.reads.records[self.row.partition]
        stamps = [stamp for record in records for stamp in (record.row.stamp, self._stamp(record.row))]
        return max([self.row.clock, *stamps, self.batch.until or 0])

    @property
    def comes_up(self) -> bool:
        """Whether something may be due before that instant."""
        return self.batch.next_due is not None and self.batch.next_due < self.last

    def run(self) -> bool:
        """Decide the records in order. Whether all was done."""
        done = self.walk()
        if self.row.standing and self.points:
            body = timeline.packed(self.points)
            self.writes.arrivals.append(ArrivalsRow(self.row.partition, self.points[0][0], body))
        return done

    def walk(self) -> bool:
        """The same, without a note of the arrivals for cases that stand."""
        until = self.batch.until
        for record in self.reads.records[self.row.partition]:
            if self.row.halted or self.ended or not self._take(record):
                return False
            self.writes.taken[self.row.partition] = self.writes.taken.get(self.row.partition, 0) + 1
        if until is None or self._is_full():
            return until is None
        # Everything that is due before `until` fires, without a record that arrives then.
        if not self.batch.ticking:
            entering.note_silence(self.row, until, self.decisions.active, self.count)
            done = self._fire_before(until)
            self.row.clock = max(self.row.clock, until)
            return done
        if (news := self.news_before(until)) is not None:
            self._take(news)
            return False
        while (at := self._next_tick(until)) is not None:
            if not self._tick(at):
                return False
        return not self.due.beyond(until)

    def news_before(self, arrival: int) -> DecodedRecord | None:
        """In a replay of events: the activation that the owner would have appended when the active pack came to know
        more days, if that lies between the partition's clock and an arrival. Before the first record nothing is
        news."""
        active = self.decisions.active
        if not self.batch.ticking or active is None or not active.news or self.row.clock <= FROM_EVER_MS:
            return None
        activated = entering.activations_of(self.row)[-1][1]
        at = news_in(active.news, activated, self.row.clock, arrival)
        return None if at is None else DecodedRecord(InboxRow(self.row.partition, 0, at, "pack", "owner", active.hash))

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
        own = row.kind == "pack" and row.principal == "owner"  # such an activation itself
        news = None if own else self.news_before(arrival - (row.kind == "pack"))
        if news is not None:
            self._take(news)
            return False
        if ticking:  # in silent gaps a tick at due + 1 ms releases each firing, as an attentive owner would
            while (at := self._next_tick(arrival)) is not None and at < arrival:
                if not self._tick(at):
                    return False
            if at is None and self.due.beyond(arrival):
                return False  # without moving the clock: a case that was not fetched may want a tick of its own
        entering.note_silence(self.row, arrival, self.decisions.active, self.count)
        if not self._fire_before(arrival) or self._is_full():
            return False
        if ticking:  # in a replay of events a record gets its place in the log here
            record = replace(record, row=replace(row, position=self.row.position, stamp=arrival))
            self.writes.appended.append(record.row)
        self.row.clock = arrival
        self._decide(record, arrival)
        self._pass(arrival)
        return True

    def _is_full(self) -> bool:
        """Whether the turn has made as many steps as it may, or ends for another reason."""
        return self.ended or bool(self.row.halted) or self.row.n - self.batch.row.n >= self.limits.steps

    def _pass(self, arrival: int) -> None:
        """The record at the position is done."""
        if not self.points or self.points[-1][1] != arrival:
            self.points.append((self.row.position, arrival))
        self.row.clock = arrival
        self.row.position += 1

    def _verdict(self, position: int) -> list[str]:
        return self.reads.verdict(self.row.partition, position)

    def _stamp(self, row: InboxRow) -> int:
        """The stamp that counts for a record."""
        if not self.reads.settlements:
            return row.stamp
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
        """One firing of one case, dated at its due instant. A case whose rule fails stands from here on."""
        case = self.reads.cases.get(id_)
        if case is None or due in (comes_up(case), case.next_at):
            self.writes.counts.lateness.append(arrival - (due if case is None else case.known_due(due)))
        try:
            self.decisions.fire(id_, due, arrival)
        except Exception as error:
            if is_home(id_):
                return self._halt(error)
            self.decisions.stand(id_, error, arrival, case.by if case is not None else "")

    def _halt(self, error: Exception) -> None:
        """A rule has failed on a home. What is born by time and what is told of it would lie still unseen, so the whole
        partition does, and nothing of the firing counts."""
        if not failures.is_defect(error):
            raise error
        self.row.halted = f"{failures.HALTED}{failures.named(error)}"
        log.error("partition.halts", extra={"partition": self.row.partition}, exc_info=error)

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
        entering.note_silence(self.row, at, self.decisions.active, self.count)
        done = self._fire_before(at)
        if self.row.n > before:
            self.writes.appended.append(InboxRow(self.row.partition, self.row.position, at, "tick", "owner", ""))
            self._pass(at)
        return done

    # ---- one record -----------------------------------------------------------------------------------------

    def _decide(self, record: DecodedRecord, arrival: int) -> None:
        """Decide a record by its kind. A tick has done its work by arriving."""
        kind = record.row.kind
        if kind == "tick":
            return
        if record.sent is not None:
            if heard_key(record.sent) in self.reads.heard:  # it is taken once, whenever it comes again
                return self.writes.answer_replay(record, "duplicate")
            self.writes.remember_heard(record.sent, record.row)
        if passed := [word for word in self._verdict(record.row.position) if word in (SKIP, UNDECIDABLE)]:
            return self.writes.refuse(record, arrival, Refusal(Reason.FAILED, "", f"settled: {passed[0]}"))
        if kind == "pack":
            return self._activate(record.row.body, arrival)
        if kind == "archive":
            return self._archive(record, arrival)
        if kind == "release":
            return self._decide_of(record.row.body, record, arrival)
        if record.sent is not None:
            return self._hear(record.sent, record, arrival)
        body, refusal = record.body, record.refusal
        if refusal is None and body is not None:  # subject, key and partition must agree
            home = home_of(body.event.subject)
            if body.event.partitionkey not in (None, home):
                refusal = Refusal(Reason.MISROUTED, "partitionkey", "must be the home of the subject")
            elif partition_of(home, self.count) != self.row.partition:
                refusal = Refusal(Reason.MISROUTED, "subject", "its home belongs to another partition")
        if refusal or body is None or (record.data is None and record.failure is None):
            return self.writes.refuse(record, arrival, refusal or Refusal(Reason.UNDECODABLE, "", "no event"))
        if self._repeat(record, body, arrival):
            return
        if self.decisions.active is None:
            refusal = Refusal(Reason.FAILED, "", "no policy pack is active: run `gridpatrol pack activate DIR`")
            return self.writes.refuse(record, arrival, refusal)
        self._decide_of(body.event.subject, record, arrival)

    def _hear(self, sent: Sent, record: DecodedRecord, arrival: int) -> None:
        """Let a case hear what one of another home says."""
        id_, refusal = sent.send.to, None
        if partition_of(home_of(id_), self.count) != self.row.partition:
            refusal = Refusal(Reason.MISROUTED, "subject", "its home belongs to another partition")
        elif self.decisions.active is None:
            refusal = Refusal(Reason.FAILED, "", "no policy pack is active: run `gridpatrol pack activate DIR`")
        else:
            refusal = self.decisions.refused_as_archived(id_, "", record.row.position)
            if refusal is None and not sent.send.bears and not self.reads.is_there(id_):
                refusal = Refusal(Reason.IMPOSSIBLE, "subject", "no case of this id was ever there")
            if refusal is not None:
                self.writes.answer_for_none(sent, self.row, refusal, arrival)
        if refusal is not None:
            return self.writes.refuse(record, arrival, refusal)
        self._decide_of(id_, record, arrival)

    def _decide_of(self, id_: str, record: DecodedRecord, arrival: int) -> None:
        """Decide a record of a case, and before it what was due of the case. Where the case stands, or a rule fails on
        it now, the record waits."""
        while (due := self.decisions.pressing(id_, arrival)) is not None:
            self._fire(id_, due, arrival)
        if id_ not in self.reads.standing:
            try:
                if record.row.kind == "release":
                    return self.decisions.release(id_, arrival)
                if record.sent is not None:
                    near = self.reads.neighbours(record, self.decisions.active)
                    self.decisions.hear(replace(record.sent, arrival=arrival), arrival, voice_of(record), near)
                    return self.writes.answer_replay(record, "done")
                return self.decisions.take(record, arrival, voice_of(record))
            except Exception as error:
                self.decisions.stand(id_, error, arrival, voice_of(record))
        nearby = self.reads.names_nearby(record, self.decisions.active)
        self.writes.wait(record, id_, arrival, self.row.n, nearby)

    def _repeat(self, record: DecodedRecord, body: Record, arrival: int) -> bool:
        """Answer an event that came before within the pack's window; False: it did not.

        It gets the answer of the first arrival. The same key with another meaning is a conflict, and kept. A replayed
        dead letter is decided anew, and so is what was refused for want of room: there may be some now.
        """
        first = find_seen(self.reads.seen, record)
        active = self.decisions.active
        window = active.options.duplicate_window_ms if active else 0
        before = archiving.before_of(self.row, self.row.position)
        while first is not None and first.arrival < before and self.reads.is_archived(first.case_id, before):
            del self.reads.seen[first.key]  # it may leave with its case
            first = find_seen(self.reads.seen, record)
        if first is None or arrival - first.arrival > window or (body.letter and first.outcome == "refused"):
            return False
        sent = digests.all_of(body)
        if set(sent).isdisjoint(first.digest.split()):
            other = "this source and id came before from this actor with another meaning: send a new id"
            self.writes.refuse(record, arrival, Refusal(Reason.CONFLICT, "id", other), "conflict")
        elif first.reason == Reason.OVER_LIMIT and body.digests:
            return False
        else:
            self.writes.complete(first, sent)
            refused = Refusal(Reason(first.reason), first.field, first.detail) if first.reason else None
            case = self.reads.cases.get(first.case_id)
            self.writes.answer(record, "duplicate", refused, first.outcome, case, active)
        return True

    def _archive(self, record: DecodedRecord, arrival: int) -> None:
        """What had ended before an instant is archived. The slice ends: what follows is read anew."""
        active = self.decisions.active
        try:
            archiving.note(
                self.row, record.row.body, arrival, active.options.duplicate_window_ms if active is not None else 0
            )
        except msgspec.DecodeError:
            self.writes.refuse(record, arrival, Refusal(Reason.UNDECODABLE, "", "no instant to archive before"))
        self.ended = True

    # ---- activation -----------------------------------------------------------------------------------------

    def _activate(self, digest: str, arrival: int) -> None:
        """A pack becomes active, and the slice ends: what it read was chosen under the pack before.

        Cases to be looked at again come up just before the activation, so before any record after it.
        """
        self.decisions.active = active = self.reads.policy(digest)
        activations: list[list[object]] = msgspec.json.decode(self.row.packs)
        move = active.options.deadlines_move
        if activations and move != "never":
            self.writes.recalculations.append((self.row.partition, arrival - 1, move == "provisional"))
        before = self.reads.policy(str(activations[-1][0])) if activations else None
        self.row.packs = msgspec.json.encode([*activations, [digest, arrival]]).decode()
        self.decisions.since = active_since(entering.activations_of(self.row), digest)
        for at, grids in newly_ending(before, active, arrival).items():
            self.writes.successions.append((self.row.partition, at, grids))
        self._enter_homes(active, arrival - 1)
        if self.row.standing:
            place = (self.row.partition, self.row.position, turn_of_record(self.row.n))
            self.writes.waiting.append(WaitingRow(*place, "", arrival, "pack", "", digest))
        self.ended = True

    def _enter_homes(self, active: Policy, at: int) -> None:
        """Let the homes of the partition come up: those in which something is owed, or a list has changed, and those
        that are there already.

        Where neither this pack nor the one before lets time bear anything, and no list is another one, nothing is read
        and nothing is written.
        """
        last_two = [self.reads.policy(digest) for digest, _ in entering.activations_of(self.row)[-2:]]
        asked = entering.asked_anew(self.row, last_two[0], last_two[-1], self.count)
        ids = sorted({*entering.subjects_of(self.row, last_two, self.count), *asked})
        if not ids:
            return
        owing = {*entering.subjects_of(self.row, [active], self.count), *asked}
        found = list[entering.Entering]()
        self.reads.fetch(ids, standing_too=False)
        for id_ in ids:
            case, due = self.reads.cases.get(id_), self.reads.due_at.get(id_)
            new = case is None and id_ not in self.reads.broken
            if (id_ in owing if new else case is not None and not case.quarantined) and (due is None or due > at):
                found.append(entering.Entering(id_, at, new))
        if found:
            self.writes.entering[self.row.partition] = found


def voice_of(record: DecodedRecord) -> str:
    """Who has spoken: the principal, or the actor where the engine's own principals speak for all; of what a case of
    another home says the post whose move it follows from."""
    if record.sent is not None:
        return record.sent.mover or record.sent.cause.source
    principal = record.row.principal
    return record.body.event.actor if record.body is not None and principal in OURS else principal

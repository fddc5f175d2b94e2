"""Another try of a case that stands: what waits is decided as if it had not waited, in one transaction.

The records of the case are decided at their own arrivals, under the pack that was active then. Before each, what was
due before it fires, released by the record that would have released it. So the facts of the case are those of a log
that was decided without the defect, and only their numbers are later ones.

A try goes as far as it can. Where the rule fails again, or a slice is full, the case stands on from there.
"""

import logging
from collections.abc import Sequence

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from engine import failpoints, failures
from engine.policies import Policies
from engine.slice.coming_up import active_since, row_due
from engine.slice.decisions import Decisions, HomeCases
from engine.slice.entering import activations_of
from engine.slice.reads import DecodedRecord, DueCases, SliceReads, decode_row
from engine.slice.timeline import Timeline
from engine.slice.types import SKIP, UNDECIDABLE, Limits, SliceResult, TriedOut, firing_name
from engine.slice.writes import SliceWrites
from engine.store import slices, standing
from engine.store.database import Connection, Database
from engine.store.rows import InboxRow, PartitionRow, SettlementRow, StandingRow, WaitingRow
from schemas.refusals import Reason, Refusal
from workflows.case import Case
from workflows.turn import decode_sent

log = logging.getLogger(__name__)


class WaitingRecord(Struct):
    """What waits: a record, decoded, or what another case has said. `nearby`: cases that a report is compared with;
    None: those that are there now."""

    row: WaitingRow
    record: DecodedRecord
    nearby: list[str] | None


class CaseRun:
    """One case's way through what waits for it. `position`: up to where in the log it has come."""

    def __init__(self, row: StandingRow, reads: SliceReads, decisions: Decisions, timeline: Timeline) -> None:
        self.stands = row
        self.reads = reads
        self.decisions = decisions
        self.timeline = timeline
        self.position = row.position
        self.decided: list[WaitingRow] = []
        self.trying = ""  # how isolation would name what is being decided, with the position of its record

    def run(self, waiting: Sequence[WaitingRecord], steps: int) -> bool:
        """Decide what waits, up to so many steps. Whether all of it was decided; what a rule raises comes out."""
        id_, left, row = self.stands.case_id, list(reversed(waiting)), self.decisions.row
        last = row.n + steps
        while row.n < last:
            due = self.reads.due_at.get(id_)
            at = self.timeline.releasing(due, self.position) if due is not None else None
            if due is not None and at is not None and (not left or self.comes_first(due, at, left[-1].row)):
                self.position = at
                self.trying = self.firing()
                self.decisions.fire(id_, due, self.timeline.arrival(at))
            elif left and (pressing := self.pressing(left[-1].row)) is not None:
                self.position = left[-1].row.position
                self.trying = self.firing()
                self.decisions.fire(id_, pressing, left[-1].row.arrival)
            elif left:
                self.decide(left.pop())
            else:
                return True
        return False

    def pressing(self, row: WaitingRow) -> int | None:
        """When something was due that comes before the record which waits next, within a spread; None: nothing."""
        return self.decisions.pressing(row.case_id, row.arrival) if row.kind in ("event", "release", "sent") else None

    def comes_first(self, due: int, at: int, row: WaitingRow) -> bool:
        """Whether a firing, which the record at a position has released, comes before what waits next.

        A firing before the same record may have said that: then the earlier one comes first, by the ids of both cases
        where they were due at one instant.
        """
        if at != row.position or row.kind != "send":
            return at <= row.position
        sent = decode_sent(row.body)
        return due < sent.arrival or (due == sent.arrival < row.arrival and self.stands.case_id < sent.cause.source)

    def firing(self) -> str:
        """The name of the next firing, or of the step that the case takes by what another one says."""
        id_ = self.stands.case_id
        return firing_name(self.reads.cases.get(id_) or Case(id=id_))

    def decide(self, item: WaitingRecord) -> None:
        """Decide one thing that waits, or activate a pack."""
        row, voice = item.row, self.stands.voice
        self.position = row.position
        if row.kind == "send":
            self.trying = self.firing()
            self.decisions.hear(decode_sent(row.body), row.arrival, voice)
        else:
            self.trying = UNDECIDABLE
            self.decide_record(item, voice)
            self.position += 1
        self.decided.append(row)

    def decide_record(self, item: WaitingRecord, voice: str) -> None:
        """Decide one record that waits, or activate a pack."""
        row, id_ = item.row, self.stands.case_id
        if row.kind == "pack":
            return self.activate(row.body, row.arrival)
        passed = [word for word in self.reads.verdict(row.partition, row.position) if word in (SKIP, UNDECIDABLE)]
        if passed:
            refusal = Refusal(Reason.FAILED, "", f"settled: {passed[0]}")
            return self.decisions.writes.refuse(item.record, row.arrival, refusal)
        if row.kind == "release":
            return self.decisions.release(id_, row.arrival)
        nearby = item.nearby
        near = None if nearby is None else tuple(self.reads.cases[i] for i in nearby if i in self.reads.cases)
        if (sent := item.record.sent) is not None:
            return self.decisions.hear(replace(sent, arrival=row.arrival), row.arrival, voice, near or ())
        self.decisions.take(item.record, row.arrival, voice, near)

    def activate(self, digest: str, arrival: int) -> None:
        """A pack becomes active, and the case comes up to be looked at under it as `await_recalculation` says."""
        id_ = self.stands.case_id
        self.decisions.active = active = self.reads.policy(digest)
        self.decisions.since = active_since(activations_of(self.decisions.row), digest, arrival)
        case, at, due = self.reads.case(id_), arrival - 1, self.reads.due_at.get(id_)
        if case is None or case.closed is not None or (due is not None and due <= at):
            return
        due = self.reads.due_at[id_] = row_due(case, active, self.decisions.since)
        provisional = any(clock.provisional for clock in case.clocks)
        moves = {"never": False, "provisional": provisional}.get(active.options.deadlines_move, case.due_at is not None)
        if moves:
            self.reads.due_at[id_] = self.reads.beside[id_] = at


class Refused(Exception):
    """The database refuses what a try has decided. A word more in the verdict of `settlement` lets the next try pass
    it: `trying`, unless it is what another case would hear."""

    def __init__(self, settlement: SettlementRow, trying: str) -> None:
        super().__init__(trying)
        self.settlement = settlement
        self.trying = trying


def try_again(
    database: Database,
    row: PartitionRow,
    case_id: str,
    policies: Policies,
    settlements: dict[tuple[int, int], str],
    limits: Limits,
) -> tuple[SliceResult | None, bool]:
    """One more try of a case, in one transaction, and whether it has more to do: the limit of steps was reached.

    None where the case stands no more. Refused where the database does not take what was decided, with `limits` of one
    step.
    """
    with database.begin() as connection:
        slices.lock_partitions(connection, [row])
        stands = standing.read(connection, case_id)
        if stands is None:
            return None, False
        moved = replace(row, version=row.version + 1)
        rows = standing.read_waiting(connection, stands, limits.records + 1)
        left = rows.pop() if len(rows) > limits.records else None  # what waits beyond this slice
        further = left.position if left is not None else row.position
        reads, waiting = read(connection, stands, rows, policies, settlements, archiving=row.archives != "")
        writes = SliceWrites(reads)
        writes.begin(moved)
        # What it says now is heard now by cases that have not stood.
        others = HomeCases(reads, moved, limits.sends, late=row.clock)
        decisions = Decisions(reads, writes, moved, reads.policy(stands.pack) if stands.pack else None, others)
        decisions.since = active_since(activations_of(moved), stands.pack)
        found = standing.read_arrivals(connection, row.partition, stands.position)
        case_run = CaseRun(stands, reads, decisions, Timeline(found, further))
        ended, error = False, None
        try:
            ended = case_run.run(waiting, limits.steps) and left is None
        except Exception as raised:
            if not failures.is_defect(raised):
                raise
            error = raised
        try:
            write(connection, stands, case_run, ended, error)
            failpoints.hit("slice.before_commit")
        except Exception as refused:
            tried = limits.steps > 1 or limits.sends is not None
            if tried or not failures.is_permanent(refused) or not case_run.trying:
                raise
            place = (row.partition, case_run.position - (case_run.trying == UNDECIDABLE))
            words = settlements.get(place, "").split()
            raise Refused(SettlementRow(*place, " ".join(words), failures.named(refused)), case_run.trying) from refused
        if limits.sends is not None:
            raise TriedOut(reads.left_out)
        due = slices.read_next_due(connection, [row.partition])
    counts = writes.counts
    result = SliceResult(
        [moved], writes.steps, {}, writes.answers, writes.released, [], counts, due, ended, writes.outgoing
    )
    return result, not ended and error is None


def read(
    connection: Connection,
    stands: StandingRow,
    rows: Sequence[WaitingRow],
    policies: Policies,
    settlements: dict[tuple[int, int], str],
    *,
    archiving: bool,
) -> tuple[SliceReads, list[WaitingRecord]]:
    """The case with what is hidden of it, its neighbours, and the records that wait. `archiving`: something is archived
    in the partition."""
    reads, id_ = SliceReads(connection, policies, settlements, 0), stands.case_id
    reads.archiving = archiving
    reads.due[stands.partition] = DueCases(reads.due_at)
    reads.load((id_, stands.next_at, body) for id_, _, body in slices.read_cases(connection, [id_]))
    reads.fetch([id_], standing_too=False)  # in its own try it does not stand
    waiting = []
    for row in rows:
        record = InboxRow(row.partition, row.position, row.arrival, row.kind, row.principal, row.body)
        nearby = msgspec.json.decode(row.nearby, type=list[str]) if row.nearby else None
        waiting.append(WaitingRecord(row, decode_row(record), nearby))
    reads.read_seen({key for each in waiting for key in each.record.keys or ()})
    reads.fetch({name for each in waiting for name in each.nearby or ()}, standing_too=True)
    unknown = [each.record for each in waiting if each.nearby is None]
    reads.read_neighbours(unknown, reads.policy(stands.pack) if stands.pack else None)
    return reads, waiting


def write(connection: Connection, stands: StandingRow, case_run: CaseRun, ended: bool, error: Exception | None) -> None:
    """What was decided, and how the case stands on, if it does."""
    row, reads, writes = case_run.decisions.row, case_run.reads, case_run.decisions.writes
    row.standing -= ended
    writes.write([row])
    if writes.steps or case_run.decided:
        standing.note_late_steps(connection)
    due = reads.due_at.get(stands.case_id)
    extra = {"case": stands.case_id, "partition": stands.partition}
    if ended:
        log.warning("case.goes_on", extra=extra)
        standing.set_next_at(connection, stands.case_id, due)
        return standing.go_on(connection, stands)
    active = case_run.decisions.active
    on = replace(stands, position=case_run.position, next_at=due, pack=active.hash if active else "")
    if error is not None:
        on.place, on.kind = failures.place(error), type(error).__name__
        on.tries, on.asked = on.tries + 1, False
        log.error("case.stands", extra=extra | {"position": on.position, "place": on.place}, exc_info=error)
    standing.write(connection, [on], (), ())
    standing.forget(connection, [item for item in case_run.decided if item.case_id])

"""What one slice will write: rows by table, gathered in memory, and the answers for those who wait.

`PartitionRun` enters outcomes, refusals and answers here. A case or a seen event that is entered is also what the rest
of the slice sees (`SliceReads`). The database gets everything in `write`, each table once.
"""

from collections.abc import Mapping, Sequence

from engine.slice.as_rows import case_row, parked_letter, shared_rows, step_row
from engine.slice.entering import Entering
from engine.slice.open_counts import changes
from engine.slice.reads import DecodedRecord, SliceReads, find_seen, heard_key
from engine.slice.types import PENDING, Answer, Batch, Released, SliceCounts, old_key_of
from engine.store import dead_letters, inbox_table, open_counts, sends, sent_files, slices, standing, writes
from engine.store.dead_letters import DeadLetter, dead_letter
from engine.store.rows import (
    OUTCOMES_A_VERSION,
    ArrivalsRow,
    CaseRow,
    HeardRow,
    InboxRow,
    OutgoingRow,
    PartitionRow,
    ReferenceRow,
    SealedRow,
    SeenKey,
    SeenRow,
    SharedWorkRow,
    StandingRow,
    StepRow,
    WaitingRow,
)
from schemas import digests, facts
from schemas.derived_ids import HOME
from schemas.envelope import Record
from schemas.events import files_of
from schemas.members import EventData
from schemas.partition import home_of
from schemas.refusals import Reason, Refusal
from schemas.unserved import UNSERVED
from workflows import decide, parking
from workflows.case import Case
from workflows.clocks.calendar import Calendar
from workflows.definitions import is_spoken_to
from workflows.policy.index import Policy
from workflows.succession import GO_ON
from workflows.turn import MOST_SENDS, SENT, EventOutcome, Result, Sent, answered_by_none, encode_sent

ANSWERED_BY_NONE = -(1 << 62)
"""What is said for a case that takes no step has no number of one: it is told apart and put in order by its record."""
TURNS = 2 * MOST_SENDS
"""More than one turn says to cases that stand: room in the order of what waits."""


class SliceWrites:
    """The rows and answers of one slice, over all its partitions."""

    def __init__(self, reads: SliceReads) -> None:
        self.reads = reads
        self.appended: list[InboxRow] = []  # what enters the log in this slice
        self.sealed: list[SealedRow] = []  # and what is sealed of it
        self.steps: list[StepRow] = []
        self.cases: dict[str, CaseRow] = {}
        self.before: dict[str, Case | None] = {}  # the cases that changed, as they were when the slice began
        self.seen: dict[SeenKey, SeenRow] = {}
        # As slices.update_seen takes them.
        self.seen_later: list[tuple[str, str, str, str, int, int, int, str, str, str, str, str]] = []
        self.decided: dict[int, int] = {}  # the number of the last outcome, by partition
        self.letters: list[DeadLetter] = []
        self.standing: dict[str, StandingRow] = {}  # cases that begin to stand
        self.waiting: list[WaitingRow] = []  # what comes for cases that stand
        self.arrivals: list[ArrivalsRow] = []  # of partitions in which a case stands
        self.recalculations: list[tuple[int, int, bool]] = []  # as slices.await_recalculation takes them
        self.successions: list[tuple[int, int, list[str]]] = []  # as slices.await_succession takes them
        self.entering: dict[int, list[Entering]] = {}  # homes, by partition
        self.outgoing: list[OutgoingRow] = []  # what is said to cases of other homes
        self.heard: list[HeardRow] = []  # and what was heard from there
        self.references: dict[tuple[str, str, str], ReferenceRow] = {}  # cases that refer to files
        self.taken: dict[int, int] = {}  # records decided, by partition
        self.answers: list[Answer] = []
        self.released: list[Released] = []
        self.counts = SliceCounts({}, {}, [])

    def write(self, moved: Sequence[PartitionRow]) -> None:
        """Each table once."""
        connection = self.reads.connection
        homes = [(partition, each) for partition, found in self.entering.items() for each in found]
        new = [case_row(Case(id=home.id, definition=HOME), partition, None) for partition, home in homes if home.new]
        changed = ((self.cases[id_].partition, before, self.reads.cases[id_]) for id_, before in self.before.items())
        with writes.together(connection) as rows:
            inbox_table.append(rows, self.appended, self.sealed)
            slices.write_steps(rows, self.steps)
            slices.write_cases(rows, [*self.cases.values(), *new])
            open_counts.change(rows, changes(changed))
            slices.write_seen(rows, list(self.seen.values()))
            slices.write_partitions(rows, moved)
            sends.write_outgoing(rows, self.outgoing)
            sends.write_heard(rows, self.heard)
            sent_files.write_references(rows, list(self.references.values()))
        open_counts.sweep(connection, [row.partition for row in moved if row.version % open_counts.SWEEP == 0])
        slices.write_due(connection, [(home.at, home.id) for _, home in homes])
        slices.write_shared_work(connection, self.shared_work())
        slices.write_parked(connection, list(self.reads.parked.values()))
        standing.write(connection, list(self.standing.values()), self.waiting, self.arrivals)
        slices.update_seen(connection, self.seen_later)
        dead_letters.write(connection, self.letters)
        for partition, at, provisional_only in self.recalculations:
            slices.await_recalculation(connection, partition, at, provisional_only)
        for partition, at, grids in self.successions:
            slices.await_succession(connection, partition, at, grids, GO_ON)

    def next_due(self, batches: Sequence[Batch]) -> dict[int, int | None]:
        """The earliest instant at which something of each partition may be due, once all is written."""
        marked = (p for p, _, _ in (*self.recalculations, *self.successions))
        found, unknown = dict[int, int | None](), {*self.entering, *marked}
        for batch in batches:
            due = self.reads.due[batch.row.partition]
            if due.fetched:
                unknown.add(batch.row.partition)
            instants = [at for at in (batch.next_due, due.first_armed) if at is not None]
            found[batch.row.partition] = min(instants, default=None)
        return found | slices.read_next_due(self.reads.connection, unknown & found.keys())

    def begin(self, row: PartitionRow) -> None:
        """A partition as it will stand after the slice. Outcomes are numbered by its version: so their numbers grow,
        and none appears behind one that somebody has read."""
        self.decided[row.partition] = row.version * OUTCOMES_A_VERSION

    def next_outcome(self, partition: int) -> int:
        """The number of one more outcome of a partition."""
        self.decided[partition] += 1
        return self.decided[partition]

    def shared_work(self) -> dict[str, list[SharedWorkRow]]:
        """Who may act on each case that has changed and on which several may, or might before."""
        found = dict[str, list[SharedWorkRow]]()
        for id_, before in self.before.items():
            rows = shared_rows(self.reads.cases[id_])
            if rows or (before is not None and shared_rows(before)):
                found[id_] = rows
        return found

    # ---- answers --------------------------------------------------------------------------------------------

    def refuse(self, record: DecodedRecord, arrival: int, refusal: Refusal, outcome: str = "refused") -> None:
        """Answer a record that no case sees, and keep it as a dead letter."""
        if record.body is not None and outcome == "refused":
            event = record.body.event
            self.remember(record, arrival, EventOutcome(event.source, event.id, event.actor, "refused", refusal))
        self.answer(record, outcome, refusal)
        self.bury(record, arrival, refusal, 0 if outcome == "refused" else self.next_outcome(record.row.partition))

    def answer(
        self,
        record: DecodedRecord,
        outcome: str,
        refusal: Refusal | None,
        first: str = "",
        case: Case | None = None,
        register: Policy | None = None,
    ) -> None:
        """Say what became of a record's event, and count it. `case`: the one that it may be parked with; `register`:
        the pack that is active then."""
        row, events = record.row, self.counts.events
        kind = record.body.event.type if record.body else ""
        events[kind, outcome] = events.get((kind, outcome), 0) + 1
        wait = None
        if record.body and case is not None and register is not None and "parked" in (outcome, first):
            event = record.body.event
            wait = parking.wait_of(case, event.source, event.id, event.actor, register)
        self.answers.append(Answer(row.partition, row.position, outcome, refusal, first, wait))

    def answer_replay(self, record: DecodedRecord, outcome: str) -> None:
        """Say to the operator who replays it what became of what a case of another home had said; nobody else waits."""
        if record.sent is not None and record.sent.letter:
            self.answers.append(Answer(record.row.partition, record.row.position, outcome))

    def remember(self, record: DecodedRecord, arrival: int, outcome: EventOutcome, number: int = 0) -> None:
        """Keep the outcome under the event's key, for the same event again. What was known of it adds its digests.
        `number`: its own among the outcomes of the partition, where it has one already."""
        assert record.body is not None and record.keys is not None
        row, event, refusal = record.row, record.body.event, outcome.refusal
        before, sent = find_seen(self.reads.seen, record), digests.all_of(record.body)
        if before is not None and before.position > row.position:
            return  # this one has waited, and the same key came again beyond the window: that answer stands
        known = before.digest if before is not None and not set(sent).isdisjoint(before.digest.split()) else ""
        key, old_key = record.keys
        if not record.body.digests:  # as its release kept it
            key = before.key if before is not None else old_key
        self.reads.seen[key] = self.seen[key] = SeenRow(
            *key,
            digests.completed(known, sent) if known else " ".join(sent),
            arrival,
            row.position,
            outcome.outcome,
            refusal.reason if refusal else "",
            refusal.field if refusal else "",
            refusal.detail if refusal else "",
            event.subject,
            number or self.next_outcome(row.partition),
            arrival,
            # A letter is replayed by an operator; whoever sent it first hears what comes of it.
            before.principal if record.body.letter and before is not None else row.principal,
        )

    def complete(self, first: SeenRow, sent: Sequence[str]) -> None:
        """Add to what is known of an event the digests of a resend in forms that its first sending did not have."""
        first.digest, before = digests.completed(first.digest, sent), first.digest
        if first.digest != before:
            self.seen[first.key] = first

    def remember_heard(self, sent: Sent, row: InboxRow) -> None:
        """Keep that a case hears what one of another home says, and with which record."""
        key = heard_key(sent)
        self.reads.heard.add(key)
        self.heard.append(HeardRow(*key, row.partition, row.position))

    def answer_for_none(self, sent: Sent, partition: PartitionRow, refusal: Refusal, arrival: int) -> None:
        """Say back to a case of another home that what it has said is not done, for a case that takes no step any more,
        or was never there. Who said that and is spoken to by nobody hears nothing, nor does an answer get one."""
        if sent.send.trigger == UNSERVED or not is_spoken_to(sent.cause.source):
            return
        answer = answered_by_none(sent, decide.not_served(sent, refusal), arrival)
        place = partition.partition, ANSWERED_BY_NONE + partition.position
        source, seq, k = answer.key
        self.outgoing.append(OutgoingRow(*place, k, source, seq, answer.send.to, arrival, encode_sent(answer)))

    # ---- dead letters ---------------------------------------------------------------------------------------

    def bury(self, record: DecodedRecord, arrival: int, refusal: Refusal, decided: int = 0) -> None:
        """Keep a refused record with its bytes. `decided`: the number of the outcome, if only this tells it."""
        row, event, sent = record.row, record.body.event if record.body else None, record.sent
        if sent is not None:
            letter_of = sent.cause.source, sent.cause.id, SENT, sent.send.to
        else:
            letter_of = (event.source, event.id, event.type, event.subject) if event else ("", "", "", "")
        source, event_id, type_, case_id = letter_of
        letter = dead_letter(
            f"{row.partition}.{row.position}",
            arrival,
            refusal,
            row.principal,
            row.body,
            partition=row.partition,
            position=row.position,
            source=source,
            event_id=event_id,
            type_=type_,
            case_id=case_id,
        )
        self.letters.append(letter._replace(decided=decided))

    def bury_firing(self, partition: PartitionRow, case_id: str, arrival: int, type_: str, detail: str) -> None:
        """Keep what stood a case's clocks still, a firing or what another case said, without bytes. The letter is named
        after its step."""
        self.letters.append(
            dead_letter(
                f"{partition.partition}.n{partition.n}",
                arrival,
                Refusal(Reason.FAILED, "", detail),
                "owner",
                None,
                partition=partition.partition,
                type_=type_,
                case_id=case_id,
            )
        )

    # ---- steps ----------------------------------------------------------------------------------------------

    def book(
        self,
        partition: PartitionRow,
        result: Result,
        arrival: int,
        late: int,
        days: Calendar,
        due: Mapping[str, int | None],
    ) -> None:
        """Enter a turn. Each step gets the partition's next number, which `partition` counts, and the arrival; those of
        other cases the one at which they hear of it, `late`. `due`: when its cases come up.

        All rows are made before the first is entered: what cannot be made a row leaves nothing behind.
        """
        id_, cases = partition.partition, dict[str, Case]()
        steps, letters, breaches = list[StepRow](), list[DeadLetter](), list[tuple[str, int]]()
        remarks, arrivals = list[str](), dict[str, int]()
        for n, step in enumerate(result.steps, partition.n + 1):
            cases[step.case.id] = step.case
            at = arrivals[step.case.id] = arrival if step.case.id == result.case.id else late
            steps.append(step_row(id_, n, step, at, days))
            for fact in step.facts:
                if type(fact) is facts.ClockRung and fact.breach:
                    breaches.append((fact.clock, fact.level))
                elif type(fact) is facts.Reported and fact.remark:
                    remarks.append(fact.remark)
            if step.settles is not None and step.settles.refusal:
                letters.append(parked_letter(step.settles, n, step.case, id_, at))
        rows = [case_row(case, id_, due[case.id]) for case in cases.values()]
        said = [
            OutgoingRow(id_, partition.n + 1 + each.step, each.k, *each.sent.key[:2], each.sent.send.to, late, text)
            for each in result.outgoing
            for text in (encode_sent(each.sent),)
        ]
        # From here on nothing fails.
        for n, step in enumerate(result.steps, partition.n + 1):
            partition.n = n
            if step.cause.type == SENT and any(isinstance(f, facts.Quarantined) and f.on for f in step.facts):
                self.bury_firing(partition, step.case.id, late, SENT, "the database refuses it")
        self.steps += steps
        self.outgoing += said
        self.letters += letters
        for key in breaches:
            self.counts.breaches[key] = self.counts.breaches.get(key, 0) + 1
        for remark in remarks:
            self.counts.remarks[remark] = self.counts.remarks.get(remark, 0) + 1
        for case, row in zip(cases.values(), rows, strict=True):
            self.before.setdefault(case.id, self.reads.cases.get(case.id))
            self.reads.keep(case, id_, arrivals[case.id], row.next_at)
            self.cases[case.id] = row
        for step in result.steps:
            if step.settles is not None:
                self._settle_parked(step.settles, step.case, id_, arrivals[step.case.id])

    def refer(self, result: Result, body: Record, data: EventData, arrival: int) -> None:
        """Keep which files an event refers to, as soon as its case has it, be it parked; a refused one makes no step.
        Whose event it was is kept as well: what somebody knows the digest of need not be his."""
        for sha256 in files_of(data) if result.steps else ():
            key = sha256, body.event.subject, body.principal
            self.references.setdefault(key, ReferenceRow(*key, arrival))

    def come_up_later(self, case: Case, partition: int, due: int | None) -> None:
        """A case comes up at another instant, and nothing else becomes of it."""
        self.cases[case.id] = case_row(case, partition, due)
        self.reads.beside.pop(case.id, None)
        self.reads.let_come_up(case.id, partition, due)

    def _settle_parked(self, outcome: EventOutcome, case: Case, partition: int, at: int) -> None:
        """A parked event was released or given up at an arrival: its answer changes."""
        refusal = outcome.refusal
        reason, field, detail = (refusal.reason, refusal.field, refusal.detail) if refusal else ("", "", "")
        key = partition, outcome.source, outcome.id, home_of(case.id), outcome.actor
        own, old = self.reads.seen.get(key), self.reads.seen.get(old_key_of(key))
        seen = old if own is None and old is not None and old.case_id == case.id else own
        if seen is not None:
            seen.outcome, seen.reason, seen.field, seen.detail = outcome.outcome, reason, field, detail
            seen.decided, seen.decided_at = self.next_outcome(partition), at
            self.seen[seen.key] = seen
        else:
            number = self.next_outcome(partition)
            self.seen_later.append((outcome.outcome, reason, field, detail, number, at, *key, case.id))
        self.released.append(Released(key, outcome.outcome, refusal))

    # ---- cases that stand -----------------------------------------------------------------------------------

    def stand(self, row: StandingRow) -> None:
        """A case begins to stand: for the rest of the slice nothing of it is due."""
        self.standing[row.case_id] = row
        self.counts.stood += 1
        self.reads.standing.add(row.case_id)
        self.reads.due_at[row.case_id] = None

    def wait(self, record: DecodedRecord, case_id: str, arrival: int, n: int, nearby: str = "") -> None:
        """Keep a record of a case that stands, after the `n` steps of its partition. Its sender hears that it is in the
        log, and not decided yet."""
        row = record.row
        body = (row.kind, row.principal, row.body)
        place = (row.partition, row.position, turn_of_record(n))
        self.waiting.append(WaitingRow(*place, case_id, arrival, *body, nearby))
        if record.body is not None:
            event = record.body.event
            self.remember(record, arrival, EventOutcome(event.source, event.id, event.actor, PENDING))
            self.answer(record, PENDING, None)
        self.answer_replay(record, PENDING)

    def wait_to_hear(self, sent: Sent, partition: PartitionRow, arrival: int) -> None:
        """Keep what a case has said to one that stands. `partition` has counted the steps of the turn."""
        place, turn = (partition.partition, partition.position), partition.n * TURNS
        before = sum((row.partition, row.position) == place and row.turn >= turn for row in self.waiting)
        self.waiting.append(WaitingRow(*place, turn + before, sent.send.to, arrival, "send", "", encode_sent(sent)))


def turn_of_record(n: int) -> int:
    """The place of a record among all that waits of its position, after the `n` steps that were made before it."""
    return n * TURNS + TURNS - 1

"""What one slice will write: rows by table, gathered in memory, and the answers for those who wait.

`PartitionRun` enters outcomes, refusals and answers here. A case or a seen event that is entered is also what the rest
of the slice sees (`SliceReads`). The database gets everything in `write`, each table once.
"""

from collections.abc import Sequence

from engine.slice.reads import DecodedRecord, SliceReads, scoped
from engine.slice.types import Answer, Batch, Released, SliceCounts, key_of, old_key_of
from engine.store import dead_letters, inbox_table, slices
from engine.store.dead_letters import DeadLetter, dead_letter
from engine.store.rows import CaseRow, InboxRow, PartitionRow, SeenKey, SeenRow, StepRow
from schemas import digests, facts
from schemas.envelope import decode_record
from schemas.partition import home_of
from schemas.refusals import Reason, Refusal
from workflows import case as cases
from workflows import decide, parking
from workflows.case import Case
from workflows.clocks.calendar import Calendar


class SliceWrites:
    """The rows and answers of one slice, over all its partitions."""

    def __init__(self, reads: SliceReads) -> None:
        self.reads = reads
        self.appended: list[InboxRow] = []
        self.steps: list[StepRow] = []
        self.cases: dict[str, CaseRow] = {}
        self.seen: dict[SeenKey, SeenRow] = {}
        self.seen_later: list[tuple[str, str, str, str, int, str, str, str, str, str]] = []  # as slices.update_seen
        self.letters: list[DeadLetter] = []
        self.recalculations: list[tuple[int, int, bool]] = []  # as slices.await_recalculation takes them
        self.taken: dict[int, int] = {}  # records decided, by partition
        self.answers: list[Answer] = []
        self.released: list[Released] = []
        self.counts = SliceCounts({}, {}, [])

    def write(self, moved: Sequence[PartitionRow]) -> None:
        """Each table once; the partitions last."""
        connection = self.reads.connection
        inbox_table.append(connection, self.appended)
        slices.write_steps(connection, self.steps)
        slices.write_cases(connection, list(self.cases.values()))
        slices.write_seen(connection, list(self.seen.values()))
        slices.update_seen(connection, self.seen_later)
        dead_letters.write(connection, self.letters)
        for partition, at, provisional_only in self.recalculations:
            slices.await_recalculation(connection, partition, at, provisional_only)
        slices.write_partitions(connection, moved)

    def next_due(self, batch: Batch) -> int | None:
        """The earliest instant at which something of a partition may be due, once all is written."""
        partition = batch.row.partition
        due = self.reads.due[partition]
        if due.fetched or any(p == partition for p, _, _ in self.recalculations):
            return slices.read_next_due(self.reads.connection, partition)
        return min((at for at in (batch.next_due, due.first_armed) if at is not None), default=None)

    # ---- answers --------------------------------------------------------------------------------------------

    def refuse(self, record: DecodedRecord, arrival: int, refusal: Refusal, outcome: str = "refused") -> None:
        """Answer a record that no case sees, and keep it as a dead letter."""
        if record.body is not None and outcome == "refused":
            event = record.body.event
            self.remember(record, arrival, decide.EventOutcome(event.source, event.id, event.actor, "refused", refusal))
        self.answer(record, outcome, refusal)
        self.bury(record, arrival, refusal)

    def answer(
        self, record: DecodedRecord, outcome: str, refusal: Refusal | None, first: str = "", case: Case | None = None
    ) -> None:
        """Say what became of a record's event, and count it. `case`: the one that it may be parked with."""
        row, events = record.row, self.counts.events
        kind = record.body.event.type if record.body else ""
        events[kind, outcome] = events.get((kind, outcome), 0) + 1
        wait = None
        if record.body and case is not None and "parked" in (outcome, first):
            event = record.body.event
            wait = parking.wait_of(case, event.source, event.id, event.actor)
        self.answers.append(Answer(row.partition, row.position, outcome, refusal, first, wait))

    def remember(self, record: DecodedRecord, arrival: int, outcome: decide.EventOutcome) -> None:
        """Keep the outcome under the event's key, for the same event again. What was known of it adds its digests."""
        assert record.body is not None
        row, event, refusal = record.row, record.body.event, outcome.refusal
        before, sent = self.reads.find_seen(row.partition, record.body), digests.all_of(record.body)
        known = before.digest if before is not None and not set(sent).isdisjoint(before.digest.split()) else ""
        key = key_of(row.partition, event)
        if not record.body.digests:  # as its release kept it
            key = before.key if before is not None else old_key_of(key)
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
        )

    def complete(self, first: SeenRow, sent: Sequence[str]) -> None:
        """Add to what is known of an event the digests of a resend in forms that its first sending did not have."""
        first.digest, before = digests.completed(first.digest, sent), first.digest
        if first.digest != before:
            self.seen[first.key] = first

    # ---- dead letters ---------------------------------------------------------------------------------------

    def bury(self, record: DecodedRecord, arrival: int, refusal: Refusal) -> None:
        """Keep a refused record with its bytes."""
        row, event = record.row, record.body.event if record.body else None
        self.letters.append(
            dead_letter(
                f"{row.partition}.{row.position}",
                arrival,
                refusal,
                row.principal,
                row.body,
                partition=row.partition,
                position=row.position,
                source=event.source if event else "",
                event_id=event.id if event else "",
                type_=event.type if event else "",
                case_id=event.subject if event else "",
            )
        )

    def bury_firing(self, partition: PartitionRow, case: Case, arrival: int, detail: str) -> None:
        """Keep a firing that failed, without bytes. The letter is named after the step that is booked next."""
        self.letters.append(
            dead_letter(
                f"{partition.partition}.n{partition.n + 1}",
                arrival,
                Refusal(Reason.FAILED, "", detail),
                "owner",
                None,
                partition=partition.partition,
                type_=decide.DUE,
                case_id=case.id,
            )
        )

    # ---- steps ----------------------------------------------------------------------------------------------

    def book(
        self,
        partition: PartitionRow,
        result: decide.Result,
        arrival: int,
        parked: Sequence[decide.EventOutcome],
        days: Calendar,
    ) -> None:
        """Enter what was decided of a case. Each step gets the partition's next number, which `partition` counts."""
        for step in result.steps:
            partition.n += 1
            case = step.case
            self.steps.append(
                StepRow(
                    partition.partition,
                    partition.n,
                    case.id,
                    case.seq,
                    arrival,
                    days.local_day(step.instant),
                    case.policy,
                    path_text(case.path),
                    case.category,
                    case.group,
                    step.department,
                    step.cause.actor,
                    facts.encode_cause(step.cause).decode(),
                    facts.encode_facts(step.facts).decode(),
                )
            )
            for fact in step.facts:
                if isinstance(fact, facts.ClockRung) and fact.breach:
                    key = (fact.clock, fact.level)
                    self.counts.breaches[key] = self.counts.breaches.get(key, 0) + 1
        if result.steps:
            case = result.case
            self.reads.keep(case, partition.partition)
            correlation = scoped(case.key, case.id) if case.key and case.closed is None else None
            self.cases[case.id] = case_row(case, partition.partition, correlation)
        for back, outcome in enumerate(reversed(parked)):  # the last steps are theirs, one each
            self._settle_parked(outcome, result.case, partition.partition, arrival, partition.n - back)

    def _settle_parked(self, outcome: decide.EventOutcome, case: Case, partition: int, arrival: int, n: int) -> None:
        """A parked event was released or given up in step `n`: its answer changes, and it may become a dead letter."""
        refusal = outcome.refusal
        reason, field, detail = (refusal.reason, refusal.field, refusal.detail) if refusal else ("", "", "")
        key = partition, outcome.source, outcome.id, home_of(case.id), outcome.actor
        own, old = self.reads.seen.get(key), self.reads.seen.get(old_key_of(key))
        seen = old if own is None and old is not None and old.case_id == case.id else own
        if seen is not None:
            seen.outcome, seen.reason, seen.field, seen.detail = outcome.outcome, reason, field, detail
            self.seen[seen.key] = seen
        else:
            self.seen_later.append((outcome.outcome, reason, field, detail, *key, case.id))
        self.released.append(Released(key, outcome.outcome, refusal))
        if refusal is None:
            return
        event = decode_record(outcome.raw).event
        self.letters.append(
            dead_letter(
                f"{partition}.n{n}",
                arrival,
                refusal,
                "",
                outcome.raw.decode(),
                partition=partition,
                source=event.source,
                event_id=event.id,
                type_=event.type,
                case_id=case.id,
            )
        )


def path_text(path: Sequence[str]) -> str:
    """An ancestor path as text: `/root/.../leaf/`."""
    return f"/{'/'.join(path)}/" if path else "/"


def case_row(case: Case, partition: int, key: str | None) -> CaseRow:
    """A case as its row; `key` is the correlation key within its home, None of a closed case."""
    return CaseRow(
        case.id,
        partition,
        case.definition,
        case.state,
        case.closed is None,
        case.owner.level,
        path_text(case.path),
        case.owner.grid,
        case.owner.department,
        case.category,
        case.group,
        key,
        case.cycle,
        case.seq,
        case.opened,
        case.closed,
        case.next_at,
        case.due_at,
        any(c.provisional for c in case.clocks),
        cases.encode(case).decode(),
    )

"""Booking: what was decided, entered into the slice's memory as rows.

In: outcomes, refusals and answers of one partition's turn. Out: numbered steps, cases, seen events and dead letters in
the workspace.
"""

from collections.abc import Sequence

from engine.slice.due import DueCases
from engine.slice.reads import Read, Workspace, scoped
from engine.slice.types import Answer
from engine.store.rows import CaseRow, InboxRow, LetterRow, PartitionRow, SealedRow, SeenRow, StepRow
from schemas import facts as f
from schemas.envelope import Record, decode_record
from schemas.refusals import Reason, Refusal
from workflows import case as cases
from workflows import decide
from workflows.case import Case
from workflows.clocks.calendar import Calendar


class Book:
    """The rows of one partition's turn. `row` is the partition's own, whose number it counts up."""

    def __init__(self, work: Workspace, row: PartitionRow, due: DueCases) -> None:
        self.work = work
        self.row = row
        self.due = due
        self.made = 0  # steps of this turn

    # ---- answers --------------------------------------------------------------------------------------------

    def refuse(self, item: Read, row: InboxRow, arrival: int, refusal: Refusal, outcome: str = "refused") -> None:
        """A record that no case sees: answered and kept."""
        if item.record is not None and outcome == "refused":
            event = item.record.event
            self.remember(item.record, row, arrival, decide.EventOutcome(event.source, event.id, "refused", refusal))
        self.answer(item.record.event.type if item.record else "", row, outcome, refusal)
        self.letter(item, row, arrival, refusal)

    def answer(self, kind: str, row: InboxRow, outcome: str, refusal: Refusal | None, first: str = "") -> None:
        counts = self.work.counted.events
        counts[kind, outcome] = counts.get((kind, outcome), 0) + 1
        self.work.answers.append(Answer(row.partition, row.position, outcome, refusal, first))

    def remember(self, record: Record, row: InboxRow, arrival: int, settled: decide.EventOutcome) -> None:
        event, why = record.event, settled.refusal
        key = (self.row.partition, event.source, event.id)
        seen = SeenRow(
            self.row.partition,
            event.source,
            event.id,
            record.digest,
            arrival,
            row.position,
            settled.outcome,
            why.reason if why else "",
            why.field if why else "",
            why.detail if why else "",
            event.subject,
        )
        self.work.seen[key] = self.work.seen_changed[key] = seen

    def letter(self, item: Read, row: InboxRow, arrival: int, why: Refusal) -> None:
        """Keep a refused record with its bytes."""
        event = item.record.event if item.record else None
        id_ = f"{row.partition}.{row.position}"
        self.work.letters.append(
            LetterRow(
                id_,
                arrival,
                row.partition,
                row.position,
                why.reason,
                why.field,
                why.detail,
                event.source if event else "",
                event.id if event else "",
                event.type if event else "",
                event.subject if event else "",
                row.principal,
                f"letter:{id_}",
            )
        )
        self.work.bodies.append(SealedRow(f"letter:{id_}", row.body, event.subject if event else ""))

    def letter_of_firing(self, case: Case, arrival: int, detail: str) -> None:
        """A dead letter without bytes, named after the step that is told next."""
        letter = f"{self.row.partition}.n{self.row.n + 1}"
        self.work.letters.append(
            LetterRow(
                letter,
                arrival,
                self.row.partition,
                None,
                Reason.FAILED,
                "",
                detail,
                "",
                "",
                decide.DUE,
                case.id,
                "owner",
                "",
            )
        )

    # ---- booking what was decided ---------------------------------------------------------------------------

    def outcome(
        self, outcome: decide.Result, arrival: int, settled: Sequence[decide.EventOutcome], days: Calendar
    ) -> None:
        """Number the steps, keep the case, remember what became of parked events."""
        for told in outcome.steps:
            self._number(told, arrival, days)
        if outcome.steps:
            self._keep(outcome.case)
        for back, item in enumerate(reversed(settled)):  # the last steps are theirs, one each
            self._settle(item, outcome.case, arrival, self.row.n - back)

    def _number(self, told: decide.DecidedStep, arrival: int, days: Calendar) -> None:
        """A step gets the partition's next number."""
        self.row.n += 1
        self.made += 1
        case, day = told.case, days.local_day(told.instant)
        self.work.steps.append(
            StepRow(
                self.row.partition,
                self.row.n,
                case.id,
                case.seq,
                arrival,
                day,
                case.policy,
                path_text(case.path),
                case.category,
                case.group,
                told.department,
                told.cause.actor,
                f.encode_cause(told.cause).decode(),
                f.encode_facts(told.facts).decode(),
            )
        )
        for fact in told.facts:
            if isinstance(fact, f.ClockRung) and fact.breach:
                key = (fact.clock, fact.level)
                self.work.counted.breaches[key] = self.work.counted.breaches.get(key, 0) + 1

    def _keep(self, case: Case) -> None:
        """The case as it now stands, in memory and to be written."""
        work = self.work
        work.cases[case.id] = case
        due = work.due_at[case.id] = case.next_at
        self.due.push(case.id, due)
        if due is not None:
            work.earliest[self.row.partition] = min(due, work.earliest.get(self.row.partition, due))
        key = scoped(case.key, case.id) if case.closed is None else None
        if case.key:
            under = work.open_under.setdefault(scoped(case.key, case.id) or "", {})
            under.pop(case.id, None)
            if key:
                under[case.id] = None
        work.changed[case.id] = case_row(case, self.row.partition, key)

    def _settle(self, item: decide.EventOutcome, case: Case, arrival: int, n: int) -> None:
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
            LetterRow(
                id_,
                arrival,
                self.row.partition,
                None,
                why.reason,
                why.field,
                why.detail,
                event.source,
                event.id,
                event.type,
                case.id,
                "",
                f"letter:{id_}",
            )
        )
        self.work.bodies.append(SealedRow(f"letter:{id_}", item.raw.decode(), case.id))


def path_text(path: Sequence[str]) -> str:
    """An ancestor path as text: `/root/.../leaf/`."""
    return f"/{'/'.join(path)}/" if path else "/"


def case_row(case: Case, partition: int, key: str | None) -> CaseRow:
    """A case as its row."""
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

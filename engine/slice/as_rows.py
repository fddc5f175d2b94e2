"""Cases, steps and what was refused as their rows."""

from collections.abc import Sequence

from engine.slice.reads import scoped
from engine.store.dead_letters import DeadLetter, dead_letter
from engine.store.rows import CaseRow, SharedWorkRow, StepRow
from schemas import facts
from schemas.envelope import decode_record
from schemas.short_numbers import short_number
from workflows import case as cases
from workflows.case import Case
from workflows.clocks.calendar import Calendar
from workflows.definitions import held_by, is_open, shown_path
from workflows.turn import DecidedStep, EventOutcome
from workflows.work import due_of, work_on


def correlation_of(case: Case) -> str | None:
    """The correlation key within its home of a case that is open."""
    return scoped(case.key, case.id) if case.key and case.closed is None else None


def step_row(partition: int, n: int, step: DecidedStep, arrival: int, days: Calendar) -> StepRow:
    """A decided step as its row."""
    case = step.case
    return StepRow(
        partition,
        n,
        case.id,
        case.seq,
        arrival,
        days.local_day(step.instant),
        case.policy,
        case.definition,
        shown_path(case),
        case.category,
        case.group,
        step.department,
        step.post,
        facts.encode_cause(step.cause).decode(),
        facts.encode_facts(step.facts).decode(),
    )


def parked_letter(outcome: EventOutcome, n: int, case: Case, partition: int, arrival: int) -> DeadLetter:
    """The dead letter of a parked event that was given up in step `n`."""
    assert outcome.refusal is not None
    record = decode_record(outcome.raw)
    event = record.event
    return dead_letter(
        f"{partition}.n{n}",
        arrival,
        outcome.refusal,
        record.principal,
        outcome.raw.decode(),
        partition=partition,
        source=event.source,
        event_id=event.id,
        type_=event.type,
        case_id=case.id,
    )


def path_text(path: Sequence[str]) -> str:
    """An ancestor path as text: `/root/.../leaf/`."""
    return f"/{'/'.join(path)}/" if path else "/"


def case_row(case: Case, partition: int, due: int | None) -> CaseRow:
    """A case as its row, which comes up at `due`."""
    holder = held_by(case)
    return CaseRow(
        case.id,
        partition,
        case.definition,
        case.state,
        is_open(case),
        case.owner.level,
        shown_path(case),
        case.owner.grid,
        case.owner.department,
        holder.post or holder.grid,
        holder.department,
        case.category,
        case.group,
        correlation_of(case),
        case.cycle,
        case.seq,
        case.opened,
        case.closed,
        due,
        case.due_at,
        any(c.provisional for c in case.clocks),
        cases.encode(case).decode(),
        short_number(case.id),
        case.reference,
        case.by,
        case.campaign,
    )


def shared_rows(case: Case) -> list[SharedWorkRow]:
    """Who may act on a case, if several may: whoever holds it, and levels that owe a check on site."""
    works = work_on(case) if case.passed else ()  # only a check whose turn has passed is a second work
    if len(works) < 2:
        return []
    return [SharedWorkRow(case.id, work.holder.level, work.holder.grid, due_of(case, work)) for work in works]

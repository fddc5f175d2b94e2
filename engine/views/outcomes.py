"""What became of all that a source has sent, in the order in which it was decided: for a phone that was away.

Each partition of the log decides by itself, so a cursor says for each of them how far its reader has come. An event
that waited comes again when it was decided, or given up; one that was sent again does not.
"""

import hashlib
from collections.abc import Callable
from heapq import merge
from itertools import islice
from operator import attrgetter

from msgspec import Struct

from engine.policies import Policies
from engine.store import alerts, archives, event_outcomes, exports
from engine.store.database import Connection
from engine.store.event_outcomes import AT_INTAKE, BEGINNING
from engine.store.meta import read_meta
from engine.store.rows import SeenRow, StepRow
from engine.views.cursors import read_cursor, write_cursor
from engine.views.event_status import EventStatus, status_of
from engine.views.questions import MOST_DIGITS, BadQuestion, check_limit
from schemas.instants import written

MOST = 500
"""Outcomes of an answer at most."""
MaySee = Callable[[SeenRow], bool]
"""Whether who asks has sent an event."""


class OutcomeQuestion(Struct, frozen=True, kw_only=True):
    """Of which source, and after which place: `next` of an earlier answer. Empty: from the beginning."""

    source: str
    after: str = ""
    limit: int = 100


class SentOutcome(EventStatus, frozen=True, omit_defaults=True, kw_only=True):
    """What became of an event that was sent: as its status says, with its actor (empty of a conflict) and the instant
    of the log at which this was decided."""

    actor: str = ""
    decided_at: str


class OutcomePage(Struct, frozen=True, kw_only=True):
    """What has been decided after a place, and the place after it, `next`, which is kept for the next question. `more`:
    there is more now. `restarted`: the place was of a database that was restored since, so all is told anew.

    What ended before `left_before` may have been archived with its cases, and is told no more; None: nothing has been.
    """

    outcomes: list[SentOutcome]
    next: str
    more: bool
    restarted: bool
    left_before: str | None


def outcome_page(connection: Connection, policies: Policies, question: OutcomeQuestion, may_see: MaySee) -> OutcomePage:
    """The outcomes that are asked for and may be seen. Raises BadQuestion."""
    check_limit(question.limit, MOST)
    if not question.source:
        raise BadQuestion("source", "no source is named", "send the `source` of your events")
    epoch = read_meta(connection, alerts.EPOCH) or "0"
    # Before the outcomes: what is decided while they are read is told by the next answer.
    last = event_outcomes.read_last(connection)
    begun, places = place_of(question)
    restarted = begun not in ("", epoch)
    after = {} if restarted else places
    rows = event_outcomes.read(connection, question.source, after, last, question.limit + 1)
    in_order = merge(*rows.values(), key=attrgetter("decided_at"))
    shown = list(islice(in_order, question.limit))
    more = next(in_order, None) is not None
    reached = {partition: max(after.get(partition, BEGINNING), upto) for partition, upto in last.items()}
    if more:
        # Where not all of a partition is shown, go on behind what is; where nothing is left, behind its last outcome.
        for partition, found in rows.items():
            told = [row.decided for row in shown if row.partition == partition]
            if len(told) < len(found):
                reached[partition] = told[-1] if told else after.get(partition, BEGINNING)
    left = archives.latest(connection)
    return OutcomePage(
        outcomes=outcomes_of(connection, policies, [row for row in shown if may_see(row)]),
        next=write_cursor(epoch, mark_of(question.source), sorted(reached.items())),
        more=more,
        restarted=restarted,
        left_before=written(left) if left else None,
    )


def mark_of(source: str) -> str:
    """What a cursor says of the source that it belongs to."""
    return hashlib.sha256(source.encode()).hexdigest()[:8]


def place_of(question: OutcomeQuestion) -> tuple[str, dict[int, int]]:
    """The epoch of a cursor, and the last number that was read of each partition. Raises BadQuestion."""
    if not question.after:
        return "", {}
    try:
        epoch, source, places = read_cursor(question.after, tuple[str, str, list[tuple[int, int]]])
    except BadQuestion:
        raise foreign_place() from None
    if source != mark_of(question.source) or any(abs(number) >= 10**MOST_DIGITS for _, number in places):
        raise foreign_place()
    return epoch, dict(places)


def foreign_place() -> BadQuestion:
    """The answer to a place that this question never handed out."""
    return BadQuestion("after", "this place does not belong to this question", "begin again without `after`")


def outcomes_of(connection: Connection, policies: Policies, rows: list[SeenRow]) -> list[SentOutcome]:
    """What is told of these events; the steps of each case are read once."""
    steps = dict[str, list[StepRow]]()
    for row in rows:
        if row.outcome == "done" and row.case_id not in steps:
            steps[row.case_id] = exports.steps_of(connection, row.case_id)
    found = []
    for row in rows:
        status = status_of(connection, policies, row, steps.get(row.case_id, ()))
        said = {name: getattr(status, name) for name in EventStatus.__struct_fields__}
        if row.partition == AT_INTAKE:
            said |= {"partition": None, "position": None}
        found.append(SentOutcome(**said, actor=row.actor, decided_at=written(row.decided_at)))
    return found

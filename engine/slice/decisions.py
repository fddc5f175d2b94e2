"""What one record or one firing does to one case: decided by the rules, and entered into the rows of the slice.

What a rule raises comes out, and then nothing of the decision has been entered. The caller lets the case stand.
"""

from functools import partial

from engine.slice.reads import DecodedRecord, SliceReads
from engine.slice.types import firing_name
from engine.slice.writes import SliceWrites
from engine.store.rows import PartitionRow
from workflows import decide
from workflows.case import Case
from workflows.clocks.limits import LimitError
from workflows.clocks.timescales import CalendarError
from workflows.policy.index import Policy


class Decisions:
    """Decides for one partition. `row` is numbered on; `active` is the pack that is active at the record."""

    def __init__(self, reads: SliceReads, writes: SliceWrites, row: PartitionRow, active: Policy | None) -> None:
        self.reads = reads
        self.writes = writes
        self.row = row
        self.active = active

    def policies(self, case: Case) -> tuple[Policy, Policy]:
        """The rules pinned to a case, and the active register."""
        if self.active is None:
            raise LookupError("no pack is active in this partition")
        return self.reads.policy(case.policy) if case.policy else self.active, self.active

    def take(self, record: DecodedRecord, arrival: int, nearby: tuple[Case, ...] | None = None) -> None:
        """An event. `nearby`: what is under a report's correlation key; None: what is there now."""
        if record.failure is not None:
            raise record.failure
        body, data = record.body, record.data
        assert body is not None and data is not None
        case = self.reads.case(body.event.subject) or Case(id=body.event.subject)
        rules, register = self.policies(case)
        if nearby is None:
            nearby = self.reads.neighbours(data, case.id, register)
        incoming = decide.IncomingEvent(body, data, arrival, record.row.body.encode())
        room = partial(self.reads.room, case, body.principal)
        result = decide.take(case, incoming, rules, register, nearby, room)
        own, *parked = result.outcomes
        self.writes.book(self.row, result, arrival, parked, register.clock_of_days)
        self.writes.remember(record, arrival, own)
        self.writes.answer(record, own.outcome, own.refusal, case=result.case)
        if own.refusal:
            self.writes.bury(record, arrival, own.refusal)

    def fire(self, id_: str, due: int, arrival: int) -> None:
        """A firing, dated at its due instant. Where no calendar can compute what follows, or the database refuses it,
        the clocks of the case stand still until an operator releases it: a pack is to blame, and no release mends it.
        """
        case = self.reads.case(id_)
        assert case is not None
        rules, register = self.policies(case)
        why = "the database refuses it" if firing_name(case) in self.reads.unstorable else ""
        if not why:
            try:
                if id_ in self.reads.recalculate:
                    result = decide.recalculate(case, due + 1, rules, register)
                else:
                    result = decide.fire(case, arrival, rules, register)
            except (CalendarError, LimitError):
                why = "no calendar of the active pack can compute its deadline"
        if why:
            result = decide.quarantine(case, due, rules, register, detail=why)
        self.writes.book(self.row, result, arrival, result.outcomes, register.clock_of_days)
        self.reads.recalculate.discard(id_)
        if why:
            self.writes.bury_firing(self.row, case, arrival, why)

    def release(self, id_: str, arrival: int) -> None:
        """An operator lets the clocks of a quarantined case run again."""
        case = self.reads.find_case(id_)
        if case is not None and case.quarantined:
            rules, register = self.policies(case)
            lifted = decide.quarantine(case, arrival, rules, register, on=False)
            self.writes.book(self.row, lifted, arrival, (), register.clock_of_days)

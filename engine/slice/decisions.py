"""What one record or one firing does: decided by the rules, and entered into the rows of the slice.

What a rule raises on the case itself comes out, and then nothing of the turn has been entered. The caller lets the case
stand. Where it is raised on a case that hears something, that case stands, and all the rest counts.
"""

import logging
from collections.abc import Collection
from functools import partial

import msgspec

from engine import failures
from engine.slice import archiving
from engine.slice.coming_up import active_since, is_activation, row_due
from engine.slice.entering import activations_of, active_at, course_of
from engine.slice.reads import DecodedRecord, SliceReads
from engine.slice.types import VOICES, firing_name
from engine.slice.writes import SliceWrites
from engine.store import standing
from engine.store.rows import PartitionRow, StandingRow
from schemas import facts
from schemas.kinds import incident
from schemas.partition import home_of
from schemas.refusals import Reason, Refusal
from workflows import decide, homes, petitioning, succession
from workflows.case import Case
from workflows.clocks.limits import LimitError
from workflows.clocks.timescales import CalendarError
from workflows.decision import Send
from workflows.definitions import comes_up, is_home, is_spread
from workflows.policy.index import Policy
from workflows.turn import SENT, Others, Result, Sent

log = logging.getLogger(__name__)


class HomeCases(Others):
    """The other cases of a home, as they stand within the slice.

    `most`: so many sends are carried out, the first one after them is named in `reads.left_out`; None: all. `late`:
    what is said now has come at this instant at the earliest, since whoever says it has stood.
    """

    def __init__(self, reads: SliceReads, row: PartitionRow, most: int | None, late: int = 0) -> None:
        self.reads = reads
        self.row = row
        self.most = most
        self.since = late

    def prepare(self, ids: Collection[str]) -> None:
        """Read these cases, and which of them stand."""
        self.reads.fetch(ids, standing_too=self.row.standing > 0)

    def find(self, id_: str) -> Case | None:
        """A case, unless it is archived. If its body cannot be read, the error is raised."""
        self.reads.fetch([id_], standing_too=self.row.standing > 0)
        return None if self.archived(id_) else self.reads.case(id_)

    def archived(self, id_: str) -> bool:
        """Whether a case is archived for the record that is decided."""
        return self.reads.is_archived(id_, archiving.before_of(self.row, self.row.position))

    def rules(self, case: Case, register: Policy) -> Policy:
        """The policy pinned to a case."""
        return self.reads.policy(case.policy) if case.policy else register

    def register(self, case: Case, active: Policy) -> Policy:
        """The pack of the instant at which something is due of a case that comes up later: another one may have become
        active meanwhile."""
        if not is_spread(case) or case.next_at is None:
            return active
        return self.reads.policy(active_at(self.row, case.next_at))

    def stands(self, id_: str) -> bool:
        """Whether a case stands."""
        return id_ in self.reads.standing

    def refused(self, case: Case) -> bool:
        """Whether isolation has found that the database refuses this step."""
        return firing_name(case) in self.reads.unstorable

    def left_out(self, case: Case) -> bool:
        """Whether this send is one too many."""
        if self.most is None:
            return False
        self.most -= 1
        if self.most < 0:
            self.reads.left_out = self.reads.left_out or firing_name(case)
        return self.most < 0

    def late(self, arrival: int) -> int:
        """The arrival at which another case hears something."""
        return max(arrival, self.since)

    def failed(self, error: Exception) -> None:
        """A target may stand where its rule has failed. Anything else is raised again."""
        if not failures.is_defect(error):
            raise error


class Decisions:
    """Decides for one partition. `row` is numbered on; `active` is the pack that is active at the record, `since` an
    arrival."""

    def __init__(
        self, reads: SliceReads, writes: SliceWrites, row: PartitionRow, active: Policy | None, others: HomeCases
    ) -> None:
        self.reads = reads
        self.writes = writes
        self.row = row
        self.active = active
        self.since = 0 if active is None else active_since(activations_of(row), active.hash)
        self.others = others

    def policies(self, case: Case) -> tuple[Policy, Policy]:
        """The rules pinned to a case, and the active register."""
        if self.active is None:
            raise LookupError("no pack is active in this partition")
        return self.reads.policy(case.policy) if case.policy else self.active, self.active

    def take(self, record: DecodedRecord, arrival: int, voice: str, nearby: tuple[Case, ...] | None = None) -> None:
        """An event. `nearby`: what is under a report's key; None: what is there now. `voice`: who speaks."""
        if record.failure is not None:
            raise record.failure
        body, data = record.body, record.data
        assert body is not None and data is not None
        if (refusal := self.refused_as_archived(body.event.subject, data.acts_on, record.row.position)) is not None:
            return self.writes.refuse(record, arrival, refusal)
        self.hear_of_before(body.event.subject, arrival, arrival)
        case = self.reads.case(body.event.subject) or Case(id=body.event.subject)
        rules, register = self.policies(case)
        if nearby is None:
            nearby = self.reads.neighbours(record, register)
        incoming = decide.IncomingEvent(body, data, arrival, record.row.body.encode())
        room = partial(self.reads.room, case, body.principal)
        result = decide.take(case, incoming, rules, register, nearby, room, self.others)
        # Decided before those that waited for it.
        own, number = result.outcomes[0], self.writes.next_outcome(self.row.partition)
        self.enter(result, arrival, voice)
        self.writes.refer(result, body, data, arrival)
        self.writes.remember(record, arrival, own, number)
        self.writes.answer(record, own.outcome, own.refusal, case=result.case, register=self.active)
        if own.refusal:
            self.writes.bury(record, arrival, own.refusal)

    def refused_as_archived(self, id_: str, acts_on: str, position: int) -> Refusal | None:
        """The refusal of a record at a position that speaks to a case that is archived, or lets its case go on in one;
        None: it does neither."""
        before = archiving.before_of(self.row, position)
        if not before:
            return None
        if self.reads.is_archived(id_, before):
            detail = "this case ended long ago and has been archived: open a new case, with a reference to it"
            return Refusal(Reason.ARCHIVED, "subject", detail)
        if acts_on and home_of(acts_on) == home_of(id_) and self.reads.is_archived(acts_on, before):
            detail = "the case that would go on ended long ago and has been archived: name an open one"
            return Refusal(Reason.ARCHIVED, "data.into", detail)
        return None

    def fire(self, id_: str, due: int, arrival: int) -> None:
        """A firing, dated at its due instant. Where no calendar can compute what follows, or the database refuses it,
        the clocks of the case stand still until an operator releases it: a pack is to blame, and no release mends it.
        """
        heard = self.hear_of_before(id_, due, arrival)
        case = self.reads.case(id_)
        assert case is not None
        if heard and case.quarantined:  # the database refuses what it was to hear
            return
        if is_home(id_):
            return self.fire_home(case, due, arrival)
        rules, register = self.policies(case)
        beside = due not in (comes_up(case), case.next_at)  # what presses is its own, before its row comes up
        looks = beside and self.looked_at(id_) == due
        ends = succession.due_of(case, register, self.since) if beside and not looks else None
        if beside and not looks and (ends is None or ends > due):
            # The pack of then let it come up, and this one does not.
            return self.writes.come_up_later(case, self.row.partition, row_due(case, register, self.since))
        why = "the database refuses it" if firing_name(case) in self.reads.unstorable else ""
        if not why:
            try:
                if looks:
                    result = decide.recalculate(case, due + 1, rules, register)
                elif beside:
                    result = decide.succeed(case, due, arrival, rules, register)
                else:
                    result = decide.fire(case, arrival, rules, self.others.register(case, register), self.others)
            except (CalendarError, LimitError):
                why = "no calendar of the active pack can compute its deadline"
        if why:
            result = decide.quarantine(case, due, rules, register, detail=why)
        if looks:
            del self.reads.beside[id_]
        self.enter(result, arrival, case.by)
        if why:
            self.writes.bury_firing(self.row, case.id, arrival, decide.DUE, why)

    def looked_at(self, id_: str) -> int | None:
        """When a case comes up to be looked at under a newer pack; None: it does not."""
        beside = self.reads.beside.get(id_)
        if beside is None or is_home(id_) or not is_activation(activations_of(self.row), beside):
            return None
        return beside

    def pressing(self, id_: str, arrival: int) -> int | None:
        """When something of a case was due that is to come before a record of it at an arrival, though the case comes
        up later within its spread; None: there is nothing."""
        case, row_comes_up = self.reads.cases.get(id_), self.reads.due_at.get(id_)
        due = case.next_at if case is not None and row_comes_up is not None else None
        return due if due is not None and due < arrival and due != row_comes_up else None

    def fire_home(self, case: Case, at: int, arrival: int) -> None:
        """A home comes up, at an instant."""
        course, refused = course_of(self.row, self.reads.policy), firing_name(case) in self.reads.unstorable
        if refused:
            why = "the database refuses it"
            result = decide.quarantine_home(case, at, course, detail=why)
        else:
            result = decide.fire_home(case, at, course, self.others)
        self.reads.beside.pop(case.id, None)
        self.enter(result, arrival, "")
        if refused:
            self.writes.bury_firing(self.row, case.id, arrival, homes.DUE, why)

    def hear(self, sent: Sent, arrival: int, voice: str, nearby: tuple[Case, ...] = ()) -> None:
        """What another case has said to one that stood, or one of another home. `nearby`: what is under the key of the
        one that it bears."""
        case = self.reads.case(sent.send.to) or Case(id=sent.send.to)
        _, register = self.policies(case)
        self.enter(decide.hear(case, sent, register, self.others, nearby), arrival, voice)

    def hear_of_before(self, id_: str, at: int, arrival: int) -> bool:
        """Let a case hear at an instant which others go on in it, if an earlier release has not told it.

        It does so before anything else becomes of it: so it is not withdrawn, and tells them its end. `arrival`: of the
        record, or of the one that releases a firing. Whether it took a step.
        """
        if not self.row.unheard:
            return False
        unheard: dict[str, list[str]] = msgspec.json.decode(self.row.unheard)
        case = self.reads.find_case(id_) if id_ in unheard else None
        if case is None:
            return False
        others = tuple(unheard.pop(id_))[: petitioning.room_in(case)]
        said = Send(id_, incident.ABSORBED, incident.Absorbed(cases=others))
        cause = facts.Cause(type=SENT, source=others[0] if others else id_, id="0.1", occurred=at)
        hears = case.closed is None and others != ()
        if hears:
            heard = decide.hear(case, Sent(said, cause, at, at), self.policies(case)[1], self.others)
            self.enter(heard, arrival, case.by)
        self.row.unheard = msgspec.json.encode(unheard).decode() if unheard else ""
        return hears

    def release(self, id_: str, arrival: int) -> None:
        """An operator lets the clocks of a quarantined case run again."""
        case = None if self.others.archived(id_) else self.reads.find_case(id_)
        if case is not None and case.quarantined and is_home(id_):
            course = course_of(self.row, self.reads.policy)
            self.enter(decide.quarantine_home(case, arrival, course, on=False), arrival, "")
        elif case is not None and case.quarantined:
            rules, register = self.policies(case)
            self.enter(decide.quarantine(case, arrival, rules, register, on=False), arrival, "")

    def enter(self, result: Result, arrival: int, voice: str) -> None:
        """Enter what was decided. A target on which a rule has failed stands from here on; what stands hears later."""
        assert self.active is not None
        late, active = self.others.late(arrival), self.active
        due = {
            step.case.id: row_due(step.case, active, self.since, self.looked_at(step.case.id)) for step in result.steps
        }
        self.writes.book(self.row, result, arrival, late, active.clock_of_days, due)
        for held in result.held:
            id_ = held.sent.send.to
            if held.error is not None:
                self.stand(id_, held.error, late, voice or id_)
            self.writes.wait_to_hear(held.sent, self.row, late)

    def stand(self, id_: str, error: Exception, arrival: int, voice: str) -> None:
        """A rule has failed on a case, which stands from here on. Where that happens to several who speak, the
        partition halts."""
        if not failures.is_defect(error):
            raise error
        partition, position = self.row.partition, self.row.position
        where, kind = failures.place(error), type(error).__name__
        extra = {"case": id_, "partition": partition, "position": position, "place": where}
        log.error("case.stands", extra=extra, exc_info=error)
        stands = StandingRow(
            id_,
            partition,
            position,
            arrival,
            self.reads.due_at.get(id_),
            self.active.hash if self.active else "",
            where,
            kind,
            voice,
        )
        self.writes.stand(stands)
        self.row.standing += 1
        here = {row.voice for row in self.writes.standing.values() if (row.partition, row.place) == (partition, where)}
        if len(here | standing.read_voices(self.reads.connection, partition, where)) >= VOICES:
            self.row.halted = f"{failures.HALTED}{where} ({kind})"
            log.error("partition.halts", extra=extra)

"""Joint work: an incident with further owners, their parts, who is waited for, and what becomes of parts when the
incident is checked, merged, or ends.

In: what posts of the sample pack say of incidents in WY01, with parts for communities of that street and for a
neighbour. Out: states, hands, clocks, charges, and what is counted. Within one home.
"""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas import facts
from schemas.joint import (
    Joint,
    JointActed,
    PartReleased,
    PartsReopened,
    joint_of,
)
from schemas.kinds.part import NeighbourAnswered, Part, PartFinished
from schemas.refusals import Reason
from tests.support.builders import (
    BARE,
    CENTRE,
    DAY,
    DISTRICT,
    HOTLINE,
    HOUR,
    MEMBER,
    STREET,
    Story,
    at,
    changed,
    subject,
    weiyang,
)
from tests.support.examples import examples
from workflows import succession
from workflows.case import TOTAL, Owner
from workflows.definitions import held_by
from workflows.definitions.part import JOINT_CLOCK, REPLY
from workflows.joint import MOST_HEARING
from workflows.policy.registers import Neighbour
from workflows.turn import MOST_SENDS

WAITS = "awaiting_parts"
THIRD, FOURTH = "WY01-03", "WY01-04"
"""Communities of the street that leads."""
NEXT_DOOR = "NB-09"
"""A neighbour to whom the street writes."""


def with_neighbour() -> Any:
    """The sample pack, and a neighbour of the street."""
    neighbours = (*weiyang().pack.neighbours, Neighbour(NEXT_DOOR, "邻镇（示例）", "WY01"))
    return changed(neighbours=neighbours)


class Lead(Story):
    """An incident with joint work."""

    def at_work(self) -> Lead:
        """Told by the hotline and accepted by the street."""
        self.reported(BARE).accepted()
        return self

    def ordered(self, *owners: str, by: str = STREET, **data: Any) -> Lead:
        """Further owners have their parts."""
        self.done("parts.ordered", by, owners=list(owners), **data)
        return self

    @property
    def own(self) -> Joint:
        """What it keeps."""
        return joint_of(self.case.own)

    @property
    def parts(self) -> list[Story]:
        """The stories of its parts, in their order."""
        found = [self.beside.stories[part.id] for part in self.own.parts]
        for part in found:
            part.now = max(part.now, self.now)
        return found

    def catch_up(self, story: Story) -> None:
        """Go on after what was said in another story."""
        self.now = max(self.now, story.now)


def finish(part: Story, **rest: Any) -> None:
    """The owner of a part, a community, has done it."""
    part.done("part.completed", f"{part.case.owner.grid}-CHIEF", **rest)


def waiting(*owners: str) -> Lead:
    """Handled by who leads, and the parts of these owners are open."""
    lead = Lead(with_neighbour()).at_work().ordered(*owners)
    lead.handled()
    assert lead.case.state == WAITS
    return lead


# ---- who has a part ---------------------------------------------------------------------------------------


@pytest.mark.mechanism("M64", "M74")
def test_each_further_owner_has_a_part_of_its_own_and_the_incident_knows_them() -> None:
    lead = Lead().at_work().ordered(THIRD, FOURTH)
    third, fourth = lead.parts
    assert [each.unit for each in lead.own.parts] == [(THIRD, ""), (FOURTH, "")]
    assert (third.case.definition, third.case.state, third.case.path[-1]) == ("part", "entrusted", THIRD)
    assert third.case.owner == Owner(THIRD, 4) and held_by(third.case).grid == THIRD
    assert (third.case.about, third.case.category, third.case.by) == (lead.case.id, BARE, STREET)
    assert isinstance(third.case.own, Part) and third.case.own.place == "WY01-01"
    clock = third.case.clock(JOINT_CLOCK)
    assert clock is not None and clock.limit == "3工作日"
    assert lead.case.state == "accepted" and lead.case.owner == Owner("WY01", 3)
    assert "WY01-03-CHIEF" in third.steps[0].facts[-1].to, "its owner is told of the work"
    assert fourth.case.id != third.case.id


@pytest.mark.mechanism("M30", "M31", "M32")
def test_who_orders_parts_stands_above_each_owner_so_a_problem_between_streets_is_escalated_first() -> None:
    lead = Lead().at_work()
    refusal = lead.refused(Reason.FORBIDDEN, "parts.ordered", STREET, owners=["WY02"])
    assert "escalate" in refusal.detail and refusal.field == "data.owners"
    assert lead.refused(Reason.FORBIDDEN, "parts.ordered", STREET, owners=["WY-EPB"]).field == "data.owners"
    lead.refused(Reason.FORBIDDEN, "parts.ordered", MEMBER, owners=[THIRD])
    lead.refused(Reason.FORBIDDEN, "parts.ordered", "WY02-CHIEF", owners=["WY02-01"])
    lead.refused(Reason.INVALID, "parts.ordered", STREET, owners=["WY01"])
    lead.refused(Reason.INVALID, "parts.ordered", STREET)
    lead.refused(Reason.UNKNOWN_CODE, "parts.ordered", STREET, owners=["NOWHERE"])
    lead.refused(Reason.UNKNOWN_CODE, "parts.ordered", STREET, neighbours=["NOWHERE"])
    lead.refused(Reason.INVALID, "parts.ordered", STREET, owners=[THIRD], limit="3工作日", due="2026-04-01T00:00:00Z")
    lead.refused(Reason.INVALID, "parts.ordered", STREET, owners=[THIRD], due="2026-01-01T00:00:00Z")
    lead.refused(Reason.INVALID, "parts.ordered", STREET, owners=[THIRD], limit="soon")
    lead.ordered(THIRD, by=DISTRICT)
    lead.refused(Reason.IMPOSSIBLE, "parts.ordered", STREET, owners=[FOURTH, THIRD])
    assert len(lead.own.parts) == 1


def test_an_order_names_its_own_deadline_and_an_owner_twice_is_one_part() -> None:
    lead = Lead().at_work().ordered(THIRD, THIRD, due="2026-03-05T10:00:00Z")
    (part,) = lead.parts
    clock = part.case.clock(JOINT_CLOCK)
    assert clock is not None and (clock.due, clock.limit) == (at("03-05 18:00"), "")
    lead.ordered(FOURTH, limit="1工作日")
    clock = lead.parts[1].case.clock(JOINT_CLOCK)
    assert clock is not None and clock.limit == "1工作日"


# ---- waiting ----------------------------------------------------------------------------------------------


@pytest.mark.mechanism("M74")
def test_a_handled_incident_waits_for_its_parts_and_goes_on_with_the_last() -> None:
    lead = waiting(THIRD, FOURTH)
    assert lead.case.clock("handle") is None, "its own work is done"
    stopped = lead.one(facts.ClockStopped)
    assert (stopped.clock, stopped.result) == ("handle", "on_time")
    third, fourth = lead.parts
    assert held_by(lead.case).grid == THIRD, "it waits for the first"
    finish(third)
    assert lead.case.state == WAITS and held_by(lead.case).grid == FOURTH
    finish(fourth)
    assert lead.case.state == "verifying" and held_by(lead.case).grid == "WY01-01"
    assert (third.case.state, fourth.case.state) == ("finished", "finished")
    lead.catch_up(fourth)
    lead.done("verification.recorded", MEMBER, outcome="solved")
    lead.done("incident.closed", MEMBER)
    assert lead.case.state == "closed"
    assert (third.case.state, fourth.case.state) == ("settled", "settled")
    assert lead.last.steps[0].sends and [each.case.definition for each in lead.last.steps] == [
        "incident",
        "part",
        "part",
    ]


def test_parts_that_are_done_first_make_nobody_wait() -> None:
    lead = Lead().at_work().ordered(THIRD)
    finish(lead.parts[0])
    lead.catch_up(lead.parts[0])
    lead.handled()
    assert lead.case.state == "verifying"


def test_the_time_of_waiting_is_charged_to_who_is_waited_for_and_to_nobody_who_leads() -> None:
    lead = waiting(THIRD)
    total = lead.case.clock(TOTAL)
    assert total is not None and total.due is not None
    found = lead.until(total.due + DAY)
    (breach,) = (f for f in found if isinstance(f, facts.ClockRung) and f.clock == TOTAL and f.breach)
    assert breach.charged is not None and breach.charged.grid == THIRD
    assert all(f.clock == TOTAL for f in found if isinstance(f, facts.ClockRung)), "no clock of who leads runs"
    part = lead.parts[0]
    part.until(total.due + DAY)
    assert part.case.charge(JOINT_CLOCK, 4) is not None


def test_a_part_that_is_late_is_its_owner_s_and_one_dated_in_time_is_on_time() -> None:
    lead = waiting(THIRD, FOURTH)
    third, fourth = lead.parts
    clock = third.case.clock(JOINT_CLOCK)
    assert clock is not None and clock.due is not None
    finish(third, when=clock.due + HOUR)
    assert third.one(PartFinished).late and third.one(facts.ClockStopped).result == "overdue"
    assert third.one(facts.ClockStopped).charged.grid == THIRD
    finish(fourth, when=clock.due + HOUR, occurred=clock.due - HOUR)
    assert not fourth.one(PartFinished).late and fourth.one(facts.ClockStopped).result == "on_time"
    assert lead.case.state == "verifying"


def test_levels_between_check_as_after_any_handling() -> None:
    lead = Lead().reported("D2-02").accepted(DISTRICT)
    assert isinstance(lead, Lead)
    lead.ordered("WY01", THIRD, by=DISTRICT)
    lead.handled(DISTRICT)
    street, third = lead.parts
    assert street.case.owner == Owner("WY01", 3)
    street.done("part.completed", STREET)
    lead.catch_up(street)
    lead.done("parts.released", DISTRICT, part=third.case.id, reason="not_needed")
    assert lead.case.state == "feedback" and lead.case.checks == (3, 4)


# ---- released, sent back ----------------------------------------------------------------------------------


def test_the_chief_releases_a_part_with_a_reason_and_the_incident_goes_on() -> None:
    lead = waiting(THIRD, FOURTH)
    third, fourth = lead.parts
    lead.refused(Reason.FORBIDDEN, "parts.released", "WY-OFFICE", part=third.case.id, reason="not_needed")
    lead.done("parts.released", STREET, part=third.case.id, reason="not_needed")
    assert (lead.case.state, third.case.state, held_by(lead.case).grid) == (WAITS, "let_off", FOURTH)
    assert lead.one(PartReleased).by == STREET
    lead.refused(Reason.IMPOSSIBLE, "parts.released", STREET, part=third.case.id, reason="other")
    lead.refused(Reason.INVALID, "parts.released", STREET, part=subject(number=77), reason="other")
    lead.done("parts.released", DISTRICT, part=fourth.case.id, reason="no_answer")
    assert (lead.case.state, fourth.case.state) == ("verifying", "let_off")
    third.refused(Reason.IMPOSSIBLE, "part.completed", "WY01-03-CHIEF", third.now + HOUR)


def test_a_part_that_is_sent_back_waits_for_the_chief_who_releases_it_or_orders_it_again() -> None:
    lead = waiting(THIRD)
    (third,) = lead.parts
    third.done("part.returned", "WY01-03-CHIEF", reason="not_our_area")
    lead.catch_up(third)
    assert (lead.case.state, third.case.state, third.case.clock(JOINT_CLOCK)) == (WAITS, "sent_back", None)
    assert held_by(lead.case).grid == "WY01", "now it is for who leads to decide"
    lead.refused(Reason.INVALID, "parts.ordered", STREET)
    lead.ordered(THIRD)
    assert third.case.state == "entrusted" and held_by(lead.case).grid == THIRD
    assert [each.id for each in lead.own.parts] == [third.case.id], "it is the same part"
    finish(third, when=lead.now + HOUR)
    assert lead.case.state == "verifying"


def test_a_part_that_was_done_is_ordered_again_while_who_leads_is_at_work() -> None:
    lead = Lead().at_work().ordered(THIRD)
    (third,) = lead.parts
    finish(third)
    lead.catch_up(third)
    lead.ordered(THIRD, limit="2工作日")
    clock = third.case.clock(JOINT_CLOCK)
    assert third.case.state == "entrusted" and clock is not None and (clock.limit, clock.target) == ("2工作日", 1)
    lead.handled()
    assert lead.case.state == WAITS
    stale = third.now
    third.refused(Reason.EXPIRED, "part.completed", "WY01-03-CHIEF", stale + HOUR, occurred=stale - HOUR)


# ---- a failed check ---------------------------------------------------------------------------------------


def checked(*parts: str) -> tuple[Lead, list[Story]]:
    """Two parts were done, and the last check found it unsolved: these parts are named."""
    lead = waiting(THIRD, FOURTH)
    third, fourth = lead.parts
    finish(third)
    finish(fourth)
    lead.catch_up(fourth)
    lead.done("verification.recorded", MEMBER, outcome="unsolved", parts=[*parts] or [third.case.id])
    return lead, [third, fourth]


def test_a_failed_check_reopens_the_incident_and_the_parts_that_it_names() -> None:
    lead, (third, fourth) = checked()
    assert (lead.case.state, lead.case.cycle) == ("reported", 1)
    assert (third.case.state, fourth.case.state) == ("entrusted", "finished")
    assert third.case.clock(JOINT_CLOCK) is not None
    assert "WY01-03-CHIEF" in {post for f in third.of(facts.NoticeGiven) for post in f.to}
    lead.accepted().handled()
    assert lead.case.state == WAITS and held_by(lead.case).grid == THIRD
    finish(third, when=lead.now + HOUR)
    assert lead.case.state == "verifying"


def test_a_check_that_names_a_part_that_is_over_counts_and_leaves_it_so() -> None:
    lead = waiting(THIRD, FOURTH)
    third, fourth = lead.parts
    lead.done("parts.released", STREET, part=third.case.id, reason="not_theirs")
    finish(fourth, when=lead.now + HOUR)
    lead.catch_up(fourth)
    lead.done(
        "verification.recorded", MEMBER, outcome="unsolved", parts=[third.case.id, fourth.case.id, fourth.case.id]
    )
    reopened = lead.one(PartsReopened)
    assert (reopened.parts, reopened.ended) == ((fourth.case.id,), (third.case.id,))
    assert (third.case.state, fourth.case.state, lead.case.state) == ("let_off", "entrusted", "reported")


def test_only_the_check_that_decides_and_fails_names_parts_and_only_those_of_the_incident() -> None:
    lead = waiting(THIRD)
    (third,) = lead.parts
    finish(third)
    lead.catch_up(third)
    lead.refused(Reason.INVALID, "verification.recorded", MEMBER, outcome="solved", parts=[third.case.id])
    lead.refused(Reason.INVALID, "verification.recorded", MEMBER, outcome="unsolved", parts=[subject(number=9)])


def test_a_check_that_comes_before_the_last_part_waits_for_it() -> None:
    lead = waiting(THIRD)
    (third,) = lead.parts
    lead.parked("verification.recorded", MEMBER, outcome="solved")
    finish(third, when=lead.now + HOUR)
    assert lead.case.state == "verified"


# ---- endings ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["withdrawn", "rejected", "force_closed"])
def test_parts_end_with_their_incident(how: str) -> None:
    lead = Lead().reported(BARE)
    assert isinstance(lead, Lead)
    lead.ordered(THIRD, FOURTH)
    third, fourth = lead.parts
    finish(third)
    lead.catch_up(third)
    said: dict[str, tuple[str, dict[str, Any]]] = {
        "withdrawn": (HOTLINE, {}),
        "rejected": (STREET, {"reason": "unfounded"}),
        "force_closed": (DISTRICT, {"reason": "policy"}),
    }
    by, data = said[how]
    lead.done(f"incident.{how}", by, **data)
    assert (third.case.state, fourth.case.state, fourth.case.closed is not None) == ("settled", "moot", True)
    assert not [each for each in lead.own.parts if each.alive]
    assert not fourth.case.clocks, "no clock of it runs on"


def test_an_incident_that_waits_is_closed_by_order_and_its_parts_are_void() -> None:
    lead = waiting(THIRD)
    lead.done("incident.force_closed", DISTRICT, reason="unsolvable")
    assert (lead.case.state, lead.parts[0].case.state) == ("force_closed", "moot")


def test_what_is_listed_waits_and_hears_its_parts_all_the_same() -> None:
    lead = waiting(THIRD)
    from schemas.kinds.incident import HOLD_LIFTED, HOLD_PLACED, HoldLifted, HoldPlaced

    lead.hear(HOLD_PLACED, HoldPlaced(by=subject(number=50)))
    finish(lead.parts[0], when=lead.now + HOUR)
    assert lead.case.state == "verifying"
    lead.catch_up(lead.parts[0])
    lead.done("verification.recorded", MEMBER, outcome="solved")
    lead.refused(Reason.IMPOSSIBLE, "incident.closed", MEMBER)
    assert lead.parts[0].case.state == "finished"
    lead.hear(HOLD_LIFTED, HoldLifted(by=subject(number=50)))
    lead.done("incident.closed", MEMBER)
    assert lead.parts[0].case.state == "settled"


# ---- merging ----------------------------------------------------------------------------------------------


def beside(lead: Lead, number: int = 2) -> Lead:
    """Another incident, reported."""
    other = Lead(lead.rules, number=number, beside=lead.beside)
    other.now = lead.now
    other.reported(BARE)
    return other


def test_the_parts_of_a_merged_incident_go_on_in_its_survivor() -> None:
    lead = waiting(THIRD, FOURTH)
    third, fourth = lead.parts
    finish(third)
    lead.catch_up(third)
    survivor = beside(lead)
    lead.done("incident.merged", STREET, into=survivor.case.id)
    assert [each.id for each in survivor.own.parts if each.alive] == [third.case.id, fourth.case.id]
    assert isinstance(fourth.case.own, Part) and fourth.case.own.lead == survivor.case.id
    survivor.now = lead.now
    survivor.accepted().handled()
    assert survivor.case.state == WAITS and held_by(survivor.case).grid == FOURTH
    finish(fourth, when=survivor.now + HOUR)
    assert survivor.case.state == "verifying" and lead.case.state == "merged"


def test_a_survivor_that_was_handled_takes_what_is_done_and_the_rest_ends() -> None:
    lead = waiting(THIRD, FOURTH)
    third, fourth = lead.parts
    finish(third)
    survivor = beside(lead)
    survivor.accepted().handled()
    assert survivor.case.state == "verifying"
    lead.done("incident.merged", STREET, survivor.now + HOUR, into=survivor.case.id)
    assert (third.case.state, fourth.case.state) == ("finished", "moot")
    survivor.catch_up(lead)
    survivor.done("verification.recorded", MEMBER, outcome="unsolved", parts=[third.case.id])
    assert third.case.state == "entrusted"


def test_merged_into_a_service_request_the_parts_end() -> None:
    lead = waiting(THIRD)
    other = Story(lead.rules, number=2, beside=lead.beside)
    other.reported(BARE, definition="service_request")
    lead.done("incident.merged", CENTRE, into=other.case.id)
    assert lead.parts[0].case.state == "moot"


def test_merged_twice_the_parts_follow_and_a_late_word_to_the_first_one_arrives() -> None:
    lead = waiting(THIRD)
    (third,) = lead.parts
    second, last = beside(lead, 2), beside(lead, 3)
    lead.done("incident.merged", STREET, into=second.case.id)
    second.done("incident.merged", STREET, lead.now + HOUR, into=last.case.id)
    assert isinstance(third.case.own, Part) and third.case.own.lead == last.case.id
    last.now = second.now
    last.accepted().handled()
    assert last.case.state == WAITS
    from schemas.joint import PART_DONE, PartHeard

    lead.now = last.now
    lead.hear(PART_DONE, PartHeard(part=third.case.id))  # said while the first one led
    assert last.case.state == "verifying"


def test_a_word_of_a_part_to_what_has_ended_is_a_fact_of_it() -> None:
    from schemas.joint import PART_DONE, PartHeard

    lead = waiting(THIRD)
    (third,) = lead.parts
    lead.done("parts.released", STREET, part=third.case.id, reason="other")
    lead.hear(PART_DONE, PartHeard(part=third.case.id))
    assert lead.one(facts.Unserved).why is Reason.IMPOSSIBLE
    lead.done("incident.force_closed", DISTRICT, reason="policy")
    lead.hear(PART_DONE, PartHeard(part=third.case.id))
    assert lead.one(facts.Unserved).trigger == PART_DONE


def test_so_many_parts_and_merged_cases_that_all_hear_of_its_end_in_one_turn() -> None:
    assert MOST_HEARING < MOST_SENDS
    lead = Lead().at_work().ordered(*(f"WY01-0{n}" for n in range(2, 10)))
    for number in range(2, 2 + MOST_HEARING - 8):
        other = lead.another(number)
        other.done("incident.merged", STREET, into=lead.case.id)
        lead.catch_up(other)
    full = lead.another(99)
    full.refused(Reason.OVER_LIMIT, "incident.merged", STREET, into=lead.case.id)
    lead.catch_up(full)
    lead.refused(Reason.OVER_LIMIT, "parts.ordered", STREET, owners=["WY01-01"])
    lead.done("incident.force_closed", DISTRICT, reason="policy")
    assert len(lead.last.steps) == 1 + MOST_HEARING


# ---- neighbours -------------------------------------------------------------------------------------------


@pytest.mark.mechanism("M74", "M75")
def test_a_neighbour_is_written_to_and_its_answer_is_entered_on_a_clock_of_ours() -> None:
    lead = Lead(with_neighbour()).at_work()
    lead.done("parts.ordered", STREET, neighbours=[NEXT_DOOR])
    (letter,) = lead.parts
    assert (letter.case.state, letter.case.owner) == ("written_to", Owner("WY01", 3))
    told = {post for f in letter.history(facts.NoticeGiven) for post in f.to}
    assert NEXT_DOOR in told, "a channel writes to it"
    clock = letter.case.clock(REPLY)
    assert clock is not None and clock.limit == "10工作日" and letter.case.clock(JOINT_CLOCK) is None
    letter.done("part.answered", STREET, outcome="agreed")
    assert letter.case.state == "taken_on" and letter.one(NeighbourAnswered).neighbour == NEXT_DOOR
    assert letter.case.clock(REPLY) is None and letter.case.clock(JOINT_CLOCK) is not None
    lead.catch_up(letter)
    lead.handled()
    assert lead.case.state == WAITS and held_by(lead.case).grid == "WY01"
    letter.done("part.completed", STREET, lead.now + HOUR)
    assert lead.case.state == "verifying"


@pytest.mark.parametrize(
    ("outcome", "state", "leads"), [("finished", "finished", "verifying"), ("unwilling", "sent_back", WAITS)]
)
def test_an_answer_may_end_it_or_send_it_back(outcome: str, state: str, leads: str) -> None:
    lead = Lead(with_neighbour()).at_work()
    lead.done("parts.ordered", STREET, neighbours=[NEXT_DOOR])
    (letter,) = lead.parts
    lead.handled()
    letter.done("part.answered", STREET, lead.now + HOUR, outcome=outcome)
    assert (letter.case.state, lead.case.state) == (state, leads)


# ---- joint acts -------------------------------------------------------------------------------------------


@pytest.mark.mechanism("M75")
def test_joint_meetings_and_enforcements_are_events_of_the_incident_and_counted() -> None:
    lead = Lead(with_neighbour()).at_work()
    lead.done("joint.recorded", STREET, what="meeting", participants=[THIRD, NEXT_DOOR, "WY-EPB"])
    lead.done("joint.recorded", STREET, what="enforcement", participants=[THIRD])
    lead.done("joint.recorded", STREET, what="enforcement")
    assert (lead.own.meetings, lead.own.enforcements) == (1, 2)
    assert lead.history(JointActed)[0].participants == (THIRD, NEXT_DOOR, "WY-EPB")
    lead.refused(Reason.UNKNOWN_CODE, "joint.recorded", STREET, what="meeting", participants=["NOBODY"])
    lead.refused(Reason.FORBIDDEN, "joint.recorded", MEMBER, what="meeting")


# ---- a grid of an owner ends -------------------------------------------------------------------------------


def test_the_successor_of_an_owner_s_grid_goes_on_with_its_part_and_is_the_one_that_is_waited_for() -> None:
    lead = waiting(THIRD)
    grids = tuple(
        msgspec.structs.replace(grid, valid_to=20260302, successor=FOURTH) if grid.code == THIRD else grid
        for grid in lead.rules.pack.grids
    )
    register = changed(lead.rules, grids=grids)
    due = succession.due_of(lead.case, register, lead.now)
    assert due == at("03-02 23:59") + 59_999
    for story in (lead, lead.parts[0]):
        assert succession.due_of(story.case, register, lead.now) == due
        story.succeeded(due, register)
        assert succession.due_of(story.case, register, lead.now) is None, "once"
        assert held_by(story.case).grid == FOURTH
    (part,) = lead.parts
    lead.refused(Reason.IMPOSSIBLE, "parts.ordered", STREET, at("03-03 10:00"), owners=[THIRD])
    part.done("part.completed", "WY01-04-CHIEF", at("03-03 11:00"))
    assert lead.case.state == "verifying"


# ---- whatever comes, in whatever order ----------------------------------------------------------------------

OWNERS = {THIRD: "WY01-03-CHIEF", FOURTH: "WY01-04-CHIEF", NEXT_DOOR: STREET}
SAID: dict[str, tuple[str, dict[str, Any]]] = {
    "incident.accepted": (STREET, {}),
    "handling.completed": (STREET, {}),
    "incident.escalated": (STREET, {"reason": "coordination"}),
    "incident.returned": (STREET, {"reason": "not_our_duty"}),
    "incident.dispatched": (CENTRE, {"lead": "WY-BUILD"}),
    "incident.suspended": (STREET, {"reason": "season"}),
    "incident.resumed": (CENTRE, {}),
    "incident.closed": (CENTRE, {}),
    "incident.rejected": (CENTRE, {"reason": "unfounded"}),
    "incident.withdrawn": (HOTLINE, {}),
    "incident.force_closed": (DISTRICT, {"reason": "policy"}),
}
"""What is said to the incident, whether or not it takes that."""
WORD = st.one_of(
    st.tuples(st.just("order"), st.sampled_from([*OWNERS])),
    st.tuples(
        st.sampled_from(["part.accepted", "part.completed", "part.returned", "agreed", "finished", "unwilling"]),
        st.integers(0, 4),
    ),
    st.tuples(st.just("release"), st.integers(0, 4)),
    st.tuples(st.sampled_from(["solved", "unsolved", "unsolved all"]), st.integers(0, 4)),
    st.tuples(st.sampled_from([*SAID]), st.just(0)),
    st.tuples(st.just("merge"), st.just(0)),
    st.tuples(st.just("wait"), st.integers(1, 72)),
)
LIVELY = st.sampled_from([["incident.accepted"], ["incident.accepted", "order", "handling.completed"]])


class Play:
    """Two incidents of one street; whatever is said is said to the first one, until that is merged."""

    def __init__(self) -> None:
        self.lead = Lead(with_neighbour()).reported(BARE)
        self.second = beside(self.lead, 2)  # type: ignore[arg-type]
        self.now = self.lead.now

    def say(self, story: Story, kind: str, actor: str, **data: Any) -> None:
        """Say something, which may be refused."""
        self.now += 60_000
        story.say(kind, actor, self.now, **data)

    def do(self, word: str, which: Any) -> None:
        """One word."""
        lead = self.lead if not self.lead.case.merged_into else self.second
        parts = joint_of(lead.case.own).parts
        part = lead.beside.stories[parts[which % len(parts)].id] if parts and isinstance(which, int) else None
        if word == "order":
            named = {"neighbours": [which]} if which == NEXT_DOOR else {"owners": [which]}
            self.say(lead, "parts.ordered", STREET if lead.case.owner.level == 3 else DISTRICT, **named)
        elif word in SAID:
            self.say(lead, word, SAID[word][0], **SAID[word][1])
        elif word == "wait":
            self.now += which * HOUR
        elif word == "merge":
            self.say(self.lead, "incident.merged", CENTRE, into=self.second.case.id)
        elif word in ("solved", "unsolved", "unsolved all"):
            named_parts = [each.id for each in parts] if word.endswith("all") else []
            self.say(lead, "verification.recorded", MEMBER, outcome=word.split()[0], parts=named_parts)
        elif part is not None and word == "release":
            self.say(lead, "parts.released", DISTRICT, part=part.case.id, reason="other")
        elif part is not None:
            said = {"outcome": word} if "." not in word else {"reason": "not_our_area"} if "returned" in word else {}
            kind = word if "." in word else "part.answered"
            self.say(part, kind, f"{part.case.owner.grid}-CHIEF", **said)

    def check(self) -> None:
        """What always holds of an incident and its parts."""
        for lead in (self.lead, self.second):
            kept, open_ = joint_of(lead.case.own).parts, lead.case.closed is None
            waited = [each for each in kept if each.waited_for]
            assert (lead.case.state == WAITS) <= bool(waited), "it waits for something"
            assert open_ or not [each for each in kept if each.alive], "nothing of it is open after its end"
            if lead.case.state == WAITS:
                first = next((each.grid for each in waited if not each.returned), lead.case.owner.grid)
                assert held_by(lead.case).grid == first == lead.case.holdings[-1].unit.grid
                assert [clock.name for clock in lead.case.clocks] == [TOTAL], "no clock of who leads runs meanwhile"
            for each in kept:
                part = lead.beside.stories[each.id].case
                if each.alive:
                    assert (part.state == "finished", part.state == "sent_back") == (each.complete, each.returned)
                    assert isinstance(part.own, Part) and part.own.lead == lead.case.id
                    assert any(c.name != TOTAL for c in part.clocks) == (not each.complete and not each.returned)
                    assert part.closed is None
        for story in self.lead.beside.stories.values():
            own = story.case.own
            if isinstance(own, Part):
                known = [joint_of(lead.case.own).part(story.case.id) for lead in (self.lead, self.second)]
                assert (story.case.closed is None) == any(each is not None and each.alive for each in known)


@settings(max_examples=examples(120), deadline=None)
@given(LIVELY, st.lists(WORD, max_size=24))
def test_an_incident_and_its_parts_agree_whatever_is_said_in_whatever_order(begun: list[str], words: list[Any]) -> None:
    play = Play()
    for word in begun:
        play.do(word, THIRD if word == "order" else 0)
    for word, which in words:
        play.do(word, which)
        play.check()

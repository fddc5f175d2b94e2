"""Events that come before their state wait with their case, and get their turn in the order in which they came."""

from __future__ import annotations

from collections import Counter
from itertools import permutations
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from schemas import facts
from schemas.derived_ids import derived_subject
from schemas.envelope import decode_record, encode_record
from schemas.events import EVENT_TYPES
from schemas.refusals import Reason
from tests.support.builders import (
    BARE,
    CENTRE,
    DAY,
    DISTRICT,
    DUST,
    HOTLINE,
    LEAF,
    LEAF_CHIEF,
    MEMBER,
    STREET,
    Story,
    arrived,
    at,
    changed,
    event,
    shipped,
    subject,
    weiyang,
)
from workflows.case import Case
from workflows.decide import IncomingEvent, take
from workflows.definitions import DEFINITIONS
from workflows.parking import Room, no_place, wait_of, waits_for
from workflows.policy.model import RoleRow

REPORT: dict[str, Any] = {"category": DUST, "source": "patrol", "grid": LEAF}
LINE: list[tuple[str, str, dict[str, Any]]] = [
    ("dissuasion.recorded", MEMBER, {"outcome": "ineffective"}),
    ("incident.reported_up", MEMBER, {}),
    ("incident.accepted", STREET, {}),
    ("handling.completed", STREET, {}),
    ("verification.recorded", MEMBER, {"outcome": "solved"}),
    ("incident.closed", MEMBER, {}),
]
"""The main line after the report."""


def causes(story: Story) -> list[str]:
    return [step.cause.id for step in story.steps]


def test_an_early_event_is_kept_with_the_case_and_nothing_else_happens():
    story = Story().found(DUST)
    story.parked("handling.completed", STREET, id="early")
    parked = story.one(facts.Parked)
    assert (parked.source, parked.id, parked.arrival) == ("app/test", "early", story.now)
    assert parked.until == story.now + story.rules.options.parked_ms
    assert story.facts == [parked]
    assert story.case.state == "discovered"
    assert [w.id for w in story.case.parked] == ["early"]


def test_it_is_released_in_a_step_of_its_own_whose_cause_it_is():
    story = Story().reported(BARE)
    story.parked("handling.completed", STREET, id="early")
    result = story.done("incident.accepted", STREET, id="now")
    assert causes(story)[-2:] == ["now", "early"]
    assert [(s.id, s.outcome) for s in result.outcomes] == [("now", "done"), ("early", "done")]
    released = story.steps[-1]
    assert released.cause.type == "gridpatrol.handling.completed.v1"
    assert released.cause.actor == STREET
    *_, last = (fact for fact in released.facts if not isinstance(fact, facts.NoticeGiven))
    assert last == facts.Unparked(source="app/test", id="early", why="released")
    assert any(isinstance(fact, facts.Handled) for fact in released.facts)
    assert story.case.parked == ()
    assert story.case.seq == len(story.steps)


@pytest.mark.parametrize("order", list(permutations(range(6)))[::71])
def test_the_main_line_in_any_order_before_its_report_comes_to_the_same_end(order):
    """A phone that was offline for a day sends all at once, the report last."""
    story = Story()
    for index in order:
        kind, actor, data = LINE[index]
        story.parked(kind, actor, occurred=at("03-02 08:30") + index * 60_000, id=f"line{index}", **data)
    result = story.done("report.submitted", MEMBER, occurred=at("03-02 08:00"), id="birth", **REPORT)
    assert story.case.state == "closed"
    assert [s.id for s in result.outcomes] == ["birth", *(f"line{i}" for i in range(6))]
    assert all(s.outcome == "done" for s in result.outcomes)
    assert [m.judged for m in story.history(facts.Moved)] == sorted(m.judged for m in story.history(facts.Moved))


def test_of_several_that_may_go_the_one_that_came_first_goes_first():
    story = Story().reported(BARE)
    story.parked("rectification.ordered", STREET, id="order", limit="1工作日")
    story.parked("handling.completed", STREET, id="handled")
    story.done("incident.accepted", STREET)
    assert causes(story)[-2:] == ["order", "handled"]
    other = Story().reported(BARE)
    other.parked("handling.completed", STREET, id="handled")
    other.parked("rectification.ordered", STREET, id="order", limit="1工作日")
    result = other.done("incident.accepted", STREET)
    assert causes(other)[-2:] == ["handled", "order"]  # what is left behind by the first is given up
    assert [(s.id, s.outcome) for s in result.outcomes[1:]] == [("handled", "done"), ("order", "refused")]
    assert other.steps[-1].facts == (facts.Unparked(source="app/test", id="order", why="overtaken"),)
    assert result.outcomes[-1].refusal is not None
    assert result.outcomes[-1].refusal.reason is Reason.IMPOSSIBLE


def test_a_firing_releases_what_waited_for_it():
    story = Story().reported(BARE).accepted()
    story.done("incident.suspended", STREET, at("03-02 10:00"), reason="season", until="2026-03-03T10:00:00+08:00")
    story.parked("handling.completed", STREET, at("03-02 11:00"), id="early")
    story.until(at("03-03 10:01"))
    assert story.case.state == "verifying"
    assert story.steps[-1].cause.id == "early"
    assert story.history(facts.Moved)[-1].judged == at("03-03 10:00")


# ---- what does not wait -----------------------------------------------------------------------------------


def test_what_can_never_be_taken_is_refused_at_once():
    story = Story().reported(BARE)
    refused = story.refused(Reason.IMPOSSIBLE, "dissuasion.recorded", MEMBER, outcome="effective")
    assert "reported (上报)" in refused.detail and "incident.accepted" in refused.detail
    story.accepted().handled()
    story.refused(Reason.IMPOSSIBLE, "incident.accepted", STREET)


def test_what_has_ended_takes_nothing_more_but_evidence_and_comments():
    story = Story().reported(BARE)
    story.done("incident.rejected", STREET, reason="not_found")
    refused = story.refused(Reason.IMPOSSIBLE, "incident.accepted", STREET)
    assert "takes: case.commented, case.evidence_added" in refused.detail
    story.done("case.commented", STREET)
    story.done("comment.added", STREET)


def test_the_number_that_may_wait_is_capped():
    story = Story(changed(options={"parked_cap": 3})).reported(BARE)
    for _ in range(3):
        story.parked("handling.completed", STREET)
    refused = story.refused(Reason.OVER_LIMIT, "handling.completed", STREET)
    assert refused.detail.startswith("3 events")


def test_a_full_waiting_room_keeps_those_who_are_still_early():
    """Looking again at who waits is not asking them to enter again."""
    story = Story(changed(options={"parked_cap": 2})).found(DUST)
    story.parked("verification.recorded", MEMBER, outcome="solved", id="check")
    story.parked("incident.closed", MEMBER, id="close")
    story.done("dissuasion.recorded", MEMBER, outcome="ineffective")
    assert [w.id for w in story.case.parked] == ["check", "close"]


# ---- what waited in vain ----------------------------------------------------------------------------------


def test_a_new_cycle_gives_up_what_waited_for_a_state_of_the_old_one():
    story = Story().reported(BARE).accepted().handled()
    story.parked("incident.closed", MEMBER, id="close")
    result = story.done("verification.recorded", MEMBER, outcome="unsolved")
    assert story.case.cycle == 1 and story.case.parked == ()
    settled = result.outcomes[-1]
    assert settled.refusal is not None
    assert (settled.id, settled.outcome, settled.refusal.reason) == ("close", "refused", Reason.EXPIRED)
    assert "another cycle" in settled.refusal.detail
    story.accepted().handled()
    story.done("verification.recorded", MEMBER, outcome="solved")
    assert story.case.state == "verified"  # the old closing does not close the new cycle


def test_a_cycle_that_a_released_event_begins_gives_up_the_others():
    story = Story().reported(BARE).accepted()
    story.parked("verification.recorded", MEMBER, outcome="unsolved", id="check")
    story.parked("incident.closed", MEMBER, id="close")
    result = story.done("handling.completed", STREET)
    assert [(s.id, s.outcome) for s in result.outcomes[1:]] == [("check", "done"), ("close", "refused")]
    assert (story.case.state, story.case.cycle) == ("reported", 1)


def test_an_end_gives_up_whatever_still_waits():
    story = Story().reported(BARE)
    story.parked("handling.completed", STREET, id="a")
    story.parked("verification.recorded", MEMBER, outcome="solved", id="b")
    result = story.done("incident.rejected", STREET, reason="unfounded")
    assert [(s.id, s.refusal.reason if s.refusal else None) for s in result.outcomes[1:]] == [
        ("a", Reason.EXPIRED),
        ("b", Reason.EXPIRED),
    ]
    assert all(s.raw for s in result.outcomes[1:])
    assert story.case.next_at is None


def test_patience_has_an_end_and_each_waits_for_its_own():
    story = Story(changed(options={"parked_ms": DAY}, limits=())).reported(BARE)
    story.parked("handling.completed", STREET, at("03-02 10:00"), id="a")
    story.parked("verification.recorded", MEMBER, at("03-02 15:00"), outcome="solved", id="b")
    assert story.case.next_at == at("03-03 10:00")
    assert story.until(at("03-03 10:00")) == []  # due then is in time
    assert [x.id for x in story.until(at("03-03 10:01")) if isinstance(x, facts.Unparked)] == ["a"]
    assert [x.id for x in story.until(at("03-03 15:01")) if isinstance(x, facts.Unparked)] == ["b"]


def test_released_events_are_asked_for_their_right_again():
    """Who might have owned the case by then does not, and the rule says so."""
    story = Story().reported(BARE)
    story.parked("handling.completed", DISTRICT, id="district")
    result = story.done("incident.accepted", STREET)
    settled = result.outcomes[-1]
    assert settled.refusal is not None
    assert (settled.id, settled.refusal.reason) == ("district", Reason.FORBIDDEN)
    assert "handle (level 1/2/3, scope owner)" in settled.refusal.detail


# ---- a right to speak comes before a place ----------------------------------------------------------------


def test_closings_by_a_member_of_another_street_are_refused_and_the_streets_own_still_waits():
    story = Story().reported(BARE)
    for _ in range(story.rules.options.parked_cap):
        refused = story.refused(Reason.FORBIDDEN, "incident.closed", "WY02-01-MEMBER")
    assert refused.field == "actor" and "close (level 4, scope place)" in refused.detail
    story.parked("incident.closed", MEMBER)


@pytest.mark.parametrize(
    ("kind", "actor", "data", "why"),
    [
        ("incident.closed", STREET, {}, "its level is not of the rule"),
        ("incident.closed", "WY01-02-MEMBER", {}, "its grid is not the place, and never will be"),
        ("verification.recorded", HOTLINE, {"outcome": "solved"}, "its role may not say it"),
        ("handling.completed", "WY02-CHIEF", {}, "its grid is on no line with the place"),
        ("handling.completed", "WY02-01-MEMBER", {}, "nor that one"),
    ],
)
def test_what_a_post_may_never_say_here_gets_no_place(kind, actor, data, why):
    story = Story().reported(BARE)
    assert "may not say" in story.refused(Reason.FORBIDDEN, kind, actor, **data).detail, why


@pytest.mark.parametrize("actor", [STREET, DISTRICT, "XA-CHIEF", "WY-BUILD-H"])
def test_who_may_own_the_case_by_then_gets_a_place(actor):
    Story().reported(BARE).parked("handling.completed", actor)


def test_the_present_owner_gets_a_place_wherever_it_stands():
    """By order of the centre a case may go to a grid that is on no line with its place."""
    story = Story().reported(BARE)
    story.done("incident.reassigned", CENTRE, to_grid="WY02")
    story.parked("handling.completed", "WY02-CHIEF", id="early")
    result = story.done("incident.accepted", "WY02-CHIEF")
    assert [(s.id, s.outcome) for s in result.outcomes[1:]] == [("early", "done")]


@pytest.mark.parametrize(
    ("home", "kind", "actor", "taken"),
    [
        ("WY01", "incident.closed", MEMBER, True),
        ("WY01", "incident.closed", "WY01-02-MEMBER", True),  # the place is not known yet
        ("WY01", "incident.accepted", DISTRICT, True),
        ("WY01", "incident.withdrawn", HOTLINE, True),
        ("WY01", "incident.closed", "WY02-01-MEMBER", False),
        ("WY01", "incident.accepted", "WY02-CHIEF", False),
        ("WY01", "incident.closed", STREET, False),
        ("XA", "incident.closed", "WY02-01-MEMBER", True),
    ],
)
def test_before_the_report_the_home_stands_for_the_place(home, kind, actor, taken):
    story = Story(home=home)
    if taken:
        story.parked(kind, actor)
    else:
        assert "may not say" in story.refused(Reason.FORBIDDEN, kind, actor).detail


def test_a_rule_for_any_place_lets_in_from_any_place():
    """What release would take is not refused for having come early."""
    rows = tuple(RoleRow("anywhere", row.trigger, row.role) for row in weiyang().pack.roles)
    story = Story(changed(roles=rows)).reported(BARE)
    story.parked("incident.closed", "WY02-01-MEMBER")


def test_who_will_have_reported_is_not_known_before_the_report():
    story = Story()
    story.parked("incident.withdrawn", LEAF_CHIEF)
    settled = story.done("report.submitted", MEMBER, **REPORT).outcomes[-1]
    assert settled.refusal is not None and settled.refusal.reason is Reason.FORBIDDEN


def test_an_event_of_an_older_release_waits_without_being_asked():
    """Its log gives the facts that it gave."""
    story = Story().reported(BARE)
    said = arrived(event("incident.closed", "WY02-01-MEMBER", story.now), story.now)
    older = structs.replace(said.record, digests=())
    incoming = IncomingEvent(older, said.data, story.now, encode_record(older))
    assert take(story.case, incoming, story.rules, story.register).outcomes[0].outcome == "parked"
    assert take(story.case, said, story.rules, story.register).outcomes[0].outcome == "refused"


def test_what_waits_holds_the_event_and_none_of_its_newer_digests():
    """So the fact is the same whether an older release wrote it or this one."""
    story = Story().reported(BARE)
    story.parked("incident.closed", MEMBER)
    [waiting] = story.case.parked
    assert decode_record(waiting.event).digests == () and waiting.actor == MEMBER


def test_two_actors_may_wait_under_one_id_and_each_is_released_for_itself():
    story = Story().reported(BARE).accepted().handled()
    story.parked("incident.closed", MEMBER, id="x")
    story.parked("incident.closed", LEAF_CHIEF, id="x")
    result = story.done("verification.recorded", MEMBER, outcome="solved")
    assert [(s.id, s.actor, s.outcome) for s in result.outcomes[1:]] == [
        ("x", MEMBER, "done"),
        ("x", LEAF_CHIEF, "refused"),
    ]
    assert [fact.actor for fact in story.history(facts.Unparked)] == [MEMBER, ""]
    assert (story.case.state, story.case.parked) == ("closed", ())


@pytest.mark.parametrize(("others", "taken"), [(2, True), (3, False)])
def test_the_unborn_cases_of_a_home_that_hold_events_are_capped(others, taken):
    rules = changed(options={"unborn_cap": 3})
    said = arrived(event("incident.closed", MEMBER, at("03-02 09:00")), at("03-02 09:00"))
    result = take(Case(id=subject()), said, rules, rules, room=lambda: Room(unborn=others))
    if taken:
        again = take(result.case, said, rules, rules, room=lambda: Room(unborn=3))
        assert again.outcomes[0].outcome == "parked", "it counts once"
    else:
        refusal = result.outcomes[0].refusal
        assert refusal is not None and (refusal.reason, refusal.field) == (Reason.OVER_LIMIT, "subject")
        assert refusal.detail.startswith("events of 3 cases of WY01")


@given(floods=st.lists(st.integers(0, 3), max_size=200))
def test_as_many_floods_as_there_may_be_leave_a_place_to_who_has_none(floods: list[int]) -> None:
    """Each takes half of what is left at most, so four of them leave the sixteenth part."""
    options = structs.replace(weiyang().pack.options, unborn_cap=16)
    said = arrived(event("incident.closed", MEMBER, at("03-02 09:00")), at("03-02 09:00")).record
    case, own = Case(id=subject()), Counter[int]()
    for number in floods:
        room = Room(unborn=own.total(), own=own[number])
        own[number] += not no_place(structs.replace(said, principal=f"flood {number}"), case, options, room)
    assert no_place(structs.replace(said, principal="neighbour"), case, options, Room(unborn=own.total())) == ""
    assert len(set(floods)) != 1 or own.total() == min(8, len(floods)), "one alone has half"


# ---- what it waits for ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("state", "kind", "wanted"),
    [
        ("discovered", "handling.completed", ["incident.accepted", "incident.dispatched"]),
        ("reported", "incident.closed", ["verification.recorded"]),
        ("accepted", "verification.recorded", ["handling.completed", "verification.recorded"]),
        ("suspended", "incident.closed", ["verification.recorded"]),
        ("suspended", "incident.accepted", ["incident.resumed"]),
        ("dissuading", "incident.accepted", ["incident.reported_up"]),
    ],
)
def test_it_waits_for_what_brings_the_case_to_a_state_that_takes_it(state, kind, wanted):
    case = Case(id=subject(), definition="incident", state=state)
    types = waits_for(case, f"gridpatrol.{kind}.v1", weiyang())
    assert types == tuple(f"gridpatrol.{name}.v1" for name in wanted)


def test_before_the_report_it_waits_for_the_report():
    types = waits_for(Case(id=subject()), "gridpatrol.incident.closed.v1", shipped())
    assert types == ("gridpatrol.report.submitted.v1",)


@pytest.mark.parametrize("kind", ["case.urged", "case.acknowledged", "case.commented", "duty.recorded", "duty.excused"])
def test_what_comes_early_for_a_duty_waits_for_time_and_not_for_a_report(kind):
    begins = shipped().clock_of_days.day_start(20260303)
    duty = Case(id=derived_subject("WY01", "duty", "PATROL", MEMBER, 20260303, begins))
    assert waits_for(duty, f"gridpatrol.{kind}.v1", shipped()) == ()
    assert waits_for(duty, "gridpatrol.case.urged.v1", weiyang()) == ("gridpatrol.report.submitted.v1",)  # owes nothing


def test_what_a_duty_never_takes_does_not_wait_for_it():
    begins = shipped().clock_of_days.day_start(20260303)
    story = Story(shipped())
    story.case = Case(id=derived_subject("WY01", "duty", "PATROL", MEMBER, 20260303, begins))
    story.beside.stories[story.case.id] = story
    refusal = story.refused(Reason.IMPOSSIBLE, "incident.accepted", STREET)
    assert refusal.field == "type" and "duty 履职" in refusal.detail and "duty.recorded" in refusal.detail
    story.parked("case.commented", MEMBER)
    refusal = story.refused(Reason.IMPOSSIBLE, "report.submitted", HOTLINE, category=BARE, source="hotline", grid=LEAF)
    assert refusal.detail == "time bears the case of this id: mint a new one"


SPOKEN_TO = [
    each for each in DEFINITIONS.values() if each.heard - each.sends - {each.wakes} and any(each.ahead.values())
]


@pytest.mark.parametrize("definition", SPOKEN_TO, ids=lambda definition: definition.name)
def test_whatever_may_wait_waits_for_an_event_of_the_contract(definition):
    kinds = {name.removeprefix("gridpatrol.").removesuffix(".v1"): name for name in EVENT_TYPES}
    waits = {
        (state, kind): waits_for(Case(id=subject(), definition=definition.name, state=state), kinds[kind], weiyang())
        for state, ahead in definition.ahead.items()
        for kind in ahead & kinds.keys()
    }
    assert waits and all(set(types) <= EVENT_TYPES.keys() for types in waits.values())
    # What time or another case bears waits for that alone, and what a state takes itself for nothing.
    by_cases = definition.bears or definition.births.keys() <= definition.sends
    heard = {(s, k) for s, k in waits if definition.leading(s, k) & definition.sends}
    taken = {(state, kind) for kind, state in definition.table}
    assert all(types or (s, k) in taken | heard or (s == "awaited" and by_cases) for (s, k), types in waits.items())


def test_the_wait_of_an_event_says_until_when_and_changes_with_the_case():
    story = Story().found(DUST)
    story.parked("handling.completed", STREET, id="early")
    first = wait_of(story.case, "app/test", "early", STREET, story.register)
    assert first is not None and first.until == story.now + story.rules.options.parked_ms
    assert wait_of(story.case, "app/test", "early", MEMBER, story.register) is None
    assert wait_of(story.case, "app/test", "e", "", story.register) is None
    story.done("dissuasion.recorded", MEMBER, outcome="ineffective")
    story.done("incident.reported_up", MEMBER)
    later = wait_of(story.case, "app/test", "early", "", story.register)
    assert later is not None and later.until == first.until


# ---- before the report ------------------------------------------------------------------------------------


def test_before_its_report_a_case_is_a_placeholder_that_only_waits():
    story = Story()
    story.parked(
        "evidence.added", MEMBER, evidence=[{"url": "https://files.example/1.jpg", "sha256": "ab" * 32, "kind": "near"}]
    )
    assert (story.case.state, story.case.path, story.case.clocks) == ("awaited", (), ())
    assert story.case.next_at == story.now + story.rules.options.parked_ms
    story.done("report.submitted", HOTLINE, category=BARE, source="hotline", grid=LEAF)
    assert story.one(facts.Evidenced).sha256 == "ab" * 32


@pytest.mark.parametrize("home", ["WY99", "WY01-01", "nowhere"])
def test_a_placeholder_of_a_home_that_nobody_knows_is_refused(home):
    """Otherwise anybody could fill the store with cases that no report will ever reach."""
    said = event("incident.accepted", STREET, at("03-02 09:00"), case=subject(home))
    result = take(Case(id=subject(home)), arrived(said, at("03-02 09:00")), Story().rules, Story().rules)
    assert result.outcomes[0].refusal is not None
    assert result.outcomes[0].refusal.reason is Reason.UNKNOWN_CODE
    assert result.steps == []


def test_a_placeholder_of_the_root_is_taken():
    """What has no place lives at the root."""
    Story(home="XA").parked("comment.added", MEMBER)


def test_a_placeholder_whose_report_never_comes_empties_itself():
    story = Story()
    story.parked("incident.accepted", STREET)
    story.until(story.now + story.rules.options.parked_ms + 1)
    assert (story.case.parked, story.case.next_at, story.case.state) == ((), None, "awaited")


def test_a_report_that_is_refused_leaves_those_who_wait():
    story = Story()
    story.parked("incident.accepted", STREET)
    story.refused(Reason.UNKNOWN_CODE, "report.submitted", MEMBER, category="D9-99", source="patrol")
    assert len(story.case.parked) == 1


def test_a_case_is_reported_once():
    story = Story().reported(BARE)
    refused = story.refused(Reason.IMPOSSIBLE, "report.submitted", HOTLINE, category=BARE, source="hotline")
    assert "new subject" in refused.detail

"""Missed deadlines are exempted beside the fact, above the unit that is charged; refusals are appealed one level up."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from schemas import facts
from schemas.facts import Unit
from schemas.refusals import Reason
from tests.support.builders import (
    BARE,
    CENTRE,
    CITY,
    DISTRICT,
    HOTLINE,
    LEAF_CHIEF,
    MEMBER,
    STREET,
    Story,
    at,
    changed,
    in_the_field,
    subject,
    weiyang,
)
from workflows.case import Missed, encode
from workflows.clocks.limits import parse_limit
from workflows.saying import sayable

URBAN = "WY-URBAN-H"
LEAF_UNIT = Unit("/XA/WY/WY01/WY01-01/")
STREET_UNIT = Unit("/XA/WY/WY01/")
HOUR, DAY = 3_600_000, 86_400_000
ASK, GRANT, REFUSE, APPEAL = (f"exemption.{word}" for word in ("requested", "granted", "refused", "appealed"))


def reported_late(rules: Any = None) -> Story:
    """Found on patrol and handled in time, but the leaf reported it up half an hour too late; closed since."""
    story = Story(rules).found()
    story.done("dissuasion.recorded", MEMBER, outcome="ineffective")
    story.done("incident.reported_up", MEMBER, at("03-02 10:00"))
    story.accepted().handled()
    for post in ("WY-OFFICE", MEMBER):
        story.say("verification.recorded", post, outcome="solved")
    story.done("incident.closed", MEMBER)
    assert story.case.state == "closed"
    return story


def handled_late(rules: Any = None) -> Story:
    """A hotline's case that the street has in hand, and whose deadline of handling has passed."""
    story = Story(rules).reported(BARE).accepted()
    clock = story.case.clock("handle")
    assert clock is not None and clock.due is not None
    story.until(clock.due + 1)
    story.now = clock.due + 1
    return story


def missed(story: Story, clock: str) -> Missed:
    """The deadline of a clock that the case missed."""
    [found] = [each for each in story.case.lapses if each.clock == clock]
    return found


# ---- what a case keeps of what it missed --------------------------------------------------------------------


def test_a_case_knows_the_deadlines_that_it_missed_also_after_its_end() -> None:
    story = reported_late()
    lapse = missed(story, "report")
    assert (lapse.level, lapse.cycle, lapse.target, lapse.unit) == (4, 0, 0, LEAF_UNIT)
    assert lapse.due == at("03-02 09:31") and lapse.exemption is None


def test_what_a_late_event_shows_to_have_been_in_time_was_not_missed_and_its_exemption_goes_with_it() -> None:
    story = handled_late(changed(roles=in_the_field()))
    due = missed(story, "handle").due
    assert due is not None
    story.done(ASK, STREET, clock="handle", ground="outage")
    story.done(GRANT, DISTRICT, clock="handle")
    assert missed(story, "handle").exemption is not None
    story.done("handling.completed", STREET, due + HOUR, occurred=due - HOUR)
    assert story.of(facts.ClockContradicted)
    assert not [each for each in story.case.lapses if each.clock == "handle"]
    story.refused(Reason.FORBIDDEN, ASK, STREET, clock="handle", ground="outage")


def test_what_turns_out_to_have_been_another_s_is_that_one_s_to_ask_for() -> None:
    story = handled_late(changed(roles=in_the_field()))
    before = missed(story, "handle")
    story.done(ASK, STREET, clock="handle", ground="outage")
    story.done(GRANT, DISTRICT, clock="handle")
    began = story.history(facts.ClockStarted)[-1].judged
    story.done("incident.dispatched", STREET, story.now + 60_000, occurred=began + 60_000, lead="WY-URBAN")
    after = missed(story, "handle")
    assert before.unit == STREET_UNIT and (after.unit.department, after.exemption) == ("WY-URBAN", None)
    story.refused(Reason.FORBIDDEN, ASK, STREET, clock="handle", ground="outage")
    story.done(ASK, URBAN, clock="handle", ground="misassigned")


# ---- asking -------------------------------------------------------------------------------------------------


def test_the_unit_asks_once_and_what_was_missed_stays_missed() -> None:
    story = reported_late()
    before = (story.case.state, story.case.closed, story.case.clocks, story.case.next_at)
    story.done(ASK, MEMBER, clock="report", ground="outage")
    asked = story.one(facts.ExemptionRequested)
    assert (asked.clock, asked.level, asked.cycle, asked.target, asked.ground) == ("report", 4, 0, 0, "outage")
    refusal = story.refused(Reason.IMPOSSIBLE, ASK, LEAF_CHIEF, clock="report", ground="other")
    assert refusal.field == "data.clock" and "already" in refusal.detail
    story.done(GRANT, STREET, clock="report")
    assert missed(story, "report").due == at("03-02 09:31")
    assert "exempted already" in story.refused(Reason.IMPOSSIBLE, ASK, MEMBER, clock="report", ground="other").detail
    assert (story.case.state, story.case.closed, story.case.clocks, story.case.next_at) == before


@pytest.mark.parametrize("by", [STREET, "WY01-02-MEMBER", CENTRE, URBAN, HOTLINE])
def test_nobody_asks_for_what_another_unit_missed(by: str) -> None:
    story = reported_late()
    assert story.refused(Reason.FORBIDDEN, ASK, by, clock="report", ground="outage").field == "actor"


def test_a_deadline_that_was_not_missed_is_not_exempted() -> None:
    story = Story().reported(BARE).accepted()
    refusal = story.refused(Reason.IMPOSSIBLE, ASK, STREET, clock="handle", ground="outage")
    assert "no deadline of this case was missed" in refusal.detail
    late = handled_late()
    refusal = late.refused(Reason.IMPOSSIBLE, ASK, STREET, clock="accept", ground="outage")
    assert refusal.field == "data.clock"
    for wrong in ({"part": 2}, {"cycle": 1}, {"target": 1}):
        assert late.refused(Reason.IMPOSSIBLE, ASK, STREET, clock="handle", ground="outage", **wrong)
    late.done(ASK, STREET, clock="handle", ground="outage", part=3, cycle=0, target=0)


def test_of_several_deadlines_of_a_clock_it_is_said_which() -> None:
    story = handled_late()
    story.done("deadline.ordered", DISTRICT, clock="handle", limit="40工作日")
    clock = story.case.clock("handle")
    assert clock is not None and clock.due is not None
    story.until(clock.due + 1)
    story.now = clock.due + 1
    assert len([each for each in story.case.lapses if each.clock == "handle"]) == 2
    refusal = story.refused(Reason.INVALID, ASK, STREET, clock="handle", ground="emergency")
    assert refusal.field == "data.target" and "3/0/0, 3/0/1" in refusal.detail
    story.done(ASK, STREET, clock="handle", ground="emergency", target=0)
    story.done(ASK, STREET, clock="handle", ground="emergency")
    assert story.one(facts.ExemptionRequested).target == 1


def test_above_the_top_nobody_decides_so_nothing_is_asked_for() -> None:
    story = Story().reported("D1-01").accepted(CITY)
    clock = story.case.clock("handle")
    assert clock is not None and clock.due is not None
    story.until(clock.due + 1)
    story.now = clock.due + 1
    refusal = story.refused(Reason.IMPOSSIBLE, ASK, CITY, clock="handle", ground="outage")
    assert "nobody stands above XA" in refusal.detail


# ---- deciding -----------------------------------------------------------------------------------------------


def test_it_is_decided_strictly_above_the_unit_never_by_its_own_chief() -> None:
    story = handled_late()
    story.done(ASK, "WY01-STAFF1", clock="handle", ground="outage")
    assert story.refused(Reason.FORBIDDEN, GRANT, STREET, clock="handle").field == "actor"
    story.done(GRANT, "WY-OFFICE", clock="handle")
    decided = story.one(facts.ExemptionDecided)
    assert (decided.granted, decided.by, decided.ground, decided.until) == (True, "WY-OFFICE", "outage", None)
    assert story.refused(Reason.IMPOSSIBLE, REFUSE, CITY, clock="handle").field == "data.clock"


def test_what_a_department_missed_its_grid_decides() -> None:
    story = Story().reported(BARE).accepted()
    story.done("incident.dispatched", STREET, lead="WY-URBAN")
    clock = story.case.clock("handle")
    assert clock is not None and clock.due is not None
    story.until(clock.due + 20 * DAY)
    story.now = clock.due + 20 * DAY
    [lapse] = [each for each in story.case.lapses if each.clock == "handle"]
    assert lapse.unit == Unit("/XA/WY/WY01/", "WY-URBAN")
    story.refused(Reason.FORBIDDEN, ASK, STREET, clock="handle", ground="coordination")
    story.refused(Reason.FORBIDDEN, ASK, DISTRICT, clock="handle", ground="coordination")
    story.done(ASK, URBAN, clock="handle", ground="coordination")
    story.refused(Reason.FORBIDDEN, GRANT, STREET, clock="handle")
    story.done(GRANT, DISTRICT, clock="handle")


def test_where_nothing_is_asked_for_nothing_is_decided() -> None:
    story = handled_late()
    for trigger in (GRANT, REFUSE):
        assert story.refused(Reason.IMPOSSIBLE, trigger, DISTRICT, clock="handle").field == "data.clock"


@pytest.mark.mechanism("M86")
def test_tolerance_asks_for_four_conditions_three_of_which_the_case_shows() -> None:
    story = reported_late()
    story.done(ASK, MEMBER, clock="report", ground="tolerance")
    assert story.refused(Reason.INVALID, GRANT, STREET, clock="report").field == "data.no_harm"
    story.done(GRANT, STREET, clock="report", no_harm=True)
    decided = story.one(facts.ExemptionDecided)
    assert (decided.found, decided.prompt, decided.reported, decided.harmless) == (True, True, True, True)


def test_against_a_condition_that_fails_nobody_grants_tolerance_but_another_ground_may_be_named() -> None:
    story = handled_late()
    story.done(ASK, STREET, clock="handle", ground="tolerance")
    refusal = story.refused(Reason.IMPOSSIBLE, GRANT, DISTRICT, clock="handle", no_harm=True)
    assert refusal.field == "data.ground"
    assert all(words in refusal.detail for words in ("主动发现", "及时处置", "整改上报"))
    story.done(GRANT, DISTRICT, clock="handle", ground="force_majeure", no_harm=True)
    decided = story.one(facts.ExemptionDecided)
    assert (decided.ground, decided.found, decided.prompt, decided.reported) == ("force_majeure", False, False, False)
    assert missed(story, "handle").exemption is not None
    assert story.history(facts.ExemptionRequested)[0].ground == "tolerance", "what was asked for stands"


def test_what_was_found_unsolved_was_not_promptly_handled() -> None:
    story = Story().found()
    story.done("dissuasion.recorded", MEMBER, outcome="ineffective")
    story.done("incident.reported_up", MEMBER, at("03-02 10:00"))
    story.accepted().handled()
    story.done("verification.recorded", MEMBER, outcome="unsolved")
    story.accepted().handled()
    story.done("verification.recorded", MEMBER, outcome="solved")
    story.done(ASK, MEMBER, clock="report", cycle=0, ground="tolerance")
    refusal = story.refused(Reason.IMPOSSIBLE, GRANT, STREET, clock="report", no_harm=True)
    assert "及时处置" in refusal.detail and "主动发现" not in refusal.detail


# ---- appeals ------------------------------------------------------------------------------------------------


def refused_once(rules: Any = None) -> Story:
    """The street has refused what the leaf asked for."""
    story = reported_late(rules)
    story.done(ASK, MEMBER, clock="report", ground="outage")
    story.done(REFUSE, STREET, clock="report")
    return story


def test_a_refusal_names_until_when_it_may_be_appealed_and_the_appeal_is_decided_one_level_up() -> None:
    story = refused_once()
    decided = story.one(facts.ExemptionDecided)
    assert (decided.granted, decided.grid) == (False, "WY01")
    assert decided.until is not None and at("03-09 10:00") < decided.until < at("03-09 12:00"), "five working days on"
    assert "appeal" in story.refused(Reason.IMPOSSIBLE, ASK, MEMBER, clock="report", ground="other").detail
    story.refused(Reason.FORBIDDEN, APPEAL, STREET, clock="report")
    story.done(APPEAL, LEAF_CHIEF, clock="report")
    for other in (STREET, CITY):
        refusal = story.refused(Reason.FORBIDDEN, GRANT, other, clock="report")
        assert "one level above" in refusal.detail and refusal.detail.endswith("WY")
    story.done(GRANT, DISTRICT, clock="report")
    assert story.one(facts.ExemptionDecided).appeal
    assert missed(story, "report").exemption.stage == "granted"  # type: ignore[union-attr]


def test_an_appeal_is_made_once_and_what_is_decided_then_is_final() -> None:
    story = refused_once()
    story.done(APPEAL, MEMBER, clock="report")
    assert "already" in story.refused(Reason.IMPOSSIBLE, APPEAL, MEMBER, clock="report").detail
    story.done(REFUSE, DISTRICT, clock="report")
    assert story.one(facts.ExemptionDecided).until is None
    for trigger in (ASK, APPEAL):
        data: dict[str, Any] = {"ground": "other"} if trigger == ASK else {}
        assert "final" in story.refused(Reason.IMPOSSIBLE, trigger, MEMBER, clock="report", **data).detail


def test_a_late_appeal_is_refused_with_the_reason() -> None:
    story = refused_once()
    until = story.one(facts.ExemptionDecided).until
    refusal = story.refused(Reason.IMPOSSIBLE, APPEAL, MEMBER, until + 1, occurred=until - HOUR, clock="report")
    assert (refusal.field, refusal.detail) == ("time", "the time that the pack gives for an appeal is over")
    again = refused_once()
    again.done(APPEAL, MEMBER, until, clock="report")


def test_a_pack_without_time_for_appeals_makes_refusals_final() -> None:
    story = refused_once(changed(options={"appeal": None}))
    assert story.one(facts.ExemptionDecided).until is None
    assert "final" in story.refused(Reason.IMPOSSIBLE, APPEAL, MEMBER, clock="report").detail


def test_nobody_stands_above_the_top_that_refused() -> None:
    story = reported_late(changed(options={"appeal": parse_limit("3自然日")}))
    story.done(ASK, MEMBER, clock="report", ground="outage")
    story.done(REFUSE, CITY, clock="report")
    assert story.one(facts.ExemptionDecided).until is None
    story.refused(Reason.IMPOSSIBLE, APPEAL, MEMBER, clock="report")


def test_nothing_is_refused_before_an_appeal() -> None:
    story = reported_late()
    assert "refused" in story.refused(Reason.IMPOSSIBLE, APPEAL, MEMBER, clock="report").detail


# ---- other lives --------------------------------------------------------------------------------------------


def test_of_a_merged_case_its_own_missed_deadlines_are_spoken_of_and_all_else_goes_to_its_survivor() -> None:
    story = Story().reported(BARE)
    story.another(9)
    clock = story.case.clock("accept")
    assert clock is not None and clock.due is not None
    story.done("incident.merged", STREET, clock.due + HOUR, into=subject(number=9))
    assert missed(story, "accept").unit == STREET_UNIT
    story.done(ASK, STREET, clock="accept", ground="outage")
    story.done(GRANT, DISTRICT, clock="accept")
    refusal = story.refused(Reason.IMPOSSIBLE, "comment.added", DISTRICT)
    assert subject(number=9) in refusal.detail
    assert story.case.state == "merged"


def test_who_may_decide_is_told_and_the_unit_hears_the_decision() -> None:
    story = reported_late()
    story.done(ASK, MEMBER, clock="report", ground="outage")
    asked = story.one(facts.NoticeGiven)
    assert asked.on == "asked" and STREET in asked.to and MEMBER not in asked.to
    story.done(REFUSE, STREET, clock="report")
    decided = story.one(facts.NoticeGiven)
    assert decided.on == "decided" and {MEMBER, LEAF_CHIEF} <= {*decided.to}
    story.done(APPEAL, MEMBER, clock="report")
    assert DISTRICT in story.one(facts.NoticeGiven).to


def test_a_reporter_hears_nothing_of_what_is_between_a_unit_and_those_above() -> None:
    story = handled_late()
    story.done(ASK, STREET, clock="handle", ground="outage")
    story.done(GRANT, DISTRICT, clock="handle")
    assert all(HOTLINE not in notice.to for notice in story.of(facts.NoticeGiven))


def test_posts_are_told_what_they_may_say() -> None:
    story = reported_late()

    def may(post: str) -> set[str]:
        found = sayable(story.case, story.rules.posts[post], story.rules, story.register, story.now)
        return {each.trigger for each in found if each.trigger.startswith("exemption.")}

    assert (may(MEMBER), may(STREET)) == ({ASK}, set())
    story.done(ASK, MEMBER, clock="report", ground="outage")
    assert (may(MEMBER), may(STREET), may(DISTRICT)) == (set(), {GRANT, REFUSE}, {GRANT, REFUSE})
    story.done(REFUSE, STREET, clock="report")
    assert (may(MEMBER), may(STREET), may(DISTRICT)) == ({APPEAL}, set(), set())
    story.done(APPEAL, MEMBER, clock="report")
    assert (may(MEMBER), may(STREET), may(DISTRICT), may(CITY)) == (set(), set(), {GRANT, REFUSE}, set())


def test_a_pack_without_these_rows_exempts_from_nothing() -> None:
    roles = tuple(row for row in weiyang().pack.roles if not row.trigger.startswith("exemption."))
    story = reported_late(changed(roles=roles))
    assert "said by: nobody" in story.refused(Reason.FORBIDDEN, ASK, MEMBER, clock="report", ground="other").detail


def test_the_successor_of_a_grid_that_ended_speaks_for_it() -> None:
    story = handled_late()
    grids = tuple(
        replace(grid, valid_to=20260301, successor="WY02") if grid.code == "WY01" else grid
        for grid in story.register.pack.grids
    )
    story.register = changed(story.register, grids=grids)
    story.done(ASK, "WY02-CHIEF", clock="handle", ground="outage")
    story.done(GRANT, DISTRICT, clock="handle")


def test_only_the_latest_of_very_many_misses_are_kept() -> None:
    story = handled_late()
    [first] = [each for each in story.case.lapses if each.clock == "handle"]
    story.case.lapses = tuple(replace(first, cycle=900 + number) for number in range(64))
    size = len(encode(story.case))
    story.done("deadline.ordered", DISTRICT, clock="handle", limit="40工作日")
    clock = story.case.clock("handle")
    assert clock is not None and clock.due is not None
    story.case.lapses = story.case.lapses[-64:]
    story.until(clock.due + 1)
    assert len(story.case.lapses) == 64 and story.case.lapses[-1].cycle == 0 and len(encode(story.case)) < size + 2000

"""Who must act, whose a clock is, and to whom a missed deadline is due.

In: cases told by events, with clocks of a few hours. Out: holders, those who are told, and the units charged.
"""

from __future__ import annotations

from typing import Any

import pytest
from msgspec import structs

from schemas import facts
from schemas.facts import Unit
from schemas.members import BirthData
from schemas.refusals import Reason
from tests.support.builders import (
    BARE,
    CENTRE,
    CITY,
    DAY,
    DISTRICT,
    DUST,
    LEAF_CHIEF,
    MEMBER,
    OUTLET,
    SEWERS,
    STREET,
    Story,
    at,
    changed,
    in_the_field,
    subject,
    weiyang,
)
from workflows.birth import plain
from workflows.case import Case, Owner, decode, encode
from workflows.clocks.limits import parse_limit
from workflows.decision import Decision
from workflows.definitions import DEFINITIONS
from workflows.definitions.incident import INCIDENT
from workflows.evolve import evolve
from workflows.holding import Holder, hold, holder_of, may_order, present, turn
from workflows.machine import Speaker
from workflows.policy.index import Policy
from workflows.policy.model import LimitRow, RungRow

CITY_UNIT, DISTRICT_UNIT, STREET_UNIT = Unit("/XA/"), Unit("/XA/WY/"), Unit("/XA/WY/WY01/")
LEAF_UNIT = Unit("/XA/WY/WY01/WY01-01/")
URBAN, GREEN = Unit("/XA/WY/", "WY-URBAN"), Unit("/XA/WY/", "WY-GREEN")
STAFF = "WY01-STAFF1"
OTHER_STREET = "WY02-CHIEF"


def rules(*limits: tuple[str, str], rungs: tuple[RungRow, ...] = (), **options: Any) -> Policy:
    """The sample pack with these limits, a ladder of the deadline alone, and a day's offline allowance."""
    rows = tuple(LimitRow(clock, parse_limit(text)) for clock, text in limits)
    ladder = rungs or (RungRow("*", "due", "at", tell=("holder", "holder_chief")),)
    settings = {"quiet_from": 0, "quiet_to": 0, "quiet_exempt": (), "offline_ms": DAY, **options}
    return changed(options=settings, limits=rows, rungs=ladder, roles=in_the_field())


def units(story: Story, kind: type[Any]) -> list[tuple[str, int, Unit | None]]:
    """What was charged in all facts of a kind: clock, level, unit."""
    return [(fact.clock, fact.level, fact.charged) for fact in story.history(kind) if fact.charged]


def told(story: Story, clock: str, level: int) -> list[tuple[str, ...]]:
    """Whom the alerts of a clock told."""
    return [fact.to for fact in story.history(facts.AlertRaised) if (fact.clock, fact.level) == (clock, level)]


def at_work(pack: Policy, category: str, by: str, when: str = "03-02 09:00") -> Story:
    """Reported and accepted at an instant."""
    story = Story(pack).reported(category, at(when))
    story.done("incident.accepted", by, at(when))
    return story


# ---- the holder -------------------------------------------------------------------------------------------


def test_each_state_says_who_must_act():
    story = Story().found(DUST)
    story.done("dissuasion.recorded", MEMBER, outcome="ineffective")
    story.done("incident.reported_up", MEMBER)
    story.done("incident.accepted", STREET)
    story.done("incident.dispatched", STREET, lead="WY-URBAN")
    story.done("handling.completed", "WY-URBAN-H")
    story.done("verification.recorded", MEMBER, outcome="solved")
    held = [holding.unit for holding in story.case.holdings]
    assert held == [LEAF_UNIT, STREET_UNIT, Unit("/XA/WY/WY01/", "WY-URBAN"), LEAF_UNIT]
    assert [fact.unit for fact in story.history(facts.Held)] == held


def test_after_level_1_the_levels_below_hold_the_case_one_after_another():
    story = Story().reported(SEWERS).accepted(CITY).handled(CITY)
    story.done("verification.recorded", DISTRICT, outcome="solved")
    story.done("verification.recorded", STAFF, outcome="solved")
    story.done("verification.recorded", MEMBER, outcome="solved")
    assert [h.unit for h in story.case.holdings] == [CITY_UNIT, DISTRICT_UNIT, STREET_UNIT, LEAF_UNIT]


@pytest.mark.parametrize(
    ("hands", "checks", "passed", "holder"),
    [
        ("owner", (), (), Holder("XA", 1, "D")),
        ("place", (), (), Holder("WY01-01", 4)),
        ("check", (2, 3, 4), (), Holder("WY", 2)),
        ("check", (2, 3, 4), (2,), Holder("WY01", 3)),
        ("check", (2, 4), (2,), Holder("WY01-01", 4)),
        ("check", (2,), (2,), Holder("WY", 2)),
        ("check", (), (), Holder("WY01-01", 4)),
    ],
)
def test_a_holder_follows_from_the_case(hands, checks, passed, holder):
    path = ("XA", "WY", "WY01", "WY01-01")
    case = Case(id="a", path=path, owner=Owner("XA", 1, "D"), checks=checks, passed=passed)
    assert holder_of(case, hands) == holder
    assert hands != "check" or turn(case) == holder.level


def test_a_case_without_a_place_is_in_nobodys_hands():
    assert holder_of(Case(id="a"), "place") == holder_of(Case(id="a"), "check") == Holder()


def test_urging_presses_who_must_act_and_not_who_has_handled_it():
    story = Story().reported(SEWERS).accepted(CITY).handled(CITY)
    story.done("incident.urged", CITY)
    assert story.one(facts.NoticeGiven).to == (DISTRICT,)


# ---- what one post holds ----------------------------------------------------------------------------------


@pytest.fixture
def held_by_posts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Incidents whose place says nothing: in the hands of one post where they were in those of a leaf."""
    in_posts = [structs.replace(s, hands="post") for s in INCIDENT.states.values() if s.hands == "place"]
    states = {**INCIDENT.states, **{state.name: state for state in in_posts}}
    monkeypatch.setitem(DEFINITIONS, "incident", structs.replace(INCIDENT, states=states))


def verified_by(post: str) -> Story:
    """To be closed within an hour of working time from 10:00 on, by one post of the leaf."""
    tell = ("holder", "holder_chief", "upper_chief")
    story = Story(rules(("close", "1工作时"), rungs=(RungRow("*", "due", "at", tell=tell),)))
    story.reported(BARE).accepted().handled()
    story.case.post = post
    story.done("verification.recorded", MEMBER, at("03-02 10:00"), outcome="solved")
    return story


@pytest.mark.usefixtures("held_by_posts")
def test_the_work_of_a_post_is_told_to_it_and_to_those_above_and_charged_to_it():
    story = verified_by(MEMBER)
    unit = Unit(LEAF_UNIT.path, post=MEMBER)
    assert story.case.holdings[-1].unit == unit
    story.until(at("03-02 12:00"))
    assert told(story, "close", 4) == [(MEMBER, LEAF_CHIEF, STREET)]
    assert units(story, facts.ClockRung) == [("close", 4, unit)]
    assert decode(encode(story.case)) == story.case


@pytest.mark.usefixtures("held_by_posts")
def test_above_the_chief_of_a_grid_is_the_chief_of_the_next_one():
    story = verified_by(LEAF_CHIEF)
    story.until(at("03-02 12:00"))
    assert told(story, "close", 4) == [(LEAF_CHIEF, STREET)]


@pytest.mark.usefixtures("held_by_posts")
@pytest.mark.parametrize("vacant", [True, False])
def test_work_of_a_post_that_nobody_has_is_told_to_those_above(vacant):
    story = verified_by(MEMBER)
    posts = [structs.replace(p, vacant=True) if p.code == MEMBER else p for p in story.register.pack.posts]
    kept = posts if vacant else [p for p in posts if p.code != MEMBER]
    story.register = changed(story.register, posts=tuple(kept))
    story.until(at("03-02 12:00"))
    assert told(story, "close", 4) == [(LEAF_CHIEF, STREET)]


@pytest.mark.usefixtures("held_by_posts")
@pytest.mark.parametrize(
    ("said_by", "rightful"), [(MEMBER, True), (LEAF_CHIEF, False), (STREET, True), (CITY, True), (OTHER_STREET, False)]
)
def test_only_the_post_itself_and_those_above_its_grid_speak_for_its_work(said_by, rightful):
    story = verified_by(MEMBER)
    decision = Decision(story.case, story.rules, story.register, story.now, story.now)
    assert may_order(decision, story.register.posts[said_by]) is rightful


def test_a_case_is_born_into_the_hands_of_the_post_that_its_event_names():
    bears = plain("watch", post=lambda data: data.reference or "")
    decision = Decision(Case(id=subject("WY01")), weiyang(), weiyang(), at("03-02 09:00"), at("03-02 09:00"))
    assert bears.begin(decision, BirthData(grid="WY01-01", reference=MEMBER), "", "WY01", ()) is None
    assert bears.assign(decision, BirthData(), Speaker("", "", 0, "", 4), "open") is None
    hold(decision, "post")
    assert [type(fact) for fact in decision.facts] == [facts.Born, facts.Held]
    assert holder_of(decision.case, "post") == Holder("WY01-01", 4, post=MEMBER)
    assert present(decision.case, weiyang()) == Unit(LEAF_UNIT.path, post=MEMBER)
    assert decision.case.owner == Owner("WY01-01", 4)


def test_a_case_is_not_born_into_the_hands_of_a_post_that_nobody_knows():
    bears = plain("watch", post=lambda data: data.reference or "")
    decision = Decision(Case(id=subject("WY01")), weiyang(), weiyang(), at("03-02 09:00"), at("03-02 09:00"))
    refused = bears.begin(decision, BirthData(grid="WY01-01", reference="nobody"), "", "WY01", ())
    assert refused is not None and (refused.reason, refused.field) == (Reason.UNKNOWN_CODE, "data.post")


# ---- whose a clock is -------------------------------------------------------------------------------------


def test_a_late_check_is_told_to_the_level_that_must_check_and_charged_to_it():
    story = Story(rules(("verify", "2工作时"))).reported(OUTLET).accepted(DISTRICT)
    story.done("handling.completed", DISTRICT, at("03-02 10:00"))
    story.until(at("03-02 13:00"))
    assert told(story, "verify", 3) == [("WY01-STAFF1", "WY01-STAFF2", "WY01-STAFF3", STREET)]
    assert units(story, facts.ClockRung) == [("verify", 3, STREET_UNIT)]


def test_a_late_closing_is_told_to_the_leaf_of_the_place_and_charged_to_it():
    story = Story(rules(("close", "1工作时"))).reported(BARE).accepted().handled()
    story.done("verification.recorded", MEMBER, at("03-02 10:00"), outcome="solved")
    story.until(at("03-02 12:00"))
    assert told(story, "close", 4) == [(MEMBER, LEAF_CHIEF)]
    story.done("incident.closed", CENTRE)
    assert units(story, facts.ClockRung) == [("close", 4, LEAF_UNIT)]
    assert ("close", 4, LEAF_UNIT) in units(story, facts.ClockStopped)


def test_a_rectification_is_due_to_who_ordered_it():
    story = Story(rules()).reported(OUTLET).accepted(DISTRICT)
    story.done("incident.dispatched", DISTRICT, lead="WY-URBAN")
    story.done("rectification.ordered", "WY-URBAN-H", at("03-02 10:00"), stage=1, limit="1工作时")
    story.done("incident.dispatched", DISTRICT, lead="WY-GREEN")
    story.until(at("03-02 12:00"))
    assert units(story, facts.ClockRung) == [("rectify", 1, URBAN)]
    assert told(story, "rectify", 1) == [("WY-URBAN-H", DISTRICT)]


def test_the_packs_limit_of_a_rectification_is_that_of_the_level_that_orders_it_whatever_its_stage():
    """Stage 3 of an order by a department of level 2."""
    rows = (LimitRow("rectify", parse_limit("3工作时"), level=2), LimitRow("rectify", parse_limit("9工作时"), level=3))
    story = Story(changed(rules(), limits=rows)).reported(OUTLET).accepted(DISTRICT)
    story.done("incident.dispatched", DISTRICT, lead="WY-URBAN")
    story.done("rectification.ordered", "WY-URBAN-H", at("03-02 10:00"), stage=3)
    clock = story.case.clock("rectify", 3)
    assert clock is not None and clock.limit == "3工作时"


def test_an_ordered_rectification_has_an_outcome_without_any_limit():
    story = Story(changed(rules(), limits=())).reported(OUTLET).accepted(DISTRICT)
    story.done("rectification.ordered", DISTRICT, stage=1)
    story.done("rectification.completed", DISTRICT, stage=1)
    [stopped] = [fact for fact in story.history(facts.ClockStopped) if fact.clock == "rectify"]
    assert stopped.result == "without_deadline"


def test_who_missed_a_deadline_and_gets_the_work_back_is_late_and_has_missed_it_once():
    """It is told again that it is late, and what it does is overdue; the miss of before stands and is no second one."""
    story = at_work(rules(("handle", "2紧急工作时")), OUTLET, DISTRICT)
    story.done("incident.dispatched", DISTRICT, at("03-02 09:00"), lead="WY-URBAN")
    story.until(at("03-02 12:00"))
    story.done("incident.returned", "WY-URBAN-H", at("03-02 12:00"), reason="not_our_duty")
    story.done("incident.dispatched", DISTRICT, at("03-02 13:00"), lead="WY-URBAN")
    [started] = [f for f in story.facts if isinstance(f, facts.ClockStarted) and f.clock == "handle"]
    assert (started.again, started.due) == (True, at("03-02 13:00"))
    story.until(at("03-02 14:00"))
    assert told(story, "handle", 2) == [("WY-URBAN-H", DISTRICT)] * 2
    assert units(story, facts.ClockRung) == [("handle", 2, URBAN)]
    story.done("handling.completed", "WY-URBAN-H", at("03-02 15:00"))
    stopped = [(f.result, f.lapsed, f.again) for f in story.history(facts.ClockStopped) if f.clock == "handle"]
    assert stopped == [("passed_on", True, False), ("overdue", False, True)]
    assert decode(encode(story.case)) == story.case and story.case.again == ()


def test_who_was_on_time_so_far_and_gets_nothing_back_misses_its_deadline_once():
    story = at_work(rules(("handle", "2紧急工作时")), OUTLET, DISTRICT)
    story.done("incident.dispatched", DISTRICT, at("03-02 09:00"), lead="WY-URBAN")
    story.done("incident.returned", "WY-URBAN-H", at("03-02 11:00"), reason="not_our_duty")
    story.done("incident.dispatched", DISTRICT, at("03-02 13:00"), lead="WY-URBAN")
    story.until(at("03-02 14:00"))
    assert units(story, facts.ClockRung) == [("handle", 2, URBAN)]


def test_another_deadline_that_is_ordered_can_be_missed_again():
    story = at_work(rules(("handle", "2紧急工作时")), OUTLET, DISTRICT)
    story.done("incident.dispatched", DISTRICT, at("03-02 09:00"), lead="WY-URBAN")
    story.until(at("03-02 12:00"))
    story.done("incident.returned", "WY-URBAN-H", at("03-02 12:00"), reason="not_our_duty")
    story.done("incident.dispatched", DISTRICT, at("03-02 13:00"), lead="WY-URBAN")
    story.done("case.deadline_ordered", DISTRICT, at("03-02 13:10"), clock="handle", due="2026-03-02T14:00:00+08:00")
    story.until(at("03-02 15:00"))
    assert units(story, facts.ClockRung) == [("handle", 2, URBAN)] * 2


def test_the_whole_case_is_charged_to_who_held_it_longest_before_it_was_due():
    story = at_work(rules(("total", "6紧急工作时")), SEWERS, CITY, "03-02 08:00")
    story.done("handling.completed", CITY, at("03-02 09:00"))
    story.done("verification.recorded", DISTRICT, at("03-02 10:30"), outcome="solved")
    story.until(at("03-02 15:00"))
    assert units(story, facts.ClockRung) == [("total", 0, STREET_UNIT)]


def test_of_two_with_equal_shares_the_last_one_is_charged():
    story = at_work(rules(("handle", "4紧急工作时")), OUTLET, DISTRICT)
    story.done("incident.dispatched", DISTRICT, at("03-02 09:00"), lead="WY-URBAN")
    story.done("incident.dispatched", DISTRICT, at("03-02 11:00"), lead="WY-GREEN")
    story.until(at("03-02 14:00"))
    assert units(story, facts.ClockRung) == [("handle", 2, GREEN)]


def test_a_department_that_had_the_work_for_a_quarter_of_an_hour_is_not_charged_with_the_others_hours():
    story = at_work(rules(("handle", "4紧急工作时")), OUTLET, DISTRICT)
    story.done("incident.dispatched", DISTRICT, at("03-02 09:00"), lead="WY-URBAN")
    story.done("incident.dispatched", DISTRICT, at("03-02 12:45"), lead="WY-GREEN")
    story.until(at("03-02 14:00"))
    assert told(story, "handle", 2) == [("WY-GREEN-H", DISTRICT)]
    assert units(story, facts.ClockRung) == [("handle", 2, URBAN)]


def test_an_alert_says_whose_clock_it_is_where_that_is_not_the_owner_s():
    """Who has handled it owns it still: a late check, and an order of somebody else, are not that department's."""
    story = Story(rules(("handle", "2紧急工作时"), ("verify", "2工作时"))).reported(OUTLET).accepted(DISTRICT)
    story.done("incident.dispatched", DISTRICT, at("03-02 09:00"), lead="WY-URBAN")
    story.done("rectification.ordered", DISTRICT, at("03-02 09:00"), stage=1, limit="1工作时")
    story.until(at("03-02 12:00"))
    story.done("handling.completed", "WY-URBAN-H", at("03-02 12:00"))
    story.until(at("03-02 17:00"))
    whose = {fact.clock: fact.unit for fact in story.history(facts.AlertRaised)}
    assert whose == {"handle": None, "rectify": DISTRICT_UNIT, "verify": STREET_UNIT}
    assert {step.department for step in story.steps[3:]} == {"WY-URBAN"}


# ---- what arrives later -----------------------------------------------------------------------------------


def lapsed_under_urban() -> Story:
    story = at_work(rules(("handle", "4紧急工作时")), OUTLET, DISTRICT)
    story.done("incident.dispatched", DISTRICT, at("03-02 09:00"), lead="WY-URBAN")
    story.until(at("03-02 14:00"))
    assert units(story, facts.ClockRung) == [("handle", 2, URBAN)]
    return story


def test_an_order_from_above_that_came_before_the_deadline_charges_who_had_the_work_by_then():
    story = lapsed_under_urban()
    story.done("incident.dispatched", DISTRICT, at("03-02 15:00"), occurred=at("03-02 09:30"), lead="WY-GREEN")
    assert story.one(facts.ClockRecharged) == facts.ClockRecharged(
        clock="handle", level=2, cycle=0, target=0, charged=GREEN
    )
    story.done("handling.completed", "WY-GREEN-H", at("03-02 16:00"))
    assert ("handle", 2, GREEN) in units(story, facts.ClockStopped)


def test_a_return_that_names_an_instant_before_the_deadline_leaves_the_lapse_where_it_is():
    story = lapsed_under_urban()
    story.done("incident.returned", "WY-URBAN-H", at("03-02 15:00"), occurred=at("03-02 09:30"), reason="not_our_duty")
    assert not story.of(facts.ClockRecharged) and not story.of(facts.ClockContradicted)
    stopped = next(fact for fact in story.of(facts.ClockStopped) if fact.clock == "handle")
    assert (stopped.result, stopped.lapsed, stopped.charged) == ("passed_on", True, URBAN)


def test_an_order_after_the_deadline_charges_nobody_else():
    story = lapsed_under_urban()
    story.done("incident.dispatched", DISTRICT, at("03-02 15:00"), lead="WY-GREEN")
    assert not story.of(facts.ClockRecharged)
    story.done("handling.completed", "WY-GREEN-H", at("03-09 16:00"))
    assert ("handle", 2, URBAN) in units(story, facts.ClockStopped)


def test_who_neither_held_the_work_nor_stands_above_takes_no_lapse_back():
    """A reporter that withdraws: the street was late, whatever instant the reporter names."""
    story = Story(rules(("accept", "1工作时"))).found(DUST, at("03-02 09:00"))
    story.done("dissuasion.recorded", MEMBER, at("03-02 09:00"), outcome="ineffective")
    story.done("incident.reported_up", MEMBER, at("03-02 09:00"))
    story.until(at("03-02 11:00"))
    story.done("incident.withdrawn", MEMBER, at("03-02 11:00"), occurred=at("03-02 09:30"))
    stopped = next(fact for fact in story.of(facts.ClockStopped) if fact.clock == "accept")
    assert (stopped.result, stopped.lapsed, stopped.charged) == ("void", True, STREET_UNIT)


# ---- the ledger -------------------------------------------------------------------------------------------


def bounce(story: Story, department: str, begin: str, end: str) -> int:
    """A department gets the case and returns it. The deadline that it had."""
    story.done("incident.dispatched", DISTRICT, at(begin), lead=department)
    clock = story.case.clock("handle")
    assert clock is not None and clock.due is not None
    story.done("incident.returned", f"{department}-H", at(end), reason="not_our_duty")
    return clock.due


def test_ping_pong_between_two_departments_buys_nobody_a_minute():
    story = at_work(rules(("handle", "4紧急工作时")), OUTLET, DISTRICT)
    story.done("incident.returned", DISTRICT, at("03-02 09:00"), reason="insufficient")
    story.done("incident.reassigned", CENTRE, at("03-02 09:00"), to_grid="WY")
    dues = []
    for hour in (9, 11, 13, 15):
        dues.append(bounce(story, "WY-URBAN", f"03-02 {hour:02}:00", f"03-02 {hour + 1}:00"))
        dues.append(bounce(story, "WY-GREEN", f"03-02 {hour + 1}:00", f"03-02 {hour + 2}:00"))
    first, second = dues[::2], dues[1::2]
    assert first == [at("03-02 13:00"), at("03-02 14:00"), at("03-02 15:00"), at("03-02 16:00")]
    assert second == [at("03-02 14:00"), at("03-02 15:00"), at("03-02 16:00"), at("03-02 17:00")]
    story.done("incident.dispatched", DISTRICT, at("03-02 17:00"), lead="WY-URBAN")
    story.until(at("03-02 17:01"))  # its four hours are used up
    assert units(story, facts.ClockRung) == [("handle", 2, URBAN)]


def test_who_gives_himself_the_case_anew_has_no_new_budget():
    story = at_work(rules(("handle", "4紧急工作时")), BARE, STREET)
    story.done("incident.reassigned", CENTRE, at("03-02 11:00"), to_grid="WY01")
    story.done("incident.accepted", STREET, at("03-02 12:00"))
    clock = story.case.clock("handle")
    assert clock is not None and clock.due == at("03-02 14:00")


def test_a_new_cycle_has_a_new_budget():
    story = at_work(rules(("handle", "4紧急工作时")), BARE, STREET)
    story.done("incident.reassigned", CENTRE, at("03-02 11:00"), to_grid="WY01")
    story.done("incident.accepted", STREET, at("03-02 12:00"))
    story.done("handling.completed", STREET, at("03-02 13:00"))
    story.done("verification.recorded", MEMBER, at("03-02 13:30"), outcome="unsolved")
    assert story.case.ledger == ()
    story.done("incident.accepted", STREET, at("03-02 14:00"))
    clock = story.case.clock("handle")
    assert clock is not None and clock.due == at("03-02 18:00")


# ---- checks from the top down -----------------------------------------------------------------------------


def checked_from_the_top() -> Story:
    """Handled by the city at ten; each level below has two hours for its check."""
    story = at_work(rules(("verify", "2紧急工作时")), SEWERS, CITY)
    story.done("handling.completed", CITY, at("03-02 10:00"))
    return story


def test_each_level_checks_on_a_clock_of_its_own():
    story = checked_from_the_top()
    assert [(c.level, c.due) for c in story.case.clocks if c.name == "verify"] == [(2, at("03-02 12:00"))]
    story.done("verification.recorded", DISTRICT, at("03-02 11:00"), outcome="solved")
    assert [(c.level, c.due) for c in story.case.clocks if c.name == "verify"] == [(3, at("03-02 13:00"))]


def test_a_level_that_does_not_check_loses_its_turn_and_owes_its_check():
    story = checked_from_the_top()
    story.until(at("03-02 12:30"))
    assert story.one(facts.TurnPassed) == facts.TurnPassed(level=2)
    assert (story.case.state, story.case.checks, story.case.passed) == ("feedback", (2, 3, 4), (2,))
    assert {c.level: c.due for c in story.case.clocks if c.name == "verify"} == {
        2: at("03-02 12:00"),
        3: at("03-02 14:00"),
    }
    story.done("verification.recorded", DISTRICT, at("03-02 13:00"), outcome="solved")
    stopped = story.one(facts.ClockStopped)
    assert (stopped.level, stopped.result, stopped.charged) == (2, "overdue", DISTRICT_UNIT)
    assert story.case.checks == (3, 4)


def test_the_last_level_waits_no_longer_than_the_limits_above_it():
    story = checked_from_the_top()
    story.parked("verification.recorded", MEMBER, at("03-02 11:00"), outcome="solved")
    story.until(at("03-02 14:00") + 1)
    assert (story.case.state, story.case.passed) == ("verified", (2, 3))
    assert units(story, facts.ClockRung) == [("verify", 2, DISTRICT_UNIT), ("verify", 3, STREET_UNIT)]


def test_a_check_that_is_owed_may_be_recorded_until_the_case_is_closed():
    story = checked_from_the_top()
    story.until(at("03-02 15:00"))
    story.done("verification.recorded", MEMBER, at("03-02 15:00"), outcome="solved")
    story.done("verification.recorded", STAFF, at("03-02 15:30"), outcome="solved")
    assert story.case.state == "verified"
    story.done("incident.closed", MEMBER, at("03-02 16:00"))
    results = {(f.level, f.result, f.lapsed) for f in story.history(facts.ClockStopped) if f.clock == "verify"}
    assert results == {(2, "void", True), (3, "overdue", False), (4, "on_time", False)}
    story.refused(Reason.IMPOSSIBLE, "verification.recorded", DISTRICT, outcome="solved")


def test_a_check_in_time_that_arrives_late_was_in_time_though_the_turn_has_passed():
    story = checked_from_the_top()
    story.until(at("03-02 12:30"))
    story.done("verification.recorded", DISTRICT, at("03-02 13:00"), occurred=at("03-02 11:30"), outcome="solved")
    assert story.one(facts.ClockContradicted).level == 2
    assert (story.one(facts.ClockStopped).result, story.case.passed) == ("on_time", (2,))


def test_a_level_that_owes_no_check_is_refused():
    story = Story(rules(("verify", "2紧急工作时"))).reported(OUTLET).accepted(DISTRICT).handled(DISTRICT)
    for actor in (CITY, DISTRICT):
        refused = story.refused(Reason.IMPOSSIBLE, "verification.recorded", actor, outcome="solved")
        assert (refused.field, "owing: 3, 4" in refused.detail) == ("actor", True)


def test_a_level_checks_once():
    story = checked_from_the_top()
    story.done("verification.recorded", DISTRICT, at("03-02 11:00"), outcome="solved")
    story.refused(Reason.IMPOSSIBLE, "verification.recorded", DISTRICT, outcome="solved")


def test_the_deciding_check_is_waited_for_without_end():
    story = checked_from_the_top()
    story.until(at("03-05 10:00"))
    assert (story.case.state, story.case.passed) == ("verifying", (2, 3))
    assert [unit for _, level, unit in units(story, facts.ClockRung) if level == 4] == [LEAF_UNIT]


def test_unsolved_ends_what_was_owed():
    story = checked_from_the_top()
    story.until(at("03-02 15:00"))
    story.done("verification.recorded", MEMBER, at("03-02 15:00"), outcome="unsolved")
    results = {(f.level, f.result) for f in story.of(facts.ClockStopped)}
    assert results == {(2, "void"), (3, "void"), (4, "on_time")}
    assert (story.case.checks, story.case.passed, story.case.state) == ((), (), "reported")


def test_where_the_pack_gives_no_time_for_checks_each_is_waited_for():
    story = Story(rules()).reported(SEWERS).accepted(CITY).handled(CITY)
    story.until(at("03-20 10:00"))
    assert (story.case.state, story.case.passed) == ("feedback", ())


# ---- cases of earlier releases ----------------------------------------------------------------------------


def older(story: Story) -> Story:
    """The same case as a release left it that knew no holders."""
    case = decode(encode(story.case))
    case.holdings = case.ledger = case.ordered = case.charges = ()
    story.case = case
    return story


def test_a_clock_that_an_earlier_release_started_is_due_to_its_level_and_its_owners_department():
    story = older(at_work(rules(("handle", "4工作时")), OUTLET, DISTRICT))
    story.case = evolve(story.case, facts.Assigned(grid="WY", level=2, department="WY-URBAN"))
    story.until(at("03-03 12:00"))
    assert units(story, facts.ClockRung) == [("handle", 2, URBAN)]


def test_a_check_that_an_earlier_release_awaits_from_the_leaf_runs_until_the_next_one():
    """That release ran one clock for all checks, at the level of the leaf."""
    story = checked_from_the_top()
    clocks = [c for c in story.case.clocks if c.name != "verify"]
    old = next(c for c in story.case.clocks if c.name == "verify")
    story = older(story)
    story.case.clocks = (
        *clocks,
        structs.replace(old, level=4),
    )
    story.until(at("03-02 13:00"))
    assert (story.case.state, story.case.passed) == ("feedback", ())
    story.done("verification.recorded", DISTRICT, at("03-02 13:00"), outcome="solved")
    assert [c.level for c in story.case.clocks if c.name == "verify"] == [3]


def test_what_an_earlier_release_wrote_is_the_same_bytes():
    body = b'{"id":"a","definition":"incident","state":"handling","path":["XA","WY"],"checks":[2]}'
    assert encode(decode(body)) == body


# ---- bounds -----------------------------------------------------------------------------------------------


def test_the_number_of_holders_that_a_case_remembers_is_bounded():
    case = Case(id="a")
    for number in range(200):
        case = evolve(case, facts.Held(unit=Unit(f"/G{number}/"), since=number))
    assert (len(case.holdings), case.holdings[0].since, case.holdings[-1].unit) == (64, 0, Unit("/G199/"))


def test_a_case_of_the_hotline_that_is_merged_is_charged_to_its_holder():
    story = Story(rules(("total", "3工作日"))).reported(BARE)
    story.another(9)
    story.done("incident.merged", STREET, into=subject(number=9))
    assert units(story, facts.ClockStopped) == [("total", 0, STREET_UNIT)]

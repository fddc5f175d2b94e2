"""More time, and putting a case aside, are asked for by who holds it and decided above (申请与批准)."""

from typing import Any

import pytest
from msgspec.structs import replace

from schemas import facts
from schemas.refusals import Reason
from tests.support.builders import BARE, CENTRE, DISTRICT, HOTLINE, STREET, Story, at, changed, instant, weiyang
from workflows.case import Clock
from workflows.policy.model import LimitRow

URBAN = "WY-URBAN-H"
OFFICE = "WY-OFFICE"
LATER = instant(at("03-09 09:00"))
LATER_STILL = instant(at("03-12 09:00"))


def at_work(definition: str = "incident") -> Story:
    """A case that the street has taken on; it handles it within days."""
    story = Story().reported(BARE, definition=definition)
    return story.accepted()


def dispatched() -> Story:
    """A case that a department handles."""
    story = at_work()
    story.done("incident.dispatched", STREET, lead="WY-URBAN")
    return story


def handling(story: Story) -> Clock:
    """Its clock of handling."""
    clock = story.case.clock("handle")
    assert clock is not None and clock.due is not None
    return clock


def ask(story: Story, by: str = URBAN, **data: Any) -> None:
    """Ask for more time to handle it."""
    story.done("extension.requested", by, reason="weather", **({"due": LATER} | data))


def test_more_time_is_asked_for_and_granted_as_it_was_asked_for() -> None:
    story = dispatched()
    before = handling(story)
    ask(story)
    assert handling(story) == before, "asking moves nothing"
    [made] = story.case.proposals
    assert (made.what, made.by, made.clock, made.due) == ("extension", URBAN, "handle", at("03-09 09:00"))
    story.done("extension.granted", DISTRICT)
    assert handling(story).due == at("03-09 09:00") and not story.case.proposals
    decided = story.one(facts.ProposalDecided)
    assert (decided.granted, decided.by, decided.clock) == (True, DISTRICT, "handle")
    assert story.one(facts.ClockRetargeted).why == "ordered"


def test_another_deadline_may_be_granted_than_the_one_that_was_asked_for() -> None:
    story = dispatched()
    ask(story)
    story.done("extension.granted", DISTRICT, due=LATER_STILL)
    assert handling(story).due == at("03-12 09:00")


def test_a_limit_may_be_asked_for_instead_of_an_instant() -> None:
    story = dispatched()
    limit = handling(story).limit
    ask(story, due=None, limit="30工作日")
    story.done("extension.granted", DISTRICT)
    assert handling(story).limit != limit and handling(story).limit == "30工作日"


def test_what_is_refused_leaves_the_deadline_and_may_be_asked_for_again() -> None:
    story = dispatched()
    before = handling(story)
    ask(story)
    story.done("extension.refused", DISTRICT)
    assert handling(story) == before and not story.case.proposals
    ask(story)
    assert len(story.case.proposals) == 1


def test_who_asks_again_replaces_what_he_asked_for() -> None:
    story = dispatched()
    ask(story)
    ask(story, due=LATER_STILL)
    [made] = story.case.proposals
    assert made.due == at("03-12 09:00")


def test_more_time_is_asked_for_before_the_deadline() -> None:
    story = dispatched()
    due = handling(story).due
    assert due is not None
    refusal = story.refused(
        Reason.IMPOSSIBLE, "extension.requested", URBAN, due + 60_000, reason="funds", due=instant(due + 86_400_000)
    )
    assert refusal.field == "data.clock"


def test_a_deadline_that_passes_while_nobody_decides_is_missed_and_what_is_granted_then_does_not_undo_it() -> None:
    story = dispatched()
    due = handling(story).due
    assert due is not None
    story.now = due - 120_000
    ask(story, due=instant(due + 3 * 86_400_000))
    story.done("extension.granted", DISTRICT, due + 60_000)
    assert any(ring.breach and ring.clock == "handle" for ring in story.history(facts.ClockRung))
    assert not story.history(facts.ClockContradicted)
    assert handling(story).due == due + 3 * 86_400_000


def test_what_was_asked_for_is_no_deadline_any_more_once_it_has_passed() -> None:
    story = dispatched()
    due = handling(story).due
    assert due is not None
    story.now = due - 120_000
    ask(story, due=instant(due + 60_000))
    refusal = story.refused(Reason.INVALID, "extension.granted", DISTRICT, due + 120_000)
    assert refusal.field == "data.due"
    story.done("extension.granted", DISTRICT, due=instant(due + 86_400_000))


@pytest.mark.parametrize(
    ("data", "field"),
    [
        ({}, "data"),
        ({"due": LATER, "limit": "9工作日"}, "data"),
        ({"due": instant(at("03-02 10:00"))}, "data.due"),
        ({"limit": "1紧急工作时"}, "data.limit"),
        ({"limit": "9 moons"}, "data.limit"),
        ({"due": LATER, "clock": "accept"}, "data.clock"),
    ],
)
def test_what_cannot_be_meant_is_refused_by_its_field(data: dict[str, Any], field: str) -> None:
    story = dispatched()
    refusal = story.refused(Reason.INVALID, "extension.requested", URBAN, reason="other", **data)
    assert refusal.field == field


def test_a_clock_without_a_deadline_cannot_be_put_off() -> None:
    story = Story(changed(weiyang(), limits=(LimitRow("handle", weiyang().pack.limits[0].limit),))).reported(BARE)
    story.accepted()
    refusal = story.refused(Reason.IMPOSSIBLE, "extension.requested", STREET, reason="other", clock="total", due=LATER)
    assert "no deadline" in refusal.detail


def test_nobody_decides_what_he_asked_for_himself_and_nobody_below_decides() -> None:
    story = at_work()
    ask(story, STREET)
    refusal = story.refused(Reason.FORBIDDEN, "extension.granted", STREET)
    assert (refusal.field, "who asked" in refusal.detail) == ("actor", True)
    story.done("extension.granted", DISTRICT)
    above = at_work()
    above.done("incident.escalated", STREET, reason="coordination")
    above.accepted(DISTRICT)
    ask(above, DISTRICT)
    assert above.refused(Reason.FORBIDDEN, "extension.granted", STREET).field == "actor"
    assert above.refused(Reason.FORBIDDEN, "extension.granted", OFFICE).field == "actor", "beside, and no chief"
    above.done("extension.granted", "XA-CHIEF")


def test_the_chief_decides_what_a_post_of_his_own_grid_asks_for() -> None:
    story = at_work()
    ask(story, "WY01-STAFF1")
    story.done("extension.granted", STREET)


def test_where_nothing_is_asked_for_nothing_is_decided() -> None:
    story = dispatched()
    for trigger in ("extension.granted", "extension.refused", "suspension.granted", "suspension.refused"):
        assert story.refused(Reason.IMPOSSIBLE, trigger, DISTRICT).field == "type"
    story.done("extension.requested", URBAN, reason="weather", clock="total", limit="60工作日")
    assert story.refused(Reason.IMPOSSIBLE, "extension.granted", DISTRICT).field == "data.clock"


def test_a_case_is_put_aside_for_the_reason_that_was_given_and_its_clock_keeps_what_is_left() -> None:
    story = dispatched()
    story.done("suspension.requested", URBAN, reason="season", until=LATER)
    assert story.case.state == "handling"
    story.done("suspension.granted", DISTRICT)
    assert (story.case.state, story.case.suspended_until) == ("suspended", at("03-09 09:00"))
    suspended = story.one(facts.Suspended)
    assert (suspended.reason, suspended.was) == ("season", "handling")
    assert story.case.clock("handle").since is None  # type: ignore[union-attr]
    assert not story.case.proposals
    story.until(at("03-09 09:01"))
    assert story.case.state == "handling" and handling(story).since is not None


def test_a_day_that_has_passed_is_not_granted_unless_another_one_is_named() -> None:
    story = dispatched()
    story.done("suspension.requested", URBAN, reason="funds", until=instant(story.now + 600_000))
    when = story.now + 3_600_000
    assert story.refused(Reason.INVALID, "suspension.granted", DISTRICT, when).field == "data.until"
    story.done("suspension.granted", DISTRICT, until=LATER)
    assert story.case.suspended_until == at("03-09 09:00")


def test_what_is_asked_for_ends_when_another_takes_the_case_over() -> None:
    ways: tuple[tuple[str, str, dict[str, Any]], ...] = (
        ("incident.returned", URBAN, {"reason": "not_our_duty"}),
        ("incident.reassigned", CENTRE, {"to_grid": "WY02"}),
        ("handling.completed", URBAN, {}),
    )
    for said, by, data in ways:
        story = dispatched()
        ask(story)
        story.done("suspension.requested", URBAN, reason="season")
        story.done(said, by, **data)
        assert not story.case.proposals, said


def test_what_is_asked_for_a_clock_ends_with_its_deadline_and_the_rest_stands() -> None:
    story = dispatched()
    ask(story)
    story.done("suspension.requested", URBAN, reason="season")
    story.done("deadline.ordered", DISTRICT, clock="handle", due=LATER_STILL)
    assert [made.what for made in story.case.proposals] == ["suspension"]


def test_all_that_is_asked_for_ends_with_the_case() -> None:
    story = dispatched()
    ask(story)
    ask(story, clock="total", due=instant(at("04-20 09:00")))
    assert len(story.case.proposals) == 2
    story.done("incident.force_closed", DISTRICT, reason="policy")
    assert not story.case.proposals


def test_who_may_decide_is_told_and_who_asked_hears_the_decision() -> None:
    story = dispatched()
    ask(story)
    asked = story.one(facts.NoticeGiven)
    assert asked.on == "asked" and DISTRICT in asked.to and URBAN not in asked.to
    story.done("extension.refused", DISTRICT)
    decided = [notice for notice in story.of(facts.NoticeGiven) if notice.on == "decided"]
    assert decided and URBAN in decided[0].to and DISTRICT not in decided[0].to


def test_a_service_request_is_put_off_and_put_aside_in_the_same_way() -> None:
    story = Story()
    story.done(
        "report.submitted", HOTLINE, category=BARE, source="hotline", definition="service_request", grid="WY01-01"
    )
    story.done("incident.dispatched", STREET, lead="WY-URBAN")
    ask(story)
    story.done("extension.granted", DISTRICT)
    assert handling(story).due == at("03-09 09:00")
    story.done("suspension.requested", URBAN, reason="engineering")
    story.done("suspension.granted", DISTRICT)
    assert story.case.state == "suspended"


def test_a_pack_bounds_the_clocks_whose_deadlines_a_role_may_put_off() -> None:
    known = weiyang().pack.roles
    granting = next(row for row in known if row.trigger == "extension.granted")
    others = (row for row in known if row.trigger != granting.trigger)
    rules = changed(weiyang(), roles=(*others, replace(granting, deadlines=("total",))))
    story = Story(rules).reported(BARE).accepted()
    ask(story, STREET)
    assert story.refused(Reason.FORBIDDEN, "extension.granted", DISTRICT).field == "data.clock"

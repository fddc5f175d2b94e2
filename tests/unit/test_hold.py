"""What was past when it became known is told a little later, and nothing is told at night that may wait.

A rung's fact keeps its own instant; only the telling waits, from the arrival of the record that released it.
"""

from __future__ import annotations

from typing import Any

import pytest

from schemas import facts
from tests.support.builders import (
    BARE,
    DUST,
    HOTLINE,
    HOUR,
    LEAF,
    MEMBER,
    STREET,
    Story,
    at,
    changed,
    in_the_field,
)
from workflows.clocks.limits import parse_limit
from workflows.policy.index import Policy
from workflows.policy.model import LimitRow, RungRow

MINUTE = 60_000
HOLD = 2 * MINUTE
CLOCKS = ("dissuade", "report", "handle")
LADDER = tuple(RungRow(clock, "due", "at", tell=("holder_chief",)) for clock in CLOCKS)


def rules(**options: Any) -> Policy:
    """Half an hour to dissuade, an hour to report, four hours to handle; two minutes of hold, and a quiet night.

    It has no notices, so a case that goes in circles raises an alert.
    """
    limits = zip(CLOCKS, ("0.5紧急工作时", "1紧急工作时", "4紧急工作时"), strict=True)
    options = {"quiet_from": 22 * 60, "quiet_to": 7 * 60, "quiet_exempt": (), "hold_ms": HOLD, **options}
    rows = tuple(LimitRow(clock, parse_limit(text)) for clock, text in limits)
    return changed(options=options, limits=rows, rungs=LADDER, roles=in_the_field(), notices=())


def raised(story: Story) -> list[tuple[str, int, int | None]]:
    """Each alert so far: its clock, the instant that it is dated, and until when its telling waits."""
    return [(fact.clock, fact.due_at, fact.not_before) for fact in story.history(facts.AlertRaised)]


def found_late(arrival: int, **options: Any) -> Story:
    """Found two hours ago by a phone that comes back at an instant."""
    story = Story(rules(**options))
    story.done("report.submitted", MEMBER, arrival, occurred=arrival - 2 * HOUR, category=DUST, source="patrol")
    return story


def test_what_was_past_when_it_was_known_is_held_from_its_arrival():
    story = found_late(at("03-02 11:00"))
    armed = {fact.clock: fact.armed for fact in story.of(facts.ClockStarted)}
    assert armed == {"dissuade": at("03-02 11:00"), "total": None}
    story.until(at("03-02 11:00") + 1)
    assert raised(story) == [("dissuade", at("03-02 09:30"), at("03-02 11:00") + 1 + HOLD)]


def test_what_falls_due_later_is_told_at_once():
    story = Story(rules()).found(when=at("03-02 09:00"))
    story.until(at("03-02 10:00"))
    assert raised(story) == [("dissuade", at("03-02 09:30"), None)]


def test_only_the_rung_that_was_past_is_held_and_those_after_it_are_told_at_once():
    ladder = (*LADDER, RungRow("dissuade", "overdue", "after", parse_limit("2紧急工作时"), tell=("holder_chief",)))
    story = Story(changed(rules(), rungs=ladder))
    story.done(
        "report.submitted", MEMBER, at("03-02 11:00"), occurred=at("03-02 09:00"), category=DUST, source="patrol"
    )
    story.until(at("03-02 12:00"))
    held, later = raised(story)
    assert held[2] is not None and later == ("dissuade", at("03-02 11:30"), None)
    assert story.case.armed == ()


@pytest.mark.parametrize("hold", [0, HOLD])
def test_a_pack_without_a_hold_tells_at_once(hold):
    story = found_late(at("03-02 11:00"), hold_ms=hold)
    story.until(at("03-02 11:00") + 1)
    ((_, _, waits),) = raised(story)
    assert (waits is None) == (hold == 0)


def test_nothing_rings_at_night_because_it_was_due_in_the_evening():
    """The phone comes back at 23:00 with what was due at 21:30."""
    story = found_late(at("03-02 23:00"))
    story.until(at("03-02 23:01"))
    assert raised(story) == [("dissuade", at("03-02 21:30"), at("03-03 07:00"))]


def test_nor_because_nothing_was_decided_all_evening():
    """Due at 20:30, and released at 23:30 only: the machine stood still."""
    story = Story(rules()).found(when=at("03-02 20:00"))
    story.until(at("03-02 23:30"))
    assert raised(story) == [("dissuade", at("03-02 20:30"), at("03-03 07:00"))]


def test_a_hold_that_ends_in_the_quiet_hours_lasts_until_their_end():
    story = found_late(at("03-02 21:59"))
    story.until(at("03-02 21:59") + 1)
    assert raised(story) == [("dissuade", at("03-02 20:29"), at("03-03 07:00"))]


def test_a_clock_that_is_exempt_rings_at_night():
    story = Story(rules(quiet_exempt=("dissuade",))).found(when=at("03-02 22:00"))
    story.until(at("03-02 23:30"))
    assert raised(story) == [("dissuade", at("03-02 22:30"), None)]


def test_facts_are_those_of_the_due_instant_whenever_it_was_released_but_for_how_long_the_telling_waits():
    early, late = (Story(rules()).found(when=at("03-02 20:00")) for _ in range(2))
    early.until(at("03-02 20:30") + 1)
    late.until(at("03-02 23:30"))
    (one,), (other,) = early.history(facts.ClockRung), late.history(facts.ClockRung)
    assert one == other
    assert [(c, at_) for c, at_, _ in raised(early)] == [(c, at_) for c, at_, _ in raised(late)]


def handled_at(when: str) -> Story:
    story = Story(rules())
    story.done("report.submitted", HOTLINE, at("03-02 09:00"), category=BARE, source="hotline", grid=LEAF)
    story.done("incident.accepted", STREET, at(when))
    return story


def test_a_clock_that_went_on_long_ago_and_is_known_now_to_be_late_is_held():
    story = handled_at("03-02 10:00")
    story.done("incident.suspended", STREET, at("03-02 11:00"), reason="funds")
    story.done("incident.resumed", STREET, at("03-03 10:00"), occurred=at("03-02 13:00"))
    resumed = story.one(facts.ClockResumed)
    assert (resumed.next, resumed.armed) == (at("03-02 16:00"), at("03-03 10:00"))
    story.until(at("03-03 10:01"))
    assert raised(story) == [("handle", at("03-02 16:00"), at("03-03 10:01") + HOLD)]


def test_a_limit_that_was_ordered_long_ago_and_is_known_now_is_held():
    story = handled_at("03-02 10:00")
    order = {"clock": "handle", "limit": "1紧急工作时"}
    story.done("deadline.ordered", "WY-CHIEF", at("03-02 12:00"), occurred=at("03-02 10:30"), **order)
    moved = story.one(facts.ClockRetargeted)
    assert (moved.next, moved.armed) == (at("03-02 11:00"), at("03-02 12:00"))
    assert story.case.known_due(at("03-02 11:00")) == at("03-02 12:00")


def test_what_is_done_or_suspended_before_it_fires_leaves_nothing_armed():
    for kind, data in (("dissuasion.recorded", {"outcome": "ineffective"}), ("incident.withdrawn", {})):
        story = found_late(at("03-02 11:00"))
        story.done(kind, MEMBER, at("03-02 11:00"), occurred=at("03-02 09:10"), **data)
        assert "dissuade" not in {late.clock for late in story.case.armed}, kind


def test_how_late_a_firing_is_counts_from_when_it_could_be_known():
    story = found_late(at("03-02 11:00"))
    due = at("03-02 09:30")
    assert (story.case.next_at, story.case.known_due(due)) == (due, at("03-02 11:00"))
    on_time = Story(rules()).found(when=at("03-02 09:00"))
    assert on_time.case.known_due(due) == due


def test_a_loop_alarm_of_the_night_waits_for_the_morning():
    story = Story(rules(loop_alarm=1))
    story.done("report.submitted", HOTLINE, at("03-02 09:00"), category=BARE, source="hotline", grid=LEAF)
    story.done("incident.accepted", STREET)
    story.done("handling.completed", STREET)
    story.done("verification.recorded", MEMBER, at("03-02 23:00"), occurred=at("03-02 20:00"), outcome="unsolved")
    (loop,) = [fact for fact in story.history(facts.AlertRaised) if fact.kind == "loop"]
    assert (loop.due_at, loop.not_before) == (at("03-02 20:00"), at("03-03 07:00"))

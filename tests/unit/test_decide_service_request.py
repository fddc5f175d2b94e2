"""The service request of a hotline on the same engine: report, handle, close; optional steps between."""

from __future__ import annotations

from typing import Any

import pytest

from schemas import facts
from schemas.refusals import Reason
from tests.support.builders import (
    BARE,
    CENTRE,
    DAY,
    DISTRICT,
    HOTLINE,
    HOUR,
    LEAF,
    MEMBER,
    STREET,
    Story,
    at,
    changed,
    instant,
    weiyang,
)
from workflows.policy.model import RoleRow

HANDLER = "WY-GREEN-H"
CLERK = changed(
    roles=(
        *weiyang().pack.roles,
        RoleRow("clerk", "incident.closed", "intake"),
        RoleRow("clerk-report", "report.submitted", "intake"),
    )
)
"""A pack whose hotline also closes, as a system of record does."""


def request(rules=CLERK, **data) -> Story:
    story = Story(rules)
    story.done(
        "report.submitted",
        HOTLINE,
        at("03-02 09:00"),
        category=BARE,
        source="hotline",
        grid=LEAF,
        definition="service_request",
        **data,
    )
    return story


def test_a_system_of_record_knows_only_an_opening_and_a_closing():
    story = request(department="WY-GREEN", deadline=instant(at("03-05 09:00")))
    assert (story.case.definition, story.case.state) == ("service_request", "reported")
    assert story.case.owner.department == "WY-GREEN"
    story.done("incident.closed", HOTLINE, at("03-04 09:00"))
    assert story.case.state == "closed"
    total = next(s for s in story.of(facts.ClockStopped) if s.clock == "total")
    assert (total.result, total.due, total.elapsed) == ("on_time", at("03-05 09:00"), 48 * 3_600_000)


@pytest.mark.parametrize(
    ("deadline", "closed", "result"),
    [
        (instant(at("03-05 09:00")), "03-05 09:00", "on_time"),
        (instant(at("03-05 09:00")), "03-05 09:01", "overdue"),
        (None, "03-25 09:00", "without_deadline"),
    ],
)
def test_an_ordered_deadline_decides_whether_it_was_on_time(deadline, closed, result):
    story = request(deadline=deadline)
    story.done("incident.closed", HOTLINE, at(closed))
    assert next(s.result for s in story.of(facts.ClockStopped) if s.clock == "total") == result


def test_a_request_past_its_target_gets_one_due_rung_at_its_target():
    story = request(deadline=instant(at("03-05 09:00")))
    story.until(at("03-05 09:00"))
    assert not [r for r in story.history(facts.ClockRung) if r.breach and r.clock == "total"]
    story.until(at("03-30 09:00"))
    breaches = [r for r in story.history(facts.ClockRung) if r.breach and r.clock == "total"]
    assert [(r.rung, r.due_at) for r in breaches] == [("due", at("03-05 09:00"))]


def test_accepting_dispatching_arriving_and_handling_are_steps_on_the_way():
    story = request()
    states = []
    line: list[tuple[str, str, dict[str, Any]]] = [
        ("incident.accepted", STREET, {}),
        ("incident.dispatched", STREET, {"lead": "WY-GREEN"}),
        ("department.arrived", HANDLER, {"department": "WY-GREEN"}),
        ("handling.completed", HANDLER, {}),
        ("incident.closed", MEMBER, {}),
    ]
    for kind, actor, data in line:
        story.done(kind, actor, **data)
        states.append(story.case.state)
    assert states == ["handling", "handling", "handling", "handled", "closed"]
    assert {s.clock for s in story.history(facts.ClockStarted)} == {"accept", "total", "handle", "close"}


def test_no_check_on_site_is_asked_for():
    story = request().accepted().handled()
    story.refused(Reason.IMPOSSIBLE, "verification.recorded", MEMBER, outcome="solved")


def test_what_only_an_incident_has_is_refused():
    story = request()
    story.refused(Reason.IMPOSSIBLE, "incident.escalated", STREET, reason="coordination")
    story.refused(Reason.IMPOSSIBLE, "dissuasion.recorded", MEMBER, outcome="effective")


def test_side_lines_are_those_of_an_incident():
    story = request()
    story.done("incident.returned", STREET, reason="not_our_area")
    assert story.case.state == "returned"
    story.done("incident.reassigned", CENTRE, to_department="WY-EPB")
    story.done("incident.suspended", DISTRICT, reason="season")
    story.done("incident.resumed", DISTRICT)
    assert story.case.state == "reported"
    story.done("deadline.ordered", DISTRICT, limit="10工作日")
    story.done("incident.withdrawn", HOTLINE)
    assert story.case.state == "withdrawn"


def test_a_closing_that_comes_before_its_report_waits_for_it():
    story = Story(CLERK)
    story.parked("incident.closed", HOTLINE, at("03-02 10:00"), id="closing")
    result = story.done(
        "report.submitted",
        HOTLINE,
        at("03-02 10:01"),
        occurred=at("03-02 09:00"),
        category=BARE,
        source="hotline",
        grid=LEAF,
        definition="service_request",
    )
    assert [s.outcome for s in result.outcomes] == ["done", "done"]
    assert (story.case.state, story.case.closed) == ("closed", at("03-02 10:00"))


@pytest.mark.parametrize("asked", [False, True])
def test_a_suspension_pauses_the_clock_of_the_work_and_the_whole_case_runs_on(asked):
    """Put aside for a week by order, or as it was asked for: the week is consumed of no limit but the whole case's."""
    story = request(department="WY-GREEN").accepted(by=HANDLER)
    before, total = story.case.clock("handle"), story.case.clock("total")
    assert before is not None and before.due is not None and total is not None
    aside = before.started + 2 * HOUR
    if asked:
        story.done("suspension.requested", HANDLER, aside - HOUR, reason="season")
        story.done("suspension.granted", DISTRICT, aside)
    else:
        story.done("incident.suspended", STREET, aside, reason="season")
    paused = story.one(facts.ClockPaused)
    assert (paused.clock, paused.consumed, story.case.clock("total")) == ("handle", 2 * HOUR, total)
    story.until(aside + 7 * DAY)
    assert not [rung for rung in story.history(facts.ClockRung) if rung.clock == "handle"]
    story.done("incident.resumed", CENTRE, aside + 7 * DAY)
    story.done("incident.accepted", HANDLER, aside + 7 * DAY)
    again = story.case.clock("handle")
    assert again is not None and again.runs == ((before.started, aside),)
    assert again.due == before.due + 7 * DAY, "the same hour of the same weekday: a week later"


def test_a_transfer_gives_the_work_to_another_with_a_budget_of_its_own():
    story = request(department="WY-GREEN").accepted(by=HANDLER)
    story.done("incident.reassigned", CENTRE, story.now + HOUR, to_department="WY-EPB")
    stopped = {fact.clock: fact for fact in story.of(facts.ClockStopped)}
    assert (stopped["handle"].result, stopped["handle"].charged.department) == ("passed_on", "WY-GREEN")
    assert (story.case.state, story.case.owner.department) == ("reported", "WY-EPB")
    story.done("incident.accepted", "WY-EPB-H")
    [handle] = [fact for fact in story.of(facts.ClockStarted) if fact.clock == "handle"]
    assert handle.runs == () and handle.judged == story.now
    story.refused(Reason.FORBIDDEN, "handling.completed", HANDLER)
    story.done("handling.completed", "WY-EPB-H")

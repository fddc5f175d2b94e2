"""A closed service request is taken up again: what begins anew, what goes on, and that any figure closes it once."""

from __future__ import annotations

from typing import Any

import pytest

from engine.views.holders import held_spans, history_of
from engine.views.names import Names
from schemas import facts
from schemas.kinds import service_request
from schemas.members import Kind
from schemas.refusals import Reason
from tests.support.builders import (
    CENTRE,
    DAY,
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
from tests.support.histories import IN_THE_FIELD, MINUTE, Teller
from tests.unit.test_decide_service_request import CLERK, HANDLER, request
from tests.unit.test_fold import days, figures, measures, outcomes_of, reported
from workflows.case import TOTAL, Clock
from workflows.define import check_rows
from workflows.machine import State, Transition
from workflows.saying import sayable

OFFICE = "WY-OFFICE"
WHY: dict[str, Any] = {"reason": "dissatisfied"}


def closed_request(rules=CLERK, after: str = "03-03 09:00", **data: Any) -> Story:
    """One that is due on the fifth, and closed."""
    story = request(rules, **{"deadline": instant(at("03-05 09:00")), "department": "WY-GREEN"} | data)
    story.done("incident.closed", CENTRE, at(after))
    return story


def reopened(story: Story, when: str = "03-09 09:00", by: str = HOTLINE) -> Story:
    story.done("case.reopened", by, at(when), **WHY)
    return story


def total_of(story: Story) -> Clock:
    found = story.case.clock(TOTAL)
    assert found is not None
    return found


# ---- the case ----------------------------------------------------------------------------------------------


def test_it_goes_back_to_who_is_responsible_in_a_new_cycle():
    story = closed_request()
    before = story.case.owner
    told = reopened(story).one(facts.Reopened)
    assert (told.cycle, told.reason, told.by, told.judged) == (1, "dissatisfied", HOTLINE, at("03-09 09:00"))
    case = story.case
    assert (case.state, case.cycle, case.closed, case.owner) == ("reported", 1, None, before)
    assert (case.trail, case.handled_by, case.ended) == ((), "", None)
    story.done("incident.closed", CENTRE)
    assert (story.case.state, story.case.closed) == ("closed", story.now)


def test_the_clocks_of_a_cycle_begin_anew():
    story = closed_request(deadline=None)
    started = {fact.clock: fact for fact in reopened(story).of(facts.ClockStarted)}
    assert started.keys() == {TOTAL, "accept"}
    assert (started["accept"].cycle, started["accept"].runs, started["accept"].judged) == (1, (), at("03-09 09:00"))


def test_the_whole_case_goes_on_with_what_was_left_and_the_time_in_which_it_was_over_does_not_count():
    """Two days of ten working days were consumed; it was over for a week."""
    story = Story(CLERK).reported(definition="service_request")
    story.done("deadline.ordered", "XA-OFFICE", clock="total", limit="10工作日")
    due = total_of(story).due
    story.done("incident.closed", CENTRE, at("03-04 09:00"))
    story.done("case.reopened", HOTLINE, at("03-11 09:00"), **WHY)
    total = total_of(story)
    assert due == at("03-16 09:00") and total.due == at("03-23 09:00")
    assert (total.started, total.cycle, total.limit) == (story.case.opened, 1, "10工作日")
    story.done("incident.closed", CENTRE, at("03-12 09:00"))
    [stop] = [fact for fact in story.of(facts.ClockStopped) if fact.clock == TOTAL]
    assert (stop.result, stop.elapsed, stop.started) == ("on_time", 3 * DAY, story.case.opened)


def test_an_ordered_instant_moves_by_the_time_in_which_it_was_over():
    story = reopened(closed_request())
    assert total_of(story).due == at("03-05 09:00") + (at("03-09 09:00") - at("03-03 09:00"))
    again = reopened(closed_request(deadline=None))
    assert total_of(again).due is None


def test_however_often_it_is_taken_up_again_only_the_time_in_which_it_was_open_counts():
    story = closed_request()
    for day in (9, 16, 23):
        reopened(story, f"03-{day:02} 09:00")
        story.done("incident.closed", CENTRE, at(f"03-{day:02} 10:00"))
    stops = [fact for fact in story.history(facts.ClockStopped) if fact.clock == TOTAL]
    assert [stop.elapsed for stop in stops] == [DAY + number * HOUR for number in range(4)]
    assert [stop.cycle for stop in stops] == [0, 1, 2, 3] and {stop.result for stop in stops} == {"on_time"}
    assert stops[-1].due == at("03-23 09:00") + DAY * 2 - 2 * HOUR


def test_what_it_had_missed_is_one_miss_and_it_is_as_late_as_it_was():
    story = reopened(closed_request(after="03-06 09:00"))
    assert total_of(story).breached and total_of(story).due == at("03-08 09:00"), "it was a day late, and is"
    story.until(at("03-20 09:00"))
    assert any(rung.clock == TOTAL for rung in story.history(facts.ClockRung)), "who must act is told"
    story.done("incident.closed", CENTRE, at("03-20 09:00"))
    breaches = [rung for rung in story.history(facts.ClockRung) if rung.clock == TOTAL and rung.breach]
    assert len(breaches) == 1
    [stop] = [fact for fact in story.of(facts.ClockStopped) if fact.clock == TOTAL]
    assert (stop.result, stop.again, stop.lapsed) == ("overdue", True, False)


def test_the_whole_case_is_charged_to_who_had_it_while_it_was_open():
    """A department had it for six hours of two days, then it was over for a month, then the street had it."""
    story = closed_request(deadline=instant(at("03-04 09:00")), after="03-02 15:00")
    reopened(story, "04-02 15:00")
    story.done("incident.reassigned", CENTRE, to_grid="WY01")
    story.until(at("04-30 09:00"))
    [breach] = [rung for rung in story.history(facts.ClockRung) if rung.clock == TOTAL and rung.breach]
    assert breach.due == at("04-04 09:00") and breach.charged.department == ""


# ---- who may, and when ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("by", "may"),
    [(HOTLINE, True), (CENTRE, True), (OFFICE, True), ("WY-SUPERVISOR", True), (HANDLER, False), (STREET, False)],
)
def test_the_hotline_and_those_above_may_and_not_who_handled_it(by, may):
    story = closed_request()
    known = "case.reopened" in {each.trigger for each in sayable(story.case, CLERK.posts[by], CLERK, CLERK, story.now)}
    assert known is may
    if may:
        reopened(story, by=by)
    else:
        story.refused(Reason.FORBIDDEN, "case.reopened", by, **WHY)


@pytest.mark.parametrize(
    ("ends", "by", "data"),
    [
        ("incident.rejected", STREET, {"reason": "unfounded"}),
        ("incident.withdrawn", HOTLINE, {}),
        ("incident.force_closed", "XA-OFFICE", {"reason": "policy"}),
    ],
)
def test_only_what_was_closed_is_taken_up_again(ends, by, data):
    story = request()
    story.done(ends, by, **data)
    story.refused(Reason.IMPOSSIBLE, "case.reopened", HOTLINE, **WHY)


def test_an_incident_is_closed_when_it_is_solved_and_stays_so():
    story = Story().reported().accepted().handled()
    story.done("verification.recorded", MEMBER, outcome="solved")
    story.done("incident.closed", MEMBER)
    story.refused(Reason.IMPOSSIBLE, "case.reopened", HOTLINE, **WHY)
    assert story.case.ended is None


def test_two_desks_take_it_up_again_once():
    """What the second one says does not wait for the next end either: it would undo one that nobody had seen."""
    story = reopened(closed_request())
    story.refused(Reason.IMPOSSIBLE, "case.reopened", CENTRE, **WHY)
    story.done("incident.closed", CENTRE)
    assert story.case.state == "closed"


def test_one_that_comes_before_its_report_waits_for_that_and_reopens_nothing():
    story = Story(CLERK)
    story.parked("case.reopened", HOTLINE, at("03-02 09:01"), id="early", **WHY)
    story.reported(when=at("03-02 09:02"), definition="service_request")
    assert (story.case.state, story.case.parked) == ("reported", ())
    early = next(each for each in story.last.outcomes if each.id == "early")
    assert early.refusal is not None and early.refusal.reason is Reason.IMPOSSIBLE


def test_an_act_of_the_cycle_before_does_no_work_in_the_new_one():
    """The department was offline since before the case was closed. A remark is taken all the same."""
    story = reopened(closed_request(IN_THE_FIELD, after="03-03 09:00"), "03-03 11:00")
    late = {"occurred": at("03-03 10:00")}
    refusal = story.refused(
        Reason.EXPIRED, "department.arrived", HANDLER, at("03-03 12:00"), department="WY-GREEN", **late
    )
    assert refusal.field == "time"
    story.done("comment.added", CENTRE, at("03-03 12:01"), **late)
    story.done("department.arrived", HANDLER, at("03-03 12:02"), occurred=at("03-03 11:00"), department="WY-GREEN")
    assert story.case.state == "handling"


def test_a_kind_says_whether_its_cases_are_taken_up_again():
    states = {name: State(name, name, terminal=name == "over") for name in ("awaited", "open", "over")}
    rows = [Transition("case.reopened", ("over",), "open")]

    def kind(**more: Any) -> Kind:
        return Kind("odd", {"case.reopened": service_request.SERVICE_REQUEST.events["case.reopened"]}, **more)

    check_rows(kind(reopens=True), states, rows, (), set(), set())
    with pytest.raises(ValueError, match="it keeps no clock"):
        check_rows(kind(), states, rows, (), set(), set())
    with pytest.raises(ValueError, match="although it reopens"):
        check_rows(kind(reopens=True), states, [Transition("case.reopened", ("over",), "=")], (), set(), set())


# ---- who holds it, and who hears of it ------------------------------------------------------------------------


def test_the_department_is_told_of_the_work_and_the_reporter_of_each_end():
    story = reopened(closed_request(), by=CENTRE)
    told = {notice.on: notice.to for notice in story.of(facts.NoticeGiven) if not notice.daily}
    assert HANDLER in told["assigned"]
    story.done("incident.closed", CENTRE)
    assert [notice.on for notice in story.of(facts.NoticeGiven)] == ["ended"]


@pytest.mark.parametrize("tells", [True, False])
def test_one_that_comes_back_again_and_again_is_a_loop(tells):
    rules = changed(CLERK, options={"loop_alarm": 2}, **({} if tells else {"notices": ()}))
    story = reopened(closed_request(rules))
    assert not story.one(facts.Reopened).looped
    story.done("incident.closed", CENTRE)
    reopened(story, "03-12 09:00")
    assert story.one(facts.Reopened).looped
    if tells:
        assert "looped" in [notice.on for notice in story.of(facts.NoticeGiven)]
    else:
        assert [alert.kind for alert in story.of(facts.AlertRaised)] == ["loop"]


def test_nobody_holds_it_while_it_is_over():
    teller = Teller()
    teller.say("report.submitted", HOTLINE, category="D3-04", source="hotline", grid=LEAF, definition="service_request")
    teller.say("incident.closed", CENTRE, 60 * MINUTE)
    ended = teller.now
    teller.say("case.reopened", HOTLINE, 7 * DAY, **WHY)
    teller.say("incident.closed", CENTRE, 30 * MINUTE)
    steps = [(step.seq, facts.encode_facts(step.facts).decode()) for step in teller.steps]
    names = Names(teller.rules)
    spans = held_spans(history_of(steps, teller.case, teller.now), names, teller.now)
    assert [span.natural_ms for span in spans] == [60 * MINUTE, 30 * MINUTE]
    assert [span.held_until for span in spans] == [names.instant(ended), names.instant(teller.now)]
    assert spans[0].unit == spans[1].unit
    assert [[c.consumed_ms > 0 for c in span.clocks if c.name == TOTAL] for span in spans] == [[True], [True]]


def test_those_that_go_on_in_it_hear_of_its_end_again():
    first = Story(weiyang()).reported(definition="service_request")
    second = Story(number=2, beside=first.beside).reported(definition="service_request")
    second.done("incident.merged", CENTRE, into=first.case.id)
    first.done("incident.closed", CENTRE, second.now + 1)
    first.done("case.reopened", HOTLINE, **WHY)
    assert len(second.history(facts.SurvivorEnded)) == 1 and first.case.absorbed == (second.case.id,)
    third = Story(number=3, beside=first.beside).reported(definition="service_request")
    third.done("incident.merged", CENTRE, into=first.case.id)
    first.done("incident.closed", CENTRE, third.now + HOUR)
    assert len(second.history(facts.SurvivorEnded)) == 2 and len(third.history(facts.SurvivorEnded)) == 1
    second.refused(Reason.IMPOSSIBLE, "case.reopened", HOTLINE, **WHY)


# ---- figures ---------------------------------------------------------------------------------------------------


def lived(due_in: int | None, *sayings: tuple[str, int]) -> Teller:
    """A request that is closed and taken up again, each so many ms after what came before."""
    teller = reported(due_in)
    for kind, after in sayings:
        by, data = (CENTRE, {}) if kind == "incident.closed" else (HOTLINE, WHY)
        assert teller.say(kind, by, after, **data), kind
    return teller


CLOSE, AGAIN = "incident.closed", "case.reopened"


def test_it_counts_as_closed_at_its_last_end_alone():
    sayings = [(CLOSE, DAY), (AGAIN, 4 * DAY), (CLOSE, DAY), (AGAIN, 4 * DAY), (CLOSE, DAY)]
    for upto in range(1, 6):
        steps = lived(20 * DAY, *sayings[:upto]).steps
        closed = {1: [20260303], 3: [20260308], 5: [20260313]}.get(upto, [])
        assert days(steps, "on_time") == closed
        assert measures(steps).get("closed", 0) == len(closed)
        assert measures(steps).get("reopened", 0) == upto // 2


@pytest.mark.parametrize(
    ("sayings", "counts"),
    [
        # Missed before it was taken up again.
        ([(CLOSE, 7 * DAY), (AGAIN, DAY)], {"overdue": 1, "breach:total": 1}),
        (
            [(CLOSE, 7 * DAY), (AGAIN, DAY), (CLOSE, 30 * DAY)],
            {"overdue": 1, "breach:total": 1, "closed_late": 1, "overdue_closed": 1},
        ),
        # Missed only afterwards: a day of five was left.
        (
            [(CLOSE, 4 * DAY), (AGAIN, 30 * DAY), (CLOSE, 2 * DAY)],
            {"overdue": 1, "breach:total": 1, "closed_late": 1, "overdue_closed": 1},
        ),
        ([(CLOSE, 4 * DAY), (AGAIN, 30 * DAY), (CLOSE, 20 * 60 * MINUTE)], {"on_time": 1}),
        ([(CLOSE, 4 * DAY), (AGAIN, 30 * DAY)], {}),
    ],
)
def test_what_it_missed_counts_once_and_its_end_where_it_stands(sayings, counts):
    found = measures(lived(5 * DAY, *sayings).steps)
    names = ("on_time", "overdue", "closed_late", "overdue_closed", "without_deadline", "breach:total")
    assert {name: found[name] for name in names if name in found} == counts


def test_a_closing_on_the_sender_s_word_is_taken_back_with_its_mark():
    """Closed in time, told ten hours after the deadline."""
    teller = reported(5 * DAY)
    assert teller.say(CLOSE, CENTRE, 5 * DAY + 9 * 60 * MINUTE, 10 * 60 * MINUTE)
    assert measures(teller.steps)["claimed:total"] == 1
    assert teller.say(AGAIN, HOTLINE, DAY, **WHY)
    assert "claimed:total" not in measures(teller.steps)
    assert all(value > 0 for value in figures(teller.steps).values())


def test_the_outcome_of_an_end_says_since_when_it_is_none():
    teller = lived(20 * DAY, (CLOSE, DAY), (AGAIN, 4 * DAY), (CLOSE, DAY))
    first, last = (row for row in outcomes_of(teller.steps) if row.clock == TOTAL)
    assert (first.cycle, first.reopened_at) == (0, first.arrival + 4 * DAY)
    assert (last.cycle, last.reopened_at, last.elapsed - first.elapsed) == (1, None, DAY)
    assert {row.reopened_at for row in outcomes_of(teller.steps) if row.clock != TOTAL} == {None}

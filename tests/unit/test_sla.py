"""Clocks of a case through the rules: started, paused, re-targeted and stopped by events, their rungs fired in order.

Most tests use a small pack of clocks: office hours 08:00-12:00 and 14:00-18:00, Chinese holidays of 2026, and limits
that are easy to count.
"""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas import facts
from schemas.refusals import Reason
from tests.support.builders import (
    BARE,
    CENTRE,
    DAY,
    DISTRICT,
    DUST,
    HOTLINE,
    HOUR,
    LEAF,
    MEMBER,
    STREET,
    Story,
    arrived,
    at,
    changed,
    event,
    in_the_field,
    instant,
    subject,
    weiyang,
)
from workflows import sla
from workflows.case import Clock
from workflows.clocks.calendar import DayRule
from workflows.clocks.limits import parse_limit
from workflows.decide import fire, recalculate, take
from workflows.policy.index import Policy
from workflows.policy.model import ESCALATE, LimitRow, RungRow


def limits(*rows: tuple[Any, ...], **more: Any) -> tuple[LimitRow, ...]:
    """Rows of the limits table: clock, limit, and perhaps more columns; `more` holds for all."""
    return tuple(LimitRow(name, parse_limit(text), **dict(more, **dict(*rest))) for name, text, *rest in rows)


def rung(
    clock: str,
    name: str,
    offset: Any,
    limit: str = "",
    every: str = "",
    times: int = 1,
    act: Any = "",
    tell: tuple[str, ...] = ("owner_chief",),
) -> RungRow:
    return RungRow(
        clock,
        name,
        offset,
        parse_limit(limit) if limit else None,
        parse_limit(every) if every else None,
        times,
        tell,
        act,
    )


LADDER = (
    rung("handle", "warn", "before", "1工作时"),
    rung("handle", "due", "at"),
    rung("handle", "overdue", "after", "1工作日", "1工作日", 3),
)


def small(**more: Any) -> Policy:
    """The sample pack with one limit (handle: 4 working hours), one ladder, no quiet hours, and everything said in the
    field."""
    fields = {"limits": limits(("handle", "4工作时")), "rungs": LADDER, "roles": in_the_field(), **more}
    options = {"quiet_from": 0, "quiet_to": 0, "quiet_exempt": (), **fields.pop("options", {})}
    return changed(options=options, **fields)


def handling(rules: Policy | None = None, when: str = "03-02 09:00", **data: Any) -> Story:
    """A case that is being handled at level 3 from that instant on."""
    story = Story(rules or small())
    start = at(when)
    story.done("report.submitted", HOTLINE, start, category=BARE, source="hotline", grid=LEAF, **data)
    story.done("incident.accepted", STREET, start)
    assert story.case.state == "accepted"
    return story


def clock(story: Story, name: str = "handle") -> Clock:
    found = story.case.clock(name)
    assert found is not None
    return found


def fired(story: Story) -> list[tuple[str, int, int]]:
    """The rungs that fired so far: name, repeat, and instant."""
    return [(r.rung, r.repeat, r.due_at) for r in story.history(facts.ClockRung)]


# ---- start, pause, resume, stop ---------------------------------------------------------------------------


def test_a_clock_starts_with_its_state_and_stops_with_it():
    story = handling()
    started = story.one(facts.ClockStarted)
    assert (started.clock, started.level, started.judged) == ("handle", 3, at("03-02 09:00"))
    assert (started.limit, started.due, started.calendar) == ("4工作时", at("03-02 15:00"), "office")  # lunch is free
    story.done("handling.completed", STREET, at("03-02 14:30"))
    stopped = story.one(facts.ClockStopped)
    assert (stopped.result, stopped.why) == ("on_time", "handling.completed")
    assert (stopped.elapsed, stopped.consumed) == (5 * HOUR + HOUR // 2, 3 * HOUR + HOUR // 2)
    assert story.case.clock("handle") is None


@pytest.mark.parametrize(
    ("done", "result"),
    [("03-02 14:59", "on_time"), ("03-02 15:00", "on_time"), ("03-02 15:01", "overdue")],
)
def test_done_by_the_deadline_is_on_time_the_instant_itself_included(done, result):
    story = handling()
    story.done("handling.completed", STREET, at(done))
    assert story.one(facts.ClockStopped).result == result


@pytest.mark.parametrize(
    ("start", "limit", "due"),
    [
        # one working calendar for all of China: holidays and working weekends of 2026 (调休)
        ("02-14 17:00", "4工作时", "02-24 11:00"),
        ("09-30 16:30", "4工作时", "10-08 10:30"),
        ("09-19 10:00", "4工作时", "09-20 12:00"),
        ("05-08 17:00", "16工作时", "05-11 17:00"),
        ("04-03 13:00", "2工作时", "04-03 16:00"),
        ("01-02 10:00", "8工作时", "01-04 18:00"),
        ("02-15 23:30", "2紧急工作时", "02-16 01:30"),
        ("03-02 10:00", "3自然日", "03-05 10:00"),
        ("03-06 10:00", "1工作日", "03-09 10:00"),
    ],
)
def test_the_golden_deadlines_through_the_rules(start, limit, due):
    story = handling(small(limits=limits(("handle", limit))), start)
    assert story.one(facts.ClockStarted).due == at(due)


def test_the_same_clock_goes_on_through_states_that_share_it():
    story = handling()
    before = clock(story)
    story.done("incident.dispatched", STREET, at("03-02 10:00"), lead="WY-URBAN")
    assert story.case.state == "handling"
    assert not story.of(facts.ClockStopped) and not story.of(facts.ClockStarted)
    assert clock(story) == before


def test_a_clock_belongs_to_a_level_so_escalation_stops_one_and_starts_another():
    rules = small(limits=limits(("accept", "1工作时"), ("handle", "4工作时")))
    story = handling(rules)
    story.done("incident.escalated", STREET, at("03-02 10:00"), reason="coordination")
    assert [(s.clock, s.level) for s in story.of(facts.ClockStopped)] == [("handle", 3)]
    assert [(s.clock, s.level) for s in story.of(facts.ClockStarted)] == [("accept", 2)]


def test_escalating_what_is_not_yet_accepted_starts_the_next_levels_clock():
    rules = small(limits=limits(("accept", "1工作时")))
    story = Story(rules).reported(BARE)
    story.until(story.now + 1)
    story.done("incident.reassigned", CENTRE, to_grid="WY")
    assert [(s.clock, s.level) for s in story.of(facts.ClockStopped)] == [("accept", 3)]
    assert [(s.clock, s.level) for s in story.of(facts.ClockStarted)] == [("accept", 2)]


def test_another_owner_of_the_same_level_accepts_on_a_clock_of_its_own():
    story = Story(small(limits=limits(("accept", "1工作时")))).reported(BARE)
    story.done("incident.reassigned", CENTRE, at("03-02 09:50"), to_grid="WY02")
    assert story.case.owner.grid == "WY02"
    assert story.one(facts.ClockStopped).result == "passed_on"
    again = clock(story, "accept")
    assert (again.level, again.target, again.due) == (3, 1, at("03-02 10:50"))
    story.done("incident.reassigned", CENTRE, at("03-02 10:00"), to_grid="WY02")  # nothing new: nothing anew
    assert clock(story, "accept") == again


def test_another_department_works_within_the_same_budget():
    story = handling()
    story.done("incident.dispatched", STREET, at("03-02 10:00"), lead="WY-URBAN")
    story.done("incident.dispatched", STREET, at("03-02 11:00"), lead="WY-GREEN")
    assert (clock(story).started, clock(story).due) == (at("03-02 09:00"), at("03-02 15:00"))


def test_without_a_limit_only_the_clock_of_the_whole_case_runs():
    story = Story(small(limits=())).reported(BARE)
    assert [c.name for c in story.case.clocks] == ["total"]
    assert (clock(story, "total").due, story.case.next_at, story.case.due_at) == (None, None, None)
    story.done("incident.rejected", STREET, reason="not_found")
    assert story.one(facts.ClockStopped).result == "void"


def test_suspending_pauses_the_clocks_of_the_work_while_the_total_clock_runs():
    """挂账: work stands still; `the total clock always runs`."""
    rules = small(limits=limits(("handle", "4工作时"), ("total", "3工作日")))
    story = handling(rules)
    due = clock(story, "total").due
    story.done("incident.suspended", STREET, at("03-02 10:00"), reason="season")
    assert story.one(facts.ClockPaused) == facts.ClockPaused(
        clock="handle", level=3, cycle=0, target=0, judged=at("03-02 10:00"), consumed=HOUR
    )
    assert (clock(story).since, clock(story).next) == (None, None)
    assert clock(story, "total").since is not None
    story.until(at("03-03 09:00"))
    assert not story.history(facts.ClockRung)
    story.done("incident.resumed", STREET, at("03-03 10:00"))
    assert story.one(facts.ClockResumed).due == at("03-03 15:00")  # three of four hours were left
    assert clock(story, "total").due == due
    story.done("handling.completed", STREET, at("03-03 15:00"))
    stopped = story.one(facts.ClockStopped)
    assert (stopped.result, stopped.consumed) == ("on_time", 4 * HOUR)
    assert stopped.elapsed == 30 * HOUR


def test_a_suspension_ends_by_itself_on_its_day():
    story = handling()
    until = at("03-04 09:00")
    story.done("incident.suspended", STREET, at("03-02 10:00"), reason="season", until=instant(until))
    assert story.case.next_at == until
    told = story.until(until + 1)
    assert story.case.state == "accepted"
    moved = [type(fact) for fact in told if not isinstance(fact, facts.NoticeGiven)]
    assert moved == [facts.Resumed, facts.Moved, facts.ClockResumed]
    assert clock(story).due == at("03-04 12:00")  # three of four hours were left
    step = story.steps[-1]
    assert (step.cause.type, step.cause.source, step.instant) == ("gridpatrol.clock.due", "suspension", until)


def test_a_suspension_must_end_in_the_future():
    story = handling()
    story.refused(Reason.INVALID, "incident.suspended", STREET, reason="season", until=instant(at("03-01 09:00")))


def test_what_ends_while_suspended_falls_due_no_more():
    story = handling()
    story.done("incident.suspended", STREET, reason="season", until=instant(at("03-04 09:00")))
    story.done("incident.force_closed", DISTRICT, reason="policy")
    assert story.case.next_at is None
    assert story.case.suspended_from == ""


def test_a_paused_clock_that_is_stopped_was_done_when_it_paused():
    story = handling()
    story.done("incident.suspended", STREET, at("03-02 10:00"), reason="dispute")
    story.done("deadline.ordered", DISTRICT, at("03-05 10:00"), clock="handle", limit="2工作时")
    story.done("incident.force_closed", DISTRICT, at("03-09 10:00"), reason="policy")
    stopped = next(x for x in story.of(facts.ClockStopped) if x.clock == "handle")
    assert (stopped.result, stopped.consumed, stopped.lapsed) == ("void", HOUR, False)


@given(
    st.lists(st.tuples(st.integers(0, 300), st.integers(0, 4000)), max_size=4),
    st.sampled_from(["4工作时", "3紧急工作时", "2自然日"]),
)
def test_pauses_never_cost_or_give_time(pauses, text):
    """However often it is suspended, what a clock has consumed and what is left of it make up its limit."""
    story = handling(small(limits=limits(("handle", text)), rungs=()), "03-02 09:00")
    calendar, limit, now = story.register.calendars["office"], parse_limit(text), at("03-02 09:00")
    for run, rest in pauses:
        now += run * 60_000
        story.done("incident.suspended", STREET, now, reason="funds")
        now += rest * 60_000
        story.done("incident.resumed", STREET, now)
        running = clock(story)
        assert running.since == now and running.due is not None
        used = sla.consumed(running, now, limit.kind, calendar)
        assert used + calendar.elapsed(now, running.due, limit.kind) == calendar.budget(limit)


# ---- the ladder -------------------------------------------------------------------------------------------


def test_rungs_fire_once_in_order_each_at_its_own_instant():
    story = handling()
    story.until(at("03-31 00:00"))
    assert fired(story) == [
        ("warn", 0, at("03-02 12:00")),  # one working hour before 15:00: lunch does not count
        ("due", 0, at("03-02 15:00")),
        ("overdue", 0, at("03-03 15:00")),
        ("overdue", 1, at("03-04 15:00")),
        ("overdue", 2, at("03-05 15:00")),
    ]
    assert clock(story).next is None
    rungs = story.history(facts.ClockRung)
    assert [r.overdue for r in rungs] == [False, True, True, True, True]
    assert [r.breach for r in rungs] == [False, True, False, False, False]
    assert [a.kind for a in story.history(facts.AlertRaised)] == ["warn", "due", "overdue", "overdue", "overdue"]
    assert len({a.alert for a in story.history(facts.AlertRaised)}) == 5


def test_rungs_fire_in_order_of_time_whatever_their_order_in_the_pack():
    ladder = (
        rung("handle", "raise", "after", "2工作日"),
        rung("handle", "overdue", "after", "1工作日", "1工作日", 3),
        rung("handle", "due", "at"),
        rung("handle", "soon", "before", "1工作时"),
        rung("handle", "warn", "before", "2工作时"),
    )
    story = handling(small(rungs=ladder))
    story.until(at("03-31 00:00"))
    instants = [when for _, _, when in fired(story)]
    assert [name for name, _, _ in fired(story)][:4] == ["warn", "soon", "due", "overdue"]
    assert instants == sorted(instants) and len(instants) == 7


def test_every_clock_has_the_rung_of_its_deadline_even_if_nobody_is_told():
    story = handling(small(rungs=()))
    story.until(at("03-31 00:00"))
    assert fired(story) == [("due", 0, at("03-02 15:00"))]
    assert not story.history(facts.AlertRaised)


def test_a_star_stands_for_every_clock_without_a_ladder_of_its_own():
    rules = small(rungs=(rung("*", "due", "at"), *LADDER), limits=limits(("accept", "1工作时"), ("handle", "4工作时")))
    assert [row.clock for row, _ in rules.ladder("accept")] == ["*"]
    assert [row.clock for row, _ in rules.ladder("handle")] == ["handle"] * 5


def test_a_kind_of_case_has_the_rungs_of_its_own_alone_and_else_those_of_every_kind():
    own = msgspec.structs.replace(rung("handle", "soon", "before", "1工作时"), definition="service_request")
    rules = small(rungs=(*LADDER, own))
    assert [row.rung for row, _ in rules.ladder("handle", "service_request")] == ["soon", "due"]
    assert rules.ladder("handle", "incident") == small().ladder("handle")
    every = small(rungs=(*LADDER, msgspec.structs.replace(own, clock="*")))
    assert [row.rung for row, _ in every.ladder("handle", "service_request")] == ["soon", "due"]
    assert every.ladder("handle", "incident") == small().ladder("handle")


def test_a_rung_is_due_before_an_event_that_comes_later_and_not_at_its_own_instant():
    story = handling()
    story.done("comment.added", STREET, at("03-02 15:00"))
    assert [name for name, _, _ in fired(story)] == ["warn"]  # due at 15:00 itself: still on time
    story.done("comment.added", STREET, at("03-02 15:00") + 1)
    assert [name for name, _, _ in fired(story)] == ["warn", "due"]


def test_the_effects_of_a_firing_are_those_of_its_instant_however_late_it_is_released():
    early, late = handling(), handling()
    for n in range(1, 200):
        early.until(at("03-02 09:00") + n * HOUR)
    late.until(at("03-02 09:00") + 199 * HOUR)
    assert [s.facts for s in early.steps] == [s.facts for s in late.steps]
    assert [s.instant for s in early.steps] == [s.instant for s in late.steps]
    assert [s.cause for s in early.steps] == [s.cause for s in late.steps]


def test_firing_what_is_not_due_yet_is_an_error():
    story = handling()
    with pytest.raises(ValueError, match="nothing of case"):
        fire(story.case, at("03-02 12:00"), story.rules, story.register)


def test_of_rungs_past_when_the_clock_is_armed_only_the_highest_fires_the_others_are_recorded():
    """A phone that was offline: accepted days ago, and only now known."""
    story = Story(small())
    story.done("report.submitted", HOTLINE, at("03-02 09:00"), category=BARE, source="hotline", grid=LEAF)
    story.done("incident.accepted", STREET, at("03-04 09:30"), occurred=at("03-02 09:00"))
    assert clock(story).due == at("03-02 15:00")
    assert story.one(facts.ClockSkipped).rungs == ("warn", "due")
    assert (clock(story).rung, clock(story).next) == ("overdue", at("03-03 15:00"))
    story.until(at("03-04 09:31"))
    assert fired(story) == [("overdue", 0, at("03-03 15:00"))]
    assert story.history(facts.ClockRung)[0].breach is True
    story.until(at("03-31 00:00"))
    assert [repeat for _, repeat, _ in fired(story)] == [0, 1, 2]


def test_the_posts_of_a_rung_are_told_under_a_name_that_never_changes():
    story = handling()
    told = story.until(at("03-02 15:00") + 1)
    alert = next(x for x in told if isinstance(x, facts.AlertRaised) and x.kind == "due")
    assert alert == facts.AlertRaised(
        alert=f"{story.case.id}|handle.3|0|0|due|0",
        kind="due",
        to=(STREET,),
        due_at=at("03-02 15:00"),
        clock="handle",
        level=3,
        due=at("03-02 15:00"),
    )
    assert story.steps[-1].cause == facts.Cause(
        type="gridpatrol.clock.due", source="handle.3", id="0|0|due|0", occurred=at("03-02 15:00")
    )


def test_alerts_are_resolved_when_the_clock_stops():
    story = handling()
    story.until(at("03-02 15:30"))
    assert clock(story).alert_open and clock(story).breached
    story.done("handling.completed", STREET, at("03-02 16:00"))
    assert story.one(facts.AlertEnded).how == "resolved"
    assert story.one(facts.ClockStopped).result == "overdue"


@pytest.mark.mechanism("M25")
def test_escalation_by_timeout_only_where_the_pack_says_so():
    """Off in the sample: its plan escalates on authority, coordination and borders, not on time."""
    assert not [row for row in weiyang().pack.rungs if row.act == ESCALATE]
    ladder = (rung("handle", "due", "at", act="escalate"),)
    rules = small(rungs=ladder, limits=limits(("handle", "4工作时"), ("accept", "1工作时")))
    story = handling(rules)
    told = story.until(at("03-02 15:00") + 1)
    escalated = next(x for x in told if isinstance(x, facts.Escalated))
    assert escalated == facts.Escalated(reason="timeout", was_level=3, level=2)
    assert (story.case.state, story.case.owner.grid) == ("reported", "WY")
    assert clock(story, "accept").started == at("03-02 15:00")
    copied = next(x for x in told if isinstance(x, facts.Copied))
    assert copied.posts == ("WY01-SPONSOR",)


def test_a_ladder_that_begins_at_a_late_firing_begins_at_its_instant():
    """Nobody was awake: the case rose on Monday, so the next level's rungs are Monday's too, none of them skipped."""
    ladder = (rung("handle", "due", "at", act="escalate"), rung("accept", "warn", "before", "1工作时"))
    story = handling(small(rungs=ladder, limits=limits(("handle", "4工作时"), ("accept", "2工作时"))))
    story.until(at("03-09 00:00"))
    assert fired(story) == [
        ("due", 0, at("03-02 15:00")),
        ("warn", 0, at("03-02 16:00")),
        ("due", 0, at("03-02 17:00")),
    ]
    assert not story.history(facts.ClockSkipped)


def test_a_contradicted_rung_stays_with_a_fact_beside_it():
    """The rung said: not known to be done. Later it turns out that it was."""
    story = handling()
    story.until(at("03-02 15:30"))
    story.done("handling.completed", STREET, at("03-02 16:00"), occurred=at("03-02 14:45"))
    assert story.one(facts.ClockContradicted).judged == at("03-02 14:45")
    assert story.one(facts.AlertEnded).how == "withdrawn"
    assert story.one(facts.ClockStopped).result == "on_time"
    assert [r.rung for r in story.history(facts.ClockRung)] == ["warn", "due"]


def test_overdue_is_not_contradicted():
    story = handling()
    story.done("handling.completed", STREET, at("03-02 16:00"), occurred=at("03-02 15:45"))
    assert not story.of(facts.ClockContradicted)
    assert story.one(facts.ClockStopped).result == "overdue"


# ---- re-targeting -----------------------------------------------------------------------------------------


# ---- what fulfils a clock ----------------------------------------------------------------------------------


def result_of(story: Story, name: str) -> facts.ClockStopped:
    return next(fact for fact in story.of(facts.ClockStopped) if fact.clock == name)


def test_a_department_that_says_it_is_not_its_duty_was_neither_on_time_nor_late():
    story = handling()
    story.done("incident.dispatched", STREET, at("03-02 10:00"), lead="WY-URBAN")
    story.done("incident.returned", "WY-URBAN-H", at("03-02 11:00"), reason="not_our_duty")
    stopped = result_of(story, "handle")
    assert (stopped.result, stopped.why, stopped.consumed) == ("passed_on", "incident.returned", 2 * HOUR)
    assert not stopped.lapsed


@pytest.mark.parametrize(
    ("kind", "actor", "data", "results"),
    [
        ("incident.rejected", STREET, {"reason": "unfounded"}, {"handle": "void", "total": "void"}),
        ("incident.merged", STREET, {"into": subject(number=9)}, {"handle": "void", "total": "void"}),
        ("incident.force_closed", DISTRICT, {"reason": "policy"}, {"handle": "void", "total": "void"}),
        ("incident.escalated", STREET, {"reason": "coordination"}, {"handle": "passed_on"}),
        ("incident.reassigned", CENTRE, {"to_grid": "WY02"}, {"handle": "passed_on"}),
        ("incident.reassigned", CENTRE, {"to_grid": "WY01"}, {"handle": "void"}),
        ("handling.completed", STREET, {}, {"handle": "on_time"}),
    ],
)
def test_only_what_its_work_was_for_fulfils_a_clock(kind, actor, data, results):
    rules = small(limits=limits(("handle", "4工作时"), ("total", "3工作日")))
    story = handling(rules)
    story.another(9)
    story.done(kind, actor, at("03-02 10:00"), **data)
    assert {fact.clock: fact.result for fact in story.of(facts.ClockStopped)} == results


def test_withdrawing_ones_own_report_fulfils_nothing():
    story = Story(small(limits=limits(("dissuade", "1工作时"), ("total", "3工作日")))).found(DUST)
    story.done("incident.withdrawn", MEMBER)
    assert {fact.clock: fact.result for fact in story.of(facts.ClockStopped)} == {"dissuade": "void", "total": "void"}


def test_a_leaf_that_reports_again_what_came_back_has_decided_in_time():
    rules = small(limits=limits(("accept", "1工作时")))
    story = Story(rules).found(DUST)
    story.done("dissuasion.recorded", MEMBER, outcome="ineffective")
    story.done("incident.reported_up", MEMBER)
    story.done("incident.returned", STREET, reason="insufficient")
    assert result_of(story, "accept").result == "passed_on"
    story.done("incident.reported_up", MEMBER)
    assert [(fact.level, fact.result) for fact in story.of(facts.ClockStopped)] == [(4, "on_time")]


def test_a_return_takes_back_no_deadline_that_was_missed():
    """Said at ten by the sender's clock, and arrived after the deadline: whoever gives work back has missed it."""
    rules = small(limits=limits(("handle", "4工作时")), options={"offline_ms": DAY})
    story = handling(rules)
    story.done("incident.returned", STREET, at("03-02 17:00"), occurred=at("03-02 10:00"), reason="not_our_duty")
    stopped = result_of(story, "handle")
    assert (stopped.result, stopped.judged, stopped.lapsed) == ("passed_on", at("03-02 10:00"), True)
    assert not story.of(facts.ClockContradicted)


def test_an_order_that_came_before_the_deadline_takes_the_lapse_back_also_when_it_arrives_after_it():
    rules = small(limits=limits(("handle", "4工作时")), options={"offline_ms": DAY})
    story = handling(rules)
    story.done("incident.reassigned", CENTRE, at("03-02 17:00"), occurred=at("03-02 10:00"), to_grid="WY02")
    stopped = result_of(story, "handle")
    assert (stopped.result, stopped.lapsed) == ("passed_on", False)
    assert story.one(facts.ClockContradicted).clock == "handle"


def test_what_had_lapsed_before_it_was_passed_on_stays_missed():
    story = handling()
    story.done("incident.escalated", STREET, at("03-03 17:00"), reason="coordination")
    stopped = result_of(story, "handle")
    assert (stopped.result, stopped.lapsed) == ("passed_on", True)


def test_an_ordered_limit_keeps_what_was_consumed():
    """延期: four hours become eight, and the two that have gone stay gone."""
    story = handling()
    story.done("deadline.ordered", DISTRICT, at("03-02 11:00"), clock="handle", limit="8工作时")
    assert story.one(facts.ClockRetargeted) == facts.ClockRetargeted(
        clock="handle",
        level=3,
        cycle=0,
        target=1,
        judged=at("03-02 11:00"),
        limit="8工作时",
        due=at("03-03 09:00"),
        why="ordered",
        rung="warn",
        next=at("03-02 18:00"),
    )
    story.done("handling.completed", STREET, at("03-03 09:00"))
    assert (story.one(facts.ClockStopped).consumed, story.one(facts.ClockStopped).target) == (8 * HOUR, 1)


def test_an_ordered_limit_of_another_kind_counts_the_same_ledger_by_its_own_clock():
    story = handling()
    story.done("incident.suspended", STREET, at("03-02 10:00"), reason="funds")  # one hour, working or wall
    story.done("incident.resumed", STREET, at("03-03 10:00"))
    story.done("deadline.ordered", DISTRICT, at("03-03 11:00"), clock="handle", limit="6紧急工作时")
    assert clock(story).due == at("03-03 15:00")  # one hour before the pause, five from ten o'clock on
    story.done("handling.completed", STREET, at("03-03 13:00"))
    assert story.one(facts.ClockStopped).consumed == 4 * HOUR  # lunch counts for an urgent clock


def test_a_new_target_begins_its_ladder_anew_and_ends_the_alerts_of_the_old_one():
    story = handling()
    story.until(at("03-02 15:30"))
    story.done("deadline.ordered", DISTRICT, at("03-02 16:00"), clock="handle", due=instant(at("03-04 10:00")))
    assert story.one(facts.AlertEnded).how == "withdrawn"
    assert (clock(story).breached, clock(story).acknowledged) == (False, False)
    story.until(at("03-04 10:00") + 1)
    rungs = [(r.target, r.rung) for r in story.history(facts.ClockRung)]
    assert rungs == [(0, "warn"), (0, "due"), (1, "warn"), (1, "due")]
    assert [r.breach for r in story.history(facts.ClockRung)] == [False, True, False, True]


def test_a_deadline_ordered_during_a_suspension_takes_effect_when_it_ends():
    story = handling()
    story.done("incident.suspended", STREET, at("03-02 10:00"), reason="funds")
    story.done("deadline.ordered", DISTRICT, at("03-02 11:00"), clock="handle", limit="2工作时")
    assert clock(story).next is None
    story.done("incident.resumed", STREET, at("03-03 09:00"))
    assert clock(story).due == at("03-03 10:00")


def test_an_ordered_instant_moves_by_the_length_of_a_suspension():
    story = handling()
    story.done("deadline.ordered", DISTRICT, at("03-02 09:30"), clock="handle", due=instant(at("03-02 17:00")))
    story.done("incident.suspended", STREET, at("03-02 10:00"), reason="funds")
    story.done("incident.resumed", STREET, at("03-04 10:00"))
    assert clock(story).due == at("03-04 17:00")


@pytest.mark.parametrize(
    ("data", "field"),
    [
        ({"clock": "handle"}, "data"),
        ({"clock": "handle", "limit": "1工作日", "due": instant(at("03-09 09:00"))}, "data"),
        ({"clock": "handle", "limit": "一会儿"}, "data.limit"),
        ({"clock": "handle", "limit": "3天"}, "data.limit"),  # working days or calendar days?
        ({"clock": "verify", "limit": "1工作日"}, "data.clock"),
    ],
)
def test_an_order_that_says_nothing_sound_is_refused(data, field):
    assert handling().refused(Reason.INVALID, "deadline.ordered", DISTRICT, **data).field == field


ORDERS = [("deadline.ordered", DISTRICT, {"clock": "handle"}), ("rectification.ordered", STREET, {})]


@pytest.mark.parametrize(("kind", "by", "more"), ORDERS)
@pytest.mark.parametrize("due", ["1999-12-31T10:00:00+08:00", "2026-03-03T09:00:00+08:00", "2026-03-03T10:00:00+08:00"])
def test_nobody_is_ordered_to_have_done_something_in_the_past(kind, by, more, due):
    """It would be late from the start, and 1999 before every calendar."""
    why = handling().refused(Reason.INVALID, kind, by, at("03-03 10:00"), **more, due=due)
    assert why.field == "data.due"


@pytest.mark.parametrize(("kind", "by", "more"), ORDERS)
def test_an_order_that_was_given_in_time_may_arrive_after_its_deadline(kind, by, more):
    """Held against the instant that is believed; a record of an older release is taken as that release took it."""
    due, now = instant(at("03-03 09:30")), at("03-03 10:00")
    handling().done(kind, by, now, occurred=at("03-03 09:00"), **more, due=due)
    story = handling()
    said = arrived(event(kind, by, now, case=story.case.id, **more, due=due), now)
    old = msgspec.structs.replace(said, record=msgspec.structs.replace(said.record, digests=()))
    outcomes = [take(story.case, each, story.rules, story.rules).outcomes[0].outcome for each in (said, old)]
    assert outcomes == ["refused", "done"]


def test_part_of_a_working_day_is_refused_where_days_end_at_closing_time():
    base = weiyang().pack.calendars[0]
    calendar = msgspec.structs.replace(base, day_meaning="end_of_day")
    story = handling(small(calendars=(calendar,)))
    refused = story.refused(Reason.INVALID, "deadline.ordered", DISTRICT, clock="handle", limit="1.5工作日")
    assert "whole" in refused.detail


# ---- the deadline that a report carries -------------------------------------------------------------------


def test_a_report_may_carry_the_deadline_of_the_whole_case():
    story = Story(small(limits=limits(("total", "3工作日"))))
    story.reported(BARE, deadline=instant(at("03-10 12:34")))
    started = story.one(facts.ClockStarted)
    assert (started.clock, started.due, started.limit, started.basis) == ("total", at("03-10 12:34"), "", "ordered")


def test_a_report_may_say_that_there_is_no_deadline():
    story = Story(small(limits=limits(("total", "3工作日")))).reported(BARE, deadline=None)
    started = story.one(facts.ClockStarted)
    assert (started.due, started.basis) == (None, "none")
    story.done("incident.rejected", STREET, reason="unfounded")
    assert story.one(facts.ClockStopped).result == "void"


def test_a_report_that_says_nothing_gets_the_packs_deadline():
    rules = small(limits=limits(("total", "3工作日"), basis="our proposal"))
    started = Story(rules).reported(BARE).one(facts.ClockStarted)
    assert (started.due, started.basis) == (at("03-05 09:00"), "our proposal")


def test_a_deadline_that_is_past_when_it_is_reported_is_overdue_from_the_start():
    story = Story(small()).reported(BARE, deadline=instant(at("02-27 09:00")))
    story.until(story.now + 1)
    assert fired(story) == [("due", 0, at("02-27 09:00"))]


# ---- effective dates --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("start", "due"),
    [
        ("03-31 17:00", "04-01 09:00"),
        ("04-01 08:00", "04-01 12:00"),
        ("04-30 14:00", "04-30 18:00"),
        ("05-06 08:00", "05-06 08:30"),
    ],
)
def test_a_limit_is_the_one_that_was_valid_on_the_day_the_clock_started(start, due):
    rows = limits(
        ("handle", "2工作时", {"valid_to": 20260331}),
        ("handle", "4工作时", {"valid_from": 20260401, "valid_to": 20260430}),
        ("handle", "0.5工作时", {"valid_from": 20260501}),
    )
    assert handling(small(limits=rows), start).one(facts.ClockStarted).due == at(due)


def test_a_clock_that_runs_when_its_limit_changes_keeps_its_own():
    rows = limits(("handle", "10工作日", {"valid_to": 20260303}), ("handle", "1工作时", {"valid_from": 20260304}))
    story = handling(small(limits=rows))
    story.done("comment.added", STREET, at("03-05 09:00"))
    assert clock(story).due == at("03-16 09:00")


@pytest.mark.parametrize(
    ("category", "level", "text"),
    [
        ("D3-01", 3, "1工作时"),
        ("D3-02", 3, "2工作时"),
        ("D3-07", 3, "3工作时"),
        ("D3-07", 2, "5工作时"),
        ("D1-01", 1, "4工作时"),
    ],
)
def test_the_most_specific_limit_holds_category_then_group_then_level(category, level, text):
    rows = limits(
        ("handle", "4工作时"),
        ("handle", "5工作时", {"level": 2}),
        ("handle", "3工作时", {"level": 3}),
        ("handle", "2工作时", {"group": "dust"}),
        ("handle", "1工作时", {"category": "D3-01"}),
    )
    rules = small(limits=rows)
    row = rules.limit("handle", level, category, rules.categories[category].group, 20260302)
    assert row is not None and row.limit == parse_limit(text)


def test_a_limit_of_a_kind_of_case_goes_before_those_of_every_kind():
    """A service request is no incident, whatever its category: what the pack says of its kind holds."""
    rows = limits(
        ("total", "5工作日"),
        ("total", "1工作时", {"category": "D3-04"}),
        ("total", "9工作日", {"definition": "service_request"}),
        ("total", "7工作日", {"definition": "service_request", "group": "smoke"}),
    )
    rules = small(limits=rows)
    found = [rules.limit("total", 3, "D3-04", "dust", 20260302, kind) for kind in ("incident", "service_request", "")]
    assert [row and row.limit for row in found] == [parse_limit(text) for text in ("1工作时", "9工作日", "1工作时")]
    story = Story(rules)
    said = {"category": "D3-04", "source": "hotline", "grid": LEAF}
    story.done("report.submitted", HOTLINE, at("03-02 09:00"), **said, definition="service_request")
    assert story.one(facts.ClockStarted).limit == "9工作日"


# ---- the horizon ------------------------------------------------------------------------------------------


def horizon(last_day: int, *days: DayRule) -> tuple[Any, ...]:
    base = weiyang().pack.calendars[0]
    kept = tuple(rule for rule in base.days if rule.day <= last_day)
    return (msgspec.structs.replace(base, last_day=last_day, days=(*kept, *days)),)


KNOWN_TO_FEBRUARY = horizon(20260214)
KNOWN_TO_MARCH = weiyang().pack.calendars


@pytest.mark.parametrize(
    ("moves", "due", "provisional"),
    [("provisional", "02-24 11:00", False), ("always", "02-24 11:00", False), ("never", "02-16 11:00", True)],
)
def test_a_deadline_beyond_the_horizon_is_provisional_and_looked_at_again(moves, due, provisional):
    """Nobody knew of the spring festival yet; the table arrives with a newer pack."""
    old = small(calendars=KNOWN_TO_FEBRUARY, options={"deadlines_move": moves})
    story = handling(old, "02-14 17:00")
    assert (clock(story).due, clock(story).provisional) == (at("02-16 11:00"), True)
    new = small(calendars=KNOWN_TO_MARCH, options={"deadlines_move": moves})
    story.register = new
    story._follow(recalculate(story.case, at("02-14 17:30"), story.rules, new))
    assert (clock(story).due, clock(story).provisional) == (at(due), provisional)
    assert story.one(facts.ClockRecalculated).register == new.hash
    assert [r.why for r in story.of(facts.ClockRetargeted)] == ([] if moves == "never" else ["calendar"])


def test_what_did_not_rest_on_unknown_days_does_not_move_unless_the_pack_says_always():
    story = handling(small(calendars=KNOWN_TO_MARCH))
    new = small(calendars=horizon(20261231, DayRule(20260302, (), "suddenly free")))
    for moves, targets in (("provisional", 0), ("always", 1)):
        rules = small(calendars=KNOWN_TO_MARCH, options={"deadlines_move": moves})
        result = recalculate(story.case, at("03-02 09:30"), rules, new)
        assert len([x for x in result.steps[0].facts if isinstance(x, facts.ClockRetargeted)]) == targets


# ---- quiet hours ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("when", "not_before"),
    [
        ("03-02 21:59", None),
        ("03-02 22:00", "03-03 07:00"),
        ("03-02 23:59", "03-03 07:00"),
        ("03-03 00:00", "03-03 07:00"),
        ("03-03 06:59", "03-03 07:00"),
        ("03-03 07:00", None),
    ],
)
def test_alerts_of_the_night_wait_until_the_morning_while_the_fact_does_not(when, not_before):
    night = {"quiet_from": 22 * 60, "quiet_to": 7 * 60}
    rules = small(limits=limits(("handle", "1紧急工作时")), rungs=(rung("handle", "due", "at"),), options=night)
    story = handling(rules, "03-02 09:00")
    story.done("deadline.ordered", DISTRICT, at("03-02 09:01"), clock="handle", due=instant(at(when)))
    told = story.until(at(when) + 1)
    alert = next(x for x in told if isinstance(x, facts.AlertRaised))
    assert alert.due_at == at(when)
    assert alert.not_before == (at(not_before) if not_before else None)
    assert next(x for x in told if isinstance(x, facts.ClockRung)).due_at == at(when)


@pytest.mark.parametrize(
    ("options", "quiet"),
    [
        ({"quiet_from": 12 * 60, "quiet_to": 14 * 60}, True),
        ({"quiet_from": 12 * 60, "quiet_to": 14 * 60, "quiet_exempt": ("handle",)}, False),
        ({"quiet_from": 0, "quiet_to": 0}, False),
        ({"quiet_from": 14 * 60, "quiet_to": 18 * 60}, False),
    ],
)
def test_quiet_hours_may_lie_within_a_day_and_exempt_a_clock(options, quiet):
    rules = small(rungs=(rung("handle", "due", "at"),), options=options)
    story = handling(rules)
    story.done("deadline.ordered", DISTRICT, at("03-02 09:01"), clock="handle", due=instant(at("03-02 13:00")))
    alert = next(x for x in story.until(at("03-02 13:01")) if isinstance(x, facts.AlertRaised))
    assert (alert.not_before == at("03-02 14:00")) is quiet


# ---- rectification ----------------------------------------------------------------------------------------


@pytest.mark.mechanism("M24")
def test_the_responsible_unit_is_ordered_to_rectify_on_a_clock_of_its_own():
    """`督促责任单位及时整改` (M24): beside the clock of the one who handles."""
    story = handling(small(limits=limits(("handle", "4工作时"), ("rectify", "5工作日"))), unit="SITE-0042")
    story.done("rectification.ordered", STREET, at("03-02 10:00"))
    assert story.one(facts.Ordered) == facts.Ordered(stage=1, unit="SITE-0042")
    assert (clock(story, "rectify").level, clock(story, "rectify").due) == (1, at("03-09 10:00"))
    assert clock(story).started == at("03-02 09:00")
    story.done("rectification.completed", STREET, at("03-03 10:00"))
    assert (story.one(facts.ClockStopped).clock, story.one(facts.ClockStopped).result) == ("rectify", "on_time")
    assert story.one(facts.Rectified).stage == 1


def test_stages_of_rectification_run_side_by_side():
    """`私搭乱建: 停工4工作时, 处罚7工作日, 拆除20工作日`: one order each."""
    story = handling()
    for stage, limit in enumerate(("4工作时", "7工作日", "20工作日"), start=1):
        story.done("rectification.ordered", STREET, stage=stage, limit=limit)
    assert [c.level for c in story.case.clocks if c.name == "rectify"] == [1, 2, 3]
    story.done("rectification.completed", STREET, stage=2)
    assert [c.level for c in story.case.clocks if c.name == "rectify"] == [1, 3]
    story.refused(Reason.IMPOSSIBLE, "rectification.completed", STREET, stage=2)
    story.done("rectification.ordered", STREET, stage=1, due=instant(at("03-09 12:00")))
    again = [c for c in story.case.clocks if c.name == "rectify" and c.level == 1]
    assert [(c.target, c.due) for c in again] == [(1, at("03-09 12:00"))]
    story.done("handling.completed", STREET)
    assert sorted((s.clock, s.level) for s in story.of(facts.ClockStopped)) == [
        ("handle", 3),
        ("rectify", 1),
        ("rectify", 3),
    ]


def test_an_order_without_any_limit_can_still_be_fulfilled():
    story = handling()
    story.done("rectification.ordered", STREET)
    assert clock(story, "rectify").due is None
    story.done("rectification.completed", STREET)
    assert story.one(facts.ClockStopped).result == "without_deadline"


def test_an_order_names_an_instant_or_a_limit_not_both():
    story = handling()
    story.refused(Reason.INVALID, "rectification.ordered", STREET, limit="1工作日", due=instant(at("03-09 12:00")))
    story.refused(Reason.INVALID, "rectification.ordered", STREET, limit="bald")


# ---- cycles -----------------------------------------------------------------------------------------------


def test_a_new_cycle_has_new_clocks_while_the_total_clock_goes_on():
    rules = small(limits=limits(("accept", "1工作时"), ("handle", "4工作时"), ("total", "3工作日")))
    story = handling(rules)
    total = clock(story, "total")
    story.done("handling.completed", STREET, at("03-02 10:00"))
    story.done("verification.recorded", MEMBER, at("03-02 11:00"), outcome="unsolved")
    accept = clock(story, "accept")
    assert (accept.cycle, accept.target, accept.started) == (1, 0, at("03-02 11:00"))
    assert clock(story, "total") == total


def test_a_clock_that_runs_again_in_a_cycle_has_the_next_target():
    """A return and another decision: the same level accepts twice, and the rungs of both have names of their own."""
    rules = small(limits=limits(("accept", "1工作时")))
    story = Story(rules).reported(BARE)
    assert clock(story, "accept").target == 0
    story.done("incident.returned", STREET, reason="insufficient")
    story.done("incident.reported_up", MEMBER)
    assert (clock(story, "accept").level, clock(story, "accept").target) == (3, 1)


# ---- next and due -----------------------------------------------------------------------------------------


def test_the_next_instant_of_a_case_is_the_earliest_of_all_that_may_fall_due():
    rules = small(limits=limits(("accept", "1工作时"), ("total", "1工作日")), options={"parked_ms": 2 * HOUR})
    story = Story(rules).reported(BARE)
    assert story.case.next_at == at("03-02 10:00") == story.case.due_at
    story.parked("handling.completed", STREET, at("03-02 09:30"))
    story.until(at("03-02 10:01"))
    assert story.case.next_at == at("03-02 11:30")  # patience with what came early
    assert story.case.due_at == at("03-02 10:00")  # past, and still the deadline to look at
    story.until(at("03-02 11:31"))
    assert story.case.next_at == at("03-03 09:00")


def test_patience_ends_by_itself():
    rules = small(options={"parked_ms": DAY})
    story = Story(rules).reported(DUST)
    result = story.parked("handling.completed", STREET, id="early")
    assert result.outcomes[0].outcome == "parked"
    until = story.case.parked[0].until
    told = story.until(until + 1)
    assert told == [facts.Unparked(source="app/test", id="early", why="expired")]
    assert story.steps[-1].instant == until
    settled = story.last.outcomes[0]
    assert settled.refusal is not None
    assert (settled.outcome, settled.refusal.reason, settled.id) == ("refused", Reason.EXPIRED, "early")
    assert b"handling.completed" in settled.raw


def test_a_quarantined_case_has_no_next_instant():
    story = handling()
    story.case.quarantined = True
    assert story.case.next_at is None


def test_the_sample_pack_runs_every_clock_with_its_own_limits():
    """One life through all states: each clock starts, and its deadline is the pack's."""
    story = Story().found(DUST)
    story.done("dissuasion.recorded", MEMBER, outcome="ineffective")
    story.done("incident.reported_up", MEMBER)
    story.accepted()
    story.done("rectification.ordered", STREET)
    story.handled()
    story.done("verification.recorded", MEMBER, outcome="solved")
    story.done("incident.closed", MEMBER)
    started = {s.clock: s for s in story.history(facts.ClockStarted)}
    assert list(started) == ["dissuade", "total", "report", "accept", "handle", "rectify", "verify", "close"]
    assert all(s.basis == "our proposal" and s.due is not None for s in started.values())
    assert {s.result for s in story.history(facts.ClockStopped)} == {"on_time"}
    assert story.case.closed == story.now


def test_a_warning_is_never_dated_before_its_clock() -> None:
    """A deadline was ordered that is nearer than the warning's distance: the warning is for now."""
    start = at("03-02 09:00")
    story = Story().reported(BARE, start, deadline=instant(start + 60_000))
    story.until(start + 1)
    warned = next(fact for fact in story.history(facts.ClockRung) if fact.clock == "total" and fact.rung == "warn")
    assert warned.due_at == start and not warned.overdue

"""Two instants: when it happened, says the sender, and when it came. Which of them counts, and for what.

No phone can set itself on time, and nobody is punished for having been offline.
"""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.packs import load_pack
from schemas import facts
from tests.support.builders import (
    BARE,
    DAY,
    DISTRICT,
    DUST,
    HOTLINE,
    HOUR,
    LEAF,
    MEMBER,
    STREET,
    Story,
    at,
    changed,
    shipped,
    undissuaded,
    weiyang,
)
from tests.unit.test_sla import clock, limits, small
from workflows.decision import believed
from workflows.permissions import offline_allowance
from workflows.policy.model import RoleRow

OFFLINE = 4 * HOUR
RULES = small(limits=limits(("accept", "1工作时"), ("handle", "4工作时")), options={"offline_ms": OFFLINE})


def reported() -> Story:
    story = Story(RULES)
    story.done("report.submitted", HOTLINE, at("03-02 09:00"), category=BARE, source="hotline", grid=LEAF)
    return story


@pytest.mark.parametrize(
    ("occurred", "arrival", "judged"),
    [
        ("03-02 09:30", "03-02 09:30", "03-02 09:30"),  # online
        ("03-02 09:30", "03-02 12:00", "03-02 09:30"),  # offline for less than the allowance: believed
        ("03-02 09:30", "03-02 13:30", "03-02 09:30"),  # exactly as long as allowed
        ("03-02 09:29", "03-02 13:30", "03-02 13:30"),  # longer: only the arrival is certain
        ("03-02 10:30", "03-02 10:00", "03-02 10:00"),  # a clock that runs ahead: not after arrival
        ("2030-01-01 00:00", "03-02 10:00", "03-02 10:00"),
        ("03-02 08:00", "03-02 10:00", "03-02 09:00"),  # not before what was judged last
    ],
)
def test_the_occurred_instant_is_believed_within_the_offline_allowance(occurred, arrival, judged):
    story = reported()
    story.done("incident.accepted", STREET, at(arrival), occurred=at(occurred))
    assert story.one(facts.Moved).judged == at(judged)
    stopped, started = story.one(facts.ClockStopped), story.one(facts.ClockStarted)
    assert (stopped.judged, started.judged) == (at(judged), at(judged))
    assert stopped.result == ("on_time" if at(judged) <= at("03-02 10:00") else "overdue")
    assert story.steps[-1].instant == at(judged)


def test_what_the_sender_said_is_kept_whether_believed_or_not():
    story = reported()
    story.done("incident.accepted", STREET, at("03-05 10:00"), occurred=at("03-02 09:30"))
    assert story.steps[-1].cause.occurred == at("03-02 09:30")
    assert story.one(facts.Moved).judged == at("03-05 10:00")


def test_an_early_dawn_is_not_set_on_time_by_a_wrong_clock():
    """A phone whose clock is a day slow says that it accepted before the deadline, long after it."""
    story = reported()
    story.done("incident.accepted", STREET, at("03-03 09:30"), occurred=at("03-02 09:30"))
    assert story.one(facts.ClockStopped).result == "overdue"


def test_a_member_who_was_offline_in_time_is_not_punished():
    """The rung fired, for nobody knew; then the phone came back into the net, within the allowance."""
    story = reported()
    story.done("incident.accepted", STREET, at("03-02 12:30"), occurred=at("03-02 09:45"))
    assert [r.rung for r in story.history(facts.ClockRung)] == ["due"]
    assert story.one(facts.ClockContradicted).judged == at("03-02 09:45")
    assert story.one(facts.ClockStopped).result == "on_time"


def test_two_phones_out_of_order_leave_a_consistent_history():
    """The second to act is the first in the net. What came first is dated first; nothing goes backwards."""
    story = reported()
    story.parked("handling.completed", STREET, at("03-02 10:30"), occurred=at("03-02 10:20"))
    story.done("incident.accepted", "WY01-STAFF1", at("03-02 11:00"), occurred=at("03-02 09:50"))
    moves = story.history(facts.Moved)
    assert [(m.state, m.judged) for m in moves] == [
        ("reported", at("03-02 09:00")),
        ("accepted", at("03-02 09:50")),
        ("verifying", at("03-02 10:20")),
    ]
    assert [s.result for s in story.history(facts.ClockStopped)] == ["on_time", "on_time"]


def test_a_parked_event_is_believed_by_the_arrival_at_which_it_came():
    """It waited for its turn for a day; its sender had been online."""
    story = reported()
    story.parked("handling.completed", STREET, at("03-02 10:00"))
    story.done("incident.accepted", "WY01-STAFF1", at("03-03 10:00"), occurred=at("03-03 09:00"))
    assert [m.judged for m in story.history(facts.Moved)][1:] == [at("03-03 09:00"), at("03-03 09:00")]
    late = reported()
    late.parked("handling.completed", STREET, at("03-02 15:00"), occurred=at("03-02 10:00"))  # beyond the allowance
    late.done("incident.accepted", "WY01-STAFF1", at("03-02 15:30"), occurred=at("03-02 12:00"))
    assert [m.judged for m in late.history(facts.Moved)][1:] == [at("03-02 12:00"), at("03-02 15:00")]


def test_a_report_from_yesterday_begins_its_clocks_when_it_happened():
    story = Story(undissuaded(RULES))
    story.done(
        "report.submitted",
        MEMBER,
        at("03-02 12:00"),
        occurred=at("03-02 09:00"),
        category=BARE,
        source="patrol",
        grid=LEAF,
    )
    reported_ = story.one(facts.Reported)
    assert (reported_.occurred, reported_.judged) == (at("03-02 09:00"), at("03-02 09:00"))
    assert clock(story, "accept").due == at("03-02 10:00")


def test_a_late_pause_takes_back_time_and_a_late_resume_does_not_give_any():
    story = reported()
    story.done("incident.accepted", STREET, at("03-02 09:00"))
    story.done("incident.suspended", STREET, at("03-02 12:00"), occurred=at("03-02 10:00"), reason="dispute")
    assert story.one(facts.ClockPaused).consumed == HOUR
    story.done("incident.resumed", STREET, at("03-02 13:00"), occurred=at("03-02 09:30"))
    assert story.one(facts.ClockResumed).judged == at("03-02 10:00")  # not before the pause
    assert clock(story).due == at("03-02 15:00")


def test_an_order_dated_before_the_last_one_takes_effect_after_it():
    story = reported()
    story.done("deadline.ordered", DISTRICT, at("03-02 10:00"), clock="accept", limit="3工作时")
    story.done("incident.accepted", STREET, at("03-02 11:00"), occurred=at("03-02 09:30"))
    assert story.one(facts.Moved).judged == at("03-02 09:30")
    stopped = story.one(facts.ClockStopped)
    assert (stopped.judged, stopped.result) == (at("03-02 10:00"), "on_time")  # its own clock's last instant


def test_a_check_may_not_come_before_the_handling_that_it_checks():
    story = Story(changed(options={"offline_ms": 72 * HOUR})).found(DUST, at("03-02 09:00"))
    story.done("dissuasion.recorded", MEMBER, at("03-02 09:10"), outcome="effective")
    story.done("verification.recorded", MEMBER, at("03-02 09:20"), occurred=at("03-02 08:00"), outcome="solved")
    assert story.one(facts.Moved).judged == at("03-02 09:10")


@given(st.integers(-10 * HOUR, 10 * HOUR), st.integers(0, 10 * HOUR))
def test_what_is_believed_is_what_was_said_or_the_arrival(delay, allowance):
    arrival = at("03-02 12:00")
    instant = believed(arrival - delay, arrival, allowance)
    assert instant == (arrival if delay > allowance else arrival - delay)


@given(st.lists(st.tuples(st.integers(0, 300), st.integers(-400, 400)), min_size=5, max_size=5))
def test_whatever_the_phones_say_no_fact_goes_back_behind_its_clock(delays):
    """Five steps, each late and misdated at random: clocks start, pause and stop in order, moves too."""
    story, now = Story(RULES), at("03-02 09:00")
    says = [
        ("report.submitted", HOTLINE, {"category": BARE, "source": "hotline", "grid": LEAF}),
        ("incident.accepted", STREET, {}),
        ("incident.suspended", STREET, {"reason": "other"}),
        ("incident.resumed", STREET, {}),
        ("handling.completed", STREET, {}),
    ]
    for (kind, actor, data), (later, off) in zip(says, delays, strict=True):
        now += later * 60_000
        story.done(kind, actor, now, occurred=now + off * 60_000, **data)
    moves = [m.judged for m in story.history(facts.Moved)]
    assert moves == sorted(moves) and moves[-1] <= now
    last: dict[tuple[str, int], int] = {}
    for step in story.steps:
        for fact in step.facts:
            if isinstance(fact, facts.ClockStarted | facts.ClockPaused | facts.ClockResumed | facts.ClockStopped):
                key = (fact.clock, fact.level)
                assert last.get(key, 0) <= fact.judged <= now
                last[key] = fact.judged


# ---- what is done at a desk -------------------------------------------------------------------------------


def test_no_desk_sets_itself_on_time():
    """In Weiyang an act at a desk is judged at its arrival, whatever instant it names."""
    story = Story(small(roles=weiyang().pack.roles, limits=limits(("accept", "1工作时"))))
    story.done("report.submitted", HOTLINE, at("03-02 09:00"), category=BARE, source="hotline", grid=LEAF)
    story.done("incident.accepted", STREET, at("03-02 11:00"), occurred=at("03-02 09:30"))
    stopped = story.one(facts.ClockStopped)
    assert (stopped.judged, stopped.result, stopped.claimed) == (at("03-02 11:00"), "overdue", False)
    assert story.steps[-1].cause.occurred == at("03-02 09:30")


FIELD = {
    "report.submitted",
    "dissuasion.recorded",
    "incident.reported_up",
    "verification.recorded",
    "department.arrived",
    "duty.recorded",
    "task.progressed",
    "visit.recorded",
    "approval.visited",
    "petition.examined",
}
"""What is said on site, and with a phone that may be offline."""
NO_CLOCK = {"evidence.added", "comment.added", "incident.acknowledged", "incident.urged", "incident.withdrawn"}
"""What fulfils no clock and starts none."""


def test_desks_of_weiyang_have_no_allowance_and_boston_keeps_its_72_hours():
    rows = [row for row in shipped().pack.roles if row.trigger not in NO_CLOCK]
    in_field = {row.rule for row in rows if row.trigger in FIELD} | {"finish-part-leaf"}  # a community works outside
    in_field |= {f"{word}-signal" for word in ("begin", "worsen", "end", "confirm", "dismiss")}  # devices, and on site
    assert {(row.rule in in_field, row.offline_ms) for row in rows if row.trigger != "duty.excused"} == {
        (True, None),
        (False, 0),
    }
    boston = load_pack("boston311")
    assert {row.offline_ms for row in boston.roles} == {None}
    assert shipped().options.offline_ms == boston.options.offline_ms == 72 * HOUR


def test_what_a_member_did_offline_in_time_is_on_time_and_marked_as_claimed():
    story = Story(small(roles=weiyang().pack.roles, limits=limits(("dissuade", "0.5紧急工作时"))))
    story.found(DUST, at("03-02 09:00"))
    story.done("dissuasion.recorded", MEMBER, at("03-02 11:00"), occurred=at("03-02 09:10"), outcome="effective")
    stopped = next(fact for fact in story.of(facts.ClockStopped) if fact.clock == "dissuade")
    assert (stopped.judged, stopped.result, stopped.claimed) == (at("03-02 09:10"), "on_time", True)


def test_what_came_before_its_deadline_claims_nothing_however_long_it_waited_for_its_turn():
    story = reported()
    story.parked("handling.completed", STREET, at("03-02 09:50"), occurred=at("03-02 09:40"))
    story.done("incident.accepted", "WY01-STAFF1", at("03-02 12:00"), occurred=at("03-02 09:30"))
    assert [(s.clock, s.result, s.claimed) for s in story.history(facts.ClockStopped)] == [
        ("accept", "on_time", True),  # it came at noon, its deadline was ten
        ("handle", "on_time", False),
    ]


def test_the_widest_allowance_of_a_role_counts_and_an_empty_one_is_that_of_the_pack():
    rows = [RoleRow(name, "incident.accepted", "chief", offline_ms=ms) for name, ms in (("a", 0), ("b", HOUR))]
    rules = changed(options={"offline_ms": DAY}, roles=(*rows, RoleRow("c", "incident.accepted", "chief", (3,))))
    street, district = rules.posts[STREET], rules.posts[DISTRICT]
    assert offline_allowance(district, "incident.accepted", rules, rules) == HOUR
    assert offline_allowance(street, "incident.accepted", rules, rules) == DAY
    assert offline_allowance(street, "incident.closed", rules, rules) == DAY  # it may not say it, and hears that

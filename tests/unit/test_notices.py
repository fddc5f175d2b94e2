"""Who is told of which move of a case (告知): by the rules of the sample pack, and by tables that differ from it."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings

from schemas import facts
from tests.support.builders import (
    BARE,
    CENTRE,
    CITY,
    DISTRICT,
    HOTLINE,
    LEAF,
    LEAF_CHIEF,
    MEMBER,
    METRO,
    STREET,
    Story,
    at,
    changed,
    instant,
    weiyang,
)
from tests.support.examples import examples
from tests.support.histories import live, plots
from workflows.policy.model import NoticeRow
from workflows.policy.moves import MOVES

STAFF = ("WY01-STAFF1", "WY01-STAFF2", "WY01-STAFF3")
SPONSOR = "WY01-01-SPONSOR"


def told(story: Story, *, daily: bool = False) -> list[tuple[str, tuple[str, ...]]]:
    """(move, posts) of what the last call told at once, or for the daily line."""
    return [(notice.on, notice.to) for notice in story.of(facts.NoticeGiven) if notice.daily == daily]


def table(*rows: tuple[str, str], **fields: Any) -> Any:
    """The sample pack with another table: (move, words)."""
    notices = tuple(NoticeRow(on, tuple(words.split(";"))) for on, words in rows)
    return changed(notices=notices, **fields)


def of_posts(**fields: Any) -> Any:
    """The sample pack in which one post differs: post=..., and its fields."""
    code = fields.pop("post")
    posts = tuple(msgspec.structs.replace(p, **fields) if p.code == code else p for p in weiyang().pack.posts)
    return changed(posts=posts)


# ---- what arrives -----------------------------------------------------------------------------------------


def test_who_gets_a_report_is_told_in_the_same_step_as_those_who_get_a_copy():
    """同时上报 (M17)."""
    story = Story().found()
    story.done("dissuasion.recorded", MEMBER, outcome="ineffective")
    story.done("incident.reported_up", MEMBER)
    assert told(story) == [("assigned", (*STAFF, STREET)), ("copied", (SPONSOR,))]
    assert sum(isinstance(fact, facts.Moved) for fact in story.steps[-1].facts) == 1


def test_a_department_gets_the_copy_through_its_desk():
    """同时上报市级相关职能部门 (M26)."""
    story = Story().reported(METRO).accepted(DISTRICT)
    story.done("incident.escalated", DISTRICT, reason="coordination")
    assert told(story) == [("assigned", (CITY,)), ("copied", ("XA-HAZE-H", "XA-FUNC-H"))]


def test_levels_that_a_report_passes_over_get_their_copy():
    story = Story().found(METRO)
    story.done("dissuasion.recorded", MEMBER, outcome="ineffective")
    story.done("incident.reported_up", MEMBER)
    assert told(story) == [("assigned", (DISTRICT,)), ("copied", (SPONSOR, STREET, *STAFF))]


def test_what_is_returned_is_told_to_who_gets_it_back():
    story = Story().reported().accepted()
    story.done("incident.dispatched", STREET, lead="WY-BUILD")
    assert told(story) == [("assigned", ("WY-BUILD-H", MEMBER, LEAF_CHIEF))]
    story.done("incident.returned", "WY-BUILD-H", reason="not_our_duty")
    assert told(story) == [("returned", (*STAFF, STREET))]


def test_what_is_reassigned_is_told_to_its_new_owner():
    story = Story().reported()
    story.done("incident.reassigned", CENTRE, to_department="WY-URBAN")
    assert told(story) == [("reassigned", ("WY-URBAN-H", DISTRICT))]


def test_each_level_is_told_when_the_turn_of_its_check_has_come():
    """反馈二级、三级、四级网格现场核查 (M33)."""
    story = Story().reported("D1-01").accepted(CITY).handled(CITY)
    turns = [told(story)]
    for post in (DISTRICT, STREET):
        story.done("verification.recorded", post, outcome="solved")
        turns.append(told(story))
    assert turns == [[("check", to)] for to in ((DISTRICT,), (*STAFF, STREET), (MEMBER, LEAF_CHIEF))]


def test_a_level_that_lets_its_turn_pass_leaves_the_check_to_the_next_which_is_told():
    story = Story().reported(METRO).accepted(DISTRICT).handled(DISTRICT)
    assert told(story) == [("check", (*STAFF, STREET))]
    story.until(at("03-06 18:00"))
    assert ("check", (MEMBER, LEAF_CHIEF)) in told(story)


def test_what_was_put_aside_until_a_day_arrives_again_on_it():
    story = Story().reported().accepted()
    story.done("incident.suspended", STREET, reason="season", until=instant(at("03-04 10:00")))
    story.until(at("03-04 10:01"))
    assert ("assigned", (*STAFF, STREET)) in told(story)


# ---- what was decided, and how it ended -------------------------------------------------------------------


@pytest.mark.mechanism("M19")
@pytest.mark.parametrize(
    ("trigger", "by", "data", "move"),
    [
        pytest.param("incident.rejected", STREET, {"reason": "unfounded"}, "decided"),
        pytest.param("incident.force_closed", "WY-OFFICE", {"reason": "policy"}, "decided"),
    ],
)
def test_an_ending_by_order_is_told_to_its_holder_and_at_once_to_who_reported_it(trigger, by, data, move):
    story = Story().reported(BARE, at("03-02 20:00"))
    story.done(trigger, by, at("03-02 23:00"), **data)
    assert told(story) == [(move, tuple(post for post in (*STAFF, STREET, HOTLINE) if post != by))]
    assert not told(story, daily=True)


def test_who_withdraws_is_not_told_and_who_held_it_is():
    story = Story().reported()
    story.done("incident.withdrawn", HOTLINE)
    assert told(story) == [("ended", (*STAFF, STREET))]


def test_an_ordered_deadline_is_told_to_who_has_to_keep_it():
    story = Story().reported().accepted()
    story.done("deadline.ordered", DISTRICT, clock="handle", due=instant(at("03-03 12:00")))
    assert told(story) == [("decided", (*STAFF, STREET))]


def test_a_move_that_leaves_the_case_in_its_state_tells_nobody():
    story = Story().reported().accepted()
    story.done("incident.dispatched", STREET, lead="WY-BUILD")
    story.done("department.arrived", "WY-BUILD-H", department="WY-BUILD")
    assert not story.of(facts.NoticeGiven)


def test_a_comment_tells_nobody():
    story = Story().reported()
    story.done("comment.added", DISTRICT, text="...")
    assert [type(fact) for fact in story.facts] == [facts.Noted]


# ---- who hears nothing, and who hears once ----------------------------------------------------------------


def test_nobody_is_told_of_his_own_move():
    story = Story().reported()
    story.done("incident.dispatched", "WY01-STAFF1", lead="WY-BUILD")
    story.done("incident.returned", "WY-BUILD-H", reason="not_our_duty")
    story.done("incident.rejected", STREET, reason="unfounded")
    for step in story.steps:
        assert all(step.cause.actor not in fact.to for fact in step.facts if isinstance(fact, facts.NoticeGiven))
    assert told(story) == [("decided", (*STAFF, HOTLINE))]


def test_a_post_that_two_moves_reach_hears_the_stronger_one():
    rules = table(("assigned", "holder;sponsor"), ("copied", "copied;holder"))
    story = Story(rules).found()
    story.done("dissuasion.recorded", MEMBER, outcome="ineffective")
    story.done("incident.reported_up", MEMBER)
    assert told(story) == [("assigned", (*STAFF, STREET, "WY01-SPONSOR")), ("copied", (SPONSOR,))]


def test_a_machine_hears_nothing():
    """Sensors, cameras and the intake of public reports are posts, too."""
    story = Story()
    story.done("report.submitted", "WY-SENSOR", category=BARE, source="sensor", grid=LEAF)
    story.done("incident.rejected", STREET, reason="unfounded")
    assert told(story) == [("decided", STAFF)]
    assert not any("WY-SENSOR" in notice.to for notice in story.history(facts.NoticeGiven))


@pytest.mark.parametrize("gone", [{"vacant": True}, {"valid_to": 20260301}])
def test_a_post_that_is_vacant_or_over_hears_nothing(gone):
    story = Story(of_posts(post="WY01-STAFF2", **gone)).reported()
    assert told(story) == [("assigned", ("WY01-STAFF1", "WY01-STAFF3", STREET))]


def test_a_reporter_whose_post_became_vacant_hears_nothing():
    story = Story().reported()
    story.register = of_posts(post=HOTLINE, vacant=True)
    story.done("incident.rejected", STREET, reason="unfounded")
    assert told(story) == [("decided", STAFF)]


# ---- who reported it --------------------------------------------------------------------------------------


def test_what_the_reporter_need_not_hear_at_once_waits_for_the_hour_of_the_pack():
    """跟踪落实 (M19)."""
    story = Story().reported()
    story.done("incident.accepted", STREET, at("03-02 11:00"))
    assert told(story, daily=True) == [("moved", (HOTLINE,))]
    assert story.one(facts.NoticeGiven).not_before == at("03-02 18:00")
    story.done("incident.dispatched", STREET, at("03-02 18:00"), lead="WY-BUILD")
    later = [notice.not_before for notice in story.of(facts.NoticeGiven) if notice.daily]
    assert later == [at("03-03 18:00")]


def test_the_hour_of_the_daily_line_is_the_packs():
    story = Story(changed(options={"daily_at": 7 * 60 + 30})).reported()
    story.done("incident.accepted", STREET, at("03-02 11:00"))
    assert story.one(facts.NoticeGiven).not_before == at("03-03 07:30")


def test_a_reporter_who_has_to_act_hears_it_at_once():
    story = Story().found()
    story.done("dissuasion.recorded", MEMBER, outcome="ineffective")
    story.done("incident.reported_up", MEMBER)
    story.done("incident.returned", STREET, reason="insufficient")
    assert told(story) == [("returned", (MEMBER, LEAF_CHIEF))]
    assert not told(story, daily=True)


def test_who_reported_a_case_that_goes_on_in_another_hears_of_its_ending():
    first = Story().reported()
    second = Story(number=2, beside=first.beside)
    second.done("report.submitted", "WY-DISPATCH", category=BARE, source="petition", grid=LEAF)
    second.done("incident.merged", STREET, into=first.case.id)
    # Who merged them knows it; the others of the street office are told of both.
    assert told(second) == [("merged", (*STAFF, CENTRE))] and told(first) == [("merged", STAFF)]
    first.done("incident.rejected", STREET, second.now, reason="unfounded")
    assert told(first) == [("decided", (*STAFF, HOTLINE))]
    assert told(second) == [("ended", (CENTRE,))]


# ---- quiet hours ------------------------------------------------------------------------------------------


def test_at_night_a_copy_waits_and_so_does_work_whose_clock_sleeps():
    story = Story().reported(BARE, at("03-02 23:30"))
    assert [notice.not_before for notice in story.of(facts.NoticeGiven)] == [at("03-03 07:00")]


def test_at_night_work_whose_clock_runs_is_told_at_once():
    story = Story().reported(BARE, at("03-02 21:00")).accepted()
    story.done("incident.dispatched", STREET, at("03-02 23:30"), lead="WY-BUILD")
    assert [(n.on, n.not_before) for n in story.of(facts.NoticeGiven) if not n.daily] == [("assigned", None)]


def test_urging_does_not_wait_for_the_morning():
    story = Story().reported()
    story.done("incident.urged", DISTRICT, at("03-02 23:30"))
    assert [notice.not_before for notice in story.of(facts.NoticeGiven)] == [None]


# ---- tables -----------------------------------------------------------------------------------------------


def test_a_pack_without_the_table_tells_nobody():
    story = Story(changed(notices=())).reported().accepted().handled()
    assert not story.history(facts.NoticeGiven)


def test_a_row_of_a_kind_of_case_replaces_the_one_of_every_kind():
    rows = (NoticeRow("assigned", ("holder",)), NoticeRow("assigned", ("upper_chief",), "service_request"))
    rules = changed(notices=rows)
    assert told(Story(rules).reported()) == [("assigned", (*STAFF, STREET))]
    assert told(Story(rules).reported(definition="service_request")) == [("assigned", (DISTRICT,))]


def test_those_who_assist_and_those_who_owe_a_check_can_be_told():
    rules = table(("assigned", "assisting"), ("check", "checkers"))
    story = Story(rules).reported(METRO).accepted(DISTRICT)
    story.done("incident.dispatched", DISTRICT, lead="WY-BUILD", assisting=["WY-URBAN"])
    assert told(story) == [("assigned", ("WY-URBAN-H", MEMBER, LEAF_CHIEF))]
    story.done("handling.completed", "WY-BUILD-H")
    assert told(story) == [("check", (*STAFF, STREET, MEMBER, LEAF_CHIEF))]


@settings(max_examples=examples(30), deadline=None)
@given(plots)
def test_whatever_happens_a_post_hears_of_a_step_once_and_never_of_its_own(found):
    for step in (step for k, plot in enumerate(found) for step in live(k + 1, plot).steps):
        notices = [fact for fact in step.facts if isinstance(fact, facts.NoticeGiven)]
        posts = [post for notice in notices for post in notice.to]
        assert len(posts) == len(set(posts))
        assert step.post not in posts
        assert all(MOVES.index(a.on) < MOVES.index(b.on) for a, b in pairwise(n for n in notices if not n.daily))
        assert all(notice.not_before is not None for notice in notices if notice.daily)

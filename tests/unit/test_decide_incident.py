"""The incident through decide: the main line, and what each event besides moving the case leaves behind."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from schemas import facts
from schemas.coordinates import in_units
from schemas.envelope import Record, encode_record
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
    instant,
    subject,
    weiyang,
)
from workflows.case import Case, encode
from workflows.decide import IncomingEvent, take
from workflows.duplicates import correlation_key, correlation_keys
from workflows.policy.borders import METRES_PER_DEGREE

PHOTO: dict[str, Any] = {
    "url": "https://files.example/1.jpg",
    "sha256": "ab" * 32,
    "kind": "before",
    "taken_at": instant(at("03-02 08:59")),
    "position": {"lon": 108.845, "lat": 34.385},
}


def evidenced(by: str) -> facts.Evidenced:
    return facts.Evidenced(
        url=PHOTO["url"],
        sha256=PHOTO["sha256"],
        kind="before",
        by=by,
        taken_at=at("03-02 08:59"),
        lon=108.845,
        lat=34.385,
    )


# ---- the main line ----------------------------------------------------------------------------------------


@pytest.mark.mechanism("M51")
def test_a_problem_found_on_patrol_is_dissuaded_reported_handled_verified_and_closed():
    """巡查、发现、劝阻、上报、处置、反馈、核查、结案 (M51): the states in order, each by the one whose duty it is."""
    story = Story().found(DUST)
    states = [story.case.state]
    line: list[tuple[str, str, dict[str, Any]]] = [
        ("dissuasion.recorded", MEMBER, {"outcome": "ineffective"}),
        ("incident.reported_up", MEMBER, {}),
        ("incident.accepted", STREET, {}),
        ("incident.dispatched", STREET, {"lead": "WY-URBAN"}),
        ("handling.completed", "WY-URBAN-H", {}),
        ("verification.recorded", MEMBER, {"outcome": "solved"}),
        ("incident.closed", LEAF_CHIEF, {}),
    ]
    for kind, actor, data in line:
        story.done(kind, actor, **data)
        states.append(story.case.state)
    assert states == [
        "discovered",
        "dissuading",
        "reported",
        "accepted",
        "handling",
        "verifying",
        "verified",
        "closed",
    ]
    assert [m.trigger for m in story.history(facts.Moved)][-1] == "incident.closed"
    assert story.case.closed == story.now
    assert story.case.next_at is None and story.case.due_at is None
    assert story.case.seq == len(story.steps) == 8


def test_a_report_tells_all_that_the_case_will_ever_need():
    story = Story()
    story.done(
        "report.submitted",
        MEMBER,
        at("03-02 09:05"),
        occurred=at("03-02 09:00"),
        category=BARE,
        source="patrol",
        grid=LEAF,
        position={"lon": 108.845, "lat": 34.385},
        unit="SITE-0042",
        reference="2026-17",
        evidence=[PHOTO],
    )
    told = story.one(facts.Reported)
    assert told == facts.Reported(
        definition="incident",
        policy=weiyang().hash,
        category=BARE,
        group="dust",
        source="patrol",
        by=MEMBER,
        path=("XA", "WY", "WY01", LEAF),
        occurred=at("03-02 09:00"),
        judged=at("03-02 09:00"),
        lon=108.845,
        lat=34.385,
        crs="WGS84",
        unit="SITE-0042",
        reference="2026-17",
        key=told.key,
        how="sent",
    )
    assert story.one(facts.Evidenced) == evidenced(MEMBER)
    assert story.steps[0].cause == facts.Cause(
        type="gridpatrol.report.submitted.v1", source="app/test", id="e1", actor=MEMBER, occurred=at("03-02 09:00")
    )


@pytest.mark.parametrize("source", ["public", "petition", "hotline", "sensor", "camera", "transfer"])
def test_what_others_report_starts_as_reported_without_dissuasion(source):
    """`在线监测…实时传输` (M52), `公众参与` (M63): they do not stand on site."""
    story = Story()
    story.done("report.submitted", HOTLINE, category=DUST, source=source, grid=LEAF)
    assert story.case.state == "reported"


def test_a_category_that_the_pack_does_not_know_is_refused():
    story = Story()
    refused = story.refused(Reason.UNKNOWN_CODE, "report.submitted", MEMBER, category="D9-99", source="patrol")
    assert refused.field == "data.category" and "D9-99" not in refused.detail
    assert (
        story.refused(
            Reason.UNKNOWN_CODE, "report.submitted", MEMBER, category=BARE, source="patrol", grid="WY99"
        ).field
        == "data.grid"
    )


def test_dissuasion_may_be_tried_again():
    story = Story().found(DUST)
    story.done("dissuasion.recorded", MEMBER, outcome="ineffective")
    story.done("dissuasion.recorded", MEMBER, outcome="effective")
    assert story.case.state == "verifying"
    assert [d.outcome for d in story.history(facts.Dissuaded)] == ["ineffective", "effective"]


def test_handling_and_checking_bring_their_evidence():
    story = Story().reported(BARE).accepted()
    story.done("handling.completed", STREET, evidence=[PHOTO, {**PHOTO, "kind": "after"}])
    assert [e.kind for e in story.of(facts.Evidenced)] == ["before", "after"]
    assert story.one(facts.Handled) == facts.Handled(level=3, by=STREET, checks=(4,))
    story.done("verification.recorded", MEMBER, outcome="solved", evidence=[PHOTO])
    assert story.one(facts.Evidenced) == evidenced(MEMBER)
    assert story.one(facts.Checked) == facts.Checked(level=4, outcome="solved", by=MEMBER, decides=True)


def test_the_traceparent_of_an_event_goes_with_its_step():
    trace = "00-" + "1" * 32 + "-" + "2" * 16 + "-01"
    said = {**event("incident.accepted", STREET, at("03-02 09:01")), "traceparent": trace}
    story = Story().reported(BARE)
    result = take(story.case, arrived(said, at("03-02 09:01")), story.rules, story.register)
    assert result.steps[0].cause.traceparent == trace


# ---- side lines -------------------------------------------------------------------------------------------


def test_a_merged_case_points_to_the_one_that_goes_on():
    story = Story().reported(BARE).accepted()
    story.refused(Reason.INVALID, "incident.merged", STREET, into=subject())
    story.refused(Reason.INVALID, "incident.merged", STREET, into=subject("WY02", 2))
    story.another(2)
    story.done("incident.merged", STREET, into=subject(number=2))
    assert story.one(facts.Linked).into == story.case.merged_into == subject(number=2)
    assert story.case.state == "merged"
    assert {s.clock for s in story.of(facts.ClockStopped)} == {"handle", "total"}
    assert {s.why for s in story.of(facts.ClockStopped)} == {"incident.merged"}


@pytest.mark.parametrize(
    ("kind", "actor", "data", "state", "reason"),
    [
        ("incident.rejected", STREET, {"reason": "out_of_scope"}, "rejected", "out_of_scope"),
        ("incident.withdrawn", HOTLINE, {}, "withdrawn", ""),
        ("incident.force_closed", DISTRICT, {"reason": "unsolvable"}, "force_closed", "unsolvable"),
    ],
)
def test_every_other_end_keeps_who_ended_it_and_why(kind, actor, data, state, reason):
    """不予立案, 撤回, 强制结案: role and reason are kept."""
    story = Story().reported(BARE)
    story.done(kind, actor, **data)
    assert story.case.state == state
    assert story.one(facts.Noted) == facts.Noted(what=state, by=actor, reason=reason)
    assert (story.case.clocks, story.case.next_at, story.case.closed) == ((), None, story.now)


def test_force_closing_needs_no_verification_but_the_right_role():
    story = Story().found(DUST)
    story.refused(Reason.FORBIDDEN, "incident.force_closed", STREET, reason="policy")
    story.done("incident.force_closed", "WY-OFFICE", reason="policy")
    assert not story.history(facts.Checked)


def test_what_is_being_handled_can_no_longer_be_withdrawn_or_rejected():
    story = Story().reported(BARE).accepted()
    story.done("incident.dispatched", STREET, lead="WY-URBAN")
    story.refused(Reason.IMPOSSIBLE, "incident.withdrawn", HOTLINE)
    story.refused(Reason.IMPOSSIBLE, "incident.rejected", STREET, reason="unfounded")


@pytest.mark.parametrize("state", ["reported", "accepted", "handling", "returned"])
def test_a_suspended_case_comes_back_to_where_it_was(state):
    story = Story().reported(BARE)
    if state != "reported":
        story.accepted()
    if state in ("handling", "returned"):
        story.done("incident.dispatched", STREET, lead="WY-URBAN")
    if state == "returned":
        story.done("incident.returned", "WY-URBAN-H", reason="not_our_duty")
    story.done("incident.suspended", STREET, reason="engineering")
    assert (story.case.state, story.case.suspended_from) == ("suspended", state)
    story.done("incident.resumed", CENTRE)
    assert (story.case.state, story.case.suspended_from) == (state, "")


def test_a_remark_moves_nothing_and_dates_nothing():
    story = Story().reported(BARE).accepted()
    before = story.case
    story.done("comment.added", STREET, story.now + DAY // 4)
    assert story.one(facts.Noted).what == "comment"
    assert not story.of(facts.Moved)
    after = msgspec.structs.replace(story.case, seq=before.seq, clocks=before.clocks, alerted=before.alerted)
    assert encode(after) == encode(before)


def test_evidence_may_be_added_at_any_time_even_after_the_end():
    story = Story().reported(BARE)
    story.done("evidence.added", HOTLINE, evidence=[PHOTO])
    story.done("incident.rejected", STREET, reason="unfounded")
    story.done("evidence.added", STREET, evidence=[PHOTO, PHOTO])
    assert [e.by for e in story.history(facts.Evidenced)] == [HOTLINE, STREET, STREET]
    assert story.case.state == "rejected"


def test_sealed_text_leaves_its_token_in_the_facts():
    story = Story().reported(BARE)
    said = arrived(event("comment.added", STREET, story.now), story.now)
    record = Record(event=said.record.event, digest="d", token="t-17", digests=("2:d",))
    result = take(
        story.case, IncomingEvent(record, said.data, story.now, encode_record(record)), story.rules, story.rules
    )
    assert result.steps[0].facts == (facts.Noted(what="comment", by=STREET, token="t-17"),)
    assert result.steps[0].cause.token == "t-17"


def test_urging_tells_the_owner_each_time():
    """催办."""
    story = Story().reported(BARE)
    for by in (DISTRICT, CENTRE):
        story.done("incident.urged", by)
        assert story.one(facts.Urged).by == by
        to = ("WY01-STAFF1", "WY01-STAFF2", "WY01-STAFF3", STREET)
        assert story.one(facts.NoticeGiven) == facts.NoticeGiven(on="urged", to=to)
        assert not story.of(facts.AlertRaised)


def test_urging_alerts_under_a_pack_that_has_no_table_of_notices():
    """Stored packs mean what they meant."""
    story = Story(changed(notices=())).reported(BARE)
    story.done("incident.urged", DISTRICT)
    first = story.one(facts.AlertRaised)
    assert (first.kind, first.to) == ("urge", ("WY01-STAFF1", "WY01-STAFF2", "WY01-STAFF3", STREET))
    story.done("incident.urged", CENTRE)
    assert story.one(facts.AlertRaised).alert != first.alert
    assert not story.history(facts.NoticeGiven)


def test_there_is_something_to_acknowledge_only_when_somebody_was_told():
    """知悉."""
    story = Story().reported(BARE)
    story.refused(Reason.IMPOSSIBLE, "incident.acknowledged", DISTRICT)
    story.now = story.case.next_at or 0
    story.refused(Reason.IMPOSSIBLE, "incident.acknowledged", DISTRICT, clock="total")
    story.done("incident.acknowledged", STREET, clock="accept")
    assert story.one(facts.Acknowledged) == facts.Acknowledged(by=STREET, clock="accept", level=3, rung="warn")


# ---- duplicates -------------------------------------------------------------------------------------------

HERE = {"lon": 108.845, "lat": 34.385}
METRE = 1 / 111_320


def reported_at(number: int, when: str, **data: Any) -> Case:
    story = Story(number=number)
    story.done("report.submitted", HOTLINE, at(when), category=BARE, source="hotline", grid=LEAF, **data)
    return story.case


@pytest.mark.parametrize(
    ("when", "metres", "similar"),
    [("03-02 08:00", 49, True), ("03-02 08:00", 51, False), ("03-01 09:00", 0, True), ("03-01 08:59", 0, False)],
)
def test_open_cases_nearby_in_place_and_time_are_proposed_never_merged(when, metres, similar):
    """Same class within 50 m and 24 h: one city's practice, and pack data."""
    other = reported_at(2, when, position={**HERE, "lat": HERE["lat"] + metres * METRE})
    story = Story(number=1)
    story.done(
        "report.submitted",
        HOTLINE,
        at("03-02 09:00"),
        category=BARE,
        source="hotline",
        grid=LEAF,
        position=HERE,
        nearby=(other,),
    )
    assert [s.cases for s in story.of(facts.Similar)] == ([(other.id,)] if similar else [])
    assert story.case.state == "reported"


def test_cases_without_a_position_are_like_no_other():
    other = reported_at(2, "03-02 08:00")
    assert other.key == ""
    story = Story()
    story.done("report.submitted", HOTLINE, category=BARE, source="hotline", grid=LEAF, position=HERE, nearby=(other,))
    assert not story.of(facts.Similar)


def test_the_key_of_a_case_is_its_category_and_a_cell_of_the_map():
    near = reported_at(1, "03-02 08:00", position=HERE)
    same = reported_at(2, "03-02 08:00", position={**HERE, "lat": HERE["lat"] + METRE})
    far = reported_at(3, "03-02 08:00", position={"lon": 108.845, "lat": 34.389})
    shifted = reported_at(4, "03-02 08:00", position={**HERE, "crs": "GCJ02"})
    assert near.key == same.key != far.key
    assert near.key.startswith(f"{BARE}|")
    assert shifted.key != near.key  # the same numbers on another map are another place
    assert Story(changed(options={"similar_radius_m": 0})).reported(BARE, position=HERE).case.key == ""


def test_a_case_just_across_the_border_of_a_map_cell_is_still_looked_for() -> None:
    radius = weiyang().options.similar_radius_m
    side = 4 * radius / METRES_PER_DEGREE
    east, west = 545 * side + 0.1 * side, 545 * side - 0.1 * side  # 40 % of a radius on either side of a border
    north = 170.5 * side
    here, there = (in_units(lon, north) for lon in (east, west))
    assert correlation_key(BARE, here, radius) != correlation_key(BARE, there, radius)
    assert correlation_key(BARE, there, radius) in correlation_keys(BARE, here, radius)
    assert correlation_keys(BARE, here, radius)[0] == correlation_key(BARE, here, radius)
    assert correlation_keys(BARE, here, 0) == []
    assert correlation_keys(BARE, None, radius) == []

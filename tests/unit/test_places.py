"""Where a report lies: by the position that a phone sends, on whatever map it measured it."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec import structs

from schemas import facts
from schemas.coordinates import UNITS, to_bd09, to_gcj02
from schemas.refusals import Reason
from tests.support.builders import BARE, HOTLINE, MEMBER, Story, arrived, at, changed, event, weiyang
from workflows.decide import IncomingEvent, take
from workflows.duplicates import spot_of
from workflows.policy.borders import METRES_PER_DEGREE
from workflows.policy.model import digest

INSIDE = (108.845, 34.385)  # of WY01-01
METRE = 1 / METRES_PER_DEGREE


def position(lon: float, lat: float, **rest: Any) -> dict[str, Any]:
    return {"lon": lon, "lat": lat, **rest}


def found_at(where: dict[str, Any], policy: Any = None, actor: str = HOTLINE, **rest: Any) -> Story:
    """A report of somebody with this position."""
    story, source = Story(policy), "patrol" if actor == MEMBER else "hotline"
    story.done("report.submitted", actor, category=BARE, source=source, position=where, **rest)
    return story


def placed(story: Story) -> tuple[str, str, str]:
    """The grid of a report, how it was found, and what is remarked."""
    told = story.one(facts.Reported)
    return told.path[-1], told.how, told.remark


def said_at(where: dict[str, Any]) -> IncomingEvent:
    """The same report as a record of the log."""
    now = at("03-02 09:00")
    return arrived(event("report.submitted", HOTLINE, now, category=BARE, source="hotline", position=where), now)


@pytest.mark.parametrize(
    ("crs", "lon_lat"),
    [
        ("WGS84", INSIDE),
        ("CGCS2000", INSIDE),
        ("GCJ02", to_gcj02(*INSIDE)),
        ("BD09", to_bd09(*to_gcj02(*INSIDE))),
    ],
)
def test_a_position_is_found_on_whatever_map_it_was_measured(crs, lon_lat):
    story = found_at(position(*lon_lat, crs=crs, accuracy_m=5))
    told = story.one(facts.Reported)
    assert story.case.path[-1] == "WY01-01"
    assert (told.lon, told.lat, told.crs) == (*lon_lat, crs)
    assert spot_of(story.case) == tuple(round(number * UNITS) for number in INSIDE)
    assert (told.spot is None) == (crs in ("WGS84", "CGCS2000"))


def test_the_same_numbers_on_another_map_are_another_grid():
    """GCJ-02 is shifted by half a kilometre here: nine grids of the sample are a kilometre wide."""
    near_the_border = (108.8505, 34.385)  # 46 m inside WY01-02, and 400 m outside of it
    assert found_at(position(*near_the_border, crs="WGS84")).case.path[-1] == "WY01-02"
    assert found_at(position(*near_the_border, crs="GCJ02")).case.path[-1] == "WY01-01"


def test_what_phones_mean_that_send_no_crs_is_said_by_the_pack():
    story = found_at(position(*to_gcj02(*INSIDE)), changed(options={"crs": "GCJ02"}))
    assert story.case.path[-1] == "WY01-01"
    assert story.one(facts.Reported).crs == "GCJ02"
    assert spot_of(story.case) == tuple(round(number * UNITS) for number in INSIDE)
    assert found_at(position(*INSIDE)).one(facts.Reported).crs == "WGS84"


def test_the_pack_that_is_active_when_the_event_arrives_says_what_is_meant():
    """The record has every reading, so the door need not know the pack, and a replay decides as the first time."""
    said = arrived(
        event(
            "report.submitted",
            HOTLINE,
            at("03-02 09:00"),
            category=BARE,
            source="hotline",
            position=position(108.8505, 34.385),
        ),
        at("03-02 09:00"),
    )
    for crs, grid in (("", "WY01-02"), ("WGS84", "WY01-02"), ("GCJ02", "WY01-01")):
        policy = changed(options={"crs": crs})
        result = take(Story(policy).case, said, policy, policy)
        assert result.case.path[-1] == grid


def test_an_option_that_is_not_set_leaves_the_hash_of_a_pack_as_it_was():
    assert digest(changed(options={"crs": ""}).pack) == weiyang().hash
    assert digest(changed(options={"crs": "GCJ02"}).pack) != weiyang().hash


def test_the_same_problem_is_proposed_across_maps_of_different_crs():
    one = found_at(position(*to_gcj02(*INSIDE), crs="GCJ02")).case
    there = Story(number=2)
    north = (INSIDE[0], INSIDE[1] + 30 * METRE)
    there.done("report.submitted", HOTLINE, category=BARE, source="hotline", position=position(*north), nearby=(one,))
    assert there.case.key == one.key
    assert [fact.cases for fact in there.of(facts.Similar)] == [(one.id,)]


def test_evidence_says_on_which_map_it_was_taken_where_that_is_a_shifted_one():
    photo: dict[str, Any] = {"url": "https://files.example/1.jpg", "sha256": "ab" * 32, "kind": "near"}
    places = [position(*INSIDE, crs="GCJ02"), position(*INSIDE, crs="WGS84"), position(*INSIDE), None]
    told = []
    for policy in (None, changed(options={"crs": "BD09"})):
        story = Story(policy).reported(BARE)
        story.done("evidence.added", HOTLINE, evidence=[{**photo, "position": place} for place in places])
        told.append([fact.crs for fact in story.of(facts.Evidenced)])
    assert told == [["GCJ02", "", "", ""], ["GCJ02", "", "BD09", ""]]


# ---- zero, elsewhere, off the map -------------------------------------------------------------------------


def test_zero_is_no_position_and_no_two_of_it_are_alike():
    one = found_at(position(0, 0), actor=MEMBER).case
    there = Story(number=2)
    there.done("report.submitted", MEMBER, category=BARE, source="patrol", position=position(0.0, -0.0), nearby=(one,))
    assert there.case.path[-1] == "WY01-01"  # the speaker's own
    assert (there.case.lon, there.case.key, one.key) == (None, "", "")
    assert not there.of(facts.Similar)


def test_a_position_in_another_home_is_refused_with_the_right_home():
    story = Story()
    why = story.refused(
        Reason.MISROUTED,
        "report.submitted",
        HOTLINE,
        category=BARE,
        source="hotline",
        position=position(108.885, 34.385),
    )
    assert why.field == "subject"
    assert "mint WY02.<UUIDv7>" in why.detail and "WY02-02" in why.detail


@pytest.mark.parametrize(
    ("metres", "rest", "taken"),
    [
        (20, {"crs": "WGS84", "accuracy_m": 25}, True),
        (30, {"crs": "WGS84", "accuracy_m": 25}, False),
        (490, {"crs": "WGS84"}, True),
        (510, {"crs": "WGS84"}, False),
        (490, {"accuracy_m": 25}, True),  # nobody says which map: it may be shifted by as much
        (510, {"accuracy_m": 25}, False),
        (700, {"accuracy_m": 800}, True),
    ],
)
def test_a_position_is_of_the_home_as_far_as_it_may_be(metres, rest, taken):
    east = 108.87 + metres * METRE / 0.8255  # of the border of WY01 with WY02, at this latitude
    where, story = position(east, 34.385, **rest), Story()
    result = story.say("report.submitted", HOTLINE, category=BARE, source="hotline", position=where)
    if taken:
        assert story.case.path[-1] == "WY01-03"  # the nearest leaf of the home
    else:
        assert result.outcomes[0].refusal is not None
        assert result.outcomes[0].refusal.reason is Reason.MISROUTED


def test_where_the_pack_says_what_phones_mean_their_accuracy_is_believed():
    known, where = changed(options={"crs": "WGS84"}), position(108.87 + 100 * METRE, 34.385, accuracy_m=10)
    story = Story(known)
    story.refused(Reason.MISROUTED, "report.submitted", HOTLINE, category=BARE, source="hotline", position=where)


def test_a_grid_that_is_sent_counts_whatever_the_position():
    story = found_at(position(108.885, 34.385), grid="WY01-02")
    assert placed(story) == ("WY01-02", "sent", "elsewhere")
    assert placed(found_at(position(2.35, 48.85), grid="WY01-02")) == ("WY01-02", "sent", "off_map")
    assert placed(found_at(position(0, 0), grid="WY01-02")) == ("WY01-02", "sent", "no_position")


def test_a_position_near_the_grid_that_is_sent_is_nothing_remarkable():
    """A phone's position is as exact as it says, and a street's grid holds those of its communities."""
    beside = position(108.85 - 20 * METRE, 34.385, crs="WGS84", accuracy_m=30)
    assert placed(found_at(beside, grid="WY01-02")) == ("WY01-02", "sent", "")
    assert placed(found_at(position(*INSIDE), grid="WY01")) == ("WY01", "sent", "")


def test_a_position_off_the_map_leaves_the_speakers_own_grid_or_the_home():
    assert placed(found_at(position(2.35, 48.85), actor=MEMBER)) == ("WY01-01", "own", "off_map")
    assert placed(found_at(position(2.35, 48.85))) == ("WY01", "home", "off_map")


def test_a_pack_without_a_map_remarks_nothing():
    bare = changed(grids=tuple(structs.replace(grid, polygon=()) for grid in weiyang().pack.grids))
    assert placed(found_at(position(2.35, 48.85), bare)) == ("WY01", "home", "")


def test_a_grid_that_ended_is_not_found_beside_the_one_that_took_its_place():
    """A district is cut anew: both are on the map, and each stands in its days."""
    grids = {grid.code: grid for grid in weiyang().pack.grids}
    old = structs.replace(grids["WY01-01"], valid_to=20260301)
    new = structs.replace(grids["WY01-01"], code="WY01-99", valid_from=20260302)
    policy = changed(grids=(*(old if grid.code == old.code else grid for grid in weiyang().pack.grids), new))
    story = Story(policy)
    story.done(
        "report.submitted", HOTLINE, at("03-02 09:00"), category=BARE, source="hotline", position=position(*INSIDE)
    )
    assert story.case.path[-1] == "WY01-99"
    assert story.case.touches == ()


# ---- records of older releases ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("where", "grid", "crs"),
    [
        (position(*INSIDE), "WY01-01", "WGS84"),
        (position(*INSIDE, crs="GCJ02"), "WY01", "GCJ02"),
        (position(108.875, 34.385), "WY01", "WGS84"),
        (position(0, 0), "WY01", "WGS84"),
    ],
)
def test_a_record_of_an_older_release_is_located_as_that_release_did_it(where, grid, crs):
    """Replaying an old log gives the facts that it gave, also under a pack that says what phones mean today."""
    said = arrived(
        event("report.submitted", HOTLINE, at("03-02 09:00"), category=BARE, source="hotline", position=where),
        at("03-02 09:00"),
    )
    old = structs.replace(said, record=structs.replace(said.record, measured=None))
    policy = changed(options={"crs": "GCJ02"})
    result = take(Story(policy).case, old, policy, policy)
    told = next(fact for fact in result.steps[0].facts if isinstance(fact, facts.Reported))
    assert (told.path[-1], told.lon, told.crs, told.spot) == (grid, where["lon"], crs, None)
    assert (told.how, told.remark) == ("", "")
    assert told.key.startswith(f"{BARE}|GCJ02|" if crs == "GCJ02" else f"{BARE}|")

"""What a phone takes along: small enough for a phone, the same wherever it is made, and in words that people know."""

from __future__ import annotations

import gzip
from itertools import pairwise
from random import Random

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from engine.http.small_answers import LEVEL
from engine.packs import load_pack
from engine.packs import shipped as shipped_packs
from engine.views.phone_pack import MOST_GRIDS, MOST_POINTS, MOST_POSTS, PhonePack, pack_of_day
from schemas import facts
from schemas.coordinates import in_units
from schemas.kinds import KINDS
from schemas.kinds.incident import ReportSubmitted
from schemas.members import Position, Source
from schemas.refusals import Reason
from schemas.value_words import CHOICES, REFUSED, SOURCES, WORDS
from tests.support.builders import BARE, HOTLINE, LEAF, MEMBER, Story, at, changed, shipped, weiyang
from workflows.birth import Placed, home_around, place
from workflows.definitions import DEFINITIONS
from workflows.policy import model
from workflows.policy.borders import covers
from workflows.policy.index import Policy

DAY = 2026_03_02
MOST_BYTES = 200_000
"""Of an answer, as it goes over the air."""


def packed(told: PhonePack) -> int:
    """Bytes of an answer as the door sends it."""
    return len(gzip.compress(msgspec.json.encode(told), LEVEL, mtime=0))


def one_of_each_role(policy: Policy) -> list[str]:
    """A post of each role at each level."""
    return list({(post.role, policy.grids[post.grid].level): post.code for post in policy.pack.posts}.values())


# ---- its size -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", shipped_packs())
def test_a_phone_of_any_role_takes_at_most_200_kb_along(name: str) -> None:
    pack = load_pack(name)
    policy = Policy(pack, model.digest(pack))
    posts = one_of_each_role(policy)
    assert len(posts) > 1
    for code in posts:
        told = pack_of_day(policy, (code,), DAY)
        assert packed(told) <= MOST_BYTES, code
        assert told.left_out == type(told.left_out)()
    assert packed(pack_of_day(policy, tuple(sorted(policy.posts))[:MOST_POSTS], DAY)) <= MOST_BYTES


def test_of_a_city_with_long_borders_as_many_go_along_as_a_phone_can_hold() -> None:
    """The most corners that an answer has, none like another, still fit; what does not fit is counted."""
    dice, policy = Random(1), weiyang()
    leaves = policy.leaves("WY01")
    rings = [tuple((108 + dice.random(), 34 + dice.random()) for _ in range(2 * MOST_POINTS // len(leaves)))]
    grids = tuple(replace(g, polygon=(tuple(rings),)) if g.code in leaves else g for g in policy.pack.grids)
    told = pack_of_day(changed(policy, grids=grids), ("WY01-CHIEF",), DAY)
    drawn = [grid for grid in told.grids if grid.border]
    assert 0 < told.left_out.borders == len(leaves) - len(drawn) < len(leaves)
    assert sum(len(ring) for grid in drawn for rings in grid.border or [] for ring in rings) > MOST_POINTS / 2
    assert packed(told) <= MOST_BYTES


def test_of_a_city_with_thousands_of_grids_those_above_come_first() -> None:
    policy = weiyang()
    more = [model.Grid(f"Z{n}", "新", 2, "XA") for n in range(MOST_GRIDS)]
    told = pack_of_day(changed(policy, grids=(*policy.pack.grids, *more)), ("XA-CHIEF", MEMBER), DAY)
    codes = [grid.code for grid in told.grids]
    assert (len(codes), told.left_out.grids) == (MOST_GRIDS, len(policy.grids))
    assert {"XA", "WY", "WY01", LEAF} <= set(codes)


# ---- what is in it ------------------------------------------------------------------------------------------


def test_it_is_the_same_wherever_it_is_made() -> None:
    one, other = (Policy(model.decode(model.encode(shipped().pack)), shipped().hash) for _ in range(2))
    assert msgspec.json.encode(pack_of_day(one, (MEMBER,), DAY)) == msgspec.json.encode(
        pack_of_day(other, (MEMBER,), DAY)
    )


def test_a_phone_finds_its_own_grid_offline() -> None:
    """By the borders that it has, all rings counted together; they are rounded to a tenth of a metre."""
    told = pack_of_day(weiyang(), ("WY01-CHIEF",), DAY)
    outline = {grid.code: grid.border for grid in told.grids if grid.border}
    for dx in range(5, 100, 10):
        point = in_units(108.84 + dx / 1000, 34.385)
        edges = {
            code: [(*in_units(*p), *in_units(*q)) for rings in border for ring in rings for p, q in pairwise(ring)]
            for code, border in outline.items()
        }
        found = tuple(code for code, sides in sorted(edges.items()) if covers(sides, *point))
        assert found == tuple(code for code in weiyang().locate(point) if code in outline)
    numbers = [n for border in outline.values() for rings in border for ring in rings for p in ring for n in p]
    assert all(round(number, 6) == number for number in numbers)


def test_what_a_post_may_say_is_what_the_rules_let_it_say() -> None:
    """Each role at each level: every row of the roles table that holds for it, and no other."""
    policy = shipped()
    for code in one_of_each_role(policy):
        post = policy.posts[code]
        level = policy.grids[post.grid].level
        told = pack_of_day(policy, (code,), DAY).posts[0]
        said = {(action.type, kind) for action in told.actions for kind in action.definitions}
        may = {
            (f"gridpatrol.{trigger}.v1", kind.name)
            for kind in DEFINITIONS.values()
            for trigger in kind.heard
            if policy.role_rows_at(level, trigger, post.role, kind.name)
        }
        assert said == may, code


def test_every_value_that_people_choose_and_every_reason_has_its_words() -> None:
    known = {*SOURCES, *WORDS, *DEFINITIONS}
    chosen = {value for found in CHOICES.values() for values in found.values() for value in values}
    assert chosen <= known and len(CHOICES) > 8
    for kind in KINDS:  # a value that two kinds have says the same in both
        assert kind.words.items() <= WORDS.items(), kind.name
    assert set(REFUSED) == set(Reason)
    assert CHOICES["gridpatrol.evidence.added.v1"]["evidence[].kind"]
    words = pack_of_day(weiyang(), (MEMBER,), DAY).words
    assert {*words.sources, *words.values, *words.definitions} >= chosen
    told = pack_of_day(weiyang(), (MEMBER,), DAY)
    limits = {text for category in told.categories for by in category.limits.values() for text in by.values()}
    assert limits <= words.limits.keys() and limits
    assert {action.type for post in told.posts for action in post.actions} <= words.triggers.keys()
    assert all(set(by) <= words.clocks.keys() for each in told.categories for by in each.limits.values())


def test_a_vacant_post_and_one_that_does_not_stand_say_nothing() -> None:
    posts = tuple(replace(post, vacant=post.code == MEMBER) for post in weiyang().pack.posts)
    told = pack_of_day(changed(posts=posts), (MEMBER,), DAY).posts[0]
    assert (told.speaks, told.actions) == (False, [])
    posts = tuple(replace(post, valid_to=DAY - 1 if post.code == MEMBER else 0) for post in weiyang().pack.posts)
    assert not pack_of_day(changed(posts=posts), (MEMBER,), DAY).posts[0].speaks


# ---- where a position lies ----------------------------------------------------------------------------------

NEAR_THE_SAMPLE = st.tuples(st.integers(108_830_000, 109_100_000), st.integers(34_370_000, 34_420_000))


@given(NEAR_THE_SAMPLE, st.sampled_from(["", "WY", "WY01", LEAF, "WY02-01"]), st.sampled_from([None, 0, 40, 900]))
def test_a_report_of_the_home_that_is_told_lies_where_it_is_told(
    micro: tuple[int, int], own: str, accuracy: float | None
) -> None:
    """Wherever a position lies, whoever reports: the home is told of which the report is taken."""
    policy, now = weiyang(), at("03-02 09:00")
    position = Position(micro[0] / 10**6, micro[1] / 10**6, "WGS84", accuracy)
    report = ReportSubmitted(category=BARE, source=Source.HOTLINE, position=position)
    point = in_units(position.lon, position.lat)
    home = home_around(policy, now, report, own, point)
    if not home:
        assert not own and policy.locate(point) == ()
        return
    told = place(policy, now, report, own, home, point)
    assert isinstance(told, Placed)
    assert policy.home(told.grid) == home
    if own == "WY":  # the hotline's grid
        story, where = Story(home=home), {"lon": position.lon, "lat": position.lat, "crs": "WGS84"}
        if accuracy is not None:
            where["accuracy_m"] = accuracy
        story.done("report.submitted", HOTLINE, category=BARE, source="hotline", position=where)
        came = story.one(facts.Reported)
        assert (came.path, came.how, came.remark) == (policy.path(told.grid), told.how, told.remark)

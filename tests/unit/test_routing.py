"""Where a case goes: each rule of the plan, quoted, with the owners, copies and checks that follow from it.

The phrases are those of the plan for four-level grid management (sections five and six).
"""

from __future__ import annotations

from typing import Any

import pytest
from msgspec import structs

from schemas import facts
from schemas.coordinates import in_units
from schemas.refusals import Reason
from tests.support.builders import (
    BARE,
    CENTRE,
    CITY,
    DISTRICT,
    DUST,
    HOTLINE,
    HOUR,
    LEAF,
    LEAF_CHIEF,
    MEMBER,
    METRO,
    OUTLET,
    SEWERS,
    STREET,
    Story,
    changed,
    undissuaded,
    weiyang,
)
from workflows import routing
from workflows.case import Case, Owner
from workflows.holding import present
from workflows.policy.index import Policy
from workflows.policy.model import Grid, encode

STAFF = "WY01-STAFF1"  # of the street office
PATH = ("XA", "WY", "WY01", "WY01-01")


def owner(story: Story) -> tuple[str, int, str]:
    return story.case.owner.grid, story.case.owner.level, story.case.owner.department


def dissuaded_in_vain(category: str = DUST, rules: Policy | None = None, **data: Any) -> Story:
    story = Story(rules).found(category, **data)
    story.done("dissuasion.recorded", MEMBER, outcome="ineffective")
    return story


# ---- level 4 ----------------------------------------------------------------------------------------------


@pytest.mark.mechanism("M14")
def test_level_4_informs_and_dissuades_before_it_reports():
    """四级网格: `对工地扬尘、焚烧垃圾、树叶、秸秆、冒黑烟等行为应进行告知劝阻` (M14)."""
    story = Story().found(DUST)
    assert story.case.state == "discovered"
    assert owner(story) == (LEAF, 4, "")
    story.done("dissuasion.recorded", MEMBER, outcome="effective")
    assert story.case.state == "verifying"
    assert story.case.checks == (4,)


@pytest.mark.mechanism("M15")
@pytest.mark.parametrize("outcome", ["ineffective", "impossible"])
def test_level_4_reports_when_dissuasion_fails_or_is_impossible(outcome):
    """`在告知劝阻无效或无法告知劝阻的情况下，应迅速将情况直接上报` (M15)."""
    story = Story().found(DUST)
    story.done("dissuasion.recorded", MEMBER, outcome=outcome)
    assert story.case.clock("report") is not None
    story.done("incident.reported_up", MEMBER)
    assert story.case.state == "reported"


def test_level_4_does_not_report_before_it_has_dissuaded():
    """`在告知劝阻无效或无法告知劝阻的情况下`: the report waits for the dissuasion."""
    story = Story().found(DUST)
    story.parked("incident.reported_up", MEMBER)
    assert story.case.state == "discovered"


@pytest.mark.mechanism("M16")
@pytest.mark.parametrize(("category", "grid"), [(DUST, "WY01"), (METRO, "WY")])
def test_level_4_reports_to_the_upper_grid_with_authority(category, grid):
    """`上报到有处置权的上级网格或相关职能部门协调处置` (M16): over the head of level 3 where that has no authority."""
    story = dissuaded_in_vain(category)
    story.done("incident.reported_up", MEMBER)
    assert owner(story) == (grid, len(weiyang().path(grid)), "")


@pytest.mark.mechanism("M16")
def test_level_4_reports_to_level_3_where_the_catalogue_names_no_authority():
    """`劝阻无果及时上报三级网格` (section six): the default of the pack."""
    rules = changed(categories=())
    case = Case(id="a", path=PATH, category="not-in-the-catalogue")
    assert routing.upward(case, rules, rules) == Owner("WY01", 3)


@pytest.mark.mechanism("M10")
def test_level_4_reports_to_the_department_with_authority():
    """`上报到有处置权的上级网格或相关职能部门` (M16)."""
    story = dissuaded_in_vain()
    story.done("incident.reported_up", MEMBER, to_department="WY-BUILD")
    assert owner(story) == ("WY", 2, "WY-BUILD")
    story.done("incident.accepted", "WY-BUILD-H")


@pytest.mark.mechanism("M17")
def test_level_4_copies_the_leader_who_sponsors_its_grid():
    """`同时上报包抓领导` (M17, M43): a copy, ownership is elsewhere."""
    story = dissuaded_in_vain()
    story.done("incident.reported_up", MEMBER)
    assert story.one(facts.Copied) == facts.Copied(posts=("WY01-01-SPONSOR",))
    assert story.case.owner.grid == "WY01"


def test_whatever_a_leaf_finds_it_dissuades_first():
    """`发现环境问题及时劝阻，劝阻无果及时上报三级网格` (section six, four): not only what its duties name."""
    for category in weiyang().categories:
        story = Story().found(category)
        assert (story.case.state, owner(story)) == ("discovered", (LEAF, 4, "")), category
        assert story.case.clock("dissuade") is not None, category


@pytest.mark.mechanism("M28", "M69")
@pytest.mark.parametrize("offline", [False, True])
def test_what_dissuasion_solves_is_found_solved_checked_and_closed_in_one_visit(offline):
    """`情况现场检查、问题现场整改、结果现场上报` (M69): nobody above has to act, be the phone heard late or not.

    Closing counts when it is heard, as all that is said at a desk.
    """
    story = Story()
    visit: tuple[tuple[str, dict[str, Any]], ...] = (
        ("report.submitted", {"category": BARE, "source": "patrol"}),
        ("dissuasion.recorded", {"outcome": "effective"}),
        ("verification.recorded", {"outcome": "solved"}),
        ("incident.closed", {}),
    )
    begun = story.now
    for minutes, (kind, data) in enumerate(visit):
        said = begun + minutes * 60_000
        story.done(kind, MEMBER, begun + 2 * HOUR if offline else said, occurred=said, **data)
    assert (story.case.state, story.case.judged) == ("closed", begun + (2 * HOUR if offline else 3 * 60_000))
    assert [(fact.level, fact.by, fact.checks) for fact in story.history(facts.Handled)] == [(4, MEMBER, (4,))]
    outcomes = {fact.clock: fact.result for fact in story.history(facts.ClockStopped)}
    assert outcomes == dict.fromkeys(("dissuade", "verify", "close", "total"), "on_time")
    assert not story.history(facts.Copied)


def test_a_problem_without_dissuasion_is_reported_and_copied_at_once():
    """`同时上报包抓领导` holds for a report that needs no dissuasion first, too, where a pack has such problems."""
    story = Story(undissuaded()).found(BARE)
    assert story.case.state == "reported"
    assert story.one(facts.Copied).posts == ("WY01-01-SPONSOR",)


def test_a_report_goes_up_not_down_nor_aside():
    """`上级网格`: neither the own grid nor a neighbour."""
    story = dissuaded_in_vain()
    for grid in (LEAF, "WY02"):
        assert story.refused(Reason.INVALID, "incident.reported_up", MEMBER, to_grid=grid).field == "data.to_grid"
    refused = story.refused(Reason.INVALID, "incident.reported_up", MEMBER, to_grid="nowhere")
    assert "XA, WY, WY01" in refused.detail


def test_a_department_that_nobody_knows_or_that_serves_elsewhere_gets_no_report():
    """`相关职能部门`: one that serves the place."""
    story = dissuaded_in_vain()
    story.refused(Reason.UNKNOWN_CODE, "incident.reported_up", MEMBER, to_department="WY-NONE")
    other = Grid("OTHER", "其他区", 2, "XA")
    rules = changed(
        grids=(*weiyang().pack.grids, other),
        departments=tuple(
            f_ if f_.code != "WY-BUILD" else type(f_)(f_.code, f_.name, "OTHER", f_.groups)
            for f_ in weiyang().pack.departments
        ),
    )
    story = Story(rules).found(DUST)
    story.done("dissuasion.recorded", MEMBER, outcome="impossible")
    assert (
        "serves OTHER" in story.refused(Reason.INVALID, "incident.reported_up", MEMBER, to_department="WY-BUILD").detail
    )


# ---- levels 3, 2 and 1 ------------------------------------------------------------------------------------


@pytest.mark.mechanism("M23")
@pytest.mark.parametrize(
    ("post", "source", "category", "state", "grid"),
    [
        (STAFF, "inspection", BARE, "accepted", "WY01"),
        (STAFF, "inspection", OUTLET, "reported", "WY"),
        (STAFF, "inspection", SEWERS, "reported", "XA"),
        (DISTRICT, "inspection", OUTLET, "accepted", "WY"),
        (DISTRICT, "inspection", SEWERS, "reported", "XA"),
        (DISTRICT, "inspection", BARE, "reported", "WY01"),
        (CITY, "inspection", SEWERS, "accepted", "XA"),
        ("WY-SUPERVISOR", "supervision", OUTLET, "accepted", "WY"),
    ],
)
def test_what_levels_3_and_2_find_themselves_starts_where_it_will_be_handled(post, source, category, state, grid):
    """`制定检查计划，对检查发现或四级网格上报的环境污染问题进行处置` (M21, M23): without dissuasion."""
    story = Story()
    story.done("report.submitted", post, story.now, category=category, source=source, grid=LEAF)
    assert (story.case.state, story.case.owner.grid) == (state, grid)


@pytest.mark.mechanism("M17")
def test_level_3_reports_to_level_2_and_its_departments_and_copies_its_sponsor():
    """`上报到一级、二级网格及市、区相关职能部门协调处置，同时上报包抓领导` (section five, three)."""
    story = Story().reported(BARE).accepted()
    story.done("incident.escalated", STREET, reason="coordination")
    assert owner(story) == ("WY", 2, "")
    assert story.one(facts.Escalated) == facts.Escalated(reason="coordination", was_level=3, level=2)
    copied = story.one(facts.Copied)
    assert copied.posts == ("WY01-SPONSOR",)
    assert "WY-GREEN" in copied.departments  # the catalogue's department for bare ground
    assert "WY-FINANCE" not in copied.departments  # not concerned
    assert story.case.state == "reported"


@pytest.mark.mechanism("M22")
def test_level_3_reports_to_level_1_what_belongs_there_and_copies_level_2_and_the_departments_of_both():
    """`应迅速将情况上报到一级、二级网格及市、区相关职能部门协调处置，同时上报包抓领导` (M17, M25)."""
    copied = facts.Copied(posts=("WY01-SPONSOR", "WY-CHIEF", "WY-OFFICE"), departments=("XA-FUNC", "WY-BUILD"))
    story = Story()
    story.done("report.submitted", STAFF, story.now, category=SEWERS, source="inspection", grid=LEAF)
    assert owner(story) == ("XA", 1, "")
    assert story.one(facts.Copied) == copied
    story = Story().reported(SEWERS)  # the same where it was held and is escalated
    story.done("incident.reassigned", CENTRE, to_grid="WY01")
    story.accepted()
    story.done("incident.escalated", STREET, reason="authority")
    assert owner(story) == ("XA", 1, "")
    assert story.one(facts.Copied) == copied


OFFICE = ("WY01-CHIEF", "WY01-STAFF1", "WY01-STAFF2", "WY01-STAFF3")  # of level 3


@pytest.mark.parametrize(
    ("category", "to", "posts"),
    [
        (DUST, {}, ()),
        (METRO, {}, OFFICE),
        (SEWERS, {}, ("WY-CHIEF", "WY-OFFICE", *OFFICE)),
        (DUST, {"to_grid": "WY"}, OFFICE),
        (DUST, {"to_department": "WY-BUILD"}, OFFICE),
        (METRO, {"to_grid": "WY01"}, ()),
    ],
)
def test_a_report_that_passes_over_levels_copies_them(category, to, posts):
    """`直接上报到有处置权的上级网格或相关职能部门` (M16): those between hear of it at once.

    The leaf reports to a grid or to a department, so no department gets a copy.
    """
    story = dissuaded_in_vain(category)
    story.done("incident.reported_up", MEMBER, **to)
    assert story.one(facts.Copied) == facts.Copied(posts=("WY01-01-SPONSOR", *posts))


def test_a_grid_that_holds_a_case_from_elsewhere_passes_over_the_levels_of_the_place():
    story = Story().reported(BARE)
    story.done("incident.reassigned", CENTRE, to_grid="WY02")
    story.accepted("WY02-CHIEF")
    story.done("incident.escalated", "WY02-CHIEF", reason="coordination", to_grid="XA")
    assert story.one(facts.Copied).posts == ("WY02-SPONSOR", "WY-CHIEF", "WY-OFFICE")


def test_a_copy_goes_to_posts_that_stand_and_a_grid_that_has_gone_gets_none():
    """The register counts that is active when it is said: who is vacant then, and grids that are no more."""
    pack = weiyang().pack
    vacant = changed(posts=tuple(structs.replace(p, vacant=p.code == "WY-OFFICE") for p in pack.posts))
    gone = changed(
        grids=tuple(g for g in pack.grids if not g.code.startswith("WY01")),
        posts=tuple(p for p in pack.posts if not p.code.startswith("WY01")),
    )
    case = structs.replace(Story().reported(SEWERS).case, by="")
    city = Owner("XA", 1)
    assert routing.copies("WY01", case, city, weiyang(), vacant, 0)[0] == ("WY01-SPONSOR", "WY-CHIEF")
    assert routing.copies("WY01", case, city, weiyang(), gone, 0) == ((), ("XA-FUNC",))


def test_a_pack_that_says_nothing_of_it_copies_no_level_that_is_passed_over():
    """As before there was this option: what older packs and logs meant they still mean."""
    rules = changed(options={"copy_passed": False})
    assert b"copy_passed" not in encode(rules.pack), "hashes are what they were"
    story = Story(rules)
    story.done("report.submitted", STAFF, story.now, category=SEWERS, source="inspection", grid=LEAF)
    assert story.one(facts.Copied) == facts.Copied(posts=("WY01-SPONSOR",), departments=("XA-FUNC",))
    story = dissuaded_in_vain(METRO, rules)
    story.done("incident.reported_up", MEMBER)
    assert story.one(facts.Copied) == facts.Copied(posts=("WY01-01-SPONSOR",))


@pytest.mark.mechanism("M25")
def test_an_escalation_for_want_of_authority_goes_to_the_level_that_has_it():
    """`如属于一级网格处置`: level 3 holds it by mistake, the catalogue gives it to level 1."""
    story = Story().reported(SEWERS)
    story.done("incident.reassigned", CENTRE, to_grid="WY01")
    story.done("incident.accepted", STREET)
    story.done("incident.escalated", STREET, reason="authority")
    assert owner(story) == ("XA", 1, "")


@pytest.mark.mechanism("M26")
def test_level_2_reports_to_level_1_and_copies_the_citys_departments_but_no_leader():
    """`应迅速将情况上报到一级网格协调处理处置，同时上报市级相关职能部门` (M26)."""
    story = Story().reported(OUTLET).accepted(DISTRICT)
    story.done("incident.escalated", DISTRICT, reason="coordination")
    assert owner(story) == ("XA", 1, "")
    copied = story.one(facts.Copied)
    assert copied.posts == ()
    assert copied.departments == ("XA-HAZE", "XA-FUNC")  # those of the city that are competent for anything


def test_level_1_has_nobody_above_it():
    story = Story().reported(SEWERS)
    assert owner(story) == ("XA", 1, "")
    story.accepted(CITY)
    rules = changed(
        roles=tuple(
            type(m)(m.rule, m.trigger, m.role) if m.trigger == "incident.escalated" else m for m in weiyang().pack.roles
        )
    )
    story.rules = story.register = rules
    story.refused(Reason.IMPOSSIBLE, "incident.escalated", CITY, reason="coordination")


def test_an_order_may_name_a_grid_above_but_no_other():
    story = Story().reported(BARE).accepted()
    story.refused(Reason.INVALID, "incident.escalated", STREET, reason="coordination", to_grid="WY02")
    story.done("incident.escalated", STREET, reason="coordination", to_grid="XA")
    assert owner(story) == ("XA", 1, "")


@pytest.mark.mechanism("M27")
def test_by_level_each_case_has_one_owner():
    """`实行逐级负责，分级办理` (M27): escalating passes ownership on, it does not share it."""
    story = Story().reported(BARE).accepted()
    story.done("incident.escalated", STREET, reason="coordination")
    story.refused(Reason.FORBIDDEN, "incident.accepted", STREET)
    story.done("incident.accepted", DISTRICT)


# ---- sponsors ---------------------------------------------------------------------------------------------


@pytest.mark.mechanism("M128")
@pytest.mark.parametrize(
    ("sponsor", "source", "category", "grid", "copied"),
    [
        ("WY01-SPONSOR", "inspection", BARE, "WY01", None),
        ("WY01-SPONSOR", "inspection", OUTLET, "WY", facts.Copied((), ("WY-BUILD", "WY-EPB"))),
        ("WY01-01-SPONSOR", "supervision", BARE, "WY01", None),
        ("WY01-01-SPONSOR", "supervision", METRO, "WY", facts.Copied(OFFICE)),
    ],
)
def test_what_a_sponsor_finds_is_reported_and_the_grid_has_to_accept_it(sponsor, source, category, grid, copied):
    """`区级领导…实地检查`, `街道办事处领导…实地督查`: `检查、督促和指导` (M45, M47, M128), not handling."""
    story = Story()
    story.done("report.submitted", sponsor, story.now, category=category, source=source, grid=LEAF)
    assert (story.case.state, story.case.owner.grid, story.case.by) == ("reported", grid, sponsor)
    assert story.of(facts.Copied) == ([copied] if copied else []), "not to who reported it"
    assert story.case.clock("accept") is not None
    story.refused(Reason.FORBIDDEN, "incident.accepted", sponsor)
    story.accepted(STREET if grid == "WY01" else DISTRICT)


def test_a_sponsor_reports_from_its_own_grid_what_it_inspected_and_may_take_it_back():
    for sponsor, grid, source in (
        ("WY01-SPONSOR", "WY02-01", "inspection"),
        ("WY01-02-SPONSOR", LEAF, "supervision"),
        ("WY01-SPONSOR", LEAF, "patrol"),
        ("WY01-01-SPONSOR", LEAF, "inspection"),
    ):
        story = Story(home=grid[:4])
        refused = story.refused(Reason.FORBIDDEN, "report.submitted", sponsor, category=BARE, source=source, grid=grid)
        assert refused.field == ("data.source" if grid == LEAF and sponsor != "WY01-02-SPONSOR" else "actor")
    story = Story()
    story.done("report.submitted", "WY01-SPONSOR", story.now, category=BARE, source="inspection", grid=LEAF)
    story.done("incident.withdrawn", "WY01-SPONSOR")


# ---- across borders ---------------------------------------------------------------------------------------


@pytest.mark.mechanism("M31")
@pytest.mark.parametrize(
    ("touches", "grid"),
    [
        (("WY01-02",), "WY01"),  # within one street office: its own business
        (("WY02-03",), "WY"),
        (("WY01-02", "WY02-03"), "WY"),
    ],
)
def test_what_crosses_the_border_of_street_offices_goes_to_level_2(touches, grid):
    """`对街道办事处跨界问题上报二级网格管理机构` (M31): to the lowest grid that contains all of it."""
    story = dissuaded_in_vain(BARE, touches=list(touches))
    story.done("incident.reported_up", MEMBER)
    assert story.case.owner.grid == grid


def test_level_3_does_not_keep_what_it_finds_across_its_border():
    """`对街道办事处跨界问题上报二级网格管理机构` (M31), found by level 3 itself."""
    story = Story()
    story.done("report.submitted", STAFF, story.now, category=BARE, source="inspection", grid=LEAF, touches=["WY02-01"])
    assert (story.case.state, story.case.owner.grid) == ("reported", "WY")


@pytest.mark.mechanism("M30", "M32")
def test_what_crosses_the_border_of_districts_goes_to_level_1():
    """`对区县跨界问题上报一级网格管理机构`, `协调解决区县跨界污染问题` (M30, M32)."""
    rules = changed(grids=(*weiyang().pack.grids, Grid("BL", "邻区（示例）", 2, "XA"), Grid("BL01", "邻街", 3, "BL")))
    story = dissuaded_in_vain(BARE, rules, touches=["BL01"])
    story.done("incident.reported_up", MEMBER)
    assert story.case.owner.grid == "XA"
    story = Story(rules).reported(BARE, touches=["BL01"])
    assert story.case.owner == Owner("XA", 1)


def test_an_escalation_across_a_border_goes_to_the_common_ancestor_or_one_level_up():
    """`对街道办事处跨界问题上报二级网格管理机构`, seen only later."""
    story = Story().reported(BARE).accepted()
    story.done("incident.escalated", STREET, reason="cross_boundary")
    assert story.case.owner.grid == "WY"


def test_a_grid_that_nobody_knows_is_no_neighbour():
    story = Story()
    refused = story.refused(
        Reason.UNKNOWN_CODE, "report.submitted", MEMBER, category=BARE, source="patrol", grid=LEAF, touches=["WY99"]
    )
    assert refused.field == "data.touches"


# ---- the map ----------------------------------------------------------------------------------------------

INSIDE: dict[str, Any] = {"lon": 108.845, "lat": 34.385}  # of WY01-01
BORDER: dict[str, Any] = {"lon": 108.85, "lat": 34.385}  # of WY01-01 and WY01-02


def test_a_position_finds_its_leaf_grid():
    """`不留空白、不留死角` (M5): a report needs no grid code if it says where."""
    story = Story()
    story.done("report.submitted", HOTLINE, story.now, category=BARE, source="hotline", position=INSIDE)
    assert story.case.path == PATH
    assert (story.case.lon, story.case.lat) == (108.845, 34.385)


def test_on_a_border_all_grids_are_found_and_the_others_are_touched():
    """`跨界`: a point on a common border lies in both grids."""
    assert weiyang().locate(in_units(**BORDER)) == ("WY01-01", "WY01-02")
    for grid in ("WY01-01", "WY01-02"):
        story = Story()
        story.done("report.submitted", HOTLINE, story.now, category=BARE, source="hotline", grid=grid, position=BORDER)
        assert story.case.path[-1] == grid
        assert story.case.touches == tuple({"WY01-01", "WY01-02"} - {grid})


def test_on_a_border_the_speakers_own_grid_goes_first():
    story = Story()
    story.done("report.submitted", "WY01-02-MEMBER", story.now, category=BARE, source="patrol", position=BORDER)
    assert story.case.path[-1] == "WY01-02"
    assert story.case.touches == ("WY01-01",)


def test_a_position_on_the_border_of_street_offices_goes_to_level_2():
    """`对街道办事处跨界问题上报二级网格管理机构` (M31), by the map."""
    found = weiyang().locate(in_units(108.87, 34.385))
    assert {weiyang().home(code) for code in found} == {"WY01", "WY02"}
    story = Story()
    story.done(
        "report.submitted", HOTLINE, story.now, category=BARE, source="hotline", position={"lon": 108.87, "lat": 34.385}
    )
    assert story.case.path[2] == "WY01"
    assert story.case.owner.grid == "WY"


def test_what_the_sender_says_about_neighbours_goes_before_the_map():
    story = Story().found(BARE, position=BORDER, touches=["WY02-01"])
    assert story.case.touches == ("WY02-01",)


def test_a_position_off_the_map_or_of_a_pack_without_map_finds_nothing():
    assert weiyang().locate((0, 0)) == ()
    bare = changed(grids=tuple(type(g)(g.code, g.name, g.level, g.parent) for g in weiyang().pack.grids))
    assert bare.locate(in_units(**INSIDE)) == ()


def test_a_member_without_grid_or_position_reports_for_its_own_grid():
    story = Story()
    story.done("report.submitted", MEMBER, story.now, category=BARE, source="patrol")
    assert story.case.path == PATH


# ---- home -------------------------------------------------------------------------------------------------


def test_a_report_whose_subject_has_another_home_is_misrouted_and_told_the_right_one():
    story = Story(home="WY02")
    refused = story.refused(Reason.MISROUTED, "report.submitted", MEMBER, category=BARE, source="patrol", grid=LEAF)
    assert "WY01.<UUIDv7>" in refused.detail
    assert story.case.state == "awaited"


def test_a_home_that_nobody_knows_is_refused():
    story = Story(home="WY99")
    story.refused(Reason.UNKNOWN_CODE, "report.submitted", HOTLINE, category=BARE, source="hotline")


def test_what_has_no_place_lives_at_the_root_and_lies_where_the_speaker_stands():
    story = Story(home="XA")
    story.done("report.submitted", HOTLINE, story.now, category=BARE, source="hotline")
    assert story.case.path == ("XA", "WY")
    assert story.case.owner == Owner("WY", 2)


# ---- departments ------------------------------------------------------------------------------------------


@pytest.mark.mechanism("M18")
def test_where_a_department_solves_the_grid_assists():
    """`相关职能部门到达现场后，配合有关工作人员处理环境污染问题` (M18)."""
    story = Story().reported(BARE).accepted()
    story.done("incident.dispatched", STREET, lead="WY-URBAN", assisting=["WY-GREEN"])
    assert owner(story) == ("WY01", 3, "WY-URBAN")
    assert story.case.assisting == ("WY-GREEN", LEAF)
    story.done("department.arrived", "WY-GREEN-H", department="WY-GREEN")
    assert story.one(facts.Arrived).department == "WY-GREEN"
    assert story.case.assisting == ("WY-GREEN", LEAF)
    story.done("handling.completed", "WY-URBAN-H")


@pytest.mark.mechanism("M18")
def test_a_grid_assists_the_department_that_it_reported_to_once_that_is_on_site():
    """`相关职能部门到达现场后，配合` (M18), without a dispatch."""
    story = dissuaded_in_vain()
    story.done("incident.reported_up", MEMBER, to_department="WY-BUILD")
    story.done("incident.accepted", "WY-BUILD-H")
    assert not story.case.assisting
    story.done("department.arrived", "WY-BUILD-H", department="WY-BUILD")
    assert story.case.assisting == (LEAF,)
    assert story.case.state == "handling"


@pytest.mark.mechanism("M10")
def test_a_report_may_name_the_department_that_is_responsible():
    story = Story().reported(BARE, department="WY-GREEN")
    assert owner(story) == ("WY01", 3, "WY-GREEN")
    story.done("incident.accepted", "WY-GREEN-H")
    other = Story(number=2)
    other.refused(
        Reason.UNKNOWN_CODE,
        "report.submitted",
        HOTLINE,
        category=BARE,
        source="hotline",
        grid=LEAF,
        department="WY-NONE",
    )


def test_dispatch_goes_only_to_departments_that_serve_the_place():
    story = Story().reported(BARE).accepted()
    assert story.refused(Reason.UNKNOWN_CODE, "incident.dispatched", STREET, lead="WY-NONE").field == "data.lead"
    refused = story.refused(Reason.UNKNOWN_CODE, "incident.dispatched", STREET, lead="WY-URBAN", assisting=["WY-NONE"])
    assert refused.field == "data.assisting"
    story.refused(Reason.FORBIDDEN, "department.arrived", "WY-URBAN-H", department="WY-URBAN")


@pytest.mark.mechanism("M55")
def test_the_centre_may_dispatch_and_reassign_over_the_heads_of_the_grids():
    """`统一调度指挥全区各级、各部门` (M55)."""
    story = Story().reported(BARE)
    story.done("incident.dispatched", CENTRE, lead="WY-URBAN")
    assert story.case.state == "handling"
    story.done("incident.reassigned", CENTRE, to_department="WY-EPB")
    assert owner(story) == ("WY", 2, "WY-EPB")
    story.done("incident.reassigned", CENTRE, to_grid="WY02")
    assert owner(story) == ("WY02", 3, "")
    assert story.case.state == "reported"
    neither: dict[str, Any] = {}
    for wrong in (neither, {"to_grid": "WY02", "to_department": "WY-EPB"}):
        story.refused(Reason.INVALID, "incident.reassigned", CENTRE, **wrong)
    story.refused(Reason.UNKNOWN_CODE, "incident.reassigned", CENTRE, to_grid="WY99")
    story.refused(Reason.UNKNOWN_CODE, "incident.reassigned", CENTRE, to_department="WY-NONE")


# ---- returns ----------------------------------------------------------------------------------------------


def test_a_return_goes_back_to_who_sent_it_step_by_step():
    """退回: not our duty; the reason is mandatory."""
    story = Story().reported(BARE).accepted()
    story.done("incident.dispatched", STREET, lead="WY-URBAN")
    story.done("incident.returned", "WY-URBAN-H", reason="not_our_duty")
    assert owner(story) == ("WY01", 3, "")
    assert story.case.state == "returned"
    story.done("incident.dispatched", STREET, lead="WY-GREEN")
    assert owner(story) == ("WY01", 3, "WY-GREEN")


def test_the_first_owners_return_goes_to_the_grid_of_the_place_which_reports_again():
    story = dissuaded_in_vain()
    story.done("incident.reported_up", MEMBER)
    story.done("incident.returned", STREET, reason="insufficient")
    assert owner(story) == (LEAF, 4, "")
    story.done("incident.reported_up", LEAF_CHIEF, to_grid="WY")
    assert owner(story) == ("WY", 2, "")


def test_a_case_of_the_hotline_goes_back_to_the_grid_of_the_place_too():
    story = Story().reported(BARE)
    story.done("incident.returned", STREET, reason="not_our_area")
    assert owner(story) == (LEAF, 4, "")


def test_who_gets_a_case_back_cannot_say_handled():
    """退回: the receiver must decide anew who handles."""
    story = Story().reported(BARE).accepted()
    story.done("incident.dispatched", STREET, lead="WY-URBAN")
    story.done("incident.returned", "WY-URBAN-H", reason="not_our_duty")
    story.parked("handling.completed", STREET)  # handling lies ahead, but not before a new decision
    assert story.case.state == "returned"


# ---- checks on site ---------------------------------------------------------------------------------------


@pytest.mark.mechanism("M33")
def test_after_level_1_the_levels_below_check_down_to_the_last():
    """一级网格: `处置完后，反馈二级、三级、四级网格现场核查直至结案` (M33)."""
    story = Story().reported(SEWERS).accepted(CITY).handled(CITY)
    assert (story.case.state, story.case.checks) == ("feedback", (2, 3, 4))
    story.done("verification.recorded", DISTRICT, outcome="solved")
    assert (story.case.state, story.case.checks) == ("feedback", (3, 4))
    story.done("verification.recorded", STAFF, outcome="solved")
    assert (story.case.state, story.case.checks) == ("verifying", (4,))
    story.done("verification.recorded", MEMBER, outcome="solved")
    assert story.case.state == "verified"


@pytest.mark.mechanism("M34")
def test_after_level_2_levels_3_and_4_check():
    """二级网格: `处置完毕后，反馈三级、四级网格现场核查直至结案` (M34)."""
    story = Story().reported(OUTLET).accepted(DISTRICT).handled(DISTRICT)
    assert (story.case.state, story.case.checks) == ("feedback", (3, 4))


@pytest.mark.mechanism("M34")
def test_after_level_3_level_4_checks():
    """三级网格: `处置完毕后，反馈四级网格现场核查直至结案` (M34)."""
    story = Story().reported(BARE).accepted().handled()
    assert (story.case.state, story.case.checks) == ("verifying", (4,))


def test_the_checks_above_the_last_come_from_the_top_and_do_not_decide():
    """`反馈二级、三级、四级网格现场核查`: level 3's waits for its turn, level 4's is last and decides."""
    story = Story().reported(SEWERS).accepted(CITY).handled(CITY)
    story.parked("verification.recorded", STAFF, outcome="unsolved")
    result = story.done("verification.recorded", DISTRICT, outcome="solved")
    assert [s.outcome for s in result.outcomes] == ["done", "done"]
    assert [(c.level, c.decides) for c in story.of(facts.Checked)] == [(2, False), (3, False)]
    assert (story.case.state, story.case.cycle) == ("verifying", 0)
    story.done("verification.recorded", MEMBER, outcome="solved")
    assert story.one(facts.Checked).decides is True


def test_level_4_waits_until_the_levels_above_have_checked():
    """`再次进行核查` (M35): again, after them."""
    story = Story().reported(OUTLET).accepted(DISTRICT).handled(DISTRICT)
    story.parked("verification.recorded", MEMBER, outcome="solved")
    result = story.done("verification.recorded", STAFF, outcome="solved")
    assert [s.outcome for s in result.outcomes] == ["done", "done"]
    assert story.case.state == "verified"


def test_a_pack_may_ask_for_the_last_check_only():
    """Which levels check is the pack's choice; in the sample all do."""
    story = Story(changed(options={"checks": "last"})).reported(SEWERS).accepted(CITY).handled(CITY)
    assert (story.case.state, story.case.checks) == ("verifying", (4,))


@pytest.mark.mechanism("M35")
@pytest.mark.parametrize(("category", "by"), [(BARE, STREET), (OUTLET, DISTRICT), (SEWERS, CITY)])
def test_unsolved_goes_to_level_3_again_whoever_handled_it(category, by):
    """`如仍未解决，则再次上报三级网格处置` (M35)."""
    story = Story(changed(options={"checks": "last"})).reported(category).accepted(by).handled(by)
    story.done("verification.recorded", MEMBER, outcome="unsolved")
    assert owner(story) == ("WY01", 3, "")
    assert (story.case.state, story.case.cycle) == ("reported", 1)
    story.accepted(STREET)


def test_a_new_cycle_begins_with_nobody_before_so_a_return_goes_to_the_place():
    story = Story().reported(BARE).accepted().handled()
    story.done("verification.recorded", MEMBER, outcome="unsolved")
    assert story.case.trail == ()
    story.done("incident.returned", STREET, reason="not_our_duty")
    assert owner(story) == (LEAF, 4, "")


def test_it_goes_round_until_it_is_solved_with_a_loop_alarm():
    """`直至问题最终解决` (M35, M36): without limit, but from the pack's count on somebody is told."""
    story = Story().reported(BARE)
    for cycle in range(1, 6):
        story.accepted().handled()
        story.done("verification.recorded", MEMBER, outcome="unsolved")
        assert story.one(facts.Reworked) == facts.Reworked(cycle=cycle, looped=cycle >= 3)
        alarms = [notice.to for notice in story.of(facts.NoticeGiven) if notice.on == "looped"]
        assert alarms == [(DISTRICT, "WY-SUPERVISOR", "WY-SUPERVISOR-2", "WY01-SPONSOR")] * (cycle >= 3)
    story.accepted().handled()
    story.done("verification.recorded", MEMBER, outcome="solved")
    story.done("incident.closed", MEMBER)
    assert (story.case.state, story.case.cycle) == ("closed", 5)


def test_a_loop_alerts_under_a_pack_that_has_no_table_of_notices():
    story = Story(changed(notices=(), options={"loop_alarm": 1})).reported(BARE).accepted().handled()
    story.done("verification.recorded", MEMBER, outcome="unsolved")
    alarm = story.one(facts.AlertRaised)
    assert (alarm.kind, alarm.alert) == ("loop", f"{story.case.id}|loop|1")
    assert alarm.to == (DISTRICT, "WY-SUPERVISOR", "WY-SUPERVISOR-2", "WY01-SPONSOR")


@pytest.mark.mechanism("M36")
def test_closed_only_after_it_is_finally_solved_and_by_an_act_of_its_own():
    """`直至问题最终解决，方可办理结案手续` (M36)."""
    story = Story().reported(BARE).accepted().handled()
    story.parked("incident.closed", MEMBER)
    assert story.case.state == "verifying"
    story.done("verification.recorded", MEMBER, outcome="solved")
    assert story.case.state == "closed"
    assert [step.cause.type for step in story.steps[-2:]] == [
        "gridpatrol.verification.recorded.v1",
        "gridpatrol.incident.closed.v1",
    ]


def test_effective_dissuasion_is_checked_by_level_4_before_it_is_closed():
    """`告知劝阻` that works is handling on the spot; unsolved after all, it goes up."""
    story = Story().found(DUST)
    story.done("dissuasion.recorded", MEMBER, outcome="effective")
    assert story.one(facts.Handled) == facts.Handled(level=4, by=MEMBER, checks=(4,))
    story.done("verification.recorded", LEAF_CHIEF, outcome="unsolved")
    assert owner(story) == ("WY01", 3, "")


# ---- the tree ---------------------------------------------------------------------------------------------


def test_an_ancestor_is_the_grid_of_a_level_or_the_deepest_there_is():
    assert [routing.ancestor(PATH, level) for level in (1, 2, 3, 4, 9)] == [*PATH, LEAF]


@pytest.mark.parametrize(
    ("touches", "path"),
    [
        ((), PATH),
        (("WY01-02",), PATH[:3]),
        (("WY02",), PATH[:2]),
        (("XA",), PATH[:1]),
        ((LEAF,), PATH),
        (("gone",), PATH),  # a grid that a newer register no longer has
    ],
)
def test_the_common_path_is_that_of_the_lowest_grid_around_all(touches, path):
    case = Case(id="a", path=PATH, touches=touches)
    assert routing.common_path(case, weiyang()) == path


def test_the_words_of_a_rung_are_posts_near_the_owner():
    story = Story().reported(BARE).accepted()
    story.done("incident.dispatched", STREET, lead="WY-URBAN")
    case, register = story.case, story.register
    posts = {
        word: routing.recipients((word,), case, register, 0, present(case, register))
        for word in (
            "holder",
            "holder_chief",
            "owner",
            "owner_chief",
            "reporter",
            "handler",
            "sponsor",
            "upper_chief",
            "supervisor",
            "office",
        )
    }
    assert posts == {
        "holder": ("WY-URBAN-H",),
        "holder_chief": (STREET,),
        "owner": ("WY-URBAN-H",),
        "owner_chief": (STREET,),
        "reporter": (HOTLINE,),
        "handler": ("WY-URBAN-H",),
        "sponsor": ("WY01-SPONSOR",),
        "upper_chief": (DISTRICT,),
        "supervisor": ("WY-SUPERVISOR", "WY-SUPERVISOR-2"),
        "office": ("WY-OFFICE",),
    }
    unit = present(case, register)
    both = routing.recipients(("owner_chief", "upper_chief", "owner_chief"), case, register, 0, unit)
    assert both == (STREET, DISTRICT)


def test_a_rung_that_tells_the_holder_means_those_above_it_and_any_other_those_above_the_owner():
    case, register, leaf = Case(id="a", path=PATH, owner=Owner("XA", 1)), weiyang(), facts.Unit("/XA/WY/WY01/WY01-01/")
    assert routing.recipients(("holder_chief", "upper_chief"), case, register, 0, leaf) == (LEAF_CHIEF, STREET)
    assert routing.recipients(("owner_chief", "upper_chief"), case, register, 0, leaf) == (CITY,)


@pytest.mark.mechanism("M8")
def test_a_grid_without_department_is_told_through_its_members_and_chief():
    story = Story().reported(BARE)
    told = routing.recipients(("owner",), story.case, story.register, 0, present(story.case, story.register))
    assert told == ("WY01-STAFF1", "WY01-STAFF2", "WY01-STAFF3", STREET)


def test_an_owner_that_a_newer_register_no_longer_has_is_nobody_to_tell():
    case = Case(id="a", path=PATH, owner=Owner("gone", 3))
    told = routing.recipients(("owner", "upper_chief", "supervisor"), case, weiyang(), 0, present(case, weiyang()))
    assert told == ()


def test_two_registers_side_by_side_keep_their_recipients_apart_and_no_more_than_so_many(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    known = changed()
    posts = tuple(structs.replace(post, vacant=True) if post.code == STREET else post for post in known.pack.posts)
    other, case, unit = (
        changed(known, posts=posts),
        Case(id="a", path=PATH, owner=Owner("WY01", 3)),
        facts.Unit("/XA/WY/WY01/"),
    )
    monkeypatch.setattr(routing, "MOST_RECIPIENTS", 2)
    for words in (("holder_chief",), ("owner_chief",), ("holder", "holder_chief"), ("holder_chief",)):
        assert STREET in routing.recipients(words, case, known, 0, unit)
        assert STREET not in routing.recipients(words, case, other, 0, unit)
        assert len(known.recipients) <= 2 >= len(other.recipients)


def test_what_came_back_to_a_leaf_is_dispatched_at_the_level_with_authority() -> None:
    """三四级网格的巡查、发现、上报: a leaf does not handle, so the levels below the handler still check."""
    story = Story().found(DUST)
    story.done("dissuasion.recorded", MEMBER, outcome="ineffective")
    story.done("incident.reported_up", MEMBER)
    story.done("incident.returned", STREET, reason="not_our_duty")
    assert story.case.owner.grid == LEAF
    story.done("incident.dispatched", CENTRE, lead="WY-BUILD")
    assert (story.case.owner.grid, story.case.owner.level, story.case.owner.department) == ("WY01", 3, "WY-BUILD")
    story.done("handling.completed", "WY-BUILD-H")
    assert story.case.checks == (4,)

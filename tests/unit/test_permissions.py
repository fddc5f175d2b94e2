"""Who may say what, standing where: the roles table of the sample pack, and what a refusal says."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec import structs

from schemas.events import EVENT_TYPES, canonical, trigger_of
from schemas.refusals import Reason
from tests.support.builders import (
    BARE,
    CENTRE,
    CITY,
    DISTRICT,
    DUST,
    HOTLINE,
    LEAF,
    LEAF_CHIEF,
    MEMBER,
    STREET,
    Story,
    at,
    changed,
    instant,
    weiyang,
)
from workflows.case import Case, Owner
from workflows.permissions import forbid
from workflows.policy.index import Policy
from workflows.policy.model import Post, RoleRow, encode

PATH = ("XA", "WY", "WY01", "WY01-01")
CASE = Case(id="a", path=PATH, owner=Owner("WY01", 3, "WY-URBAN"), assisting=("WY-GREEN",), by=MEMBER)


def may(post: str, trigger: str, case: Case = CASE, rules: Policy | None = None) -> bool:
    register = rules or weiyang()
    return forbid(register.posts[post], trigger, case, register, register) is None


def only(scope: Any, levels: tuple[int, ...] = ()) -> Policy:
    """A pack whose table has one row: handlers, members, chiefs and others may say `x` in this scope."""
    roles = ("member", "chief", "handler", "dispatcher", "intake", "sponsor")
    return changed(roles=tuple(RoleRow("rule", "x", role, levels, scope) for role in roles))


@pytest.mark.parametrize(
    ("scope", "allowed", "forbidden"),
    [
        # in `department` scope a grid's own people have no say, in `owner` scope not the assisting departments
        ("owner", [STREET, "WY01-STAFF1", "WY-URBAN-H"], [MEMBER, DISTRICT, "WY02-CHIEF", "WY-GREEN-H"]),
        ("department", ["WY-URBAN-H", "WY-GREEN-H"], [STREET, "WY-EPB-H", MEMBER]),
        ("place", [MEMBER, LEAF_CHIEF, STREET, DISTRICT, CITY, "WY-URBAN-H"], ["WY01-02-MEMBER", "WY02-CHIEF"]),
        ("above", [STREET, DISTRICT, CITY], [MEMBER, "WY02-CHIEF"]),
        ("reporter", [MEMBER], [LEAF_CHIEF, STREET]),
        ("any", [MEMBER, "WY02-CHIEF", "WY-EPB-H", HOTLINE], []),
    ],
)
def test_a_scope_says_where_the_speaker_must_stand(scope, allowed, forbidden):
    rules = only(scope)
    assert [post for post in allowed if not may(post, "x", rules=rules)] == []
    assert [post for post in forbidden if may(post, "x", rules=rules)] == []


def test_a_row_may_ask_for_the_level_of_the_speakers_grid():
    rules = only("place", (2, 4))
    assert [may(post, "x", rules=rules) for post in (CITY, DISTRICT, STREET, MEMBER)] == [False, True, False, True]


def test_one_of_several_rows_is_enough():
    rules = changed(roles=(RoleRow("a", "x", "chief", (1,)), RoleRow("b", "x", "chief", (), "owner")))
    assert may(STREET, "x", rules=rules) and may(CITY, "x", rules=rules) and not may(DISTRICT, "x", rules=rules)


def test_a_row_for_a_kind_of_case_allows_it_for_that_kind_alone():
    both, row = only("any"), RoleRow("rule", "x", "chief")
    rules = changed(roles=(structs.replace(row, definition="service_request"),))
    kinds = {name: structs.replace(CASE, definition=name) for name in ("incident", "service_request", "")}
    found = {name: may("WY-CHIEF", row.trigger, case, rules) for name, case in kinds.items()}
    assert found == {"incident": False, "service_request": True, "": True}  # what is not born yet may be of any kind
    assert all(may("WY-CHIEF", row.trigger, case, both) for case in kinds.values())


def test_a_refusal_names_the_roles_that_may_say_it():
    refused = forbid(weiyang().posts[HOTLINE], "incident.accepted", CASE, weiyang(), weiyang())
    assert refused is not None
    assert (refused.reason, refused.field) == (Reason.FORBIDDEN, "actor")
    assert "role intake may not say incident.accepted" in refused.detail
    assert "chief, handler, member, office" in refused.detail


def test_a_refusal_names_the_rules_that_would_have_allowed_it_elsewhere():
    refused = forbid(weiyang().posts["WY02-CHIEF"], "incident.accepted", CASE, weiyang(), weiyang())
    assert refused is not None
    assert "accept (level 1/2/3, scope owner)" in refused.detail


def test_what_nobody_may_say_is_said_to_be_so():
    refused = forbid(weiyang().posts[STREET], "x", CASE, weiyang(), weiyang())
    assert refused is not None and "nobody" in refused.detail


@pytest.mark.parametrize("name", EVENT_TYPES)
def test_every_event_of_the_contract_has_somebody_who_may_say_it(name):
    """`一二级: 组织、指挥、督查、协调; 三四级: 巡查、发现、上报、及时处置` (M37): each duty has its roles."""
    assert [row for row in weiyang().pack.roles if canonical(row.trigger) == canonical(trigger_of(name))]


# ---- what may be claimed ----------------------------------------------------------------------------------


def test_who_patrols_claims_no_supervision_and_orders_no_deadline():
    """The two columns of the sample pack: a refusal names the rule and the field."""
    patrol: dict[str, Any] = {"category": BARE, "grid": LEAF}
    for source in ("supervision", "hotline", "sensor"):
        refused = Story().refused(Reason.FORBIDDEN, "report.submitted", MEMBER, source=source, **patrol)
        assert refused.field == "data.source"
        assert "rule patrol-report lets role member report from these sources only: patrol, public" in refused.detail
        assert source not in refused.detail
    for deadline in (None, "2199-01-01T00:00:00Z", instant(at("03-03 09:00"))):
        refused = Story().refused(
            Reason.FORBIDDEN, "report.submitted", MEMBER, source="patrol", deadline=deadline, **patrol
        )
        assert refused.field == "data.deadline"
        assert "rule patrol-report lets role member order deadlines of these clocks only: none" in refused.detail
    Story().done("report.submitted", MEMBER, source="patrol", **patrol)
    Story().done("report.submitted", HOTLINE, source="hotline", deadline=None, **patrol)
    Story().done("report.submitted", "WY-SUPERVISOR", source="supervision", **patrol)


def test_an_order_of_a_deadline_is_for_the_clocks_that_its_rule_names():
    story = Story().reported(BARE).accepted()
    refused = story.refused(Reason.FORBIDDEN, "deadline.ordered", "WY01-SPONSOR", clock="close", limit="2工作日")
    assert refused.field == "data.clock"
    assert "rule order-deadline-sponsor" in refused.detail and "handle, rectify, total" in refused.detail
    story.done("deadline.ordered", "WY01-SPONSOR", clock="total", limit="9工作日")
    story.done("deadline.ordered", DISTRICT, clock="handle", limit="9工作时")


def test_an_empty_cell_allows_any_claim_as_before_there_were_these_columns():
    rows = tuple(structs.replace(row, sources=(), deadlines=()) for row in weiyang().pack.roles)
    old = changed(roles=rows, sources=())
    assert b"sources" not in encode(old.pack) and b"deadlines" not in encode(old.pack), "hashes are what they were"
    story = Story(old)
    story.done("report.submitted", MEMBER, source="supervision", category=BARE, grid=LEAF, deadline=None)


def test_one_of_several_rows_is_enough_for_a_claim_and_none_adds_to_another():
    """A row that allows the source and one that allows the deadline do not allow both."""
    first = RoleRow("a", "report.submitted", "member", (4,), "place", ("patrol",), ("total",))
    second = RoleRow("b", "report.submitted", "member", (), "any", ("sensor",), ("none",))
    said: dict[str, Any] = {"category": BARE, "grid": LEAF}
    rules = changed(roles=(first, second))
    Story(rules).done("report.submitted", MEMBER, source="patrol", deadline=None, **said)
    Story(rules).done("report.submitted", MEMBER, source="sensor", **said)
    refused = Story(rules).refused(Reason.FORBIDDEN, "report.submitted", MEMBER, source="sensor", deadline=None, **said)
    assert refused.field in ("data.source", "data.deadline")


# ---- in the life of a case --------------------------------------------------------------------------------


def test_a_post_that_nobody_knows_or_that_is_vacant_says_nothing():
    story = Story().reported(BARE)
    assert "no post" in story.refused(Reason.UNKNOWN_CODE, "incident.accepted", "WY01-NOBODY").detail
    posts = weiyang().pack.posts
    vacant = tuple(Post(p.code, p.title, p.role, p.grid, vacant=p.code == STREET) for p in posts)
    story = Story(changed(posts=vacant)).reported(BARE)
    assert "vacant" in story.refused(Reason.UNKNOWN_CODE, "incident.accepted", STREET).detail


def test_a_vacant_post_is_not_told():
    posts = tuple(
        Post(p.code, p.title, p.role, p.grid, p.department, p.code == "WY01-01-SPONSOR") for p in weiyang().pack.posts
    )
    story = Story(changed(posts=posts)).found(BARE)
    assert not story.case.suspended_from
    assert not [fact for fact in story.facts if type(fact).__name__ == "Copied"]


def test_a_member_reports_for_its_own_grid_only():
    """`每天在所属网格内进行巡查` (M13)."""
    Story().found(BARE)
    story = Story()
    story.refused(Reason.FORBIDDEN, "report.submitted", "WY01-02-MEMBER", category=BARE, source="patrol", grid=LEAF)


@pytest.mark.mechanism("M37")
def test_level_4_does_not_handle_and_level_3_does_not_dissuade():
    """`三级、四级网格的巡查、发现、上报、及时处置的基础作用` (M37), each its own."""
    story = Story().found(DUST)
    story.refused(Reason.FORBIDDEN, "dissuasion.recorded", STREET, outcome="effective")
    story = Story().reported(BARE)
    story.refused(Reason.FORBIDDEN, "incident.accepted", MEMBER)


def test_a_neighbouring_grid_does_not_check_nor_close():
    story = Story().reported(BARE).accepted().handled()
    story.refused(Reason.FORBIDDEN, "verification.recorded", "WY01-02-MEMBER", outcome="solved")
    story.done("verification.recorded", MEMBER, outcome="solved")
    story.refused(Reason.FORBIDDEN, "incident.closed", "WY01-02-MEMBER")
    story.done("incident.closed", CENTRE)


@pytest.mark.mechanism("M39")
def test_discipline_inspection_has_posts_that_read_and_say_nothing():
    """`配合市纪检监察部门…进行监督考核` (M39): at the city and at the district."""
    posts = [post for post in weiyang().pack.posts if post.role == "inspection"]
    assert [post.grid for post in posts] == ["XA", "WY"]
    for name in EVENT_TYPES:
        for post in posts:
            refused = forbid(post, trigger_of(name), CASE, weiyang(), weiyang())
            assert refused is not None and "role inspection may not say" in refused.detail


def test_only_the_reporter_withdraws():
    story = Story().found(BARE)
    story.refused(Reason.FORBIDDEN, "incident.withdrawn", LEAF_CHIEF)
    story.done("incident.withdrawn", MEMBER)
    assert story.case.state == "withdrawn"


def test_a_new_chief_may_act_on_an_old_case():
    """Posts are the register as it is now; rules are those that the case was born with."""
    story = Story().reported(BARE)
    posts = tuple(Post("WY01-NEW", p.title, p.role, p.grid) if p.code == STREET else p for p in weiyang().pack.posts)
    story.register = changed(posts=posts)
    assert story.register.hash != story.rules.hash
    story.refused(Reason.UNKNOWN_CODE, "incident.accepted", STREET)
    story.done("incident.accepted", "WY01-NEW")


def test_rights_are_those_of_the_pack_that_the_case_was_born_with():
    story = Story().reported(BARE)
    story.register = changed(roles=())
    story.done("incident.accepted", STREET)


# ---- who verifies -----------------------------------------------------------------------------------------


def test_a_pack_may_want_another_verifier_than_the_one_who_handled():
    """No plan says that they must differ: pack data, off in the sample."""
    for differs in (False, True):
        story = Story(changed(options={"verifier_differs": differs})).found(DUST)
        story.done("dissuasion.recorded", MEMBER, outcome="effective")
        if differs:
            refused = story.refused(Reason.FORBIDDEN, "verification.recorded", MEMBER, outcome="solved")
            assert "another post" in refused.detail
            story.done("verification.recorded", LEAF_CHIEF, outcome="solved")
        else:
            story.done("verification.recorded", MEMBER, outcome="solved")
        assert story.case.state == "verified"


def test_the_chief_of_a_responsible_enterprise_never_verifies_against_it():
    """`社区主任、村长和企业负责人为网格长` (M6): the head of an enterprise heads its grid; its member checks."""
    story = Story(home="WY03")
    story.done("report.submitted", HOTLINE, story.now, category=BARE, source="hotline", grid="WY03-09")
    story.done("incident.accepted", "WY03-CHIEF")
    story.done("handling.completed", "WY03-CHIEF")
    refused = story.refused(Reason.FORBIDDEN, "verification.recorded", "WY03-09-CHIEF", outcome="solved")
    assert "enterprise" in refused.detail
    story.done("verification.recorded", "WY03-09-MEMBER", outcome="solved")

"""Kinds of posts and their training (M40, M42, M50), and the register of sources of pollution, which drives patrols
(M70, M71): what the linter says of them, what is refused or remarked, what is owed for each site.

In: the small pack and the sample with more columns, rows and options. Out: findings, facts, derived ids.
"""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from engine.packs import load_pack
from schemas import facts
from schemas.derived_ids import derived_subject
from schemas.kinds.duty import Duty
from schemas.refusals import Reason
from tests.support.builders import BARE, LEAF, MEMBER, Story, at, changed, weiyang
from tests.unit.test_duty import Round
from tests.unit.test_pack_lint import TEXTS, told
from workflows.assessment.expected import expected
from workflows.definitions.duty import DUTY
from workflows.machine import Owed
from workflows.policy.compile import compile_pack, compile_rows
from workflows.policy.index import Policy
from workflows.policy.lint import lint
from workflows.policy.lint.context import LintContext
from workflows.policy.lint.duties import owed_by_period
from workflows.policy.model import DutyRow, encode
from workflows.policy.registers import Site
from workflows.saying import sayable

POSTS_HEAD, POSTS_ROWS = TEXTS["posts.csv"].split("\n", 1)


def found(**files: str) -> list[str]:
    """The findings on the small pack with files of its own."""
    compiled = compile_rows(TEXTS | {name.replace("_", "."): text for name, text in files.items()})
    more = lint(compiled.pack, 0, compiled.rows) if compiled.pack is not None else []
    return told([*compiled.problems, *more])


def with_posts(*rows: str, toml: tuple[str, str] = ("", "")) -> dict[str, str]:
    """The small pack's posts with more rows that have kinds, and its pack.toml edited."""
    more = "".join(f"{row}\n" for row in rows)
    return {
        "posts_csv": f"{POSTS_HEAD},machine,kind,trained_on\n{POSTS_ROWS}{more}",
        "pack_toml": TEXTS["pack.toml"].replace(*toml) if toml[0] else TEXTS["pack.toml"],
    }


REFUSE = ("[options]\n", '[options]\nuntrained = "refuse"\n')
STAFF = ('name_en = "quarter"\n', 'name_en = "quarter"\nstaff = "1-2"\n')


# ---- posts ------------------------------------------------------------------------------------------------


def test_packs_without_the_columns_keep_their_bytes_and_are_asked_nothing():
    assert found() == [] == found(**with_posts())
    for pack in (compile_pack(TEXTS)[0], load_pack("boston311")):
        assert pack is not None
        bytes_ = encode(pack)
        assert not any(word in bytes_ for word in (b'"trained_on"', b'"untrained"', b'"staff"', b'"per":"site"'))


@pytest.mark.mechanism("M42", "M103", "M117")
@pytest.mark.parametrize(
    ("row", "toml", "finding"),
    [
        ("X,X,member,N,,,,,,expert,", ("", ""), "error posts.csv:20 kind: 'expert' is no kind of post"),
        ("X,X,member,N,,,,,,volunteer,soon", ("", ""), "error posts.csv:20 trained_on: 'soon' is not a day"),
        ("X,X,supervisor,N,,,,,,delegate,", ("", ""), "warning posts.csv:20 department: 'X' is a delegate of no team"),
        ("X,X,member,N,,,,,,volunteer,", REFUSE, "warning posts.csv:20 trained_on: 'X' has not been trained"),
    ],
)
def test_what_is_wrong_with_a_post_is_named(row: str, toml: tuple[str, str], finding: str):
    [only] = found(**with_posts(row, toml=toml))
    assert only.startswith(finding)


@pytest.mark.mechanism("M40")
def test_a_level_asks_for_a_number_of_full_time_posts():
    """M40: 充实3-5名环保专职人员."""
    staff = [f"{grid}-{k},Staff,member,{grid},,,,,,full_time,2026-01-05" for grid in "NS" for k in (1, 2)]
    assert found(**with_posts(*staff, toml=STAFF)) == []
    [lacking] = found(**with_posts(*staff[:2], toml=STAFF))
    assert lacking.startswith("warning grids.csv:4 code: 'S' has 0 full-time posts, its level asks for 1 to 2")
    [too_many] = found(**with_posts(*staff, staff[0].replace("N-1", "N-3"), toml=STAFF))
    assert "'N' has 3 full-time posts" in too_many
    for wrong in ("5-3", "some", "-1"):
        edit = (STAFF[0], STAFF[1].replace("1-2", wrong))
        lines = found(**with_posts(toml=edit))
        assert any("is no number of posts" in line and line.startswith("error pack.toml:18") for line in lines)


def trained(option: str, day: int, kind: str = "volunteer") -> Policy:
    """The sample pack, in which a member is a volunteer who was trained on a day."""
    posts = (replace(p, kind=kind, trained_on=day) if p.code == MEMBER else p for p in weiyang().pack.posts)
    return changed(posts=tuple(posts), options={"untrained": option})


SAID = {"category": BARE, "source": "patrol", "grid": LEAF}


@pytest.mark.mechanism("M50")
@pytest.mark.parametrize(("day", "speaks"), [(0, False), (20260303, False), (20260302, True), (20250101, True)])
def test_who_has_not_been_trained_before_duty_is_refused_where_the_pack_says_so(day: int, speaks: bool):
    """M50: 岗前培训."""
    story = Story(trained("refuse", day))
    if speaks:
        story.done("report.submitted", MEMBER, at("03-02 10:00"), **SAID)
        assert sayable(story.case, story.rules.posts[MEMBER], story.rules, story.rules, story.now)
    else:
        refusal = story.refused(Reason.FORBIDDEN, "report.submitted", MEMBER, at("03-02 10:00"), **SAID)
        assert refusal.field == "actor" and "trained" in refusal.detail
        story.reported(BARE)
        assert not sayable(story.case, story.rules.posts[MEMBER], story.rules, story.rules, story.now)
    assert story.history(facts.SpokeUntrained) == []


def test_it_is_remarked_where_the_pack_says_so_and_counts_all_the_same():
    story = Story(trained("remark", 20260303))
    story.done("report.submitted", MEMBER, at("03-02 10:00"), **SAID)
    story.done("dissuasion.recorded", MEMBER, at("03-03 10:00"), outcome="ineffective")
    assert story.history(facts.SpokeUntrained) == [facts.SpokeUntrained(post=MEMBER)]


@pytest.mark.parametrize(("option", "kind"), [("", "volunteer"), ("refuse", "")])
def test_nobody_is_asked_without_the_option_or_without_a_kind(option: str, kind: str):
    story = Story(trained(option, 0, kind))
    story.done("report.submitted", MEMBER, at("03-02 10:00"), **SAID)
    assert story.history(facts.SpokeUntrained) == []


@pytest.mark.mechanism("M42", "M80", "M137")
def test_a_supervision_team_is_a_unit_with_posts_of_delegates():
    """M83 of no office: the team is a department, its delegates answer for it."""
    known = weiyang().pack
    team = replace(known.departments[0], code="WY-TEAM", name="人大代表督查组", grid="WY", groups=("other",))
    chief = next(p for p in known.posts if p.code == "WY-EPB-H")
    delegate = replace(chief, code="WY-TEAM-1", department="WY-TEAM", kind="delegate", trained_on=20260101)
    policy = changed(
        departments=(*known.departments, team), posts=(*known.posts, delegate), options={"untrained": "refuse"}
    )
    story = Story(policy, home="XA")
    story.done("supervision.proposed", "WY-SUPERVISOR", at("03-02 10:00"), action="letter", department="WY-TEAM")
    story.done("supervision.decided", "WY-OFFICE")
    story.done("supervision.served", "WY-OFFICE")
    story.done("supervision.answered", "WY-TEAM-1")
    assert story.case.state == "answered"


# ---- sites ------------------------------------------------------------------------------------------------

SITES = (
    Site("S-1", "一号砖厂", LEAF, "industry", key=True),
    Site("S-2", "二号料场", LEAF, valid_from=20260303, valid_to=20260320),
    Site("S-3", "三号锅炉房", "WY01-02", key=True),
)
LOOK = DutyRow("LOOK", "巡查污染源", "member", "day", (4,), per="site")
KEY = replace(LOOK, code="KEY", name="巡查重点污染源", per="key_site")


def sited(*duties: DutyRow, sites: tuple[Site, ...] = SITES) -> Policy:
    """The sample pack with sites and these duties alone."""
    return changed(sites=sites, duties=duties)


def owed(policy: Policy, day: int) -> set[tuple[str, str, str]]:
    """(duty, post, site) of what is owed in the first street on a local day."""
    bears = DUTY.bears
    assert bears is not None
    return {(o.row, o.post, o.site) for o in bears.owes(policy, "WY01") if bears.stands(policy, o, day)}


@pytest.mark.mechanism("M70")
def test_a_post_owes_a_duty_for_each_site_of_its_grid_that_stands():
    other = "WY01-02-MEMBER"
    policy = sited(LOOK, KEY)
    assert owed(policy, 20260302) == {
        ("LOOK", MEMBER, "S-1"), ("KEY", MEMBER, "S-1"), ("LOOK", other, "S-3"), ("KEY", other, "S-3"),
    }  # fmt: skip
    assert owed(policy, 20260303) - owed(policy, 20260302) == {("LOOK", MEMBER, "S-2")}
    assert ("LOOK", MEMBER, "S-2") not in owed(policy, 20260321)
    assert owed(sited(LOOK, sites=()), 20260302) == set()
    street = replace(LOOK, role="member", levels=(3,))
    assert {site for _, _, site in owed(sited(street), 20260303)} == {"S-1", "S-2", "S-3"}
    assert owed_by_period(LintContext(policy.pack)) == {"day": 5}
    assert expected(policy, 3, 20260302, 20260303)["WY01"] == (2 + 2) + (3 + 2)


def test_a_duty_that_ends_with_its_site_ends_on_that_day():
    bears = DUTY.bears
    assert bears is not None
    assert bears.ends(sited(LOOK), Owed("LOOK", MEMBER, "day", "S-2")) == 20260320
    assert bears.ends(sited(LOOK), Owed("LOOK", MEMBER, "day", "S-1")) == 0


def test_each_site_makes_another_id_and_none_makes_the_one_of_before():
    told_of = ("WY01", "duty", "LOOK", MEMBER, 20260302, 1)
    ids = {derived_subject(*told_of), derived_subject(*told_of, "S-1"), derived_subject(*told_of, "S-2")}
    assert len(ids) == 3 and derived_subject(*told_of, "") in ids


def test_a_record_of_a_site_names_it_and_one_of_another_day_is_sent_to_that_days_id():
    story = Round("LOOK", MEMBER, rules=sited(LOOK), site="S-1")
    assert isinstance(story.case.own, Duty) and story.case.own.site == "S-1"
    story.done("duty.recorded", MEMBER, at("03-02 10:00"))
    assert story.case.state == "kept"
    late = Round("LOOK", MEMBER, rules=sited(LOOK), site="S-1")
    refusal = late.refused(Reason.MISROUTED, "duty.recorded", MEMBER, at("03-03 00:30"), occurred=at("03-03 00:20"))
    days = late.rules.clock_of_days
    assert derived_subject("WY01", "duty", "LOOK", MEMBER, 20260303, days.day_start(20260303), "S-1") in refusal.detail


@pytest.mark.mechanism("M71")
@pytest.mark.parametrize(("site", "taken"), [("S-1", True), ("S-9", False)])
def test_a_report_and_a_supervision_name_sites_of_the_register_where_there_is_one(site: str, taken: bool):
    policy = sited()
    about = {"action": "letter", "grid": "WY01", "site": site}
    for said, actor, data in (
        ("report.submitted", MEMBER, SAID | {"site": site}),
        ("supervision.proposed", "WY-SUPERVISOR", about),
    ):
        story = Story(policy)
        if taken:
            story.done(said, actor, at("03-02 10:00"), **data)
            assert site in (story.case.site, getattr(story.case.own, "site", ""))
        else:
            assert story.refused(Reason.UNKNOWN_CODE, said, actor, at("03-02 10:00"), **data).field == "data.site"
        free = Story(changed(sites=()))
        free.done(said, actor, at("03-02 10:00"), **data)


WALKS = TEXTS["roles.csv"] + "walk,duty.recorded,member,,place,,,\nexcuse,duty.excused,chief,2,place,,,\n"


def small_sites(row: str, duty: str = "") -> list[str]:
    """The findings on the small pack with one site that is fine, and another; and a duty."""
    head = "code,name,grid,category,key,director,lon,lat,valid_from,valid_to\n"
    files = {"sites_csv": f"{head}OK-1,罐头厂,S2,waste,yes,,-9.1,38.7,,\n{row}"}
    if duty:
        files["duties_csv"] = f"code,role,period,levels,basis,per,distinct\n{duty}"
        files["roles_csv"] = WALKS
    return found(**files)


@pytest.mark.parametrize(
    ("row", "finding"),
    [
        ("厂,甲,S1,,,,,,,\n", "error sites.csv:3 code: '厂' is no code of a unit"),
        ("OK-1,甲,S1,,,,,,,\n", "error sites.csv:3 code: 'OK-1' stands in row 2 already"),
        ("X,,S1,,,,,,,\n", "error sites.csv:3 name: is empty"),
        ("X,甲,Z,,,,,,,\n", "error sites.csv:3 grid: 'Z' is no grid"),
        ("X,甲,S,,,,,,,\n", "warning sites.csv:3 grid: 'S' is no leaf grid"),
        ("X,甲,S1,gas,,,,,,\n", "error sites.csv:3 category: 'gas' is no category"),
        ("X,甲,S1,,,NONE,,,,\n", "error sites.csv:3 director: 'NONE' is no post"),
        ("X,甲,S1,,,S1-CHIEF,,,,\n", "warning sites.csv:3 director: 'S1-CHIEF' is no post of the kind director"),
        ("X,甲,S1,,,,9.1,,,\n", "error sites.csv:3 lat: is empty"),
        ("X,甲,S1,,,,200,38,,\n", "error sites.csv:3 lon: '200' is no number of degrees"),
        ("X,甲,S1,,,,,,2026-02-01,2026-01-01\n", "error sites.csv:3 valid_to: 20260101 lies before"),
    ],
)
def test_what_is_wrong_with_a_site_is_named(row: str, finding: str):
    assert any(line.startswith(finding) for line in small_sites(row)), small_sites(row)


def test_a_duty_for_each_site_needs_some():
    assert small_sites("", "P,member,day,3,ours,,\nLOOK,member,week,3,ours,site,\n") == []
    lines = small_sites("", "P,member,day,3,ours,,\nLOOK,member,week,3,ours,site,place\n")
    assert any("duties.csv:3 distinct: 'LOOK' is owed for each site" in line for line in lines)
    duty = "code,role,period,levels,basis,per\nP,member,day,3,ours,\nLOOK,member,week,3,ours,key_site\n"
    files = {
        "duties_csv": duty,
        "roles_csv": WALKS,
    }
    assert [line for line in found(**files) if "duties.csv:3 per: 'LOOK' is owed for each key site" in line]

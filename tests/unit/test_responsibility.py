"""Who answers for what (责任清单): bodies and their duties, what the linter says of them, hashes of lists, signatures.

In: the small pack with bodies and responsibilities of its own. Out: rows, findings, hashes, decisions.
"""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from engine.packs import load_pack
from schemas import facts
from schemas.kinds.responsibility import Responsibility
from schemas.refusals import Reason
from tests.support.builders import Story, at
from tests.unit.test_pack_lint import TEXTS, told
from workflows.case import TOTAL
from workflows.definitions import held_by, is_open
from workflows.pack_diff import pack_diff
from workflows.policy.compile import compile_pack, compile_rows
from workflows.policy.index import Policy
from workflows.policy.lint import lint
from workflows.policy.model import digest, encode
from workflows.policy.registers import Body, ResponsibilityRow
from workflows.responsibility import answering, list_hash, signers

BODIES = """\
code,name,kind,grid,name_en,department,posts,part_of,valid_from,valid_to
T-PARTY,镇党委,party,T,Town party committee,,T-SECRETARY,,,
T-GOV,镇政府,government,T,Town government,,T-CHIEF,,,
N-PARTY,北片党委,party,N,,,N-SECRETARY,,,
N-GOV,北片政府,government,N,,,N-CHIEF,,,
S-PARTY,南片党委,party,S,,,S-SECRETARY,,,
S-GOV,南片政府,government,S,,,S-CHIEF,,,
WASTE,环卫所,government,T,Waste service,WASTE,,,,
PORT,港务局,institution,T,Port authority,PORT,,,,
HQ,指挥部,headquarters,T,Headquarters,,T-CHIEF;T-SECRETARY,,,
LAW,刑事司法组,group,T,Criminal justice group,,T-WATCH,HQ,,
CANNERY,罐头厂,enterprise,S2,Cannery,,S2-CHIEF,,,
"""
DUTIES = """\
code,body,duty_zh,part,duty_en,categories,basis,valid_from,valid_to
GOV,T-GOV,统筹协调,lead,Coordinate,,ours,,
CLEAR,WASTE,清运垃圾,lead,Clear waste,waste,plan 1,,
HELP,PORT,配合清运,assist,Help,litter,ours,2026-01-01,2026-06-30
NORTH,N-GOV,属地管理,lead,Manage the quarter,,ours,,
FACTORY,CANNERY,自查自纠,lead,Look after itself,,ours,,
LAW,LAW,立案侦查,lead,Investigate,,ours,,
"""
SECRETARIES = "".join(f"{grid}-SECRETARY,Secretary,secretary,{grid},,,,\n" for grid in "TNS")
SIGNS = "sign,responsibility.signed,secretary;chief;handler;supervisor,,any,\n"


def texts(bodies: str = "", duties: str = "", **files: str) -> dict[str, str]:
    """The small pack with bodies that answer for something, and more rows."""
    more = {"posts.csv": SECRETARIES, "roles.csv": SIGNS} | files
    return {
        **TEXTS,
        **{name: TEXTS[name] + added for name, added in more.items()},
        "bodies.csv": BODIES + bodies,
        "responsibilities.csv": DUTIES + duties,
    }


def found(given: dict[str, str]) -> list[str]:
    """The findings on a pack."""
    compiled = compile_rows(given)
    more = lint(compiled.pack, 0, compiled.rows) if compiled.pack is not None else []
    return told([*compiled.problems, *more])


def policy(given: dict[str, str] | None = None) -> Policy:
    """A pack, indexed."""
    pack, problems = compile_pack(given or texts())
    assert pack is not None, problems
    return Policy(pack, digest(pack))


# ---- rows and findings ------------------------------------------------------------------------------------


@pytest.mark.mechanism("M65", "M105")
def test_rows_are_read_as_they_are_written_and_nothing_is_found():
    assert found(texts()) == []
    known = policy()
    assert known.bodies["LAW"] == Body(
        "LAW", "刑事司法组", "group", "T", "Criminal justice group", posts=("T-WATCH",), part_of="HQ"
    )
    row = ResponsibilityRow("HELP", "PORT", "配合清运", "assist", "Help", ("litter",), "ours", 20260101, 20260630)
    assert row in known.pack.responsibilities


def test_a_pack_without_them_keeps_its_bytes_and_is_asked_for_no_rules():
    for pack in (compile_pack(TEXTS)[0], load_pack("boston311")):
        assert pack is not None
        assert b'"bodies"' not in encode(pack) and b'"responsibilities"' not in encode(pack)


@pytest.mark.parametrize(
    ("bodies", "duties", "finding"),
    [
        ("X,甲,guild,T,,,T-CHIEF,,,\n", "", "error bodies.csv:13 kind: 'guild' is no kind of body"),
        ("X,甲,mass,Z,,,T-CHIEF,,,\n", "", "error bodies.csv:13 grid: 'Z' is no grid"),
        ("X,甲,mass,T,,GAS,,,,\n", "", "error bodies.csv:13 department: 'GAS' is no department"),
        ("X,甲,mass,T,,,MAYOR,,,\n", "", "error bodies.csv:13 posts: 'MAYOR' is no post"),
        ("X,甲,group,T,,,T-CHIEF,,,\n", "", "error bodies.csv:13 part_of: 'X': a special group"),
        ("X,甲,mass,T,,,T-CHIEF,HQ,,\n", "", "error bodies.csv:13 part_of: 'X': a special group"),
        ("X,甲,group,T,,,T-CHIEF,PORT,,\n", "", "error bodies.csv:13 part_of: 'X': a special group"),
        ("X,甲,group,T,,,T-CHIEF,STAFF,,\n", "", "error bodies.csv:13 part_of: 'STAFF' is no body"),
        ("X,甲,mass,T,,,T-CHIEF,,2026-03-01,2026-02-01\n", "", "error bodies.csv:13 valid_to: 20260201 lies before"),
        ("HQ,甲,mass,T,,,T-CHIEF,,,\n", "", "error bodies.csv:13 code: 'HQ' stands in row 10 already"),
        ("X,甲,judiciary,T,,,,,,\n", "X,X,乙,lead,,,ours,,\n", "warning bodies.csv:13 posts: nobody signs for 'X'"),
        ("", "X,NONE,乙,lead,,,ours,,\n", "error responsibilities.csv:8 body: 'NONE' is no body"),
        ("", "X,PORT,乙,lead,,gas,ours,,\n", "error responsibilities.csv:8 categories: 'X': 'gas' is no category"),
        ("", "X,PORT,乙,help,,,ours,,\n", "error responsibilities.csv:8 part: 'help' is unknown"),
        ("", "X,PORT,,lead,,,ours,,\n", "error responsibilities.csv:8 duty_zh: is empty"),
        ("", "X,PORT,乙,lead,,,,,\n", "warning responsibilities.csv:8 basis: does not say where the duty comes from"),
        ("", "X,PORT,乙,lead,,,ours,2026-03-01,2026-02-01\n", "error responsibilities.csv:8 valid_to: 20260201 lies"),
        ("", "CLEAR,PORT,乙,assist,,,ours,,\n", "error responsibilities.csv:8 code: 'CLEAR' stands in row 3 already"),
        (
            "",
            "X,PORT,乙,lead,,litter,ours,,\n",
            "warning responsibilities.csv:8 part: 'PORT' and 'WASTE' (row 3) both lead for litter at T",
        ),
        (
            "X,甲,mass,T,,,T-CHIEF,,2027-01-01,\n",
            "X,X,乙,lead,,,ours,,2026-12-31\n",
            "warning responsibilities.csv:8 valid_from: 'X' holds on no day on which 'X' stands",
        ),
    ],
)
def test_what_is_wrong_with_a_row_is_named(bodies: str, duties: str, finding: str):
    [only] = found(texts(bodies, duties))
    assert only.startswith(finding)


def test_leads_that_follow_each_other_lead_elsewhere_or_are_the_partys_do_not_overlap():
    lead = "X,{body},乙,lead,,waste,ours,{days}\n"
    assert found(texts(duties=lead.format(body="T-PARTY", days=","))) == []
    assert found(texts(duties=lead.format(body="N-GOV", days=","))) == []
    both = texts(duties=lead.format(body="PORT", days="2026-07-01,"))
    both["responsibilities.csv"] = both["responsibilities.csv"].replace("plan 1,,", "plan 1,,2026-06-30")
    assert found(both) == []
    both["responsibilities.csv"] = both["responsibilities.csv"].replace("2026-06-30\nHELP", "2026-07-01\nHELP")
    assert ["both lead" in line for line in found(both)] == [True]


@pytest.mark.mechanism("M112")
def test_every_owner_names_a_party_and_a_government_post():
    """M112: 党政同责."""
    gone = texts()
    gone["posts.csv"] = gone["posts.csv"].replace(
        "N-SECRETARY,Secretary,secretary,N,,,", "N-SECRETARY,S,secretary,N,,yes,"
    )
    [vacancy, only] = found(gone)
    assert "vacant" in vacancy
    assert only.startswith("warning bodies.csv kind: 1 of 3 grids that own cases have no party post that answers: N")
    gone["bodies.csv"] = gone["bodies.csv"].replace("S-GOV,南片政府,government", "S-GOV,南片政府,institution")
    assert sum("no government post that answers: S" in line for line in found(gone)) == 1


def test_what_changes_is_said_in_words():
    old, new = policy().pack, policy(texts(duties="X,PORT,巡查码头,assist,Patrol the quay,litter,ours,,\n")).pack
    [told_of] = pack_diff(old, new)
    assert told_of.zh.startswith("新增：责任 X：港务局（责任主体 PORT，职责 巡查码头，")
    assert told_of.en.startswith("new: responsibility X of Port authority (")
    changed = policy({**texts(), "responsibilities.csv": DUTIES.replace("配合清运,assist", "配合清运,lead")}).pack
    [part] = pack_diff(old, changed)
    assert (part.column, part.zh) == ("part", "责任 HELP：港务局：牵头或配合由 assist 改为 lead")
    kinds = policy({**texts(), "bodies.csv": BODIES.replace("港务局,institution", "港务局,government")}).pack
    assert [each.row for each in pack_diff(old, kinds)] == ["PORT"]


# ---- who answers, and for what ----------------------------------------------------------------------------


@pytest.mark.mechanism("M8")
def test_bodies_answer_for_their_subtree_who_leads_first_and_the_nearest_first():
    known = policy()
    named = [each.row.code for each in answering(known, "N1", "litter", 20260302)]
    assert named == ["NORTH", "GOV", "CLEAR", "LAW", "HELP"]
    assert [each.row.code for each in answering(known, "S2", "litter", 20260302)][:1] == ["FACTORY"]
    assert "HELP" not in {each.row.code for each in answering(known, "N1", "litter", 20260701)}
    assert "CLEAR" not in {each.row.code for each in answering(known, "N1", "smoke", 20260302)}
    assert {each.row.code for each in answering(known, "T", "", 20260302)} == {"GOV", "CLEAR", "LAW", "HELP"}


def test_the_hash_of_a_list_changes_with_the_list_alone():
    known = policy()
    of = {code: list_hash(known, body) for code, body in known.bodies.items()}
    assert len({of["T-GOV"], of["WASTE"], of["PORT"], of["T-PARTY"]}) == 4
    others = policy(texts("X,甲,mass,T,,,T-CHIEF,,,\n", "X,X,乙,lead,,,ours,,\n", **{"posts.csv": SECRETARIES}))
    assert {code: list_hash(others, body) for code, body in known.bodies.items()} == of
    signs = policy({**texts(), "bodies.csv": BODIES.replace("Town government,,T-CHIEF", "Town government,,T-OFFICE")})
    assert list_hash(signs, signs.bodies["T-GOV"]) == of["T-GOV"], "who signs is no part of what is signed"
    first = "GOV,T-GOV,统筹协调,lead,Coordinate,,ours,,"
    for row in (first.replace("统筹协调", "统筹"), f"{first}2026-12-31"):
        other = policy({**texts(), "responsibilities.csv": DUTIES.replace(first, row)})
        assert list_hash(other, other.bodies["T-GOV"]) != of["T-GOV"]
        assert list_hash(other, other.bodies["WASTE"]) == of["WASTE"]


@pytest.mark.mechanism("M106")
def test_who_signs_are_the_posts_that_are_named_else_those_of_the_department():
    known = policy()
    assert signers(known, known.bodies["HQ"]) == ("T-CHIEF", "T-SECRETARY")
    assert signers(known, known.bodies["WASTE"]) == ("WASTE-H",)
    vacant = tuple(replace(post, vacant=post.code == "T-CHIEF") for post in known.pack.posts)
    other = Policy(replace(known.pack, posts=vacant), "x")
    assert signers(other, other.bodies["HQ"]) == ("T-SECRETARY",)


# ---- signatures -------------------------------------------------------------------------------------------


def story(known: Policy, home: str = "T", number: int = 1) -> Story:
    """A case of a home of the small pack in which nothing has been said."""
    return Story(known, home=home, number=number)


@pytest.mark.mechanism("M66")
def test_a_post_signs_the_list_of_its_body_and_the_case_is_over_as_it_begins():
    known = policy()
    signed = story(known)
    now = list_hash(known, known.bodies["T-GOV"])
    signed.done("responsibility.signed", "T-CHIEF", at("03-02 10:00"), body="T-GOV", list=now)
    assert (signed.case.state, signed.case.by, signed.case.path) == ("signed", "T-CHIEF", ("T",))
    assert signed.case.own == Responsibility(body="T-GOV", list=now)
    assert not is_open(signed.case) and signed.case.closed == signed.case.opened and held_by(signed.case).grid == ""
    assert signed.case.next_at is None and signed.case.due_at is None
    [stopped] = signed.history(facts.ClockStopped)
    assert (stopped.clock, stopped.result) == (TOTAL, "without_deadline")
    signed.refused(Reason.IMPOSSIBLE, "responsibility.signed", "T-CHIEF", body="T-GOV", list=now)


def test_another_hash_than_the_one_that_holds_is_refused_and_the_list_that_holds_is_named():
    old, new = policy(), policy({**texts(), "responsibilities.csv": DUTIES.replace("统筹协调", "统筹督查")})
    stale, now = (list_hash(each, each.bodies["T-GOV"]) for each in (old, new))
    changed = story(old)
    changed.register = new
    refusal = changed.refused(Reason.INVALID, "responsibility.signed", "T-CHIEF", body="T-GOV", list=stale)
    assert refusal.field == "data.list"
    assert now in refusal.detail and stale not in refusal.detail
    changed.done("responsibility.signed", "T-CHIEF", body="T-GOV", list=now)


@pytest.mark.parametrize(
    ("home", "actor", "body", "reason", "field"),
    [
        ("T", "T-CHIEF", "NONE", Reason.UNKNOWN_CODE, "data.body"),
        ("T", "T-CHIEF", "WASTE", Reason.FORBIDDEN, "actor"),
        ("T", "T-OFFICE", "T-GOV", Reason.FORBIDDEN, "actor"),
        ("N", "T-CHIEF", "T-GOV", Reason.MISROUTED, "subject"),
    ],
)
def test_who_does_not_sign_for_a_body_or_says_it_elsewhere_is_refused(
    home: str, actor: str, body: str, reason: Reason, field: str
):
    known = policy()
    now = list_hash(known, known.bodies["T-GOV"])
    assert story(known, home).refused(reason, "responsibility.signed", actor, body=body, list=now).field == field

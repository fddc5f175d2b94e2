"""The duties of a pack (履职): who owes what for which period, and what the linter says of rows that cannot work.

In: the sample pack, the small pack with a duties.csv of its own. Out: owed or not, instants, findings.
"""

import pytest
from msgspec.structs import replace

from engine.packs import load_pack
from tests.support.builders import changed, shipped
from tests.unit.test_pack_lint import TEXTS as TINY
from tests.unit.test_pack_lint import told
from workflows.figures import period_bounds
from workflows.policy import model
from workflows.policy.compile import compile_pack, compile_rows
from workflows.policy.duties import is_owed
from workflows.policy.index import Policy
from workflows.policy.lint import lint
from workflows.policy.lint.context import LintContext
from workflows.policy.lint.duties import owed_by_period

HEADER = "code,name,role,levels,object,period,quota,distinct,needs,reports_to,calendar,basis\n"
PATROL = "PATROL,Patrol,member,3,grid,day,1,,,,,test\n"


SAID = """\
walk,duty.recorded,member;sponsor,,place,,,
walk-chief,duty.recorded,chief,3,place,,,
excuse,duty.excused,chief,2,place,,,
"""
TEXTS = {**TINY, "roles.csv": TINY["roles.csv"] + SAID}


def findings(row: str, header: str = HEADER) -> list[str]:
    """The findings on the small pack with a patrol and one more row of duties."""
    compiled = compile_rows({**TEXTS, "duties.csv": header + PATROL + row})
    if compiled.pack is None:
        return told(compiled.problems)
    return told([*compiled.problems, *lint(compiled.pack, 0, compiled.rows)])


def small(row: str = "") -> Policy:
    pack, problems = compile_pack({**TEXTS, "duties.csv": HEADER + PATROL + row})
    assert pack is not None, problems
    return Policy(pack, model.digest(pack))


# ---- who owes what ----------------------------------------------------------------------------------------


@pytest.mark.mechanism("M44", "M45", "M47")
def test_every_leaf_is_patrolled_daily_and_leaders_make_their_rounds():
    """M13, M44-M47: 105 leaves, 12 sponsored street offices and committees, 105 sponsored leaves."""
    policy = shipped()
    assert owed_by_period(LintContext(policy.pack)) == {"day": 105, "week": 210, "half_month": 12, "month": 12}
    inspection = policy.duties["INSPECT-STREET"]
    assert (inspection.quota, inspection.distinct, inspection.period) == (2, "day", "month")
    assert (inspection.needs, inspection.reports_to) == (("photo", "form"), ("office",))
    assert policy.duties["CONTACT-LEAF"].object == "chief"


def test_a_home_knows_what_its_own_posts_owe():
    owed = [(duty.code, post) for duty, post in shipped().duties_of("WY01")]
    assert ("PATROL", "WY01-01-MEMBER") in owed
    assert ("INSPECT-STREET", "WY01-SPONSOR") in owed
    assert {post.split("-")[0] for _, post in owed} == {"WY01"}
    homes = {grid.code for grid in shipped().pack.grids if grid.level == 3}
    assert sum(len(shipped().duties_of(home)) for home in homes) == 105 + 210 + 12 + 12
    assert shipped().duties_of("WY") == ()


# what the texts ask for at intervals -> a row of duties.csv, the first day of a period of it, a day within that
ROUNDS = {
    "a county leader leads an inspection each month": ("R,督导,chief,2,,month,1,,,,,M81", 20260301, 20260302),
    "a yearly debrief": ("R,述职,chief,3,,year,1,,,,,M95", 20260101, 20260201),
    "hard cases are reviewed each quarter": ("R,难点,chief,2,,quarter,1,,,,,M129", 20260401, 20260501),
    "training twice a year": ("R,培训,chief,2,,half,1,,,,,M131", 20260701, 20260801),
    "reception of the public each half-month": ("R,接访,chief,2,,half_month,1,,,,,M135", 20260316, 20260317),
    "a weekly check": ("R,督查,chief,3,,week,1,,,,,M114", 20260302, 20260303),
}


@pytest.mark.mechanism("M81", "M95", "M114", "M129", "M131", "M135")
@pytest.mark.parametrize(("row", "begins", "later"), ROUNDS.values(), ids=ROUNDS)
def test_what_the_texts_ask_for_at_intervals_is_a_row(row, begins, later):
    """M81, M95, M114, M129, M131, M135: such a row is owed once for each of its periods, by the chiefs of its level."""
    assert [line for line in findings(row + "\n") if line.startswith("error")] == []
    policy = small(row + "\n")
    duty = policy.duties["R"]
    owing = [post for home in policy.grids for each, post in policy.duties_of(home) if each.code == "R"]
    assert owing and {policy.grids[policy.posts[post].grid].level for post in owing} == set(duty.levels)
    post = policy.posts[owing[0]]
    assert is_owed(duty, post, begins, policy)
    assert period_bounds(later, duty.period) == period_bounds(begins, duty.period)
    assert period_bounds(begins, duty.period)[0] == begins


def test_vacant_posts_and_systems_owe_nothing():
    posts = [replace(post, vacant=post.code == "WY01-01-MEMBER") for post in shipped().pack.posts]
    assert ("PATROL", "WY01-01-MEMBER") not in [
        (d.code, p) for d, p in changed(shipped(), posts=tuple(posts)).duties_of("WY01")
    ]
    posts = [replace(post, machine=post.code == "WY01-01-MEMBER") for post in shipped().pack.posts]
    owed = changed(shipped(), posts=tuple(posts)).duties_of("WY01")
    assert ("PATROL", "WY01-01-MEMBER") not in [(duty.code, post) for duty, post in owed]
    everybody = [
        replace(shipped().duties["PATROL"], code=role, role=role, levels=()) for role in ("intake", "inspection")
    ]
    assert changed(shipped(), duties=tuple(everybody)).duties_of(shipped().root) == ()


@pytest.mark.parametrize(
    ("first", "owed"),
    [(20260302, True), (20260316, True), (20260309, True), (20260323, False), (20260223, False)],
)
def test_a_duty_is_owed_for_whole_periods_by_who_stands_when_they_begin(first, owed):
    """A post from the 1st to the 16th of March: not the week before it came, and not the one after it has gone."""
    policy = changed(
        shipped(),
        posts=tuple(
            replace(post, valid_from=20260301, valid_to=20260316) if post.code == "WY01-01-SPONSOR" else post
            for post in shipped().pack.posts
        ),
    )
    assert is_owed(policy.duties["VISIT-LEAF"], policy.posts["WY01-01-SPONSOR"], first, policy) is owed


def test_a_grid_that_has_ended_is_patrolled_no_more():
    grids = tuple(replace(g, valid_to=20260310 if g.code == "WY01-01" else 0) for g in shipped().pack.grids)
    policy = changed(shipped(), grids=grids)
    post = policy.posts["WY01-01-MEMBER"]
    assert is_owed(policy.duties["PATROL"], post, 20260310, policy)
    assert not is_owed(policy.duties["PATROL"], post, 20260311, policy)


@pytest.mark.parametrize(
    ("day", "worked"),
    [(20260213, True), (20260214, True), (20260216, False), (20260301, False), (20260302, True)],
)
def test_every_day_means_every_day_unless_a_calendar_is_named(day, worked):
    """Saturday the 14th of February 2026 is worked (调休), the 16th is Spring Festival."""
    policy, patrol = shipped(), shipped().duties["PATROL"]
    post = policy.posts["WY01-01-MEMBER"]
    assert is_owed(patrol, post, day, policy)
    assert is_owed(replace(patrol, calendar="office"), post, day, policy) is worked


def test_a_week_of_holidays_owes_nothing_by_the_office_calendar():
    policy = shipped()
    weekly = replace(policy.duties["VISIT-LEAF"], calendar="office")
    post = policy.posts["WY01-01-SPONSOR"]
    assert [is_owed(weekly, post, first, policy) for first in (20260209, 20260216, 20260223)] == [True, False, True]


def test_a_pack_without_duties_is_the_same_pack_as_before():
    assert b'"duties"' not in model.encode(load_pack("boston311"))
    with_one = model.encode(small().pack)
    assert model.decode(with_one).duties[0].code == "PATROL"


# ---- what the linter says ---------------------------------------------------------------------------------


def test_a_small_pack_with_a_patrol_has_nothing_to_find():
    assert findings("") == []


# the row -> how the finding begins, and a word of its remedy
FINDINGS = {
    "a role that there is not": (
        "R,,warden,3,,day,1,,,,,test\n",
        "error duties.csv:3 role: 'R': 'warden' is no role",
        "member",
    ),
    "a system that should walk": (
        "R,,intake,1,,day,1,,,,,test\n",
        "error duties.csv:3 role: 'R': 'intake' can owe nothing",
        "member",
    ),
    "a level that there is not": (
        "R,,chief,3;7,,day,1,,,,,test\n",
        "error duties.csv:3 levels: 'R': 7 is no level of pack.toml",
        "1, 2, 3",
    ),
    "a period that there is not": (
        "R,,chief,3,,fortnight,1,,,,,test\n",
        "error duties.csv:3 period: 'R': 'fortnight' is unknown",
        "half_month",
    ),
    "something to bring that is unknown": (
        "R,,chief,3,,day,1,,selfie,,,test\n",
        "error duties.csv:3 needs: 'R': 'selfie' is unknown",
        "photo",
    ),
    "somebody to report to that is unknown": (
        "R,,chief,3,,day,1,,,boss,,test\n",
        "error duties.csv:3 reports_to: 'R': 'boss' is unknown",
        "office",
    ),
    "a calendar that there is not": (
        "R,,chief,3,,day,1,,,,moon,test\n",
        "error duties.csv:3 calendar: 'R': 'moon' is no calendar of pack.toml",
        "harbour, seven",
    ),
    "a quota of nothing": (
        "R,,chief,3,,day,0,,,,,test\n",
        "error duties.csv:3 quota: 'R' asks for 0 records",
        "1 or more",
    ),
    "more days than a period has": (
        "R,,chief,3,,half_month,14,day,,,,test\n",
        "error duties.csv:3 quota: 'R' asks for 14 days, a half_month may have 13",
        "at most 13",
    ),
    "two places in a leaf": (
        "R,,chief,3,,day,2,place,,,,test\n",
        "error duties.csv:3 distinct: 'R' asks for 2 places, a leaf grid is one",
        "write day",
    ),
    "a duty that nobody owes": (
        "R,,sponsor,3,,day,1,,,,,test\n",
        "warning duties.csv:3 role: 'R': no post owes it",
        "posts.csv",
    ),
    "a duty that is owed and may not be recorded": (
        "R,,chief,2,,day,1,,,,,test\n",
        "warning duties.csv:3 role: 'R': chiefs of level 2 owe it and may not record it",
        "duty.recorded",
    ),
    "a duty from nowhere": (
        "R,,chief,3,,day,1,,,,,\n",
        "warning duties.csv:3 basis: does not say where the duty comes from",
        "our proposal",
    ),
    "a code that stands twice": (
        "PATROL,,chief,3,,day,1,,,,,test\n",
        "error duties.csv:3 code: 'PATROL' stands in row 2 already",
        "its own code",
    ),
    "an object that is unknown": (
        "R,,chief,3,car,day,1,,,,,test\n",
        "error duties.csv:3 object: 'car' is unknown",
        "chief",
    ),
}


@pytest.mark.parametrize(("row", "begins", "remedy"), FINDINGS.values(), ids=FINDINGS)
def test_a_duty_that_cannot_work_is_named_with_its_remedy(row, begins, remedy):
    (finding,) = findings(row)
    assert finding.startswith(begins)
    assert remedy in finding


def test_a_leaf_without_anybody_who_owes_is_named():
    posts = TEXTS["posts.csv"].replace("N1-MEMBER,Block patrol,member", "N1-MEMBER,Block patrol,supervisor")
    compiled = compile_rows({**TEXTS, "posts.csv": posts, "duties.csv": HEADER + PATROL})
    assert compiled.pack is not None
    found = [text for text in told(lint(compiled.pack, 0, compiled.rows)) if "duties.csv" in text]
    assert found == [
        "warning duties.csv levels: in 1 of 4 leaf grids (N1) no post owes a duty — "
        "fill their posts, or add a duty of their level (定职责)"
    ]


@pytest.mark.parametrize(
    ("allowance", "grace", "fits"), [("72 hours", 3, False), ("72 hours", 4, True), ("71 hours", 3, True)]
)
def test_figures_are_published_after_the_last_phone_may_have_told_of_its_patrol(allowance, grace, fits):
    toml = TEXTS["pack.toml"].replace('"12 hours"', f'"{allowance}"').replace("min_n", f"grace_days = {grace}\nmin_n")
    compiled = compile_rows({**TEXTS, "pack.toml": toml, "duties.csv": HEADER + PATROL})
    assert compiled.pack is not None
    found = [text for text in told(lint(compiled.pack, 0, compiled.rows)) if "grace_days" in text]
    assert [text.partition(" — ")[2] for text in found] == (
        [] if fits else ["write grace_days = 4, or shorten offline_allowance"]
    )

"""Reports as part of a campaign of the pack: what counts there, what is told where it does not, and what is refused."""

from __future__ import annotations

from typing import Any

import pytest

from engine.packs import load_pack
from engine.views.names import Names
from gridpatrol.render.story import story
from schemas import facts
from schemas.refusals import Reason
from tests.support.builders import BARE, DUST, LEAF, MEMBER, Story, at, changed, in_the_field, weiyang
from tests.support.histories import Teller, step_row
from tests.unit.test_pack_lint import TEXTS, told
from workflows.policy.compile import compile_rows
from workflows.policy.lint import lint
from workflows.policy.model import CampaignRow, encode

GROUP = weiyang().categories[DUST].group
RULES = changed(
    roles=in_the_field(),
    campaigns=(
        CampaignRow("dust", "扬尘专项行动", "Dust", valid_from=20260301, valid_to=20260331),
        CampaignRow("here", "三河三行业", "Three rivers", grids=("WY01",), categories=(GROUP,)),
        CampaignRow("there", "邻街行动", "Next door", grids=("WY02",)),
        CampaignRow("other", "其他类别", "Other categories", categories=("D2-02",)),
        CampaignRow("over", "1031", "1031", valid_to=20260228),
        CampaignRow("soon", "263", "263", valid_from=20260401),
    ),
)


@pytest.mark.mechanism("M100")
@pytest.mark.parametrize(
    ("code", "remark"),
    [
        ("dust", ""),
        ("here", ""),
        ("there", "outside_grids"),
        ("other", "outside_categories"),
        ("over", "outside_days"),
        ("soon", "outside_days"),
    ],
)
def test_a_report_counts_where_day_category_and_grid_are_of_the_campaign_and_is_taken_elsewhere(
    code: str, remark: str
) -> None:
    life = Story(RULES).found(campaign=code)
    assert life.one(facts.CampaignNamed) == facts.CampaignNamed(campaign=code, remark=remark)
    assert life.case.campaign == ("" if remark else code) and life.case.opened


def test_the_day_is_that_on_which_it_was_found_as_far_as_the_sender_is_believed() -> None:
    """An offline phone sends in April what was found on the last day of March."""
    for occurred, campaign in ((at("03-31 20:00"), "dust"), (at("04-01 07:00"), "")):
        life = Story(RULES)
        what: dict[str, Any] = {"category": DUST, "source": "patrol", "grid": LEAF, "campaign": "dust"}
        life.say("report.submitted", MEMBER, at("04-01 08:00"), occurred=occurred, **what)
        assert (life.case.opened > 0, life.case.campaign) == (True, campaign)


def test_a_code_that_the_pack_does_not_have_is_refused_and_not_quoted() -> None:
    refusal = Story(RULES).refused(
        Reason.UNKNOWN_CODE, "report.submitted", MEMBER, category=BARE, source="patrol", grid=LEAF, campaign="drea"
    )
    assert refusal.field == "data.campaign" and "drea" not in refusal.detail


def test_its_story_names_the_campaign_and_says_why_it_does_not_count_there() -> None:
    teller = Teller(1, RULES)
    assert teller.say("report.submitted", MEMBER, category=DUST, source="patrol", grid=LEAF, campaign="over")
    line = next(iter(story([step_row(step) for step in teller.steps], Names(RULES))))
    assert "专项行动 campaign 1031 (不计入 not counted there: 不在行动期间 on another day)" in line


def test_a_pack_without_campaigns_is_as_it_was() -> None:
    assert b"campaigns" not in encode(load_pack("boston311")), "hashes are what they were"


@pytest.mark.parametrize(
    ("row", "begins"),
    [
        ("a,扬尘,Dust,2026-03-01,2026-04-01,waste;smoke,N,ours", ""),
        ("a,扬尘,,2026-04-01,2026-03-01,,,ours", "error campaigns.csv:2 until: 'a' ends before it begins"),
        ("a,扬尘,,,,nothing,,ours", "error campaigns.csv:2 categories: 'a': 'nothing' is no category"),
        ("a,扬尘,,,,,NOWHERE,ours", "error campaigns.csv:2 grids: 'a': there is no grid 'NOWHERE'"),
        ("a,扬尘,,,,,,", "warning campaigns.csv:2 basis: does not say"),
        ("a,扬尘,,,,,,ours\na,扬尘,,,,,,ours", "error campaigns.csv:3 code"),
    ],
)
def test_a_row_that_cannot_be_meant_is_named(row: str, begins: str) -> None:
    header = "code,title_zh,title_en,from,until,categories,grids,basis\n"
    compiled = compile_rows({**TEXTS, "campaigns.csv": f"{header}{row}\n"})
    more = lint(compiled.pack, 0, compiled.rows) if compiled.pack is not None else []
    found = told([*compiled.problems, *more])
    assert [line for line in found if line.startswith(begins)] if begins else found == [], found

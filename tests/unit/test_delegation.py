"""Delegated powers (放权): which level has authority over a problem, by grid, kind of grid and day; trees of three to
five levels; a development zone in the same tree.

In: packs with an authority.csv. Out: owners, findings, refusals.
"""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from tests.support.builders import DUST, LEAF, METRO, STREET, Story, at, changed, weiyang
from tests.unit.test_pack_lint import TEXTS, told
from workflows.policy.compile import compile_pack, compile_rows
from workflows.policy.index import Policy
from workflows.policy.lint import lint
from workflows.policy.model import Grid, Level, encode
from workflows.policy.registers import AuthorityRow
from workflows.routing import authority

HEADER = "level,category,group,grid,kind,valid_from,valid_to,basis\n"


def owner_of(
    *rows: AuthorityRow, category: str = METRO, when: str = "03-02 10:00", policy: Policy | None = None
) -> str:
    """The grid that gets a problem of a leaf which the hotline tells."""
    story = Story(changed(policy, authority_rows=rows))
    return story.reported(category, at(when)).case.owner.grid


@pytest.mark.mechanism("M67")
def test_powers_that_are_delegated_to_towns_are_the_towns_from_that_day_on():
    """M67: 行政权力明确授权乡镇."""
    assert owner_of() == "WY"
    town = AuthorityRow(3, category=METRO, valid_from=20260303, basis="放权")
    assert owner_of(town) == "WY"
    assert owner_of(town, when="03-03 10:00") == "WY01"
    assert owner_of(replace(town, valid_from=0, valid_to=20260302)) == "WY01"
    assert owner_of(replace(town, valid_from=0, valid_to=20260301)) == "WY"
    assert owner_of(town, category="D2-03", when="03-03 10:00") == "WY"


def test_a_case_keeps_the_authority_of_the_day_on_which_it_was_reported():
    town = AuthorityRow(3, category=METRO, valid_from=20260303)
    story = Story(changed(authority_rows=(town,))).reported(METRO, at("03-02 10:00"))
    story.done("incident.accepted", "WY-CHIEF", at("03-04 10:00"))
    assert authority(story.case, story.rules) == 2


@pytest.mark.parametrize(
    ("rows", "level"),
    [
        ([AuthorityRow(3, group="dust")], 3),
        ([AuthorityRow(3, group="water")], 2),
        ([AuthorityRow(3, grid="WY01")], 3),
        ([AuthorityRow(3, grid="WY02")], 2),
        ([AuthorityRow(3, kind="street_office")], 3),
        ([AuthorityRow(3, kind="committee")], 2),
        ([AuthorityRow(3, grid="WY01", kind="committee")], 2),
        ([AuthorityRow(1, group="dust"), AuthorityRow(3, category=METRO)], 3),
        ([AuthorityRow(3, category=METRO), AuthorityRow(1, group="dust", grid="WY01")], 3),
        ([AuthorityRow(1), AuthorityRow(3, group="dust")], 3),
        ([AuthorityRow(1, grid="WY"), AuthorityRow(3, grid="WY01")], 3),
        ([AuthorityRow(3, grid="WY01"), AuthorityRow(1, kind="district")], 3),
        ([AuthorityRow(1), AuthorityRow(3, kind="district")], 3),
    ],
)
def test_of_several_rows_the_most_specific_one_counts(rows: list[AuthorityRow], level: int):
    case = Story().reported(METRO).case
    for order in (rows, rows[::-1]):
        assert authority(case, changed(authority_rows=tuple(order))) == level


@pytest.mark.mechanism("M9")
def test_a_development_zone_stands_in_the_same_tree_with_powers_of_its_own():
    """M9: a zone is a grid of level 2 beside the districts; its area bodies are of level 3."""
    known = weiyang().pack
    zone = (
        Grid("KF", "高新开发区", 2, "XA", "development_zone"),
        Grid("KF01", "一片区环保机构", 3, "KF", "area_body"),
        Grid("KF01-01", "示范企业", 4, "KF01", "enterprise"),
    )
    posts = [replace(known.posts[0], code=f"{g.code}-CHIEF", grid=g.code, role="chief") for g in zone]
    policy = changed(grids=(*known.grids, *zone), posts=(*known.posts, *posts), polygons="none")
    row = AuthorityRow(2, category=DUST, kind="development_zone", basis="ours")
    for rows, owner in (((), "KF01"), ((row,), "KF")):
        story = Story(changed(policy, authority_rows=rows), home="KF01")
        story.done("report.submitted", "WY-12345", at("03-02 10:00"), category=DUST, source="hotline", grid="KF01-01")
        assert story.case.owner.grid == owner
        story.done("incident.accepted", f"{owner}-CHIEF")
    assert owner_of(row, category=DUST, policy=policy) == "WY01"


@pytest.mark.mechanism("M68")
@pytest.mark.parametrize("depth", [3, 4, 5])
def test_a_tree_has_three_to_five_levels(depth: int):
    """M68: 乡镇—村（社区）—村（居）民小组, and on to 院落（楼栋）."""
    known = weiyang().pack
    levels = [Level(n, f"第{n}级", f"level {n}") for n in range(1, depth + 1)]
    codes = ["XA", "XA2", "XA2-3", "XA2-3-4", "XA2-3-4-5"][:depth]
    grids = [Grid(code, code, n, codes[n - 2] if n > 1 else "") for n, code in enumerate(codes, 1)]
    chief = next(post for post in known.posts if post.role == "chief")
    posts = [replace(chief, code=f"{code}-CHIEF", grid=code) for code in codes]
    posts += [replace(chief, code="HOTLINE", grid="XA", role="intake")]
    roles = [replace(row, levels=()) for row in known.roles]
    categories = [replace(c, level=min(c.level, depth), department="") for c in known.categories]
    policy = changed(
        levels=tuple(levels),
        grids=tuple(grids),
        posts=tuple(posts),
        roles=tuple(roles),
        departments=(),
        categories=tuple(categories),
        polygons="none",
        options={"partition_level": 2, "default_level": 2, "rework_level": 2},
    )
    for level in range(1, depth + 1):
        rows = (AuthorityRow(level, category=DUST),)
        story = Story(changed(policy, authority_rows=rows), home="XA2")
        story.done("report.submitted", "HOTLINE", at("03-02 10:00"), category=DUST, source="hotline", grid=codes[-1])
        assert story.case.owner.grid == codes[level - 1]
        story.done("incident.accepted", f"{codes[level - 1]}-CHIEF")
        story.done("handling.completed", f"{codes[level - 1]}-CHIEF")
        assert story.case.checks == (tuple(range(level + 1, depth + 1)) or (depth,))


def findings(row: str) -> list[str]:
    """What is found on the small pack with one row, and another."""
    files = {**TEXTS, "authority.csv": HEADER + "3,litter,,,,,,ours\n" + row}
    compiled = compile_rows(files)
    more = lint(compiled.pack, 0, compiled.rows) if compiled.pack is not None else []
    return told([*compiled.problems, *more])


@pytest.mark.parametrize(
    ("row", "finding"),
    [
        ("9,,waste,,,,,ours\n", "error authority.csv:3 level: 9 is no level"),
        ("2,gas,,,,,,ours\n", "error authority.csv:3 category: 'gas' is no category"),
        ("2,,gas,,,,,ours\n", "error authority.csv:3 group: 'gas' is no group"),
        ("2,,,Z,,,,ours\n", "error authority.csv:3 grid: 'Z' is no grid"),
        ("2,,,,zone,,,ours\n", "error authority.csv:3 kind: 'zone' is the kind of no grid"),
        ("2,litter,waste,,,,,ours\n", "error authority.csv:3 group: 'litter' lies in one group anyhow"),
        ("2,,waste,,,,,\n", "warning authority.csv:3 basis: does not say where the power comes from"),
        ("2,litter,,,,2026-01-01,,ours\n", "error authority.csv:3 valid_from: selects the same as row 2"),
        ("2,,waste,,,2026-02-01,2026-01-01,ours\n", "error authority.csv:3 valid_to: 20260101 lies before"),
        ("two,,waste,,,,,ours\n", "error authority.csv:3 level: 'two' is not a whole number"),
    ],
)
def test_what_is_wrong_with_a_row_is_named(row: str, finding: str):
    assert findings(row)[0].startswith(finding)


def test_rows_that_follow_each_other_are_fine_and_packs_without_any_keep_their_bytes():
    assert findings("2,,waste,,,,,ours\n") == []
    pack, _ = compile_pack(TEXTS)
    assert pack is not None and b'"authority_rows"' not in encode(pack)
    assert LEAF in weiyang().grids and STREET in weiyang().posts

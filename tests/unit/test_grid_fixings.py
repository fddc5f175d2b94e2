"""The six fixings of one grid (六定, M11), and the page that an office prints of it.

In: the sample pack, whole and with holes. Out: what is fixed, what is missing, one file of HTML.
"""

from __future__ import annotations

from html.parser import HTMLParser
from pathlib import Path

import pytest
from click.testing import CliRunner
from msgspec.structs import replace

from gridpatrol.cli import main
from gridpatrol.render.fixings import fixings_page
from tests.support.builders import LEAF, MEMBER, at, changed, shipped
from workflows.grid_fixings import fixings_of
from workflows.policy.index import Policy

NOW = at("03-02 09:00")
SIX = ["定区域", "定人员", "定职责", "定标准", "定流程", "定考核"]


class Pages(HTMLParser):
    """Counts the pages, and keeps what would be loaded or run, and tags that are left open."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.sections, self.loads, self.open = 0, list[str](), list[str]()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.sections += tag == "section"
        self.loads += [tag] if tag in ("script", "link", "img", "iframe") else []
        self.open += [] if tag in ("meta", "br") else [tag]

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def lacks(register: Policy, grid: str) -> dict[str, tuple[str, ...]]:
    """What a grid lacks, by fixing, in Chinese."""
    return {each.zh: tuple(zh for zh, _ in each.lacks) for each in fixings_of(register, grid, NOW) if each.lacks}


@pytest.mark.mechanism("M11")
def test_a_leaf_of_the_sample_lacks_nothing_that_its_pack_gives():
    six = fixings_of(shipped(), LEAF, NOW)
    assert [each.zh for each in six] == SIX and all(each.has for each in six[:5])
    assert {zh: why for zh, why in lacks(shipped(), LEAF).items() if zh != "定考核"} == {}
    people = next(each for each in six if each.zh == "定人员")
    assert [en.split()[0] for _, en in people.has] == ["WY01-01-CHIEF", MEMBER, "WY01-01-SPONSOR"]
    duty = next(each for each in six if each.zh == "定职责")
    assert any("日常巡查" in zh and "每日 1 次" in zh for zh, _ in duty.has)
    process = next(each for each in six if each.zh == "定流程")
    assert any(en.startswith("incident.accepted: ") for _, en in process.has)


def test_a_street_office_shows_what_its_bodies_answer_for_and_by_which_cards_it_is_assessed():
    six = {each.zh: each for each in fixings_of(shipped(), "WY01", NOW)}
    assert any("牵头" in zh and "五到位" in zh for zh, _ in six["定职责"].has)
    assert any("配合" in zh for zh, _ in six["定职责"].has)
    assert any("专职" in zh for zh, _ in six["定人员"].has)
    assert any("TOWN-QUARTER" in zh for zh, _ in six["定考核"].has)


def test_what_is_missing_stands_beside_what_is_there():
    posts = tuple(replace(p, vacant=True) if p.code == MEMBER else p for p in shipped().pack.posts)
    grids = tuple(replace(g, polygon=()) if g.code == LEAF else g for g in shipped().pack.grids)
    limits = tuple(row for row in shipped().pack.limits if row.clock != "total")
    bare = changed(shipped(), posts=posts, grids=grids, limits=limits, duties=(), scorecards=())
    missing = lacks(bare, LEAF)
    assert missing["定区域"] == ("边界未划定",) and missing["定人员"] == ("缺网格员",)
    assert missing["定职责"] == ("没有履职，也没有责任",) and missing["定考核"] == ("没有考核本级的细则",)
    assert any("没有全程时限" in zh for zh in lacks(bare, "WY01")["定标准"])
    nobody = (replace(r, levels=(9,)) if r.trigger == "incident.closed" else r for r in shipped().pack.roles)
    assert lacks(changed(shipped(), roles=tuple(nobody)), LEAF)["定流程"] == ("结案无人可办",)


def test_the_file_has_a_page_for_each_grid_loads_nothing_and_takes_no_markup_from_names():
    named = tuple(replace(g, name="<b>一区</b>") if g.code == LEAF else g for g in shipped().pack.grids)
    text = fixings_page(changed(shipped(), grids=named), [LEAF, "WY01"], NOW)
    pages = Pages(text)
    assert (pages.sections, pages.loads, pages.open) == (2, [], [])
    assert "<b>" not in text and "&lt;b&gt;一区" in text and "size: A4" in text
    assert all(text.count(f"<th>{zh}") == 2 for zh in SIX)


def test_the_command_writes_the_pages_of_all_grids_or_of_those_that_are_named(tmp_path: Path):
    file = tmp_path / "six.html"
    asked = ["pack", "check", "weiyang", "--report", str(file)]
    assert CliRunner().invoke(main, [*asked, "--grid", LEAF]).exit_code == 0
    assert Pages(file.read_text(encoding="utf-8")).sections == 1
    wrong = CliRunner().invoke(main, [*asked, "--grid", "NOWHERE"])
    assert wrong.exit_code == 2 and "grids.csv" in wrong.output
    without = CliRunner().invoke(main, ["pack", "check", "weiyang", "--grid", LEAF])
    assert without.exit_code == 2 and "--report" in without.output

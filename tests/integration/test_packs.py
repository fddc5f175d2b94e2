"""Packs as they lie on disk: the shipped ones are sound, and a folder saved badly is answered with a remedy.

In: the folders under workflows/packs, and copies of the tests' small pack. Out: packs, problems, counts.
"""

from __future__ import annotations

import csv
import gzip
import re
import shutil
from collections import Counter
from datetime import datetime
from math import inf
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from engine.packs import PackError, check_folder, folder_of, load_folder, load_pack, read_folder, shipped
from gridpatrol.importers.boston311 import SHIPPED, category_code
from workflows.clocks.limits import Kind
from workflows.policy.compile import TABLES
from workflows.policy.index import Policy
from workflows.policy.lint.context import LintContext
from workflows.policy.lint.fixings import fixings
from workflows.policy.model import Pack, digest
from workflows.policy.settings import AuthoritySettings, CalendarSettings, LevelSettings, OptionSettings, Settings

TINY = Path(__file__).parents[1] / "packs" / "tiny"
README = (folder_of("weiyang").parent / "README.md").read_text(encoding="utf-8")


def checked(name: str, day: int = 0) -> tuple[Pack, list[str]]:
    pack, problems = check_folder(name, day)
    assert pack is not None, [str(problem) for problem in problems]
    return pack, [f"{problem.severity} {problem}" for problem in problems]


def per_level(pack: Pack) -> list[int]:
    counts = Counter(grid.level for grid in pack.grids)
    return [counts[level.level] for level in pack.levels]


@pytest.mark.parametrize("name", ["boston311", "weiyang"])
def test_a_shipped_pack_compiles_without_an_error_and_always_to_the_same_hash(name):
    pack, told = checked(name)
    assert [line for line in told if line.startswith("error")] == []
    assert digest(pack) == digest(load_pack(name))
    Policy(pack, digest(pack))


def test_exactly_these_packs_are_shipped():
    assert sorted(shipped()) == ["boston311", "weiyang"]


@pytest.mark.mechanism("M1", "M2")
def test_weiyang_has_1_city_1_district_12_street_offices_and_105_communities():
    pack, told = checked("weiyang")
    assert told == []
    assert per_level(pack) == [1, 1, 12, 105]
    below = Counter(grid.parent for grid in pack.grids if grid.level == 4)
    assert Counter(below.values()) == {9: 9, 8: 3}
    assert [grid.name for grid in pack.grids if grid.kind == "committee"] == ["大兴管委会", "北客站管委会"]
    assert "合成" in pack.notice


def test_weiyang_says_that_next_years_table_is_due():
    _, told = checked("weiyang", 20261122)
    assert len(told) == 1
    assert "its horizon 2026-12-31 ends in 39 days" in told[0]


PLAN = (
    "督促解决城市污水处理厂和污水处理管网建设进展缓慢等问题",
    "(1)市政工地、地铁工地、水务工程、料场无序、渣土清运、道路清扫、道路破损等扬尘污染问题;(2)餐饮油烟、机动车冒黑烟等低空面源污染"
    "问题;(3)煤质超标、烟气污染物超标等燃煤污染问题;(4)工业企业违规建设、超标排污问题;(5)水源地乱设排污口问题;(6)沿河镇(街道办事处)"
    "污水处理厂建设进展缓慢等45项问题",
    "(1)建筑工地、绿化工地、拆迁工地、裸露场地、乱堆物料、垃圾倾倒等扬尘污染问题;(2)露天烧烤、秸秆焚烧、鞭炮燃放等面源污染问题;"
    "(3)废弃黄标车清理;(4)煤炭堆场覆盖不到位、冒黑烟等燃煤污染问题;(5)污处设施运行,环境风险企业、畜禽养殖企业监管,十五小、新五小"
    "非法企业关闭取缔等问题;(6)水源地倾倒垃圾、污泥等56项问题",
)
"""What the plan says of the problems of levels 1, 2 and 3, word by word (section five, one to three)."""
DUTY = "对工地扬尘、焚烧垃圾、树叶、秸秆、冒黑烟等行为应进行告知劝阻"
"""What it says of level 4, word by word (section five, four): two of them stand in no other list."""


@pytest.mark.mechanism("M20", "M21")
def test_weiyang_names_15_of_45_and_20_of_56_problems_in_the_words_of_the_plan_and_invents_none():
    pack = load_pack("weiyang")
    assert [(a.level, a.declared, a.named) for a in pack.authority] == [(2, 45, 15), (3, 56, 20)]
    named = [category for category in pack.categories if not category.unnamed]
    assert Counter(category.level for category in named) == {1: 1, 2: 15, 3: 20}
    assert [c.name_zh for c in named if c.source not in PLAN[c.level - 1]] == ["焚烧垃圾", "焚烧树叶"]
    assert all(category.source in PLAN[category.level - 1] + DUTY for category in pack.categories)


def test_every_problem_that_weiyang_counts_and_does_not_name_can_be_reported():
    """One row for each level and group, and one for what fits no group; the codes of the rest of a group end in 99."""
    pack = load_pack("weiyang")
    rows = [category for category in pack.categories if category.unnamed]
    assert [category.code for category in rows] == [c.code for c in pack.categories if c.code.endswith("-99")]
    assert all(c.name_zh.startswith("其他") and c.source in ("等问题", "等45项问题", "等56项问题") for c in rows)
    named = {(category.level, category.group) for category in pack.categories if not category.unnamed}
    slots = [(category.level, category.group) for category in rows]
    assert len(set(slots)) == len(slots) == 14
    assert set(slots) == named | {(2, "other"), (3, "other")}
    assert {"D2-DUST-99": "其他扬尘", "D3-DUST-99": "其他扬尘"}.items() <= {c.code: c.name_zh for c in rows}.items()


def test_weiyang_dissuades_first_whatever_a_leaf_finds():
    """发现环境问题及时劝阻 (section six, four): the duties of level 4 name five behaviours and end in 等."""
    assert all(category.dissuade for category in load_pack("weiyang").categories)


def test_every_limit_of_weiyang_is_called_our_proposal_and_those_of_approvals_say_what_is_ours():
    limits = load_pack("weiyang").limits
    assert {row.basis for row in limits if row.definition != "approval"} == {"our proposal"}
    said = [row.basis for row in limits if row.definition == "approval"]
    assert said and all(basis.endswith("is ours") for basis in said)


def test_in_weiyang_the_whole_takes_longer_than_its_parts_and_no_warning_comes_before_its_clock():
    pack = load_pack("weiyang")
    policy = Policy(pack, "")
    hours = {Kind.urgent_hour: 1, Kind.working_hour: 1, Kind.working_day: 8, Kind.calendar_day: 24}

    def length(limit) -> float:
        return limit.milli / 1000 * hours[limit.kind]

    for category in pack.categories:
        known = {
            clock: policy.limit(clock, category.level, category.code, category.group, 20260301)
            for clock in ("accept", "handle", "rectify", "verify", "close", "total")
        }
        lengths = {clock: length(row.limit) for clock, row in known.items() if row}
        assert len(lengths) == 6, category.code
        parts = sum(lengths[clock] for clock in ("accept", "handle", "verify", "close"))
        assert parts <= lengths["total"], category.code
        assert lengths["rectify"] <= lengths["total"], category.code
    for rung in pack.rungs:
        if rung.offset == "before" and rung.limit:
            # A task's own day is no limit of the pack.
            shortest = min((length(row.limit) for row in pack.limits if row.clock == rung.clock), default=inf)
            assert length(rung.limit) < shortest, rung


@pytest.mark.mechanism("M6", "M7", "M43")
def test_every_leaf_of_weiyang_has_one_chief_one_member_and_a_sponsor():
    pack = load_pack("weiyang")
    roles: dict[str, Counter[str]] = {grid.code: Counter() for grid in pack.grids}
    for post in pack.posts:
        roles[post.grid][post.role] += 1
    leaves = [roles[grid.code] for grid in pack.grids if grid.level == 4]
    assert all(leaf == {"chief": 1, "member": 1, "sponsor": 1} for leaf in leaves)
    offices = [roles[grid.code] for grid in pack.grids if grid.level == 3]
    assert all(office == {"chief": 1, "member": 3, "sponsor": 1, "secretary": 1} for office in offices)


@pytest.mark.mechanism("M11")
def test_the_six_fixings_of_weiyang_are_whole_and_boston_says_what_its_record_does_not_show():
    """定区域、定人员、定职责、定标准、定流程 (M11)."""
    counted = [
        [(f.zh, f.asked - f.lacking, f.asked) for f in fixings(LintContext(load_pack(name)))]
        for name in ("weiyang", "boston311")
    ]
    kinds = ("定区域", "定人员", "定职责", "定标准", "定流程")
    assert counted[0] == [(kind, n, n) for kind, n in zip(kinds, (105, 105, 422, 50, 105), strict=True)]
    kept = (253, 0, 15, 77, 253)
    assert counted[1] == list(zip(kinds, kept, (253, 253, 15, 137, 253), strict=True))


def test_boston_has_1_city_9_districts_41_wards_and_253_precincts():
    pack, told = checked("boston311")
    assert per_level(pack) == [1, 9, 41, 253]
    assert len(pack.departments) == 14
    assert len(pack.categories) == 137
    assert len({category.group for category in pack.categories}) == 43
    assert len(pack.limits) == 77
    assert [line.split(":")[0] for line in told] == [
        "warning grids.csv",
        "warning grids.csv",
        "warning limits.csv category",
        "warning roles.csv trigger",
        "warning pack.toml levels.posts",
    ]


def test_boston_knows_every_type_department_and_precinct_of_the_record():
    pack = load_pack("boston311")
    with gzip.open(SHIPPED, "rt", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert {category_code(row["type"]) for row in rows} == {category.code for category in pack.categories}
    assert {row["department"] for row in rows} == {department.code for department in pack.departments}
    precincts = {f"P{row['precinct']}" for row in rows if row["precinct"]}
    assert precincts == {grid.code for grid in pack.grids if grid.level == 4}


def test_a_precinct_of_boston_lies_in_the_district_that_most_of_its_cases_name():
    parent = {grid.code: grid.parent for grid in load_pack("boston311").grids}
    with gzip.open(SHIPPED, "rt", encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if row["precinct"] and row["city_council_district"] != "0"]
    agree = sum(parent[parent[f"P{row['precinct']}"]] == f"D{row['city_council_district']}" for row in rows)
    assert agree / len(rows) > 0.999


def test_the_limits_of_boston_give_back_the_deadlines_of_the_city():
    pack = load_pack("boston311")
    policy = Policy(pack, digest(pack))
    groups = {category.code: category.group for category in pack.categories}
    zone, calendar = ZoneInfo(pack.zone), policy.clock_of_days

    def ms(text: str) -> int:
        return int(datetime.fromisoformat(text).replace(tzinfo=zone).timestamp()) * 1000

    equal = total = 0
    with gzip.open(SHIPPED, "rt", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            code, opened = category_code(row["type"]), ms(row["open_dt"])
            limit = policy.limit("total", 1, code, groups[code], calendar.local_day(opened))
            if row["target_dt"] and limit:
                total += 1
                equal += abs(calendar.deadline(opened, limit.limit) - ms(row["target_dt"])) <= 60_000
    assert total == 13_670
    assert equal / total >= 0.969


def test_the_small_pack_of_the_tests_is_clean():
    pack, told = checked(str(TINY), 20260801)
    assert told == []
    assert per_level(pack) == [1, 2, 4]


def test_every_column_of_every_table_is_documented():
    for columns in TABLES:
        section = README.split(f"## {columns.file}", 1)[1].split("\n## ", 1)[0]
        documented = set(re.findall(r"`(\w+)`", section))
        assert {*columns.needed, *columns.others} <= documented, columns.file


def test_every_key_of_pack_toml_is_documented():
    section = README.split("## pack.toml", 1)[1]
    documented = set(re.findall(r"`(?:\[+[\w.]+\]+ )?(\w+)`", section)) | set(re.findall(r"\[\[?(\w+)", section))
    for table in (Settings, LevelSettings, AuthoritySettings, CalendarSettings, OptionSettings):
        assert set(table.__struct_fields__) - {"weekly"} <= documented, table


def copy_of_tiny(folder: Path) -> Path:
    return Path(shutil.copytree(TINY, folder / "pack"))


def test_gbk_is_answered_with_how_to_save_it_and_a_row(tmp_path):
    folder = copy_of_tiny(tmp_path)
    text = (folder / "categories.csv").read_text(encoding="utf-8")
    (folder / "categories.csv").write_bytes(text.encode("gbk"))
    pack, problems = load_folder(folder)
    assert pack is None
    assert [str(problem) for problem in problems] == [
        "categories.csv:2: is not UTF-8 but probably GBK (GB 18030) — "
        "save it as UTF-8 (Excel: Save As, file type 'CSV UTF-8'; 另存为 CSV UTF-8)"
    ]


def test_unicode_text_of_a_spreadsheet_is_named_as_utf_16(tmp_path):
    folder = copy_of_tiny(tmp_path)
    (folder / "posts.csv").write_bytes("code,title\n".encode("utf-16"))
    _, problems = load_folder(folder)
    assert "is not UTF-8 but UTF-16" in str(problems[0])


def test_a_byte_order_mark_and_line_ends_of_windows_change_nothing(tmp_path):
    folder = copy_of_tiny(tmp_path)
    for path in folder.iterdir():
        path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes().replace(b"\n", b"\r\n"))
    assert digest(load_pack(folder)) == digest(load_pack(TINY))


def test_a_folder_that_does_not_exist_is_answered_with_the_shipped_names(tmp_path):
    pack, problems = check_folder(tmp_path / "nowhere")
    assert pack is None
    assert str(problems[0]).endswith("is no folder — give the folder of a pack, or one of: boston311, weiyang")


def test_a_pack_that_must_be_usable_and_is_not_raises_with_its_problems(tmp_path):
    folder = copy_of_tiny(tmp_path)
    (folder / "posts.csv").unlink()
    with pytest.raises(PackError, match=r"posts\.csv: this file is missing"):
        load_pack(folder)


def test_a_note_beside_the_tables_is_not_taken_for_one(tmp_path):
    folder = copy_of_tiny(tmp_path)
    (folder / "notes.txt").write_text("to do", encoding="utf-8")
    texts, problems = read_folder(folder)
    assert problems == []
    assert "notes.txt" not in texts

"""What changes from one pack to another is said in words, for each cell of each table.

In: the shipped packs with one field changed, and a small pack with one cell changed. Out: sentences in Chinese and
English, by whom they concern.
"""

from __future__ import annotations

import csv
import io
from functools import cache
from pathlib import Path

import msgspec
import pytest

from engine.packs import load_pack, read_folder, shipped
from workflows.clocks.limits import Limit, parse_limit
from workflows.pack_diff import Difference, called, pack_diff, rows_of
from workflows.policy.compile import TABLES, compile_pack
from workflows.policy.model import Options, Pack, digest

FOR_PEOPLE = {("notices.csv", "note"), ("roles.csv", "note")}
"""Columns that are not compiled: what stands there changes nothing for anybody."""
OTHER_CELLS = (
    "Z9", "3", "2", "2026-05-12", "2031-01-02", "yes", "no", "9工作时", "off", "before", "after", "day", "place",
    "chief", "any", "owner", "escalate", "unit", "incident", "8 hours", "08:00-09:00", "harbour",
    "percent", "higher", "own", "grid:3", "assist", "site", "<", "mean", "water", "month", ">3", "camera", "below",
    "fax", "subsidy", "reexamination",
)  # fmt: skip
"""A cell is changed to the first of these that its column takes."""
TAKEN = dict[str, str]()
"""The one that a column of this name took last: of another table it is tried first."""
TINY = Path(__file__).parents[1] / "packs" / "tiny"
MORE_ROWS = {
    "authority.csv": "2,litter,,,,,,ours",
    "bodies.csv": "WASTE,环卫所,government,T,Waste service,WASTE,,,,",
    "responsibilities.csv": "R1,WASTE,清运垃圾,lead,Clear waste,,ours,,",
    "actions.csv": "letter,督办函,Letter,,,,,,",
    "campaigns.csv": "C,行动,Campaign,2026-01-01,2026-12-31,waste,N,",
    "approvals.csv": "A,许可,Permit,yes,office,2026-01-01,2026-12-31,ours",
    "device_types.csv": "air,空气,Air,,ours",
    "devices.csv": "A-1,空气站,air,S2,S2-M,,,-9.1,38.7,,",
    "signals.csv": "pm10,超标,above,waste,PM10,air,pm10,150,120,250,10 minutes,5 minutes,1,,3 days,ours",
    "sources.csv": "hot,phone,热线,Hotline,fast,yes,1,2,reexamination,ours",
    "rewards.csv": "report,report,有奖举报,20000,Reward,,,ours",
    "days.csv": "office,2026-05-11,off,a day off",
    "consequences.csv": "Q,last:1,interview,",
    "duties.csv": "PATROL,member,day,patrol,2,grid,1,,,,,,",
    "indicators.csv": "late,overdue,count,lower,,,,,,,,,,",
    "notices.csv": "assigned,holder,,",
    "neighbours.csv": "NB-1,邻县,T,Next county,,ours",
    "sites.csv": "S-1,罐头厂,S2,,,,-9.1,38.7,,",
    "targets.csv": "air,T,2026,空气,>=,85,%,share,day,Air,<=100,aqi,1,330,HJ 633-2012,2016-01-01,2026-02-28,test",
    "scorecards.csv": "Q,2026,month,grid:2,late,10,5,0,,,,,,,",
}
"""Tables that the small pack has not, or has empty."""


@cache
def texts() -> dict[str, str]:
    """The files of the small pack, without its map, and with a row in every table."""
    files, _ = read_folder(TINY)
    files.pop("grids.geojson", None)
    for columns in TABLES:
        if len(files.get(columns.file, "").strip().splitlines()) < 2:
            header = ",".join((*columns.needed, *columns.others))
            files[columns.file] = f"{header}\n{MORE_ROWS[columns.file]}\n"
    return files


@cache
def compiled() -> Pack:
    pack, problems = compile_pack(texts())
    assert pack is not None, problems
    return pack


def changed_cell(file: str, column: str) -> tuple[Pack | None, dict[str, str]]:
    """The pack with one cell of the first row changed, and that row as it was. None: no other value is taken."""
    rows = list(csv.DictReader(io.StringIO(texts()[file].removeprefix("\ufeff"))))
    row = rows[0]
    for other in (*filter(None, [TAKEN.get(column)]), *OTHER_CELLS):
        if (row.get(column) or "") == other:
            continue
        out = io.StringIO()
        writer = csv.DictWriter(out, [*dict.fromkeys([*row, column])])
        writer.writeheader()
        writer.writerows([row | {column: other}, *rows[1:]])
        pack, _ = compile_pack(texts() | {file: out.getvalue()})
        if pack is not None and digest(pack) != digest(compiled()):
            TAKEN[column] = other
            return pack, row
    return None, row


CELLS = [(c.file, column) for c in TABLES for column in (*c.needed, *c.others)]


@pytest.mark.parametrize(("file", "column"), CELLS)
def test_a_changed_cell_changes_a_sentence_that_names_its_row(file: str, column: str) -> None:
    pack, row = changed_cell(file, column)
    if (file, column) in FOR_PEOPLE:
        assert pack is None
        return
    assert pack is not None, "no value of this test is taken: add one"
    told = pack_diff(compiled(), pack)
    keys = ("code", "rule", "clock", "on", "calendar", "card", "action", "category", "target")
    names = next(row[key] for key in keys if row.get(key))
    about = [each for each in told if each.file == file and names in f"{each.row} {each.zh}"]
    assert about, told
    assert all(each.zh and each.en and each.concerns_zh and each.concerns_en for each in told)


@pytest.mark.parametrize("name", sorted(shipped()))
def test_each_field_of_each_row_of_the_shipped_packs_is_told_with_its_row(name: str) -> None:
    """Of the last row of each table, each field is another one in turn."""
    pack = load_pack(name)
    for table in (
        "grids",
        "departments",
        "posts",
        "categories",
        "limits",
        "rungs",
        "notices",
        "roles",
        "duties",
        "actions",
        "bodies",
        "responsibilities",
        "sites",
        "targets",
        "neighbours",
    ):
        rows: tuple[msgspec.Struct, ...] = getattr(pack, table)
        for at in (len(rows) - 1,) if rows else ():
            for field, value in msgspec.structs.asdict(rows[at]).items():
                other = msgspec.structs.replace(rows[at], **{field: another(value)})
                told = pack_diff(pack, msgspec.structs.replace(pack, **{table: (*rows[:at], other, *rows[at + 1 :])}))
                assert told, (table, field)
                assert {each.file for each in told} == {f"{table}.csv"}
                key = next(iter(msgspec.structs.asdict(rows[at]).values()))
                assert any(str(key) in each.zh for each in told), (table, field, told)


def another(value: object) -> object:
    """Another value of the kind of a field."""
    if isinstance(value, bool):
        return not value
    if isinstance(value, int):
        return value + 1
    return f"{value}x" if isinstance(value, str) else parse_limit("99工作时") if isinstance(value, Limit) else ("x",)


@pytest.mark.parametrize("name", sorted(shipped()))
def test_from_a_pack_to_itself_nothing_changes(name: str) -> None:
    assert pack_diff(load_pack(name), load_pack(name)) == []


@pytest.mark.parametrize("option", Options.__struct_fields__)
def test_every_option_is_told(option: str) -> None:
    pack = load_pack("weiyang")
    changed = {option: another(getattr(pack.options, option))}
    other = msgspec.structs.replace(pack, options=msgspec.structs.replace(pack.options, **changed))
    [told] = pack_diff(pack, other)
    assert (told.row, told.column, told.concerns_en) == ("options", option, "everybody")


def test_every_field_of_a_pack_has_a_chinese_name() -> None:
    fields = {field for name in shipped() for row in rows_of(load_pack(name)) for field in row.fields}
    days = {"monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"}
    assert [field for field in sorted(fields - days - {"code"}) if called(field) == field] == []


def one(pack: Pack, **changes: object) -> Difference:
    [told] = pack_diff(load_pack("weiyang"), msgspec.structs.replace(pack, **changes))
    return told


def test_a_limit_says_of_which_clock_and_level_from_what_to_what() -> None:
    pack = load_pack("weiyang")
    [at] = [n for n, row in enumerate(pack.limits) if (row.clock, row.level) == ("accept", 3)]
    row = msgspec.structs.replace(pack.limits[at], limit=parse_limit("2工作时"))
    told = one(pack, limits=(*pack.limits[:at], row, *pack.limits[at + 1 :]))
    assert told.zh == "受理时限 accept，三级网格（街道办事处、管委会）：时限由 1工作时 改为 2工作时"
    assert told.en == (
        "limit of accept, level 3 (street office or committee): limit from 1 working hour to 2 working hours"
    )
    assert told.concerns_en == "level 3 (street office or committee)"


def test_a_grid_that_ends_and_a_post_that_is_gone_say_so_to_those_that_they_concern() -> None:
    pack = load_pack("weiyang")
    last = msgspec.structs.replace(pack.grids[-1], valid_to=20261231)
    told = one(pack, grids=(*pack.grids[:-1], last))
    assert (told.row, told.column) == (last.code, "valid_to")
    assert told.en.endswith("valid to from (empty) to 2026-12-31") and told.concerns_zh.startswith("网格 ")
    gone = one(pack, posts=pack.posts[:-1])
    assert gone.zh.startswith("取消：岗位") and pack.posts[-1].code in gone.en and gone.column == ""


def test_a_row_that_only_stands_elsewhere_changes_nothing_for_anybody() -> None:
    pack = load_pack("weiyang")
    other = msgspec.structs.replace(pack, posts=tuple(reversed(pack.posts)))
    assert digest(other) != digest(pack) and pack_diff(pack, other) == []

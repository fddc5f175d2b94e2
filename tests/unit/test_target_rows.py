"""What a pack says of targets (目标): the rows of targets.csv, what is wrong with one, and what changes.

In: the small pack with a targets.csv of its own. Out: rows, hashes, findings, sentences.
"""

from __future__ import annotations

import pytest

from engine.packs import load_pack
from tests.unit.test_pack_lint import TEXTS, told
from workflows.pack_diff import pack_diff
from workflows.policy.compile import compile_pack, compile_rows
from workflows.policy.lint import lint
from workflows.policy.model import Pack, TargetRow, encode

HEADER = "target,owner,year,indicator_zh,comparison,value,unit,method,period,each,index,places,least,standard,"
HEADER += "standard_from,standard_to,basis\n"
PM = "pm25,T,2026,细颗粒物,≤,40,ug/m3,mean,day,,,0,330,GB X,2016-01-01,,test\n"
RULES = "sign,target.signed,supervisor,1,any,\nmeasure,measurement.recorded,supervisor,1,any,\n"
RULES += "back,target.withdrawn,supervisor,1,any,\n"


def texts(row: str = "", roles: str = RULES) -> dict[str, str]:
    """The small pack with a target and another one, and rules for all that is said of them."""
    return {**TEXTS, "roles.csv": TEXTS["roles.csv"] + roles, "targets.csv": HEADER + PM + row}


def found(row: str = "", roles: str = RULES) -> list[str]:
    """The findings on it."""
    compiled = compile_rows(texts(row, roles))
    more = lint(compiled.pack, 0, compiled.rows) if compiled.pack is not None else []
    return told([*compiled.problems, *more])


def compiled(row: str = "") -> Pack:
    """The pack with another target."""
    pack, problems = compile_pack(texts(row))
    assert pack is not None, problems
    return pack


def test_a_pack_with_a_target_has_nothing_to_find():
    assert found() == []


def test_a_row_is_read_as_it_is_written():
    [row] = compiled().targets
    assert row == TargetRow(
        "pm25", "T", 2026, "细颗粒物", "细颗粒物", "<=", "40", "ug/m3", "mean", "day",
        places=0, least=330, standard="GB X", standard_from=20160101, basis="test",
    )  # fmt: skip


def test_a_pack_without_targets_keeps_its_bytes_and_is_asked_for_no_rules():
    pack, _ = compile_pack(TEXTS)
    assert pack is not None and b'"targets"' not in encode(pack)
    assert b'"targets"' not in encode(load_pack("boston311"))


@pytest.mark.parametrize(
    ("row", "finding"),
    [
        (PM, "error targets.csv:3 target: 'pm25' of T in 2026 stands in row 2 already"),
        ("x,NOBODY,2026,甲,<=,1,%,value,year,,,,,,,,test\n", "error targets.csv:3 owner: 'NOBODY' is no grid"),
        ("x,T,26,甲,<=,1,%,value,year,,,,,,,,test\n", "error targets.csv:3 year: 26 is no year of a target"),
        ("x,T,2026,,<=,1,%,value,year,,,,,,,,test\n", "error targets.csv:3 indicator_zh: is empty"),
        ("x,T,2026,甲,~,1,%,value,year,,,,,,,,test\n", "error targets.csv:3 comparison: '~' is unknown"),
        ("x,T,2026,甲,<=,1e3,%,value,year,,,,,,,,test\n", "error targets.csv:3 value: '1e3' is no exact number"),
        ("x,T,2026,甲,<=,1.2345678,%,value,year,,,,,,,,test\n", "error targets.csv:3 value: '1.2345678' is no exact"),
        ("x,T,2026,甲,<=,1,%,median,year,,,,,,,,test\n", "error targets.csv:3 method: 'median' is unknown"),
        ("x,T,2026,甲,<=,1,%,value,week,,,,,,,,test\n", "error targets.csv:3 period: 'week' is unknown"),
        ("x,T,2026,甲,<=,1,%,share,day,,,,1,,,,test\n", "error targets.csv:3 each: a share says nothing of what"),
        ("x,T,2026,甲,<=,1,%,value,day,<=1,,,,,,,test\n", "error targets.csv:3 each: a value counts nothing"),
        ("x,T,2026,甲,<=,1,%,share,day,good,,,1,,,,test\n", "error targets.csv:3 each: 'good' is no condition"),
        ("x,T,2026,甲,<=,1,%,share,month,<=1,aqi,,1,,,,test\n", "error targets.csv:3 period: the air quality index"),
        ("x,T,2026,甲,<=,1,%,mean,month,,water,,1,,,,test\n", "error targets.csv:3 method: a mean of classes"),
        ("x,T,2026,甲,<=,1,%,value,year,,,7,,,,,test\n", "error targets.csv:3 places: 7 decimals are too many"),
        (
            "x,T,2026,甲,<=,1,%,value,year,,,,,S,2020-01-02,2020-01-01,test\n",
            "error targets.csv:3 standard_to: the",
        ),
        ("x,T,2026,甲,<=,1,%,value,year,,,,,,2020-01-02,,test\n", "error targets.csv:3 standard: days of a standard"),
        ("litter,T,2026,甲,<=,1,%,value,year,,,,,,,,test\n", "error targets.csv:3 target: 'litter' is a category"),
        (
            "pm25,T,2027,甲,<=,1,%,value,year,,,,,,,,test\n",
            "error targets.csv:3 indicator_zh: 'pm25' is something",
        ),
        ("x,T,2026,甲,<=,1,%,mean,month,,,,,,,,test\n", "warning targets.csv:3 least: does not say how many values"),
        ("x,T,2026,甲,<=,1,%,value,year,,,,,,,,\n", "warning targets.csv:3 basis: does not say where"),
    ],
)
def test_what_is_wrong_with_a_target_is_named(row: str, finding: str):
    [only] = found(row)
    assert only.startswith(finding)


def test_a_pack_whose_targets_nobody_signs_is_told_so():
    said = found(roles="")
    assert any("targets.csv" in line and "target.signed, measurement.recorded" in line for line in said)


def test_another_value_is_told_to_whom_it_concerns():
    row = "x,T,2026,甲,<=,1,%,value,year,,,,,,,,test\n"
    [gone] = pack_diff(compiled(row), compiled())
    assert (gone.file, gone.row) == ("targets.csv", "x T 2026") and "取消" in gone.zh
    [changed] = pack_diff(compiled(row), compiled(row.replace(",1,%", ",2,%")))
    assert changed.zh.endswith("目标值由 1 改为 2") and changed.concerns_en.startswith("grid T")

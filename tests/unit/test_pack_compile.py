"""Compiling a pack: texts in, the same bytes out, and a problem with its place for whatever does not fit.

In: the texts of the small pack of the tests, edited. Out: packs, hashes and problems.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.packs import read_folder
from tests.support.examples import examples
from workflows.clocks.limits import Kind, Limit
from workflows.policy import model
from workflows.policy.compile import TABLES, compile_pack, compile_rows
from workflows.policy.csv_tables import parse_day
from workflows.policy.settings import parse_duration, parse_windows

TINY = Path(__file__).parents[1] / "packs" / "tiny"
TEXTS, _ = read_folder(TINY)


def compiled(texts=None, **changed):
    pack, problems = compile_pack({**(texts or TEXTS), **changed})
    assert pack is not None, [str(problem) for problem in problems]
    return pack


def problems_after(file, old, new):
    assert old in TEXTS[file]
    pack, problems = compile_pack({**TEXTS, file: TEXTS[file].replace(old, new, 1)})
    return pack, [f"{problem.severity} {problem}" for problem in problems]


def test_the_same_texts_give_the_same_hash():
    assert model.digest(compiled()) == model.digest(compiled())


def test_a_pack_reads_its_own_bytes_back():
    pack = compiled()
    assert model.decode(model.encode(pack)) == pack
    assert model.encode(model.decode(model.encode(pack))) == model.encode(pack)


@pytest.mark.parametrize(
    "save",
    [
        pytest.param(lambda text: "\ufeff" + text, id="byte order mark"),
        pytest.param(lambda text: text.replace("\n", "\r\n"), id="CRLF"),
        pytest.param(lambda text: text + "\n\n", id="blank rows at the end"),
        pytest.param(lambda text: "\ufeff" + text.replace("\n", "\r\n"), id="as Excel saves it"),
    ],
)
def test_how_a_file_was_saved_does_not_change_the_hash(save):
    saved = {name: save(text) for name, text in TEXTS.items()}
    assert model.digest(compiled(saved)) == model.digest(compiled())


def test_the_order_of_the_columns_does_not_change_the_hash():
    lines = [line.split(",") for line in TEXTS["grids.csv"].strip().split("\n")]
    turned = "\n".join(",".join(reversed(cells)) for cells in lines)
    assert model.digest(compiled(**{"grids.csv": turned})) == model.digest(compiled())


def test_a_rule_that_changes_changes_the_hash():
    changed = TEXTS["limits.csv"].replace("4 working hours", "5 working hours")
    assert model.digest(compiled(**{"limits.csv": changed})) != model.digest(compiled())


def test_an_option_that_is_given_as_it_is_by_default_does_not_change_the_hash():
    given = TEXTS["pack.toml"].replace("parked_cap = 8", f"parked_cap = 8\nunborn_cap = {model.UNBORN_CAP}")
    assert "unborn_cap" in given and model.digest(compiled(**{"pack.toml": given})) == model.digest(compiled())
    given = given.replace(str(model.UNBORN_CAP), "500")
    assert compiled(**{"pack.toml": given}).options.unborn_cap == 500


def test_what_the_files_say_stands_in_the_pack():
    pack = compiled()
    assert (pack.code, pack.zone, [level.name_en for level in pack.levels]) == (
        "tiny",
        "Europe/Lisbon",
        ["town", "quarter", "block"],
    )
    assert pack.options.offline_ms == 12 * 3_600_000
    assert (pack.options.quiet_from, pack.options.quiet_to) == (23 * 60, 6 * 60 + 30)
    assert pack.authority == (model.Authority(2, declared=5, named=3),)
    raised = next(rung for rung in pack.rungs if rung.rung == "raise")
    assert (raised.limit, raised.act) == (Limit(Kind.working_hour, 1000), "escalate")
    seven = pack.calendars[0]
    assert seven.weekly[6] == ((540, 750), (810, 1080))
    assert [(rule.day, rule.windows) for rule in seven.days] == [(20260613, ()), (20261224, ((540, 750),))]
    assert len(seven.offsets) > 6  # summer time begins and ends every year
    assert all(grid.polygon for grid in pack.grids)


def test_several_roles_in_one_cell_are_one_rule_for_each():
    rows = [may for may in compiled().roles if may.rule == "acknowledge"]
    assert [may.role for may in rows] == ["chief", "supervisor", "sponsor", "office"]
    assert {may.scope for may in rows} == {"place"}


def test_days_of_the_pack_override_the_national_table():
    toml = TEXTS["pack.toml"].replace(
        'code = "seven"\nfirst_year = 2025\nlast_year = 2027',
        'code = "seven"\nholidays = "CN"\nfirst_year = 2026',
    )
    days = "calendar,day,windows,note\nseven,2026-02-17,09:00-10:00,the festival market\n"
    calendar = compiled(**{"pack.toml": toml, "days.csv": days}).calendars[0]
    rules = {rule.day: rule for rule in calendar.days}
    assert rules[20260217].windows == ((540, 600),)
    assert rules[20260218].windows == ()
    # A working weekend (调休) gets the windows of a weekday.
    assert rules[20260214].windows == ((540, 750), (810, 1080))


def test_rows_are_counted_as_a_spreadsheet_does():
    text = TEXTS["limits.csv"].replace("verify,", "\n,,,,,,,\nverify,").replace("close,", '"clo\nse",')
    rows = compile_rows({**TEXTS, "limits.csv": text}).rows["limits.csv"]
    # The header is row 1; two blank rows stand before `verify`; a cell of two lines is one row.
    assert rows == (2, 3, 4, 5, 6, 7, 8, 9, 10, 13, 14, 15)


@pytest.mark.parametrize(
    ("file", "old", "new", "begins"),
    [
        ("grids.csv", "parent", "above", "error grids.csv:1 parent: this column is missing"),
        ("grids.csv", "kind", "sort", "warning grids.csv:1 sort: this column is unknown"),
        ("grids.csv", "kind", "name", "error grids.csv:1 name: this column stands twice"),
        (
            "grids.csv",
            "N1,Lighthouse,3,",
            "N1,Lighthouse,three,",
            "error grids.csv:5 level: 'three' is not a whole",
        ),
        ("grids.csv", "Lighthouse", "", "error grids.csv:5 name: is empty"),
        (
            "days.csv",
            "note\n",
            "note\nseven,2026-01-02,off,a,b\n",
            "error days.csv:2: has more cells than row 1",
        ),
        ("days.csv", "note\n", "note\nx,2026-01-02,off,a\n", "error days.csv:2 calendar: 'x' is no calendar"),
        (
            "days.csv",
            "2026-06-13,off",
            "2026-06-13,maybe",
            "error days.csv:2 windows: 'maybe' is neither off nor",
        ),
        (
            "days.csv",
            "2026-06-13,off",
            "2026-06-13,12:00-9:00",
            "error days.csv:2 windows: '12:00-9:00' is neither",
        ),
        ("days.csv", "2026-06-13", "2026-12-24", "error days.csv:3 day: stands in row 2 already"),
        (
            "posts.csv",
            "T-CHIEF,Mayor's deputy,chief,T,,,",
            "T-CHIEF,M,chief,T,,perhaps,",
            "error posts.csv:2 vacant:",
        ),
        ("categories.csv", "冒烟,Smoke", ",", "error categories.csv:4 name_zh: has no name"),
        (
            "limits.csv",
            ",2 working hours,,,test\nhandle",
            ",,,,test\nhandle",
            "error limits.csv:4 limit: is empty",
        ),
        ("roles.csv", "intake,,any", "intake,x,any", "error roles.csv:4 levels: 'x' is not a list of levels"),
        ("grids.csv", "S2,Cannery", 'S2,"Cannery', "error grids.csv:9: cannot be read"),
        (
            "pack.toml",
            "rework_level = 2",
            "rework = 2",
            "error pack.toml:36 options: Object contains unknown field `rework`",
        ),
        ("pack.toml", "parked_cap = 8", 'parked_cap = "8"', "error pack.toml:34 options.parked_cap:"),
        ("pack.toml", 'zone = "Europe/Lisbon"', 'zone = "Mars/Base"', "error pack.toml:"),
        (
            "pack.toml",
            '"12 hours"',
            '"half a day"',
            "error pack.toml:32 offline_allowance: 'half a day' is not a",
        ),
        (
            "roles.csv",
            "deadlines\nreport,report.submitted,member;chief,3,place,,",
            "allowance\nreport,report.submitted,chief,3,place,,,half a day\nmore,report.submitted,chief,3,place,,",
            "error roles.csv:2 allowance: 'half a day' is not a duration",
        ),
        ("pack.toml", '"23:00-06:30"', '"night"', "error pack.toml:45 quiet: 'night' is not a span of hours"),
        (
            "pack.toml",
            'monday = "09:00-12:30',
            'moonday = "09:00-12:30',
            "error pack.toml:50 calendars.seven:",
        ),
        (
            "pack.toml",
            "last_year = 2027",
            "",
            "error pack.toml:50 calendars.seven: without national holidays",
        ),
        ("pack.toml", "code = ", "code ", "error pack.toml:2: "),
        (
            "grids.geojson",
            '"type": "Polygon"',
            '"type": "Point"',
            "error grids.geojson:1 geometry: feature 1 (T):",
        ),
        ("grids.geojson", '"code": "S2"', '"code": "S9"', "error grids.geojson:7 code: 'S9' is no grid"),
        (
            "grids.geojson",
            '"code": "S2"',
            '"code": "S1"',
            "error grids.geojson:7 code: feature 7: code 'S1' is",
        ),
        ("grids.geojson", '"features"', '"fixtures"', "error grids.geojson: is no FeatureCollection"),
        (
            "posts.csv",
            "N1-MEMBER,Block",
            "N1-\u200bMEMBER,Block",
            "error posts.csv:13 code: 'N1-\\u200bMEMBER' has U+200B (ZERO WIDTH SPACE) as character 4",
        ),
        ("posts.csv", "member,N1,", "member,N1\u00ad,", "error posts.csv:13 grid: 'N1\\xad' has U+00AD (SOFT HYPHEN)"),
        (
            "posts.csv",
            "N1-MEMBER,Block patrol",
            "N1-MEMBER,Block\x00patrol",
            "error posts.csv:13: has U+0000, which no database takes",
        ),
        ("grids.geojson", '"code": "S2"', '"code": "S2\\u0000"', "error grids.geojson: has U+0000"),
        ("pack.toml", '"Invented for tests."', '"Invented\\u0000"', "error pack.toml:6 notice: has U+0000"),
        ("pack.toml", 'code = "tiny"', 'code = "ti\u200bny"', "error pack.toml:2 code: 'ti\\u200bny' has U+200B"),
        (
            "pack.toml",
            "parked_cap = 8",
            "parked_cap = 99999999999999999999",
            "error pack.toml:34 parked_cap: the number is too large",
        ),
        (
            "pack.toml",
            '"12 hours"',
            '"99999999999 hours"',
            "error pack.toml:32 offline_allowance: '99999999999 hours' is longer than ten years",
        ),
        (
            "pack.toml",
            'monday = "00:00-24:00"',
            'monday = "22:00-06:00"',
            "error pack.toml:65 calendars.harbour: monday '22:00-06:00' cannot be read; split it at midnight: "
            "22:00-24:00 on this day, 00:00-06:00 on the next one",
        ),
        (
            "days.csv",
            "24,09:00-12:30,half a day",
            "24,22:00-02:00,a night",
            "error days.csv:3 windows: '22:00-02:00' is neither off nor hours — write off, or split it at midnight",
        ),
        (
            "days.csv",
            "seven,2026-12-24",
            "seven,2026/12/5,off,\nseven,2026-12-05,off,\nseven,2026-12-24",
            "error days.csv:4 day: stands in row 3 already",
        ),
        ("days.csv", "2026-12-24", "2026-12", "error days.csv:3 day: '2026-12' is not a day"),
    ],
)
def test_what_cannot_be_read_is_told_with_its_place(file, old, new, begins):
    pack, told = problems_after(file, old, new)
    assert any(line.startswith(begins) for line in told), told
    assert (pack is None) == begins.startswith("error")
    assert all(" — " in line for line in told)


@pytest.mark.parametrize(("sign", "name"), [(";", "semicolons"), ("\t", "tabs"), ("，", "full-width commas")])
def test_a_table_that_is_not_separated_by_commas_is_told_what_separates_it(sign, name):
    """A spreadsheet program saves what its country's settings say."""
    pack, problems = compile_pack({**TEXTS, "grids.csv": TEXTS["grids.csv"].replace(",", sign)})
    assert pack is None
    assert [str(p) for p in problems if p.file == "grids.csv"] == [
        f"grids.csv:1: its cells are separated by {name} — save it with commas between them (Excel: Save As, file type "
        "'CSV UTF-8 (comma delimited)')"
    ]


def test_full_width_signs_mean_what_they_say_in_codes_and_numbers_and_stay_in_names():
    wide = str.maketrans({chr(n): chr(n + 0xFEE0) for n in range(0x21, 0x7F) if chr(n) not in ',"'})
    row = "N1-MEMBER,Block patrol,member,N1,,no,2026-01-01,"
    narrow = TEXTS["posts.csv"].replace("N1-MEMBER,Block patrol,member,N1,,,,", row)
    cells = [cell if n == 1 else cell.translate(wide) for n, cell in enumerate(row.split(","))]
    assert cells[0] == "Ｎ１－ＭＥＭＢＥＲ" and cells[6] == "２０２６－０１－０１"
    written = narrow.replace(row, ",".join(cells))
    assert model.digest(compiled(TEXTS | {"posts.csv": written})) == model.digest(
        compiled(TEXTS | {"posts.csv": narrow})
    )
    named = compiled(TEXTS | {"posts.csv": narrow.replace("Block patrol", "Ｂｌｏｃｋ")})
    assert "Ｂｌｏｃｋ" in {post.title for post in named.posts}


def test_borders_may_have_altitudes():
    """A map program that knows heights writes three numbers for each point (RFC 7946)."""
    high = re.sub(r"\[(-?[0-9.]+), ([0-9.]+)\]", r"[\1, \2, 12.5]", TEXTS["grids.geojson"])
    assert high.count("12.5") > 20
    assert model.digest(compiled({**TEXTS, "grids.geojson": high})) == model.digest(compiled())


@pytest.mark.parametrize("name", ["pack.toml", "grids.csv", "posts.csv", "categories.csv", "roles.csv"])
def test_a_missing_file_is_named(name):
    pack, problems = compile_pack({file: text for file, text in TEXTS.items() if file != name})
    assert pack is None
    assert str(problems[0]).startswith(f"{name}: this file is missing — add it")


def test_a_file_that_is_not_part_of_a_pack_is_named_and_not_read():
    pack, problems = compile_pack({**TEXTS, "post.csv": "code\n"})
    assert pack is not None
    assert [str(problem)[:38] for problem in problems] == ["post.csv: this file is not part of a p"]


def test_files_that_may_be_left_out_may_be_left_out():
    needed = {"pack.toml", "grids.csv", "posts.csv", "categories.csv", "roles.csv"}
    pack, _ = compile_pack({name: text for name, text in TEXTS.items() if name in needed})
    assert pack is not None
    assert (pack.limits, pack.rungs, pack.departments) == ((), (), ())


@settings(max_examples=examples(40))
@given(
    table=st.sampled_from(TABLES),
    cells=st.lists(st.text(max_size=12), min_size=1, max_size=9),
)
def test_any_row_gives_a_pack_or_a_problem_with_a_row_and_never_an_exception(table, cells):
    line = ",".join('"' + cell.replace('"', '""') + '"' for cell in cells)
    header = ",".join((*table.needed, *table.others)) + "\n"
    pack, problems = compile_pack({**TEXTS, table.file: TEXTS.get(table.file, header) + line + "\n"})
    assert pack is not None or any(problem.row > 1 and problem.remedy for problem in problems)


@settings(max_examples=examples(40))
@given(st.text(max_size=200))
def test_any_text_as_a_map_gives_a_pack_or_a_problem(text):
    pack, problems = compile_pack({**TEXTS, "grids.geojson": text})
    assert (pack is None) == any(problem.severity == "error" for problem in problems)


@pytest.mark.parametrize(
    ("text", "ms"),
    [
        ("72 hours", 259_200_000),
        ("1 hour", 3_600_000),
        ("8 hours 30 minutes", 30_600_000),
        ("7 days", 604_800_000),
        ("2周", 1_209_600_000),
        ("30 分钟", 1_800_000),
        ("72", None),
        ("", None),
        ("one day", None),
        ("1 day more", None),
    ],
)
def test_durations_are_read_as_people_write_them(text, ms):
    assert parse_duration(text) == ms


@pytest.mark.parametrize(
    ("text", "windows"),
    [
        ("08:00-12:00, 14:00-18:00", ((480, 720), (840, 1080))),
        ("08：00－12：00", ((480, 720),)),
        ("０８：００～１２：００，１４：００－１８：００", ((480, 720), (840, 1080))),
        ("8:00–12:00；14:00～18:00", ((480, 720), (840, 1080))),
        ("22:00-06:00", None),
        ("8:00–12:00；14:00~18:00", ((480, 720), (840, 1080))),
        ("00:00-24:00", ((0, 1440),)),
        ("", ()),
        ("12:00-08:00", None),
        ("08:00-12:00, 11:00-13:00", None),
        ("08:00-25:00", None),
        ("08:60-09:00", None),
    ],
)
def test_hours_are_read_as_people_write_them(text, windows):
    assert parse_windows(text) == windows


@pytest.mark.parametrize(
    ("text", "day"),
    [
        ("2026-02-14", 20260214),
        ("2026/2/4", 20260204),
        ("20260214", 20260214),
        ("2024-02-29", 20240229),
        ("２０２６－０２－１４", 20260214),
        ("2026-12", 0),
        ("202612", 0),
        ("2026125", 0),
        ("2026-12/05", 0),
        ("2026-0205", 0),
        ("2026-02-29", 0),
        ("2026-13-01", 0),
        ("14.02.2026", 0),
        ("soon", 0),
    ],
)
def test_days_are_read_as_spreadsheets_write_them(text, day):
    assert parse_day(text) == day

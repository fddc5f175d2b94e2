"""The three tables of assessment: a small card, broken in one place; the finding names file, row, column and remedy.

In: the small pack of the tests with a card beside it, and one edit. Out: exactly the finding that the edit deserves.
"""

from __future__ import annotations

import msgspec
import pytest

from engine.packs import load_pack
from tests.unit.test_pack_lint import TEXTS, told
from workflows.pack_diff import pack_diff
from workflows.policy.compile import compile_pack, compile_rows
from workflows.policy.lint import lint
from workflows.policy.model import Pack, digest, encode
from workflows.policy.problems import Finding

CARD = {
    "indicators.csv": """code,numerator,denominator,subtracted,unit,direction,definition,found,basis
on-time,on_time,closable;rejected,,percent,higher,,others,test
aside,passed_on:handle;void:handle;rejected,on_time:handle;passed_on:handle;void:handle;rejected,,percent,lower,,others,test
round,kept,expected,excused,percent,higher,duty,,test
confirmed,verified;-rework,,,count,higher,,confirmed,test
""",
    "scorecards.csv": """card,year,period,subjects,peer,indicator,weight,zero_at,full_at,cap,bonus,basis
Q,2026,quarter,grid:2,,on-time,50,60,97.5,,,test
Q,2026,quarter,grid:2,,aside,30,60,20,,,test
Q,2026,quarter,grid:2,,round,20,70,98,,,test
Q,2026,quarter,grid:2,,confirmed,3,0,10,3,yes,test
""",
    "consequences.csv": """card,when,action,basis
Q,last:1@1,interview,test
Q,twice:below:60,circular,test
""",
}


def found(*edits: tuple[str, str, str]) -> list[Finding]:
    """The findings on the small pack with a card after edits (file, old, new), each of which must hit."""
    texts = TEXTS | CARD
    for file, old, new in edits:
        assert texts[file].count(old) == 1, f"{old!r} stands {texts[file].count(old)} times in {file}"
        texts[file] = texts[file].replace(old, new)
    compiled = compile_rows(texts)
    if compiled.pack is None:
        return compiled.problems
    return [*compiled.problems, *lint(compiled.pack, rows=compiled.rows)]


def compiled() -> Pack:
    pack, _ = compile_pack(TEXTS | CARD)
    assert pack is not None
    return pack


def test_a_consequence_is_an_action_of_the_pack_where_that_has_some():
    texts = TEXTS | CARD | {"actions.csv": "action,title_zh,title_en,basis\ninterview,约谈,Interview,test\n"}
    pack, problems = compile_pack(texts)
    assert pack is not None, problems
    [wrong] = [each for each in lint(pack) if each.file == "consequences.csv"]
    assert wrong.column == "action" and "'circular' is no action of actions.csv" in wrong.text
    assert "interview" in wrong.remedy


def test_a_card_that_is_whole_has_nothing_to_find():
    assert told(found()) == []


ROUND = "round,kept,expected,excused,percent,higher,duty,,test"
ONE_FINDING = {
    "a rate without the share of what was set aside": (
        ("scorecards.csv", "Q,2026,quarter,grid:2,,aside,30,60,20,,,test\n", ""),
        "error scorecards.csv:2 indicator: 'on-time' is a rate, and no line beside it is the share of "
        "passed_on, void, rejected",
        "doing less",
    ),
    "a share of what was set aside without rejections": (
        ("indicators.csv", "void:handle;rejected,on_time", "void:handle,on_time"),
        "error scorecards.csv:2 indicator: 'on-time' is a rate, and no line beside it is the share of rejected",
        "rejected",
    ),
    "a rate of what the subject found itself": (
        ("indicators.csv", "percent,higher,,others", "percent,higher,,"),
        "warning scorecards.csv:2 indicator: 'on-time' also counts problems that the subject found itself",
        "write others",
    ),
    "a term that there is not": (
        ("indicators.csv", "on-time,on_time,", "on-time,in_time,"),
        "error indicators.csv:2 numerator: 'on-time': 'in_time' is no count of incident",
        "on_time",
    ),
    "a rate as a term": (
        ("indicators.csv", "on-time,on_time,", "on-time,close_rate,"),
        "error indicators.csv:2 numerator: 'on-time': 'close_rate' is no count",
        "closable",
    ),
    "a kind of case that there is not": (
        ("indicators.csv", "higher,duty,", "higher,duties,"),
        "error indicators.csv:4 definition: 'round': 'duties' is no kind of case",
        "duty",
    ),
    "percent without a denominator": (
        ("indicators.csv", "verified;-rework,,,count", "verified;-rework,,,percent"),
        "error indicators.csv:5 unit: 'confirmed' is in percent and has no denominator",
        "count",
    ),
    "what is expected as a merit": (
        ("indicators.csv", ROUND, "round,expected,kept,,percent,higher,duty,,test"),
        "error indicators.csv:4 numerator: 'round': expected is no merit",
        "denominator",
    ),
    "a finder of what time bears": (
        ("indicators.csv", "higher,duty,,", "higher,duty,own,"),
        "error indicators.csv:4 found: 'round': nobody reports what time bears",
        "empty",
    ),
    "a word for who found it that is unknown": (
        ("indicators.csv", "count,higher,,confirmed", "count,higher,,anybody"),
        "error indicators.csv:5 found: 'anybody' is unknown",
        "others",
    ),
    "a code that stands twice": (
        ("indicators.csv", "round,kept", "aside,kept"),
        "error indicators.csv:4 code: 'aside' stands in row 3 already",
        "its own code",
    ),
    "an indicator that there is not": (
        ("scorecards.csv", "aside,30", "beside,30"),
        "error scorecards.csv:3 indicator: 'beside' is no indicator",
        "aside",
    ),
    "a line without a weight": (
        ("scorecards.csv", "aside,30", "aside,0"),
        "error scorecards.csv:3 weight: 'aside' has 0 points",
        "whole number",
    ),
    "bounds the wrong way round": (
        ("scorecards.csv", "aside,30,60,20", "aside,30,20,60"),
        "error scorecards.csv:3 full_at: 'aside' is better when lower: full_at is not less than zero_at",
        "less than",
    ),
    "bounds that are one": (
        ("scorecards.csv", "on-time,50,60,97.5", "on-time,50,60,60.00"),
        "error scorecards.csv:2 full_at: 'on-time' is better when higher: full_at is not more than zero_at",
        "more than",
    ),
    "a bound that is no number": (
        ("scorecards.csv", "60,97.5", "60,97.555"),
        "error scorecards.csv:2 full_at: '97.555' is no number with at most two decimals",
        "97.5",
    ),
    "a cap that is of no bonus": (
        ("scorecards.csv", "30,60,20,,,test", "30,60,20,5,,test"),
        "error scorecards.csv:3 cap: a cap is of a bonus",
        "bonus",
    ),
    "lines of one card that differ": (
        ("scorecards.csv", "Q,2026,quarter,grid:2,,aside", "Q,2026,year,grid:2,,aside"),
        "error scorecards.csv:3 period: 'Q' has another period in row 2",
        "the same",
    ),
    "a level that there is not": (
        ("consequences.csv", "last:1@1", "last:1@9"),
        "error consequences.csv:2 when: 9 is no level of pack.toml",
        "use one of",
    ),
    "a condition that there is not": (
        ("consequences.csv", "last:1@1", "worst:1"),
        "error consequences.csv:2 when: 'worst:1' is no condition",
        "below:60",
    ),
    "a consequence of no card": (
        ("consequences.csv", "Q,last", "R,last"),
        "error consequences.csv:2 card: 'R' is no card of scorecards.csv",
        "Q",
    ),
    "subjects without a level": (
        ("scorecards.csv", "Q,2026,quarter,grid:2,,round", "Q,2026,quarter,grid,,round"),
        "error scorecards.csv:4 subjects: 'grid' names no subjects",
        "grid:3",
    ),
    "a line that does not say where it comes from": (
        ("scorecards.csv", "aside,30,60,20,,,test", "aside,30,60,20,,,"),
        "warning scorecards.csv:3 basis: does not say where it comes from",
        "ours",
    ),
}


@pytest.mark.parametrize(("edit", "begins", "remedy"), ONE_FINDING.values(), ids=ONE_FINDING.keys())
def test_a_broken_place_is_named_with_its_remedy(edit, begins, remedy):
    problems = found(edit)
    hits = [problem for problem in problems if told([problem])[0].startswith(begins)]
    assert hits, told(problems)
    assert remedy in hits[0].remedy


def test_posts_are_assessed_by_duties_only_and_by_what_they_owe_themselves():
    edits = [
        ("scorecards.csv", f"grid:2,,{name}", f"post:3,,{name}") for name in ("on-time", "aside", "round", "confirmed")
    ]
    lines = told(found(*edits))
    assert any("'on-time' counts what no post holds alone" in each for each in lines)
    assert any("'round' is expected of grids" in each for each in lines)


def test_a_pack_without_these_tables_has_the_hash_that_it_had():
    plain, _ = compile_pack(TEXTS)
    assert plain is not None and b"scorecards" not in encode(plain)
    empty, _ = compile_pack(TEXTS | {name: text.splitlines()[0] + "\n" for name, text in CARD.items()})
    assert empty is not None and digest(empty) == digest(plain) != digest(compiled())


def test_what_changes_in_a_card_is_told_in_words():
    old, new = compiled(), compiled()
    lines = list(new.scorecards)
    lines[0] = msgspec.structs.replace(lines[0], weight=55, full_at=9500)
    new = msgspec.structs.replace(new, scorecards=tuple(lines), consequences=new.consequences[1:])
    said = [(each.file, each.zh, each.en) for each in pack_diff(old, new)]
    assert (
        "scorecards.csv",
        "考核细则 Q 2026 on-time：分值由 50 改为 55",
        "card Q 2026, on-time: weight from 50 to 55",
    ) in said
    assert any("满分值由 97.5 改为 95" in zh and "full at from 97.5 to 95" in en for _, zh, en in said)
    assert any(zh.startswith("取消：奖惩建议 Q last:1@1 interview") for _, zh, _ in said)
    assert len(said) == 3


@pytest.mark.mechanism("M57")
def test_the_cards_of_the_sample_say_where_they_come_from():
    pack = load_pack("weiyang")
    said = [*(row.basis for row in pack.indicators), *(row.basis for row in pack.scorecards)]
    assert said and all("ours" in basis for basis in said)
    # of these the text has the numbers
    assert {row.action for row in pack.consequences if "ours" not in row.basis} == {"exposure", "watch"}


@pytest.mark.parametrize(("grace", "named"), [(3, True), (60, False)])
def test_the_days_of_grace_outlast_an_appeal(grace: int, named: bool) -> None:
    text = TEXTS["pack.toml"].replace("[options]\n", f'[options]\ngrace_days = {grace}\nappeal = "5工作日"\n')
    compiled = compile_rows(TEXTS | CARD | {"pack.toml": text})
    assert compiled.pack is not None, compiled.problems
    warned = [each for each in lint(compiled.pack) if each.column == "options.grace_days"]
    assert bool(warned) is named
    if named:
        assert "an appeal against a refusal" in warned[0].text and "write grace_days = " in warned[0].remedy
    without = compile_rows(TEXTS | {"pack.toml": text}).pack  # no card: nothing is assessed
    assert without is not None and [each for each in lint(without) if each.column == "options.grace_days"] == []

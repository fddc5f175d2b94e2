"""What a line of the feed says: names beside its codes, and a sentence in Chinese and in English."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from engine.views.feed_words import names_of, sentence
from engine.views.names import Names
from schemas.line_words import ALERT_ENDS, MOVES, RUNGS
from schemas.messages import Line, Words
from tests.support.builders import BARE, at, weiyang
from workflows.definitions import CLOCKS, DEFINITIONS
from workflows.policy import moves

NAMES = Names(weiyang())
LINE = Line(
    id="a|firing",
    alert="a",
    what="firing",
    case="WY01.1",
    kind="due",
    clock="handle",
    level=3,
    path="/XA/WY/WY01/WY01-01/",
    category=BARE,
    recipients={"WY01-CHIEF": "a|firing|WY01-CHIEF"},
    due_at=at("03-02 15:00"),
    raised_at=at("03-02 15:00"),
    due=at("03-02 15:00"),
    definition="incident",
)
STREET, LEAF = NAMES.grid("WY01").name, NAMES.grid("WY01-01").name
ZH = weiyang().categories[BARE].name_zh


def said(what: str = "firing", by: str = "", on: str = "", cases: int = 0, **changes: Any) -> Words:
    return sentence(msgspec.structs.replace(LINE, **changes), what, by, NAMES, on=on, cases=cases)


def test_an_alert_says_whose_clock_of_which_case_is_due_and_when():
    words = said()
    assert words.zh == f"网格事件「{ZH}」（{LEAF}）：{STREET}处置到期，时限 2026-03-02 15:00。"
    assert words.en.startswith('Incident "') and words.en.endswith(
        f" ({LEAF}): handle of {STREET}: due; deadline 2026-03-02 15:00."
    )


def test_the_clock_of_a_department_is_called_by_its_name_and_not_by_its_grid_s():
    words, urban = said(level=2, department="WY-URBAN"), NAMES.department("WY-URBAN").name
    assert f"{urban}处置到期" in words.zh and f"handle of {urban}: due" in words.en


def test_the_level_of_an_ordered_clock_is_its_stage_and_no_grid_s():
    words = said(clock="rectify", level=1)
    assert "：整改（第1阶段）到期，" in words.zh and ": rectify (stage 1): due; " in words.en
    assert NAMES.grid("XA").name not in words.zh
    urban = NAMES.department("WY-URBAN").name
    assert f"{urban}整改（第2阶段）到期" in said(clock="rectify", level=2, department="WY-URBAN").zh


def test_the_clock_of_the_whole_case_is_of_no_grid():
    assert (
        said(clock="total", level=0, kind="overdue").zh
        == f"网格事件「{ZH}」（{LEAF}）：全程超期，时限 2026-03-02 15:00。"
    )


def test_who_has_acknowledged_it_or_ended_it_is_called_by_the_title_of_the_post():
    title = NAMES.post("WY01-CHIEF").name
    assert said("acknowledged", "WY01-CHIEF").zh.endswith(f"处置到期，{title}已知悉。")
    assert said("resolved", "WY01-CHIEF").en.endswith(f": due; the alert is resolved by {title}.")
    assert said("withdrawn").zh.endswith("处置到期，告警已撤回。")


def test_urging_is_of_no_clock():
    assert said(clock="", level=0, kind="urge", due=None).en.endswith(f"({LEAF}): urged.")


def test_a_notice_says_its_move_and_a_daily_line_how_many_cases():
    notice: dict[str, Any] = {"what": "told", "clock": "", "level": 0, "kind": "notice", "due": None}
    assert said(on="assigned", **notice).zh == f"网格事件「{ZH}」（{LEAF}）：交办。"
    daily = said(on="daily", cases=3, category="", **notice)
    assert (daily.zh, daily.en) == (
        f"网格事件 3 件（{LEAF}）：每日进展。",
        f"Incident, 3 cases ({LEAF}): moves of the day.",
    )


def test_what_the_pack_does_not_know_stands_for_itself():
    words = said(kind="soon", category="D9-99", path="/XA/WY99/", level=2, definition="petition")
    assert "「D9-99」（WY99）" in words.zh and "WY99处置soon" in words.zh and words.en.startswith('Petition "D9-99"')


@pytest.mark.parametrize("definition", DEFINITIONS)
def test_every_kind_of_case_with_every_clock_and_rung_has_a_sentence_in_both_languages(definition: str):
    for clock in CLOCKS:
        for kind in (*RUNGS, "of the pack"):
            for what in ("firing", *ALERT_ENDS):
                words = said(what, clock=clock, kind=kind, definition=definition)
                assert words.zh.endswith("。") and words.en.endswith("."), words
                assert "  " not in words.en and DEFINITIONS[definition].zh in words.zh


def test_every_move_that_a_notice_tells_of_has_words():
    assert set(moves.MOVES) <= set(MOVES)


def test_names_stand_under_the_members_that_have_the_codes():
    names = names_of(msgspec.structs.replace(LINE, department="WY-URBAN"), ["WY01-CHIEF"], "WY-CHIEF", NAMES)
    assert names.path == [NAMES.grid(code).name for code in ("XA", "WY", "WY01", "WY01-01")]
    assert names.category is not None and names.category.zh == ZH
    assert names.department == NAMES.department("WY-URBAN").name
    assert names.recipients == {"WY01-CHIEF": NAMES.post("WY01-CHIEF").name}
    assert names.by == NAMES.post("WY-CHIEF").name

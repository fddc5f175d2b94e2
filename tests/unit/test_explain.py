"""A deadline shows its calculation, in words that an office uses."""

from __future__ import annotations

import json

import msgspec
import pytest

from tests.support.calendar_samples import ALL_DAY, NEW_YORK, at, boston, china, china_data, with_days
from workflows.clocks.calendar import Calendar, DayRule
from workflows.clocks.explain import Explanation, explain, render, rough
from workflows.clocks.limits import DayMeaning, Kind, parse_limit
from workflows.clocks.spans import PieceReason

HOUR = 3_600_000
DAY = 24 * HOUR


def told(explanation: Explanation) -> list[tuple[PieceReason, str, int]]:
    return [(span.why, span.note, span.counted) for span in explanation.spans]


def test_a_limit_over_the_spring_festival_names_the_working_saturday_and_the_holiday() -> None:
    explained = explain(china(), at("2026-02-14T17:00"), parse_limit("4工作时"))
    assert explained.due_at == "2026-02-24T11:00:00+08:00"
    assert told(explained) == [
        (PieceReason.extra_day, "春节调休上班", HOUR),
        (PieceReason.holiday, "春节", 0),
        (PieceReason.working, "", 3 * HOUR),
    ]


CHINESE = """\
期限  4工作时（只计工作时段）
日历  weiyang（Asia/Shanghai）
开始  2026-02-14 周六 17:00 (UTC+08:00)
  2026-02-14 周六 17:00 - 18:00                  +1小时  春节调休上班
  2026-02-14 周六 18:00 - 2026-02-24 周二 08:00  不计    春节（假日）
  2026-02-24 周二 08:00 - 11:00                  +3小时  工作时段
到期  2026-02-24 周二 11:00 (UTC+08:00)
合计  4小时"""

ENGLISH = """\
limit     4 working hours (only working windows count)
calendar  weiyang (Asia/Shanghai)
start     2026-02-14 Sat 17:00 (UTC+08:00)
  2026-02-14 Sat 17:00 - 18:00                 +1 h  春节调休上班 (working weekend)
  2026-02-14 Sat 18:00 - 2026-02-24 Tue 08:00  -     春节 (holiday)
  2026-02-24 Tue 08:00 - 11:00                 +3 h  working window
due       2026-02-24 Tue 11:00 (UTC+08:00)
total     4 h"""


@pytest.mark.parametrize(("lang", "text"), [("zh", CHINESE), ("en", ENGLISH)])
def test_the_text_reads_line_by_line_in_chinese_and_in_english(lang: str, text: str) -> None:
    assert render(explain(china(), at("2026-02-14T17:00"), parse_limit("4工作时")), lang) == text


def test_the_json_form_has_the_deadline_with_its_offset_and_the_spans() -> None:
    explained = explain(china(), at("2026-02-14T17:00"), parse_limit("4工作时"))
    form = json.loads(msgspec.json.encode(explained))
    assert form == json.loads(json.dumps(msgspec.to_builtins(explained)))
    assert form["due_at"] == "2026-02-24T11:00:00+08:00"
    assert form["spans"][1]["from"] == "2026-02-14T18:00:00+08:00"
    assert form["spans"][1]["to"] == "2026-02-24T08:00:00+08:00"
    assert [span["counted"] for span in form["spans"]] == [HOUR, 0, 3 * HOUR]
    assert msgspec.convert(form, Explanation) == explained


def test_every_cause_of_a_gap_is_told_apart() -> None:
    explained = explain(china(), at("2026-04-03T06:00"), parse_limit("17工作时"))
    assert told(explained) == [
        (PieceReason.before_opening, "", 0),
        (PieceReason.working, "", 4 * HOUR),
        (PieceReason.midday, "", 0),
        (PieceReason.working, "", 4 * HOUR),
        (PieceReason.holiday, "清明节", 0),
        (PieceReason.working, "", 4 * HOUR),
        (PieceReason.midday, "", 0),
        (PieceReason.working, "", 4 * HOUR),
        (PieceReason.night, "", 0),
        (PieceReason.working, "", HOUR),
    ]


def test_a_weekend_that_runs_into_a_local_holiday_is_one_line_per_cause() -> None:
    sports_day, late = DayRule(20260309, (), "区运动会"), DayRule(20260310, ((600, 720),), "晚开")
    local = with_days(china_data(), sports_day, late)
    explained = explain(local, at("2026-03-06T17:00"), parse_limit("2工作时"))
    assert told(explained) == [
        (PieceReason.working, "", HOUR),
        (PieceReason.weekend, "", 0),
        (PieceReason.holiday, "区运动会", 0),
        (PieceReason.special_hours, "晚开", HOUR),
    ]
    assert explained.spans[1].to_at == explained.spans[2].from_at == "2026-03-09T00:00:00+08:00"


def test_a_pause_is_one_line_and_the_limit_goes_on_after_it() -> None:
    pause = (at("2026-02-14T17:30"), at("2026-02-24T09:00"))
    explained = explain(china(), at("2026-02-14T17:00"), parse_limit("4工作时"), [pause])
    assert explained.due_at == "2026-02-24T14:30:00+08:00"
    assert told(explained) == [
        (PieceReason.extra_day, "春节调休上班", HOUR // 2),
        (PieceReason.paused, "", 0),
        (PieceReason.working, "", 3 * HOUR),
        (PieceReason.midday, "", 0),
        (PieceReason.working, "", HOUR // 2),
    ]


def test_pauses_that_overlap_or_come_too_late_change_nothing_twice() -> None:
    start, limit = at("2026-03-02T08:00"), parse_limit("4工作时")
    once = explain(china(), start, limit, [(at("2026-03-02T09:00"), at("2026-03-02T11:00"))])
    assert once.due_at == "2026-03-02T16:00:00+08:00"
    nine, ten = at("2026-03-02T09:00"), at("2026-03-02T10:00")
    pieces = [(ten, ten + HOUR), (nine, ten + HOUR // 2)]
    assert explain(china(), start, limit, pieces).due_ms == once.due_ms
    late = (once.due_ms, once.due_ms + DAY)
    assert explain(china(), start, limit, [*pieces, late]).due_ms == once.due_ms


def test_urgent_hours_are_one_line_and_calendar_days_show_the_hour_the_clock_changes() -> None:
    urgent = explain(china(), at("2026-02-15T23:30"), parse_limit("2紧急工作时"))
    assert told(urgent) == [(PieceReason.running, "", 2 * HOUR)]
    spring = explain(boston(), at("2015-03-07T10:00", NEW_YORK), parse_limit("2cd"))
    assert told(spring) == [
        (PieceReason.running, "", 16 * HOUR),
        (PieceReason.clock_forward, "", HOUR),
        (PieceReason.running, "", 31 * HOUR),
    ]
    autumn = explain(boston(), at("2015-10-31T10:00", NEW_YORK), parse_limit("2cd"))
    assert told(autumn) == [
        (PieceReason.running, "", 16 * HOUR),
        (PieceReason.clock_back, "", 0),
        (PieceReason.running, "", 32 * HOUR),
    ]
    assert "+1 d 8 h" in render(autumn, "en") and "clocks go back" in render(autumn, "en")


def test_working_days_are_counted_when_they_close_where_they_end_at_closing_time() -> None:
    explained = explain(china(DayMeaning.end_of_day), at("2026-03-05T10:00"), parse_limit("2工作日"))
    counted = [(span.to_at[5:16], span.counted) for span in explained.spans if span.counted]
    assert counted == [("03-06T18:00", DAY), ("03-09T18:00", DAY)]
    assert "+1个工作日" in render(explained)


def test_a_pause_within_a_day_that_ends_at_closing_time_uses_that_day_up() -> None:
    pause = (at("2026-03-06T10:00"), at("2026-03-07T10:00"))
    explained = explain(china(DayMeaning.end_of_day), at("2026-03-05T10:00"), parse_limit("2工作日"), [pause])
    assert explained.due_at == "2026-03-09T18:00:00+08:00"
    assert [(span.why, span.counted) for span in explained.spans if span.counted] == [
        (PieceReason.day_begun, DAY),
        (PieceReason.working, DAY),
    ]
    assert "2026-03-06 周五 10:00  " in render(explained)


def test_long_runs_of_whole_working_days_are_folded_and_holidays_keep_their_lines() -> None:
    explained = explain(china(), at("2026-03-03T09:10"), parse_limit("40工作日"))
    assert len(explained.spans) <= 24
    assert sum(span.counted for span in explained.spans) == 40 * DAY
    weeks = [span for span in explained.spans if span.why is PieceReason.days]
    assert weeks[0].from_at == "2026-03-04T08:00:00+08:00" and weeks[0].days == 3
    assert weeks[0].counted == 3 * DAY and weeks[0].why_zh == "3个完整工作日"
    assert "清明节" in {span.note for span in explained.spans}


@pytest.mark.parametrize("limit", ["60工作日", "250工作日", "730工作日", "5000工作日", "2000工作时"])
def test_no_explanation_is_longer_than_a_page(limit: str) -> None:
    explained = explain(china(), at("2026-01-05T09:00"), parse_limit(limit))
    assert len(explained.spans) <= 60
    assert sum(span.counted for span in explained.spans) == explained.budget
    for lang in ("zh", "en"):
        assert render(explained, lang).count("\n") < 70


def test_a_folded_span_that_holds_holidays_names_them() -> None:
    explained = explain(boston(), at("2015-01-05T09:00", NEW_YORK), parse_limit("900wd"))
    (span,) = (span for span in explained.spans if span.days > 100)
    assert "Patriots' Day" in span.note
    assert "whole working days (Martin Luther King Jr. Day、" in render(explained, "en")


def test_service_at_all_hours_has_no_gaps_to_explain() -> None:
    always = Calendar(msgspec.structs.replace(china_data(), days=(), weekly=(ALL_DAY,) * 7))
    explained = explain(always, at("2026-03-06T22:00"), parse_limit("4工作时"))
    assert told(explained) == [(PieceReason.working, "", 2 * HOUR), (PieceReason.working, "", 2 * HOUR)]
    assert "22:00 - 24:00" in render(explained)


def test_a_deadline_beyond_the_known_holidays_says_that_it_is_provisional_and_why() -> None:
    explained = explain(china(), at("2026-12-30T12:30"), parse_limit("3工作日"))
    assert explained.provisional and explained.known_until == 20261231
    assert "暂定" in render(explained) and "2026-12-31" in render(explained)
    assert "provisional" in render(explained, "en")
    urgent = explain(china(), at("2026-12-30T12:30"), parse_limit("300紧急工作时"))
    assert not urgent.provisional and "暂定" not in render(urgent)


def test_seconds_are_shown_only_where_there_are_any() -> None:
    text = render(explain(china(), at("2026-03-02T09:00:05") + 250, parse_limit("1工作时")), "en")
    assert "09:00:05.250 - 10:00:05.250" in text


@pytest.mark.parametrize(
    ("kind", "amount", "told"),
    [
        (Kind.urgent_hour, 3 * HOUR + 47_290, 3 * HOUR),
        (Kind.working_hour, 59_999, 59_999),
        (Kind.working_day, 170_585_436, 164_160_000),
        (Kind.working_day, 3 * HOUR + 61_000, 3 * HOUR + 60_000),
    ],
)
def test_what_is_left_is_told_without_the_milliseconds(kind: Kind, amount: int, told: int) -> None:
    assert rough(kind, amount) == told

"""The story of a case for people: where the year stands."""

from __future__ import annotations

from engine.views.feed_words import sentence
from engine.views.names import Names
from gridpatrol.render.story import story
from gridpatrol.render.tables import LocalClock
from tests.support.builders import at, weiyang
from tests.support.histories import DAY, MINUTE, Teller, step_row
from tests.unit.test_exemption_figures import granted_on_appeal
from workflows.clocks.limits import HOUR_MS


class Alert:
    """An alert of a deadline."""

    kind, clock, level, path, category, definition, department = "due", "total", 0, "/XA/", "D3-04", "incident", ""

    def __init__(self, due: int) -> None:
        self.due = due


def told(teller: Teller) -> list[str]:
    """The lines of the story of a case."""
    return list(story([step_row(step) for step in teller.steps], Names(teller.rules)))


def test_a_deadline_over_a_year_s_end_has_its_year_in_the_sentence_and_the_steps_of_the_new_year_have_theirs() -> None:
    teller = Teller(start=at("12-30 09:00"))
    teller.say("report.submitted", "WY01-01-MEMBER", category="D3-04", source="patrol", grid="WY01-01")
    teller.say("dissuasion.recorded", "WY01-01-MEMBER", 5 * MINUTE, outcome="ineffective")
    teller.say("incident.reported_up", "WY01-01-MEMBER", 5 * MINUTE)
    teller.say("incident.accepted", "WY01-CHIEF", 4 * DAY)
    lines = told(teller)
    assert lines[0].startswith("2026-12-30 09:01") and "全程 total 3工作日 until 2027-01-0" in lines[0]
    assert "until 12-30 " in lines[0]  # of this year: short
    assert lines[1].startswith("     12-30")
    years = [line[:5] for line in lines if line[:4].strip()]
    assert years == ["2026-", "2027-"]
    assert lines[-1].split("受理 accept")[-1].count("2027") == 0  # said by the beginning of the line or the one above


def test_the_year_in_the_first_line_is_that_of_the_instant_beside_it_also_if_it_was_told_in_the_next() -> None:
    teller = Teller(start=at("12-31 23:30") + HOUR_MS)
    teller.say("report.submitted", "WY01-01-MEMBER", late=HOUR_MS, category="D3-04", source="patrol", grid="WY01-01")
    assert told(teller)[0].startswith("2026-12-31 23:31")


def test_the_same_year_is_not_said_twice_and_another_one_is() -> None:
    clock = LocalClock(Names(weiyang()))
    assert clock.beside(at("12-31 23:59"), at("01-01 00:00")) == "12-31 23:59"
    assert clock.beside(at("12-31 23:59") + MINUTE, at("12-31 23:59")) == "2027-01-01 00:00"
    assert clock.beside(at("12-31 23:59"), at("12-31 23:59") + MINUTE) == "2026-12-31 23:59"


def test_an_alert_names_the_year_of_its_deadline_in_both_languages() -> None:
    words = sentence(Alert(at("12-31 23:59") + MINUTE), "firing", "", Names(weiyang()))
    assert "时限 2027-01-01 00:00" in words.zh and "deadline 2027-01-01 00:00" in words.en


def test_what_was_asked_for_and_decided_of_a_missed_deadline_stands_in_the_story() -> None:
    lines = "\n".join(told(granted_on_appeal()))
    total = "全程 total: 应急任务 an emergency"
    checks = "主动发现 found itself ✗, 及时处置 prompt ✓, 整改上报 reported ✓"
    for sentence_ in (
        f"申请免责 asks for exemption: {total}",
        f"不予免责 not exempted: {total} ({checks}), 可申诉 may be appealed until 03-1",
        "申诉 appeals: 全程 total",
        f"申诉 on appeal: 准予免责 exempted: {total} ({checks}, 无不良后果 no harm ✗)",
    ):
        assert sentence_ in lines

"""What the subject of a message says, how instants are said, and which lines it names."""

from __future__ import annotations

import pytest

from consumers.channels.message import SHOWN, Message, ToldLine, compose, when_words
from engine.views.names import Names
from schemas.messages import Line
from tests.support.builders import HOUR, at, subject, weiyang
from tests.support.channel_feed import CHIEF, alert, notice
from workflows.selection import severity_of

NOW = at("03-02 09:00")
NAMES = Names(weiyang())


def composed(*lines: tuple[int, Line], whole: bool = False) -> Message:
    told = [ToldLine(line, {post: f"{line.id}|{post}" for post in line.recipients or (CHIEF,)}) for _, line in lines]
    return compose("msg_1", "one", "", told, NAMES, NOW, lambda case: case, whole)


def due(number: int, text: str, **more) -> tuple[int, Line]:
    """A case whose deadline is told in advance."""
    instant = at(text)
    return alert(number, case=number, due=instant, due_at=instant - 24 * HOUR, **more)


STREET, FOURTH = "三号街道办事处（示例）", "/XA/WY/WY04/WY04-01/"


@pytest.mark.parametrize(
    ("lines", "zh", "en"),
    [
        # A deadline of today, tomorrow, another day, another year.
        ([due(1, "03-02 16:00")], f"{STREET}：受理 1 件今日 16:00 到期", f"{STREET}: accept, 1 due today 16:00"),
        ([due(1, "03-03 08:30")], f"{STREET}：受理 1 件明日 08:30 到期", f"{STREET}: accept, 1 due tomorrow 08:30"),
        ([due(1, "03-09 08:30")], f"{STREET}：受理 1 件3月9日 08:30 到期", f"{STREET}: accept, 1 due 2026-03-09 08:30"),
        # Several deadlines: the earliest.
        (
            [due(1, "03-03 08:30"), due(2, "03-02 16:00")],
            f"{STREET}：受理 2 件最早今日 16:00 到期",
            f"{STREET}: accept, 2 due from today 16:00",
        ),
        # What is overdue comes first.
        (
            [due(1, "03-02 16:00"), due(2, "03-01 16:00")],
            f"{STREET}：受理 1 件已超期，时限昨日 16:00；另 1 件",
            f"{STREET}: accept, 1 overdue, since yesterday 16:00; 1 more",
        ),
        # Places that differ: the lowest grid that contains them.
        (
            [due(1, "03-02 16:00"), due(2, "03-02 16:00", path=FOURTH)],
            "未央区：受理 2 件今日 16:00 到期",
            "未央区: accept, 2 due today 16:00",
        ),
        # A department that must act.
        (
            [due(1, "03-02 16:00", department="WY-GREEN")],
            f"{NAMES.department('WY-GREEN').name}：受理 1 件今日 16:00 到期",
            f"{NAMES.department('WY-GREEN').name}: accept, 1 due today 16:00",
        ),
        ([notice(1), notice(2, case=2)], "三号街道第1社区（示例）：交办 2 件", "三号街道第1社区（示例）: assigned, 2"),
        ([alert(1, "withdrawn", due=NOW)], f"{STREET}：受理告警已撤回 1 件", f"{STREET}: accept: alert withdrawn, 1"),
    ],
)
def test_the_subject_says_who_must_do_what_until_when(lines, zh, en):
    said = composed(*lines).subject
    assert (said.zh, said.en) == (zh, en)


def test_of_a_clock_of_a_case_what_was_told_last_has_the_line():
    lines = alert(1, rung="warn", due=NOW + HOUR, due_at=NOW), alert(2, due=NOW + HOUR), alert(3, "resolved", due=NOW)
    message = composed(*lines)
    assert [(line.what, line.kind) for line in message.lines] == [("resolved", "due")]
    assert (message.count, list(message.lines[0].ids)) == (1, [CHIEF])
    assert len(composed(*lines, whole=True).lines) == 3


def test_a_message_for_people_names_some_and_counts_all():
    message = composed(*(due(number, "03-02 16:00") for number in range(1, SHOWN + 6)))
    assert (len(message.lines), message.count) == (SHOWN, SHOWN + 5)
    assert message.subject.zh == f"{STREET}：受理 {SHOWN + 5} 件今日 16:00 到期"


def test_a_daily_line_counts_its_cases():
    _, line = notice(1, "daily")
    cases = {subject("WY03", number): "closed" for number in (1, 2, 3)}
    several = Line(**{name: getattr(line, name) for name in line.__struct_fields__} | {"cases": cases, "case": ""})
    message = composed((1, several))
    assert message.subject.zh.endswith("每日进展 3 件")
    assert (message.lines[0].number, message.lines[0].link) == ("", "")


def test_how_near_its_deadline_an_alert_is():
    assert severity_of(alert(1, due=NOW, due_at=NOW - 1)[1]) == "soon"
    assert severity_of(alert(1, due=NOW)[1]) == "due"
    assert severity_of(alert(1, due=NOW, due_at=NOW + 1)[1]) == "overdue"
    assert severity_of(notice(1)[1]) == ""


def test_another_year_is_said():
    assert when_words(NOW + 365 * 24 * HOUR, NOW, NAMES).zh == "2027年3月2日 09:00"

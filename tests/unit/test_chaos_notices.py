"""What the judge of a broken installation says of notices that were not told, told twice, or told to others."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from lab.chaos.notices import EARLY, INVENTED, MISSING, OTHERS, TWICE, wrong_notices
from schemas.facts import NoticeGiven
from schemas.messages import PublishedAlert

NOW, EVENING = 1_000_000, 900_000
GIVEN = {
    "a|assigned|1": NoticeGiven("assigned", ("X", "Y")),
    "b|check|4": NoticeGiven("check", ("X",), not_before=500_000),
    "b|ended|9": NoticeGiven("ended", ("X",), not_before=NOW + 1),
    "a|daily|2": NoticeGiven("moved", ("R",), EVENING, daily=True),
    "b|daily|2": NoticeGiven("moved", ("R",), EVENING, daily=True),
    "b|daily|5": NoticeGiven("check", ("R",), NOW + 1, daily=True),
}


def told(number: int, alert: str, *to: str, at: int = NOW, **more: object) -> PublishedAlert:
    """A line of the feed."""
    return PublishedAlert(
        id=f"{alert}|told",
        alert=alert,
        what="told",
        case="",
        kind="notice",
        clock="",
        level=0,
        path="/",
        category="",
        recipients={post: f"{alert}|told|{post}" for post in to},
        due_at=EVENING,
        raised_at=EVENING,
        epoch="1",
        number=number,
        told_at=at,
        **more,  # type: ignore[arg-type]
    )


DAILY = told(3, f"R|daily|incident|{EVENING}", "R", on="daily", cases={"a": "accepted", "b": "accepted"})
LINES = (told(1, "a|assigned|1", "X", "Y"), told(2, "b|check|4", "X"), DAILY)
NAMED = {"a|assigned|1": 1, "b|check|4": 2, "a|daily|2": 3, "b|daily|2": 3}


def wrong(lines: tuple[PublishedAlert, ...], **named: int) -> list[tuple[str, str]]:
    return list(wrong_notices(GIVEN, lines, NAMED | {name.replace("_", "|"): n for name, n in named.items()}, NOW))


def test_what_was_told_once_is_well_also_where_the_topic_has_it_again() -> None:
    assert wrong((*LINES, *LINES[:1])) == []


@pytest.mark.parametrize(
    ("lines", "what", "where"),
    [
        (LINES[1:], MISSING, "a|assigned|1"),
        ((*LINES, told(4, "a|assigned|1", "X", "Y")), TWICE, "a|assigned|1, lines [1, 4]"),
        ((told(1, "a|assigned|1", "X"), *LINES[1:]), OTHERS, "a|assigned|1"),
        ((LINES[0], told(2, "b|check|4", "X", at=499_999), DAILY), EARLY, "b|check|4"),
        ((*LINES, told(4, "c|assigned|1", "X")), INVENTED, "c|assigned|1"),
        ((*LINES[:2], replace(DAILY, cases={"a": "accepted"})), INVENTED, f"line 3, {DAILY.alert}"),
        ((*LINES[:2], replace(DAILY, cases={"c": "accepted", "a": "x"})), INVENTED, f"line 3, {DAILY.alert}"),
        ((*LINES, replace(DAILY, number=4)), TWICE, f"{DAILY.alert}, lines [3, 4]"),
    ],
)
def test_a_notice_that_is_not_told_as_it_was_given_is_found(
    lines: tuple[PublishedAlert, ...], what: str, where: str
) -> None:
    assert (what, where) in wrong(lines)


def test_what_waits_for_a_daily_line_is_missed_when_its_line_does_not_come() -> None:
    assert wrong(LINES[:2], a_daily_2=0, b_daily_2=0) == [(MISSING, "a|daily|2"), (MISSING, "b|daily|2")]
    # What was read after its hour's line had been told comes with the next one.
    one = (*LINES[:2], replace(DAILY, cases={"a": "accepted"}))
    assert wrong(one, b_daily_2=0) == []
    assert (MISSING, "b|daily|2") in wrong(one, b_daily_2=7)

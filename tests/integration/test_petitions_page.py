"""The page of petitions: in which order they stand, what was answered and how satisfied, and what is not told there.

In: what posts say in the last weeks under the sample pack. Out: the page as two streets and the district see it.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterator
from datetime import date, datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from click.testing import CliRunner

from consumers.performance import consume
from engine.clock import now_ms
from engine.runtime import Engine
from engine.views import petitions
from engine.views.year_before import back
from gridpatrol.cli import main
from schemas.derived_ids import petitioned_subject
from schemas.short_numbers import short_number
from tests.integration.test_console import HTML, Page, as_post, browser, close_browsers, get
from tests.integration.test_door import problem
from tests.support.builders import HOUR, STREET, event, subject
from tests.support.serving import Served, prepared, served, tell

__all__ = ["close_browsers"]
NOW = now_ms()
"""When these tests began: a midnight that passes changes nothing."""
ZONE = ZoneInfo("Asia/Shanghai")
HOTLINE, DAY = "WY-12345", 24 * HOUR
LATE, USUAL, MESSAGE, AGAIN, OVER, ABROAD, EARLIER = (subject("WY01", number) for number in range(201, 208))
SEALED = "住在一号楼的人"


def say(engine: Engine, kind: str, by: str, then: int, case: str, **data: Any) -> None:
    """Say something that is taken."""
    said = event(kind, by, then, case=case, id=f"{case[-4:]}{kind}{then}", **data)
    assert tell(engine, said, then) == "done", (kind, case)


def take(engine: Engine, id_: str, then: int, via: str = "", grid: str = "WY01-01") -> None:
    """Take one in, by telephone or by a source of messages."""
    way = {"channel": "online", "via": via} if via else {"channel": "phone"}
    words = {"description": SEALED, "address": SEALED, "name": SEALED, "contact": SEALED}
    say(engine, "petition.submitted", HOTLINE, then, id_, category="D3-01", grid=grid, **way, **words)


def answered(engine: Engine, id_: str, then: int, outcome: str) -> None:
    """Take one on, answer it, and ask afterwards."""
    say(engine, "petition.accepted", STREET, then, id_)
    say(engine, "petition.answered", STREET, then + HOUR, id_, found="partly", answer=SEALED)
    say(engine, "petition.revisited", HOTLINE, then + 2 * HOUR, id_, outcome=outcome)


@pytest.fixture(scope="module")
def door(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A door on petitions of a street: one that is late, one of a leader's lane, one that is to be answered again, one
    that is over, and one whose work is done in another street."""
    url = f"sqlite:///{tmp_path_factory.mktemp('petitions') / 'gridpatrol.db'}"
    with prepared(url, active_days=500) as engine:
        now, engine.consumers = NOW, [consume.consume, *engine.consumers]
        last_year = year_earlier(now - 40 * DAY)
        take(engine, EARLIER, last_year)
        say(engine, "petition.rejected", STREET, last_year + 1, EARLIER, reason="out_of_scope")
        begun = [(LATE, 40 * DAY), (USUAL, 5 * DAY), (MESSAGE, HOUR), (AGAIN, 4 * DAY), (OVER, 3 * DAY), (ABROAD, DAY)]
        for id_, ago in begun:
            take(
                engine,
                id_,
                now - ago,
                "message-board" if id_ == MESSAGE else "",
                "WY02-01" if id_ == ABROAD else "WY01-01",
            )
        answered(engine, AGAIN, now - 4 * DAY + HOUR, "dissatisfied")
        answered(engine, OVER, now - 3 * DAY + HOUR, "satisfied")
        say(engine, "petition.ended", HOTLINE, now - 2 * DAY, OVER)
        say(engine, "petition.accepted", STREET, now - HOUR, ABROAD)
        engine.drain()
        with served(engine) as running:
            yield running


def year_earlier(then: int) -> int:
    """Noon of the same local day of the year before, in ms."""
    day = back(datetime.fromtimestamp(then / 1000, ZONE).date(), end=False)
    return int(datetime(day.year, day.month, day.day, 12, tzinfo=ZONE).timestamp() * 1000)


def order_of(page: Page) -> list[str]:
    """The petitions of a page, from above."""
    return re.findall(r'<td class="name"><a href="/cases/([^"]+)"', page.text)


@pytest.mark.mechanism("M76", "M126")
def test_a_leaders_lane_stands_first_and_what_is_late_is_counted(door: Served) -> None:
    page = get(as_post(door, STREET), "/petitions")
    assert order_of(page) == [MESSAGE, LATE, USUAL, AGAIN, ABROAD]
    assert "在办 5 件" in page.text and "已超期 1 件" in page.text and "对答复不满意 1 件" in page.text
    assert "按领导批示办理" in page.text and "优先级 2" in page.text and "网民留言" in page.text
    district = get(as_post(door, "WY-CHIEF"), "/petitions?lang=en")
    assert order_of(district) == order_of(page) and "Open: 5" in district.text
    assert (
        "1 overdue" in district.text
        and "1 not satisfied with the answer" in district.text
        and "partly true" in district.text
    )


def test_an_ended_one_says_how_satisfied_who_asked_is(door: Served) -> None:
    page = get(as_post(door, STREET), "/petitions?ended=true")
    assert order_of(page) == [OVER, EARLIER] and "已结束 2 件" in page.text and "不满意" not in page.text
    assert "部分属实" in page.text and "满意" in page.text


@pytest.mark.mechanism("M76")
def test_what_came_in_stands_beside_the_year_before_and_opens_into_its_cases(door: Served) -> None:
    asked = datetime.fromtimestamp((NOW - 40 * DAY) / 1000, ZONE).date()
    client = as_post(door, STREET)
    page = get(client, f"/petitions?period=day&day={asked}&lang=en")
    before = back(asked, end=False)
    assert f"The year before ({before} to {before})" in page.text
    rows = dict(re.findall(r"<tr><td>([^<]+)</td>(.*?)</tr>", page.text))
    row = rows["petitions taken in"]
    now, then = (html.unescape(address) for address in re.findall(r'href="([^"]+)"', row))
    assert re.findall(r">([+-]?\d+)<", row) == ["1", "1", "+0"]
    opened = [get(client, address).text for address in (now, then)]
    assert [[id_ in text for id_ in (LATE, EARLIER)] for text in opened] == [[True, False], [False, True]]
    assert "同比" in get(client, f"/petitions?period=day&day={asked}&lang=zh").text
    told = door.get("/v1/performance", definition="petition", period="day", day=str(asked), beside="year_before")
    found = told["year_before"]
    assert (found["since"], found["until"], found["until_now"]) == (str(before), str(before), str(asked))
    [change] = found["changes"]
    assert change["counts"]["taken_in"] == 0 and change["counts"]["rejected"] == -1
    shown = ["performance", "show", "--definition", "petition", "--period", "day", "--day", str(asked)]
    for beside, status in (("year_before", 0), ("month_before", 2)):
        words = [*shown, "--beside", beside, "--database"]
        printed = CliRunner().invoke(main, [*words, str(door.engine.settings.database)])
        assert printed.exit_code == status and (status or f"beside {before} to {before}" in printed.output)
    wrong = door.client.get("/v1/performance", params={"period": "all", "beside": "year_before"})
    assert problem(wrong, 400)["field"] == "beside"


@pytest.mark.parametrize(
    ("day", "end", "before"),
    [("2024-02-29", True, "2023-02-28"), ("2025-02-28", True, "2024-02-29"), ("2025-02-28", False, "2024-02-28")],
)
def test_a_february_is_compared_with_a_whole_one(day: str, end: bool, before: str) -> None:
    assert back(date.fromisoformat(day), end=end) == date.fromisoformat(before)


def test_the_work_is_linked_for_who_reads_it_alone(door: Served) -> None:
    work = petitioned_subject(ABROAD, "WY02")
    district, street = (get(as_post(door, post), "/petitions").text for post in ("WY-CHIEF", STREET))
    assert f'href="/cases/{work}"' in district and "不在您的查看范围内" not in district
    assert work not in street and short_number(work) not in street and "不在您的查看范围内" in street
    assert petitioned_subject(AGAIN, "WY01") in street
    other = get(as_post(door, "WY02-CHIEF"), "/petitions").text
    assert "没有在办的信访件" in other and LATE not in other


def test_nothing_that_was_written_and_nobody_who_asked_stands_on_the_page(door: Served) -> None:
    for client in (browser(door), as_post(door, STREET), as_post(door, HOTLINE)):
        for path in ("/petitions", "/petitions?ended=true"):
            assert SEALED not in get(client, path).text


def test_pages_go_on_where_the_one_before_ended(door: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    client, path, seen = as_post(door, STREET), "/petitions", list[str]()
    monkeypatch.setattr(petitions, "PAGE", 2)
    while path:
        page = get(client, path)
        assert "在办 5 件" in page.text and len(order_of(page)) <= 2
        seen += order_of(page)
        path = next(map(html.unescape, re.findall(r'rel="next" href="([^"]+)"', page.text)), "")
    assert seen == [MESSAGE, LATE, USUAL, AGAIN, ABROAD]
    monkeypatch.setattr(petitions, "MOST", 3)
    assert "在办 3+ 件" in get(client, "/petitions").text
    for foreign in ("/petitions?cursor=WzFd", "/petitions?ended=true&cursor=WzFd"):
        assert client.get(foreign, headers=HTML).status_code == 400

"""The overdue desk and one case in full, over HTTP, on each database.

The door and what has happened in its city are those of `test_door`.
"""

from __future__ import annotations

import base64
import csv
import io
import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlencode

import openpyxl
import pytest

from consumers.performance.consume import consume
from engine.clock import now_ms
from engine.views.incident_detail import allowed
from schemas.events import EVENT_TYPES
from schemas.short_numbers import short_number, spoken
from tests.integration.test_door import (
    ACCEPTED,
    ELSEWHERE,
    FRESH,
    LATE,
    PAUSED,
    REJECTED,
    UNBORN,
    door,
    problem,
    url,
)
from tests.support.builders import DAY, HOTLINE, instant, weiyang
from tests.support.serving import Served
from workflows.case import Case
from workflows.definitions.incident import INCIDENT

__all__ = ["door", "url"]


# ---- the overdue desk ---------------------------------------------------------------------------------------


def ids(page: dict[str, Any]) -> list[str]:
    """The cases of a page."""
    return [item["id"] for item in page["incidents"]]


def test_the_desk_shows_what_is_late_longest_first(door: Served) -> None:
    page = door.get("/v1/incidents", overdue="true")
    assert set(ids(page)) == {LATE, ACCEPTED, ELSEWHERE}
    dues = [item["due_at"] for item in page["incidents"]]
    assert dues == sorted(dues)
    assert all(item["overdue"] and item["overdue_ms"] > 10 * DAY for item in page["incidents"])


def test_a_line_names_its_codes_and_carries_its_clocks(door: Served) -> None:
    [line] = [item for item in door.get("/v1/incidents", overdue="true")["incidents"] if item["id"] == ACCEPTED]
    assert (line["state"], line["state_zh"]) == ("accepted", "受理")
    assert line["owner"]["grid"]["code"] == "WY01" and line["owner"]["level"] == 3
    street = {"code": "WY01", "name": weiyang().grids["WY01"].name}
    assert line["holder"] == {"grid": street, "level": 3, "department": None, "post": None}
    assert [grid["code"] for grid in line["path"]] == ["XA", "WY", "WY01", "WY01-01"]
    assert line["category"]["name_zh"] and line["category"]["group"] == "dust"
    assert {clock["name"] for clock in line["clocks"]} == {"handle", "total"}
    for name in ("opened_at", "due_at"):
        assert line[name].endswith("+08:00")
    assert line["closed_at"] is None


def test_a_grid_means_its_whole_subtree_and_nothing_that_only_begins_alike(door: Served) -> None:
    assert set(ids(door.get("/v1/incidents", overdue="true", grid="WY01"))) == {LATE, ACCEPTED}
    assert set(ids(door.get("/v1/incidents", overdue="true", grid="WY"))) == {LATE, ACCEPTED, ELSEWHERE}
    assert ids(door.get("/v1/incidents", overdue="true", grid="WY02-02")) == []


def test_a_clock_asks_about_that_clock(door: Served) -> None:
    assert ids(door.get("/v1/incidents", overdue="true", clock="handle")) == [ACCEPTED]
    assert LATE in ids(door.get("/v1/incidents", overdue="true", clock="accept"))
    # A suspended case's clocks stand still, but for the total one.
    assert PAUSED not in ids(door.get("/v1/incidents", clock="accept", limit=500))
    assert PAUSED in ids(door.get("/v1/incidents", clock="total", limit=500))


def test_owner_state_category_and_group_narrow_the_desk(door: Served) -> None:
    assert set(ids(door.get("/v1/incidents", owner="WY01"))) == {LATE, ACCEPTED, FRESH, PAUSED}
    assert ids(door.get("/v1/incidents", owner="WY01", state="accepted,suspended", sort="id")) == [ACCEPTED, PAUSED]
    assert ids(door.get("/v1/incidents", owner="WY01", category="D3-01")) == []
    assert ids(door.get("/v1/incidents", owner="WY01", group="dust", state="accepted")) == [ACCEPTED]


def test_due_before_takes_an_instant_with_a_zone_even_unescaped(door: Served) -> None:
    text = instant(now_ms() - 10 * DAY)
    assert set(ids(door.get("/v1/incidents", due_before=text))) == {LATE, ACCEPTED, ELSEWHERE}
    raw = door.client.get(f"/v1/incidents?due_before={text}")  # the + arrives as a blank
    assert set(ids(raw.json())) == {LATE, ACCEPTED, ELSEWHERE}


def test_what_is_over_is_shown_where_it_is_asked_for(door: Served) -> None:
    assert REJECTED not in ids(door.get("/v1/incidents", grid="WY01"))
    [line] = door.get("/v1/incidents", grid="WY01", open="false")["incidents"]
    assert line["id"] == REJECTED and line["closed_at"] and not line["open"] and not line["overdue"]
    assert {REJECTED, LATE} <= set(ids(door.get("/v1/incidents", grid="WY01", open="all")))


def test_a_state_in_which_cases_are_over_is_found_without_asking_for_closed_ones(door: Served) -> None:
    assert ids(door.get("/v1/incidents", grid="WY01", state="rejected")) == [REJECTED]
    assert ids(door.get("/v1/incidents", grid="WY01", state="rejected", open="false")) == [REJECTED]
    assert set(ids(door.get("/v1/incidents", grid="WY01", state="rejected,accepted"))) == {REJECTED, ACCEPTED}
    assert ids(door.get("/v1/incidents", grid="WY01", state="accepted,rejected", open="false")) == [REJECTED]
    assert ids(door.get("/v1/incidents", grid="WY01", state="closed,withdrawn")) == []


@pytest.mark.parametrize("sort", ["due_at", "-due_at", "opened_at", "-opened_at", "id", "-id"])
def test_pages_follow_each_other_without_a_gap_and_without_repeating(door: Served, sort) -> None:
    whole = door.get("/v1/incidents", open="all", sort=sort, limit=500, grid="WY01")["incidents"]
    assert len(whole) == 5
    found: list[Any] = []
    cursor: str | None = ""
    while cursor is not None:
        page = door.get("/v1/incidents", open="all", sort=sort, limit=2, grid="WY01", cursor=cursor)
        found += page["incidents"]
        cursor = page["next"]
    assert [item["id"] for item in found] == [item["id"] for item in whole]
    keys = [item[sort.removeprefix("-")] for item in whole]
    held = [key for key in keys if key is not None]
    assert held == sorted(held, reverse=sort.startswith("-"))
    assert keys[: len(held)] == held  # those without a deadline come last, whichever way


def test_a_cursor_of_another_order_is_refused(door: Served) -> None:
    cursor = door.get("/v1/incidents", sort="opened_at", limit=1)["next"]
    problem(door.client.get("/v1/incidents", params={"sort": "due_at", "cursor": cursor}), 400)


@pytest.mark.parametrize(
    ("sort", "members"),
    [
        ("due_at", ["due_at", 10**18, "a"]),
        ("due_at", ["due_at", 10**23, "a"]),
        ("due_at", ["due_at", 1, "a\0"]),
        ("due_at", ["due_at", True, "a"]),
        ("due_at", ["due_at", 1, 2]),
        ("due_at", ["due_at", "1", "a"]),
        ("due_at", ["due_at", 1]),
        ("due_at", {"a": 1}),
        ("opened_at", ["opened_at", -(10**18), "a"]),
        ("id", ["id", 7, "a"]),
        ("-id", ["-id", "a\0", "a"]),
        ("id", ["id", "\ud800", "a"]),
        ("opened_at", []),
    ],
)
def test_a_cursor_that_fits_no_column_is_refused_with_the_remedy(door: Served, sort: str, members: Any) -> None:
    cursor = base64.urlsafe_b64encode(json.dumps(members).encode()).decode().rstrip("=")
    body = problem(door.client.get("/v1/incidents", params={"sort": sort, "cursor": cursor}), 400)
    assert (body["field"], body["remedy"]) == ("cursor", "begin again without a cursor")


# ---- one case in full ---------------------------------------------------------------------------------------


def test_a_case_shows_who_has_it_what_its_clocks_say_and_what_may_be_said_next(door: Served) -> None:
    case = door.get(f"/v1/incidents/{ACCEPTED}")
    assert (case["state"], case["owner"]["grid"]["code"]) == ("accepted", "WY01")
    assert case["reported_by"]["code"] == HOTLINE
    assert case["holder"]["grid"] == case["owner"]["grid"]
    assert door.get(f"/v1/incidents/{REJECTED}")["holder"] is None
    handle, total = sorted(case["clocks"], key=lambda clock: clock["name"])
    assert (handle["name"], total["name"]) == ("handle", "total")
    assert handle["overdue"] and handle["limit_zh"] and handle["limit_en"]
    left = handle["remaining"]
    assert left["ms"] < 0 and left["wall_ms"] < -10 * DAY
    assert left["zh"].startswith("超期") and left["en"].endswith("overdue")
    allowed_now = {row["trigger"]: row for row in case["allowed"]}
    assert set(allowed_now) == set(INCIDENT.triggers("accepted"))
    assert {row["role"] for row in allowed_now["handling.completed"]["by"]} >= {"chief", "handler"}
    assert allowed_now["handling.completed"]["type"] in EVENT_TYPES


def test_whatever_a_state_takes_is_named_by_a_type_that_can_be_sent(door: Served) -> None:
    for state in INCIDENT.states:
        for row in allowed(Case(id=LATE, definition="incident", state=state), weiyang()):
            assert row.type in EVENT_TYPES


def test_a_paused_clock_keeps_what_is_left_and_says_since_when(door: Served) -> None:
    case = door.get(f"/v1/incidents/{PAUSED}")
    clocks = {clock["name"]: clock for clock in case["clocks"]}
    accept = clocks["accept"]
    assert accept["paused"] and accept["paused_at"] and not accept["overdue"]
    assert accept["remaining"]["wall_ms"] is None and accept["remaining"]["ms"] >= 0
    assert not clocks["total"]["paused"]
    assert (case["state"], case["suspended_from"]) == ("suspended", "reported")


def test_the_history_begins_with_the_report_and_has_no_gap(door: Served) -> None:
    case = door.get(f"/v1/incidents/{ACCEPTED}")
    history = case["history"]
    assert [step["seq"] for step in history] == list(range(1, case["seq"] + 1))
    assert history[0]["cause"]["type"] == "gridpatrol.report.submitted.v1"
    assert history[0]["cause"]["id"] == f"{ACCEPTED}.r"
    assert history[0]["facts"][0]["fact"] == "incident.reported"
    rung = next(fact for step in history for fact in step["facts"] if fact["fact"] == "clock.rung")
    assert rung["due_at"].endswith("+08:00")
    assert "alert.raised" in {fact["fact"] for step in history for fact in step["facts"]}


def test_no_instant_is_a_number(door: Served) -> None:
    def numbers(value: Any) -> Iterator[int]:
        if isinstance(value, dict):
            for name, member in value.items():
                if not name.endswith("ms") and name not in ("elapsed", "consumed"):
                    yield from numbers(member)
        elif isinstance(value, list):
            for item in value:
                yield from numbers(item)
        elif isinstance(value, int):
            yield value

    for id_ in (LATE, ACCEPTED, PAUSED, REJECTED, UNBORN):
        assert all(abs(number) < 10**11 for number in numbers(door.get(f"/v1/incidents/{id_}")))


def test_a_case_whose_report_has_not_come_shows_what_waits_for_it(door: Served) -> None:
    case = door.get(f"/v1/incidents/{UNBORN}")
    assert (case["state"], case["opened_at"], case["owner"], case["category"]) == ("awaited", None, None, None)
    assert case["holder"] is None
    [waiting] = case["parked"]
    assert waiting["waits_for"] == ["gridpatrol.report.submitted.v1"]
    assert (waiting["id"], waiting["type"]) == ("early", "gridpatrol.incident.accepted.v1")
    assert [row["trigger"] for row in case["allowed"]] == ["report.submitted"]
    [parked] = [fact for step in case["history"] for fact in step["facts"] if fact["fact"] == "incident.parked"]
    assert "event" not in parked


# ---- for a spreadsheet --------------------------------------------------------------------------------------


def rows_of(text: str) -> list[dict[str, str]]:
    """CSV as a spreadsheet opens it."""
    assert text.startswith("\ufeff")
    return list(csv.DictReader(io.StringIO(text[1:], newline="")))


def test_a_listing_is_csv_for_whoever_likes_it_better_and_links_to_its_next_page(door: Served) -> None:
    asked = {"open": "all", "sort": "id", "limit": "2"}
    whole = ids(door.get("/v1/incidents", open="all", sort="id"))
    found, there = list[str](), f"/v1/incidents?{urlencode(asked)}"
    while there:
        page = door.client.get(there, headers={"Accept": "text/csv, application/json;q=0.5"})
        assert page.headers["content-type"].startswith("text/csv; charset=utf-8")
        assert page.headers["vary"].startswith("Accept") and "incidents.csv" in page.headers["content-disposition"]
        found += [row["id"] for row in rows_of(page.content.decode())]
        there = page.links.get("next", {}).get("url", "")
    assert found == whole and len(found) > 2
    plain = door.client.get("/v1/incidents", params=asked, headers={"Accept": "*/*"})
    assert plain.headers["content-type"].startswith("application/json") and "Accept" in plain.headers["vary"].split(
        ", "
    )


@pytest.mark.parametrize("route", ["/v1/alerts", "/v1/notices", "/v1/duties", "/v1/performance?by=grid&period=all"])
def test_each_listing_of_the_door_is_csv_where_it_is_asked_for(door: Served, route: str) -> None:
    page = door.client.get(route, headers={"Accept": "text/csv"})
    assert page.status_code == 200 and page.headers["content-type"].startswith("text/csv")
    rows_of(page.content.decode())
    refused = door.client.get(f"{route.partition('?')[0]}?grid=NOWHERE", headers={"Accept": "text/csv"})
    assert refused.status_code == 400 and refused.headers["content-type"] == "application/problem+json"


def test_a_case_is_found_by_the_number_that_the_caller_says(door: Served) -> None:
    number = short_number(ACCEPTED)
    [line] = door.get("/v1/incidents", search=spoken(number))["incidents"]
    assert (line["id"], line["short_number"], line["reference"]) == (ACCEPTED, number, "")
    wrong = number[:-1] + str((int(number[-1]) + 1) % 10)
    refused = problem(door.client.get("/v1/incidents", params={"search": wrong}), 400)
    assert refused["field"] == "search" and "misheard" in refused["detail"]


# ---- as of an instant ---------------------------------------------------------------------------------------


def test_the_list_as_of_an_instant_says_so_and_one_to_come_is_refused_with_its_field(door: Served) -> None:
    now = now_ms()
    page = door.get("/v1/incidents", at=instant(now), limit=100)
    assert (page["reading"], page["remark"]) == ("as_known_then", "") and page["as_of"]
    known = door.get("/v1/incidents", limit=100)
    assert known["reading"] == "now"
    assert ids(page) == [item["id"] for item in known["incidents"] if item["state"] != "awaited"]
    early = door.get("/v1/incidents", at="2015-07-03T17:00:00-04:00")
    assert early["incidents"] == [] and early["remark"].startswith("nothing had arrived by then")
    for route in ("/v1/incidents", f"/v1/incidents/{LATE}", "/v1/performance"):
        answer = door.client.get(route, params={"at": instant(now + DAY)})
        assert (answer.status_code, answer.json()["field"]) == (400, "at"), route
        assert answer.json()["remedy"]
    shown = door.get(f"/v1/incidents/{LATE}", at=instant(now))
    assert (shown["reading"], shown["id"], len(shown["history"]) > 0) == ("as_known_then", LATE, True)


# ---- figures, the cases behind them, and the ledger ---------------------------------------------------------


def folded(door: Served) -> None:
    """Let the figures have what the log has."""
    while consume(door.engine.database):
        pass


def test_figures_open_into_their_cases_and_rows_are_ranked_over_http(door: Served) -> None:
    folded(door)
    page = door.get("/v1/performance", by="grid", level="3", period="all", rank="overdue")
    assert page["ranking"]["measure"]["better"] == "lower" and page["ranking"]["order"] == "asc"
    values = [row["rank"]["value"] for row in page["rows"] if row["rank"]["place"] is not None]
    assert values == sorted(values) and values
    meanings = {each["name"]: each for each in page["definitions"]}
    assert {"overdue", "on_time_rate", "median_ms"} <= meanings.keys() and meanings["overdue"]["zh"] == "逾期"
    assert {name for row in page["rows"] for name in row["counts"]} <= meanings.keys()
    for row in page["rows"]:
        asked = {"measure": "overdue", "unit": row["key"], "by": "grid", "level": "3", "period": "all"}
        opened = door.get("/v1/performance/cases", **asked, limit=1)
        assert (opened["value"], len(opened["cases"])) == (row["counts"].get("overdue", 0), bool(opened["value"]))
    refused = problem(door.client.get("/v1/performance/cases", params={"measure": "nothing"}), 400)
    assert refused["field"] == "measure" and refused["remedy"]
    assert problem(door.client.get("/v1/performance", params={"rank": "overdue"}), 400)["field"] == "rank"
    assert problem(door.client.get("/v1/performance", params={"order": "asc"}), 400)["field"] == "order"


def test_the_cases_behind_a_figure_are_csv_where_that_is_asked_for(door: Served) -> None:
    folded(door)
    asked = {"measure": "reported", "period": "all", "limit": "2"}
    page = door.client.get("/v1/performance/cases", params=asked, headers={"Accept": "text/csv"})
    lines = rows_of(page.content.decode())
    assert len(lines) == 2 and lines[0]["value"] == "1" and lines[0]["case_id"] == lines[0]["id"]
    assert "next" in page.links


def test_a_case_says_who_held_it_and_how_late_its_clocks_are(door: Served) -> None:
    shown = door.get(f"/v1/incidents/{ACCEPTED}")
    assert [span["held_until"] for span in shown["holders"]][-1] is None
    assert shown["holders"][-1]["unit"]["grid"]["code"] == "WY01"
    assert {clock["name"] for span in shown["holders"] for clock in span["clocks"]} >= {"handle", "total"}
    for clock in shown["clocks"]:
        assert clock["late_by_ms"] > 0 and clock["consumed_ms"] >= clock["late_by_ms"], clock
    assert {outcome["result"] for outcome in shown["outcomes"]} <= {"on_time", "overdue", "passed_on", "void"}


def test_a_unit_is_asked_for_what_it_holds_or_is_the_owner_of(door: Served) -> None:
    found = ids(door.get("/v1/incidents", unit="WY01", limit=100))
    assert ACCEPTED in found
    assert set(ids(door.get("/v1/incidents", holder="WY01", limit=100))) <= {*found}
    assert set(ids(door.get("/v1/incidents", unit="WY01-CHIEF", limit=100))) >= {*found}
    refused = problem(door.client.get("/v1/incidents", params={"unit": "NOWHERE"}), 400)
    assert refused["field"] == "unit"


@pytest.mark.mechanism("M48")
def test_the_ledger_is_a_file_of_what_was_reported(door: Served) -> None:
    answer = door.client.get("/v1/ledger.csv", params={"period": "all", "grid": "WY"})
    assert answer.status_code == 200 and answer.headers["content-type"].startswith("text/csv")
    lines = rows_of(answer.content.decode())
    assert {line["标识 id"] for line in lines} >= {LATE, ACCEPTED, ELSEWHERE}
    [late] = [line for line in lines if line["标识 id"] == ACCEPTED]
    assert late["编号 number"] == spoken(short_number(ACCEPTED)) and late["结果 result"] == "在办已超期 open, overdue"
    assert weiyang().grids["WY01"].name in late["经手 holders"]
    book = door.client.get("/v1/ledger.xlsx", params={"period": "all", "grid": "WY"})
    assert book.headers["content-disposition"] == 'attachment; filename="ledger-all.xlsx"'
    sheet = openpyxl.load_workbook(io.BytesIO(book.content))["网格事件"]
    assert {row[-1].value for row in sheet.iter_rows(min_row=3)} == {line["标识 id"] for line in lines}
    for route in ("/v1/ledger.csv", "/v1/ledger.xlsx"):
        assert problem(door.client.get(route, params={"grid": "NOWHERE"}), 400)["field"] == "grid"

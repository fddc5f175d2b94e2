"""Alerts and their feed, over HTTP, on each database.

The door and what has happened in its city are those of `test_door`.
"""

from __future__ import annotations

import base64
import json
import socket
from typing import Any
from urllib.parse import urlsplit

import httpx
import msgspec
import pytest

from engine.clock import now_ms
from engine.http import alerts
from engine.views.alerts import place_in_feed
from tests.integration.test_door import ACCEPTED, ELSEWHERE, door, problem, report, url
from tests.support.builders import DAY, HOTLINE, LEAF, STREET, event, instant, subject
from tests.support.serving import CLOUDEVENT, Served, wait_until

__all__ = ["door", "url"]


# ---- alerts -------------------------------------------------------------------------------------------------


def test_alerts_are_listed_the_latest_first_page_by_page(door: Served) -> None:
    wait_until(lambda: door.get("/v1/alerts", case=ACCEPTED)["alerts"])
    whole = door.get("/v1/alerts", grid="WY01")["alerts"]
    assert [a["raised_at"] for a in whole] == sorted((a["raised_at"] for a in whole), reverse=True)
    found: list[Any] = []
    cursor: str | None = ""
    while cursor is not None:
        page = door.get("/v1/alerts", grid="WY01", limit=2, cursor=cursor)
        found += page["alerts"]
        cursor = page["next"]
    assert [a["id"] for a in found] == [a["id"] for a in whole]
    due = next(a for a in whole if a["case"] == ACCEPTED and a["kind"] == "due" and a["clock"] == "handle")
    assert due["recipients"] and all(post["name"] for post in due["recipients"])
    assert due["deadline"].endswith("+08:00") and due["path"][2]["code"] == "WY01"


def test_alerts_are_narrowed_by_status_subtree_and_instant(door: Served) -> None:
    wait_until(lambda: door.get("/v1/alerts", case=ELSEWHERE)["alerts"])
    assert {a["status"] for a in door.get("/v1/alerts", status="firing")["alerts"]} == {"firing"}
    assert {a["case"] for a in door.get("/v1/alerts", grid="WY02")["alerts"]} == {ELSEWHERE}
    due = door.get("/v1/alerts", rung="due", clock="handle")["alerts"]
    assert {(a["kind"], a["clock"]) for a in due} == {("due", "handle")} and ACCEPTED in {a["case"] for a in due}
    assert door.get("/v1/alerts", since=instant(now_ms() + DAY))["alerts"] == []


def lines(door: Served, last: str = "", count: int = 1, **query: str) -> list[dict[str, str]]:
    """The first so many events of a stream, each as its fields."""
    found: list[dict[str, str]] = []
    fields: dict[str, str] = {}
    headers = {"Last-Event-ID": last} if last else {}
    with door.client.stream("GET", "/v1/alerts/stream", params=query, headers=headers) as answer:
        if answer.status_code != 200:
            return []
        assert answer.headers["content-type"].startswith("text/event-stream")
        for line in answer.iter_lines():
            name, _, value = line.partition(":")
            if name:
                fields[name] = value.removeprefix(" ")
            elif not line:
                if "data" in fields:
                    found.append(fields)
                fields = {}
            if len(found) == count:
                return found
    return found


def test_a_subscriber_of_another_epoch_is_told_so_and_hears_the_whole_one(door: Served) -> None:
    restarted, *sent = lines(door, last="gone-17", count=4)
    assert restarted["event"] == "restarted"
    numbers = [int(item["id"].rpartition("-")[2]) for item in sent]
    assert numbers == [1, 2, 3]
    body = msgspec.json.decode(sent[0]["data"])
    assert body["due_at"].endswith("+08:00") and body["why"] and body["recipients"]


def test_a_line_and_an_alert_have_names_beside_their_codes_and_a_sentence_in_both_languages(door: Served) -> None:
    _, *sent = lines(door, last="gone-17", count=4)
    for line in (msgspec.json.decode(item["data"]) for item in sent):
        assert set(line["names"]["recipients"]) == set(line["recipients"])
        assert not set(line["names"]["recipients"].values()) & set(line["recipients"])
        assert len(line["names"]["path"]) == line["path"].count("/") - 1
        assert line["sentence"]["zh"].endswith("。") and line["sentence"]["en"].endswith(".")
        assert line["names"]["path"][-1] in line["sentence"]["zh"]
    for alert in (*door.get("/v1/alerts")["alerts"], *door.get("/v1/notices")["notices"]):
        assert alert["path"][-1]["name"] in alert["sentence"]["zh"]
        assert alert["names"]["recipients"] == {post["code"]: post["name"] for post in alert["recipients"]}
        assert alert["names"]["path"] == [grid["name"] for grid in alert["path"]]
        # By day the street accepts what has warned it, by night nothing has.
        assert bool(alert["names"]["by"]) == bool(alert.get("ended_by")) and alert.get("acknowledged_by", []) == []


def test_a_case_s_history_has_the_names_of_its_codes(door: Served) -> None:
    case = door.get(f"/v1/incidents/{ACCEPTED}")
    names = case["names"]
    actors = {step["cause"]["actor"] for step in case["history"]} - {""}
    told = [post for step in case["history"] for fact in step["facts"] if "to" in fact for post in fact["to"]]
    assert actors | {*told, "XA", "WY", "WY01", LEAF} <= set(names) and STREET in told
    assert names[LEAF] == case["path"][-1]["name"] and not set(names) & set(names.values())


def test_a_subscriber_goes_on_after_the_last_line_that_it_heard(door: Served) -> None:
    _, first, second, third = lines(door, last="gone-1", count=4)
    assert lines(door, last=first["id"], count=3)[1:] == [second, third]
    assert lines(door, last_event_id=second["id"], count=2)[1:] == [third]


def test_a_subscriber_who_has_heard_nothing_yet_comes_back_to_where_the_stream_opened(door: Served) -> None:
    wait_until(lambda: door.get("/v1/alerts", case=ACCEPTED)["alerts"])
    [opened] = lines(door, grid="WY01")
    assert opened["event"] == "opened"
    epoch, number = opened["id"].split("-")
    assert json.loads(opened["data"]) == {"epoch": epoch, "number": int(number)}
    case = subject("WY01", 77)
    for said in (report(case, now_ms()), event("incident.urged", "WY-CHIEF", now_ms(), case=case, id=f"{case}.u")):
        assert door.post(said, Prefer="wait=5").json()["outcome"] == "done"
    again, line = lines(door, last=opened["id"], count=2, grid="WY01")
    assert (again["event"], again["id"], line["event"]) == ("opened", opened["id"], "alert")
    assert json.loads(line["data"])["case"] == case


@pytest.mark.parametrize("digits", ["9" * 5000, "9" * 23, "9" * 19, "9" * 18, "1000000", "-1", "+1", "１", ""])
def test_a_place_that_the_feed_never_had_is_answered_with_the_whole_epoch(door: Served, digits: str) -> None:
    wait_until(lambda: door.get("/v1/alerts", case=ACCEPTED)["alerts"])
    epoch = lines(door, last="gone-1", count=2)[1]["id"].rpartition("-")[0]
    for restarted, first in (
        lines(door, last_event_id=f"{epoch}-{digits}", count=2),
        lines(door, last=f"{epoch}-{digits if digits.isascii() else 'x'}", count=2),
    ):
        assert restarted["event"] == "restarted"
        assert first["id"] == f"{epoch}-1"


def test_the_place_of_the_last_line_is_no_reason_to_begin_again(door: Served) -> None:
    with door.engine.database.read() as connection:
        head = connection.exec_driver_sql("SELECT max(number) FROM deliveries").scalar_one()
    epoch = lines(door, last="gone-1", count=2)[1]["id"].rpartition("-")[0]
    with door.client.stream("GET", "/v1/alerts/stream", params={"last_event_id": f"{epoch}-{head}"}) as answer:
        rows = answer.iter_lines()
        assert [next(rows) for _ in range(3)] == ["retry: 2000", f"id: {epoch}-{head}", "event: opened"]
        assert place_in_feed(f"{epoch}-{head}", epoch, head) == head
        assert place_in_feed(f"{epoch}-{head + 1}", epoch, head) is None


def cursor_of(*members: object) -> str:
    """A cursor that a stranger made up."""
    return base64.urlsafe_b64encode(json.dumps(members).encode()).decode().rstrip("=")


@pytest.mark.parametrize(
    "cursor",
    [
        "x",
        "市",
        "=",
        "A" * 5000,
        cursor_of(),
        cursor_of("a", "b"),
        cursor_of(1),
        cursor_of(1, "a", 2),
        cursor_of(10**18, "a"),
        cursor_of(-(10**18), "a"),
        cursor_of(10**23, "a"),
        cursor_of(1.5, "a"),
        cursor_of(True, "a"),
        cursor_of(1, "a\0b"),
        cursor_of(1, "\ud800"),
        cursor_of(None, "a"),
        base64.urlsafe_b64encode(b"[" * 3000).decode(),
        base64.urlsafe_b64encode(b"[" + b"9" * 5000).decode(),
        base64.urlsafe_b64encode(b"[" + b"9" * 5000 + b',"a"]').decode(),
    ],
)
def test_a_cursor_that_this_list_never_handed_out_is_refused_with_the_remedy(door: Served, cursor: str) -> None:
    body = problem(door.client.get("/v1/alerts", params={"cursor": cursor}), 400)
    assert (body["field"], body["remedy"]) == ("cursor", "begin again without a cursor")


def test_a_subscriber_of_a_subtree_hears_of_nothing_else(door: Served) -> None:
    _, *sent = lines(door, last="gone-1", count=3, grid="WY02")
    assert {msgspec.json.decode(item["data"])["case"] for item in sent} == {ELSEWHERE}


def test_a_stream_tells_what_happens_while_it_is_open(door: Served) -> None:
    case = subject("WY06", 40)
    assert door.post(report(case, now_ms(), "WY06-01"), Prefer="wait=10").json()["outcome"] == "done"
    with door.client.stream("GET", "/v1/alerts/stream", params={"grid": "WY06"}) as answer:
        rows = answer.iter_lines()
        assert next(rows) == "retry: 2000"
        with httpx.Client(base_url=door.client.base_url) as other:
            urge = event("incident.urged", "WY-SUPERVISOR", now_ms(), case=case, id="urge")
            headers = CLOUDEVENT | {"Prefer": "wait=10"}
            answer = other.post("/v1/events", content=msgspec.json.encode(urge), headers=headers).json()
        assert answer["outcome"] == "done", answer
        data = next(line for line in rows if line.startswith(f'data: {{"id":"{case}|urged'))
    body = msgspec.json.decode(data.removeprefix("data:"))
    assert (body["case"], body["kind"], body["on"]) == (case, "notice", "urged")


def test_who_is_gone_makes_room_for_others(door: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(alerts, "SUBSCRIBERS", 2)
    first, second = subscribe(door), subscribe(door)
    answer = door.client.get("/v1/alerts/stream")
    assert problem(answer, 503)["remedy"] and answer.headers["retry-after"]
    first.close()
    wait_until(lambda: lines(door, last="gone-1"))
    second.close()


def subscribe(door: Served) -> socket.socket:
    """A subscriber that listens and never reads on."""
    at = urlsplit(str(door.client.base_url))
    connection = socket.create_connection((at.hostname or "", at.port or 0), timeout=10)
    connection.sendall(b"GET /v1/alerts/stream HTTP/1.1\r\nHost: localhost\r\n\r\n")
    received = b""
    while b"retry" not in received:
        received += connection.recv(4096)
    assert b"200 OK" in received
    return connection


def test_a_line_that_says_nothing_is_kept_open_by_comments(door: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(alerts, "HEARTBEAT_S", 0.1)
    with door.client.stream("GET", "/v1/alerts/stream", params={"grid": "WY12"}) as answer:
        rows = (row for row in answer.iter_lines() if row == ": still here")
        assert [next(rows) for _ in range(3)] == [": still here"] * 3


# ---- notices ------------------------------------------------------------------------------------------------


def test_notices_are_listed_by_post_move_and_case_page_by_page(door: Served) -> None:
    wait_until(lambda: door.get("/v1/notices", case=ACCEPTED)["notices"])
    (mine,) = door.get("/v1/notices", post=STREET, on="assigned", case=ACCEPTED)["notices"]
    assert (mine["on"], mine["told"], mine["daily"]) == ("assigned", True, False)
    assert STREET in [post["code"] for post in mine["recipients"]] and mine["path"][2]["code"] == "WY01"
    later = door.get("/v1/notices", case=ACCEPTED, post=HOTLINE)["notices"]
    assert [notice["daily"] for notice in later] == [True]
    assert {notice["case"] for notice in door.get("/v1/notices", grid="WY02")["notices"]} == {ELSEWHERE}
    whole = door.get("/v1/notices", grid="WY01")["notices"]
    first = door.get("/v1/notices", grid="WY01", limit=2)
    rest = door.get("/v1/notices", grid="WY01", cursor=first["next"])["notices"]
    assert [notice["id"] for notice in first["notices"] + rest] == [notice["id"] for notice in whole]


@pytest.mark.parametrize("query", [{"on": "pressed"}, {"definition": "duties"}, {"limit": 501}, {"cursor": "x"}])
def test_a_question_about_notices_that_has_no_answer_names_its_field(door: Served, query: dict[str, Any]) -> None:
    answer = door.client.get("/v1/notices", params=query)
    assert (answer.status_code, answer.json()["field"]) == (400, next(iter(query)))


def test_a_subscriber_may_hear_alerts_alone_notices_alone_or_what_a_post_is_told(door: Served) -> None:
    wait_until(lambda: door.get("/v1/alerts", case=ACCEPTED)["alerts"])

    def bodies(**query: str) -> list[dict[str, Any]]:
        return [json.loads(item["data"]) for item in lines(door, last="gone-1", count=3, **query)[1:]]

    assert all(line["kind"] == "notice" and line["on"] for line in bodies(kind="notice"))
    assert all(line["kind"] != "notice" for line in bodies(kind="alert"))
    assert all(STREET in line["recipients"] for line in bodies(post=STREET))
    answer = door.client.get("/v1/alerts/stream", params={"kind": "rumour"})
    assert (answer.status_code, answer.json()["field"]) == (400, "kind")

"""Quotas at the door: who is told to come again, what is kept, and that the others notice nothing.

In: a door with two senders and two readers of small quotas. Out: statuses, letters, streams that end.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import msgspec
import pytest

from engine.principals import digest_of, new_token
from engine.store import dead_letters
from gridpatrol.client import Server
from tests.integration.test_door import new, problem
from tests.integration.test_fairness import hanging
from tests.support.builders import HOTLINE
from tests.support.serving import Served, prepared, served, wait_until
from tests.support.settings_files import put_file, read_at_once

TOKENS = {name: new_token() for name in ("app", "neighbour", "screen", "other")}
FILE = f"""
[principal.app]
actors = ["{HOTLINE}"]
tokens = ["{digest_of(TOKENS["app"])}"]
events_per_s = 0.001
events_burst = 20
refused_per_s = 0.001
refused_burst = 5
batches = 1
parked = 2
[principal.neighbour]
actors = ["{HOTLINE}"]
tokens = ["{digest_of(TOKENS["neighbour"])}"]
[principal.screen]
reads = true
streams = 2
tokens = ["{digest_of(TOKENS["screen"])}"]
[principal.other]
reads = true
tokens = ["{digest_of(TOKENS["other"])}"]
"""
FEED = "/v1/alerts/stream"


def bearer(name: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {TOKENS[name]}"}


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    read_at_once(monkeypatch)
    return put_file(tmp_path / "principals.toml", FILE)


@pytest.fixture
def door(sqlite_url: str, file: Path) -> Iterator[Served]:
    with prepared(sqlite_url, principals=str(file)) as engine, served(engine) as running:
        yield running


def bad(number: int) -> dict[str, Any]:
    """An event of a type that nobody knows."""
    return new(number) | {"type": "gridpatrol.nothing.v1"}


def value(door: Served, sample: str) -> float:
    """A sample of the metrics page; 0 where it is not there."""
    found = [line for line in door.client.get("/metrics").text.splitlines() if line.startswith(f"{sample} ")]
    return float(found[0].rpartition(" ")[2]) if found else 0.0


def test_who_sends_more_than_it_may_is_told_when_to_come_again_and_the_neighbour_is_taken(door: Served) -> None:
    assert door.batch([new(n) for n in range(21)], **bearer("app")).status_code == 202
    answer = door.post(new(30), **bearer("app"))
    body = problem(answer, 429)
    assert (body["reason"], body["quota"]) == ("over_quota", "events_per_s")
    assert int(answer.headers["retry-after"]) > 1000 and "send the same again" in body["remedy"]
    assert problem(door.batch([bad(31)], **bearer("app")), 429)
    assert door.post(new(30), Prefer="wait=10", **bearer("neighbour")).json()["outcome"] == "done"
    with door.engine.database.read() as connection:
        assert dead_letters.listed(connection) == [], "what was not looked at is not kept"


def test_of_refused_events_so_many_are_kept_and_each_is_answered(door: Served) -> None:
    sent = [*(bad(n) for n in range(10)), new(1)]
    results = door.batch(sent, Prefer="wait=10", **bearer("app")).json()["results"]
    assert results[-1]["outcome"] == "done"
    assert [bool(item.get("dead_letter")) for item in results] == [True] * 5 + [False] * 6
    for item in results[:-1]:
        assert (item["status"], item["reason"], item["field"]) == ("rejected", "unknown_type", "type")
        assert ("was not kept" in item["detail"]) is ("dead_letter" not in item)
    body = problem(door.post(bad(11), **bearer("app")), 400)
    assert body["reason"] == "unknown_type" and "was not kept" in body["detail"] and "dead_letter" not in body
    with door.engine.database.read() as connection:
        assert len(dead_letters.listed(connection)) == 5
    assert problem(door.post(bad(12), **bearer("neighbour")), 400)["dead_letter"]
    assert value(door, 'gridpatrol_refused_total{kept="yes",reason="unknown_type"}') == 6
    assert value(door, 'gridpatrol_refused_total{kept="no",reason="unknown_type"}') == 6


def test_early_events_find_a_place_up_to_the_quota_and_the_neighbour_s_find_theirs(door: Served) -> None:
    early = [new(n) | {"type": "gridpatrol.comment.added.v1", "data": {}} for n in range(4)]
    results = door.batch(early[:3], Prefer="wait=10; parked=0", **bearer("app")).json()["results"]
    assert [item["outcome"] for item in results] == ["parked", "parked", "refused"]
    assert (results[2]["reason"], results[2]["field"]) == ("over_limit", "subject")
    assert "send what they wait for, then this one again" in results[2]["detail"]
    body = door.post(early[3], Prefer="wait=10; parked=0", **bearer("neighbour")).json()
    assert body["outcome"] == "parked"
    report = door.post(new(0) | {"id": "report"}, Prefer="wait=10", **bearer("app")).json()
    assert report["outcome"] == "done"
    again = door.post(early[2], Prefer="wait=10; parked=0", **bearer("app")).json()
    assert again["outcome"] == "parked", "there is a place now"


def test_a_second_batch_waits_for_the_first_and_single_events_do_not(door: Served, file: Path) -> None:
    put_file(file, FILE.replace("events_burst = 20", "events_burst = 2000"))
    _, go_on = hanging(door.writer)
    answers: list[int] = []
    first = threading.Thread(target=lambda: answers.append(door.batch([new(1)], **bearer("app")).status_code))
    first.start()
    with ExitStack() as stack:
        stack.callback(first.join)
        stack.callback(go_on.set)
        wait_until(lambda: value(door, "gridpatrol_queue_events"))
        body = problem(door.batch([new(2)], **bearer("app")), 429)
        assert body["quota"] == "batches"
    assert answers == [202]
    assert door.batch([new(2)], **bearer("app")).status_code == 202


def test_publish_waits_for_its_turn(door: Served, file: Path) -> None:
    put_file(file, FILE.replace("events_per_s = 0.001", "events_per_s = 50"))
    sender = Server(str(door.client.base_url), token=TOKENS["app"])
    numbers = iter(range(100))
    for _ in range(2):
        events = msgspec.json.encode([new(next(numbers)) for _ in range(40)])
        assert {item["outcome"] for item in sender.publish(events, 10)} == {"done"}


# ---- streams ------------------------------------------------------------------------------------------------


def listening(stack: ExitStack, door: Served, name: str) -> Iterator[str]:
    """The lines of a stream that has begun; it lives as long as the iterator."""
    rows = stack.enter_context(door.client.stream("GET", FEED, headers=bearer(name))).iter_lines()
    assert next(rows) == "retry: 2000"
    while next(rows):  # what it opens with
        pass
    return rows


def test_who_has_as_many_streams_as_it_may_leaves_the_others_theirs(door: Served) -> None:
    with ExitStack() as stack:
        streams = [listening(stack, door, "screen") for _ in range(2)]
        with door.client.stream("GET", FEED, headers=bearer("screen")) as answer:
            assert (answer.status_code, answer.headers["retry-after"]) == (429, "15")
            assert msgspec.json.decode(answer.read())["quota"] == "streams"
        assert value(door, "gridpatrol_subscribers") == 2
        streams.append(listening(stack, door, "other"))
    del streams
    wait_until(lambda: value(door, "gridpatrol_subscribers") == 0)
    with ExitStack() as stack:
        again = listening(stack, door, "screen")
        del again


DIGEST = digest_of(TOKENS["screen"])


@pytest.mark.parametrize(
    ("line", "instead"),
    [(f'"{DIGEST}"', ""), ("reads = true\nstreams = 2", "streams = 2")],
    ids=["the token", "the right"],
)
def test_a_stream_ends_when_its_token_is_withdrawn_and_the_others_go_on(
    door: Served, file: Path, line: str, instead: str
) -> None:
    with ExitStack() as stack:
        ends, stays = listening(stack, door, "screen"), listening(stack, door, "other")
        put_file(file, FILE.replace(line, instead))
        until = time.monotonic() + 10
        for row in ends:
            assert not row.startswith("data") and time.monotonic() < until, "it has an end"
        assert value(door, "gridpatrol_subscribers") == 1
        del stays


# ---- what is counted and told --------------------------------------------------------------------------------


def told(caplog: pytest.LogCaptureFixture, line: str) -> list[dict[str, Any]]:
    """The members of each log line of this name."""
    members = ("status", "reason", "principal", "route", "kept", "by", "times")
    lines = [vars(record) for record in caplog.records if record.message == line]
    return [{name: line[name] for name in members if name in line} for line in lines]


def test_who_is_unknown_or_has_no_right_is_counted_and_told_once_in_a_while(
    door: Served, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(5):
        problem(door.client.get("/v1/incidents"), 401)
    problem(door.client.get("/v1/incidents/x", headers={"Authorization": "Bearer gp_forged"}), 401)
    problem(door.client.get("/v1/incidents", headers=bearer("app")), 403)
    assert value(door, 'gridpatrol_denied_total{reason="no_token",status="401"}') == 5
    assert value(door, 'gridpatrol_denied_total{reason="unknown_token",status="401"}') == 1
    assert value(door, 'gridpatrol_denied_total{reason="no_right",status="403"}') == 1
    assert told(caplog, "door.denied") == [
        {"status": "401", "reason": "no_token", "principal": "", "route": "/v1/incidents", "times": 1},
        {"status": "401", "reason": "unknown_token", "principal": "", "route": "/v1/incidents/{id}", "times": 1},
        {"status": "403", "reason": "no_right", "principal": "app", "route": "/v1/incidents", "times": 1},
    ]


def test_who_is_over_a_quota_is_counted_by_the_quota(door: Served, caplog: pytest.LogCaptureFixture) -> None:
    door.batch([new(n) for n in range(30)], **bearer("app"))
    problem(door.post(new(30), **bearer("app")), 429)
    assert value(door, 'gridpatrol_denied_total{reason="events_per_s",status="429"}') == 1
    [line] = told(caplog, "door.denied")
    assert (line["reason"], line["principal"], line["route"]) == ("events_per_s", "app", "/v1/events")


def test_refused_events_are_told_with_who_sent_them_and_nothing_of_them(
    door: Served, caplog: pytest.LogCaptureFixture
) -> None:
    secret = "13800000000"
    refused = bad(1) | {"source": secret, "actor": secret, "data": {"note": secret}}
    door.batch([refused, *(bad(n) for n in range(2, 9))], **bearer("app"))
    unknown = new(1)
    unknown["data"]["category"] = "no-such"
    assert door.post(unknown, Prefer="wait=10", **bearer("neighbour")).json()["outcome"] == "refused"
    assert {
        (line["reason"], line.get("principal"), line.get("kept"), line.get("by"))
        for line in told(caplog, "event.refused")
    } == {
        ("unknown_type", "app", "yes", None),
        ("unknown_type", "app", "no", None),
        ("unknown_code", None, None, "rules"),
    }
    assert secret not in caplog.text


def test_requests_are_counted_by_route_method_and_class_of_status_and_a_sender_makes_no_label(door: Served) -> None:
    before = door.client.get("/metrics").text.count("gridpatrol_http_requests_total{")
    for number in range(20):
        door.client.get(f"/v1/incidents/{number}", headers=bearer("other"))
        door.client.get(f"/no/{number}")
        door.client.request(f"X{number}", "/v1/incidents")
    door.client.head("/healthz")
    page = door.client.get("/metrics").text
    assert value(door, 'gridpatrol_http_requests_total{method="GET",route="/v1/incidents/{id}",status="4xx"}') == 20
    assert value(door, 'gridpatrol_http_requests_total{method="GET",route="other",status="4xx"}') == 20
    assert value(door, 'gridpatrol_http_requests_total{method="GET",route="/healthz",status="2xx"}') == 1
    assert page.count("gridpatrol_http_requests_total{") - before <= 5

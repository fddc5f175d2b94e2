"""What the door tells of its requests: a line for each that it refused, series by route, streams that come and go.

In: a door with principals. Out: lines of the access log as text and as JSON, samples of the metrics page.
"""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import Counter, generate_latest

from engine import logs
from engine.cluster.worker import Worker
from engine.http.access import AccessLog, Answered
from engine.metrics.counters import Counters, FoldCounters
from tests.integration.test_door import new, problem
from tests.integration.test_door_quotas import FEED, TOKENS, bearer, file, listening, value
from tests.integration.test_monitoring import worker_of
from tests.support.serving import Served, prepared, served, wait_until

__all__ = ["file"]
SECRET = "13800000000"


@pytest.fixture
def door(sqlite_url: str, file: Path, caplog: pytest.LogCaptureFixture) -> Iterator[Served]:
    caplog.set_level(logging.INFO, "engine.http.access")
    with prepared(sqlite_url, principals=str(file)) as engine, served(engine) as running:
        yield running


MEMBERS = ("method", "route", "status", "principal", "reason")


def lines(caplog: pytest.LogCaptureFixture) -> list[dict[str, Any]]:
    """The members of each line of the access log."""
    return [vars(record) for record in caplog.records if record.message == "door.answered"]


def told(caplog: pytest.LogCaptureFixture) -> list[tuple[Any, ...]]:
    return [tuple(line.get(member, "") for member in MEMBERS) for line in lines(caplog)]


# ---- the access log -----------------------------------------------------------------------------------------


def test_every_request_that_is_refused_leaves_a_line_and_no_other_does(door: Served, caplog) -> None:
    door.client.get("/v1/incidents", headers=bearer("other"))
    problem(door.client.get("/v1/incidents"), 401)
    problem(door.client.get("/v1/incidents/x", headers={"Authorization": "Bearer gp_forged"}), 401)
    problem(door.client.get("/v1/incidents", headers=bearer("app")), 403)
    problem(door.client.get("/v1/incidents", params={"colour": "red"}, headers=bearer("other")), 400)
    problem(door.client.get("/v1/incidents/nobody", headers=bearer("other")), 404)
    problem(door.client.get("/nowhere"), 404)
    problem(door.client.put("/v1/incidents"), 405)
    problem(door.post(new(1), **{"Content-Type": "text/plain"}, **bearer("app")), 415)
    problem(door.post({}, **bearer("app")), 400)
    door.client.head("/nowhere")
    wait_until(lambda: len(lines(caplog)) == 10)
    assert told(caplog) == [
        ("GET", "/v1/incidents", 401, "", "no_token"),
        ("GET", "/v1/incidents/{id}", 401, "", "unknown_token"),
        ("GET", "/v1/incidents", 403, "app", "no_right"),
        ("GET", "/v1/incidents", 400, "other", "query"),
        ("GET", "/v1/incidents/{id}", 404, "other", "unknown_case"),
        ("GET", "other", 404, "", "unknown_route"),
        ("PUT", "other", 405, "", "method"),
        ("POST", "/v1/events", 415, "app", "content_type"),
        ("POST", "/v1/events", 400, "app", "invalid"),
        ("HEAD", "other", 404, "", "unknown_route"),
    ]
    *_, event, head = lines(caplog)
    assert (event["bytes_in"], event["bytes_out"] > 50, head["bytes_out"]) == (2, True, 0)
    assert all(0 <= line["ms"] < 20_000 for line in lines(caplog))
    assert [line.get("peer") for line in lines(caplog)][:3] == ["127.0.0.1", "127.0.0.1", None]


def test_a_line_says_nothing_of_what_was_asked_or_who_it_is_about(door: Served, caplog) -> None:
    token = {"Authorization": f"Bearer gp_{SECRET}"}
    for path in (
        f"/v1/incidents/{SECRET}",
        f"/{SECRET}",
        f"/v1/incidents?search={SECRET}",
        f"/v1/incidents?{SECRET}=1",
    ):
        for headers in (token, bearer("other"), {"User-Agent": SECRET, "Referer": SECRET}):
            door.client.get(path, headers=headers)
    door.post(new(1) | {"subject": SECRET, "actor": SECRET}, **bearer("app"))
    wait_until(lambda: len(lines(caplog)) >= 10)
    assert SECRET not in "".join(str(line) for line in lines(caplog))
    assert TOKENS["other"] not in caplog.text


@pytest.mark.parametrize(("which", "number"), [("none", 0), ("all", 2)])
def test_an_operator_says_which_requests_leave_a_line(sqlite_url: str, caplog, which: str, number: int) -> None:
    caplog.set_level(logging.INFO, "engine.http.access")
    with prepared(sqlite_url, log_access=which) as engine, served(engine) as door:
        door.client.get("/healthz")
        door.client.get("/nowhere")
    assert [line["status"] for line in lines(caplog)] == [200, 404][:number]


def test_a_line_can_be_read_by_people_and_by_machines() -> None:
    one = answered(401, "", "no_token")
    root, before = logging.getLogger(), (logging.getLogger().handlers[:], logging.getLogger().level)
    try:
        for form in ("text", "json"):
            logs.configure(form, "INFO")
            root.handlers[0].setStream(out := io.StringIO())  # type: ignore[attr-defined]
            AccessLog("refused", 5, Counters().door.left_out).tell(one)
            [line] = out.getvalue().splitlines()
            if form == "json":
                read = json.loads(line)
                assert (read["event"], read["route"], read["status"]) == ("door.answered", "/v1/incidents", 401)
            else:
                pairs = dict(word.split("=", 1) for word in line.split() if "=" in word)
                assert (pairs["route"], pairs["status"], pairs["reason"]) == ("/v1/incidents", "401", "no_token")
    finally:
        root.handlers[:], level = before
        root.setLevel(level)


def answered(status: int, principal: str, reason: str) -> Answered:
    client = ("192.0.2.7", 1)
    at = {"method": "GET", "route": "/v1/incidents", "ms": 1, "bytes_in": 0, "bytes_out": 90, "client": client}
    return Answered(status=status, principal=principal, reason=reason, **at)  # type: ignore[arg-type]


def test_a_flood_of_401_does_not_fill_the_disk_and_hides_nobody_elses_lines(caplog) -> None:
    caplog.set_level(logging.INFO, "engine.http.access")
    now, left_out = [100.0], Counter("left_out", "…", registry=None)
    log = AccessLog("refused", 5, left_out, lambda: now[0])
    for _ in range(10_000):
        log.tell(answered(401, "", "no_token"))
    log.tell(answered(403, "app", "no_right"))
    log.tell(answered(503, "app", "busy"))
    assert [line["status"] for line in lines(caplog)] == [401] * 5 + [403, 503]
    assert next(iter(left_out.collect())).samples[0].value == 9_995
    now[0] += 1
    log.tell(answered(401, "", "no_token"))
    assert lines(caplog)[-1]["left_out"] == 9_995
    for _ in range(7):
        log.tell(answered(401, "", "no_token"))
    log.close()
    assert [vars(r)["left_out"] for r in caplog.records if r.message == "door.left_out"] == [3]


# ---- series -------------------------------------------------------------------------------------------------


def test_what_a_request_takes_and_how_large_it_is_is_known_by_its_route(door: Served) -> None:
    body = door.client.get("/v1/incidents", headers=bearer("other")).content
    event = new(1)
    accepted = door.post(event, **bearer("app"), Prefer="wait=5")
    labels = 'method="{}",route="{}"'
    listed, taken = labels.format("GET", "/v1/incidents"), labels.format("POST", "/v1/events")
    wait_until(lambda: value(door, f"gridpatrol_http_answer_bytes_total{{{taken}}}"))
    assert value(door, f"gridpatrol_http_answer_bytes_total{{{listed}}}") == len(body)
    assert value(door, f"gridpatrol_http_answer_bytes_total{{{taken}}}") == len(accepted.content)
    assert value(door, f"gridpatrol_http_request_bytes_total{{{taken}}}") == len(accepted.request.content)
    for found in (listed, taken):
        assert value(door, f"gridpatrol_http_request_duration_seconds_count{{{found}}}") == 1
        assert 0 < value(door, f"gridpatrol_http_request_duration_seconds_sum{{{found}}}") < 20
    assert value(door, "gridpatrol_http_requests_open") == 1, "the one that asks"


def test_streams_that_come_and_go_are_counted_with_why_they_ended(door: Served) -> None:
    with ExitStack() as stack:
        rows = [listening(stack, door, "other") for _ in range(2)]
        assert value(door, "gridpatrol_subscriptions_total") == 2
        assert value(door, "gridpatrol_feed_lag_lines") == 0
        assert value(door, "gridpatrol_http_requests_open") == 1, "a stream has begun its answer"
        with ExitStack() as leaving:
            listening(leaving, door, "screen")
        wait_until(lambda: value(door, 'gridpatrol_subscriptions_ended_total{why="left"}') == 1)
        door.closing.set()
        for row in rows:
            assert not any(line.startswith("data") for line in row)
        wait_until(lambda: value(door, 'gridpatrol_subscriptions_ended_total{why="closing"}') == 2)
    assert value(door, f'gridpatrol_http_requests_total{{method="GET",route="{FEED}",status="2xx"}}') == 3


def test_a_process_that_cannot_work_says_so(door: Served) -> None:
    assert value(door, "gridpatrol_ready") == 1
    door.writer.failure = RuntimeError("gone")
    assert value(door, "gridpatrol_ready") == 0
    door.writer.failure = None


def test_every_role_tells_of_its_own_process(sqlite_url: str) -> None:
    with prepared(sqlite_url) as engine:
        member: Worker = worker_of(engine)
        for registry in (engine.counters.registry, member.engine.counters.registry, FoldCounters().registry):
            page = generate_latest(registry).decode()
            for name in (
                "process_cpu_seconds_total ",
                "process_open_fds ",
                "python_gc_collections_total{",
                "python_info{",
            ):
                assert f"\n{name}" in page, name
            assert "\ngridpatrol_ready " in page

"""One event is answered alike by the door's plain way and by the framework's route, whatever it says.

A slash behind the route's name is nothing to the framework, and nothing plain: one request can be sent by either way.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest

from engine.clock import now_ms
from engine.http import events
from engine.http.context import DoorContext
from engine.http.plain_events import MOST_BYTES, plain_headers
from engine.principals import digest_of, new_token
from tests.integration.test_door import report
from tests.support.builders import HOTLINE, LEAF, MEMBER, subject
from tests.support.serving import CLOUDEVENT, Served, prepared, served
from tests.support.settings_files import read_at_once

PLAIN, ROUTED = "/v1/events", "/v1/events/"
TOKENS = {name: new_token() for name in ("hotline", "reader", "poor")}
FILE = f"""
[principal.hotline]
actors = ["{HOTLINE}"]
refused_burst = 3
refused_per_s = 0
tokens = ["{digest_of(TOKENS["hotline"])}"]
[principal.reader]
reads = true
tokens = ["{digest_of(TOKENS["reader"])}"]
[principal.poor]
actors = ["{HOTLINE}"]
events_per_s = 0.001
events_burst = 1
tokens = ["{digest_of(TOKENS["poor"])}"]
"""
NUMBERS = iter(range(1, 1000))


@pytest.fixture(scope="module")
def door(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A door that asks for no token."""
    with (
        prepared(f"sqlite:///{tmp_path_factory.mktemp('plain') / 'gridpatrol.db'}") as engine,
        served(engine) as running,
    ):
        yield running


@pytest.fixture(scope="module")
def asking(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A door that asks for tokens, and looks at their file with every request."""
    folder = tmp_path_factory.mktemp("asking")
    (folder / "principals.toml").write_text(FILE)
    more = {"principals": str(folder / "principals.toml")}
    with (
        pytest.MonkeyPatch.context() as patch,
        prepared(f"sqlite:///{folder / 'gridpatrol.db'}", **more) as engine,
        served(engine) as running,
    ):
        read_at_once(patch)
        yield running


@pytest.fixture
def routed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The paths of what the framework's route has answered."""
    paths, answer = list[str](), events.answer

    async def watched(request: Any, *what: Any) -> Any:
        paths.append(request.scope["raw_path"].decode())
        return await answer(request, *what)

    monkeypatch.setattr(events, "answer", watched)
    return paths


def told(answer: httpx.Response, case: str) -> tuple[int, dict[str, str], str]:
    """What an answer says, but for when it was said, of which case, and where that lies in the log."""
    headers = {name: value for name, value in answer.headers.items() if name not in ("date", "content-length")}
    assert answer.is_error or int(answer.headers["content-length"]) > 0
    text = re.sub(r'(position=|"position":|"until":")[\dTZ:.-]+', r"\1N", answer.text.replace(case, "CASE"))
    return answer.status_code, headers, re.sub(r"door-[0-9a-f]{32}", "LETTER", text)


def fresh() -> dict[str, Any]:
    """A report of now, of a case of its own."""
    return report(subject("WY01", next(NUMBERS)), now_ms())


SAID: dict[str, tuple[dict[str, Any], dict[str, str], int]] = {
    "a report": ({}, {}, 202),
    "as application/json": ({}, {"Content-Type": "Application/JSON; charset=utf-8"}, 202),
    "waited for": ({}, {"Prefer": "wait=20"}, 200),
    "waited for among other wishes": ({}, {"Prefer": "return=minimal, wait=20; parked=0"}, 200),
    "refused by the rules": (
        {"actor": MEMBER, "data": {"category": "none", "source": "patrol"}},
        {"Prefer": "wait=20"},
        200,
    ),
    "parked": (
        {"type": "gridpatrol.incident.accepted.v1", "data": {}, "actor": "WY01-CHIEF"},
        {"Prefer": "wait=20; parked=0"},
        200,
    ),
    "a member that nobody knows": (
        {"data": {"category": "D3-08", "source": "hotline", "grid": LEAF, "photo": 1}},
        {},
        202,
    ),
    "a source to be quoted": ({"source": "/热线 &?=%"}, {}, 202),
    "a large answer": ({"source": "/" + "源" * 120}, {"Accept-Encoding": "gzip"}, 202),
    "no time zone": ({"time": "2026-03-02T09:00:00"}, {}, 400),
    "no type that is known": ({"type": "x"}, {}, 400),
    "too large": ({"data": {"description": "x" * 300_000}}, {}, 413),
    "with attributes as headers beside": ({}, {"ce-id": "another", "ce_id": "one more"}, 202),
    "in binary mode": ({}, {"Content-Type": "application/json", "ce-id": "x"}, 400),
    "for a page of another origin": ({}, {"Origin": "http://elsewhere"}, 403),
    "to another name": ({}, {"Host": "example.org"}, 421),
    "compressed": ({}, {"Content-Encoding": "gzip"}, 415),
    "of a type that is not taken": ({}, {"Content-Type": "text/plain"}, 415),
    "of no type": ({}, {"Content-Type": ""}, 415),
}


@pytest.mark.parametrize("what", SAID)
def test_an_event_is_answered_alike_by_either_way(door: Served, what: str) -> None:
    change, headers, status = SAID[what]
    answers = []
    for path in (PLAIN, ROUTED):
        said = fresh()
        body = msgspec.json.encode(said | change)
        answer = door.client.post(path, content=body, headers=CLOUDEVENT | headers)
        answers.append(told(answer, said["subject"]))
    assert answers[0] == answers[1]
    assert answers[0][0] == status
    for _, names, _ in answers:
        assert names.get("content-encoding") == ("gzip" if what == "a large answer" else None)


@pytest.mark.parametrize("body", [b"", b"{", b"\xff", b"[]", b"\xef\xbb\xbf{}", b"[" * 100_000])
def test_what_is_no_event_is_refused_alike_by_either_way(door: Served, body: bytes) -> None:
    answers = [door.client.post(path, content=body, headers=CLOUDEVENT) for path in (PLAIN, ROUTED)]
    assert told(answers[0], "no case") == told(answers[1], "no case")
    assert answers[0].status_code == 400


@pytest.mark.parametrize(
    ("who", "status"), [("hotline", 202), ("reader", 403), ("poor", 429), ("nobody", 401), ("", 401)]
)
def test_who_speaks_is_asked_alike_by_either_way(asking: Served, who: str, status: int) -> None:
    headers = {"Authorization": f"bearer {TOKENS.get(who, 'gp_x')}"} if who else {}
    answers = []
    for path in (PLAIN, ROUTED):
        if who == "poor":
            asking.client.post(path, content=b"{}", headers=CLOUDEVENT | headers)
        said = fresh()
        answer = asking.client.post(path, content=msgspec.json.encode(said), headers=CLOUDEVENT | headers)
        answers.append(told(answer, said["subject"]))
    assert [answer[0] for answer in answers] == [status, status]
    if who != "poor":  # how long it is to wait depends on when it asks
        assert answers[0] == answers[1]


def test_an_actor_of_others_is_refused_alike_and_what_is_beyond_the_quota_is_not_kept(asking: Served) -> None:
    headers = CLOUDEVENT | {"Authorization": f"Bearer {TOKENS['hotline']}"}
    answers = []
    for path in (PLAIN, ROUTED, PLAIN, ROUTED, PLAIN):
        said = fresh() | {"actor": MEMBER}
        answer = asking.client.post(path, content=msgspec.json.encode(said), headers=headers)
        answers.append(told(answer, said["subject"]))
    assert answers[0] == answers[1] and answers[0][0] == 403 and "LETTER" in answers[0][2]
    assert answers[3] == answers[4] and "not kept" in answers[4][2]


def test_a_token_that_was_taken_back_is_unknown_to_the_plain_way_as_well(asking: Served, routed: list[str]) -> None:
    file, headers = (
        Path(asking.engine.settings.principals),
        CLOUDEVENT | {"Authorization": f"Bearer {TOKENS['hotline']}"},
    )
    try:
        for text, status in ((FILE, 202), (FILE.replace(digest_of(TOKENS["hotline"]), digest_of("another")), 401)):
            file.with_suffix(".new").write_text(text)
            file.with_suffix(".new").replace(file)
            answer = asking.client.post(PLAIN, content=msgspec.json.encode(fresh()), headers=headers)
            assert answer.status_code == status
    finally:
        file.write_text(FILE)
    assert routed == []


def test_an_event_goes_by_the_plain_way_and_counts_as_one_of_the_route(door: Served, routed: list[str]) -> None:
    for path in (PLAIN, ROUTED, PLAIN):
        assert door.client.post(path, content=msgspec.json.encode(fresh()), headers=CLOUDEVENT).status_code == 202
    assert routed == [ROUTED]
    series = re.findall(r"gridpatrol_http_requests_total\{(.*)\}", door.client.get("/metrics").text)
    assert {line for line in series if "events" in line and "2xx" in line} == {
        'method="POST",route="/v1/events",status="2xx"'
    }


def test_what_became_of_an_event_is_told_from_its_own_slice_and_of_an_earlier_one_from_the_database(
    door: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked, read = list[object](), DoorContext.read

    async def watched(context: DoorContext, question: Any) -> Any:
        asked.append(question)
        return await read(context, question)

    monkeypatch.setattr(DoorContext, "read", watched)
    said = fresh()
    places = list[Any]()
    for outcome, reads in (("done", 0), ("duplicate", 1)):
        answer = door.post(said, Prefer="wait=20").json()
        assert (answer["outcome"], len(asked)) == (outcome, reads)
        places.append((answer["place"], answer["time"]))
    assert places[0] == places[1]
    assert places[0] == ({"grid": LEAF, "how": "sent"}, "believed")


HEADERS = {b"host": b"127.0.0.1:8420", b"content-type": b"application/cloudevents+json", b"content-length": b"500"}


@pytest.mark.parametrize(
    ("change", "plain"),
    [
        ({}, True),
        ({"headers": {b"traceparent": b"00-1-2-01", b"user-agent": b"x", b"prefer": b"wait=5"}}, True),
        ({"method": "GET"}, False),
        ({"raw_path": b"/v1/%65vents"}, False),
        ({"query_string": b"x=1"}, False),
        ({"headers": {b"host": b"127.0.0.1/x"}}, False),
        ({"headers": {b"content-type": b"application/cloudevents-batch+json"}}, False),
        ({"headers": {b"content-length": str(MOST_BYTES + 1).encode()}}, False),
        ({"headers": {b"content-length": b"-1"}}, False),
        ({"headers": {b"transfer-encoding": b"chunked"}}, False),
        ({"headers": {b"content-encoding": b"identity"}}, False),
        ({"headers": {b"origin": b"http://127.0.0.1:8420"}}, False),
        ({"headers": {b"ce-id": b"1"}}, True),
        ({"headers": {b"ce-id": b"1", b"content-type": b"application/json"}}, False),
        ({"headers": {b"ce_id": b"1", b"content-type": b"application/json"}}, False),
    ],
)
def test_what_is_out_of_the_ordinary_is_left_to_the_framework(change: dict[str, Any], plain: bool) -> None:
    headers = HEADERS | change.pop("headers", {})
    scope = {
        "method": "POST",
        "raw_path": PLAIN.encode(),
        "query_string": b"",
        "headers": list(headers.items()),
    } | change
    assert (plain_headers(scope) is not None) is plain
    twice = scope | {"headers": [*headers.items(), (b"prefer", b"wait=5"), (b"prefer", b"wait=6")]}
    assert plain_headers(twice) is None

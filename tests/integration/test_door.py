"""The door as programs meet it: over HTTP, on each database, with a writer and consumers behind it."""

from __future__ import annotations

import base64
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from typing import Any
from urllib.parse import quote

import httpx
import msgspec
import pytest
from jsonschema import Draft202012Validator
from msgspec.structs import replace

from engine.clock import now_ms
from engine.http import alerts, performance
from engine.http.app import create_app
from engine.http.problems import UNANSWERABLE
from engine.inbox import Submission
from engine.store import dead_letters, inbox_table
from engine.store.exports import steps_by_number
from engine.views.questions import Unanswerable
from engine.writer import Writer
from gridpatrol.client import Server
from gridpatrol.commands.publish import publish_there
from lab.parts.postgres import fresh_database
from schemas.coordinates import to_gcj02
from schemas.events import EVENT_TYPES
from tests.support.builders import BARE, DAY, HOTLINE, HOUR, LEAF, STREET, event, noise, subject, weiyang
from tests.support.serving import BATCH, CLOUDEVENT, Served, prepared, served, tell, wait_until
from workflows.policy import model

JSON = {"Content-Type": "application/json"}
PROBLEM = "application/problem+json"
LATE, ACCEPTED, FRESH, REJECTED, PAUSED, UNBORN = (subject("WY01", n) for n in range(1, 7))
ELSEWHERE = subject("WY02", 7)


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """An empty database for all tests of this file, once on each kind."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path_factory.mktemp('door') / 'gridpatrol.db'}"
    else:
        with fresh_database(request.getfixturevalue("postgres_server")) as fresh:
            yield fresh


def report(case: str, at: int, leaf: str = LEAF, **data: Any) -> dict[str, Any]:
    """A report by the hotline: it goes to the street at once."""
    return event(
        "report.submitted", HOTLINE, at, case=case, id=f"{case}.r", category=BARE, source="hotline", grid=leaf, **data
    )


@pytest.fixture(scope="module")
def door(url: str) -> Iterator[Served]:
    """A door on a city in which a few things have happened."""
    now = now_ms()
    with prepared(url) as engine:
        then = now - 20 * DAY
        assert tell(engine, report(LATE, then), then) == "done"
        assert tell(engine, report(ACCEPTED, then + HOUR), then + HOUR) == "done"
        accept = event("incident.accepted", STREET, then + 2 * HOUR, case=ACCEPTED, id="a")
        assert tell(engine, accept, then + 2 * HOUR) == "done"
        assert tell(engine, report(ELSEWHERE, then, "WY02-01"), then + 3 * HOUR) == "done"
        assert tell(engine, report(REJECTED, then), then + 3 * HOUR) == "done"
        no = event("incident.rejected", STREET, then + 4 * HOUR, case=REJECTED, id="x", reason="not_found")
        assert tell(engine, no, then + 4 * HOUR) == "done"
        # What was due by then is released then: what is released now may wait until the morning.
        engine.append([Submission(p, "tick", "owner", "") for p in range(engine.count)], now - 10 * DAY)
        assert tell(engine, report(PAUSED, now - 2 * HOUR), now - 2 * HOUR) == "done"
        stop = event("incident.suspended", STREET, now - HOUR, case=PAUSED, id="s", reason="season")
        assert tell(engine, stop, now - HOUR) == "done"
        assert tell(engine, report(FRESH, now - 1000), now - 1000) == "done"
        early = event("incident.accepted", STREET, now - 1000, case=UNBORN, id="early")
        assert tell(engine, early, now - 1000) == "parked"
        with served(engine) as running:
            yield running


def new(number: int) -> dict[str, Any]:
    """A report of now, of a case of its own."""
    return report(subject("WY03", number), now_ms(), "WY03-01")


def problem(answer: httpx.Response, status: int) -> dict[str, Any]:
    """The problem document of an answer."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == PROBLEM
    body: dict[str, Any] = answer.json()
    assert body["status"] == status and body["type"].startswith("urn:gridpatrol:problem:") and body["title"]
    return body


# ---- publishing ---------------------------------------------------------------------------------------------


def test_several_events_have_a_route_of_their_own_that_reads_a_list_by_either_name(door: Served) -> None:
    events = msgspec.json.encode([new(71), new(72) | {"actor": "NOBODY"}, {"specversion": "1.0"}])
    for kind, accepted in ((BATCH, 2), ({"Content-Type": "application/json"}, 2)):
        answer = door.client.post("/v1/events/batch", content=events, headers=kind | {"Prefer": "wait=20"})
        body = answer.json()
        assert answer.status_code == 200 and (body["accepted"], body["rejected"]) == (accepted, 1)
        assert [item["status"] for item in body["results"]] == ["accepted", "accepted", "rejected"]
    assert [item["outcome"] for item in body["results"][:1]] == ["duplicate"]
    one = problem(door.client.post("/v1/events/batch", content=msgspec.json.encode(new(73)), headers=BATCH), 400)
    assert "a JSON array of events" in one["detail"]
    assert problem(door.client.post("/v1/events/batch", content=events, headers=CLOUDEVENT), 415)["remedy"]


def test_an_event_is_durable_when_it_is_answered_and_says_where_to_ask(door: Served) -> None:
    sent = new(10)
    answer = door.post(sent)
    assert answer.status_code == 202
    body = answer.json()
    assert (body["status"], body["source"], body["id"]) == ("accepted", sent["source"], sent["id"])
    with door.engine.database.read() as connection:
        stands = connection.exec_driver_sql(
            f"SELECT kind, principal FROM inbox WHERE partition = {body['partition']} AND position = {body['position']}"
        ).one()
    assert tuple(stands) == ("event", "local")
    wait_until(lambda: door.get(body["status_url"])["outcome"] != "pending")
    status = door.get(body["status_url"])
    assert (status["outcome"], status["case"]) == ("done", sent["subject"])


def test_who_waits_gets_the_outcome(door: Served) -> None:
    answer = door.post(new(11), Prefer="respond-async, wait=10")
    assert answer.status_code == 200
    assert answer.headers["preference-applied"] == "wait=10"
    assert answer.json()["outcome"] == "done"


def test_the_answer_says_where_it_lies_whether_its_time_is_believed_and_what_is_similar(door: Served) -> None:
    """Whoever asks is told the same: who waits, who sends it again, who asks later, and a batch."""

    def found(number: int, time: int, **where: Any) -> dict[str, Any]:
        data = {"category": BARE, "source": "hotline", **where}
        case = subject("WY01", 900 + number)
        return event("report.submitted", HOTLINE, time, case=case, id=f"place-{number}", **data)

    def said(answer: dict[str, Any]) -> tuple[Any, ...]:
        return answer["place"], answer["time"], answer.get("similar", [])

    now, here = now_ms(), {"lon": 108.845, "lat": 34.385}
    first, second = found(1, now, position=here), found(2, now - 400 * DAY, position=here)
    located = {"grid": "WY01-01", "how": "located"}
    answer = door.post(first, Prefer="wait=10").json()
    assert said(answer) == (located, "believed", [])
    like = [first["subject"]]
    answer = door.post(second, Prefer="wait=10").json()
    assert said(answer) == said(door.get(answer["status_url"])) == (located, "clamped", like)
    assert said(door.post(second, Prefer="wait=10").json()) == (located, "clamped", like)
    zero, far = {"lon": 0, "lat": 0}, {"lon": 2.35, "lat": 48.85}
    places: list[tuple[dict[str, Any], dict[str, str]]] = [
        ({"position": far}, {"grid": "WY01", "how": "home", "remark": "off_map"}),
        ({"position": zero}, {"grid": "WY01", "how": "home", "remark": "no_position"}),
        ({"position": far, "grid": "WY01-02"}, {"grid": "WY01-02", "how": "sent", "remark": "off_map"}),
        ({"position": here, "grid": "WY01-09"}, {"grid": "WY01-09", "how": "sent", "remark": "elsewhere"}),
        ({"grid": "WY01-09"}, {"grid": "WY01-09", "how": "sent"}),
    ]
    events = [found(number, now, **where) for number, (where, _) in enumerate(places, 3)]
    batch = door.batch(events, Prefer="wait=10").json()["results"]
    assert [result["place"] for result in batch] == [place for _, place in places]
    accepted = event("incident.accepted", STREET, now + 60_000, case=first["subject"], id="place-accepted")
    answer = door.post(accepted, Prefer="wait=10").json()
    assert said(answer) == ({"grid": "WY01-01"}, "clamped", [])
    lon, lat = to_gcj02(here["lon"], here["lat"])
    shifted = found(20, now, position={"lon": lon, "lat": lat, "crs": "GCJ02"})
    assert door.post(shifted, Prefer="wait=10").json()["place"] == located
    shown = door.get(f"/v1/incidents/{shifted['subject']}")
    assert (shown["lon"], shown["lat"]) == (here["lon"], here["lat"])  # a map shows it where it is
    counted = door.client.get("/metrics").text
    assert 'gridpatrol_position_remarks_total{remark="off_map"} 2.0' in counted


@pytest.mark.parametrize("path", ["/v1/events", "/v1/operator/packs"])
@pytest.mark.parametrize(("coding", "named"), [("gzip", "gzip"), ("BR", "br"), ("secret-word", "this encoding")])
def test_a_compressed_body_is_refused_by_the_name_of_its_encoding(
    door: Served, path: str, coding: str, named: str
) -> None:
    headers = {"Content-Type": "application/json", "Content-Encoding": coding}
    body = problem(door.client.post(path, content=b"\x1f\x8b", headers=headers), 415)
    assert body["detail"] == f"{named} is not read here"
    assert "secret-word" not in msgspec.json.encode(body).decode()


def test_one_event_with_a_byte_order_mark_and_a_batch_with_one_are_taken(door: Served) -> None:
    """An editor of texts put it there, as it does in packs and files."""
    mark = b"\xef\xbb\xbf"
    one = door.client.post("/v1/events", content=mark + msgspec.json.encode(new(60)), headers=CLOUDEVENT)
    assert one.status_code == 202
    batch = door.client.post("/v1/events", content=mark + msgspec.json.encode([new(61)]), headers=BATCH)
    assert batch.json()["accepted"] == 1


def test_a_resend_gets_the_first_answer_and_other_content_is_a_conflict(door: Served) -> None:
    sent = new(12)
    first = door.post(sent, Prefer="wait=10").json()
    again = door.post(sent, Prefer="wait=10").json()
    assert (again["outcome"], again["first"]) == ("duplicate", "done")
    other = door.post(sent | {"data": sent["data"] | {"reference": "another"}}, Prefer="wait=10").json()
    assert (other["outcome"], other["reason"], other["field"]) == ("conflict", "conflict", "id")
    outcomes = [door.get(answer["status_url"]) for answer in (first, again, other)]
    assert [status["outcome"] for status in outcomes] == ["done", "duplicate", "conflict"]
    assert outcomes[1]["first"] == "done"


def test_what_the_rules_refuse_is_accepted_and_then_refused_with_the_reason(door: Served) -> None:
    sent = event("incident.accepted", "WY02-CHIEF", now_ms(), case=LATE, id="foreign")
    answer = door.post(sent, Prefer="wait=10")
    assert answer.status_code == 200
    body = answer.json()
    assert (body["status"], body["outcome"], body["reason"], body["field"]) == (
        "accepted",
        "refused",
        "forbidden",
        "actor",
    )
    assert door.get(body["status_url"])["detail"] == body["detail"]


def accept_early(number: int) -> dict[str, Any]:
    """The acceptance of a case before its report."""
    case = subject("WY03", number)
    return event("incident.accepted", "WY03-CHIEF", now_ms(), case=case, id=f"{case}.early")


def test_an_early_event_is_parked_and_says_what_it_waits_for_and_until_when(door: Served) -> None:
    sent, before = accept_early(13), now_ms()
    answer = door.post(sent, Prefer="wait=10; parked=0")
    body = answer.json()
    assert (answer.status_code, body["outcome"]) == (200, "parked")
    assert body["waits_for"] == ["gridpatrol.report.submitted.v1"]
    until = datetime.fromisoformat(body["until"]).timestamp() * 1000
    assert 0 <= until - before - weiyang().options.parked_ms < 60_000
    again = door.post(sent, Prefer="wait=10; parked=0").json()
    status = door.get(body["status_url"])
    assert (again["outcome"], again["first"], status["outcome"]) == ("duplicate", "parked", "parked")
    assert [(told["waits_for"], told["until"]) for told in (again, status)] == [(body["waits_for"], body["until"])] * 2
    assert door.post(new(13), Prefer="wait=10").json()["outcome"] == "done"
    status = door.get("/v1/events/status", source=sent["source"], id=sent["id"], subject=sent["subject"])
    assert status["outcome"] == "done" and status.keys().isdisjoint({"waits_for", "until"})
    assert door.get(f"/v1/incidents/{sent['subject']}")["state"] == "accepted"


def test_who_waits_for_an_early_event_is_told_what_became_of_it_when_its_report_comes(door: Served) -> None:
    sent = accept_early(14)
    with ThreadPoolExecutor(3) as threads:
        first = threads.submit(door.post, sent, Prefer="wait=15")
        wait_until(lambda: door.writer._parked)
        others = [
            threads.submit(door.post, sent, Prefer="wait=15"),
            threads.submit(door.batch, [sent], Prefer="wait=15"),
        ]
        wait_until(lambda: [len(asks) for asks in door.writer._parked.values()] == [3])
        assert not first.done()
        began = time.monotonic()
        assert door.post(new(14), Prefer="wait=10").json()["outcome"] == "done"
        told, again, batch = first.result().json(), others[0].result().json(), others[1].result().json()
    assert time.monotonic() - began < 5
    assert (told["outcome"], told.keys() & {"waits_for", "until"}) == ("done", set())
    assert [(one["outcome"], one["first"]) for one in (again, batch["results"][0])] == [("duplicate", "done")] * 2
    assert door.writer._parked == {}


def test_a_batch_in_the_wrong_order_is_told_what_became_of_each(door: Served) -> None:
    late = accept_early(15)
    refused = event("handling.completed", "WY-CHIEF", now_ms(), case=late["subject"], id=f"{late['id']}.2")
    answer = door.batch([late, refused, new(15)], Prefer="wait=10")
    assert answer.status_code == 200
    results = answer.json()["results"]
    assert [result["outcome"] for result in results] == ["done", "refused", "done"]
    assert "may not say handling.completed" in results[1]["detail"]


def test_a_file_that_is_published_in_several_batches_is_answered_as_all_of_it_stands(door: Served) -> None:
    said = [new(130) | {"id": "early", "type": "gridpatrol.comment.added.v1", "data": {}}, new(130), new(131)]
    said.append(new(132) | {"id": "earlier", "type": "gridpatrol.comment.added.v1", "data": {}})
    results = publish_there(Server(str(door.client.base_url)), map(msgspec.json.encode, said), 1)
    assert [(item["outcome"], "until" in item) for item in results] == [("done", False)] * 3 + [("parked", True)]


def test_who_waits_in_vain_is_told_that_the_event_is_parked_and_leaves_nothing_behind(door: Served) -> None:
    sent, began = accept_early(16), time.monotonic()
    answer = door.post(sent, Prefer="wait=1")
    assert (answer.status_code, answer.json()["outcome"]) == (200, "parked") and answer.json()["until"]
    assert 0.9 < time.monotonic() - began < 5
    assert not any(ask.follows for asks in door.writer._parked.values() for ask in asks)
    with ThreadPoolExecutor(1) as threads:
        other = threads.submit(door.post, accept_early(116), Prefer="wait=1")
        wait_until(lambda: [key[2] for key in door.writer._parked] == [accept_early(116)["id"]])
        other.result()


def test_nobody_else_uses_up_the_ids_of_a_source(door: Served) -> None:
    case = new(117)
    comment = event("comment.added", "WY03-CHIEF", now_ms(), case=case["subject"], id="a guess")
    assert door.post(case, Prefer="wait=10").json()["outcome"] == "done"
    assert door.post(comment, Prefer="wait=10").json()["outcome"] == "done"
    mine = door.post(comment | {"actor": "WY03-01-MEMBER"}, Prefer="wait=10").json()
    assert mine["outcome"] == "done"
    asked = {"source": "app/test", "id": "a guess", "subject": case["subject"]}
    body = problem(door.client.get("/v1/events/status", params=asked), 409)
    assert "actor" in body["remedy"]
    assert door.get("/v1/events/status", **asked, actor="WY03-01-MEMBER")["position"] == mine["position"]
    assert door.get(mine["status_url"])["position"] == mine["position"]


def test_an_event_that_a_relay_stamped_anew_is_a_duplicate(door: Served) -> None:
    sent = new(118)
    assert door.post(sent | {"knativearrivaltime": "1"}, Prefer="wait=10").json()["outcome"] == "done"
    again = door.post(sent | {"knativearrivaltime": "2"}, Prefer="wait=10").json()
    assert (again["outcome"], again["first"]) == ("duplicate", "done")


@pytest.mark.parametrize(
    ("change", "reason", "field"),
    [
        ({"type": "gridpatrol.nothing.v1"}, "unknown_type", "type"),
        ({"type": "gridpatrol.report.submitted.v9"}, "unknown_version", "type"),
        ({"type": "gridpatrol.clock.rung.v1"}, "engine_only", "type"),
        ({"time": "2026-03-02T09:00:00"}, "invalid", "time"),
        ({"time": "9999-12-31T23:59:59Z"}, "invalid", "time"),
        (
            {"data": {"category": BARE, "source": "hotline", "deadline": "0001-01-01T00:00:00+14:00"}},
            "invalid",
            "data.deadline",
        ),
        ({"subject": "no-home-here"}, "invalid", "subject"),
        ({"data": {"category": BARE, "source": "rumour"}}, "invalid", "data.source"),
        (
            {"data": {"category": BARE, "source": "hotline", "description": "尘" * 20_001}},
            "invalid",
            "data.description",
        ),
        (
            {"data": {"category": BARE, "source": "hotline", "reporter_name": {"first": "尘"}}},
            "invalid",
            "data.reporter_name",
        ),
        ({"partitionkey": "WY09"}, "misrouted", "partitionkey"),
    ],
)
def test_what_breaks_the_contract_is_refused_at_once_and_kept(door: Served, change, reason, field) -> None:
    sent = new(14) | change
    body = problem(door.post(sent), 400)
    assert (body["reason"], body["field"]) == (reason, field)
    assert body["detail"]
    kept = letter(door, body["dead_letter"])
    assert (kept.reason, kept.field, kept.principal) == (reason, field, "local")
    assert msgspec.json.decode(sealed(door, kept.token)) == sent


def letter(door: Served, id_: str) -> dead_letters.Letter:
    """A dead letter that must be there."""
    with door.engine.database.read() as connection:
        found = dead_letters.read(connection, id_)
    assert found is not None
    return found


def sealed(door: Served, token: str) -> str:
    """The bytes of a dead letter."""
    with door.engine.database.read() as connection:
        body = dead_letters.read_sealed(connection, token)
    assert body is not None
    return body


def test_the_same_bad_bytes_are_kept_once(door: Served) -> None:
    raw = b'{"specversion": "1.0", \xff'
    ids = {problem(door.client.post("/v1/events", content=raw, headers=CLOUDEVENT), 400)["dead_letter"] for _ in "abc"}
    assert len(ids) == 1
    assert "\\xff" in sealed(door, letter(door, ids.pop()).token)


def test_an_event_that_is_too_large_is_named_so_and_kept_as_far_as_an_event_may_go(door: Served) -> None:
    most = door.engine.settings.event_bytes
    sent = new(15)
    sent["data"]["description"] = "尘" * most
    body = problem(door.post(sent), 413)
    assert body["reason"] == "too_large" and "put files elsewhere" in body["detail"]
    assert len(sealed(door, letter(door, body["dead_letter"]).token).encode()) < most + 100


def test_a_request_that_is_larger_than_any_may_be_is_refused_unread(door: Served) -> None:
    answer = door.client.post("/v1/events", content=b"[" + b" " * 17_000_000 + b"]", headers=BATCH)
    assert problem(answer, 413)["remedy"]


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", ""])
def test_another_content_type_is_answered_with_the_ones_that_are_taken(door: Served, kind) -> None:
    headers = {"Content-Type": kind} if kind else {}
    body = problem(door.client.post("/v1/events", content=b"{}", headers=headers), 415)
    assert "application/cloudevents+json" in body["remedy"]


def test_plain_json_is_taken_for_a_structured_event(door: Served) -> None:
    headers = {"Content-Type": "application/json; charset=utf-8"}
    answer = door.client.post("/v1/events", content=msgspec.json.encode(new(16)), headers=headers)
    assert answer.status_code == 202


def binary(sent: dict[str, Any]) -> dict[str, str]:
    """The headers of an event in binary mode; its data is the body."""
    attributes = {name: value for name, value in sent.items() if name != "data"}
    return {f"ce-{name}": quote(value, safe="/:+") for name, value in attributes.items()} | {
        "Content-Type": "application/json"
    }


def test_an_event_in_binary_mode_is_the_same_event(door: Served) -> None:
    sent = new(40) | {"source": "app/巡查 1"}
    sent["datacontenttype"] = "application/json"
    content = msgspec.json.encode(sent["data"])
    headers = binary({name: value for name, value in sent.items() if name != "datacontenttype"})
    answer = door.client.post("/v1/events", content=content, headers=headers | {"Prefer": "wait=10"})
    assert (answer.status_code, answer.json()["outcome"]) == (200, "done")
    assert answer.json()["source"] == "app/巡查 1"
    again = door.post(sent, Prefer="wait=10").json()
    assert (again["outcome"], again["first"]) == ("duplicate", "done")


def in_base64(sent: dict[str, Any]) -> dict[str, Any]:
    """The event as an SDK sends it that was given bytes."""
    content = base64.b64encode(msgspec.json.encode(sent["data"])).decode()
    attributes = {name: value for name, value in sent.items() if name != "data"}
    return attributes | {"datacontenttype": "application/json", "data_base64": content}


def test_an_event_with_data_in_base64_is_the_same_event_alone_and_in_a_batch(door: Served) -> None:
    sent = new(43)
    sent["data"]["description"] = "尘"
    assert door.post(in_base64(sent), Prefer="wait=10").json()["outcome"] == "done"
    again = door.post(sent, Prefer="wait=10").json()
    assert (again["outcome"], again["first"]) == ("duplicate", "done")
    results = door.batch([in_base64(sent), in_base64(new(44))], Prefer="wait=10").json()["results"]
    assert [item["outcome"] for item in results] == ["duplicate", "done"]
    bad = new(45) | {"data_base64": "%%%"}
    del bad["data"]
    body = problem(door.post(bad), 400)
    assert (body["reason"], body["field"]) == ("undecodable", "data_base64")
    assert msgspec.json.decode(sealed(door, letter(door, body["dead_letter"]).token)) == bad


def test_a_member_of_misspelt_name_is_taken_and_the_answer_names_it(door: Served) -> None:
    sent = new(46) | {"id": "misspelt"}
    sent["data"] |= {"photo": "https://files.example/1.jpg", "description": "尘"}
    told = door.post(sent).json()
    assert (told["status"], told["unknown"]) == ("accepted", ["data.photo"])
    assert door.post(sent, Prefer="wait=10").json()["unknown"] == ["data.photo"]
    assert door.post(in_base64(sent), Prefer="wait=10").json()["unknown"] == ["data.photo"]
    results = door.batch([sent, new(47), new(48) | {"wether": "dust"}], Prefer="wait=10").json()["results"]
    assert [item.get("unknown") for item in results] == [["data.photo"], None, ["wether"]]
    with door.engine.database.read() as connection:
        texts = [row.body for p in range(door.engine.count) for row in inbox_table.read_all(connection, p)]
        texts += [step.body for step in steps_by_number(connection)]
    assert any(sent["subject"] in text for text in texts)
    assert not any("photo" in text for text in texts)
    assert "photo" not in door.client.get("/metrics").text
    assert "unknown" not in door.get(told["status_url"])


@pytest.mark.parametrize(
    ("change", "content", "reason", "field"),
    [
        ({"ce-specversion": "0.3"}, b"{}", "invalid", "specversion"),
        ({"Content-Type": "text/plain"}, b"{}", "invalid", "datacontenttype"),
        ({}, b"category=D3-04", "undecodable", "data"),
        ({"ce-source": "100%"}, b"{}", "invalid", "source"),
        ({"ce-type": "gridpatrol.nothing.v1"}, b"{}", "unknown_type", "type"),
    ],
)
def test_half_an_event_in_binary_mode_is_refused_and_kept(door: Served, change, content, reason, field) -> None:
    sent = new(41)
    answer = door.client.post("/v1/events", content=content, headers=binary(sent) | change)
    body = problem(answer, 400)
    assert (body["reason"], body["field"]) == (reason, field)
    kept = letter(door, body["dead_letter"])
    assert (kept.reason, kept.field, kept.event_id) == (reason, field, sent["id"])
    assert msgspec.json.decode(sealed(door, kept.token))["subject"] == sent["subject"]


def test_binary_mode_has_the_size_of_the_structured_event(door: Served) -> None:
    content = b'{"description":"%s"}' % (b"x" * (door.engine.settings.event_bytes - 30))
    body = problem(door.client.post("/v1/events", content=content, headers=binary(new(42))), 413)
    assert body["reason"] == "too_large"


def test_what_kafka_calls_its_headers_means_nothing_over_http(door: Served) -> None:
    answer = door.client.post("/v1/events", content=b"{}", headers={"ce_id": "x", "Content-Type": "text/plain"})
    assert "ce- headers" in problem(answer, 415)["remedy"]


def test_a_batch_is_answered_event_by_event_in_the_order_of_sending(door: Served) -> None:
    bad = new(18) | {"type": "gridpatrol.nothing.v1"}
    answer = door.batch([new(17), bad, {"what": "is this"}, new(18)], Prefer="wait=10")
    assert answer.status_code == 200
    body = answer.json()
    assert (body["accepted"], body["rejected"]) == (2, 2)
    assert [item.get("outcome", item["status"]) for item in body["results"]] == ["done", "rejected", "rejected", "done"]
    assert body["results"][1]["reason"] == "unknown_type"
    assert letter(door, body["results"][2]["dead_letter"]).reason == "invalid"


def test_a_batch_without_waiting_is_accepted_as_a_whole(door: Served) -> None:
    answer = door.batch([new(number) for number in range(100, 200)])
    assert answer.status_code == 202
    results = answer.json()["results"]
    assert len({(item["partition"], item["position"]) for item in results}) == 100
    wait_until(lambda: door.get(results[-1]["status_url"])["outcome"] == "done")


def test_an_empty_batch_is_no_mistake(door: Served) -> None:
    assert door.batch([]).json() == {"accepted": 0, "rejected": 0, "results": []}


def test_a_batch_of_too_many_events_is_refused_before_any_is_taken(door: Served) -> None:
    most = door.engine.settings.batch_events
    body = problem(door.batch([{}] * (most + 1)), 422)
    assert f"{most}" in body["remedy"]


def test_whatever_an_event_calls_itself_it_is_kept_and_the_others_of_its_batch_are_taken(door: Served) -> None:
    long = noise(10_000)
    bad = [new(19) | {name: long} for name in ("subject", "source", "id", "type", "specversion")]
    bad.append(new(19) | {"data": {long: "\x00"}})
    answer = door.batch([new(20), *bad, new(21)], Prefer="wait=10")
    assert answer.status_code == 200
    first, *refused, last = answer.json()["results"]
    assert (first["outcome"], last["outcome"]) == ("done", "done")
    kept = [letter(door, item["dead_letter"]) for item in refused]
    assert long[:20] not in str(kept), "names that break the contract are sealed with the rest"
    assert all(long in sealed(door, row.token) for row in kept)


@pytest.mark.parametrize("raw", [b"{}", b"[1, 2", b"\xff\xfe"])
def test_a_batch_that_is_no_array_is_refused_and_kept(door: Served, raw) -> None:
    body = problem(door.client.post("/v1/events", content=raw, headers=BATCH), 400)
    assert body["reason"] == "undecodable"
    assert letter(door, body["dead_letter"])


def test_a_status_is_found_by_source_and_id_alone(door: Served) -> None:
    status = door.get("/v1/events/status", source="app/test", id=f"{LATE}.r")
    assert (status["outcome"], status["case"]) == ("done", LATE)


def test_a_source_and_id_that_came_for_two_homes_want_the_subject_too(door: Served) -> None:
    homes = [f"WY{number:02d}" for number in range(4, 13)]
    other = next(home for home in homes if door.engine.partition(f"{home}.x") != door.engine.partition("WY04.x"))
    for home in ("WY04", other):
        sent = report(subject(home, 20), now_ms(), f"{home}-01") | {"id": "twice"}
        assert door.post(sent, Prefer="wait=10").json()["outcome"] == "done"
    answer = door.client.get("/v1/events/status", params={"source": "app/test", "id": "twice"})
    assert "subject" in problem(answer, 409)["remedy"]
    found = door.get("/v1/events/status", source="app/test", id="twice", subject=subject(other, 20))
    assert found["case"] == subject(other, 20)


def test_an_event_that_nobody_sent_is_unknown(door: Served) -> None:
    answer = door.client.get("/v1/events/status", params={"source": "app/test", "id": "never"})
    assert problem(answer, 404)["remedy"]


# ---- who may speak ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("host", ["evil.example", "evil.example:8420", "10.0.0.1", "localhost.evil.example", "[::2"])
def test_a_page_that_lets_its_own_name_resolve_to_loopback_is_sent_away(door: Served, host) -> None:
    assert problem(door.client.get("/v1/incidents", headers={"Host": host}), 421)["remedy"]


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost:9999", "[::1]:8420", "grid.localhost"])
def test_names_of_this_machine_are_answered(door: Served, host) -> None:
    assert door.client.get("/healthz", headers={"Host": host}).status_code == 200


@pytest.mark.parametrize(
    "origin",
    [
        "https://evil.example",
        "null",
        "http://127.0.0.1:1",
        "http://[",  # no address: it is of no page of ours
        "http://]",
        "http://[::1",
        "http://[x]",
        "//",
        "",
        "http://127.0.0.1:x",
        "http://\xe9",
    ],
)
def test_a_page_of_another_origin_may_not_publish(door: Served, origin) -> None:
    headers = httpx.Headers(CLOUDEVENT | {"Origin": origin}, encoding="latin-1")
    answer = door.client.post("/v1/events", content=msgspec.json.encode(new(30)), headers=headers)
    assert problem(answer, 403)["reason"] == "foreign_origin"
    status = door.client.get("/v1/events/status", params={"source": "app/test", "id": new(30)["id"]})
    assert status.status_code == 404


def test_a_page_of_this_server_may_publish(door: Served) -> None:
    own = str(door.client.base_url).rstrip("/")
    assert door.post(new(31), Origin=own).status_code == 202


@pytest.mark.parametrize("host", ["[", "]", "[::1", "[x]", "", "a b", "a/b", "localhost:[", "\xe9", "@", "%"])
def test_a_host_that_is_no_name_is_refused_as_a_problem(door: Served, host) -> None:
    for path in ("/", "/v1/incidents", "/healthz"):
        answer = door.client.get(path, headers=httpx.Headers({"Host": host}, encoding="latin-1"))
        assert answer.status_code in (400, 421), (path, answer.text)
        assert problem(answer, answer.status_code)["detail"]


# ---- errors -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/v1/nothing", 404),
        ("GET", "/schema", 404),  # no page of the framework's own, which would load scripts from elsewhere
        ("DELETE", "/v1/incidents", 405),
        ("GET", "/v1/events/status", 400),  # source and id are missing
        ("GET", "/v1/incidents?limit=many", 400),
        ("GET", "/v1/incidents?limit=0", 400),
        ("GET", "/v1/incidents?limit=501", 400),
        ("GET", "/v1/incidents?overdu=true", 400),  # a misspelled parameter would change the answer
        ("GET", "/v1/incidents?sort=colour", 400),
        ("GET", "/v1/incidents?state=asleep", 400),
        ("GET", "/v1/incidents?grid=NOWHERE", 400),
        ("GET", "/v1/incidents?due_before=tomorrow", 400),
        ("GET", "/v1/incidents?due_before=2026-03-02T09:00:00", 400),
        ("GET", "/v1/incidents?cursor=x", 400),
        ("GET", "/v1/incidents?cursor=WzEsMl0", 400),
        ("GET", "/v1/alerts?status=loud", 400),
        ("GET", "/v1/alerts/stream?grid=NOWHERE", 400),
        ("GET", f"/v1/incidents/{subject('WY01', 404)}", 404),
    ],
)
def test_every_error_is_a_problem_with_a_detail_and_a_remedy(door: Served, method, path, status) -> None:
    body = problem(door.client.request(method, path), status)
    assert body["detail"] and body["reason"]
    assert body.get("remedy") or body.get("field")


def test_every_error_of_a_view_has_a_status() -> None:
    assert set(Unanswerable.__subclasses__()) == set(UNANSWERABLE)


# ---- HEAD ---------------------------------------------------------------------------------------------------


def test_head_is_answered_like_get_without_a_body_on_every_route_that_has_get(door: Served) -> None:
    app = create_app(Writer(door.engine), door.engine.database)
    paths = sorted(route.path for route in app.routes if "GET" in getattr(route, "methods", ()))
    assert len(paths) > 10
    for path in (path.replace("{id:str}", LATE) for path in paths if not path.endswith("/stream")):
        for query in ("", "?misspelt=1"):
            got, asked = door.client.get(path + query), door.client.head(path + query)
            assert asked.status_code == got.status_code and asked.content == b"", path
            assert asked.headers["content-type"] == got.headers["content-type"]
            streamed = got.status_code == 200 and "/ledger." in path
            assert streamed or asked.headers["content-length"], path
            if "misspelt" in query:
                assert asked.headers["content-length"] == got.headers["content-length"]


def test_head_of_a_stream_is_its_headers_and_takes_no_place(door: Served, monkeypatch) -> None:
    monkeypatch.setattr(alerts, "SUBSCRIBERS", 1)
    for _ in range(3):
        answer = door.client.head("/v1/alerts/stream")
        assert (answer.status_code, answer.content) == (200, b"")
        assert answer.headers["content-type"].startswith("text/event-stream")
    assert door.client.head("/v1/alerts/stream?grid=NOWHERE").status_code == 400
    assert door.client.get("/healthz").status_code == 200


def test_head_of_what_only_takes_posts_is_told_so(door: Served) -> None:
    answer = door.client.head("/v1/events")
    assert answer.status_code == 405 and "POST" in answer.headers["allow"]
    assert "HEAD" in door.client.delete("/v1/incidents").headers["allow"]


# ---- figures, health and description ------------------------------------------------------------------------


def test_the_door_is_alive_and_ready_and_says_what_waits(door: Served) -> None:
    assert door.get("/healthz") == {"status": "ok"}
    wait_until(lambda: door.get("/readyz")["backlog"] == 0)
    ready = door.get("/readyz")
    assert (ready["status"], ready["halted"], len(ready["pack"])) == ("ready", [], 64)


def test_the_first_page_shows_lines_that_work_as_printed(door: Served) -> None:
    text = door.client.get("/").text
    urls = [
        word.strip("'")
        for line in text.splitlines()
        if "curl" in line
        for word in line.split()
        if word.strip("'").startswith("http")
    ]
    assert len(urls) == 3
    for url in urls:
        with door.client.stream("GET", url) as answer:
            assert answer.status_code == 200


def test_the_description_names_every_route_and_the_schema_of_every_event(door: Served) -> None:
    described = door.get("/openapi.json")
    assert described["openapi"].startswith("3.1") and described["info"]["title"] == "gridpatrol"
    wanted = {
        "/v1/events",
        "/v1/events/batch",
        "/v1/events/status",
        "/v1/incidents",
        "/v1/incidents/{id}",
        "/v1/alerts",
        "/v1/alerts/stream",
        "/v1/performance",
        "/healthz",
        "/readyz",
    }
    assert wanted <= set(described["paths"])
    assert set(EVENT_TYPES) == set(described["components"]["schemas"]["Event"]["discriminator"]["mapping"])
    body = described["paths"]["/v1/events/batch"]["post"]["requestBody"]["content"]
    assert "application/cloudevents-batch+json" in body
    for reference in references(described["paths"]):
        assert reference.rpartition("/")[2] in described["components"]["schemas"], reference
    asked = {p["name"] for p in described["paths"]["/v1/incidents"]["get"]["parameters"]}
    assert {"overdue", "grid", "clock", "owner", "due_before", "sort", "cursor", "state"} <= asked


def test_what_the_door_answers_is_described_to_the_last_member(door: Served) -> None:
    described = door.get("/openapi.json")
    for shape in described["components"]["schemas"].values():
        if "properties" in shape:
            shape["additionalProperties"] = False
    month = "/v1/performance?by=grid&from=2026-03-01&to=2026-03-31&published=true"
    asked = {
        "/v1/incidents/{id}": [f"/v1/incidents/{case}" for case in (LATE, ACCEPTED, REJECTED, PAUSED)],
        "/v1/incidents": ["/v1/incidents?open=all"],
        "/v1/alerts": ["/v1/alerts"],
        "/v1/performance": ["/v1/performance?by=grid", month],
        "/v1/events/status": [f"/v1/events/status?source=app/test&id={LATE}.r"],
        "/readyz": ["/readyz"],
        "/healthz": ["/healthz"],
    }
    for path, addresses in asked.items():
        shape = described["paths"][path]["get"]["responses"]["200"]["content"]["application/json"]["schema"]
        judge = Draft202012Validator({**shape, "components": described["components"]})
        for address in addresses:
            answer = door.get(address)
            judge.validate(answer)
            assert answer, address
    shape = {"$ref": "#/components/schemas/FeedLine", "components": described["components"]}
    assert door.get("/v1/alerts")["alerts"], "no alert was told, so no line of the feed is judged"
    with door.client.stream("GET", "/v1/alerts/stream", headers={"Last-Event-ID": "0-0"}) as stream:
        lines = (line.removeprefix("data: ") for line in stream.iter_lines() if line.startswith('data: {"id"'))
        Draft202012Validator(shape).validate(msgspec.json.decode(next(lines)))


def references(value: Any) -> Iterator[str]:
    """Every reference inside a document."""
    if isinstance(value, dict):
        if isinstance(found := value.get("$ref"), str):
            yield found
        for member in value.values():
            yield from references(member)
    elif isinstance(value, list):
        for item in value:
            yield from references(item)


# ---- doors of their own -------------------------------------------------------------------------------------


def test_a_full_queue_is_told_to_come_again(database_url: str) -> None:
    with prepared(database_url, queue=2) as engine, served(engine) as door:
        future = door.writer.call(lambda _: time.sleep(1.5))  # the writer is busy with something else
        answer = door.batch([new(number) for number in range(10)])
        assert problem(answer, 503)["remedy"]
        assert answer.headers["retry-after"] == "1"
        future.result(10)


def test_who_waits_in_vain_is_told_that_the_event_is_durable(database_url: str) -> None:
    with prepared(database_url) as engine, served(engine) as door:
        with engine.database.begin() as connection:  # an operator has to settle something first, everywhere
            connection.exec_driver_sql("UPDATE partitions SET halted = 'for this test'")
        door.writer.call(lambda engine: engine.reload()).result(10)
        answer = door.post(new(50), Prefer="wait=1")
        assert answer.status_code == 202 and answer.headers["preference-applied"] == "wait=1"
        assert "outcome" not in answer.json()
        assert door.get(answer.json()["status_url"])["outcome"] == "pending"
        assert door.get("/v1/events/status", source="app/test", id=new(50)["id"])["outcome"] == "pending"
        ready = door.get("/readyz")
        assert ready["backlog"] == 1 and len(ready["halted"]) == 4 and ready["halted"][0]["why"] == "for this test"
        with engine.database.begin() as connection:
            inbox_table.write_origin(connection, inbox_table.Origin("cluster", "topic", [0] * 4))
        assert "backlog" not in door.get("/readyz"), "of a topic the gateway does not know it"


def test_a_writer_that_has_stopped_is_shown_and_takes_nothing(database_url: str) -> None:
    def fail(engine: object) -> None:
        raise SystemExit("a defect")

    with prepared(database_url) as engine, served(engine) as door:
        failed = door.writer.call(fail)
        wait_until(lambda: door.writer.failure)
        late = door.writer.submit(Submission(0, "tick", "owner", "")).durable
        for future in (failed, door.writer.call(lambda engine: None), late):
            with pytest.raises(SystemExit, match="a defect"):
                future.result(5)
        assert problem(door.client.get("/readyz"), 503)["reason"] == "writer_stopped"
        assert problem(door.post(new(51)), 503)["remedy"]
        assert door.get("/v1/incidents")["incidents"] == []  # what is stored can still be read


@pytest.mark.parametrize(
    ("broken", "finding"),
    [
        ({"levels": ()}, "pack.toml levels"),
        ({"grids": ()}, "grids.csv"),
        ({"calendars": ()}, "pack.toml calendars"),
        ({"grids": tuple(replace(g, parent=g.parent or "WY") for g in weiyang().pack.grids)}, "parent"),
        ({"title_en": "a\0b"}, "U+0000"),
    ],
    ids=["no levels", "no grids", "no calendar", "a circle", "U+0000"],
)
def test_a_pack_that_no_partition_can_work_with_is_refused_and_never_in_the_log(
    sqlite_url: str, broken: dict[str, Any], finding: str
) -> None:
    with prepared(sqlite_url) as engine, served(engine) as door:
        door.batch([new(1)], Prefer="wait=10")  # its time is that of the wall from here on
        active, heads = engine.active(), dict(engine.heads)
        sent = model.encode(replace(weiyang().pack, **broken))
        body = problem(door.client.post("/v1/operator/packs", content=sent, headers=JSON), 422)
        assert body["reason"] == "pack_unusable" and "pack check" in body["remedy"]
        assert any(finding in line for line in body["findings"]), body["findings"]
        other = model.encode(replace(weiyang().pack, title_en="Another"))
        answer = door.client.post("/v1/operator/packs", content=other, headers=JSON)
        assert answer.status_code == 202, answer.text
        wait_until(lambda: (now := engine.active()) and active and now.hash != active.hash)
        assert {p: head - heads[p] for p, head in engine.heads.items()} == dict.fromkeys(heads, 1)
        with engine.database.read() as connection:
            assert dead_letters.listed(connection) == []


def test_a_door_that_is_shut_says_why(sqlite_url: str) -> None:
    why = ["a replay is running"]
    with prepared(sqlite_url) as engine, served(engine, shut=lambda: why[0]) as door:
        assert "a replay is running" in problem(door.post(new(52)), 503)["detail"]
        assert problem(door.client.get("/readyz"), 503)
        why[0] = ""
        assert door.post(new(52)).status_code == 202


def test_without_a_pack_the_door_is_not_ready_and_names_the_command(sqlite_url: str) -> None:
    from engine.runtime import Engine
    from engine.settings import Settings
    from engine.store.database import open_database

    database = open_database(sqlite_url)
    database.upgrade()
    with served(Engine(database, Settings(database=sqlite_url))) as door:
        for path in ("/readyz", "/v1/incidents", "/v1/alerts"):
            assert "pack activate" in problem(door.client.get(path), 503)["remedy"]
    database.close()


def test_figures_are_answered_for_the_days_that_are_asked_for(door: Served) -> None:
    given = {"by": "grid", "from": "2026-03-01", "to": "2026-03-31", "grid": "WY"}
    found = door.get("/v1/performance", **given)
    assert (found["grid"], found["by"], found["since"], found["until"]) == ("WY", "grid", "2026-03-01", "2026-03-31")
    for asked, why in (
        ({"by": "colour"}, "by is none of grid, level, department, group, category, post, unit, day"),
        ({"grid": "NOWHERE"}, "the active pack has no grid of this code"),
        ({"period": "decade"}, "no such period: choose one of day, week, half_month, month, quarter, half, year"),
        ({"published": "maybe"}, "published is neither true nor false"),
        ({"period": "day", "from": "2026-03-01"}, "give either a period or from and to"),
    ):
        body = problem(door.client.get("/v1/performance", params=asked), 400)
        assert (body["reason"], body["field"], body["detail"]) == ("query", next(iter(asked)), why)


def test_a_stream_ends_when_the_door_closes(sqlite_url: str) -> None:
    path = "/v1/alerts/stream"
    with prepared(sqlite_url) as engine, served(engine) as door, door.client.stream("GET", path) as answer:
        rows = answer.iter_lines()
        assert next(rows) == "retry: 2000"
        door.closing.set()
        assert "event: alert" not in list(rows)


def test_a_defect_of_ours_is_a_problem_too_and_tells_nothing_of_itself(door: Served, monkeypatch, caplog) -> None:
    def view(*_: Any) -> Any:
        raise RuntimeError("a secret")

    monkeypatch.setattr(performance, "performance_page", view)
    answer = door.client.get("/v1/performance")
    assert "a secret" not in str(problem(answer, 500))
    assert "a secret" in caplog.text

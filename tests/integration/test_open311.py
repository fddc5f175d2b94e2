"""Open311 GeoReport v2 at the door, on each database: what the specification shows, and what a client of it reads.

In: forms and questions as programs of cities send them. Out: services, requests, errors, in XML and in JSON.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlencode
from xml.etree import ElementTree

import httpx
import pytest
from georeport import GeoReport
from msgspec import structs
from requests import HTTPError

from engine.clock import now_ms
from engine.http import open311_posting
from engine.policies import Policies
from engine.principals import digest_of, new_token
from engine.store import incident_queries
from engine.views.event_status import event_status
from tests.support.builders import DAY, HOUR, event, subject, weiyang
from tests.support.serving import Served, prepared, served, tell, wait_until
from tests.support.settings_files import put_file
from workflows import case as cases

FORM = {"Content-Type": "application/x-www-form-urlencoded; charset=utf-8"}
EXAMPLE = (
    "api_key={key}&jurisdiction_id=weiyang&service_code=D3-01&lat=34.3850123&long=108.8450045"
    "&address_string=1234+5th+street&email=smit333%40sfgov.edu&device_id=tt222111&account_id=123456&first_name=john"
    "&last_name=smith&phone=111111111&description=A+large+sinkhole+is+destroying+the+street"
    "&media_url=http%3A%2F%2Ffarm3.static.flickr.com%2F2002%2F2212426634_5ed477a060.jpg&attribute[WHISPAWN]=123456"
    "&attribute[WHISDORN]=COISL001"
)
"""The example of the specification, with a service and a place of the sample pack."""
KEYS = {name: new_token() for name in ("app", "portal", "desk", "blind")}
PRINCIPALS = f"""
[principal.app]
actors = ["WY-PUBLIC"]
reads = {{petition = "own"}}
tokens = ["{digest_of(KEYS["app"])}"]
[principal.portal]
actors = ["WY-PUBLIC", "WY-12345"]
reads = {{petition = true}}
tokens = ["{digest_of(KEYS["portal"])}"]
[principal.desk]
reads = {{petition = ["WY01"]}}
tokens = ["{digest_of(KEYS["desk"])}"]
[principal.blind]
operator = true
tokens = ["{digest_of(KEYS["blind"])}"]
[principal.everybody]
reads = {{petition = true}}
[principal.few]
reads = {{petition = true}}
events_per_s = 0.001
events_burst = 3
"""


@pytest.fixture
def door(tmp_path: Path) -> Iterator[Served]:
    """A door with keys, and a public that reads."""
    file = tmp_path / "principals.toml"
    put_file(file, PRINCIPALS)
    settings = {"principals": str(file), "open311_public": "everybody"}
    with prepared(f"sqlite:///{tmp_path}/gridpatrol.db", **settings) as engine, served(engine) as open_:
        yield open_


def send(door: Served, body: str, ending: str = ".json", **headers: str) -> httpx.Response:
    """A form as a client sends it."""
    return door.client.post(f"/open311/v2/requests{ending}", content=body, headers=FORM | headers)


def errors_of(answer: httpx.Response) -> list[tuple[int, str]]:
    """The errors of an answer, whose format its ending says."""
    if answer.headers["content-type"].startswith("application/json"):
        return [(each["code"], each["description"]) for each in answer.json()]
    root = ElementTree.fromstring(answer.content)
    assert root.tag == "errors"
    return [(int(each.findtext("code") or 0), each.findtext("description") or "") for each in root]


@pytest.mark.mechanism("M63")
def test_the_form_of_the_specification_becomes_one_request_however_often_it_is_sent(door: Served) -> None:
    first = send(door, EXAMPLE.format(key=KEYS["app"]))
    assert (first.status_code, first.headers["content-type"]) == (200, "application/json; charset=utf-8")
    [created] = first.json()
    id_ = created["service_request_id"]
    assert created == {"service_request_id": id_, "service_notice": None, "account_id": None}
    again = send(door, EXAMPLE.format(key=KEYS["app"]), ".xml")
    assert again.headers["content-type"] == "text/xml; charset=utf-8"
    assert ElementTree.fromstring(again.content).findtext("request/service_request_id") == id_
    unlike = send(door, EXAMPLE.format(key=KEYS["app"]).replace("sinkhole", "pothole")).json()
    assert unlike[0]["service_request_id"] != id_
    by_bearer = EXAMPLE.format(key="").replace("api_key=&", "")
    assert send(door, by_bearer, Authorization=f"Bearer {KEYS['app']}").json() == first.json()
    [shown] = door.get(f"/open311/v2/requests/{id_}.json")
    assert {name: shown[name] for name in ("status", "service_code", "lat", "long", "address")} == {
        "status": "open",
        "service_code": "D3-01",
        "lat": 34.385,
        "long": 108.845,
        "address": None,
    }
    for path in (f"requests/{id_}.json", f"tokens/{id_}.json"):
        assert door.client.get(f"/open311/v2/{path}", params={"api_key": KEYS["desk"]}).status_code == 404
        for name in ("app", "portal"):
            assert door.get(f"/open311/v2/{path}", api_key=KEYS[name])[0]["service_request_id"] == id_
    assert door.get("/open311/v2/requests.json", api_key=KEYS["desk"]) == []
    assert len(door.get("/open311/v2/requests.json", api_key=KEYS["app"])) == 2
    assert door.get(f"/open311/v2/tokens/{id_}.json") == [{"service_request_id": id_, "token": id_}]
    with door.engine.database.read() as connection:
        [body] = incident_queries.read_cases(connection, [id_]).values()
        sealed = connection.exec_driver_sql("SELECT body FROM sealed").scalars().all()
    for word in ("sinkhole", "5th street", "smit333", "111111111", "flickr", "tt222111", "john smith"):
        assert word not in door.client.get("/open311/v2/requests.xml").text
        assert word not in body
        assert any(word in each for each in sealed)


def test_who_waits_in_vain_gets_a_token_and_asks_for_its_request_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And where the pack was active before anything happened, what changed last is told by the first event."""
    monkeypatch.setattr(open311_posting, "WAIT_S", 1)
    url, ever = f"sqlite:///{tmp_path}/gridpatrol.db", now_ms() // DAY
    with prepared(url, active_days=ever, open311_post="WY-PUBLIC") as engine, served(engine) as door:
        assert not door.get("/open311/v2/discovery.json")["changeset"].startswith("1970")
        for partition in engine.rows:
            engine.partitions.halt(partition, "for a test")
        form = EXAMPLE.format(key="").replace("api_key=&", "")
        [token] = send(door, form).json()
        assert token.keys() == {"token", "service_notice", "account_id"}, token
        path = f"/open311/v2/tokens/{token['token']}.json"
        assert door.client.get(path).status_code == 404
        for partition in engine.rows:
            engine.partitions._mark(partition, "", lambda connection: None)
        send(door, form.replace("sinkhole", "pothole"))  # the writer looks at its log again
        answer = wait_until(lambda: (found := door.client.get(path)).status_code == 200 and found)
        assert answer.json() == [{"service_request_id": token["token"], "token": token["token"]}]
        assert send(door, form).json()[0]["service_request_id"] == token["token"]
        changed = datetime.fromisoformat(door.get("/open311/v2/discovery.json")["changeset"])
        assert datetime.now(UTC) - timedelta(days=1) < changed <= datetime.now(UTC)


def test_a_form_is_the_same_request_for_24_hours_and_after_a_restart(database_url: str) -> None:
    with prepared(database_url, open311_post="WY-PUBLIC") as engine:
        with served(engine) as door:
            [created] = send(door, EXAMPLE.format(key="")).json()
        with served(engine) as door:
            assert send(door, EXAMPLE.format(key="")).json() == [created]
            context_of = open311_posting.standing
            digest = open311_posting.form_of(fields_of(EXAMPLE), "local").digest
            with engine.database.read() as connection:
                [body] = incident_queries.read_cases(connection, [created["service_request_id"]]).values()
                opened = cases.decode(body).opened

                def then(after: int) -> open311_posting.Standing:
                    return context_of(connection, event_status, Policies(), digest, opened + after)

                assert {then(hour * HOUR).subject for hour in range(24)} == {created["service_request_id"]}
                assert {then(hour * HOUR).subject for hour in range(24, 72)} == {""}
                assert then(DAY).event == then(DAY).event != then(3 * DAY).event


def fields_of(form: str) -> dict[str, str]:
    """The fields of a form without its key."""
    return {name: text for name, text in parse_qsl(form) if name != "api_key"}


def test_errors_have_the_shape_of_the_specification_and_name_what_is_wrong(door: Served) -> None:
    for ending in ("", ".xml", ".json"):
        check_errors(door, ending)


def check_errors(door: Served, ending: str) -> None:
    """What is refused, in the format of an ending."""

    def asked(path: str, code_: int, words: str, /, **query: str) -> None:
        answer = door.client.get(f"/open311/v2/{path}{ending}", params=query)
        [(code, description)] = errors_of(answer)
        assert (answer.status_code, code) == (code_, code_)
        assert words in description

    asked("services", 403, "nobody has this key", api_key="nobody")
    asked("services", 404, "jurisdiction_id: this server serves another", jurisdiction_id="sfgov.org")
    asked("services/nothing", 404, "service_code: there is no service")
    asked("requests", 403, "may not read", api_key=KEYS["blind"])
    asked("requests", 404, "service_code: there is no service", service_code="D3-01,nothing")
    asked("requests", 400, "status: this is no status", status="open,lost")
    asked("requests", 400, "start_date is no instant with a zone", start_date="2010-01-01")
    asked("requests", 400, "more than 90 days", start_date="2026-01-01T00:00:00Z", end_date="2026-04-02T00:00:00Z")
    asked("requests", 400, "lies after end_date", start_date="2026-01-02T00:00:00Z", end_date="2026-01-01T00:00:00Z")
    asked("requests", 400, "page_size: this is no whole number", page_size="1001")
    asked("requests", 400, "pages end at", page="11", page_size="1000")
    asked("requests", 400, "colour: this is no parameter", colour="blue")
    asked("requests/nothing", 404, "service_request_id: there is no request")
    asked("tokens/nothing", 404, "token: there is no request")
    asked("nothing", 404, "Not Found")

    def sent(code_: int, words: str, key: str = "app", **fields: str) -> None:
        known = {"service_code": "D3-01", "lat": "34.385", "long": "108.845", "api_key": KEYS.get(key, key)}
        answer = send(door, urlencode(known | fields), ending)
        [(code, description)] = errors_of(answer)
        assert (answer.status_code, code) == (code_, code_)
        assert words in description

    sent(403, "this server asks for a key", key="")
    sent(403, "nobody has this key", key="nobody")
    sent(403, "lacks the right `actors`", key="blind")
    sent(403, "speaks for no post alone", key="portal")
    sent(404, "jurisdiction_id", jurisdiction_id="sfgov.org")
    sent(404, "service_code: there is no service", service_code="nothing")
    sent(400, "service_code is missing", service_code="")
    sent(400, "address_id: this is no code of a grid", address_id="nothing")
    sent(400, "lat: this is no number of degrees", lat="north")
    sent(400, "description: the text holds the character U+0000", description="\0")
    assert errors_of(send(door, "description=%ff", ending)) == [
        (400, "the form is no UTF-8; encode each text as UTF-8")
    ]
    assert errors_of(send(door, "lat=1&lat=2", ending))[0][1].startswith("lat stands there twice")
    [(code, _)] = errors_of(send(door, "description=" + "x" * 70_000, ending))
    assert code == 413
    [(code, _)] = errors_of(door.client.post(f"/open311/v2/requests{ending}", json={}))
    assert code == 415


def test_nobody_reads_without_a_key_unless_the_operator_says_so_and_then_within_a_quota(tmp_path: Path) -> None:
    file = put_file(tmp_path / "principals.toml", PRINCIPALS)
    with prepared(f"sqlite:///{tmp_path}/gridpatrol.db", principals=str(file)) as engine:
        with served(engine) as door:
            for path in ("services", "services/D3-01", "requests", "requests/x", "tokens/x"):
                answer = door.client.get(f"/open311/v2/{path}.json")
                assert (answer.status_code, answer.json()[0]["code"]) == (403, 403)
                assert "WWW-Authenticate" not in answer.headers
            assert door.client.get("/open311/v2/discovery.xml").status_code == 200
            assert door.get("/open311/v2/requests.json", api_key=KEYS["desk"]) == []
        engine.settings = structs.replace(engine.settings, open311_public="few")
        with served(engine) as door:
            answers = [door.client.get("/open311/v2/services.json") for _ in range(4)]
            assert [answer.status_code for answer in answers] == [200, 200, 200, 429]
            assert errors_of(answers[3])[0][0] == 429
            assert answers[3].headers["Retry-After"]
            assert door.client.get("/open311/v2/services.json", params={"api_key": KEYS["desk"]}).status_code == 200
            assert send(door, EXAMPLE.format(key="")).status_code == 403


def submitted(number: int, at_: int, actor: str = "WY-PUBLIC", **data: Any) -> dict[str, Any]:
    """A petition that came otherwise."""
    said = {"category": "D3-01", "channel": "online"} | data
    return event("petition.submitted", actor, at_, case=subject("XA", number), id=f"p{number}", **said)


def test_requests_are_found_by_service_status_and_days_page_by_page(database_url: str) -> None:
    now = now_ms()
    with prepared(database_url) as engine:
        for number, age in {1: 95, 2: 89, 3: 60, 4: 30}.items():
            sent = submitted(number, now - age * DAY, category="D3-02" if number == 3 else "D3-01")
            assert tell(engine, sent, now - age * DAY) == "done"
        withdrawn = event("petition.withdrawn", "WY-PUBLIC", now - 20 * DAY, case=subject("XA", 4), id="w")
        assert tell(engine, withdrawn, now - 20 * DAY) == "done"
        assert tell(engine, submitted(5, now - DAY), now - DAY) == "done"
        assert tell(engine, submitted(6, now - DAY, channel="letter"), now - HOUR) == "done"
        with served(engine) as door:

            def found(**query: Any) -> list[int]:
                lines = door.get("/open311/v2/requests.json", **query)
                return [
                    next(n for n in range(1, 7) if subject("XA", n) == line["service_request_id"]) for line in lines
                ]

            assert found() == [5, 4, 3, 2]
            assert found(status="open") == [5, 3, 2]
            assert found(status="closed") == [4]
            assert found(status="open,closed") == [5, 4, 3, 2]
            assert found(service_code="D3-02") == [3]
            assert found(service_code="D3-01,D3-02", page_size=2) == [5, 4]
            assert found(service_code="D3-02,D3-01", page_size=2, page=2) == [3, 2]
            assert found(page_size=3, page=2) == [2]
            assert found(end_date=w3(now - 25 * DAY)) == [4, 3, 2, 1]
            assert found(start_date=w3(now - 97 * DAY)) == [4, 3, 2, 1]
            assert found(start_date=w3(now - 61 * DAY), end_date=w3(now - 29 * DAY)) == [4, 3]
            [shown] = door.get("/open311/v2/requests.json", start_date=w3(now - 31 * DAY), end_date=w3(now - 29 * DAY))
            assert found(start_date=shown["requested_datetime"], end_date=shown["requested_datetime"]) == [4]
            assert shown["status"] == "closed"
            assert datetime.fromisoformat(shown["updated_datetime"]) - datetime.fromisoformat(
                shown["requested_datetime"]
            ) == timedelta(days=10)
            listed = ",".join(subject("XA", n) for n in (6, 1, 3, 9))
            assert found(service_request_id=listed, status="closed", start_date=w3(now)) == [1, 3]
            assert found(service_request_id=[subject("XA", 1), subject("XA", 2)]) == [1, 2]
            assert door.client.get(f"/open311/v2/requests/{subject('XA', 6)}.json").status_code == 404


def test_only_what_was_released_is_shown_and_only_as_long_as_it_is(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/gridpatrol.db"
    with prepared(url, open311_post="WY-PUBLIC") as engine, served(engine) as door:
        id_ = send(door, EXAMPLE.format(key="")).json()[0]["service_request_id"]

        def shown(number: int, *parts: str) -> dict[str, Any]:
            said = event("petition.released", "WY-CHIEF", now_ms(), case=id_, id=f"r{number}", shows=list(parts))
            answer = door.post(said, Prefer="wait=20")
            assert answer.json()["outcome"] == "done", answer.text
            [line] = door.get(f"/open311/v2/requests/{id_}.json")
            assert door.get("/open311/v2/requests.json") == [line]
            return {name: line[name] for name in ("description", "address", "media_url", "lat", "long")}

        hidden = {"description": None, "address": None, "media_url": None, "lat": 34.385, "long": 108.845}
        words = "A large sinkhole is destroying the street\nWHISDORN: COISL001\nWHISPAWN: 123456"
        picture = "http://farm3.static.flickr.com/2002/2212426634_5ed477a060.jpg"
        exact = {"address": "1234 5th street", "lat": 34.3850123, "long": 108.8450045}
        assert shown(1) == hidden
        assert shown(2, "description") == hidden | {"description": words}
        assert shown(3, "media", "address") == hidden | exact | {"media_url": picture}
        assert shown(4) == hidden
        assert shown(5, "description", "address", "media")["description"] == words
        erased = door.client.post(f"/v1/operator/incidents/{id_}/erasures", json={"by": "ops"})
        assert erased.status_code in (200, 201), erased.text
        [line] = door.get(f"/open311/v2/requests/{id_}.json")
        assert (line["description"], line["address"], line["media_url"]) == (None, None, None)


def w3(instant: int) -> str:
    """An instant as the specification writes it."""
    return datetime.fromtimestamp(instant // 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def test_the_client_library_reads_services_and_requests_in_both_formats(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/gridpatrol.db"
    with prepared(url, open311_post="WY-PUBLIC") as engine, served(engine) as door:
        ids = {
            send(door, EXAMPLE.format(key="") + f"&attribute[N]={number}").json()[0]["service_request_id"]
            for number in range(2)
        }
        address = f"{door.client.base_url}/open311/v2/"
        read = []
        for format_ in ("json", "xml"):
            client = GeoReport(address, jurisdiction="weiyang", output_format=format_)
            services = client.get_service_list()
            assert len(services) == len(weiyang().pack.categories)
            assert client.get_service_definition("D3-01")["service_code"] == "D3-01"
            requests = client.get_service_requests(service_code="D3-01", status="open")
            assert {each["service_request_id"] for each in requests} == ids
            one = client.get_service_request(requests[0]["service_request_id"])
            assert one == requests[0]
            read.append([{name: str(value) for name, value in each.items()} for each in [*services, *requests]])
        assert [{name: text.lower() for name, text in each.items()} for each in read[0]] == [
            {name: text.lower() for name, text in each.items()} for each in read[1]
        ]
        with pytest.raises(HTTPError, match="404"):
            client.get_service_request("nothing")

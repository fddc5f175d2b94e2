"""Subscriptions at the door: what is made, shown and refused, streams with a place of their own, and who sees what."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from engine.principals import digest_of, new_token
from engine.store import channels
from tests.support.builders import at
from tests.support.channel_feed import CHIEF, SPONSOR, alert, feed, notice
from tests.support.serving import Served, prepared, served

APP, STREET, OPS, NOBODY = (new_token() for _ in range(4))
HOOK = "https://hook.example/gridpatrol"
MORNING = at("03-02 09:00")
FILE = f"""
[principal.app]
actors = ["{CHIEF}"]
tokens = ["{digest_of(APP)}"]
[principal.street]
reads = ["WY03"]
subscriptions = 2
tokens = ["{digest_of(STREET)}"]
[principal.ops]
operator = true
tokens = ["{digest_of(OPS)}"]
[principal.nobody]
tokens = ["{digest_of(NOBODY)}"]
"""


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder: Path = tmp_path_factory.mktemp("subscribing")
    principals = folder / "principals.toml"
    principals.write_text(FILE, encoding="utf-8")
    principals.chmod(0o644)
    with prepared(f"sqlite:///{folder / 'a.db'}", principals=str(principals)) as engine, served(engine) as door:
        yield door


@pytest.fixture
def door(running: Served) -> Iterator[Served]:
    yield running
    with running.engine.database.begin() as connection:
        for table in ("deliveries", "channel_lines", "channel_messages", "subscriptions"):
            connection.exec_driver_sql(f"DELETE FROM {table}")
        connection.exec_driver_sql("DELETE FROM positions WHERE consumer LIKE 'channel.%'")


def ask(door: Served, method: str, path: str = "", token: str = APP, **more: Any) -> httpx.Response:
    headers = {"Authorization": f"Bearer {token}"} | more.pop("headers", {})
    return door.client.request(method, f"/v1/subscriptions{path}", headers=headers, **more)


def make(door: Served, token: str = APP, **wanted: Any) -> dict[str, Any]:
    answer = ask(door, "POST", token=token, json={"name": "mine"} | wanted)
    assert answer.status_code == 201, answer.text
    found: dict[str, Any] = answer.json()
    return found


def test_a_webhook_is_made_listed_shown_rotated_and_ended(door: Served) -> None:
    made = make(door, url=HOOK, posts=[CHIEF], severities=["overdue"])
    id_, secret = made["subscription"]["id"], made["secret"]
    assert secret.startswith("whsec_") and made["subscription"]["leads_to"] == "hook.example"
    assert made["subscription"]["asks"] == {
        "posts": [CHIEF], "grids": [], "definitions": [], "kinds": ["alert"], "moves": [], "severities": ["overdue"],
    }  # fmt: skip
    listed, shown = ask(door, "GET"), ask(door, "GET", f"/{id_}")
    assert listed.json()["subscriptions"] == [shown.json()] == [made["subscription"]]
    assert secret not in listed.text and HOOK not in listed.text
    fresh = ask(door, "POST", f"/{id_}/secrets", json={}).json()
    assert fresh["secret"] != secret and fresh["subscription"]["old_secret_until"]
    fresh = ask(door, "POST", f"/{id_}/secrets", json={"at_once": True}).json()
    assert "old_secret_until" not in fresh["subscription"]
    assert ask(door, "DELETE", f"/{id_}").json()["why"] == "it was deleted"
    assert ask(door, "GET").json() == {"subscriptions": []}
    [ended] = ask(door, "GET", params={"ended": True}).json()["subscriptions"]
    assert ended["why"] == "it was deleted" and ended["ended_at"]
    assert ask(door, "DELETE", f"/{id_}").json()["reason"] == "ended"


def test_nobody_sees_those_of_others_but_who_operates(door: Served) -> None:
    id_ = make(door, url=HOOK)["subscription"]["id"]
    for method, path in (
        ("GET", ""), ("DELETE", ""), ("GET", "/lines"), ("GET", "/deliveries"), ("GET", "/stream"),
        ("POST", "/secrets"), ("POST", "/place"),
    ):  # fmt: skip
        said = {"place": "0-0"} if path == "/place" else {}
        answer = ask(door, method, f"/{id_}{path}", STREET, json=said if method == "POST" else None)
        assert (answer.status_code, answer.json()["reason"]) == (404, "unknown_subscription"), path
    assert ask(door, "GET", token=STREET).json() == {"subscriptions": []}
    assert ask(door, "GET", token=STREET, params={"all": True}).status_code == 403
    assert [each["id"] for each in ask(door, "GET", token=OPS, params={"all": True}).json()["subscriptions"]] == [id_]
    assert ask(door, "DELETE", f"/{id_}", OPS).status_code == 200
    [ended] = ask(door, "GET", params={"ended": True}).json()["subscriptions"]
    assert ended["why"] == "an operator ended it"


@pytest.mark.parametrize(
    ("who", "wanted", "status", "field"),
    [
        ("app", {"url": "https://127.0.0.1/x"}, 400, "url"),
        ("app", {"url": "https://localhost/x"}, 400, "url"),
        ("app", {"url": "https://[::ffff:10.0.0.1]/x"}, 400, "url"),
        ("app", {"url": "https://169.254.169.254/latest"}, 400, "url"),
        ("app", {"url": "http://hook.example/x"}, 400, "url"),
        ("app", {"url": "ftp://hook.example/x"}, 400, "url"),
        ("app", {"url": "https://user@hook.example/x"}, 400, "url"),
        ("app", {"posts": ["NOBODY"]}, 400, "posts"),
        ("app", {"posts": ["X??-*"]}, 400, "posts"),
        ("app", {"posts": [SPONSOR]}, 400, "posts"),
        ("street", {"posts": ["WY04-CHIEF"]}, 400, "posts"),
        ("street", {"grids": ["WY04"]}, 400, "grids"),
        ("street", {"grids": ["NOWHERE"]}, 400, "grids"),
        ("app", {"moves": ["nothing"]}, 400, "moves"),
        ("app", {"definitions": ["nothing"]}, 400, "definition"),
        ("app", {"severities": ["worst"]}, 400, "severities"),
        ("app", {"wait_s": 3601}, 400, "wait_s"),
        ("app", {"color": "red"}, 400, ""),
        ("nobody", {}, 403, ""),
    ],
)
def test_what_cannot_be_subscribed_to_is_refused_with_the_field(
    door: Served, who: str, wanted: dict[str, Any], status: int, field: str
) -> None:
    token = {"app": APP, "street": STREET, "nobody": NOBODY}[who]
    answer = ask(door, "POST", token=token, json={"name": "mine"} | wanted)
    assert answer.status_code == status, answer.text
    body = answer.json()
    assert field in body.get("field", "") and (body.get("remedy") or status == 400)
    for quoted in wanted.values():
        assert not isinstance(quoted, str) or quoted not in answer.text
    assert ask(door, "GET", token=token).json() == {"subscriptions": []}


def test_a_name_is_taken_once_and_a_principal_has_so_many(door: Served) -> None:
    make(door, STREET, url=HOOK)
    again = ask(door, "POST", token=STREET, json={"name": "mine"})
    assert (again.status_code, again.json()["reason"], again.json()["field"]) == (409, "exists", "name")
    make(door, STREET, name="second", posts=["WY03-*"])
    more = ask(door, "POST", token=STREET, json={"name": "third"})
    assert (more.status_code, more.json()["reason"]) == (409, "too_many")
    make(door, APP)  # another one's names and number are its own


# ---- streams -----------------------------------------------------------------------------------------------------


def told(door: Served, id_: str, token: str = APP, count: int = 1, last: str = "") -> list[tuple[str, str]]:
    """The first events of a stream: what each is, and its id."""
    found, event, place = list[tuple[str, str]](), "", ""
    headers = {"Authorization": f"Bearer {token}"} | ({"Last-Event-ID": last} if last else {})
    with door.client.stream("GET", f"/v1/subscriptions/{id_}/stream", headers=headers) as answer:
        assert answer.status_code == 200
        for line in answer.iter_lines():
            name, _, value = line.partition(": ")
            if name == "event":
                event = value
            elif name == "id":
                place = value
            elif not line and event:
                found.append((event, place))
                event = ""
                if len(found) == count:
                    return found
    return found


def test_a_stream_has_a_durable_place_of_its_own(door: Served) -> None:
    feed(door.engine.database, MORNING, alert(1, case=1))
    id_ = make(door)["subscription"]["id"]
    feed(door.engine.database, MORNING, alert(2, case=2, to=(CHIEF, SPONSOR)), alert(3, case=3, to=(SPONSOR,)))
    feed(door.engine.database, MORNING, notice(4, case=4), alert(5, "acknowledged", case=2, by=CHIEF))
    page = ask(door, "GET", f"/{id_}/lines").json()
    assert [(line["case"][-1], list(line["recipients"])) for line in page["lines"]] == [("2", [CHIEF]), ("4", [CHIEF])]
    assert page["lines"][0]["names"]["recipients"] == {CHIEF: "街道办事处主任"} and not page["more"]
    assert ask(door, "GET", f"/{id_}/lines").json() == page, "what was not received is told again"
    opened, first, second = told(door, id_, count=3)
    assert (opened[0], first[0], second[0]) == ("opened", "alert", "alert")
    assert told(door, id_, count=2, last=first[1])[1] == second, "a client that comes back goes on after its own"
    kept = ask(door, "POST", f"/{id_}/place", json={"place": first[1]})
    assert (kept.status_code, kept.json()["place"], kept.json()["behind"]) == (200, first[1], 3)
    assert told(door, id_, count=2) == [("opened", first[1]), second]
    ask(door, "POST", f"/{id_}/place", json={"place": page["next"]})
    assert ask(door, "POST", f"/{id_}/place", json={"place": first[1]}).json()["place"] == page["next"]
    assert ask(door, "GET", f"/{id_}/lines").json()["lines"] == []
    assert ask(door, "GET", f"/{id_}/lines", params={"place": opened[1], "limit": 1}).json()["more"]


def test_a_stream_ends_with_its_subscription(door: Served) -> None:
    id_ = make(door)["subscription"]["id"]
    headers = {"Authorization": f"Bearer {APP}"}
    with door.client.stream("GET", f"/v1/subscriptions/{id_}/stream", headers=headers) as answer:
        lines = answer.iter_lines()
        assert next(lines).startswith("retry:")
        assert ask(door, "DELETE", f"/{id_}").status_code == 200
        list(lines)
    assert ask(door, "GET", f"/{id_}/stream").status_code == 404


def test_a_place_of_another_feed_is_refused_and_a_webhook_has_none(door: Served) -> None:
    id_ = make(door)["subscription"]["id"]
    for answer in (
        ask(door, "POST", f"/{id_}/place", json={"place": "gone-1"}),
        ask(door, "GET", f"/{id_}/lines", params={"place": "gone-1"}),
    ):
        assert (answer.status_code, answer.json()["field"]) == (400, "place")
    assert told(door, id_, last="gone-1")[0][0] == "restarted"
    hook = make(door, name="hook", url=HOOK)["subscription"]
    assert ask(door, "POST", f"/{hook['id']}/place", json={"place": "0-0"}).json()["reason"] == "no_place"
    assert ask(door, "POST", f"/{id_}/secrets", json={}).json()["reason"] == "no_secret"


def test_its_own_deliveries_are_read_as_far_as_they_were_sent_or_may_be_read(door: Served) -> None:
    id_ = make(door, url=HOOK)["subscription"]["id"]
    line = channels.ChannelLine(id_, "a", 1, "alert", "firing", "WY03.1", "/XA/WY/WY03/", "incident", CHIEF, "", "mine",
                                MORNING, MORNING, True)  # fmt: skip
    other = channels.ChannelLine(id_, "b", 2, "alert", "firing", "WY03.2", "/XA/WY/WY03/", "incident", SPONSOR, "",
                                 "mine", MORNING, MORNING, True, status="overtaken")  # fmt: skip
    with door.engine.database.begin() as connection:
        channels.write_lines(connection, [line, other])
    page = ask(door, "GET", f"/{id_}/deliveries").json()
    assert [(each["case"], each["status"]) for each in page["deliveries"]] == [("WY03.1", "waiting")]
    assert ask(door, "GET", f"/{id_}/deliveries", params={"status": "lost"}).json()["field"] == "status"

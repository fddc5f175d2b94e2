"""Texts that not every database takes, wherever somebody may write one: each route of the door, and each command.

What is refused is refused the same on both databases, with the name of the parameter and without its value.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from http.client import HTTPConnection
from typing import Any

import click
import httpx
import pytest
from click.testing import CliRunner

from engine.http.app import create_app
from engine.http.auth import INJECTED
from engine.views.questions import MOST_CHARACTERS
from engine.writer import Writer
from gridpatrol import options
from gridpatrol.cli import main
from lab.parts.postgres import fresh_database
from tests.support.serving import WITHIN_S, Served, prepared, served

UNTAKEN = {
    "U+0000": "a%00b",
    "half of a character": "a%ED%A0%80b",
    "bytes that are no UTF-8": "a%FFb",
    "a byte cut off": "a%E4%BD",
    "a long text": "a" * (MOST_CHARACTERS + 1),
    "a very long text": "a" * 20_000,
}
"""Texts as they stand in an address."""


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def door(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A door without incidents, once on each kind of database."""
    if request.param == "sqlite":
        file = tmp_path_factory.mktemp("texts") / "gridpatrol.db"
        with prepared(f"sqlite:///{file}") as engine, served(engine) as running:
            yield running
        return
    with (
        fresh_database(request.getfixturevalue("postgres_server")) as url,
        prepared(url) as engine,
        served(engine) as running,
    ):
        yield running


def parameters(door: Served) -> Iterator[tuple[str, str, str, bool]]:
    """Method, path and name of each parameter of each route, and whether it stands in the path."""
    app = create_app(Writer(door.engine), door.engine.database)
    for route in app.routes:
        for handler in getattr(route, "route_handlers", ()):
            if route.path.startswith("/open311/"):
                continue  # it answers in words of its own: test_open311
            for method in sorted(handler.http_methods - {"OPTIONS"}):
                asked = set(handler.parsed_fn_signature.parameters)
                for provider in handler.resolve_dependencies().values():  # what several routes ask for alike
                    asked |= set(provider.parsed_fn_signature.parameters)
                for name in sorted(asked - INJECTED - handler.resolve_dependencies().keys()):
                    yield method, route.path, name.rstrip("_"), f"{{{name}:" in route.path


def refusal(answer: httpx.Response) -> dict[str, Any]:
    assert answer.status_code == 400, (answer.request.url.path[:80], answer.text[:200])
    body: dict[str, Any] = answer.json()
    return body


def test_the_walk_meets_texts_of_paths_and_of_queries(door: Served) -> None:
    found = {(path, name) for _, path, name, _ in parameters(door)}
    assert {("/v1/incidents/{id:str}", "id"), ("/v1/performance", "from"), ("/v1/alerts/stream", "grid")} <= found
    assert len(found) > 35


@pytest.mark.parametrize("untaken", sorted(UNTAKEN))
def test_a_text_that_no_database_takes_is_refused_by_its_name_on_every_route(door: Served, untaken: str) -> None:
    text = UNTAKEN[untaken]
    for method, path, name, in_path in parameters(door):
        address = addressed(path, name if in_path else "", text)
        address += "" if in_path else f"?{name}={text}"
        body = refusal(door.client.request(method, address, json={"by": "nobody"} if method == "POST" else None))
        assert (body["reason"], body["field"]) == ("query", name), (address[:80], body)
        assert body["remedy"] and text not in str(body) and "\0" not in str(body), body


def addressed(path: str, name: str, text: str) -> str:
    """The path with a text in the place of the parameter of this name, and with another in every other place."""
    return re.sub(r"\{(\w+):\w+\}", lambda found: text if found[1] == name else "x", path)


def test_no_answer_of_a_reading_route_quotes_what_was_asked(door: Served) -> None:
    """A question may hold a person's name or number as well as an event may."""
    answered = Counter[int]()
    for method, path, name, in_path in parameters(door):
        for text in ("somebody-13800000000", "13800000000") if method == "GET" else ():
            address = addressed(path, name if in_path else "", text)
            asked = {} if in_path else {name: text}
            if path.endswith("/status"):
                asked = {"source": text, "id": text, "subject": text} | asked
            with door.client.stream("GET", address, params=asked) as answer:
                answered[answer.status_code] += 1
                body = answer.read().decode() if answer.status_code >= 400 else ""
            assert text not in body and "13800000000" not in body, (path, name, body)
    assert answered[400] > 10 and answered[404] > 2, answered


def test_no_answer_quotes_whose_page_or_name_or_parameter_it_refuses(door: Served) -> None:
    text = "somebody-13800000000"
    refused = [
        door.client.get("/v1/incidents", headers={"Host": text}),
        door.client.post("/v1/events", json={}, headers={"Origin": f"http://{text}"}),
        door.client.post(f"/v1/operator/letters/{text}/replays"),
        door.client.post(f"/v1/operator/letters/{text}/erasures", json={"by": "x"}),
        door.client.post(f"/v1/operator/incidents/{text}/erasures", json={"by": "x"}),
        door.client.get(f"/v1/{text}"),
    ]
    assert [answer.status_code for answer in refused] == [421, 403, 404, 400, 400, 404]
    assert [answer.text for answer in refused if text in answer.text] == []


def test_a_name_that_no_database_takes_is_no_parameter_of_any_route(door: Served) -> None:
    for text in UNTAKEN.values():
        assert refusal(door.client.get(f"/v1/incidents?{text}=1"))["field"] == "query"


def test_a_megabyte_of_text_is_refused_and_the_next_question_is_answered(door: Served) -> None:
    text = "a" * 1_000_000
    for address in (f"/v1/incidents?grid={text}", f"/v1/incidents/{text}", f"/v1/incidents?{text}=1"):
        asking = HTTPConnection(door.client.base_url.host, door.client.base_url.port, timeout=WITHIN_S)
        with closing(asking):
            asking.request("GET", address)
            answer = asking.getresponse()
            assert answer.status in (400, 414, 431) and len(answer.read()) < 1000
    assert door.client.get("/v1/incidents").status_code == 200


def test_a_text_of_every_script_is_asked_for(door: Served) -> None:
    asked = {"category": "占道经营 𠮷 é \ufffd", "owner": "а" * MOST_CHARACTERS}
    assert door.get("/v1/incidents", **asked)["incidents"] == []
    assert door.client.get("/v1/incidents/占道\ufffd").status_code == 404


def test_a_position_that_no_log_has_is_refused_by_its_name(door: Served) -> None:
    for position in (-1, 10**18, 10**30):
        address = f"/v1/events/status?source=a&id=b&subject=WY01.x&position={position}"
        assert refusal(door.client.get(address))["field"] == "position"


@pytest.mark.parametrize("field", ["by", "verdict", "detail"])
def test_an_operator_sends_no_text_that_no_database_takes(door: Served, field: str) -> None:
    route = "/v1/operator/incidents/x/erasures" if field == "by" else "/v1/operator/settlements"
    sent = {"partition": 0, "position": 0, "verdict": "skip", "detail": ""} | {field: "a\0b"}
    assert refusal(door.client.post(route, json=sent))["field"] == field
    assert door.writer.is_alive() and door.writer.failure is None


# ---- commands -----------------------------------------------------------------------------------------------


def commands(command: click.Command, words: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    """Every command by its words."""
    if not isinstance(command, click.Group):
        yield words, command
        return
    for name in command.list_commands(click.Context(command)):
        found = command.get_command(click.Context(command), name)
        assert found is not None
        yield from commands(found, (*words, name))


def test_every_text_of_a_command_that_a_database_is_asked_for_is_looked_at() -> None:
    """What is plain text for click names files, addresses and the like; no statement ever holds it."""
    plain = {
        f"{words[0]} {param.name}"
        for words, command in commands(main)
        for param in command.params
        if param.type is click.STRING
    }
    allowed = {"database", "listen", "pack", "output", "kafka", "instance", "role", "file", "folder", "server"}
    listed = {"db source", "deadline limit", "deadline start", "deadline calendar", "principal name", "schema type_"}
    listed |= {"schema write", "topic systems", "replay expect", "restore sha256", "verify expect", "duty period"}
    listed |= {"import rejects", "pack old", "pack new", "pack report"}
    assert {name for name in plain if name.split()[1] not in allowed} == listed


def test_a_text_that_no_database_takes_is_a_mistake_of_the_command_line() -> None:
    met = 0
    for words, command in commands(main):
        for param in command.params:
            if param.type is not options.TEXT:
                continue
            met += 1
            for text, why in (("a\udcffb", "UTF-8"), ("a\0b", "U+0000"), ("a" * 20_000, "20000 characters")):
                line = [*words]
                for other in command.params:
                    if other is param:
                        line += [text] if isinstance(other, click.Argument) else [other.opts[0], text]
                    elif isinstance(other, click.Argument) and other.required:
                        line.append("1")
                done = CliRunner().invoke(main, line)
                assert done.exit_code == 2, (words, param.name, done.output, done.exception)
                assert why in done.output and text not in done.output, (words, param.name, done.output)
    assert met > 25

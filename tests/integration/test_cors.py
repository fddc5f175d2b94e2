"""Pages of other origins: those that are listed may ask, publish and listen; of others nothing is allowed."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import msgspec
import pytest

from engine.errors import SettingsError
from engine.http.app import ROUTES
from engine.http.cors import EXPOSED
from engine.settings import Settings
from tests.integration.test_door import new, problem
from tests.support.serving import CLOUDEVENT, Served, prepared, served

DESK, OTHER = "https://desk.example", "https://evil.example"


@pytest.fixture(scope="module")
def door(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    url = f"sqlite:///{tmp_path_factory.mktemp('cors') / 'gridpatrol.db'}"
    with prepared(url, cors=f"{DESK}, http://localhost:5173") as engine, served(engine) as running:
        yield running


def allowed(answer: httpx.Response) -> tuple[str, bool]:
    """The origin that an answer allows, and whether caches are told that it depends on that."""
    vary = {name.strip() for name in answer.headers.get("vary", "").split(",")}
    return answer.headers.get("access-control-allow-origin", ""), "Origin" in vary


def preflight(door: Served, path: str, method: str, origin: str = DESK) -> httpx.Response:
    asked = {"Origin": origin, "Access-Control-Request-Method": method}
    wanted = "authorization, content-type, content-range, ce-id"
    return door.client.options(path, headers=asked | {"Access-Control-Request-Headers": wanted})


@pytest.mark.parametrize("path", sorted({path for route in ROUTES for path in route.paths}))
def test_a_browser_is_told_before_what_a_listed_page_may_send(door: Served, path: str) -> None:
    for method in ("GET", "POST", "PUT"):
        answer = preflight(door, path, method)
        assert (answer.status_code, answer.content, allowed(answer)) == (204, b"", (DESK, True))
        assert method in answer.headers["access-control-allow-methods"]
        assert "content-range" in answer.headers["access-control-allow-headers"]
        assert "access-control-allow-credentials" not in answer.headers
    assert allowed(preflight(door, path, "POST", OTHER)) == ("", True)
    assert "access-control-allow-methods" not in preflight(door, path, "PUT", OTHER).headers


def test_a_listed_page_asks_and_is_answered(door: Served) -> None:
    answer = door.client.get("/v1/incidents", headers={"Origin": DESK})
    assert (answer.status_code, allowed(answer)) == (200, (DESK, True))
    assert answer.headers["access-control-expose-headers"] == EXPOSED
    assert allowed(door.client.get("/v1/incidents")) == ("", True), "a cache that has this keeps it from no page"
    assert allowed(door.client.get("/v1/incidents", headers={"Origin": OTHER})) == ("", True)
    large = door.client.get("/openapi.json", headers={"Origin": DESK, "Accept-Encoding": "gzip"})
    assert {name.strip() for name in large.headers["vary"].split(",")} == {"Accept-Encoding", "Origin"}
    for wrong in ("/nowhere", "/v1/incidents/nobody", "/v1/incidents?colour=red"):
        assert allowed(door.client.get(wrong, headers={"Origin": DESK})) == (DESK, True), "it may read why not"


def test_a_listed_page_publishes_and_another_may_not(door: Served) -> None:
    for number, origin in enumerate((DESK, "http://localhost:5173")):
        answer = door.post(new(number), Origin=origin)
        assert (answer.status_code, allowed(answer)) == (202, (origin, True))
    batch = msgspec.json.encode([new(9)])
    answer = door.client.post("/v1/events/batch", content=batch, headers=CLOUDEVENT | {"Origin": DESK})
    assert allowed(answer) == (DESK, True)
    for foreign in (OTHER, "null", f"{DESK}.evil.example", DESK.upper(), f"{DESK}/"):
        refused = door.post(new(5), Origin=foreign)
        assert (problem(refused, 403)["reason"], allowed(refused)) == ("foreign_origin", ("", True))
    plain = door.post(new(6))
    assert (plain.status_code, allowed(plain)) == (202, ("", True)), "a program names no origin"


def test_a_listed_page_sends_a_photo_and_listens(door: Served) -> None:
    answer = door.client.put(f"/v1/files/{'ab' * 32}", content=b"no photo, this is text", headers={"Origin": DESK})
    assert (problem(answer, 415)["reason"], allowed(answer)) == ("file_type", (DESK, True))
    with door.client.stream("GET", "/v1/alerts/stream", headers={"Origin": DESK}) as stream:
        assert (stream.status_code, allowed(stream)) == (200, (DESK, True))


def test_without_a_list_nothing_is_said(sqlite_url: str) -> None:
    with prepared(sqlite_url) as engine, served(engine) as door:
        assert allowed(door.client.get("/v1/incidents", headers={"Origin": DESK})) == ("", False)
        assert "access-control-allow-methods" not in preflight(door, "/v1/events", "POST").headers


def test_only_origins_are_listed() -> None:
    assert Settings(cors="").origins == frozenset()
    assert Settings(cors="https://a.example:8443,http://[::1]:80").origins == {
        "https://a.example:8443",
        "http://[::1]:80",
    }
    for wrong in ("*", "null", "desk.example", "https://desk.example/", "https://Desk.example", "file://x"):
        with pytest.raises(SettingsError):
            Settings(cors=wrong)

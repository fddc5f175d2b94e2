"""A door that asks who speaks: tokens, rights, forged actors, and a file of principals that changes meanwhile."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import httpx
import pytest
from click.testing import CliRunner

from engine.clock import now_ms
from engine.errors import SettingsError
from engine.http.app import create_app
from engine.principals import digest_of, new_token
from engine.store import dead_letters
from engine.writer import Writer
from gridpatrol.cli import main
from gridpatrol.client import Refused, Server
from tests.integration.test_door import problem, report
from tests.support.builders import HOTLINE, STREET, event, subject
from tests.support.serving import Served, prepared, served
from tests.support.settings_files import put_file, read_at_once

TOKENS = {name: new_token() for name in ("hotline", "app", "supervision", "ops", "new")}
FILE = f"""
[principal.hotline]
actors = ["{HOTLINE}"]
tokens = ["{digest_of(TOKENS["hotline"])}"]
[principal.app]
actors = ["WY??-*"]
tokens = ["{digest_of(TOKENS["app"])}"]
[principal.supervision]
reads = true
tokens = ["{digest_of(TOKENS["supervision"])}"]
[principal.ops]
operator = true
tokens = ["{digest_of(TOKENS["ops"])}"]
"""
OPEN = ("/", "/openapi.json", "/healthz", "/readyz", "/metrics", "/sign-in")
OF_OPEN311 = {
    ("GET", f"/open311/v2/{name}{ending}")
    for name in ("discovery", "services", "requests")
    for ending in ("", ".xml", ".json")
}
OF_OPEN311 |= {("GET", f"/open311/v2/{name}/{{}}") for name in ("services", "requests", "tokens")}
OF_OPEN311 |= {("POST", f"/open311/v2/requests{ending}") for ending in ("", ".xml", ".json")}
"""They ask for a key, and answer in words of their own: `test_open311` asks them."""
OF_PAGES = {("POST", "/sign-in"), ("GET", "/static/{}"), ("POST", "/v1/answers")} | {
    ("GET", f"/m{path}") for path in ("", "/{}", "/worker.js", "/manifest.webmanifest")
}
"""Where a session begins, styles and scripts of pages, the shell of the phone, which holds nothing of anybody, and the
answer to a petition, which its code opens."""
ASKING = [
    ("POST", "/v1/events", "actors"),
    ("POST", "/v1/events/batch", "actors"),
    ("GET", "/v1/events/status", ""),
    ("GET", "/v1/me", ""),
    ("GET", "/v1/pack", "actors"),
    ("GET", "/v1/locate", "actors"),
    ("GET", "/v1/similar", "actors"),
    ("POST", "/v1/signals/values", "actors"),
    ("GET", "/v1/files/x", ""),
    ("PUT", "/v1/files/x", "actors"),
    ("GET", "/v1/outcomes?source=x", ""),
    ("GET", "/v1/tasks?post=WY01-CHIEF", "speaks"),
    ("GET", "/m/session", ""),
    ("POST", "/m/v1/events/batch", "actors"),
    ("GET", "/m/v1/pack", "actors"),
    ("GET", "/m/v1/locate", "actors"),
    ("GET", "/m/v1/similar", "actors"),
    ("GET", "/m/v1/files/x", ""),
    ("GET", "/console/v1/files/x", "reads"),
    ("PUT", "/m/v1/files/x", "actors"),
    ("GET", "/m/v1/outcomes?source=x", ""),
    ("GET", "/m/v1/tasks?post=WY01-CHIEF", "speaks"),
    ("GET", "/m/v1/incidents", "reads"),
    ("GET", "/m/v1/incidents/x", "reads"),
    ("GET", "/v1/tasks/x", "reads"),
    ("POST", "/v1/petitions/x/code", "actors"),
    ("GET", "/v1/targets", "reads"),
    ("GET", "/v1/targets/x", "reads"),
    ("GET", "/v1/incidents", "reads"),
    ("GET", "/v1/incidents/x", "reads"),
    ("GET", "/v1/incidents/x/words", "reads"),
    ("GET", "/v1/alerts", "reads"),
    ("GET", "/v1/alerts/stream", "reads"),
    ("POST", "/v1/alerts/seen", ""),
    ("POST", "/v1/subscriptions", "subscribes"),
    ("GET", "/v1/subscriptions", ""),
    ("GET", "/v1/subscriptions/x", ""),
    ("DELETE", "/v1/subscriptions/x", ""),
    ("POST", "/v1/subscriptions/x/secrets", ""),
    ("POST", "/v1/subscriptions/x/place", ""),
    ("GET", "/v1/subscriptions/x/lines", ""),
    ("GET", "/v1/subscriptions/x/stream", ""),
    ("GET", "/v1/subscriptions/x/deliveries", ""),
    ("GET", "/v1/deliveries", "operator"),
    ("GET", "/v1/performance", "reads"),
    ("GET", "/v1/performance/cases", "reads"),
    ("GET", "/v1/assessment", "reads"),
    ("GET", "/v1/responsible", "reads"),
    ("GET", "/v1/responsibilities", "reads"),
    ("GET", "/v1/deductions", "reads"),
    ("GET", "/v1/approval-money", "reads"),
    ("GET", "/v1/violations", "bank"),
    ("GET", "/v1/audit", "inspection"),
    ("GET", "/v1/audit/stream", "inspection"),
    ("GET", "/v1/verifications", "operator"),
    ("GET", "/v1/ledger.csv", "reads"),
    ("GET", "/v1/ledger.xlsx", "reads"),
    ("GET", "/v1/reports/x", "reads"),
    ("GET", "/v1/grids.geojson", "reads"),
    ("GET", "/v1/organisation", "reads"),
    ("GET", "/v1/workflow", "reads"),
    ("GET", "/v1/notices", "reads"),
    ("GET", "/v1/duties", "reads"),
    ("PUT", "/v1/files/x", "actors"),
    ("GET", "/v1/files/x", ""),
    ("POST", "/v1/operator/packs", "operator"),
    ("POST", "/v1/operator/letters/x/replays", "operator"),
    ("POST", "/v1/operator/letters/x/erasures", "operator"),
    ("POST", "/v1/operator/settlements", "operator"),
    ("GET", "/v1/operator/clock", "operator"),
    ("POST", "/v1/operator/clock", "operator"),
    ("POST", "/v1/operator/tries", "operator"),
    ("POST", "/v1/operator/archives", "operator"),
    ("POST", "/v1/operator/incidents/x/erasures", "operator"),
    ("GET", "/v1/operator/people", "operator"),
    ("POST", "/v1/operator/people", "operator"),
    ("POST", "/v1/operator/people/x/tokens", "operator"),
    ("POST", "/v1/operator/people/x/withdrawals", "operator"),
    ("GET", "/desk", "reads"),
    ("GET", "/desk/stream", "reads"),
    ("POST", "/desk/x/acts", "actors"),
    ("GET", "/cases", "reads"),
    ("GET", "/cases/x", "reads"),
    ("POST", "/cases/x/acts", "actors"),
    ("GET", "/alerts", "reads"),
    ("POST", "/alerts/seen", "reads"),
    ("GET", "/ranking", "reads"),
    ("GET", "/figures?measure=reported", "reads"),
    ("GET", "/ledger", "reads"),
    ("GET", "/ledger.csv", "reads"),
    ("GET", "/ledger.xlsx", "reads"),
    ("GET", "/reports", "reads"),
    ("GET", "/reports/x/x", "reads"),
    ("GET", "/supervision", "reads"),
    ("GET", "/joint", "reads"),
    ("GET", "/approvals", "reads"),
    ("GET", "/approvals/money", "reads"),
    ("GET", "/approvals/new", "reads"),
    ("POST", "/approvals/applications", "actors"),
    ("GET", "/petitions", "reads"),
    ("GET", "/supervision/new", "reads"),
    ("POST", "/supervision/proposals", "actors"),
    ("POST", "/supervision/x/acts", "actors"),
    ("GET", "/assessment", "reads"),
    ("GET", "/duties", "reads"),
    ("GET", "/units/x", "reads"),
    ("GET", "/sponsors", "reads"),
    ("GET", "/signals", "reads"),
    ("GET", "/responsibility", "reads"),
    ("GET", "/packs", "operator"),
    ("GET", "/whatif", "operator"),
    ("POST", "/whatif", "operator"),
    ("POST", "/packs", "operator"),
    ("POST", "/packs/activations", "operator"),
    ("GET", "/tokens", "operator"),
    ("POST", "/tokens", "operator"),
    ("POST", "/tokens/x/rotations", "operator"),
    ("POST", "/tokens/x/withdrawals", "operator"),
    ("GET", "/channels", "operator"),
    ("GET", "/audit", "operator"),
    ("POST", "/channels/x/tests", "operator"),
    ("POST", "/channels/x/retries", "operator"),
    ("GET", "/health", "operator"),
    ("GET", "/health/letters/x", "operator"),
    ("POST", "/health/letters/x/replays", "operator"),
    ("GET", "/me", ""),
    ("POST", "/me/post", ""),
    ("POST", "/sign-out", ""),
]
HOLDS = {
    "actors": {"hotline", "app"},
    "reads": {"supervision"},
    "speaks": {"app", "supervision"},  # whoever may speak for the post that is asked for, and who reads
    "subscribes": {"hotline", "app", "supervision"},  # who speaks or reads
    "operator": {"ops"},
    "bank": set(),  # tests/integration/test_money.py
    "inspection": set(),  # tests/integration/test_inspection.py
    "": set(TOKENS) - {"new"},
}

Opened = Callable[[str], AbstractContextManager[Served]]


def bearer(name: str) -> dict[str, str]:
    """The header of a principal."""
    return {"Authorization": f"Bearer {TOKENS[name]}"}


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file of principals; every request looks at it."""
    read_at_once(monkeypatch)
    return put_file(tmp_path / "principals.toml", FILE)


@pytest.fixture
def door(sqlite_url: str, file: Path) -> Iterator[Served]:
    """A door that asks who speaks."""
    with prepared(sqlite_url, principals=str(file)) as engine, served(engine) as running:
        yield running


@pytest.fixture(scope="module")
def still(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """The same for tests that change nothing."""
    folder = tmp_path_factory.mktemp("door")
    file = put_file(folder / "principals.toml", FILE)
    with prepared(f"sqlite:///{folder / 'gridpatrol.db'}", principals=str(file)) as engine, served(engine) as running:
        yield running


def new(number: int) -> dict[str, Any]:
    """A report by the hotline, of now, of a case of its own."""
    return report(subject("WY03", number), now_ms(), "WY03-01")


def kept(door: Served, id_: str) -> dead_letters.Letter:
    """A dead letter that must be there."""
    with door.engine.database.read() as connection:
        found = dead_letters.read(connection, id_)
    assert found is not None
    return found


def records(door: Served) -> list[tuple[str, str]]:
    """Principals of the events in the log, with the event's actor as the record has it."""
    with door.engine.database.read() as connection:
        rows = connection.exec_driver_sql("SELECT principal, body FROM inbox WHERE kind = 'event' ORDER BY stamp").all()
    return [(principal, body) for principal, body in rows]


# ---- who is there -------------------------------------------------------------------------------------------


def test_the_table_of_this_file_names_every_route_of_the_door(door: Served) -> None:
    asked = {(method, path.partition("?")[0].replace("/x", "/{}")) for method, path, _ in ASKING}
    listed = asked | {("GET", path) for path in OPEN}
    app = create_app(door.writer, door.engine.database)
    routes = {
        (method, path)
        for route in app.routes
        for method in getattr(route, "methods", ())
        if method != "OPTIONS"
        for path in [_blank(route.path)]
    }
    assert routes == listed | OF_PAGES | OF_OPEN311


def _blank(path: str) -> str:
    """A route's path without the names of its parameters."""
    return "/".join("{}" if part.startswith("{") else part for part in path.split("/"))


@pytest.mark.parametrize("path", OPEN)
def test_what_describes_and_what_watches_the_server_is_open(still: Served, path: str) -> None:
    assert still.client.get(path).status_code == 200


@pytest.mark.parametrize(("method", "path", "right"), ASKING)
def test_everything_else_asks_who_speaks(still: Served, method: str, path: str, right: str) -> None:
    answer = still.client.request(method, path)
    assert problem(answer, 401)["reason"] == "no_token"
    assert "Authorization: Bearer" in answer.json()["remedy"]
    assert answer.headers["www-authenticate"] == 'Bearer realm="gridpatrol"'


@pytest.mark.parametrize(
    "header",
    [
        f"Bearer {new_token()}",
        f"Bearer {digest_of(TOKENS['app'])}",  # what stands in the file opens nothing
        f"Bearer {TOKENS['app']}x",
    ],
    ids=["never given", "a digest", "one character more"],
)
def test_a_token_of_nobody_is_answered_as_such(still: Served, header: str) -> None:
    answer = still.client.get("/v1/incidents", headers={"Authorization": header})
    assert problem(answer, 401)["reason"] == "unknown_token"
    assert 'error="invalid_token"' in answer.headers["www-authenticate"]


@pytest.mark.parametrize(
    "header",
    ["Bearer", "Basic YXBwOmFwcA==", TOKENS["app"], ""],
    ids=["no token", "another scheme", "no scheme", "nothing"],
)
def test_what_is_no_bearer_token_is_none(still: Served, header: str) -> None:
    answer = still.client.get("/v1/incidents", headers={"Authorization": header})
    assert problem(answer, 401)["reason"] == "no_token"


@pytest.mark.parametrize(("method", "path", "right"), ASKING)
def test_a_right_opens_its_routes_and_no_others(still: Served, method: str, path: str, right: str) -> None:
    for name in sorted(set(TOKENS) - {"new"}):
        if path == "/v1/alerts/stream" and name in HOLDS[right]:
            continue  # it has no end
        answer = still.client.request(method, path, headers=bearer(name))
        if name in HOLDS[right]:
            assert answer.status_code not in (401, 403), answer.text
        else:
            body, lacks = problem(answer, 403), "reads" if right in ("speaks", "subscribes") else right
            assert (body["reason"], body["right"]) == ("no_right", lacks)
            assert name in body["detail"] and lacks in body["remedy"]


def test_who_may_read_hears_the_alerts(still: Served) -> None:
    with still.client.stream("GET", "/v1/alerts/stream", headers=bearer("supervision")) as answer:
        assert answer.status_code == 200
        assert next(answer.iter_lines()).startswith("retry:")


# ---- who says what ------------------------------------------------------------------------------------------


def test_an_event_is_stamped_with_who_sent_it(door: Served) -> None:
    answer = door.post(new(1), Prefer="wait=10", **bearer("hotline"))
    assert (answer.status_code, answer.json()["outcome"]) == (200, "done")
    accepted = event("incident.accepted", "WY03-CHIEF", now_ms(), case=subject("WY03", 1), id="a")
    answer = door.post(accepted, Prefer="wait=10", **bearer("app"))
    assert answer.json()["outcome"] == "done"
    assert sorted(principal for principal, _ in records(door)) == ["app", "hotline"]
    asked = door.client.get(answer.json()["status_url"], headers=bearer("app"))
    assert asked.json()["outcome"] == "done"


def test_a_forged_actor_is_refused_kept_and_never_in_the_log(door: Served) -> None:
    forged = new(2)
    body = problem(door.post(forged, **bearer("app")), 403)
    assert (body["reason"], body["field"]) == ("forbidden", "actor")
    assert "app" in body["detail"] and HOTLINE not in body["detail"]
    letter = kept(door, body["dead_letter"])
    assert (letter.reason, letter.field, letter.principal) == ("forbidden", "actor", "app")
    assert records(door) == []
    assert door.post(forged, Prefer="wait=10", **bearer("hotline")).json()["outcome"] == "done"


def test_in_a_batch_the_forged_ones_are_refused_alone(door: Served) -> None:
    case = subject("WY03", 3)
    own = event("incident.accepted", "WY03-CHIEF", now_ms(), case=case, id="a")
    answer = door.batch([new(3), own, {"what": "is this"}], Prefer="wait=1", **bearer("app"))
    results = answer.json()["results"]
    assert [(item["status"], item.get("reason", "")) for item in results] == [
        ("rejected", "forbidden"),
        ("accepted", ""),
        ("rejected", "invalid"),
    ]
    assert kept(door, results[0]["dead_letter"]).principal == kept(door, results[2]["dead_letter"]).principal == "app"
    assert [principal for principal, _ in records(door)] == ["app"]


def test_an_event_in_headers_names_its_actor_there_and_is_asked_the_same(door: Served) -> None:
    sent = new(4)
    named = {f"ce-{name}": str(value) for name, value in sent.items() if name != "data"}
    headers = {"Content-Type": "application/json"} | named
    for name, status in (("app", 403), ("hotline", 202)):
        answer = door.client.post("/v1/events", json=sent["data"], headers=headers | bearer(name))
        assert answer.status_code == status, answer.text


def test_a_forged_letter_is_replayed_only_when_its_sender_may_speak_for_the_actor(door: Served, file: Path) -> None:
    letter = problem(door.post(new(5), **bearer("app")), 403)["dead_letter"]
    replay = f"/v1/operator/letters/{letter}/replays"
    body = problem(door.client.post(replay, headers=bearer("ops")), 409)
    assert "still refused: forbidden (actor)" in body["detail"]
    put_file(file, FILE.replace('["WY??-*"]', f'["WY??-*", "{HOTLINE}"]'))
    answer = door.client.post(replay, headers=bearer("ops"))
    assert answer.json()["outcome"] == "done"
    put_file(file, FILE.replace("principal.app", "principal.phones"))
    assert "no principal any more" in problem(door.client.post(replay, headers=bearer("ops")), 409)["detail"]


def test_an_erasure_is_logged_with_the_principal_that_asked(door: Served, caplog: pytest.LogCaptureFixture) -> None:
    assert door.post(new(6), Prefer="wait=10", **bearer("hotline")).status_code == 200
    path = f"/v1/operator/incidents/{subject('WY03', 6)}/erasures"
    caplog.set_level("INFO")
    assert door.client.post(path, json={"by": "clerk"}, headers=bearer("ops")).status_code == 200
    logged = {line.message: vars(line) for line in caplog.records}
    assert logged["sealed.erased"]["by"] == "ops:clerk"
    assert (logged["operator.asked"]["principal"], logged["operator.asked"]["path"]) == ("ops", path)


# ---- where from ---------------------------------------------------------------------------------------------


def test_the_door_answers_to_any_name_but_no_page_of_elsewhere_may_post(door: Served) -> None:
    named = {"Host": "grid.example.org"} | bearer("hotline")
    assert door.post(new(7), **named).status_code == 202
    assert door.post(new(8), Origin="https://grid.example.org", **named).status_code == 202
    for origin in ("https://evil.example", "null", "http://[", "http://]", "//", ""):
        assert problem(door.post(new(9), Origin=origin, **named), 403)["reason"] == "foreign_origin"


@pytest.mark.parametrize("host", ["[", "]", "[::1", "[x]", "", "a b", "a/b", "localhost:[", "\xe9", "@", "%"])
def test_a_host_that_is_no_name_is_no_defect(still: Served, host: str) -> None:
    for path in ("/", "/v1/incidents", "/healthz", "/v1/operator/letters/x/replays"):
        headers = httpx.Headers({"Host": host} | bearer("ops"), encoding="latin-1")
        answer = still.client.request("POST" if "operator" in path else "GET", path, headers=headers)
        assert answer.status_code < 500, (path, answer.text)


# ---- changing -----------------------------------------------------------------------------------------------


def test_a_token_is_changed_while_the_door_is_open(door: Served, file: Path) -> None:
    def status(name: str) -> int:
        return door.client.get("/v1/incidents", headers=bearer(name)).status_code

    assert (status("supervision"), status("new")) == (200, 401)
    old, fresh = digest_of(TOKENS["supervision"]), digest_of(TOKENS["new"])
    put_file(file, FILE.replace(f'["{old}"]', f'["{old}", "{fresh}"]'))
    assert (status("supervision"), status("new")) == (200, 200)
    put_file(file, FILE.replace(old, fresh))
    assert (status("supervision"), status("new")) == (401, 200)
    put_file(file, "[principal.supervision")  # half an edit closes no door
    assert (status("supervision"), status("new")) == (401, 200)


def test_a_door_does_not_open_on_a_file_that_cannot_be_read(sqlite_url: str, tmp_path: Path) -> None:
    missing = str(tmp_path / "none.toml")
    with prepared(sqlite_url, principals=missing) as engine, pytest.raises(SettingsError, match="cannot be read"):
        create_app(Writer(engine), engine.database)


# ---- the commands -------------------------------------------------------------------------------------------


@pytest.fixture
def command(door: Served, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """Runs a command in a folder of its own, against the door."""
    (tmp_path / "own").mkdir()
    monkeypatch.chdir(tmp_path / "own")
    listen = httpx.URL(str(door.client.base_url)).netloc.decode()

    def run(*words: str, **environ: str) -> Any:
        given = {"GRIDPATROL_LISTEN": listen} | {f"GRIDPATROL_{name}": value for name, value in environ.items()}
        return CliRunner(env=given).invoke(main, words)

    return run


def test_a_command_shows_its_token_from_the_environment_or_a_file(command: Callable[..., Any], tmp_path: Path) -> None:
    events, token = tmp_path / "events.jsonl", tmp_path / "token"
    events.write_text("".join(json.dumps(new(number)) + "\n" for number in (20, 21)), encoding="utf-8")
    token.write_text(TOKENS["hotline"] + "\n", encoding="utf-8")
    without = command("publish", str(events))
    assert without.exit_code == 1 and "Authorization: Bearer" in without.stderr
    assert command("publish", str(events), TOKEN=TOKENS["hotline"]).stdout == "2 done\n"
    assert command("publish", str(events), "--token-file", str(token)).stdout == "2 duplicate\n"
    assert command("publish", str(events), TOKEN_FILE=str(token), TOKEN="another").stdout == "2 duplicate\n"
    forged = command("publish", str(events), TOKEN=TOKENS["app"])
    assert forged.exit_code == 1 and "forbidden actor: principal app may not speak for" in forged.stdout
    assert "is no token" in command("publish", str(events), TOKEN="a b").stderr


def test_what_an_operator_asks_without_the_right_is_refused_in_one_sentence(door: Served) -> None:
    server = Server(str(door.client.base_url), token=TOKENS["app"])
    with pytest.raises(Refused, match=r"principal app may not operate.*`operator`"):
        server.post("/v1/operator/letters/x/replays")
    with pytest.raises(Refused, match="principal app may not read"):
        list(server.follow("/v1/alerts/stream", ""))


def test_a_token_from_the_command_opens_the_door_once_its_line_is_in_the_file(
    door: Served, command: Callable[..., Any], file: Path
) -> None:
    made = command("principal", "token", "street")
    token, line = made.stdout.strip(), made.stderr.splitlines()[-1].strip()
    assert token not in made.stderr
    put_file(file, f'{FILE}[principal.street]\nactors = ["{STREET}"]\ntokens = [\n{line}\n]\n')
    own = event("incident.accepted", STREET, now_ms())
    assert door.post(own, Authorization=f"bearer {token}").status_code == 202
    assert command("principal", "token", "No Name").exit_code == 1
    listed = command("principal", "list", "--principals", str(file)).stdout
    assert "street" in listed and STREET in listed and token not in listed
    assert command("principal", "list").exit_code == 1

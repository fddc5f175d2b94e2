"""Every operation of the door, asked by a program that has read nothing but its description.

Enters: a real server with principals. schemathesis makes requests that the description allows and requests that it does
not, always the same ones, for a bounded time; it judges each answer by the description. Leaves: a server as well as
before, whose database is sound.
"""

from __future__ import annotations

import json
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import httpx
import pytest
import schemathesis
from hypothesis import given, settings

from engine.principals import digest_of, new_token
from schemas import examples
from schemas.events import EVENTS
from tests.acceptance.test_cli_serve import Running, environment, run, server
from tests.support import schemathesis_hooks
from tests.support.serving import CLOUDEVENT
from tests.support.source_files import ROOT

TOKEN = new_token()
MAY = {"Authorization": f"Bearer {TOKEN}"}
CHECKS = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_schema_conformance",
    "response_headers_conformance",
    "negative_data_rejection",
    "missing_required_header",
    "unsupported_method",
    "ignored_auth",
)
EXAMPLES = 80
"""Requests that are made at random for an operation: some that its description allows, and some that it does not."""
MOST_S = 240
"""When it ends at the latest; a machine that does nothing else needs a sixth of it."""
STREAM = "/v1/alerts/stream"
"""Its answers have no end: this file reads their beginnings."""
INSPECTION = "/v1/audit/stream"
"""Nor have these: `test_inspection` reads them."""


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A server in which something has happened, with one principal that may do everything."""
    folder = tmp_path_factory.mktemp("operations")
    principals = folder / "principals.toml"
    rights = f'actors = ["*"]\nreads = true\noperator = true\ntokens = ["{digest_of(TOKEN)}"]\n'
    principals.write_text(f"[principal.anyone]\n{rights}", encoding="utf-8")
    principals.chmod(0o600)
    here: dict[str, Any] = {"GRIDPATROL_PRINCIPALS": str(principals), "GRIDPATROL_PARTITIONS": "2"}
    with server(folder, executed=True, **here) as opened:  # its memory is measured
        for kind in examples.DATA:
            if EVENTS[kind.removeprefix("gridpatrol.").removesuffix(".v1")].by:  # the door takes it from nobody
                continue
            event = json.dumps(examples.event(kind))
            answer = httpx.post(f"{opened.url}/v1/events", content=event, headers=MAY | CLOUDEVENT)
            assert answer.status_code == 202, answer.text
        yield opened
        assert opened.stop() == 0
    run(folder, "verify")


def check_well(running: Running) -> None:
    """The server answers, works, and has met no defect of ours."""
    for path in ("/healthz", "/readyz"):
        running.get(path)
    log = running.log.read_text(encoding="utf-8")
    assert "Traceback" not in log, log[log.index("Traceback") :][:4000]
    assert [line for line in log.splitlines() if "[error" in line] == []


def test_every_operation_answers_as_it_is_described_whatever_it_is_asked(running: Running, tmp_path: Path) -> None:
    words = [
        *("-H", f"Authorization: {MAY['Authorization']}", "--exclude-path", STREAM, "--exclude-path", INSPECTION),
        *("--checks", ",".join(CHECKS), "--phases", "examples,fuzzing", "--max-examples", str(EXAMPLES)),
        *("--generation-deterministic", "--continue-on-failure"),
        *("--suppress-health-check", "all", "--warnings", "off", "--no-color", "--output-truncate", "true"),
    ]
    done = subprocess.run(
        [sys.executable, "-m", "schemathesis.cli", "run", f"{running.url}/openapi.json", *words],
        cwd=tmp_path,
        env=environment(SCHEMATHESIS_HOOKS=schemathesis_hooks.__name__, PYTHONPATH=str(ROOT)),
        capture_output=True,
        text=True,
        timeout=MOST_S,
    )
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    asked = re.search(r"(\d+) generated", done.stdout)
    described = httpx.get(f"{running.url}/openapi.json").json()["paths"]
    tested = re.search(r"Tested: +(\d+)", done.stdout)
    beside = {STREAM, INSPECTION, "/openapi.json"}  # the description is asked for at the beginning
    assert tested and int(tested[1]) == sum(map(len, described.values())) - len(beside), done.stdout
    assert asked and int(asked[1]) > 600, done.stdout
    check_well(running)


def test_a_stream_begins_or_is_refused_as_it_is_described(running: Running) -> None:
    described = httpx.get(f"{running.url}/openapi.json").json()
    operation = schemathesis.openapi.from_dict(described)[STREAM]["GET"]
    answers = described["paths"][STREAM]["get"]["responses"]
    seen: set[int] = set()

    with httpx.Client(base_url=running.url, headers=MAY, timeout=20) as client:

        @settings(max_examples=50, derandomize=True, deadline=None, database=None)
        @given(operation.as_strategy())
        def ask(case: schemathesis.Case[Any]) -> None:
            headers = {name.encode(): str(value).encode() for name, value in (case.headers or {}).items()}
            try:
                request = client.build_request("GET", STREAM, params=dict(case.query or {}), headers=headers)
            except UnicodeEncodeError:  # half a character: httpx writes no address of it
                return
            answer = client.send(request, stream=True)
            try:
                kind = answer.headers["content-type"].partition(";")[0]
                assert kind in answers[str(answer.status_code)]["content"], (answer.status_code, kind)
                assert answer.status_code < 500
                if answer.status_code == 200:
                    assert next(answer.iter_text()).startswith("retry: ")
            finally:
                answer.close()
            seen.add(answer.status_code)

        ask()
    assert {200, 400} <= seen
    check_well(running)


def test_300_mb_of_headers_without_a_token_cost_a_running_server_no_memory(running: Running) -> None:
    def resident_mb() -> float:
        text = Path(f"/proc/{running.process.pid}/status").read_text(encoding="ascii")
        return int(re.findall(r"VmRSS:\s+(\d+) kB", text)[0]) / 1024

    host, port = running.url.removeprefix("http://").split(":")
    piece, sent, before = (b"X-A: " + b"a" * 1000 + b"\r\n") * 1000, 0, resident_mb()
    while sent < 300_000_000:
        with closing(socket.create_connection((host, int(port)), 20)) as flood, suppress(ConnectionError):
            flood.sendall(b"GET /v1/incidents HTTP/1.1\r\nHost: localhost\r\n")
            for _ in range(100):
                flood.sendall(piece)
                sent += len(piece)
    assert resident_mb() - before < 30
    assert 'gridpatrol_connections_cut_total{why="head_bytes"}' in httpx.get(f"{running.url}/metrics").text
    assert "connection.cut" in running.log.read_text(encoding="utf-8")
    check_well(running)

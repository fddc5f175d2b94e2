"""The small HTTP server of a role without a door: where it listens, and that silent connections hold up no other."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from http.client import HTTPConnection
from urllib.request import urlopen

import pytest
from prometheus_client import CollectorRegistry

from engine.errors import AddressTaken
from engine.http import status
from engine.http.status import StatusServer


@contextmanager
def serving(listen: str) -> Iterator[StatusServer]:
    with closing(StatusServer(listen, CollectorRegistry(), lambda: "")) as opened:
        yield opened


def has_ipv6() -> bool:
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
    except OSError:
        return False
    return True


@pytest.mark.parametrize(
    "listen",
    [
        "127.0.0.1:0",
        "localhost:0",
        pytest.param("[::1]:0", marks=pytest.mark.skipif(not has_ipv6(), reason="this machine has no IPv6")),
    ],
)
def test_it_answers_at_the_address_that_it_tells(listen: str) -> None:
    with serving(listen) as opened, urlopen(f"{opened.url}/readyz", timeout=10) as answer:
        assert answer.status == 200 and answer.read() == b'{"status": "ready"}'


def test_an_address_that_cannot_be_had_is_named() -> None:
    with serving("127.0.0.1:0") as first:
        taken = first.url.removeprefix("http://")
        with pytest.raises(AddressTaken, match=f"cannot listen at {taken}: Address already in use.*--listen"):
            StatusServer(taken, CollectorRegistry(), lambda: "")


def test_a_connection_that_says_nothing_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(status, "SILENT_S", 0.2)
    with serving("127.0.0.1:0") as opened:
        host, _, port = opened.url.removeprefix("http://").rpartition(":")
        with socket.create_connection((host, int(port)), timeout=10) as silent:
            assert silent.recv(1) == b""


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/metrics", "/nothing"])
def test_head_is_answered_like_get_without_a_body(path: str) -> None:
    with serving("127.0.0.1:0") as opened:
        host, _, port = opened.url.removeprefix("http://").rpartition(":")
        with closing(HTTPConnection(host, int(port), timeout=10)) as asking:
            told = []
            for method in ("GET", "HEAD"):
                asking.request(method, path)
                answer = asking.getresponse()
                told.append((answer.status, answer.headers["content-type"], answer.headers["content-length"]))
                assert bool(answer.read()) == (method == "GET" and answer.headers["content-length"] != "0")
            assert told[0] == told[1]


def test_an_address_that_is_none_is_not_found(capfd: pytest.CaptureFixture[str]) -> None:
    with serving("127.0.0.1:0") as opened:
        host, _, port = opened.url.removeprefix("http://").rpartition(":")
        with socket.create_connection((host, int(port)), timeout=10) as asking:
            asking.sendall(b"GET http://[ HTTP/1.0\r\n\r\n")
            assert b" 404 " in asking.recv(100)
    assert "Traceback" not in capfd.readouterr().err


def test_a_connection_that_says_a_little_all_the_time_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(status, "WHOLE_S", 0.3)
    with serving("127.0.0.1:0") as opened:
        host, _, port = opened.url.removeprefix("http://").rpartition(":")
        with socket.create_connection((host, int(port)), timeout=10) as dripping, pytest.raises(ConnectionError):
            for _ in range(200):
                dripping.sendall(b"G")
                time.sleep(0.02)


def test_connections_beyond_those_that_probes_need_are_closed_unheard(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(status, "WHOLE_S", 0.5)
    with serving("127.0.0.1:0") as opened:
        host, _, port = opened.url.removeprefix("http://").rpartition(":")
        many = [socket.create_connection((host, int(port)), timeout=10) for _ in range(status.MOST_AT_ONCE)]
        with socket.create_connection((host, int(port)), timeout=10) as one_more:
            assert one_more.recv(1) == b""
        for connection in many:
            assert connection.recv(1) == b"", "it has ended in its time"
            connection.close()
        with urlopen(f"{opened.url}/healthz", timeout=10) as answer:
            assert answer.status == 200


def test_a_peer_that_resets_its_connection_leaves_no_traceback(capfd: pytest.CaptureFixture[str]) -> None:
    with serving("127.0.0.1:0") as opened:
        host, _, port = opened.url.removeprefix("http://").rpartition(":")
        with socket.create_connection((host, int(port)), timeout=10) as leaving:
            leaving.sendall(b"GET /me")
            leaving.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")  # a reset
        with urlopen(f"{opened.url}/healthz", timeout=10) as answer:
            assert answer.status == 200
    assert "Traceback" not in capfd.readouterr().err

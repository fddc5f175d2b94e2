"""The limits of the wire, met by peers that speak or keep silent over sockets of their own.

Enters: a real door with small limits, and a small application behind the same protocol where an answer has to be long.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import resource
import socket
import ssl
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest
import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from engine.http import alerts, limits, uvicorn_quirks
from engine.http.limits import Gate
from engine.http.uvicorn_quirks import LimitedServer, notice_if_gone
from engine.metrics.counters import Counters
from engine.settings import Settings
from lab.parts.certificates import make_certificate
from tests.support.serving import WITHIN_S, Served, config_of, prepared, running, served, wait_until

SMALL: dict[str, Any] = {
    "head_bytes": 65_536,
    "head_lines": 50,
    "head_ms": 1000,
    "body_bytes_per_s": 1000,
    "idle_ms": 300,
    "reader_ms": 500,
    "connections": 12,
    "connections_per_peer": 8,
    "pipelined": 4,
    "bodies_bytes": 400_000,
}
MIB = 1024 * 1024
ASK = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"
REPORT = b"POST /v1/events HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/cloudevents+json\r\n"


@pytest.fixture(scope="module")
def door(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A door with small limits. Its own client leaves no connection open: here connections are counted."""
    url = f"sqlite:///{tmp_path_factory.mktemp('connections') / 'gridpatrol.db'}"
    with prepared(url, **SMALL) as engine, served(engine) as opened:
        opened.client.headers["Connection"] = "close"
        yield opened


@pytest.fixture(autouse=True)
def brief(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who goes on sending after the last answer is not waited for long."""
    monkeypatch.setattr(uvicorn_quirks, "LINGER_S", 0.3)


@contextmanager
def peer(door: Served, source: str = "127.0.0.1") -> Iterator[socket.socket]:
    """A connection to the door from an address of loopback."""
    port = door.client.base_url.port
    assert port is not None
    with closing(socket.create_connection(("127.0.0.1", port), WITHIN_S, (source, 0))) as connection:
        yield connection


@contextmanager
def staying(door: Served, number: int, source: str = "127.0.0.1") -> Iterator[None]:
    """So many connections that stay: each listens to a stream."""
    with ExitStack() as stack:
        for _ in range(number):
            stack.enter_context(peer(door, source)).sendall(ASK.replace(b"healthz", b"v1/alerts/stream"))
        yield


def heard(connection: socket.socket, until: bytes = b"") -> bytes:
    """What comes until the connection ends, or until this came."""
    found = b""
    with suppress(ConnectionError):
        while (piece := connection.recv(65_536)) and not (until and until in found + piece):
            found += piece
        found += piece
    return found


def said(answer: bytes) -> tuple[int, dict[str, Any]]:
    """Status and problem of an answer that ends its connection."""
    head, _, body = answer.partition(b"\r\n\r\n")
    assert b"connection: close" in head.lower(), answer
    return int(head.split()[1]), msgspec.json.decode(body)


def resident() -> int:
    """Bytes of memory that this process has, which is the door and its peers."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


def cut(door: Served, why: str) -> float:
    """How many connections were cut off for one reason."""
    found = door.engine.counters.registry.get_sample_value("gridpatrol_connections_cut_total", {"why": why})
    assert found is not None, why
    return found


def opened(door: Served) -> float | None:
    """How many connections there are."""
    return door.engine.counters.registry.get_sample_value("gridpatrol_connections_open")


@pytest.fixture(autouse=True)
def nobody_stays(door: Served) -> Iterator[None]:
    """After each test every connection has given its place back, and no body is kept."""
    yield
    wait_until(lambda: opened(door) == 0)


# ---- size ---------------------------------------------------------------------------------------------------


def test_headers_without_a_token_and_without_an_end_are_answered_at_64_kib_and_cost_no_memory(door: Served) -> None:
    before, memory, sent = cut(door, "head_bytes"), resident(), 0
    with peer(door) as flood:
        flood.sendall(b"GET /v1/incidents HTTP/1.1\r\nHost: localhost\r\nX-A: ")
        with suppress(ConnectionError):
            while sent < 300 * MIB:
                flood.sendall(b"a" * MIB)
                sent += MIB
    assert sent < 100 * MIB, "the door read all of it"
    assert resident() - memory < 24 * MIB
    assert cut(door, "head_bytes") == before + 1
    with peer(door) as flood:
        flood.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\nX-A: " + b"a" * 70_000)
        status, problem = said(heard(flood))
    assert (status, problem["reason"]) == (431, "head_too_large") and "65536 bytes" in problem["detail"]
    assert problem["remedy"]


@pytest.mark.parametrize(("size", "status"), [(60_000, 200), (66_000, 431)])
def test_a_head_is_taken_up_to_its_limit_in_one_piece_or_in_many(door: Served, size: int, status: int) -> None:
    head = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
    while len(head) < size:
        head += b"X-%d: %s\r\n" % (len(head), b"a" * 1500)
    for piece in (len(head), 8_000):
        with peer(door) as connection:
            with suppress(ConnectionError):
                for at in range(0, len(head), piece):
                    connection.sendall(head[at : at + piece])
                connection.sendall(b"\r\n")
            assert int(heard(connection).split()[1]) == status


def test_short_headers_have_a_limit_of_their_number(door: Served) -> None:
    with peer(door) as connection:
        connection.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n" + b"a:\r\n" * 60_000)
        assert said(heard(connection))[0] == 431
    assert cut(door, "head_lines") == 1


def test_an_address_that_is_too_long_is_named_so(door: Served) -> None:
    with peer(door) as connection:
        connection.sendall(b"GET /v1/incidents?grid=" + b"a" * 60_000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n")
        status, problem = said(heard(connection))
    assert (status, problem["reason"]) == (414, "url_too_long")


@pytest.mark.parametrize(
    "rest",
    [
        b"0\r\n" + b"X-Trailer: a\r\n" * 60_000,
        b"0\r\nX-Trailer: " + b"a" * 200_000,
        b"1;" + b"extension=" + b"a" * 200_000,
    ],
)
def test_what_stands_around_the_chunks_of_a_body_is_limited_too(door: Served, rest: bytes) -> None:
    with peer(door) as connection:
        connection.sendall(REPORT + b"Transfer-Encoding: chunked\r\n\r\n1\r\n{\r\n")
        with suppress(ConnectionError):
            connection.sendall(rest)
        assert said(heard(connection))[0] == 431


def test_bodies_that_are_under_way_have_a_room_of_their_own(door: Served) -> None:
    before = cut(door, "bodies")
    with peer(door) as first, peer(door) as second, peer(door, "127.0.0.2") as other:
        first.sendall(REPORT + b"Content-Length: 250000\r\n\r\n" + b"[" * 150_000)
        other.sendall(REPORT + b"Content-Length: 3\r\nConnection: close\r\n\r\n")
        wait_until(lambda: opened(door) == 3)
        time.sleep(0.1)
        second.sendall(REPORT + b"Content-Length: 250000\r\n\r\n" + b"[" * 100_000)
        status, problem = said(heard(second))
        assert (status, problem["reason"]) == (503, "busy") and cut(door, "bodies") == before + 1
        other.sendall(b"{}]")
        assert b"400 Bad Request" in heard(other), "another address has its own half"
    wait_until(lambda: opened(door) == 0)
    with peer(door) as again:
        again.sendall(REPORT + b"Content-Length: 150000\r\nConnection: close\r\n\r\n" + b"[" * 150_000)
        assert b"400 Bad Request" in heard(again), "what was cut off has given its room back"


# ---- time ---------------------------------------------------------------------------------------------------


def test_a_head_that_comes_byte_by_byte_is_not_waited_for(door: Served) -> None:
    before, began = cut(door, "head_slow"), time.monotonic()
    with peer(door) as slow:
        with suppress(ConnectionError):
            for byte in ASK * 2:
                slow.sendall(bytes([byte]))
                time.sleep(0.05)
        status, problem = said(heard(slow))
    assert (status, problem["reason"]) == (408, "too_slow") and cut(door, "head_slow") == before + 1
    assert time.monotonic() - began < 5


def test_who_connects_and_says_nothing_is_closed_without_a_word(door: Served) -> None:
    before = cut(door, "silent")
    with peer(door) as silent:
        assert heard(silent) == b""
    assert cut(door, "silent") == before + 1


def test_an_idle_connection_is_closed_and_blank_lines_keep_none_open(door: Served) -> None:
    with peer(door) as idle:
        idle.sendall(ASK)
        assert b"200 OK" in heard(idle), "answered, and closed by itself"
    with peer(door) as blank:
        blank.sendall(ASK)
        assert b"200 OK" in heard(blank, b'{"status":"ok"}')
        with suppress(ConnectionError):
            for _ in range(60):
                blank.sendall(b"\r\n")
                time.sleep(0.05)
        assert said(heard(blank))[0] == 408


def test_a_body_that_comes_too_slowly_is_not_waited_for_and_a_slow_one_is(door: Served) -> None:
    with peer(door) as dripping:
        dripping.sendall(REPORT + b"Content-Length: 1000\r\n\r\n")
        with suppress(ConnectionError):
            for _ in range(60):
                dripping.sendall(b"{")
                time.sleep(0.05)
        status, problem = said(heard(dripping))
    assert (status, problem["reason"]) == (408, "too_slow") and "bytes a second" in problem["detail"]
    with peer(door) as slow:
        slow.sendall(REPORT + b"Content-Length: 30000\r\nConnection: close\r\n\r\n")
        for _ in range(15):
            slow.sendall(b"{" * 2000)
            time.sleep(0.1)
        assert b"400 Bad Request" in heard(slow)


def test_who_asks_whether_to_send_a_body_is_told_so_and_has_the_time_for_it(door: Served) -> None:
    with peer(door) as asking:
        asking.sendall(REPORT + b"Content-Length: 3\r\nExpect: 100-continue\r\nConnection: close\r\n\r\n")
        assert heard(asking, b"\r\n\r\n").startswith(b"HTTP/1.1 100 Continue")
        asking.sendall(b"{}]")
        assert b"400 Bad Request" in heard(asking)
    with peer(door) as refused:
        refused.sendall(REPORT.replace(b"cloudevents+", b"x") + b"Content-Length: 3\r\nExpect: 100-continue\r\n\r\n")
        assert heard(refused).startswith(b"HTTP/1.1 415"), "and no body is asked for"


def test_a_body_that_nobody_reads_is_thrown_away_for_a_moment_only(door: Served) -> None:
    before, memory, sent = cut(door, "unread"), resident(), 0
    with peer(door) as sending:
        head = b"POST /v1/events HTTP/1.1\r\nHost: localhost\r\nContent-Type: text/plain\r\n"
        sending.sendall(head + b"Content-Length: 1000000000\r\n\r\n")
        assert b"415 Unsupported" in heard(sending, b"}")
        with suppress(ConnectionError):
            while sent < 300 * MIB:
                sending.sendall(b"a" * MIB)
                sent += MIB
    assert sent < 200 * MIB and cut(door, "unread") == before + 1
    assert resident() - memory < 24 * MIB


def test_a_body_that_was_refused_early_and_still_comes_leaves_the_connection_open(door: Served) -> None:
    with peer(door) as sending:
        head = b"POST /v1/events HTTP/1.1\r\nHost: localhost\r\nContent-Type: text/plain\r\n"
        sending.sendall(head + b"Content-Length: 300000\r\n\r\n")
        assert b"415 Unsupported" in heard(sending, b"}")
        sending.sendall(b"a" * 300_000 + ASK)
        assert b"200 OK" in heard(sending, b'{"status":"ok"}')


def test_a_peer_that_hangs_up_in_the_middle_leaves_no_traceback(door: Served, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        for said_so_far in (b"GET / HT", REPORT + b"Content-Length: 99\r\n\r\n{", ASK * 3):
            with peer(door) as leaving:
                leaving.sendall(said_so_far)
                leaving.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")  # a reset
        wait_until(lambda: opened(door) == 0)
        time.sleep(0.1)
    assert [record.getMessage() for record in caplog.records] == []


# ---- number -------------------------------------------------------------------------------------------------


def test_one_address_has_its_share_of_the_connections_and_the_others_have_theirs(door: Served) -> None:
    per_peer, all_together = SMALL["connections_per_peer"], SMALL["connections"]
    with staying(door, per_peer):
        wait_until(lambda: opened(door) == per_peer)
        with peer(door) as too_many:
            too_many.sendall(ASK)
            answer = heard(too_many)
        status, problem = said(answer)
        assert (status, problem["reason"]) == (503, "busy") and problem["remedy"]
        assert b"Retry-After: 1" in answer and cut(door, "peer") == 1
        with peer(door, "127.0.0.2") as neighbour:
            neighbour.sendall(ASK)
            assert b"200 OK" in heard(neighbour, b'{"status":"ok"}')
        wait_until(lambda: opened(door) == per_peer)
        with staying(door, all_together - per_peer, "127.0.0.3"):
            wait_until(lambda: opened(door) == all_together)
            with peer(door, "127.0.0.4") as too_many:
                assert said(heard(too_many))[0] == 503
            assert cut(door, "connections") == 1
    wait_until(lambda: opened(door) == 0)
    assert door.client.get("/healthz").status_code == 200


def test_beyond_those_that_are_told_so_nobody_is_heard_at_all(door: Served, monkeypatch) -> None:
    monkeypatch.setattr(uvicorn_quirks, "LINGERING_AT_MOST", 0)
    with staying(door, SMALL["connections_per_peer"]):
        wait_until(lambda: opened(door) == SMALL["connections_per_peer"])
        with peer(door) as too_many:
            assert heard(too_many) == b""


def test_without_files_for_more_connections_those_that_wait_are_taken_later(caplog, monkeypatch) -> None:
    monkeypatch.setattr(uvicorn_quirks, "AGAIN_S", 0.05)
    server = LimitedServer(config_of(endless), Gate(Settings(), Counters()))

    class Full:
        """A listening socket whose process has no file left, twice."""

        def __init__(self, listening: socket.socket) -> None:
            self.listening, self.times = listening, 0
            self.fileno, self.close = listening.fileno, listening.close

        def accept(self) -> Any:
            self.times += 1
            if self.times <= 2:
                raise OSError(errno.EMFILE, "Too many open files")
            return self.listening.accept()

    with running(server) as port:
        acceptor: Any = server.servers[0]
        acceptor.sockets = [full := Full(acceptor.sockets[0])]
        with closing(socket.create_connection(("127.0.0.1", port), WITHIN_S)) as waiting:
            waiting.sendall(ASK)
            assert waiting.recv(100).startswith(b"HTTP/1.1 200")
        assert full.times > 2
    assert caplog.text.count("connections.not_taken") == 2


def test_requests_in_advance_are_answered_in_order_up_to_their_limit(door: Served) -> None:
    with peer(door) as pipelining:
        pipelining.sendall(ASK + ASK.replace(b"healthz", b"nothing") + ASK)
        answer = heard(pipelining)
    assert [one.split()[0] for one in answer.split(b"HTTP/1.1")[1:]] == [b"200", b"404", b"200"]
    before = cut(door, "pipelined")
    with peer(door) as flood:
        with suppress(ConnectionError):
            flood.sendall(ASK * 20_000)
        answer = heard(flood)
    assert 1 <= answer.count(b"HTTP/1.1 200") <= SMALL["pipelined"] and cut(door, "pipelined") == before + 1


def test_what_is_not_http_is_told_so_and_fills_no_log(door: Served, caplog: pytest.LogCaptureFixture) -> None:
    before = cut(door, "malformed")
    with caplog.at_level(logging.INFO):
        for junk in [b"\x16\x03\x01\x02\x00\x01\n\n", b"GET\r\n\r\n", b"GET http://[ HTTP/1.1\r\n\r\n"] * 5:
            with peer(door) as connection:
                connection.sendall(junk)
                status, problem = said(heard(connection))
                assert (status, problem["reason"]) == (400, "malformed"), junk
    assert cut(door, "malformed") == before + 15
    assert len([record for record in caplog.records if record.levelno >= logging.WARNING]) <= 1


def test_a_request_for_another_protocol_is_answered_and_nothing_follows_it(door: Served) -> None:
    with peer(door) as upgrading:
        upgrading.sendall(ASK[:-2] + b"Connection: Upgrade\r\nUpgrade: h2c\r\n\r\n" + ASK)
        answer = heard(upgrading)
    assert answer.count(b"HTTP/1.1 200") == 1 and b"connection: close" in answer


# ---- answers that nobody takes ------------------------------------------------------------------------------


def test_a_stream_with_another_request_behind_it_ends_with_its_connection(door: Served, monkeypatch) -> None:
    monkeypatch.setattr(alerts, "SUBSCRIBERS", 1)
    for _ in range(3):
        with peer(door) as listening:
            listening.sendall(ASK.replace(b"healthz", b"v1/alerts/stream") + ASK)
            assert b"retry:" in heard(listening, b"epoch")
        wait_until(lambda: opened(door) == 0)
    with door.client.stream("GET", "/v1/alerts/stream") as answer:
        assert answer.status_code == 200 and next(answer.iter_lines()) == "retry: 2000"


def test_a_stream_lives_on_while_its_peer_only_listens(door: Served, monkeypatch) -> None:
    monkeypatch.setattr(alerts, "HEARTBEAT_S", 0.2)
    with peer(door) as listening:
        listening.sendall(ASK.replace(b"healthz", b"v1/alerts/stream"))
        began, came = time.monotonic(), b""
        while time.monotonic() - began < 1.5:  # longer than any of the limits
            came += listening.recv(65_536)
    assert came.count(b"still here") > 3


async def endless(scope: Any, receive: Any, send: Any) -> None:
    """An application whose answer has no end; how much of it was written stands in `written`."""
    if scope["type"] == "lifespan":
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await send({"type": "lifespan.shutdown.complete"})
        return
    await send({"type": "http.response.start", "status": 200, "headers": []})
    gone = asyncio.create_task(receive())
    while not gone.done() or gone.result()["type"] != "http.disconnect":
        if gone.done():
            gone = asyncio.create_task(receive())
        await send({"type": "http.response.body", "body": b"x" * MIB, "more_body": True})
        await asyncio.sleep(0)


def test_who_takes_nothing_of_its_answer_is_cut_off_and_grows_no_memory() -> None:
    counters = Counters()
    gate = Gate(Settings(head_ms=400, reader_ms=400), counters)
    with running(LimitedServer(config_of(endless), gate)) as port:
        memory = resident()
        with closing(socket.create_connection(("127.0.0.1", port), WITHIN_S)) as stuck:
            stuck.sendall(ASK)
            wait_until(lambda: counters.registry.get_sample_value("gridpatrol_connections_open") == 1)
            wait_until(lambda: counters.registry.get_sample_value("gridpatrol_connections_open") == 0)
        assert resident() - memory < 24 * MIB
    assert counters.registry.get_sample_value("gridpatrol_connections_cut_total", {"why": "reader_slow"}) == 1


def test_the_system_is_asked_to_notice_who_is_gone() -> None:
    with closing(socket.socket()) as connection:
        notice_if_gone(connection, 1234)
        assert connection.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
        assert connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 1234


# ---- TLS ----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, ssl.SSLContext]:
    """The file of an authority, and the context of a server that it signed."""
    made = make_certificate(tmp_path_factory.mktemp("tls"), "door")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(made.certificate, made.key)
    return made.ca, context


def test_a_handshake_has_a_time_and_a_place_like_any_head(certificate: tuple[Path, ssl.SSLContext]) -> None:
    ca, context = certificate
    counters = Counters()
    gate = Gate(Settings(head_ms=400, connections_per_peer=2), counters)

    async def hello(scope: Any, receive: Any, send: Any) -> None:
        assert scope["type"] != "http" or scope["scheme"] == "https"
        await (endless if scope["type"] == "lifespan" else answer_hello)(scope, receive, send)

    async def answer_hello(scope: Any, receive: Any, send: Any) -> None:
        body, more = b"", True
        while more:
            piece = await receive()
            body, more = body + piece["body"], piece["more_body"]
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % len(body))]})
        await send({"type": "http.response.body", "body": body})

    def value(name: str, **labels: str) -> float | None:
        return counters.registry.get_sample_value(f"gridpatrol_connections_{name}", labels)

    with running(LimitedServer(config_of(hello), gate, context)) as port:
        trusting = ssl.create_default_context(cafile=ca)
        with httpx.Client(base_url=f"https://127.0.0.1:{port}", verify=trusting) as client:
            for size in (1, 100_000):
                assert len(client.post("/", content=b"a" * size).content) == size
        wait_until(lambda: value("open") == 0)
        with closing(socket.create_connection(("127.0.0.1", port), WITHIN_S)) as plain:
            plain.sendall(ASK)
            assert b"HTTP" not in heard(plain)
        wait_until(lambda: value("cut_total", why="handshake") == 1)
        silent = [socket.create_connection(("127.0.0.1", port), WITHIN_S) for _ in range(3)]
        assert [heard(connection) for connection in silent] == [b""] * 3
        for connection in silent:
            connection.close()
        wait_until(lambda: value("cut_total", why="handshake") == 3)
        assert value("cut_total", why="peer") == 1
        wait_until(lambda: value("open") == 0)


# ---- what the library does without ----------------------------------------------------------------------------


def test_uvicorn_alone_takes_headers_without_an_end_and_requests_without_number() -> None:
    made: list[HttpToolsProtocol] = []

    class Plain(HttpToolsProtocol):
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            super().__init__(*args, **kwargs)
            made.append(self)

    with running(uvicorn.Server(config_of(endless, http=Plain))) as port:
        with closing(socket.create_connection(("127.0.0.1", port), WITHIN_S)) as flood:
            flood.sendall(b"GET / HTTP/1.1\r\n" + b"X-A: aaaaaaaa\r\n" * 20_000)
            wait_until(lambda: made and len(made[0].headers or ()) > 19_000)
        with closing(socket.create_connection(("127.0.0.1", port), WITHIN_S)) as flood:
            flood.sendall(ASK * 1_000)
            wait_until(lambda: len(made) > 1 and len(made[1].pipeline) > 900)
            first = made[1].pipeline[-1][0]
        wait_until(lambda: made[1] not in made[1].connections)
        assert not first.disconnected, "uvicorn tells its requests now: leave that to it"


def test_the_limits_were_verified_with_the_installed_versions(monkeypatch, caplog: pytest.LogCaptureFixture) -> None:
    uvicorn_quirks.check_versions()
    assert not caplog.records, "verify each limit again, then change VERIFIED"
    monkeypatch.setitem(uvicorn_quirks.VERIFIED, "uvicorn", "0.1.0")
    uvicorn_quirks.check_versions()
    assert "the limits before 0.1.0 have to be verified again" in caplog.text
    assert limits.LINGER_S >= 1

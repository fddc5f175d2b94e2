"""The limits before uvicorn's parser, and what goes wrong without each.

uvicorn has no limit for what comes before a request is complete, nor for who takes nothing of an answer.
`LimitedConnection` is its protocol with those of `engine/http/limits.py`. It was verified with the versions below;
others log a warning, and a test fails until each limit has been verified again: `tests/integration/test_connections.py`
shows what the library does without it. No private attribute is used, but most of these attributes are documented
nowhere.
"""

import asyncio
import logging
import socket
import ssl
from collections import deque
from collections.abc import Callable, Coroutine
from functools import partial
from importlib.metadata import version
from typing import Any

import httptools
import uvicorn
from msgspec import Struct
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from engine.http.limits import (
    LINGER_BYTES,
    LINGER_S,
    LINGERING_AT_MOST,
    Cut,
    Gate,
    Meter,
    OverLimit,
    Part,
    answer,
    is_streamed,
    on_the_wire,
    peer_of,
)

log = logging.getLogger(__name__)

BACKLOG = 2048
"""Connections that the system keeps until they are taken."""
AGAIN_S = 1.0
"""How long nothing is taken after the system had no file for it."""
CHUNK = 65_536

VERIFIED = {"uvicorn": "0.54.0", "httptools": "0.9.0", "uvloop": "0.23.0"}
"""The versions that this was verified with."""


def check_versions() -> None:
    """Warn where other versions are installed."""
    for name, verified in VERIFIED.items():
        if (installed := version(name)) != verified:
            log.warning("%s is %s: the limits before %s have to be verified again", name, installed, verified)


check_versions()


class OpenRequest(Struct, eq=False):
    """A request that is not answered yet, and how many bytes of its body are kept."""

    cycle: RequestResponseCycle
    held: int = 0


class LimitedConnection(HttpToolsProtocol):
    """One connection that a gate has let in."""

    def __init__(self, *args: Any, gate: Gate, peer: str, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.gate, self.peer = gate, peer
        self.meter = Meter(gate.settings, self.loop.time())
        self.timeout_keep_alive = gate.settings.idle_ms / 1000  # type: ignore[assignment]  # any number will do
        self.opened = False
        self.unanswered: deque[OpenRequest] = deque()
        self.over = False  # nothing that comes is parsed any more
        self.thrown = 0  # bytes that came and were thrown away
        self.answered_at = 0.0  # when the last request was answered
        self.ends_at: float | None = None  # when the system is told to forget it
        self.blocked_at: float | None = None  # since when the peer takes nothing
        self.look: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as in uvicorn
        """From here on requests may come."""
        super().connection_made(transport)
        self.opened = True
        self.meter = Meter(self.gate.settings, self.loop.time())
        self.look = self.loop.call_later(self.gate.look_every_s(), self.look_again)

    def connection_lost(self, exc: Exception | None) -> None:
        """Every request of it has lost its peer. Symptom: uvicorn tells only the last one so, and a stream with another
        request behind it goes on for ever. Seen in 0.54.0; no upstream issue known."""
        if self.look is not None:
            self.look.cancel()
        for request in self.unanswered:
            request.cycle.disconnected = True
            request.cycle.message_event.set()
            self.gate.release(self.peer, request.held)
        self.unanswered.clear()
        self.gate.leave(self.peer)
        super().connection_lost(exc)

    # ---- what comes

    def data_received(self, data: bytes) -> None:
        """Parse what came, within the limits. Symptom: uvicorn keeps as many headers as come (300 MB were 681 MB of
        memory), and writes a line to the log for whatever is not HTTP. Seen in 0.54.0."""
        if self.over:
            self.thrown += len(data)
            if self.thrown > LINGER_BYTES:
                self.transport.abort()
            return
        if self.timeout_keep_alive_task is not None:
            self.timeout_keep_alive_task.cancel()
            self.timeout_keep_alive_task = None
        self.meter.receive(len(data), self.loop.time())
        try:
            self.parser.feed_data(data)
            self.meter.check()
        except httptools.HttpParserUpgrade:
            # Nothing here speaks anything else: the request is answered as it is, and nothing can follow it.
            self.over, self.cycle.keep_alive = True, False
        except OverLimit as error:
            self.refuse(error.why)
        except httptools.HttpParserError as error:
            stopped = error.__context__
            self.refuse(stopped.why if isinstance(stopped, OverLimit) else Cut.MALFORMED)

    def on_message_begin(self) -> None:
        """A request begins."""
        self.meter.begin(self.loop.time())
        super().on_message_begin()

    def on_url(self, url: bytes) -> None:
        """A piece of its address."""
        self.meter.address(len(url))
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header, or a trailer."""
        self.meter.line(len(name) + len(value) + len(": \r\n"))
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """A request may be answered. Symptom: uvicorn makes a task's worth of objects of each request that a peer sends
        in advance, 14,000 of one chunk, and reads on after every answer. Seen in 0.54.0."""
        if len(self.unanswered) >= self.gate.settings.pipelined:
            raise OverLimit(Cut.PIPELINED)
        super().on_headers_complete()
        self.meter.body(self.loop.time())
        self.unanswered.append(OpenRequest(self.cycle))

    def on_body(self, body: bytes) -> None:
        """A piece of its body, which is kept until the request is answered."""
        self.meter.parsed()
        if self.cycle.response_complete:
            self.thrown += len(body)
            if self.thrown > LINGER_BYTES:
                raise OverLimit(Cut.UNREAD)
            return
        if not is_streamed(self.scope):  # else no more is kept of it than uvicorn reads ahead
            if not self.gate.hold(self.peer, len(body)):
                raise OverLimit(Cut.BODIES)
            self.unanswered[-1].held += len(body)
        super().on_body(body)

    def on_message_complete(self) -> None:
        """The request is whole."""
        self.meter.complete(self.loop.time())
        super().on_message_complete()

    # ---- what goes

    def on_response_complete(self) -> None:
        """A request is answered. What is still to come of its body is thrown away, for a short time."""
        self.gate.release(self.peer, self.unanswered.popleft().held)
        self.thrown, self.answered_at = 0, self.loop.time()
        super().on_response_complete()
        if self.pipeline:  # one more waits: enough was read
            self.flow.pause_reading()

    def pause_writing(self) -> None:
        """The peer takes less than it is told. Symptom: uvicorn waits for it for ever. Seen in 0.54.0."""
        super().pause_writing()
        self.blocked_at = self.loop.time()

    def resume_writing(self) -> None:
        """It has taken enough to be told more."""
        super().resume_writing()
        self.blocked_at = None

    # ---- what ends it

    def look_again(self) -> None:
        """Cut off who takes too long; look again in a moment."""
        now = self.loop.time()
        if self.transport.is_closing() and self.blocked_at is None:
            self.blocked_at = now  # what is closing ends when its answer is taken
        if self.blocked_at is not None and (now - self.blocked_at) * 1000 > self.gate.settings.reader_ms:
            self.gate.count(Cut.READER_SLOW, self.peer)
            self.transport.abort()
        elif self.ends_at is not None and now > self.ends_at:
            self.transport.abort()
        elif not self.over and self.meter.part is Part.BODY and self.cycle.response_complete:
            if now - self.answered_at > LINGER_S:
                self.refuse(Cut.UNREAD)
        elif not self.over:
            waits = self.cycle is not None and self.cycle.waiting_for_100_continue
            why = self.meter.late(now, reading=not (self.flow.read_paused or waits))
            if why is not None:
                self.refuse(why)
        self.look = self.loop.call_later(self.gate.look_every_s(), self.look_again)

    def refuse(self, why: Cut) -> None:
        """End a connection whose peer is over a limit: at once, or after the answer that is under way."""
        self.gate.count(why, self.peer)
        self.over, self.thrown = True, 0
        first = self.unanswered[0].cycle if self.unanswered else None
        of_body = self.meter.part is Part.BODY  # the fault lies in the last of the requests that were begun
        if of_body and (first is None or (first is self.cycle and first.response_started)):
            self.transport.abort()  # its answer has gone out already, or half of it
        elif first is not None and not (of_body and first is self.cycle):
            first.keep_alive = False
        else:
            if first is not None:
                first.disconnected = True
                first.message_event.set()
            self.finish(why)

    def finish(self, why: Cut) -> None:
        """Say why, and let the peer take that in before the connection ends."""
        problem = answer(why, self.gate.settings)
        self.ends_at = self.loop.time() + LINGER_S
        if problem is None or self.transport.is_closing():
            self.transport.close()
            return
        self.transport.write(on_the_wire(problem))
        if self.transport.can_write_eof():
            self.transport.write_eof()
        self.flow.resume_reading()


class Acceptor:
    """Takes the connections of a listening socket, and lets a gate look at each before anything is read of it.

    Symptom: uvicorn leaves this to the event loop, which takes as many as there are files, waits 60 s for a handshake,
    and calls nobody until it is done. Seen in 0.54.0.
    """

    def __init__(
        self,
        listening: socket.socket,
        gate: Gate,
        certificate: ssl.SSLContext | None,
        make: Callable[[str], LimitedConnection],
    ) -> None:
        self.sockets = [listening]
        self.gate, self.certificate, self.make = gate, certificate, make
        self.loop = asyncio.get_running_loop()
        self.tasks: set[asyncio.Task[None]] = set()
        self.lingering = 0
        listening.listen(BACKLOG)
        listening.setblocking(False)
        self.loop.add_reader(listening, self.accept)

    def accept(self) -> None:
        """Let in or turn away who waits."""
        for _ in range(BACKLOG):
            try:
                connection, address = self.sockets[0].accept()
            except (BlockingIOError, ConnectionAbortedError):
                return
            except OSError as error:  # there are no more files: who waits may wait a little longer
                log.warning("connections.not_taken", extra={"error": str(error)})
                self.loop.remove_reader(self.sockets[0])
                self.loop.call_later(AGAIN_S, self.accept_again)
                return
            connection.setblocking(False)
            peer = peer_of(address[0])
            why = self.gate.enter(peer)
            if why is None:
                notice_if_gone(connection, self.gate.settings.reader_ms)
                self.begin(self.admit(connection, peer))
                continue
            self.gate.count(why, peer)
            if self.certificate is not None or self.lingering >= LINGERING_AT_MOST:
                connection.close()
            else:
                self.lingering += 1
                self.begin(self.turn_away(connection, why))

    def accept_again(self) -> None:
        """Look once more for who waits."""
        if self.sockets:
            self.loop.add_reader(self.sockets[0], self.accept)

    def begin(self, work: Coroutine[Any, Any, None]) -> None:
        """Go on with a connection beside the others."""
        task = self.loop.create_task(work)
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    async def admit(self, accepted: socket.socket, peer: str) -> None:
        """Agree on TLS if the door speaks it, and hand the connection on."""
        connection = self.make(peer)
        secured: dict[str, Any] = {}
        if self.certificate is not None:
            within_s = self.gate.settings.head_ms / 1000
            secured = {
                "ssl": self.certificate,
                "ssl_handshake_timeout": within_s,
                "ssl_shutdown_timeout": LINGER_S,
            }
        try:
            await self.loop.connect_accepted_socket(lambda: connection, accepted, **secured)
        except OSError:
            pass  # it is counted below
        finally:
            if not connection.opened:
                if secured:
                    self.gate.count(Cut.HANDSHAKE, peer)
                self.gate.leave(peer)

    async def turn_away(self, accepted: socket.socket, why: Cut) -> None:
        """Tell one that is too many so, and let it take that in."""
        problem = answer(why, self.gate.settings)
        try:
            async with asyncio.timeout(LINGER_S):
                await self.loop.sock_sendall(accepted, on_the_wire(problem) if problem else b"")
                accepted.shutdown(socket.SHUT_WR)
                for _ in range(LINGER_BYTES // CHUNK):
                    if not await self.loop.sock_recv(accepted, CHUNK):
                        break
        except (OSError, TimeoutError):
            pass
        finally:
            self.lingering -= 1
            accepted.close()

    def close(self) -> None:
        """Take no more, and end what has not begun."""
        for listening in self.sockets:
            self.loop.remove_reader(listening)
            listening.close()
        self.sockets = []
        for task in self.tasks:
            task.cancel()

    async def wait_closed(self) -> None:
        """Until nothing of it runs any more."""
        await asyncio.gather(*self.tasks, return_exceptions=True)


class LimitedServer(uvicorn.Server):
    """uvicorn behind a gate, in TLS where there is a certificate. `run(sockets=[...])` it."""

    def __init__(self, config: uvicorn.Config, gate: Gate, certificate: ssl.SSLContext | None = None) -> None:
        super().__init__(config)
        self.gate, self.certificate = gate, certificate

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start as uvicorn does, with other listeners."""
        await super().startup(sockets=[])
        make = partial(
            LimitedConnection,
            config=self.config,
            server_state=self.server_state,
            app_state=self.lifespan.state,
            gate=self.gate,
        )
        taken = [Acceptor(one, self.gate, self.certificate, lambda peer: make(peer=peer)) for one in sockets or ()]
        self.servers.extend(taken)  # type: ignore[arg-type]  # uvicorn closes them and waits until they are closed


def notice_if_gone(connection: socket.socket, after_ms: int) -> None:
    """Let the system end a connection whose peer is gone or takes nothing.

    Symptom: a peer that vanished without a word is noticed after a quarter of an hour, and one whose window stays shut
    never: too little is written to fill the buffer behind which uvicorn would notice it.
    """
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    if hasattr(socket, "TCP_USER_TIMEOUT"):
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, after_ms)

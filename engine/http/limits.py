"""Limits of the wire: how much a peer may send and how long it may take before the door has answered it.

A `Meter` measures one connection. It has no socket and no clock of its own: instants are seconds that its caller gives
it. A `Gate` counts the connections of a process, and what their bodies hold. Both say why a connection is cut off, as a
`Cut`. `engine/http/uvicorn_quirks.py` puts them before uvicorn's parser. Each number is a setting with its default in
`engine/settings.py`; a body as a whole has `events.MOST_BYTES`.
"""

import logging
import resource
from collections import Counter
from enum import StrEnum
from ipaddress import IPv6Address, ip_address
from typing import Any

import msgspec

from engine.http.problems import MEDIA_TYPE, Problem, busy
from engine.logs import Tally
from engine.metrics.counters import Counters
from engine.settings import Settings

log = logging.getLogger(__name__)

LINGER_S = 5.0
"""How long a peer may go on sending after the answer that ends its connection: one that hears only a reset learns
nothing."""
LINGER_BYTES = 32 * 1024 * 1024
"""How much of that is read and thrown away."""
LINGERING_AT_MOST = 64
"""Connections beyond the limit that are told so at the same time; those beyond are closed without a word."""
STREAMED = "/v1/files/"
"""How the paths begin to which files are sent."""
OTHER_FILES = 200
"""Files that a process has open beside the connections of its door."""


class Cut(StrEnum):
    """Why a connection was cut off. These are values of a metric's label."""

    CONNECTIONS = "connections"  # more are open than the process has room for
    PEER = "peer"  # one address has as many open as it may
    HANDSHAKE = "handshake"  # TLS was not agreed on in time, or not at all
    SILENT = "silent"  # nothing was ever sent
    URL_BYTES = "url_bytes"
    HEAD_BYTES = "head_bytes"
    HEAD_LINES = "head_lines"
    HEAD_SLOW = "head_slow"
    BODY_SLOW = "body_slow"
    BODIES = "bodies"  # more bodies are under way than the process has room for
    PIPELINED = "pipelined"  # requests behind one that is not answered yet
    MALFORMED = "malformed"  # what came is not HTTP
    UNREAD = "unread"  # the peer goes on sending what nobody reads
    READER_SLOW = "reader_slow"  # the peer takes nothing of its answer


class OverLimit(Exception):
    """Raised to stop a parser in the middle of what it reads."""

    def __init__(self, why: Cut) -> None:
        super().__init__(why)
        self.why = why


class Part(StrEnum):
    """What a peer sends just now."""

    BETWEEN = "between"  # nothing: its last request is complete
    HEAD = "head"  # the request line and headers, or it was just let in and has to begin
    BODY = "body"


class Meter:
    """What one peer has sent of its present request, and since when."""

    def __init__(self, settings: Settings, now: float) -> None:
        self.settings = settings
        self.part = Part.HEAD
        self.since = now  # when the part, or its present window, began
        self.came = 0  # bytes of the window
        self.unparsed = 0  # bytes since the parser last had something to tell
        self.head = self.lines = self.url = 0
        self.silent = True

    def receive(self, size: int, now: float) -> None:
        """Take in that bytes have come, before they are parsed. Blank lines between two requests begin one as well."""
        self.silent = False
        self.came += size
        self.unparsed += size
        if self.part is Part.BETWEEN:
            self.begin(now)

    def begin(self, now: float) -> None:
        """A request begins."""
        self.part, self.since, self.came = Part.HEAD, now, 0
        self.head = self.lines = self.url = 0

    def address(self, size: int) -> None:
        """A piece of the url. Raises OverLimit."""
        self.url += size
        self.head += size
        if self.url > self.settings.url_bytes:
            raise OverLimit(Cut.URL_BYTES)

    def line(self, size: int) -> None:
        """A header, also one behind a body. Raises OverLimit."""
        self.lines += 1
        self.head += size
        if self.lines > self.settings.head_lines:
            raise OverLimit(Cut.HEAD_LINES)
        if self.head > self.settings.head_bytes:
            raise OverLimit(Cut.HEAD_BYTES)

    def parsed(self) -> None:
        """The parser has handed something on."""
        self.unparsed = 0

    def body(self, now: float) -> None:
        """The headers are complete."""
        self.part, self.since, self.came, self.unparsed = Part.BODY, now, 0, 0

    def complete(self, now: float) -> None:
        """The request is complete."""
        self.part, self.since, self.unparsed = Part.BETWEEN, now, 0

    def check(self) -> None:
        """After the parser has seen all that came. It keeps a line until it ends, so such a line is measured here.
        Raises OverLimit."""
        if self.unparsed > self.settings.head_bytes:
            raise OverLimit(Cut.HEAD_BYTES)

    def late(self, now: float, *, reading: bool) -> Cut | None:
        """Why the peer takes too long. While the door itself is not `reading`, nobody is late."""
        waited_ms = (now - self.since) * 1000
        if self.part is Part.BETWEEN or not reading:
            self.since, self.came = now, 0
            return None
        if waited_ms < self.settings.head_ms:
            return None
        if self.part is Part.HEAD:
            return Cut.SILENT if self.silent else Cut.HEAD_SLOW
        slow = self.came * 1000 < self.settings.body_bytes_per_s * waited_ms
        self.since, self.came = now, 0
        return Cut.BODY_SLOW if slow else None


class Gate:
    """The connections of one process: how many there are, from where, and what their bodies hold. For one thread."""

    def __init__(self, settings: Settings, counters: Counters) -> None:
        self.settings = settings
        self.connections = settings.connections
        self.peers: Counter[str] = Counter()
        self.bodies: Counter[str] = Counter()
        self._counters = counters
        self._tally = Tally(log)
        for why in Cut:
            counters.door.cut.labels(why.value)

    def enter(self, peer: str) -> Cut | None:
        """Let one more connection of an address in, or say why not."""
        if self.peers.total() >= self.connections:
            return Cut.CONNECTIONS
        if self.peers[peer] >= self.settings.connections_per_peer:
            return Cut.PEER
        self.peers[peer] += 1
        self._counters.door.connections.set(self.peers.total())
        return None

    def leave(self, peer: str) -> None:
        """A connection that was let in has ended."""
        _take(self.peers, peer, 1)
        self._counters.door.connections.set(self.peers.total())

    def hold(self, peer: str, size: int) -> bool:
        """Keep bytes of a body until its request is answered; whether there is room. One address has half of it."""
        most = self.settings.bodies_bytes
        if self.bodies.total() + size > most or self.bodies[peer] + size > most // 2:
            return False
        self.bodies[peer] += size
        return True

    def release(self, peer: str, size: int) -> None:
        """Its request is answered."""
        _take(self.bodies, peer, size)

    def count(self, why: Cut, peer: str) -> None:
        """Count a connection that is cut off, and say so in the log now and then."""
        self._counters.door.cut.labels(why.value).inc()
        self._tally.tell("connection.cut", why=why.value, example={"peer": peer})

    def look_every_s(self) -> float:
        """How often connections are looked at: in time for the shortest of the limits."""
        return max(0.02, min(1000, self.settings.head_ms / 4, self.settings.reader_ms / 4) / 1000)


def _take(counted: Counter[str], peer: str, number: int) -> None:
    """Count so many less; who has none left is forgotten."""
    counted[peer] -= number
    if counted[peer] <= 0:
        del counted[peer]


def peer_of(address: object) -> str:
    """The address that shares a limit: of IPv4 itself; of IPv6 its network of 64 bits, which one subscriber has."""
    try:
        host = ip_address(str(address).partition("%")[0])
    except ValueError:
        return ""
    if not isinstance(host, IPv6Address):
        return str(host)
    if host.ipv4_mapped is not None:
        return str(host.ipv4_mapped)
    return f"{IPv6Address(int(host) >> 64 << 64)}/64"


def is_streamed(scope: Any) -> bool:
    """Whether the body of a request is written to a disk as it comes. Others are in memory until they are answered."""
    return scope["method"] == "PUT" and str(scope["path"]).startswith(STREAMED)


def room_for(connections: int) -> int:
    """How many connections the process may have, after asking the system for as many files as that needs."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = connections + OTHER_FILES
    if soft != resource.RLIM_INFINITY and soft < needed:
        soft = needed if hard == resource.RLIM_INFINITY else min(needed, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        if soft < needed:
            fewer = max(1, soft - OTHER_FILES)
            log.warning("connections.fewer", extra={"files": soft, "wanted": connections, "connections": fewer})
            return fewer
    return connections


# ---- what is answered ---------------------------------------------------------------------------------------


def answer(why: Cut, settings: Settings) -> Problem | None:
    """What a peer is told whose connection ends; None: nothing, since it would not be read."""
    match why:
        case Cut.URL_BYTES:
            detail = f"the address of a request has at most {settings.url_bytes} bytes"
            return Problem(414, "url_too_long", detail, remedy="ask for one thing at a time")
        case Cut.HEAD_BYTES | Cut.HEAD_LINES:
            detail = (
                f"request line and headers have at most {settings.head_bytes} bytes in {settings.head_lines} headers"
            )
            return Problem(431, "head_too_large", detail, remedy="send fewer and shorter headers, and data as a body")
        case Cut.HEAD_SLOW:
            detail = f"request line and headers were not there within {settings.head_ms} ms"
            return Problem(408, "too_slow", detail, remedy="send the same again")
        case Cut.BODY_SLOW:
            detail = f"the body came more slowly than {settings.body_bytes_per_s} bytes a second"
            return Problem(408, "too_slow", detail, remedy="send the same again, in smaller batches")
        case Cut.MALFORMED:
            return Problem(400, "malformed", "what came is not HTTP/1.1", remedy="see RFC 9112, or use a library")
        case Cut.CONNECTIONS | Cut.PEER:
            return busy("too many connections are open", "close what you do not use, and come again in a moment")
        case Cut.BODIES:
            return busy("too much is being sent at once")
        case _:
            return None


def on_the_wire(problem: Problem) -> bytes:
    """A problem as the last answer of a connection."""
    body = msgspec.json.encode(problem.body())
    headers = {"Content-Type": MEDIA_TYPE, "Content-Length": str(len(body)), **problem.headers}
    lines = [f"HTTP/1.1 {problem.status} {problem.body()['title']}", *(f"{n}: {v}" for n, v in headers.items())]
    return "\r\n".join([*lines, "Connection: close", "", ""]).encode() + body

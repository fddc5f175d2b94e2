"""The access log: one line for each request that was answered, with what is known of it without looking inside.

A line has the route as the code writes it and the principal by name. A path, a query, a token and what a body says are
in none: they may name people. Who answers a flood of requests writes no flood of lines: of each principal and class of
status so many are written in a second, what is more is counted, and the next line says how many these were.
"""

import logging
import time
from collections.abc import Callable

from msgspec import Struct
from msgspec.structs import asdict
from prometheus_client import Counter

from engine.http.limits import peer_of

log = logging.getLogger(__name__)

WHICH = ("none", "refused", "all")
"""Which requests leave a line."""
REFUSED_FROM = 400
GONE = 499
"""The status in the log, as other servers write it, of a request whose sender hung up before it was answered."""


class Answered(Struct, frozen=True, kw_only=True):
    """A request and its answer. `ms`: until all of the answer was handed on; of a stream, as long as it was open.

    `reason` is that of a refusal, `status` 0 means that nobody was left to hear one.
    """

    method: str
    route: str
    status: int
    ms: int
    bytes_in: int
    bytes_out: int
    principal: str
    reason: str
    client: tuple[str, int] | None


class Window(Struct):
    """One second of one kind of line: when it is, how many were written, and how many were not since the last one."""

    second: int = -1
    written: int = 0
    left_out: int = 0


class AccessLog:
    """Writes the lines. `which` is one of WHICH, `per_s` bounds each kind, `now_s` is a monotonic clock."""

    def __init__(self, which: str, per_s: int, left_out: Counter, now_s: Callable[[], float] = time.monotonic) -> None:
        self.per_s = per_s
        self._least = {"none": 1000, "refused": REFUSED_FROM, "all": 0}[which]
        self._left_out, self._now_s = left_out, now_s
        self._windows: dict[tuple[str, int], Window] = {}  # by principal and class of status: both are bounded

    def wants(self, status: int) -> bool:
        """Whether an answer of this status leaves a line."""
        return (status or GONE) >= self._least

    def tell(self, answered: Answered) -> None:
        """Write the line of an answer, or count it."""
        status = answered.status or GONE
        window = self._windows.setdefault((answered.principal, status // 100), Window())
        second = int(self._now_s())
        if second != window.second:
            window.second, window.written = second, 0
        if window.written >= self.per_s:
            window.left_out += 1
            self._left_out.inc()
            return
        line = asdict(answered) | {"status": status}
        client = line.pop("client")
        if not answered.principal and client is not None:
            line["peer"] = peer_of(client[0])  # nothing else says where it came from
        if window.left_out:
            line["left_out"] = window.left_out
        window.written, window.left_out = window.written + 1, 0
        log.info("door.answered", extra={name: value for name, value in line.items() if value != ""})

    def close(self) -> None:
        """Say how many lines were left out of which nothing has been said yet."""
        for (principal, kind), window in self._windows.items():
            if window.left_out:
                told = {"principal": principal, "status": f"{kind}xx", "left_out": window.left_out}
                log.info("door.left_out", extra=told)
                window.left_out = 0

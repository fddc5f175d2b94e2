"""What the door answers, as metrics and log lines tell it: requests by route, and what was denied or refused.

Labels come from routes, from the reasons of the code and from the file of principals, never from a request.
"""

import logging
import time
from typing import Any, NamedTuple

from litestar.connection import ASGIConnection
from litestar.types import ASGIApp, Message, Receive, Scope, Send
from prometheus_client import Counter, Histogram

from engine.http.access import AccessLog, Answered
from engine.http.auth import token_of
from engine.http.head import is_head
from engine.logs import Tally
from engine.metrics.counters import Counters
from engine.principals import Principal, Principals
from engine.settings import Settings

log = logging.getLogger(__name__)

METHODS = frozenset(("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"))
OTHER = "other"
"""The label of a route that there is not, and of a method that HTTP does not know."""
DENIED = (401, 403, 421, 429)
"""Who is not known, may not, or not so much."""
REASON = "refused_for"
"""Name in the state of a request under which its answer leaves why it refuses."""


class RouteSeries(NamedTuple):
    """The series of one route, method and class of status: to look them up by their labels costs more than to count."""

    requests: Counter
    seconds: Histogram
    came: Counter
    went: Counter


class Watch:
    """What one door has answered, denied and refused."""

    def __init__(self, counters: Counters, settings: Settings, principals: Principals) -> None:
        self.counters = counters
        self.principals = principals
        self.tally = Tally(log)
        self.access = AccessLog(settings.log_access, settings.log_access_per_s, counters.door.left_out)
        self.open = 0  # requests whose answers have not begun
        self._series: dict[tuple[str, str, int], RouteSeries] = {}
        counters.door.open_requests.set_function(lambda: self.open)

    def denied(self, scope: Scope, status: int, reason: str) -> None:
        """A request was not allowed."""
        self.counters.door.denied.labels(str(status), reason).inc()
        who, route = self.principal_of(scope), route_of(scope)
        self.tally.tell("door.denied", status=str(status), reason=reason, principal=who, route=route)

    def refused(self, principal: str, reason: str, kept: bool) -> None:
        """An event was refused by its shape, or because of who sent it."""
        answer = "yes" if kept else "no"
        self.counters.door.refused.labels(reason, answer).inc()
        self.tally.tell("event.refused", reason=reason, principal=principal, kept=answer)

    def principal_of(self, scope: Scope) -> str:
        """The name of who asks, also where the request was refused before that mattered; empty: it is not known."""
        who: Any = scope.get("user")
        if not isinstance(who, Principal):
            who = self.principals.of_request(token_of(ASGIConnection(scope)))
        return who.name if who is not None else ""

    def series(self, scope: Scope, status: int) -> RouteSeries:
        """The series that an answer counts in."""
        method = str(scope.get("method", ""))
        key = (route_of(scope), method if method in METHODS else OTHER, status // 100)
        if (found := self._series.get(key)) is None:
            door, labels = self.counters.door, key[:2]
            found = self._series[key] = RouteSeries(
                door.requests.labels(*labels, f"{key[2]}xx"),
                door.request_seconds.labels(*labels),
                door.request_bytes.labels(*labels),
                door.answer_bytes.labels(*labels),
            )
        return found


def route_of(scope: Scope) -> str:
    """The route of a request as it is written in the code."""
    template: str = scope.get("path_template") or OTHER
    return template


def with_counts(app: ASGIApp, watch: Watch) -> ASGIApp:
    """The same application, which counts each answer when it begins, and tells the access log of it when it ends."""

    async def count(scope: Scope, receive: Receive, send: Send) -> None:
        began_s, status, came, went = time.perf_counter(), 0, 0, 0
        series: RouteSeries | None = None
        watch.open += 1

        async def hear() -> Any:
            nonlocal came
            message: Any = await receive()
            came += len(message.get("body", b""))
            return message

        async def watched(message: Message) -> None:
            nonlocal series, status, went
            if message["type"] == "http.response.start":
                status = message["status"]
                watch.open -= 1
                series = watch.series(scope, status)
                series.requests.inc()
                series.seconds.observe(time.perf_counter() - began_s)
            elif message["type"] == "http.response.body":
                went += len(message["body"])
            await send(message)

        try:
            await app(scope, hear, watched)
        finally:
            went = 0 if is_head(scope) else went
            if series is None:
                watch.open -= 1
            else:
                series.came.inc(came)
                series.went.inc(went)
            if watch.access.wants(status):
                method = "HEAD" if is_head(scope) else str(scope.get("method", ""))
                watch.access.tell(
                    Answered(
                        method=method if method in METHODS else OTHER,
                        route=route_of(scope),
                        status=status,
                        ms=round((time.perf_counter() - began_s) * 1000),
                        bytes_in=came,
                        bytes_out=went,
                        principal=watch.principal_of(scope),
                        reason=str(scope["state"].get(REASON, "")),
                        client=scope.get("client"),
                    )
                )

    return count

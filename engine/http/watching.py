"""What the door answers, as metrics and log lines tell it: requests by route, and what was denied or refused.

Labels come from routes, from the reasons of the code and from the file of principals, never from a request.
"""

import logging
from typing import Any

from litestar.types import ASGIApp, Message, Receive, Scope, Send

from engine.logs import Tally
from engine.metrics.counters import Counters
from engine.principals import Principal

log = logging.getLogger(__name__)

METHODS = frozenset(("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"))
OTHER = "other"
"""The label of a route that there is not, and of a method that HTTP does not know."""
DENIED = (401, 403, 421, 429)
"""Who is not known, may not, or not so much."""


class Watch:
    """What one door has denied and refused."""

    def __init__(self, counters: Counters) -> None:
        self.counters = counters
        self.tally = Tally(log)

    def denied(self, scope: Scope, status: int, reason: str) -> None:
        """A request was not allowed."""
        who: Any = scope.get("user")
        name = who.name if isinstance(who, Principal) else ""
        self.counters.denied.labels(str(status), reason).inc()
        self.tally.tell("door.denied", status=str(status), reason=reason, principal=name, route=route_of(scope))

    def refused(self, principal: str, reason: str, kept: bool) -> None:
        """An event was refused by its shape, or because of who sent it."""
        answer = "yes" if kept else "no"
        self.counters.refused.labels(reason, answer).inc()
        self.tally.tell("event.refused", reason=reason, principal=principal, kept=answer)


def route_of(scope: Scope) -> str:
    """The route of a request as it is written in the code."""
    template: str = scope.get("path_template") or OTHER
    return template


def with_counts(app: ASGIApp, counters: Counters) -> ASGIApp:
    """The same application, which counts each answer when it begins."""

    async def count(scope: Scope, receive: Receive, send: Send) -> None:
        async def watched(message: Message) -> None:
            if message["type"] == "http.response.start":
                method = str(scope.get("method", ""))
                counters.requests.labels(
                    route_of(scope), method if method in METHODS else OTHER, f"{message['status'] // 100}xx"
                ).inc()
            await send(message)

        await app(scope, receive, watched)

    return count

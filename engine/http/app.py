"""The application: routes, guards, and every error as a problem document.

Without a file of principals it asks for no token, and is to be bound to loopback.
"""

import logging
import threading
from collections.abc import Callable
from functools import cache
from http import HTTPStatus
from typing import Any

import msgspec
from litestar import Litestar, Request, Response, Router
from litestar.datastructures import State
from litestar.di import Provide
from litestar.exceptions import HTTPException

from engine.errors import ClockDoubted
from engine.fair_queue import Full
from engine.http import alerts, duties, events, health, incidents, notices, openapi, operator, performance
from engine.http.alerts import Feed
from engine.http.auth import Guard, known, needs, no_foreign_page, only_known_parameters, only_texts, only_this_machine
from engine.http.context import DoorContext
from engine.http.description import describe
from engine.http.head import with_head
from engine.http.problems import MEDIA_TYPE, Problem, busy, doubted, over_quota, unanswerable
from engine.http.watching import DENIED, Watch, with_counts
from engine.metrics import gauges
from engine.quotas import OverQuota
from engine.store.database import Database
from engine.views.questions import Unanswerable
from engine.writer import Writer

log = logging.getLogger(__name__)

UNGUARDED = [*openapi.ROUTES, *health.ROUTES]
"""What describes this server, and what probes and scrapers read."""
GUARDED: list[tuple[Guard, list[Any]]] = [
    (known, events.ROUTES),
    (needs("reads"), [*incidents.ROUTES, *alerts.ROUTES, *notices.ROUTES, *performance.ROUTES, *duties.ROUTES]),
    (needs("operator"), operator.ROUTES),
]
BEHIND_GUARDS = [route for _, routes in GUARDED for route in routes]
ROUTES = [*UNGUARDED, *BEHIND_GUARDS]


def create_app(
    writer: Writer,
    database: Database,
    *,
    shut: Callable[[], str] = lambda: "",
    closing: threading.Event | None = None,
) -> Litestar:
    """The door of a running writer.

    `shut` says why nothing is taken just now, empty when the door is open; `closing` ends the alert streams: set it
    before the HTTP server waits for its connections to end.
    """
    context = DoorContext(writer, database, shut, closing)
    gauges.register(writer.engine.counters.registry, database)
    feed = Feed(context)
    dependencies = {
        "context": Provide(lambda: context, sync_to_thread=False),
        "feed": Provide(lambda: feed, sync_to_thread=False),
    }

    async def leave(_: Litestar) -> None:
        context.close()

    routers = [Router("/", route_handlers=routes, guards=[guard]) for guard, routes in GUARDED]
    app = Litestar(
        route_handlers=[*UNGUARDED, *routers],
        dependencies=dependencies,
        guards=[only_this_machine, no_foreign_page, only_texts, only_known_parameters],
        exception_handlers={
            Problem: answer_problem,
            Unanswerable: lambda _, error: answer(unanswerable(error)),
            OverQuota: lambda request, error: answer_problem(request, over_quota(error)),
            ClockDoubted: lambda request, error: answer_problem(request, doubted(error)),
            Full: lambda _, __: answer(busy("more is waiting to be written than may wait")),
            HTTPException: lambda _, error: answer(refused_by_framework(error)),
            Exception: answer_failure,
        },
        openapi_config=None,
        state=State(
            {
                "description": cache(lambda: describe(UNGUARDED, BEHIND_GUARDS, dependencies)),
                "principals": context.principals,
                "watch": context.watch,
            }
        ),
        request_max_body_size=events.MOST_BYTES,
        logging_config=None,
        on_shutdown=[leave],
    )
    app.asgi_handler = with_head(with_counts(app.asgi_handler, context.counters))
    return app


# ---- errors -------------------------------------------------------------------------------------------------


def answer(problem: Problem) -> Response[bytes]:
    """A problem as a response."""
    return Response(
        msgspec.json.encode(problem.body()), status_code=problem.status, media_type=MEDIA_TYPE, headers=problem.headers
    )


def answer_problem(request: Request[Any, Any, Any], problem: Problem) -> Response[bytes]:
    """A problem as a response; one that says who may what is counted and told to the log."""
    if problem.status in DENIED:
        watch: Watch = request.app.state["watch"]
        watch.denied(request.scope, problem.status, str(problem.members.get("quota") or problem.reason))
    return answer(problem)


HINTS = {
    400: ("query", "see /openapi.json for the parameters of this route"),
    404: ("unknown_route", "see / for the routes"),
    405: ("method", "see / for the routes and their methods"),
    413: ("too_large", f"send at most {events.MOST_BYTES} bytes at once"),
}
"""Reason and remedy of what the framework refuses by itself."""


QUOTES, NO_WORD = "Invalid enum value", "none of the words that it takes"
"""What the decoder says, and quotes; and what the answer says instead."""


def refused_by_framework(error: HTTPException) -> Problem:
    """No such route, another method, a parameter of another type."""
    status = HTTPStatus(error.status_code)
    reason, remedy = HINTS.get(error.status_code, (status.name.lower(), ""))
    extra = error.extra if isinstance(error.extra, list) else []
    named = [item for item in extra if isinstance(item, dict)]
    field = str(named[0].get("key", "")) if named else ""
    told = [(str(item.get("key", "")), str(item.get("message", ""))) for item in named]
    texts = [f"{key}: {NO_WORD if QUOTES in text else text}".strip(": ") for key, text in told]
    detail = "; ".join(texts) or error.detail
    headers = dict(error.headers or {})
    if "GET" in (allowed := headers.get("allow", "")):
        headers["allow"] = f"{allowed}, HEAD"
    return Problem(status, reason, detail or status.description, field=field, remedy=remedy, headers=headers)


def answer_failure(request: Request[Any, Any, Any], error: Exception) -> Response[bytes]:
    """A defect of ours: the log has it in full, the answer says only that there is one."""
    log.error("%s %s failed", request.method, request.scope["path"], exc_info=error)
    return answer(Problem(500, "failed", "the server failed to answer; its log says more"))

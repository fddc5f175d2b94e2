"""The application: its routes, what they ask of a request, and what stands before them.

Without a file of principals it asks for no token, and is to be bound to loopback.
"""

import threading
from collections.abc import Callable
from functools import cache
from typing import Any

from litestar import Litestar, Request, Response, Router
from litestar.datastructures import State
from litestar.di import Provide
from litestar.exceptions import HTTPException

from engine.console.pages import mount
from engine.console.problems import answer_problem
from engine.http import (
    alerts,
    assessment,
    deliveries,
    duties,
    events,
    files,
    health,
    incidents,
    inspection,
    ledger,
    locality,
    money,
    notices,
    open311,
    open311_answers,
    openapi,
    operator,
    outcomes,
    people,
    performance,
    petitions,
    phone,
    reports,
    responsible,
    subscriptions,
    targets,
    tasks,
    values,
    verifications,
    words,
)
from engine.http.alerts import Feed
from engine.http.auth import Guard, known, needs, proper
from engine.http.context import DoorContext
from engine.http.cors import with_cors
from engine.http.description import describe
from engine.http.head import with_head
from engine.http.plain_events import with_plain_events
from engine.http.small_answers import with_small_answers
from engine.http.watching import with_counts
from engine.metrics import gauges
from engine.store.database import Database
from engine.value_taker import ValueTaker
from engine.views.channel_desk import ChannelProbe
from engine.views.what_if_desk import Comparer, Comparisons
from engine.writer import Writer

UNGUARDED = [*openapi.ROUTES, *health.ROUTES, *open311.UNGUARDED, *petitions.PUBLIC]
"""What describes this server, what probes and scrapers read, and what who has asked looks up by a code."""
GUARDED: list[tuple[Guard, list[Any]]] = [
    (
        known,
        [
            *events.ROUTES,
            *outcomes.ROUTES,
            *tasks.ROUTES,
            *incidents.OF_A_POST,
            *files.ROUTES,
            *deliveries.ROUTES,
            *subscriptions.ROUTES,
            *money.OF_A_BANK,
            *inspection.OF_INSPECTION,
            phone.show_me,
        ],
    ),
    (needs("actors"), [*phone.BEFORE_SENDING, *values.ROUTES, *petitions.ROUTES]),
    (
        needs("reads"),
        [*incidents.ROUTES, *words.ROUTES, *alerts.ROUTES, *notices.ROUTES, *performance.ROUTES, *duties.ROUTES],
    ),
    (
        needs("reads"),
        [
            *ledger.ROUTES,
            *assessment.ROUTES,
            *reports.ROUTES,
            *locality.ROUTES,
            *money.ROUTES,
            *responsible.ROUTES,
            *tasks.OF_CODES,
            *targets.ROUTES,
        ],
    ),
    (open311.reads_by_key, open311.ROUTES),
    (open311.reads_requests, open311.OF_READERS),
    (
        needs("operator"),
        [*operator.ROUTES, *people.ROUTES, *deliveries.OPERATOR_ROUTES, *verifications.OPERATOR_ROUTES],
    ),
]
BEHIND_GUARDS = [route for _, routes in GUARDED for route in routes]
ROUTES = [*UNGUARDED, *BEHIND_GUARDS]


def answer_error(request: Request[Any, Any, Any], error: Exception) -> Response[bytes]:
    """An error as those expect it who ask: programs of Open311, browsers, programs of ours."""
    is_open311 = request.url.path.startswith(f"{open311_answers.BASE}/")
    return open311_answers.answer_error(request, error) if is_open311 else answer_problem(request, error)


def create_app(
    writer: Writer,
    database: Database,
    *,
    shut: Callable[[], str] = lambda: "",
    closing: threading.Event | None = None,
    channels: ChannelProbe | None = None,
    comparer: Comparer | None = None,
    taker: ValueTaker | None = None,
) -> Litestar:
    """The door of a running writer.

    `shut` says why nothing is taken just now, empty when the door is open; `closing` ends the alert streams: set it
    before the HTTP server waits for its connections to end. `channels`: what this process knows of channels, for the
    pages of operators; `comparer`: how it decides history under another pack for them; `taker`:
    what takes values of devices in this process.
    """
    context = DoorContext(writer, database, shut, closing)
    context.values = taker
    context.counters.ready.set_function(lambda: not context.unready())
    gauges.register(writer.engine.counters.registry, database)
    feed = Feed(context)
    dependencies = {
        "context": Provide(lambda: context, sync_to_thread=False),
        "feed": Provide(lambda: feed, sync_to_thread=False),
    }

    comparisons = Comparisons(comparer)

    async def leave(_: Litestar) -> None:
        comparisons.close()
        context.close()

    routers = [Router("/", route_handlers=routes, guards=[guard]) for guard, routes in (*GUARDED, *mount.GUARDED)]
    app = Litestar(
        route_handlers=[*UNGUARDED, *mount.UNGUARDED, *routers],
        dependencies=dependencies,
        guards=[proper],
        exception_handlers={HTTPException: answer_error, Exception: answer_error},
        openapi_config=None,
        state=State(
            {
                "description": cache(lambda: describe(UNGUARDED, BEHIND_GUARDS, dependencies)),
                "origins": context.settings.origins,
                "principals": context.principals,
                "watch": context.watch,
                **mount.state_of(context, channels, comparisons),
            }
        ),
        request_max_body_size=events.MOST_BYTES,
        logging_config=None,
        on_shutdown=[leave],
    )
    taken = with_cors(with_small_answers(with_plain_events(app.asgi_handler, context)), context.settings.origins)
    app.asgi_handler = with_head(with_counts(taken, context.watch))
    return app

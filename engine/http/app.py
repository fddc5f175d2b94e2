"""The application: its routes, what they ask of a request, and what stands before them.

Without a file of principals it asks for no token, and is to be bound to loopback.
"""

import threading
from collections.abc import Callable
from functools import cache
from typing import Any

from litestar import Litestar, Router
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
    ledger,
    locality,
    money,
    notices,
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
from engine.views.channel_desk import ChannelProbe
from engine.writer import Writer

UNGUARDED = [*openapi.ROUTES, *health.ROUTES, *petitions.PUBLIC]
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
            phone.show_me,
        ],
    ),
    (needs("actors"), [*phone.BEFORE_SENDING, *petitions.ROUTES]),
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
    (needs("operator"), [*operator.ROUTES, *people.ROUTES, *deliveries.OPERATOR_ROUTES]),
]
BEHIND_GUARDS = [route for _, routes in GUARDED for route in routes]
ROUTES = [*UNGUARDED, *BEHIND_GUARDS]


def create_app(
    writer: Writer,
    database: Database,
    *,
    shut: Callable[[], str] = lambda: "",
    closing: threading.Event | None = None,
    channels: ChannelProbe | None = None,
) -> Litestar:
    """The door of a running writer.

    `shut` says why nothing is taken just now, empty when the door is open; `closing` ends the alert streams: set it
    before the HTTP server waits for its connections to end. `channels`: what this process knows of channels, for the
    pages of operators.
    """
    context = DoorContext(writer, database, shut, closing)
    context.counters.ready.set_function(lambda: not context.unready())
    gauges.register(writer.engine.counters.registry, database)
    feed = Feed(context)
    dependencies = {
        "context": Provide(lambda: context, sync_to_thread=False),
        "feed": Provide(lambda: feed, sync_to_thread=False),
    }

    async def leave(_: Litestar) -> None:
        context.close()

    routers = [Router("/", route_handlers=routes, guards=[guard]) for guard, routes in (*GUARDED, *mount.GUARDED)]
    app = Litestar(
        route_handlers=[*UNGUARDED, *mount.UNGUARDED, *routers],
        dependencies=dependencies,
        guards=[proper],
        exception_handlers={HTTPException: answer_problem, Exception: answer_problem},
        openapi_config=None,
        state=State(
            {
                "description": cache(lambda: describe(UNGUARDED, BEHIND_GUARDS, dependencies)),
                "origins": context.settings.origins,
                "principals": context.principals,
                "watch": context.watch,
                **mount.state_of(context, channels),
            }
        ),
        request_max_body_size=events.MOST_BYTES,
        logging_config=None,
        on_shutdown=[leave],
    )
    taken = with_cors(with_small_answers(with_plain_events(app.asgi_handler, context)), context.settings.origins)
    app.asgi_handler = with_head(with_counts(taken, context.watch))
    return app

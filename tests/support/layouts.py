"""The door's application for servers in this process, whose 300 routes are laid out once in a process.

Litestar takes a fifth of a second to read all signatures, and hundreds of tests start a server. What belongs to one
server is its own: its state, its hooks, and what its routes are given. All else is that of the first.
"""

from __future__ import annotations

import ssl
from collections.abc import Callable
from contextvars import ContextVar
from copy import copy
from typing import Any
from unittest.mock import patch

from litestar import Litestar
from litestar.datastructures import State
from litestar.di import Provide
from litestar.events import SimpleEventEmitter

from engine.http import app as door
from engine.store.database import Database
from engine.writer import Writer

WITHOUT_TLS = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
"""For clients that speak to loopback: reading the certificates of all authorities takes 25 ms for each client."""

_GIVEN: ContextVar[dict[str, Any]] = ContextVar("what the routes of the server that answers are given")
_LAID_OUT: list[Litestar] = []


def app_of(writer: Writer, database: Database, **parts: Any) -> Litestar:
    """What `create_app` makes."""
    with patch.object(door, "Litestar", bound):
        return door.create_app(writer, database, **parts)


def bound(*, dependencies: dict[str, Provide], state: State, on_shutdown: list[Any], **same: Any) -> Litestar:
    """In the place of `Litestar`: the routes that are laid out, bound to what belongs to one server."""

    def asked(name: str) -> Callable[[], Any]:
        return lambda: _GIVEN.get()[name]

    if not _LAID_OUT:
        same["dependencies"] = {name: Provide(asked(name), sync_to_thread=False) for name in dependencies}
        _LAID_OUT.append(Litestar(**same))
    app, given = copy(_LAID_OUT[0]), {name: each.dependency() for name, each in dependencies.items()}
    app.state, app.on_shutdown, app.event_emitter = state, on_shutdown, SimpleEventEmitter([])
    app.asgi_router = copy(app.asgi_router)
    app.asgi_router.app = app
    answers = app._create_asgi_handler()

    async def answer(scope: Any, receive: Any, send: Any) -> None:
        _GIVEN.set(given)
        await answers(scope, receive, send)

    app.asgi_handler = answer
    return app

"""One event at the door, taken without the framework, whose way to a route costs more than the event.

A request that is plain is answered here: one structured event for `/v1/events`, with no header out of the ordinary, of
a sender that may send it. Any other, and whatever is refused before its body is read, goes on to the framework. Both
ways end in the same function (`engine/http/events.py: publish_all`), so the answers are the same; a test compares them.
"""

import re
from typing import Any

import msgspec
from litestar.exceptions import InternalServerException
from litestar.types import ASGIApp, Receive, Scope, Send

from engine.http.auth import is_loopback, token_in
from engine.http.context import DoorContext
from engine.http.errors import problem_of
from engine.http.events import SINGLE, check_sender, publish_all, wanted_of
from engine.http.incoming import Incoming
from engine.http.problems import MEDIA_TYPE
from engine.principals import Principal
from schemas.envelope import BOM

PATH = "/v1/events"
MOST_BYTES = 1024 * 1024
"""Of a body that is read here: what is larger is no plain event."""
HOST = re.compile(rb"[0-9a-z.-]+(:[0-9]+)?", re.IGNORECASE)
UNUSUAL = (b"origin", b"content-encoding", b"transfer-encoding")
"""Headers that the framework's route has questions to."""
ATTRIBUTES = (b"ce-", b"ce_")
"""What headers begin with that may be attributes of an event, unless the content type says that the body has them."""


def with_plain_events(app: ASGIApp, context: DoorContext) -> ASGIApp:
    """The same application, which takes plain events by itself."""

    async def publish_plainly(scope: Scope, receive: Receive, send: Send) -> None:
        headers = plain_headers(scope)
        sender = sender_of(context, headers) if headers is not None else None
        if headers is None or sender is None:
            await app(scope, receive, send)
            return
        scope["path_template"], scope["user"] = PATH, sender  # as the framework leaves them
        try:
            check_sender(context, sender)
            body = await whole(receive)
            wanted = wanted_of(headers.get(b"prefer", b"").decode("latin-1"))
            reply = await publish_all(context, [Incoming(body.removeprefix(BOM), sender)], wanted)
            status, media, told, content = (
                reply.status,
                "application/json",
                reply.headers,
                msgspec.json.encode(reply.body),
            )
        except Exception as error:
            problem = problem_of(error, scope, context.watch)
            status, media, told = problem.status, MEDIA_TYPE, problem.headers
            content = msgspec.json.encode(problem.body())
        lines = told | {"content-type": media, "content-length": str(len(content))}
        raw = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in lines.items()]
        await send({"type": "http.response.start", "status": status, "headers": raw})
        await send({"type": "http.response.body", "body": content, "more_body": False})

    return publish_plainly


def plain_headers(scope: Any) -> dict[bytes, bytes] | None:
    """The headers of a request that publishes one structured event and says nothing out of the ordinary; else None."""
    if scope.get("raw_path") != PATH.encode() or scope.get("method") != "POST" or scope["query_string"]:
        return None
    headers: dict[bytes, bytes] = dict(scope["headers"])
    kind = headers.get(b"content-type", b"").decode("latin-1").partition(";")[0].strip().lower()
    size = headers.get(b"content-length", b"")
    if (
        len(headers) == len(scope["headers"])  # none stands there twice
        and kind in SINGLE
        and size.isdigit()
        and int(size) <= MOST_BYTES
        and HOST.fullmatch(headers.get(b"host", b""))
        and headers.keys().isdisjoint(UNUSUAL)
        and (kind == SINGLE[0] or not any(name.startswith(ATTRIBUTES) for name in headers))
    ):
        return headers
    return None


def sender_of(context: DoorContext, headers: dict[bytes, bytes]) -> Principal | None:
    """Who sends an event and may send some; None: nobody who may."""
    principals = context.principals
    if not principals.asked and not is_loopback(headers[b"host"].decode()):
        return None
    sender = principals.of_request(token_in(headers.get(b"authorization", b"").decode("latin-1")))
    return sender if sender is not None and sender.has("actors") else None


async def whole(receive: Receive) -> bytes:
    """The body of a request whose length was announced."""
    parts = list[bytes]()
    while True:
        message: Any = await receive()
        if message["type"] != "http.request":
            raise InternalServerException("client disconnected prematurely")  # as the framework does
        parts.append(message["body"])
        if not message.get("more_body"):
            return b"".join(parts)

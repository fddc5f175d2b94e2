"""HEAD at the door: what GET would answer, without its body."""

from typing import cast

from litestar.types import ASGIApp, HTTPScope, Message, Receive, Scope, Send

HEAD = "asked_for_head"
"""Name in the state of a request that is answered as GET, without its body."""


def with_head(app: ASGIApp) -> ASGIApp:
    """The same application, which answers HEAD on each route that it has for GET. A stream ends with its headers."""

    async def answer_head(scope: Scope, receive: Receive, send: Send) -> None:
        async def send_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                await send(message)
                await send({"type": "http.response.body", "body": b"", "more_body": False})

        if scope.get("method") == "HEAD":
            state = {**scope["state"], HEAD: True}
            await app(cast(HTTPScope, {**scope, "method": "GET", "state": state}), receive, send_headers)
        else:
            await app(scope, receive, send)

    return answer_head


def is_head(scope: Scope) -> bool:
    """Whether a request that is answered as GET asked for the headers alone."""
    return HEAD in scope["state"]

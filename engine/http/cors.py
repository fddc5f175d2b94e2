"""Pages of other origins: those that an operator lists may call the door (the Fetch standard, CORS protocol).

A token goes in `Authorization`, and no cookie does, so no credentials are allowed. What a limit of the wire refuses is
answered before anybody knows where it comes from: a page hears then that the network failed.
"""

import re
from collections.abc import Collection

from litestar.datastructures import Headers, MutableScopeHeaders
from litestar.types import ASGIApp, Message, Receive, Scope, Send

METHODS = "GET, HEAD, POST, PUT, OPTIONS"
EXPOSED = (
    "Accept-Ranges, Content-Disposition, Content-Range, ETag, Link, Location, Preference-Applied, Retry-After, "
    "Upload-Complete, Upload-Offset, WWW-Authenticate"
)
"""Headers of answers that a page may read."""
NAMES = re.compile(r"[A-Za-z0-9_, -]{1,2000}")
"""Headers that a page wants to send: any, among them the attributes of an event in binary mode."""
LONGEST_S = 7200
"""How long a browser may keep the answer; it keeps none for longer."""


def with_cors(app: ASGIApp, origins: Collection[str]) -> ASGIApp:
    """The same application, which pages of these origins may call. Without any it stays as it is."""
    if not origins:
        return app

    async def answer_page(scope: Scope, receive: Receive, send: Send) -> None:
        asked = Headers.from_scope(scope)
        origin = asked.get("origin", "")
        allowed = origin if origin in origins else ""

        async def send_allowed(message: Message) -> None:
            if message["type"] == "http.response.start":
                told = MutableScopeHeaders(message)
                told["vary"] = f"{told['vary']}, Origin" if "vary" in told else "Origin"
                if allowed:
                    told["access-control-allow-origin"] = allowed
                    told["access-control-expose-headers"] = EXPOSED
            await send(message)

        if allowed and scope.get("method") == "OPTIONS" and "access-control-request-method" in asked:
            wanted = asked.get("access-control-request-headers", "")
            lines = {
                "access-control-allow-methods": METHODS,
                "access-control-allow-headers": wanted if NAMES.fullmatch(wanted) else "Authorization, Content-Type",
                "access-control-max-age": str(LONGEST_S),
                "vary": "Access-Control-Request-Headers",
            }
            raw = [(name.encode(), value.encode()) for name, value in lines.items()]
            await send_allowed({"type": "http.response.start", "status": 204, "headers": raw})
            await send({"type": "http.response.body", "body": b"", "more_body": False})
            return
        await app(scope, receive, send_allowed)

    return answer_page

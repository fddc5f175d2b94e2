"""Large answers made small: none at all where nothing has changed (`ETag`, `If-None-Match`), else compressed (gzip).

A tag is that of what an answer says. Members that only count how time passes are no part of it: a desk that asks every
few seconds is answered with 304 until something happens, and becoming overdue is something that happens. Streams are
left alone.
"""

import asyncio
import gzip
import hashlib
import re
from typing import Any

from litestar.datastructures import Headers, MutableScopeHeaders
from litestar.types import ASGIApp, Message, Receive, Scope, Send

LEAST = 1024
"""Bytes from which on an answer is large: below, headers outweigh what is saved."""
LEVEL = 5
"""Of gzip: beyond it, time grows faster than the answer shrinks."""
COMPRESSED = ("application/json", "text/csv", "text/plain", "text/html", "text/xml")
TAGGED = ("application/json", "text/csv")
COUNTS_TIME = re.compile(rb'"(?:as_of|standing_at)":"[^"]*"|"(?:overdue|age)_ms":\d+|"remaining":\{[^{}]*\}')
"""What changes in an answer by the passing of time alone."""


def tag_of(media: str, body: bytes) -> str:
    """The tag of an answer; weak, for the bytes may differ in what it leaves out."""
    said = COUNTS_TIME.sub(b"", body) if media == TAGGED[0] else body
    return f'W/"{hashlib.sha256(media.encode() + said).hexdigest()[:32]}"'


def is_known(tag: str, asked: str) -> bool:
    """Whether a client that names these tags has the answer already."""
    names = {name.strip().removeprefix("W/") for name in asked.split(",")}
    return "*" in names or tag.removeprefix("W/") in names


def takes_gzip(asked: str) -> bool:
    """Whether a client takes gzip (RFC 9110, 12.5.3)."""
    weights = dict[str, float]()
    for part in asked.lower().split(","):
        name, _, weight = part.partition(";")
        number = re.fullmatch(r"\s*q\s*=\s*([01](?:\.\d{0,3})?)\s*", weight)
        weights[name.strip()] = float(number[1]) if number else 1.0
    return weights.get("gzip", weights.get("*", 0.0)) > 0


def with_small_answers(app: ASGIApp) -> ASGIApp:
    """The same application, whose large answers are tagged and compressed."""

    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        start: Message | None = None

        async def send_small(message: Message) -> None:
            nonlocal start
            if message["type"] == "http.response.start":
                start = message
                return
            if start is not None:
                begun, start = start, None
                if message["type"] == "http.response.body" and not message.get("more_body"):
                    message["body"] = await smaller(scope, begun, message["body"])
                await send(begun)
            await send(message)

        await app(scope, receive, send_small)

    return answer


async def smaller(scope: Scope, start: Any, body: bytes) -> bytes:
    """What is sent of a whole answer; its status and headers are changed to fit."""
    if len(body) < LEAST:
        return body
    asked, told = Headers.from_scope(scope), MutableScopeHeaders(start)
    media = told.get("content-type", "").partition(";")[0]
    if media not in COMPRESSED or "content-encoding" in told:
        return body
    told["vary"] = f"{told['vary']}, Accept-Encoding" if "vary" in told else "Accept-Encoding"
    if start["status"] == 200 and scope.get("method") == "GET" and media in TAGGED:
        told["etag"] = tag = tag_of(media, body)
        told["cache-control"] = "private, no-cache"
        if is_known(tag, asked.get("if-none-match", "")):
            start["status"] = 304
            for name in ("content-length", "content-type"):
                del told[name]
            return b""
    if takes_gzip(asked.get("accept-encoding", "")):
        body = await asyncio.to_thread(gzip.compress, body, LEVEL, mtime=0)
        told["content-encoding"] = "gzip"
        told["content-length"] = str(len(body))
    return body

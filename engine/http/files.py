"""Photos and other files: sent in pieces, and given to those who read the words of the cases that refer to them."""

import logging
import re
from typing import Annotated, Any

from litestar import Request, Response, get, put
from litestar.di import NamedDependency
from litestar.params import PathParameter
from litestar.response import Stream
from msgspec import Struct

from engine.errors import DatabaseUnusable
from engine.failures import away
from engine.http.auth import needs
from engine.http.context import DURABLE_S, DoorContext
from engine.http.head import is_head
from engine.http.problems import Problem, busy
from engine.http.uploading import (
    Key,
    Span,
    chunks_aside,
    finish,
    is_hopeless,
    reason_of,
    receive,
    span_of,
    state_of,
)
from engine.http.waiting import done_within
from engine.principals import Principal
from engine.quotas import OverQuota
from engine.runtime import Engine
from engine.store import backup_file, sent_files
from engine.store.rows import FileRow
from engine.uploads.media import ENDINGS
from engine.uploads.store import Part
from engine.views.case_files import readable_file
from engine.views.questions import BadQuestion

log = logging.getLogger(__name__)

Digest = Annotated[str, PathParameter(description="The SHA-256 of the file's bytes, in lower-case hex.")]
DIGEST = re.compile(r"[0-9a-f]{64}")
RANGE = re.compile(r"bytes=(\d{0,15})-(\d{0,15})")
"""A header `Range` (RFC 9110, 14.2) of one range."""
AGAIN_MS = 3_600_000
"""How old the word that a file is still wanted may be before it is written down anew."""


class SentFile(Struct, frozen=True):
    """What has come of a file: so many bytes from the first one on, and with `complete` all of them."""

    sha256: str
    complete: bool
    offset: int
    media_type: str = ""


@put(
    "/v1/files/{sha256:str}",
    status_code=201,
    summary="Send a photo or another file",
    tags=["files"],
    guards=[needs("actors")],
    request_max_body_size=None,
)
async def send_file(
    request: Request[Principal, Any, Any], context: NamedDependency[DoorContext], sha256: Digest
) -> Response[SentFile]:
    """The bytes as they are, in one request or, with `Content-Range: bytes FIRST-LAST/TOTAL`, in several. Answers 201
    when all of the file is durable and has this SHA-256, 202 when more is to come, and 200 at once where this principal
    has sent it before. After a cut ask HEAD, and go on at its `Upload-Offset`; `bytes */TOTAL` with an empty body ends
    a file of which all has come. The type is that of the content, whatever the sender says. The file may come before
    the event that names it as evidence, or after it; one that no event names is removed after some days."""
    key = request.user.name, digest_in(sha256)
    context.check_open()
    try:
        return await _take(request, context, key)
    except BaseException as error:
        if reason := reason_of(error):
            context.uploads.counters.refused.labels(reason).inc()
        raise


async def _take(request: Request[Principal, Any, Any], context: DoorContext, key: Key) -> Response[SentFile]:
    """Take one request in, in its turn."""
    uploads, sender, sha256 = context.uploads, request.user, key[1]
    length = request.headers.get("content-length", "")
    span = span_of(request.headers.get("content-range", ""), int(length) if length.isdigit() else None)
    _check_size(context, span.total or 0)
    store = uploads.store
    async with uploads.turn(key) as running:
        if (known := await _known(context, key)) is not None:
            return Response(SentFile(sha256, True, known.size, known.media), status_code=200, headers=_whole(known))
        await _check_quota(context, sender, key)
        if not uploads.claimed:
            installation = await _write(context, lambda engine: _installation(engine))
            await uploads.aside(lambda: store.claim(installation, begin=True))
            uploads.claimed = True
        part = await uploads.open_part(key, span)
        try:
            media = await _add(request, context, running, part, key, span)
        except BaseException as error:
            part.close()
            if is_hopeless(error):
                await uploads.aside(lambda: store.discard(*key))
            raise
        part.close()
        if not media:
            told = SentFile(sha256, False, part.size)
            return Response(told, status_code=202, headers=state_of(part.size, complete=False))
        row = FileRow(sha256, sender.name, part.size, media, context.now())
        await _keep(context, row)
        uploads.counters.stored.inc()
        return Response(SentFile(sha256, True, row.size, media), status_code=201, headers=_whole(row))


async def _add(
    request: Request[Principal, Any, Any], context: DoorContext, running: Any, part: Part, key: Key, span: Span
) -> str:
    """Add what a request brings to a part; the type of the file where that makes it whole, else empty."""
    uploads, sender = context.uploads, request.user
    before = part.size

    async def counted() -> Any:
        async for chunk in request.stream():
            context.quotas.spend_upload(sender.name, sender.quota, len(chunk))
            nonlocal before
            before += len(chunk)
            _check_size(context, before)
            yield chunk

    await receive(uploads, running, part, counted(), span)
    if span.total is not None and part.size < span.total:
        await uploads.aside(part.keep)
        return ""
    return await finish(uploads, key, part)


async def _known(context: DoorContext, key: Key) -> FileRow | None:
    """The file, where this principal has sent it before: it is wanted still. Problem where it was erased."""
    principal, sha256 = key
    row, erased = await context.read(
        lambda connection: (
            sent_files.sent_by(connection, sha256, principal),
            sent_files.is_erased(connection, sha256, principal),
        )
    )
    if erased:
        raise Problem(410, "erased", "the words of the case that refers to it were erased, and this file with them")
    if row is None or await context.uploads.aside(lambda: context.uploads.store.size(sha256)) != row.size:
        return None  # what is missing on the disk may so be brought back
    if context.now() - row.sent_at > AGAIN_MS:
        row.sent_at = context.now()
        await _keep(context, row)
    return row


async def _keep(context: DoorContext, row: FileRow) -> None:
    """Write down that a file is here. Who removes what nobody refers to may have removed its bytes just now."""

    def keep(engine: Engine) -> None:
        with engine.database.begin() as connection:
            sent_files.write(connection, row)

    def forget(engine: Engine) -> None:
        with engine.database.begin() as connection:
            sent_files.remove(connection, row.sha256, row.principal)

    await _write(context, keep)
    if await context.uploads.aside(lambda: context.uploads.store.size(row.sha256)) is None:
        await _write(context, forget)
        raise busy("the file was removed in the same moment", "send it again")


async def _write(context: DoorContext, action: Any) -> Any:
    """Run something short on the writer's thread."""
    context.check_open()
    future = context.writer.call(action)
    if not await done_within(future, DURABLE_S):
        raise busy(f"not durable within {DURABLE_S} s")
    try:
        with away():
            return future.result()
    except DatabaseUnusable as error:
        raise busy(f"could not be made durable: {error.message}") from error


def _installation(engine: Engine) -> str:
    with engine.database.begin() as connection:
        return backup_file.installation_of(connection)


def _check_size(context: DoorContext, size: int) -> None:
    most = context.settings.file_bytes
    if size > most:
        remedy = "send a smaller picture, or a shorter video"
        raise Problem(413, "too_large", f"a file has at most {most} bytes", remedy=remedy)


async def _check_quota(context: DoorContext, sender: Principal, key: Key) -> None:
    """OverQuota for a principal that has sent too much, or begun too many files without ending them."""
    context.quotas.check_upload(sender.name, sender.quota)
    store, most = context.uploads.store, sender.quota.uploads

    def begun() -> int:
        return 0 if not most or store.offset(*key) is not None else store.parts(sender.name)

    if most and await context.uploads.aside(begun) >= most:
        message = f"principal {sender.name} has begun {most} files that are not whole, as many as it may"
        raise OverQuota("uploads", message)


# ---- reading ------------------------------------------------------------------------------------------------


@get("/v1/files/{sha256:str}", summary="A photo or another file", tags=["files"])
async def show_file(
    request: Request[Principal, Any, Any], context: NamedDependency[DoorContext], sha256: Digest
) -> Stream:
    """The bytes as they were sent, or one range of them. It is given to those who may read the words of a case that
    refers to it, and to its sender until one does. HEAD tells its sender how much of it has come: `Upload-Offset`, and
    `Upload-Complete: ?1` when it is whole; while it is not, the status is 404."""
    store, asker, digest, now = context.uploads.store, request.user, digest_in(sha256), context.now()
    row, sent = await context.read(
        lambda connection: (
            readable_file(connection, context.policies, asker, digest, now),
            sent_files.sent_by(connection, digest, asker.name),
        )
    )
    if is_head(request.scope) and (here := row or sent) is not None:
        return Stream(iter(()), headers=_headers(here, here.size) | (_whole(sent) if sent else {}))
    if row is None:
        offset = await context.uploads.aside(lambda: store.offset(asker.name, digest)) if asker.has("actors") else None
        headers = state_of(offset or 0, complete=False) if asker.has("actors") else {}
        remedy = "it is given to those who read the words of a case that refers to it, and to its sender until then"
        raise Problem(404, "unknown_file", "there is no such file for you", remedy=remedy, headers=headers)
    if await context.uploads.aside(lambda: store.size(digest)) != row.size:
        log.error("file.missing", extra={"sha256": digest})
        raise Problem(404, "unknown_file", "its bytes are missing: `gridpatrol verify` lists such files")
    return _given(request, context, row)


def _given(request: Request[Principal, Any, Any], context: DoorContext, row: FileRow) -> Stream:
    """All of a file, or a range of it, or that the asker has it already."""
    asked, tag = request.headers.get("range", ""), f'"{row.sha256}"'
    known = request.headers.get("if-none-match", "")
    if tag in known or known.strip() == "*":
        return Stream(iter(()), status_code=304, headers={"ETag": tag, "Cache-Control": "private, no-cache"})
    if (found := RANGE.fullmatch(asked)) is None or request.headers.get("if-range", tag) != tag:
        body = chunks_aside(context.uploads, row.sha256, 0, row.size)
        return Stream(body, media_type=row.media, headers=_headers(row, row.size))
    first, last = found[1], found[2]
    start = int(first) if first else max(0, row.size - int(last or 0))
    end = min(int(last) + 1, row.size) if first and last else row.size
    if start >= end:
        raise Problem(
            416, "range", "the file has no such bytes", field="Range", headers={"Content-Range": f"bytes */{row.size}"}
        )
    headers = _headers(row, end - start) | {"Content-Range": f"bytes {start}-{end - 1}/{row.size}"}
    body = chunks_aside(context.uploads, row.sha256, start, end - start)
    return Stream(body, status_code=206, media_type=row.media, headers=headers)


def _headers(row: FileRow, length: int) -> dict[str, str]:
    """What goes with a file. It is somebody's words: no cache that others share keeps it, no browser guesses what it
    is, and none shows it as a page of this door."""
    return {
        "Content-Type": row.media,
        "Content-Length": str(length),
        "Content-Disposition": f'attachment; filename="{row.sha256[:16]}.{ENDINGS.get(row.media, "bin")}"',
        "X-Content-Type-Options": "nosniff",
        "Content-Security-Policy": "default-src 'none'; sandbox",
        "Cache-Control": "private, no-cache",
        "Accept-Ranges": "bytes",
        "ETag": f'"{row.sha256}"',
    }


def _whole(row: FileRow) -> dict[str, str]:
    return state_of(row.size, complete=True)


def digest_in(text: str) -> str:
    """A SHA-256 of a path. BadQuestion where it is none."""
    if not DIGEST.fullmatch(text):
        raise BadQuestion("sha256", "this is no SHA-256", "write its 64 digits in lower-case hex")
    return text


ROUTES = [send_file, show_file]

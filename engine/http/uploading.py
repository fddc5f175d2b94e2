"""Taking in the bytes of a file, piece by piece, on threads that wait for the disk.

1. Nothing of a file is in memory but what comes between two writes. Neither the event loop nor the writer waits for a
   disk or for a slow sender.
2. What came of a request that was cut stays, and the sender goes on after it. The type is looked at when the first
   bytes are there, the SHA-256 when all are: over what lies on the disk, whoever wrote it there and when.
3. One request at a time adds to a part. A newer one ends an older one: its sender was cut off, and the door does not
   know yet.
"""

import asyncio
import logging
import re
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from typing import Any, NamedTuple, TypeVar

from litestar.exceptions import HTTPException
from msgspec import Struct

from engine.errors import GridpatrolError
from engine.http.problems import Problem, busy
from engine.logs import Tally
from engine.metrics.door import FileCounters
from engine.uploads.media import ENDINGS, HEAD_BYTES, media_type
from engine.uploads.store import CHUNK, FileStore, Part, PartShort, PartTaken, StoreAway, digest_of

log = logging.getLogger(__name__)

T = TypeVar("T")
Key = tuple[str, str]
"""A principal, and the SHA-256 of a file."""

WRITERS = 4
"""Threads that wait for the disk or the bucket."""
SPAN = re.compile(r"bytes (?:(\d{1,15})-(\d{1,15})|\*)/(\d{1,15})")
"""A header `Content-Range` (RFC 9110, 14.4) whose whole length is known. `*` says that no bytes come."""


class Span(NamedTuple):
    """What a request says that it has of a file: from a byte to before another, of so many. None: it does not say so,
    as to the start: it goes on after what has come."""

    start: int | None
    end: int | None
    total: int | None


class Running(Struct, eq=False):
    """A request that is adding to a part."""

    overtaken: asyncio.Event
    ended: asyncio.Event


class Uploads:
    """The files that come to one door, and go from it. `store`: None where no files are kept."""

    def __init__(self, store: FileStore | None, counters: FileCounters) -> None:
        self._store = store
        self.counters = counters
        self.claimed = False  # the store is known to be ours
        self._tally = Tally(log)
        self._running: dict[Key, Running] = {}
        self._threads = ThreadPoolExecutor(WRITERS, thread_name_prefix="gridpatrol-files")

    def close(self) -> None:
        """End the threads."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    @property
    def store(self) -> FileStore:
        """Where files are kept. Problem where they are not."""
        if self._store is None:
            remedy = "ask who operates it to set `files`"
            raise Problem(501, "no_files", "this installation keeps no files", remedy=remedy)
        return self._store

    async def aside(self, action: Callable[[], T]) -> T:
        """Run something that waits for the disk or the bucket."""
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, action)
        except StoreAway as error:
            self._tally.tell("files.away", why=error.message)
            raise busy(error.message, "go on after what has come: HEAD tells how much that is") from error

    @asynccontextmanager
    async def turn(self, key: Key) -> AsyncIterator[Running]:
        """The turn to add to a part; who has it now ends."""
        while (before := self._running.get(key)) is not None:
            before.overtaken.set()
            await before.ended.wait()
        mine = self._running[key] = Running(asyncio.Event(), asyncio.Event())
        self.counters.open.set(len(self._running))
        try:
            yield mine
        finally:
            del self._running[key]
            mine.ended.set()
            self.counters.open.set(len(self._running))

    async def open_part(self, key: Key, span: Span) -> Part:
        """The part of a file, to go on as a request says."""
        start = span.start
        if start is None:
            start = await self.aside(lambda: self.store.offset(*key)) or 0
        try:
            return await self.aside(lambda: self.store.open_part(*key, start))
        except PartShort as error:
            raise offset_problem(error.offset) from error
        except PartTaken as error:
            raise overtaken_problem() from error


def span_of(content_range: str, content_length: int | None) -> Span:
    """What headers say of a body. Problem for what they cannot say."""
    if not content_range:
        return Span(0, content_length, content_length)
    found = SPAN.fullmatch(content_range.strip())
    if found is None:
        raise range_problem("it is not written so")
    total = int(found[3])
    if found[1] is None:
        return Span(None, None, total)
    start, end = int(found[1]), int(found[2]) + 1
    if not start < end <= total:
        raise range_problem("it ends before it begins, or after the file")
    if content_length is not None and content_length != end - start:
        raise range_problem("`Content-Length` says that another number of bytes comes")
    return Span(start, end, total)


async def receive(uploads: Uploads, running: Running, part: Part, body: AsyncIterator[bytes], span: Span) -> None:
    """Add a body to a part. Problem where it ends for another reason than that all of it is there; what came before
    that is kept, unless it can never become a file."""
    waiting, last = list[bytes](), span.end
    looked = part.size >= HEAD_BYTES

    async def flush() -> None:
        nonlocal looked
        data = b"".join(waiting)
        waiting.clear()
        if data:
            await uploads.aside(lambda: part.write(data))
            uploads.counters.bytes.inc(len(data))
        if not looked and part.size >= HEAD_BYTES:
            looked = True
            await check_type(uploads, part)

    size = part.size
    try:
        async for chunk in following(body, running):
            size += len(chunk)
            if last is not None and size > last:
                raise range_problem("more bytes came than it says")
            waiting.append(chunk)
            if sum(map(len, waiting)) >= CHUNK:
                await flush()
    except BaseException:
        with suppress(Problem):  # the first error is told
            await flush()
            await uploads.aside(part.keep)
        raise
    await flush()


async def following(body: AsyncIterator[bytes], running: Running) -> AsyncIterator[bytes]:
    """The chunks of a body, until all are there or a newer request takes over."""

    async def next_chunk() -> bytes | None:
        return await anext(body, None)

    overtaken = asyncio.ensure_future(running.overtaken.wait())
    try:
        while True:
            coming = asyncio.ensure_future(next_chunk())
            await asyncio.wait({coming, overtaken}, return_when=asyncio.FIRST_COMPLETED)
            if not coming.done():
                coming.cancel()
                with suppress(asyncio.CancelledError):
                    await coming
                raise overtaken_problem()
            if (chunk := coming.result()) is None:
                return
            yield chunk
    finally:
        overtaken.cancel()


async def check_type(uploads: Uploads, part: Part) -> str:
    """The type of what has come. Problem where it is none that is kept; then the part goes."""

    def head() -> bytes:
        with part.read() as whole:
            return whole.read(HEAD_BYTES)

    found = media_type(await uploads.aside(head))
    if not found:
        raise Problem(
            415,
            "file_type",
            "by its content this is no file of a type that is kept",
            remedy=f"send one of {', '.join(ENDINGS)}",
        )
    return found


async def finish(uploads: Uploads, key: Key, part: Part) -> str:
    """A part that is whole becomes the file; its type. Problem where it is another file than its sender says."""
    media, sha256 = await check_type(uploads, part), key[1]
    if await uploads.aside(lambda: digest_of(part)) != sha256:
        raise Problem(
            422,
            "digest",
            "the SHA-256 of what came is another one than that of the address",
            remedy="send the whole file again, under the SHA-256 of its bytes",
        )
    await uploads.aside(lambda: uploads.store.finish(part, sha256))
    return media


def is_hopeless(error: BaseException) -> bool:
    """Whether what has come of a file can never become one, so that nothing of it is kept."""
    return isinstance(error, Problem) and error.reason in ("file_type", "digest", "too_large")


def reason_of(error: BaseException) -> str:
    """Why a request was refused, for the metric; empty: for what has nothing to do with the file."""
    if isinstance(error, Problem):
        return {"busy": "store_away"}.get(error.reason, error.reason)
    if isinstance(error, HTTPException | asyncio.CancelledError):
        return "cut"
    return str(getattr(error, "quota", "") and "over_quota") if isinstance(error, GridpatrolError) else ""


# ---- what is answered ---------------------------------------------------------------------------------------


def state_of(offset: int, *, complete: bool) -> dict[str, str]:
    """How much of a file is here: as tus 1.0 (`Upload-Offset`) and the IETF's draft of resumable uploads say it."""
    return {"Upload-Offset": str(offset), "Upload-Complete": f"?{int(complete)}", "Cache-Control": "no-store"}


def offset_problem(offset: int) -> Problem:
    """A request wants to go on after more bytes than there are."""
    return Problem(
        409,
        "offset",
        f"only {offset} bytes have come so far",
        remedy="go on after these: `Upload-Offset` says how many, and HEAD does",
        headers=state_of(offset, complete=False),
        offset=offset,
    )


def overtaken_problem() -> Problem:
    """Another request adds to the same part."""
    return Problem(
        409,
        "overtaken",
        "another request is sending this file",
        remedy="go on when that has ended, after what has come: HEAD tells how much that is",
        headers={"Retry-After": "1"},
    )


def range_problem(why: str) -> Problem:
    """A header `Content-Range` that cannot be meant."""
    return Problem(
        400,
        "content_range",
        f"this cannot be meant: {why}",
        field="Content-Range",
        remedy="write `bytes FIRST-LAST/TOTAL`, the first byte being 0; `bytes */TOTAL` with an empty body ends a file",
    )


def chunks_aside(uploads: Uploads, sha256: str, start: int, length: int) -> AsyncIterator[bytes]:
    """Bytes of a file, each piece read on a thread."""

    async def chunks() -> AsyncIterator[bytes]:
        pieces: Any = await uploads.aside(lambda: uploads.store.read(sha256, start, length))
        try:
            while chunk := await uploads.aside(lambda: next(pieces, b"")):
                yield chunk
        finally:
            pieces.close()

    return chunks()

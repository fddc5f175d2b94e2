"""Waiting, on an event loop, for what other threads finish.

A slice answers hundreds of requests within one instant. To call the loop for each of them costs more than to answer:
what is finished stands in one line, and the loop is called once for all that stands there by then.
"""

import asyncio
from collections import deque
from concurrent.futures import Future
from typing import Any
from weakref import WeakKeyDictionary


class Line:
    """Who waits on one loop and may go on."""

    def __init__(self) -> None:
        self._ready: deque[asyncio.Future[None]] = deque()
        self._called = False  # the loop has been called, and has not come yet

    def join(self, waiter: asyncio.Future[None]) -> None:
        """From any thread: what this one waits for is finished."""
        self._ready.append(waiter)
        if not self._called and not (loop := waiter.get_loop()).is_closed():
            self._called = True
            loop.call_soon_threadsafe(self.clear)

    def clear(self) -> None:
        """On the loop: let them go on. Who joins from here on calls again."""
        self._called = False
        while self._ready:
            end(self._ready.popleft())


_LINES: WeakKeyDictionary[asyncio.AbstractEventLoop, Line] = WeakKeyDictionary()


async def done_within(future: "Future[Any]", timeout_s: float) -> bool:
    """Wait for a future of another thread; whether it is done in time.

    The future is watched and never cancelled, for its owner still sets its result.
    """
    if future.done() or timeout_s <= 0:
        return future.done()
    loop = asyncio.get_running_loop()
    if (line := _LINES.get(loop)) is None:
        line = _LINES[loop] = Line()
    waiter = loop.create_future()
    future.add_done_callback(lambda _: line.join(waiter))
    late = loop.call_later(timeout_s, end, waiter)
    try:
        await waiter
    finally:
        late.cancel()
    return future.done()


def end(waiter: "asyncio.Future[None]") -> None:
    """Let one go on that still waits."""
    if not waiter.done():
        waiter.set_result(None)

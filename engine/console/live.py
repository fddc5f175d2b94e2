"""What moves the pages: one look at the partitions for all who listen, and a stream that says that something moved.

A page that hears it asks for itself again, with its own address and rights: so there is one way of reading, and a
stream tells nobody anything of a case.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress

from engine.http.context import DoorContext
from engine.http.problems import Problem, busy
from engine.principals import Principal
from engine.quotas import OverQuota
from engine.store.steps import count_told

LISTENERS = 200
LOOK_S = 0.25
"""How often the partitions are looked at while somebody listens."""
HEARTBEAT_S = 15
CALM = 40
"""With so many listeners each hears of something once a second at most; with more of them more rarely."""


class Changes:
    """Wakes all listeners when the log has told something. It looks only while somebody listens."""

    def __init__(self, context: DoorContext) -> None:
        self.context = context
        self.listeners = dict[str, int]()
        self.number = 0
        self._moved = asyncio.Event()
        self._watch: asyncio.Task[None] | None = None

    def check_room(self, principal: Principal) -> None:
        """Refuse one more where a principal has as many streams as it may, or where enough listen."""
        most = principal.quota.streams
        if most and self.listeners.get(principal.name, 0) >= most:
            message = f"principal {principal.name} has {most} streams open already, and may open no more"
            raise OverQuota("streams", message, HEARTBEAT_S)
        if sum(self.listeners.values()) >= LISTENERS:
            raise busy(f"{LISTENERS} pages listen already", "load the page again when you want to see what has changed")

    async def stream(
        self, principal: Principal, stays: Callable[[], Awaitable[bool]], after: int
    ) -> AsyncIterator[str]:
        """`moved` when more has been told than `after`, which the page has shown; a comment now and then; the end when
        the visitor has lost the session."""
        loop, name = asyncio.get_running_loop(), principal.name
        self.listeners[name] = self.listeners.get(name, 0) + 1
        if self._watch is None or self._watch.done():
            self._watch = asyncio.create_task(self._look())
        try:
            seen, spoke = after, loop.time()
            yield "retry: 2000\nevent: opened\ndata: \n\n"
            while not self.context.closing.is_set() and await stays():
                if self.number > seen:
                    seen, spoke = self.number, loop.time()
                    yield f"id: {seen}\nevent: moved\ndata: {seen}\n\n"
                    await asyncio.sleep(max(LOOK_S, sum(self.listeners.values()) / CALM))
                elif loop.time() - spoke >= HEARTBEAT_S:
                    spoke = loop.time()
                    yield ": still here\n\n"
                else:
                    with suppress(TimeoutError):
                        await asyncio.wait_for(self._moved.wait(), HEARTBEAT_S / 10)
        finally:
            self.listeners[name] -= 1
            if not sum(self.listeners.values()) and self._watch is not None:
                self._watch.cancel()
                self._watch = None

    async def _look(self) -> None:
        while not self.context.closing.is_set():
            with suppress(Problem):
                found = await self.context.read(count_told)
                if found != self.number:
                    self.number = found
                    self._moved.set()
                    self._moved = asyncio.Event()
            await asyncio.sleep(LOOK_S)
        self._moved.set()

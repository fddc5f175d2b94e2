"""What every route works with: the writer, the database, and a few threads that read it.

In: what serve puts together. Out: `DoorContext`, handed to the routes. Reading is done on threads of its own,
fewer than the database has connections, so that a slow question delays other questions and never the taking of events.
"""

import asyncio
import logging
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar

from engine.clock import now_ms
from engine.http.problems import Problem, busy
from engine.policies import Policies
from engine.principals import Principals
from engine.settings import Settings
from engine.store.database import FAILURES, Database
from engine.store.incident_queries import Connection
from engine.writer import Writer

log = logging.getLogger(__name__)

T = TypeVar("T")

READERS = 6
"""Threads that read. A pool holds more connections than that on either database."""
DURABLE_S = 30
"""How long a sender is kept waiting for its event to become durable."""

Performance = Callable[[Mapping[str, str]], Any]
"""Answers a question about figures: parameters in, something that becomes JSON out. ValueError: a bad question."""


class DoorContext:
    """The inside of the door."""

    def __init__(
        self,
        writer: Writer,
        database: Database,
        performance: Performance | None = None,
        shut: Callable[[], str] = lambda: "",
        closing: threading.Event | None = None,
    ) -> None:
        self.writer = writer
        self.database = database
        self.settings: Settings = writer.engine.settings
        self.policies = Policies()
        self.principals = Principals(self.settings.principals)
        self.performance = performance
        self.shut = shut
        self.closing = closing or threading.Event()
        self.letters = 0  # refused events that are being kept at this moment
        self._readers = ThreadPoolExecutor(READERS, thread_name_prefix="gridpatrol-door")

    def close(self) -> None:
        """End the reading threads and the streams."""
        self.closing.set()
        self._readers.shutdown(wait=False, cancel_futures=True)

    def now(self) -> int:
        """Now, in milliseconds UTC."""
        return now_ms()

    async def aside(self, action: Callable[[], T]) -> T:
        """Run something that waits for the database, on a reading thread."""
        try:
            return await asyncio.get_running_loop().run_in_executor(self._readers, action)
        except FAILURES as error:
            log.error("a question could not be answered: %s", error)
            raise busy(f"the database is away: {error.args[0] if error.args else error}") from error

    async def read(self, question: Callable[[Connection], T]) -> T:
        """Answer a question from one snapshot of the database."""

        def ask() -> T:
            with self.database.read() as connection:
                return question(connection)

        return await self.aside(ask)

    def check_open(self) -> None:
        """Refuse to take anything while it could not become durable."""
        why = self.shut()
        if why:
            raise busy(why)
        if self.writer.failure is not None or not self.writer.is_alive():
            raise Problem(
                503,
                "writer_stopped",
                "the writer has stopped: nothing can be taken",
                remedy="see /readyz and the log, then start the server again",
            )


async def settled(future: "Future[Any]", timeout_s: float) -> bool:
    """Wait for a future of another thread; whether it is done in time.

    It is only watched: were it cancelled here, its owner would stumble over it.
    """
    if future.done():
        return True
    loop, done = asyncio.get_running_loop(), asyncio.Event()

    def tell(_: "Future[Any]") -> None:
        if not loop.is_closed():
            loop.call_soon_threadsafe(done.set)

    future.add_done_callback(tell)
    try:
        await asyncio.wait_for(done.wait(), timeout_s)
    except TimeoutError:
        return future.done()
    return True

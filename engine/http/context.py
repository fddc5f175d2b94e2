"""What every route works with: the writer, the database, and a few threads that read it.

There are fewer of these threads than the database has connections, so that a slow question delays other questions and
never the taking of events.
"""

import asyncio
import logging
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from engine.clock import now_ms
from engine.http.problems import Problem, busy, doubted
from engine.http.uploading import Uploads
from engine.http.watching import Watch
from engine.people import PrincipalsAndPeople
from engine.policies import Policies
from engine.principals import Principal
from engine.quotas import Lookups, Quotas
from engine.settings import Settings
from engine.store.database import FAILURES, Connection, Database, unusable
from engine.uploads.opening import open_store
from engine.value_taker import ValueTaker
from engine.views.readers import readable_by
from engine.writer import Writer
from workflows.reading import Readable

log = logging.getLogger(__name__)

T = TypeVar("T")

READERS = 6
"""Threads that read. A pool holds more connections than that on either database."""
DURABLE_S = 30
"""How long a sender is kept waiting for its event to become durable."""


class DoorContext:
    """What the routes share.

    `shut` says why nothing is taken just now, empty while the door is open; `closing` ends the alert streams.
    """

    def __init__(
        self,
        writer: Writer,
        database: Database,
        shut: Callable[[], str] = lambda: "",
        closing: threading.Event | None = None,
    ) -> None:
        self.writer = writer
        self.database = database
        self.settings: Settings = writer.engine.settings
        self.counters = writer.engine.counters
        self.policies = Policies()
        self.principals = PrincipalsAndPeople(self.settings.principals, database)
        writer.engine.chores = (*writer.engine.chores, self.principals.people)
        self.quotas = Quotas()
        self.values: ValueTaker | None = None  # what takes values of devices in this process, if anything does
        self.lookups = Lookups()
        self.uploads = Uploads(open_store(self.settings), self.counters.door.files)
        self.watch = Watch(self.counters, self.settings, self.principals)
        self.shut = shut
        self.closing = closing or threading.Event()
        self._readers = ThreadPoolExecutor(READERS, thread_name_prefix="gridpatrol-door")

    def close(self) -> None:
        """End the reading threads and the streams."""
        self.closing.set()
        self.watch.access.close()
        self.uploads.close()
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
            known = unusable(error)
            raise busy(
                known.message if known else f"the database is away: {error.args[0] if error.args else error}"
            ) from error

    async def read(self, question: Callable[[Connection], T]) -> T:
        """Answer a question from one snapshot of the database."""

        def ask() -> T:
            with self.database.read() as connection:
                return question(connection)

        return await self.aside(ask)

    async def read_as(self, principal: Principal, question: Callable[[Connection, Readable], T]) -> T:
        """Answer a question of a principal from one snapshot of the database: with what it reads."""

        def ask(connection: Connection) -> T:
            return question(connection, readable_by(connection, self.policies, principal, self.now()))

        return await self.read(ask)

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

    def check_clock(self) -> None:
        """Refuse to take anything while the wall clock is not believed."""
        if (doubt := self.writer.engine.wall.doubt()) is not None:
            raise doubted(doubt)

    def unready(self) -> str:
        """Why nothing is taken just now, as far as this process knows by itself; empty: it is."""
        try:
            self.check_open()
            self.check_clock()
        except Problem as problem:
            return str(problem)
        return self.writer.unable()

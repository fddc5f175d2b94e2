"""The thread in which the adapter says what it has stored, beside the writer of a door."""

import logging
from concurrent.futures import TimeoutError as TooLate
from queue import Full

from consumers.signals.adapter import Adapter
from engine import failpoints
from engine.admission import admit
from engine.clock import now_ms
from engine.errors import GridpatrolError, LeaseTaken
from engine.lease import Lease, LeaseName
from engine.loop import Loop
from engine.principals import ADAPTER
from engine.store import watched
from engine.store.database import DriverError, refuses
from engine.writer import Writer
from schemas.refusals import Refusal

log = logging.getLogger(__name__)

LOOK_S = 1.0
"""How long it rests where nothing new is to be said."""
TICK_MS = 10_000
"""How often it asks who is silent."""
STORED_S = 60.0
"""How long the log may take to store what is said."""
AT_ONCE = 500
"""Events that are said at once."""
SAYS = LeaseName("says signals by the log of", ".signals.lease", 0x7369676E)  # "sign"


class SignalLoop(Loop):
    """Says what the adapter has stored, in order. `leased`: other processes may want to, too; one does, and the others
    store when their devices were heard."""

    def __init__(self, writer: Writer, adapter: Adapter, *, leased: bool) -> None:
        super().__init__("signals")
        self.writer = writer
        self.adapter = adapter
        self.leased = leased
        self.lease: Lease | None = None
        self.since = 0  # when it began to listen for all devices, ms UTC; 0: it does not
        self.ticked = 0

    def run_once(self) -> float:
        """Say what is to be said, and ask now and then who is silent."""
        now = now_ms()
        if not self.may_say():
            self.since = 0
            self.adapter.keep_seen()
            return LOOK_S
        self.since = self.since or now
        if now - self.ticked >= TICK_MS:
            self.ticked = now
            self.adapter.tick(self.since, now)
        self.adapter.news.clear()
        if self.say_next() == AT_ONCE:
            return 0.0
        self.adapter.news.wait(LOOK_S)
        return 0.0

    def may_say(self) -> bool:
        """Whether this process says what is to be said."""
        if not self.leased:
            return True
        database = self.writer.engine.database
        try:
            self.lease = self.lease or Lease(database, SAYS, 0.0)
            self.lease.keep(database)
        except LeaseTaken:
            self.lease = None
        return self.lease is not None

    def say_next(self) -> int:
        """Put what is to be said next into the log, and forget it once it is stored there. How many events it was."""
        database = self.writer.engine.database
        with database.read() as connection:
            sayings = watched.read_sayings(connection, AT_ONCE)
        if not sayings:
            return 0
        asked = []
        for each in sayings:
            admitted = admit(each.body.encode(), ADAPTER, self.writer.engine.count)
            if isinstance(admitted, Refusal):
                log.error("signals.refused", extra={"field": admitted.field, "why": admitted.detail})
            else:
                asked.append(self.writer.submit(admitted[0]))
        for ask in asked:
            ask.durable.result(STORED_S)
        failpoints.hit("signals.said")
        with database.begin() as connection:
            watched.remove_sayings(connection, sayings[-1].n)
        return len(sayings)

    def is_passing(self, error: Exception) -> bool:
        if isinstance(error, (Full, TooLate, GridpatrolError)):
            return True
        return isinstance(error, DriverError) and not refuses(error)

    def release(self) -> None:
        if self.lease is not None:
            self.lease.close()

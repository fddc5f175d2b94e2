"""The thread in which the assessor takes its turns, beside the writer of a door."""

import logging
from concurrent.futures import TimeoutError as TooLate
from queue import Full

from consumers.assessing.assessor import Assessor
from engine.admission import admit
from engine.errors import GridpatrolError, LeaseTaken
from engine.lease import Lease, LeaseName
from engine.loop import Loop
from engine.principals import ASSESSOR
from engine.store.database import DriverError, refuses
from engine.writer import Writer
from schemas.refusals import Refusal

log = logging.getLogger(__name__)

TURN_S = 1.0
"""How often it looks how far the log is known, where nothing follows."""
STAND_BY_S = 5.0
"""How often another process is asked for its place."""
STORED_S = 60.0
"""How long the log may take to store what is said."""
ASSESSES = LeaseName("assesses by the log of", ".assess.lease", 0x61737365)  # "asse"


class AssessorLoop(Loop):
    """Takes turns as long as its process lives. `leased`: other processes may want to assess, too; one does, and the
    others stand by."""

    def __init__(self, writer: Writer, *, leased: bool) -> None:
        super().__init__("assessor")
        self.writer = writer
        self.assessor = Assessor(writer.engine.database, self.say)
        self.leased = leased
        self.lease: Lease | None = None

    def run_once(self) -> float:
        """One turn; another one at once where something was said."""
        database = self.writer.engine.database
        if self.leased:
            try:
                self.lease = self.lease or Lease(database, ASSESSES, 0.0)
                self.lease.keep(database)
            except LeaseTaken:
                self.lease = None
                return STAND_BY_S
        return 0.0 if self.assessor.turn() else TURN_S

    def say(self, raw: bytes) -> None:
        """Put an event into the log, and wait until it is stored."""
        admitted = admit(raw, ASSESSOR, self.writer.engine.count)
        if isinstance(admitted, Refusal):
            log.error("assessment.refused", extra={"field": admitted.field, "why": admitted.detail})
            return
        self.writer.submit(admitted[0]).durable.result(STORED_S)

    def is_passing(self, error: Exception) -> bool:
        if isinstance(error, (Full, TooLate, GridpatrolError)):
            return True
        return isinstance(error, DriverError) and not refuses(error)

    def release(self) -> None:
        if self.lease is not None:
            self.lease.close()

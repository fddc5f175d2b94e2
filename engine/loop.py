"""A loop that does one bounded batch after another until it is stopped.

Everything that runs for as long as its process is a `Loop`: the writer, the worker, the intake, the publishers of
alerts and figures. A subclass fills in `run_once`. Errors that go away by themselves (the database or the brokers are
away) are waited out and stand in `away`; any other error ends the loop and stands in `failure`.
"""

import logging
import threading
import time
from collections.abc import Callable

log = logging.getLogger(__name__)


class Loop(threading.Thread):
    """`start` it as a thread, or `run` it in the thread of the caller; then `stop` it."""

    away_s = 1.0
    """Seconds between two tries while something is away."""

    def __init__(
        self,
        name: str,
        stop_asked: threading.Event | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(name=f"gridpatrol-{name}", daemon=True)
        self.clock = clock
        self.away = ""  # what is waited for; empty: nothing
        self.failure: BaseException | None = None  # what ended the loop, if it was not asked to stop
        self.began_s = clock()  # when the last batch began
        self.stop_asked = stop_asked or threading.Event()

    # ---- what a subclass fills in ----------------------------------------------------------------------------

    def run_once(self) -> float:
        """Do one bounded batch. Returns the seconds to rest before the next one."""
        raise NotImplementedError

    def is_passing(self, error: Exception) -> bool:
        """Whether waiting cures the error."""
        return False

    def wait_out(self, error: Exception) -> float:
        """Get ready to begin again after a passing error. Returns the seconds to rest before that."""
        return self.away_s

    def is_done(self) -> bool:
        """Whether the loop may end. It is asked between two batches."""
        return self.stop_asked.is_set()

    def failed(self, error: BaseException) -> None:
        """React to the error that ends the loop."""
        log.error("%s stopped", self.name, exc_info=error)

    def release(self) -> None:
        """Give back what the loop holds, however it ended."""

    # ---- the loop --------------------------------------------------------------------------------------------

    def run(self) -> None:
        """Do batches until asked to stop, or until an error that waiting does not cure."""
        try:
            while not self.is_done():
                self.try_once()
        except BaseException as error:
            self.failure = error
            self.failed(error)
        finally:
            self.release()

    def try_once(self) -> None:
        """Do one batch and rest. A passing error is logged once and waited out; others are raised."""
        self.began_s = self.clock()
        try:
            rest_s = self.run_once()
        except Exception as error:
            if not self.is_passing(error):
                raise
            reason = str(getattr(error, "orig", None) or error)  # without the rows that a driver's error quotes
            if reason != self.away and not self.stop_asked.is_set():
                log.error("%s: %s; trying again", self.name, reason)
            self.away = reason
            rest_s = self.wait_out(error)
        else:
            if self.away:
                log.info("%s goes on", self.name)
            self.away = ""
        if rest_s > 0:
            self.stop_asked.wait(rest_s)

    def rest_s(self, apart_s: float) -> float:
        """Seconds until this batch and the next one have begun so far apart: after a batch that found work, what comes
        meanwhile is company for the next one. What comes alone, after silence, is not kept waiting."""
        return max(0.0, apart_s - (self.clock() - self.began_s))

    def stop(self, within_s: float | None = None) -> None:
        """End after the batch that is under way, and wait for that."""
        self.stop_asked.set()
        if self.is_alive():
            self.join(within_s)

"""The writer: one thread that owns all writing of this process.

In: submissions from any thread, up to a bounded queue. Out: a future for «durable» and, if asked, one for the
outcome. Each turn appends what is queued in one transaction (group commit), decides a slice, feeds the consumers, and
appends ticks where something is due. Errors of the database are waited out; the line never skips.
"""

import logging
import queue
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from typing import Any

from msgspec import Struct

from engine.clock import now_ms
from engine.errors import BrokerAway, BrokerRefuses, DatabaseUnusable, StaleWriter
from engine.inbox import Submission
from engine.runtime import Engine
from engine.slice.types import Answer
from engine.store.rows import InboxRow

log = logging.getLogger(__name__)

UNABLE_S = 10.0
"""How long after a failure nothing more is asked for: then whoever sends is what finds out whether it works again."""
IDLE_S = 0.02
"""How long a turn waits for something to append before it looks for due clocks."""


class Ask(Struct):
    """A submission and who waits for it."""

    submission: Submission
    durable: "Future[InboxRow]"
    outcome: "Future[Answer] | None" = None


class Full(Exception):
    """The queue is full: come again in a moment."""


class Writer(threading.Thread):
    """The single writer of an engine. Start it, submit to it, `close` it."""

    def __init__(self, engine: Engine) -> None:
        super().__init__(name="gridpatrol-writer", daemon=True)
        self.engine = engine
        self._queue: queue.Queue[Ask] = queue.Queue(engine.settings.queue)
        self._calls: queue.Queue[tuple[Callable[[Engine], Any], Future[Any]]] = queue.Queue()
        self._waiting: dict[tuple[int, int], Ask] = {}
        self._stop_asked = threading.Event()
        self.told = threading.Event()  # set after each turn that changed something
        self.failure: BaseException | None = None
        self._away, self._away_s = "", 0.0  # why nothing could be stored, and when that was
        self._unstored = engine.counters.unstored.labels("door")

    # ---- from other threads ---------------------------------------------------------------------------------

    def submit(self, submission: Submission, *, wait: bool = False) -> Ask:
        """Queue a submission. Raises Full when the writer cannot keep up. Of one that has stopped `durable` says so."""
        ask = Ask(submission, Future(), Future() if wait else None)
        try:
            self._queue.put_nowait(ask)
        except queue.Full as error:
            raise Full from error
        if self.failure is not None:
            self._fail_all(self.failure)
        return ask

    def call(self, action: Callable[[Engine], Any]) -> "Future[Any]":
        """Run an operator's action between two turns, on the writer's own thread."""
        future: Future[Any] = Future()
        self._calls.put((action, future))
        if self.failure is not None:
            self._fail_all(self.failure)
        return future

    def unable(self) -> str:
        """Why nothing can be stored just now; empty: it can, or it is time to try."""
        return self._away if time.monotonic() - self._away_s < UNABLE_S else ""

    def close(self) -> None:
        """Finish what is queued, then stop; with database or brokers away what is queued is given up."""
        self._stop_asked.set()
        self.join()

    # ---- the loop -------------------------------------------------------------------------------------------

    def run(self) -> None:
        """Turn until asked to stop; a defect ends the process's writing and is shown by /readyz."""
        while not (self._stop_asked.is_set() and self._queue.empty()):
            try:
                self.turn()
            except StaleWriter:
                log.warning("another writer moved a partition on; memory was read again")
            except (DatabaseUnusable, BrokerAway, BrokerRefuses) as error:
                if self._stop_asked.is_set():
                    log.error("%s; what is queued is given up, nobody was told that it is stored", error)
                    return self._fail_all(error)
                log.error("%s; trying again", error)
                self._away, self._away_s = str(error), time.monotonic()
                self._unstored.inc()
                self._stop_asked.wait(1)
                self._reload()
            except BaseException as error:
                log.exception("the writer stopped")
                self.failure = error
                self._fail_all(error)
                return

    def _reload(self) -> None:
        try:
            self.engine.reload()
        except Exception as error:
            log.error("the database is still away: %s", error)

    def turn(self) -> bool:
        """Append, decide, feed, tick. Whether anything happened."""
        busy = self._append() | self._act()
        while (result := self.engine.work(now_ms())) is not None:
            busy = True
            self._answer(result.answers)
            if not self._queue.empty():
                break
        if busy or not self.engine.backlog():
            busy = bool(self.engine.feed()) or busy
        busy = bool(self.engine.tick(now_ms())) or busy
        self.engine.look_after()
        if busy:
            self.told.set()
        return busy

    def _append(self) -> bool:
        """What is queued, in one transaction."""
        asks = self._take()
        if not asks:
            return False
        try:
            rows = self.engine.append([ask.submission for ask in asks], now_ms())
        except Exception as error:
            for ask in asks:
                ask.durable.set_exception(error)
            raise
        self._away = ""
        for ask, row in zip(asks, rows, strict=True):
            if ask.outcome is not None:
                self._waiting[row.partition, row.position] = ask
            ask.durable.set_result(row)
        return True

    def _take(self) -> list[Ask]:
        """Everything that waits, at least after a moment."""
        idle = not self.engine.backlog() and self._calls.empty()
        try:
            asks = [self._queue.get(timeout=IDLE_S) if idle else self._queue.get_nowait()]
        except queue.Empty:
            return []
        while len(asks) < self.engine.settings.append_batch:
            try:
                asks.append(self._queue.get_nowait())
            except queue.Empty:
                break
        return asks

    def _act(self) -> bool:
        """Operators' actions."""
        acted = False
        while not self._calls.empty():
            action, future = self._calls.get_nowait()
            acted = True
            try:
                future.set_result(action(self.engine))
            except BaseException as error:
                future.set_exception(error)
                if not isinstance(error, Exception):
                    raise
        return acted

    def _answer(self, answers: list[Answer]) -> None:
        """Whoever waits for an outcome gets it, now that it is committed."""
        if not self._waiting:
            return
        for answer in answers:
            ask = self._waiting.pop((answer.partition, answer.position), None)
            if ask is not None and ask.outcome is not None:
                ask.outcome.set_result(answer)

    def _fail_all(self, error: BaseException) -> None:
        """Nobody waits for ever: what waits, and what is queued, also by those who had not heard of it yet."""
        waiting, self._waiting = self._waiting, {}
        for ask in waiting.values():
            if ask.outcome is not None:
                ask.outcome.set_exception(error)
        with suppress(queue.Empty):
            while True:
                self._queue.get_nowait().durable.set_exception(error)
        with suppress(queue.Empty):
            while True:
                self._calls.get_nowait()[1].set_exception(error)

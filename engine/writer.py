"""The writer: one thread that owns all writing of this process.

Other threads submit to a bounded queue and get a future for «durable» and, if asked, one for the outcome. Each batch
appends what is queued in one transaction (group commit), decides a slice, feeds the consumers, and appends ticks where
something is due. Errors of the database are waited out, and no record is skipped.
"""

import logging
import queue
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from contextlib import suppress
from typing import Any

from msgspec import Struct

from engine.clock import now_ms
from engine.errors import BrokerAway, BrokerRefuses, DatabaseUnusable, StaleWriter
from engine.inbox import Submission
from engine.loop import Loop
from engine.runtime import Engine
from engine.slice.types import Answer, Released, key_of
from engine.store.rows import InboxRow, SeenKey
from schemas.envelope import decode_record

log = logging.getLogger(__name__)

UNABLE_S = 10.0
"""How long after a failure submissions are discouraged. After that the next sender finds out whether it works again."""
IDLE_S = 0.02
"""How long a batch waits for something to append before it looks for due clocks."""


class Ask(Struct):
    """A submission, and the futures that its sender waits for.

    Where an event is parked, `release` is there once `outcome` is known: what became of it afterwards. Only a sender
    that `follows` is told, until it says itself that it no longer does.
    """

    submission: Submission
    durable: "Future[InboxRow]"
    outcome: "Future[Answer] | None" = None
    release: "Future[Answer] | None" = None
    follows: bool = False


class Full(Exception):
    """The queue is full: come again in a moment."""


class Writer(Loop):
    """The single writer of an engine. Start it, submit to it, `stop` it: what is queued is finished first, or given up
    while the database or the brokers are away."""

    def __init__(self, engine: Engine) -> None:
        super().__init__("writer")
        self.engine = engine
        self.changed = threading.Event()  # set after each batch that changed something
        self._queue: queue.Queue[Ask] = queue.Queue(engine.settings.queue)
        self._calls: queue.Queue[tuple[Callable[[Engine], Any], Future[Any]]] = queue.Queue()
        self._waiting: dict[tuple[int, int], Ask] = {}
        self._parked: dict[SeenKey, list[Ask]] = {}  # whose events are parked, while their senders follow them
        self._unable, self._unable_s = "", 0.0  # why nothing could be stored, and when that was
        self._unstored = engine.counters.unstored.labels("door")

    # ---- from other threads ---------------------------------------------------------------------------------

    def submit(self, submission: Submission, *, wait: bool = False, follow: bool = False) -> Ask:
        """Queue a submission. Full where the writer cannot keep up. After the writer has stopped, `durable` fails.

        With `wait` its outcome is told; with `follow` also what becomes of it where it is parked first.
        """
        ask = Ask(submission, Future(), Future() if wait else None, follows=wait and follow)
        try:
            self._queue.put_nowait(ask)
        except queue.Full as error:
            raise Full from error
        if self.failure is not None:
            self._fail_all(self.failure)
        return ask

    def call(self, action: Callable[[Engine], Any]) -> "Future[Any]":
        """Run an operator's action between two batches, on the writer's own thread."""
        future: Future[Any] = Future()
        self._calls.put((action, future))
        if self.failure is not None:
            self._fail_all(self.failure)
        return future

    def unable(self) -> str:
        """Why nothing can be stored just now; empty: it can, or it is time to try."""
        return self._unable if time.monotonic() - self._unable_s < UNABLE_S else ""

    # ---- the loop -------------------------------------------------------------------------------------------

    def run_once(self) -> float:
        """Append, decide, feed, tick."""
        try:
            self.write_batch()
        except StaleWriter:
            log.warning("another writer moved a partition on; memory was read again")
        return 0.0  # `append_queued` rests

    def is_done(self) -> bool:
        return self.stop_asked.is_set() and self._queue.empty()

    def is_passing(self, error: Exception) -> bool:
        return isinstance(error, (DatabaseUnusable, BrokerAway, BrokerRefuses))

    def wait_out(self, error: Exception) -> float:
        if self.stop_asked.is_set():
            log.error("%s; what is queued is given up, and its senders were not told that it is stored", error)
            self._fail_all(error)
            return 0.0
        self._unable, self._unable_s = str(error), time.monotonic()
        self._unstored.inc()
        self.stop_asked.wait(self.away_s)
        try:
            self.engine.reload()
        except Exception as again:
            log.error("the database is still away: %s", again)
        return 0.0

    def failed(self, error: BaseException) -> None:
        super().failed(error)  # /readyz shows it
        self._fail_all(error)

    def write_batch(self) -> bool:
        """Append, decide, feed, tick once. Whether anything happened."""
        busy = self.append_queued() | self.run_calls()
        while (result := self.engine.work(now_ms())) is not None:
            busy = True
            self.resolve(result.answers, result.released)
            if not self._queue.empty():
                break
        if busy or not self.engine.backlog():
            busy = bool(self.engine.feed()) or busy
        busy = bool(self.engine.tick(now_ms())) or busy
        self.engine.look_after()
        if busy:
            self.changed.set()
        return busy

    def append_queued(self) -> bool:
        """Append what is queued, up to a batch, in one transaction. With nothing else to do, wait a moment for it."""
        idle = not self.engine.backlog() and self._calls.empty()
        try:
            asks = [self._queue.get(timeout=IDLE_S) if idle else self._queue.get_nowait()]
        except queue.Empty:
            return False
        with suppress(queue.Empty):
            while len(asks) < self.engine.settings.append_batch:
                asks.append(self._queue.get_nowait())
        try:
            rows = self.engine.append([ask.submission for ask in asks], now_ms())
        except Exception as error:
            for ask in asks:
                ask.durable.set_exception(error)
            raise
        self._unable = ""
        for ask, row in zip(asks, rows, strict=True):
            if ask.outcome is not None:
                self._waiting[row.partition, row.position] = ask
            ask.durable.set_result(row)
        return True

    def run_calls(self) -> bool:
        """Run the operators' actions that are queued."""
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

    def resolve(self, answers: Sequence[Answer], released: Sequence[Released]) -> None:
        """Resolve the outcomes that are waited for, now that they are committed."""
        for answer in answers if self._waiting else ():
            ask = self._waiting.pop((answer.partition, answer.position), None)
            if ask is None or ask.outcome is None:
                continue
            if ask.follows and "parked" in (answer.outcome, answer.first):
                ask.release = Future()
                gone = [key for key, asks in self._parked.items() if not any(other.follows for other in asks)]
                for key in gone:
                    del self._parked[key]
                event = decode_record(ask.submission.body).event
                self._parked.setdefault(key_of(answer.partition, event), []).append(ask)
            ask.outcome.set_result(answer)
        for end in released if self._parked else ():
            for ask in self._parked.pop(end.key, ()):
                assert ask.outcome is not None and ask.release is not None
                ask.release.set_result(ask.outcome.result().after(end))

    def _fail_all(self, error: BaseException) -> None:
        """Fail everything that waits or is queued, so that no thread waits for ever."""
        waiting, self._waiting, self._parked = self._waiting, {}, {}
        for ask in waiting.values():
            if ask.outcome is not None:
                ask.outcome.set_exception(error)
        with suppress(queue.Empty):
            while True:
                self._queue.get_nowait().durable.set_exception(error)
        with suppress(queue.Empty):
            while True:
                self._calls.get_nowait()[1].set_exception(error)

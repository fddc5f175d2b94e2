"""The writer: one thread that owns all writing of this process.

Other threads submit to a queue that is fair between principals and get a future for «durable» and, if asked, one for
the outcome. A turn appends some of what is queued in one transaction (group commit), which also decides it where
nothing comes before and it is little. It keeps some of what the door refused in another, decides one slice, feeds the
consumers, unless more comes at once, and appends what cases have said to other homes, and ticks where something is due.
Each of these has its bound, so nobody's load holds up his neighbours, the clocks or the alerts. Errors of the database
are waited out, and no record is skipped.
"""

import logging
import queue
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from contextlib import suppress
from typing import Any

from msgspec import Struct

from engine.errors import BrokerAway, BrokerRefuses, ClockDoubted, DatabaseUnusable, StaleWriter
from engine.failures import away
from engine.fair_queue import FairQueue
from engine.inbox import Submission
from engine.loop import Loop
from engine.runtime import Engine
from engine.slice.types import Answer, Released, SliceResult, key_of
from engine.store import dead_letters
from engine.store.database import DriverError
from engine.store.dead_letters import DeadLetter
from engine.store.rows import InboxRow, SeenKey, StepRow
from schemas.envelope import decode_record

log = logging.getLogger(__name__)

UNABLE_S = 10.0
"""How long after a failure submissions are discouraged. After that the next sender finds out whether it works again."""
IDLE_S = 0.02
"""How long a turn waits for something to append before it looks for due clocks."""
TURN_S = 0.2
"""How long a turn is to last at most where events queue up: a neighbour waits for the rest of one, and for his own."""
COMPANY_S = 0.05
"""How long steps wait for more at most, before figures and alerts follow, while events keep coming."""
GAP_S = 0.002
"""Events keep coming where the next one is queued within this time of an answer: a sender that waits for one answer
before it sends again needs less."""
FEWEST = 20
"""Events that a turn takes on, however slow the machine is."""
TURN_BYTES = 4 * 1024 * 1024
"""Bytes of events that a turn appends, and bytes of letters that it keeps, at most."""
LETTERS_A_TURN = 200
"""Letters that a turn keeps at most."""
LETTERS = 4_000
"""Letters that may wait to be kept; more are told to come again."""
OLDEST_S = 10.0
"""When an event has waited for so long to be written, the door is not ready."""


class Ask(Struct):
    """A submission, and the futures that its sender waits for.

    Where an event is parked, `release` is there once `outcome` is known: what became of it afterwards. Only a sender
    that `follows` is told, until it says itself that it no longer does. `steps`, by case, are those of the slice in
    which the event was decided or released, where that slice is of this process.
    """

    submission: Submission
    durable: "Future[InboxRow]"
    outcome: "Future[Answer] | None" = None
    release: "Future[Answer] | None" = None
    follows: bool = False
    steps: Mapping[str, Sequence[StepRow]] = {}


class Keeping(Struct):
    """A dead letter that is to be kept, and the future that its sender waits for."""

    letter: DeadLetter
    kept: "Future[None]"


class Writer(Loop):
    """The single writer of an engine. Start it, submit to it, `stop` it: what is queued is finished first, or given up
    while the database or the brokers are away."""

    def __init__(self, engine: Engine) -> None:
        super().__init__("writer")
        self.engine = engine
        self.changed = threading.Event()  # set after each turn that changed something
        self._queue: FairQueue[Ask] = FairQueue(engine.settings.queue)
        self._letters: FairQueue[Keeping] = FairQueue(LETTERS)
        self._calls: queue.Queue[tuple[Callable[[Engine], Any], Future[Any]]] = queue.Queue()
        self._waiting: dict[tuple[int, int], Ask] = {}
        self._held: list[Ask] = []  # of partitions whose clocks are a moment ahead of the wall
        self._parked: dict[SeenKey, list[Ask]] = {}  # whose events are parked, while their senders follow them
        self._at_once = engine.settings.slice_records  # events that a turn of TURN_S can decide
        self._follow_by_s = 0.0  # when figures and alerts are to have the steps that wait; 0: none waits
        self._unable, self._unable_s = "", 0.0  # why nothing could be stored, and when that was
        self._unstored = engine.counters.unstored.labels("door")
        engine.counters.door.queued.set_function(lambda: len(self._queue))
        engine.counters.door.queue_oldest.set_function(self._queue.oldest_s)

    # ---- from other threads ---------------------------------------------------------------------------------

    def submit(self, submission: Submission, *, wait: bool = False, follow: bool = False) -> Ask:
        """Queue a submission. Full where the writer cannot keep up. After the writer has stopped, `durable` fails.

        With `wait` its outcome is told; with `follow` also what becomes of it where it is parked first.
        """
        ask = Ask(submission, Future(), Future() if wait else None, follows=wait and follow)
        size = len(submission.body) + (len(submission.sealed.body) if submission.sealed else 0)
        self._queue.put(submission.principal, ask, size)
        if self.failure is not None:
            self._fail_all(self.failure)
        return ask

    def keep(self, letter: DeadLetter) -> Keeping:
        """Queue a dead letter. Full where its principal has many waiting already."""
        keeping = Keeping(letter, Future())
        self._letters.put(letter.row.principal, keeping, len(letter.sealed.body) if letter.sealed else 0)
        if self.failure is not None:
            self._fail_all(self.failure)
        return keeping

    def call(self, action: Callable[[Engine], Any]) -> "Future[Any]":
        """Run an operator's action between two turns, on the writer's own thread."""
        future: Future[Any] = Future()
        self._calls.put((action, future))
        if self.failure is not None:
            self._fail_all(self.failure)
        return future

    def unable(self) -> str:
        """Why nothing can be stored just now, or not soon enough; empty: it can, or it is time to try."""
        if time.monotonic() - self._unable_s < UNABLE_S and self._unable:
            return self._unable
        oldest_s = self._queue.oldest_s()
        return f"an event has been waiting for {oldest_s:.0f} s to be written" if oldest_s >= OLDEST_S else ""

    # ---- the loop -------------------------------------------------------------------------------------------

    def run_once(self) -> float:
        """Append, decide, feed, tick."""
        try:
            self.write_batch()
        except StaleWriter:
            log.warning("another writer moved a partition on; memory was read again")
        return 0.0  # `append_queued` rests

    def is_done(self) -> bool:
        return self.stop_asked.is_set() and not (self._queue or self._letters or self._held)

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
        """Append, keep, act, decide, feed, tick: some of each. Whether anything happened."""
        appended, result = self.append_queued()
        busy = appended | self.keep_letters() | self.run_calls()
        began_s = time.monotonic()
        if result is None:
            result = self.engine.work(self.engine.now())
        if result is not None:
            busy = True
            self.resolve(result.answers, result.released, result.steps)
            self.engine.tell_refused(result)
        following = not self.awaits_company()
        if following:
            busy = bool(self.engine.feed()) or busy
        if result is not None and (decided := sum(result.taken.values())) >= FEWEST:
            self._at_once = max(FEWEST, int(decided * TURN_S / (time.monotonic() - began_s)))
        now = self.engine.now()
        busy = bool(self.engine.forward(now)) or busy  # the next turn decides it at once
        busy = bool(self.engine.tick(now)) or busy
        if following:  # what is told once every step has been read is not to find some that wait
            self.engine.look_after()
        self.engine.wall.log_changes()
        if busy:
            self.changed.set()
        return busy

    def awaits_company(self) -> bool:
        """Whether figures and alerts wait for more steps before they follow: while events keep coming, until COMPANY_S
        after the first of these steps, the time that the next turn is to take included."""
        if not self.engine.partitions.unread or self.stop_asked.is_set() or not self._queue.wait(GAP_S):
            self._follow_by_s = 0.0
            return False
        now_s = time.monotonic()
        self._follow_by_s = self._follow_by_s or now_s + COMPANY_S
        next_turn_s = (FEWEST + len(self._queue) + self.engine.undecided()) * TURN_S / self._at_once
        if now_s + next_turn_s < self._follow_by_s:
            return True
        self._follow_by_s = 0.0
        return False

    def append_queued(self) -> tuple[bool, SliceResult | None]:
        """Append what is queued and has room, in one transaction. With nothing else to do, wait a moment for it.
        Whether anything was appended, and the slice where it was decided at once."""
        idle = not self.engine.undecided() and not self._letters and self._calls.empty()
        asks, self._held = self._held, []
        room = self.room() if len(asks) < self.engine.settings.queue else 0
        asks += self._queue.take(room, TURN_BYTES, IDLE_S if idle else 0.0)
        if not asks:
            return False, None
        due, decided = list[Ask](), None
        try:
            now = self.engine.stamp()
            for ask in asks:
                try:
                    wait_ms = self.engine.wait_ms(ask.submission.partition, now)
                except ClockDoubted as error:
                    ask.durable.set_exception(error)
                    continue
                (self._held if wait_ms and not self.stop_asked.is_set() else due).append(ask)
            rows, decided = self.append([ask.submission for ask in due], now) if due else ([], None)
        except Exception as error:
            for ask in asks:
                if not ask.durable.done():
                    ask.durable.set_exception(error)
            self._held = []
            if isinstance(error, ClockDoubted):
                return False, None
            raise
        if not due:
            return False, None
        self._unable = ""
        for ask, row in zip(due, rows, strict=True):
            if ask.outcome is not None:
                self._waiting[row.partition, row.position] = ask
            ask.durable.set_result(row)
        return True, decided

    def room(self) -> int:
        """How many events may be appended now.

        No more than a turn can decide lies undecided in the log, for there it is first come, first served: what waits
        here has its turn by principal.
        """
        settings = self.engine.settings
        if self.stop_asked.is_set():
            return settings.append_batch
        return min(settings.append_batch, min(settings.slice_records, self._at_once) - self.engine.undecided())

    def append(self, wanted: Sequence[Submission], now: int) -> tuple[list[InboxRow], SliceResult | None]:
        """Append what was queued, durably and in order, and perhaps decide it at once."""
        return self.engine.append_and_decide(wanted, now)

    def keep_letters(self) -> bool:
        """Keep some of the letters that wait, in one transaction; each in its own where the database refuses one."""
        group = self._letters.take(LETTERS_A_TURN, TURN_BYTES)
        try:
            self._write_letters(group)
        except DriverError:  # not of a database that is away
            for one in group:
                try:
                    self._write_letters([one])
                except Exception as error:
                    one.kept.set_exception(error)
        except DatabaseUnusable as error:
            for one in group:
                one.kept.set_exception(error)
        return bool(group)

    def _write_letters(self, group: list[Keeping]) -> None:
        """Keep letters in one transaction, each id once."""
        if group:
            letters = {one.letter.row.id: one.letter for one in group}
            with away(), self.engine.database.begin() as connection:
                dead_letters.write(connection, list(letters.values()))
        for one in group:
            one.kept.set_result(None)

    def run_calls(self) -> bool:
        """Run the operators' actions that are queued by now."""
        waiting = self._calls.qsize()
        for _ in range(waiting):
            action, future = self._calls.get_nowait()
            try:
                future.set_result(action(self.engine))
            except BaseException as error:
                future.set_exception(error)
                if not isinstance(error, Exception):
                    raise
        return waiting > 0

    def resolve(self, answers: Sequence[Answer], released: Sequence[Released], steps: Sequence[StepRow] = ()) -> None:
        """Resolve the outcomes that are waited for, now that they are committed. `steps`: those of the slice."""
        of_case = dict[str, list[StepRow]]()
        for step in steps if self._waiting or self._parked else ():
            of_case.setdefault(step.case_id, []).append(step)
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
            ask.steps = of_case
            ask.outcome.set_result(answer)
        for end in released if self._parked else ():
            for ask in self._parked.pop(end.key, ()):
                assert ask.outcome is not None and ask.release is not None
                ask.steps = of_case
                ask.release.set_result(ask.outcome.result().after(end))

    def _fail_all(self, error: BaseException) -> None:
        """Fail everything that waits or is queued, so that no thread waits for ever."""
        waiting, self._waiting, self._parked = self._waiting, {}, {}
        for ask in waiting.values():
            if ask.outcome is not None:
                ask.outcome.set_exception(error)
        held, self._held = self._held, []
        for ask in held:
            ask.durable.set_exception(error)
        while asks := self._queue.take(self.engine.settings.queue, TURN_BYTES):
            for ask in asks:
                ask.durable.set_exception(error)
        while keepings := self._letters.take(LETTERS, TURN_BYTES):
            for keeping in keepings:
                keeping.kept.set_exception(error)
        with suppress(queue.Empty):
            while True:
                self._calls.get_nowait()[1].set_exception(error)

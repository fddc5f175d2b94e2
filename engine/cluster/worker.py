"""The worker: it decides the partitions that the group gives to it.

In: records of the inbox topic. Out: slices in the database, ticks in the inbox, steps on the facts topic. One loop:
fetch, decide, publish, tick. Where it goes on, the database says, after every change of partitions and every error.

While the database is away it fetches nothing and stays in the group; while the brokers are away it tries again. Neither
loses or skips anything. What only a fresh process cures (its name was taken by another) ends it.
"""

import logging
import threading
import time
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import suppress

from engine.clock import now_ms
from engine.cluster.partition_consumer import OwnedInbox
from engine.cluster.publisher import Publisher
from engine.cluster.relay import Relay
from engine.errors import BrokerAway, BrokerRefuses, DatabaseUnusable, PackUnusable, StaleWriter
from engine.failures import away
from engine.metrics.counters import Counters
from engine.metrics.gauges import WorkerGauges, WorkerState
from engine.runtime import Chore, Engine
from engine.settings import Settings
from engine.store import slices
from engine.store.database import Database
from engine.store.inbox import Origin
from engine.store.rows import StepRow
from schemas.topics import Topics

log = logging.getLogger(__name__)

IDLE_MS = 100
"""How long a fetch waits for something. Shorter waits are not safe in this library while the group changes."""
AWAY_S = 0.5
"""How long between two looks whether the database or the brokers are back."""
LOOK_S = 1.0
"""How often a partition that stands still is looked at."""
STILL_S = 60.0
"""A turn that takes longer than everything that is waited for in one: the worker does not work."""
POLL_S = 0.5
"""With work in hand, the group hears of us at least so often."""


class Worker:
    """One member of the group of workers. `run` it until `stop` is set."""

    def __init__(
        self,
        settings: Settings,
        database: Database,
        origin: Origin,
        counters: Counters,
        chores: list[Chore],
        stop: threading.Event,
    ) -> None:
        database.end_silence(settings.kafka_session_ms)  # by then another owner wants the locks
        topics = Topics(settings.kafka_prefix)
        self.inbox = OwnedInbox(settings, database, origin)
        self.relay = Relay(database, topics, Publisher(settings, "relay"))
        self.engine = Engine(database, settings, (), counters, chores, self.inbox)
        self.away = ""  # what is waited for; empty: nothing
        self.turned_s = time.monotonic()  # when the last turn began
        self._beside = ThreadPoolExecutor(1, thread_name_prefix="gridpatrol-relay")
        self._sending: Future[None] | None = None
        self._looked_s = 0.0
        self._stopped = stop
        counters.registry.register(WorkerGauges(self.state))

    def run(self) -> None:
        """Until stopped. Fenced, and errors that nobody expects, end it."""
        try:
            while not self._stopped.is_set():
                self.guarded_turn()
            self._finish()
        finally:
            self._beside.shutdown()
            self.relay.close()
            self.inbox.close()

    def guarded_turn(self) -> None:
        """A turn; what only waiting cures is waited for, and then memory is read again."""
        self.turned_s = time.monotonic()
        try:
            with away():
                self.turn()
            self.away = ""
        except StaleWriter as error:
            log.warning("%s: memory is read again", error)
            self._begin_again()
        except (DatabaseUnusable, BrokerAway, BrokerRefuses, PackUnusable) as error:
            self._wait_for(error)  # a pack may be missing after a restore: `gridpatrol pack activate` brings it back

    def _wait_for(self, error: Exception) -> None:
        said = str(error)
        if said != self.away:
            log.error("%s Trying again.", said)
        self.away = said
        with suppress(BrokerAway, BrokerRefuses):
            self.inbox.poll(IDLE_MS, self.engine.rows, fetch=False)
        self._stopped.wait(AWAY_S)
        self._begin_again()

    def _begin_again(self) -> None:
        """Go on from what the database says; if it does not answer, the next turn tries."""
        self.inbox.taken_over = True

    # ---- a turn -----------------------------------------------------------------------------------------------

    def turn(self) -> bool:
        """Fetch, decide, publish, tick. Whether anything happened."""
        busy = self.inbox.poll(IDLE_MS, self.engine.rows) > 0
        if self.inbox.taken_over:
            self.engine.reload()
            self.inbox.check_reach()
            self.relay.reload(list(self.inbox.heads))
        self._halt_the_lost()
        self._look_at_halted()
        busy = self._decide() or busy
        busy = self.relay.catch_up(self.engine.rows) > 0 or busy
        self.relay.settle()
        busy = self.engine.tick(now_ms()) > 0 or busy
        self.engine.look_after()
        return busy

    def _decide(self) -> bool:
        """Slices of what is at hand, for a while, each published when it is committed. Whether there were any."""
        until, busy = time.monotonic() + POLL_S, False
        try:
            while (result := self.engine.work(now_ms())) is not None:
                busy = True
                self._publish(result.steps)
                if time.monotonic() >= until:
                    break
            self._await_publishing()
        finally:
            sending, self._sending = self._sending, None
            wait([sending] if sending is not None else [])  # the relay is begun anew, but not under its hands
        return busy

    def _publish(self, steps: Sequence[StepRow]) -> None:
        """Hand steps to the relay. With more to decide it sends them beside the next slice, which often waits for the
        database."""
        self._await_publishing()
        if self.engine.backlog():
            self._sending = self._beside.submit(self.relay.take, steps)
        else:
            self.relay.take(steps)

    def _await_publishing(self) -> None:
        """Until the relay has sent what it was handed; what went wrong in that is raised here."""
        sending, self._sending = self._sending, None
        if sending is not None:
            sending.result()

    def _halt_the_lost(self) -> None:
        """Partitions of whose log something is missing stand still, in the database, for everybody to see."""
        for partition, why in self.inbox.lost.items():
            if not self.engine.rows[partition].halted:
                self.engine.partitions.halt(partition, why)

    def _look_at_halted(self) -> None:
        """A partition that stands still is moved by nobody here: look whether an operator has settled it."""
        still = [p for p in self.inbox.heads if self.engine.rows[p].halted]
        if not still or time.monotonic() - self._looked_s < LOOK_S:
            return
        self._looked_s = time.monotonic()
        with self.engine.database.read() as connection:
            stands = {row.partition: row.version for row in slices.read_partitions(connection)}
        if any(stands[p] != self.engine.rows[p].version for p in still):
            self._begin_again()

    def _finish(self) -> None:
        """What was decided is published before the process ends, if database and brokers are there."""
        if self.away:
            return
        try:
            with away():
                while self.relay.catch_up(self.engine.rows):
                    self.relay.settle()
                self.relay.finish()
        except (BrokerAway, BrokerRefuses, DatabaseUnusable) as error:
            log.warning("not everything could be published; the next owner does it: %s", error)

    # ---- what others ask --------------------------------------------------------------------------------------

    def ready(self) -> str:
        """Why this worker does not work; empty if it does."""
        if self.away:
            return self.away
        if (still := time.monotonic() - self.turned_s) > STILL_S:
            return f"its last turn began {still:.0f} s ago: it waits for a lock of the database, or for the brokers"
        if not self.inbox.heads:
            return "no partitions yet"
        why = {p: self.engine.rows[p].halted for p in self.inbox.heads}
        return "" if not all(why.values()) else "; ".join(f"partition {p} stands still: {w}" for p, w in why.items())

    def state(self) -> WorkerState:
        """How it stands, for its gauges. Read beside the loop: of what moves meanwhile, copies are looked at."""
        inbox, rows, now = self.inbox, self.engine.rows, now_ms()
        waiting, owned = inbox.waiting(), sorted(inbox.heads.items())
        tails = {p: list(tail) for p, tail in inbox._tails.items()}
        stamps = [row.stamp for p, tail in tails.items() for row in tail if row.position >= rows[p].position]
        return WorkerState(
            lag={p: head - rows[p].position + waiting.get(p, 0) for p, head in owned},
            gaps={p: inbox.gaps.get(p, 0) for p, _ in owned},
            halted=sum(bool(rows[p].halted) for p, _ in owned),
            holds_back=bool(self.away) or inbox.is_full(),
            oldest_s=max(0, now - min(stamps, default=now)) / 1000,
            unpublished=self.relay.unpublished(rows),
            turn_age_s=time.monotonic() - self.turned_s,
        )

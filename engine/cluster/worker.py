"""The worker: it decides the partitions that the group gives to it.

It fetches records of the inbox topic, decides them in slices, publishes their steps to the facts topic, and appends
ticks to the inbox. The database says where to go on, after every change of partitions and every error.

While the database is away the worker fetches nothing and stays in the group; while the brokers are away it tries again.
Neither loses or skips anything. Errors that only a fresh process cures (another process took its name) end it.
"""

import logging
import threading
import time
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import suppress

from engine.clock import now_ms
from engine.cluster import kafka_quirks
from engine.cluster.partition_consumer import GLANCE_MS, PartitionConsumer
from engine.cluster.publisher import Publisher
from engine.cluster.relay import Relay
from engine.errors import BrokerAway, BrokerRefuses, DatabaseUnusable, PackUnusable, StaleWriter
from engine.failures import away
from engine.loop import Loop
from engine.metrics.counters import Counters
from engine.metrics.gauges import WorkerGauges, WorkerState
from engine.runtime import Chore, Engine
from engine.settings import Settings
from engine.store import slices
from engine.store.database import Database
from engine.store.inbox_table import Origin
from schemas.topics import Topics

log = logging.getLogger(__name__)

IDLE_MS = kafka_quirks.MIN_POLL_MS
"""How long a fetch waits for something, where nothing is at hand."""
LOOK_S = 1.0
"""How often a partition is looked at that is halted, or in which a case stands."""
STILL_S = 60.0
"""A batch that takes longer than everything that it waits for: the worker does not work."""
POLL_S = 0.5
"""With work in hand, the group is polled at least so often."""


class Worker(Loop):
    """One member of the group of workers. `run` it until `stop_asked` is set."""

    away_s = 0.5

    def __init__(
        self,
        settings: Settings,
        database: Database,
        origin: Origin,
        counters: Counters,
        chores: list[Chore],
        stop_asked: threading.Event,
    ) -> None:
        super().__init__("worker", stop_asked)
        database.end_silence(settings.kafka_session_ms)  # by then another owner wants the locks
        topics = Topics(settings.kafka_prefix)
        self.inbox = PartitionConsumer(settings, database, origin)
        self.relay = Relay(database, topics, Publisher(settings, "relay"))
        self.engine = Engine(database, settings, (), counters, chores, self.inbox)
        self._beside = ThreadPoolExecutor(1, thread_name_prefix="gridpatrol-relay")
        self._sending: Future[None] | None = None
        self._looked_s = 0.0
        counters.registry.register(WorkerGauges(self.state))

    # ---- the loop ---------------------------------------------------------------------------------------------

    def run_once(self) -> float:
        """Fetch, decide, publish, tick."""
        try:
            with away():
                self.decide_batch()
        except StaleWriter as error:
            log.warning("%s: memory is read again", error)
            self.inbox.taken_over = True
        return 0.0  # the fetch rests

    def is_passing(self, error: Exception) -> bool:
        # A pack may be missing after a restore: `gridpatrol pack activate` brings it back.
        return isinstance(error, (DatabaseUnusable, BrokerAway, BrokerRefuses, PackUnusable))

    def wait_out(self, error: Exception) -> float:
        """Keep the place in the group, and read memory again afterwards."""
        with suppress(BrokerAway, BrokerRefuses):
            self.inbox.poll(IDLE_MS, self.engine.rows, fetch=False)
        self.inbox.taken_over = True
        return self.away_s

    def failed(self, error: BaseException) -> None:
        raise error  # out of `run`: it ends the process

    def release(self) -> None:
        """Publish what was decided, if database and brokers are there, and leave the group."""
        try:
            if self.failure is None and not self.away:
                with away():
                    while self.relay.catch_up(self.engine.rows):
                        self.relay.settle()
                    self.relay.finish()
        except (BrokerAway, BrokerRefuses, DatabaseUnusable) as error:
            log.warning("not everything could be published; the next owner does it: %s", error)
        finally:
            self._beside.shutdown()
            self.relay.close()
            self.inbox.close()

    # ---- a batch ----------------------------------------------------------------------------------------------

    def decide_batch(self) -> None:
        """Fetch, decide, publish, forward, tick once."""
        came = self.inbox.poll(GLANCE_MS if self.engine.backlog() else IDLE_MS, self.engine.rows)
        self.inbox.wait_for_company(came)
        if self.inbox.taken_over:
            before = set(self.inbox.heads)
            self.engine.reload()
            if set(self.inbox.heads) - before:
                self.engine.wall.ask_again()
            self.inbox.check_reach()
            self.relay.reload(list(self.inbox.heads))
        for partition, why in self.inbox.lost.items():
            if not self.engine.rows[partition].halted:
                self.engine.partitions.halt(partition, why)  # in the database, where everybody sees it
        rows = self.engine.rows
        halted = [p for p in self.inbox.heads if rows[p].halted or rows[p].standing]
        if halted and time.monotonic() - self._looked_s >= LOOK_S:
            # An operator may have settled it, or want another try of what stands.
            self._looked_s = time.monotonic()
            with self.engine.database.read() as connection:
                versions = {row.partition: row.version for row in slices.read_partitions(connection)}
            if any(versions[p] != self.engine.rows[p].version for p in halted):
                self.inbox.taken_over = True
        self._decide()
        self.relay.catch_up(self.engine.rows)
        self.relay.settle()
        now = self.engine.now()
        self.engine.forward(now)
        self.engine.tick(now)
        self.engine.look_after()
        self.engine.wall.log_changes()

    def _decide(self) -> None:
        """Decide slices of the records at hand, for a while, and publish each when it is committed."""
        until = time.monotonic() + POLL_S
        try:
            while (result := self.engine.work(self.engine.now())) is not None:
                self._await_publishing()
                self.engine.tell_refused(result)
                if self.engine.backlog():
                    # The next slice often waits for the database: steps are sent meanwhile.
                    self._sending = self._beside.submit(self.relay.take, result.steps)
                else:
                    self.relay.take(result.steps)
                if time.monotonic() >= until:
                    break
            self._await_publishing()
        finally:
            sending, self._sending = self._sending, None
            wait([sending] if sending is not None else [])  # the relay may begin anew only after that

    def _await_publishing(self) -> None:
        """Wait until the relay has sent what it was handed. Its error is raised here."""
        sending, self._sending = self._sending, None
        if sending is not None:
            sending.result()

    # ---- what others ask --------------------------------------------------------------------------------------

    def ready(self) -> str:
        """Why this worker does not work; empty if it does."""
        if self.away:
            return self.away
        if (still := time.monotonic() - self.began_s) > STILL_S:
            return f"its last turn began {still:.0f} s ago: it waits for a lock of the database, or for the brokers"
        if not self.inbox.heads:
            return "no partitions yet"
        wall = self.engine.wall
        if (doubt := wall.doubt()) is not None:
            return str(doubt)
        refused = {p: str(wall.refusal(p)) for p in wall.refused}
        why = {p: self.engine.rows[p].halted or refused.get(p, "") for p in self.inbox.heads}
        return "" if not all(why.values()) else "; ".join(f"partition {p} stands still: {w}" for p, w in why.items())

    def remark(self) -> str:
        """What does not go on while this worker works; empty: everything does."""
        rows = [self.engine.rows[p] for p in sorted(self.inbox.heads)]
        halted = [f"partition {row.partition} stands still: {row.halted}" for row in rows if row.halted]
        cases = [f"{row.standing} cases of partition {row.partition} stand" for row in rows if row.standing]
        return "; ".join([*halted, *cases])

    def state(self) -> WorkerState:
        """The state that its gauges show. It is read beside the loop."""
        inbox, rows, now = self.inbox, self.engine.rows, now_ms()
        waiting, owned = inbox.waiting(), sorted(inbox.heads.items())
        arrived = [stamp for p, at in inbox.stamps().items() for position, stamp in at if position >= rows[p].position]
        return WorkerState(
            lag={p: head - rows[p].position + waiting.get(p, 0) for p, head in owned},
            gaps={p: inbox.gaps.get(p, 0) for p, _ in owned},
            halted=sum(bool(rows[p].halted) for p, _ in owned),
            holds_back=bool(self.away) or inbox.is_full(),
            oldest_s=max(0, now - min(arrived, default=now)) / 1000,
            unpublished=self.relay.unpublished(rows),
            turn_age_s=time.monotonic() - self.began_s,
        )

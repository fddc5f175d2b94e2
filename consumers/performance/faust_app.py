"""The performance role: a Faust application that folds the facts topic into the figures, exactly.

Messages come at least once, in order within a partition. The transactions of `consumers.performance.consume` fold them;
`consumers.performance.publish` publishes the values of the figures.

1. Faust brings messages and nothing else. Its tables are not used, because their contents are wrong after every
   rebalance. The position of a partition stands in the database and moves in the transaction that folds.
2. A batch is folded in a thread of its own, one batch after another, while Faust collects the next one and keeps its
   place in the group. The messages are acknowledged after the commit.
3. A message that cannot be read is counted and acknowledged. The next message of its partition shows that a step is
   missing, and the step is read from the store like every gap.
4. Steps that stand in the store for some seconds and do not come as messages are folded from there, by any worker. So a
   lost message, a deleted topic or a long rebalance cost time, never a figure. Two workers that do the same wait for
   each other at the position and find it done.
5. A database error ends the process: it is not known then what was committed, and a new process asks. So does every
   unexpected error, also where figures are published.
"""

import asyncio
import logging
import os
import sys
import threading
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from functools import partial
from tempfile import TemporaryDirectory
from typing import Any

import faust
import msgspec
import uvloop
from aiokafka.errors import KafkaConnectionError
from faust.auth import Credentials, SASLCredentials, SSLCredentials

from consumers.performance import consume, faust_quirks
from consumers.performance.consume import FoldCounts
from consumers.performance.publish import FigurePublisher
from engine import failpoints
from engine.cluster import clients, preflight
from engine.cluster.publisher import Publisher
from engine.errors import BrokerAway, GridpatrolError
from engine.http.status import StatusServer
from engine.lease import WRITER, Lease
from engine.metrics import gauges
from engine.metrics.counters import FoldCounters
from engine.settings import Settings
from engine.store import backup_file, steps
from engine.store.database import FAILURES, Database, open_database, refuses
from schemas import facts
from schemas.topics import Topics

log = logging.getLogger(__name__)

BATCH = 2000
"""Messages that one transaction folds at most."""
WITHIN_S = 0.2
"""How long a batch is waited for to fill."""
IN_FLIGHT = 2
"""Batches handed to the database thread: one that is folded, one that waits."""
FETCH_BYTES = 4 * 1024 * 1024
"""Of one partition at a time. With the library's 1 MiB a worker of few partitions spends half its time waiting."""
LOOK_S = 5.0
"""How often the store is looked at for steps that did not come."""
PATIENCE = 12
"""Looks that a partition waits in a backlog, whose messages are still on their way; else it is one."""
STOP_S = 2.5
"""How long an orderly end may take. What is under way then is folded by the next worker."""
ENDED = 75
"""Exit status after a database error: start it again (EX_TEMPFAIL)."""

Message = tuple[int, int, bytes]
"""Partition, offset and value of a message."""


def run(settings: Settings, stop: threading.Event, opened: Callable[[str], None]) -> None:
    """Fold until `stop` is set. `opened` is called with the address of health and metrics.

    SchemaMismatch, BrokerAway, BrokerRefuses, TopicsUnusable until it has started. After that an error that no waiting
    cures ends the process with status 75.
    """
    topics = Topics(settings.kafka_prefix)
    with ExitStack() as stack:
        database = open_database(settings.database)
        stack.callback(database.close)
        database.end_silence(clients.SILENCE_MS)
        lease = Lease(database, WRITER, shared=True)
        stack.callback(lease.close)
        database.check_schema()
        backup_file.check_restored(database)
        preflight.require(settings, database, (topics.facts, topics.performance), topics.group(consume.NAME))
        counts = FoldCounters()
        gauges.register(counts.registry, database, figures_only=True)
        worker = FoldWorker(database, counts, lease.keep, ended)
        publisher = FigurePublisher(
            database,
            Publisher(settings, consume.NAME),
            topics.performance,
            counts.published.inc,
            lambda: worker.busy,
            ended,
        )
        stack.callback(worker.close)
        role = Role(settings, topics, worker, publisher)
        counts.ready.set_function(lambda: not role.ready())
        status = StatusServer(settings.listen, counts.registry, role.ready)
        stack.callback(status.close)
        publisher.start()
        stack.callback(publisher.stop, STOP_S / 2)
        opened(status.url)
        failpoints.hit("stream.before_start")
        _run(role, stop)
    if role.left:
        _exit(0)  # an ordinary end would wait for Faust's thread


def _run(role: "Role", stop: threading.Event) -> None:
    """Run Faust in an event loop of its own. Where Faust does not stop, the loop is not closed, since that would
    wait."""
    runner = asyncio.Runner(loop_factory=uvloop.new_event_loop)
    try:
        runner.run(role.run(stop))
    except Exception as error:
        if role.left:
            ended(error)
        raise
    finally:
        if not role.left:
            runner.close()


def ended(error: BaseException) -> None:
    """End the process at once, and log why: nothing that it holds in memory can be trusted."""
    known = isinstance(error, (GridpatrolError, *FAILURES))
    log.critical("the performance role ends: %s", getattr(error, "orig", error), exc_info=None if known else error)
    _exit(ENDED)


def _exit(status: int) -> None:
    """End the process without waiting for any thread."""
    logging.shutdown()
    sys.stdout.flush()
    os._exit(status)


# ---- folding ------------------------------------------------------------------------------------------------


def decode(messages: Iterable[Message]) -> tuple[list[facts.Step], int]:
    """The steps of messages, and how many messages hold none. A step of another partition than its message is none."""
    found, bad = [], 0
    for partition, offset, value in messages:
        try:
            step = facts.decode_step(value)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, TypeError) as error:
            log.error("partition %d offset %d is no step and is passed over: %s", partition, offset, error)
            bad += 1
            continue
        if step.partition != partition:
            log.error("partition %d offset %d says it is of partition %d", partition, offset, step.partition)
            bad += 1
            continue
        found.append(step)
    return found, bad


class Stopping(Exception):
    """The work is given up between two transactions; the next worker does it."""


class FoldWorker:
    """The database side: it folds batches one after another, and between them steps of the store that did not come.

    `keep` looks after the lease, `ended` is called with an error that ends the process.
    """

    def __init__(
        self,
        database: Database,
        counts: FoldCounters,
        keep: Callable[[Database], None],
        ended: Callable[[BaseException], None],
    ) -> None:
        self.database = database
        self.counts = counts
        self.busy = False  # the last batch was a full one, so more wait behind it
        self._keep, self._ended = keep, ended
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="gridpatrol-fold")
        self._closing = threading.Event()
        self._working = threading.Lock()
        self._looking: Future[None] | None = None
        self._behind: dict[int, tuple[int, int]] = {}  # partition -> its position, and for how many looks

    def submit(self, messages: Sequence[Message]) -> "Future[None]":
        """Have a batch folded. The future is done when it is committed."""
        return self._thread.submit(self._guarded, self.fold, messages)

    def look(self) -> None:
        """Have the store looked at, unless the last look is still queued."""
        if self._looking is None or self._looking.done():
            self._looking = self._thread.submit(self._guarded, self.catch_up)

    def close(self) -> None:
        """Wait for the transaction that is under way. What is queued behind it is left to the next worker."""
        self._closing.set()
        self._thread.shutdown(wait=False, cancel_futures=True)
        if not self._working.acquire(timeout=STOP_S):
            self._ended(TimeoutError("a transaction does not end, and is left to the database"))

    def _guarded(self, work: Callable[..., None], *arguments: Any) -> None:
        try:
            with self._working:
                work(*arguments)
        except Stopping:
            raise
        except BaseException as error:
            self._ended(error)
            raise

    def fold(self, messages: Sequence[Message]) -> None:
        """Fold a batch of messages in one transaction. Where the database or the fold refuses the steps, fold those
        that the store has instead of them."""
        self.busy = len(messages) >= BATCH
        with self.counts.batches.time():
            news, undecodable = decode(messages)
            try:
                folded = consume.fold_messages(self.database, news, self._check_closing)
            except Stopping:
                raise
            except Exception as error:
                if isinstance(error, FAILURES) and not refuses(error):
                    raise
                log.error("a batch cannot be folded, the store's own steps are: %s", error)
                self.counts.steps.labels("refused").inc(len(news))
                folded = FoldCounts(0, 0, 0, self._from_store({step.partition for step in news}))
            self.counts.count({**folded._asdict(), "undecodable": undecodable})

    def catch_up(self) -> None:
        """Fold steps that have stood in the store for some looks, in partitions that did not move meanwhile."""
        self._keep(self.database)
        with self.database.read() as connection:
            behind = steps.read_behind(connection, consume.NAME)
        before, patience = self._behind, PATIENCE if self.busy else 1
        self._behind = {
            p: (last, before[p][1] + 1 if before.get(p, (-1, 0))[0] == last else 0) for p, last in behind.items()
        }
        stuck = {p for p, (_, looks) in self._behind.items() if looks >= patience}
        if stuck:
            filled = self._from_store(stuck)
            log.warning("%d steps did not come as messages and were read from the store", filled)
            self.counts.count({"filled": filled})

    def _from_store(self, partitions: set[int]) -> int:
        """Fold the steps of the store in these partitions. Returns how many."""
        total = 0
        self._check_closing()
        while more := consume.fold_from_store(self.database, partitions):
            total += more
            self._check_closing()
        return total

    def _check_closing(self) -> None:
        """Called between two transactions of what may take long."""
        if self._closing.is_set():
            raise Stopping


# ---- Faust --------------------------------------------------------------------------------------------------


def application(settings: Settings, topics: Topics, folder: str) -> faust.App:
    """Faust as a reader of one topic, with an empty `folder`."""
    session_s = settings.kafka_session_ms / 1000
    return faust.App(
        topics.group(consume.NAME),
        broker=[f"kafka://{address.strip()}" for address in settings.kafka.split(",")],
        broker_credentials=credentials(settings),
        broker_client_id=f"gridpatrol-{consume.NAME}",
        broker_session_timeout=session_s,
        broker_heartbeat_interval=session_s / 4,
        broker_request_timeout=max(90.0, session_s),
        producer_request_timeout=clients.BOOTSTRAP_MS / 1000,  # it sends nothing, but a start waits for its connection
        consumer_auto_offset_reset="earliest",
        consumer_max_fetch_size=FETCH_BYTES,
        consumer_metadata_max_age_ms=clients.METADATA_MS,
        key_serializer="raw",
        value_serializer="raw",
        processing_guarantee="at_least_once",
        datadir=folder,
        Monitor=faust_quirks.QuietMonitor,
        **faust_quirks.NO_TABLES,
    )


def credentials(settings: Settings) -> Credentials | None:
    """How Faust shows who it is, and checks who the brokers are."""
    context = clients.tls(settings) if settings.kafka_security.endswith("SSL") else None
    if settings.kafka_security.startswith("SASL"):
        return SASLCredentials(
            username=settings.kafka_user,
            password=clients.password(settings),
            ssl_context=context,
            mechanism=settings.kafka_mechanism,
        )
    return None if context is None else SSLCredentials(context)


class Role:
    """Faust's side: its application lives as long as `run`."""

    def __init__(self, settings: Settings, topics: Topics, worker: FoldWorker, publisher: FigurePublisher) -> None:
        self.settings = settings
        self.topics = topics
        self.worker = worker
        self.publisher = publisher
        self.left = False  # Faust did not stop in time, and goes on by itself
        self._owned = 0

    def ready(self) -> str:
        """Why no steps are read, or no figures published, just now; empty: they are."""
        if not self._owned:
            return "waiting for partitions of the facts topic"
        if not self.publisher.is_alive():
            return "nobody publishes figures here"
        return f"figures are not published just now: {self.publisher.away}" if self.publisher.away else ""

    async def run(self, stop: threading.Event) -> None:
        """Read and fold until told to stop, or until Faust breaks down, which is an error: BrokerAway where the brokers
        have gone before it found them."""
        with TemporaryDirectory(prefix="gridpatrol-") as folder:
            app = application(self.settings, self.topics, folder)
            topic = app.topic(
                self.topics.facts,
                key_type=bytes,
                value_type=bytes,
                key_serializer="raw",
                value_serializer="raw",
                internal=False,
            )
            app.agent(topic, concurrency=faust_quirks.CONCURRENCY)(self._fold)
            app.on_partitions_assigned.connect(self.assigned, weak=False)
            app.on_partitions_revoked.connect(self.revoked, weak=False)
            try:
                await self._watch(app, stop)
            except KafkaConnectionError as error:
                raise BrokerAway(f"no broker answers any more at {self.settings.kafka}") from error

    async def _fold(self, stream: Any) -> None:
        room = asyncio.Semaphore(IN_FLIGHT)
        loop = asyncio.get_running_loop()
        async for events in stream.noack_take(BATCH, within=WITHIN_S):
            await room.acquire()
            batch = [(e.message.partition, e.message.offset, e.message.value) for e in events]
            committed = asyncio.wrap_future(self.worker.submit(batch), loop=loop)
            committed.add_done_callback(partial(_acknowledge, events, room))

    async def _watch(self, app: faust.App, stop: threading.Event) -> None:
        """Start Faust, look at the store every LOOK_S, stop Faust. What ends Faust before is raised."""
        starting = asyncio.ensure_future(app.start())
        waited_s = 0.0
        try:
            while not stop.is_set():
                await asyncio.sleep(0.1)
                faust_quirks.raise_if_ended(app, starting)
                waited_s += 0.1
                if waited_s >= LOOK_S:
                    waited_s = 0.0
                    self.worker.look()
        finally:
            if not await faust_quirks.stop(app, STOP_S):
                log.warning("Faust did not stop within %s s and is left behind", STOP_S)
                self.left = True

    def assigned(self, *arguments: Any, **_: Any) -> None:
        """Faust has got partitions: the last argument names them."""
        self._own(len(arguments[-1]))

    def revoked(self, *_: Any, **__: Any) -> None:
        """Faust has lost its partitions."""
        self._own(0)

    def _own(self, partitions: int) -> None:
        self._owned = partitions
        self.worker.counts.owned.set(partitions)


def _acknowledge(events: Sequence[Any], room: asyncio.Semaphore, committed: "asyncio.Future[None]") -> None:
    """Acknowledge a batch that is committed. A batch that was given up at the end comes again."""
    room.release()
    if not committed.cancelled() and committed.exception() is None:
        for event in events:
            event.ack()

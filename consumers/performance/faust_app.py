"""The performance role: a Faust application that folds the facts topic into the figures, exactly.

In: settings; messages of the facts topic, at least once, in order within a partition. Out: figures, by the transactions
of `consumers.performance.consume`; their values on a topic (`consumers.performance.publish`); metrics.

1. Faust brings messages and nothing else: no tables, whose contents are wrong after every rebalance. What is known
   about a partition is its position in the database, in the transaction that folds.
2. A batch is folded in a thread of its own, one batch after another, while Faust collects the next one and keeps its
   membership alive. Its messages are acknowledged after the commit.
3. A message that cannot be read is counted and acknowledged. Its step is missing then, which the next one of its
   partition shows, and it comes out of the store like every gap.
4. What stands in the store for some seconds and does not come is folded from there, by any worker: a lost message, a
   deleted topic, a rebalance that takes long cost time, never a figure. Two workers that do the same wait for each
   other at the position and find it done.
5. A database error ends the process: what was committed is not known then, and a new process asks. So does whatever
   nobody expects, also where figures are published.
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
from faust.sensors.monitor import Monitor
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from consumers.performance import consume
from consumers.performance.consume import Taken
from consumers.performance.publish import Cells
from engine import failpoints
from engine.cluster import clients, preflight
from engine.cluster.publisher import Publisher
from engine.errors import BrokerAway, GridpatrolError
from engine.http.status import StatusServer
from engine.lease import WRITER, Lease
from engine.metrics import gauges
from engine.settings import Settings
from engine.store import steps
from engine.store.database import FAILURES, Database, open_database, refuses
from schemas import facts as f
from schemas.topics import Topics

log = logging.getLogger(__name__)

BATCH = 2000
"""Messages that one transaction takes in at most."""
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
"""How long an orderly end may take; what is under way then is folded by whoever comes next."""
ENDED = 75
"""Exit status after a database error: start it again (EX_TEMPFAIL)."""

Message = tuple[int, int, bytes]
"""Partition, offset and value of a message."""


def run(settings: Settings, stop: threading.Event, opened: Callable[[str], None]) -> None:
    """Fold until `stop` is set; `opened` is told where health and metrics are.

    SchemaMismatch, BrokerAway, BrokerRefuses, TopicsUnfit until it has started. After that an error that no waiting
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
        preflight.require(settings, database, (topics.facts, topics.performance), topics.group(consume.NAME))
        counts = Counts()
        gauges.register_figures(counts.registry, database)
        folding = Folding(database, counts, lease.keep, ended)
        cells = Cells(
            database,
            Publisher(settings, consume.NAME),
            topics.performance,
            counts.published.inc,
            lambda: folding.busy,
            ended,
        )
        stack.callback(folding.close)
        role = Role(settings, topics, folding, cells)
        status = StatusServer(settings.listen, counts.registry, role.ready)
        stack.callback(status.close)
        cells.start()
        stack.callback(cells.stop, STOP_S / 2)
        opened(status.url)
        failpoints.hit("stream.before_start")
        _run(role, stop)
    if role.left:
        _exit(0)  # an ordinary end would wait for Faust's thread


def _run(role: "Role", stop: threading.Event) -> None:
    """Faust in a loop of its own. Where Faust does not stop, the loop is left as it is: to close it would wait."""
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
    """End the process at once, and say why: nothing that it holds in memory is to be trusted or kept."""
    known = isinstance(error, (GridpatrolError, *FAILURES))
    log.critical("the performance role ends: %s", getattr(error, "orig", error), exc_info=None if known else error)
    _exit(ENDED)


def _exit(status: int) -> None:
    """End the process without waiting for any thread."""
    logging.shutdown()
    sys.stdout.flush()
    os._exit(status)


class Counts:
    """What the role counts."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.steps = Counter(
            "gridpatrol_fold_steps_total",
            "Steps: folded, skipped (came again), filled (out of the store), undecodable, unknown, refused.",
            ("how",),
            registry=self.registry,
        )
        for how in ("folded", "skipped", "filled", "undecodable", "unknown", "refused"):
            self.steps.labels(how)
        self.batches = Histogram(
            "gridpatrol_fold_batch_seconds",
            "One batch, from its first message read to commit.",
            buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10),
            registry=self.registry,
        )
        self.owned = Gauge(
            "gridpatrol_fold_partitions_owned",
            "Partitions of the facts topic that this process reads.",
            registry=self.registry,
        )
        self.published = Counter(
            "gridpatrol_figures_published_total", "Figures published, each as it stood.", registry=self.registry
        )

    def count(self, taken: Taken, undecodable: int) -> None:
        """Take in what became of a batch."""
        for how, number in (*taken._asdict().items(), ("undecodable", undecodable)):
            self.steps.labels(how).inc(number)


# ---- folding ------------------------------------------------------------------------------------------------


def read(messages: Iterable[Message]) -> tuple[list[f.Step], int]:
    """The steps of messages, and how many of these are none. A step of another partition than its message is none."""
    found, bad = [], 0
    for partition, offset, value in messages:
        try:
            step = f.decode_step(value)
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
    """What is under way is given up between two transactions: whoever comes next does it."""


class Folding:
    """The database side: batches one after another, and between them what the store has and no message brought.

    `keep` looks after the lease, `ended` is told what nobody can go on after.
    """

    def __init__(
        self,
        database: Database,
        counts: Counts,
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
        """Have a batch folded; the future ends with its commit."""
        return self._thread.submit(self._guarded, self.take, messages)

    def look(self) -> None:
        """Have the store looked at, unless the last look still waits for its turn."""
        if self._looking is None or self._looking.done():
            self._looking = self._thread.submit(self._guarded, self.fill)

    def close(self) -> None:
        """Wait for the transaction that is under way; what waits behind it is left to whoever comes next."""
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

    def _between(self) -> None:
        """Asked between two transactions of what may take long."""
        if self._closing.is_set():
            raise Stopping

    def take(self, messages: Sequence[Message]) -> None:
        """Fold a batch of messages in one transaction."""
        self.busy = len(messages) >= BATCH
        with self.counts.batches.time():
            news, bad = read(messages)
            self.counts.count(self._fold(news), bad)

    def _fold(self, news: list[f.Step]) -> Taken:
        """Fold these steps; where the database or the fold refuses them, what the store has instead of them."""
        try:
            return consume.take(self.database, news, self._between)
        except Stopping:
            raise
        except Exception as error:
            if isinstance(error, FAILURES) and not refuses(error):
                raise
            log.error("a batch cannot be folded, the store's own steps are: %s", error)
            self.counts.steps.labels("refused").inc(len(news))
            return Taken(0, 0, 0, self._from_store({step.partition for step in news}))

    def fill(self) -> None:
        """Fold what has stood in the store for some looks, in partitions that did not move meanwhile."""
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
            self.counts.count(Taken(0, 0, 0, filled), 0)

    def _from_store(self, partitions: set[int]) -> int:
        total = 0
        self._between()
        while more := consume.fill(self.database, partitions):
            total += more
            self._between()
        return total


# ---- Faust --------------------------------------------------------------------------------------------------


class Quiet(Monitor):
    """Faust's own statistics, without those per message: they cost a tenth of its time, and nobody reads them."""

    def on_message_in(self, *_: Any) -> None:
        """Nothing."""

    def on_stream_event_in(self, *_: Any) -> None:
        """Nothing."""

    def on_stream_event_out(self, *_: Any) -> None:
        """Nothing."""

    def on_message_out(self, *_: Any) -> None:
        """Nothing."""


def application(settings: Settings, topics: Topics, folder: str) -> faust.App:
    """Faust as a reader of one topic: it creates no topic, serves nothing, and keeps nothing but an empty `folder`."""
    session_s = settings.kafka_session_ms / 1000
    return faust.App(
        topics.group(consume.NAME),
        broker=[f"kafka://{address.strip()}" for address in settings.kafka.split(",")],
        broker_credentials=credentials(settings),
        broker_client_id=f"gridpatrol-{consume.NAME}",
        broker_session_timeout=session_s,
        broker_heartbeat_interval=session_s / 4,
        broker_request_timeout=max(90.0, session_s),
        producer_request_timeout=clients.BOOTSTRAP_MS / 1000,  # it sends nothing, but a start waits for its greeting
        consumer_auto_offset_reset="earliest",
        consumer_max_fetch_size=FETCH_BYTES,
        consumer_metadata_max_age_ms=clients.METADATA_MS,
        key_serializer="raw",
        value_serializer="raw",
        processing_guarantee="at_least_once",
        topic_allow_declare=False,
        topic_disable_leader=True,
        web_enabled=False,
        datadir=folder,
        store="memory://",
        Monitor=Quiet,
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

    def __init__(self, settings: Settings, topics: Topics, folding: Folding, cells: Cells) -> None:
        self.settings = settings
        self.topics = topics
        self.folding = folding
        self.cells = cells
        self.left = False  # Faust did not stop in time, and goes on by itself
        self._owned = 0

    def ready(self) -> str:
        """Why no steps are read, or no figures published, just now; empty: they are."""
        if not self._owned:
            return "waiting for partitions of the facts topic"
        if not self.cells.is_alive():
            return "nobody publishes figures here"
        return f"figures are not published just now: {self.cells.away}" if self.cells.away else ""

    async def run(self, stop: threading.Event) -> None:
        """Read and fold until told to stop, or until Faust breaks down, which is an error: BrokerAway where the brokers
        have gone before it found them."""
        with TemporaryDirectory(prefix="gridpatrol-") as folder:
            try:
                await self._run(application(self.settings, self.topics, folder), stop)
            except KafkaConnectionError as error:
                raise BrokerAway(f"no broker answers any more at {self.settings.kafka}") from error

    async def _run(self, app: faust.App, stop: threading.Event) -> None:
        topic = app.topic(
            self.topics.facts,
            key_type=bytes,
            value_type=bytes,
            key_serializer="raw",
            value_serializer="raw",
            internal=False,
        )
        app.agent(topic, concurrency=1)(self._fold)
        app.on_partitions_assigned.connect(self._assigned, weak=False)
        app.on_partitions_revoked.connect(self._revoked, weak=False)
        # Its start waits for the brokers, however long they are away; a signal and the store do not wait for it.
        starting = asyncio.ensure_future(app.start())
        try:
            await self._watch(app, starting, stop)
        finally:
            await self._stopped(app)

    async def _fold(self, stream: Any) -> None:
        room = asyncio.Semaphore(IN_FLIGHT)
        loop = asyncio.get_running_loop()
        async for events in stream.noack_take(BATCH, within=WITHIN_S):
            await room.acquire()
            batch = [(e.message.partition, e.message.offset, e.message.value) for e in events]
            committed = asyncio.wrap_future(self.folding.submit(batch), loop=loop)
            committed.add_done_callback(partial(_acknowledge, events, room))

    async def _watch(self, app: faust.App, starting: "asyncio.Future[None]", stop: threading.Event) -> None:
        """Look at the store now and then; end with Faust, or when it cannot start."""
        waited = 0.0
        while not stop.is_set():
            await asyncio.sleep(0.1)
            if starting.done():
                starting.result()
            if app.crashed or app.should_stop:
                raise app.crash_reason or RuntimeError("Faust stopped by itself")
            waited += 0.1
            if waited >= LOOK_S:
                waited = 0.0
                self.folding.look()

    async def _stopped(self, app: faust.App) -> None:
        stopping = asyncio.ensure_future(app.stop())
        _, left = await asyncio.wait([stopping], timeout=STOP_S)  # it does not always let itself be cancelled
        if left:
            log.warning("Faust did not stop within %s s and is left behind", STOP_S)
            self.left = True
        else:
            stopping.result()

    def _assigned(self, *told: Any, **_: Any) -> None:
        self._own(len(told[-1]))

    def _revoked(self, *_: Any, **__: Any) -> None:
        self._own(0)

    def _own(self, partitions: int) -> None:
        self._owned = partitions
        self.folding.counts.owned.set(partitions)


def _acknowledge(events: Sequence[Any], room: asyncio.Semaphore, committed: "asyncio.Future[None]") -> None:
    """Acknowledge a batch that is committed; one that was given up at the end comes again."""
    room.release()
    if not committed.cancelled() and committed.exception() is None:
        for event in events:
            event.ack()

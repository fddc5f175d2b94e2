"""The roles of the distributed run, each a process: what it is made of, and when it ends.

A gateway, a worker, the performance or the alerts role, until SIGINT or SIGTERM; or, for role `all`, one process of
each, started again when one ends.
"""

import logging
import threading
import zlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

from consumers.alerts.publish import AlertPublisher
from engine.clock import now_ms
from engine.cluster import clients, preflight, topics
from engine.cluster.anchor_topic import AnchorTopic
from engine.cluster.gateway import Gateway
from engine.cluster.inbox import KafkaInbox
from engine.cluster.intake import Intake
from engine.cluster.publisher import Publisher
from engine.cluster.worker import Worker
from engine.errors import GridpatrolError
from engine.http.status import StatusServer
from engine.lease import WRITER, Lease, LeaseName
from engine.metrics.counters import Counters
from engine.operations.auditing import audited
from engine.operations.draws import Draws
from engine.operations.principal_changes import PrincipalChanges
from engine.principals import Principals
from engine.rehearsals import rehearse_active
from engine.runtime import Engine
from engine.settings import Settings
from engine.store import backup_file
from engine.store.audit import Act
from engine.store.database import Database, DriverError, open_database, unusable
from engine.wall_clock import WallClock
from gridpatrol import collector, options
from gridpatrol.run import supervision
from gridpatrol.run.assessing import assessor_of
from gridpatrol.run.chaining import chaining
from gridpatrol.run.channels import channels_of
from gridpatrol.run.endings import stopped_after, stopped_by_signals
from gridpatrol.run.kept_files import keeping
from gridpatrol.run.wiring import chores, consumer_of_alerts, read_pack
from schemas.topics import Topics
from workflows.policy.model import digest

log = logging.getLogger(__name__)

Opened = Callable[[str], None]
"""Called with the address when a role works."""


class RoleEnded(GridpatrolError):
    """A role ended by itself; its log says why."""


@contextmanager
def store(settings: Settings) -> Iterator[tuple[Database, Lease]]:
    """The database of a role, of this release. Roles share the writer's lease, and each keeps it: what needs it alone
    is refused. A database that goes away ends the role with a sentence, as one that never was there."""
    try:
        with ExitStack() as stack:
            database = open_database(settings.database)
            stack.callback(database.close)
            database.end_silence(clients.SILENCE_MS)  # what it has locked, others wait for
            lease = Lease(database, WRITER, shared=True)
            stack.callback(lease.close)
            database.check_schema()
            backup_file.check_restored(database)
            yield database, lease
    except DriverError as error:
        if (known := unusable(error)) is None:
            raise
        raise known from error


@contextmanager
def named(settings: Settings, database: Database) -> Iterator[Lease]:
    """This process's name, held: a second one of the same name would take turns with it for ever."""
    name = f"{settings.kafka_prefix}{clients.instance(settings)}"
    key = zlib.crc32(f"gridpatrol {settings.role} {name}".encode())
    lease = Lease(database, LeaseName(f"runs as {settings.role} {name} on", f".{name}.lease", key))
    try:
        yield lease
    finally:
        lease.close()


# ---- roles --------------------------------------------------------------------------------------------------


@contextmanager
def gateway(settings: Settings, counters: Counters) -> Iterator[Gateway]:
    """A running gateway, its intake included; the first one of an installation activates the settings' pack."""
    with store(settings) as (database, lease), ExitStack() as stack:
        inbox = KafkaInbox(settings, database, topics.open_inbox(settings, database))
        stack.callback(inbox.close)
        principals = PrincipalChanges(Principals(settings.principals))
        engine = Engine(database, settings, (), counters, [lease.keep, principals], inbox)
        engine.chores = [*engine.chores, *stack.enter_context(keeping(settings, database, counters, engine.wall))]
        install_first(settings, database, engine, inbox)
        writer = Gateway(engine)
        writer.start()
        stack.callback(writer.stop)
        intake = Intake(settings, writer, Principals(settings.principals))
        intake.start()
        stack.callback(intake.stop)
        stack.enter_context(assessor_of(writer, leased=True))
        anchors = AnchorTopic(settings)
        stack.callback(anchors.close)
        stack.enter_context(chaining(settings, database, anchors.publish, leased=True))
        draws = Draws(writer)
        draws.start()
        stack.callback(draws.stop)
        collector.spare()
        yield writer


def install_first(settings: Settings, database: Database, engine: Engine, inbox: KafkaInbox) -> None:
    """Gateways that start at once activate the first pack once."""
    lease = Lease(database, LeaseName("installs the first pack of", ".first.lease", 0x66697273), linger_s=30)
    try:
        engine.reload()
        without = [p for p in engine.rows if not engine.activations(p)]
        if without:
            # An activation is the first record of each of these partitions where it waits there for the owner; a
            # gateway that installed it may have been stopped in the middle.
            ends = inbox.ends()
            if not all(ends[p] > engine.rows[p].position for p in without):
                pack = read_pack(settings.pack)
                with audited(database, options.operator(), Act.PACK_ACTIVATED, digest(pack)):
                    engine.install(pack, engine.stamp(engine.rows))
    finally:
        lease.close()


def worker(settings: Settings, stop: threading.Event, opened: Opened) -> None:
    """Own partitions until stopped."""
    counters = Counters()
    with store(settings) as (database, lease), named(settings, database) as name:
        origin = topics.open_inbox(settings, database)
        member = Worker(settings, database, origin, counters, [lease.keep, name.keep], stop)
        rehearse_active(member.engine, now_ms())
        counters.ready.set_function(lambda: not member.ready())
        status = StatusServer(settings.listen, counters.registry, member.ready, member.remark)
        collector.spare()
        opened(status.url)
        try:
            member.run()
        finally:
            status.close()


def telling(settings: Settings, stop: threading.Event, opened: Opened) -> None:
    """Fold and tell alerts, publish them and the dead letters; or stand by while another process does."""
    counters = Counters()
    with store(settings) as (database, lease):
        names = Topics(settings.kafka_prefix)
        preflight.require(settings, database, (names.alerts, names.deadletter))
        wall = WallClock(database)
        counters.clock_doubted.set_function(lambda: bool(wall.belief.doubt))
        fold, looks = consumer_of_alerts(counters, wall), [lease.keep, *chores(counters, settings, wall)]

        def look_after(database: Database) -> None:
            wall.look({}, ())
            wall.log_changes()
            for look in looks:
                look(database)

        publisher = Publisher(settings, settings.role)
        teller = AlertPublisher(database, publisher, names, counters, fold, look_after)

        def waits_for() -> str:
            return teller.away or str(wall.doubt() or "")

        counters.ready.set_function(lambda: not waits_for())
        status = StatusServer(settings.listen, counters.registry, waits_for)
        teller.start()
        collector.spare()
        with channels_of(settings, database, counters, leased=True):
            opened(status.url)
            while teller.is_alive() and not stop.wait(0.2):
                pass
            teller.stop()
        status.close()
    if teller.failure is not None:
        raise RoleEnded(f"the telling of alerts stopped: {teller.failure}") from teller.failure


def performance(settings: Settings, stop: threading.Event, opened: Opened) -> None:
    """Fold steps into figures."""
    with collector.loading():
        from consumers.performance import faust_app  # faust takes a second to import

    collector.spare()
    faust_app.run(settings, stop, opened)


def run(settings: Settings, opened: Opened, seconds: float | None = None) -> None:
    """One role other than the gateway, until a signal or for so many seconds."""
    stop = threading.Event()
    with stopped_by_signals(stop), stopped_after(seconds, stop.set):
        ROLE[settings.role](settings, stop, opened)


# ---- all of them --------------------------------------------------------------------------------------------


def everything(settings: Settings, stop: threading.Event, opened: Opened) -> None:
    """One process per role; one that ends is started again. What would end them all at their start ends this one."""
    with store(settings) as (database, _):
        topics.open_inbox(settings, database)
    supervision.keep(settings, stop)


ROLE: dict[str, Callable[[Settings, threading.Event, Opened], None]] = {
    "all": everything,
    "worker": worker,
    "performance": performance,
    "alerts": telling,
}

"""A database opened for a command: settings, connection, lease, schema, engine, pack.

`reading` gives a database that may be read while a server writes to it; `writing` gives an engine under the lease, with
its consumers, on a schema of this release.
"""

import logging
import re
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec

from consumers.alerts import fold, telling
from engine import logs
from engine.errors import WRONG, GridpatrolError, LeaseTaken, PackUnusable
from engine.lease import Lease
from engine.metrics.counters import Counters
from engine.operations.auditing import audited
from engine.operations.retention import LetterRetention
from engine.packs import check_folder, check_pack, folder_of
from engine.rehearsals import rehearse, rehearse_active
from engine.runtime import Chore, Consumer, Engine
from engine.settings import Settings, read_settings
from engine.store import backup_file, inbox_table, sealed
from engine.store.alerts import DeliveryRow
from engine.store.audit import Act
from engine.store.database import Database, file_of, open_database
from engine.store.meta import read_meta
from engine.wall_clock import WallClock
from gridpatrol import options
from gridpatrol.client import Server
from gridpatrol.run.following import follow
from workflows.policy import model
from workflows.policy.index import Policy
from workflows.policy.model import Pack, digest

log = logging.getLogger(__name__)

BEFORE_ALL = 1
"""The stamp of a pack that was active before the first event of a replayed file, whenever that was."""
DOOR = "door"
"""Name in `meta` under which a server leaves its address."""
TELL_EVERY_S = 1.0
"""How often alerts are looked for whose time to be told has come."""


class NothingThere(GridpatrolError):
    """The database of a reading command does not exist."""

    remedy = "Name another with --database or GRIDPATROL_DATABASE; the demo's is sqlite:///var/demo.db."


def settings_of(**flags: Any) -> Settings:
    """The settings of this run, and logs as they say."""
    settings = read_settings(flags)
    logs.configure(settings.log_format, settings.log_level)
    return settings


def defaults(settings: Settings, **values: Any) -> Settings:
    """The settings with other values where nobody said anything: a command's own defaults."""
    plain = Settings()
    changes = {name: value for name, value in values.items() if getattr(settings, name) == getattr(plain, name)}
    return msgspec.structs.replace(settings, **changes)


def server_of(settings: Settings, database: Database | None = None) -> Server:
    """The server that was named with --server; else the one that writes to a database, as it left its address there;
    else where the settings say it listens."""
    address: str | None = options.server_named()
    if database is not None and not address:
        with database.read() as connection:
            address = read_meta(connection, DOOR)
    there = address or f"{'https' if settings.tls_cert else 'http'}://{settings.listen}"
    return Server(there, token=options.token(), ca=settings.tls_ca, account=options.account())


def writer_of(settings: Settings) -> Server:
    """The server that writes to the database of the settings, or the one that was named."""
    with reading(settings) as database:
        return server_of(settings, database)


def shown(url: str) -> str:
    """A database's URL without its password."""
    return re.sub(r"(://[^:/@]*:)[^@/]*@", r"\1***@", url)


def is_empty(database: Database) -> bool:
    """Whether no release has ever put tables there."""
    with database.db.connect() as connection:
        return not database.db.dialect.has_table(connection, "alembic_version")


def exists(url: str) -> bool:
    """Whether a SQLite file is there. A server's database is asked when it is opened."""
    file = file_of(url)
    return file is None or file.is_file()


class LogIsTopic(LeaseTaken):
    """The log of this database is a Kafka topic, which commands write to through a gateway."""

    remedy = "Start `gridpatrol serve` with GRIDPATROL_KAFKA set."
    exit_status = WRONG


@contextmanager
def whole_log(settings: Settings, database: Database) -> Iterator[Engine]:
    """An engine for reading the log to its end, wherever it lies; it decides nothing."""
    with database.read() as connection:
        in_topic = read_meta(connection, inbox_table.TOPIC) is not None
    if not in_topic:
        yield Engine(database, settings, (), Counters())
        return
    if not settings.kafka:
        raise LogIsTopic(f"the log of {shown(settings.database)} goes on in a topic")
    from engine.cluster import topics  # Kafka's client may not be installed
    from engine.cluster.inbox import KafkaInbox

    topic = KafkaInbox(settings, database, topics.open_inbox(settings, database))
    try:
        yield Engine(database, settings, (), Counters(), (), topic)
    finally:
        topic.close()


@contextmanager
def reading(settings: Settings) -> Iterator[Database]:
    """A database to read from. A file that is not there is not made."""
    if not exists(settings.database):
        raise NothingThere(f"there is no database at {shown(settings.database)}")
    database = open_database(settings.database)
    try:
        if is_empty(database):
            raise NothingThere(f"nothing has been stored at {shown(settings.database)}")
        database.check_schema()
        yield database
    finally:
        database.close()


@contextmanager
def writing(settings: Settings, counters: Counters | None = None, *, listening: bool = True) -> Iterator[Engine]:
    """An engine under the lease, with its consumers if they are `listening`; an empty database is set up."""
    if settings.kafka:
        raise LogIsTopic("only a gateway appends to a topic")
    database = open_database(settings.database)
    lease: Lease | None = None
    try:
        lease = Lease(database)
        if is_empty(database):
            database.upgrade()
        database.check_schema()
        backup_file.check_restored(database)
        with database.read() as connection:
            if read_meta(connection, inbox_table.TOPIC) is not None:
                raise LogIsTopic(f"the log of {database.url.render_as_string(hide_password=True)} is a topic")
        counters, wall = counters or Counters(), WallClock(database)
        if not listening:
            yield Engine(database, settings, (), counters, (), None, wall)
        else:
            looks = [lease.keep, *chores(counters, settings, wall)]
            yield Engine(database, settings, consumers(counters, wall), counters, looks, None, wall)
    finally:
        if lease is not None:
            lease.close()
        database.close()


def consumers(counters: Counters, wall: WallClock) -> list[Consumer]:
    """What follows the steps in one process: figures and alerts. Lines of the feed are counted."""
    count = _counter_of_alerts(counters)
    return [lambda database, at_hand: follow(database, at_hand, now=wall.known_instant(), heard=count)]


def consumer_of_alerts(counters: Counters, wall: WallClock) -> Callable[[Database], int]:
    """Folds steps into alerts alone, and counts those that it tells."""
    count = _counter_of_alerts(counters)
    return lambda database: fold.consume(database, now=wall.known_instant(), heard=count)


def chores(counters: Counters, settings: Settings, wall: WallClock) -> list[Chore]:
    """The telling of alerts that have waited long enough; of what was erased, the end in a journal that was held; the
    emptying of old dead letters."""
    last_s, count = 0.0, _counter_of_alerts(counters)

    def tell_waiting(database: Database) -> None:
        nonlocal last_s
        if time.monotonic() - last_s >= TELL_EVERY_S:
            last_s = time.monotonic()
            if fold.tell(database, wall.known_instant(), count) >= telling.PAGE:
                last_s = 0.0  # there may be more, and whoever else wants the database comes in between
            held = database.holds_erased
            if held is not False and database.forget_erased(sealed.TABLE) and held:
                log.info("journal.emptied")

    return [tell_waiting, LetterRetention(settings, wall.known_instant)]


def _counter_of_alerts(counters: Counters) -> fold.Heard:
    """Counts the lines that the feed has told, and the notices among them by move."""
    told = counters.deliveries.labels("feed", "told")

    def count(lines: list[DeliveryRow]) -> None:
        told.inc(len(lines))
        for move, number in Counter(filter(None, map(telling.move_of, lines))).items():
            counters.notices.labels(move).inc(number)

    return count


def read_pack(name: str) -> Pack:
    """The compiled pack of a folder, of a shipped pack by its name, or of a file that holds it compiled; its errors are
    one sentence each."""
    if name.endswith(".json") and Path(name).is_file():
        return read_compiled(Path(name))
    pack, problems = check_folder(name)
    errors = [str(problem) for problem in problems if problem.severity == "error"]
    if pack is None or errors:
        raise PackUnusable(f"the pack in {folder_of(name)} cannot be used: " + "; ".join(errors[:3]))
    return pack


def read_compiled(file: Path) -> Pack:
    """The pack that a file holds as the database holds it."""
    try:
        pack = model.decode(file.read_bytes())
    except msgspec.DecodeError as error:
        raise PackUnusable(f"{file} holds no compiled pack: {error}") from error
    if errors := [str(found) for found in check_pack(pack) if found.severity == "error"]:
        raise PackUnusable(f"the pack in {file} cannot be used: " + "; ".join(errors[:3]))
    return pack


def install_if_empty(engine: Engine, stamp: int | None = None) -> Policy:
    """The active pack. On an empty database the pack of the settings becomes it, through the log. The rules are tried
    under it before the log is touched."""
    rehearse_active(engine, stamp or engine.now())
    engine.drain(None if stamp else engine.now())
    active = engine.active()
    if active is None:
        pack = read_pack(engine.settings.pack)
        rehearse(Policy(pack, digest(pack)), stamp or engine.now())
        with audited(engine.database, options.operator(), Act.PACK_ACTIVATED, digest(pack)):
            engine.install(pack, stamp or engine.stamp(engine.rows))
        engine.drain(None)
        active = engine.active()
    assert active is not None
    return active

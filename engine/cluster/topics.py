"""The topics: created with the settings that the engine needs, checked, and tied to a database.

`inbox` in the table `meta` says which topic the log of the database is, and at which position of each partition that
topic begins (`bases`). A database whose log was a table goes on where the table ends, and publishes what is new:
earlier steps, lines and letters count as published. Figures are all published, since only the last value of each
counts.
"""

from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

from kafka import KafkaAdminClient, TopicPartition
from kafka.admin import ConfigResource, ConfigResourceType, OffsetSpec
from kafka.errors import KafkaError, TopicAlreadyExistsError

from engine.cluster import clients
from engine.cluster.relay import NAME as STEPS
from engine.errors import DatabaseUnusable, LeaseTaken, LogMismatch, TopicsUnusable
from engine.lease import Lease
from engine.settings import Settings
from engine.store import inbox_table, outbox, slices, unpublished_figures
from engine.store.database import Connection, Database
from engine.store.meta import read_meta, write_meta
from engine.store.positions import PositionRow, write_positions
from schemas.topics import Topics

WEEK_MS = 7 * 24 * 3_600_000
CHOSEN = ("retention.ms", "retention.bytes")
"""Settings that an operator may change once the installation runs."""

Adopt = Callable[[Connection, Settings, KafkaAdminClient], list[str]]
"""Goes on with the topic as it is. Returns what that costs, a line for each partition."""


class AnotherLog(LogMismatch):
    """The inbox topic is another one than this database has decided records of."""

    remedy = (
        "Check GRIDPATROL_KAFKA, GRIDPATROL_KAFKA_PREFIX and GRIDPATROL_DATABASE: two of them do not belong together. "
        "If the topic was lost for good, `gridpatrol topic create --adopt` says what going on without it costs."
    )


class NotShared(DatabaseUnusable):
    """Several processes share the database of the distributed run; SQLite belongs to one."""

    remedy = "Move it first: `gridpatrol db copy --from sqlite:///FILE --database postgresql://USER@HOST/NAME`."


class StillServed(LeaseTaken):
    """The log becomes a topic where its table ends, so nobody may append to the table meanwhile."""

    remedy = "Stop its server first."


def wanted(settings: Settings, count: int, replication: int, systems: list[str]) -> dict[str, dict[str, Any]]:
    """Every topic with its settings.

    Nothing of the inbox and of the anchors is deleted unless an operator says so, and the broker stamps the records of
    the inbox. Facts are kept a week: the store has them all.
    """
    names = Topics(settings.kafka_prefix)
    safe = {
        "min.insync.replicas": in_sync(replication),
        "unclean.leader.election.enable": "false",
        "max.message.bytes": str(clients.MESSAGE_BYTES + 4096),
    }
    stamped = {"message.timestamp.type": "LogAppendTime"}
    week = {"retention.ms": str(WEEK_MS)}
    plans: dict[str, tuple[int, dict[str, str]]] = {
        names.inbox: (count, stamped | {"retention.ms": "-1", "retention.bytes": "-1", "cleanup.policy": "delete"}),
        names.facts: (count, week),
        names.alerts: (1, week),
        names.deadletter: (1, week),
        names.performance: (count, {"cleanup.policy": "compact"}),
        names.anchors: (1, {"retention.ms": "-1", "retention.bytes": "-1", "cleanup.policy": "delete"}),
    }
    plans |= {names.intake(system): (min(count, 4), stamped | week) for system in systems}
    return {
        name: {"num_partitions": partitions, "replication_factor": replication, "configs": safe | configs}
        for name, (partitions, configs) in plans.items()
    }


def create(
    settings: Settings, database: Database, replication: int | None, systems: list[str], adopt: Adopt | None = None
) -> dict[str, str]:
    """Create missing topics, mend those that differ, tie the database to its inbox. Returns what was done, by topic.

    The first time, and to `adopt` another inbox, no process may write to the database: NotShared, StillServed.
    Otherwise roles may run.
    """
    if database.dialect != "postgresql":
        raise NotShared(f"the roles cannot share {database.url.render_as_string(hide_password=True)}")
    with ExitStack() as stack:
        tied = is_tied(database)
        if not tied or adopt:
            try:
                stack.callback(Lease(database).close)
            except LeaseTaken as error:
                raise StillServed(str(error.args[0])) from error
        count = _partitions(settings, database)
        admin = clients.admin(settings)
        stack.callback(admin.close)
        try:
            replication = replication or min(3, len(admin.describe_cluster()["brokers"]))
            plans = wanted(settings, count, replication, systems)
            done = {name: _ensure(admin, name, plan, tied) for name, plan in plans.items()}
            with database.begin() as connection:
                if tied and adopt:
                    done |= dict.fromkeys(adopt(connection, settings, admin), "adopted")
                if inbox_table.read_origin(connection) is not None:
                    check_origin(connection, settings, admin)
                else:
                    _tie(connection, settings, admin, count)
        except KafkaError as error:
            raise clients.translated(settings, error) from error
    return done


def is_tied(database: Database) -> bool:
    """Whether the log of this database is a topic."""
    with database.read() as connection:
        return inbox_table.read_origin(connection) is not None


def _partitions(settings: Settings, database: Database) -> int:
    """How many partitions the database has. An empty one gets those of the settings."""
    with database.begin() as connection:
        found = read_meta(connection, "partitions")
        if found is None:
            write_meta(connection, "partitions", str(settings.partitions))
            inbox_table.create_partitions(connection, settings.partitions)
    count = int(found or settings.partitions)
    if settings.partitions not in (count, Settings().partitions):
        raise LogMismatch(
            f"the database has {count} partitions, for good, and the settings say {settings.partitions}: "
            f"set GRIDPATROL_PARTITIONS={count}"
        )
    return count


def _ensure(admin: KafkaAdminClient, name: str, plan: dict[str, Any], tied: bool) -> str:
    """Create a topic, or mend its settings. Returns what was done."""
    try:
        admin.create_topics({name: plan}, wait_for_metadata=True)
        return "created"
    except TopicAlreadyExistsError:
        pass
    partitions = admin.describe_topics([name])[0]["partitions"]
    if len(partitions) != plan["num_partitions"]:
        needed = plan["num_partitions"]
        raise TopicsUnusable(f"topic {name} has {len(partitions)} partitions, it needs {needed}: delete it first")
    mended = {key: value for key, value in plan["configs"].items() if not (tied and key in CHOSEN)}
    copies = min(len(partition["replica_nodes"]) for partition in partitions)
    mended["min.insync.replicas"] = in_sync(copies)
    admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, name, mended)])
    most = plan["replication_factor"]
    if copies == most:
        return "exists"
    return f"exists with {copies} instead of {most} copies (kafka-reassign-partitions.sh adds; then run this again):"


def in_sync(copies: int) -> str:
    """How many copies a write needs. Where there are several brokers, one may die."""
    return str(max(1, copies - 1))


def _tie(connection: Connection, settings: Settings, admin: KafkaAdminClient, count: int) -> None:
    """Make the topic the log of the database: it goes on where the table ends."""
    name = Topics(settings.kafka_prefix).inbox
    ends = admin.list_partition_offsets({TopicPartition(name, p): OffsetSpec.LATEST for p in range(count)})
    filled = sorted(place.partition for place, found in ends.items() if found.offset > 0)
    if filled:
        raise LogMismatch(
            f"topic {name} holds records of another database, in partitions {filled[:5]}: "
            "name topics of its own for this one by GRIDPATROL_KAFKA_PREFIX, or delete that one"
        )
    heads = dict.fromkeys(range(count), 0) | inbox_table.read_heads(connection)
    origin = inbox_table.Origin(*identity(settings, admin), [heads[p] for p in range(count)])
    inbox_table.write_origin(connection, origin)
    rows = slices.read_partitions(connection)
    write_positions(connection, [PositionRow(STEPS, row.partition, row.n) for row in rows])
    outbox.mark_all(connection)
    unpublished_figures.note_all(connection)


def origin_of(connection: Connection) -> inbox_table.Origin:
    """Which topic the log is; TopicsUnusable where it is a table."""
    origin = inbox_table.read_origin(connection)
    if origin is None:
        raise TopicsUnusable("this database's log is not a topic yet")
    return origin


def check_origin(connection: Connection, settings: Settings, admin: KafkaAdminClient) -> inbox_table.Origin:
    """The origin. TopicsUnusable where there is none; LogMismatch where the brokers have another topic of that name."""
    origin = origin_of(connection)
    found = identity(settings, admin)
    if found != (origin.cluster, origin.topic):
        raise AnotherLog(
            f"the inbox topic of {settings.kafka} is {'/'.join(found)}, this database has decided records of "
            f"{origin.cluster}/{origin.topic}: their positions mean nothing here"
        )
    return origin


def identity(settings: Settings, admin: KafkaAdminClient) -> tuple[str, str]:
    """The ids that the brokers gave to themselves and to the inbox: another topic of the same name has another."""
    name = Topics(settings.kafka_prefix).inbox
    [found] = clients.described(settings, admin, [name])
    if found["error_code"]:
        raise TopicsUnusable(f"there is no topic {name}")
    return str(admin.describe_cluster()["cluster_id"]), str(found["topic_id"])


def open_inbox(settings: Settings, database: Database) -> inbox_table.Origin:
    """Check at start that brokers and database belong together, and that the inbox is stamped by the brokers."""
    admin = clients.admin(settings)
    try:
        with database.read() as connection:
            origin = check_origin(connection, settings, admin)
        name = Topics(settings.kafka_prefix).inbox
        asked = ConfigResource(ConfigResourceType.TOPIC, name, {"message.timestamp.type": None})
        configs = admin.describe_configs([asked], config_filter="all")
        stamped = configs["topic"][name]["message.timestamp.type"]["value"]
        if stamped != "LogAppendTime":
            raise TopicsUnusable(
                f"topic {name} takes the senders' stamps ({stamped}): a record's arrival is the broker's"
            )
        return origin
    except KafkaError as error:
        raise clients.translated(settings, error) from error
    finally:
        admin.close()

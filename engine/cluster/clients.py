"""Clients of the brokers: from settings, with what was learnt about this library.

In: settings. Out: consumers, producers, an admin client; errors that tell a broker that is away (`BrokerAway`) from one
that says no (`BrokerRefuses`): the library tells both as the same time-out, so brokers are asked before it is.
"""

import socket
import ssl
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import Any, TypeVar

from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer
from kafka.errors import (
    AuthorizationError,
    BrokerResponseError,
    ClusterAuthorizationFailedError,
    GroupAuthorizationFailedError,
    KafkaConfigurationError,
    KafkaError,
    SaslAuthenticationFailedError,
    TopicAuthorizationFailedError,
)
from kafka.structs import MemberState

from engine.cluster.probe import await_welcome
from engine.errors import BrokerAway, BrokerRefuses, SettingsError
from engine.settings import Settings

Client = TypeVar("Client")

BOOTSTRAP_MS = 10_000
"""How long a client looks for its brokers."""
DELIVERY_MS = 30_000
"""How long something may stay without an acknowledgement; then all that was sent is given up, and its producer."""
SILENCE_MS = 45_000
"""A role's transaction that says nothing for so long is ended by PostgreSQL: the role was stopped, or its machine is
gone, and others wait for its locks. All that a role waits for within one are the brokers, which takes less."""
NEVER_MS = 24 * 3_600_000
"""A producer itself gives nothing up: it would go on with what lies behind."""
MESSAGE_BYTES = 4 * 1024 * 1024
"""The largest message. An event has 256 KiB at most, and a step says little of it twice."""
METADATA_MS = 10_000
"""How soon a new topic or leader is noticed; the library's five minutes are an outage."""
UNSEATED_S = 15.0
"""Who has waited so long for a change of the group to end makes a fresh client and joins by that: this library can wait
for ever for an answer that has come. Where others keep the group waiting, nothing is lost by it."""
FIND_MS = 10_000
"""How long brokers may take to say which topics there are."""
MECHANISMS = ("SCRAM-SHA-512", "SCRAM-SHA-256", "PLAIN")
RIGHTS = "`gridpatrol topic create --acls` gives each role and system its rights."
SILENT_S = 10
"""A connection on which nothing comes for so long is probed: one that is cut in mid-handshake would stay for ever."""
_PROBES = {"TCP_KEEPIDLE": SILENT_S, "TCP_KEEPINTVL": 5, "TCP_KEEPCNT": 3}


def common(settings: Settings, name: str) -> dict[str, Any]:
    """What every client is told. SettingsError where something is missing."""
    if not settings.kafka:
        raise SettingsError("kafka is not set: name the brokers, e.g. GRIDPATROL_KAFKA=broker-1:9092,broker-2:9092")
    told: dict[str, Any] = {
        "bootstrap_servers": settings.kafka.split(","),
        "client_id": f"gridpatrol-{name}",
        "security_protocol": settings.kafka_security,
        "metadata_max_age_ms": METADATA_MS,
        "bootstrap_timeout_ms": BOOTSTRAP_MS,
        "reconnect_backoff_max_ms": 1000,
        "socket_options": _socket_options(),
    }
    if settings.kafka_security.endswith("SSL"):
        told["ssl_context"] = tls(settings)
    if settings.kafka_security.startswith("SASL"):
        if settings.kafka_mechanism not in MECHANISMS:
            raise SettingsError(f"kafka_mechanism must be one of {', '.join(MECHANISMS)}")
        if not settings.kafka_user:
            raise SettingsError(f"kafka_security {settings.kafka_security} needs kafka_user")
        told |= {
            "sasl_mechanism": settings.kafka_mechanism,
            "sasl_plain_username": settings.kafka_user,
            "sasl_plain_password": password(settings),
        }
    return told


def _socket_options() -> list[tuple[int, int, int]]:
    """Answers at once, and a peer that is gone without a word is noticed."""
    probes = [
        (socket.IPPROTO_TCP, getattr(socket, name), value) for name, value in _PROBES.items() if hasattr(socket, name)
    ]
    return [(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1), (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1), *probes]


def tls(settings: Settings) -> ssl.SSLContext:
    """Whom we trust, and by which certificate we are known. The brokers' names are checked always."""
    ca = str(_existing(settings.kafka_ca, "kafka_ca")) if settings.kafka_ca else None
    try:
        context = ssl.create_default_context(cafile=ca)
    except ssl.SSLError as error:
        raise SettingsError(f"kafka_ca: {ca} holds no certificate in PEM: {error.reason}") from error
    if settings.kafka_cert:
        key = _existing(settings.kafka_key, "kafka_key") if settings.kafka_key else None
        try:
            context.load_cert_chain(_existing(settings.kafka_cert, "kafka_cert"), key)
        except ssl.SSLError as error:
            raise SettingsError(f"kafka_cert, kafka_key: no certificate with its key in PEM: {error.reason}") from error
    return context


def password(settings: Settings) -> str:
    """The password of the settings' user. A line's end is not part of it, everything else is."""
    return _existing(settings.kafka_password_file, "kafka_password_file").read_text(encoding="utf-8").rstrip("\r\n")


def _existing(path: str, name: str) -> Path:
    if not path or not Path(path).is_file():
        raise SettingsError(f"{name}: there is no file {path!r}")
    return Path(path)


def producer(settings: Settings, name: str) -> KafkaProducer:
    """Idempotent, acknowledged by all in-sync replicas, never transactional: a log's offsets must have no gaps."""
    told = common(settings, name) | {
        "acks": "all",
        "linger_ms": 2,
        "batch_size": 131_072,
        "delivery_timeout_ms": NEVER_MS,
        "metrics_enabled": False,
        "request_timeout_ms": 10_000,
        "max_block_ms": 10_000,
        "max_request_size": MESSAGE_BYTES,
    }
    return connected(settings, told, KafkaProducer)


def consumer(settings: Settings, name: str, **more: Any) -> KafkaConsumer:
    """Without a group unless `more` names one. It commits nothing by itself."""
    told = common(settings, name) | {
        "enable_auto_commit": False,
        "auto_offset_reset": "earliest",
        "max_poll_records": 2000,
        "metrics_enabled": False,
        "fetch_max_wait_ms": 250,
        "max_partition_fetch_bytes": 4 * 1024 * 1024,
        "session_timeout_ms": settings.kafka_session_ms,
        "heartbeat_interval_ms": settings.kafka_session_ms // 4,
        "isolation_level": "read_committed",
    }
    return connected(settings, told | more, KafkaConsumer)


def seated(consumer: KafkaConsumer) -> bool:
    """Whether a member has its place in the group, with or without partitions."""
    return bool(consumer.group_metadata().state == MemberState.STABLE)


def known(consumer: KafkaConsumer, topics: Collection[str]) -> list[str]:
    """Those of these topics that the brokers know. KafkaTimeoutError, where the library itself would wait for ever: it
    asks again and again while it finds no broker to ask."""
    cluster = consumer._cluster
    if not all(map(cluster.partitions_for_topic, topics)):
        if cluster.metadata_refresh_in_progress:  # of other topics
            consumer._net.run(consumer._manager.wait_for, cluster.request_update(), FIND_MS)
        all_of_them, cluster.need_all_topic_metadata = cluster.need_all_topic_metadata, True
        try:
            consumer._net.run(consumer._manager.wait_for, cluster.request_update(), FIND_MS)
        finally:
            cluster.need_all_topic_metadata = all_of_them
    return sorted(filter(cluster.partitions_for_topic, topics))


def admin(settings: Settings) -> KafkaAdminClient:
    """For topics and rights."""
    return connected(settings, common(settings, "admin"), KafkaAdminClient)


def instance(settings: Settings) -> str:
    """This process's name among those of its role, the same after a restart."""
    return settings.instance or f"{settings.role}@{socket.gethostname()}"


# ---- what a failure means -----------------------------------------------------------------------------------


def connected(settings: Settings, told: dict[str, Any], kind: Callable[..., Client]) -> Client:
    """A client, or why there is none: nobody listens at any address, or somebody does and says no."""
    await_welcome(told, BOOTSTRAP_MS / 1000)
    try:
        return kind(**told)
    except KafkaConfigurationError as error:
        raise SettingsError(f"{error}") from error
    except KafkaError as error:
        raise told_apart(settings, error) from error


def told_apart(settings: Settings, error: Exception, topic: str = "") -> BrokerAway | BrokerRefuses:
    """An error of the library as one of ours. `topic`: what was written to, where the error does not say it."""
    if isinstance(error, AuthorizationError) or ClusterAuthorizationFailedError.__name__ in str(error):
        denied = f"{settings.kafka} does not let {_user(settings)} {_denied(error, topic)}"
        return BrokerRefuses(denied, remedy=RIGHTS)
    if isinstance(error, SaslAuthenticationFailedError):
        return BrokerRefuses(f"{settings.kafka} refuses {_user(settings)}: {error}")
    if isinstance(error, BrokerResponseError) and not error.retriable:
        return BrokerRefuses(f"{settings.kafka} answers {_user(settings)}: {error}", remedy="")
    return BrokerAway(f"no broker answers at {settings.kafka} ({type(error).__name__}: {error})")


def _user(settings: Settings) -> str:
    return f"user {settings.kafka_user!r}" if settings.kafka_user else "a client without a user"


def described(settings: Settings, admin: KafkaAdminClient, names: Sequence[str]) -> list[dict[str, Any]]:
    """What the brokers know of topics. BrokerRefuses where this user is not shown them."""
    found: list[dict[str, Any]] = admin.describe_topics(list(names))
    denied = [topic["name"] for topic in found if topic["error_code"] == TopicAuthorizationFailedError.errno]
    if denied:
        raise told_apart(settings, TopicAuthorizationFailedError(denied))
    return found


def _denied(error: Exception, topic: str) -> str:
    """What is not allowed: the library names topics and groups one way here, another way there."""
    if not isinstance(error, (TopicAuthorizationFailedError, GroupAuthorizationFailedError)):
        # Said of the cluster, not of a topic.
        return f"write to {topic}, or to any topic" if topic else "do what only an administrator may"
    named: list[str] = []
    for word in error.args:
        named += sorted(map(str, word)) if isinstance(word, (set, list)) else [str(word)]
    what = type(error).__name__.removesuffix("AuthorizationFailedError").lower()
    return f"use {what} {', '.join(named)}"

"""Clients of the brokers, made from the settings.

The brokers are asked before a client is made (`probe`), because the library reports a refusal as a time-out. Errors say
whether a broker is away (`BrokerAway`) or answers and says no (`BrokerRefuses`).
"""

import socket
import ssl
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer
from kafka.errors import (
    BrokerResponseError,
    KafkaConfigurationError,
    KafkaError,
    SaslAuthenticationFailedError,
    TopicAuthorizationFailedError,
)

from engine.cluster import kafka_quirks
from engine.cluster.probe import await_welcome
from engine.errors import BrokerAway, BrokerRefuses, SettingsError
from engine.settings import Settings

Client = TypeVar("Client")

BOOTSTRAP_MS = 10_000
"""How long a client looks for its brokers."""
DELIVERY_MS = 30_000
"""How long a message may stay without an acknowledgement; then all that was sent is given up, and its producer."""
SILENCE_MS = 45_000
"""PostgreSQL ends a transaction of a role that is silent for so long: the role was stopped or its machine is gone, and
others wait for its locks. Within a transaction a role waits for the brokers only, which takes less."""
MESSAGE_BYTES = 4 * 1024 * 1024
"""The largest message. An event has 256 KiB at most, and a step repeats little of it."""
METADATA_MS = 10_000
"""How soon a new topic or leader is noticed. The library's default, five minutes, would be an outage."""
FIND_MS = 10_000
"""How long brokers may take to say which topics there are."""
MECHANISMS = ("SCRAM-SHA-512", "SCRAM-SHA-256", "PLAIN")
RIGHTS = "`gridpatrol topic create --acls` gives each role and system its rights."


def common(settings: Settings, name: str) -> dict[str, Any]:
    """The options of every client. SettingsError where something is missing."""
    if not settings.kafka:
        raise SettingsError("kafka is not set: name the brokers, e.g. GRIDPATROL_KAFKA=broker-1:9092,broker-2:9092")
    options: dict[str, Any] = {
        "bootstrap_servers": settings.kafka.split(","),
        "client_id": f"gridpatrol-{name}",
        "security_protocol": settings.kafka_security,
        "metadata_max_age_ms": METADATA_MS,
        "bootstrap_timeout_ms": BOOTSTRAP_MS,
        "reconnect_backoff_max_ms": 1000,
        "socket_options": kafka_quirks.socket_options(),
    }
    if settings.kafka_security.endswith("SSL"):
        options["ssl_context"] = tls(settings)
    if settings.kafka_security.startswith("SASL"):
        if settings.kafka_mechanism not in MECHANISMS:
            raise SettingsError(f"kafka_mechanism must be one of {', '.join(MECHANISMS)}")
        if not settings.kafka_user:
            raise SettingsError(f"kafka_security {settings.kafka_security} needs kafka_user")
        options |= {
            "sasl_mechanism": settings.kafka_mechanism,
            "sasl_plain_username": settings.kafka_user,
            "sasl_plain_password": password(settings),
        }
    return options


def tls(settings: Settings) -> ssl.SSLContext:
    """The authorities to trust and our own certificate. The brokers' host names are always checked."""
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
    """The password of the settings' user. The end of the line is not part of it, everything else is."""
    return _existing(settings.kafka_password_file, "kafka_password_file").read_text(encoding="utf-8").rstrip("\r\n")


def _existing(path: str, name: str) -> Path:
    if not path or not Path(path).is_file():
        raise SettingsError(f"{name}: there is no file {path!r}")
    return Path(path)


def producer(settings: Settings, name: str) -> KafkaProducer:
    """A producer: idempotent, acknowledged by all in-sync replicas. It is never transactional, because the offsets of a
    log must have no gaps."""
    options = common(settings, name) | {
        "acks": "all",
        "linger_ms": 2,
        "batch_size": 131_072,
        "delivery_timeout_ms": kafka_quirks.NO_DELIVERY_TIMEOUT_MS,
        "metrics_enabled": False,
        "request_timeout_ms": 10_000,
        "max_block_ms": 10_000,
        "max_request_size": MESSAGE_BYTES,
    }
    return connected(settings, options, KafkaProducer)


def consumer(settings: Settings, name: str, **more: Any) -> KafkaConsumer:
    """A consumer, without a group unless `more` names one. It commits nothing by itself."""
    options = common(settings, name) | {
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
    return connected(settings, options | more, KafkaConsumer)


def admin(settings: Settings) -> KafkaAdminClient:
    """A client for topics and rights."""
    return connected(settings, common(settings, "admin"), KafkaAdminClient)


def instance(settings: Settings) -> str:
    """This process's name among those of its role, the same after a restart."""
    return settings.instance or f"{settings.role}@{socket.gethostname()}"


# ---- errors -------------------------------------------------------------------------------------------------


def connected(settings: Settings, options: dict[str, Any], kind: Callable[..., Client]) -> Client:
    """A client of a kind; BrokerAway, BrokerRefuses or SettingsError where there can be none."""
    await_welcome(options, BOOTSTRAP_MS / 1000)
    try:
        return kind(**options)
    except KafkaConfigurationError as error:
        raise SettingsError(f"{error}") from error
    except KafkaError as error:
        raise translated(settings, error) from error


def translated(settings: Settings, error: Exception, topic: str = "") -> BrokerAway | BrokerRefuses:
    """An error of the library as one of ours. `topic`: what was written to, where the error does not say it."""
    user = f"user {settings.kafka_user!r}" if settings.kafka_user else "a client without a user"
    if kafka_quirks.is_denied(error):
        if names := kafka_quirks.denied_names(error):
            what = type(error).__name__.removesuffix("AuthorizationFailedError").lower()
            action = f"use {what} {', '.join(names)}"
        else:
            action = f"write to {topic}, or to any topic" if topic else "do what only an administrator may"
        return BrokerRefuses(f"{settings.kafka} does not let {user} {action}", remedy=RIGHTS)
    if isinstance(error, SaslAuthenticationFailedError):
        return BrokerRefuses(f"{settings.kafka} refuses {user}: {error}")
    if isinstance(error, BrokerResponseError) and not error.retriable:
        return BrokerRefuses(f"{settings.kafka} answers {user}: {error}", remedy="")
    return BrokerAway(f"no broker answers at {settings.kafka} ({type(error).__name__}: {error})")


def described(settings: Settings, admin: KafkaAdminClient, names: Sequence[str]) -> list[dict[str, Any]]:
    """What the brokers know of topics. BrokerRefuses where this user is not shown them."""
    found: list[dict[str, Any]] = admin.describe_topics(list(names))
    denied = [topic["name"] for topic in found if topic["error_code"] == TopicAuthorizationFailedError.errno]
    if denied:
        raise translated(settings, TopicAuthorizationFailedError(denied))
    return found

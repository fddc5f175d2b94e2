"""Clients of the brokers: from settings, with what was learnt about this library.

In: settings. Out: consumers, producers, an admin client; errors that tell a broker that is away (`BrokerAway`) from one
that says no (`BrokerRefuses`): the library tells both as the same time-out, and the cause only to its log.
"""

import logging
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer
from kafka.errors import AuthorizationError, KafkaConfigurationError, KafkaError, SaslAuthenticationFailedError

from engine.errors import BrokerAway, BrokerRefuses, SettingsError
from engine.settings import Settings

Client = TypeVar("Client")

BOOTSTRAP_MS = 10_000
"""How long a client looks for its brokers."""
DELIVERY_MS = 30_000
"""How long a producer tries before it says that something was not taken."""
METADATA_MS = 10_000
"""How soon a new topic or leader is noticed; the library's five minutes are an outage."""


def common(settings: Settings, name: str) -> dict[str, Any]:
    """What every client is told. SettingsError where a file is missing."""
    if not settings.kafka:
        raise SettingsError("kafka is not set: name the brokers, e.g. GRIDPATROL_KAFKA=broker-1:9092,broker-2:9092")
    told: dict[str, Any] = {
        "bootstrap_servers": settings.kafka.split(","), "client_id": f"gridpatrol-{name}",
        "security_protocol": settings.kafka_security, "metadata_max_age_ms": METADATA_MS,
        "bootstrap_timeout_ms": BOOTSTRAP_MS, "reconnect_backoff_max_ms": 1000,
    }  # fmt: skip
    if settings.kafka_ca:
        told["ssl_cafile"] = str(_existing(settings.kafka_ca, "kafka_ca"))
    if settings.kafka_security.startswith("SASL"):
        told |= {
            "sasl_mechanism": settings.kafka_mechanism, "sasl_plain_username": settings.kafka_user,
            "sasl_plain_password": password(settings),
        }  # fmt: skip
    return told


def password(settings: Settings) -> str:
    """The password of the settings' user."""
    return _existing(settings.kafka_password_file, "kafka_password_file").read_text(encoding="utf-8").strip()


def _existing(path: str, name: str) -> Path:
    if not path or not Path(path).is_file():
        raise SettingsError(f"{name}: there is no file {path!r}")
    return Path(path)


def producer(settings: Settings, name: str) -> KafkaProducer:
    """Idempotent, acknowledged by all in-sync replicas, never transactional: a log's offsets must have no gaps."""
    told = common(settings, name) | {
        "acks": "all", "linger_ms": 2, "batch_size": 131_072, "delivery_timeout_ms": DELIVERY_MS,
        "metrics_enabled": False, "request_timeout_ms": 10_000, "max_block_ms": 10_000,
        "max_request_size": 4 * 1024 * 1024,
    }  # fmt: skip
    return connected(settings, lambda: KafkaProducer(**told))


def consumer(settings: Settings, name: str, **more: Any) -> KafkaConsumer:
    """Without a group unless `more` names one. It commits nothing by itself."""
    told = common(settings, name) | {
        "enable_auto_commit": False, "auto_offset_reset": "earliest", "max_poll_records": 2000,
        "metrics_enabled": False, "fetch_max_wait_ms": 250, "max_partition_fetch_bytes": 4 * 1024 * 1024,
        "session_timeout_ms": settings.kafka_session_ms, "heartbeat_interval_ms": settings.kafka_session_ms // 4,
        "isolation_level": "read_committed",
    }  # fmt: skip
    return connected(settings, lambda: KafkaConsumer(**(told | more)))


def admin(settings: Settings) -> KafkaAdminClient:
    """For topics and rights."""
    return connected(settings, lambda: KafkaAdminClient(**common(settings, "admin")))


def instance(settings: Settings) -> str:
    """This process's name among those of its role, the same after a restart."""
    return settings.instance or f"{settings.role}@{socket.gethostname()}"


# ---- what a failure means -----------------------------------------------------------------------------------


def connected(settings: Settings, connect: Callable[[], Client]) -> Client:
    """A client, or why there is none: nobody listens at any address, or somebody does and says no."""
    heard = _Heard()
    logger = logging.getLogger("kafka")
    logger.addHandler(heard)
    try:
        return connect()
    except KafkaConfigurationError as error:
        raise SettingsError(f"{error}") from error
    except KafkaError as error:
        raise told_apart(settings, error, heard.words) from error
    except OSError as error:
        raise BrokerRefuses(f"the connection to {settings.kafka} cannot be secured: {error}") from error
    finally:
        logger.removeHandler(heard)


def told_apart(settings: Settings, error: Exception, heard: list[str] | None = None) -> BrokerAway | BrokerRefuses:
    """An error of the library as one of ours."""
    if isinstance(error, (AuthorizationError, SaslAuthenticationFailedError)):
        return BrokerRefuses(f"{settings.kafka} refuses user {settings.kafka_user or 'without a name'!r}: {error}")
    answering = [address for address in settings.kafka.split(",") if _listens(address)]
    if answering and heard is not None:
        why = heard[-1] if heard else "credentials? TLS against plaintext?"
        return BrokerRefuses(f"{', '.join(answering)} answers, but not as a broker should: {why}")
    return BrokerAway(f"no broker answers at {settings.kafka} ({type(error).__name__}: {error})")


class _Heard(logging.Handler):
    """What the library told only its log while it was connecting."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.words: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.words.append(record.getMessage())


def _listens(address: str) -> bool:
    host, _, port = address.strip().rpartition(":")
    try:
        with socket.create_connection((host.strip("[]"), int(port)), timeout=2):
            return True
    except (OSError, ValueError):
        return False

"""Asks the brokers whether they let us in, before a client is made.

A client that is not let in says so after its whole bootstrap time-out, and not why; one that meets a broker that falls
silent in the middle of TLS waits for ever. Here both are an error at once: `BrokerAway`, or `BrokerRefuses` with the
likely cause and the setting to look at.
"""

import ssl
import time
from typing import Any

from kafka.errors import (
    IllegalSaslStateError,
    InvalidReceiveError,
    KafkaError,
    SaslAuthenticationFailedError,
    UnsupportedSaslMechanismError,
)

from engine.cluster import kafka_quirks
from engine.errors import BrokerAway, BrokerRefuses

ANSWER_S = 5.0
"""How long a broker may take to let us in."""
DOUBT_S = 2.0
"""How long a broker that hangs up without a word is asked again: it may only be starting or stopping."""
AGAIN_S = 0.2

CERTIFICATES = "Check kafka_ca, and that kafka names the brokers as their certificates do."
OURS = "Check kafka_cert and kafka_key."
SECURITY = "Check kafka_security: it says how that port of the brokers is secured."
USER = "Check kafka_user, kafka_password_file and kafka_mechanism."
TLS_ALERT = 0x1503
"""The first two bytes of an alert of TLS, where the length of an answer is expected."""


class HungUp(BrokerRefuses):
    """It hangs up without a word, which may pass."""


def await_welcome(options: dict[str, Any], within_s: float) -> None:
    """Return as soon as one of the brokers lets us in.

    Brokers that are away are waited for so long. A refusal is raised at once, since no waiting cures it.
    """
    began, doubted = time.monotonic(), None
    while True:
        try:
            return ask_any(options)
        except HungUp:
            doubted = doubted or time.monotonic()
            if time.monotonic() - doubted > DOUBT_S:
                raise
        except BrokerAway:
            doubted = None
            if time.monotonic() - began > within_s:
                raise
        time.sleep(AGAIN_S)


def ask_any(options: dict[str, Any]) -> None:
    """Ask one broker after another until one lets us in. A refusal counts before brokers that are away."""
    away: list[BrokerAway] = []
    refused: list[BrokerRefuses] = []
    for address in options["bootstrap_servers"]:
        try:
            return ask(address.strip(), options)
        except BrokerAway as error:
            away.append(error)
        except BrokerRefuses as error:
            refused.append(error)
    if refused:
        raise min(refused, key=lambda error: isinstance(error, HungUp))
    raise BrokerAway("; ".join(error.args[0] for error in away))


def ask(address: str, options: dict[str, Any]) -> None:
    """Connect, log in, ask about no topic, hang up."""
    host, _, port = address.rpartition(":")
    host = host.strip("[]")
    try:
        kafka_quirks.ask_broker(host, int(port), options, kafka_quirks.metadata_request(), ANSWER_S)
    except TimeoutError as error:
        raise BrokerAway(f"{address} does not answer within {ANSWER_S:.0f} s") from error
    except ConnectionRefusedError as error:
        raise BrokerAway(f"nobody listens at {address}") from error
    except (ConnectionResetError, BrokenPipeError, EOFError) as error:
        how = "speaks TLS" if "ssl_context" in options else "speaks no TLS"
        user = f"user {options['sasl_plain_username']!r}" if "sasl_mechanism" in options else "no user"
        raise HungUp(f"{address} hangs up on a client that {how} and shows {user}", remedy=SECURITY) from error
    except UnsupportedSaslMechanismError as error:
        offered = ", ".join(kafka_quirks.mechanisms_of(host, int(port), options, ANSWER_S)) or "none that it names"
        raise BrokerRefuses(
            f"{address} does not take {options['sasl_mechanism']}, but {offered}", remedy=USER
        ) from error
    except (KafkaError, ssl.SSLError) as error:
        raise _translated(address, options, error) from error
    except (OSError, ValueError) as error:
        raise BrokerAway(f"{address} cannot be reached: {getattr(error, 'strerror', None) or error}") from error


def _translated(address: str, options: dict[str, Any], error: Exception) -> BrokerAway | BrokerRefuses:
    """What an error of TLS or of the library means. TLS 1.3 refuses a client's certificate after the handshake."""
    if isinstance(error, ssl.SSLCertVerificationError):
        reason = error.verify_message.rstrip(".")
        return BrokerRefuses(f"{address} shows a certificate that is not to be trusted: {reason}", remedy=CERTIFICATES)
    if isinstance(error, ssl.SSLError):
        if "ALERT" in (error.reason or ""):
            return BrokerRefuses(
                f"{address} refuses this client's certificate, or misses one: {error.reason}", remedy=OURS
            )
        return BrokerRefuses(
            f"{address} speaks no TLS that is understood here: {error.reason or error}", remedy=SECURITY
        )
    if isinstance(error, IllegalSaslStateError):
        security = options["security_protocol"]
        return BrokerRefuses(f"{address} asks for no user, kafka_security {security} shows it one", remedy=SECURITY)
    if isinstance(error, SaslAuthenticationFailedError):
        reason = error.args[0].partition(": ")[2] or error.args[0]
        return BrokerRefuses(f"{address} refuses user {options['sasl_plain_username']!r}: {reason}", remedy=USER)
    if isinstance(error, InvalidReceiveError):
        length = int(error.args[0].rpartition(" ")[2])
        if length >> 16 == TLS_ALERT:
            return BrokerRefuses(f"{address} speaks TLS, kafka_security says that it does not", remedy=SECURITY)
        begins = length.to_bytes(4, signed=length < 0)
        return BrokerRefuses(f"{address} is no Kafka broker: it answers {begins!r}", remedy="Check kafka.")
    return BrokerAway(f"{address} cannot be reached: {error}")

"""Asking a broker directly whether it lets us in, before the library does.

In: an address, and what every client is told. Out: nothing, or `BrokerAway`, or `BrokerRefuses` with the likely cause
and the setting to look at. The library tells all of these as one time-out; and a broker that accepts a connection and
then falls silent in the middle of TLS holds it up for ever.

Spoken here is as much of Kafka's protocol as it takes to be let in: three requests, in versions that every broker of
today knows.
"""

import socket
import ssl
import struct
import time
from collections.abc import Sequence
from typing import Any

from kafka.net.sasl import get_sasl_mechanism

from engine.errors import BrokerAway, BrokerRefuses

ANSWER_S = 3.0
"""How long a broker may take for one answer."""
DOUBT_S = 2.0
"""How long one that hangs up without a word is asked again: it may only be starting or stopping."""
AGAIN_S = 0.2

MOST_BYTES = 1 << 20
METADATA, HANDSHAKE, AUTHENTICATE = (3, 4), (17, 1), (36, 0)
"""Requests: number and version."""
NO_SUCH_MECHANISM, NOT_ASKED_FOR = 33, 34
"""Errors of the handshake."""
CERTIFICATES = "Check kafka_ca, and that kafka names the brokers as their certificates do."
OURS = "Check kafka_cert and kafka_key."
SECURITY = "Check kafka_security: it says how that port of the brokers is secured."
USER = "Check kafka_user, kafka_password_file and kafka_mechanism."


class HungUp(BrokerRefuses):
    """It hangs up without a word, which may pass."""


def await_welcome(told: dict[str, Any], within_s: float) -> None:
    """Return as soon as one of the brokers lets us in.

    What is away is waited for so long; who says no is told at once, as no waiting cures it.
    """
    began, doubted = time.monotonic(), None
    while True:
        try:
            return _any_of(told)
        except HungUp:
            doubted = doubted or time.monotonic()
            if time.monotonic() - doubted > DOUBT_S:
                raise
        except BrokerAway:
            doubted = None
            if time.monotonic() - began > within_s:
                raise
        time.sleep(AGAIN_S)


def _any_of(told: dict[str, Any]) -> None:
    """One welcome is enough; of refusals the first counts, before whoever is away."""
    away: list[BrokerAway] = []
    refused: list[BrokerRefuses] = []
    for address in told["bootstrap_servers"]:
        try:
            return greet(address.strip(), told)
        except BrokerAway as error:
            away.append(error)
        except BrokerRefuses as error:
            refused.append(error)
    if refused:
        raise min(refused, key=lambda error: isinstance(error, HungUp))
    raise BrokerAway("; ".join(error.args[0] for error in away))


def greet(address: str, told: dict[str, Any]) -> None:
    """Connect, say who we are, ask about no topic, hang up."""
    host, _, port = address.rpartition(":")
    host = host.strip("[]")
    try:
        with socket.create_connection((host, int(port)), timeout=ANSWER_S) as plain:
            plain.settimeout(ANSWER_S)
            _speak(address, _secured(address, plain, host, told), told)
    except TimeoutError as error:
        raise BrokerAway(f"{address} does not answer within {ANSWER_S:.0f} s") from error
    except ConnectionRefusedError as error:
        raise BrokerAway(f"nobody listens at {address}") from error
    except (ConnectionResetError, BrokenPipeError, EOFError) as error:
        how = "speaks TLS" if "ssl_context" in told else "speaks no TLS"
        raise _no(f"{address} hangs up on a client that {how} and shows {_shown(told)}", SECURITY, HungUp) from error
    except (OSError, ValueError) as error:
        raise BrokerAway(f"{address} cannot be reached: {getattr(error, 'strerror', None) or error}") from error


def _shown(told: dict[str, Any]) -> str:
    return f"user {told['sasl_plain_username']!r}" if "sasl_mechanism" in told else "no user"


def _no(said: str, remedy: str, kind: type[BrokerRefuses] = BrokerRefuses) -> BrokerRefuses:
    error = kind(said)
    error.remedy = remedy
    return error


# ---- TLS ----------------------------------------------------------------------------------------------------


def _secured(address: str, plain: socket.socket, host: str, told: dict[str, Any]) -> socket.socket:
    context: ssl.SSLContext | None = told.get("ssl_context")
    if context is None:
        return plain
    try:
        return context.wrap_socket(plain, server_hostname=host)
    except ssl.SSLCertVerificationError as error:
        said = f"{address} shows a certificate that is not to be trusted: {error.verify_message.rstrip('.')}"
        raise _no(said, CERTIFICATES) from error
    except ssl.SSLEOFError as error:
        raise EOFError from error
    except ssl.SSLError as error:
        raise _tls_error(address, error) from error


def _tls_error(address: str, error: ssl.SSLError) -> BrokerRefuses:
    """What went wrong in TLS; in its last version a client's certificate is refused only after the handshake."""
    if "ALERT" in (error.reason or ""):
        return _no(f"{address} refuses this client's certificate, or misses one: {error.reason}", OURS)
    return _no(f"{address} speaks no TLS that is understood here: {error.reason or error}", SECURITY)


# ---- Kafka's protocol ---------------------------------------------------------------------------------------


def _speak(address: str, line: socket.socket, told: dict[str, Any]) -> None:
    try:
        if "sasl_mechanism" in told:
            _introduce(address, line, told)
        _ask(address, line, METADATA, struct.pack(">i?", 0, False))
    except ssl.SSLEOFError as error:
        raise EOFError from error
    except ssl.SSLError as error:
        raise _tls_error(address, error) from error
    finally:
        line.close()


def _introduce(address: str, line: socket.socket, told: dict[str, Any]) -> None:
    """Say who we are and prove it."""
    name = told["sasl_mechanism"]
    answer = _ask(address, line, HANDSHAKE, _text(name))
    [code], taken = struct.unpack_from(">h", answer), answer[2:]
    if code == NOT_ASKED_FOR:
        said = f"{address} asks for no user, kafka_security {told['security_protocol']} shows it one"
        raise _no(said, SECURITY)
    if code:
        said = f"{address} does not take {name}" + (f", but {_texts(taken)}" if code == NO_SUCH_MECHANISM else "")
        raise _no(said, USER)
    mechanism = get_sasl_mechanism(name)(host=address, **told)
    while not mechanism.is_done():
        sent = mechanism.auth_bytes()
        answer = _ask(address, line, AUTHENTICATE, struct.pack(">i", len(sent)) + sent)
        [code, length] = struct.unpack_from(">hh", answer)
        rest = answer[4 + max(length, 0) :]
        if code:
            why = answer[4 : 4 + max(length, 0)].decode(errors="replace") or f"error {code}"
            raise _no(f"{address} refuses user {told['sasl_plain_username']!r}: {why}", USER)
        mechanism.receive(rest[4:])


def _ask(address: str, line: socket.socket, request: tuple[int, int], body: bytes) -> bytes:
    """One request, and the body of its answer. EOFError where the broker hangs up."""
    head = struct.pack(">hhi", *request, 1) + _text("gridpatrol-greeting")
    line.sendall(struct.pack(">i", len(head) + len(body)) + head + body)
    begins = _receive(line, 4)
    if begins[:2] == b"\x15\x03":  # an alert of TLS, where the length of an answer should stand
        raise _no(f"{address} speaks TLS, kafka_security says that it does not", SECURITY)
    [length] = struct.unpack(">i", begins)
    if not 4 <= length <= MOST_BYTES:
        raise _no(f"{address} is no Kafka broker: it answers {begins!r}", "Check kafka.")
    return _receive(line, length)[4:]


def _receive(line: socket.socket, count: int) -> bytes:
    got = b""
    while len(got) < count:
        more = line.recv(count - len(got))
        if not more:
            raise EOFError
        got += more
    return got


def _text(text: str) -> bytes:
    return struct.pack(">h", len(text.encode())) + text.encode()


def _texts(raw: bytes) -> str:
    """A list of names."""
    names: list[str] = []
    [count], at = struct.unpack_from(">i", raw), 4
    for _ in range(count):
        [length] = struct.unpack_from(">h", raw, at)
        names.append(raw[at + 2 : at + 2 + length].decode(errors="replace"))
        at += 2 + length
    return _listed(names)


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names) or "none that it names"

"""One HTTP request to a checked address. Redirects are not followed: they would lead past the check."""

import http.client
import ssl
import time
from email.utils import parsedate_to_datetime
from typing import NamedTuple
from urllib.parse import urlsplit

from engine.addresses import ChannelAway, connect
from engine.errors import SettingsError

MOST_BYTES = 65_536
"""Of an answer more is not read."""
AGENT = "gridpatrol"


class Answer(NamedTuple):
    """What came back. The names of the headers are in small letters."""

    status: int
    headers: dict[str, str]
    body: bytes


def trusting(ca: str) -> ssl.SSLContext:
    """Whom a connection trusts: an authority of one's own, or those of the machine."""
    try:
        return ssl.create_default_context(cafile=ca or None)
    except OSError as error:
        raise SettingsError(f"ca: {ca} holds no certificate in PEM") from error


def ask(
    method: str,
    url: str,
    headers: dict[str, str],
    body: bytes,
    *,
    private: bool = False,
    ca: str = "",
    timeout_s: float = 20,
) -> Answer:
    """Send a request, and read its answer. ChannelAway, AddressRefused; no message of theirs has the path."""
    parts = urlsplit(url)
    host, tls = parts.hostname or "", parts.scheme == "https"
    port = parts.port or (443 if tls else 80)
    until = time.monotonic() + timeout_s
    connection = http.client.HTTPConnection(host, port, timeout=timeout_s)
    sock = connect(host, port, private=private, timeout_s=timeout_s)
    try:
        connection.sock = trusting(ca).wrap_socket(sock, server_hostname=host) if tls else sock
        path = parts.path or "/"
        name = f"[{host}]" if ":" in host else host
        if parts.port is not None:
            name = f"{name}:{parts.port}"
        full = {"Host": name, "User-Agent": AGENT} | headers
        connection.request(method, f"{path}?{parts.query}" if parts.query else path, body or None, full)
        response = connection.getresponse()
        text = b""
        while len(text) < MOST_BYTES and (some := response.read1(MOST_BYTES - len(text))):
            text += some
            if time.monotonic() > until:
                raise ChannelAway(f"{host} takes longer than {timeout_s:g} s to answer")
        return Answer(response.status, {name.lower(): value for name, value in response.getheaders()}, text)
    except ssl.SSLCertVerificationError as error:
        raise ChannelAway(
            f"the certificate of {host} is not trusted ({error.verify_message})", remedy="Name who signed it with `ca`."
        ) from error
    except TimeoutError as error:
        raise ChannelAway(f"{host} takes longer than {timeout_s:g} s to answer") from error
    except (OSError, http.client.HTTPException) as error:
        said = getattr(error, "strerror", None) or type(error).__name__
        raise ChannelAway(f"the connection to {host} broke ({said})") from error
    finally:
        sock.close()
        connection.close()


def retry_after_s(headers: dict[str, str], now_ms: int) -> float | None:
    """How long the other side asks to be left alone: `Retry-After` in seconds or as a date (RFC 9110, 10.2.3), or the
    seconds of 飞书. None: it does not say."""
    said = headers.get("retry-after") or headers.get("x-ogw-ratelimit-reset") or ""
    if said.strip().isascii() and said.strip().isdigit():
        return float(said)
    try:
        at = parsedate_to_datetime(said)
    except (TypeError, ValueError):
        return None
    return max(0.0, at.timestamp() - now_ms / 1000)

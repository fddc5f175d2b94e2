"""Where messages may be sent: a host is looked up once, all of its addresses are checked, and only a checked one is
connected to, so that a name cannot mean another address by then (DNS rebinding).

Addresses of one's own machine and network are refused unless the channel says `private = true`, or for subscriptions
the setting `webhook_private`: who can write the file of channels, a subscription or a DNS record could else reach what
listens there in trust.
"""

import ipaddress
import re
import socket
from urllib.parse import urlsplit

from engine.errors import TRY_AGAIN, GridpatrolError

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
NAT64 = ipaddress.ip_network("64:ff9b::/96")


class ChannelAway(GridpatrolError):
    """The other side does not answer, or its name is not known just now."""

    exit_status = TRY_AGAIN


class AddressRefused(GridpatrolError):
    """A host has an address that the channel may not connect to."""

    remedy = "Say `private = true` for this channel if it is meant to lead into your own network."


def is_public(text: str) -> bool:
    """Whether an address is one of the public internet. An address of IPv4 that is wrapped in one of IPv6 counts as
    itself."""
    address: Address = ipaddress.ip_address(text.partition("%")[0])
    if isinstance(address, ipaddress.IPv6Address):
        inner = address.ipv4_mapped or address.sixtofour
        if address in NAT64:
            inner = ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
        if inner is not None:
            address = inner
    return address.is_global and not address.is_multicast


def is_web_address(text: str) -> bool:
    """Whether a text is an address of HTTP or HTTPS with a host, and without a user."""
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        return False
    plain = text.isascii() and not re.search(r"[\x00-\x20\x7f]", text)
    return plain and parts.scheme in ("http", "https") and bool(parts.hostname) and not parts.username and port != 0


def look_up(host: str, port: int, private: bool) -> list[str]:
    """The addresses of a host. AddressRefused where one of them is not allowed, ChannelAway where it has none."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise ChannelAway(f"the name {host} is not known ({getattr(error, 'strerror', None) or 'no name'})") from error
    addresses = list(dict.fromkeys(str(each[4][0]) for each in found))
    refused = [] if private else [address for address in addresses if not is_public(address)]
    if refused:
        raise AddressRefused(f"{host} is {refused[0]}, an address of this machine or of a private network")
    return addresses


def connect(host: str, port: int, *, private: bool, timeout_s: float) -> socket.socket:
    """A connection to a host that may be connected to. AddressRefused, ChannelAway."""
    why: OSError | None = None
    for address in look_up(host, port, private):
        try:
            return socket.create_connection((address, port), timeout_s)
        except OSError as error:
            why = error
    said = "it took too long" if isinstance(why, TimeoutError) else getattr(why, "strerror", None) or str(why)
    raise ChannelAway(f"nobody answers at {host}:{port} ({said})") from why

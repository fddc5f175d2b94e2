"""Signatures by which receivers know who sends: each as its own documentation says (docs/channels.md has the
sources)."""

import binascii
import hmac
from base64 import b64decode, b64encode
from urllib.parse import quote_plus

PREFIX = "whsec_"
KEY_BYTES = (24, 64)
"""Standard Webhooks: a secret has at least and at most so many bytes."""


def keys_of(secret: str) -> list[bytes]:
    """The keys of Standard Webhooks in a text, one a line: the present one, and older ones that still count. Empty
    where a line is none."""
    keys = []
    for line in secret.split():
        try:
            keys.append(b64decode(line.removeprefix(PREFIX), validate=True))
        except binascii.Error:
            return []
    least, most = KEY_BYTES
    return keys if all(least <= len(key) <= most for key in keys) else []


def standard_webhook(secret: str, id_: str, at_s: int, body: bytes) -> str:
    """Standard Webhooks 1.0.0: HMAC-SHA256 over id, seconds since 1970 and body, joined by full stops; by each key."""
    signed = f"{id_}.{at_s}.".encode() + body
    return " ".join(f"v1,{_hmac(key, signed)}" for key in keys_of(secret))


def dingtalk(secret: str, at_ms: int) -> str:
    """钉钉: HMAC-SHA256 over milliseconds since 1970, a line feed and the secret, by the secret; for a query."""
    return quote_plus(_hmac(secret.encode(), f"{at_ms}\n{secret}".encode()))


def feishu(secret: str, at_s: int) -> str:
    """飞书: HMAC-SHA256 over nothing, by seconds since 1970, a line feed and the secret; in the body."""
    return _hmac(f"{at_s}\n{secret}".encode(), b"")


def _hmac(key: bytes, text: bytes) -> str:
    return b64encode(hmac.digest(key, text, "sha256")).decode()

"""Sessions of the console: who has signed in, as a signed cookie.

1. The cookie has the digest of a token, never the token. Each request asks whose digest it is, so a token that is
   rotated, withdrawn or past its time ends its sessions at every gateway, as it ends bearer requests.
2. It is signed with a key that all gateways share: a value in `meta` that the writer makes when it is first needed. A
   key signs for 30 days; the one before it is good for as long as a session lasts.
3. A session ends 12 hours after it began, whatever happens meanwhile.
4. The mark of a form is bound to its session and is other bytes each time, so that nothing is learnt of it from the
   size of compressed pages.
"""

import base64
import hmac
import secrets
import time

import msgspec
from msgspec import Struct

from engine.clock import now_ms
from engine.http.context import DoorContext
from engine.http.operator import act
from engine.runtime import Engine
from engine.store.database import Connection
from engine.store.meta import read_meta, write_meta
from workflows.clocks.limits import DAY_MS, HOUR_MS

KEYS = "console_keys"
"""Name in `meta` of the keys: `MS:HEX` with blanks between, the instant (ms UTC) at which each was made."""
LASTS_MS = 12 * HOUR_MS
"""How long a session lasts."""
KEY_DAYS = 30
LOOK_S = 2.0
"""How old the keys that this process knows may be."""
COOKIE = "gridpatrol_session"
LANGUAGE_COOKIE = "gridpatrol_language"


class Session(Struct, frozen=True):
    """Who has signed in: the digest of the token (empty: the user of this machine), until when (ms UTC), a salt of its
    own, and the post for which is looked and spoken, with its title (empty: none was chosen)."""

    digest: str
    until: int
    salt: str
    post: str = ""
    title: str = ""


class Key(Struct, frozen=True):
    """A key, and when it was made (ms UTC)."""

    made_at: int
    secret: bytes


_decode = msgspec.json.Decoder(Session).decode


def begun(digest: str, post: str = "", title: str = "", salt: str = "") -> Session:
    """A new session."""
    return Session(digest, now_ms() + LASTS_MS, salt or secrets.token_hex(12), post, title)


class Keys:
    """The keys of the sessions, as this process knows them."""

    def __init__(self, context: DoorContext) -> None:
        self.context = context
        self._known: list[Key] = []
        self._looked_s = float("-inf")

    async def now(self) -> list[Key]:
        """The keys that are good, the newest last. They are made where there is none, or where it is too old."""
        if time.monotonic() - self._looked_s >= LOOK_S:
            self._known = await self.context.read(read_keys)
            self._looked_s = time.monotonic()
        if not self._known or self._known[-1].made_at < now_ms() - KEY_DAYS * DAY_MS:
            self._known = await act(self.context, make_key)
        return self._known

    async def sign(self, session: Session) -> str:
        """A session as the value of a cookie."""
        key, body = (await self.now())[-1], base64.urlsafe_b64encode(msgspec.json.encode(session)).decode()
        return f"{body}.{mark(key, 'session', body)}"

    async def read(self, cookie: str) -> Session | None:
        """The session of a cookie; None: it was not signed here, or is over."""
        body, _, signature = cookie.partition(".")
        if not signature or len(cookie) > 1000 or not cookie.isascii():
            return None
        for key in await self.now():
            if hmac.compare_digest(mark(key, "session", body), signature):
                session = _decode(base64.urlsafe_b64decode(body))
                return session if now_ms() < session.until else None
        return None

    async def local_salt(self) -> str:
        """The salt of the user of this machine, who signs in nowhere: pages that a browser loads side by side begin a
        session each, and a form of one is good in the other."""
        return mark((await self.now())[-1], "salt", "local")[:24]

    async def form_mark(self, session: Session) -> str:
        """What a form of a session has in a hidden field."""
        pad = secrets.token_hex(8)
        return pad + mark((await self.now())[-1], "form", f"{session.salt}.{pad}")

    async def is_form_mark(self, session: Session, text: str) -> bool:
        """Whether a form of this session has sent this."""
        pad, signature = text[:16], text[16:]
        marks = [mark(key, "form", f"{session.salt}.{pad}") for key in await self.now()]
        return text.isascii() and any(hmac.compare_digest(each, signature) for each in marks)

    async def receipt(self, text: str) -> str:
        """What stands in an address beside what was done, so that nobody else's link can say that it was."""
        return mark((await self.now())[-1], "receipt", text)[:24]

    async def is_receipt(self, text: str, given: str) -> bool:
        """Whether this was given out for a text."""
        known = [mark(key, "receipt", text)[:24] for key in await self.now()]
        return given.isascii() and any(hmac.compare_digest(each, given) for each in known)


def mark(key: Key, of: str, text: str) -> str:
    """HMAC-SHA256 of a text, for one use."""
    return hmac.digest(key.secret, f"{of}|{text}".encode(), "sha256").hex()


def read_keys(connection: Connection) -> list[Key]:
    """The keys that are good: the newest, and those that were in use within the last sessions."""
    found = [
        Key(int(made), bytes.fromhex(secret))
        for made, _, secret in (each.partition(":") for each in (read_meta(connection, KEYS) or "").split())
    ]
    later = [*(key.made_at for key in found[1:]), now_ms()][: len(found)]  # until when each one signed
    return [key for key, until in zip(found, later, strict=True) if until > now_ms() - LASTS_MS]


def make_key(engine: Engine) -> list[Key]:
    """Make a key where the newest is too old, or there is none: at one gateway, for all of them."""
    with engine.database.begin() as connection:
        write_meta(connection, KEYS, "", keep=True)
        read_meta(connection, KEYS, lock=True)
        known = read_keys(connection)
        if not known or known[-1].made_at < now_ms() - KEY_DAYS * DAY_MS:
            known = [*known, Key(now_ms(), secrets.token_bytes(32))]
            write_meta(connection, KEYS, " ".join(f"{key.made_at}:{key.secret.hex()}" for key in known))
    return known

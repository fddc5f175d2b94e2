"""Who speaks: principals, the posts that each may speak for, and the tokens by which the door knows them.

In: a TOML file, with the digest of each token and never a token itself. Out: the principal behind a token or a name, or
why an event is not a principal's to send. The file is read again when it has changed, so that tokens are added and
withdrawn while the door is open; a change that cannot be used is logged and leaves what was known in force.

A principal is a system or a person that authenticates; an actor is the code of a post, in an event.
"""

import hashlib
import hmac
import logging
import re
import secrets
import stat
import time
import tomllib
from collections.abc import Iterator, Mapping
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, Literal

import msgspec
from msgspec import Struct

from engine.errors import SettingsError
from schemas.envelope import Envelope
from schemas.refusals import Reason, Refusal
from schemas.topics import Topics

log = logging.getLogger(__name__)

LOOK_S = 1.0
"""How often, at most, the file is looked at."""
OURS = (
    "local",
    "operator",
    "owner",
    "replay",
    "engine",
    "gateway",
    "worker",
    "relay",
    "performance",
    "alerts",
    "admin",
)
"""Names that the engine stamps on records of its own, and its users at the brokers: nobody else may go by them."""
TOKEN = "gp_"
"""What every token begins with, so that one that has leaked can be found by a search."""
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_PATTERN = re.compile(r"[*?\[]")

Right = Literal["actors", "reads", "operator"]
"""What may be asked of the door: speak for posts; read incidents, alerts and figures; operate."""


class Principal(Struct, frozen=True):
    """Who may speak for which posts (codes, or shell patterns of codes), and what else it may do."""

    name: str
    codes: frozenset[str] = frozenset()
    patterns: tuple[str, ...] = ()
    reads: bool = False
    operator: bool = False

    def may_speak(self, actor: str) -> bool:
        """Whether an event may name this post as its actor. Upper and lower case are told apart."""
        return actor in self.codes or any(fnmatchcase(actor, pattern) for pattern in self.patterns)

    def has(self, right: Right) -> bool:
        """Whether it has a right at all."""
        return {"actors": bool(self.codes or self.patterns), "reads": self.reads, "operator": self.operator}[right]


LOCAL = Principal("local", patterns=("*",), reads=True, operator=True)
"""Who speaks without a token, on this machine."""


def check(principal: Principal, event: Envelope) -> Refusal | None:
    """Why this event is not this principal's to send; None when it is."""
    if principal.may_speak(event.actor):
        return None
    said = f"principal {principal.name} may not speak for {event.actor}: its `actors` name no such post"
    return Refusal(Reason.FORBIDDEN, "actor", said)


def new_token() -> str:
    """A fresh token: 256 random bits as text."""
    return TOKEN + secrets.token_urlsafe(32)


def digest_of(token: str) -> str:
    """What the file holds of a token. It needs no salt: nobody guesses 256 random bits."""
    return f"sha256:{hashlib.sha256(token.encode('utf-8', 'surrogateescape')).hexdigest()}"


def check_name(name: str) -> None:
    """Refuse a name that cannot be a principal's: it is part of a topic's name. SettingsError."""
    try:
        Topics().intake(name)
    except ValueError as error:
        raise SettingsError(f"{error}") from error
    if name in OURS:
        raise SettingsError(f"{name!r} is a name that the engine uses itself; choose another")


class Principals:
    """Everybody who may speak. Without a file nobody is asked, and `LOCAL` speaks for all."""

    def __init__(self, path: str = "") -> None:
        self.path = Path(path) if path else None
        self._names: dict[str, Principal] = {}
        self._tokens: list[tuple[bytes, Principal]] = []
        self._looked, self._state = time.monotonic(), self._look()
        if self.path is not None:
            self._take(self.path)

    @classmethod
    def read(cls, path: str) -> "Principals":
        """Those of a file; an empty path: nobody is asked. SettingsError when the file cannot be used."""
        return cls(path)

    @property
    def asked(self) -> bool:
        """Whether a token is asked for."""
        return self.path is not None

    def of_token(self, token: str) -> Principal | None:
        """Whose token this is. All digests are compared, so that the time taken tells nothing."""
        self._refresh()
        digest, found = digest_of(token).encode(), None
        for known, principal in self._tokens:
            if hmac.compare_digest(known, digest):
                found = principal
        return found

    def named(self, name: str) -> Principal | None:
        """The principal of a name, as a topic or a record has it."""
        self._refresh()
        return self._names.get(name)

    def __iter__(self) -> Iterator[Principal]:
        """All of them, in the order of the file."""
        self._refresh()
        return iter(list(self._names.values()))

    def _look(self) -> tuple[int, int, int] | None:
        """What tells one state of the file from another."""
        try:
            found = self.path.stat() if self.path else None
        except OSError:
            return None
        return (found.st_mtime_ns, found.st_size, found.st_ino) if found else None

    def _refresh(self) -> None:
        """Read the file again if it has changed; what cannot be used is told once, and the old state stays."""
        now = time.monotonic()
        if self.path is None or now - self._looked < LOOK_S:
            return
        self._looked, state = now, self._look()
        if state == self._state:
            return
        self._state = state
        try:
            self._take(self.path)
        except SettingsError as error:
            log.error("principals.kept", extra={"file": str(self.path), "why": str(error)})
        else:
            log.info("principals.read", extra={"file": str(self.path), "principals": len(self._names)})

    def _take(self, path: Path) -> None:
        entries = _entries(path)
        names = {name: _principal(path, name, entry) for name, entry in entries.items()}
        self._tokens, self._names = list(_tokens(path, entries, names)), names


class _Entry(Struct, forbid_unknown_fields=True):
    """A principal as the file has it."""

    actors: list[str] = []
    tokens: list[str] = []
    reads: bool = False
    operator: bool = False


def _entries(path: Path) -> dict[str, _Entry]:
    """The file by name; SettingsError names the file and the key that is wrong."""
    try:
        if path.stat().st_mode & stat.S_IWOTH:
            raise SettingsError(f"{path} can be written by everyone: run `chmod o-w {path}`")
        said = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise SettingsError(f"principals: {path} cannot be read: {error.strerror or error}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path}: {error}") from error
    known = said.pop("principal", {})
    if said or not isinstance(known, dict):
        wrong = next(iter(said), "principal")
        raise SettingsError(f"{path}: {wrong}: the file holds tables [principal.NAME] and nothing else")
    return {name: _entry(path, name, value) for name, value in known.items()}


def _entry(path: Path, name: str, value: object) -> _Entry:
    try:
        check_name(name)
        return msgspec.convert(value, _Entry)
    except SettingsError as error:
        raise SettingsError(f"{path}: principal.{name}: {error}") from error
    except msgspec.ValidationError as error:
        takes = ", ".join(_Entry.__struct_fields__)
        raise SettingsError(f"{path}: principal.{name}: {error}; a principal has {takes}") from error


def _principal(path: Path, name: str, entry: _Entry) -> Principal:
    for actor in entry.actors:
        if not actor or len(actor) > 64 or re.search(r"[\s|/]", actor):
            raise SettingsError(f"{path}: principal.{name}.actors: {actor!r} is neither a post's code nor a pattern")
    patterns = tuple(actor for actor in entry.actors if _PATTERN.search(actor))
    return Principal(name, frozenset(entry.actors) - set(patterns), patterns, entry.reads, entry.operator)


def _tokens(path: Path, entries: Mapping[str, _Entry], names: Mapping[str, Principal]) -> Iterator[tuple[bytes, Any]]:
    """Digests and whose they are. What was written instead of a digest is not shown: it may be the token itself."""
    seen: dict[str, str] = {}
    for name, entry in entries.items():
        for number, digest in enumerate(entry.tokens):
            here = f"principal.{name}.tokens[{number}]"
            if not _DIGEST.fullmatch(digest):
                raise SettingsError(f"{path}: {here} is no digest of a token: run `gridpatrol principal token {name}`")
            if digest in seen:
                raise SettingsError(f"{path}: {here} is the same token as {seen[digest]}: each is given out once")
            seen[digest] = here
            yield digest.encode(), names[name]

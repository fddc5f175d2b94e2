"""Principals: who may speak, for which posts, and the tokens by which the door knows them.

A principal is a system or a person that authenticates; an actor is the code of a post, in an event. The principals
stand in a TOML file, with the digest of each token and never a token itself. The file is read again when it changes, so
tokens are added and withdrawn while the door is open. A change that cannot be used is logged, and changes nothing.
"""

import hashlib
import logging
import pwd
import re
import secrets
import stat
import time
import tomllib
from collections.abc import Iterator
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Literal, NamedTuple

import msgspec
from msgspec import Struct

from engine.errors import SettingsError
from engine.quotas import UNLIMITED, Quota
from engine.watched_files import WatchedFiles
from schemas.envelope import Envelope
from schemas.events import EVENTS, trigger_of
from schemas.refusals import Reason, Refusal
from schemas.topics import Topics
from workflows.definitions import DEFINITIONS
from workflows.reading import EVERYTHING, NOTHING, OWN, Reach, Reads

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
    "assessor",
    "admin",
    "draws",
    "signals",
    "door",
)
"""Names that the engine writes into records of its own, and its users at the brokers; no other principal may have
them."""
TOKEN = "gp_"
"""Every token begins so, and one that has leaked can be found by a search."""
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_PATTERN = re.compile(r"[*?\[]")

Right = Literal["actors", "reads", "operator"]
"""Rights at the door: to speak for posts; to read incidents, alerts and figures; to operate."""


class Principal(Struct, frozen=True):
    """The posts that it may speak for (codes, or shell patterns of codes), what else it may do, and how much."""

    name: str
    codes: frozenset[str] = frozenset()
    patterns: tuple[str, ...] = ()
    reads: Reads = Reads()
    operator: bool = False
    quota: Quota = Quota()

    def may_speak(self, actor: str) -> bool:
        """Whether an event may name this post as its actor. Upper and lower case are told apart."""
        return actor in self.codes or any(fnmatchcase(actor, pattern) for pattern in self.patterns)

    def has(self, right: Right) -> bool:
        """Whether it has a right; `actors`: whether it may speak for any post."""
        return {"actors": bool(self.codes or self.patterns), "reads": bool(self.reads), "operator": self.operator}[
            right
        ]


class Operator(NamedTuple):
    """Who acts as an operator, `PRINCIPAL:ACCOUNT` or a principal alone, and by which way: `cli`, `http` or `file`.

    At a door the principal is the one of the token, and the account is what the command says of itself. Of a file that
    was edited it is the file's owner.
    """

    who: str
    via: str


ASSESSOR = Principal("assessor", patterns=("*",), quota=UNLIMITED)
"""The principal of the process that assesses. It alone says that a sheet was computed."""
ADAPTER = Principal("signals", patterns=("*",), quota=UNLIMITED)
"""The principal of the adapter that says what comes of the values of devices."""
DOOR = Principal("door", patterns=("*",), quota=UNLIMITED)
"""The principal of the door, where it says something of itself."""
LOCAL = Principal("local", patterns=("*",), reads=Reads(EVERYTHING), operator=True, quota=UNLIMITED)
"""The principal of a door that asks for no token."""


def check(principal: Principal, event: Envelope) -> Refusal | None:
    """A refusal of an event whose actor the principal may not speak for, or that the server itself says; else None."""
    if EVENTS[trigger_of(event.type)].by not in ("", principal.name):
        return Refusal(Reason.ENGINE_ONLY, "type", "the server itself says this, and takes it from nobody")
    if principal.may_speak(event.actor):
        return None
    detail = f"principal {principal.name} may not speak for this post: its `actors` do not name it"
    return Refusal(Reason.FORBIDDEN, "actor", detail)


def new_token() -> str:
    """A fresh token: 256 random bits as text."""
    return TOKEN + secrets.token_urlsafe(32)


def digest_of(token: str) -> str:
    """The digest that the file holds of a token. It needs no salt, since a token is 256 random bits."""
    return f"sha256:{hashlib.sha256(token.encode('utf-8', 'surrogateescape')).hexdigest()}"


def check_name(name: str) -> None:
    """SettingsError for a name that no principal can have. It becomes part of a topic's name."""
    try:
        Topics().intake(name)
    except ValueError as error:
        raise SettingsError(f"{error}") from error
    if name in OURS:
        raise SettingsError(f"{name!r} is a name that the engine uses itself; choose another")


Written = bool | str | list[str]
"""A reach as the file has it: true, false, "own", or a list of grids; in a list `own` may stand beside them."""
USUAL = "default"
"""The name, in a table of reaches, of that of all other kinds of case."""


def reads_of(written: Written | dict[str, Written], where: str) -> Reads:
    """The reach that was written down, once or by kind of case. SettingsError, with `where`, for what is none."""
    if not isinstance(written, dict):
        return Reads(_reach(written, where))
    kinds = [definition.name for definition in DEFINITIONS.values() if definition.listed != "never"]
    for name in written:
        if name not in (USUAL, *kinds):
            raise SettingsError(f"{where}.{name}: no such kind of case; there are {', '.join((USUAL, *kinds))}")
    found = {name: _reach(value, f"{where}.{name}") for name, value in written.items()}
    return Reads(found.pop(USUAL, NOTHING), tuple(sorted(found.items())))


def as_written(reads: Reads) -> Written | dict[str, Written]:
    """A reach as the file has it; of a person's by its role, `role`."""
    usual = _written(reads.usual)
    return {USUAL: usual, **{kind: _written(reach) for kind, reach in reads.kinds}} if reads.kinds else usual


def _written(reach: Reach) -> Written:
    if reach.everything or not reach:
        return reach.everything
    words = [*(["role"] if reach.supervised else [OWN] if reach.own else []), *reach.grids]
    return words[0] if words in ([OWN], ["role"]) else words


def _reach(written: Written, where: str) -> Reach:
    if isinstance(written, bool):
        return EVERYTHING if written else NOTHING
    words = [written] if isinstance(written, str) else written
    grids = tuple(sorted({word for word in words if word != OWN}))
    if isinstance(written, str) and grids:
        raise SettingsError(f'{where} is true, false, "own", or a list of grids')
    for grid in grids:
        if not grid or len(grid) > 64 or re.search(r"[\s|/]", grid):
            raise SettingsError(f"{where}: {grid!r} is no code of a grid")
    return Reach(own=OWN in words, grids=grids)


class Principals:
    """The principals of a file. Without a file no token is asked for, and whoever shows none is `LOCAL`.

    SettingsError when the file cannot be used.
    """

    def __init__(self, path: str = "") -> None:
        self.path = Path(path) if path else None
        self._names: dict[str, Principal] = {}
        self._tokens: dict[str, Principal] = {}  # by digest
        self._digests: dict[str, str] = {}
        self._looked, self._watched = time.monotonic(), WatchedFiles([path] if path else [])
        if self.path is not None:
            self._take(self.path)

    @property
    def asked(self) -> bool:
        """Whether a token is asked for."""
        return self.path is not None

    def of_token(self, token: str) -> Principal | None:
        """The principal of a token. It is looked up by its digest, so the time taken may tell something of a digest,
        and nobody can choose the digest of what he sends."""
        return self.of_digest(digest_of(token))

    def of_request(self, token: str) -> Principal | None:
        """Who makes a request that shows this token, or none where it is empty; None: nobody who is known. Whom a token
        is of counts also at a door that asks for none: there it narrows what the request may do."""
        return self.of_token(token) if token or self.asked else LOCAL

    def of_digest(self, digest: str) -> Principal | None:
        """The principal whose token has this digest."""
        self._refresh()
        return self._tokens.get(digest)

    def named(self, name: str) -> Principal | None:
        """The principal of a name, as a topic or a record has it."""
        self._refresh()
        return self._names.get(name)

    def with_token(self, name: str) -> Principal | None:
        """The principal of a name, if it has a token."""
        found = self.named(name)
        return found if found is not None and found.name in {each.name for each in self._tokens.values()} else None

    def digests(self) -> dict[str, str]:
        """A digest of what the file says of each principal, tokens included; another one after a change."""
        self._refresh()
        return self._digests

    def owner(self) -> str:
        """The account that owns the file, or its number; empty where there is none."""
        try:
            owner = self.path.stat().st_uid if self.path else -1
            return pwd.getpwuid(owner).pw_name if owner >= 0 else ""
        except OSError:
            return ""
        except KeyError:
            return str(owner)

    def __iter__(self) -> Iterator[Principal]:
        """All of them, in the order of the file."""
        self._refresh()
        return iter(list(self._names.values()))

    def _refresh(self) -> None:
        """Read the file again if it has changed. One that cannot be used is logged once, and changes nothing."""
        now = time.monotonic()
        if self.path is None or now - self._looked < LOOK_S:
            return
        self._looked = now
        if not self._watched.changed():
            return
        try:
            self._take(self.path)
        except SettingsError as error:
            log.error("principals.kept", extra={"file": str(self.path), "why": str(error)})
        else:
            log.info("principals.read", extra={"file": str(self.path), "principals": len(self._names)})

    def _take(self, path: Path) -> None:
        names: dict[str, Principal] = {}
        digests: dict[str, str] = {}
        tokens: dict[str, tuple[str, Principal]] = {}  # by digest: where it stands, and whose it is
        for name, entry in _entries(path).items():
            here = f"principal.{name}"
            digests[name] = hashlib.sha256(msgspec.json.encode(entry)).hexdigest()
            for actor in entry.actors:
                if not actor or len(actor) > 64 or re.search(r"[\s|/]", actor):
                    raise SettingsError(f"{path}: {here}.actors: {actor!r} is neither a post's code nor a pattern")
            patterns = tuple(actor for actor in entry.actors if _PATTERN.search(actor))
            codes = frozenset(entry.actors) - set(patterns)
            quota = Quota(**{member: getattr(entry, member) for member in Quota.__struct_fields__})
            reads = reads_of(entry.reads, f"{path}: {here}.reads")
            names[name] = Principal(name, codes, patterns, reads, entry.operator, quota)
            for number, digest in enumerate(entry.tokens):
                place = f"{here}.tokens[{number}]"
                if not _DIGEST.fullmatch(digest):  # it is not shown: it may be the token itself
                    run = f"run `gridpatrol principal token {name}`"
                    raise SettingsError(f"{path}: {place} is no digest of a token: {run}")
                if digest in tokens:
                    raise SettingsError(
                        f"{path}: {place} is the same token as {tokens[digest][0]}: each is given out once"
                    )
                tokens[digest] = place, names[name]
        self._names, self._digests = names, digests
        self._tokens = {digest: principal for digest, (_, principal) in tokens.items()}


class _Entry(Quota, forbid_unknown_fields=True, frozen=True):
    """A principal as the file has it."""

    actors: list[str] = msgspec.field(default_factory=list)
    tokens: list[str] = msgspec.field(default_factory=list)
    reads: Written | dict[str, Written] = False
    operator: bool = False


def _entries(path: Path) -> dict[str, _Entry]:
    """The entries of the file by name. SettingsError names the file and the key that is wrong."""
    try:
        if path.stat().st_mode & stat.S_IWOTH:
            raise SettingsError(f"{path} can be written by everyone: run `chmod o-w {path}`")
        tables = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise SettingsError(f"principals: {path} cannot be read: {error.strerror or error}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path}: {error}") from error
    principals = tables.pop("principal", {})
    if tables or not isinstance(principals, dict):
        wrong = next(iter(tables), "principal")
        raise SettingsError(f"{path}: {wrong}: the file holds tables [principal.NAME] and nothing else")
    entries = {}
    for name, value in principals.items():
        try:
            check_name(name)
            entries[name] = msgspec.convert(value, _Entry)
        except SettingsError as error:
            raise SettingsError(f"{path}: principal.{name}: {error}") from error
        except msgspec.ValidationError as error:
            takes = ", ".join(_Entry.__struct_fields__)
            raise SettingsError(f"{path}: principal.{name}: {error}; a principal has {takes}") from error
    return entries

"""The file of channels: where each leads, how it is written to, and which lines of the feed it tells to whom.

A secret stands in a file of its own or in a variable, never in this file. SettingsError names the file, the table and
the key that is wrong, and quotes no value of a secret.
"""

import os
import re
import stat
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

import msgspec
from msgspec import Struct, field

from consumers.channels.signatures import keys_of
from engine.addresses import is_web_address
from engine.errors import SettingsError
from workflows.definitions import DEFINITIONS
from workflows.selection import KINDS_OF_LINES, MOVES_TOLD, SEVERITIES, Selection, kinds_asked

KINDS = ("webhook", "wecom", "dingtalk", "feishu", "smtp", "http")
"""Standard Webhooks; the robots of 企业微信, 钉钉 and 飞书; mail; a request by a template, for gateways of SMS."""
ROBOTS = ("wecom", "dingtalk", "feishu")
PER_MINUTE = {"webhook": 600, "wecom": 20, "dingtalk": 20, "feishu": 100, "smtp": 60, "http": 60}
"""Messages a minute, unless the channel says another number. Those of the robots are the vendors' limits."""
DIGEST_AT = ("08:30", "17:00")
"""When a digest is sent, on the wall clock of the active pack."""
MOST_CHANNELS = 50
"""Each has a thread, and is a value of a metric's label."""
LANGUAGES = ("zh", "en", "zh+en")
THIS_MACHINE = ("127.0.0.1", "::1", "localhost")
"""What is sent there travels by no network."""
PLACEHOLDER = re.compile(r"\{([a-z_]+)\}")
PLACEHOLDERS = ("to", "post", "subject", "text", "link", "id", "secret")
_NAME = re.compile(r"[a-z][a-z0-9-]{0,31}")
_HEADER = re.compile(r"[A-Za-z0-9-]+")
_TIME = re.compile(r"([01]\d|2[0-3]):([0-5]\d)")


class Secret:
    """A text that no log, table or error shows by accident."""

    def __init__(self, text: str = "") -> None:
        self._text = text

    def reveal(self) -> str:
        """The text."""
        return self._text

    def __bool__(self) -> bool:
        return bool(self._text)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and self._text == other._text

    def __hash__(self) -> int:
        return hash(self._text)

    def __repr__(self) -> str:
        return "Secret(...)" if self._text else "Secret()"


class Channel(Struct, frozen=True, kw_only=True):
    """A channel as it is used. `to`: the address of each post, or one for all of them; empty: who reads the channel."""

    name: str
    kind: str
    url: Secret = Secret()
    secret: Secret = Secret()
    to: dict[str, tuple[str, ...]] = {}
    everyone: tuple[str, ...] = ()
    private: bool = False
    ca: str = ""
    language: str = "zh"
    per_minute: int = 60
    tries: int = 12
    timeout_s: float = 20
    wait_s: int = 10
    host: str = ""
    port: int = 0
    tls: str = "starttls"
    user: str = ""
    sender: str = ""
    method: str = "POST"
    headers: dict[str, str] = {}
    body: str = ""
    success: dict[str, str] = {}

    @property
    def where(self) -> str:
        """The host that it leads to, which is no secret."""
        if self.kind == "smtp":
            return f"{self.host}:{self.port}"
        return urlsplit(self.url.reveal()).hostname or ""


class Route(Selection, frozen=True, kw_only=True):
    """Which lines go to which channels, and when. Minutes of the local day; `quiet` None: as the pack says."""

    name: str
    channels: tuple[str, ...]
    digest: bool = False
    digest_at: tuple[int, ...] = ()
    quiet: tuple[int, int] | None = None


class ChannelFile(Struct, frozen=True, kw_only=True):
    """The whole file. `files`: what it was read from, to be looked at for changes. `remarks`: what works and may
    surprise."""

    channels: dict[str, Channel] = {}
    routes: tuple[Route, ...] = ()
    base_url: str = ""
    page: str = "/v1/incidents/{case}"
    keep_days: int = 180
    files: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()

    def routes_of(self, channel: str) -> tuple[Route, ...]:
        """The routes that lead to a channel, in the order of the file."""
        return tuple(route for route in self.routes if channel in route.channels)


# ---- as the file has it --------------------------------------------------------------------------------------


class _Channel(Struct, forbid_unknown_fields=True, rename={"sender": "from"}):
    kind: Literal["webhook", "wecom", "dingtalk", "feishu", "smtp", "http"]
    url: str = ""
    url_file: str = ""
    url_env: str = ""
    secret_file: str = ""
    secret_env: str = ""
    to: str | list[str] | dict[str, str | list[str]] = field(default_factory=dict)
    private: bool = False
    ca: str = ""
    language: str = ""
    per_minute: int | None = None
    tries: int = 12
    timeout_s: float = 20
    wait_s: int = 10
    host: str = ""
    port: int = 0
    tls: Literal["starttls", "implicit", "none"] = "starttls"
    user: str = ""
    sender: str = ""
    method: Literal["GET", "POST", "PUT"] = "POST"
    headers: dict[str, str] = field(default_factory=dict)
    body: str = ""
    success: dict[str, str] = field(default_factory=dict)


class _Route(Struct, forbid_unknown_fields=True):
    channels: list[str]
    name: str = ""
    posts: list[str] = field(default_factory=list)
    grids: list[str] = field(default_factory=list)
    definitions: list[str] = field(default_factory=list)
    kinds: list[str] = field(default_factory=list)
    moves: list[str] = field(default_factory=list)
    severities: list[str] = field(default_factory=list)
    digest: bool = False
    digest_at: list[str] = field(default_factory=lambda: list(DIGEST_AT))
    quiet: str | None = None


class _File(Struct, forbid_unknown_fields=True):
    channel: dict[str, dict[str, Any]] = field(default_factory=dict)
    route: list[dict[str, Any]] = field(default_factory=list)
    base_url: str = ""
    page: str = "/v1/incidents/{case}"
    language: str = "zh"
    keep_days: int = 180


def read_channels(path: str, environ: Mapping[str, str] = os.environ) -> ChannelFile:
    """The channels of a file. SettingsError where it cannot be used; nothing of it is used then."""
    file = Path(path)
    try:
        check_closed(file)
        tables = tomllib.loads(file.read_text(encoding="utf-8"))
        whole = msgspec.convert(tables, _File)
    except OSError as error:
        raise SettingsError(f"channels: {file} cannot be read: {error.strerror or error}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"{file}: {error}") from error
    except msgspec.ValidationError as error:
        takes = ", ".join(name for name in _File.__struct_fields__ if name not in ("channel", "route"))
        raise SettingsError(f"{file}: {error}; the file holds [channel.NAME], [[route]] and {takes}") from error
    _check(whole.language in LANGUAGES, f"{file}: language", f"one of {', '.join(LANGUAGES)}")
    _check(not whole.base_url or is_web_address(whole.base_url), f"{file}: base_url", "http:// or https:// and a host")
    _check(1 <= whole.keep_days <= 36_500, f"{file}: keep_days", "from 1 to 36500 days")
    _check(len(whole.channel) <= MOST_CHANNELS, f"{file}: channel", f"at most {MOST_CHANNELS} channels")
    reader = _Reader(file, environ)
    channels = {name: reader.channel(name, entry, whole.language) for name, entry in whole.channel.items()}
    routes = tuple(reader.route(number, entry, channels) for number, entry in enumerate(whole.route, 1))
    return ChannelFile(
        channels=channels,
        routes=routes,
        base_url=whole.base_url.rstrip("/"),
        page=whole.page,
        keep_days=whole.keep_days,
        files=(str(file), *reader.files),
        remarks=(*reader.remarks, *_unreached(channels, routes)),
    )


class _Reader:
    """Reads the tables of one file, and remembers which other files they name."""

    def __init__(self, file: Path, environ: Mapping[str, str]) -> None:
        self.file, self.environ = file, environ
        self.files: list[str] = []
        self.remarks: list[str] = []

    def channel(self, name: str, entry: dict[str, Any], language: str) -> Channel:
        """A channel of the file."""
        here = f"{self.file}: channel.{name}"
        _check(bool(_NAME.fullmatch(name)), here, "a name of small letters, digits and '-', at most 32")
        given = self._converted(entry, _Channel, here)
        url = self._secret(here, "url", given.url_file, given.url_env)
        if given.url:
            _check(given.kind not in ROBOTS, f"{here}.url", "url_file or url_env: a robot's address has its key in it")
            url = Secret(given.url)
        secret = self._secret(here, "secret", given.secret_file, given.secret_env)
        self._check_kind(here, given, url, secret)
        for least, most, number, what in (
            (1, 60_000, given.per_minute or 1, "per_minute"),
            (1, 100, given.tries, "tries"),
            (1, 300, given.timeout_s, "timeout_s"),
            (0, 3600, given.wait_s, "wait_s"),
        ):
            _check(least <= number <= most, f"{here}.{what}", f"from {least} to {most}")
        _check((given.language or language) in LANGUAGES, f"{here}.language", f"one of {', '.join(LANGUAGES)}")
        to, everyone = _addresses(here, given)
        ca = str(self.file.parent / given.ca) if given.ca else ""
        _check(not ca or Path(ca).is_file(), f"{here}.ca", "a PEM file that is there")
        return Channel(
            name=name,
            kind=given.kind,
            url=url,
            secret=secret,
            to=to,
            everyone=everyone,
            private=given.private,
            ca=ca,
            language=given.language or language,
            per_minute=given.per_minute or PER_MINUTE[given.kind],
            tries=given.tries,
            timeout_s=given.timeout_s,
            wait_s=given.wait_s,
            host=given.host,
            port=given.port or {"starttls": 587, "implicit": 465, "none": 25}[given.tls],
            tls=given.tls,
            user=given.user,
            sender=given.sender,
            method=given.method,
            headers=given.headers,
            body=given.body,
            success=given.success,
        )

    def _check_kind(self, here: str, given: _Channel, url: Secret, secret: Secret) -> None:
        """What a kind needs, and what it does not take."""
        if given.kind == "smtp":
            _check(bool(given.host), f"{here}.host", "the mail server's name")
            _check("@" in given.sender, f"{here}.from", "the address that mails come from")
            _check(bool(given.to), f"{here}.to", "an address, or addresses by post")
            _check(not given.user or bool(secret), f"{here}.user", "a password: secret_file or secret_env")
            if given.tls == "none":
                self.remarks.append(f"{here}: mails and the password travel in plain (tls = none)")
            return
        _check(bool(url), f"{here}.url", "where it leads: url, url_file or url_env")
        _check(is_web_address(url.reveal()), f"{here}.url", "http:// or https:// and a host, without a user")
        if not url.reveal().startswith("https:") and urlsplit(url.reveal()).hostname not in THIS_MACHINE:
            self.remarks.append(f"{here}: what is sent travels in plain (http:)")
        if given.kind == "webhook":
            _check(bool(secret), f"{here}.secret_file", "a file with the secret that the receiver knows, whsec_...")
            _check(
                bool(keys_of(secret.reveal())), f"{here}.secret_file", "whsec_ and 24 to 64 bytes in base64, one a line"
            )
        if given.kind == "http":
            odd_names = [name for name in given.headers if not _HEADER.fullmatch(name)]
            _check(not odd_names, f"{here}.headers", "names of headers, of letters, digits and '-'")
            for where, text in (("url", url.reveal()), ("body", given.body), *given.headers.items()):
                odd = [name for name in PLACEHOLDER.findall(text) if name not in PLACEHOLDERS]
                takes = ", ".join(f"{{{name}}}" for name in PLACEHOLDERS)
                _check(not odd, f"{here}.{where}", f"of what stands in braces only {takes}")
        else:
            unused = [name for name in ("headers", "body", "success", "to") if getattr(given, name)]
            _check(not unused, f"{here}.{(unused or [''])[0]}", "nothing: this kind does not take it")

    def _secret(self, here: str, what: str, file: str, variable: str) -> Secret:
        """A secret out of a file or a variable; empty where neither is named."""
        if file and variable:
            raise SettingsError(f"{here}.{what}_file: give a file or a variable, not both")
        if variable:
            _check(bool(self.environ.get(variable)), f"{here}.{what}_env", "a variable that is set")
            return Secret(self.environ[variable].strip())
        if not file:
            return Secret()
        path = self.file.parent / file
        try:
            check_closed(path)
            if path.stat().st_mode & stat.S_IROTH:
                self.remarks.append(f"{here}.{what}_file: everyone may read {path}: run `chmod o-r {path}`")
            text = path.read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            why = getattr(error, "strerror", None) or "it is no text"
            raise SettingsError(f"{here}.{what}_file: {path} cannot be read: {why}") from error
        _check(bool(text), f"{here}.{what}_file", "a file that is not empty")
        self.files.append(str(path))
        return Secret(text)

    def route(self, number: int, entry: dict[str, Any], channels: Mapping[str, Channel]) -> Route:
        """The route of this number."""
        here = f"{self.file}: route {number}"
        given = self._converted(entry, _Route, here)
        _check(bool(given.channels), f"{here}.channels", "at least one channel")
        for words, known, key in (
            (given.channels, tuple(channels), "channels"),
            (given.definitions, tuple(DEFINITIONS), "definitions"),
            (given.kinds, KINDS_OF_LINES, "kinds"),
            (given.moves, MOVES_TOLD, "moves"),
            (given.severities, SEVERITIES, "severities"),
        ):
            _check(set(words) <= set(known), f"{here}.{key}", f"of {', '.join(known) or 'the channels above'}")
        moves, severities = tuple(given.moves), tuple(given.severities)
        return Route(
            name=given.name or f"route {number}",
            channels=tuple(given.channels),
            posts=tuple(given.posts),
            grids=tuple(given.grids),
            definitions=tuple(given.definitions),
            kinds=kinds_asked(tuple(given.kinds), moves, severities),
            moves=moves,
            severities=severities,
            digest=given.digest,
            digest_at=tuple(sorted(_minute(text, f"{here}.digest_at") for text in given.digest_at or DIGEST_AT)),
            quiet=None if given.quiet is None else _quiet(given.quiet, f"{here}.quiet"),
        )

    def _converted(self, entry: dict[str, Any], kind: Any, here: str) -> Any:
        try:
            return msgspec.convert(entry, kind)
        except msgspec.ValidationError as error:
            fields = [each.encode_name for each in msgspec.structs.fields(kind)]
            raise SettingsError(f"{here}: {error}; it has {', '.join(fields)}") from error


# ---- checks ---------------------------------------------------------------------------------------------------


def check_closed(path: Path) -> None:
    """SettingsError where everyone may write a file: whoever does reads alerts, or sends them elsewhere."""
    if path.stat().st_mode & stat.S_IWOTH:
        raise SettingsError(f"{path} can be written by everyone: run `chmod o-w {path}`")


def _check(holds: bool, where: str, needs: str) -> None:
    if not holds:
        raise SettingsError(f"{where}: needs {needs}")


def _minute(text: str, where: str) -> int:
    found = _TIME.fullmatch(text)
    _check(found is not None, where, "times of the day such as 08:30")
    assert found is not None
    return int(found[1]) * 60 + int(found[2])


def digest_minutes() -> tuple[int, ...]:
    """The usual times of a digest, as minutes of the day."""
    return tuple(_minute(text, "digest_at") for text in DIGEST_AT)


def _quiet(text: str, where: str) -> tuple[int, int]:
    """The quiet hours `22:00-07:00`; an empty text says that there are none."""
    if not text:
        return 0, 0
    begin, dash, end = text.partition("-")
    _check(bool(dash), where, 'hours such as "22:00-07:00", or "" for none')
    return _minute(begin, where), _minute(end, where)


def _addresses(here: str, given: _Channel) -> tuple[dict[str, tuple[str, ...]], tuple[str, ...]]:
    """The addresses of posts, and those of everyone."""

    def several(value: str | list[str]) -> tuple[str, ...]:
        return (value,) if isinstance(value, str) else tuple(value)

    if not isinstance(given.to, dict):
        found: dict[str, tuple[str, ...]] = {}
        everyone = several(given.to)
    else:
        found, everyone = {post: several(value) for post, value in given.to.items()}, ()
    for post, addresses in (*found.items(), ("", everyone)):
        where = f"{here}.to.{post}".rstrip(".")
        _check(
            all(address and not re.search(r"[\x00-\x20\x7f<>]", address) for address in addresses), where, "addresses"
        )
        mails = all("@" in address and address.isascii() for address in addresses)
        _check(given.kind != "smtp" or mails, where, "addresses with an @, in ASCII")
        _check(given.kind == "smtp" or len(addresses) < 2, where, "one address: each is a request of its own")
    return found, everyone


def _unreached(channels: Mapping[str, Channel], routes: tuple[Route, ...]) -> list[str]:
    """What the file has and nothing leads to."""
    led = {name for route in routes for name in route.channels}
    return [f"channel.{name}: no route leads to it, so it tells nothing" for name in channels if name not in led]

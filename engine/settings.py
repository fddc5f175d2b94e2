"""Settings, each with its default written once. A TOML file < `GRIDPATROL_*` variables < flags of the command."""

import os
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit, urlunsplit

import msgspec
from msgspec import Struct

from engine.errors import SettingsError
from schemas.envelope import MAX_EVENT_BYTES

FILE = Path("gridpatrol.toml")
ROLES = ("all", "gateway", "worker", "performance", "alerts")
WITH_DOOR = ("all", "gateway")
LOOPBACK = ("127.0.0.1", "localhost", "[::1]")
AT_LEAST_ONE = (
    "partitions",
    "slice_records",
    "slice_steps",
    "tick_every_ms",
    "append_batch",
    "queue",
    "file_bytes",
    "file_days",
    "upload_days",
    "letter_days",
    "token_days",
    "letter_bytes",
    "letter_bytes_each",
    "connections",
    "connections_per_peer",
    "pipelined",
    "url_bytes",
    "head_bytes",
    "head_lines",
    "head_ms",
    "body_bytes_per_s",
    "bodies_bytes",
    "idle_ms",
    "reader_ms",
    "log_access_per_s",
)
ORIGIN = re.compile(r"https?://([a-z0-9.-]+|\[[0-9a-f:]+\])(:[0-9]{1,5})?")
"""Scheme, host and port, as browsers write them into `Origin` (RFC 6454): no path, no capitals."""
SECURITY = ("PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL")


class Settings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """All settings. The variable of `slice_records` is GRIDPATROL_SLICE_RECORDS, its flag --slice-records."""

    role: str = "all"  # what this process does: all, gateway, worker, performance or alerts
    database: str = "sqlite:///var/gridpatrol.db"  # SQLAlchemy URL
    database_password_file: str = ""  # holds the password that the URL leaves out
    listen: str = "127.0.0.1:8420"  # host:port; a door that asks for no token is on loopback only
    tls_cert: str = ""  # PEM file of the door's certificate, with which it speaks HTTPS
    tls_key: str = ""  # PEM file of its key; empty: it is in tls_cert
    tls_ca: str = ""  # PEM file of its issuer, for commands that ask the door; empty: the machine's own authorities
    principals: str = ""  # TOML file of who may speak; empty: loopback, and one principal that may speak for all
    channels: str = ""  # TOML file of the channels that tell alerts; empty: the feed alone tells them
    webhook_private: bool = False  # webhooks of subscriptions may lead to this machine, private networks and by http
    token_days: int = 180  # days for which a person's token is good, unless its operator says otherwise
    token_grace_hours: int = 24  # for which the old token of a person goes on beside a new one; 0: it ends at once
    pack: str = "weiyang"  # folder of a pack, or the name of a shipped one; used on an empty database
    archives: str = "var/archives"  # folder of the files with which ended cases leave the tables
    anchors: str = ""  # file to which the chains' anchors go, for somebody else to keep; empty: none
    files: str = ""  # folder or bucket (s3://BUCKET/PREFIX) of photos; empty: a folder beside a SQLite database
    files_endpoint: str = ""  # address of the bucket's server; empty: that of AWS
    files_shared: bool = False  # the folder is the same for all gateways, so several may keep files in it
    file_bytes: int = 52_428_800  # of one file
    file_days: int = 7  # days that a file stays to which nobody refers, beyond what may come late by the pack
    upload_days: int = 3  # days that what has come of a file waits for the rest
    cors: str = ""  # origins of pages that may call the door, with commas between; empty: none but its own
    open311_public: str = ""  # principal in whose name who shows no key reads /open311/v2; empty: nobody does
    open311_post: str = ""  # post that takes in what comes there by a key of several posts
    open311_jurisdiction: str = ""  # the jurisdiction_id of this server, such as city.example; empty: the pack's code
    open311_contact: str = "whoever operates this server"  # of whom programs are told to ask
    open311_keys: str = "ask whoever operates this server"  # how one gets a key, in words
    open311_url: str = ""  # address of /open311/v2 as clients reach it; empty: as the request names it
    partitions: int = 32  # fixed at installation
    slice_records: int = 500  # records a slice takes at most
    slice_steps: int = 1000  # steps a slice makes at most
    stamp_ahead_ms: int = 30_000  # a stamp further ahead halts its partition
    tick_every_ms: int = 200  # at most one tick per partition in this time
    append_batch: int = 1000  # events appended in one transaction
    queue: int = 20_000  # events waiting to be appended; nobody has more waiting than there are free places
    event_bytes: int = MAX_EVENT_BYTES  # an event's size; the contract allows no more than this
    batch_events: int = 1000  # events of one HTTP batch
    letter_days: int = 180  # days for which the bytes of a dead letter are kept
    letter_bytes: int = 1 << 30  # bytes of dead letters that are kept in all; the oldest go first
    letter_bytes_each: int = 1 << 28  # bytes of dead letters that are kept of one principal
    connections: int = 1000  # open at the door; more are told to come again
    connections_per_peer: int = 500  # of one address, which behind a proxy is the proxy's
    pipelined: int = 16  # requests of one connection that wait for their answers
    url_bytes: int = 49_152  # of a request's address
    head_bytes: int = 65_536  # of request line and headers
    head_lines: int = 100  # headers of a request
    head_ms: int = 10_000  # within which they are there, and before them the TLS handshake
    body_bytes_per_s: int = 500  # a body that comes more slowly, over head_ms, is not waited for
    bodies_bytes: int = 134_217_728  # of all bodies under way; one address has half of it
    idle_ms: int = 5_000  # between two requests of a connection
    reader_ms: int = 30_000  # who takes nothing of an answer for so long is cut off
    log_format: str = "text"  # text or json
    log_level: str = "INFO"
    log_access: str = "refused"  # requests that leave a line: none, refused or all
    log_access_per_s: int = 20  # such lines in a second, of one principal and class of status
    kafka: str = ""  # brokers, host:port with commas between; empty: the log is a table
    kafka_prefix: str = ""  # stands before the name of every topic and group
    kafka_security: str = "PLAINTEXT"  # PLAINTEXT, SSL, SASL_PLAINTEXT or SASL_SSL
    kafka_ca: str = ""  # PEM file of the authority that signed the brokers' certificates
    kafka_cert: str = ""  # PEM file of our own certificate, where the brokers ask for one
    kafka_key: str = ""  # PEM file of its key; empty: it is in kafka_cert
    kafka_mechanism: str = "SCRAM-SHA-512"  # how user and password are shown
    kafka_user: str = ""
    kafka_password_file: str = ""
    kafka_session_ms: int = 10_000  # a process that is silent for so long loses its partitions
    mqtt: str = ""  # broker of device values, host:port; empty: they come over HTTP alone
    mqtt_topic: str = "signals/values/#"  # of the messages with values
    mqtt_user: str = ""
    mqtt_password_file: str = ""
    mqtt_ca: str = ""  # PEM file of the authority that signed the broker's certificate; empty: without TLS
    instance: str = ""  # this process's name among those of its role, the same after a restart; empty: role@host

    def __post_init__(self) -> None:
        """SettingsError, with the value, for what cannot work."""
        for name in AT_LEAST_ONE:
            if getattr(self, name) < 1:
                raise SettingsError(f"{name} must be at least 1, got {getattr(self, name)}")
        if not 1 <= self.event_bytes <= MAX_EVENT_BYTES:
            raise SettingsError(f"event_bytes must be from 1 to {MAX_EVENT_BYTES}, got {self.event_bytes}")
        if self.token_grace_hours < 0:
            raise SettingsError(f"token_grace_hours must be at least 0, got {self.token_grace_hours}")
        host, _, port = self.listen.rpartition(":")
        open_door = self.role in WITH_DOOR and not self.principals
        if not host or (open_door and host not in LOOPBACK):
            unless = "a loopback address with a port, unless `principals` says who may speak"
            raise SettingsError(f"listen must be {unless if open_door else 'host:port'}; got {self.listen!r}")
        if not port.isdigit() or int(port) > 65_535:
            raise SettingsError(f"listen needs a port from 0 to 65535, got {self.listen!r}")
        if self.tls_key and not self.tls_cert:
            raise SettingsError("tls_key needs tls_cert")
        if self.role not in ROLES:
            raise SettingsError(f"role must be one of {', '.join(ROLES)}, got {self.role!r}")
        if self.role != "all" and not self.kafka:
            raise SettingsError(f"role {self.role} needs kafka: without it one process does everything (role all)")
        if self.kafka_security not in SECURITY:
            raise SettingsError(f"kafka_security must be one of {', '.join(SECURITY)}, got {self.kafka_security!r}")
        for address in self.kafka.split(",") if self.kafka else ():
            broker, _, number = address.strip().rpartition(":")
            if not broker or not number.isdigit() or not 0 < int(number) < 65_536:
                raise SettingsError(f"kafka must be host:port, several with commas between; got {self.kafka!r}")
        host, _, port = self.mqtt.rpartition(":")
        if self.mqtt and (not host or not port.isdigit() or not 0 < int(port) < 65_536):
            raise SettingsError(f"mqtt must be host:port, got {self.mqtt!r}")
        if self.kafka_session_ms < 500:
            raise SettingsError(f"kafka_session_ms must be at least 500, got {self.kafka_session_ms}")
        for origin in self.origins:
            if not ORIGIN.fullmatch(origin):
                raise SettingsError(f"cors must be origins such as https://desk.example, got {origin!r}")
        if self.log_format not in ("text", "json"):
            raise SettingsError(f"log_format must be text or json, got {self.log_format!r}")
        if self.log_access not in ("none", "refused", "all"):
            raise SettingsError(f"log_access must be none, refused or all, got {self.log_access!r}")

    @property
    def origins(self) -> frozenset[str]:
        """The origins of pages that may call the door, as browsers write them."""
        return frozenset(filter(None, (origin.strip() for origin in self.cors.split(","))))


def read_settings(flags: Mapping[str, Any], environ: Mapping[str, str] = os.environ, file: Path = FILE) -> Settings:
    """The settings of this run, with the database's password in its URL. SettingsError names what cannot be used."""
    values: dict[str, Any] = {}
    if file.is_file():
        try:
            values |= tomllib.loads(file.read_text(encoding="utf-8"))
        except tomllib.TOMLDecodeError as error:
            raise SettingsError(f"{file}: {error}") from error
    for name in Settings.__struct_fields__:
        if (text := environ.get(f"GRIDPATROL_{name.upper()}")) not in (None, ""):
            values[name] = text
    values |= {name: value for name, value in flags.items() if value is not None}
    try:
        settings = msgspec.convert(values, Settings, strict=False)
    except msgspec.ValidationError as error:
        raise SettingsError(f"{error}") from error
    if not settings.database_password_file or settings.database.startswith("sqlite"):
        return settings  # SQLite has no password: its URL may stand beside a server's, as in `gridpatrol db copy`
    try:
        password = Path(settings.database_password_file).read_text(encoding="utf-8").rstrip("\r\n")
    except OSError as error:
        raise SettingsError(f"database_password_file: {error}") from error
    parts = urlsplit(settings.database)
    user, at, host = parts.netloc.rpartition("@")
    if not at or ":" in user:
        raise SettingsError(
            "database_password_file needs a URL with a user and no password: postgresql://user@host/name"
        )
    url = urlunsplit(parts._replace(netloc=f"{user}:{quote(password, safe='')}@{host}"))
    return msgspec.structs.replace(settings, database=url, database_password_file="")

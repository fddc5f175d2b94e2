"""The HTTP client of the commands: what a command asks of the server that holds the database.

In: a server's address, a token if it asks for one, requests. Out: decoded JSON, Server-Sent Events; a problem document
(RFC 9457) becomes one sentence.
"""

import http.client
import json
import ssl
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlencode, urlsplit

from engine.errors import GridpatrolError, SettingsError
from engine.settings import Settings
from engine.store.database import Database
from engine.store.meta import read_meta
from gridpatrol import options

EVERYWHERE = {"0.0.0.0": "127.0.0.1", "::": "::1"}
"""Who listens everywhere listens here too."""
DOOR = "door"
"""Name in `meta` under which a server leaves its address."""


class ServerAway(GridpatrolError):
    """No server answers."""

    remedy = "Start it with `gridpatrol serve`, or name its address with --listen."


class ServerUnknown(GridpatrolError):
    """A server answers, and its certificate is not trusted."""

    remedy = "Set GRIDPATROL_TLS_CA to who signed it; it must name the address at which the server listens."


class Refused(GridpatrolError):
    """The server refused a request."""


class Server:
    """A running server by its address. `token`: by which it knows who speaks; `ca`: who signed its certificate."""

    def __init__(self, url: str, timeout_s: float = 60, token: str = "", ca: str = "") -> None:
        self.url = url.rstrip("/")
        parts = urlsplit(self.url)
        host = parts.hostname or "127.0.0.1"
        self._tls = _trusting(ca) if parts.scheme == "https" else None
        self._address = (EVERYWHERE.get(host, host), parts.port or (443 if self._tls else 80))
        self._timeout_s = timeout_s
        self._spoken = {"Authorization": f"Bearer {token}"} if token else {}

    def get(self, path: str, **query: Any) -> Any:
        """The JSON of a reading route; parameters that are None are left out."""
        asked = urlencode({name: value for name, value in query.items() if value is not None})
        return self._json("GET", f"{path}?{asked}" if asked else path)

    def post(self, path: str, body: bytes = b"", kind: str = "application/json", **headers: str) -> Any:
        """The JSON that answers a body."""
        return self._json("POST", path, body, {"Content-Type": kind} | headers)

    def answers(self) -> bool:
        """Whether a server is there at all."""
        try:
            self._ask("GET", "/healthz")[0].close()
        except ServerAway:
            return False
        return True

    def follow(self, path: str, last_id: str, **query: Any) -> Iterator[tuple[str, str]]:
        """(id, data) of Server-Sent Events until the server ends the stream."""
        asked = urlencode({name: value for name, value in query.items() if value is not None})
        headers = {"Accept": "text/event-stream"} | ({"Last-Event-ID": last_id} if last_id else {})
        connection, answer = self._ask("GET", f"{path}?{asked}" if asked else path, b"", headers)
        try:
            if answer.status != 200:
                raise Refused(_problem(answer.status, answer.read()))
            yield from _events(answer)
        finally:
            connection.close()

    def _json(self, method: str, path: str, body: bytes = b"", headers: dict[str, str] | None = None) -> Any:
        connection, answer = self._ask(method, path, body, headers or {})
        try:
            raw = answer.read()
        finally:
            connection.close()
        if answer.status >= 400:
            raise Refused(_problem(answer.status, raw))
        return json.loads(raw) if raw else None

    def _ask(
        self, method: str, path: str, body: bytes = b"", headers: dict[str, str] | None = None
    ) -> tuple[http.client.HTTPConnection, http.client.HTTPResponse]:
        connection = self._connection()
        try:
            connection.request(method, path, body, self._spoken | (headers or {}))
            return connection, connection.getresponse()
        except ssl.SSLCertVerificationError as error:
            connection.close()
            raise ServerUnknown(f"the certificate of {self.url} is not trusted: {error.verify_message}") from error
        except (OSError, http.client.HTTPException) as error:
            connection.close()
            raise ServerAway(f"no server answers at {self.url} ({error})") from error

    def _connection(self) -> http.client.HTTPConnection:
        if self._tls is None:
            return http.client.HTTPConnection(*self._address, timeout=self._timeout_s)
        return http.client.HTTPSConnection(*self._address, timeout=self._timeout_s, context=self._tls)


def _trusting(ca: str) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=ca or None)
    except OSError as error:
        raise SettingsError(f"tls_ca: {ca} cannot be read as certificates in PEM: {error.strerror}") from error


def _events(answer: http.client.HTTPResponse) -> Iterator[tuple[str, str]]:
    """Lines into events; comments keep the line alive and mean nothing."""
    id_, data = "", list[str]()
    try:
        for raw in answer:
            name, _, value = raw.decode().rstrip("\r\n").partition(":")
            value = value.removeprefix(" ")
            if name == "id":
                id_ = value
            elif name == "data":
                data.append(value)
            elif not name and not value and data:
                yield id_, "\n".join(data)
                data = []
    except (OSError, http.client.HTTPException):
        return


def _problem(status: int, raw: bytes) -> str:
    """The sentence of a problem document."""
    try:
        said = json.loads(raw)
    except ValueError:
        said = {}
    said = said if isinstance(said, dict) else {}
    detail = said.get("detail") or said.get("title")
    if status in (401, 403) and "remedy" in said:  # what is wrong is not in the request but in who asks
        return f"{detail}: {said['remedy']}"
    return str(detail or f"the server answered {status}").rstrip(".")


def server_of(settings: Settings, database: Database | None = None) -> Server:
    """The server that was named with --server; else the one that writes to a database, as it left its address there;
    else where the settings say it listens."""
    address: str | None = options.server_named()
    if database is not None and not address:
        with database.read() as connection:
            address = read_meta(connection, DOOR)
    there = address or f"{'https' if settings.tls_cert else 'http'}://{settings.listen}"
    return Server(there, token=options.token(), ca=settings.tls_ca)

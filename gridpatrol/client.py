"""The HTTP client of a running server, for the commands and for the demo's traffic.

It imports the standard library and `engine.errors` only: whoever uses it reaches the engine by the public routes alone.
Each request has a connection of its own, so none is stale after a pause. A problem document (RFC 9457) becomes one
sentence.
"""

import http.client
import json
import socket
import ssl
import time
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlencode, urlsplit

from engine.errors import TRY_AGAIN, WRONG, GridpatrolError, SettingsError

EVERYWHERE = {"0.0.0.0": "127.0.0.1", "::": "::1"}
"""Who listens everywhere listens here too."""
TOO_MANY = 429
"""The status of who has sent more than its quota."""
NOT_NOW = 503
"""The status of a server that takes nothing just now."""


class ServerAway(GridpatrolError):
    """No server answers."""

    remedy = "Start it with `gridpatrol serve`, or name its address with --listen."
    exit_status = TRY_AGAIN


class ServerUnknown(GridpatrolError):
    """A server answers, and its certificate is not trusted."""

    remedy = "Set GRIDPATROL_TLS_CA to who signed it; it must name the address at which the server listens."


class Refused(GridpatrolError):
    """The server refused a request; `status` is that of HTTP, `wait_s` says when to come again (0: it does not)."""

    def __init__(self, status: int, message: str, remedy: str = "", wait_s: int = 0) -> None:
        super().__init__(message, remedy=remedy)
        self.status = status
        self.wait_s = wait_s
        self.exit_status = TRY_AGAIN if status in (TOO_MANY, NOT_NOW) else WRONG


class Server:
    """A running server by its address. `token`: by which it knows who speaks; `ca`: who signed its certificate;
    `account`: who runs the command, for the server's audit."""

    def __init__(self, url: str, timeout_s: float = 60, token: str = "", ca: str = "", account: str = "") -> None:
        self.url = url.rstrip("/")
        parts = urlsplit(self.url)
        host = parts.hostname or "127.0.0.1"
        self._tls: ssl.SSLContext | None = None
        if parts.scheme == "https":
            try:
                self._tls = ssl.create_default_context(cafile=ca or None)
            except OSError as error:
                raise SettingsError(f"tls_ca: {ca} cannot be read as certificates in PEM: {error.strerror}") from error
        self._address = (EVERYWHERE.get(host, host), parts.port or (443 if self._tls else 80))
        self._timeout_s = timeout_s
        self._authorization = {"Authorization": f"Bearer {token}"} if token else {}
        if account.isascii() and account.isprintable():
            self._authorization["Gridpatrol-Account"] = account
        self._open: http.client.HTTPConnection | None = None  # of the request under way

    def get(self, path: str, **query: Any) -> Any:
        """The JSON of a reading route; parameters that are None are left out."""
        return self._json("GET", _with_query(path, query))

    def post(self, path: str, body: bytes = b"", kind: str = "application/json", **headers: str) -> Any:
        """The JSON that answers a body."""
        return self._json("POST", path, body, {"Content-Type": kind, **headers})

    def put(self, path: str, body: bytes) -> Any:
        """The JSON that answers bytes which have an address of their own."""
        return self._json("PUT", path, body)

    def publish(self, batch: bytes, wait_s: int) -> list[dict[str, Any]]:
        """Hand in a JSON array of CloudEvents and wait for what becomes of them: one answer per event. Who sends faster
        than it may waits for its turn. What is parked is not waited for any further."""
        while True:
            try:
                results: list[dict[str, Any]] = self.post(
                    "/v1/events", batch, "application/cloudevents-batch+json", Prefer=f"wait={wait_s}; parked=0"
                )["results"]
                return results
            except Refused as refused:
                if refused.status != TOO_MANY:
                    raise
                time.sleep(max(1, refused.wait_s))

    def answers(self) -> bool:
        """Whether a server is there at all."""
        try:
            self._ask("GET", "/healthz")[0].close()
        except ServerAway:
            return False
        return True

    def follow(self, path: str, last_id: str, **query: Any) -> Iterator[tuple[str, str, str]]:
        """(event, id, data) of Server-Sent Events until the server ends the stream."""
        headers = {"Accept": "text/event-stream"} | ({"Last-Event-ID": last_id} if last_id else {})
        connection, answer = self._ask("GET", _with_query(path, query), headers=headers)
        try:
            if answer.status != 200:
                raise _refused(answer, answer.read())
            event, id_, data = "", "", list[str]()
            for raw in answer:  # comments keep the line alive and mean nothing
                name, _, value = raw.decode().rstrip("\r\n").partition(":")
                value = value.removeprefix(" ")
                if name == "id":
                    id_ = value
                elif name == "event":
                    event = value
                elif name == "data":
                    data.append(value)
                elif not name and not value and data:
                    yield event, id_, "\n".join(data)
                    event, data = "", []
        except (OSError, http.client.HTTPException):
            return  # the line broke: the caller takes it up again
        finally:
            connection.close()

    def hang_up(self) -> None:
        """Break off the request under way, if there is one. May be called from another thread."""
        sock = self._open.sock if self._open is not None else None
        if sock is not None:
            try:
                sock.shutdown(socket.SHUT_RDWR)
            except OSError:
                return  # it was closed already

    def _json(self, method: str, path: str, body: bytes = b"", headers: dict[str, str] | None = None) -> Any:
        connection, answer = self._ask(method, path, body, headers)
        try:
            raw = answer.read()
        except (OSError, http.client.HTTPException) as error:
            raise self._away(error) from error
        finally:
            connection.close()
        if answer.status >= 400:
            raise _refused(answer, raw)
        return json.loads(raw) if raw else None

    def _ask(
        self, method: str, path: str, body: bytes = b"", headers: dict[str, str] | None = None
    ) -> tuple[http.client.HTTPConnection, http.client.HTTPResponse]:
        if self._tls is None:
            connection = http.client.HTTPConnection(*self._address, timeout=self._timeout_s)
        else:
            connection = http.client.HTTPSConnection(*self._address, timeout=self._timeout_s, context=self._tls)
        self._open = connection
        try:
            connection.request(method, path, body, self._authorization | (headers or {}))
            return connection, connection.getresponse()
        except ssl.SSLCertVerificationError as error:
            connection.close()
            raise ServerUnknown(f"the certificate of {self.url} is not trusted: {error.verify_message}") from error
        except (OSError, http.client.HTTPException) as error:
            connection.close()
            raise self._away(error) from error

    def _away(self, error: Exception) -> ServerAway:
        return ServerAway(f"no server answers at {self.url} ({error})")


def _with_query(path: str, query: dict[str, Any]) -> str:
    asked = urlencode({name: value for name, value in query.items() if value is not None})
    return f"{path}?{asked}" if asked else path


def _refused(answer: http.client.HTTPResponse, raw: bytes) -> Refused:
    """The error of a problem document."""
    try:
        document = json.loads(raw)
    except ValueError:
        document = None
    members = document if isinstance(document, dict) else {}
    status, detail = answer.status, members.get("detail") or members.get("title")
    wait = answer.getheader("Retry-After", "")
    # Other remedies are for programs that speak HTTP; what is wrong here is not the request but who asks.
    remedy = str(members.get("remedy", "")) if status in (401, 403) else ""
    text = str(detail or f"the server answered {status}").rstrip(".")
    return Refused(status, text, remedy, int(wait) if wait.isascii() and wait.isdigit() else 0)

"""The HTTP side of the live traffic: one connection, kept open, and nothing but the public routes.

In: events and questions; a token, where the server asks who speaks. Out: decoded JSON; `Away` where nobody is there,
`Answered` for any other answer than success.
"""

import json
import socket
from http.client import HTTPConnection, HTTPException
from typing import Any
from urllib.parse import urlencode, urlsplit


class Away(Exception):
    """Nobody answers."""


class Answered(Exception):
    """The server answered, but not with success."""

    def __init__(self, status: int, detail: str) -> None:
        super().__init__(f"{status}: {detail}")
        self.status = status


class Door:
    """The door of a running server. Times out after `timeout_s` seconds."""

    def __init__(self, url: str, timeout_s: float = 10, token: str = "") -> None:
        parts = urlsplit(url)
        if parts.scheme != "http" or not parts.hostname:
            raise ValueError(f"the server's address is written http://host:port, got {url!r}")
        self._connection = HTTPConnection(parts.hostname, parts.port or 80, timeout=timeout_s)
        self._spoken = {"Authorization": f"Bearer {token}"} if token else {}

    def get(self, path: str, **query: Any) -> Any:
        """What a reading route says."""
        return self._ask("GET", f"{path}?{urlencode(query)}" if query else path)

    def post(self, events: list[dict[str, Any]], wait_s: int) -> list[dict[str, Any]]:
        """Hand in events, one or a batch, and wait for what becomes of them; one answer per event."""
        batch = len(events) != 1
        kind = "application/cloudevents-batch+json" if batch else "application/cloudevents+json"
        body = json.dumps(events if batch else events[0], ensure_ascii=False).encode()
        said = self._ask("POST", "/v1/events", body, {"Content-Type": kind, "Prefer": f"wait={wait_s}"})
        answers: list[dict[str, Any]] = said["results"] if batch else [said]
        return answers

    def hang_up(self) -> None:
        """Break off whatever is being waited for. May be called from another thread."""
        sock = self._connection.sock
        if sock is not None:
            try:
                sock.shutdown(socket.SHUT_RDWR)
            except OSError:
                return  # it was closed already

    def _ask(self, method: str, path: str, body: bytes | None = None, headers: dict[str, str] | None = None) -> Any:
        try:
            self._connection.request(method, path, body, self._spoken | (headers or {}))
            answer = self._connection.getresponse()
            raw = answer.read()
        except (OSError, HTTPException) as error:
            self._connection.close()
            raise Away(str(error) or type(error).__name__) from error
        said = _decoded(raw)
        if answer.status >= 400:
            detail = said.get("detail") if isinstance(said, dict) else None
            raise Answered(answer.status, str(detail or raw[:200].decode(errors="replace")))
        return said


def _decoded(raw: bytes) -> Any:
    """JSON where it is JSON, else nothing."""
    try:
        return json.loads(raw)
    except ValueError:
        return None

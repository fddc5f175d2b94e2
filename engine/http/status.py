"""Health and metrics of a role that has no door of its own: /healthz, /readyz and /metrics.

It shows nothing about incidents or people, so it may listen to other machines.
"""

import json
import logging
import socket
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder

from engine.errors import AddressTaken

log = logging.getLogger(__name__)

SILENT_S = 10.0
"""How long a connection may say nothing: each has a thread."""
WHOLE_S = 20.0
"""How long it may take as a whole, also if it says a little all the time."""
MOST_AT_ONCE = 16
"""Connections at the same time: a scraper and a few probes need one each. More are closed unheard."""

Answer = tuple[int, str, bytes]
"""Status, content type and body."""
Ready = Callable[[], str]
"""Why the role does not work just now; empty: it does. Or a remark on a role that works."""


class Listener(ThreadingHTTPServer):
    """Listens at an address of either family, and hears so many connections at the same time, each for so long."""

    daemon_threads = True

    def __init__(self, host: str, port: int, answer_at: Callable[[str, str], Answer]) -> None:
        self.address_family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self.room = threading.BoundedSemaphore(MOST_AT_ONCE)
        self.answer_at = answer_at
        super().__init__((host, port), Handler)

    def process_request(self, request: Any, client_address: Any) -> None:
        if self.room.acquire(blocking=False):
            super().process_request(request, client_address)
        else:
            self.shutdown_request(request)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        def end() -> None:
            with suppress(OSError):  # it has ended by itself
                request.shutdown(socket.SHUT_RDWR)

        late = threading.Timer(WHOLE_S, end)
        late.daemon = True
        late.start()
        try:
            super().process_request_thread(request, client_address)
        finally:
            late.cancel()
            self.room.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        if not isinstance(sys.exception(), OSError):  # else who asked has hung up
            log.exception("a question about health could not be answered")


class Handler(BaseHTTPRequestHandler):
    """One request."""

    server: Listener

    def setup(self) -> None:
        super().setup()
        self.connection.settimeout(SILENT_S)

    def do_GET(self) -> None:
        try:
            path = urlsplit(self.path).path
        except ValueError:  # no address at all, such as `http://[`
            path = ""
        code, kind, body = self.server.answer_at(path, self.headers.get("accept", ""))
        self.send_response(code)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            with suppress(ConnectionError):  # who asked has hung up meanwhile: nobody is left to answer
                self.wfile.write(body)

    do_HEAD = do_GET

    def log_message(self, format: str, *args: object) -> None:
        return  # health is asked for every few seconds


class StatusServer:
    """A small HTTP server in a thread of its own; `close` it. Raises AddressTaken."""

    def __init__(self, listen: str, registry: CollectorRegistry, ready: Ready, remark: Ready = lambda: "") -> None:
        host, _, port = listen.rpartition(":")
        host = host.strip("[]")
        try:
            self._server = Listener(host, int(port), lambda path, accept: answer(path, accept, registry, ready, remark))
        except OSError as error:
            shown = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
            raise AddressTaken(f"cannot listen at {shown}: {error.strerror or error}") from error
        host, port = str(self._server.server_address[0]), str(self._server.server_address[1])
        self.url = f"http://{f'[{host}]' if ':' in host else host}:{port}"
        threading.Thread(target=self._server.serve_forever, name="gridpatrol-status", daemon=True).start()

    def close(self) -> None:
        """Give the address back."""
        self._server.shutdown()
        self._server.server_close()


def answer(path: str, accept: str, registry: CollectorRegistry, ready: Ready, remark: Ready = lambda: "") -> Answer:
    """What is said at a path."""
    if path == "/metrics":
        encode, kind = choose_encoder(accept)
        return 200, kind, encode(registry)
    if path == "/healthz":
        return 200, "application/json", b'{"status":"ok"}'
    if path == "/readyz":
        why = ready()
        body = {"status": "waiting", "detail": why} if why else {"status": "ready"}
        if not why and (said := remark()):
            body["detail"] = said
        return (503 if why else 200), "application/json", json.dumps(body, ensure_ascii=False).encode()
    return 404, "application/json", b'{"detail":"see /healthz, /readyz and /metrics"}'

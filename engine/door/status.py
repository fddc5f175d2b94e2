"""Health and metrics of a role that has no door of its own.

In: an address, a registry, and who knows whether the role works. Out: /healthz, /readyz and /metrics in a thread. It
serves nothing about anybody, so it may listen to other machines.
"""

import json
import logging
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder

log = logging.getLogger(__name__)

Ready = Callable[[], str]
"""Why the role does not work just now; empty: it does."""


class Status:
    """A small HTTP server; `close` it."""

    def __init__(self, listen: str, registry: CollectorRegistry, ready: Ready) -> None:
        host, _, port = listen.rpartition(":")

        class Answer(BaseHTTPRequestHandler):
            """One request."""

            def do_GET(self) -> None:
                code, kind, body = answer(urlsplit(self.path).path, self.headers.get("accept", ""), registry, ready)
                self.send_response(code)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: object) -> None:
                return  # health is asked for every few seconds

        self._server = ThreadingHTTPServer((host.strip("[]"), int(port)), Answer)
        self._server.daemon_threads = True
        self.url = f"http://{self._server.server_address[0]!s}:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, name="gridpatrol-status", daemon=True).start()

    def close(self) -> None:
        """Give the address back."""
        self._server.shutdown()
        self._server.server_close()


def answer(path: str, accept: str, registry: CollectorRegistry, ready: Ready) -> tuple[int, str, bytes]:
    """Status, content type and body."""
    if path == "/metrics":
        encode, kind = choose_encoder(accept)
        return 200, kind, encode(registry)
    if path == "/healthz":
        return 200, "application/json", b'{"status":"ok"}'
    if path == "/readyz":
        why = ready()
        body = {"status": "ready"} if not why else {"status": "waiting", "detail": why}
        return (503 if why else 200), "application/json", json.dumps(body, ensure_ascii=False).encode()
    return 404, "application/json", b'{"detail":"see /healthz, /readyz and /metrics"}'

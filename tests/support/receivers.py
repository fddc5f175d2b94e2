"""The other sides of channels: servers on loopback that take what they are sent, and answer as they are told.

They know nothing of the code that sends: bytes and signatures are judged by the tests.
"""

from __future__ import annotations

import queue
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, NamedTuple

WITHIN_S = 60.0


class Had(NamedTuple):
    """A request as it came. The names of the headers are in small letters."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes


class HttpReceiver:
    """Takes requests; `answer` is what it says next: a status, headers and a body."""

    def __init__(self) -> None:
        self.had: queue.Queue[Had] = queue.Queue()
        self.answer: tuple[int, dict[str, str], bytes] = (200, {}, b"{}")
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def handle_one(self) -> None:
                length = int(self.headers.get("Content-Length") or 0)
                headers = {name.lower(): value for name, value in self.headers.items()}
                receiver.had.put(Had(self.command, self.path, headers, self.rfile.read(length)))
                status, more, body = receiver.answer
                self.send_response(status)
                for name, value in more.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            do_GET = do_POST = do_PUT = handle_one

            def log_message(self, format: str, *args: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.port: int = self.server.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}"

    def next(self) -> Had:
        """The next request that came."""
        return self.had.get(timeout=WITHIN_S)


@contextmanager
def http_receiver(certificate: tuple[Path, Path] | None = None) -> Iterator[HttpReceiver]:
    """A receiver of HTTP; with a certificate and its key, of HTTPS."""
    receiver = HttpReceiver()
    if certificate is not None:
        receiver.server.socket = tls_of(certificate).wrap_socket(receiver.server.socket, server_side=True)
        receiver.url = f"https://localhost:{receiver.port}"
    thread = threading.Thread(target=receiver.server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield receiver
    finally:
        receiver.server.shutdown()
        receiver.server.server_close()
        thread.join()


def tls_of(certificate: tuple[Path, Path]) -> ssl.SSLContext:
    """The side of a server in TLS."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate)
    return context


class Mail(NamedTuple):
    """A mail as it came: whether it came over TLS, who logged in, the envelope, the bytes."""

    tls: bool
    login: str
    sender: str
    recipients: list[str]
    data: bytes


class MailReceiver:
    """As much of a mail server (RFC 5321) as a client needs: EHLO, STARTTLS, AUTH PLAIN, MAIL, RCPT, DATA, QUIT.
    `refuses`: what it says to RCPT; `mails`: what it has."""

    def __init__(self, certificate: tuple[Path, Path]) -> None:
        self.mails: queue.Queue[Mail] = queue.Queue()
        self.refuses = ""
        self._tls = tls_of(certificate)
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._socket.getsockname()[1]
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def close(self) -> None:
        """No more connections."""
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        self._thread.join()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            with connection:
                self._talk(connection)

    def _talk(self, plain: socket.socket) -> None:
        spoken: socket.socket = plain
        spoken.settimeout(WITHIN_S)
        lines, tls, login, sender, recipients = spoken.makefile("rb"), False, "", "", list[str]()

        def say(text: str) -> None:
            spoken.sendall(text.encode() + b"\r\n")

        say("220 test")
        while line := lines.readline():
            words = line.decode().strip()
            command = words.upper()
            if command.startswith("EHLO"):
                say("250-test\r\n250-AUTH PLAIN" if tls else "250-test\r\n250-STARTTLS")
                say("250 8BITMIME")
            elif command == "STARTTLS":
                say("220 go on")
                lines.close()
                try:
                    spoken = self._tls.wrap_socket(plain, server_side=True)
                except OSError:
                    return
                lines, tls = spoken.makefile("rb"), True
            elif command.startswith("AUTH PLAIN"):
                login = words.split()[2]
                say("235 welcome")
            elif command.startswith("MAIL"):
                sender = words
                say("250 fine")
            elif command.startswith("RCPT"):
                recipients.append(words)
                say(self.refuses or "250 fine")
            elif command == "DATA":
                say("354 go on")
                data = b""
                while (part := lines.readline()) != b".\r\n":
                    data += part
                self.mails.put(Mail(tls, login, sender, recipients, data))
                say("250 taken")
            elif command == "QUIT":
                say("221 bye")
                break
            else:
                say("250 fine")
        lines.close()
        spoken.close()

"""What supervisors of the demo are told by channels: a receiver on loopback that writes it into a file for people.

It is the other side of two webhooks, `desk` and `digest`, of a file of channels that is written here. It asks for the
signature of each message, as the program of an office would. Its channels may lead to this machine; no others may.
"""

import hmac
import threading
from base64 import b64encode
from collections.abc import Sequence
from datetime import datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from os import urandom
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import msgspec

from consumers.channels.signatures import PREFIX, standard_webhook
from engine.files import opener
from schemas.short_numbers import spoken

SHOWN = 12
"""Cases of one message that the file names."""
DIGEST_EVERY_MIN = 10
"""A digest comes more often than an office would want it, so that who tries the demo sees one."""
MOST_BYTES = 1 << 22


class Inbox:
    """Receives until it is closed. FOLDER gets `messages.txt`, written anew, and by `write_channels` the file of
    channels."""

    def __init__(self, folder: Path, zone: str = "UTC") -> None:
        for each in (folder.parent, folder):  # the database lies in the first one, and what people wrote is in it
            each.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.folder, self.zone = folder, zone
        self.messages = folder / "messages.txt"
        self.messages.write_text("", encoding="utf-8")
        self.secret = PREFIX + b64encode(urandom(32)).decode()
        self._writing = threading.Lock()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler_of(self))
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, name="demo-inbox", daemon=True).start()

    def close(self) -> None:
        """Receive no more."""
        self._server.shutdown()
        self._server.server_close()

    def write_channels(self, base_url: str, at_once: Sequence[str], in_digests: Sequence[str]) -> Path:
        """Write the file of channels, which a running server takes up: what posts are told at once, and what in
        digests. Its name."""
        file, minutes = self.folder / "channels.toml", range(0, 24 * 60, DIGEST_EVERY_MIN)
        text = CHANNELS.format(
            base_url=base_url,
            url=self.url,
            at_once=listed(at_once),
            in_digests=listed(in_digests),
            digest_at=listed([f"{minute // 60:02d}:{minute % 60:02d}" for minute in minutes]),
        )
        for path, content in ((self.folder / "channels.secret", self.secret), (file, text)):
            if not path.is_file() or path.read_text(encoding="utf-8") != content:
                with open(path, "w", encoding="utf-8", opener=opener) as out:
                    out.write(content)
        return file

    def take(self, body: bytes, headers: Any) -> bool:
        """Write a message down. False where its signature is not that of our server."""
        id_, at, signed = (headers.get(f"webhook-{name}", "") for name in ("id", "timestamp", "signature"))
        if not at.isdigit() or not hmac.compare_digest(standard_webhook(self.secret, id_, int(at), body), signed):
            return False
        text = message_text(msgspec.json.decode(body), self.zone)
        with self._writing, self.messages.open("a", encoding="utf-8") as out:
            out.write(text)
        return True


CHANNELS = """\
# Written by the demo, anew at each start. docs/channels.md explains every key.
base_url = "{base_url}"
language = "zh+en"

[channel.desk]
kind = "webhook"
url = "{url}/desk"
secret_file = "channels.secret"
private = true                    # it leads to the demo itself

[channel.digest]
kind = "webhook"
url = "{url}/digest"
secret_file = "channels.secret"
private = true

[[route]]
name = "at once"
channels = ["desk"]
posts = {at_once}
quiet = ""

[[route]]
name = "what is overdue, in digests"
channels = ["digest"]
posts = {in_digests}
severities = ["overdue"]
quiet = ""
digest = true
digest_at = {digest_at}
"""


def listed(texts: Sequence[str]) -> str:
    """Texts as an array of TOML."""
    return msgspec.json.encode(list(texts)).decode()


def message_text(message: dict[str, Any], zone: str) -> str:
    """A message for people, in both languages, as a channel for people would show it."""
    data = message["data"]
    at = datetime.fromisoformat(message["timestamp"]).astimezone(ZoneInfo(zone))
    lines = [
        f"── {at:%m-%d %H:%M:%S}  {data['channel']}  → {'、'.join(data['posts'].values())}",
        f"   {data['subject']['zh']}",
        f"   {data['subject']['en']}",
    ]
    for line in data["lines"][:SHOWN]:
        lines.append(f"     {spoken(line.get('number', '')):11}  {line['text']['zh']}")
        lines.append(f"     {'':11}  {line['text']['en']}")
        lines += [f"     {'':11}  {line['link']}"] if line.get("link") else []
    if (rest := len(data["lines"]) - SHOWN) > 0:
        lines.append(f"     另 {rest} 件 {rest} more")
    return "\n".join(lines) + "\n\n"


def _handler_of(inbox: Inbox) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        """One message."""

        timeout = 20

        def do_POST(self) -> None:
            length = self.headers.get("Content-Length", "")
            size = int(length) if length.isdigit() else MOST_BYTES + 1
            taken = size <= MOST_BYTES and inbox.take(self.rfile.read(size), self.headers)
            self.send_response(204 if taken else 401)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            return  # what was told stands in the file

    return Handler

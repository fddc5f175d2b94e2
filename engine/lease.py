"""The lease: one process writes to a database. A lock of the operating system, or of PostgreSQL, so kill -9 frees it.

In: a database, and what only one process may do with it. Out: a held lease, or LeaseTaken, which names the holder where
it can.
"""

import fcntl
import os
import time
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import IO, NamedTuple

from engine.errors import DatabaseUnusable, LeaseTaken
from engine.store.database import Connection, Database, DriverError, StoreError

KEEP_S = 1.0
LINGER_S = 1.0
PROBES = ("tcp_keepalives_idle = 5", "tcp_keepalives_interval = 1", "tcp_keepalives_count = 3")
"""By these PostgreSQL notices in some 8 s that the holder's machine is gone; by itself it takes two hours."""


class LeaseName(NamedTuple):
    """What only one process does: in words, its file's ending for SQLite, its advisory lock's number for PostgreSQL."""

    does: str
    ending: str
    key: int


WRITER = LeaseName("writes to", ".lease", 0x67726964)  # "grid"
TELLER = LeaseName("tells the alerts of", ".alerts.lease", 0x616C7274)  # "alrt"


class Lease:
    """Held from construction until `close`, or until the process ends.

    A lock that a killed process held is waited for up to `linger_s`. Several may hold it `shared`, as the roles of a
    distributed run do with `WRITER`: then nobody can hold it alone.
    """

    def __init__(
        self, database: Database, office: LeaseName = WRITER, linger_s: float = LINGER_S, *, shared: bool = False
    ) -> None:
        self.office = office
        self._linger_s = linger_s
        self._shared = shared
        self._seen_s = time.monotonic()
        self._file: IO[str] | None = None
        self._connection: Connection | None = None
        if database.dialect == "sqlite":
            self._lock_file(Path(f"{database.url.database}{office.ending}"))
        else:
            self._lock_row(database)

    def _lock_file(self, path: Path) -> None:
        handle = path.open("a+")
        try:
            fcntl.flock(handle, (fcntl.LOCK_SH if self._shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
        except OSError as error:
            handle.seek(0)
            holder = handle.read().strip() or "unknown"
            handle.close()
            database = str(path).removesuffix(self.office.ending)
            raise LeaseTaken(f"process {holder} {self.office.does} {database}") from error
        handle.truncate(0)
        handle.write(str(os.getpid()))
        handle.flush()
        self._file = handle

    def _lock_row(self, database: Database) -> None:
        """The session of a process that was killed takes PostgreSQL a moment to notice: ask for so long."""
        until = time.monotonic() + self._linger_s
        ask = f"SELECT pg_try_advisory_lock{'_shared' if self._shared else ''}(%s)"
        with ExitStack() as undo:
            connection = database.db.connect().execution_options(isolation_level="AUTOCOMMIT")
            undo.callback(connection.close)
            while not connection.exec_driver_sql(ask, (self.office.key,)).scalar_one():
                if time.monotonic() >= until:
                    raise LeaseTaken(f"another process {self.office.does} {database.url.database}")
                time.sleep(0.05)
            for probe in PROBES:
                connection.exec_driver_sql(f"SET {probe}")
            undo.pop_all()
        self._connection = connection

    def keep(self, database: Database) -> None:
        """Look whether it still holds, about once a second: with its session PostgreSQL forgets the lock.

        A lost one is taken again; LeaseTaken if another process was faster. The operating system forgets nothing.
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
        self._take_again(database)

    def _take_again(self, database: Database) -> None:
        try:
            self._lock_row(database)
        except DriverError as error:
            raise DatabaseUnusable(f"the database is away: {error.orig}") from error

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

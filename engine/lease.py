"""The lease: one process writes to a database. A lock of the operating system, or of PostgreSQL, so kill -9 frees it.

In: a database. Out: a held lease, or LeaseTaken, which names the holder where it can.
"""

import fcntl
import os
import time
from contextlib import suppress
from pathlib import Path
from typing import IO

from engine.errors import DatabaseUnusable, LeaseTaken
from engine.store.database import Connection, Database, DriverError, StoreError

KEEP_S = 1.0
LINGER_S = 1.0
_KEY = 0x67726964  # "grid": the advisory lock's number


class Lease:
    """Held from construction until `close`, or until the process ends."""

    def __init__(self, database: Database) -> None:
        self._seen_s = time.monotonic()
        self._file: IO[str] | None = None
        self._connection: Connection | None = None
        if database.dialect == "sqlite":
            self._lock_file(Path(f"{database.url.database}.lease"))
        else:
            self._lock_row(database)

    def _lock_file(self, path: Path) -> None:
        handle = path.open("a+")
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            handle.seek(0)
            holder = handle.read().strip() or "unknown"
            handle.close()
            raise LeaseTaken(f"process {holder} writes to {path.with_suffix('')}") from error
        handle.truncate(0)
        handle.write(str(os.getpid()))
        handle.flush()
        self._file = handle

    def _lock_row(self, database: Database) -> None:
        """The session of a process that was killed takes PostgreSQL a moment to notice: ask for so long."""
        connection = database.db.connect().execution_options(isolation_level="AUTOCOMMIT")
        until = time.monotonic() + LINGER_S
        while not connection.exec_driver_sql("SELECT pg_try_advisory_lock(%s)", (_KEY,)).scalar_one():
            if time.monotonic() >= until:
                connection.close()
                raise LeaseTaken(f"another process writes to {database.url.database}")
            time.sleep(0.05)
        self._connection = connection

    def keep(self, database: Database) -> None:
        """Look whether it still holds, about once a second: with its session PostgreSQL forgets the lock.

        A lost one is taken again; LeaseTaken if another process was faster. The operating system forgets nothing.
        """
        if self._connection is None or time.monotonic() - self._seen_s < KEEP_S:
            return
        self._seen_s = time.monotonic()
        try:
            self._connection.exec_driver_sql("SELECT 1")
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
                self._connection.exec_driver_sql("SELECT pg_advisory_unlock(%s)", (_KEY,))
            self._connection.invalidate()
            self._connection.close()
            self._connection = None

"""One server for all test processes of a run: who needs it first starts it, and stops it after the last has gone."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest


def folder_of_run(paths: pytest.TempPathFactory) -> Path:
    """A folder that all processes of this run have, and no other run."""
    own = paths.getbasetemp()
    return own.parent if "PYTEST_XDIST_WORKER" in os.environ else own


@contextmanager
def shared(note: Path, server: AbstractContextManager[str]) -> Iterator[str]:
    """Yield the address of `server`; `note` is a file in which the process that runs it leaves the address.

    Whoever uses the server holds a shared lock of a second file, so the owner knows when nobody does any more. Whoever
    comes after that finds the note empty and starts a server of its own.
    """
    with note.open("a+") as address, note.with_suffix(".used").open("a") as used:
        fcntl.flock(address, fcntl.LOCK_EX)
        address.seek(0)
        if found := address.read():
            fcntl.flock(used, fcntl.LOCK_SH)
            fcntl.flock(address, fcntl.LOCK_UN)
            yield found
            return
        with server as started:
            address.write(started)
            address.flush()
            fcntl.flock(address, fcntl.LOCK_UN)
            try:
                yield started
            finally:
                fcntl.flock(address, fcntl.LOCK_EX)
                address.truncate(0)
                fcntl.flock(used, fcntl.LOCK_EX)

"""Commands of `gridpatrol`, forked where everything is imported already: a start takes a tenth of a second, not two.

Each is a process of its own session, with its own environment and clients, that is killed, stopped and waited for like
any other. The server that forks them is the standard library's; it lives as long as the process that asks it.
"""

from __future__ import annotations

import faulthandler
import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from multiprocessing import get_context
from pathlib import Path

from engine import failpoints
from gridpatrol.cli import COMMANDS, main

FORKED = get_context("forkserver")
PRELOADED = [
    "consumers.performance.faust_app",
    "gridpatrol.run.process",
    "gridpatrol.run.roles",
    "gridpatrol.run.serve",
    *(f"gridpatrol.commands.{file}" for file in COMMANDS.values()),
]
"""What the server imports. Whoever has other things forked as well adds them before the first fork."""
FORKED.set_forkserver_preload(PRELOADED)


class Forked:
    """A command that runs, as `subprocess.Popen` shows one."""

    def __init__(self, words: Sequence[str], environment: Mapping[str, str], output: Path) -> None:
        """Begin it; what it prints is added to a file."""
        output.touch()
        told = (list(words), dict(environment), str(output), os.getcwd())
        self._process = FORKED.Process(target=become, args=told)
        self._process.start()
        assert self._process.pid is not None
        self.pid: int = self._process.pid

    @property
    def returncode(self) -> int | None:
        """The exit status, negative for a signal; None while it runs."""
        return self._process.exitcode

    def poll(self) -> int | None:
        """The same."""
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """The exit status, when it has ended; TimeoutExpired if it does not within so many seconds."""
        self._process.join(timeout)
        if (status := self.returncode) is None:
            raise subprocess.TimeoutExpired(["gridpatrol"], timeout or 0)
        return status

    def send_signal(self, number: int) -> None:
        """Send a signal, unless it has ended."""
        if self.returncode is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        """kill -9, unless it has ended."""
        self.send_signal(signal.SIGKILL)


def become(words: Sequence[str], environment: Mapping[str, str], output: str, folder: str) -> None:
    """Be `gridpatrol WORDS`, as it is from a shell in a folder: nothing of the server's surroundings is left."""
    os.setsid()
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    log = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    for stream in (1, 2):
        os.dup2(log, stream)
    os.close(log)
    faulthandler.enable()
    failpoints.arm(environment.get("GRIDPATROL_FAILPOINT", ""))  # read when it was imported, in another environment
    main(list(words), prog_name="gridpatrol")

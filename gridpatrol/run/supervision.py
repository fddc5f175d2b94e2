"""Role `all`: one process per role on this machine, started again when one ends.

A role that keeps ending is started later and later, so that a role which can never work says so and does no harm. Each
child is `python -m gridpatrol.run.child`; it gets its settings on its standard input and ends when that closes.
"""

import logging
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import IO

import msgspec

from engine.loop import Loop
from engine.settings import ROLES, Settings

log = logging.getLogger(__name__)

AGAIN_S = 1.0
"""How long before a role that ended is started again; twice as long each time, up to LONGEST_S."""
LONGEST_S = 30.0
SETTLED_S = 60.0
"""A role that ran for so long had started well: the next pause is short again."""
STOP_S = 45.0
"""How long the roles may take to stop, all of them together: with silent brokers each waits for them up to 30 s."""
LOOK_S = 0.2


def keep(settings: Settings, stop: threading.Event) -> None:
    """Keep one process per role alive until told to stop."""
    supervise([Child(settings_of(role, settings)) for role in ROLES[1:]], stop)


def supervise(children: Sequence["Child"], stop: threading.Event) -> None:
    """Keep these alive until told to stop, and stop them."""
    Supervision(children, stop).run()


class Supervision(Loop):
    """Looks after children."""

    def __init__(self, children: Sequence["Child"], stop_asked: threading.Event) -> None:
        super().__init__("supervision", stop_asked)
        self.children = children

    def run_once(self) -> float:
        for child in self.children:
            child.look(time.monotonic())
        return LOOK_S

    def failed(self, error: BaseException) -> None:
        raise error

    def release(self) -> None:
        for child in self.children:
            child.ask_to_stop()
        until = time.monotonic() + STOP_S
        for child in self.children:
            child.await_end(until)


class Child:
    """One role, and its process while it has one. `output`: where it logs to; None: where we do."""

    def __init__(self, settings: Settings, output: IO[bytes] | None = None) -> None:
        self.name = f"role {settings.role}" + (f" ({settings.instance})" if settings.instance else "")
        self.settings = settings
        self.output = output
        self.pause_s = AGAIN_S
        self._process: subprocess.Popen[bytes] | None = None
        self._started_s = 0.0
        self._again_s = 0.0

    def look(self, now_s: float) -> None:
        """Start it where it does not run and has paused for long enough."""
        if self._process is not None and (status := self._process.poll()) is not None:
            if now_s - self._started_s >= SETTLED_S:
                self.pause_s = AGAIN_S
            how = f"killed by signal {-status}" if status < 0 else f"exit status {status}; its last line says why"
            log.error("%s ended (%s); it is started again in %.0f s", self.name, how, self.pause_s)
            _let_go(self._process)
            self._process, self._again_s = None, now_s + self.pause_s
            self.pause_s = min(2 * self.pause_s, LONGEST_S)
        if self._process is None and now_s >= self._again_s:
            self._process, self._started_s = start(self.settings, self.output), now_s

    def ask_to_stop(self) -> None:
        """SIGTERM, if it runs."""
        if self._process is not None:
            self._process.send_signal(signal.SIGTERM)

    def await_end(self, until_s: float) -> None:
        """Wait until it has ended; at the given instant of the monotonic clock it is killed."""
        if self._process is None:
            return
        try:
            self._process.wait(max(0.0, until_s - time.monotonic()))
        except subprocess.TimeoutExpired:
            log.error("%s did not stop in time and is killed; nothing is lost", self.name)
            self._process.kill()
            self._process.wait()
        _let_go(self._process)


def settings_of(role: str, settings: Settings) -> Settings:
    """The settings of a child. The door is the gateway's; beside it, each role has the next port for its metrics."""
    host, _, port = settings.listen.rpartition(":")
    place = ROLES.index(role) - 1
    return msgspec.structs.replace(
        settings,
        role=role,
        listen=f"{host}:{int(port) + place if int(port) else 0}",
        instance=f"{settings.instance}-{role}" if settings.instance else "",
    )


def start(settings: Settings, output: IO[bytes] | None = None) -> "subprocess.Popen[bytes]":
    """A role as a process. In a session of its own: Ctrl-C is for the parent, which then stops it in order."""
    name = settings.instance or settings.role  # for whoever looks at the list of processes
    command = [sys.executable, "-m", "gridpatrol.run.child", name]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=output, stderr=output, start_new_session=True)
    assert process.stdin is not None
    try:
        process.stdin.write(msgspec.json.encode(settings) + b"\n")
        process.stdin.flush()
    except BrokenPipeError:
        log.error("role %s ended before it had its settings", settings.role)
    return process


def _let_go(process: "subprocess.Popen[bytes]") -> None:
    """Close our end of its standard input."""
    assert process.stdin is not None
    with suppress(BrokenPipeError):
        process.stdin.close()

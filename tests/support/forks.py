"""Processes that tests kill, forked where everything is imported already: a start takes no second.

They are killed, stopped and waited for like any other. The server that forks them is that of lab/parts/forks.py.
"""

from __future__ import annotations

import json
import os
import shlex
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing.process import BaseProcess
from pathlib import Path

from gridpatrol.cli import main
from lab.parts.forks import FORKED, PRELOADED

OURS = ["tests.support.rehearsed", "tests.simulation.nursery", "tests.integration.test_telling"]
FORKED.set_forkserver_preload([*PRELOADED, *OURS])


def begun(target: Callable[..., object], *words: str) -> BaseProcess:
    """A process that does `target`, a function of a module."""
    process = FORKED.Process(target=target, args=words)
    process.start()
    return process


def ended(process: BaseProcess, within_s: float = 120) -> int | None:
    """The exit status, negative for a signal; None: it has not ended within that time."""
    process.join(within_s)
    return process.exitcode


# ---- the command in a shell -------------------------------------------------------------------------------------

ASK = """
import json, os, socket, sys
door = socket.socket(socket.AF_UNIX)
door.connect(sys.argv[1])
words = json.dumps([sys.argv[2:], dict(os.environ), os.getcwd()]).encode()
socket.send_fds(door, [len(words).to_bytes(4, "big")], [0, 1, 2])
door.sendall(words)
sys.exit(int(door.makefile().read() or 70))
"""
"""What stands for `gridpatrol` in a shell: it hands its words, environment, folder and streams over, and waits."""


@contextmanager
def command_in(folder: Path) -> Iterator[None]:
    """Put an executable `gridpatrol` into a folder, which a shell finds there. Each call is a process of its own, with
    the caller's words, environment, folder and streams, and ends with its exit status."""
    door, ask, command = folder / "door", folder / "ask.py", folder / "gridpatrol"
    ask.write_text(ASK)
    words = [sys.executable, "-I", "-S", ask, door]
    command.write_text(f'#!/bin/sh\nexec {shlex.join(map(str, words))} "$@"\n')
    command.chmod(0o755)
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(door))
        listening.listen()
        threading.Thread(target=answer_all, args=[listening], daemon=True).start()
        try:
            yield
        finally:
            listening.shutdown(socket.SHUT_RDWR)


def answer_all(listening: socket.socket) -> None:
    """Fork what is asked for, and tell how it ended, until the door is shut."""
    while True:
        try:
            asked, _ = listening.accept()
        except OSError:
            return
        threading.Thread(target=answer, args=[asked], daemon=True).start()


def answer(asked: socket.socket) -> None:
    """One command."""
    with asked:
        process = FORKED.Process(target=become_caller, args=[asked])
        process.start()
        process.join()
        asked.sendall(str(process.exitcode).encode())


def become_caller(asked: socket.socket) -> None:
    """Be `gridpatrol` in the place of who asks."""
    size, streams, _, _ = socket.recv_fds(asked, 4, 3)
    words, environment, folder = json.loads(asked.recv(int.from_bytes(size, "big"), socket.MSG_WAITALL))
    asked.close()
    os.setsid()
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
        os.close(stream)
    sys.stdin = os.fdopen(0, closefd=False)  # a forked process begins with one that is empty
    main(words, prog_name="gridpatrol")

"""Processes as /proc shows them, and waiting for something to become true."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")
WITHIN_S = 60.0


def children(parent: int) -> set[int]:
    """The running children of a process."""
    found = set()
    for folder in Path("/proc").glob("[0-9]*"):
        words = stat(int(folder.name))
        if words and int(words[1]) == parent and words[0] != "Z":
            found.add(int(folder.name))
    return found


def descendants(parent: int) -> set[int]:
    """The running children of a process, and theirs."""
    below = children(parent)
    return below.union(*map(descendants, below))


def alive(pid: int) -> bool:
    """Whether a process runs. One that has ended and was not waited for does not."""
    words = stat(pid)
    return bool(words) and words[0] != "Z"


def freeze(pid: int) -> None:
    """SIGSTOP, and wait until the last of its threads stands: the signal alone lets them run on for a moment."""
    os.kill(pid, signal.SIGSTOP)
    threads = Path(f"/proc/{pid}/task")
    # A thread that has ended meanwhile has no state any more.
    stands = [["t"], ["T"], ["Z"], []]
    eventually(
        lambda: all(stat(f"{pid}/task/{t.name}")[:1] in stands for t in threads.iterdir()), "every thread stands"
    )


def stat(process: int | str) -> list[str]:
    """State, parent and what follows; nothing of a process, or of a thread (`1/task/1`), that has gone."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []


def eventually(question: Callable[[], T], what: str | Callable[[], str], within_s: float = WITHIN_S) -> T:
    """Ask until the answer is true, and give it back; fail after a while."""
    until = time.monotonic() + within_s
    while not (answer := question()):
        assert time.monotonic() < until, f"not within {within_s:.0f} s: {what if isinstance(what, str) else what()}"
        time.sleep(0.1)
    return answer

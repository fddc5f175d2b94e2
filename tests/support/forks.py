"""Processes that tests kill, forked where everything is imported already: a start takes no second.

They are killed, stopped and waited for like any other. The server that forks them is the standard library's; it lives
as long as the test process.
"""

from __future__ import annotations

from collections.abc import Callable
from multiprocessing import get_context
from multiprocessing.process import BaseProcess

FORKED = get_context("forkserver")
FORKED.set_forkserver_preload(["tests.simulation.nursery", "tests.integration.test_telling"])


def begun(target: Callable[..., object], *words: str) -> BaseProcess:
    """A process that does `target`, a function of a module."""
    process = FORKED.Process(target=target, args=words)
    process.start()
    return process


def ended(process: BaseProcess, within_s: float = 120) -> int | None:
    """The exit status, negative for a signal; None: it has not ended within that time."""
    process.join(within_s)
    return process.exitcode

"""A clock that a test moves on, in the place of the machine's: hours pass in seconds, and nothing is late by it.

The wall clock and the clock since the boot move together, as on a machine that is well; what is measured in real time
(time-outs, rests of threads) stays.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest

from engine import clock
from gridpatrol.demo import traffic


class FastClock:
    """Stands for the module `time` where the engine and the demo's people ask for the time."""

    def __init__(self, at_s: float) -> None:
        self.at_s = at_s
        self.passed_s = 0.0

    def time(self) -> float:
        """Seconds since 1970 UTC."""
        return self.at_s + self.passed_s

    def time_ns(self) -> int:
        return round(self.time() * 1e9)

    def monotonic(self) -> float:
        return 1_000_000 + self.passed_s

    def clock_gettime_ns(self, _: int) -> int:
        return round(self.monotonic() * 1e9)

    def sleep(self, seconds: float) -> None:
        self.passed_s += seconds

    def stand_in(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """From now on this is the time."""
        for module in (clock, traffic):
            monkeypatch.setattr(module, "time", self)


class Day(threading.Event):
    """What `Traffic.run` waits on: its pauses pass at once, until so many seconds have passed."""

    def __init__(self, clock: FastClock, seconds: float, passed: Callable[[], None]) -> None:
        super().__init__()
        self.clock, self.passed = clock, passed
        self.until_s = clock.passed_s + seconds

    def is_set(self) -> bool:
        return self.clock.passed_s >= self.until_s

    def wait(self, timeout: float | None = None) -> bool:
        if timeout is None:
            return super().wait()
        self.clock.sleep(timeout)
        self.passed()
        return self.is_set()

"""The clocks of this machine: the wall clock, which people and programs set, and the boot-time clock, which nobody can.

Nothing else in the engine reads them. Whether the wall clock is to be believed, `engine.wall_clock` judges.
"""

import time
from typing import NamedTuple

BOOT_CLOCK = next(name for name in ("CLOCK_BOOTTIME", "CLOCK_MONOTONIC") if hasattr(time, name))
"""The clock that counts since the boot, while the machine is suspended too: CLOCK_BOOTTIME on Linux. Where there is
none it is CLOCK_MONOTONIC, which counts that on macOS. Where that does not, waking up looks like a jump of the wall."""
TOGETHER_MS = 100
"""Two clocks that were read within so long of each other count as read at one instant."""
TRIES = 10

_BOOT_CLOCK: int = getattr(time, BOOT_CLOCK)


class Reading(NamedTuple):
    """Both clocks at one instant, in whole milliseconds: since 1970 UTC, and since the boot."""

    wall: int
    boot: int


def now_ms() -> int:
    """Now, in whole milliseconds since 1970 UTC."""
    return time.time_ns() // 1_000_000


def boot_ms() -> int:
    """The time since the boot in whole milliseconds. No setting of the wall clock changes it."""
    return time.clock_gettime_ns(_BOOT_CLOCK) // 1_000_000


def read_clocks() -> Reading:
    """Both clocks. A process that is stopped between the two readings reads them again: it would see a jump."""
    for _ in range(TRIES):
        before, wall, after = boot_ms(), now_ms(), boot_ms()
        if after - before <= TOGETHER_MS:
            break
    return Reading(wall, after)

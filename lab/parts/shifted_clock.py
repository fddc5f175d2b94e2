"""Clocks that a test sets, for a process of its own: a broker or a server whose clock is behind or ahead, or sleeps.

`Clock.environment` is the environment of that process. While it runs, `Clock.shift` moves its wall clock, and
`Clock.sleep` moves both its wall clock and its clock since the boot, as if the machine had been suspended. Time-outs
stay as they are. It is a library of twenty lines, compiled here, that stands before the system's own; without a C
compiler there is none: ClockUnavailable.
"""

from __future__ import annotations

import mmap
import struct
import subprocess
from pathlib import Path

SOURCE = r"""
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static volatile long long none[2], *set_s = none; /* how far the wall is shifted, how long the machine slept */

__attribute__((constructor)) static void find(void) {
    int file = open(getenv("SHIFTED_CLOCK"), O_RDONLY);
    void *shared = file < 0 ? MAP_FAILED : mmap(0, 16, PROT_READ, MAP_SHARED, file, 0);
    if (shared != MAP_FAILED) set_s = shared;
}

int clock_gettime(clockid_t id, struct timespec *t) {
    int failed = syscall(SYS_clock_gettime, id, t);
    if (failed) return failed;
    if (id == CLOCK_REALTIME || id == CLOCK_REALTIME_COARSE) t->tv_sec += set_s[0] + set_s[1];
    if (id == CLOCK_BOOTTIME) t->tv_sec += set_s[1];
    return 0;
}

int gettimeofday(struct timeval *t, void *zone) {
    struct timespec now;
    int failed = clock_gettime(CLOCK_REALTIME, &now);
    t->tv_sec = now.tv_sec, t->tv_usec = now.tv_nsec / 1000;
    return failed;
}
"""


class ClockUnavailable(Exception):
    """There is no C compiler here (cc), so no broker's clock can be set."""


class Clock:
    """The clock of a process that is started with `environment`."""

    def __init__(self, folder: Path) -> None:
        library, self._file = folder / "shifted_clock.so", folder / "shift"
        self._file.write_bytes(bytes(16))
        try:
            subprocess.run(
                ["cc", "-shared", "-fPIC", "-O1", "-o", str(library), "-x", "c", "-"],
                input=SOURCE.encode(),
                check=True,
                capture_output=True,
            )
        except (OSError, subprocess.CalledProcessError) as error:
            raise ClockUnavailable(str(error)) from error
        self.environment = {"LD_PRELOAD": str(library), "SHIFTED_CLOCK": str(self._file)}

    def shift(self, seconds: int) -> None:
        """From now on the process's wall clock is off by so much."""
        self._set(0, seconds)

    def sleep(self, seconds: int) -> None:
        """From now on the machine has slept for so long, all in all."""
        self._set(8, seconds)

    def _set(self, place: int, seconds: int) -> None:
        with self._file.open("r+b") as file, mmap.mmap(file.fileno(), 16) as shared:
            shared[place : place + 8] = struct.pack("q", seconds)  # one word: it is never seen half written
            shared.flush()

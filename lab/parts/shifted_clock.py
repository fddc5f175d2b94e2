"""A wall clock that a test sets, for a process of its own: a broker whose clock is behind or ahead.

`Clock.environment` is the environment of that process, and `Clock.shift` moves its wall clock while it runs. Time-outs
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

static volatile long long *shift_ms;

__attribute__((constructor)) static void find(void) {
    int file = open(getenv("SHIFTED_CLOCK"), O_RDONLY);
    if (file >= 0) shift_ms = mmap(0, 8, PROT_READ, MAP_SHARED, file, 0);
}

int clock_gettime(clockid_t id, struct timespec *t) {
    int failed = syscall(SYS_clock_gettime, id, t);
    if (!failed && (id == CLOCK_REALTIME || id == CLOCK_REALTIME_COARSE) && shift_ms) t->tv_sec += *shift_ms / 1000;
    return failed;
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
        self._file.write_bytes(struct.pack("q", 0))
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
        with self._file.open("r+b") as file, mmap.mmap(file.fileno(), 8) as shared:
            shared[:] = struct.pack("q", seconds * 1000)
            shared.flush()

"""CPU time of processes in seconds, from /proc; None where there is no such process."""

import os
from pathlib import Path

from msgspec import Struct

TICK_S = 1 / os.sysconf("SC_CLK_TCK")


class Stat(Struct, frozen=True):
    """A process: its name, its parent, its CPU seconds, and those of its children that have ended."""

    name: str
    parent: int
    seconds: float
    ended: float


def stat(pid: int) -> Stat | None:
    """What is known of a process."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    name, _, rest = text.partition("(")[2].rpartition(")")
    fields = rest.split()
    user, system, user_ended, system_ended = (int(value) * TICK_S for value in fields[11:15])
    return Stat(name, int(fields[1]), user + system, user_ended + system_ended)


def of(pid: int) -> float | None:
    """CPU seconds of one process."""
    found = stat(pid)
    return found.seconds if found else None


def of_family(parent: int) -> float | None:
    """CPU seconds of a process and all its children, those that have ended included."""
    first = stat(parent)
    if first is None:
        return None
    pids = [int(path.name) for path in Path("/proc").iterdir() if path.name.isdigit()]
    return first.seconds + first.ended + sum(one.seconds for one in map(stat, pids) if one and one.parent == parent)


def of_server(backend: int | None) -> float | None:
    """CPU seconds of all processes of the PostgreSQL server that has this backend; None where it runs elsewhere."""
    found = stat(backend) if backend is not None else None
    return of_family(found.parent) if found is not None and "postgres" in found.name else None

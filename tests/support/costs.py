"""What each test file costs: seconds of CPU, of the test process and of all that it started, and seconds of waiting.

`pytest -p tests.support.costs` prints the dearest files and tests at the end. CPU is user and system time over the
whole tree of processes, so it hardly depends on what else the machine does. Waiting is the time in which the thread of
the test neither ran nor was kept from it by others; what its children computed meanwhile is taken off. Servers that
tests share are charged to the test in which they compute, their start to the one that needs them first.
"""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Generator, Iterator
from pathlib import Path
from time import monotonic
from typing import NamedTuple

import pytest

FILES, TESTS = 60, 60
TICK = os.sysconf("SC_CLK_TCK")


class Spent(NamedTuple):
    """Seconds since some beginning: CPU of the tree, of this thread, its time in the queue for a core, the clock."""

    cpu: float
    own: float
    queued: float
    clock: float


def now() -> Spent:
    """What was spent so far."""
    times = os.times()
    own = times.user + times.system + times.children_user + times.children_system
    thread = Path("/proc/thread-self/schedstat").read_text().split()
    return Spent(own + sum(below("self")), int(thread[0]) / 1e9, int(thread[1]) / 1e9, monotonic())


def below(process: str) -> Iterator[float]:
    """The CPU seconds of each running descendant, with those of its own that have ended."""
    try:
        found = [pid for task in Path(f"/proc/{process}/task").iterdir() for pid in _words(task / "children")]
    except OSError:
        return  # it has ended
    for pid in found:
        words = " ".join(_words(Path(f"/proc/{pid}/stat"))).rpartition(")")[2].split()
        yield sum(int(word) for word in words[11:15]) / TICK
        yield from below(pid)


def _words(path: Path) -> list[str]:
    try:
        return path.read_text().split()
    except OSError:
        return []


@pytest.hookimpl(wrapper=True)
def _phase(item: pytest.Item) -> Generator[None, object, object]:
    began = now()
    try:
        return (yield)
    finally:
        cpu, own, queued, clock = (b - a for a, b in zip(began, now(), strict=True))
        item.user_properties += [("cpu", cpu), ("waited", max(0.0, clock - queued - max(cpu, own)))]


pytest_runtest_setup = pytest_runtest_call = pytest_runtest_teardown = _phase


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """The tables."""
    files, tests = defaultdict[str, list[float]](lambda: [0, 0, 0]), defaultdict[str, list[float]](lambda: [0, 0, 0])
    for reports in terminalreporter.stats.values():
        for report in reports:
            if getattr(report, "when", "") != "teardown":
                continue  # its properties are those of all phases
            for table, name in ((files, report.nodeid.partition("::")[0]), (tests, report.nodeid)):
                for key, value in report.user_properties:
                    table[name][{"cpu": 0, "waited": 1}[key]] += value
                table[name][2] += 1
    for title, table, shown in (("files", files, FILES), ("tests", tests, TESTS)):
        terminalreporter.section(f"dearest {title}: CPU seconds, seconds waited, tests")
        total = [sum(row[column] for row in table.values()) for column in range(3)]
        rows = sorted(table.items(), key=lambda row: -row[1][0] - row[1][1])[:shown]
        for name, (cpu, waited, count) in [("all of them", total), *rows]:
            terminalreporter.write_line(f"{cpu:8.1f} {waited:8.1f} {count:6.0f}  {name}")

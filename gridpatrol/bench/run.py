"""`gridpatrol bench`: every family of measurements, or some of them, as one object.

Enters: a scale, and which families. Leaves: figures, each by its key; what is None was not measured. PostgreSQL comes
from GRIDPATROL_TEST_POSTGRES, or from the wheel that the tests use; in front of the door it flushes to disk.
"""

import os
import platform
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from functools import partial
from itertools import count, islice
from pathlib import Path
from shutil import disk_usage
from statistics import median, median_low
from tempfile import TemporaryDirectory
from typing import Any, TypeVar

from msgspec import Struct

from engine.clock import now_ms
from engine.errors import GridpatrolError
from gridpatrol.bench import APART, FAMILIES, batches, growth, rules, signals
from gridpatrol.bench.batches import Run
from gridpatrol.bench.door import Door, DoorRun, serving
from gridpatrol.bench.duties import DutyRun
from gridpatrol.bench.growth import Grown, Growth
from gridpatrol.bench.interpreter import Interpreter, measure_interpreter
from gridpatrol.bench.signals import SignalRun
from gridpatrol.bench.timers import Lateness, measure_lateness
from gridpatrol.source_tree import lab

DATABASES = ("sqlite", "postgresql")
LARGEST = 500
"""Events of a batch."""
ROUNDS = 3
"""Of each measurement; the median counts."""
REQUESTS, SINGLES, INCIDENTS, READINGS = 6_000, 1_000, 1_500, 300
"""Chains of requests of one round: at 32 at once, alone, incidents, readable states."""
READ_RATE = 20
"""Readable states asked for in a second."""
DECISIONS = 20_000
LISTEN_S = 15
"""How long alerts are listened to."""

T = TypeVar("T", bound=Struct)


class Batched(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One database, batches of 500. `ratio`: CPU time of the statements of f28de43 over that of the whole way now."""

    cpu_ms_per_event: float
    statements_cpu_ms: float = 0.0
    ratio: float = 0.0


class Peer(Struct, frozen=True, kw_only=True):
    """CPU ms of an event of the incident of four events: theirs without HTTP, ours with HTTP and with its client."""

    cpu_ms: float
    our_cpu_ms: float
    cpu_ratio: float


class Timers(Struct, frozen=True, kw_only=True):
    """How late deadlines fired: the worse of the databases, and each."""

    lateness_p99_s: float
    databases: dict[str, Lateness]


class Bench(Struct, kw_only=True, omit_defaults=True):
    """All measurements that were wanted. `skipped` says why a database is missing."""

    machine: str
    interpreter: Interpreter
    runs: list[Run]
    duties: list[DutyRun]
    sqlite: Batched | None = None
    postgresql: Batched | None = None
    door32: dict[str, DoorRun] = {}
    door1: dict[str, DoorRun] = {}
    incident1: DoorRun | None = None
    incident32: DoorRun | None = None
    handwritten: Peer | None = None
    readable: dict[str, DoorRun] = {}
    door_to_alert: DoorRun | None = None
    timers: Timers | None = None
    decide_us: float | None = None
    replay: rules.Replay | None = None
    rss_mib_1m_open: float | None = None
    growth: Growth | None = None
    signals: SignalRun | None = None
    skipped: list[str]
    notes: list[str]


class Measuring:
    """One run of the benchmark. Each public method whose name is one of FAMILIES or APART measures one family."""

    def __init__(self, scale: float, folder: Path, stack: ExitStack, told: Callable[..., object]) -> None:
        self.scale, self.folder, self.stack, self.told = scale, folder, stack, told
        self.rounds = ROUNDS if scale >= 0.1 else 1
        self.files = (f"sqlite:///{folder}/bench-{number}.db" for number in count())
        self.servers: dict[bool, Iterator[str] | None] = {}
        self.doors: dict[str, Door | None] = {}
        machine = f"{platform.machine()}, {os.cpu_count()} CPUs, Python {platform.python_version()}"
        self.done = Bench(machine=machine, interpreter=measure_interpreter(), runs=[], duties=[], skipped=[], notes=[])

    # ---- databases ----------------------------------------------------------------------------------------------

    def fresh(self, database: str, flushing: bool = False) -> Iterator[str] | None:
        """URLs of empty databases, one after another; None where there is no such server."""
        if database == "sqlite":
            return self.files
        if flushing not in self.servers:
            self.servers[flushing] = self._server(flushing)
        return self.servers[flushing]

    def _server(self, flushing: bool) -> Iterator[str] | None:
        try:
            postgres = lab("parts.postgres")
            begun = postgres.flushing_server() if flushing else postgres.running_server()
            server = self.stack.enter_context(begun)
        except Exception as error:
            self.done.skipped.append(f"postgresql: {error}")
            return None
        if not flushing and not os.environ.get("GRIDPATROL_TEST_POSTGRES"):
            self.done.notes.append("PostgreSQL does not flush to disk (fsync=off) in batches and duties.")
        return (self.stack.enter_context(postgres.fresh_database(server)) for _ in count())

    def door_of(self, database: str) -> Door | None:
        """A warm door on a database of its own, the same one every time; None where there is no server."""
        if database not in self.doors:
            fresh = self.fresh(database, flushing=True)
            door = self.stack.enter_context(serving(next(fresh), self.folder)) if fresh is not None else None
            if door is not None:
                door.warm(self.scale)
            self.doors[database] = door
        return self.doors[database]

    def lab(self, name: str) -> Any:
        """A part of lab/; None, and a word about it, where there is no source tree."""
        try:
            return lab(name)
        except FileNotFoundError as error:
            self.done.skipped.append(f"{name}: {error}")
            return None

    def scaled(self, number: int) -> int:
        """A number of events or the like at this scale; enough for a median."""
        return max(20, int(number * self.scale))

    def again(self, measure: Callable[[], T]) -> T:
        """The median of each figure over some rounds; one round on small scales."""
        return median_of([measure() for _ in range(self.rounds)])

    # ---- families -----------------------------------------------------------------------------------------------

    def batches(self) -> None:
        """Events in batches, and what an event takes on disk; against the statements of f28de43, by turns."""
        for database in DATABASES:
            if (fresh := self.fresh(database)) is None:
                continue
            self.done.runs += batches.measure_batches(fresh, database, self.scale)
            recorded = self.lab("bench.recorded")
            turns = list[tuple[float, float]]()
            for _ in range(self.rounds):
                whole = batches.whole_way(next(fresh), LARGEST, self.scaled(batches.SIZES[LARGEST]))
                alone = recorded.statements_cpu_ms(database, next(fresh)) if recorded is not None else 0.0
                turns.append((whole.cpu_ms, alone))
            now, then = (median(values) for values in zip(*turns, strict=True))
            figures = Batched(
                cpu_ms_per_event=round(now, 4), statements_cpu_ms=round(then, 4), ratio=round(then / now, 3)
            )
            setattr(self.done, database, figures)

    def patrols(self) -> None:
        """Patrols that are born and end at midnight."""
        for database in DATABASES:
            if (fresh := self.fresh(database)) is not None:
                self.done.duties.append(batches.measure_duties(next(fresh), self.scale))

    def door(self) -> None:
        """One event per request, at the doors of both databases."""
        for database in DATABASES:
            if (door := self.door_of(database)) is not None:
                self.done.door32[database] = self.again(partial(door.measure, self.scaled(REQUESTS), 32))
                self.done.door1[database] = self.again(partial(door.measure, self.scaled(SINGLES), 1))

    def decide(self) -> None:
        """A decision by itself."""
        events = self.scaled(DECISIONS)
        self.done.decide_us = round(median(rules.decide_us(events) for _ in range(self.rounds)), 2)

    def replay(self) -> None:
        """The city's record again."""
        self.done.replay = self.again(lambda: rules.replay_city(next(self.files), self.scale))

    def incidents(self) -> None:
        """Incidents of four events, every answer the decision; the load's CPU time counts as well."""
        if (door := self.door_of("sqlite")) is not None:
            number = self.scaled(INCIDENTS)
            self.done.incident32 = self.again(partial(door.measure, number, 32, said="incidents")).with_client()
            self.done.incident1 = self.again(partial(door.measure, number // 4, 1, said="incidents")).with_client()

    def handwritten(self) -> None:
        """The same incidents as most teams write them, by turns with ours, on the same server of PostgreSQL."""
        theirs, door = self.lab("bench.handwritten"), self.door_of("postgresql")
        if theirs is None or door is None:
            return
        number, turns, fresh = self.scaled(INCIDENTS // 2), list[tuple[float, float]](), self.fresh("postgresql", True)
        for _ in range(self.rounds):
            assert fresh is not None
            written = theirs.handwritten_cpu_ms(next(fresh), number, 32)
            turns.append((written, door.measure(number, 32, said="incidents").with_client().cpu_ms))
        peer, ours = (median(values) for values in zip(*turns, strict=True))
        self.done.handwritten = Peer(cpu_ms=round(peer, 4), our_cpu_ms=round(ours, 4), cpu_ratio=round(peer / ours, 3))

    def timers(self) -> None:
        """Deadlines that fall due while events arrive; the worse database counts. Once: it takes minutes."""
        found = {
            database: measure_lateness(
                next(fresh), self.folder, self.scale, partial(self.told, f"{database}: cases that will fall due")
            )
            for database in DATABASES
            if (fresh := self.fresh(database, flushing=True)) is not None
        }
        self.done.timers = Timers(lateness_p99_s=max(one.lateness_p99_s for one in found.values()), databases=found)

    def memory(self) -> None:
        """The process that serves a million open incidents. Once: they take a while to make."""
        if self.lab("bench.open_incidents") is not None:
            told = partial(self.told, "open incidents")
            self.done.rss_mib_1m_open = growth.rss_mib(next(self.files), self.folder, self.scale, told)

    def growth(self) -> None:
        """What an event costs beside ten thousand waiting cases, a million, and on SQLite ten million."""
        if self.lab("bench.open_incidents") is None:
            return
        needed, free = growth.disk_bytes(self.scale), disk_usage(self.folder).free
        if free < needed:
            words = f"{self.folder.parent} has {free >> 20:,} MiB free, about {needed >> 20:,} MiB are needed"
            raise GridpatrolError(
                words, remedy="Make room there, name a folder of another disk in TMPDIR, or use --scale."
            )
        found = dict[str, list[Grown]]()
        for database, sizes in growth.SIZES.items():
            if (fresh := self.fresh(database)) is not None:
                told = partial(self.told, f"{database}: cases that wait")
                crowds = [growth.scaled(size, self.scale) for size in sizes]
                urls = list(islice(fresh, len(sizes)))
                found[database] = growth.measure_growth(urls, crowds, self.scale, self.rounds, told)
        self.done.growth = growth.together(found)

    def signals(self) -> None:
        """A minute of values of ten thousand devices."""
        devices, begin = self.scaled(signals.DEVICES), now_ms() - 2 * 1000 * signals.SECONDS
        pack = str(signals.write_pack(self.folder, devices))
        with serving(next(self.files), self.folder, GRIDPATROL_PACK=pack) as door:
            self.done.signals = signals.measure_signals(door, devices, signals.SECONDS, begin)

    def readable(self) -> None:
        """At low load: from an event to the case that shows it."""
        for database in DATABASES:
            if (door := self.door_of(database)) is not None:
                reading = partial(door.measure, self.scaled(READINGS), 1, said="readable", rate=READ_RATE)
                self.done.readable[database] = self.again(reading)

    def alerts(self) -> None:
        """At half of what the door takes: from an event to the alert that it causes, as a listener hears it."""
        if (door := self.door_of("sqlite")) is not None:
            most = self.done.door32.get("sqlite") or door.measure(self.scaled(REQUESTS), 32)
            rate = most.events_per_s / 2
            number = max(200, self.scaled(int(rate * LISTEN_S)))
            heard = self.again(partial(door.measure, number, 64, said="urged", rate=rate, listens=True))
            self.done.door_to_alert = heard.of_alerts()


def median_of(runs: Sequence[T]) -> T:
    """One whose every figure is the median of theirs."""
    values: dict[str, Any] = {
        name: median_low([getattr(run, name) for run in runs]) for name in runs[0].__struct_fields__
    }
    return type(runs[0])(**values)


def run(scale: float, only: Sequence[str] = (), told: Callable[..., object] = lambda *what: None) -> Bench:
    """Measure these families, or all that are not apart. `told` hears which one comes next; and, where it takes long,
    what is made, how much of it is done and of how much."""
    with TemporaryDirectory(prefix="gridpatrol-bench-") as folder, ExitStack() as stack:
        measuring = Measuring(scale, Path(folder), stack, told)
        for name in (*FAMILIES, *APART):
            if name in (only or FAMILIES):
                told(name)
                getattr(measuring, name)()
        return measuring.done

"""Chaos on real parts: `python -m lab.chaos.run --seconds 120 --seed 7`, or `make chaos-cluster`.

It prints a table of what was sent, broken and found. The exit status is 1 if anything is lost, doubled, missing or
different; then the logs stay where the last line says.

Kafka, PostgreSQL, two gateways, workers, alerts and performance run as processes, a load is published, and faults are
injected at random: roles are killed at any moment and at named places, frozen for longer than their
session, stopped in order; brokers and PostgreSQL are killed and started on what they had stored; wires between workers
and servers are cut or go silent; workers join and leave. Then everything is mended and comes to rest, and the judge
compares. The seed fixes what is sent and what is broken; when it hits, the machine decides.
"""

from __future__ import annotations

import argparse
import heapq
import re
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from random import Random, SystemRandom

import psycopg
from kafka.errors import KafkaError
from sqlalchemy.engine import make_url

from engine.clock import now_ms
from engine.errors import GridpatrolError
from engine.settings import Settings, read_settings
from engine.store.database import StoreError, open_database
from lab.chaos.faults import POINTS, SESSION_S, SYSTEM, ChaosInstallation, chaos_installation
from lab.chaos.judge import Verdict, judge, unfinished
from lab.chaos.load import Ledger, Load, Strays

REST_S = 240.0
"""How long a mended installation may take to come to rest."""
QUIET_MS = 13_000
"""At rest nothing falls due for so long: a tick while everything is stopped would be decided by nobody."""
LOOK_S = 0.25
REST_LOOK_S = 1.0
"""How often it is asked whether everything is done: a connection is made for it."""
ONE_OF = 2
"""How many things may be broken at once, beside processes that are on their way back."""


# ---- watching -----------------------------------------------------------------------------------------------


class StallMeter:
    """How long partitions stand still although something promised waits in them."""

    def __init__(self, place: ChaosInstallation, load: Load) -> None:
        self.place, self.load = place, load
        self.longest_s = 0.0
        self.stands: dict[int, int] = {}
        self._since: dict[int, float] = {}
        self._connection: psycopg.Connection | None = None

    def look(self) -> None:
        """Look at the partitions; a database that is away moves none of them."""
        now, stands = time.monotonic(), dict[int, int]()
        try:
            if self._connection is None:
                url = make_url(self.place.installation.environment["GRIDPATROL_DATABASE"]).set(drivername="postgresql")
                conninfo = url.render_as_string(hide_password=False)
                self._connection = psycopg.connect(conninfo, autocommit=True, connect_timeout=2)
            stands = dict(self._connection.execute("SELECT partition, position FROM partitions").fetchall())
        except psycopg.Error:
            self.close()
        for partition, highest in list(self.load.ledger.highest.items()):
            stood = self.stands.get(partition, 0)
            if stands.get(partition, stood) > stood or stood > highest:
                self._since[partition] = now
            self.longest_s = max(self.longest_s, now - self._since.setdefault(partition, now))
        self.stands |= stands

    def close(self) -> None:
        """Give the connection back."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()


# ---- faults ---------------------------------------------------------------------------------------------

Fault = Callable[["FaultInjector"], None]


class FaultInjector:
    """Breaks things now and then, and mends them after a while."""

    def __init__(self, place: ChaosInstallation, rng: Random, faults: dict[Fault, int], every_s: float) -> None:
        self.place, self.rng, self.faults, self.every_s = place, rng, faults, every_s
        self.broken: dict[str, object] = {}
        self._later: list[tuple[float, int, str, Callable[[], None]]] = []
        self._count = 0
        self._next_s = time.monotonic() + every_s

    def turn(self) -> None:
        """Mend what is due, break something if it is time."""
        self.mend(time.monotonic())
        if time.monotonic() >= self._next_s and len(self.broken) < ONE_OF:
            self._next_s = time.monotonic() + self.rng.uniform(0.3, 1.7) * self.every_s
            self.rng.choices(list(self.faults), list(self.faults.values()))[0](self)

    def mend(self, until_s: float = float("inf")) -> None:
        """Undo what should be undone by then; without an instant, all of it."""
        while self._later and self._later[0][0] <= until_s:
            _, _, what, undo = heapq.heappop(self._later)
            del self.broken[what]
            undo()

    def later(self, what: str, after_s: float, undo: Callable[[], None]) -> None:
        """Note what is broken, and how it is undone."""
        self._count += 1
        self.broken[what] = undo
        heapq.heappush(self._later, (time.monotonic() + after_s, self._count, what, undo))

    def a(self, *roles: str) -> str:
        """Some running process of these roles that is not broken otherwise; empty if there is none."""
        names = [name for role in roles for name in self.place.running(role) if name not in self.broken]
        return self.rng.choice(names) if names else ""


def kill_role(injector: FaultInjector) -> None:
    """Any role at any moment."""
    if name := injector.a(*POINTS):
        injector.place.kill(name, injector.rng.choice((0, 0.5, 1, 5)))


def kill_at_point(injector: FaultInjector) -> None:
    """A role at a named place: at once when it comes back, or after a while."""
    if name := injector.a(*POINTS):
        point = injector.rng.choice(POINTS[name.partition("-")[0]])
        injector.place.kill(name, 0, f"{point}:kill@{injector.rng.choice((1, 2, 5, 20))}")


def freeze_worker(injector: FaultInjector) -> None:
    """A worker for longer than its session: it wakes as a zombie. At times only for a moment."""
    if name := injector.a("worker"):
        after = injector.rng.choice((0.5, 1.5 * SESSION_S, 2.5 * SESSION_S))
        injector.later(name, after, injector.place.freeze(name))


def kill_a_broker(injector: FaultInjector) -> None:
    if "broker" not in injector.broken:
        number = injector.rng.randrange(len(injector.place.brokers))
        injector.later("broker", injector.rng.choice((0.1, 1, 4)), injector.place.kill_broker(number))


def kill_the_database(injector: FaultInjector) -> None:
    if "database" not in injector.broken:
        injector.later("database", injector.rng.choice((0.1, 1, 4)), injector.place.kill_database())


def cut_a_wire(injector: FaultInjector) -> None:
    """Between a worker and the database or the broker."""
    name = injector.a("worker")
    wires = [wire for wire in injector.place.wires if name and wire.endswith(f" {name}")]
    if wires:
        what, how = injector.rng.choice(wires).partition(" ")[0], injector.rng.choice(("cut", "stall"))
        injector.later(name, injector.rng.choice((0.3, 2, 7)), injector.place.cut(what, name, how))


def restart_role(injector: FaultInjector) -> None:
    """Stopped in order, and back."""
    if name := injector.a(*POINTS):
        injector.place.restart(name, injector.rng.choice((0, 2)))


def change_workers(injector: FaultInjector) -> None:
    """One joins, or the one that joined leaves."""
    third = "worker-3"
    if third in injector.place.of("worker"):
        if third in injector.place.running("worker") and third not in injector.broken:
            injector.place.leave(third)
    elif third not in injector.place.installation.roles or not injector.place.installation[third].running:
        injector.place.join(third)


EVERYTHING: dict[Fault, int] = {
    kill_role: 5,
    kill_at_point: 6,
    freeze_worker: 2,
    kill_a_broker: 1,
    kill_the_database: 1,
    cut_a_wire: 3,
    restart_role: 2,
    change_workers: 1,
}


# ---- a run --------------------------------------------------------------------------------------------------


@dataclass
class Run:
    """What came of a run."""

    verdict: Verdict
    judged: Callable[[], Verdict]  # once more
    ledger: Ledger
    place: ChaosInstallation
    stall_s: float
    silent_s: float
    rest_s: float


@contextmanager
def under_load(place: ChaosInstallation, seed: int, rate: float, *names: str) -> Iterator[Experiment]:
    """Start these roles and publish; when the block ends nothing more is said."""
    place.start(*names)
    place.installation.await_ready()
    load = Load(seed, rate, place.doors, place.token)
    bootstrap = place.installation.environment["GRIDPATROL_KAFKA"]
    strays = Strays(seed, bootstrap, "", place.partitions, SYSTEM, load.ledger)
    experiment = Experiment(place, load, strays)
    try:
        load.start()
        strays.start()
        yield experiment
    finally:
        load.close()
        strays.close()
        experiment.stalls.close()


class Experiment:
    """An installation under load, until it is brought to rest and judged."""

    def __init__(self, place: ChaosInstallation, load: Load, strays: Strays) -> None:
        self.place, self.load, self.strays = place, load, strays
        self.stalls = StallMeter(place, load)

    def wait(self, seconds: float, turn: Callable[[], None] = lambda: None) -> None:
        """Let it run; roles that end are started again."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            self.look(turn)

    def until(self, done: Callable[[], bool], within_s: float, what: str, every_s: float = LOOK_S) -> None:
        """Let it run until something is so; it is asked `every_s`."""
        until = time.monotonic() + within_s
        while not done():
            if time.monotonic() > until:
                raise AssertionError(f"{what}: not within {within_s:.0f} s")
            self.wait(every_s)

    def moves(self, within_s: float) -> None:
        """Let it run until everything that is promised by now is decided."""
        waiting = dict(self.load.ledger.highest)
        self.until(
            lambda: all(self.stalls.stands.get(p, 0) > place for p, place in waiting.items()),
            within_s,
            "what was promised is decided",
        )

    def look(self, turn: Callable[[], None] = lambda: None) -> None:
        """One look at everything."""
        turn()
        self.place.supervise()
        self.stalls.look()
        time.sleep(LOOK_S)

    def rest(self) -> Run:
        """Say nothing more, wait until all is done, stop in order, and judge."""
        began = time.monotonic()
        self.load.end()
        self.strays.close()
        settings = read_settings({}, self.place.installation.environment)
        self.place.disarm()
        self.until(lambda: not self.load.ledger.waiting, REST_S, "everything is acknowledged")
        left, at_ms = ["not looked yet"], now_ms()

        def done() -> bool:
            nonlocal at_ms
            at_ms = now_ms()
            left[:] = _unfinished(settings, at_ms + QUIET_MS)
            return not left

        try:
            self.until(done, REST_S, "everything is done", REST_LOOK_S)
        except AssertionError as error:
            raise AssertionError(f"{error}: {len(left)} left, such as {'; '.join(left[:6])}") from error
        took = time.monotonic() - began
        self.load.close()
        self.place.stop()
        ledger = self.load.ledger
        judged = partial(judge, settings, ledger, self.place.installation.folder, at_ms)
        return Run(judged(), judged, ledger, self.place, self.stalls.longest_s, ledger.silent_s, took)


def _unfinished(settings: Settings, at_ms: int) -> list[str]:
    try:
        database = open_database(settings.database)
        try:
            return unfinished(database, settings, at_ms)
        finally:
            database.close()
    except (GridpatrolError, StoreError, KafkaError) as error:
        return [f"{error}"]


def run(
    folder: Path,
    seconds: float,
    seed: int,
    *,
    brokers: int = 1,
    rate: float = 150,
    every_s: float = 2.0,
    faults: dict[Fault, int] | None = None,
    names: Sequence[str] = (),
) -> Run:
    """A whole run."""
    names = names or (
        "gateway-1",
        "gateway-2",
        "worker-1",
        "worker-2",
        "alerts-1",
        "alerts-2",
        "performance-1",
        "performance-2",
    )
    rng = Random(seed)
    with chaos_installation(folder, brokers=brokers) as place, under_load(place, seed, rate, *names) as experiment:
        injector = FaultInjector(place, rng, faults or EVERYTHING, every_s)
        experiment.wait(seconds, injector.turn)
        injector.mend()
        return experiment.rest()


def rebalances(folder: Path, seed: int, graceful: int, killed: int, rate: float = 150) -> Run:
    """One performance process stays, a second one joins and leaves under load: so often in order, so often killed."""
    names = ("gateway-1", "worker-1", "worker-2", "alerts-1", "performance-1")
    with chaos_installation(folder) as place, under_load(place, seed, rate, *names) as experiment:

        def shared() -> bool:
            each = [_owned(place, name) for name in ("performance-1", "performance-2")]
            return min(each) > 0 and sum(each) == place.partitions

        for number in range(graceful + killed):
            place.join("performance-2")
            experiment.until(shared, 60, "both performance processes have partitions")
            experiment.wait(1.5)
            place.leave("performance-2", kill=number >= graceful)
            experiment.until(lambda: not place.installation["performance-2"].running, 20, "the second one is gone")
            experiment.until(lambda: _owned(place, "performance-1") == place.partitions, 60, "one has all partitions")
        return experiment.rest()


def _owned(place: ChaosInstallation, name: str) -> int:
    """How many partitions of the facts topic a performance process says that it reads."""
    try:
        said = place.installation[name].get("/metrics", 2)[1]
    except (AssertionError, OSError):
        return 0
    found = re.search(r"^gridpatrol_fold_partitions_owned (\d+)", said, re.MULTILINE)
    return int(found[1]) if found else 0


# ---- telling ------------------------------------------------------------------------------------------------


def table(run: Run) -> str:
    """A run as people read it."""
    n, lines = run.verdict.numbers, list[tuple[str, str]]()
    lines += [("events in", f"{n['events in']}, sent {n['sent']} times, {n['strays']} strays beside them")]
    lines += [("accepted", f"{n['accepted']} at the door, {n['forwarded']} over the intake topic")]
    lines += [("records in the log", f"{n['records']}, {n['ticks']} of them ticks")]
    lines += [("facts", f"{n['facts']} in {n['steps']} steps, {n['facts messages']} messages")]
    lines += [("duplicates refused", str(n["repeats"])), ("dead letters", str(n["dead letters"]))]
    lines += [("due and fired", f"{n['due']} and {n['fired']}, {n['rungs']} rungs in all")]
    lines += [("lines of the feed", str(n["lines"])), ("figures", str(n["figures"]))]
    lines += [("notices", f"{n['notices']}, {n['in daily lines']} more in daily lines")]
    lines += [(what, str(count)) for what, count in sorted(run.place.count.items())]
    lines += [("ended by themselves", str(len(run.place.ended)))]
    lines += [("lost", str(n["lost"])), ("twice", str(n["twice"]))]
    lines += [("longest stall", f"{run.stall_s:.1f} s of a partition, {run.silent_s:.1f} s of the doors")]
    lines += [("to rest", f"{run.rest_s:.1f} s after the last event")]
    return "\n".join(f"  {name:48} {value}" for name, value in lines)


def main() -> int:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=120)
    parser.add_argument("--seed", type=int, default=SystemRandom().randrange(100_000))
    parser.add_argument("--brokers", type=int, default=1, choices=(1, 3))
    parser.add_argument("--only", choices=("performance",), help="ten rebalances in order and ten killed, under load")
    parser.add_argument("--rate", type=float, default=150, help="events a second")
    parser.add_argument("--every", type=float, default=2, help="seconds between two faults, on average")
    parser.add_argument("--keep", action="store_true", help="keep logs and data also when all is well")
    asked = parser.parse_args()
    what = "ONLY=performance" if asked.only else f"SECONDS={asked.seconds:g} BROKERS={asked.brokers}"
    again = f"make chaos-cluster SEED={asked.seed} {what}"
    folder = Path(tempfile.mkdtemp(prefix="gridpatrol-chaos-"))
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that nothing stays behind
    print(f"chaos, seed {asked.seed}, {what}; logs in {folder}", flush=True)
    wrong: list[str] = []
    try:
        if asked.only:
            done = rebalances(folder, asked.seed, 10, 10, asked.rate)
        else:
            done = run(folder, asked.seconds, asked.seed, brokers=asked.brokers, rate=asked.rate, every_s=asked.every)
        print(table(done))
        for line in done.place.ended:
            print(f"  {line}")
        wrong = done.verdict.wrong
    except AssertionError as error:
        wrong = [str(error)]
    for line in wrong:
        print(f"WRONG {line}")
    print(f"{'FAILED' if wrong else 'all is well'}; again: {again}")
    if wrong or asked.keep:
        print(f"logs: {folder}")
    else:
        shutil.rmtree(folder, ignore_errors=True)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())

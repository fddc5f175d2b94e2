"""The distributed run measured on one machine, on real parts: a broker, PostgreSQL, the roles as processes.

Enters: a scale. Leaves: one nested object of figures, `cluster.*`, `faust.*` and more, and tables for people. What is
compared was measured in the same run, since machines are noisy; CPU time is that of all processes.

1. Events come in by a gateway's door. Then nothing but the role that is measured runs: a worker, the performance role,
   the alerts role, each from a backlog. Their CPU time, with that of database and broker meanwhile, is the cost of an
   event. The performance role reads the same messages again with a fold that does nothing.
2. The same inbox again, on copies of the database: recorded, replayed bare, decided once more, decided by two workers.
3. All roles together: how much they take, and how long an event takes at a quarter, a half and three quarters of that;
   at a quarter also what it costs where each comes in a request of its own.
4. Among very many open incidents a worker is killed under load, and started again or taken over from.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from statistics import median
from typing import Any

from kafka import KafkaAdminClient, TopicPartition
from kafka.admin import OffsetSpec
from kafka.errors import KafkaError

from lab.bench import bare as bench_bare
from lab.bench import load as bench_load
from lab.bench.load import fill, one_by_one, steady, traffic
from lab.bench.open_incidents import crowd
from lab.bench.site import PARTITIONS, POSITIONS, STEPS, WAIT_S, Site, Spent, partitions_of, running_site, until, url_of
from lab.installation import Installation

STAGES = 29
"""How often `run` says what is done next."""
EVENTS, FEWEST = 30_000, 2_000
SINGLES = 1_500
"""Events sent one by one. They are decided first, before the clock runs: caches fill, statements are prepared."""
SINGLE_SENDERS, BULK, BULK_SENDERS = 8, 250, 2
"""As much as these have on the way at once lies between two events of an incident: they come in order."""
IDLE_S, SATURATED_S, LOAD_S, REST_S = 3.0, 8.0, 15.0, 2.0
LOADS = (25, 50, 75)
"""Per cent of what all roles take together."""
HALVES, HALF_S = 5, 8.0
"""How often half of it is sent, each time for so long: the tail of one run says little, the median of them counts."""
CROWD = 1_000_000
"""Open incidents among which a worker is killed; a tenth of it on smaller scales, a hundredth under a tenth."""
KILLS = 3
"""How often, so that the slowest one counts; once on smaller scales."""
SESSION_MS = 10_000
"""After so long without a word a process loses its partitions: the default."""
TOGETHER = ("gateway-1", "worker-1", "performance-1", "alerts-1")
FOLDED = "SELECT coalesce(sum(n), 0) FROM positions WHERE consumer = 'performance'"
HEARD = "SELECT coalesce(sum(n), 0) FROM positions WHERE consumer = 'alerts'"
NOTES = "SELECT count(*) FROM untold"
LINES = (
    "SELECT (SELECT coalesce(max(number), 0) FROM deliveries) - "
    "(SELECT coalesce(max(n), 0) FROM positions WHERE consumer = 'alerts.topic')"
)
BATCH_LINE = re.compile(r"(\d+) (\d+\.\d+)")
"""What `lab.bench.bare_fold` says of a batch."""
BEHIND = f"SELECT 2 * ({STEPS}) - ({FOLDED}) - ({HEARD})"

Figures = dict[str, Any]
Told = Callable[[str], object]
"""Hears what is done next."""


def run(scale: float, told: Told = lambda what: None) -> Figures:
    """Measure everything. On smaller scales the figures say little: the shorter the run, the noisier."""
    told("broker and PostgreSQL start")
    with running_site() as site:
        figures: Figures = {"machine": site.machine(), "notes": site.notes()}
        Bench(site, scale, told, figures).run()
        return nested(figures)


def nested(figures: Figures) -> Figures:
    """`cluster.ratio` as member `ratio` of `cluster`."""
    found: Figures = {}
    for name, value in figures.items():
        *above, last = name.split(".")
        place = found
        for part in above:
            place = place.setdefault(part, {})
        place[last] = value
    return found


class Bench:
    """One run. The parts follow one another: each uses what the ones before have left."""

    def __init__(self, site: Site, scale: float, told: Told, figures: Figures) -> None:
        self.site, self.scale, self.told, self.figures = site, scale, told, figures
        self.events = max(FEWEST, int(EVENTS * scale))
        self.singles = min(SINGLES, self.events // 4)
        self.shorter = max(0.15, min(1.0, scale))

    def run(self) -> None:
        """All of it."""
        full = self._filled()
        main = self.site.installation("main", full)
        one = self._one_after_another(main)
        self._bare(full, one)
        self._two(full, one)
        self._together(main, one)
        self._recovered(main)

    # ---- 1: one role after another ----------------------------------------------------------------------------

    def _filled(self) -> Installation:
        """An installation with events in its inbox that nobody has decided."""
        self.told("tables and topics are made")
        installation, site = self.site.installation("full"), self.site
        installation.set_up()
        installation.start("gateway-1", "worker-1")
        installation.await_ready("gateway-1", "worker-1")  # a worker activates the pack, and leaves again
        installation["worker-1"].stop()
        self.warm = site.end() + self.singles
        url, events = installation["gateway-1"].address(), traffic(site.policy, next(site.seeds))
        self.told(f"{self.singles:,} events come in by the door, one by one")
        single = site.measured(installation, ("gateway-1",), lambda: fill(url, events, self.singles, 1, SINGLE_SENDERS))
        self.told(f"{self.events:,} events come in by the door, in batches of {BULK}")
        self.door = site.measured(
            installation, ("gateway-1",), lambda: fill(url, events, self.events, BULK, BULK_SENDERS)
        )
        self.figures |= {
            "gateway.single_events_per_s": round(single.rate),
            "gateway.single_cpu_ms": single.ms(),
            "gateway.events_per_s": round(self.door.rate),
            "gateway.cpu_ms": self.door.ms(),
        }
        installation.stop()
        return installation

    def _one_after_another(self, installation: Installation) -> Spent:
        """A worker, the performance role, the alerts role, each from a backlog. What the worker took."""
        ask = self.site.asker
        self.told("a worker decides them")
        decided = self._decided(installation, "worker-1")
        made = ask(installation, STEPS)()
        per = made / ask(installation, POSITIONS)()
        self.told("the performance role folds their steps")
        folded = self._followed(installation, "performance-1", made, FOLDED, NOTES)
        self.told("the same messages, and a fold that does nothing")
        bare_fold = self._bare_fold(installation, made)
        self.told("the alerts role tells")
        heard = self._followed(installation, "alerts-1", made, HEARD, LINES)
        roles = {
            "gateway": self.door.ms(),
            "worker": decided.ms(),
            "performance": folded.ms(folded.number / per),
            "alerts": heard.ms(heard.number / per),
        }
        self.figures |= {
            "cluster.events": decided.number,
            "cluster.events_per_s": round(decided.rate),
            "cluster.cpu_ms_per_event": round(sum(sum(parts.values()) for parts in roles.values()), 4),
            "cluster.cpu_ms_by_role": roles,
            "cluster.steps_per_event": round(per, 3),
            "faust.steps_per_s": round(folded.rate),
            "faust.bare_steps_per_s": round(bare_fold),
            "faust.ratio": round(folded.rate / bare_fold, 3),
            "alerts.steps_per_s": round(heard.rate),
        }
        return decided

    def _decided(self, installation: Installation, *names: str) -> Spent:
        """Workers decide the whole inbox, and leave."""
        installation.start(*names)
        spent = self.site.span(
            installation, names, self.site.asker(installation, POSITIONS), self.warm, self.site.end()
        )
        installation.stop()
        return spent

    def _followed(self, installation: Installation, name: str, last: int, ask: str, left: str) -> Spent:
        """A role takes in all steps, and publishes what it made of them."""
        installation.start(name)
        asker = self.site.asker
        spent = self.site.span(
            installation, (name,), asker(installation, ask), self.singles, last, asker(installation, left)
        )
        installation.stop()
        return spent

    def _bare_fold(self, installation: Installation, last: int) -> float:
        """Steps a second of the performance role with a fold that does nothing, read from the beginning again."""
        self._set_group(OffsetSpec.EARLIEST)
        told = installation.environment | {
            "GRIDPATROL_ROLE": "performance",
            "GRIDPATROL_INSTANCE": "performance-1",
            "GRIDPATROL_LISTEN": "127.0.0.1:0",
        }
        command = [sys.executable, "-m", "lab.bench.bare_fold"]
        marks, steps = [(0, time.monotonic())], 0
        with subprocess.Popen(command, env=told, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as role:
            assert role.stdout is not None
            late = threading.Timer(WAIT_S, role.kill)
            late.start()
            for line in role.stdout:
                if (said := BATCH_LINE.fullmatch(line.strip())) is None:
                    continue
                steps += int(said[1])
                if steps >= self.singles:
                    marks.append((steps, float(said[2])))
                if steps >= last:
                    break
            late.cancel()
            role.terminate()
        if marks[-1][0] < last:
            raise RuntimeError(f"a fold that does nothing took {marks[-1][0]} of {last} steps")
        (first, began), (end, ended) = marks[1 if len(marks) > 2 else 0], marks[-1]  # one batch counts from the start
        return (end - first) / (ended - began)

    # ---- 2: the same inbox again ------------------------------------------------------------------------------

    def _bare(self, full: Installation, one: Spent) -> None:
        """Recorded once; then bare limit and engine by turns, so that both meet the same weather."""
        self.told("what a worker asks of the database is recorded")
        with self._copied(full, "recorded") as installation:
            turns = bench_bare.record(installation.environment, self.site.end())
        engines, bares = [one], list[bench_bare.Bare]()
        for name in ("bare", "again", "bare_again", "publishing"):
            self.told("a worker decides them again" if name == "again" else "the same messages and statements, bare")
            with self._copied(full, name) as installation:
                if name == "again":
                    engines.append(self._decided(installation, "worker-1"))
                else:
                    bares.append(bench_bare.replay(installation.environment, turns, self.warm, name == "publishing"))
        *bares, publishing = bares
        engine = sum(run.seconds for run in engines) / sum(run.number for run in engines)
        bare = sum(run.seconds for run in bares) / sum(run.records for run in bares)
        self.figures |= {
            "cluster.ratio": round(bare / engine, 3),
            "cluster.ratio_runs": {
                "engine": [round(run.rate) for run in engines],
                "bare": [round(run.rate) for run in bares],
            },
            "cluster.ratio_with_publishing": round(publishing.seconds / publishing.records / engine, 3),
            "bare.events_per_s": round(1 / bare),
            "bare.cpu_ms": [run.ms() for run in bares],
            "bare.with_publishing_events_per_s": round(publishing.rate),
            "bare.with_publishing_cpu_ms": publishing.ms(),
        }

    def _two(self, full: Installation, one: Spent) -> None:
        """Two workers share the partitions."""
        self.told("two workers decide them")
        with self._copied(full, "two") as installation:
            spent = self._decided(installation, "worker-1", "worker-2")
        self.figures |= {
            "cluster.two_workers_events_per_s": round(spent.rate),
            "cluster.two_workers_cpu_ms": spent.ms(),
            "cluster.two_workers_gain": round(spent.rate / one.rate, 3),
        }

    @contextmanager
    def _copied(self, full: Installation, name: str) -> Iterator[Installation]:
        installation = self.site.installation(name, full)
        yield installation
        self.site.drop(installation)

    # ---- 3: all together --------------------------------------------------------------------------------------

    def _together(self, installation: Installation, one: Spent) -> None:
        """How much all roles take at once, then how long an event takes at shares of that."""
        # The copies have published the same steps again: whoever read them now would be busy skipping.
        self._set_group(OffsetSpec.LATEST)
        self.told("all roles start")
        installation.start(*TOGETHER)
        installation.await_ready(*TOGETHER)
        until(lambda: len(partitions_of(installation["worker-1"])) == PARTITIONS, "worker-1 to own every partition")
        events = traffic(self.site.policy, next(self.site.seeds))
        self.told("all roles are idle")
        idle = self.site.measured(installation, TOGETHER, self._nothing)
        self.told("all roles take as much as they can")
        number = int(one.rate * SATURATED_S * self.shorter / 2)
        most = self.site.measured(installation, TOGETHER, lambda: self._saturated(installation, events, number))
        self.figures |= {
            "cluster.idle_cpu_percent": {p: round(100 * s / idle.seconds, 1) for p, s in idle.cpu.items()},
            "cluster.together_events_per_s": round(most.rate),
            "cluster.together_cpu_ms": most.ms(),
        }
        self.told("what an event costs at a quarter of that, each in a request of its own")
        alone = self._latency(installation, events, most.rate, 25, LOAD_S, one_by_one)
        rows = list[Figures]()
        for load in LOADS:
            times, seconds = (HALVES, HALF_S) if load == 50 else (1, LOAD_S)
            runs = list[Figures]()
            for _ in range(times):
                self.told(f"how long an event takes at {load} % of that")
                runs.append(self._latency(installation, events, most.rate, load, seconds, steady))
            runs.sort(key=lambda row: row["door_to_alert_p99_s"])
            rows.append(runs[times // 2])
            if load == 50:
                for name in ("door_to_fact_p99_s", "door_to_alert_p99_s"):
                    self.figures[f"cluster.{name}"] = median(row[name] for row in runs)
                    self.figures[f"cluster.{name.removesuffix('_s')}_runs_s"] = [row[name] for row in runs]
        self.figures |= {
            "cluster.latency": rows,
            "cluster.one_by_one": alone,
            "cluster.cpu_ms_per_event_25": alone["cpu_ms_per_event"],
        }
        installation.stop()

    def _nothing(self) -> int:
        time.sleep(IDLE_S * self.shorter)
        return 0

    def _set_group(self, to: OffsetSpec) -> None:
        """Have the performance role go on at the beginning of the facts topic, or at its end."""
        admin = KafkaAdminClient(bootstrap_servers=self.site.kafka)
        places = {TopicPartition(self.site.facts, p): to for p in range(PARTITIONS)}

        def reset() -> bool:
            try:
                admin.reset_group_offsets(f"{self.site.prefix}gridpatrol.performance", places)
            except KafkaError:
                return False  # it still has a member
            return True

        try:
            until(reset, "the performance role to have left its group")
        finally:
            admin.close()

    def _saturated(self, installation: Installation, events: Iterator[dict[str, Any]], number: int) -> int:
        """Events pushed in by the door until all of them are decided, folded and told."""
        ask, behind = self.site.asker(installation, POSITIONS), self.site.asker(installation, BEHIND)
        last = ask() + number
        fill(installation["gateway-1"].address(), events, number, BULK, BULK_SENDERS)
        until(lambda: ask() >= last and behind() == 0, "everything to be decided, folded and told")
        return number

    def _latency(
        self,
        installation: Installation,
        events: Iterator[dict[str, Any]],
        most: float,
        load: int,
        seconds: float,
        send: Callable[..., int],
    ) -> Figures:
        """A steady load, watched from its instants to the topics."""
        url, rate = installation["gateway-1"].address(), most * load / 100
        send(url, events, rate, REST_S * self.shorter)
        watch = bench_load.LatencyMeter(self.site.kafka, self.site.prefix)
        watch.start()
        began, own = time.perf_counter(), time.process_time()
        spent = self.site.measured(
            installation, TOGETHER, lambda: send(url, events, rate, seconds * self.shorter, watch)
        )
        own, took = time.process_time() - own, time.perf_counter() - began
        watch.close()
        row: Figures = {
            "load_percent": load,
            "events_per_s": round(spent.rate),
            "events": spent.number,
            "alerts": len(watch.alerts),
            "load_cpu_percent_of_machine": round(100 * own / took / (os.cpu_count() or 1), 1),
        }
        for what, values in (("fact", watch.steps), ("alert", watch.alerts)):
            row |= {f"door_to_{what}_p{p}_s": round(bench_load.rank(values, p / 100), 3) for p in (50, 99)}
        return row | {"cpu_ms": spent.ms(), "cpu_ms_per_event": round(sum(spent.ms().values()), 3)}

    # ---- 4: recovery ------------------------------------------------------------------------------------------

    def _recovered(self, installation: Installation) -> None:
        """A worker killed among very many open incidents, under half of the load that all roles take together."""
        number = CROWD if self.scale >= 1 else CROWD // 10 if self.scale >= 0.1 else CROWD // 100
        kills = KILLS if self.scale >= 1 else 1
        self.told(f"{number:,} open incidents are made")
        self.figures["cluster.recovery_open_incidents"] = crowd(url_of(installation), number).open
        session = {"GRIDPATROL_KAFKA_SESSION_MS": str(SESSION_MS)}
        installation.start("gateway-1", "worker-1", **session)
        installation.await_ready("gateway-1", "worker-1")
        first = installation["worker-1"]
        until(lambda: len(partitions_of(first)) == PARTITIONS, "worker-1 to own every partition")
        with self._loaded(installation):
            self.told("a worker is killed and started again")
            runs = [self._killed(installation, lambda: first.start(**session)) for _ in range(kills)]
            self.told("a worker is killed, another takes over")
            installation.start("worker-2", **session)
            until(lambda: 0 < len(partitions_of(first)) < PARTITIONS, "worker-2 to own some partitions")
            taken = self._killed(installation, lambda: None)
        self.figures |= {
            "cluster.recovery_s": round(max(runs), 2),
            "cluster.recovery_runs_s": [round(took, 2) for took in runs],
            "cluster.takeover_s": round(taken, 2),
            "cluster.takeover_session_s": SESSION_MS / 1000,
        }
        installation.stop()

    @contextmanager
    def _loaded(self, installation: Installation) -> Iterator[None]:
        """Half of what all roles take together, until the block ends."""
        stop, url = threading.Event(), installation["gateway-1"].address()
        events = traffic(self.site.policy, next(self.site.seeds))
        rate = self.figures["cluster.together_events_per_s"] / 2
        sender = threading.Thread(target=steady, args=(url, events, rate, WAIT_S, None, stop))
        sender.start()
        try:
            yield
        finally:
            stop.set()
            sender.join()

    def _killed(self, installation: Installation, then: Callable[[], None]) -> float:
        """Seconds from kill -9 to the first new step in one of the partitions that were the worker's."""
        role = installation["worker-1"]
        role.await_ready()
        owned = until(lambda: partitions_of(role), "worker-1 to own partitions")
        ask = self.site.asker(installation, f"SELECT sum(n) FROM partitions WHERE partition IN ({', '.join(owned)})")
        time.sleep(REST_S)
        began = time.perf_counter()
        role.kill()
        then()
        time.sleep(0.1)  # a commit that was under way may still come through
        before = ask()
        until(lambda: ask() > before, "a first new step")
        return time.perf_counter() - began


# ---- for people ---------------------------------------------------------------------------------------------

Sheet = tuple[Sequence[str], Sequence[Sequence[str]]]
"""Heads and rows."""


def tables(found: Figures) -> list[Sheet]:
    """The figures as tables."""
    return [goals_table(found), costs_table(found), latencies_table(found), other_table(found)]


def goals_table(found: Figures) -> Sheet:
    rows = [
        ("engine / bare limit", f"{found['cluster']['ratio']:.2f}", "at least 0.50"),
        ("door to alert at half load, p99", f"{found['cluster']['door_to_alert_p99_s']:.3f} s", "under 0.5 s"),
        (
            f"killed worker decides again, {found['cluster']['recovery_open_incidents']:,} open incidents",
            f"{found['cluster']['recovery_s']:.1f} s",
            "under 10 s",
        ),
        ("performance worker / fold that does nothing", f"{found['faust']['ratio']:.2f}", "at least 0.70"),
        (
            "an event at a quarter of the load, one per request",
            f"{found['cluster']['cpu_ms_per_event_25']:.2f} CPU ms",
            "under 1.0",
        ),
        ("performance worker", f"{found['faust']['steps_per_s']:,} steps/s", "at least 8,000"),
        ("one worker from a backlog", f"{found['cluster']['events_per_s']:,} events/s", ""),
        ("all processes", f"{found['cluster']['cpu_ms_per_event']:.3f} CPU ms/event", ""),
    ]
    return ("goal", "measured", "wanted"), rows


def costs_table(found: Figures) -> Sheet:
    roles = found["cluster"]["cpu_ms_by_role"]
    rows = []
    for role, parts in roles.items():
        own = sum(ms for part, ms in parts.items() if part not in ("postgresql", "broker"))
        shares = (own, parts.get("postgresql", 0.0), parts.get("broker", 0.0), sum(parts.values()))
        rows.append((role, *(f"{ms:.3f}" for ms in shares)))
    return ("CPU ms per event, from a backlog", "itself", "PostgreSQL", "broker", "together"), rows


def latencies_table(found: Figures) -> Sheet:
    heads = ("load", "events/s", "door to fact p50", "p99", "door to alert p50", "p99", "CPU ms/event")
    rows = [
        (
            f"{row['load_percent']} %",
            f"{row['events_per_s']:,}",
            *(f"{row[f'door_to_{what}_p{p}_s']:.3f} s" for what in ("fact", "alert") for p in (50, 99)),
            f"{row['cpu_ms_per_event']:.2f}",
        )
        for row in found["cluster"]["latency"]
    ]
    return heads, rows


def other_table(found: Figures) -> Sheet:
    idle = found["cluster"]["idle_cpu_percent"]
    rows = [
        ("door, one by one", f"{found['gateway']['single_events_per_s']:,} events/s"),
        (f"door, in batches of {BULK}", f"{found['gateway']['events_per_s']:,} events/s"),
        ("bare messages and statements", f"{found['bare']['events_per_s']:,} events/s"),
        ("the same, and steps published", f"{found['bare']['with_publishing_events_per_s']:,} events/s"),
        ("engine / bare limit that publishes as well", f"{found['cluster']['ratio_with_publishing']:.2f}"),
        ("two workers on this machine", f"{found['cluster']['two_workers_events_per_s']:,} events/s"),
        ("alerts role", f"{found['alerts']['steps_per_s']:,} steps/s"),
        ("all roles at once, all the way", f"{found['cluster']['together_events_per_s']:,} events/s"),
        ("all of them idle", f"{sum(idle.values()):.0f} % of a core"),
        (
            f"another worker takes over (session {found['cluster']['takeover_session_s']:.0f} s)",
            f"{found['cluster']['takeover_s']:.1f} s",
        ),
    ]
    return ("besides", "measured"), rows

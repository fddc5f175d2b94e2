"""How many events a second, and how much CPU time each: `gridpatrol bench`.

PostgreSQL comes from GRIDPATROL_TEST_POSTGRES, or from the wheel that the tests use. CPU time is that of all processes,
the database included.

What is measured is the whole way of an event from its bytes to the figures: decode and seal, append to the log, decide
in a slice, fold, alerts. Incidents of the sample pack live from report to closing, eight events each; they overlap, as
they do in a city. `bare` is the same run's statements executed once more on a fresh database, with nothing around them:
the share says how much of what the database could do is left when the engine has done its part.
"""

import os
import platform
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from itertools import chain, count, cycle, islice
from random import Random
from tempfile import TemporaryDirectory
from typing import Any

import msgspec
from msgspec import Struct

from consumers.alerts import fold
from consumers.performance import consume
from engine import admission
from engine.runtime import Engine
from engine.settings import Settings
from engine.store import recording
from engine.store.database import Database, open_database
from gridpatrol import cpu
from gridpatrol.demo.events import mint
from gridpatrol.run.wiring import install_if_empty
from gridpatrol.source_tree import lab
from schemas.refusals import Refusal
from workflows.policy.index import Policy

SIZES = {500: 20_000, 100: 8_000, 1: 1_000}
"""Batch size -> events: enough of each for a second or more."""
COHORT = 64
"""Incidents that go on side by side: about this many events lie between two of the same incident."""
BEGIN_MS = 1_772_413_200_000  # 2026-03-02T09:00+08:00, a working Monday
STEP_MS = 15
"""Between two events; incidents are handled within seconds, so clocks start and stop and hardly ever ring."""
WARM = 1_000
"""Events before the clock runs: caches fill, statements are prepared."""


class Run(Struct, frozen=True, kw_only=True):
    """One measurement. CPU in ms per event; `database_cpu_ms` is None where the server runs elsewhere (on SQLite it is
    part of the process). `bare_share` is the engine's rate over that of its statements alone."""

    database: str
    batch: int
    events: int
    events_per_s: int
    cpu_ms: float
    process_cpu_ms: float
    database_cpu_ms: float | None
    bare_events_per_s: int
    bare_share: float


class Bench(Struct, frozen=True, kw_only=True):
    """All measurements. `skipped` says why a database is missing."""

    machine: str
    runs: list[Run]
    skipped: list[str]
    notes: list[str]


def run(scale: float = 1.0) -> Bench:
    """Measure both databases."""
    machine = f"{platform.machine()}, {os.cpu_count()} CPUs, Python {platform.python_version()}"
    runs, skipped, notes = list[Run](), list[str](), list[str]()
    with TemporaryDirectory(prefix="gridpatrol-bench-") as folder, ExitStack() as stack:
        files = (f"sqlite:///{folder}/bench-{number}.db" for number in count())
        for batch, events in SIZES.items():
            runs.append(_measure(files, "sqlite", batch, int(events * scale)))
        try:
            postgres = lab("parts.postgres")
            running = stack.enter_context(postgres.running_server())
            fresh = (stack.enter_context(postgres.fresh_database(running)) for _ in count())
        except Exception as error:
            skipped.append(f"postgresql: {error}")
            return Bench(machine=machine, runs=runs, skipped=skipped, notes=notes)
        if not os.environ.get("GRIDPATROL_TEST_POSTGRES"):
            notes.append("PostgreSQL is the tests' own server: it does not flush to disk (fsync=off).")
        for batch, events in SIZES.items():
            runs.append(_measure(fresh, "postgresql", batch, int(events * scale)))
    return Bench(machine=machine, runs=runs, skipped=skipped, notes=notes)


# ---- measuring ----------------------------------------------------------------------------------------------


def _measure(fresh: Iterator[str], name: str, batch: int, events: int) -> Run:
    """The engine on one fresh database; then, recorded on a second one, its statements alone on a third."""
    warm = max(batch, min(WARM, events))
    with _opened(next(fresh)) as database:
        engine, raws = _begin(database, warm + events)
        _work(engine, islice(raws, warm), batch, 0)
        before = _cpu(database)
        took = _work(engine, raws, batch, warm)
        own, server = _cpu(database)
    own, server = own - before[0], server - before[1] if server is not None and before[1] is not None else None
    # How long the statements of the measured part take by themselves.
    with _opened(next(fresh)) as database:
        recorder = recording.Recorder(database)
        engine, raws = _begin(database, warm + events)
        _work(engine, islice(raws, warm), batch, 0)
        prepared = len(recorder.transactions)
        _work(engine, raws, batch, warm)
    with _opened(next(fresh)) as database:
        for transaction in recorder.transactions[:prepared]:
            recording.execute(database, transaction)
        began = time.perf_counter()
        for transaction in recorder.transactions[prepared:]:
            recording.execute(database, transaction)
        bare = time.perf_counter() - began
    per = 1000 / events
    return Run(
        database=name,
        batch=batch,
        events=events,
        events_per_s=round(events / took),
        cpu_ms=round((own + (server or 0)) * per, 4),
        process_cpu_ms=round(own * per, 4),
        database_cpu_ms=round(server * per, 4) if server is not None else None,
        bare_events_per_s=round(events / bare),
        bare_share=round(bare / took, 3),
    )


@contextmanager
def _opened(url: str) -> Iterator[Database]:
    database = open_database(url)
    try:
        database.upgrade()
        yield database
    finally:
        database.close()


def _begin(database: Database, events: int) -> tuple[Engine, Iterator[bytes]]:
    """An engine with the sample pack, and the events it will get."""
    consumers = [consume.consume, fold.consume]
    engine = Engine(database, Settings(pack="weiyang", log_level="WARNING"), consumers)
    policy = install_if_empty(engine, BEGIN_MS - 1)
    return engine, iter(list(islice(event_lines(policy), events)))


def _work(engine: Engine, raws: Iterator[bytes], batch: int, done: int) -> float:
    """Take events in, batch by batch, to the figures. Seconds it took."""
    began = time.perf_counter()
    while chunk := list(islice(raws, batch)):
        done += len(chunk)
        now = BEGIN_MS + done * STEP_MS
        received = [admission.receive(raw, "bench", engine.count) for raw in chunk]
        if refused := [item for item in received if isinstance(item, Refusal)]:
            raise RuntimeError(f"the workload is refused: {refused[0]}")
        engine.append([item[0] for item in received if not isinstance(item, Refusal)], now)
        while (result := engine.work(now)) is not None:
            if any(answer.refusal is not None for answer in result.answers):
                raise RuntimeError(f"the workload is refused: {result.answers[0].refusal}")
        engine.feed()
    return time.perf_counter() - began


# ---- CPU time -----------------------------------------------------------------------------------------------


def _cpu(database: Database) -> tuple[float, float | None]:
    """CPU seconds of this process, and of all processes of the database server if it runs here."""
    return time.process_time(), cpu.of_server(recording.backend_pid(database))


# ---- the workload -------------------------------------------------------------------------------------------


def event_lines(policy: Policy, seed: int = 8, clock: Callable[[], int] | None = None) -> Iterator[bytes]:
    """Events without end, as JSON: incidents from report to closing, by posts that may, cohorts overlapping.

    They happen `STEP_MS` apart from `BEGIN_MS` on, or at the instants of `clock`. Other seeds are other incidents.
    """
    instants = count(BEGIN_MS + STEP_MS, STEP_MS)
    for event in incidents(policy, Random(seed)):
        at = clock() if clock is not None else next(instants)
        event["time"] = datetime.fromtimestamp(at / 1000, UTC).isoformat(timespec="milliseconds")
        yield msgspec.json.encode(event)


def incidents(policy: Policy, rng: Random) -> Iterator[dict[str, Any]]:
    """The same as dictionaries, without an instant."""
    leaves = cycle([grid.code for grid in policy.pack.grids if grid.level == policy.leaf_level])
    running: list[list[Iterator[dict[str, Any]]]] = []
    while True:
        running.append([_incident(policy, next(leaves), rng) for _ in range(COHORT)])
        for incident in chain.from_iterable(running):
            yield next(incident)
        if len(running) == len(STAGES):
            running.pop(0)


STAGES: tuple[tuple[str, str, dict[str, str]], ...] = (
    ("report.submitted", "member", {"source": "patrol", "description": "a heap of rubble beside the road"}),
    ("dissuasion.recorded", "member", {"outcome": "ineffective"}),
    ("incident.reported_up", "member", {}),
    ("incident.accepted", "upper", {}),
    ("incident.dispatched", "upper", {}),
    ("handling.completed", "handler", {}),
    ("verification.recorded", "member", {"outcome": "solved"}),
    ("incident.closed", "chief", {}),
)
"""The events of one incident: trigger, role, data."""


def _incident(policy: Policy, leaf: str, rng: Random) -> Iterator[dict[str, Any]]:
    """The eight events of one incident."""
    above = policy.leaf_level - 1
    category = next(c for c in policy.pack.categories if c.dissuade and c.level == above and c.department)
    upper = policy.path(leaf)[-2]
    posts = {
        "member": policy.posts_at(leaf, "member")[0],
        "chief": policy.posts_at(leaf, "chief")[0],
        "upper": policy.posts_at(upper, "chief")[0],
        "handler": policy.posts_of(category.department)[0],
    }
    subject = mint(policy.home(leaf), BEGIN_MS + rng.randrange(1 << 30), rng)
    more = {
        "report.submitted": {"category": category.code, "grid": leaf},
        "incident.dispatched": {"lead": category.department},
    }
    for number, (trigger, role, data) in enumerate(STAGES):
        yield {
            "specversion": "1.0",
            "id": f"{subject.rpartition('.')[2]}-{number}",
            "source": "/bench",
            "type": f"gridpatrol.{trigger}.v1",
            "subject": subject,
            "actor": posts[role],
            "data": {**data, **more.get(trigger, {})},
        }

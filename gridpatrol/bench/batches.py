"""Events in batches, in one process: how many a second, and how much CPU time each.

CPU time is that of all processes, the database included. What is measured is the whole way of an event from its bytes
to the figures: decode and seal, append to the log, decide in a slice, fold, alerts. Incidents of the sample pack live
from report to closing, eight events each; they overlap, as they do in a city. `bare` is the same run's statements
executed once more on a fresh database, with nothing around them: the share says how much of what the database could do
is left when the engine has done its part.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from typing import NamedTuple

from msgspec import Struct

from engine import admission
from engine.runtime import Engine
from engine.settings import Settings
from engine.store import recording, table_bytes
from engine.store.database import Database, open_database
from gridpatrol import collector, cpu
from gridpatrol.bench import duties as bench_duties
from gridpatrol.bench.duties import DutyRun
from gridpatrol.bench.workload import BEGIN_MS, STEP_MS, event_lines
from gridpatrol.run.following import follow
from gridpatrol.run.wiring import install_if_empty
from schemas.refusals import Refusal

SIZES = {500: 20_000, 100: 8_000, 1: 1_000}
"""Batch size -> events: enough of each for a second or more."""
WARM = 1_000
"""Events before the clock runs: caches fill, statements are prepared."""


class EngineRun(NamedTuple):
    """What so many events took: seconds, CPU seconds of the process and of the database's server (None: elsewhere, or
    in the process), and the bytes of an event in each table."""

    events: int
    took_s: float
    own_s: float
    server_s: float | None
    room: dict[str, int]

    @property
    def cpu_ms(self) -> float:
        """CPU ms of an event."""
        return 1000 * (self.own_s + (self.server_s or 0.0)) / self.events


class Run(Struct, frozen=True, kw_only=True):
    """One measurement. CPU in ms per event; `database_cpu_ms` is None where the server runs elsewhere (on SQLite it is
    part of the process). `bare_share` is the engine's rate over that of its statements alone. `statements` and
    `commits` are those of one event: unlike a time they are the same on every machine. `bytes_per_event`: the room that
    tables have gained, with their indexes, of those that gained a byte; empty where the database cannot tell."""

    database: str
    batch: int
    events: int
    events_per_s: int
    cpu_ms: float
    process_cpu_ms: float
    database_cpu_ms: float | None
    bare_events_per_s: int
    bare_share: float
    statements: float
    commits: float
    bytes_per_event: dict[str, int]


def measure_batches(fresh: Iterator[str], name: str, scale: float = 1.0) -> list[Run]:
    """Every size of batch, on fresh databases."""
    return [_measure(fresh, name, batch, int(events * scale)) for batch, events in SIZES.items()]


def measure_duties(url: str, scale: float = 1.0) -> DutyRun:
    """Patrols that are born at one midnight and end at another, with events beside, on a fresh database."""
    with opened(url) as database:
        return bench_duties.measure(database, scale, event_lines, lambda: sum(filter(None, cpu_of(database))))


# ---- measuring ----------------------------------------------------------------------------------------------


def whole_way(url: str, batch: int, events: int) -> EngineRun:
    """The engine on an empty database, from the bytes of events to figures and alerts."""
    warm = max(batch, min(WARM, events))
    with opened(url) as database:
        engine, raws = _begin(database, warm + events)
        empty = _room(database)
        work(engine, islice(raws, warm), batch, 0)
        before = cpu_of(database)
        took = work(engine, raws, batch, warm)
        own, server = cpu_of(database)
        gained = {name: round((size - empty[name]) / (warm + events)) for name, size in _room(database).items()}
    server = server - before[1] if server is not None and before[1] is not None else None
    return EngineRun(events, took, own - before[0], server, gained)


def _measure(fresh: Iterator[str], name: str, batch: int, events: int) -> Run:
    """The engine on one fresh database; then, recorded on a second one, its statements alone on a third."""
    whole = whole_way(next(fresh), batch, events)
    warm, own, server, took, gained = (
        max(batch, min(WARM, events)),
        whole.own_s,
        whole.server_s,
        whole.took_s,
        whole.room,
    )
    # How long the statements of the measured part take by themselves.
    with opened(next(fresh)) as database:
        recorder = recording.Recorder(database)
        engine, raws = _begin(database, warm + events)
        work(engine, islice(raws, warm), batch, 0)
        prepared = len(recorder.transactions)
        work(engine, raws, batch, warm)
        measured = recorder.transactions[prepared:]
    with opened(next(fresh)) as database:
        for transaction in recorder.transactions[:prepared]:
            recording.execute(database, transaction)
        began = time.perf_counter()
        for transaction in measured:
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
        statements=round(sum(len(each.statements) for each in measured) / events, 3),
        commits=round(sum(each.write for each in measured) / events, 3),
        bytes_per_event={name: size for name, size in sorted(gained.items(), key=lambda one: -one[1]) if size > 0},
    )


def _room(database: Database) -> dict[str, int]:
    """The room that each table takes."""
    with database.read() as connection:
        return table_bytes.read_room(connection)


@contextmanager
def opened(url: str) -> Iterator[Database]:
    """A database of this release's schema, until the block ends."""
    database = open_database(url)
    try:
        database.upgrade()
        yield database
    finally:
        database.close()


def _begin(database: Database, events: int) -> tuple[Engine, Iterator[bytes]]:
    """An engine with the sample pack, and the events it will get."""
    engine = Engine(database, Settings(pack="weiyang", log_level="WARNING"), [follow])
    policy = install_if_empty(engine, BEGIN_MS - 1)
    lines = list(islice(event_lines(policy), events))
    collector.spare()  # as a server does
    return engine, iter(lines)


def work(engine: Engine, raws: Iterator[bytes], batch: int, done: int) -> float:
    """Take events in, batch by batch, to the figures. Seconds it took."""
    began = time.perf_counter()
    while chunk := list(islice(raws, batch)):
        done += len(chunk)
        now = BEGIN_MS + done * STEP_MS
        received = [admission.receive(raw, "bench", engine.count) for raw in chunk]
        if refused := [item for item in received if isinstance(item, Refusal)]:
            raise RuntimeError(f"the workload is refused: {refused[0]}")
        wanted = [item[0] for item in received if not isinstance(item, Refusal)]
        result = engine.append_and_decide(wanted, now)[1]
        while result is not None or (result := engine.work(now)) is not None:
            if any(answer.refusal is not None for answer in result.answers):
                raise RuntimeError(f"the workload is refused: {result.answers[0].refusal}")
            result = None
        engine.feed()
    return time.perf_counter() - began


# ---- CPU time -----------------------------------------------------------------------------------------------


def cpu_of(database: Database) -> tuple[float, float | None]:
    """CPU seconds of this process, and of all processes of the database server if it runs here."""
    return time.process_time(), cpu.of_server(recording.backend_pid(database))

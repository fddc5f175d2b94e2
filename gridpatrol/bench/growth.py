"""What an event costs where very many cases wait, and the memory of the process that serves them.

Enters: URLs of empty databases, and how many incidents are to be open. Leaves: CPU time of an event beside so many, and
MiB. Most events are those of incidents that are new; one in ten is about a case of the crowd, and cases of the crowd
come up, as many whatever its size. A crowd is copied from incidents that were decided (`lab/bench/open_incidents.py`):
its cases wait in the table and all its indexes, while the log and the facts hold what was said and no more.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from datetime import UTC, datetime
from itertools import count, cycle, islice, repeat
from pathlib import Path
from random import Random
from statistics import median
from typing import Any, NamedTuple

import msgspec
from msgspec import Struct

from engine.clock import now_ms
from engine.runtime import Engine
from engine.settings import Settings
from gridpatrol import collector
from gridpatrol.bench import batches, timers
from gridpatrol.bench.door import serving
from gridpatrol.bench.workload import BEGIN_MS, SHORT, STEP_MS, incident, incidents
from gridpatrol.run.following import follow
from gridpatrol.run.wiring import install_if_empty
from gridpatrol.source_tree import lab
from workflows.clocks.limits import HOUR_MS
from workflows.policy.index import Policy

SIZES = {"sqlite": (10_000, 1_000_000, 10_000_000), "postgresql": (10_000, 1_000_000)}
"""Waiting cases; the first of each is what the others are compared with."""
LEAST = 400
"""Of a crowd at the smallest scales: enough for what comes up, and for what events are about."""
CASE_BYTES = {"sqlite": 2_000, "postgresql": 3_000}
"""What a waiting case takes of the disk, with its indexes and while these are made."""
EVENTS = {500: 10_000, 1: 1_000}
"""Size of a batch -> events of a round."""
TEMPLATES = 100
SEED = 1_000_003
"""Far from those of loads: another seed is other incidents."""
DEADLINE_MS = 240 * HOUR_MS
"""Given with each report: far enough for no warning at once."""
ABOUT_EVERY, UP_EVERY = 10, 20
"""One event in so many is about a case of the crowd; one case of it comes up in so many events."""
OPEN = 1_000_000
REQUESTS = 3_000

Told = Callable[[int, int], object]
"""Hears how many waiting cases are made, and of how many."""


class Grown(Struct, frozen=True, kw_only=True):
    """Medians beside so many waiting cases: CPU ms of an event in batches of 500 and alone, and the greater of their
    ratios to the smallest crowd of this database."""

    waiting: int
    cpu_ms: float
    alone_cpu_ms: float
    cost_ratio: float


class Growth(Struct, frozen=True, kw_only=True):
    """CPU time of an event where a million cases wait, or ten, over that where ten thousand do: the worse of the
    databases. `databases` has each."""

    cost_ratio_1m: float
    cost_ratio_10m: float
    databases: dict[str, list[Grown]]


class Beside(NamedTuple):
    """An engine beside a crowd, the events that it will get, and the number of those before the first."""

    engine: Engine
    raws: Iterator[bytes]
    before: int


def together(found: dict[str, list[Grown]]) -> Growth:
    """The figures of the databases, and the worse of them."""
    return Growth(
        cost_ratio_1m=max(grown[1].cost_ratio for grown in found.values()),
        cost_ratio_10m=found["sqlite"][2].cost_ratio,
        databases=found,
    )


def disk_bytes(scale: float) -> int:
    """What all crowds of a measurement take of the disk."""
    return sum(scaled(size, scale) * CASE_BYTES[name] for name, sizes in SIZES.items() for size in sizes)


def scaled(size: int, scale: float) -> int:
    """A crowd at a scale."""
    return max(LEAST, int(size * scale))


def prepare(url: str, number: int, at_ms: int, **more: Any) -> tuple[Any, dict[str, dict[str, Any]]]:
    """A database in which so many incidents are open that were reported at an instant. The crowd, and the acceptance of
    each incident that it was copied from."""
    with batches.opened(url) as database:
        engine = Engine(database, Settings(pack="weiyang", log_level="WARNING"), [follow])
        policy, rng = install_if_empty(engine, at_ms - 1), Random(SEED)
        leaves = cycle([grid.code for grid in policy.pack.grids if grid.level == policy.leaf_level])
        lives = [list(incident(policy, leaf, rng, SHORT)) for leaf in islice(leaves, TEMPLATES)]
        reports = [life[0] for life in lives]
        timers.enter(engine, reports, repeat(at_ms + DEADLINE_MS), timers.Waiting(), clock=lambda: at_ms)
    made = lab("bench.open_incidents").crowd(url, number, at_ms, **more)
    return made, {life[1]["subject"]: life[1] for life in lives}


def said_beside(policy: Policy, made: Any, accepted: dict[str, dict[str, Any]], before: int) -> Iterator[bytes]:
    """Events without end: incidents that are new, and acceptances of those of the crowd that come up last."""
    new, places = incidents(policy, Random(8)), count()
    for number in count(before + 1):
        if number % ABOUT_EVERY:
            event = next(new)
        else:
            subject, template = made.latest(next(places))
            event = accepted[template] | {"subject": subject, "id": f"{subject}-accepted"}
        at = datetime.fromtimestamp((BEGIN_MS + number * STEP_MS) / 1000, UTC)
        yield msgspec.json.encode(event | {"time": at.isoformat(timespec="milliseconds")})


def beside(stack: ExitStack, url: str, number: int, events: int, told: Told) -> Beside:
    """An engine that will get so many events, beside a crowd of which a share comes up meanwhile."""
    up = {"falling": events // UP_EVERY, "within_ms": events * STEP_MS}
    made, accepted = prepare(url, number, BEGIN_MS, told=lambda done: told(done, number), **up)
    database = stack.enter_context(batches.opened(url))
    engine = Engine(database, Settings(pack="weiyang", log_level="WARNING"), [follow])
    policy, before = install_if_empty(engine, BEGIN_MS), -(-(made.begins_ms - BEGIN_MS) // STEP_MS)
    return Beside(engine, said_beside(policy, made, accepted, before), before)


def measure_growth(
    urls: Sequence[str],
    sizes: Sequence[int],
    scale: float = 1.0,
    rounds: int = 3,
    told: Told = lambda done, of: None,
) -> list[Grown]:
    """What an event costs beside crowds of these sizes, measured by turns, each on an empty database of its own."""
    share = {batch: max(40, int(events * scale)) for batch, events in EVENTS.items()}
    warm = max(40, int(batches.WARM * scale))
    costs: dict[tuple[int, int], list[float]] = {(size, batch): [] for size in sizes for batch in share}
    with ExitStack() as stack:
        whole = warm + rounds * sum(share.values())
        crowds = [beside(stack, url, size, whole, told) for url, size in zip(urls, sizes, strict=True)]
        collector.spare()  # as a server does
        done = [each.before for each in crowds]
        for turn in range(rounds + 1):
            for batch, events in share.items() if turn else ((max(share), warm),):
                for place, each in enumerate(crowds):
                    raws, before = iter(list(islice(each.raws, events))), batches.cpu_of(each.engine.database)
                    batches.work(each.engine, raws, batch, done[place])
                    spent = sum(filter(None, batches.cpu_of(each.engine.database))) - sum(filter(None, before))
                    done[place] += events
                    if turn:
                        costs[sizes[place], batch].append(1000 * spent / events)
    middle = {key: median(values) for key, values in costs.items()}
    return [
        Grown(
            waiting=size,
            cpu_ms=round(middle[size, max(share)], 4),
            alone_cpu_ms=round(middle[size, min(share)], 4),
            cost_ratio=round(max(middle[size, batch] / middle[sizes[0], batch] for batch in share), 3),
        )
        for size in sizes
    ]


def rss_mib(url: str, folder: Path, scale: float, told: Told = lambda done, of: None) -> float:
    """The most memory that a process takes which serves so many open incidents, while it decides and is asked."""
    number = scaled(OPEN, scale)
    prepare(url, number, now_ms(), told=lambda done: told(done, number))
    with serving(url, folder) as door:
        door.warm(scale)
        door.measure(max(50, int(REQUESTS * scale)), 32)
        door.measure(max(50, int(REQUESTS * scale)), 8, said="readable")
        lines = Path(f"/proc/{door.process.pid}/status").read_text().splitlines()
        return round(next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:")) / 1024, 1)

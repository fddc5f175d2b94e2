"""Deadlines that fall due by the ten thousand while events arrive: how late each of them fires.

Enters: the URL of an empty database. Leaves: for every case, seconds from its deadline until the firing is committed,
as somebody sees it who looks at what is due next, every 20 ms.
"""

import threading
import time
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import UTC, datetime
from itertools import cycle, islice, repeat
from pathlib import Path
from random import Random
from typing import Any

import msgspec
from msgspec import Struct

from engine import admission
from engine.clock import now_ms
from engine.runtime import Engine
from engine.settings import Settings
from engine.store import slices
from gridpatrol.bench.door import Door, serving
from gridpatrol.bench.load import rank
from gridpatrol.bench.workload import SHORT, incident
from gridpatrol.run.wiring import install_if_empty, writing
from schemas.partition import home_of, partition_of
from schemas.refusals import Refusal
from workflows.clocks.limits import HOUR_MS
from workflows.policy.index import Policy

CASES = 100_000
WINDOW_S = 60
"""Deadlines are spread over so long."""
RATE = 1_000
"""Events a second that arrive meanwhile."""
PACE = 2_000
"""Reports before them, which show how long they will take."""
START_S = 20
"""For the process to start, and for what no estimate knows."""
LOOK_S = 0.02
BATCH = 500


class Lateness(Struct, frozen=True, kw_only=True):
    """One database: how late `due` deadlines fired within `window_s`, while events arrived."""

    due: int
    window_s: float
    events_per_s: int
    cpu_ms: float
    lateness_p50_s: float
    lateness_p99_s: float
    longest_s: float


class Waiting:
    """What falls due: instants by partition, in order, and when each was seen to have fired."""

    def __init__(self) -> None:
        self.dues: dict[int, list[int]] = {}
        self.begins = 0
        self.late: list[float] = []

    def watch(self, door: Door) -> None:
        """Look until everything has fired, or for long enough."""
        done = dict.fromkeys(self.dues, 0)
        give_up = time.monotonic() + 10 * WINDOW_S
        while any(done[p] < len(dues) for p, dues in self.dues.items()) and time.monotonic() < give_up:
            with door.database.read() as connection:
                coming = slices.read_next_due(connection, self.dues)
            now = now_ms()
            for partition, dues in self.dues.items():
                due = coming.get(partition)
                fired = bisect_left(dues, now if due is None else min(due, now), done[partition])
                self.late += [(now - instant) / 1000 for instant in dues[done[partition] : fired]]
                done[partition] = fired
            time.sleep(LOOK_S)


def reports(policy: Policy, rng: Random) -> Iterator[dict[str, Any]]:
    """Reports by a hotline, without end, with neither instant nor deadline."""
    for leaf in cycle([grid.code for grid in policy.pack.grids if grid.level == policy.leaf_level]):
        yield next(incident(policy, leaf, rng, SHORT))


def enter(
    engine: Engine,
    events: Sequence[dict[str, Any]],
    dues: Iterable[int],
    made: Waiting,
    clock: Callable[[], int] = now_ms,
    told: Callable[[int, int], object] = lambda done, of: None,
) -> None:
    """Reports with their deadlines, decided at once. `told` hears how many of them are, and of how many."""
    pairs, done = iter(zip(events, dues, strict=False)), 0
    while some := list(islice(pairs, BATCH)):
        submissions = []
        for event, due in some:
            now, until = (
                datetime.fromtimestamp(ms / 1000, UTC).isoformat("T", "milliseconds") for ms in (clock(), due)
            )
            said = event | {"time": now, "data": event["data"] | {"deadline": until}}
            received = admission.receive(msgspec.json.encode(said), "bench", engine.count)
            if isinstance(received, Refusal):
                raise RuntimeError(f"the workload is refused: {received}")
            submissions.append(received[0])
            made.dues.setdefault(partition_of(home_of(event["subject"]), engine.count), []).append(due)
        engine.append(submissions, clock())
        engine.drain()
        done += len(some)
        told(done, len(events))


def prepare(
    url: str, number: int, window_s: float, told: Callable[[int, int], object] = lambda done, of: None
) -> Waiting:
    """So many cases whose deadlines are spread over a window that begins when they are all there."""
    made, pace = Waiting(), min(PACE, number)
    with writing(msgspec.structs.replace(Settings(), database=url)) as engine:
        coming, began = reports(install_if_empty(engine, now_ms() - 1), Random(3)), time.monotonic()
        enter(engine, list(islice(coming, pace)), repeat(now_ms() + HOUR_MS, pace), Waiting())
        each_s = (time.monotonic() - began) / pace
        made.begins = now_ms() + int(1000 * (START_S + 1.5 * each_s * number))
        dues = [made.begins + int(1000 * window_s * place / number) for place in range(number)]
        enter(engine, list(islice(coming, number)), dues, made, told=told)
    return made


def measure_lateness(
    url: str, folder: Path, scale: float, told: Callable[[int, int], object] = lambda done, of: None
) -> Lateness:
    """Prepare, serve, load, watch. `told` hears how many cases are there, and of how many.

    RuntimeError where preparing took too long, or a deadline did not fire.
    """
    share = min(1.0, scale)
    number, window_s = max(BATCH, int(CASES * share)), max(2.0, WINDOW_S * share)
    made = prepare(url, number, window_s, told)
    with serving(url, folder) as door:
        if now_ms() > made.begins - 1_000:
            raise RuntimeError("the first deadline fell due before the door was open: this machine is too busy")
        watcher = threading.Thread(target=made.watch, args=(door,))
        rate = max(50, int(RATE * share))
        time.sleep(max(0.0, (made.begins - now_ms()) / 1000 - 1))
        watcher.start()
        run = door.measure(int(rate * window_s), 64, rate=rate)
        watcher.join()
    wanted = sum(map(len, made.dues.values()))
    if len(made.late) != wanted:
        raise RuntimeError(f"of {wanted} deadlines {len(made.late)} fired")
    late = sorted(made.late)
    return Lateness(
        due=wanted,
        window_s=window_s,
        events_per_s=run.answers_per_s,
        cpu_ms=run.cpu_ms,
        lateness_p50_s=round(rank(late, 0.5), 3),
        lateness_p99_s=round(rank(late, 0.99), 3),
        longest_s=round(late[-1], 3),
    )

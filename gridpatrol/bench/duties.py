"""What patrols cost that time bears and ends by the ten thousand: a part of `gridpatrol bench`.

A made-up locality has 20,000 leaf grids, each with a patrol a day; a phone is believed for one day. At the first
midnight patrols are born. At the third one those of a day end missed, while those of the next day lapse and another
20,000 are born. All that comes up within five minutes. In the middle one events arrive at 100 a second, and each is
timed from its arrival to its decision.

The writer is the real one, on a clock that is set on wherever nothing is to be done: what waits, waits as long as it
would in real time. CPU time is measured in the other four minutes, so it is that of duties and their homes alone.
"""

import time
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from itertools import islice

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from consumers.alerts import fold, telling
from consumers.performance import consume
from engine import admission
from engine.clock import Reading
from engine.inbox import Submission
from engine.runtime import Engine
from engine.settings import Settings
from engine.slice.types import SliceResult
from engine.store import table_bytes
from engine.store.database import Database
from engine.wall_clock import WallClock
from engine.writer import Ask, Writer
from gridpatrol.run.wiring import read_pack
from schemas.derived_ids import derived_subject
from schemas.refusals import Refusal
from workflows.clocks.limits import DAY_MS, HOUR_MS
from workflows.periods import SPREAD_MS
from workflows.policy.index import Policy
from workflows.policy.model import Pack

LEAVES = 20_000
BELOW = 125
"""Leaf grids of one grid above them, as in the sample city."""
RATE = 100
"""Events a second that arrive beside."""
BESIDE_MS = 60_000
"""For so long, in the middle of a spread."""
MIDNIGHT_MS = 1_772_467_200_000  # 2026-03-03T00:00+08:00
MINUTE_MS = 60_000
RECORDS_AT_ONCE = 100
"""Records of patrols that are appended together, where their cost is measured."""


class SpreadRun(Struct, frozen=True, kw_only=True):
    """What came up within the minutes after one midnight. `steps` and `cpu_s` are those of duties and their homes. So
    many `events` arrived beside, and waited so long for their decisions."""

    what: str
    steps: int
    cpu_s: float
    cpu_ms_a_step: float
    events: int
    p50_ms: int
    p99_ms: int
    longest_ms: int


class DutyRun(Struct, frozen=True, kw_only=True):
    """One database. What a kept patrol costs is its birth and its record, with all that follows from them: CPU in ms,
    and the bytes that tables gain."""

    database: str
    leaves: int
    runs: list[SpreadRun]
    kept: int
    kept_cpu_ms: float
    kept_bytes: dict[str, int]


# ---- a made-up locality -------------------------------------------------------------------------------------


def locality(pack: Pack, leaves: int) -> Pack:
    """A pack with so many leaf grids and a patrol a day in each: the first grid of the level above and its first leaf
    again and again, with their posts. It has no borders, and a phone is believed for one day."""
    policy = Policy(pack, "")
    leaf = next(grid for grid in pack.grids if grid.level == policy.leaf_level)
    upper = policy.grids[leaf.parent]
    kept = [grid for grid in pack.grids if grid.level < upper.level]
    names = {grid.code for grid in kept}
    grids = [replace(grid, polygon=()) for grid in kept]
    posts = [post for post in pack.posts if post.grid in names]
    for number in range(leaves):
        above = f"S{number // BELOW:04d}"
        places = [(leaf, f"{above}-{number % BELOW:03d}", above)]
        if number % BELOW == 0:
            places.insert(0, (upper, above, upper.parent))
        for like, code, parent in places:
            grids.append(replace(like, code=code, name=code, parent=parent, polygon=()))
            found = (post for post in pack.posts if post.grid == like.code and post.role in ("chief", "member"))
            posts += [replace(post, code=post.code.replace(like.code, code, 1), grid=code) for post in found]
    return replace(
        pack,
        code=f"{pack.code}-{leaves}",
        polygons="none",
        grids=tuple(grids),
        posts=tuple(posts),
        departments=tuple(department for department in pack.departments if department.grid in names),
        duties=tuple(duty for duty in pack.duties if duty.period == "day"),
        options=replace(pack.options, offline_ms=DAY_MS),
    )


# ---- time that is set on ------------------------------------------------------------------------------------


class Clock:
    """A clock that goes on by itself, and can be set on (ms since 1970)."""

    def __init__(self, begin: int) -> None:
        self.ahead_ms = begin - time.monotonic_ns() / 1_000_000

    def now(self) -> int:
        """Now."""
        return int(self.ahead_ms + time.monotonic_ns() / 1_000_000)

    def set_on(self, to: int) -> None:
        """Let it be an instant, if that has not been yet."""
        self.ahead_ms += max(0, to - self.now())

    def read(self) -> Reading:
        """As both clocks of a machine that was started a day before the first midnight."""
        now = self.now()
        return Reading(now, now - MIDNIGHT_MS + DAY_MS)


class WatchedEngine(Engine):
    """An engine that counts its steps by kind of case."""

    made: Counter[str]

    def work(self, now: int | None) -> SliceResult | None:
        """One slice."""
        result = super().work(now)
        if result is not None:
            self.made.update(step.definition for step in result.steps)
        return result


class City:
    """The writer of the locality at work, turn by turn, on a clock that is set on. `cpu`: seconds of all processes."""

    def __init__(self, database: Database, pack: Pack, cpu: Callable[[], float]) -> None:
        self.database, self.cpu = database, cpu
        self.clock = Clock(MIDNIGHT_MS - 10 * MINUTE_MS)
        self.looked, self.gained = 0, dict[str, float]()
        consumers = [consume.consume, lambda opened, at_hand: fold.consume(opened, at_hand, now=self.clock.now())]
        wall = WallClock(database, self.clock.read)
        self.engine = WatchedEngine(database, Settings(), consumers, None, [self.tell], None, wall)
        self.engine.made = Counter()
        self.writer = Writer(self.engine)
        self.engine.install(pack, self.clock.now())
        self.engine.drain(self.clock.now())

    def tell(self, database: Database) -> None:
        """What a server does every second: tell the alerts that have waited long enough."""
        if (now := self.clock.now()) - self.looked >= 1_000:
            more = fold.tell(database, now) >= telling.PAGE
            self.looked = 0 if more else now

    def owed_steps(self) -> int:
        """How many steps duties and homes have made."""
        return self.engine.made["duty"] + self.engine.made["home"]

    def turn(self) -> bool:
        """Decide, feed, tick. Whether anything was done."""
        now = self.engine.now()
        busy = self.engine.work(now) is not None
        busy = bool(self.engine.feed()) or busy
        busy = bool(self.engine.tick(now)) or busy
        self.engine.look_after()
        return busy

    def quiet(self, until: int) -> None:
        """Let time pass without events."""
        while (now := self.clock.now()) < until:
            if not self.turn():
                self.clock.set_on(min(now + self.engine.settings.tick_every_ms, until))

    def catch_up(self, instant: int) -> None:
        """Let an instant come, and do at once what was due meanwhile."""
        self.clock.set_on(instant)
        while self.turn():
            pass

    def beside(self, until: int, raws: Iterator[bytes], rate: float) -> list[int]:
        """Let time pass while events arrive evenly. How long each waited for its decision (ms)."""
        arrival, asks, waited = float(self.clock.now()), list[Ask](), list[int]()
        while arrival < until:
            self.clock.set_on(int(arrival) + 1)
            while arrival < min(until, self.clock.now()):
                asks.append(self.submit(next(raws), int(arrival), waited))
                arrival += 1000 / rate
            self.writer.write_batch()
        while len(waited) < len(asks):
            self.writer.write_batch()
        refused = (ask.outcome.result().refusal for ask in asks if ask.outcome is not None)
        if why := next(filter(None, refused), None):
            raise RuntimeError(f"the workload is refused: {why}")
        return sorted(waited)

    def submit(self, raw: bytes, arrival: int, waited: list[int]) -> Ask:
        """Hand an event in that arrived at an instant; once it is decided, note how long it waited."""
        ask = self.writer.submit(self.received(raw), wait=True)
        assert ask.outcome is not None
        ask.outcome.add_done_callback(lambda _: waited.append(self.clock.now() - arrival))
        return ask

    def received(self, raw: bytes) -> Submission:
        """An event as the door hands it on."""
        received = admission.receive(raw, "bench", self.engine.count)
        if isinstance(received, Refusal):
            raise RuntimeError(f"the workload is refused: {received}")
        return received[0]

    def contents(self) -> Counter[str]:
        """The bytes in each table."""
        with self.database.read() as connection:
            return Counter(table_bytes.read(connection))

    def midnight(self, what: str, begin: int, raws: Iterator[bytes], rate: float) -> SpreadRun:
        """What comes up within a spread, with events in the middle of it. `gained`: the bytes of a step before them."""
        self.catch_up(begin)
        held, before, began = self.contents(), self.owed_steps(), self.cpu()
        middle = begin + (SPREAD_MS - BESIDE_MS) // 2
        self.quiet(middle)
        steps, cpu_s = self.owed_steps() - before, self.cpu() - began
        self.gained = {name: size / max(1, steps) for name, size in (self.contents() - held).items()}
        waited = self.beside(middle + BESIDE_MS, raws, rate)
        between, began = self.owed_steps(), self.cpu()
        self.quiet(begin + SPREAD_MS + 5_000)
        steps, cpu_s = steps + self.owed_steps() - between, cpu_s + self.cpu() - began
        every, each_s = self.owed_steps() - before, cpu_s / max(1, steps)
        return SpreadRun(
            what=what,
            steps=every,
            cpu_s=round(each_s * every, 2),
            cpu_ms_a_step=round(each_s * 1000, 3),
            events=len(waited),
            p50_ms=waited[len(waited) // 2],
            p99_ms=waited[-(-len(waited) * 99 // 100) - 1],
            longest_ms=waited[-1],
        )


# ---- measuring ----------------------------------------------------------------------------------------------


def patrols(policy: Policy, begins: int, number: int) -> Iterator[bytes]:
    """Records of so many patrols of the day that begins at an instant, as phones send them."""
    day = policy.clock_of_days.local_day(begins)
    made = datetime.fromtimestamp(begins / 1000 + 9 * 3_600, UTC).isoformat(timespec="milliseconds")
    owed = ((row, post) for grid in policy.pack.grids for row, post in policy.duties_of(grid.code) if not row.per)
    for row, post in islice(owed, number):
        subject = derived_subject(policy.home(policy.posts[post].grid), "duty", row.code, post, day, begins)
        yield msgspec.json.encode(
            {
                "specversion": "1.0",
                "id": f"{post}-{day}",
                "source": f"app/{post}",
                "type": "gridpatrol.duty.recorded.v1",
                "subject": subject,
                "time": made,
                "actor": post,
                "data": {"started": made, "ended": made},
            }
        )


def measure(
    database: Database,
    scale: float,
    lines: Callable[[Policy, int, Callable[[], int]], Iterator[bytes]],
    cpu: Callable[[], float],
) -> DutyRun:
    """Measure three midnights on a fresh database. `lines` gives events without end, of a seed and a clock."""
    leaves, rate = max(BELOW, int(LEAVES * scale)), RATE * min(1, scale)
    city = City(database, locality(read_pack("weiyang"), leaves), cpu)
    policy = city.engine.active()
    assert policy is not None
    births = city.midnight("births", MIDNIGHT_MS, lines(policy, 1, city.clock.now), rate)
    gained = Counter({name: size * births.steps / leaves for name, size in city.gained.items()})
    city.catch_up(MIDNIGHT_MS + 10 * HOUR_MS)
    number = max(RECORDS_AT_ONCE, leaves // 10)
    raws = patrols(policy, MIDNIGHT_MS, number)
    held, began = city.contents(), cpu()
    while some := list(islice(raws, RECORDS_AT_ONCE)):
        city.engine.append([city.received(raw) for raw in some], city.clock.now())
        city.engine.drain(city.clock.now())
    record_s = cpu() - began
    gained.update({name: size / number for name, size in (city.contents() - held).items()})
    city.catch_up(MIDNIGHT_MS + DAY_MS + SPREAD_MS + 5_000)
    endings = city.midnight("endings", MIDNIGHT_MS + 2 * DAY_MS, lines(policy, 2, city.clock.now), rate)
    return DutyRun(
        database=database.dialect,
        leaves=leaves,
        runs=[births, endings],
        kept=number,
        kept_cpu_ms=round(1000 * (births.cpu_s / leaves + record_s / number), 3),
        kept_bytes={name: round(size) for name, size in sorted(gained.items()) if size >= 1},
    )

"""Whether the wall clock is believed: it is set by people and programs, and all time in the log comes from it.

1. It is held against the boot-time clock, which nobody sets. A step of more than 30 s is a jump, also one that is made
   of many small ones; what a time service slews, and a machine that sleeps, are none.
2. At the start, and when partitions are taken over, it is held against what the database knows of the time: the latest
   clock of a partition, and what an operator last said. It may be a week ahead of that, or a day behind.
3. Once in doubt it is believed again when it has run evenly for a minute and lies less than a day from what is known;
   else an operator says so. Meanwhile time goes on by the boot-time clock: records that stand in the log are decided,
   nothing is appended, nothing ticks.
4. A partition whose own clock is ahead of the wall by more than 30 s is refused, until its time has come or an operator
   has accepted that it stands still meanwhile. One that is less ahead is waited for.

`Belief` is the judgement, a pure machine that is fed with readings. `WallClock` is the judged clock of one process.
"""

import logging
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import UTC, datetime

from msgspec import Struct

from engine.clock import Reading, read_clocks
from engine.errors import ClockDoubted
from engine.failures import away
from engine.store import clocks
from engine.store.clocks import ClockWord
from engine.store.database import Database
from engine.store.rows import PartitionRow

log = logging.getLogger(__name__)

SECOND_MS = 1000
DAY_MS = 24 * 3_600_000
JUMP_MS = 30_000
"""A wall that departs further from the boot-time clock has jumped; a partition that is further ahead is refused."""
EVEN_MS = 60_000
"""For so long a doubted wall must run evenly."""
EVEN_WITHIN_MS = 1_000
"""An even run departs no further from where it began."""
SLEW_PER_MILLE = 1
"""How fast the wall may drift from the boot-time clock: twice what a time service slews at most (500 ppm). On Linux the
boot-time clock is slewed along, so nothing is seen of it."""
NEAR_MS = DAY_MS
"""A doubted wall is believed by itself only within so much of what is known."""
IDLE_MS = 7 * DAY_MS
"""How far the wall may be ahead of what is known, at a start or when partitions are taken over."""
LOOK_S = 1.0
"""How often the database is asked what is known, while something is doubted or refused."""

JUMPED, AHEAD, BEHIND = "jumped", "ahead", "behind"
"""Why a wall is doubted: it jumped; at a start, it is too far ahead of what is known, or behind it."""


class Evidence(Struct, frozen=True):
    """What is known of the time without the wall clock: the latest instant that has been (ms since 1970; 0: none).

    Files that are replayed have their own time: of a database of them, nothing is known.
    """

    latest: int = 0
    replayed: bool = False


def evidence_of(partitions: Mapping[int, int], words: Sequence[ClockWord], replayed: bool) -> Evidence:
    """The evidence of a database: its partitions' clocks (ms since 1970) and what operators said, the latest last.

    The latest clock counts for all: one partition alone may have been silent for months. A clock of which the operator
    knew that it is ahead counts for nothing until it moves, and neither does one of the first day of 1970: there a pack
    becomes active that was so before all events of a file.
    """
    said = words[-1] if words else ClockWord(0)
    known = [clock for partition, clock in partitions.items() if clock > max(DAY_MS, said.ahead.get(partition, 0))]
    return Evidence(max([said.at, *known]), replayed)


class Belief:
    """Whether a wall clock is believed. Pure: it is fed with readings in their order, `see`, and says `now`."""

    def __init__(self) -> None:
        self.doubt = ""  # JUMPED, AHEAD or BEHIND; empty: the wall is believed
        self.last = Reading(0, 0)
        self._reference_us: int | None = None  # wall - boot as it was last believed; None: it never was
        self._run_offset, self._run_since = 0, 0  # the present even run: its wall - boot, and the boot time it began

    def see(self, reading: Reading) -> None:
        """Take a reading in. The first one is believed until `ask` holds it against what is known."""
        first, passed = self.last == (0, 0), reading.boot - self.last.boot
        self.last = reading
        offset = reading.wall - reading.boot
        if first:
            self._reference_us = offset * 1000
        if first or abs(offset - self._run_offset) > EVEN_WITHIN_MS:
            self._run_offset, self._run_since = offset, reading.boot
        if self.doubt or self._reference_us is None:
            return
        apart_us = offset * 1000 - self._reference_us
        if abs(apart_us) > JUMP_MS * 1000:
            self.doubt, self._run_offset, self._run_since = JUMPED, offset, reading.boot
            return
        slewed_us = passed * SLEW_PER_MILLE
        self._reference_us += max(-slewed_us, min(slewed_us, apart_us))

    def ask(self, evidence: Evidence) -> None:
        """Hold the wall against what is known, at a start or when partitions are taken over."""
        if self.doubt or evidence.replayed or not evidence.latest:
            return
        ahead = self.last.wall - evidence.latest
        if ahead > IDLE_MS or ahead < -NEAR_MS:
            self.doubt, self._reference_us = (AHEAD if ahead > 0 else BEHIND), None

    def weigh(self, evidence: Evidence) -> None:
        """Believe a doubted wall again, if it has run evenly and lies near to what is known."""
        if self.doubt and not self.uneven_ms() and self.is_near(evidence):
            self.settle()

    def is_near(self, evidence: Evidence) -> bool:
        """Whether the wall lies less than a day from what is known, or from the time that was believed before it
        jumped: that one went on by the boot-time clock, while all partitions may have been silent over a weekend."""
        known = [evidence.latest] if self._reference_us is None else [evidence.latest, self.now()]
        return any(abs(self.last.wall - instant) < NEAR_MS for instant in known)

    def settle(self) -> None:
        """Believe the wall from now on, as it is."""
        self.doubt, self._reference_us = "", (self.last.wall - self.last.boot) * 1000

    def is_known(self) -> bool:
        """Whether `now` is an instant that is believed."""
        return self._reference_us is not None

    def uneven_ms(self) -> int:
        """For how much longer the wall has to run evenly."""
        return max(0, EVEN_MS - (self.last.boot - self._run_since))

    def now(self) -> int:
        """The instant of the last reading, in ms since 1970: that of the wall. While it is doubted because it jumped,
        the time goes on from before the jump."""
        if self.doubt and self._reference_us is not None:
            return self.last.boot + self._reference_us // 1000
        return self.last.wall


class WallClock:
    """The wall clock of this process, with what its database knows of the time."""

    def __init__(self, database: Database, read: Callable[[], Reading] = read_clocks) -> None:
        self.database = database
        self.read = read
        self.belief = Belief()
        self.evidence = Evidence()
        self.refused: dict[int, int] = {}  # clocks of partitions that are too far ahead, by partition
        self._accepted: dict[int, int] = {}  # clocks that an operator lets stand still, by partition
        self._to_ask = self._to_read = True
        self._looked_s = 0.0
        self._told = ""  # the doubt that stands in the log
        self._stood: set[int] = set()  # and the partitions

    def ask_again(self) -> None:
        """Partitions were taken over: the next look holds the wall against what is known."""
        self._to_ask = self._to_read = True

    def look_again(self) -> None:
        """What the database knows of the time has changed: the next look reads it."""
        self._to_read = True

    def instant(self) -> int:
        """Now, in ms since 1970, as far as the clocks are believed: see `Belief.now`."""
        self.belief.see(self.read())
        return self.belief.now()

    def known_instant(self) -> int:
        """The same, and the latest that the database knows of while a wall is doubted from a start on."""
        now = self.instant()
        return now if self.belief.is_known() else self.evidence.latest

    def look(self, rows: Mapping[int, PartitionRow], owned: Collection[int]) -> int:
        """Judge the clocks, and the partitions that are `owned` by theirs. Returns the instant to decide at."""
        now = self.instant()
        ahead = {p: rows[p].clock for p in owned if rows[p].clock - now > JUMP_MS}
        troubled = self.belief.doubt or any(clock > self._accepted.get(p, 0) for p, clock in ahead.items())
        if self._to_read or (troubled and time.monotonic() - self._looked_s >= LOOK_S):
            self.learn()
            now = self.belief.now()
        self.refused = {p: clock for p, clock in ahead.items() if clock > self._accepted.get(p, 0)}
        return now

    def log_changes(self) -> None:
        """Say in the log what stands since the last call, and what goes on. For processes that go on by themselves."""
        if self.belief.doubt != self._told:
            self._told = self.belief.doubt
            now = spell_instant(self.belief.last.wall)
            log.error("%s", self.doubt() or f"the wall clock of this machine is believed again, it is {now}")
        stood, self._stood = self._stood, set(self.refused)
        for partition in sorted(self._stood - stood):
            log.error("%s", self.refusal(partition))
        for partition in sorted(stood - self._stood):
            log.error("partition %d is no longer refused", partition)

    def learn(self) -> None:
        """Ask the database what is known, and judge by it."""
        with away(), self.database.read() as connection:
            words = clocks.read_words(connection)
            self.evidence = evidence_of(clocks.read(connection), words, clocks.is_replayed(connection))
        self._to_read, self._looked_s, self._accepted = False, time.monotonic(), {}
        for word in words:
            self._accepted |= word.still
        if self._to_ask:
            self._to_ask = False
            self.belief.ask(self.evidence)
        self.belief.weigh(self.evidence)

    def wait_ms(self, row: PartitionRow, now: int) -> int:
        """How long a partition is waited for that is a little ahead of the wall; 0: there is nothing to wait for."""
        ahead_ms = row.clock - now
        return ahead_ms if 0 < ahead_ms <= JUMP_MS and row.clock > self._accepted.get(row.partition, 0) else 0

    # ---- in words -------------------------------------------------------------------------------------------

    def doubt(self) -> ClockDoubted | None:
        """Why the wall is not believed and what to do; None: it is."""
        belief, evidence = self.belief, self.evidence
        wall, doubt, is_near = belief.last.wall, belief.doubt, belief.is_near(evidence)
        if not doubt:
            return None
        left_s = max(1, -(-belief.uneven_ms() // SECOND_MS))
        if is_near:
            remedy = f"it is believed once it has run evenly for a minute, {left_s} s from now at the earliest"
        else:
            remedy = (
                "set it right, and it is believed a minute later; if it is right, such as after holidays or when a "
                "backup was restored, say so once: `gridpatrol clock settle`"
            )
        if doubt == JUMPED:
            known, what = belief.now(), "than a moment before, by the clock since the boot"
        else:
            known, what = evidence.latest, "than what this database knows of the time"
        where = f"{spell_length(abs(wall - known))} {'later' if wall > known else 'earlier'} {what}"
        return ClockDoubted(
            f"the wall clock of this machine says {spell_instant(wall)}, {where}, {spell_instant(known)}: nothing is "
            "taken and nothing falls due",
            remedy=remedy,
            retry_s=left_s if is_near else 60,
        )

    def refusal(self, partition: int) -> ClockDoubted:
        """Why a partition is refused, and what to do."""
        clock, wall = self.refused.get(partition, 0), self.belief.last.wall
        return ClockDoubted(
            f"the clock of partition {partition} says {spell_instant(clock)}, {spell_length(clock - wall)} ahead of "
            "the wall clock of this machine",
            remedy="see `gridpatrol clock show`; `gridpatrol clock settle --stand-still` lets its time stand still "
            "until the wall gets there, or replay a log of `gridpatrol log export --settle-after INSTANT`",
            retry_s=60,
        )


def spell_instant(instant: int) -> str:
    """An instant (ms since 1970) for people, in UTC; a number of ms where the calendar ends."""
    try:
        return datetime.fromtimestamp(instant // SECOND_MS, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    except (OverflowError, ValueError):
        return f"{instant} ms"


def spell_length(length: int) -> str:
    """A length of time in ms for people: its largest unit, and the next one."""
    left, parts = length // SECOND_MS, list[str]()
    for unit, seconds in (("d", 86_400), ("h", 3600), ("min", 60), ("s", 1)):
        count, left = divmod(left, seconds)
        if count or (unit == "s" and not parts):
            parts.append(f"{count} {unit}")
        elif parts:
            break
    return " ".join(parts[:2])

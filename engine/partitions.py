"""The partitions in memory: their rows as this process last committed them, and what moves the rows on.

A slice (`run`), another try of a case that stands (`try_again`), verdicts (`settle`) and a standstill (`halt`) each
commit first and change memory afterwards. After an error memory is void, since it is not known what was committed:
`reload` reads it again.
"""

import logging
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial

from msgspec.structs import replace

from engine.errors import DatabaseUnusable, PartitionHalted, StaleWriter
from engine.failures import HALTED, away, is_permanent
from engine.inbox import Inbox
from engine.metrics.counters import Counters
from engine.policies import Policies
from engine.settings import Settings
from engine.slice import retry
from engine.slice.run import run_slice
from engine.slice.trial import refused_target
from engine.slice.types import VOICES, AlsoWrite, Batch, Limits, SliceResult
from engine.store import inbox_table, sends, slices, standing
from engine.store.database import Connection, Database
from engine.store.meta import read_meta, write_meta
from engine.store.rows import PartitionRow, SettlementRow, StepRow

log = logging.getLogger(__name__)

AT_HAND = 2_000
"""Steps of the last slices that are kept for the consumers, at most, or those of two slices. More are read from the
store."""
WIDER = 4
"""Slices that nobody waits for are so many times as large."""


class Partitions:
    """All partitions of one database. Those that are ours to decide are the ones in `inbox.heads`."""

    def __init__(
        self, database: Database, inbox: Inbox, policies: Policies, settings: Settings, counters: Counters
    ) -> None:
        self.database = database
        self.inbox = inbox
        self.policies = policies
        self.settings = settings
        self.counters = counters
        self.limits = Limits(settings.slice_records, settings.slice_steps, settings.stamp_ahead_ms)
        self.count = 0
        self.rows: dict[int, PartitionRow] = {}
        self.next_due: dict[
            int, int | None
        ] = {}  # of those that are ours: nothing is due earlier; None: nothing at all
        self.settlements: dict[tuple[int, int], str] = {}  # verdicts by (partition, position)
        self.unread: int | None = None  # steps that the consumers have not read; None: unknown
        self.at_hand: list[StepRow] = []  # these steps, unless they are too many, or unknown
        self.outgoing: set[int] = set()  # where something was said to other homes that the log may not have yet
        self.tries: dict[int, deque[str]] = {}  # cases that stand and are to be tried again, by partition that is ours
        self._known: set[int] = set()  # partitions of which this process has seen what stands
        self.reload()

    def reload(self) -> None:
        """Read what is in memory again from the database; of an empty one, create the partitions."""
        with self.database.begin() as connection:
            if read_meta(connection, "partitions") is None:
                write_meta(connection, "partitions", str(self.settings.partitions))
                inbox_table.create_partitions(connection, self.settings.partitions)
            self.count = int(read_meta(connection, "partitions") or 0)
            self.rows = {row.partition: row for row in slices.read_partitions(connection)}
            self.inbox.reload(connection, self.rows)
            self.next_due = slices.read_next_due(connection, self.inbox.heads)
            self.outgoing = {*sends.count_outgoing(connection)}
            self.settlements = {(s.partition, s.position): s.verdict for s in inbox_table.read_settlements(connection)}
            self.find_tries(connection)
        self.unread, self.at_hand = None, []

    def find_tries(self, connection: Connection) -> None:
        """Of a partition that has just become ours everything that stands is tried again once: this may be the release
        that is without the defect. After that only what an operator asks for."""
        ours = self.inbox.heads.keys()
        self._known &= ours
        self.tries = {p: left for p, left in self.tries.items() if p in ours}
        for p in ours:
            first, row = p not in self._known, self.rows[p]
            found = standing.read_ids(connection, p, asked_only=not first) if row.standing else []
            if found or (first and row.halted.startswith(HALTED)):
                left = self.tries.setdefault(p, deque())
                left.extend(id_ for id_ in found if id_ not in left)
            self._known.add(p)

    def run(
        self,
        batches: Sequence[Batch],
        now: int | None,
        also_write: AlsoWrite | None = None,
        limits: Limits | None = None,
    ) -> SliceResult:
        """Run a slice as it is, and take over what it committed. `isolation.decide` also copes with its errors."""
        with self.counters.commits.time(), away():
            result = run_slice(
                self.database,
                batches,
                self.policies,
                limits or self.limits,
                self.count,
                self.settlements,
                now,
                also_write,
            )
        self.inbox.noted(result.appended)
        self._take_over(result)
        return result

    @contextmanager
    def wide(self) -> Iterator[None]:
        """Larger slices until the block ends: facts are the same, an event costs less, and locks are held longer. What
        is set to less than usual stays so."""
        limits = self.limits
        if limits.records >= Limits().records and limits.steps >= Limits().steps:
            self.limits = replace(limits, records=WIDER * limits.records, steps=WIDER * limits.steps)
        try:
            yield
        finally:
            self.limits = limits

    def _take_over(self, result: SliceResult) -> None:
        """Follow what was committed."""
        halts = [r for r in result.partitions if r.halted.startswith(HALTED) and not self.rows[r.partition].halted]
        self.counters.defects.labels("partition").inc(len(halts))
        self.rows |= {row.partition: row for row in result.partitions}
        self.next_due |= result.next_due
        self.outgoing |= {row.partition for row in result.outgoing}
        if self.unread is not None:
            self.unread += len(result.steps)
            most = max(AT_HAND, 2 * self.limits.steps)
            self.at_hand = [*self.at_hand, *result.steps] if self.unread <= most else []
        self.counters.count(result)

    def try_again(self) -> SliceResult | None:
        """Try one case again that stands. Where all of a partition have been tried, it goes on if a defect had halted
        it, unless too many stand at one place still. None: there is nothing to try."""
        while self.tries:
            partition, left = next(iter(self.tries.items()))
            if left:
                result, more = self.try_case(partition, left[0])
                if not more:
                    left.popleft()
                if result is not None:
                    return result
                continue
            del self.tries[partition]
            with self.database.read() as connection:
                crowd = standing.read_crowd(connection, partition, VOICES)
            halted = f"{HALTED}{crowd[0]} ({crowd[1]})" if crowd else ""
            was = self.rows[partition].halted
            if was != halted and (not was or was.startswith(HALTED)):
                self._mark(partition, halted, lambda connection: None)
        return None

    def try_case(self, partition: int, case_id: str) -> tuple[SliceResult | None, bool]:
        """One try, and whether there is more to do. What the database refuses of it is settled, as in a slice."""
        steps = self.limits.steps
        while True:
            row, limits = self.rows[partition], replace(self.limits, steps=steps)
            attempt = partial(retry.try_again, self.database, row, case_id, self.policies, self.settlements)
            try:
                with self.counters.commits.time(), away():
                    result, more = attempt(limits)
                break
            except retry.Refused as refused:
                found, words = refused.settlement, refused.settlement.verdict.split()
                with away():
                    heard = refused_target(attempt, self.reload, limits)
                word = next((word for word in (heard, refused.trying) if word and word not in words), "")
                if not word:
                    raise (refused.__cause__ or refused) from None
                found.verdict = " ".join([*words, word])
                row = self.rows[partition]
                log.error(
                    "record %d.%d: settled with %r, after %s", partition, found.position, found.verdict, found.detail
                )
                self._mark(partition, row.halted, partial(inbox_table.write_settlements, rows=[found]))
                self.settlements[partition, found.position] = found.verdict
                steps = self.limits.steps
            except DatabaseUnusable:
                raise  # its caller waits until the database is back, and reloads then
            except Exception as error:
                self.reload()
                if steps == 1 or not is_permanent(error):
                    raise
                steps = 1
        if result is not None:
            self._take_over(result)
        return result, more

    def check_running(self) -> None:
        """PartitionHalted where a partition stands still: a replay does not go on without it."""
        for row in self.rows.values():
            if row.halted:
                raise PartitionHalted(f"partition {row.partition} stands still: {row.halted}")

    def settle(self, *rows: SettlementRow, also_write: Callable[[Connection], object] | None = None) -> None:
        """Keep verdicts on records of one partition, an operator's or isolation's. A halted partition goes on."""

        def write(connection: Connection) -> None:
            inbox_table.write_settlements(connection, rows)
            if also_write is not None:
                also_write(connection)

        self._mark(rows[0].partition, "", write)
        self.settlements |= {(row.partition, row.position): row.verdict for row in rows}

    def halt(self, partition: int, why: str, error: Exception | None = None) -> None:
        """Let a partition stand still, visibly; because of an error, with its traceback in the log."""
        log.error("partition %d halts: %s", partition, why, exc_info=error)
        self.counters.defects.labels("partition").inc(error is not None)
        self._mark(partition, why, lambda connection: None)

    def _mark(self, partition: int, halted: str, also_write: Callable[[Connection], None]) -> None:
        """Write why a partition stands still, empty for going on, and what goes with it."""
        known = self.rows[partition]
        moved = replace(known, halted=halted, version=known.version + 1)
        try:
            with away(), self.database.begin() as connection:
                slices.lock_partitions(connection, [known])
                also_write(connection)
                slices.write_partitions(connection, [moved])
        except StaleWriter:
            self.reload()
            raise
        self.rows[partition] = moved

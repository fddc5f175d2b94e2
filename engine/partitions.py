"""The partitions in memory: their rows as this process last committed them, and what moves the rows on.

A slice (`run`), verdicts (`settle`) and a standstill (`halt`) each commit first and change memory afterwards. After an
error memory is void, since it is not known what was committed: `reload` reads it again.
"""

import logging
from collections.abc import Callable, Sequence

from msgspec.structs import replace

from engine.errors import StaleWriter
from engine.failures import away
from engine.inbox import Inbox
from engine.metrics.counters import Counters
from engine.policies import Policies
from engine.settings import Settings
from engine.slice.run import run_slice
from engine.slice.types import AlsoWrite, Batch, Limits, SliceResult
from engine.store import inbox_table, slices
from engine.store.database import Connection, Database
from engine.store.meta import read_meta, write_meta
from engine.store.rows import PartitionRow, SettlementRow

log = logging.getLogger(__name__)


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
            self.next_due = {p: slices.read_next_due(connection, p) for p in self.inbox.heads}
            self.settlements = {(s.partition, s.position): s.verdict for s in inbox_table.read_settlements(connection)}
        self.unread = None

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
        self.rows |= {row.partition: row for row in result.partitions}
        self.next_due |= result.next_due
        self.inbox.noted(result.appended)
        if self.unread is not None:
            self.unread += len(result.steps)
        self.counters.count(result)
        return result

    def settle(self, *rows: SettlementRow, also_write: Callable[[Connection], object] | None = None) -> None:
        """Keep verdicts on records of one partition, an operator's or isolation's. A halted partition goes on."""

        def write(connection: Connection) -> None:
            inbox_table.write_settlements(connection, rows)
            if also_write is not None:
                also_write(connection)

        self._mark(rows[0].partition, "", write)
        self.settlements |= {(row.partition, row.position): row.verdict for row in rows}

    def halt(self, partition: int, why: str) -> None:
        """Let a partition stand still, visibly."""
        log.error("partition %d halts: %s", partition, why)
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

"""The engine of one process: it owns the log, the partitions and the consumers, and moves them on.

In: an open database under a lease; events to append. Out: durable records (`append`), decided slices (`work`), ticks
(`tick`), consumers fed. One thread calls it. Any error discards memory and reads it again from the database.
"""

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import msgspec

from engine.errors import DatabaseUnusable, LogMismatch, StaleWriter
from engine.inbox import Inbox, Submission, TableInbox
from engine.metrics.counters import Counters
from engine.policies import Policies
from engine.settings import Settings
from engine.slice import isolation
from engine.slice.run import run_slice
from engine.slice.types import AlsoWrite, Batch, Limits, SliceResult
from engine.store import inbox as table
from engine.store import slices
from engine.store.database import Connection, Database, DriverError
from engine.store.meta import read_meta, write_meta
from engine.store.rows import InboxRow, PackRow, PartitionRow, SettlementRow
from schemas.partition import home_of, partition_of
from workflows.policy import model
from workflows.policy.index import Policy

log = logging.getLogger(__name__)

CLOCKS_APART_MS = 2_000
"""Where the log's clock has not reached what is due, a tick releases nothing: so long at most until the next one."""

Chore = Callable[[Database], None]
"""Something to look after now and then; it knows by itself when."""

Consumer = Callable[[Database], int]
"""Reads steps after its own position in a transaction of its own; says how many."""


class Engine:
    """Log, partitions and consumers of one database."""

    def __init__(
        self,
        database: Database,
        settings: Settings,
        consumers: Sequence[Consumer] = (),
        counters: Counters | None = None,
        chores: Sequence[Chore] = (),
        inbox: Inbox | None = None,
    ) -> None:
        self.database = database
        self.inbox: Inbox = inbox or TableInbox(database)
        self.settings = settings
        self.consumers = consumers
        self.chores = chores
        self.counters = counters or Counters()
        self.policies = Policies()
        self.limits = Limits(settings.slice_records, settings.slice_steps, settings.stamp_ahead_ms)
        self.rows: dict[int, PartitionRow] = {}
        self.next_due: dict[int, int | None] = {}
        self.settlements: dict[tuple[int, int], str] = {}
        self.ticked: dict[int, tuple[int, int]] = {}  # when, and how long until the next one, by partition
        self.count = 0
        self._turn = 0
        self._unfed: int | None = None  # steps that the consumers have not read; None: unknown
        self.reload()

    # ---- memory ---------------------------------------------------------------------------------------------

    def reload(self) -> None:
        """Read what is in memory again from the database."""
        with self.database.begin() as connection:
            if read_meta(connection, "partitions") is None:
                write_meta(connection, "partitions", str(self.settings.partitions))
                table.create_partitions(connection, self.settings.partitions)
            self.count = int(read_meta(connection, "partitions") or 0)
            self.rows = {row.partition: row for row in slices.read_partitions(connection)}
            self.inbox.reload(connection, self.rows)
            self.next_due = {p: slices.read_next_due(connection, p) for p in self.heads}
            self.settlements = {(s.partition, s.position): s.verdict for s in table.read_settlements(connection)}
        self._unfed = None

    @property
    def heads(self) -> dict[int, int]:
        """How far records are at hand, by partition that is ours to decide."""
        return self.inbox.heads

    def active(self, partition: int = 0) -> Policy | None:
        """The pack that is active in a partition, None on an empty database."""
        activated = self.activations(partition)
        if not activated:
            return None
        with self.database.read() as connection:
            return self.policies.get(connection, activated[-1][0])

    def activations(self, partition: int) -> list[tuple[str, int]]:
        """What became active in a partition so far: a pack's hash, and when it arrived."""
        return msgspec.json.decode(self.rows[partition].packs, type=list[tuple[str, int]])

    def partition(self, subject: str) -> int:
        """The partition of a subject."""
        return partition_of(home_of(subject), self.count)

    # ---- the log --------------------------------------------------------------------------------------------

    def append(self, wanted: Sequence[Submission], now: int) -> list[InboxRow]:
        """Append durably, in order; position and stamp are given by the log."""
        try:
            with away():
                return self.inbox.append(wanted, now)
        except StaleWriter:
            self.reload()
            raise

    # ---- deciding -------------------------------------------------------------------------------------------

    def backlog(self) -> list[int]:
        """Partitions with records that are not decided yet, halted ones left out."""
        return [p for p, head in self.heads.items() if head > self.rows[p].position and not self.rows[p].halted]

    def work(self, now: int | None) -> SliceResult | None:
        """One slice over the partitions that have something to decide; None when there is nothing."""
        waiting = self.backlog()
        if not waiting:
            return None
        self._turn += 1
        first = self._turn % len(waiting)
        left, batches = self.limits.records, []
        for partition in waiting[first:] + waiting[:first]:
            share = max(1, min(left, -(-self.limits.records // len(waiting))))
            records = self.inbox.read(partition, self.rows[partition].position, share)
            batches.append(Batch(self.rows[partition], records, self.next_due[partition]))
            left -= len(records)
            if left <= 0:
                break
        return self.decide(batches, now)

    def decide(self, batches: Sequence[Batch], now: int | None, beside: AlsoWrite | None = None) -> SliceResult:
        """Run a slice and take over what it committed. What no retry cures is isolated, and the line goes on."""
        try:
            return self.run(batches, now, beside, self.limits)
        except DatabaseUnusable:
            raise  # whoever waits for it to come back reads memory again
        except Exception as error:
            self.reload()
            if not isolation.cureless(error):
                raise
            return isolation.isolate(self, batches, now, beside, error)

    def run(self, batches: Sequence[Batch], now: int | None, beside: AlsoWrite | None, limits: Limits) -> SliceResult:
        """Run a slice as it is, or not at all. After an error memory is void: what was committed is not known."""
        with self.counters.committing(), away():
            result = run_slice(self.database, batches, self.policies, limits, self.count, self.settlements, now, beside)
        self._take_over(result)
        return result

    def _take_over(self, result: SliceResult) -> None:
        for row in result.partitions:
            self.rows[row.partition] = row
        for partition, due in result.next_due.items():
            self.next_due[partition] = due
        self.inbox.noted(result.appended)
        if self._unfed is not None:
            self._unfed += len(result.steps)
        self.counters.count(result)

    def settle(self, *rows: SettlementRow) -> None:
        """Keep a word on records of a partition, an operator's or what the database refused; if it halts it goes on."""
        self._mark(rows[0].partition, "", lambda connection: table.write_settlements(connection, rows))
        self.settlements |= {(row.partition, row.position): row.verdict for row in rows}

    def halt(self, partition: int, why: str) -> None:
        """Let a partition stand still, visibly."""
        log.error("partition %d halts: %s", partition, why)
        self._mark(partition, why, lambda connection: None)

    def _mark(self, partition: int, halted: str, beside: Callable[[Connection], None]) -> None:
        """Write why a partition stands still, empty for going on, and what goes with it."""
        stands = self.rows[partition]
        moved = msgspec.structs.replace(stands, halted=halted, version=stands.version + 1)
        try:
            with away(), self.database.begin() as connection:
                slices.lock_partitions(connection, [stands])
                beside(connection)
                slices.write_partitions(connection, [moved])
        except StaleWriter:
            self.reload()
            raise
        self.rows[partition] = moved

    # ---- ticks ----------------------------------------------------------------------------------------------

    def tick(self, now: int) -> int:
        """Append a tick where everything is read and something is due before now. The number of ticks."""
        late = {
            p: due
            for p, due in self.next_due.items()
            if due is not None
            and due < now
            and self.inbox.caught_up(p, self.rows[p].position)
            and not self.rows[p].halted
            and not self._ticked_lately(p, now)
        }
        for row in self.append([Submission(p, "tick", "owner", "") for p in late], now) if late else ():
            behind = min(late[row.partition] + 1 - row.stamp, CLOCKS_APART_MS)
            self.ticked[row.partition] = now, max(self.settings.tick_every_ms, behind)
        return len(late)

    def _ticked_lately(self, partition: int, now: int) -> bool:
        """Whether the last tick is too fresh. A clock that went back makes nobody wait."""
        at, distance = self.ticked.get(partition, (0, 0))
        return at <= now < at + distance

    # ---- packs ----------------------------------------------------------------------------------------------

    def install(self, pack: model.Pack, now: int) -> str:
        """Keep a pack under its hash and activate it in every partition, through the log."""
        digest = model.digest(pack)
        self.keep_pack(pack)
        self.append([Submission(p, "pack", "operator", digest) for p in self.rows], now)
        return digest

    def keep_pack(self, pack: model.Pack) -> None:
        """Store a pack; nothing becomes active by it."""
        body = model.encode(pack).decode()
        with self.database.begin() as connection:
            table.write_pack(connection, PackRow(model.digest(pack), pack.code, pack.title_en, body))

    # ---- consumers ------------------------------------------------------------------------------------------

    def feed(self) -> int:
        """Let every consumer catch up. The number of steps they read; without new ones nothing is asked."""
        total = 0
        for consumer in self.consumers if self._unfed != 0 else ():
            read = 0
            while (self._unfed is None or read < self._unfed) and (more := consumer(self.database)):
                read += more
            total += read
        self._unfed = 0
        return total

    def look_after(self) -> None:
        """Give every chore its chance."""
        for chore in self.chores:
            chore(self.database)

    def drain(self, now: int | None = None) -> None:
        """Decide everything in the log, and let the consumers follow."""
        while self.work(now) is not None:
            pass
        self.feed()


@contextmanager
def away() -> Iterator[None]:
    """What only waiting cures is told as one error, without the rows: those are not for logs."""
    try:
        yield
    except DriverError as error:
        if isolation.cureless(error):
            raise
        raise DatabaseUnusable(f"the database is away: {error.orig}") from error


def check_partitions(stands: int, wanted: int) -> None:
    """An exported log keeps its number of partitions."""
    if stands != wanted:
        raise LogMismatch(
            f"the log has {wanted} partitions, this database {stands}: "
            f"start with an empty database and GRIDPATROL_PARTITIONS={wanted}"
        )

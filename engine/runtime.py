"""The engine of one process: it owns the log, the partitions and the consumers, and moves them on.

It appends events (`append`), decides slices (`work`), ticks where the log is silent (`tick`) and feeds the consumers.
One thread calls it, under a lease.
"""

import logging
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence

import msgspec

from engine import failpoints, forwarding
from engine.errors import DatabaseUnusable, StaleWriter
from engine.failures import away
from engine.inbox import Inbox, Submission, TableInbox
from engine.logs import Tally
from engine.metrics.counters import Counters
from engine.partitions import Partitions
from engine.policies import Policies
from engine.settings import Settings
from engine.slice import archiving, entering, isolation
from engine.slice.types import FROM_EVER_MS, Batch, SliceResult, news_in
from engine.store import clocks, inbox_table, slices
from engine.store.database import Connection, Database
from engine.store.rows import InboxRow, PackRow, PartitionRow, StepRow
from engine.wall_clock import WallClock
from schemas.partition import home_of, partition_of
from workflows.policy import model
from workflows.policy.index import Policy

log = logging.getLogger(__name__)

IN_A_ROW = 10
"""After so many turns with ticks, each within two seconds of the one before it, all partitions are ticked together."""
TOGETHER_MS = 1_000
"""How far apart such turns are then: where patrols end by the thousand, a few of them do not cost a commit each."""
AT_ONCE = 16
"""So many records are decided as they are appended, at most. More are durable sooner where they are appended first."""
CLOCKS_APART_MS = 2_000
"""Longest wait for the next tick where the log's clock lags behind what is due, so that a tick releases nothing."""

Chore = Callable[[Database], None]
"""Something to look after now and then; it knows by itself when."""

Consumer = Callable[[Database, Sequence[StepRow]], int]
"""Reads steps after its own position in a transaction of its own; says how many. Those that the last slices have made
are at hand, as they were committed, and are read from there where they are the next ones."""


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
        wall: WallClock | None = None,
    ) -> None:
        self.database = database
        self.wall = wall or WallClock(database)
        self.inbox: Inbox = inbox or TableInbox(database)
        self.settings = settings
        self.consumers = consumers
        self.chores = chores
        self.counters = counters or Counters()
        self.policies = Policies()
        self.partitions = Partitions(database, self.inbox, self.policies, settings, self.counters)
        self.ticked: dict[int, tuple[int, int]] = {}  # when, and how long until the next one, by partition
        self._tick_turns, self._last_tick_turn = 0, 0  # how many in a row, and when the last one was
        self.tally = Tally(log)
        self._news: dict[int, tuple[str, tuple[int, ...]]] = {}  # by partition: for which activations, and the instants
        self._entered = set[int]()  # partitions whose homes are known to be entered, or to bear nothing
        self._slices = 0
        self.counters.clock_doubted.set_function(lambda: bool(self.wall.belief.doubt))
        self.counters.partitions_ahead.set_function(lambda: len(self.wall.refused))

    # ---- memory ---------------------------------------------------------------------------------------------

    def reload(self) -> None:
        """Read what is in memory again from the database."""
        self.partitions.reload()

    @property
    def rows(self) -> dict[int, PartitionRow]:
        """All partitions' rows as they were last committed, or read."""
        return self.partitions.rows

    @property
    def heads(self) -> dict[int, int]:
        """How far records are at hand, by partition that is ours to decide."""
        return self.inbox.heads

    @property
    def count(self) -> int:
        """The number of partitions."""
        return self.partitions.count

    def partition(self, subject: str) -> int:
        """The partition of a subject."""
        return partition_of(home_of(subject), self.count)

    # ---- time -----------------------------------------------------------------------------------------------

    def now(self) -> int:
        """The instant for deciding, in ms since 1970, after a look at the clocks and at our partitions."""
        return self.wall.look(self.rows, self.heads)

    def stamp(self, partitions: Iterable[int] = ()) -> int:
        """The wall's instant, for appending to these partitions. One that is a little ahead is waited for, up to 30 s.

        ClockDoubted where the wall is not believed, or one of them is further ahead.
        """
        partitions = list(partitions)
        while True:
            now = self.now()
            if (doubt := self.wall.doubt()) is not None:
                raise doubt
            wait_ms = max((self.wait_ms(partition, now) for partition in partitions), default=0)
            if not wait_ms:
                return now
            time.sleep(min(wait_ms, 1000) / 1000)

    def wait_ms(self, partition: int, now: int) -> int:
        """How long an append to a partition is to wait, because its clock is a little ahead of the wall. ClockDoubted
        where it is further ahead. Of partitions that others decide nothing is known here: 0."""
        if partition in self.wall.refused:
            raise self.wall.refusal(partition)
        return self.wall.wait_ms(self.rows[partition], now) if partition in self.heads else 0

    # ---- the log --------------------------------------------------------------------------------------------

    def append(
        self, wanted: Sequence[Submission], now: int, also_write: Callable[[Connection], object] | None = None
    ) -> list[InboxRow]:
        """Append durably, in order; position and stamp are given by the log, which `also_write` follows (see `Inbox`).
        After a StaleWriter memory is fresh."""
        try:
            with away():
                rows = self.inbox.append(wanted, now, also_write)
        except StaleWriter:
            self.reload()
            raise
        if self.wall.evidence.replayed and any(item.kind == "event" for item in wanted):
            with away(), self.database.begin() as connection:
                clocks.note_replayed(connection, "")
            self.wall.look_again()
        return rows

    def append_and_decide(self, wanted: Sequence[Submission], now: int) -> tuple[list[InboxRow], SliceResult | None]:
        """Append durably, in order, and decide in the same transaction, where nothing comes before these records. None:
        they are decided in their turn.

        Where a slice with them fails, nothing of it counts. They are appended by themselves then, so that none is lost,
        and the next slice finds the one that it failed for.
        """
        rows = self.inbox.placed(wanted, now) if isinstance(self.inbox, TableInbox) else []
        if not rows or not self.are_next(rows):
            return self.append(wanted, now), None
        batches, heads = dict[int, Batch](), dict(self.heads)
        for item, row in zip(wanted, rows, strict=True):
            due = self.partitions.next_due[row.partition]
            batch = batches.setdefault(row.partition, Batch(self.rows[row.partition], [], due, new=True))
            batch.records = [*batch.records, row]
            batch.sealed = [*batch.sealed, item.sealed] if item.sealed else batch.sealed
        try:
            result = self.partitions.run(list(batches.values()), now)
        except DatabaseUnusable:
            raise  # its caller waits until the database is back, and reloads then
        except Exception as error:
            self.reload()
            if self.heads != heads:  # nothing is appended twice
                raise StaleWriter("records stand in the log already where these were to be appended") from error
            return self.append(wanted, now), None
        failpoints.hit("append.after_commit")
        return rows, result

    def are_next(self, rows: Sequence[InboxRow]) -> bool:
        """Whether these records, which are not in the log yet, are the next to be decided: nothing is undecided or due
        before them, and their partitions are at work. Of more than a few it is not asked."""
        if len(rows) > AT_ONCE or self.wall.evidence.replayed or self.partitions.tries or self.backlog():
            return False
        for row in rows:
            known, due = self.rows[row.partition], self.partitions.next_due[row.partition]
            if known.halted or row.partition in self.wall.refused:
                return False
            if due is not None and due < max(row.stamp, known.clock):
                return False
        return True

    # ---- deciding -------------------------------------------------------------------------------------------

    def backlog(self) -> list[int]:
        """Partitions with records that are not decided yet; those that stand still are left out."""
        rows, refused = self.rows, self.wall.refused
        waiting = [p for p, head in self.heads.items() if head > rows[p].position and not rows[p].halted]
        return [p for p in waiting if p not in refused] if refused else waiting

    def undecided(self) -> int:
        """How many records are not decided yet, those of halted partitions left out."""
        rows = self.rows
        return sum(self.heads[partition] - rows[partition].position for partition in self.backlog())

    def work(self, now: int | None) -> SliceResult | None:
        """One slice over the partitions that have something to decide, or another try of a case that stands; None when
        there is nothing."""
        if (tried := self.partitions.try_again()) is not None:
            return tried
        waiting = self.backlog()
        if not waiting:
            return None
        self._slices += 1
        first, left = self._slices % len(waiting), self.partitions.limits.records
        # What fits is decided at once; of more than that each partition gets its share.
        fits = sum(self.heads[p] - self.rows[p].position for p in waiting) <= left
        share = left if fits else -(-left // len(waiting))
        batches = []
        for partition in waiting[first:] + waiting[:first]:
            row = self.rows[partition]
            records = self.inbox.read(partition, row.position, max(1, min(left, share)))
            batches.append(Batch(row, records, self.partitions.next_due[partition]))
            left -= len(records)
            if left <= 0:
                break
        return isolation.decide(self.partitions, batches, now)

    def tell_refused(self, result: SliceResult) -> None:
        """Let the log say how many events of a slice the rules refused, by reason."""
        reasons = Counter(str(answer.refusal.reason) for answer in result.answers if answer.refusal)
        for reason, times in reasons.items():
            self.tally.tell("event.refused", times, reason=reason, by="rules")

    # ---- ticks ----------------------------------------------------------------------------------------------

    def tick(self, now: int) -> int:
        """Append a tick where everything is read and something is due before now, and an activation where homes are
        still to be entered or a calendar knows more days. The number of all.

        None while the wall clock is doubted.
        """
        entered = self.enter_homes(now) + self.learn_days(now)
        late = {}
        for partition, due in self.partitions.next_due.items() if not self.wall.belief.doubt else ():
            if due is None or due >= now:
                continue
            row = self.rows[partition]
            if row.halted or partition in self.wall.refused or not self.inbox.caught_up(partition, row.position):
                continue
            at, distance = self.ticked.get(partition, (0, 0))
            if not at <= now < at + distance:  # a clock that went back does not hold the next tick up
                late[partition] = due
        since = now - self._last_tick_turn
        if self._tick_turns > IN_A_ROW and 0 <= since < TOGETHER_MS:
            late = {}
        if late:
            self._tick_turns = self._tick_turns + 1 if 0 <= since < 2 * TOGETHER_MS else 1
            self._last_tick_turn = now
        for tick in self.append([Submission(p, "tick", "owner", "") for p in late], now) if late else ():
            behind = min(late[tick.partition] + 1 - tick.stamp, CLOCKS_APART_MS)
            self.ticked[tick.partition] = now, max(self.settings.tick_every_ms, behind)
        return len(late) + entered

    def forward(self, now: int) -> int:
        """Append to the log what cases have said to cases of other homes. How much of it.

        Nothing while the wall clock is doubted. Of a table, where little is undecided: events have the rest of a slice.
        """
        total, until_s = 0, time.monotonic() + forwarding.TURN_S
        while self.partitions.outgoing and not self.wall.belief.doubt:
            most = self.settings.slice_records // 2 - (self.undecided() if self.inbox.at_once else 0)
            ready = forwarding.next_sends(self.partitions, self.wall, now, max(most, total == 0))
            if ready is None:
                break
            failpoints.hit("sends.before_append")
            self.append(forwarding.submissions(ready.rows, self.count), now, ready.mark)
            failpoints.hit("sends.after_mark")
            self.partitions.outgoing -= ready.last
            total += len(ready.rows)
            if time.monotonic() > until_s:
                break
        return total

    def enter_homes(self, now: int) -> int:
        """Append an activation of the active pack where time is to bear something under it and no home was ever
        entered, because an earlier release activated it. The number of activations; each partition is asked once."""
        if self.wall.belief.doubt:
            return 0
        missing = list[Submission]()
        for partition in sorted(self.heads.keys() - self._entered):
            row = self.rows[partition]
            if row.halted or partition in self.wall.refused or not self.inbox.caught_up(partition, row.position):
                continue
            active = self.active(partition)
            ids = entering.subjects_of(row, [active], self.count) if active is not None else []
            with self.database.read() as connection:
                if active is not None and ids and not slices.read_cases(connection, ids):
                    missing.append(Submission(partition, "pack", "owner", active.hash))
                else:
                    self._entered.add(partition)
        if missing:
            self.append(missing, now)  # where that fails it is asked again, once the log has been read to its end
            self._entered |= {item.partition for item in missing}
        return len(missing)

    def learn_days(self, now: int) -> int:
        """Append an activation of the active pack where one of its calendars has come to know more days since it became
        active: what is open is looked at again, as the pack says. The number of activations."""
        if self.wall.belief.doubt:
            return 0
        news, rows = list[Submission](), self.rows
        for partition in sorted(self.heads):
            row = rows[partition]
            if self._news.get(partition) == (row.packs, ()):  # its calendars know all that they ever will
                continue
            if row.halted or partition in self.wall.refused or not self.inbox.caught_up(partition, row.position):
                continue
            if self.next_news(partition, 0, now) is not None:
                news.append(Submission(partition, "pack", "owner", self.activations(partition)[-1][0]))
        if news:
            self.append(news, now)
        return len(news)

    def next_news(self, partition: int, since: int, until: int) -> int | None:
        """When the active pack comes to know more days after its activation, from an instant (ms) on and not after
        another; None: it does not. In a partition in which nothing has arrived yet nothing is news."""
        row = self.rows[partition]
        known, instants = self._news.get(partition, ("", ()))
        if known != row.packs:
            active = self.active(partition)
            instants = active.news if active is not None else ()
            self._news[partition] = row.packs, instants
        if not instants or row.clock <= FROM_EVER_MS:
            return None
        return news_in(instants, self.activations(partition)[-1][1], since, until)

    # ---- packs ----------------------------------------------------------------------------------------------

    def active(self, partition: int = 0) -> Policy | None:
        """The pack that is active in a partition, None on an empty database."""
        activated = self.activations(partition)
        if not activated:
            return None
        with self.database.read() as connection:
            return self.policies.get(connection, activated[-1][0])

    def activations(self, partition: int) -> list[tuple[str, int]]:
        """What became active in a partition so far: a pack's hash, and when it arrived (ms)."""
        return msgspec.json.decode(self.rows[partition].packs, type=list[tuple[str, int]])

    def install(self, pack: model.Pack, now: int) -> str:
        """Keep a pack under its hash and activate it in every partition, through the log."""
        digest = model.digest(pack)
        self.keep_pack(pack)
        self.append([Submission(p, "pack", "operator", digest) for p in self.rows], now)
        return digest

    def archive(self, before: int, now: int) -> None:
        """Archive what had ended before an instant (ms) in every partition, through the log."""
        body = msgspec.json.encode(archiving.Wanted(before)).decode()
        self.append([Submission(p, "archive", "operator", body) for p in self.rows], now)

    def keep_pack(self, pack: model.Pack) -> None:
        """Store a pack; nothing becomes active by it."""
        body = model.encode(pack).decode()
        with self.database.begin() as connection:
            inbox_table.write_pack(connection, PackRow(model.digest(pack), pack.code, pack.title_en, body))

    # ---- consumers ------------------------------------------------------------------------------------------

    def feed(self) -> int:
        """Let every consumer catch up. The number of steps they read; without new ones nothing is asked."""
        total = 0
        new, at_hand = self.partitions.unread, self.partitions.at_hand
        for consumer in self.consumers if new != 0 else ():
            read = 0
            while (new is None or read < new) and (more := consumer(self.database, () if read else at_hand)):
                read += more
            total += read
        self.partitions.unread, self.partitions.at_hand = 0, []
        return total

    def look_after(self) -> None:
        """Give every chore its chance."""
        for chore in self.chores:
            chore(self.database)

    def drain(self, now: int | None = None) -> None:
        """Decide everything in the log, at an instant also what is said to other homes; the consumers follow."""
        while self.work(now) is not None or (now is not None and self.forward(now)):
            pass
        self.feed()

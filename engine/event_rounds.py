"""Rounds of a replay of events: how far its partitions are decided together.

What a case says to one of another home arrives one second after the step in which it says it: after a pack of that
instant, before an event of that instant, in the order of sender, step and send. So no partition may be decided further
than a second beyond what comes next of any other, unless nothing is said in between. Whether that is so is tried: a
round goes as far as it likes in one transaction, which counts if all of it was decided and nothing said in it arrives
in it. Else it is undone, and a shorter one follows. What is on its way stands in the database, so a replay that was
interrupted goes on with it.
"""

from collections import deque
from collections.abc import Iterable
from functools import partial
from itertools import takewhile

from msgspec import Struct
from msgspec.structs import replace

from engine import failpoints
from engine.errors import DatabaseUnusable, StaleWriter
from engine.failures import is_defect, is_permanent
from engine.runtime import Engine
from engine.slice import isolation
from engine.slice.types import LATER_MS, Batch, BeyondRound, SliceResult
from engine.store import sends
from engine.store.database import Connection
from engine.store.positions import PositionRow, write_positions
from engine.store.rows import InboxRow, OutgoingRow, SealedRow
from schemas.partition import home_of, partition_of

PACKS = ".packs"
"""After the name of a replay: the reader that says how many rows of its plan are done."""
RANKS = {"pack": 0, "sent": 1, "event": 2}
"""What comes first of what arrives at one instant."""
FOR_EVER_MS = 2**62
"""The span of a round that nothing has cut short yet."""
ALL = 2**31 - 1


class Line(Struct):
    """What is to become a record: a line, a row of the plan, or what was `said` to another home. Its place in the log
    is not known yet."""

    row: InboxRow  # position: the number of the line, or of the row of the plan, from 1
    sealed: SealedRow | None = None
    said: OutgoingRow | None = None


Chosen = dict[int, list[Line]]
"""The lines of a round, by partition, as they arrive."""


class Rounds:
    """The lines that wait for their round, and what is on its way. `reader`: under which name their numbers are kept;
    empty: nobody goes on after them. `outcomes`: how often what became of events."""

    def __init__(self, engine: Engine, reader: str, outcomes: dict[str, int]) -> None:
        self.engine = engine
        self.partitions = engine.partitions
        self.reader = reader
        self.outcomes = outcomes
        self.lines: dict[int, deque[Line]] = {partition: deque() for partition in engine.rows}
        self.span_ms = FOR_EVER_MS
        with engine.database.read() as connection:
            found = sends.read_outgoing(connection, self.partitions.outgoing, ALL)
        self.said = [row for rows in found.values() for row in rows]

    def add(self, lines: Iterable[Line]) -> None:
        """Lines in the order of their stamps, packs before events."""
        for line in lines:
            self.lines[line.row.partition].append(line)

    def reach(self, until: int) -> None:
        """Decide all that arrives up to an instant (ms), and let fire what is due before it."""
        while (first := self.first(until)) is not None:
            last = min(until, first + self.span_ms)
            if (news := self.next_news(last)) is not None:  # a slice ends with a pack
                last = news - 1 if news > first + LATER_MS else last
                last = min(last, first + LATER_MS - 1) if news <= first + LATER_MS else last
            if last < first + LATER_MS:
                self.decide(last)
            else:
                self.attempt(first, last)

    def first(self, until: int) -> int | None:
        """When comes what comes next; None: nothing comes up to an instant."""
        found = [lines[0].row.stamp for lines in self.lines.values() if lines]
        found += [row.arrival + LATER_MS for row in self.said]
        found = [at for at in found if at <= until]
        found += [due for due in self.partitions.next_due.values() if due is not None and due < until - 1]
        news = self.next_news(until)
        return min([*found, news] if news is not None else found, default=None)

    def next_news(self, until: int) -> int | None:
        """When a partition is the next to have an activation since a calendar knows more days; None: not up to then."""
        rows = self.partitions.rows
        found = (self.engine.next_news(partition, rows[partition].clock, until - 1) for partition in rows)
        return min((at for at in found if at is not None), default=None)

    def attempt(self, first: int, last: int) -> None:
        """A round up to an instant, in one transaction. Where something said in it arrives in it, it ends before that;
        where it is too much, half of it is tried."""
        chosen = self.choose(last)
        limits = replace(self.partitions.limits, within=last)
        try:
            result = self.partitions.run(self.batches(chosen, last), None, self.note(chosen), limits)
        except BeyondRound as far:
            if far.arrival:
                self.span_ms = far.arrival - first
                return self.decide(far.arrival - 1)
            self.span_ms = (last - first) // 2
            return None
        except (DatabaseUnusable, StaleWriter):
            raise
        except Exception as error:
            self.partitions.reload()
            if not is_permanent(error) and not is_defect(error):
                raise
            self.span_ms = LATER_MS - 1  # what fails is isolated there
            return None
        self.span_ms = min(2 * self.span_ms, FOR_EVER_MS)
        return self.took(chosen, result)

    def decide(self, last: int) -> None:
        """A round up to an instant in which nothing arrives that is said in it, in as many slices as it takes."""
        while batches := self.batches(chosen := self.choose(last), last):
            self.took(chosen, isolation.decide(self.partitions, batches, None, self.note(chosen)))

    def choose(self, last: int) -> Chosen:
        """What arrives up to an instant."""
        found = {p: [*takewhile(lambda line: line.row.stamp <= last, lines)] for p, lines in self.lines.items()}
        for row in sorted(self.said, key=lambda row: (row.arrival, row.case_id, row.seq, row.k)):
            if (at := row.arrival + LATER_MS) <= last:
                target = partition_of(home_of(row.target), self.partitions.count)
                found[target].append(Line(InboxRow(target, 0, at, "sent", "owner", row.body), None, row))
        for lines in found.values():
            lines.sort(key=lambda line: (line.row.stamp, RANKS[line.row.kind]))
        return {partition: lines for partition, lines in found.items() if lines}

    def batches(self, chosen: Chosen, last: int) -> list[Batch]:
        """The batches of a round: of every partition in which something arrives or is due."""
        rows, next_due, until, found = self.partitions.rows, self.partitions.next_due, last - 1, list[Batch]()
        for partition, row in rows.items():
            lines, due = chosen.get(partition, []), next_due[partition]
            late = due is not None and due < until
            if lines or late or self.engine.next_news(partition, row.clock, until) is not None:
                sealed = [line.sealed for line in lines if line.sealed is not None]
                records = [line.row for line in lines]
                found.append(Batch(row, records, due, ticking=True, until=until, sealed=sealed))
        return found

    def note(self, chosen: Chosen) -> "partial[None]":
        """What a slice of the round writes besides."""
        return partial(_note, self.reader, chosen)

    def took(self, chosen: Chosen, result: SliceResult) -> None:
        """Follow what a slice of the round has committed."""
        self.partitions.check_running()
        failpoints.hit("replay.after_commit")
        heard = set[int]()
        for partition, count in result.taken.items():
            for line in chosen[partition][:count]:
                if line.said is None:
                    self.lines[partition].popleft()
                else:
                    heard.add(id(line.said))
        self.said = [row for row in self.said if id(row) not in heard] + result.outgoing
        for answer in result.answers:
            self.outcomes[answer.outcome] = self.outcomes.get(answer.outcome, 0) + 1


def _note(reader: str, chosen: Chosen, connection: Connection, taken: dict[int, int]) -> None:
    """Keep how many lines of the file and rows of the plan are done, in the slice that decided them. What it took of
    what was said is on its way no more."""
    done = [line for partition, count in taken.items() for line in chosen.get(partition, [])[:count]]
    sends.forget_outgoing(connection, [line.said for line in done if line.said is not None])
    if not reader:
        return
    last = {(row.partition, row.kind): row.position for row in (line.row for line in done if line.said is None)}
    readers = {"event": reader, "pack": f"{reader}{PACKS}"}
    write_positions(connection, [PositionRow(readers[kind], p, number) for (p, kind), number in last.items()])
    failpoints.hit("replay.before_commit")

"""What a gateway has appended and the workers have not decided, so that it goes ahead of them by a moment only.

A partition is decided first come, first served: whoever comes to it waits for all that lies there. So what nobody can
decide soon waits at the gateway, where each principal has its turn. Enters: what was appended, and how far the database
says that the partitions are decided. Leaves: how many records may be appended now.

Where it helps nobody, nothing is held back: a partition that stands still, or that has far more to catch up with than
gateways hold back. The log is durable, and takes what comes. Each gateway counts its own records.
"""

from collections import deque
from collections.abc import Mapping, Sequence

import msgspec
from msgspec import Struct

from engine.store.rows import InboxRow

AHEAD_S = 0.4
"""Within so long everything is to be decided that lies undecided in the log."""
FEWEST = 100
"""Records that may lie there, however slow the workers are."""
GROWTH = 1.1
"""How many more may lie there after a look, at most: it falls at once, since the slowest partition counts."""
STILL_S = 2.0
"""A partition stands still that has decided nothing for so long."""
FAR = 10_000
"""A record does not count that has so many before it: there is an outage to catch up with."""


class RecordBatch(Struct):
    """Records that were appended to a partition at once: the position of the last one, how many are not decided yet,
    when that was, and how many lay undecided in the whole log then."""

    position: int
    count: int
    at_s: float
    ahead: int


class PartitionBacklog(Struct):
    """A partition: how far it is decided, since when it has been so, and what was appended after that."""

    decided: int = 0
    moved_s: float = 0.0
    stands: bool = False
    appended: deque[RecordBatch] = msgspec.field(default_factory=deque)


class Backlog:
    """Records of this gateway that lie undecided. Instants are of the monotonic clock, in seconds."""

    def __init__(self, most: int) -> None:
        self.most = most  # that may lie undecided if the workers are quick
        self.at_once = most  # that they decide within AHEAD_S, as far as is known
        self.partitions: dict[int, PartitionBacklog] = {}

    def undecided(self) -> int:
        """How many records lie undecided, of those that count."""
        return sum(one.count for part in self.partitions.values() for one in part.appended)

    def room(self) -> int:
        """How many records may be appended now."""
        return max(0, self.at_once - self.undecided())

    def stands(self) -> bool:
        """Whether a partition stands still."""
        return any(part.stands for part in self.partitions.values())

    def add(self, rows: Sequence[InboxRow], now_s: float) -> None:
        """Records were appended, in order."""
        last: dict[int, RecordBatch] = {}
        for row in rows:
            one = last.setdefault(row.partition, RecordBatch(row.position, 0, now_s, 0))
            one.position, one.count = row.position, one.count + 1
        for partition, one in last.items():
            part = self.partitions.setdefault(partition, PartitionBacklog())
            if not part.appended:
                part.moved_s = now_s  # until now there was nothing to decide
            if not part.stands:
                part.appended.append(one)
        ahead = self.undecided()
        for one in last.values():
            one.ahead = ahead

    def look(self, decided: Mapping[int, int], now_s: float) -> None:
        """The next position that each partition decides, as the database says now; empty where it says nothing."""
        slowest: RecordBatch | None = None
        for partition, part in self.partitions.items():
            position, some = decided.get(partition, part.decided), part.appended
            if position > part.decided:
                part.decided, part.moved_s, part.stands = position, now_s, False
            while some and some[0].position < position:
                one = some.popleft()
                slowest = one if slowest is None or one.at_s < slowest.at_s else slowest
            while some and some[-1].position - position >= FAR:
                some.pop()
            if some and now_s - part.moved_s > STILL_S:
                part.stands = True
                some.clear()
            elif some:
                some[0].count = min(some[0].count, some[0].position + 1 - position)
        if slowest is not None and slowest.ahead >= FEWEST:
            within = int(slowest.ahead * AHEAD_S / max(0.001, now_s - slowest.at_s))
            self.at_once = min(self.most, max(FEWEST, min(within, int(self.at_once * GROWTH))))

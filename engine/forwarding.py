"""What cases say to cases of other homes, on its way into the log: by the owner of the partition in which it was said.

A slice stores it with its steps. After the commit the owner appends it to the log of the target's partition, also where
both homes share one: in the order in which it was said, and the next only when the log has the last. Then its row goes.
After a crash in between it comes again, and the target, which knows it by the sender, the number of its step and of the
send in it, takes it once.
"""

from collections.abc import Sequence

from msgspec import Struct

from engine import failpoints
from engine.inbox import Submission
from engine.partitions import Partitions
from engine.store import sends
from engine.store.database import Connection
from engine.store.rows import OutgoingRow
from engine.wall_clock import WallClock
from schemas.partition import home_of, partition_of

TURN_S = 0.2
"""How long a turn appends at most: the next one goes on."""


class ReadySends(Struct):
    """What may be appended at once, and the partitions of which it is all that there is."""

    rows: list[OutgoingRow]
    last: set[int]

    def mark(self, connection: Connection) -> None:
        """The log has it."""
        failpoints.hit("sends.before_mark")
        sends.forget_outgoing(connection, self.rows)


def next_sends(partitions: Partitions, wall: WallClock, now: int, most: int) -> ReadySends | None:
    """What is next of each partition that is ours, so much at most; None: there is nothing, or it waits.

    Where an append is no transaction, its records may reach some partitions and not others: so only what goes to one
    partition is appended at once. What goes to one whose clock is ahead of the wall waits, with all that follows it.
    """
    inbox, ready = partitions.inbox, ReadySends([], set())
    ours = partitions.outgoing & inbox.heads.keys()
    if not ours or most <= 0:
        return None
    share = -(-most // len(ours))
    with partitions.database.read() as connection:
        found = sends.read_outgoing(connection, ours, share)
    for partition, rows in found.items():
        count, first = 0, target_of(rows[0], partitions.count)
        for row in rows:
            target = target_of(row, partitions.count)
            if target in wall.refused or (target in inbox.heads and wall.wait_ms(partitions.rows[target], now)):
                break
            if target != first and not inbox.at_once:
                break
            count += 1
        ready.rows += rows[:count]
        if count == len(rows) < share:
            ready.last.add(partition)
    partitions.outgoing -= ours - found.keys()
    return ready if ready.rows else None


def target_of(row: OutgoingRow, count: int) -> int:
    """The partition of the case to which something was said. `count`: of partitions."""
    return partition_of(home_of(row.target), count)


def submissions(rows: Sequence[OutgoingRow], count: int) -> list[Submission]:
    """The records."""
    return [Submission(target_of(row, count), "sent", "owner", row.body) for row in rows]

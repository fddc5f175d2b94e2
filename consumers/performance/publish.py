"""Publishing figures: the cells that changed, as they stand, to a topic that keeps the last value of each.

The fold leaves notes of what it changed, in its own transaction. They become messages of absolute values, at least
once.

1. One process publishes at a time: it holds a lock of the database from the reading of the values until the brokers
   have them. So the messages of a cell stand in its partition in the order of the commits, although several workers
   change the same cell; nobody has to compare versions, and the compacted topic keeps the right one.
2. A note is deleted after the brokers have the values. After a crash before that the cell is published again.
3. If the database ends the transaction of a publisher that was silent for too long, another one may have been faster
   with newer values. The first then notes the same cells once more, so that they are published again.
"""

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from operator import itemgetter
from zlib import crc32

from engine import failpoints
from engine.clock import now_ms
from engine.cluster.publisher import Header, Publisher
from engine.errors import GridpatrolError
from engine.loop import Loop
from engine.store import unpublished_figures
from engine.store.database import FAILURES, Database
from engine.store.meta import read_meta
from engine.store.unpublished_figures import FigureRow, UnpublishedRow
from schemas import binary, messages

log = logging.getLogger(__name__)

NOTES = 10
"""Notes of one batch: as many transactions of the fold."""
REST_S = 1.0
"""From one batch to the next: what changes several times meanwhile is published once."""
BACKLOG = 9
"""The rest while steps are waiting to be folded, in multiples of the last batch: folding goes first."""

ID = f"{binary.KAFKA}id"


def publish(database: Database, publisher: Publisher, topic: str, limit: int = NOTES) -> int:
    """Publish the figures of the oldest notes. Returns how many; 0 when another process does it."""
    rows: list[UnpublishedRow] = []
    sent = 0
    try:
        with database.begin() as connection:
            rows = unpublished_figures.read(connection, limit)
            if not rows:
                return 0
            found = unpublished_figures.figures_of(connection, rows)
            spread = int(read_meta(connection, "partitions") or 1)
            for partition, key, value, headers in sorted(_messages(rows, found, spread), key=itemgetter(0)):
                publisher.send(topic, key, value, headers, partition)
                sent += 1
            failpoints.hit("figures.before_flush")
            publisher.flush()
            failpoints.hit("figures.after_flush")
            unpublished_figures.drop(connection, rows)
    except FAILURES:
        if sent:
            with database.begin() as connection:
                unpublished_figures.put_back(connection, rows)
        raise
    return sent


def _messages(
    rows: Sequence[UnpublishedRow], found: Sequence[FigureRow], spread: int
) -> Iterator[tuple[int, str, bytes, list[Header]]]:
    """Partition, key, value and headers of each cell.

    The partition follows from the key by CRC-32, because the brokers' own function takes Python a third of all the time
    that a message costs. Sent partition by partition, the messages fill whole batches.
    """
    ids: dict[tuple[object, ...], str] = {}  # of each cell: partition and number of the last note, and its place there
    for note in rows:
        for place, dimensions in enumerate(unpublished_figures.keys_of(note), 1):
            ids[dimensions] = f"{note.partition}.{note.n}.{place}"
    shared = binary.headers(type=messages.CELL, id="", subject="", at_ms=now_ms())
    for row in found:
        measure, day, path, department, category, group, post, definition, value = row
        cell = messages.Cell(
            measure=measure,
            day=day,
            path=path,
            department=department,
            category=category,
            group=group,
            post=post,
            definition=definition,
            value=value,
        )
        key = messages.cell_key(cell)
        yield crc32(key.encode()) % spread, key, messages.encode_cell(cell), [*shared, (ID, ids[row[:-1]].encode())]


class FigurePublisher(Loop):
    """Publishes figures in batches.

    `count` is called with the number of figures that went out, `is_busy` says whether steps are waiting to be folded,
    and `ended` is called with an error that waiting does not cure.
    """

    def __init__(
        self,
        database: Database,
        publisher: Publisher,
        topic: str,
        count: Callable[[int], object],
        is_busy: Callable[[], bool],
        ended: Callable[[BaseException], None],
    ) -> None:
        super().__init__("figures")
        self.database = database
        self.topic = topic
        self._publisher, self._count, self._is_busy, self._ended = publisher, count, is_busy, ended

    def stop(self, within_s: float | None = None) -> None:
        """End after the batch that is under way, if it ends in time. Figures that are left are published later."""
        super().stop(within_s)
        self._publisher.close()

    def run_once(self) -> float:
        self._count(publish(self.database, self._publisher, self.topic))
        return self._rest_s()

    def is_passing(self, error: Exception) -> bool:
        return isinstance(error, (GridpatrolError, *FAILURES))

    def wait_out(self, error: Exception) -> float:
        return max(self._rest_s(), self.away_s)

    def failed(self, error: BaseException) -> None:
        if not self.stop_asked.is_set():  # after a stop, brokers and database are taken away from it
            self._ended(error)

    def _rest_s(self) -> float:
        took_s = time.monotonic() - self.began_s
        return max(REST_S - took_s, BACKLOG * took_s if self._is_busy() else 0.0)

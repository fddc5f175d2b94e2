"""Publishing figures: the cells that changed, as they stand, to a topic that keeps the last value of each.

In: the notes that the fold leaves in its own transaction. Out: messages of absolute values, at least once.

1. One process publishes at a time: it holds a lock of the database from the reading of the values until the brokers
   have them. So the messages of a cell stand in its partition in the order of the commits they tell of, although
   several workers change the same cell; nobody has to compare versions, and the compacted topic keeps the right one.
2. A note goes after the brokers have the values. A crash before that leaves it, and the cell is published again.
3. Should the database let go of a publisher that was silent for too long, another one may have been faster with newer
   values. It then notes the same cells once more, so that they are told again.
"""

import logging
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from operator import itemgetter
from typing import Protocol
from zlib import crc32

import msgspec

from engine import failpoints
from engine.clock import now_ms
from engine.errors import GridpatrolError
from engine.store import unpublished_figures
from engine.store.database import FAILURES, Database
from engine.store.meta import read_meta
from engine.store.unpublished_figures import FigureRow, NoteRow
from schemas import binary
from schemas import messages as m

log = logging.getLogger(__name__)

NOTES = 10
"""Notes of one turn: as many transactions of the fold."""
REST_S = 1.0
"""How long after a turn: what changes several times meanwhile is published once."""
BACKLOG = 9
"""How many times as long as a turn took is rested while steps are waiting to be folded: folding goes first."""
AWAY_S = 1.0
"""How long until a failed turn is tried again."""


ID = f"{binary.KAFKA}id"
Header = tuple[str, bytes]


class Publisher(Protocol):
    """Where messages go."""

    def send(
        self, topic: str, key: str, value: bytes, headers: Sequence[Header] = (), partition: int | None = None
    ) -> object:
        """Hand over a message, in order."""

    def flush(self) -> None:
        """Until everything handed over is stored there; an error if it is not."""

    def close(self) -> None:
        """Give up what is not stored."""


def publish(database: Database, publisher: Publisher, topic: str, limit: int = NOTES) -> int:
    """Publish the figures of the oldest notes. How many; 0 when there is nothing, or another process does it."""
    rows: list[NoteRow] = []
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
            _note_again(database, rows)
        raise
    return sent


def _messages(
    rows: Sequence[NoteRow], found: Sequence[FigureRow], spread: int
) -> Iterator[tuple[int, str, bytes, list[Header]]]:
    """Partition, key, value and headers of each cell.

    The partition follows from the key by CRC-32: the brokers' own function takes Python a third of all the time that a
    message costs. Sent partition by partition, they fill whole batches.
    """
    ids, shared = _ids(rows), binary.headers(type=m.CELL, id="", subject="", at_ms=now_ms())
    for row in found:
        measure, day, path, department, category, group, post, value = row
        cell = m.Cell(
            measure=measure,
            day=day,
            path=path,
            department=department,
            category=category,
            group=group,
            post=post,
            value=value,
        )
        key = m.cell_key(cell)
        yield crc32(key.encode()) % spread, key, m.encode_cell(cell), [*shared, (ID, ids[row[:-1]].encode())]


def _ids(rows: Sequence[NoteRow]) -> dict[tuple[object, ...], str]:
    """An id for each cell: partition and number of the last note that names it, and its place there."""
    found: dict[tuple[object, ...], str] = {}
    for row in rows:
        for place, key in enumerate(msgspec.json.decode(row.cells), 1):
            found[tuple(key)] = f"{row.partition}.{row.n}.{place}"
    return found


def _note_again(database: Database, rows: Sequence[NoteRow]) -> None:
    with database.begin() as connection:
        unpublished_figures.put_back(connection, rows)


class Cells(threading.Thread):
    """Publishes in turns until stopped. `away` says what is waited for.

    `told` hears how many figures went out, `ended` what nobody can go on after; `busy` knows whether steps are waiting.
    """

    def __init__(
        self,
        database: Database,
        publisher: Publisher,
        topic: str,
        told: Callable[[int], object],
        busy: Callable[[], bool],
        ended: Callable[[BaseException], None],
    ) -> None:
        super().__init__(name="gridpatrol-figures", daemon=True)
        self.database = database
        self.topic = topic
        self.away = ""
        self._publisher, self._told, self._busy, self._ended = publisher, told, busy, ended
        self._stop_asked = threading.Event()

    def stop(self, within_s: float) -> None:
        """End after the turn that is under way, if it ends in time; what it leaves is published later."""
        self._stop_asked.set()
        self.join(within_s)
        self._publisher.close()

    def run(self) -> None:
        """What only waiting cures is waited for: nothing is lost meanwhile. Nobody would miss a thread that is gone, so
        whatever else goes wrong is told."""
        try:
            self._turns()
        except BaseException as error:
            if not self._stop_asked.is_set():  # then its brokers and its database are taken away from it
                self._ended(error)

    def _turns(self) -> None:
        rest_s = 0.0
        while not self._stop_asked.wait(rest_s):
            began_s = time.monotonic()
            self._guarded_turn()
            took_s = time.monotonic() - began_s
            rest_s = max(REST_S - took_s, BACKLOG * took_s if self._busy() else 0.0, AWAY_S if self.away else 0.0)

    def _guarded_turn(self) -> None:
        try:
            self._told(publish(self.database, self._publisher, self.topic))
            self.away = ""
        except (GridpatrolError, *FAILURES) as error:
            if str(error) != self.away and not self._stop_asked.is_set():
                log.error("figures are not published just now: %s", error)
            self.away = str(error)

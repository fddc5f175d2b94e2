"""The role that tells: it folds alerts, numbers the feed, and publishes feed and dead letters, in a thread of its own.

In: steps in the store, the wall clock. Out: rows of `alerts` and `deliveries`; messages on two topics, with stable ids.

1. One process tells; others stand by, and take over when its lock is free.
2. A line or a letter is marked as published after the brokers have it: at least once, in the order of the feed.
   What was sent and not marked is sent again.
3. While database or brokers are away it tries again: nothing is lost, nothing is skipped.
4. However much there is, no more than a batch of it is in memory.
"""

import logging
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Protocol, cast

from engine import failpoints
from engine.errors import GridpatrolError, LeaseTaken
from engine.lease import TELLER, Lease
from engine.metrics.counters import Counters
from engine.runtime import Consumer
from engine.store import alerts, outbox
from engine.store.alerts import DeliveryRow
from engine.store.database import Database, DriverError, refuses
from engine.store.meta import read_meta
from engine.store.rows import LetterRow
from schemas import binary
from schemas import messages as m
from schemas.refusals import Reason
from schemas.topics import Topics

log = logging.getLogger(__name__)

CONSUMER = "alerts"
"""Whose position says what there is to fold."""
BATCH = 500
"""Lines or letters that are sent between two marks."""
IDLE_S = 0.05
"""How long a turn that found nothing to do is rested from."""
STANDBY_S = 0.25
"""How often who stands by asks whether its turn has come."""
AWAY_S = 0.5
"""How long until a failed turn is tried again."""

Header = tuple[str, bytes]


class Publisher(Protocol):
    """Where messages go."""

    def send(self, topic: str, key: str, value: bytes, headers: Sequence[Header] = ()) -> object:
        """Hand over a message, in order."""

    def flush(self) -> None:
        """Until everything handed over is stored there; an error if it is not, and then none of it counts as sent."""

    def close(self) -> None:
        """Give up what is not stored."""


class Telling(threading.Thread):
    """The alerts of a database, told and published. Start it, `stop` it; what goes wrong shows in `away` and `failure`.

    `consume` folds the next steps into alerts, `tell` looks now and then for alerts whose quiet hours are over.
    """

    def __init__(
        self,
        database: Database,
        publisher: Publisher,
        topics: Topics,
        counters: Counters,
        consume: Consumer,
        tell: Callable[[Database], object],
    ) -> None:
        super().__init__(name="gridpatrol-telling", daemon=True)
        self.database = database
        self.topics = topics
        self.standby = False  # another process tells
        self.away = ""  # what is waited for; empty: nothing
        self.failure: BaseException | None = None
        self._publisher = publisher
        self._consume, self._tell = consume, tell
        self._published = counters.deliveries.labels("topic", "published")
        self._lease: Lease | None = None
        self._stop_asked = threading.Event()

    def stop(self) -> None:
        """End after the batch that is under way, and let another process take over."""
        self._stop_asked.set()
        if self.is_alive():
            self.join()

    # ---- the loop -------------------------------------------------------------------------------------------

    def run(self) -> None:
        """Turn until asked to stop; a defect ends it."""
        try:
            while not self._stop_asked.is_set():
                self._stop_asked.wait(self._guarded_turn())
        except BaseException as error:
            log.exception("the telling of alerts stopped")
            self.failure = error
        finally:
            self._publisher.close()
            self._leave()

    def _guarded_turn(self) -> float:
        """A turn. How many seconds to rest from it; what only waiting cures is waited for."""
        try:
            if not self._is_ours():
                return STANDBY_S
            busy = self.turn()
        except (GridpatrolError, DriverError) as error:
            if refuses(error):
                raise
            return self._wait_for(error)
        if self.away:
            log.info("alerts are told again")
        self.away = ""
        return 0.0 if busy else IDLE_S

    def _wait_for(self, error: Exception) -> float:
        said = str(getattr(error, "orig", error))
        if said != self.away:
            log.error("alerts wait, trying again: %s", said)
        self.away = said
        return AWAY_S

    def _is_ours(self) -> bool:
        """Whether this is the one process that tells."""
        try:
            if self._lease is None:
                self._lease = Lease(self.database, TELLER, linger_s=0)
                log.info("this process tells the alerts")
            else:
                self._lease.keep(self.database)
        except LeaseTaken as error:
            if not self.standby:
                log.info("standing by: %s", error.args[0])
            self._leave()
        self.standby = self._lease is None
        return not self.standby

    def _leave(self) -> None:
        lease, self._lease = self._lease, None
        if lease is not None:
            with suppress(DriverError):
                lease.close()

    # ---- a turn ---------------------------------------------------------------------------------------------

    def turn(self) -> bool:
        """Tell, publish and fold a batch of each. Whether there was anything to do.

        What is told already goes out first: folding may have to wait for a missing step.
        """
        self._tell(self.database)
        with self.database.read() as connection:
            backlog = outbox.read_backlog(connection, CONSUMER)
        if backlog.lines:
            self._publish_lines()
        if backlog.letters:
            self._publish_letters()
        if backlog.steps:
            self._consume(self.database)
            self._publish_lines()
        return any(backlog)

    def _publish_lines(self) -> None:
        """The next lines of the feed."""
        with self.database.read() as connection:
            was, rows = outbox.read_lines(connection, BATCH)
            epoch = read_meta(connection, alerts.EPOCH) or "0"
        if not rows:
            return
        failpoints.hit("alerts.before_publish")
        for row in rows:
            line = told(row, epoch)
            headers = binary.headers(type=m.LINE, id=line.id, subject=line.case, at_ms=line.told_at)
            self._publisher.send(self.topics.alerts, line.case, m.encode_alert(line), headers)
        self._publisher.flush()
        failpoints.hit("alerts.after_publish")
        with self.database.begin() as connection:
            outbox.mark_lines(connection, was, rows[-1].number)
        self._published.inc(len(rows))

    def _publish_letters(self) -> None:
        """The next dead letters."""
        with self.database.read() as connection:
            rows = outbox.read_letters(connection, BATCH)
        failpoints.hit("alerts.before_publish")
        for row in rows:
            headers = binary.headers(type=m.LETTER, id=row.id, subject=row.case_id, at_ms=row.at)
            self._publisher.send(self.topics.deadletter, row.id, m.encode_letter(letter(row)), headers)
        self._publisher.flush()
        failpoints.hit("alerts.after_publish")
        with self.database.begin() as connection:
            outbox.mark_letters(connection, [row.id for row in rows])


def told(row: DeliveryRow, epoch: str) -> m.PublishedAlert:
    """A line of the feed as it is published."""
    line = m.decode_line(row.body)
    said = {name: getattr(line, name) for name in line.__struct_fields__}
    return m.PublishedAlert(**said, epoch=epoch, number=row.number, told_at=row.told_at, why=row.reason)


def letter(row: LetterRow) -> m.DeadLetter:
    """A letter as it is published: without its bytes, and without the token that they are sealed under."""
    return m.DeadLetter(
        id=row.id,
        at=row.at,
        partition=row.partition,
        position=row.position,
        reason=cast(Reason, row.reason),
        field=row.field,
        detail=row.detail,
        source=row.source,
        event_id=row.event_id,
        type=row.type,
        case=row.case_id,
        principal=row.principal,
    )

"""The alerts role: it folds alerts, numbers the feed, and publishes feed and dead letters, in a thread of its own.

1. One process does it; others stand by, and take over when its lock is free.
2. A line or a letter is marked as published after the brokers have it: at least once, in the order of the feed. What
   was sent and not marked is sent again, under the same id.
3. While database or brokers are away it tries again: nothing is lost, nothing is skipped.
4. No more than a batch is in memory.
"""

import logging
from collections.abc import Callable
from contextlib import suppress
from typing import cast

from engine import failpoints
from engine.cluster.publisher import Publisher
from engine.errors import GridpatrolError, LeaseTaken
from engine.lease import TELLER, Lease
from engine.loop import Loop
from engine.metrics.counters import Counters
from engine.policies import Policies
from engine.store import alerts, outbox
from engine.store.alerts import DeliveryRow
from engine.store.database import Database, DriverError, refuses
from engine.store.meta import read_meta
from engine.store.rows import LetterRow
from engine.views.alerts import in_words
from engine.views.names import Names, active_names
from schemas import binary, messages
from schemas.refusals import Reason
from schemas.topics import Topics

log = logging.getLogger(__name__)

CONSUMER = "alerts"
"""Whose position says what there is to fold."""
BATCH = 500
"""Lines that are sent between two marks."""
LETTERS = 100
"""Letters that are sent between two marks: alerts wait for no more of them, however many there are."""
APART_S = 0.05
"""How often it is looked for something to do: so long an alert waits at most that comes alone."""
COMPANY_S = 0.1
"""From a batch that found something to the next: so long an alert waits for company at most."""
ENOUGH = 100
"""A batch of so many steps, lines and letters has company enough; the next one follows at once."""
STANDBY_S = 0.25
"""How often a process that stands by asks for the lock."""


class AlertPublisher(Loop):
    """Folds and publishes the alerts of a database.

    `consume` folds the next steps into alerts; `look_after` looks now and then for alerts that have waited long
    enough.
    """

    away_s = 0.5

    def __init__(
        self,
        database: Database,
        publisher: Publisher,
        topics: Topics,
        counters: Counters,
        consume: Callable[[Database], int],
        look_after: Callable[[Database], object],
    ) -> None:
        super().__init__("alerts")
        self.database = database
        self.topics = topics
        self.standby = False  # another process publishes
        self._publisher = publisher
        self._consume, self._look_after = consume, look_after
        self._published = counters.deliveries.labels("topic", "published")
        self._lease: Lease | None = None
        self._policies = Policies()

    # ---- the loop -------------------------------------------------------------------------------------------

    def run_once(self) -> float:
        """Publish a batch, if this is the one process that does."""
        try:
            if self._lease is None:
                self._lease = Lease(self.database, TELLER, linger_s=0)
                log.info("this process tells the alerts")
            else:
                self._lease.keep(self.database)
        except LeaseTaken as error:
            if not self.standby:
                log.info("standing by: %s", error.args[0])
            self._give_up_lease()
        self.standby = self._lease is None
        if self.standby:
            return STANDBY_S
        done = self.publish_batch()
        return 0.0 if done >= ENOUGH else self.rest_s(COMPANY_S if done else APART_S)

    def is_passing(self, error: Exception) -> bool:
        return isinstance(error, (GridpatrolError, DriverError)) and not refuses(error)

    def release(self) -> None:
        self._publisher.close()
        self._give_up_lease()

    def _give_up_lease(self) -> None:
        lease, self._lease = self._lease, None
        if lease is not None:
            with suppress(DriverError):
                lease.close()

    # ---- a batch --------------------------------------------------------------------------------------------

    def publish_batch(self) -> int:
        """Fold and publish a batch of each kind. How many steps, lines and letters there were; 0: nothing to do.

        Lines of the feed go out before the next steps are folded, since folding may have to wait for a missing step.
        """
        self._look_after(self.database)
        with self.database.read() as connection:
            backlog = outbox.read_backlog(connection, CONSUMER)
        done = self._publish_lines() if backlog.lines else 0
        if backlog.letters:
            with self.database.read() as connection:
                rows = outbox.read_letters(connection, min(BATCH, LETTERS))
            failpoints.hit("alerts.before_publish")
            for row in rows:
                headers = binary.headers(type=messages.LETTER, id=row.id, subject=row.case_id, at_ms=row.at)
                self._publisher.send(self.topics.deadletter, row.id, messages.encode_letter(letter_of(row)), headers)
            self._publisher.flush()
            failpoints.hit("alerts.after_publish")
            with self.database.begin() as connection:
                outbox.mark_letters(connection, [row.id for row in rows])
            done += len(rows)
        if backlog.steps:
            done += self._consume(self.database)
            done += self._publish_lines()
        return done

    def _publish_lines(self) -> int:
        """Publish the next lines of the feed. Returns how many."""
        with self.database.read() as connection:
            was, rows = outbox.read_lines(connection, BATCH)
            epoch = read_meta(connection, alerts.EPOCH) or "0"
            names = active_names(connection, self._policies) if rows else None
        if names is None:
            return 0
        failpoints.hit("alerts.before_publish")
        for row in rows:
            line = line_of(row, epoch, names)
            about = line.case or next(iter(line.recipients))  # a daily line is of several cases of one reporter
            headers = binary.headers(type=messages.LINE, id=line.id, subject=about, at_ms=line.told_at)
            self._publisher.send(self.topics.alerts, about, messages.encode_alert(line), headers)
        self._publisher.flush()
        failpoints.hit("alerts.after_publish")
        with self.database.begin() as connection:
            outbox.mark_lines(connection, was, rows[-1].number)
        self._published.inc(len(rows))
        return len(rows)


def line_of(row: DeliveryRow, epoch: str, names: Names) -> messages.PublishedAlert:
    """A line of the feed as it is published, with the names of the active pack."""
    line = messages.decode_line(row.body)
    fields = {name: getattr(line, name) for name in line.__struct_fields__} | {"definition": row.definition}
    named, said = in_words(row, names)
    return messages.PublishedAlert(
        **fields,
        epoch=epoch,
        number=row.number,
        told_at=row.told_at,
        why=row.reason,
        names=named,
        sentence=said,
    )


def letter_of(row: LetterRow) -> messages.DeadLetter:
    """A dead letter as it is published: without its bytes and the token that they are sealed under."""
    return messages.DeadLetter(
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

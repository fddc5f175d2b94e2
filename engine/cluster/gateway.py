"""The gateway: the writer of a process that owns no partition.

What comes in over HTTP or over an intake topic goes into the inbox topic; the gateway decides nothing. A sender that
waits for an outcome gets what the owner of the partition made of the event, read from the database. The database also
says how far the workers have come, so that the gateway goes ahead of them by a moment only (`backlog`).
"""

import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import Any

from engine.cluster.backlog import Backlog
from engine.cluster.inbox import KafkaInbox
from engine.errors import StaleWriter
from engine.inbox import Submission
from engine.runtime import Engine
from engine.slice.types import Answer, Released, key_of, old_key_of
from engine.store import dead_letters, incident_queries, slices
from engine.store.database import FAILURES, Connection
from engine.store.rows import InboxRow, SeenRow
from engine.views.event_status import wait_of_seen
from engine.writer import Writer
from schemas.envelope import Envelope, decode_record
from schemas.refusals import Reason, Refusal

STOP_S = 5.0
"""How long the brokers may take at a stop. The senders of what is still on its way were not told that it is stored, and
send it again."""
LOOK_S = 0.25
"""How often it is looked for what may take long: what becomes of parked events whose senders follow them, and whether
partitions that stand still go on."""
HELD_S = 5.0
"""No event is held back for longer: the log takes it, whatever lies undecided there."""
REST_S = 0.01
"""How long is rested where events are held back, before it is looked again how far the workers have come."""
TRIES = 5
"""How often an operator's action is tried when the partition's owner moves on in between."""


class Gateway(Writer):
    """Appends to the inbox topic, and answers when others have decided."""

    def __init__(self, engine: Engine) -> None:
        super().__init__(engine)
        self.backlog = Backlog(engine.settings.slice_records)
        self._looked_s = 0.0  # when it was looked for what may take long

    def call(self, action: Callable[[Engine], Any]) -> "Future[Any]":
        """Run an operator's action on the partitions as the database has them just now."""

        def on_fresh_rows(engine: Engine) -> Any:
            for left in reversed(range(TRIES)):
                engine.reload()
                try:
                    return action(engine)
                except StaleWriter:
                    if not left:
                        raise
            raise AssertionError("unreachable")

        return super().call(on_fresh_rows)

    def stop(self, within_s: float | None = STOP_S) -> None:
        """Finish what is queued, then stop. What the brokers do not take in time is given up."""
        super().stop(within_s)
        inbox = self.engine.inbox
        assert isinstance(inbox, KafkaInbox)
        inbox.close()  # ends the wait for an answer
        super().stop()

    def run_once(self) -> float:
        """Append, keep, act, and tell outcomes."""
        return REST_S if not self.write_batch() and self._queue else 0.0  # else `append_queued` rests

    def write_batch(self) -> bool:
        """Append, keep, act, and look for outcomes that are waited for. Whether anything happened."""
        self.engine.now()
        busy = self.append_queued() | self.keep_letters() | self.run_calls()
        busy = self.look() or busy
        self.engine.look_after()
        self.engine.wall.log_changes()
        return busy

    def room(self) -> int:
        most = self.engine.settings.append_batch
        if self.stop_asked.is_set() or self._queue.oldest_s() >= HELD_S:
            return most
        return min(most, self.backlog.room())

    def append(self, wanted: Sequence[Submission], now: int) -> list[InboxRow]:
        rows = super().append(wanted, now)
        self.backlog.add(rows, time.monotonic())
        return rows

    def look(self) -> bool:
        """Look how far the workers have come, and resolve the outcomes of what they have decided meanwhile. Whether
        any was."""
        # A sender that gave up waiting has cancelled its future.
        self._waiting = {place: ask for place, ask in self._waiting.items() if ask.outcome and not ask.outcome.done()}
        slowly = bool(self._parked) or self.backlog.stands()
        slowly = slowly and time.monotonic() - self._looked_s >= LOOK_S
        if not (self._waiting or slowly or self.backlog.undecided()):
            return False
        decided, answers, released = dict[int, int](), list[Answer](), list[Released]()
        try:
            with self.engine.database.read() as connection:
                decided = incident_queries.read_positions(connection)
                for (partition, position), ask in self._waiting.items():
                    if position < decided[partition]:
                        event = decode_record(ask.submission.body).event
                        answers.append(read_answer(connection, partition, position, event))
                if slowly:
                    self._looked_s = time.monotonic()
                    known = slices.read_seen(connection, sorted(self._parked))
                    released = [Released(s.key, s.outcome, refusal_of(s)) for s in known if s.outcome != "parked"]
        except FAILURES:
            decided, answers, released = {}, [], []  # asked again in the next batch
        self.backlog.look(decided, time.monotonic())
        self.resolve(answers, released)
        return bool(answers or released)


def refusal_of(seen: SeenRow) -> Refusal | None:
    """Why an event was refused; None if it was not."""
    return Refusal(Reason(seen.reason), seen.field, seen.detail) if seen.reason else None


def read_answer(connection: Connection, partition: int, position: int, event: Envelope) -> Answer:
    """The outcome of an event at a position that has been decided: of the first one, or of a repetition."""
    key = key_of(partition, event)
    rows = {row.key: row for row in slices.read_seen(connection, [key, old_key_of(key)])}
    seen = rows.get(key) or rows.get(old_key_of(key))
    wait = wait_of_seen(connection, seen) if seen is not None else None
    if seen is not None and seen.position == position:
        return Answer(partition, position, seen.outcome, refusal_of(seen), wait=wait)
    letter = dead_letters.read(connection, f"{partition}.{position}")
    if letter is not None:
        refusal = Refusal(Reason(letter.reason), letter.field, letter.detail)
        return Answer(partition, position, "conflict" if refusal.reason == Reason.CONFLICT else "refused", refusal)
    return Answer(partition, position, "duplicate", None, seen.outcome if seen else "", wait)

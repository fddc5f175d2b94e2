"""The gateway: the writer of a process that owns no partition.

What comes in over HTTP or over an intake topic goes into the inbox topic; the gateway decides nothing. A sender that
waits for an outcome gets what the owner of the partition made of the event, read from the database. The database also
says how far the workers have come, so that the gateway goes ahead of them by a moment only (`backlog`).
"""

import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from typing import Any

from engine.cluster.backlog import FEWEST, Backlog
from engine.cluster.inbox import KafkaInbox
from engine.errors import StaleWriter
from engine.inbox import Submission
from engine.policies import Policies
from engine.runtime import Engine
from engine.slice.types import Answer, Released, SliceResult, key_of, old_key_of
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
APART_S = 0.01
"""From one turn to the next, while events come or are held back."""
COMPANY_S = 0.04
"""While several events come together, and one more within each turn, the first of them waits so long for company at
most: a message to the brokers costs the same for one event and for ten, there and at the worker. What comes after
silence waits for nothing, nor does one that a sender sends after another."""
RECENT_S = 0.1
"""Several events come together that last did so within this time."""
ENOUGH = 50
"""So many events have company enough."""
GLANCE_S = 0.05
"""How often it is looked how far the workers have come, where nobody waits for it and much lies undecided; where little
does, as seldom as for what may take long."""
TRIES = 5
"""How often an operator's action is tried when the partition's owner moves on in between."""


class Gateway(Writer):
    """Appends to the inbox topic, and answers when others have decided."""

    def __init__(self, engine: Engine) -> None:
        super().__init__(engine)
        self.backlog = Backlog(engine.settings.slice_records)
        self._together_s = float("-inf")  # when several events were last appended together
        self._looked_s = 0.0  # when it was looked for what may take long
        self._glanced_s = 0.0  # when it was looked how far the workers have come

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
        return self.rest_s(APART_S) if self.write_batch() or self._queue else 0.0  # else `append_queued` rests

    def write_batch(self) -> bool:
        """Append, keep, act, and look for outcomes that are waited for. Whether anything happened."""
        self.engine.now()
        appended, _ = self.append_queued()
        busy = appended | self.keep_letters() | self.run_calls()
        busy = self.look() or busy
        self.engine.look_after()
        self.engine.wall.log_changes()
        return busy

    def room(self) -> int:
        most = self.engine.settings.append_batch
        if self.stop_asked.is_set() or self._queue.oldest_s() >= HELD_S:
            return most
        return 0 if self.keeps_coming() else min(most, self.backlog.room())

    def keeps_coming(self) -> bool:
        """Whether what is queued waits for more that is on its way."""
        if time.monotonic() - self._together_s >= RECENT_S or not 0 < len(self._queue) < ENOUGH:
            return False
        return self._queue.silent_s() < APART_S and self._queue.oldest_s() < COMPANY_S

    def append(self, wanted: Sequence[Submission], now: int) -> tuple[list[InboxRow], SliceResult | None]:
        rows, now_s = self.engine.append(wanted, now), time.monotonic()
        self._together_s = now_s if len(rows) > 1 else self._together_s
        self.backlog.add(rows, now_s)
        return rows, None

    def look(self) -> bool:
        """Look how far the workers have come, and resolve the outcomes of what they have decided meanwhile. Whether
        any was."""
        # A sender that gave up waiting has cancelled its future.
        self._waiting = {place: ask for place, ask in self._waiting.items() if ask.outcome and not ask.outcome.done()}
        slowly = bool(self._parked) or self.backlog.stands()
        slowly = slowly and time.monotonic() - self._looked_s >= LOOK_S
        waited_for = self._waiting or slowly or not self.backlog.room()
        undecided = self.backlog.undecided()
        every_s = GLANCE_S if undecided >= FEWEST else LOOK_S
        if not (waited_for or (undecided and time.monotonic() - self._glanced_s >= every_s)):
            return False
        self._glanced_s = time.monotonic()
        decided, answers, released = dict[int, int](), list[Answer](), list[Released]()
        try:
            with self.engine.database.read() as connection:
                decided = incident_queries.read_positions(connection)
                events = {
                    place: decode_record(ask.submission.body).event
                    for place, ask in self._waiting.items()
                    if place[1] < decided[place[0]]
                }
                answers = read_answers(connection, self.engine.policies, events)
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


def read_answers(
    connection: Connection, policies: Policies, events: Mapping[tuple[int, int], Envelope]
) -> list[Answer]:
    """The outcomes of events by partition and position, all of which are decided: each of the first one, or of a
    repetition. What is known of them is asked for at once."""
    keys = {place: key_of(place[0], event) for place, event in events.items()}
    asked = sorted({key for new in keys.values() for key in (new, old_key_of(new))})
    rows = {row.key: row for row in slices.read_seen(connection, asked)} if asked else {}
    answers = list[Answer]()
    for (partition, position), key in keys.items():
        seen = rows.get(key) or rows.get(old_key_of(key))
        wait = wait_of_seen(connection, policies, seen) if seen is not None else None
        if seen is not None and seen.position == position:
            answers.append(Answer(partition, position, seen.outcome, refusal_of(seen), wait=wait))
        elif (letter := dead_letters.read(connection, f"{partition}.{position}")) is not None:
            refusal = Refusal(Reason(letter.reason), letter.field, letter.detail)
            outcome = "conflict" if refusal.reason == Reason.CONFLICT else "refused"
            answers.append(Answer(partition, position, outcome, refusal))
        else:
            answers.append(Answer(partition, position, "duplicate", None, seen.outcome if seen else "", wait))
    return answers

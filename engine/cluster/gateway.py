"""The gateway: what comes in over HTTP or over an intake topic goes into the inbox topic. It decides nothing.

In: submissions, operators' actions. Out: records in the topic (a future for «durable»), and, for whoever waits for it,
what the owner of the partition made of an event, read from the database.
"""

from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

from engine.cluster.inbox import KafkaInbox
from engine.errors import StaleWriter
from engine.runtime import Engine
from engine.slice.types import Answer
from engine.store import dead_letters, incident_queries
from engine.store.database import FAILURES
from engine.writer import Ask, Writer
from schemas.envelope import decode_record
from schemas.refusals import Reason, Refusal

STOP_S = 5.0
"""How long the brokers may take at a stop. Whoever sent what is still on its way was not told that it is stored, and
sends it again."""
TRIES = 5
"""How often an operator's action is tried when the partition's owner moves on in between."""


class Gateway(Writer):
    """The writer of a process that owns no partition."""

    def call(self, action: Callable[[Engine], Any]) -> "Future[Any]":
        """Run an operator's action on the partitions as the database has them just now."""
        return super().call(lambda engine: _on_what_stands(engine, action))

    def close(self) -> None:
        """Finish what is queued, then stop. What the brokers do not take in time is given up."""
        inbox = self.engine.inbox
        assert isinstance(inbox, KafkaInbox)
        self._stop_asked.set()
        self.join(STOP_S)
        inbox.close()  # ends the wait for an answer
        self.join()

    def turn(self) -> bool:
        """Append, act, and look for outcomes that somebody waits for."""
        busy = self._append() | self._act()
        busy = self._look_for_outcomes() or busy
        self.engine.look_after()
        return busy

    def _look_for_outcomes(self) -> bool:
        """Answer those whose record has been decided meanwhile. Who gave up waiting is forgotten."""
        self._waiting = {place: ask for place, ask in self._waiting.items() if ask.outcome and not ask.outcome.done()}
        if not self._waiting:
            return False
        try:
            with self.engine.database.read() as connection:
                decided = incident_queries.read_positions(connection)
                ready = [place for place in self._waiting if place[1] < decided[place[0]]]
                answers = [_answer(connection, *place, self._waiting[place]) for place in ready]
        except FAILURES:
            return False  # asked again in the next turn
        self._answer(answers)
        return bool(answers)


def _on_what_stands(engine: Engine, action: Callable[[Engine], Any]) -> Any:
    for left in reversed(range(TRIES)):
        engine.reload()
        try:
            return action(engine)
        except StaleWriter:
            if not left:
                raise
    raise AssertionError("unreachable")


def _answer(connection: incident_queries.Connection, partition: int, position: int, ask: Ask) -> Answer:
    """What became of the event at a position that has been decided."""
    event = decode_record(ask.submission.body).event
    return read_answer(connection, partition, position, event.source, event.id)


def read_answer(
    connection: incident_queries.Connection, partition: int, position: int, source: str, id_: str
) -> Answer:
    """The outcome of an event at a position that has been decided: of the first one, or of a repetition."""
    found = incident_queries.read_event(connection, source, id_, partition)
    seen = found[0] if found else None
    if seen is not None and seen.position == position:
        refusal = Refusal(Reason(seen.reason), seen.field, seen.detail) if seen.reason else None
        return Answer(partition, position, seen.outcome, refusal)
    letter = dead_letters.read(connection, f"{partition}.{position}")
    if letter is not None:
        refusal = Refusal(Reason(letter.reason), letter.field, letter.detail)
        return Answer(partition, position, "conflict" if refusal.reason == Reason.CONFLICT else "refused", refusal)
    return Answer(partition, position, "duplicate", None, seen.outcome if seen else "")

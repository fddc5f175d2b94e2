"""How long the bytes of dead letters are kept, and how many: the oldest go first, and the letters themselves stay.

A letter without its bytes still says what was refused, when, of whom and why; it can no longer be replayed.
"""

import logging
import time
from collections.abc import Callable

from engine.clock import now_ms
from engine.settings import Settings
from engine.store import letter_bytes
from engine.store.database import Connection, Database

log = logging.getLogger(__name__)

EVERY_S = 30.0
"""How often it is looked whether something has to go."""
MOST, MOST_BYTES = 500, 8 * 1024 * 1024
"""Letters, and bytes, that go in one transaction: it holds up the writer."""
DAY_MS = 86_400_000


class LetterRetention:
    """A chore: it empties letters that are older than `letter_days`, and the oldest where those of one principal, or of
    all, have more bytes than they may."""

    def __init__(self, settings: Settings, now: Callable[[], int] = now_ms) -> None:
        self.settings = settings
        self._now = now  # in ms UTC: a clock that has jumped must not empty them
        self._next_s = 0.0

    def __call__(self, database: Database) -> None:
        if time.monotonic() >= self._next_s:
            emptied = self.empty(database, self._now())
            self._next_s = time.monotonic() + (0.0 if emptied else EVERY_S)

    def empty(self, database: Database, now: int) -> int:
        """Empty some of what has to go as of an instant (ms UTC). How many letters that were; 0: nothing has to go."""
        with database.read() as connection:
            chosen = self.due(connection, now)
        if chosen:
            with database.begin() as connection:
                letter_bytes.empty(connection, chosen)
            extra = {"letters": len(chosen), "bytes": sum(chosen.values())}
            log.warning("letters.emptied", extra=extra)
        return len(chosen)

    def due(self, connection: Connection, now: int) -> dict[str, int]:
        """Letters whose bytes have to go, and how many bytes those are: no more than one transaction takes."""
        settings, chosen = self.settings, dict[str, int]()

        def choose(found: list[tuple[str, int]], too_many: int) -> None:
            """The first ones of these, until so many bytes are chosen."""
            for id_, size in found:
                if too_many <= 0 or len(chosen) >= MOST or sum(chosen.values()) >= MOST_BYTES:
                    return
                chosen[id_] = size
                too_many -= size

        past = now - settings.letter_days * DAY_MS
        choose(letter_bytes.oldest(connection, MOST, before=past), MOST_BYTES)
        held = letter_bytes.held(connection)
        for principal, size in held.items():
            if size > settings.letter_bytes_each:
                of_it = letter_bytes.oldest(connection, MOST, principal=principal)
                choose(of_it, size - settings.letter_bytes_each)
        total = sum(held.values()) - sum(chosen.values())
        if total > settings.letter_bytes:
            choose(letter_bytes.oldest(connection, MOST), total - settings.letter_bytes)
        return chosen

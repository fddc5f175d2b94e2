"""History under other packs (假如), as a server has had it computed for its operators.

How it is computed is not of this room: the server that opens the door is handed a `Comparer`. One comparison runs at a
time, in a process of its own, and the last ones are kept in memory.
"""

import secrets
import threading
from collections import OrderedDict
from collections.abc import Callable
from typing import Any, Protocol

from msgspec import Struct

from engine.clock import now_ms
from engine.errors import GridpatrolError
from workflows.policy.model import Pack

KEPT = 6
"""Comparisons that a process keeps."""


class Comparer(Protocol):
    """Decides recorded history once more under another pack, and says what differs."""

    def compare(self, pack: Pack, since: int, until: int) -> dict[str, Any]:
        """What `gridpatrol whatif --json` says, from an instant to another (ms UTC). It takes its time. Raises
        GridpatrolError where it cannot."""

    def close(self) -> None:
        """End what runs."""


class Comparison(Struct):
    """One that was asked for, and what came of it: an answer, or why there is none; neither: it runs."""

    key: str
    sender: str
    title_zh: str
    title_en: str
    pack: str  # its hash
    first: str  # local days
    last: str
    asked_at: int
    ended_at: int = 0
    answer: dict[str, Any] | None = None
    failure: str = ""


class Comparisons:
    """The last comparisons of this process, by who asked."""

    def __init__(self, comparer: Comparer | None) -> None:
        self.comparer = comparer
        self._kept = OrderedDict[str, Comparison]()
        self._busy = threading.Lock()

    @property
    def running(self) -> bool:
        """Whether one is being computed."""
        return self._busy.locked()

    def begin(self, asked: Comparison, pack: Pack, since: int, until: int) -> bool:
        """Compute one on a thread of its own. False: another one runs, or this process has no way to."""
        if self.comparer is None or not self._busy.acquire(blocking=False):
            return False
        self._kept[asked.key] = asked
        while len(self._kept) > KEPT:
            self._kept.popitem(last=False)
        compare: Callable[[Pack, int, int], dict[str, Any]] = self.comparer.compare

        def run() -> None:
            try:
                asked.answer = compare(pack, since, until)
            except GridpatrolError as error:
                asked.failure = str(error)
            except Exception:
                asked.failure = "it ended without an answer: see the log of the server"
                raise
            finally:
                asked.ended_at = now_ms()
                self._busy.release()

        threading.Thread(target=run, name="gridpatrol-whatif", daemon=True).start()
        return True

    def of(self, sender: str, key: str) -> Comparison | None:
        """One that this sender asked for."""
        found = self._kept.get(key)
        return found if found is not None and found.sender == sender else None

    def asked_by(self, sender: str) -> list[Comparison]:
        """All that are kept of a sender, the latest first."""
        return [each for each in reversed(self._kept.values()) if each.sender == sender]

    def close(self) -> None:
        """End the one that runs."""
        if self.comparer is not None:
            self.comparer.close()


def new_key() -> str:
    """A name that nobody guesses."""
    return secrets.token_hex(8)

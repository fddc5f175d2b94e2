"""A queue that is fair between principals: round after round each of them has one item taken, however many it has sent.

It is bounded in total and for each principal: nobody may have more items waiting than there are free places. So one
principal fills half of it, two fill a third each, and whoever comes next finds a place.
"""

import threading
import time
from collections import deque
from typing import Generic, TypeVar

T = TypeVar("T")


class Full(Exception):
    """There is no place for another item of this principal: come again in a moment."""


class FairQueue(Generic[T]):
    """Any thread may put, one takes. The items of one principal keep their order."""

    def __init__(self, places: int) -> None:
        self.places = places
        self._waiting = 0
        self._put_s = 0.0
        # Those who have something waiting, in the order of their turns: (since when, bytes, item).
        self._lines: dict[str, deque[tuple[float, int, T]]] = {}
        self._changed = threading.Condition()

    def __len__(self) -> int:
        return self._waiting

    def put(self, principal: str, item: T, size: int = 0) -> None:
        """Let an item of so many bytes wait for its turn. Full where its principal may have no more waiting."""
        with self._changed:
            line = self._lines.get(principal, deque())
            if len(line) >= self.places - self._waiting:
                raise Full
            self._put_s = time.monotonic()
            line.append((self._put_s, size, item))
            self._lines[principal] = line
            self._waiting += 1
            self._changed.notify()

    def wait(self, timeout_s: float) -> bool:
        """Whether an item waits, now or within so many seconds."""
        with self._changed:
            return self._changed.wait_for(lambda: self._waiting > 0, timeout_s)

    def take(self, most: int, most_bytes: int, timeout_s: float = 0.0) -> list[T]:
        """Up to `most` items, one of each principal in turn, until they have `most_bytes` together. An empty queue is
        waited at for so many seconds."""
        with self._changed:
            if timeout_s:
                self._changed.wait_for(lambda: self._waiting > 0, timeout_s)
            taken, size = list[T](), 0
            while self._lines and len(taken) < most and size < most_bytes:
                principal = next(iter(self._lines))
                line = self._lines.pop(principal)
                _, bytes_, item = line.popleft()
                if line:
                    self._lines[principal] = line  # behind the others
                taken.append(item)
                size += bytes_
            self._waiting -= len(taken)
            return taken

    def silent_s(self) -> float:
        """How long ago the last item came."""
        return time.monotonic() - self._put_s

    def oldest_s(self) -> float:
        """How long the item has waited that has waited longest; 0 where none waits."""
        with self._changed:
            return max((time.monotonic() - line[0][0] for line in self._lines.values()), default=0.0)

"""What is due in a partition: a heap of what the slice fetched and of what its own decisions armed.

In: the slice's memory and a partition. Out: the next due case, and whether the slice knows enough to fire it.
"""

import heapq

from engine.slice.reads import Workspace
from engine.store import slices


class DueCases:
    """Cases by (due, id). Entries whose case has meanwhile another instant are stale, and dropped when met."""

    def __init__(self, work: Workspace, partition: int) -> None:
        self._work = work
        self._partition = partition
        self._heap: list[tuple[int, str]] = []
        self._horizon: tuple[int, str] | None = None  # the last due case fetched; None: all were

    def fetch(self, before: int) -> None:
        """Everything due before an instant, up to a limit."""
        limit = self._work.limits.steps
        found = slices.read_due(self._work.connection, self._partition, before, limit)
        self._work.load(found)
        self._work.asked.add(self._partition)
        for id_, _, _ in found:
            self.push(id_, self._work.due_at[id_])
        if len(found) == limit:
            self._horizon = (found[-1][1], found[-1][0])

    def push(self, id_: str, due: int | None) -> None:
        """A case comes up at an instant, or not at all."""
        if due is not None:
            heapq.heappush(self._heap, (due, id_))

    def next(self) -> int | None:
        """The next instant at which something is due."""
        while self._heap:
            due, id_ = self._heap[0]
            if self._work.due_at.get(id_) == due:
                return due
            heapq.heappop(self._heap)
        return None

    def pop(self) -> str:
        """The case that is next."""
        return heapq.heappop(self._heap)[1]

    def known(self) -> bool:
        """Whether the top of the heap really is next: nothing unfetched can come before it."""
        return self._horizon is None or self._heap[0] <= self._horizon

    def beyond(self, before: int) -> bool:
        """Whether something that was not fetched may be due before an instant."""
        return self._horizon is not None and self._horizon[0] < before

"""The arrivals that went past while a case stood, so that what waits is decided as if it had not waited.

Positions of a log have no gaps, and arrivals never go back. So it is enough to know where the arrival changes.
"""

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from itertools import accumulate

import msgspec

from engine.store.rows import ArrivalsRow


def packed(points: Sequence[tuple[int, int]]) -> str:
    """(position, arrival) of the records at which the arrival changes, as the steps from one to the next."""
    before = [(0, 0), *points]
    steps = [(b[0] - a[0], b[1] - a[1]) for a, b in zip(before, points, strict=False)]
    return msgspec.json.encode([number for step in steps for number in step]).decode()


class Timeline:
    """The arrivals of a partition's records, up to the one at position `end`, which has not come yet."""

    def __init__(self, rows: Iterable[ArrivalsRow], end: int) -> None:
        self.end = end
        self._positions: list[int] = []
        self._arrivals: list[int] = []
        for row in rows:
            steps: list[int] = msgspec.json.decode(row.body)
            for position, arrival in zip(accumulate(steps[::2]), accumulate(steps[1::2]), strict=True):
                if not self._arrivals or arrival > self._arrivals[-1]:
                    self._positions.append(position)
                    self._arrivals.append(arrival)

    def arrival(self, position: int) -> int:
        """The arrival of the record at a position."""
        return self._arrivals[bisect_right(self._positions, position) - 1]

    def releasing(self, due: int, position: int) -> int | None:
        """The first record, at a position or after it, that arrived after a due instant; None: it has not come yet."""
        index = bisect_right(self._arrivals, due)
        if index == len(self._arrivals):
            return None
        first = max(position, self._positions[index])
        return first if first < self.end else None

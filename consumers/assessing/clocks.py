"""Up to which instant a history is known: by the partitions' clocks and by the fold, never by the wall.

The clocks that count are those of partitions with a home in which something is owed: there time moves also where nobody
says anything. Another home is silent until somebody speaks, and what he says arrives after what is known elsewhere.
Where nothing is owed anywhere all partitions with a home count.
"""

from collections.abc import Iterable
from typing import NamedTuple

from engine.store import incident_queries, sheets, slices, standing
from engine.store.database import Connection
from engine.store.positions import read_positions
from engine.store.rows import PartitionRow
from schemas.partition import partition_of
from workflows.assessment.filed import Still
from workflows.case import decode as decode_case
from workflows.homes import owed_by_home
from workflows.policy.index import Policy

FIGURES = "performance"
"""The consumer whose position says how far figures are."""


class Target(NamedTuple):
    """An instant (ms UTC) that the clocks have passed, and the steps that the figures are to have by then."""

    upto: int
    ends: dict[int, int]


class Clocks:
    """Follows the clocks of one database. `known`: everything that arrived up to this instant is decided and counted;
    0: nothing is known yet."""

    def __init__(self) -> None:
        self.known = 0
        self._target: Target | None = None

    def look(self, connection: Connection, register: Policy) -> int:
        """Read the clocks and how far the figures are."""
        rows = slices.read_partitions(connection)
        timed = with_homes(rows, owed_by_home(register)) or with_homes(rows, map(register.home, register.grids))
        going = [row for row in timed if not row.halted]
        if self._target is None and going:
            # What arrives at the clock's own instant may still come: it is the last millisecond that is not known.
            self._target = Target(min(row.clock for row in going) - 1, {row.partition: row.n for row in rows})
        if self._target is not None:
            folded = read_positions(connection, FIGURES)
            if all(folded.get(partition, 0) >= n for partition, n in self._target.ends.items()):
                self.known, self._target = max(self.known, self._target.upto), None
        return self.known


def with_homes(rows: list[PartitionRow], homes: Iterable[str]) -> list[PartitionRow]:
    """The partitions that hold one of these homes."""
    held = {partition_of(home, len(rows)) for home in homes}
    return [row for row in rows if row.partition in held]


def still_of(connection: Connection, register: Policy) -> Still:
    """What stands still: halted partitions, cases that stand since a defect, cases in quarantine."""
    rows = with_homes(slices.read_partitions(connection), map(register.home, register.grids))
    stand = [id_ for row in rows if row.standing for id_ in standing.read_ids(connection, row.partition)]
    refused = incident_queries.read_cases(connection, sheets.read_quarantined(connection))
    quarantined = [id_ for id_, body in refused.items() if decode_case(body.encode()).quarantined]
    return Still(tuple(row.partition for row in rows if row.halted), tuple(sorted(stand)), tuple(sorted(quarantined)))

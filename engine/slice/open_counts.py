"""What an open case adds to the standing counts, which lists and gauges read instead of counting cases. Pure.

1. A case counts in four cells of its partition while it is open: by its state and its owner's level, by its place and
   the deadline of the whole case, by who must act, and, where it is late, by its place and the hour since when.
2. What is *missed* is told by facts, not by the wall: the deadline's rung has fired. So the counts of a moment follow
   from the log, and stand behind the wall by a tick; the clocks of a case that is quarantined or stands do not go on.
3. The slice has each case before and after it, so its transaction changes the counts with the cases.
"""

from collections import Counter
from collections.abc import Iterable, Iterator

from engine.store.rows import OpenCountRow
from workflows.case import TOTAL, Case
from workflows.definitions import DEFINITIONS, held_by

HOUR_MS = 3_600_000
LATE_DOWN_TO = 3
"""Late cases are told apart by grid down to this level."""


def changes(cases: Iterable[tuple[int, Case | None, Case]]) -> list[OpenCountRow]:
    """What the counts change by: of each case its partition, what it was when the slice began, and what it is."""
    found = Counter[OpenCountRow]()
    for partition, before, after in cases:
        found.subtract(cells(before, partition) if before is not None else ())
        found.update(cells(after, partition))
    return [row.of(value) for row, value in sorted(found.items(), key=lambda each: each[0].key) if value]


def cells(case: Case, partition: int) -> Iterator[OpenCountRow]:
    """The cells in which a case counts: none once it is over, while its report is awaited, or if no list shows it."""
    kind = DEFINITIONS.get(case.definition)
    if kind is None or case.closed is not None or kind.listed == "never":
        return
    path = f"/{'/'.join(case.path)}/" if case.path else "/"
    yield OpenCountRow(partition, kind.name, "state", level=case.owner.level, state=case.state)
    total = case.clock(TOTAL)
    late = "none" if total is None or total.due is None else "missed" if total.breached else "ahead"
    yield OpenCountRow(
        partition,
        kind.name,
        "place",
        path=path,
        department=case.owner.department,
        category=case.category,
        grp=case.group,
        late=late,
    )
    missed = [c.due for c in case.clocks if c.breached and c.since is not None and c.due is not None]
    holder, unit = held_by(case), case.holdings[-1].unit if case.holdings else None
    yield OpenCountRow(
        partition,
        kind.name,
        "holder",
        path=unit.path if unit is not None else f"/{holder.grid}/",  # of an earlier release: it has not moved since
        department=holder.department,
        post=holder.post,
        late="missed" if missed else "ahead",
    )
    if missed:
        above = f"/{'/'.join(case.path[:LATE_DOWN_TO])}/" if case.path else "/"
        yield OpenCountRow(partition, kind.name, "late", path=above, grp=case.group, hour=min(missed) // HOUR_MS)

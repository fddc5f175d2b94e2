"""What an open case adds to the standing counts, which lists and gauges read instead of counting cases. Pure.

1. A case counts in four cells of its partition while it is open: by its state and its owner's level, by its place and
   the deadline of the whole case, by who must act, and, where it is late, by its place and the hour since when.
2. What is *missed* is told by facts, not by the wall: the deadline's rung has fired. So the counts of a moment follow
   from the log, and stand behind the wall by a tick; the clocks of a case that is quarantined or stands do not go on.
3. The slice keeps them and not the fold, because it has each case before and after it in memory. The fold knows a case
   by its steps alone: it would have to keep for every open case what its cells were, and to read and write that row
   with each step. Here an event costs the rows of the cells that it changes, and the counts and the cases, from which
   `verify` recounts them, are of one transaction.
"""

from collections.abc import Iterable

from engine.store.rows import OpenCell, OpenCountRow
from workflows.case import TOTAL, Case
from workflows.definitions import DEFINITIONS, held_by, shown_path

HOUR_MS = 3_600_000
LATE_DOWN_TO = 3
"""Late cases are told apart by grid down to this level."""


def changes(cases: Iterable[tuple[int, Case | None, Case]]) -> list[OpenCountRow]:
    """What the counts change by: of each case its partition, what it was when the slice began, and what it is."""
    found = dict[OpenCell, int]()
    for partition, before, after in cases:
        were = cells(before, partition) if before is not None else []
        are = cells(after, partition)
        if were == are:
            continue
        for cell in were:
            found[cell] = found.get(cell, 0) - 1
        for cell in are:
            found[cell] = found.get(cell, 0) + 1
    return [OpenCountRow(*cell, value) for cell, value in sorted(found.items()) if value]


def cells(case: Case, partition: int) -> list[OpenCell]:
    """The cells in which a case counts: none once it is over, while its report is awaited, or if no list shows it."""
    kind = DEFINITIONS.get(case.definition)
    if kind is None or case.closed is not None or kind.listed == "never":
        return []
    name, group, owner = kind.name, case.group, case.owner
    path, total = shown_path(case), case.clock(TOTAL)
    by_deadline = "none" if total is None or total.due is None else "missed" if total.breached else "ahead"
    missed = [c.due for c in case.clocks if c.breached and c.since is not None and c.due is not None]
    holder, unit = held_by(case), case.holdings[-1].unit if case.holdings else None
    held = unit.path if unit is not None else f"/{holder.grid}/"  # of an earlier release: it has not moved since
    late = "missed" if missed else "ahead"
    found = [
        OpenCell(partition, name, "state", owner.level, case.state),
        OpenCell(partition, name, "place", 0, "", path, owner.department, "", case.category, group, by_deadline),
        OpenCell(partition, name, "holder", 0, "", held, holder.department, holder.post, "", "", late),
    ]
    if missed:
        above = "/".join(path.split("/")[: LATE_DOWN_TO + 1]).rstrip("/") + "/"
        found.append(OpenCell(partition, name, "late", path=above, grp=group, hour=min(missed) // HOUR_MS))
    return found

"""What stood at an instant of the past, as known then: cases folded from the steps that had arrived by it.

The answer is what a listing of that instant would have said if every deadline had been looked at: what is late is told
by the instant itself, and not by the tick that came after it. What happened before and arrived later is not in it. A
page costs what was open at that instant where it is sorted by deadline, else what it shows and what it passes over.
"""

import heapq
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from operator import itemgetter
from typing import NamedTuple

from msgspec.structs import replace

from engine.slice.as_rows import case_row
from engine.slice.open_counts import cells
from engine.store import incident_queries, known_then
from engine.store.database import Connection
from engine.store.incident_queries import After, Filters, HeldBy
from engine.store.rows import CaseRow, OpenCell, OpenCountRow
from schemas import facts
from workflows import case as cases
from workflows import evolve
from workflows.case import Case

CHUNK = 500
"""Cases that are read and folded at once."""


class Order(NamedTuple):
    """How a page is sorted, and after what it begins."""

    column: str
    descending: bool
    after: After | None


def cases_at(connection: Connection, ids: Iterable[str], at: int) -> Iterator[Case]:
    """These cases as they were known at an instant, in the order that was given. Left out are those of which nothing
    had arrived, and those that were only awaited."""
    rest = iter(ids)
    while some := list(islice(rest, CHUNK)):
        known = {id_: cases.decode(body) for id_, body in known_then.read_unmoved(connection, some, at).items()}
        moved = [id_ for id_ in some if id_ not in known]
        for id_, seq, body in known_then.read_steps(connection, moved, at):
            case = known.setdefault(id_, Case(id=id_))
            for fact in facts.decode_facts(body):
                evolve.apply(case, fact)
            case.seq = seq
        yield from (known[id_] for id_ in some if id_ in known and known[id_].definition)


def fits(case: Case, filters: Filters) -> bool:
    """Whether a case is asked for: in Python what `incident_queries` asks for in SQL."""
    row, holder, unit = case_row(case, 0, None), filters.holder, filters.unit
    asked = [
        filters.open in (None, row.open),
        row.definition in filters.definitions,
        row.path.startswith(filters.prefix),
        filters.owner in ("", row.grid, row.department),
        not filters.states or row.state in filters.states,
        filters.category in ("", row.category),
        filters.group in ("", row.grp),
        filters.opened_from is None or case.opened >= filters.opened_from,
        not filters.channels or getattr(case.own, "channel", "") in filters.channels,
        filters.reporter in ("", row.reporter),
        filters.campaign in ("", row.campaign),
        not filters.held_in or (row.holder in filters.held_in and not row.holder_department),
        filters.readable.reads_case(case),
    ]
    if holder is not None:
        asked.append(holds(row, holder))
    if unit is not None:
        own = row.department == unit.department if unit.department else row.grid == unit.grid and not row.department
        asked.append(own or holds(row, unit))
    before = [t for t in (filters.now if filters.overdue else None, filters.due_before) if t is not None]
    dues = [row.due_at]
    if filters.clock:
        dues = [clock.due for clock in case.clocks if clock.name == filters.clock and clock.since is not None]
        asked.append(bool(dues))
    if before:
        asked.append(any(due is not None and due < min(before) for due in dues))
    return all(asked)


def holds(row: CaseRow, holder: HeldBy) -> bool:
    """Whether a case is somebody's work."""
    if holder.department:
        return row.holder != "" and (row.holder_department == holder.department or row.holder == holder.post)
    return row.holder != "" and row.holder in (holder.grid, holder.post) and not row.holder_department


# ---- a page of the list -------------------------------------------------------------------------------------


def past_page(connection: Connection, filters: Filters, order: Order, limit: int) -> list[tuple[After, Case]]:
    """Cases in order as known at `filters.now`, each with the key after which the next page begins."""
    found = by_deadline if order.column == "due_at" else by_key
    return found(connection, filters, order, limit)


def by_key(connection: Connection, filters: Filters, order: Order, limit: int) -> list[tuple[After, Case]]:
    """Sorted by id or by when they were opened: folded until the page is full."""
    wanted = (case for case in walked(connection, filters, order) if fits(case, filters))
    return [(After(case.id if order.column == "id" else case.opened, case.id), case) for case in islice(wanted, limit)]


def walked(connection: Connection, filters: Filters, order: Order) -> Iterator[Case]:
    """The cases that may be asked for, in order: of the open ones those that may have been open, else all that had
    begun."""
    if not filters.open:
        yield from walked_whole(connection, filters, order)
        return
    by_id, after = order.column == "id", order.after
    found = known_then.find_open(connection, filters.now, filters.definitions)
    keys = sorted(((0 if by_id else began, id_) for id_, began in found), reverse=order.descending)
    if after is not None:
        last = After(0 if by_id else after.key, after.id)
        keys = [key for key in keys if is_after(key, last, order.descending)]
    yield from cases_at(connection, (id_ for _, id_ in keys), filters.now)


def walked_whole(connection: Connection, filters: Filters, order: Order) -> Iterator[Case]:
    """All cases that had begun, in order, page by page along the indexes of the list of now."""
    every = Filters(now=filters.now, open=None, definitions=filters.definitions)
    after, by_id = order.after, order.column == "id"
    if after is None and order.descending and not by_id:
        after = After(filters.now + 1, "")
    while rows := incident_queries.read_page(connection, every, order.column, order.descending, after, CHUNK):
        yield from cases_at(connection, (key.id for key, _ in rows), filters.now)
        after = rows[-1][0]
        if not by_id and not order.descending and is_after((filters.now, ""), after, True):
            return


def by_deadline(connection: Connection, filters: Filters, order: Order, limit: int) -> list[tuple[After, Case]]:
    """Sorted by the next deadline, those without one after all others by id. All that were open are folded."""
    after, rows = order.after, list[tuple[After, Case]]()
    if filters.open is not False and (after is None or after.key is not None):
        ids = (id_ for id_, _ in known_then.find_open(connection, filters.now, filters.definitions))
        open_then = replace(filters, open=True)
        found = (case for case in cases_at(connection, ids, filters.now) if fits(case, open_then))
        keyed = (((case.due_at, case.id), case) for case in found if case.due_at is not None)
        dated = ((key, case) for key, case in keyed if is_after(key, after, order.descending))
        some = heapq.nlargest if order.descending else heapq.nsmallest
        rows = [(After(*key), case) for key, case in some(limit, dated, key=itemgetter(0))]
        after = None
    if len(rows) < limit and not filters.overdue and filters.due_before is None:
        rest = walked(connection, filters, Order("id", False, after))
        undated = (case for case in rest if case.due_at is None and fits(case, filters))
        rows += [(After(None, case.id), case) for case in islice(undated, limit - len(rows))]
    return rows


def is_after(key: tuple[int, str], after: After | None, descending: bool) -> bool:
    """Whether a key lies beyond the one after which a page begins."""
    if after is None or not isinstance(after.key, int):
        return True
    last = after.key, after.id
    return key < last if descending else key > last


# ---- how many ----------------------------------------------------------------------------------------------


def standing_at(connection: Connection, definition: str, at: int) -> Sequence[OpenCountRow]:
    """The standing counts of one kind of case as known at an instant: the cells of `engine.slice.open_counts`."""
    found = Counter[OpenCell]()
    ids = (id_ for id_, _ in known_then.find_open(connection, at, [definition]))
    for case in cases_at(connection, ids, at):
        found.update(cells(with_missed(case, at), 0))
    return [OpenCountRow(*cell, value) for cell, value in sorted(found.items())]


def with_missed(case: Case, at: int) -> Case:
    """A case in which what was due before an instant counts as missed, whenever a tick told it."""
    late = [c for c in case.clocks if not c.breached and c.since is not None and c.due is not None and c.due < at]
    if not late:
        return case
    clocks = tuple(replace(clock, breached=True) if clock in late else clock for clock in case.clocks)
    return replace(case, clocks=clocks)

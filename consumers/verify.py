"""Reconcile (`gridpatrol verify`): does everything that is stored follow from the stored facts?

In: a database. Out: a list of mismatches, each with what is wrong, where, what the facts say and what was
found; empty when all is well. One snapshot, read step by step; it never writes.

1. The log: records without gaps per partition, as far as it has decided; steps are numbered without gaps per
   partition, and without gaps per case. Of every event that made a step it is known what became of it, as long as a
   resend counts as one: older rows may vanish at any time.
2. The cases: every row is the fold of its steps by `evolve`, every step's dimensions are those of the case
   after it, no case is without steps and no steps are without their case.
3. The consumers: figures, outcomes, contributions and alerts are recounted by SQL over the facts, without
   the fold's code; every consumer has read every partition to its end; and the feed has every line.
"""

from collections.abc import Callable, Iterator
from typing import Any

import msgspec
from msgspec import Struct

from engine.policies import Policies
from engine.store import inbox, recount
from engine.store.database import Database
from engine.store.rows import CaseRow
from engine.store.steps import Connection
from schemas import facts as f
from schemas.events import EVENT_TYPES
from schemas.partition import home_of, partition_of
from workflows.case import Case, apply, encode, responsible

PAGE = 2000
COLUMNS = tuple(name for name in CaseRow.__struct_fields__ if name != "id")
DIMENSIONS = ("policy", "path", "category", "grp", "department", "post")
Progress = Callable[[int, int], None]
"""Called with the number of steps looked at, and of all."""


class Mismatch(Struct, frozen=True):
    """Something stored that does not follow from the facts."""

    what: str  # inbox, log, step, seen, case, figure, outcome, contribution, alert, delivery, position
    where: str
    expected: str
    found: str

    def __str__(self) -> str:
        return f"{self.what} {self.where}: expected {self.expected}, found {self.found}"


def verify(database: Database, progress: Progress | None = None, *, live: bool = False) -> list[Mismatch]:
    """All mismatches. With `live`, consumers may be behind, as they are for moments while the engine
    works."""
    with database.read() as connection:
        return list(mismatches(connection, progress, live=live))


def mismatches(connection: Connection, progress: Progress | None = None, *, live: bool = False) -> Iterator[Mismatch]:
    """The same within an open transaction, one after another."""
    yield from _inbox(connection)
    yield from _log(connection)
    yield from _seen(connection)
    yield from _cases(connection, progress)
    yield from _figures(connection)
    yield from _rows("outcome", recount.wrong_outcomes(connection), 5, recount.OUTCOME)
    yield from _rows("contribution", recount.wrong_contributions(connection), 5, recount.OUTCOME[:5])
    yield from _rows("alert", recount.wrong_alerts(connection), 1, recount.ALERT)
    yield from _feed(connection)
    yield from _positions(connection, live)


# ---- the log -----------------------------------------------------------------------------------------


def _inbox(connection: Connection) -> Iterator[Mismatch]:
    """Every record that the table took is there, at the least those that were decided; what lies in a topic, the
    owner of its partition watches over."""
    origin = inbox.read_origin(connection)
    for partition, decided, stored, head in recount.received(connection):
        if origin is not None:
            decided = min(decided, origin.bases[partition])
        if stored == head >= decided:
            continue
        gap, end = recount.first_record_lost(connection, partition), max(head, decided)
        where = f"partition {partition}"
        yield Mismatch("inbox", where, f"records 0 to {end - 1}, {gap} among them", f"{stored} records, none at {gap}")


def _seen(connection: Connection) -> Iterator[Mismatch]:
    """What became of each event that made a step, within the shortest window for resends that was ever active."""
    policies, arrived = Policies(), recount.clocks(connection)
    for partition, packs in recount.activations(connection).items():
        activated: list[tuple[str, int]] = msgspec.json.decode(packs)
        windows = [policies.get(connection, digest).options.duplicate_window_ms for digest, _ in activated]
        if not windows:
            continue  # before the first activation nothing is decided
        since = arrived[partition] - min(windows)
        for case, n, source, id_ in recount.unseen(connection, partition, since, tuple(EVENT_TYPES)):
            place = f"{source} {id_} (partition {partition}, n {n}, case {case})"
            yield Mismatch("seen", place, "a row with what became of it", "none")


def _log(connection: Connection) -> Iterator[Mismatch]:
    """Numbers without gaps, and no step of a case twice."""
    for partition, n, stored, lowest, highest in recount.numbering(connection):
        if (stored, highest) == (n, n) and lowest == min(n, 1):
            continue
        gap = recount.first_gap(connection, partition)
        expected = f"steps 1 to {n}, {gap} among them" if gap <= n else f"steps 1 to {n}"
        yield Mismatch("log", f"partition {partition}", expected, f"{stored} steps from {lowest} to {highest}")
    for case, seq, times in recount.doubled_steps(connection):
        yield Mismatch("step", f"{case} seq {seq}", "once", f"{times} times")


# ---- the cases ---------------------------------------------------------------------------------------


class _Folding(Struct):
    """A case on the way through its steps."""

    case: Case
    partition: int


def _cases(connection: Connection, progress: Progress | None) -> Iterator[Mismatch]:
    """Every case row against the fold of its steps, page by page."""
    packs = recount.activations(connection)
    total, done, at = recount.count_steps(connection), 0, ("", 0)
    open_: _Folding | None = None  # its steps may go on in the next page
    while rows := recount.page_of_steps(connection, *at, PAGE):
        folding: list[_Folding] = [open_] if open_ is not None else []
        for row in rows:
            if not folding or folding[-1].case.id != row[0]:
                folding.append(_Folding(Case(id=row[0]), row[2]))
            yield from _step(folding[-1], row)
        open_ = folding.pop()
        yield from _compare(connection, folding, packs)
        at, done = (rows[-1][0], rows[-1][1]), done + len(rows)
        if progress is not None:
            progress(done, total)
    yield from _compare(connection, [open_] if open_ is not None else [], packs)
    for case in recount.cases_without_steps(connection):
        yield Mismatch("case", case, "no case that no fact speaks of", "a row")


def _step(folding: _Folding, row: tuple[Any, ...]) -> Iterator[Mismatch]:
    """Take a case one step further, and compare what the step says of itself."""
    id_, seq, partition, n, policy, path, category, group, department, post, cause, body = row
    case, where = folding.case, f"{id_} seq {seq} (partition {partition}, n {n})"
    if seq != case.seq + 1:
        yield Mismatch("step", where, f"seq {case.seq + 1}", f"seq {seq}")
    if partition != folding.partition:
        yield Mismatch("step", where, f"partition {folding.partition} as before", f"partition {partition}")
    before = case.owner
    for fact in f.decode_facts(body):
        apply(case, fact)
    case.seq = seq
    actor = f.decode_cause(cause).actor
    expected = (case.policy, _path(case), case.category, case.group, responsible(before, case.owner).department, actor)
    found = (policy, path, category, group, department, post)
    for name, right, stands in zip(DIMENSIONS, expected, found, strict=True):
        if right != stands:
            yield Mismatch("step", f"{where} {name}", repr(right), repr(stands))


def _compare(connection: Connection, folded: list[_Folding], packs: dict[int, str]) -> Iterator[Mismatch]:
    """Finished cases against their rows."""
    rows = recount.case_rows(connection, COLUMNS, [item.case.id for item in folded])
    for item in folded:
        id_, row = item.case.id, rows.get(item.case.id)
        if row is None:
            yield Mismatch("case", id_, f"a row in state {item.case.state}", "none")
            continue
        expected = _row(item, len(packs))
        for name, right, stands in zip(COLUMNS, expected, row, strict=True):
            same = right == stands or (name == "next_at" and _awaits_recalculation(stands, packs[item.partition]))
            if not same:
                yield Mismatch("case", f"{id_} {name}", repr(right), repr(stands))


def _row(item: _Folding, partitions: int) -> tuple[Any, ...]:
    """The columns of a case, from the case alone."""
    case, home = item.case, home_of(item.case.id)
    return (
        partition_of(home, partitions),
        case.definition,
        case.state,
        case.closed is None,
        case.owner.level,
        _path(case),
        case.owner.grid,
        case.owner.department,
        case.category,
        case.group,
        f"{home}|{case.key}" if case.key and case.closed is None else None,
        case.cycle,
        case.seq,
        case.opened,
        case.closed,
        case.next_at,
        case.due_at,
        any(clock.provisional for clock in case.clocks),
        encode(case).decode(),
    )


def _path(case: Case) -> str:
    return f"/{'/'.join(case.path)}/" if case.path else "/"


def _awaits_recalculation(next_at: int | None, packs: str) -> bool:
    """A pack was activated at this very instant, and the case is still to be looked at under it."""
    activated: list[tuple[str, int]] = msgspec.json.decode(packs)
    return any(at == next_at for _, at in activated)


# ---- the consumers -----------------------------------------------------------------------------------


def _figures(connection: Connection) -> Iterator[Mismatch]:
    for cell, expected, found in recount.wrong_figures(connection):
        named = zip(recount.CELL, cell, strict=True)
        where = ", ".join(f"{name} {value}" for name, value in named if value != "")
        yield Mismatch("figure", where, str(expected), str(found))


def _rows(
    what: str, rows: Iterator[tuple[tuple[Any, ...], str]], key: int, names: tuple[str, ...]
) -> Iterator[Mismatch]:
    """Rows that stand on one side only, joined by their key: what differs, or that one is missing."""
    sides: dict[tuple[Any, ...], dict[str, tuple[Any, ...]]] = {}
    for row, side in rows:
        sides.setdefault(row[:key], {})[side] = row
    for where, found in sides.items():
        expected, stands = found.get("expected"), found.get("found")
        place = " ".join(str(part) for part in where)
        if expected is None or stands is None:
            yield Mismatch(what, place, _presence(expected), _presence(stands))
            continue
        for name, right, wrong in zip(names, expected, stands, strict=True):
            if right != wrong:
                yield Mismatch(what, f"{place} {name}", repr(right), repr(wrong))


def _presence(row: tuple[Any, ...] | None) -> str:
    return "none" if row is None else "a row"


def _feed(connection: Connection) -> Iterator[Mismatch]:
    """Lines without gaps, and every alert told that did not wait for the end of quiet hours."""
    stored, lowest, highest = recount.feed_numbers(connection)
    if stored != highest or lowest != min(highest, 1):
        gap = recount.first_line_lost(connection)
        found = f"{stored} lines from {lowest} to {highest}"
        yield Mismatch("delivery", "the feed", f"lines 1 to {highest}, {gap} among them", found)
    for alert, what in recount.lines_missing(connection):
        yield Mismatch("delivery", alert, f"a line that it is {what}", "none")


def _positions(connection: Connection, live: bool) -> Iterator[Mismatch]:
    """Consumers at the end of every partition; never beyond it."""
    for consumer, partition, stands, end in recount.positions(connection):
        if stands > end or (stands < end and not live):
            yield Mismatch("position", f"{consumer} in partition {partition}", f"n {end}", f"n {stands}")

"""Reconcile (`gridpatrol verify`): does everything that is stored follow from the stored facts?

A mismatch says what is wrong, where, what the facts say and what was found. There is none when all is well. It reads
one snapshot step by step, and never writes.

1. The log: records have no gaps per partition, as far as it has decided; steps are numbered without gaps per partition
   and per case. What was made of the records agrees with them and among itself: see `consumers.verify.records`.
2. The cases: every row is the fold of its steps by `evolve`, every step's dimensions are those of the case after it, no
   case is without steps and no step is without its case. Of a case that stands nothing is due. The events that wait
   with it are counted, by principal, and who may act on it is known where several may. Files that its evidence names
   are known to be referred to.
3. The consumers: figures, outcomes, contributions, alerts and notices are recounted by SQL over the facts, without the
   fold's code; every consumer has read every partition to its end; the feed has every line; and nothing was published
   that is not there.
4. The sheets of assessments that are stored are computed again: see `consumers.verify.sheets`.
5. What has left for files is read with them as if it were there. Figures are recounted once more without, where its
   changes of them are kept.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, suppress
from functools import partial
from typing import Any

import msgspec
from msgspec import Struct

from consumers.verify import records, sheets
from engine.errors import PackUnusable
from engine.policies import Policies
from engine.slice.as_rows import shared_rows
from engine.slice.coming_up import Activations, active_since, row_due
from engine.store import archives, inbox_table, inventory, recount, sent_files, standing
from engine.store.database import Connection, Database
from engine.store.rows import CaseRow
from schemas import facts
from schemas.derived_ids import HOME
from schemas.partition import home_of, partition_of
from schemas.short_numbers import short_number
from workflows.case import Case, encode, responsible
from workflows.definitions import comes_up, held_by, is_home, is_open, shown_path
from workflows.evolve import apply
from workflows.policy.index import Policy

PAGE = 2000
COLUMNS = tuple(name for name in CaseRow.__struct_fields__ if name != "id")
DIMENSIONS = ("policy", "definition", "path", "category", "grp", "department", "post")
Snapshot = Callable[[Database], AbstractContextManager[Connection]]
"""How a database is read."""
WHOLE: Snapshot = partial(Database.read, whole=True)
"""As it is stored, from end to end."""
Progress = Callable[[int, int], None]
"""Called with the number of steps looked at, and of all."""


class Mismatch(Struct, frozen=True):
    """Something stored that does not follow from the facts."""

    what: str  # inbox, log, step, seen, standing, case, parked, shared work, figure, outcome, alert, notice, ...
    where: str
    expected: str
    found: str

    def __str__(self) -> str:
        return f"{self.what} {self.where}: expected {self.expected}, found {self.found}"


def verify(
    database: Database,
    progress: Progress | None = None,
    *,
    live: bool = False,
    snapshot: Snapshot = WHOLE,
) -> list[Mismatch]:
    """All mismatches. With `live`, consumers may be behind, as they are for moments while the engine works. `snapshot`:
    how to read it together with what has left it."""
    with database.read(whole=True) as connection:
        found = list(_left(connection))
    with snapshot(database) as connection:
        return [*found, *mismatches(connection, progress, live=live)]


def mismatches(connection: Connection, progress: Progress | None = None, *, live: bool = False) -> Iterator[Mismatch]:
    """The same within an open transaction, one after another."""
    yield from _log(connection)
    yield from _cases(connection, progress)
    yield from _figures(connection, "figure")
    yield from _rows("open count", recount.wrong_open_counts(connection), 12, recount.OPEN_COUNT)
    yield from _rows("outcome", recount.wrong_outcomes(connection), 5, recount.OUTCOME)
    yield from _rows("contribution", recount.wrong_contributions(connection), 5, recount.OUTCOME[:5])
    yield from _rows("contribution", recount.wrong_units(connection), 3, recount.UNIT)
    yield from _rows("alert", recount.wrong_alerts(connection), 1, recount.ALERT)
    yield from _rows("notice", recount.wrong_notices(connection), 1, recount.NOTICE)
    # The lines of the feed, and alerts without a line that did not wait for the end of quiet hours.
    stored, lowest, highest = inventory.feed_numbers(connection)
    if stored != highest or lowest != min(highest, 1):
        gap = inventory.first_line_lost(connection)
        numbered = f"{stored} lines from {lowest} to {highest}"
        yield Mismatch("delivery", "the feed", f"lines 1 to {highest}, {gap} among them", numbered)
    for alert, what in inventory.lines_missing(connection):
        yield Mismatch("delivery", alert, f"a line that it is {what}", "none")
    for notice, number in recount.wrong_tellings(connection):
        yield Mismatch("delivery", notice, "its own line", f"line {number}" if number else "none")
    for number, right, wrong in recount.lines_of_another_kind(connection):
        yield Mismatch("delivery", f"line {number} definition", repr(right), repr(wrong))
    for where, right, wrong in sheets.findings(connection):
        yield Mismatch("sheet", where, right, wrong)
    for consumer, partition, position, end in inventory.positions(connection):
        if position > end or (position < end and not live):
            yield Mismatch("position", f"{consumer} in partition {partition}", f"n {end}", f"n {position}")
    for topic, partition, position, end in inventory.marks_ahead(connection):
        yield Mismatch("position", f"{topic} in partition {partition}", f"at most {end}", str(position))


def _left(connection: Connection) -> Iterator[Mismatch]:
    """Where cases have left: figures that are not what is stored and what stands for the others make together; files of
    which a stub is missing, or still a case; and cases that are there as well."""
    if not archives.listed(connection):
        return
    yield from _figures(connection, "stored or archived figure")
    for archive, right, wrong in archives.wrong_counts(connection):
        yield Mismatch("archive", archive, f"{right} cases that have left", str(wrong))
    for case in archives.doubled(connection):
        yield Mismatch("archive", case, "a case that has left", "its row")


def _figures(connection: Connection, what: str) -> Iterator[Mismatch]:
    for cell, expected, found in recount.wrong_figures(connection):
        where = ", ".join(f"{name} {value}" for name, value in zip(recount.CELL, cell, strict=True) if value != "")
        yield Mismatch(what, where, str(expected), str(found))


# ---- the log -----------------------------------------------------------------------------------------


def _log(connection: Connection) -> Iterator[Mismatch]:
    """Records, steps and outcomes that are missing, and steps of a case that are there twice.

    Of records the decided ones at the least; those of a topic are watched by its worker.
    """
    origin = inbox_table.read_origin(connection)
    for partition, decided, stored, head in inventory.received(connection):
        if origin is not None:
            decided = min(decided, origin.bases[partition])
        if stored == head >= decided:
            continue
        gap, end = inventory.first_record_lost(connection, partition), max(head, decided)
        where = f"partition {partition}"
        yield Mismatch("inbox", where, f"records 0 to {end - 1}, {gap} among them", f"{stored} records, none at {gap}")
    for partition, n, stored, lowest, highest in inventory.numbering(connection):
        if (stored, highest) == (n, n) and lowest == min(n, 1):
            continue
        gap = inventory.first_gap(connection, partition)
        expected = f"steps 1 to {n}, {gap} among them" if gap <= n else f"steps 1 to {n}"
        yield Mismatch("log", f"partition {partition}", expected, f"{stored} steps from {lowest} to {highest}")
    for case, seq, times in inventory.doubled_steps(connection):
        yield Mismatch("step", f"{case} seq {seq}", "once", f"{times} times")
    for partition, stand in standing.counts(connection):
        if stand != (rows := len(standing.read_ids(connection, partition))):
            yield Mismatch("standing", f"partition {partition}", f"{rows} cases", f"{stand} cases")
    for what, where, expected, wrong in records.findings(connection):
        yield Mismatch(what, where, expected, wrong)


# ---- the cases ---------------------------------------------------------------------------------------


class _Replayed(Struct):
    """A case on the way through its steps."""

    case: Case
    partition: int
    files: set[str] = msgspec.field(default_factory=set)  # to which its evidence refers


def _cases(connection: Connection, progress: Progress | None) -> Iterator[Mismatch]:
    """Case rows that differ from the fold of their steps, page by page."""
    packs, policies = inventory.activations(connection), partial(Policies().get, connection)
    total, done, at = inventory.count_steps(connection), 0, ("", 0)
    open_: _Replayed | None = None  # its steps may go on in the next page
    while rows := inventory.page_of_steps(connection, *at, PAGE):
        folding: list[_Replayed] = [open_] if open_ is not None else []
        for row in rows:
            if not folding or folding[-1].case.id != row[0]:
                folding.append(_Replayed(Case(id=row[0]), row[2]))
            yield from _step(folding[-1], row)
        open_ = folding.pop()
        yield from _compare(connection, folding, packs, policies)
        at, done = (rows[-1][0], rows[-1][1]), done + len(rows)
        if progress is not None:
            progress(done, total)
    yield from _compare(connection, [open_] if open_ is not None else [], packs, policies)
    for case, *found in inventory.cases_without_steps(connection, COLUMNS):
        yield from _entered(case, tuple(found), packs)
    for case in inventory.parked_without_steps(connection):
        yield Mismatch("parked", case, "no case that no fact speaks of", "a row")


def _step(folding: _Replayed, row: tuple[Any, ...]) -> Iterator[Mismatch]:
    """Apply a step to its case, and compare the step's dimensions with it."""
    id_, seq, partition, n, *found, cause, body = row
    case, where = folding.case, f"{id_} seq {seq} (partition {partition}, n {n})"
    if seq != case.seq + 1:
        yield Mismatch("step", where, f"seq {case.seq + 1}", f"seq {seq}")
    if partition != folding.partition:
        yield Mismatch("step", where, f"partition {folding.partition} as before", f"partition {partition}")
    before = case.owner
    for fact in facts.decode_facts(body):
        apply(case, fact)
        if isinstance(fact, facts.Evidenced) and not fact.url:
            folding.files.add(fact.sha256)
    case.seq = seq
    actor = facts.decode_cause(cause).actor
    unit = responsible(before, case.owner).department
    expected = (case.policy, case.definition, shown_path(case), case.category, case.group, unit, case.post or actor)
    for name, right, wrong in zip(DIMENSIONS, expected, found, strict=True):
        if right != wrong:
            yield Mismatch("step", f"{where} {name}", repr(right), repr(wrong))


def _compare(
    connection: Connection, folded: list[_Replayed], packs: dict[int, str], policies: Callable[[str], Policy]
) -> Iterator[Mismatch]:
    """Rows of replayed cases that differ from them."""
    ids = [item.case.id for item in folded]
    rows, stand = inventory.case_rows(connection, COLUMNS, ids), standing.find(connection, ids)
    counted, shared = inventory.parked_rows(connection, ids), inventory.shared_work(connection, ids)
    referred = sent_files.named_by(connection, [item.case.id for item in folded if item.files])
    for item in folded:
        for sha256 in sorted(item.files - referred.get(item.case.id, set())):
            yield Mismatch("file reference", item.case.id, sha256, "none")
        id_, row = item.case.id, rows.get(item.case.id)
        waiting = Counter(filter(None, (early.principal for early in item.case.parked)))
        right = {principal: (home_of(id_), item.partition, number) for principal, number in waiting.items()}
        if (wrong := counted.get(id_, {})) != right:
            yield Mismatch("parked", id_, repr(right), repr(wrong))
        works = sorted((r.level, r.grid, r.due_at) for r in shared_rows(item.case))
        if (stored := shared.get(id_, [])) != works:
            yield Mismatch("shared work", id_, repr(works), repr(stored))
        if row is None:
            yield Mismatch("case", id_, f"a row in state {item.case.state}", "none")
            continue
        activated: list[tuple[str, int]] = msgspec.json.decode(packs.get(item.partition, "[]"))
        fields = _row(item, len(packs), nothing_due=id_ in stand)
        for name, expected, found in zip(COLUMNS, fields, row, strict=True):
            if name == "next_at" and id_ not in stand:
                expected, others = rows_due(item.case, activated, policies)
                found = expected if found in others else found
            if expected != found:
                yield Mismatch("case", f"{id_} {name}", repr(expected), repr(found))


def rows_due(case: Case, activated: Activations, policies: Callable[[str], Policy]) -> tuple[int | None, set[int]]:
    """When the row of a case comes up under the pack that is active, and at which instants it may besides: it is still
    to be looked at under a pack that became active a millisecond later, or one before let it come up."""
    looked, known = {arrival - 1 for _, arrival in activated}, dict[str, Policy]()
    for digest, _ in activated:
        with suppress(PackUnusable):  # a mismatch of its own
            known[digest] = policies(digest)
    last = activated[-1][0] if activated else ""
    due = row_due(case, known.get(last), active_since(activated, last))
    ends = {
        max(end, arrival) for digest, arrival in activated if digest in known for end in known[digest].ends.values()
    }
    return due, looked | {at for at in ends if due is None or at < due}


def _entered(id_: str, found: tuple[Any, ...], packs: dict[int, str]) -> Iterator[Mismatch]:
    """A case that no fact speaks of: only a home's, which comes up a millisecond before an activation, is one."""
    if not is_home(id_):
        yield Mismatch("case", id_, "no case that no fact speaks of", "a row")
        return
    partition = partition_of(home_of(id_), len(packs))
    activated: list[tuple[str, int]] = msgspec.json.decode(packs.get(partition, "[]"))
    fields = _row(_Replayed(Case(id=id_, definition=HOME), partition), len(packs), nothing_due=False)
    for name, expected, value in zip(COLUMNS, fields, found, strict=True):
        if name == "next_at" and value not in {at - 1 for _, at in activated}:
            instants = ", ".join(str(at - 1) for _, at in activated)
            yield Mismatch("case", f"{id_} {name}", f"one of {instants}", repr(value))
        elif name != "next_at" and expected != value:
            yield Mismatch("case", f"{id_} {name}", repr(expected), repr(value))


def _row(item: _Replayed, partitions: int, nothing_due: bool) -> tuple[Any, ...]:
    """The columns of a case, from the case alone, and whether it stands, so that nothing of it is due."""
    case, home, holder = item.case, home_of(item.case.id), held_by(item.case)
    return (
        partition_of(home, partitions),
        case.definition,
        case.state,
        is_open(case),
        case.owner.level,
        shown_path(case),
        case.owner.grid,
        case.owner.department,
        holder.post or holder.grid,
        holder.department,
        case.category,
        case.group,
        f"{home}|{case.key}" if case.key and case.closed is None else None,
        case.cycle,
        case.seq,
        case.opened,
        case.closed,
        None if nothing_due else comes_up(case),
        case.due_at,
        any(clock.provisional for clock in case.clocks),
        encode(case).decode(),
        short_number(case.id),
        case.reference,
        case.by,
        case.campaign,
    )


# ---- the consumers -----------------------------------------------------------------------------------


def _rows(
    what: str, rows: Iterator[tuple[tuple[Any, ...], str]], key: int, names: tuple[str, ...]
) -> Iterator[Mismatch]:
    """Rows that only one side has, joined by their key: what differs, or that one is missing."""
    sides: dict[tuple[Any, ...], dict[str, tuple[Any, ...]]] = {}
    for row, side in rows:
        sides.setdefault(row[:key], {})[side] = row
    for where, found in sides.items():
        expected, stored = found.get("expected"), found.get("found")
        place = " ".join(str(part) for part in where)
        if expected is None or stored is None:
            yield Mismatch(what, place, _presence(expected), _presence(stored))
            continue
        for name, right, wrong in zip(names, expected, stored, strict=True):
            if right != wrong:
                yield Mismatch(what, f"{place} {name}", repr(right), repr(wrong))


def _presence(row: tuple[Any, ...] | None) -> str:
    return "none" if row is None else "a row"

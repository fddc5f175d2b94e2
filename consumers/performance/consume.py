"""Folds steps into figures as they come: contributions, figures, outcomes and the consumer's position, in one
transaction apart from the slice's.

New steps are read from the table `facts` (`consume`, `fold_from_store`), or come as messages (`fold_messages`). Who
reads them for others as well, in one transaction, hands them to `take_in`.
`engine.views.performance` reads the figures for people.
"""

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Sequence
from typing import NamedTuple

from consumers.performance.fold import (
    JUDGED,
    REOPENING,
    Cell,
    Contribution,
    Exempted,
    ExemptedOutcome,
    Figure,
    OutcomeRow,
    decode,
    encode,
    fold,
)
from engine import failpoints
from engine.store import figures, steps, unpublished_figures
from engine.store.database import Connection, Database
from engine.store.figures import ContributionRow
from engine.store.rows import StepRow
from engine.store.steps import Positions, StepRange
from schemas import facts
from workflows.case import TOTAL

NAME = "performance"
WIDE = 2000
"""Missing steps that one transaction still folds beside those that came."""


def consume(database: Database, at_hand: Sequence[StepRow] = (), limit: int = 500) -> int:
    """Fold the next steps, those `at_hand` or about `limit` of the store. Returns how many; 0 when nothing is new.

    FactsGap where a step is missing.
    """
    return _from_store(database, limit, None, note=False, at_hand=at_hand)


def fold_from_store(database: Database, partitions: Collection[int] | None = None, limit: int = 2000) -> int:
    """The same for these partitions, or all. Which figures changed is noted, so that they are published."""
    return _from_store(database, limit, partitions, note=True)


def fold_rest(database: Database, show: Callable[[int], object], *, note: bool) -> None:
    """Fold every step that the figures do not have yet. `show` is told after each transaction how many they were."""
    folded = 0
    while more := _from_store(database, WIDE, None, note):
        folded += more
        show(folded)


def _from_store(
    database: Database,
    limit: int,
    partitions: Collection[int] | None,
    note: bool,
    at_hand: Sequence[StepRow] = (),
) -> int:
    with database.begin() as connection:
        rows = steps.read_new(connection, NAME, limit, partitions, at_hand)
        if not rows:
            return 0
        news = [steps.step_of(row) for row in rows]
        take_in(connection, news, note=note)
        steps.move_on(connection, [NAME], news)
        failpoints.hit("fold.before_commit")
    failpoints.hit("fold.after_commit")
    return len(rows)


class FoldCounts(NamedTuple):
    """What became of steps that came as messages, and how many were folded from the store beside them."""

    folded: int
    skipped: int  # were folded before
    unknown: int  # the store has no step of that number: they are of another history
    filled: int = 0


def fold_messages(
    database: Database, news: Sequence[facts.Step], between: Callable[[], None] = lambda: None
) -> FoldCounts:
    """Fold steps that came as messages: in order within a partition, but perhaps twice, or with gaps.

    A gap is filled from the store, a wide one first and in transactions of its own, with a call of `between` before
    each. The store is the truth; a message only saves reading it. Which figures changed is noted, so that they are
    published.
    """
    partitions, ahead = {step.partition for step in news}, 0
    while True:
        with database.begin() as connection:
            found = select_new(steps.hold(connection, NAME, partitions), news)
            if found.missing <= WIDE:
                missing = [steps.step_of(row) for row in steps.read_ranges(connection, NAME, sorted(found.gaps))]
                if ordered := sorted(found.fresh + missing, key=lambda step: (step.partition, step.n)):
                    take_in(connection, ordered, note=True)
                    steps.move_on(connection, [NAME], ordered)
                failpoints.hit("fold.before_commit")
                break
        between()
        while more := fold_from_store(database, {gap.partition for gap in found.gaps}):
            ahead += more
            between()
    failpoints.hit("fold.after_commit")
    return FoldCounts(len(found.fresh), found.skipped, found.unknown, ahead + len(missing))


class StepBatch(NamedTuple):
    """Steps to fold, and the gaps before them; how many were folded before, and how many the store does not know."""

    fresh: list[facts.Step]
    gaps: list[StepRange]
    skipped: int
    unknown: int

    @property
    def missing(self) -> int:
        """How many steps the gaps have."""
        return sum(gap.upto - gap.after for gap in self.gaps)


def select_new(stands: Positions, news: Iterable[facts.Step]) -> StepBatch:
    """Select the steps that are to be folded, and find the gaps between them."""
    last, fresh, gaps, skipped, unknown = dict(stands.last), list[facts.Step](), list[StepRange](), 0, 0
    for step in news:
        partition, n = step.partition, step.n
        if n > stands.ends.get(partition, 0) or n < 1:
            unknown += 1
        elif n <= last[partition]:
            skipped += 1
        else:
            if n > last[partition] + 1:
                gaps.append(StepRange(partition, last[partition], n - 1))
            fresh.append(step)
            last[partition] = n
    return StepBatch(fresh, gaps, skipped, unknown)


def rebuild(database: Database, *, note: bool = False) -> int:
    """Forget all figures, so that they are folded again. Returns how many steps there are.

    With `note` the figures of before are published again, whatever becomes of them.
    """
    with database.begin() as connection:
        steps.forget(connection, NAME)
        if note:
            unpublished_figures.note_all(connection)
        figures.clear(connection)
        return sum(steps.read_ends(connection).values())


def exempted_in(contribution: Contribution | None) -> tuple[Exempted, ...]:
    """The missed deadlines of a case that are exempted."""
    return () if contribution is None else contribution.exempted


def take_in(connection: Connection, news: Sequence[facts.Step], *, note: bool) -> None:
    """Fold steps, and write the result. The consumer's positions are locked.

    Each contribution, each cell and each outcome is written once, in the order of their keys.
    """
    moved = {step.case for step in news if not JUDGED.isdisjoint(map(type, step.facts))}
    moved -= {step.case for step in news if step.seq == 1}  # of them nothing is stored yet
    stored = figures.read_contributions(connection, moved) if moved else {}
    held: dict[str, Contribution | None] = {case: decode(body) for case, body in stored.items()}
    partition: dict[str, int] = {}
    total: defaultdict[tuple[str, Cell], int] = defaultdict(int)
    ends = read_ends(connection, news)
    stopped: dict[tuple[str, str, int, int, int], OutcomeRow] = {}
    for step in news:
        before = held.get(step.case)
        after, cells, outcomes = fold(before, step, ends.get(step.case))
        if after is not before:
            held[step.case], partition[step.case] = after, step.partition
        for cell, value in cells.items():
            total[step.definition, cell] += value
        for row in outcomes:
            stopped[row.case_id, row.clock, row.level, row.cycle, row.target] = row
            if row.clock == TOTAL:
                ends[row.case_id] = row
    contributions = [ContributionRow(c, p, encode(held[c]).decode()) for c, p in sorted(partition.items())]
    changes = [
        Figure(definition, measure, *place, value)
        for (definition, (measure, place)), value in sorted(total.items())
        if value
    ]
    exempted = [
        ExemptedOutcome(case, *each)
        for case in sorted(partition)
        for each in exempted_in(held[case])
        if case not in stored or each not in exempted_in(decode(stored[case]))
    ]
    figures.write_fold(connection, contributions, changes, list(stopped.values()), exempted)
    if note:
        unpublished_figures.note(connection, news[-1].partition, news[-1].n, changes)


def read_ends(connection: Connection, news: Iterable[facts.Step]) -> dict[str, OutcomeRow]:
    """The outcomes with which cases have ended so far that steps take up again."""
    ids = {step.case for step in news if REOPENING in map(type, step.facts)}
    found = figures.read_ends(connection, ids, OutcomeRow.__struct_fields__) if ids else []
    return {row.case_id: row for row in (OutcomeRow(*each) for each in found)}

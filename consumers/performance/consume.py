"""Folds steps into figures as they come: contributions, figures, outcomes and the consumer's position, in one
transaction of its own.

New steps are read from the table `facts` (`consume`, `fill`), or come as messages (`take`). `engine.views.performance`
reads the figures for people.
"""

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Sequence
from typing import NamedTuple

from consumers.performance.fold import Cell, Contribution, Figure, OutcomeRow, Place, decode, encode, fold
from engine import failpoints
from engine.store import figures, steps, unpublished_figures
from engine.store.database import Database
from engine.store.figures import ContributionRow
from engine.store.steps import Connection, Stands, Stretch
from schemas import facts as f

NAME = "performance"
WIDE = 2000
"""Missing steps that one transaction still folds beside those that came."""


def consume(database: Database, limit: int = 500) -> int:
    """Fold the next steps of the store, about `limit` at most; 0 when nothing is new.

    FactsGap where a step is missing.
    """
    return _from_store(database, limit, None, note=False)


def fill(database: Database, partitions: Collection[int] | None = None, limit: int = 2000) -> int:
    """The same of these partitions, or of all; which figures changed is noted for who publishes them."""
    return _from_store(database, limit, partitions, note=True)


def _from_store(database: Database, limit: int, partitions: Collection[int] | None, note: bool) -> int:
    with database.begin() as connection:
        rows = steps.read_new(connection, NAME, limit, partitions)
        if not rows:
            return 0
        _write(connection, [steps.step_of(row) for row in rows], note)
        failpoints.hit("fold.before_commit")
    failpoints.hit("fold.after_commit")
    return len(rows)


class Taken(NamedTuple):
    """What became of steps that came as messages, and how many were folded out of the store beside them."""

    folded: int
    skipped: int  # were folded before
    unknown: int  # the store has no step of that number: they are of another history
    filled: int = 0


def take(database: Database, told: Sequence[f.Step], between: Callable[[], None] = lambda: None) -> Taken:
    """Fold steps that came as messages: in order within a partition, but perhaps twice, or with gaps.

    A gap is filled from the store, a wide one ahead of all else: the store is the truth, a message only saves
    reading it. What changed is noted for who publishes it.
    """
    wanted, ahead = {step.partition for step in told}, 0
    while True:
        with database.begin() as connection:
            sifted = sift(steps.hold(connection, NAME, wanted), told)
            if sifted.missing <= WIDE:
                missing = [steps.step_of(row) for row in steps.read_stretches(connection, NAME, sorted(sifted.gaps))]
                if news := sorted(sifted.fresh + missing, key=_place):
                    _write(connection, news, note=True)
                failpoints.hit("fold.before_commit")
                break
        between()
        while more := fill(database, {gap.partition for gap in sifted.gaps}):
            ahead += more
            between()
    failpoints.hit("fold.after_commit")
    return Taken(len(sifted.fresh), sifted.skipped, sifted.unknown, ahead + len(missing))


class Sifted(NamedTuple):
    """Steps to fold, and what is missing before them; how many were folded before, and how many are not known."""

    fresh: list[f.Step]
    gaps: list[Stretch]
    skipped: int
    unknown: int

    @property
    def missing(self) -> int:
        """How many steps are missing."""
        return sum(gap.upto - gap.after for gap in self.gaps)


def sift(stands: Stands, told: Iterable[f.Step]) -> Sifted:
    """Which of these steps are to be folded, and which ones lie between them that nobody brought."""
    last, fresh, gaps, skipped, unknown = dict(stands.last), list[f.Step](), list[Stretch](), 0, 0
    for step in told:
        partition, n = step.partition, step.n
        if n > stands.ends.get(partition, 0) or n < 1:
            unknown += 1
        elif n <= last[partition]:
            skipped += 1
        else:
            if n > last[partition] + 1:
                gaps.append(Stretch(partition, last[partition], n - 1))
            fresh.append(step)
            last[partition] = n
    return Sifted(fresh, gaps, skipped, unknown)


def _place(step: f.Step) -> tuple[int, int]:
    return step.partition, step.n


def rebuild(database: Database, *, note: bool = False) -> int:
    """Forget all figures; `consume` or `fill` then folds them again, whoever calls it. How many steps there are.

    With `note` those that were are published again, whatever becomes of them.
    """
    with database.begin() as connection:
        steps.forget(connection, NAME)
        if note:
            unpublished_figures.note_all(connection)
        figures.clear(connection)
        return sum(steps.read_ends(connection).values())


def _write(connection: Connection, news: Sequence[f.Step], note: bool) -> None:
    """Fold steps and keep what became of it, and how far that goes. Their positions are held."""
    stored = figures.read_contributions(connection, {step.case for step in news})
    held, changes, stopped = _fold(news, stored)
    figures.write_fold(connection, held, changes, stopped)
    if note:
        unpublished_figures.note(connection, news[-1].partition, news[-1].n, changes)
    steps.move_on(connection, NAME, news)


def _fold(
    news: Iterable[f.Step], stored: dict[str, str]
) -> tuple[list[ContributionRow], list[Figure], list[OutcomeRow]]:
    """What to write for these steps: each contribution, each cell and each outcome once, in the order of
    their keys."""
    held: dict[str, Contribution | None] = {case: decode(body) for case, body in stored.items()}
    partition: dict[str, int] = {}
    total: defaultdict[Cell, int] = defaultdict(int)
    stopped: list[OutcomeRow] = []
    for step in news:
        before = held.get(step.case)
        after, cells, outcomes = fold(before, step)
        if after is not before:
            held[step.case], partition[step.case] = after, step.partition
        for cell, value in cells.items():
            total[cell] += value
        stopped += outcomes
    contributions = [ContributionRow(c, p, encode(held[c]).decode()) for c, p in sorted(partition.items())]
    changes = [_figure(measure, place, value) for (measure, place), value in sorted(total.items()) if value]
    return contributions, changes, stopped


def _figure(measure: str, place: Place, value: int) -> Figure:
    day, path, department, category, group, post = place
    return Figure(measure, day, path, department, category, group, post, value)

"""Performance: folds steps into figures as they come, and reads figures for people.

In: the steps of the table `facts` that are new to this consumer, read there (`consume`) or brought by messages
(`take`). Out: contributions, figures, outcomes and its position, in one transaction of its own. Read: counts,
rates and durations of a subtree, by grid, department, group, category, post or day; and how the open cases
stand.

The indicators, all exact (numerator, denominator) with basis points beside them:

- 结案率 close rate = closed ones among the closable / closable. 应结案 (closable): cases with a deadline
  that were closed or fell due in the period.
- 按期结案率 on-time close rate = closed on time / closable.
- 返工率 rework rate = unsolved deciding checks / deciding checks. The published formula is unknown: our
  definition.
- Median and 90th percentile: nearest rank, of the elapsed time from report to closing, in ms.

A rate from fewer cases than the pack's `min_n` is marked `thin`: it is shown, and ranks nothing.
"""

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Any, NamedTuple

from msgspec import Struct, structs

from consumers.performance.fold import Cell, Contribution, Figure, OutcomeRow, decode, encode, fold, with_sums
from engine import failpoints
from engine.store import figures, recount, steps, unpublished_figures
from engine.store.database import Database
from engine.store.figures import By, ContributionRow, Selection
from engine.store.steps import Connection, Positions, StepRange
from schemas import facts as f
from workflows import periods
from workflows.policy.index import Policy

NAME = "performance"
CLOSED = "incident.closed"
EVER = 99991231
"""The last day of a reading without an end."""
WIDE = 2000
"""Missing steps that one transaction still folds beside those that came."""
Took = tuple[int, int, int]
"""Number of closed cases, median and 90th percentile of their elapsed time in ms."""


# ---- folding -----------------------------------------------------------------------------------------


def consume(database: Database, limit: int = 500) -> int:
    """Fold the next steps of the store, about `limit` at most. Returns how many; 0 when nothing is new.

    FactsGap where a step is missing.
    """
    return _from_store(database, limit, None, note=False)


def fold_from_store(database: Database, partitions: Collection[int] | None = None, limit: int = 2000) -> int:
    """The same for these partitions, or all. Which figures changed is noted, so that they are published."""
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


class FoldCounts(NamedTuple):
    """What became of steps that came as messages, and how many were folded from the store beside them."""

    folded: int
    skipped: int  # were folded before
    unknown: int  # the store has no step of that number: they are of another history
    filled: int = 0


def fold_messages(database: Database, news: Sequence[f.Step], between: Callable[[], None] = lambda: None) -> FoldCounts:
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
                    _write(connection, ordered, note=True)
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

    fresh: list[f.Step]
    gaps: list[StepRange]
    skipped: int
    unknown: int

    @property
    def missing(self) -> int:
        """How many steps the gaps have."""
        return sum(gap.upto - gap.after for gap in self.gaps)


def select_new(stands: Positions, news: Iterable[f.Step]) -> StepBatch:
    """Select the steps that are to be folded, and find the gaps between them."""
    last, fresh, gaps, skipped, unknown = dict(stands.last), list[f.Step](), list[StepRange](), 0, 0
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


def _write(connection: Connection, news: Sequence[f.Step], note: bool) -> None:
    """Fold steps, and write the result and the positions. The positions are locked."""
    stored = figures.read_contributions(connection, {step.case for step in news})
    held, changes, stopped = _fold(news, stored)
    figures.write_fold(connection, held, changes, stopped)
    if note:
        unpublished_figures.note(connection, news[-1].partition, news[-1].n, changes)
    steps.move_on(connection, NAME, news)


def _fold(
    news: Iterable[f.Step], stored: dict[str, str]
) -> tuple[list[ContributionRow], list[Figure], list[OutcomeRow]]:
    """What to write for these steps: each contribution, each cell and each outcome once, in the order of their keys."""
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
    changes = [Figure(measure, *place, value) for (measure, place), value in sorted(total.items()) if value]
    return contributions, changes, stopped


# ---- reading -----------------------------------------------------------------------------------------


class Rate(Struct, frozen=True):
    """A share, exact; `basis_points` rounded half up, None where there is nothing to divide by."""

    numerator: int
    denominator: int
    basis_points: int | None


class FigureRow(Struct, frozen=True, kw_only=True):
    """One line of a reading. Durations in ms. `published` and `restated` only where they were asked for."""

    key: str
    name: str
    counts: dict[str, int]
    close_rate: Rate
    on_time_rate: Rate
    rework_rate: Rate
    n: int  # closable cases: what the first two rates are made of
    thin: bool
    durations_n: int
    median_ms: int | None
    p90_ms: int | None
    published: "FigureRow | None" = None  # as it stood when the period's days of grace were over
    restated: bool | None = None  # what arrived since has changed it


class Standing(Struct, frozen=True):
    """Open cases by their total deadline, as of an instant."""

    key: str
    name: str
    open: int
    overdue: int
    not_due: int
    without_deadline: int


def performance(
    database: Database,
    policy: Policy,
    *,
    grid: str | None = None,
    level: int | None = None,
    department: str | None = None,
    group: str | None = None,
    category: str | None = None,
    post: str | None = None,
    period: str | None = None,
    day: int = 0,
    since: int = 0,
    until: int = EVER,
    by: By = "",
    published: bool = False,
) -> list[FigureRow]:
    """Figures of a subtree, one row per key, sorted by key; without `by`, one row.

    The days are those of the `period` that holds `day`, or `since` to `until` (YYYYMMDD, inclusive). With
    `by` grid the rows are the children of `grid`, or its descendants at `level`. With `published` each row
    also says how it stood when the days of grace after `until` were over. Unknown codes and periods, and
    levels that the pack does not have, are a ValueError.
    """
    if period is not None:
        since, until = periods.bounds(day, period)
    if published and until == EVER:
        raise ValueError("only a period that ends was ever published: give a period, or the last day")
    chosen = structs.replace(
        _selection(policy, grid, level, by),
        since=since,
        until=until,
        department=department,
        group=group,
        category=category,
        post=post,
    )
    with database.read() as connection:
        now = _rows(policy, chosen, figures.sums(connection, chosen), _durations(connection, chosen))
        if not published:
            return now
        early = structs.replace(chosen, upto=_end_of_grace(policy, until))
        then = _rows(policy, chosen, recount.sums_as_of(connection, early), _durations(connection, early))
    return _restated(policy, now, then)


def standing(
    database: Database,
    policy: Policy,
    at_ms: int,
    *,
    grid: str | None = None,
    level: int | None = None,
    department: str | None = None,
    group: str | None = None,
    category: str | None = None,
    by: By = "",
) -> list[Standing]:
    """The open cases as of an instant: overdue strictly after their total deadline."""
    if by in ("post", "day"):
        raise ValueError(f"open cases cannot be read by {by}: choose grid, department, group or category")
    chosen = structs.replace(_selection(policy, grid, level, by), department=department, group=group, category=category)
    with database.read() as connection:
        rows = figures.standing(connection, chosen, at_ms)
    named = ((_key(policy, chosen, row[0]), row[1:]) for row in rows)
    found = [Standing(key, name_of(policy, by, key), *counts) for key, counts in named]
    return sorted(found, key=lambda row: row.key)


def _selection(policy: Policy, grid: str | None, level: int | None, by: By) -> Selection:
    """The subtree and the grouping."""
    if by not in ("", "grid", *figures.COLUMN):
        raise ValueError(f"{by!r} groups nothing: choose grid, {', '.join(figures.COLUMN)}")
    if grid is not None and grid not in policy.grids:
        raise ValueError(f"{grid!r} is no grid of the active pack")
    deepest = policy.leaf_level
    if level is not None and not 1 <= level <= deepest:
        raise ValueError(f"level: the active pack has no level {level}, only levels 1 to {deepest}")
    path = policy.path(grid) if grid is not None else ()
    below = level if level is not None else min(max(len(path), 1) + 1, deepest)
    return Selection(path="".join(f"/{code}" for code in path) + "/", level=below, by=by)


def _durations(connection: Connection, chosen: Selection) -> dict[str, Took]:
    return figures.durations(connection, chosen, "total", CLOSED)


def _end_of_grace(policy: Policy, until: int) -> int:
    """The last instant of the days of grace."""
    last = periods.published(until, policy.options.grace_days)
    return policy.clock_of_days.day_start(periods.published(last, 1)) - 1


def _rows(
    policy: Policy, chosen: Selection, sums: list[tuple[str, str, int]], took: dict[str, Took]
) -> list[FigureRow]:
    counts: dict[str, dict[str, int]] = {} if chosen.by else {"": {}}
    for key, measure, value in sums:
        counts.setdefault(key, {})[measure] = value
    rows = [_row(policy, chosen, key, with_sums(counts[key]), took.get(key)) for key in counts]
    return sorted(rows, key=lambda row: row.key)


def _row(policy: Policy, chosen: Selection, key: str, counts: dict[str, int], took: Took | None) -> FigureRow:
    """The indicators of one key."""
    closable, on_time = counts.get("closable", 0), counts.get("on_time", 0)
    n, median, p90 = took or (0, None, None)
    key = _key(policy, chosen, key)
    return FigureRow(
        key=key,
        name=name_of(policy, chosen.by, key),
        counts=counts,
        close_rate=rate(on_time + counts.get("overdue_closed", 0), closable),
        on_time_rate=rate(on_time, closable),
        rework_rate=rate(counts.get("rework", 0), counts.get("verified", 0)),
        n=closable,
        thin=closable < policy.options.min_n,
        durations_n=n,
        median_ms=median,
        p90_ms=p90,
    )


def rate(numerator: int, denominator: int) -> Rate:
    """A rate with its basis points: 2 of 3 are 6667."""
    points = (20_000 * numerator + denominator) // (2 * denominator) if denominator else None
    return Rate(numerator, denominator, points)


def _key(policy: Policy, chosen: Selection, key: str) -> str:
    """Cases without a place lie in the root."""
    return key or (policy.root if chosen.by == "grid" else "")


def name_of(policy: Policy, by: str, key: str) -> str:
    """The name behind a code, the code itself where the active pack no longer knows it."""
    if by == "grid" and key in policy.grids:
        return policy.grids[key].name
    if by == "department" and key in policy.departments:
        return policy.departments[key].name
    if by == "category" and key in policy.categories:
        return policy.categories[key].name_zh
    if by == "post" and key in policy.posts:
        return policy.posts[key].title
    return key


def _restated(policy: Policy, now: list[FigureRow], then: list[FigureRow]) -> list[FigureRow]:
    """The rows as they are, each with the row as it was published; keys that are new since were published
    empty."""
    stood = {row.key: row for row in then}
    known = {row.key for row in now}
    nothing: dict[str, Any] = dict(
        counts={},
        close_rate=rate(0, 0),
        on_time_rate=rate(0, 0),
        rework_rate=rate(0, 0),
        n=0,
        thin=policy.options.min_n > 0,
        durations_n=0,
        median_ms=None,
        p90_ms=None,
    )
    gone = [FigureRow(key=row.key, name=row.name, **nothing) for row in then if row.key not in known]
    result = []
    for row in [*now, *gone]:
        before = stood.get(row.key) or FigureRow(key=row.key, name=row.name, **nothing)
        result.append(structs.replace(row, published=before, restated=before != row))
    return sorted(result, key=lambda row: row.key)

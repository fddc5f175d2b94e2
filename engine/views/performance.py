"""Performance for people: counts, rates and durations of a subtree, by grid, level, department, group, category, post,
responsible unit or day; and how the open cases stand.

`workflows.figures` defines the rates. Durations are the elapsed time from report to closing in milliseconds: median and
90th percentile by nearest rank. A rate whose own denominator is less than `min_n` of the pack is `thin`: it is shown,
and ranks nothing. `thin` of a row is that of the rates that are made of its `n`.
"""

from collections.abc import Sequence

from msgspec import UNSET, Struct, UnsetType, structs

from engine.policies import Policies
from engine.store import archives, figures, open_counts, recount
from engine.store.database import Connection
from engine.store.figures import By, Selection
from engine.store.rows import OpenCountRow
from engine.views.figure_question import PerformanceQuestion, ask, dashed
from engine.views.figure_rows import CHARGED, CLOSING, FULFILLED, UNFULFILLED, FigureRow, Ranking
from engine.views.names import Names
from engine.views.past import standing_at
from engine.views.present import Present, Reading, what_left
from engine.views.questions import BadQuestion
from engine.views.rank_question import ranking_of, selection_before
from engine.views.ranking import ranked
from engine.views.year_before import YearBefore, beside, days_year_before
from workflows.case import TOTAL
from workflows.definitions import DEFINITIONS
from workflows.figure_words import BY_CLOCK, OF_ANY, FigureMeaning, meaning_of
from workflows.figures import (
    AFTER_EXEMPTION,
    EVER,
    SHARES,
    derived,
    publication_day,
    rate,
    rates,
    with_sums,
)
from workflows.policy.index import Policy
from workflows.reading import READS_EVERYTHING, Readable

Durations = tuple[int, int | None, int | None]
"""Number of closed cases, median and 90th percentile of their elapsed time in ms."""


UNKNOWN_FINDERS = (
    "cases that have been archived are not in this answer: who reported them, and as part of which campaign, is not "
    "known any more"
)


class OpenCases(Struct, frozen=True):
    """Open cases by their total deadline, as the log has told so far: overdue from the firing of the deadline on."""

    key: str
    name: str
    open: int
    overdue: int
    not_due: int
    without_deadline: int


class HeldCases(Struct, frozen=True):
    """Open cases in the hands of a unit, and how many of them have missed a deadline that runs still."""

    key: str
    name: str
    open: int
    overdue: int


class PerformancePage(Struct, frozen=True, kw_only=True):
    """An answer about cases of one definition. `rows` are the period's figures, `standing` the open cases where they
    lie, `held` those in the hands of who must act; one row per key. Both are as of `standing_at`: the end of a period
    that is over, as known then, else when the answer is of.

    Measures in `charged` speak of clocks: they count at the unit that is charged with the clock. All others speak of
    the problem and count where it lies. A unit's own clocks are a row of their own beside those of the grids below it.
    By post there are none but those of clocks that posts hold. By responsible unit (责任单位) they are of one clock,
    whose orders name it, and of what has stopped: a missed deadline counts at the day on which its clock did.
    """

    pack: str
    definition: str
    grid: str
    by: str
    since: str  # first local day, inclusive; empty: from the beginning
    until: str
    as_of: str
    reading: Reading
    log_at: str  # how far the log has told; empty: it is empty
    rows: list[FigureRow]
    standing: list[OpenCases]
    held: list[HeldCases]
    charged: tuple[str, ...] = CHARGED
    clock: str = ""  # the one of which alone the rows speak, at the unit that is charged or, by unit, ordered
    standing_at: str = ""
    standing_reading: Reading = "now"
    remark: str = ""
    ranking: Ranking | UnsetType = UNSET  # how the rows are ranked, where that was asked for
    year_before: YearBefore | UnsetType = UNSET  # the same days of the year before, where that was asked for
    definitions: list[FigureMeaning] = []  # what each figure of the answer is, in Chinese and English


def performance_page(
    connection: Connection,
    policies: Policies,
    question: PerformanceQuestion,
    now: int,
    readable: Readable = READS_EVERYTHING,
) -> PerformancePage:
    """The figures that are asked for, and the open cases as of the period's end, or as of now while it runs. Raises
    Unanswerable: also for figures that are not read. Who reads one subtree only is told of that one unless asked.

    Without a day the period is the present one, or the one in which the log's own time stands, where that is long past:
    a history that was replayed has no figures of today.

    There is no `standing` by post, unit or day, nor of one post: an open case has none. There is `held` by grid, level,
    department or post, and of these alone.
    """
    asked = ask(connection, policies, question, now, readable)
    names, here, selection, published, grid = asked
    policy, stands = names.register, has_standing(selection)
    stood = stands_as_of(policy, selection, here)
    left = what_left(connection, names, stood.at)
    stands = stands and not left
    cells = standing_cells(connection, selection, stood) if stands or held_by_units(selection) else None
    unknown = UNKNOWN_FINDERS if selection.of_some_cases and archives.listed(connection) else ""
    rows = figure_rows(connection, names, selection, published=published)
    ranking = ranking_of(asked, question) if question.rank or question.order else UNSET
    if ranking is not UNSET:
        past = selection_before(selection, ranking)  # as known when the answer is of
        before = figure_rows(connection, names, past) if past is not None else None
        rows = ranked(rows, before, ranking, selection.by, policy)
    year_before: YearBefore | UnsetType = UNSET
    if question.beside:
        days = days_year_before(asked, question)
        then = structs.replace(selection, since=days[0], until=days[1])
        year_before = beside(rows, figure_rows(connection, names, then), days)
    return PerformancePage(
        pack=policy.pack.code,
        definition=selection.definition,
        grid=grid,
        by=question.by,
        since=dashed(selection.since),
        until=dashed(selection.until),
        as_of=names.instant(here.at),
        reading=here.kind,
        log_at=names.instant(here.log_at) if here.log_at else "",
        rows=rows,
        standing=open_cases(connection, names, selection, cells) if stands else [],
        held=[] if left else held_cases(connection, names, selection, cells),
        charged=CHARGED if question.by != "post" or DEFINITIONS[selection.definition].posts_hold else (),
        clock=selection.clock,
        standing_at=names.instant(stood.at),
        standing_reading=stood.kind,
        remark=here.remark or left or unknown,
        ranking=ranking,
        year_before=year_before,
        definitions=meanings(selection, rows, stands, bool(held_by_units(selection) and not left)),
    )


def meanings(selection: Selection, rows: Sequence[FigureRow], stands: bool, held: bool) -> list[FigureMeaning]:
    """What each figure of an answer is: its counts, rates and durations, and the numbers of open cases."""
    kind, clock = DEFINITIONS[selection.definition], selection.clock
    counts = dict.fromkeys(name for row in rows for name in sorted(row.counts))
    of_clock = [name for name in BY_CLOCK if name != AFTER_EXEMPTION or kind.tolerance is not None]
    ratios = (each.name for each in kind.ratios if not each.rare or any(each.name in row.rates for row in rows))
    shared = of_clock if clock else (*SHARES, *ratios, "median_ms", "p90_ms")
    standing = [name for name in OF_ANY if (stands and name.startswith("standing.")) or (held and name[:5] == "held.")]
    return [meaning_of(kind, name, clock) for name in (*counts, *shared, *standing)]


def has_standing(selection: Selection) -> bool:
    """Whether open cases where they lie answer a question: by post, unit or day there are none, nor of one post, nor by
    who reported them."""
    return selection.by not in ("post", "unit", "day") and not selection.post and not selection.of_some_cases


def stands_as_of(policy: Policy, selection: Selection, here: Present) -> Present:
    """As of when open cases stand beside the figures of a period: its last millisecond if it is over, else when the
    answer is of."""
    if selection.until == EVER or selection.until >= policy.clock_of_days.local_day(here.at):
        return here
    end = policy.clock_of_days.day_start(publication_day(selection.until, 1)) - 1
    return here._replace(at=end, kind="as_known_then")


def standing_cells(connection: Connection, selection: Selection, stood: Present) -> Sequence[OpenCountRow] | None:
    """The standing counts of an instant; None: those of now, as they are stored."""
    return standing_at(connection, selection.definition, stood.at) if stood.kind == "as_known_then" else None


# ---- the answer ---------------------------------------------------------------------------------------------


def figure_rows(
    connection: Connection, names: Names, selection: Selection, *, published: bool = False
) -> list[FigureRow]:
    """One row per key, sorted by key; without `by`, one row.

    With `published` each row also says how it stood when the days of grace after the last day were over; keys that are
    new since were published empty. Raises BadQuestion where no last day was given.
    """
    if selection.upto is not None or (selection.of_some_cases and not published):
        return _rows(connection, names, selection, recount.sums_as_of(connection, selection))
    if not published:
        return _rows(connection, names, selection, figures.sums(connection, selection))
    early = as_published(names.register, selection)
    present_sums = recount.sums_as_of if selection.of_some_cases else figures.sums
    now = _rows(connection, names, selection, present_sums(connection, selection))
    then = _rows(connection, names, early, recount.sums_as_of(connection, early))
    before = {row.key: row for row in then}
    present = {row.key for row in now}
    gone = [_row(names, selection, row.key, {}, None) for row in then if row.key not in present]
    result = []
    for row in [*now, *gone]:
        stood = before.get(row.key) or _row(names, selection, row.key, {}, None)
        result.append(structs.replace(row, published=stood, restated=stood != row))
    return sorted(result, key=lambda row: row.key)


def as_published(policy: Policy, selection: Selection) -> Selection:
    """The same as it stood when the days of grace after its last day were over. Raises BadQuestion where there is no
    last day."""
    if selection.until == EVER:
        raise BadQuestion("published", "only a period that ends was ever published: give a period, or the last day")
    grace_ends = publication_day(selection.until, policy.options.grace_days)
    return structs.replace(selection, upto=policy.clock_of_days.day_start(publication_day(grace_ends, 1)) - 1)


def held_cases(
    connection: Connection, names: Names, selection: Selection, cells: Sequence[OpenCountRow] | None = None
) -> list[HeldCases]:
    """The open cases by who must act, one row per key, sorted by key: as of now, or by the cells of another instant.
    None where the question is not of units alone."""
    if not held_by_units(selection):
        return []
    found = []
    for raw, *counts in open_counts.by_holder(connection, selection, cells):
        key = _key(names, selection, raw)
        found.append(HeldCases(key, key_name(names, selection.by, key), *counts))
    return sorted(found, key=lambda row: row.key)


def held_by_units(selection: Selection) -> bool:
    """Whether a question is of units alone, so that work in hand has an answer."""
    of_units = selection.by not in ("category", "group", "unit", "day") and not selection.of_some_cases
    return of_units and not selection.category and not selection.group


def open_cases(
    connection: Connection, names: Names, selection: Selection, cells: Sequence[OpenCountRow] | None = None
) -> list[OpenCases]:
    """The open cases as of now, or by the cells of another instant, one row per key, sorted by key: overdue once their
    total deadline has fired.

    The days and the post of the selection ask nothing; `by` is not post, unit or day.
    """
    found = []
    for raw, *counts in open_counts.by_place(connection, selection, cells):
        key = _key(names, selection, raw)
        found.append(OpenCases(key, key_name(names, selection.by, key), *counts))
    return sorted(found, key=lambda row: row.key)


def _rows(
    connection: Connection, names: Names, selection: Selection, sums: list[tuple[str, str, int]]
) -> list[FigureRow]:
    if selection.clock:
        return rows_of_clock(connection, names, selection, sums)
    durations = figures.durations(connection, selection, TOTAL, "why", CLOSING)
    counts: dict[str, dict[str, int]] = {} if selection.by else {"": {}}
    definition = DEFINITIONS[selection.definition]
    for key, measure, value in sums:
        of_clock, _, clock = measure.partition(":")
        if selection.by != "post" or of_clock not in CHARGED or definition.held_by_posts(clock):
            counts.setdefault(key, {})[measure] = value
    rows = [_row(names, selection, key, with_sums(counts[key]), durations.get(key)) for key in counts]
    return sorted(rows, key=lambda row: row.key)


def rows_of_clock(
    connection: Connection, names: Names, selection: Selection, sums: list[tuple[str, str, int]]
) -> list[FigureRow]:
    """What became of one clock, a row for each unit that is charged with it, or that was ordered."""
    clock, counts = selection.clock, dict[str, dict[str, int]]() if selection.by else {"": dict[str, int]()}
    if selection.by == "unit":  # which no cell has
        told = figures.results(connection, selection, (*FULFILLED, *UNFULFILLED), flagged=True)
    else:
        told = [row for row in sums if row[1] in [f"{measure}:{clock}" for measure in CHARGED]]
        told += figures.results(connection, selection, FULFILLED)
    for key, measure, value in told:
        counts.setdefault(key, {})[measure] = value
    elapsed = figures.durations(connection, selection, clock, "result", FULFILLED)
    consumed = figures.durations(connection, selection, clock, "result", FULFILLED, "consumed")
    exempted, exempts = figures.exempted_overdue(connection, selection), DEFINITIONS[selection.definition].tolerance
    rows, min_n = [], names.register.options.min_n
    for key, found in counts.items():
        on_time, overdue = (found.get(f"{result}:{clock}", 0) for result in ("on_time", "overdue"))
        _, median, p90 = consumed.get(key, (0, None, None))
        after = rate(on_time, on_time + overdue - exempted.get(key, 0), min_n)
        rows.append(
            structs.replace(
                _row(names, selection, key, found, elapsed.get(key)),
                on_time_rate=rate(on_time, on_time + overdue, min_n),
                n=on_time + overdue,
                thin=on_time + overdue < min_n,
                rates={AFTER_EXEMPTION: after} if exempts is not None else {},
                consumed_median_ms=median,
                consumed_p90_ms=p90,
            )
        )
    return sorted(rows, key=lambda row: row.key)


def _row(
    names: Names, selection: Selection, key: str, counts: dict[str, int], durations: Durations | None
) -> FigureRow:
    shown = _key(names, selection, key)
    n, median, p90 = durations or (0, None, None)
    min_n, kind = names.register.options.min_n, DEFINITIONS[selection.definition]
    found = rates(counts, min_n)
    sums, ratios = derived(counts, kind.sums, kind.ratios, min_n)
    return FigureRow(
        key=shown,
        name=key_name(names, selection.by, shown),
        counts={**counts, **{name: value for name, value in sums.items() if value}},
        close_rate=found.close,
        on_time_rate=found.on_time,
        rework_rate=found.rework,
        n=found.closable,
        thin=found.on_time.thin,
        durations_n=n,
        median_ms=median,
        p90_ms=p90,
        rates=ratios,
    )


def _key(names: Names, selection: Selection, key: str) -> str:
    """Cases without a place lie in the root."""
    return key or (names.register.root if selection.by == "grid" else "")


def key_name(names: Names, by: By, key: str) -> str:
    """The name behind a key. Days, groups of categories and responsible units are their own names."""
    if by == "category":
        category = names.category(key, "")
        return category.name_zh if category else key
    if by == "grid":
        return names.grid(key).name
    if by == "department":
        return names.department(key).name
    if by == "level":
        return next((level.name_zh for level in names.register.pack.levels if str(level.level) == key), key)
    return names.post(key).name if by == "post" else key

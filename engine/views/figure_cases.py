"""Figures opened: the cases behind one number of `engine.views.performance`, each with what it adds to it.

The question is the one of the figures, with the measure and the unit (the row's key) beside it. Three kinds of number
open in three ways:

- A count, or a rate: a line for each case and local day on which it counted, with how often it did (`value`), and below
  the line of a rate (`of`). Added up over all lines, with what cases add that have left the tables (`archived`), they
  are the figure.
- A median or percentile: the clocks that it ranks, from the shortest, each with its milliseconds and its place; the one
  that the figure names is `ranked`.
- Open cases: a line each.
"""

from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from msgspec import Struct, structs

from engine.policies import Policies
from engine.slice.open_counts import cells
from engine.store import archives, figure_cases, incident_queries, known_then
from engine.store.database import Connection
from engine.store.figure_cases import Stopped
from engine.store.figures import FLAGS, Selection, is_flagged
from engine.store.open_counts import LATE
from engine.views import past
from engine.views.cursors import foreign_cursor, read_cursor, write_cursor
from engine.views.figure_question import PerformanceQuestion, ask, dashed
from engine.views.figure_rows import CHARGED, CLOSING, FULFILLED, UNFULFILLED
from engine.views.incident_list import IncidentHead, head_members
from engine.views.names import Names, active_names
from engine.views.performance import (
    as_published,
    has_standing,
    held_by_units,
    key_name,
    stands_as_of,
)
from engine.views.present import Present, Reading, what_left
from engine.views.questions import BadQuestion, check_limit
from schemas.short_numbers import short_number
from workflows import case as cases
from workflows.case import TOTAL
from workflows.definitions import DEFINITIONS, MEASURES
from workflows.figure_words import FigureMeaning, meaning_of
from workflows.figures import AFTER_EXEMPTION, SHARES, terms_of
from workflows.machine import Definition
from workflows.policy.index import Policy
from workflows.reading import READS_EVERYTHING, Readable

MOST = 500
"""Lines of a page at most."""
DURATIONS = {
    "median_ms": ("elapsed", 50),
    "p90_ms": ("elapsed", 90),
    "consumed_median_ms": ("consumed", 50),
    "consumed_p90_ms": ("consumed", 90),
}
"""Figures of how long clocks took: what is ranked, and which place."""
MISSED, AHEAD, WITHOUT = LATE
OPEN = {
    "standing.open": LATE,
    "standing.overdue": (MISSED,),
    "standing.not_due": (AHEAD,),
    "standing.without_deadline": (WITHOUT,),
}
IN_HAND = {"held.open": (MISSED, AHEAD), "held.overdue": (MISSED,)}
"""Figures of open cases, by how late those are that count."""
ELSEWHERE = (*CHARGED, *(measure.name for measure in MEASURES if measure.charged))
"""Counts that may lie elsewhere than their problem: at the unit that is charged."""


class FigureCasesQuestion(PerformanceQuestion, frozen=True, kw_only=True):
    """Which number is to be opened, as texts: of which `measure`, as the answer of the figures names it, and of which
    `unit`: the key of a row, empty where there is one row only. A unit without `by` is a grid, department or post."""

    measure: str = ""
    unit: str = ""
    limit: int = 50
    cursor: str = ""


class FigureCase(Struct, frozen=True, kw_only=True):
    """A case and what it adds to a figure at a local day: `value`, and below the line of a rate `of`. Of a duration
    `value` are the milliseconds of that clock, and `place` is where it stands among all. `case` is the case as of the
    answer; of one that has left the tables `archive` names the file instead."""

    id: str
    short_number: str
    day: str
    value: int
    of: int | None = None
    place: int | None = None
    ranked: bool = False
    clock: str = ""
    level: int | None = None
    cycle: int | None = None
    case: IncidentHead | None = None
    archive: str = ""


class FigureCasesPage(Struct, frozen=True, kw_only=True):
    """A page of the cases behind a figure. `value` and `of` are what all lines of all pages come to, with what
    `archived` cases add, of which no line is left; of durations `value` is the one that the percentile names, and `of`
    how many there are."""

    cases: list[FigureCase]
    next: str | None
    value: int | None
    of: int | None
    lines: int
    archived: int
    archived_of: int
    measure: FigureMeaning
    unit: str
    name: str
    pack: str
    definition: str
    by: str
    since: str
    until: str
    clock: str
    as_of: str
    reading: Reading
    remark: str = ""


class Opened(NamedTuple):
    """Lines of a page, where the next one begins, and what the lines of all pages come to."""

    lines: list[FigureCase]
    more: tuple[object, ...] | None
    value: int | None
    of: int | None
    line_count: int
    archived: tuple[int, int] = (0, 0)


class Opening(NamedTuple):
    """What is opened: a figure of the groups of these keys, from a line on."""

    connection: Connection
    names: Names
    selection: Selection
    keys: tuple[str, ...]
    measure: str
    cursor: str
    limit: int

    def begins_after(self, shape: type[tuple[Any, ...]]) -> tuple[Any, ...]:
        """The line after which the page begins: the members of the cursor behind the first one, which is the measure.
        Raises BadQuestion for the cursor of another figure."""
        if not self.cursor:
            return ()
        measure, *after = read_cursor(self.cursor, shape)
        if measure != self.measure:
            raise foreign_cursor()
        return tuple(after)


def figure_cases_page(
    connection: Connection,
    policies: Policies,
    question: FigureCasesQuestion,
    now: int,
    readable: Readable = READS_EVERYTHING,
) -> FigureCasesPage:
    """The cases behind a figure that is read. Of a case that is not read itself the line has no id, so that lines add
    up all the same. Raises Unanswerable."""
    check_limit(question.limit, MOST)
    question = with_unit(active_names(connection, policies).register, question)
    names, here, selection, published, _ = ask(connection, policies, question, now, readable)
    kind, meaning = DEFINITIONS[selection.definition], checked_measure(selection, question.measure)
    keys = keys_of(names.register, selection, question.unit)
    if published:
        selection = as_published(names.register, selection)
    opening = Opening(connection, names, selection, keys, question.measure, question.cursor, question.limit + 1)
    remark = here.remark
    if question.measure in (*OPEN, *IN_HAND):
        here = stands_as_of(names.register, selection, here)
        remark = what_left(connection, names, here.at)
        found = open_figure(opening, here)
    elif (which := outcomes_of(selection, question.measure)) is not None:
        found = stopped_clocks(opening, which)
    else:
        found = counted_cases(opening, kind)
    return FigureCasesPage(
        cases=list(with_cases(connection, names, found.lines, here, readable)),
        next=None if found.more is None else write_cursor(question.measure, *found.more),
        value=found.value,
        of=found.of,
        lines=found.line_count,
        archived=found.archived[0],
        archived_of=found.archived[1],
        measure=meaning,
        unit=question.unit or keys[-1],
        name=named(names, selection, question.unit or keys[-1]),
        pack=names.register.pack.code,
        definition=kind.name,
        by=selection.by,
        since=dashed(selection.since),
        until=dashed(selection.until),
        clock=selection.clock,
        as_of=names.instant(here.at),
        reading=here.kind,
        remark=remark,
    )


# ---- the question -------------------------------------------------------------------------------------------


def with_unit(register: Policy, question: FigureCasesQuestion) -> FigureCasesQuestion:
    """The question with its unit as a filter, where it names no grouping: a grid with all below it, a department, or a
    post. Raises BadQuestion for a code that is none of them."""
    unit = question.unit
    if not unit or question.by:
        return question
    if unit in register.grids:
        return structs.replace(question, grid=unit)
    if unit in register.departments:
        return structs.replace(question, department=unit)
    if unit in register.posts:
        return structs.replace(question, post=unit)
    remedy = "send the code of a grid, a department or a post, or `by` with the key of a row"
    raise BadQuestion("unit", "the active pack has no unit of this code", remedy)


def keys_of(register: Policy, selection: Selection, unit: str) -> tuple[str, ...]:
    """The keys of a row, as the store groups them. Raises BadQuestion for a grid that has no row."""
    if not selection.by:
        return ("",)
    if selection.by != "grid":
        return (unit,)
    if not unit or unit == register.root:  # cases without a place lie in the root
        return ("", register.root)
    if unit in register.grids and len(register.path(unit)) > selection.level:
        reason = f"with by=grid there is no row of this grid at level {selection.level}"
        raise BadQuestion("unit", reason, f"ask with level={len(register.path(unit))}, or for the unit alone")
    return (unit,)


def checked_measure(selection: Selection, measure: str) -> FigureMeaning:
    """What a measure means. Raises BadQuestion for one that the answer of the figures does not have."""
    kind, clock = DEFINITIONS[selection.definition], selection.clock
    told, _, of_clock = measure.partition(":")
    after = [AFTER_EXEMPTION] if kind.tolerance is not None else []
    alone = [*DURATIONS, "on_time_rate", *after, *(f"{each}:{clock}" for each in (*FULFILLED, *CHARGED))]
    if clock and measure not in (*alone, *OPEN, *IN_HAND):
        raise BadQuestion("measure", "this is no figure of one clock", f"choose one of: {', '.join(alone)}")
    if not clock and (measure.startswith("consumed_") or (told in FULFILLED and of_clock)):
        raise BadQuestion("measure", "this is a figure of one clock", "ask with `clock`")
    if (measure in OPEN and not has_standing(selection)) or (measure in IN_HAND and not held_by_units(selection)):
        raise BadQuestion("measure", "open cases have no row in this grouping", "ask by grid, level or department")
    by_post = selection.by == "post" or selection.post is not None
    if by_post and told in CHARGED and not kind.held_by_posts(of_clock):
        raise BadQuestion("measure", "no post holds this clock", "ask by grid, department or level")
    try:
        return meaning_of(kind, measure, clock)
    except KeyError as error:
        own = [each.name for each in kind.ratios] + [each.name for each in kind.sums]
        names = sorted({*SHARES, *DURATIONS, *OPEN, *IN_HAND, *own})
        remedy = f"take a name from the answer of the figures: a count of a row, or {', '.join(names)}"
        raise BadQuestion("measure", "cases of this kind have no such figure", remedy) from error


def outcomes_of(selection: Selection, measure: str) -> Stopped | None:
    """The outcomes of which a figure is made; None: it is made of counts."""
    clock = selection.clock
    if measure in DURATIONS:
        shown, percent = DURATIONS[measure]
        if clock:
            return Stopped(clock, "result", FULFILLED, shown, percent=percent)
        return Stopped(TOTAL, "why", CLOSING, shown, percent=percent)
    if not clock:
        return None
    if measure in ("on_time_rate", AFTER_EXEMPTION):
        held = f"NOT {is_flagged(selection, 'exempted')}" if measure == AFTER_EXEMPTION else ""
        return Stopped(clock, "result", ("on_time", "overdue"), "CASE WHEN result = 'on_time' THEN 1 ELSE 0 END", held)
    told = measure.partition(":")[0]
    if told in FULFILLED or (selection.by == "unit" and told not in FLAGS):
        return Stopped(clock, "result", (told,))
    if selection.by != "unit":
        return None
    return Stopped(clock, "result", (*FULFILLED, *UNFULFILLED), flag=is_flagged(selection, told))


def named(names: Names, selection: Selection, unit: str) -> str:
    """The name of a row, or of the unit that was asked for without a grouping."""
    if selection.by or not unit:
        return key_name(names, selection.by, unit)
    known = (names.register.grids, names.grid), (names.register.departments, names.department)
    return next((name(unit) for codes, name in known if unit in codes), names.post(unit)).name


# ---- the answer ---------------------------------------------------------------------------------------------


def counted_cases(opening: Opening, kind: Definition) -> Opened:
    """The cases behind a count or a rate of counts, by day."""
    connection, selection, keys, measure = opening.connection, opening.selection, opening.keys, opening.measure
    terms = terms_of(measure, kind.sums, kind.ratios)
    after = opening.begins_after(tuple[str, int, str]) or (-1, "")
    charged = any(name.partition(":")[0] in ELSEWHERE for name in (*terms.numerator, *(terms.denominator or ())))
    inside = "/" if charged else inside_of(opening)
    rows, total = figure_cases.counted(connection, selection, keys, terms, inside, after, opening.limit)
    left = figure_cases.archived(connection, selection, keys, terms)
    is_rate = terms.denominator is not None
    lines = [
        FigureCase(
            id=row.case_id,
            short_number=short_number(row.case_id),
            day=dashed(row.day),
            value=row.value,
            of=row.of if is_rate else None,
        )
        for row in rows[: opening.limit - 1]
    ]
    last = rows[len(lines) - 1] if lines else None
    more = (last.day, last.case_id) if last is not None and len(rows) > len(lines) else None
    return Opened(lines, more, total.value + left[0], total.of + left[1] if is_rate else None, total.lines, left)


def inside_of(opening: Opening) -> str:
    """The path in whose subtree all lies that counts where a problem does: that of the row, or of the question."""
    selection, grids, key = opening.selection, opening.names.register, opening.keys[-1]
    if selection.by == "grid" and key in grids.grids:
        return "".join(f"/{code}" for code in grids.path(key)) + "/" if key != grids.root else selection.path
    return selection.path


def stopped_clocks(opening: Opening, which: Stopped) -> Opened:
    """The clocks behind a duration, or behind a count or the rate of one clock."""
    after = opening.begins_after(tuple[str, int, str, str, int, int, int])
    rows = figure_cases.stopped(opening.connection, opening.selection, opening.keys, which, after, opening.limit)
    is_rate = opening.measure in (*SHARES, AFTER_EXEMPTION)
    lines = [
        FigureCase(
            id=row.case_id,
            short_number=short_number(row.case_id),
            day=dashed(row.day),
            value=row.value,
            of=1 if is_rate else None,
            place=row.place if which.percent else None,
            ranked=row.ranked,
            clock=row.clock,
            level=row.level,
            cycle=row.cycle,
        )
        for row in rows[: opening.limit - 1]
    ]
    more = None
    if len(rows) > len(lines):
        last = rows[len(lines) - 1]
        more = (last.value, last.case_id, last.clock, last.level, last.cycle, last.target)
    n, total = (rows[0].n, rows[0].total) if rows else (0, 0)
    if which.percent:
        return Opened(lines, more, rows[0].at_percent if rows else None, n, n)
    return Opened(lines, more, total, n if is_rate else None, n)


def open_figure(opening: Opening, here: Present) -> Opened:
    """The open cases behind a number of them, by id: of now, or as known at another instant."""
    connection, selection, measure = opening.connection, opening.selection, opening.measure
    what, late = ("place", OPEN[measure]) if measure in OPEN else ("holder", IN_HAND[measure])
    (after,) = opening.begins_after(tuple[str, str]) or ("",)
    then = list(stood(connection, selection.definition, what, here.at)) if here.kind == "as_known_then" else None
    ids, count = figure_cases.standing(connection, selection, opening.keys, what, late, then, after, opening.limit)
    lines = [FigureCase(id=id_, short_number=short_number(id_), day="", value=1) for id_ in ids[: opening.limit - 1]]
    return Opened(lines, (lines[-1].id,) if len(ids) > len(lines) else None, count, None, count)


def stood(connection: Connection, definition: str, what: str, at: int) -> Iterator[tuple[str, ...]]:
    """The cases that were open at an instant, as they counted then (`engine.store.figure_cases.STANDING`)."""
    ids = (id_ for id_, _ in known_then.find_open(connection, at, [definition]))
    for case in past.cases_at(connection, ids, at):
        for cell in cells(past.with_missed(case, at), 0):
            if cell.what == what:
                own = case.category, case.group
                yield case.id, cell.definition, *own, cell.path, cell.department, cell.post, cell.late


def with_cases(
    connection: Connection, names: Names, lines: Iterable[FigureCase], here: Present, readable: Readable
) -> Iterator[FigureCase]:
    """The lines with their cases, as of the answer; of those that have left the tables with the file."""
    lines = list(lines)
    ids = list(dict.fromkeys(line.id for line in lines))
    if here.kind == "as_known_then":
        known = {case.id: case for case in past.cases_at(connection, ids, here.at)}
    else:
        known = {id_: cases.decode(body) for id_, body in incident_queries.read_cases(connection, ids).items()}
    heads = {id_: IncidentHead(**head_members(case, names, here.at)) for id_, case in known.items()}
    for line in lines:
        if line.id in heads:
            read = readable.reads_case(known[line.id])
            yield structs.replace(line, case=heads[line.id]) if read else structs.replace(line, id="")
        else:
            stub = archives.find_stub(connection, line.id)
            read = stub is not None and readable.of(stub.definition).within(stub.path)
            yield (
                structs.replace(line, archive=stub.archive)
                if stub is not None and read
                else structs.replace(line, id="")
            )

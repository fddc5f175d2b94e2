"""The cases behind a figure: what each of them adds to it. Reads only.

Counts are opened by the statements with which `verify` counts anew (`engine.store.recount`), narrowed to the cases that
have a step in the days that are asked for; outcomes of clocks by the conditions with which they are counted
(`engine.store.figures`). So a figure and its cases cannot drift apart without `verify` seeing it.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from msgspec import Struct
from sqlalchemy import Connection

from engine.store.figures import Selection, counted_by, found_by, is_key, nearest_rank, of_outcomes, where
from engine.store.recount import CELLS, COUNTED, COUNTED_BY, OF_CLOCKS, facts_read, open_cases
from engine.store.sql import execute, rows_as
from schemas.members import tag_of
from workflows.definitions import MEASURES
from workflows.figures import BEGINNING, EACH, EVER, Terms


class Totals(Struct, frozen=True):
    """What all lines of a figure come to: above the line, below it, and how many lines there are."""

    value: int = 0
    of: int = 0
    lines: int = 0


class CountedRow(Struct, frozen=True):
    """What a case adds to a figure at one local day: above the line, and below it."""

    day: int
    case_id: str
    value: int
    of: int


class OutcomeLine(Struct, frozen=True):
    """A clock that stopped, with its place among those that are asked for (from 1), and how many these are. `ranked`:
    it is the one that the percentile names."""

    case_id: str
    clock: str
    level: int
    cycle: int
    target: int
    day: int
    value: int
    place: int
    n: int
    total: int  # of all their values
    at_percent: int | None  # the value that the percentile names
    ranked: bool


OUTCOME_KEY = ("case_id", "clock", "level", "cycle", "target")


def counted(
    connection: Connection,
    selection: Selection,
    keys: Sequence[str],
    terms: Terms,
    inside: str,
    after: tuple[int, str],
    limit: int,
) -> tuple[list[CountedRow], Totals]:
    """What each case adds to a figure of the groups of these keys, by day and case, after a line; and what all lines
    come to. `inside`: a path in whose subtree each step lies that can count, `/` where that is not known."""
    only = steps_of(connection, selection, inside)
    kinds = counted_in([*terms.numerator, *(terms.denominator or ())])
    read, values = facts_read(connection, "performance", kinds, COUNTED_BY, selection.upto, only)
    condition, chosen = where(selection)
    is_asked, asked = is_key(connection, selection, keys)
    (above, of_above), (below, of_below) = weights(terms.numerator), weights(terms.denominator or {})
    sql = f"""WITH {read}, {CELLS},
        weighed AS (SELECT day, case_id, {above} AS value, {below} AS of_ FROM cells
                    WHERE {condition} AND {is_asked} AND {counted_by(selection)}),
        lines AS (SELECT day, case_id, sum(value) AS value, sum(of_) AS of_ FROM weighed
                  GROUP BY day, case_id HAVING sum(value) <> 0 OR sum(of_) <> 0),
        totals AS (SELECT day, case_id, value, of_, sum(value) OVER () AS v, sum(of_) OVER () AS o,
                          count(*) OVER () AS n FROM lines)
        SELECT day, case_id, CAST(value AS BIGINT), CAST(of_ AS BIGINT), CAST(v AS BIGINT), CAST(o AS BIGINT), n
        FROM totals WHERE (day, case_id) > (?, ?) ORDER BY day, case_id LIMIT ?"""
    given = (*values, *of_above, *of_below, *chosen, *asked, *after, limit)
    rows = [(*row,) for row in execute(connection, sql, *given)]
    return [CountedRow(*row[:4]) for row in rows], Totals(*rows[0][4:]) if rows else Totals()


def counted_in(measures: Iterable[str]) -> tuple[str, ...]:
    """The kinds of fact from which these measures follow: what a kind of case declares, else what clocks tell."""
    declared = {measure.name: tag_of(measure.fact) for measure in MEASURES}
    kinds = dict.fromkeys(declared.get(name.partition(":")[0], "") for name in measures)
    return tuple(tag for tag in COUNTED if tag in kinds or ("" in kinds and tag in OF_CLOCKS))


def steps_of(connection: Connection, selection: Selection, inside: str) -> tuple[str, list[object]]:
    """The condition on a step `s` that its case has one that may count: in the days, of the kind, with the category;
    and that it was reported by whom the selection asks for."""
    terms, values = ["f.definition = ?"], list[object]([selection.definition])
    if (selection.since, selection.until) != (BEGINNING, EVER):
        terms.append("f.day BETWEEN ? AND ?")
        values += [selection.since, selection.until]
    if inside != "/":
        terms.append("substr(f.path, 1, ?) = ?")
        values += [len(inside), inside]
    for column, value in (("category", selection.category), ("grp", selection.group)):
        if value is not None:
            terms.append(f"f.{column} = ?")
            values.append(value)
    condition = f"s.case_id IN (SELECT f.case_id FROM facts f WHERE {' AND '.join(terms)})"
    if not selection.of_some_cases:
        return condition, values
    is_found, posts = found_by(connection, selection, "s.case_id")
    return f"{condition} AND {is_found}", [*values, *posts]


def weights(measures: Mapping[str, int]) -> tuple[str, list[Any]]:
    """The SQL of how often a measure is added, and its parameters."""
    cases, values = list[str](), list[Any]()
    for name, weight in measures.items():
        if name.endswith(EACH):
            begin = name.removesuffix("*")
            cases.append(f"WHEN substr(measure, 1, {len(begin)}) = ? THEN {weight:d}")
            values.append(begin)
        else:
            cases.append(f"WHEN measure = ? THEN {weight:d}")
            values.append(name)
    return (f"CASE {' '.join(cases)} ELSE 0 END" if cases else "0"), values


def archived(connection: Connection, selection: Selection, keys: Sequence[str], terms: Terms) -> tuple[int, int]:
    """What cases that have left the tables add to a figure: above the line, and below it. Nothing where it is asked who
    reported them, which is not known any more."""
    if selection.of_some_cases:
        return 0, 0
    condition, chosen = where(selection)
    is_asked, asked = is_key(connection, selection, keys)
    (above, of_above), (below, of_below) = weights(terms.numerator), weights(terms.denominator or {})
    early = "" if selection.upto is None else " AND at <= ?"
    above, below = (f"CAST(coalesce(sum(value * {weight}), 0) AS BIGINT)" for weight in (above, below))
    sql = f"""SELECT {above}, {below}
              FROM archived_figures WHERE {condition} AND {is_asked}{early}"""
    given = [*of_above, *of_below, *chosen, *asked, *([] if selection.upto is None else [selection.upto])]
    value, of = execute(connection, sql, *given).one()
    return int(value), int(of)


# ---- clocks that stopped -------------------------------------------------------------------------------------


class Stopped(Struct, frozen=True):
    """Which outcomes of a clock: with one of these values in a column, and perhaps with a `flag`, a column that says
    yes. `shown` is what is told of each: a column, or SQL. `percent`: the percentile that is looked for; 0: none."""

    clock: str
    column: str
    chosen: tuple[str, ...]
    shown: str = "1"
    flag: str = ""
    percent: int = 0


def stopped(
    connection: Connection,
    selection: Selection,
    keys: Sequence[str],
    which: Stopped,
    after: Sequence[object],
    limit: int,
) -> list[OutcomeLine]:
    """Outcomes of a clock in the order of what is shown of them, after a line: `(value, *OUTCOME_KEY)`. With the
    selection's clock they lie at the unit that is charged, else where the problem lies."""
    of = "charged_" if selection.clock else ""
    condition, values = of_outcomes(connection, selection, which.column, which.chosen, of)
    is_asked, asked = is_key(connection, selection, keys, of)
    key, flagged = ", ".join(OUTCOME_KEY), f" AND {which.flag}" if which.flag else ""
    begin = f"WHERE (spent, {key}) > (?, {', '.join('?' * len(OUTCOME_KEY))})" if after else ""
    is_ranked = f"place = {nearest_rank(which.percent)}" if which.percent else "1 = 0"
    sql = f"""WITH chosen AS (SELECT {key}, day, {which.shown} AS spent FROM outcomes
                     WHERE clock = ? AND {condition} AND {is_asked}{flagged}),
        placed AS (SELECT {key}, day, spent, row_number() OVER (ORDER BY spent, {key}) AS place,
                          count(*) OVER () AS n, sum(spent) OVER () AS total FROM chosen),
        ranked AS (SELECT {key}, day, spent, place, n, CAST(total AS BIGINT) AS total,
                          max(CASE WHEN {is_ranked} THEN spent END) OVER () AS at_percent FROM placed)
        SELECT {key}, day, spent, place, n, total, at_percent, {is_ranked} FROM ranked
        {begin} ORDER BY spent, {key} LIMIT ?"""
    rows = execute(connection, sql, which.clock, *values, *asked, *after, limit)
    return [OutcomeLine(*row) for row in rows]


# ---- open cases ----------------------------------------------------------------------------------------------

COUNTED_AT = {
    "place": ("path", "department", "''", "total"),
    "holder": ("held_by", "holder_department", "post", "CASE WHEN missed IS NULL THEN 'ahead' ELSE 'missed' END"),
}
"""Where open cases are counted, as `engine.store.recount.wrong_open_counts` does: path, department, post, lateness."""
STANDING = {name: "text" for name in ("id", "definition", "category", "grp", "path", "department", "post", "late")}
"""An open case as it is counted."""


def standing(
    connection: Connection,
    selection: Selection,
    keys: Sequence[str],
    what: str,
    late: Sequence[str],
    then: Sequence[tuple[str, ...]] | None,
    after: str,
    limit: int,
) -> tuple[list[str], int]:
    """The ids of open cases where they lie (`what` is place), or in hand (holder), that are late so; and how many. They
    are those of now, or these of another instant, as STANDING."""
    condition, values = where(selection, days=False, post=what == "holder")
    is_asked, asked = is_key(connection, selection, keys)
    path, department, post, lateness = COUNTED_AT[what]
    source = f"""(SELECT id, definition, category, grp, {path} AS path, {department} AS department, {post} AS post,
                         {lateness} AS late FROM ({open_cases(connection)}) AS o) counted"""
    given: tuple[object, ...] = ()
    if then is not None:
        source, given = rows_as(connection, "counted", STANDING, then)
    sql = f"""
        SELECT id, n FROM (SELECT id, count(*) OVER () AS n FROM {source}
                           WHERE {condition} AND {is_asked} AND late IN ({", ".join("?" * len(late))})) AS chosen
        WHERE id > ? ORDER BY id LIMIT ?"""
    rows = [(*row,) for row in execute(connection, sql, *given, *values, *asked, *late, after, limit)]
    return [id_ for id_, _ in rows], rows[0][1] if rows else 0

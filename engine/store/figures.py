"""The figures: what the fold writes, and how sums and durations are read.

Every value is an integer, and percentiles are nearest rank.
"""

from collections.abc import Iterable, Sequence
from typing import Any, Literal

import msgspec
from msgspec import Struct
from sqlalchemy import Connection

from engine.store import writes
from engine.store.sql import among, among_few, execute, fetch, is_sqlite
from engine.store.tables import contributions, figures, outcomes
from workflows.case import TOTAL

By = Literal["", "grid", "level", "department", "group", "category", "post", "unit", "day"]
Found = Literal["", "own", "others", "confirmed"]
COLUMN = {
    "department": "department",
    "group": "grp",
    "category": "category",
    "post": "post",
    "unit": "unit",
    "day": "day",
}
UNIT = ("department", "post")
"""What a unit is of beside its path."""
FLAGS = {"breach": "lapsed", "claimed": "claimed", "exempted": "exempted"}
"""Measures of outcomes that are flagged so in a column, whatever their result."""


def is_flagged(selection: "Selection", measure: str) -> str:
    """The SQL of the condition that an outcome is flagged for a measure, as known when the selection is of."""
    column = FLAGS[measure]
    if measure != "exempted":
        return column
    return f"coalesce({column}, {NEVER:d}) <= {NEVER - 1 if selection.upto is None else selection.upto:d}"


NEVER = 2**62
"""After every instant (ms)."""


class ContributionRow(Struct):
    """What a case contributes, as the fold keeps it between slices."""

    case_id: str
    partition: int
    body: str


class Selection(Struct, frozen=True, kw_only=True):
    """What to read: one kind of case, a subtree by its path, local days (YYYYMMDD, inclusive), dimensions; and what to
    group by.

    With `by` grid, groups are the ancestors at `level`; places above it count under the nearest one. With `by` level
    they are the levels of the cells themselves. `upto` reads as if nothing had arrived after that instant (ms UTC).
    With a `clock` it is what became of that clock, at the unit that is charged. With `by` unit, which asks for a clock,
    they are the responsible units that its orders named.

    With `found` only cases by who reported them: a post of the unit itself (own), or one of these `others`. Of those
    `confirmed` only what another post counts than the one that reported. With a `campaign` only cases that count as
    part of it.
    """

    definition: str
    path: str = "/"
    level: int = 1
    since: int = 0
    until: int = 99991231
    department: str | None = None
    group: str | None = None
    category: str | None = None
    post: str | None = None
    by: By = ""
    upto: int | None = None
    clock: str = ""
    found: Found = ""
    others: tuple[str, ...] = ()
    campaign: str = ""

    @property
    def of_some_cases(self) -> bool:
        """Whether it asks for what no cell has: of which campaign a case is a part, or who reported it."""
        return bool(self.found or self.campaign)


# ---- what the fold writes ----------------------------------------------------------------------------


def read_contributions(connection: Connection, ids: Iterable[str]) -> dict[str, str]:
    """What these cases contribute by now; those without a row contribute nothing that may move."""
    condition, wanted = among_few(connection, "case_id", sorted(ids))
    rows = fetch(connection, f"SELECT case_id, body FROM contributions WHERE {condition}", *wanted)
    return {case: body for case, body in rows}


def write_fold(
    connection: Connection,
    held: Sequence[ContributionRow],
    changes: Sequence[Struct],
    stopped: Sequence[Struct],
    exempted: Sequence[Struct] = (),
) -> None:
    """Contributions as they are now, changes of figures added, clocks that stopped; and of clocks that had stopped
    those whose missed deadline was exempted."""
    with writes.together(connection) as rows:
        writes.upsert(rows, contributions, held)
        writes.increase(rows, figures, changes, "value")
        writes.upsert(rows, outcomes, stopped)
    for row in exempted:  # a few a month; of a clock that runs still there is no row yet
        values = msgspec.structs.asdict(row)
        at = values.pop("exempted")
        sql = f"UPDATE outcomes SET exempted = ? WHERE {' AND '.join(f'{name} = ?' for name in values)}"
        execute(connection, sql, at, *values.values())


def read_ends(connection: Connection, ids: Iterable[str], columns: Sequence[str]) -> list[tuple[Any, ...]]:
    """These columns of the outcomes with which these cases have ended: of the clock of the whole case, and not taken up
    again since."""
    condition, wanted = among(connection, "case_id", sorted(ids))
    sql = f"""
        SELECT {", ".join(columns)} FROM outcomes
        WHERE {condition} AND clock = '{TOTAL}' AND reopened_at IS NULL"""
    return [tuple(row) for row in fetch(connection, sql, wanted)]


def clear(connection: Connection) -> None:
    """No contribution, figure or outcome is left, for a fold from the beginning."""
    for table in (contributions, figures, outcomes):
        execute(connection, f"DELETE FROM {table.name}")


# ---- the pieces of a reading -------------------------------------------------------------------------


def key_of(connection: Connection, selection: Selection, of: str = "") -> str:
    """The SQL of the group's key. Where `of` is `charged_`, it is that of the unit that is charged."""
    if not selection.by:
        return "''"
    path = f"{of}path"
    if selection.by == "level":
        return f"CAST(length({path}) - length(replace({path}, '/', '')) - 1 AS TEXT)"
    if selection.by != "grid":
        return f"CAST({of if selection.by in UNIT else ''}{COLUMN[selection.by]} AS TEXT)"
    names = [segment(connection, path, level) for level in range(selection.level, 0, -1)]
    return "CASE " + " ".join(f"WHEN {name} <> '' THEN {name}" for name in names) + " ELSE '' END"


def segment(connection: Connection, text: str, number: int, separator: str = "/") -> str:
    """The SQL of a part of a text: with '/', part 1 of `/a/b/` is a; with another one, part 0 comes first."""
    if not is_sqlite(connection):
        return f"split_part({text}, '{separator}', {number + 1})"
    # As a JSON array the text stands once in the statement, however deep the part lies.
    parts = f"""'[' || replace(json_quote({text}), '{separator}', '","') || ']'"""
    return f"coalesce(json_extract({parts}, '$[{number}]'), '')"


def where(selection: Selection, *, days: bool = True, post: bool = True, of: str = "") -> tuple[str, list[Any]]:
    """The SQL of the conditions, and their parameters. `of` as for `key_of`."""
    terms = ["definition = ?", f"substr({of}path, 1, ?) = ?"]
    values: list[Any] = [selection.definition, len(selection.path), selection.path]
    if days:
        terms.append("day BETWEEN ? AND ?")
        values += [selection.since, selection.until]
    for name in ("department", "group", "category", "post"):
        value = getattr(selection, name)
        if value is not None and (post or name != "post"):
            terms.append(f"{of if name in UNIT else ''}{COLUMN[name]} = ?")
            values.append(value)
    return " AND ".join(terms), values


def is_key(connection: Connection, selection: Selection, keys: Sequence[str], of: str = "") -> tuple[str, list[Any]]:
    """The SQL that the group's key is one of these, and its parameters. `of` as for `key_of`."""
    return f"{key_of(connection, selection, of)} IN ({', '.join('?' * len(keys))})", [*keys]


def reporter_of(case: str) -> str:
    """The SQL of the post that reported a case, whose id has this SQL: it spoke when the kind became known."""
    return f"(SELECT b.post FROM facts b WHERE b.case_id = {case} AND b.definition <> '' ORDER BY b.seq LIMIT 1)"


def found_by(connection: Connection, selection: Selection, case: str) -> tuple[str, list[Any]]:
    """The SQL that a case was reported by whom, and as part of which campaign, the selection asks; and its values."""
    terms, values = list[str](), list[Any]()
    if selection.found:
        condition, wanted = among(connection, reporter_of(case), sorted(selection.others))
        terms.append(condition if selection.found == "others" else f"NOT ({condition})")
        values.append(wanted)
    if selection.campaign:
        terms.append(f"{case} IN (SELECT id FROM cases WHERE campaign <> '' AND campaign = ?)")
        values.append(selection.campaign)
    return " AND ".join(terms) or "1 = 1", values


def counted_by(selection: Selection) -> str:
    """The SQL that a cell was counted by the post that the selection asks for."""
    return f"post <> {reporter_of('case_id')}" if selection.found == "confirmed" else "1 = 1"


def of_outcomes(
    connection: Connection, selection: Selection, column: str, chosen: Sequence[str], of: str
) -> tuple[str, list[Any]]:
    """The SQL of the conditions on outcomes that have one of these values in a column, and their parameters. `of` as
    for `key_of`. The end of a case that has been taken up again is none, as soon as that has arrived."""
    condition, values = where(selection, of=of)
    among_these, wanted = among(connection, column, chosen)
    stands = "reopened_at IS NULL"
    if selection.upto is not None:
        stands = f"({stands} OR reopened_at > ?) AND arrival <= ?"
        values = [*values, selection.upto, selection.upto]
    condition = f"{condition} AND {stands}"
    is_found, posts = found_by(connection, selection, "outcomes.case_id")
    return f"{among_these} AND {condition} AND {is_found}", [wanted, *values, *posts]


def nearest_rank(percent: int) -> str:
    """The SQL of the place, from 1, of a percentile among `n` that are in order."""
    return f"(n * {percent} + 99) / 100"


# ---- readings ----------------------------------------------------------------------------------------


def sums(connection: Connection, selection: Selection) -> list[tuple[str, str, int]]:
    """(key, measure, value) as of now. The measures are found by stepping from one to the next in the key.

    By unit there are none: no cell has one.
    """
    if selection.by == "unit":
        return []
    condition, values = where(selection)
    sql = f"""
        WITH RECURSIVE known(measure) AS (
            SELECT min(measure) FROM figures WHERE definition = ?
            UNION ALL SELECT (SELECT min(measure) FROM figures WHERE definition = ? AND measure > known.measure)
            FROM known WHERE known.measure IS NOT NULL)
        SELECT {key_of(connection, selection)} AS k, f.measure, CAST(sum(value) AS BIGINT)
        FROM known JOIN figures f ON f.measure = known.measure WHERE {condition}
        GROUP BY 1, 2 HAVING sum(value) <> 0 ORDER BY 1, 2"""
    of = selection.definition
    return [(*row,) for row in execute(connection, sql, of, of, *values)]


def durations(
    connection: Connection, selection: Selection, clock: str, column: str, chosen: Sequence[str], value: str = "elapsed"
) -> dict[str, tuple[int, int, int]]:
    """key -> (n, median, 90th percentile) of the milliseconds that a clock elapsed, or `consumed`, by nearest rank over
    those of its outcomes that have one of these values in a column. With the selection's clock they lie at the unit
    that is charged, else where the problem lies."""
    of = "charged_" if selection.clock else ""
    condition, values = of_outcomes(connection, selection, column, chosen, of)
    sql = f"""
        SELECT k, n, max(CASE WHEN place = {nearest_rank(50)} THEN spent END),
               max(CASE WHEN place = {nearest_rank(90)} THEN spent END)
        FROM (SELECT k, spent, row_number() OVER (PARTITION BY k ORDER BY spent) AS place,
                     count(*) OVER (PARTITION BY k) AS n
              FROM (SELECT {key_of(connection, selection, of)} AS k, {value} AS spent FROM outcomes
                    WHERE clock = ? AND {condition}) AS chosen) AS ranked
        GROUP BY k, n"""
    rows = execute(connection, sql, clock, *values)
    return {key: (n, median, p90) for key, n, median, p90 in rows}


def exempted_overdue(connection: Connection, selection: Selection) -> dict[str, int]:
    """key -> how many outcomes of the selection's clock are overdue and exempted, as known when the selection is of."""
    condition, values = of_outcomes(connection, selection, "result", ("overdue",), "charged_")
    key, exempted = key_of(connection, selection, "charged_"), is_flagged(selection, "exempted")
    sql = f"SELECT {key} AS k, count(*) FROM outcomes WHERE clock = ? AND {condition} AND {exempted} GROUP BY 1"
    return {k: n for k, n in execute(connection, sql, selection.clock, *values)}


def results(
    connection: Connection, selection: Selection, chosen: Sequence[str], *, flagged: bool = False
) -> list[tuple[str, str, int]]:
    """(key, `<result>:<clock>`, how many) of the outcomes of the selection's clock with one of these results, at the
    unit that is charged and the day on which the clock stopped. With `flagged` those that FLAGS tells of are told
    once more, under its measures."""
    condition, values = of_outcomes(connection, selection, "result", chosen, "charged_")
    key, found = key_of(connection, selection, "charged_"), list[tuple[str, str, int]]()
    flags = [(f"'{measure}'", f" AND {is_flagged(selection, measure)}") for measure in FLAGS]
    for name, only in [("result", ""), *(flags if flagged else ())]:
        sql = f"""
            SELECT {key} AS k, {name} || ':' || clock, count(*) FROM outcomes
            WHERE clock = ? AND {condition}{only} GROUP BY 1, 2 ORDER BY 1, 2"""
        found += [(*row,) for row in execute(connection, sql, selection.clock, *values)]
    return found

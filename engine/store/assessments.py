"""What an assessment adds up: counts of a period by unit, group of categories and the post that reported the case.

They are the cells of `engine.store.recount` and the outcomes of clocks, narrowed to the cases that have a step in the
period, as `engine.store.figure_cases` opens them: so a sheet and the cases behind it come from the same statements.
"""

from collections.abc import Iterable, Sequence

from sqlalchemy import Connection

from engine.store.figure_cases import counted_in, steps_of
from engine.store.figures import Selection, key_of, of_outcomes, reporter_of, where
from engine.store.recount import CELLS, COUNTED_BY, facts_read
from engine.store.sql import execute
from workflows.assessment.terms import OF_OUTCOMES, Counted


def counted(connection: Connection, selection: Selection, measures: Iterable[str]) -> list[Counted]:
    """The cells of a period by unit, group and reporter, as they stood when nothing after `selection.upto` had
    arrived; of facts that these measures follow from."""
    kinds = counted_in(measures)
    if not kinds:
        return []
    read, values = facts_read(
        connection, "performance", kinds, COUNTED_BY, selection.upto, steps_of(connection, selection, "/")
    )
    condition, chosen = where(selection)
    sql = f"""WITH {read}, {CELLS},
        found AS (SELECT {key_of(connection, selection)} AS k, grp, measure, post,
                         {reporter_of("cells.case_id")} AS reporter FROM cells WHERE {condition})
        SELECT k, grp, measure, coalesce(reporter, ''), CASE WHEN post = reporter THEN 1 ELSE 0 END, count(*)
        FROM found GROUP BY 1, 2, 3, 4, 5 ORDER BY 1, 2, 3, 4, 5"""
    rows = execute(connection, sql, *values, *chosen)
    return [Counted(key, group, measure, by, bool(same), n) for key, group, measure, by, same, n in rows]


def stopped(connection: Connection, selection: Selection, clocks: Sequence[str]) -> list[Counted]:
    """The clocks that stopped in a period, by the unit that is charged, group, result and reporter."""
    found = []
    for clock in clocks:
        condition, values = of_outcomes(connection, selection, "result", OF_OUTCOMES, "charged_")
        sql = f"""
            SELECT k, grp, result, coalesce(reporter, ''), count(*)
            FROM (SELECT {key_of(connection, selection, "charged_")} AS k, grp, result,
                         {reporter_of("outcomes.case_id")} AS reporter
                  FROM outcomes WHERE clock = ? AND {condition}) AS chosen
            GROUP BY 1, 2, 3, 4 ORDER BY 1, 2, 3, 4"""
        rows = execute(connection, sql, clock, *values)
        found += [Counted(key, group, f"{result}:{clock}", by, False, n) for key, group, result, by, n in rows]
    return found


def has_archived(connection: Connection, selection: Selection) -> bool:
    """Whether cases that count in a period have been archived."""
    condition, values = where(selection)
    sql = f"SELECT 1 FROM archived_figures WHERE {condition} LIMIT 1"
    return execute(connection, sql, *values).first() is not None

"""By how much steps that leave the tables have changed the figures, so that figures of before can still be read."""

from collections import defaultdict
from collections.abc import Iterable

from consumers.performance.fold import Cell, Contribution, OutcomeRow, fold
from engine.store import steps
from engine.store.archives import ArchivedFigureRow
from engine.store.rows import StepRow
from workflows.case import TOTAL


def changes_of(rows: Iterable[StepRow]) -> list[ArchivedFigureRow]:
    """The changes by cell and arrival of all steps of some cases, which come by case and number."""
    held: dict[str, Contribution | None] = {}
    ends: dict[str, OutcomeRow] = {}
    total: defaultdict[tuple[str, Cell, int], int] = defaultdict(int)
    for row in rows:
        step, end = steps.step_of(row), ends.get(row.case_id)
        held[row.case_id], cells, outcomes = fold(held.get(row.case_id), step, end)
        ends |= {outcome.case_id: outcome for outcome in outcomes if outcome.clock == TOTAL}
        for cell, value in cells.items():
            total[row.definition, cell, row.at] += value
    return [
        ArchivedFigureRow(definition, measure, *place, at=at, value=value)
        for (definition, (measure, place), at), value in sorted(total.items())
        if value
    ]

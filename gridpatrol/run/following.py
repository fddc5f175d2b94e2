"""Figures and alerts of one process follow the steps side by side: each step is read and decoded once, for both.

They share a transaction, and each keeps a position of its own. Where one is behind the other, as while figures are
rebuilt, each goes on by itself until they stand at the same steps; and so it does where the two fail together, since an
error of one is none of the other. Roles of a cluster are processes of their own, and never meet here.
"""

import logging
from collections.abc import Sequence
from functools import partial

from consumers.alerts import fold
from consumers.performance import consume
from engine import failpoints
from engine.failures import named
from engine.store import steps
from engine.store.alerts import DeliveryRow
from engine.store.database import Database, unusable
from engine.store.rows import StepRow

log = logging.getLogger(__name__)

NAMES = (fold.NAME, consume.NAME)


def follow(
    database: Database,
    at_hand: Sequence[StepRow] = (),
    limit: int = 1000,
    now: int | None = None,
    heard: fold.Heard | None = None,
) -> int:
    """Take the next steps in, those `at_hand` or about `limit` of the store, and write the lines that are due. Returns
    how many steps.

    `now` (ms since 1970) and `heard` as for alerts alone. FactsGap and ConsumerAhead as for each of them.
    """
    try:
        lines, taken = follow_together(database, at_hand, limit, now)
    except Exception as error:
        if isinstance(error, failpoints.Interrupted) or unusable(error) is not None:
            raise  # the database is away for each of them
        log.error("alerts and figures go on each by itself: %s", named(error))
        taken = None
    if taken is None:
        return follow_apart(database, at_hand, limit, now, heard)
    if taken:
        failpoints.hit("fold.after_commit")
        failpoints.hit("alerts.after_commit")
    if heard is not None and lines:
        heard(lines)
    return taken


def follow_together(
    database: Database, at_hand: Sequence[StepRow], limit: int, now: int | None
) -> tuple[list[DeliveryRow], int | None]:
    """The same in one transaction, without what comes after its commit: new lines, and how many steps were taken in.
    None where the two do not stand at the same steps: then nothing was written."""
    with database.begin() as connection:
        rows = steps.read_shared(connection, NAMES, limit, at_hand)
        if not rows:
            return [], None if rows is None else 0
        news = [steps.step_of(row) for row in rows]
        consume.take_in(connection, news, note=False)
        lines = fold.take_in(connection, news, now)
        steps.move_on(connection, NAMES, rows)
        failpoints.hit("fold.before_commit")
        failpoints.hit("alerts.before_commit")
    return lines, len(rows)


def follow_apart(
    database: Database, at_hand: Sequence[StepRow], limit: int, now: int | None, heard: fold.Heard | None
) -> int:
    """The same, each in a transaction of its own. What one of them raises is raised once both had their turn."""
    taken, errors = list[int](), list[Exception]()
    alerts, figures = partial(fold.consume, now=now, heard=heard), consume.consume
    for take_in in (alerts, figures):
        try:
            taken.append(take_in(database, at_hand, limit))
        except Exception as error:
            errors.append(error)
    if errors:
        raise errors[0]
    return min(taken) or max(taken)

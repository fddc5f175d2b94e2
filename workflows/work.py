"""Who may have something to do on a case, and by when: whoever holds it, and levels that owe a check on site.

A level that let the turn of its check pass does not hold the case any more, and may record its check until the case is
closed: so several may have something to do on one case. Pure.
"""

from msgspec import Struct

from workflows.case import AWAITED, Case, Clock
from workflows.definitions import DEFINITIONS, held_by
from workflows.holding import Holder


class Work(Struct, frozen=True):
    """What somebody may have to do. `clocks`: names of those that it is to fulfil as its state says; may be empty.
    `owed`: a check whose turn has passed."""

    holder: Holder
    clocks: tuple[str, ...]
    owed: bool = False


def work_on(case: Case) -> tuple[Work, ...]:
    """What there is to do on a case, the work of its holder first; nothing on one that is over or not born."""
    holder = held_by(case)
    if not holder.grid or case.state == AWAITED:
        return ()
    state = DEFINITIONS[case.definition].states[case.state]
    own = (Work(holder, state.clocks),)
    if not case.passed or not state.owed:
        return own
    levels = [level for level in case.checks if level in case.passed and level != holder.level]
    return own + tuple(Work(Holder(case.path[level - 1], level), state.owed, True) for level in levels)


def clock_of(case: Case, work: Work) -> Clock | None:
    """The clock by which something is to be done first: of an owed check its own, of a holder's work the one that is
    due first of all that run, but for checks of others. One without a deadline only where none has one."""
    checking, level = DEFINITIONS[case.definition].checking, work.holder.level
    if work.owed:
        running = [clock for clock in case.clocks if clock.name in work.clocks and clock.level == level]
    else:
        running = [clock for clock in case.clocks if clock.name not in checking or clock.level == level]
    dated = [clock for clock in running if clock.due is not None and clock.since is not None]
    if dated:
        return min(dated, key=lambda clock: (clock.due, clock.name, clock.level))
    return next((clock for clock in running if clock.name in work.clocks), next(iter(running), None))


def due_of(case: Case, work: Work) -> int | None:
    """The deadline of what is to be done (ms UTC); None: it has none."""
    clock = clock_of(case, work)
    return clock.due if clock is not None and clock.since is not None else None

"""When the row of a case comes up (`cases.next_at`): when something of the case itself is due, and beside that when the
packs of its partition ask for it.

1. An activation lets cases come up a millisecond before its arrival: their deadlines are looked at under that pack.
2. The end of a grid that names a successor lets its open cases come up, at its instant. A pack that becomes active
   later than that lets them come up at its arrival.

What is due of the case itself comes first where the instant is the same: until a grid ends, its cases are its own. Both
are functions of the log and of the case. A row may come up at an instant at which nothing is left to be done, because a
newer pack has taken an end back: it is written anew then, and no fact tells of it.
"""

from collections.abc import Sequence

from workflows import succession
from workflows.case import Case
from workflows.definitions import comes_up
from workflows.policy.index import Policy

Activations = Sequence[tuple[str, int]]
"""What became active in a partition: a pack's hash, and when it arrived (ms)."""


def active_since(activated: Activations, digest: str, upto: int | None = None) -> int:
    """Since when (ms) a pack has been active in a partition without another one between, when it was so for the last
    time; `upto`: up to an arrival."""
    since = 0
    for known, arrival in reversed(activated):
        if known == digest and (upto is None or arrival <= upto):
            since = arrival
        elif since:
            break
    return since


def is_activation(activated: Activations, instant: int) -> bool:
    """Whether a pack became active in a partition a millisecond after an instant."""
    return any(arrival - 1 == instant for _, arrival in activated)


def row_due(case: Case, register: Policy | None, since: int, beside: int | None = None) -> int | None:
    """When the row of a case comes up, under a register that became active at `since`. `beside`: when it does for an
    activation that it has not been looked at for."""
    due = comes_up(case)
    for at in (succession.due_of(case, register, since) if register is not None else None, beside):
        if at is not None and (due is None or at < due):
            due = at
    return due


def newly_ending(before: Policy | None, active: Policy, arrival: int) -> dict[int, list[str]]:
    """When open cases come up for grids that end as the pack says that becomes active at `arrival`, and did not end so
    under the one before: instant -> codes."""
    known = {} if before is None else before.ends
    found = dict[int, list[str]]()
    for code, end in active.ends.items():
        if known.get(code) != end:
            found.setdefault(max(end, arrival), []).append(code)
    return found

"""How somebody of the demo's year looks at a case that is in hand, and what is said then."""

from collections.abc import Collection, Sequence
from datetime import date
from random import Random
from typing import Any, NamedTuple

from workflows.case import Case

Words = tuple[str, dict[str, Any]] | None
"""A trigger with its data; None: this time nobody says anything."""
LISTED_FOR = 40
"""For so many days a street is listed as a key area."""
LATE = 0.12
"""So many let a deadline pass before they answer."""


class Turn(NamedTuple):
    """A case before whoever has it in hand: what it keeps of its own, when it is looked at (ms), and chance. `luck` is
    the same as long as the case stands where it does, `fate` as long as it is there; `held` are the problems that were
    listed; `lists`: its action lists a grid; `similar` are open problems of its group that patrols have found."""

    case: Case
    own: Any
    at: int
    today: date
    rng: Random
    luck: float
    fate: float
    held: Collection[str]
    lists: bool
    similar: Sequence[str] = ()


def is_late(case: Case, at: int, *names: str) -> bool:
    """Whether a deadline of a case has passed, of these clocks or of any."""
    return any(clock.due is not None and clock.due < at for clock in case.clocks if not names or clock.name in names)

"""Trials of one turn: which of the cases that hear something in it cannot be stored.

A turn is tried out, each time with one more of its sends, and never committed, until the database refuses it.
"""

from collections.abc import Callable

from msgspec.structs import replace

from engine.failures import is_permanent
from engine.slice.types import Limits, TriedOut
from workflows.turn import MOST_SENDS


def refused_target(attempt: Callable[[Limits], object], reload: Callable[[], None], limits: Limits) -> str:
    """The case that cannot be stored with what another one says to it, as a verdict names it; empty: the fault lies
    with the case whose turn it is.

    `attempt(limits)` tries the turn, `reload()` is to follow where the database has refused it.
    """
    last = ""
    for sends in range(MOST_SENDS + 1):
        try:
            attempt(replace(limits, sends=sends))
        except TriedOut as tried:
            last = tried.left_out
            if not last:
                break
        except Exception as error:
            if not is_permanent(error):
                raise
            reload()
            return last
    return ""

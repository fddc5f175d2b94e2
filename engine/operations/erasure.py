"""Erasing personal data: what was sealed of a case goes, what was decided stays.

In: a case, and who asks. Out: how many sealed bodies are gone, and a line in the log that says so. Log, facts and
figures carry tokens only, so none of them changes.

What is sealed is stored before its event is in the log. Where the event never got there (a crash, brokers that were
away) the sealed row waits for the resend, harmless: no token leads to it. It is erased with the rest of its case.
"""

import logging

from msgspec import Struct

from engine.errors import GridpatrolError
from engine.runtime import Engine
from engine.store import sealed

log = logging.getLogger(__name__)


class Erasure(Struct, frozen=True):
    """An operator's wish. `by`: the account on this machine that asks."""

    by: str


class Erased(Struct, frozen=True):
    """Of how many of a case's events, and of its dead letters, sealed bodies are gone. Zero: they were before."""

    incident: str
    events: int
    letters: int


class NothingSaid(GridpatrolError):
    """Nothing of this case has ever come in."""

    remedy = "See `gridpatrol incident list --all` and `gridpatrol deadletter list` for what there is."


def erase(engine: Engine, incident: str, by: str) -> Erased:
    """Blank what was sealed of every event of a case, also of refused ones. What is said of it later is sealed anew."""
    with engine.database.begin() as connection:
        if not sealed.knows(connection, incident):
            raise NothingSaid(f"no event of {incident!r} has come in")
        erased = Erased(incident, *sealed.blank(connection, incident))
    # A warning, so that the line is there at every level that one would run with.
    told = {"incident": incident, "by": by, "events": erased.events, "letters": erased.letters}
    log.warning("sealed.erased", extra=told)
    return erased

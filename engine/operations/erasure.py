"""Erasing personal data: sealed bodies of a case go, everything that was decided stays.

Log, facts and figures carry tokens only, so none of them changes. A body is stored before its event is in the log. If
the event never gets there (a crash, brokers that were away), the sealed row waits for the resend; no token leads to it,
and it is erased with the rest of its case.
"""

import logging

from msgspec import Struct

from engine.errors import GridpatrolError
from engine.runtime import Engine
from engine.store import sealed

log = logging.getLogger(__name__)


class Erasure(Struct, frozen=True):
    """An operator's request. `by`: the account on this machine that asks."""

    by: str


class Erased(Struct, frozen=True):
    """How many sealed bodies of a case's events and of its dead letters were erased; none that were erased before."""

    incident: str
    events: int
    letters: int


class UnknownIncident(GridpatrolError):
    """Nothing of this case has ever come in."""

    remedy = "See `gridpatrol incident list --all` and `gridpatrol deadletter list` for what there is."


def erase(engine: Engine, incident: str, by: str) -> Erased:
    """Blank what was sealed of every event of a case, also of refused ones. Later events are sealed anew.
    UnknownIncident for a case of which nothing has come in."""
    with engine.database.begin() as connection:
        if not sealed.knows(connection, incident):
            raise UnknownIncident(f"no event of {incident!r} has come in")
        erased = Erased(incident, *sealed.blank(connection, incident))
    # A warning, so that the line is there at every level at which an installation would log.
    extra = {"incident": incident, "by": by, "events": erased.events, "letters": erased.letters}
    log.warning("sealed.erased", extra=extra)
    return erased

"""What *now* is for a reading: the wall's present, or the end of a history.

A database of a history that was replayed has no present of its own. Where the log's time is more than a week past,
readings that name no instant are of then: what was late by the last record, the month in which it stands, the duties of
that day. The answer names it (`reading`), and the command line says it in a sentence. One rule for every reading.

An instant that is asked for is read as known then: by what had arrived up to it (`engine.views.past`).
"""

from typing import Literal, NamedTuple

from engine.store import archives, clocks, known_then
from engine.store.database import Connection
from engine.views.names import Names
from engine.views.questions import BadQuestion, parse_instant
from workflows.homes import SILENCE_MS

Reading = Literal["now", "last_record", "as_known_then"]
"""What a reading is of: the wall's present, the last record of a history, or an instant that was asked for, by what had
arrived by then."""


class Present(NamedTuple):
    """The instant that a reading is of (ms UTC), which one that is, and how far the log has told (0: nothing yet)."""

    at: int
    kind: Reading
    log_at: int
    remark: str = ""


def reading_of(connection: Connection, names: Names, now: int, at: str) -> Present:
    """The present, or the instant `at` (RFC 3339 with a zone) as it was known then. Raises BadQuestion for one that is
    still to come."""
    here = present(connection, now)
    if not at:
        return here
    then = parse_instant(at, "at")
    if then > max(now, here.log_at):
        raise BadQuestion("at", "this instant is still to come", "name one up to now, or none: the answer is of now")
    first = known_then.read_first(connection)
    remark = ""
    if first is None or then < first:
        begins = f"the first record is of {names.instant(first)}" if first is not None else "there is no record yet"
        remark = f"nothing had arrived by then: {begins}"
    return Present(then, "as_known_then", here.log_at, what_left(connection, names, then) or remark)


def what_left(connection: Connection, names: Names, at: int) -> str:
    """What an answer of an instant lacks, since cases that were open then have left the tables; empty: nothing."""
    before = archives.latest(connection)
    if at >= before:
        return ""
    return f"cases that had ended before {names.instant(before)} and have been archived are not in this answer"


def present(connection: Connection, now: int) -> Present:
    """The present of this database. `now`: that of the wall, ms UTC."""
    log_at = max(clocks.read(connection).values(), default=0)
    if log_at < SILENCE_MS:  # nothing but the pack, which is active from the beginning of time
        return Present(now, "now", 0)
    return Present(log_at, "last_record", log_at) if now - log_at > SILENCE_MS else Present(now, "now", log_at)

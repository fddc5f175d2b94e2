"""What an operator's word in the log archives: the cases of a partition that had ended before an instant.

A record of kind `archive` names the instant. From it on nothing more comes to a case that has ended, whose last step
arrived before the instant, and for whose reporters nothing is left to hear: what speaks to it is refused, and no other
case finds it. That follows from the log alone. Whether the rows of the case have left the database makes no difference.

The instant lies before all that may still count as a resend when the record arrives, so no case can come to it later,
and the outcomes of events may go with their cases.
"""

from collections.abc import Callable

import msgspec
from msgspec import Struct

from engine.store.rows import PartitionRow
from workflows.case import Case
from workflows.merging import survivor_of

Archive = tuple[int, int]
"""The instant (ms) before which cases had ended, and the position of the record that said so."""


class Wanted(Struct, frozen=True, forbid_unknown_fields=True):
    """The body of an archive record."""

    before: int  # ms since 1970


def archives_of(row: PartitionRow) -> list[Archive]:
    """What was archived in a partition so far."""
    return msgspec.json.decode(row.archives or "[]", type=list[Archive])


def before_of(row: PartitionRow, position: int) -> int:
    """The instant (ms) before which cases had ended that are archived for a record at a position; 0: none are."""
    return max((before for before, at in archives_of(row) if at < position), default=0) if row.archives else 0


def note(row: PartitionRow, body: str, arrival: int, window_ms: int) -> None:
    """Keep in a partition's row what the record at its position archives. `window_ms`: in which a resend counts as one.

    Raises msgspec.DecodeError for a body that is none.
    """
    before = min(msgspec.json.decode(body, type=Wanted).before, arrival - window_ms)
    if before > before_of(row, row.position):
        row.archives = msgspec.json.encode([*archives_of(row), (before, row.position)]).decode()


def is_over(case: Case, before: int, last: int, find: Callable[[str], Case | None]) -> bool:
    """Whether a case is archived where those are that had ended before an instant. `last`: when its last step arrived.

    One that was merged is archived once the case that goes on for it has ended: until then it is to hear of that end.
    """
    if case.closed is None or case.next_at is not None or last >= before:
        return False
    survivor = survivor_of(case.merged_into, find) if case.merged_into else None
    return survivor is None or survivor.closed is not None

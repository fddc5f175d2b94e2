"""What became of an event: of its first sending, or of the one at a position of the log."""

import msgspec
from msgspec import Struct

from engine.slice.types import PENDING
from engine.store import dead_letters, incident_queries
from engine.store.database import Connection
from engine.views.questions import Unanswerable
from schemas.envelope import decode_record
from schemas.refusals import Reason

STANDS = "its case stands after a defect of the engine: nothing is lost, it is decided once that is mended"
MOST_CANDIDATES = 20
"""Undecided records that mention an event and are looked at to find it."""


class EventStatus(Struct, frozen=True, omit_defaults=True, kw_only=True):
    """The outcome of an event: done, parked, duplicate, conflict, refused, or pending (in the log, not decided yet;
    then `detail` says so if it waits because a rule of the engine failed on its case).

    `first` is what became of the first event of this source and id, where this one is a duplicate of it.
    """

    outcome: str
    source: str
    id: str
    case: str = ""
    partition: int
    position: int
    reason: str = ""
    field: str = ""
    detail: str = ""
    first: str = ""


class UnknownEvent(Unanswerable):
    """No event of this source and id has come in."""

    def __init__(self, source: str, id_: str) -> None:
        remedy = "send it: what was accepted is never lost, and what was rejected stands among the dead letters"
        super().__init__("id", f"no event with id {id_!r} of source {source!r} has come in", remedy)


class AmbiguousEvent(Unanswerable):
    """This source and id came for several homes, which are of different partitions."""

    def __init__(self) -> None:
        super().__init__("subject", "this source and id came for several homes", "give the subject as well")


def event_status(
    connection: Connection, source: str, id_: str, partition: int | None, position: int | None
) -> EventStatus:
    """The outcome of the first sending, or of the one at a position of a partition. Raises Unanswerable."""
    if (
        partition is not None
        and position is not None
        and incident_queries.read_position(connection, partition) <= position
    ):
        return _pending(connection, source, id_)
    found = incident_queries.read_event(connection, source, id_, partition)
    if len(found) > 1:
        raise AmbiguousEvent()
    if not found:
        return _pending(connection, source, id_)
    seen = found[0]
    status = EventStatus(
        outcome=seen.outcome,
        source=seen.source,
        id=seen.id,
        case=seen.case_id,
        partition=seen.partition,
        position=seen.position,
        reason=seen.reason,
        field=seen.field,
        detail=seen.detail if seen.outcome != PENDING else STANDS,
    )
    if position is None or position == seen.position:
        return status
    letter = dead_letters.read(connection, f"{seen.partition}.{position}")
    if letter is None:
        return msgspec.structs.replace(status, outcome="duplicate", first=seen.outcome, position=position)
    return msgspec.structs.replace(
        status,
        outcome="conflict" if letter.reason == Reason.CONFLICT else "refused",
        case=letter.case_id,
        position=position,
        reason=letter.reason,
        field=letter.field,
        detail=letter.detail,
    )


def event_status_in_topic(
    connection: Connection, source: str, id_: str, subject: str, partition: int, position: int
) -> EventStatus:
    """The same where the log is a topic, which is not searched: the place that was given out is believed."""
    if incident_queries.read_position(connection, partition) <= position:
        return EventStatus(outcome=PENDING, source=source, id=id_, case=subject, partition=partition, position=position)
    return event_status(connection, source, id_, partition, position)


def _pending(connection: Connection, source: str, id_: str) -> EventStatus:
    """An event that is in the log and not decided yet. Raises UnknownEvent."""
    texts = [msgspec.json.encode(text).decode() for text in (source, id_)]
    for row in incident_queries.read_waiting(connection, texts, MOST_CANDIDATES):
        event = decode_record(row.body).event  # a door has admitted it: it can be decoded
        if (event.source, event.id) == (source, id_):
            return EventStatus(
                outcome=PENDING,
                source=source,
                id=id_,
                case=event.subject,
                partition=row.partition,
                position=row.position,
            )
    raise UnknownEvent(source, id_)

"""What became of an event: of its first sending, or of the one at a position of the log."""

from collections.abc import Iterable
from typing import Literal, NamedTuple

import msgspec
from msgspec import Struct

from engine.policies import Policies
from engine.principals import LOCAL, Principal
from engine.slice.types import PENDING
from engine.store import dead_letters, incident_queries
from engine.store.database import Connection
from engine.store.rows import SeenRow, StepRow
from engine.views.questions import Unanswerable
from engine.views.told import Place, Told, told_in, told_of
from schemas.envelope import decode_record
from schemas.instants import written
from schemas.partition import home_of
from schemas.refusals import Reason
from workflows import case as cases
from workflows.parking import Wait, wait_of
from workflows.reading import READS_EVERYTHING, Readable

STANDS = "its case stands after a defect of the engine: nothing is lost, it is decided once that is mended"
MOST_CANDIDATES = 20
"""Undecided records that mention an event and are looked at to find it."""


class AskedEvent(Struct, frozen=True):
    """Which event is asked for: by source and id, and as far as it is known by its subject, its actor and its place in
    the log. A subject gives the partition."""

    source: str
    id: str
    subject: str = ""
    actor: str = ""
    partition: int | None = None
    position: int | None = None


class EventStatus(Struct, frozen=True, omit_defaults=True, kw_only=True):
    """The outcome of an event: done, parked, duplicate, conflict, refused, or pending (in the log, not decided yet;
    then `detail` says so if it waits because a rule of the engine failed on its case).

    `first` is what became of the first event of this source, id and actor, where this one is a duplicate of it. While
    that is parked, `waits_for` names the types of events that end its wait, left out where time alone does, and `until`
    is the instant that ends it in vain.
    Of what was taken, `place` says where its case lies, `time` whether its instant was `believed` or `clamped`, and
    `similar` which open cases may be the same problem. What was refused before it came to the log has no `partition`
    and no `position`.
    """

    outcome: str
    source: str
    id: str
    case: str = ""
    partition: int | None = None
    position: int | None = None
    reason: str = ""
    field: str = ""
    detail: str = ""
    first: str = ""
    waits_for: list[str] = msgspec.field(default_factory=list)
    until: str = ""
    place: Place | None = None
    time: Literal["", "believed", "clamped"] = ""
    similar: list[str] = msgspec.field(default_factory=list)


class UnknownEvent(Unanswerable):
    """No event of this source and id has come in."""

    def __init__(self) -> None:
        remedy = "send it: what was accepted is never lost, and what was rejected stands among the dead letters"
        super().__init__("id", "no event of this source and id has come in", remedy)


class AmbiguousEvent(Unanswerable):
    """This source and id came for several homes, or from several actors."""

    def __init__(self, subject: str) -> None:
        if subject:
            super().__init__("actor", "this source and id came from several actors", "give the actor as well")
        else:
            remedy = "give the subject and the actor as well"
            super().__init__("subject", "this source and id came for several homes or from several actors", remedy)


class Asker(NamedTuple):
    """Who asks, and what it reads: it is told of events of its own posts, of cases that it reads, and of what it sent
    itself."""

    principal: Principal = LOCAL
    readable: Readable = READS_EVERYTHING

    def may_know(self, connection: Connection, actor: str, case: str, sender: str = "") -> bool:
        """Whether it is told of an event of an actor, about a case, of a sender; what is not known is empty."""
        if self.readable.whole or (actor and self.principal.may_speak(actor)) or sender == self.principal.name:
            return True
        body = incident_queries.read_case(connection, case) if case else None
        return body is not None and self.readable.reads_case(cases.decode(body))


ANYBODY = Asker()


def event_status(connection: Connection, policies: Policies, asked: AskedEvent, asker: Asker = ANYBODY) -> EventStatus:
    """The outcome of the first sending, or of the one at a position of a partition. Raises Unanswerable: what the asker
    may not know has not come in."""
    partition, position = asked.partition, asked.position
    if (
        partition is not None
        and position is not None
        and incident_queries.read_position(connection, partition) <= position
    ):
        return _pending(connection, asked, asker)
    rows = incident_queries.read_event(connection, asked.source, asked.id, partition, asked.actor)
    rows = [row for row in rows if asker.may_know(connection, row.actor, row.case_id)]
    if asked.subject:
        home = home_of(asked.subject)
        rows = [row for row in rows if row.home == home or (not row.home and row.case_id == asked.subject)]
    letter = None
    if partition is not None and position is not None:
        if here := [row for row in rows if row.position == position]:
            return status_of(connection, policies, here[0])
        letter = dead_letters.read(connection, f"{partition}.{position}")
    if letter is not None and not asker.may_know(connection, "", letter.case_id, letter.principal):
        raise UnknownEvent()
    if letter is None:
        # A row without an actor is of an older release: for an actor it answers where no row of its own does.
        found = [row for row in rows if row.actor and asked.actor] or rows
        if len(found) > 1:
            raise AmbiguousEvent(asked.subject)
        if not found:
            return _pending(connection, asked, asker)
        status = status_of(connection, policies, found[0])
        if position is None:
            return status
        return msgspec.structs.replace(status, outcome="duplicate", first=status.outcome, position=position)
    assert letter.partition is not None and letter.position is not None
    return EventStatus(
        outcome="conflict" if letter.reason == Reason.CONFLICT else "refused",
        source=asked.source,
        id=asked.id,
        case=letter.case_id,
        partition=letter.partition,
        position=letter.position,
        reason=letter.reason,
        field=letter.field,
        detail=letter.detail,
    )


def wait_of_seen(connection: Connection, policies: Policies, seen: SeenRow) -> Wait | None:
    """What a parked event waits for; None of any other."""
    body = incident_queries.read_case(connection, seen.case_id) if seen.outcome == "parked" else None
    active = incident_queries.read_active(connection) if body else None
    if body is None or active is None:
        return None
    return wait_of(cases.decode(body), seen.source, seen.id, seen.actor, policies.get(connection, active))


def status_of(
    connection: Connection, policies: Policies, seen: SeenRow, steps: Iterable[StepRow] | None = None
) -> EventStatus:
    """What is known of a first sending. `steps`: those of its case, where they have been read."""
    wait, said = wait_of_seen(connection, policies, seen), Told()
    if seen.outcome == "done" and steps is not None:
        said = told_in(steps, seen.source, seen.id, seen.actor) or said
    elif seen.outcome == "done":
        said = told_of(connection, seen.case_id, seen.source, seen.id, seen.actor)
    return EventStatus(
        outcome=seen.outcome,
        source=seen.source,
        id=seen.id,
        case=seen.case_id,
        partition=seen.partition,
        position=seen.position,
        reason=seen.reason,
        field=seen.field,
        detail=seen.detail if seen.outcome != PENDING else STANDS,
        waits_for=list(wait.waits_for) if wait else [],
        until=written(wait.until) if wait else "",
        place=said.place,
        time=said.time,
        similar=said.similar,
    )


def event_status_in_topic(
    connection: Connection, policies: Policies, asked: AskedEvent, asker: Asker = ANYBODY
) -> EventStatus:
    """The same where the log is a topic, which is not searched: the place that was given out is believed."""
    partition, position = asked.partition, asked.position
    if partition is None or position is None or incident_queries.read_position(connection, partition) > position:
        return event_status(connection, policies, asked, asker)
    return EventStatus(
        outcome=PENDING,
        source=asked.source,
        id=asked.id,
        case=asked.subject,
        partition=partition,
        position=position,
    )


def _pending(connection: Connection, asked: AskedEvent, asker: Asker) -> EventStatus:
    """An event that is in the log and not decided yet. Raises UnknownEvent."""
    words = [word for word in (asked.source, asked.id, asked.subject, asked.actor) if word]
    texts = [msgspec.json.encode(word).decode() for word in words]
    for row in incident_queries.read_waiting(connection, texts, MOST_CANDIDATES):
        event = decode_record(row.body).event  # a door has admitted it: it can be decoded
        if (event.source, event.id) != (asked.source, asked.id) or asked.actor not in ("", event.actor):
            continue
        if not asker.may_know(connection, event.actor, event.subject, row.principal):
            continue
        return EventStatus(
            outcome=PENDING,
            source=event.source,
            id=event.id,
            case=event.subject,
            partition=row.partition,
            position=row.position,
        )
    raise UnknownEvent()

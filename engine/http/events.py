"""Events at the door: one CloudEvent, or a batch of them. Each is durable before it is answered.

In: bytes. Out: 202 with where to ask for the outcome, the outcome itself (`Prefer: wait=N`), or why an event breaks the
contract or is not its sender's to send. What is refused here is kept with its bytes, under an id that the same bytes of
the same sender always get.
"""

import asyncio
import re
from collections.abc import Sequence
from typing import Any
from urllib.parse import urlencode

import msgspec
from litestar import Request, Response, get, post
from litestar.di import NamedDependency
from litestar.params import FromQuery
from msgspec import Struct

from engine import admission
from engine.http.auth import needs
from engine.http.context import DURABLE_S, DoorContext, settled
from engine.http.problems import Problem, bad_query, busy, refused
from engine.principals import Principal
from engine.runtime import Engine
from engine.slice.types import Answer
from engine.store import dead_letters, incident_queries
from engine.store.dead_letters import DeadLetter
from engine.store.incident_queries import Connection
from engine.store.rows import SeenRow
from engine.writer import Ask
from schemas import binary
from schemas.envelope import Envelope, decode_record
from schemas.partition import home_of, partition_of
from schemas.refusals import Reason, Refusal

SINGLE = ("application/cloudevents+json", "application/json")
BATCH = "application/cloudevents-batch+json"
MOST_BYTES = 16 * 1024 * 1024
"""A request's size, whatever it holds."""
LONGEST_WAIT_S = 30
LETTERS_AT_ONCE = 64
"""Refused events that may wait to be kept; more are told to come again."""
WAITING_LOOKED_AT = 20
"""Undecided records that mention an event and are looked at to find it."""
BREATH = 50
"""Events of a batch that are decoded before others get their turn."""


class Accepted(Struct, frozen=True, omit_defaults=True, kw_only=True):
    """What became of one event: `accepted` (durable, to be decided in its turn) or `rejected` (breaks the contract).

    `outcome` and what follows only where somebody waited for it: done, parked, duplicate, conflict or refused.
    """

    status: str
    source: str = ""
    id: str = ""
    partition: int | None = None
    position: int | None = None
    status_url: str = ""
    outcome: str = ""
    first: str = ""
    case: str = ""
    reason: str = ""
    field: str = ""
    detail: str = ""
    dead_letter: str = ""


class Batch(Struct, frozen=True):
    """What became of a batch, event by event in the order of sending."""

    accepted: int
    rejected: int
    results: list[Accepted]


class Status(Struct, frozen=True, omit_defaults=True, kw_only=True):
    """The outcome of an event: done, parked, duplicate, conflict, refused, or pending (in the log, not decided yet).

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


class _Item(Struct):
    """An event on its way in."""

    raw: bytes
    sender: Principal
    event: Envelope | None = None
    ask: Ask | None = None
    refusal: Refusal | None = None
    letter: str = ""


# ---- taking -------------------------------------------------------------------------------------------------


@post(
    "/v1/events",
    status_code=202,
    summary="Publish one CloudEvent, or a batch",
    tags=["events"],
    guards=[needs("actors")],
)
async def publish(
    request: Request[Principal, Any, Any], context: NamedDependency[DoorContext]
) -> Response[Accepted | Batch]:
    """Answers 202 once what was sent is durable. Whether the rules take it is decided right afterwards, in its turn:
    ask the `status_url`, or send `Prefer: wait=5` to get the outcome (then the answer is 200). Sending the same event
    again is safe: source and id are recognised, and the answer is the outcome of the first. One event may come in
    binary mode instead: its attributes as `ce-` headers, percent-encoded, and its data alone as `application/json`."""
    context.check_open()
    kind = (request.headers.get("content-type") or "").partition(";")[0].strip().lower()
    wait = _wait(request.headers.get("prefer", ""))
    if kind == BATCH:
        return await _batch(context, request.user, await request.body(), wait)
    headers = _headers(request)
    if kind in SINGLE or binary.is_binary(headers):
        return await _single(context, _received(request.user, headers, await request.body()), wait)
    remedy = f"send a structured CloudEvent as {SINGLE[0]} (or {SINGLE[1]}), several as {BATCH}, or ce- headers"
    raise Problem(415, "content_type", f"{kind or 'no content type'} is not taken here", remedy=remedy)


def _wait(prefer: str) -> int | None:
    """Seconds of `Prefer: wait=N` (RFC 7240); None where nobody waits."""
    found = re.search(r'(?:^|[,;\s])wait\s*=\s*"?(\d{1,9})"?', prefer, re.IGNORECASE)
    return min(int(found[1]), LONGEST_WAIT_S) if found else None


def _headers(request: Request[Any, Any, Any]) -> list[tuple[str, str]]:
    """The headers in which an event's attributes may stand. Kafka's spelling of them (`ce_`) means nothing here."""
    return [(name, value) for name, value in request.headers.multi_items() if not name.startswith(binary.KAFKA)]


def _received(sender: Principal, headers: list[tuple[str, str]], body: bytes) -> _Item:
    """An event in binary mode made structured, or why it is none; a structured one as it came."""
    event = binary.structured(headers, body)
    if isinstance(event, Refusal):
        return _Item(binary.as_sent(headers, body), sender, refusal=event)
    return _Item(event, sender)


async def _single(context: DoorContext, item: _Item, wait: int | None) -> Response[Accepted | Batch]:
    await _take(context, [item], wait)
    if item.refusal is not None:
        raise refused(item.refusal, item.letter)
    return await _answer(context, [item], wait, single=True)


async def _batch(context: DoorContext, sender: Principal, body: bytes, wait: int | None) -> Response[Accepted | Batch]:
    most = context.settings.batch_events
    try:
        raws = msgspec.json.decode(body, type=list[msgspec.Raw])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        why = Refusal(Reason.UNDECODABLE, "", f"a batch is a JSON array of events: {error}")
        item = _Item(body, sender, refusal=why)
        await _keep(context, [item])
        raise refused(why, item.letter) from error
    if len(raws) > most:
        raise Problem(
            422,
            "too_many",
            f"the batch has {len(raws)} events, {most} are allowed",
            remedy=f"send at most {most} at a time",
        )
    items = await _take(context, [_Item(bytes(raw), sender) for raw in raws], wait)
    return await _answer(context, items, wait, single=False)


async def _take(context: DoorContext, items: list[_Item], wait: int | None) -> list[_Item]:
    """Submit what keeps the contract, keep the rest as dead letters, and wait until all of it is durable."""
    for number, item in enumerate(items):
        if item.refusal is None:
            _submit(context, item, wait is not None)
        if number % BREATH == BREATH - 1:
            await asyncio.sleep(0)
    await _keep(context, [item for item in items if item.refusal is not None])
    for item in items:
        # Events become durable in the order in which they were queued: after the last one none is waited for.
        if item.ask is not None and not await settled(item.ask.durable, DURABLE_S):
            raise busy(f"not durable within {DURABLE_S} s: whether it will be is not known")
        if item.ask is not None and item.ask.durable.exception() is not None:
            raise busy(f"could not be made durable: {item.ask.durable.exception()}")
    return items


def _submit(context: DoorContext, item: _Item, wait: bool) -> None:
    """Queue one event for the log, or note why it breaks the contract."""
    most = context.settings.event_bytes
    if len(item.raw) > most:
        said = f"the event has {len(item.raw)} bytes, {most} are allowed: put files elsewhere and send their address"
        item.refusal = Refusal(Reason.TOO_LARGE, "", said)
        return
    received = admission.admit(item.raw, item.sender, context.writer.engine.count)
    if isinstance(received, Refusal):
        item.refusal = received
        return
    submission, item.event = received
    item.ask = context.writer.submit(submission, wait=wait)


async def _keep(context: DoorContext, items: Sequence[_Item]) -> None:
    """Keep what was refused, once per content; of what is too large, as much as an event may have."""
    kept: dict[str, DeadLetter] = {}
    for item in items:
        assert item.refusal is not None
        item.letter = admission.letter_id(item.raw, item.sender.name)
        raw = item.raw[: context.settings.event_bytes]
        kept[item.letter] = admission.letter(raw, item.refusal, item.sender.name, context.now(), item.letter)
    if not kept:
        return
    if context.letters >= LETTERS_AT_ONCE:
        raise busy("more refused events are waiting to be kept than may wait")

    def keep(engine: Engine) -> None:
        with engine.database.begin() as connection:
            dead_letters.write(connection, list(kept.values()))

    context.letters += 1
    try:
        future = context.writer.call(keep)
        if not await settled(future, DURABLE_S) or future.exception() is not None:
            raise busy("what was refused could not be kept")
    finally:
        context.letters -= 1


# ---- answering ----------------------------------------------------------------------------------------------


async def _answer(
    context: DoorContext, items: list[_Item], wait: int | None, *, single: bool
) -> Response[Accepted | Batch]:
    """202, or 200 where somebody waited and every outcome is known in time."""
    decided = wait is not None and await _decided(context, items, wait)
    results = [_result(item, wait is not None) for item in items]
    rejected = sum(result.status == "rejected" for result in results)
    body: Accepted | Batch = results[0] if single else Batch(len(results) - rejected, rejected, results)
    headers = {"Preference-Applied": f"wait={wait}"} if wait is not None else {}
    return Response(body, status_code=200 if decided else 202, headers=headers)


async def _decided(context: DoorContext, items: list[_Item], wait: int) -> bool:
    """Wait for the outcomes, all of them together no longer than asked."""
    until = context.now() + wait * 1000
    for item in items:
        outcome = item.ask.outcome if item.ask else None
        if outcome is not None and not await settled(outcome, max(0, until - context.now()) / 1000):
            return False
    return all(i.ask is None or i.ask.outcome is None or i.ask.outcome.exception() is None for i in items)


def _result(item: _Item, waited: bool) -> Accepted:
    """The answer for one event."""
    if item.refusal is not None:
        why = item.refusal
        return Accepted(
            status="rejected", reason=why.reason, field=why.field, detail=why.detail, dead_letter=item.letter
        )
    assert item.event is not None and item.ask is not None
    event, row, outcome = item.event, item.ask.durable.result(), item.ask.outcome
    asked = urlencode({"source": event.source, "id": event.id, "subject": event.subject, "position": row.position})
    accepted = Accepted(
        status="accepted",
        source=event.source,
        id=event.id,
        partition=row.partition,
        position=row.position,
        status_url=f"/v1/events/status?{asked}",
    )
    if not waited or outcome is None or not outcome.done() or outcome.exception() is not None:
        return accepted
    answer: Answer = outcome.result()
    why = answer.refusal or Refusal(Reason.INVALID, "", "")
    return msgspec.structs.replace(
        accepted,
        outcome=answer.outcome,
        first=answer.first,
        case=event.subject,
        reason=why.reason if answer.refusal else "",
        field=why.field,
        detail=why.detail,
    )


# ---- asking afterwards --------------------------------------------------------------------------------------


@get("/v1/events/status", summary="What became of an event", tags=["events"])
async def status(
    context: NamedDependency[DoorContext],
    source: FromQuery[str],
    id: FromQuery[str],
    subject: FromQuery[str] = "",
    position: FromQuery[int | None] = None,
) -> Status:
    """The outcome of an event by source and id. With `subject` and `position`, as in a `status_url`, of that very
    sending: a resend is then told apart from the first."""
    partition = partition_of(home_of(subject), context.writer.engine.count) if subject else None
    if position is not None and partition is None:
        raise bad_query("position", "the subject tells the partition of a position", "give the subject as well")
    if partition is None or position is None or not context.settings.kafka:
        return await context.read(lambda connection: _status(connection, source, id, partition, position))
    waits = Status(outcome="pending", source=source, id=id, case=subject, partition=partition, position=position)
    return await context.read(lambda connection: _status_in_topic(connection, waits))


def _status_in_topic(connection: Connection, waits: Status) -> Status:
    """What is not decided yet stands in the topic, which is not searched: the place that was given out is believed."""
    if incident_queries.read_position(connection, waits.partition) <= waits.position:
        return waits
    return _status(connection, waits.source, waits.id, waits.partition, waits.position)


def _status(connection: Connection, source: str, id_: str, partition: int | None, position: int | None) -> Status:
    if (
        partition is not None
        and position is not None
        and incident_queries.read_position(connection, partition) <= position
    ):
        return _pending(connection, source, id_)
    found = incident_queries.read_event(connection, source, id_, partition)
    if len(found) > 1:
        raise Problem(
            409,
            "ambiguous",
            "this source and id came for several homes",
            field="subject",
            remedy="give the subject as well",
        )
    if not found:
        return _pending(connection, source, id_)
    return _of(connection, found[0], position)


def _of(connection: Connection, seen: SeenRow, position: int | None) -> Status:
    """The outcome of the first sending, or of the one at a position."""
    answer = Status(
        outcome=seen.outcome,
        source=seen.source,
        id=seen.id,
        case=seen.case_id,
        partition=seen.partition,
        position=seen.position,
        reason=seen.reason,
        field=seen.field,
        detail=seen.detail,
    )
    if position is None or position == seen.position:
        return answer
    letter = dead_letters.read(connection, f"{seen.partition}.{position}")
    if letter is None:
        return msgspec.structs.replace(answer, outcome="duplicate", first=seen.outcome, position=position)
    outcome = "conflict" if letter.reason == Reason.CONFLICT else "refused"
    return Status(
        outcome=outcome,
        source=seen.source,
        id=seen.id,
        case=letter.case_id,
        partition=seen.partition,
        position=position,
        reason=letter.reason,
        field=letter.field,
        detail=letter.detail,
    )


def _pending(connection: Connection, source: str, id_: str) -> Status:
    """An event that is in the log and not decided yet; else nobody knows it."""
    words = [msgspec.json.encode(text).decode() for text in (source, id_)]
    for row in incident_queries.read_waiting(connection, words, WAITING_LOOKED_AT):
        event = decode_record(row.body).event  # whatever came in by a door can be decoded
        if (event.source, event.id) == (source, id_):
            return Status(
                outcome="pending",
                source=source,
                id=id_,
                case=event.subject,
                partition=row.partition,
                position=row.position,
            )
    remedy = "send it: what was accepted is never lost, and what was rejected stands among the dead letters"
    raise Problem(
        404, "unknown_event", f"no event with id {id_!r} of source {source!r} has come in", field="id", remedy=remedy
    )


ROUTES = [publish, status]

"""Events at the door: one CloudEvent, or a batch of them. Each is durable before it is answered.

The answer is 202 with where to ask for the outcome, the outcome itself (`Prefer: wait=N`), or why an event breaks the
contract or is not its sender's to send.
"""

import re
from collections.abc import Sequence
from contextlib import nullcontext, suppress
from functools import lru_cache
from typing import Annotated, Any, Literal, NamedTuple
from urllib.parse import quote_plus

import msgspec
from litestar import Request, Response, get, post
from litestar.di import NamedDependency
from litestar.params import QueryParameter
from msgspec import Struct
from msgspec.structs import replace

from engine.http.auth import needs
from engine.http.context import DoorContext
from engine.http.incoming import Incoming, decided, keep, take
from engine.http.problems import Problem, refused
from engine.principals import Principal
from engine.slice.types import PENDING, Answer
from engine.store.database import Connection
from engine.views.event_status import STANDS, AskedEvent, Asker, EventStatus, event_status, event_status_in_topic
from engine.views.questions import MOST_DIGITS, BadQuestion
from engine.views.told import Place, told_in, told_of
from schemas import binary
from schemas.envelope import BOM, not_json
from schemas.instants import written
from schemas.partition import home_of, partition_of
from schemas.refusals import Reason, Refusal

Source = Annotated[str, QueryParameter(description="`source` of the event.")]
EventId = Annotated[str, QueryParameter(description="`id` of the event.")]
Subject = Annotated[str, QueryParameter(description="`subject` of the event, as in a `status_url`.")]
Actor = Annotated[str, QueryParameter(description="`actor` of the event, where others use its source and id.")]
Position = Annotated[
    int | None,
    QueryParameter(
        description="Its place in the log, as in a `status_url`.",
        schema_extra={"minimum": 0, "maximum": 10**MOST_DIGITS - 1},
    ),
]
SINGLE = ("application/cloudevents+json", "application/json")
BATCH = "application/cloudevents-batch+json"
MOST_BYTES = 16 * 1024 * 1024
"""A request's size, whatever it holds."""
LONGEST_WAIT_S = 30
WAIT = re.compile(r'(?:^|[,;\s])wait\s*=\s*"?(\d{1,9})"?(\s*;\s*parked\s*=\s*"?0"?(?=\s*(?:[,;]|$)))?', re.IGNORECASE)
"""Seconds of `Prefer: wait=N` (RFC 7240), and whether `parked=0` says that they are not for what is parked."""

UNQUOTED = re.compile(r"[A-Za-z0-9_.~-]*")
"""What a query takes as it is (RFC 3986, 2.3)."""


class Accepted(Struct, frozen=True, omit_defaults=True, kw_only=True):
    """What became of one event: `accepted` (durable, to be decided in its turn) or `rejected` (breaks the contract).

    `unknown` names members that the contract does not know, at most 20: they were sealed and are read by no rule, so a
    name may be misspelt. `outcome` and what follows only where the sender waited for it: done, parked, duplicate,
    conflict, refused, or pending where its case stands (`detail` says why). While an event is parked, or the one that
    it is a duplicate of, `waits_for` names the types of events that end its wait (left out where time alone does), and
    `until` is the instant that ends it in vain.
    Of what was taken, `place` says where its case lies, `time` whether its instant was `believed` or `clamped`, and
    `similar` which open cases may be the same problem.
    """

    status: str
    source: str = ""
    id: str = ""
    partition: int | None = None
    position: int | None = None
    status_url: str = ""
    unknown: list[str] = msgspec.field(default_factory=list)
    outcome: str = ""
    first: str = ""
    waits_for: list[str] = msgspec.field(default_factory=list)
    until: str = ""
    place: Place | None = None
    time: Literal["", "believed", "clamped"] = ""
    similar: list[str] = msgspec.field(default_factory=list)
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


@post(
    "/v1/events",
    status_code=202,
    summary="Publish one CloudEvent",
    tags=["events"],
    guards=[needs("actors")],
)
async def publish(request: Request[Principal, Any, Any], context: NamedDependency[DoorContext]) -> Response[Accepted]:
    """Answers 202 once what was sent is durable. Whether the rules take it is decided right afterwards, in its turn:
    ask the `status_url`, or send `Prefer: wait=5` to get the outcome (then the answer is 200). Of an event that is
    parked it tells what became of it within those seconds; `Prefer: wait=5; parked=0` does not wait for that. Sending
    the same event again is safe: it is recognised by source, id and actor, however it was written down or stamped on
    its way, and the answer is the outcome of the first. One event may come in binary mode instead: its attributes as
    `ce-` headers, percent-encoded, and its data alone as `application/json`.
    `data_base64` is read as `data` where it is the Base64 of JSON. A batch may be sent here as well, as
    `application/cloudevents-batch+json`: it is answered as by `/v1/events/batch`."""
    return await answer(request, context, content_type(request))


@post(
    "/v1/events/batch",
    status_code=202,
    summary="Publish several CloudEvents",
    tags=["events"],
    guards=[needs("actors")],
)
async def publish_batch(
    request: Request[Principal, Any, Any], context: NamedDependency[DoorContext]
) -> Response[Batch]:
    """A JSON array of events, each of which is taken or refused by itself, as if it came alone and in this order."""
    kind = content_type(request)
    if kind not in (BATCH, SINGLE[1]):
        raise Problem(415, "content_type", "this content type is not taken here", remedy=f"send it as {BATCH}")
    return await answer(request, context, BATCH)


def content_type(request: Request[Principal, Any, Any]) -> str:
    """The content type of a request, without its parameters; empty: it names none."""
    return (request.headers.get("content-type") or "").partition(";")[0].strip().lower()


async def answer(request: Request[Principal, Any, Any], context: DoorContext, kind: str) -> Response[Any]:
    """Take what a request publishes, and answer. `kind`: the content type that it is read as."""
    sender = request.user
    check_sender(context, sender)
    wanted = wanted_of(request.headers.get("prefer", ""))
    # Kafka's spelling of attributes (`ce_`) means nothing over HTTP.
    headers = [(name, value) for name, value in request.headers.multi_items() if not name.startswith(binary.KAFKA)]
    # What a batch holds in memory, it holds until it is answered.
    with context.quotas.batch(sender.name, sender.quota) if kind == BATCH else nullcontext():
        if kind == BATCH:
            incoming = await _decode_batch(context, sender, await request.body())
        elif kind in SINGLE or binary.is_binary(headers):
            raw = await request.body()
            event = binary.structured(headers, raw)  # as it came, or in binary mode made structured
            if isinstance(event, Refusal):
                incoming = [Incoming(binary.as_sent(headers, raw), sender, refusal=event)]
            else:
                incoming = [Incoming(event, sender)]
        else:
            remedy = f"send a structured CloudEvent as {SINGLE[0]} (or {SINGLE[1]}), several as {BATCH}, or ce- headers"
            what = "this content type" if kind else "no content type"
            raise Problem(415, "content_type", f"{what} is not taken here", remedy=remedy)
        reply = await publish_all(context, incoming, wanted, batch=kind == BATCH)
        return Response(reply.body, status_code=reply.status, headers=reply.headers)


def check_sender(context: DoorContext, sender: Principal) -> None:
    """Refuse to read a body that could not be taken, or that is more than its sender may send."""
    context.check_open()
    context.check_clock()
    context.quotas.check_events(sender.name, sender.quota)


class Wanted(NamedTuple):
    """What a sender wants to hear: the outcome, if it is known within so many seconds, and of what is parked what
    becomes of it within them (`follow`)."""

    wait_s: int | None
    follow: bool


def wanted_of(prefer: str) -> Wanted:
    """What a header `Prefer` says, empty where there is none."""
    found = WAIT.search(prefer)
    return Wanted(min(int(found[1]), LONGEST_WAIT_S), found[2] is None) if found else Wanted(None, False)


class Reply(NamedTuple):
    """An answer, before it is written out."""

    status: int
    body: Accepted | Batch
    headers: dict[str, str]


async def publish_all(
    context: DoorContext, incoming: Sequence[Incoming], wanted: Wanted, *, batch: bool = False
) -> Reply:
    """Take the events of a request in, and say what became of them. Raises Problem where there is one and it is
    refused."""
    await take(context, incoming, wait=wanted.wait_s is not None, follow=wanted.follow)
    if not batch and incoming[0].refusal is not None:
        raise refused(incoming[0].refusal, incoming[0].letter)
    complete = wanted.wait_s is not None and await decided(context, incoming, wanted.wait_s)
    results = await tell_more(context, [_result(item) for item in incoming], incoming)
    rejected = sum(result.status == "rejected" for result in results)
    body = Batch(len(results) - rejected, rejected, results) if batch else results[0]
    applied = {} if wanted.wait_s is None else {"Preference-Applied": f"wait={wanted.wait_s}"}
    return Reply(200 if complete else 202, body, applied)


async def _decode_batch(context: DoorContext, sender: Principal, body: bytes) -> list[Incoming]:
    """The events of a batch. Raises Problem where it is no array, which is kept, or too long."""
    try:
        raws = msgspec.json.decode(body.removeprefix(BOM), type=list[msgspec.Raw])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        why = "" if isinstance(error, msgspec.ValidationError) else f": {not_json(error)}"
        refusal = Refusal(Reason.UNDECODABLE, "", f"a batch is a JSON array of events{why}")
        whole = Incoming(body, sender, refusal=refusal)
        await keep(context, [whole])
        raise refused(refusal, whole.letter) from error
    most = context.settings.batch_events
    if len(raws) > most:
        detail = f"the batch has {len(raws)} events, {most} are allowed"
        raise Problem(422, "too_many", detail, remedy=f"send at most {most} at a time")
    return [Incoming(bytes(raw), sender) for raw in raws]


def _result(item: Incoming) -> Accepted:
    """The answer for one event, with its outcome where that was waited for and is known."""
    refusal = item.refusal
    if refusal is not None:
        return Accepted(
            status="rejected",
            reason=refusal.reason,
            field=refusal.field,
            detail=refusal.detail,
            dead_letter=item.letter,
        )
    assert item.event is not None and item.ask is not None
    event, row, outcome = item.event, item.ask.durable.result(), item.ask.outcome
    names = f"source={quoted(event.source)}&id={quoted(event.id)}"
    case = f"subject={quoted(event.subject)}&actor={quoted(event.actor)}"
    accepted = Accepted(
        status="accepted",
        source=event.source,
        id=event.id,
        partition=row.partition,
        position=row.position,
        status_url=f"/v1/events/status?{names}&{case}&position={row.position}",
        unknown=list(item.ask.submission.unknown),
    )
    if outcome is None or not outcome.done() or outcome.exception() is not None:
        return accepted
    release = item.ask.release
    answer: Answer = release.result() if release is not None and release.done() else outcome.result()
    why, early = answer.refusal or Refusal(Reason.INVALID, "", ""), answer.wait
    return replace(
        accepted,
        outcome=answer.outcome,
        first=answer.first,
        waits_for=list(early.waits_for) if early else [],
        until=written(early.until) if early else "",
        case=event.subject,
        reason=why.reason if answer.refusal else "",
        field=why.field,
        detail=why.detail if answer.outcome != PENDING else STANDS,
    )


def quoted(text: str) -> str:
    """A text as the value of a parameter. Most are as they are, or were asked for just now."""
    return text if UNQUOTED.fullmatch(text) else quote_often(text)


quote_often = lru_cache(maxsize=1024)(quote_plus)


async def tell_more(context: DoorContext, results: list[Accepted], incoming: Sequence[Incoming]) -> list[Accepted]:
    """The answers, with what the steps say of the events that were taken: those of the slice that decided them, or the
    database's. While that is away answers stay as they are: the outcome is known."""
    asked = dict[int, Incoming]()  # by number: those of which the database is asked
    for number, (result, item) in enumerate(zip(results, incoming, strict=True)):
        if "done" in (result.outcome, result.first) and item.event is not None and item.ask is not None:
            said = told_in(item.ask.steps.get(result.case, ()), result.source, result.id, item.event.actor)
            if said is None:
                asked[number] = item
            else:
                results[number] = replace(result, place=said.place, time=said.time, similar=said.similar)

    def more(connection: Connection) -> None:
        for number, item in asked.items():
            assert item.event is not None
            result = results[number]
            said = told_of(connection, result.case, result.source, result.id, item.event.actor)
            results[number] = replace(result, place=said.place, time=said.time, similar=said.similar)

    if asked:
        with suppress(Problem):
            await context.read(more)
    return results


@get("/v1/events/status", summary="What became of an event", tags=["events"])
async def status(
    request: Request[Principal, Any, Any],
    context: NamedDependency[DoorContext],
    source: Source,
    id: EventId,
    subject: Subject = "",
    actor: Actor = "",
    position: Position = None,
) -> EventStatus:
    """The outcome of an event by source and id, and by subject and actor where others use the same. With `position`, as
    in a `status_url`, of that very sending: a resend is then told apart from the first. An event of another's posts,
    about a case that the principal does not read, is answered as if it had not come in."""
    if position is not None and not 0 <= position < 10**MOST_DIGITS:
        raise BadQuestion("position", "no log is that long", "take it from the `status_url` of the answer")
    partition = partition_of(home_of(subject), context.writer.engine.count) if subject else None
    if position is not None and partition is None:
        raise BadQuestion("position", "the subject tells the partition of a position", "give the subject as well")
    asked = AskedEvent(source, id, subject, actor, partition, position)
    question = event_status_in_topic if context.settings.kafka else event_status
    policies, asker = context.policies, request.user
    return await context.read_as(
        asker, lambda connection, readable: question(connection, policies, asked, Asker(asker, readable))
    )


ROUTES = [publish, publish_batch, status]

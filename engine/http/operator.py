"""What operators do to a running engine: packs, dead letters, settlements, the clock, erasing.

Each action runs on the writer's own thread. `gridpatrol` commands that write use these routes when a server holds the
lease.
"""

from collections.abc import Callable
from concurrent.futures import Future
from typing import Annotated, Any, TypeVar

from litestar import Request, get, post
from litestar.di import NamedDependency
from litestar.params import JSONBody, PathParameter
from msgspec import Struct
from msgspec.structs import replace

from engine.errors import ClockDoubted, GridpatrolError
from engine.http.context import DoorContext, done_within
from engine.http.problems import Problem, busy
from engine.operations import clocks, erasure, resubmission, settlements
from engine.operations.clocks import ClockSettlement, ClockState
from engine.operations.erasure import Erased, Erasure
from engine.operations.resubmission import Replayed
from engine.operations.settlements import Settled
from engine.principals import Principal
from engine.runtime import Engine
from engine.slice.types import Answer
from engine.views.questions import check_text
from workflows.policy.model import Pack

LetterId = Annotated[str, PathParameter(description="The number of a dead letter.")]
CaseId = Annotated[str, PathParameter(description="The case: `<home>.<UUIDv7>`.")]
T = TypeVar("T")
WAIT_S = 30


class Activated(Struct, frozen=True):
    """A pack's hash. Every partition activates the pack at the next record that it decides."""

    hash: str


@post("/v1/operator/packs", status_code=202, tags=["operator"], summary="Activate a compiled pack")
async def activate(context: NamedDependency[DoorContext], data: JSONBody[Pack]) -> Activated:
    """Keep the pack under its hash, and let every partition activate it."""
    return Activated(await _act(context, lambda engine: engine.install(data, engine.stamp(engine.rows))))


@post("/v1/operator/letters/{letter:str}/replays", status_code=200, tags=["operator"], summary="Replay a letter")
async def replay_letter(context: NamedDependency[DoorContext], letter: LetterId) -> Replayed:
    """Decide a dead letter anew, and say what became of it."""
    found = await _act(context, lambda engine: resubmission.read(engine, letter))
    if found is None:
        raise Problem(
            404, "unknown_letter", f"there is no dead letter {letter!r}", remedy="see `gridpatrol deadletter list`"
        )
    try:
        submission = resubmission.resubmission(*found, context.writer.engine.count, context.principals)
    except resubmission.NotReplayable as error:
        raise Problem(409, "not_replayable", str(error)) from error
    ask = context.writer.submit(submission, wait=submission.kind == "event")
    await _done(ask.durable)
    if ask.outcome is None:
        outcome = resubmission.outcome_of(letter, None)  # a released firing has no answer of its own
    else:
        answer: Answer = await _done(ask.outcome)
        outcome = resubmission.outcome_of(letter, answer)
    await _act(context, lambda engine: resubmission.write_outcome(engine, outcome))
    return outcome


@post("/v1/operator/settlements", status_code=200, tags=["operator"], summary="Settle a record that halts")
async def settle(context: NamedDependency[DoorContext], data: JSONBody[Settled]) -> Settled:
    """Keep an operator's word on a record, and let its partition go on."""
    check_text(data.verdict, "verdict")
    check_text(data.detail, "detail")
    await _act(context, lambda engine: settlements.settle(engine, data))
    return data


@get("/v1/operator/clock", tags=["operator"], summary="The clocks, and what stands still because of them")
async def show_clock(context: NamedDependency[DoorContext]) -> ClockState:
    """The wall clock of this process and whether it is believed, the partitions' clocks, and what operators said."""
    return await _act(context, clocks.show)


@post("/v1/operator/clock", status_code=200, tags=["operator"], summary="Settle that the wall clock is right")
async def settle_clock(
    request: Request[Principal, Any, Any], context: NamedDependency[DoorContext], data: JSONBody[ClockSettlement]
) -> ClockState:
    """Believe the wall clock of this process as it is. The other processes of a cluster believe theirs a minute later,
    if they lie less than a day from it."""
    check_text(data.why, "why")
    check_text(data.by, "by")
    by = f"{request.user.name}: {data.by}" if context.principals.asked else data.by
    return await _act(context, lambda engine: clocks.settle(engine, replace(data, by=by)))


@post(
    "/v1/operator/incidents/{incident:str}/erasures",
    status_code=200,
    tags=["operator"],
    summary="Erase what is sealed of an incident",
)
async def erase(
    request: Request[Principal, Any, Any],
    context: NamedDependency[DoorContext],
    incident: CaseId,
    data: JSONBody[Erasure],
) -> Erased:
    """Blank the identity, contact and free text of its events and dead letters. Facts and figures stay as they are."""
    check_text(data.by, "by")
    by = f"{request.user.name}: {data.by}" if context.principals.asked else data.by
    return await _act(context, lambda engine: erasure.erase(engine, incident, by))


ROUTES = [activate, replay_letter, settle, show_clock, settle_clock, erase]


async def _act(context: DoorContext, action: Callable[[Engine], T]) -> T:
    """Run an action on the writer's thread. What the action refuses is the client's to mend: 400."""
    context.check_open()
    try:
        return await _done(context.writer.call(action))
    except ClockDoubted:
        raise
    except (ValueError, GridpatrolError) as error:
        raise Problem(400, "invalid", str(error)) from error


async def _done(future: "Future[T]") -> T:
    """The writer's answer, or 503 when it takes too long."""
    if not await done_within(future, WAIT_S):
        raise busy(f"the writer has not answered within {WAIT_S} s")
    return future.result()

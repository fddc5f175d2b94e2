"""What operators do to a running engine: packs, dead letters, settlements, erasing.

Each action runs on the writer's own thread. `gridpatrol` commands that write use these routes when a server holds the
lease.
"""

from collections.abc import Callable
from concurrent.futures import Future
from typing import Annotated, Any, TypeVar

from litestar import Request, post
from litestar.di import NamedDependency
from litestar.params import JSONBody, PathParameter
from msgspec import Struct

from engine.clock import now_ms
from engine.errors import GridpatrolError
from engine.http.context import DoorContext, done_within
from engine.http.problems import Problem, busy
from engine.operations import erasure, resubmission, settlements, tries
from engine.operations.erasure import Erased, Erasure
from engine.operations.resubmission import Replayed
from engine.operations.settlements import Settled
from engine.operations.tries import Asked, Wanted
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
    return Activated(await _act(context, lambda engine: engine.install(data, now_ms())))


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


@post("/v1/operator/tries", status_code=202, tags=["operator"], summary="Try cases again that stand")
async def try_again(context: NamedDependency[DoorContext], data: JSONBody[Wanted]) -> Asked:
    """Decide what waits for cases on which a rule has failed: these, or all. A partition that a defect has halted goes
    on where none is named."""
    for case in data.cases:
        check_text(case, "cases")
    return await _act(context, lambda engine: tries.ask(engine, data))


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


ROUTES = [activate, replay_letter, settle, try_again, erase]


async def _act(context: DoorContext, action: Callable[[Engine], T]) -> T:
    """Run an action on the writer's thread. What the action refuses is the client's to mend: 400."""
    context.check_open()
    try:
        return await _done(context.writer.call(action))
    except (ValueError, GridpatrolError) as error:
        raise Problem(400, "invalid", str(error)) from error


async def _done(future: "Future[T]") -> T:
    """The writer's answer, or 503 when it takes too long."""
    if not await done_within(future, WAIT_S):
        raise busy(f"the writer has not answered within {WAIT_S} s")
    return future.result()

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

from engine.errors import ClockDoubted, GridpatrolError
from engine.http.context import DoorContext
from engine.http.problems import Problem, busy
from engine.http.waiting import done_within
from engine.operations import activation, clocks, erasure, leaving, resubmission, settlements, tries
from engine.operations.activation import ActivationRefused
from engine.operations.auditing import NotAudited
from engine.operations.clocks import ClockSettlement, ClockState
from engine.operations.erasure import Erased, Erasure
from engine.operations.leaving import ArchiveWanted
from engine.operations.resubmission import Replayed
from engine.operations.settlements import Settled
from engine.operations.tries import Asked, Wanted
from engine.packs import check_pack
from engine.principals import Operator, Principal
from engine.runtime import Engine
from engine.store.rows import InboxRow
from engine.uploads.store import StoreAway
from engine.views.questions import check_text
from workflows.policy.model import Pack

LetterId = Annotated[str, PathParameter(description="The number of a dead letter.")]
CaseId = Annotated[str, PathParameter(description="The case: `<home>.<UUIDv7>`.")]
T = TypeVar("T")
WAIT_S = 30
SHOWN, MOST = 3, 100
"""Errors of a pack that one sentence names, and those that the answer lists."""
ACCOUNT = "gridpatrol-account"
"""The header in which a command names the account that runs it."""


class Activated(Struct, frozen=True):
    """A pack's hash. Every partition activates the pack at the next record that it decides."""

    hash: str


@post("/v1/operator/packs", status_code=202, tags=["operator"], summary="Activate a compiled pack")
async def activate(
    request: Request[Principal, Any, Any], context: NamedDependency[DoorContext], data: JSONBody[Pack]
) -> Activated:
    """Check the pack as `gridpatrol pack check` does, keep it under its hash, and let every partition activate it."""
    return Activated(await activate_pack(context, data, operator_of(request)))


async def activate_pack(context: DoorContext, pack: Pack, operator: Operator) -> str:
    """Check a pack and let every partition activate it; its hash. Raises Problem."""
    errors = [str(found) for found in await context.aside(lambda: check_pack(pack)) if found.severity == "error"]
    if errors:
        more = f" and {len(errors) - SHOWN} more" if len(errors) > SHOWN else ""
        detail = f"the pack cannot be activated: {'; '.join(errors[:SHOWN])}{more}"
        raise Problem(422, "pack_unusable", detail, remedy="see `gridpatrol pack check DIR`", findings=errors[:MOST])
    try:
        return await act(context, lambda engine: activation.activate(engine, pack, operator))
    except ActivationRefused as error:
        raise Problem(409, "history", error.message, remedy=error.remedy) from error


@post("/v1/operator/letters/{letter:str}/replays", status_code=200, tags=["operator"], summary="Replay a letter")
async def replay_letter(
    request: Request[Principal, Any, Any], context: NamedDependency[DoorContext], letter: LetterId
) -> Replayed:
    """Decide a dead letter anew, and say what became of it."""
    return await replay(context, letter, operator_of(request))


async def replay(context: DoorContext, letter: str, operator: Operator) -> Replayed:
    """Replay a letter for an operator, and say what became of it. Raises Problem."""
    found = await act(context, lambda engine: resubmission.read(engine, letter))
    if found is None:
        raise Problem(404, "unknown_letter", "there is no such dead letter", remedy="see `gridpatrol deadletter list`")
    try:
        submission = resubmission.resubmission(*found, context.writer.engine.count, context.principals)
    except resubmission.NotReplayable as error:
        raise Problem(409, "not_replayable", error.message, remedy=error.remedy) from error
    row = await act(context, lambda engine: resubmission.begin(engine, letter, operator))
    ask = context.writer.submit(submission, wait=submission.kind == "event")
    appended: InboxRow = await _done(ask.durable)
    stands = bool(context.writer.engine.rows[appended.partition].halted)  # then nobody waits for it
    waits, answer = stands or submission.kind == "sent", None  # what a case has said is heard in its turn
    if ask.outcome is not None:  # a released firing has no answer of its own
        waits = not await done_within(ask.outcome, 0 if stands else WAIT_S)
        answer = None if waits else ask.outcome.result()
    outcome = resubmission.outcome_of(letter, answer, waits=waits)
    await act(context, lambda engine: resubmission.write_outcome(engine, outcome, row))
    return outcome


@post("/v1/operator/settlements", status_code=200, tags=["operator"], summary="Settle a record that halts")
async def settle(
    request: Request[Principal, Any, Any], context: NamedDependency[DoorContext], data: JSONBody[Settled]
) -> Settled:
    """Keep an operator's word on a record, and let its partition go on."""
    operator = operator_of(request)
    check_text(data.verdict, "verdict")
    check_text(data.detail, "detail")
    await act(context, lambda engine: settlements.settle(engine, data, operator))
    return data


@post("/v1/operator/archives", status_code=202, tags=["operator"], summary="Archive what ended long ago")
async def archive(
    request: Request[Principal, Any, Any], context: NamedDependency[DoorContext], data: JSONBody[ArchiveWanted]
) -> ArchiveWanted:
    """Let every partition archive the cases that had ended before an instant (ms since 1970): what speaks to one of
    them is refused from then on. Their rows leave with `gridpatrol archive write`."""
    operator = operator_of(request)
    await act(context, lambda engine: leaving.order(engine, data, operator))
    return data


@get("/v1/operator/clock", tags=["operator"], summary="The clocks, and what stands still because of them")
async def show_clock(context: NamedDependency[DoorContext]) -> ClockState:
    """The wall clock of this process and whether it is believed, the partitions' clocks, and what operators said."""
    return await act(context, clocks.show)


@post("/v1/operator/clock", status_code=200, tags=["operator"], summary="Settle that the wall clock is right")
async def settle_clock(
    request: Request[Principal, Any, Any], context: NamedDependency[DoorContext], data: JSONBody[ClockSettlement]
) -> ClockState:
    """Believe the wall clock of this process as it is. The other processes of a cluster believe theirs a minute later,
    if they lie less than a day from it."""
    check_text(data.why, "why")
    operator = operator_of(request)
    return await act(context, lambda engine: clocks.settle(engine, data, operator))


@post("/v1/operator/tries", status_code=202, tags=["operator"], summary="Try cases again that stand")
async def try_again(
    request: Request[Principal, Any, Any], context: NamedDependency[DoorContext], data: JSONBody[Wanted]
) -> Asked:
    """Decide what waits for cases on which a rule has failed: these, or all. A partition that a defect has halted goes
    on where none is named."""
    operator = operator_of(request)
    for case in data.cases:
        check_text(case, "cases")
    return await act(context, lambda engine: tries.ask(engine, data, operator))


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
    return await erased_by(context, erasure.erase, incident, erasing(request, data))


@post(
    "/v1/operator/letters/{letter:str}/erasures",
    status_code=200,
    tags=["operator"],
    summary="Erase what is sealed of a letter",
)
async def erase_letter(
    request: Request[Principal, Any, Any],
    context: NamedDependency[DoorContext],
    letter: LetterId,
    data: JSONBody[Erasure],
) -> Erased:
    """Blank the bytes of a dead letter, which can then no longer be replayed. Its row stays."""
    return await erased_by(context, erasure.erase_letter, letter, erasing(request, data))


def erasing(request: Request[Principal, Any, Any], data: Erasure) -> Operator:
    """Who erases, as the command says."""
    check_text(data.by, "by")
    return operator_of(request, data.by)


async def erased_by(
    context: DoorContext, erase_what: Callable[[Engine, str, Operator], Erased], which: str, operator: Operator
) -> Erased:
    """Erase, and then what the database keeps of it beside its tables."""
    erased = await act(context, lambda engine: erase_what(engine, which, operator))
    return await context.aside(lambda: erasure.forget(context.database, erased))


ROUTES = [activate, archive, replay_letter, settle, show_clock, settle_clock, try_again, erase, erase_letter]


def operator_of(request: Request[Principal, Any, Any], account: str = "") -> Operator:
    """Who asks, for the audit: the principal, and the account on its machine as a command names it."""
    said = account or request.headers.get(ACCOUNT, "")
    return Operator(f"{request.user.name}:{said}" if said and said.isprintable() else request.user.name, "http")


async def act(context: DoorContext, action: Callable[[Engine], T]) -> T:
    """Run an action on the writer's thread. What the action refuses is the client's to mend: 400."""
    context.check_open()
    try:
        return await _done(context.writer.call(action))
    except (ClockDoubted, ActivationRefused, NotAudited):
        raise
    except StoreAway as error:
        raise busy(error.message) from error
    except (ValueError, GridpatrolError) as error:
        raise Problem(400, "invalid", str(error)) from error


async def _done(future: "Future[T]") -> T:
    """The writer's answer, or 503 when it takes too long."""
    if not await done_within(future, WAIT_S):
        raise busy(f"the writer has not answered within {WAIT_S} s")
    return future.result()

"""健康, for who operates the server: what stands still, what waits, what was refused, and another try for it."""

from typing import Annotated, Any

from litestar import Request, Response, get, post
from litestar.di import NamedDependency
from litestar.params import PathParameter, QueryParameter

from engine.console.access import form_of
from engine.console.rendering import page, query, seen_elsewhere
from engine.http.context import DoorContext
from engine.http.operator import act, operator_of, replay
from engine.http.problems import Problem, busy
from engine.metrics.gauges import CONSUMERS
from engine.operations.auditing import NotAudited, read_sealed
from engine.principals import Principal
from engine.store import dead_letters
from engine.store.database import Connection, file_of
from engine.store.dead_letters import Letter
from engine.views.health import Health, health
from engine.views.names import Names, active_names
from engine.views.readers import reads_everything
from engine.views.verifications import Verifications, verifications_of

Lang = Annotated[str, QueryParameter(description="zh or en.")]
LetterId = Annotated[str, PathParameter(description="Number of a dead letter.")]
How = Annotated[str, QueryParameter(description="How the last replay ended.")]
Sealed = Annotated[bool, QueryParameter(description="Also its bytes; the reading is audited.")]
Shown = Annotated[str, QueryParameter(description="The letter that was replayed last.")]
ENDED = ("done", "parked", "refused", "duplicate", "conflict", "released", "pending", "not_replayable")


@get("/health", include_in_schema=False)
async def show_health(
    request: Request[Principal, Any, Any],
    context: NamedDependency[DoorContext],
    letter: Shown = "",
    how: How = "",
    lang: Lang = "",
) -> Response[Any]:
    """Whether all is well, and what to do where it is not."""
    now, policies, wall = context.now(), context.policies, context.writer.engine.wall
    refused = {partition: str(wall.refusal(partition)) for partition in wall.refused}

    def ask(connection: Connection) -> tuple[Health, Verifications]:
        found = health(connection, policies, CONSUMERS, refused, now)
        return found, verifications_of(connection, active_names(connection, policies).instant)

    found, verified = await context.read(ask)
    return page(
        request,
        "health.html",
        health=found,
        zone=found.zone,
        doubt=context.unready(),
        verified=verified,
        by_server=file_of(context.settings.database) is None,
        replayed=(letter, how) if how in ENDED else None,
    )


@get("/health/letters/{letter:str}", include_in_schema=False)
async def show_letter(
    request: Request[Principal, Any, Any],
    context: NamedDependency[DoorContext],
    letter: LetterId,
    sealed: Sealed = False,
    lang: Lang = "",
) -> Response[Any]:
    """One dead letter: what was refused and why; its bytes where they are asked for, once the audit has the reading."""
    policies = context.policies

    def ask(connection: Connection) -> tuple[Letter | None, Names]:
        return dead_letters.read(connection, letter), active_names(connection, policies)

    found, names = await context.read(ask)
    if found is None:
        raise Problem(404, "unknown_letter", "there is no such dead letter", remedy="see `gridpatrol deadletter list`")
    operator, body, may_read = operator_of(request), None, reads_everything(request.user)
    if sealed and may_read:
        try:
            body = await act(context, lambda engine: read_sealed(engine.database, found, operator))
        except NotAudited as error:
            raise busy(error.message, error.remedy) from error
    return page(
        request,
        "letter.html",
        letter=found,
        at=names.instant(found.at),
        zone=names.register.pack.zone,
        shown=sealed and may_read,
        may_read=may_read,
        ended=ENDED,
        body=body,
    )


@post("/health/letters/{letter:str}/replays", include_in_schema=False)
async def replay_letter(
    request: Request[Principal, Any, Any], context: NamedDependency[DoorContext], letter: LetterId
) -> Response[Any]:
    """Decide a dead letter anew; the page says how that ended."""
    await form_of(request)
    try:
        how = (await replay(context, letter, operator_of(request))).outcome
    except Problem as problem:
        if problem.reason != "not_replayable":
            raise
        how = "not_replayable"
    return seen_elsewhere(request, query("/health", letter=letter, how=how))


ROUTES = [show_health, show_letter, replay_letter]

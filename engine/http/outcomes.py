"""What became of all that a source has sent: for a phone that was away."""

from typing import Annotated, Any

from litestar import Request, get
from litestar.di import NamedDependency
from litestar.params import QueryParameter

from engine.http.context import DoorContext
from engine.principals import LOCAL, OURS, Principal
from engine.store.rows import SeenRow
from engine.views import outcomes
from engine.views.outcomes import OutcomePage, OutcomeQuestion, outcome_page

Source = Annotated[str, QueryParameter(description="`source` of the events.")]
After = Annotated[str, QueryParameter(description="`next` of the last answer; without it from the beginning.")]
Limit = Annotated[
    int, QueryParameter(description="Outcomes of an answer.", schema_extra={"minimum": 1, "maximum": outcomes.MOST})
]


@get("/v1/outcomes", summary="What became of all that a source has sent", tags=["events"])
async def list_outcomes(
    request: Request[Principal, Any, Any],
    context: NamedDependency[DoorContext],
    source: Source,
    after: After = "",
    limit: Limit = 100,
) -> OutcomePage:
    """The outcomes of the events that this principal has sent from a source, in the order in which they were decided.
    Keep `next`, and ask with it the next time, however long that takes: no outcome is passed over. An event that was
    parked comes again once it was decided, or refused after all; a resend does not. What the door itself refuses is
    told in its answer only; what the intake of a system refuses, here."""
    asker = request.user
    question = OutcomeQuestion(source=source, after=after, limit=limit)
    return await context.read(
        lambda connection: outcome_page(connection, context.policies, question, lambda row: has_sent(asker, row))
    )


def has_sent(asker: Principal, row: SeenRow) -> bool:
    """Whether a principal has sent an event. Where that is not known, and where it came under a name of the engine's
    own, such as before tokens were asked for: whether it may speak for the actor."""
    if asker is LOCAL or row.principal == asker.name:
        return True
    return row.principal in ("", *OURS) and asker.may_speak(row.actor)


ROUTES = [list_outcomes]

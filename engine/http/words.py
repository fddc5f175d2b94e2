"""The words of a case at the door. A reading that cannot be audited is not answered."""

from typing import Annotated, Any

from litestar import Request, get
from litestar.di import NamedDependency
from litestar.params import PathParameter, QueryParameter

from engine.http.context import DoorContext
from engine.http.operator import act
from engine.http.problems import busy
from engine.operations.auditing import NotAudited, audit_words
from engine.principals import Operator, Principal
from engine.views.words import IncidentWords, incident_words

Id = Annotated[str, PathParameter(description="The case: `<home>.<UUIDv7>`.")]
PostCode = Annotated[
    str, QueryParameter(description="The post that reads, where the principal speaks for several; one of its own.")
]


@get("/v1/incidents/{id:str}/words", summary="What people wrote to a case", tags=["incidents"])
async def show_words(
    request: Request[Principal, Any, Any], context: NamedDependency[DoorContext], id: Id, post: PostCode = ""
) -> IncidentWords:
    """Description, notes and comments in the order of the steps. Read by the posts on the case's way and by those that
    supervise it; identity and contact by its owner, who handles it, and who supervises. Each reading is in the audit
    before it is answered."""
    now, policies, reader = context.now(), context.policies, request.user
    found = await context.read_as(
        reader, lambda connection, readable: incident_words(connection, policies, id, post, reader, now, readable)
    )
    operator = Operator(f"{reader.name}:{found.reader.code}", "http")
    try:
        await act(context, lambda engine: audit_words(engine.database, operator, id, contact=found.contact))
    except NotAudited as error:
        raise busy(error.message, error.remedy) from error
    return found


ROUTES = [show_words]

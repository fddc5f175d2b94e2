"""Looking at cases: the list of incidents, and one case in full."""

from typing import Annotated, Literal

from litestar import get
from litestar.di import NamedDependency
from litestar.params import PathParameter, QueryParameter

from engine.http.context import DoorContext
from engine.views import incident_list
from engine.views.incident_detail import IncidentDetail, incident_detail
from engine.views.incident_list import IncidentPage, IncidentQuestion, incident_page

Definition = Annotated[
    str, QueryParameter(description="The kind of case; without one those that are listed unless asked for.")
]
Open = Annotated[
    Literal["true", "false", "all"],
    QueryParameter(description="Open cases, closed ones, or all. What is overdue is open."),
]
Grid = Annotated[str, QueryParameter(description="Code of a grid: cases whose place lies in its subtree.")]
ClockName = Annotated[
    str,
    QueryParameter(
        description="Cases that run a clock of this name: dissuade, report, accept, handle, rectify, "
        "verify, close or total. Then overdue and due_before ask about this clock."
    ),
]
Owner = Annotated[str, QueryParameter(description="Code of the owner's grid or department.")]
Before = Annotated[str, QueryParameter(description="RFC 3339 with a zone: deadlines before this instant.")]
State = Annotated[
    str,
    QueryParameter(
        name="state",
        description="Names of states, separated by commas. One in which cases are over, "
        "such as closed, is looked for among the closed ones without being told to.",
    ),
]
Sort = Annotated[str, QueryParameter(description="due_at, opened_at or id; with - in front downwards.")]

Category = Annotated[str, QueryParameter(description="Code of a category.")]
Group = Annotated[str, QueryParameter(description="A group of categories.")]
Overdue = Annotated[bool, QueryParameter(description="Only cases whose deadline has passed.")]
Limit = Annotated[
    int, QueryParameter(description="Cases of a page.", schema_extra={"minimum": 1, "maximum": incident_list.MOST})
]
Cursor = Annotated[str, QueryParameter(description="`next` of the page before this one.")]
Id = Annotated[str, PathParameter(description="The case: `<home>.<UUIDv7>`.")]

OPEN = {"true": True, "false": False, "all": None}


@get("/v1/incidents", summary="The overdue desk: cases by what falls due", tags=["incidents"])
async def list_incidents(
    context: NamedDependency[DoorContext],
    definition: Definition = "",
    overdue: Overdue = False,
    open: Open = "true",
    grid: Grid = "",
    clock: ClockName = "",
    owner: Owner = "",
    state_: State = "",
    category: Category = "",
    group: Group = "",
    due_before: Before = "",
    sort: Sort = "due_at",
    limit: Limit = 50,
    cursor: Cursor = "",
) -> IncidentPage:
    """Cases, the next deadline first. `next` of the answer is the `cursor` of the next page."""
    question = IncidentQuestion(
        definition=definition,
        overdue=overdue,
        open=OPEN[open],
        grid=grid,
        clock=clock,
        owner=owner,
        state=state_,
        category=category,
        group=group,
        due_before=due_before,
        sort=sort,
        limit=limit,
        cursor=cursor,
    )
    now = context.now()
    return await context.read(lambda connection: incident_page(connection, context.policies, question, now))


@get("/v1/incidents/{id:str}", summary="One case in full", tags=["incidents"])
async def show_incident(context: NamedDependency[DoorContext], id: Id) -> IncidentDetail:
    """State, owner, clocks with what is left of them, what may be said next and by whom, and the whole history."""
    now = context.now()
    return await context.read(lambda connection: incident_detail(connection, context.policies, id, now))


ROUTES = [list_incidents, show_incident]

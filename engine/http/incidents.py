"""Looking at cases: the list of incidents, and one case in full."""

from typing import Annotated, Any, Literal

from litestar import Request, get
from litestar.di import NamedDependency
from litestar.params import PathParameter, QueryParameter

from engine.http.auth import check_speaks_or_reads
from engine.http.context import DoorContext
from engine.http.listings import Listing
from engine.principals import Principal
from engine.views import incident_list
from engine.views.incident_detail import IncidentDetail, incident_detail
from engine.views.incident_list import IncidentPage, IncidentQuestion, incident_page
from workflows.reading import READS_EVERYTHING

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
HolderCode = Annotated[
    str,
    QueryParameter(
        name="holder",
        description="Code of a grid, department or post: cases on which it must act now, as their states say. "
        "A post acts for its department, else for its grid.",
    ),
]
UnitCode = Annotated[
    str,
    QueryParameter(
        name="unit",
        description="Code of a grid, department or post: cases that its unit holds, or owns. A post is of its "
        "department, else of its grid.",
    ),
]
Before = Annotated[str, QueryParameter(description="RFC 3339 with a zone: deadlines before this instant.")]
Reporter = Annotated[
    str,
    QueryParameter(description="Code of a post: cases that it reported. They are shown to whoever may speak for it."),
]
Campaign = Annotated[str, QueryParameter(description="Code of a campaign of the pack: cases that count as part of it.")]
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
Search = Annotated[
    str,
    QueryParameter(
        description="A short number, a reference of the sender's or an id: all cases that it fits, open and closed, of "
        "any kind, in the order of their ids."
    ),
]
Overdue = Annotated[bool, QueryParameter(description="Only cases whose deadline has passed.")]
At = Annotated[
    str,
    QueryParameter(
        description="RFC 3339 with a zone: what stood at this instant, as known then, by what had arrived up to it. "
        "All other parameters ask about that instant too."
    ),
]
ShownAt = Annotated[
    str, QueryParameter(name="at", description="RFC 3339 with a zone: the case as it was known at this instant.")
]
Limit = Annotated[
    int, QueryParameter(description="Cases of a page.", schema_extra={"minimum": 1, "maximum": incident_list.MOST})
]
Cursor = Annotated[str, QueryParameter(description="`next` of the page before this one.")]
Id = Annotated[str, PathParameter(description="The case: `<home>.<UUIDv7>`.")]

OPEN = {"true": True, "false": False, "all": None}


@get("/v1/incidents", response_class=Listing, summary="The overdue desk: cases by what falls due", tags=["incidents"])
async def list_incidents(
    request: Request[Principal, Any, Any],
    context: NamedDependency[DoorContext],
    search: Search = "",
    definition: Definition = "",
    overdue: Overdue = False,
    open: Open = "true",
    grid: Grid = "",
    clock: ClockName = "",
    owner: Owner = "",
    holder: HolderCode = "",
    reporter: Reporter = "",
    campaign: Campaign = "",
    unit: UnitCode = "",
    state_: State = "",
    category: Category = "",
    group: Group = "",
    due_before: Before = "",
    at: At = "",
    sort: Sort = "due_at",
    limit: Limit = 50,
    cursor: Cursor = "",
) -> IncidentPage:
    """Cases that the principal reads, the next deadline first; of a `reporter` for which it may speak all that it
    reported. `next` of the answer is the `cursor` of the next page, with all other parameters as they were. `as_of` is
    the instant that the answer is of, and `reading` says which one that is."""
    check_speaks_or_reads(request.user, reporter)
    own = bool(reporter) and request.user.may_speak(reporter)
    question = IncidentQuestion(
        search=search,
        definition=definition,
        overdue=overdue,
        open=OPEN[open],
        grid=grid,
        clock=clock,
        owner=owner,
        holder=holder,
        reporter=reporter,
        campaign=campaign,
        unit=unit,
        state=state_,
        category=category,
        group=group,
        due_before=due_before,
        at=at,
        sort=sort,
        limit=limit,
        cursor=cursor,
    )
    now = context.now()
    policies = context.policies
    return await context.read_as(
        request.user,
        lambda connection, readable: incident_page(
            connection, policies, question, now, READS_EVERYTHING if own else readable
        ),
    )


@get("/v1/incidents/{id:str}", summary="One case in full", tags=["incidents"])
async def show_incident(
    request: Request[Principal, Any, Any], context: NamedDependency[DoorContext], id: Id, at: ShownAt = ""
) -> IncidentDetail:
    """State, owner, clocks with what is left of them, what may be said next and by whom, and the whole history; or all
    of it as it was known at an instant. One that the principal does not read is answered as if there were none."""
    now, policies = context.now(), context.policies
    return await context.read_as(
        request.user, lambda connection, readable: incident_detail(connection, policies, id, now, at, readable)
    )


OF_A_POST = [list_incidents]
ROUTES = [show_incident]

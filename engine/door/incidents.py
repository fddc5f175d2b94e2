"""Looking at cases: the overdue desk, and one case in full. In: a question. Out: what `listing` and `dossier` say."""

from typing import Annotated

from litestar import get
from litestar.params import Parameter

from engine.door.dossier import Dossier, dossier
from engine.door.hall import Hall
from engine.door.listing import Page, Question, page

Open = Annotated[bool | None, Parameter(description="Open cases (true), closed ones (false); with overdue: open.")]
Grid = Annotated[str, Parameter(description="Code of a grid: cases whose place lies in its subtree.")]
ClockName = Annotated[
    str, Parameter(description="Cases that run a clock of this name: dissuade, report, accept, handle, rectify, "
                   "verify, close or total. Then overdue and due_before ask about this clock.")
]  # fmt: skip
State = Annotated[str, Parameter(query="state", description="Names of states, separated by commas.")]
Sort = Annotated[str, Parameter(description="due_at, opened_at or id; with - in front downwards.")]


@get("/v1/incidents", summary="The overdue desk: cases by what falls due", tags=["incidents"])
async def list_incidents(
    hall: Hall, overdue: bool = False, open: Open = True, grid: Grid = "", clock: ClockName = "", owner: str = "",
    state_: State = "", category: str = "", group: str = "", due_before: str = "", sort: Sort = "due_at",
    limit: int = 50, cursor: str = "",
) -> Page:  # fmt: skip
    """Cases, the next deadline first. `next` of the answer is the `cursor` of the next page."""
    question = Question(
        overdue=overdue, open=open, grid=grid, clock=clock, owner=owner, state=state_, category=category, group=group,
        due_before=due_before, sort=sort, limit=limit, cursor=cursor,
    )  # fmt: skip
    now = hall.now()
    return await hall.read(lambda connection: page(connection, hall.policies, question, now))


@get("/v1/incidents/{id:str}", summary="One case in full", tags=["incidents"])
async def show_incident(hall: Hall, id: str) -> Dossier:
    """State, owner, clocks with what is left of them, what may be said next and by whom, and the whole history."""
    now = hall.now()
    return await hall.read(lambda connection: dossier(connection, hall.policies, id, now))


ROUTES = [list_incidents, show_incident]

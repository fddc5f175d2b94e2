"""督办台, the desk: what is late now, with whom; and a search for one case."""

from typing import Annotated, Any, NamedTuple

from litestar import Request, Response, get, post
from litestar.di import NamedDependency
from litestar.params import PathParameter, QueryParameter
from litestar.response import Stream

from engine.console.access import form_of, post_of, visitor_of
from engine.console.acts import Outcome, new_id, send
from engine.console.live import Changes
from engine.console.map_svg import map_of
from engine.console.rendering import inside, page, query, seen_elsewhere
from engine.http.context import DoorContext
from engine.principals import Principal
from engine.store.database import Connection
from engine.store.steps import count_told
from engine.views.desk import Desk, DeskQuestion, desk
from engine.views.incident_list import IncidentPage, IncidentQuestion, incident_page
from engine.views.names import active_names
from engine.views.questions import MOST_DIGITS
from schemas.events import OF_ANY_CASE, Acknowledged, DeadlineOrdered, Urged
from workflows.policy.index import Policy
from workflows.reading import Readable

URGE, ACKNOWLEDGE, EXTEND = (
    next(trigger for trigger, event in OF_ANY_CASE.items() if event.data is data)
    for data in (Urged, Acknowledged, DeadlineOrdered)
)
"""The acts that stand in a row of the list."""
ROW_ACTS = (URGE, ACKNOWLEDGE, EXTEND)
SHADES = 5
LABEL = 27
"""How many units of the map a character of a name needs."""

Office = Annotated[str, QueryParameter(description="Code of the unit whose cases are listed.")]
Kind = Annotated[str, QueryParameter(description="Kind of case.")]
Late = Annotated[bool, QueryParameter(description="Only what is overdue.")]
Today = Annotated[bool, QueryParameter(description="Only what falls due before the day is over.")]
Cursor = Annotated[str, QueryParameter(description="Where the page begins.")]
Lang = Annotated[str, QueryParameter(description="zh or en.")]
Text = Annotated[str, QueryParameter(description="Short number, reference or id.")]
Said = Annotated[str, QueryParameter(description="What became of the last act.")]
Shown = Annotated[int | None, QueryParameter(description="How many steps had been told when the page was made.")]
Id = Annotated[str, PathParameter(description="The case.")]


class MapArea(NamedTuple):
    """An office on the map: how dark it is (0: nothing is late), and its name where there is room."""

    code: str
    name: str
    outline: str
    x: int
    y: int
    label: str
    shade: int
    idle: bool
    open: int
    overdue: int


@get("/desk", include_in_schema=False)
async def show_desk(
    request: Request[Principal, Any, Any],
    context: NamedDependency[DoorContext],
    office: Office = "",
    definition: Kind = "",
    overdue: Late = False,
    today: Today = False,
    cursor: Cursor = "",
    lang: Lang = "",
    said: Said = "",
) -> Response[Any]:
    """What is late now, with whom."""
    question = DeskQuestion(
        office=office, definition=definition, overdue=overdue, today=today, post=post_of(request), cursor=cursor
    )
    return await desk_page(request, context, question)


async def desk_page(
    request: Request[Principal, Any, Any],
    context: DoorContext,
    question: DeskQuestion,
    outcome: Outcome | None = None,
    about: str = "",
) -> Response[Any]:
    """The page of the desk, with what became of an act on one of its cases."""
    now, policies = context.now(), context.policies

    def ask(connection: Connection, readable: Readable) -> tuple[Desk, Policy]:
        found = desk(connection, policies, question, now, readable, ROW_ACTS)
        return found, active_names(connection, policies).register

    found, register = await context.read_as(request.user, ask)
    return page(
        request,
        "desk.html",
        status=422 if outcome is not None and outcome.how == "refused" else 200,
        desk=found,
        question=question,
        areas=areas_of(found, register),
        zone=register.pack.zone,
        synthetic=bool(register.pack.notice),
        urge=URGE,
        acknowledge=ACKNOWLEDGE,
        extend=EXTEND,
        new_id=new_id,
        outcome=outcome,
        about=about,
    )


def areas_of(found: Desk, register: Policy) -> tuple[tuple[MapArea, ...], int, int]:
    """The offices that have borders, on a map; and its width and height."""
    counts = {each.code: each for each in found.offices if not each.is_department}
    levels = [register.grids[code].level for code in counts if code in register.grids]
    level = max(set(levels), key=levels.count) if levels else 0
    parents = {
        register.grids[code].parent for code in counts if code in register.grids and register.grids[code].level == level
    }
    codes = tuple(sorted(grid.code for grid in register.pack.grids if grid.level == level and grid.parent in parents))
    drawn = map_of(register, codes) if codes else None
    if drawn is None:
        return (), 0, 0
    areas = []
    for area in drawn.areas:
        known = counts.get(area.code)
        opened, late = (known.open, known.overdue) if known is not None else (0, 0)
        shade = 0 if not late else min(SHADES, 1 + late * SHADES // max(opened, 1))
        name = area.short_name
        label = name if area.room > LABEL * len(name) else ""
        areas.append(
            MapArea(area.code, area.name, area.outline, area.x, area.y, label, shade, not opened, opened, late)
        )
    return tuple(areas), drawn.projection.width, drawn.projection.height


@post("/desk/{id:str}/acts", include_in_schema=False)
async def act_in_row(
    request: Request[Principal, Any, Any], context: NamedDependency[DoorContext], id: Id
) -> Response[Any]:
    """An act on a case of the list; answered with the list, and what became of it beside the case."""
    fields = await form_of(request)
    outcome = await send(request, context, id, fields)
    question = DeskQuestion(
        office=fields.get("office", ""),
        definition=fields.get("definition", ""),
        overdue=fields.get("overdue", "") == "true",
        today=fields.get("today", "") == "true",
        post=post_of(request),
        cursor=fields.get("cursor", ""),
    )
    return await desk_page(request, context, question, outcome, id)


@get("/desk/stream", include_in_schema=False)
async def stream_changes(
    request: Request[Principal, Any, Any], context: NamedDependency[DoorContext], after: Shown = None
) -> Stream:
    """Says that something has moved since a page was made, or since now, and ends with the session."""
    last = request.headers.get("last-event-id", "")
    known = int(last) if last.isascii() and last.isdigit() and len(last) < MOST_DIGITS else after
    seen = known if known is not None else await context.read(count_told)
    changes: Changes = request.app.state["console_changes"]
    changes.check_room(request.user)

    async def stays() -> bool:
        return await visitor_of(request) is not None

    headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    return Stream(changes.stream(request.user, stays, seen), media_type="text/event-stream", headers=headers)


@get("/cases", include_in_schema=False)
async def find_case(
    request: Request[Principal, Any, Any],
    context: NamedDependency[DoorContext],
    search: Text = "",
    cursor: Cursor = "",
    lang: Lang = "",
) -> Response[Any]:
    """The cases that a number fits; where it is one, that one."""
    now, policies, text = context.now(), context.policies, search.strip()
    if not text:
        return seen_elsewhere(request, "/desk")
    question = IncidentQuestion(search=text, cursor=cursor, limit=50)

    def ask(connection: Connection, readable: Readable) -> IncidentPage:
        return incident_page(connection, policies, question, now, readable)

    found = await context.read_as(request.user, ask)
    if len(found.incidents) == 1 and not found.archived and not found.next:
        return seen_elsewhere(request, inside(query(f"/cases/{found.incidents[0].id}")))
    return page(request, "cases.html", found=found, text=text)


ROUTES = [show_desk, find_case, stream_changes]
ACTS = [act_in_row]

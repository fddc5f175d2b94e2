"""One map, one net, one set of standards at the door, for other programs."""

from typing import Any

from litestar import Request, get
from litestar.di import NamedDependency

from engine.http.context import DoorContext
from engine.http.performance import Definition, Grid, figures
from engine.principals import Principal
from engine.views import locality
from engine.views.locality import GridCollection, GridQuestion, Organisation, Workflow, grid_collection

GEOJSON = "application/geo+json"


@get("/v1/grids.geojson", summary="The grids as GeoJSON", tags=["register"], media_type=GEOJSON)
async def map_of_grids(
    request: Request[Principal, Any, Any],
    context: NamedDependency[DoorContext],
    grid: Grid = "",
    definition: Definition = "",
) -> GridCollection:
    """The grids of a subtree with their borders, owners, and open and overdue cases (一张图), for a map elsewhere. Of
    whoever reads one subtree only it is that one unless another is named."""
    question, now, policies = GridQuestion(grid=grid, definition=definition), context.now(), context.policies
    return await figures(
        context,
        request.user,
        lambda connection, readable: grid_collection(connection, policies, question, now, readable),
    )


@get("/v1/organisation", summary="Grids, departments and posts", tags=["register"])
async def show_organisation(
    request: Request[Principal, Any, Any], context: NamedDependency[DoorContext]
) -> Organisation:
    """The net (一张网) as the active pack has it: posts, never persons."""
    policies = context.policies
    return await figures(context, request.user, lambda connection, _: locality.organisation(connection, policies))


@get("/v1/workflow", summary="States, clocks and limits", tags=["register"])
async def show_workflow(request: Request[Principal, Any, Any], context: NamedDependency[DoorContext]) -> Workflow:
    """The standards (一套标准) in force: what each kind of case goes through, by which clocks, with which limits and by
    which text."""
    policies = context.policies
    return await figures(context, request.user, lambda connection, _: locality.workflow(connection, policies))


ROUTES = [map_of_grids, show_organisation, show_workflow]

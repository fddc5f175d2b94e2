"""What owners have signed for, and what came of it (目标责任书)."""

from typing import Annotated, Any

from litestar import Request, get
from litestar.di import NamedDependency
from litestar.params import PathParameter, QueryParameter

from engine.http.context import DoorContext
from engine.http.listings import Listing
from engine.principals import Principal
from engine.views import targets
from engine.views.targets import TargetDetail, TargetPage, TargetQuestion, target_detail, target_page

Owner = Annotated[str, QueryParameter(description="Code of the grid or the department that has signed.")]
Year = Annotated[str, QueryParameter(description="The year of the targets, such as 2026.")]
TargetCode = Annotated[str, QueryParameter(description="Code of a target of targets.csv.")]
Grid = Annotated[str, QueryParameter(description="Code of a grid: targets of its subtree.")]
Standing = Annotated[
    str, QueryParameter(description="met, missed, unscored or withdrawn; of a year that is not over behind or ahead.")
]
Limit = Annotated[
    int, QueryParameter(description="Targets of a page.", schema_extra={"minimum": 1, "maximum": targets.MOST})
]
Cursor = Annotated[str, QueryParameter(description="`next` of the page before this one.")]
Id = Annotated[str, PathParameter(description="The target: `<home>.<UUIDv7>`.")]


@get("/v1/targets", response_class=Listing, summary="Targets of owners and years, and what they say", tags=["targets"])
async def list_targets(
    request: Request[Principal, Any, Any],
    context: NamedDependency[DoorContext],
    owner: Owner = "",
    year: Year = "",
    target: TargetCode = "",
    grid: Grid = "",
    standing: Standing = "",
    limit: Limit = 100,
    cursor: Cursor = "",
) -> TargetPage:
    """Each target with the value of its year by what was measured so far, and whether it is met, missed, behind, ahead,
    or not scored and why. Numbers are decimal texts."""
    question = TargetQuestion(
        owner=owner, year=year, target=target, grid=grid, standing=standing, limit=limit, cursor=cursor
    )
    now, policies = context.now(), context.policies
    return await context.read_as(
        request.user, lambda connection, readable: target_page(connection, policies, question, now, readable)
    )


@get("/v1/targets/{id:str}", summary="One target, opened into what was measured", tags=["targets"])
async def one_target(
    request: Request[Principal, Any, Any], context: NamedDependency[DoorContext], id: Id
) -> TargetDetail:
    """The numbers that made the value of its year, each by which standard; every measurement as it was recorded,
    corrected ones included; and every score that was told, with the one before."""
    now, policies = context.now(), context.policies
    return await context.read_as(
        request.user, lambda connection, readable: target_detail(connection, policies, id, now, readable)
    )


ROUTES = [list_targets, one_target]

"""责任与指标: who must act on a problem in a grid, by which text and until when; and what owners have signed for."""

from typing import Annotated, Any

from litestar import Request, Response, get
from litestar.di import NamedDependency
from litestar.params import QueryParameter

from engine.console.access import post_of
from engine.console.rendering import page
from engine.http.context import DoorContext
from engine.http.performance import figures
from engine.principals import Principal
from engine.store.database import Connection
from engine.views.names import active_names, prefix_of
from engine.views.responsible import Responsible, ResponsibleQuestion, responsible
from engine.views.signatures import ListPage, SignatureQuestion, list_page
from engine.views.targets import TargetPage, TargetQuestion, target_page
from workflows.policy.index import Policy
from workflows.policy.model import Grid
from workflows.reading import Readable

GridCode = Annotated[str, QueryParameter(description="Code of the grid in which a problem lies; else the post's.")]
Category = Annotated[str, QueryParameter(description="Code of a category; without one: for a problem of any.")]
Year = Annotated[str, QueryParameter(description="The year of the targets; without one every year.")]
Lang = Annotated[str, QueryParameter(description="zh or en.")]


@get("/responsibility", include_in_schema=False)
async def show_responsibility(
    request: Request[Principal, Any, Any],
    context: NamedDependency[DoorContext],
    grid: GridCode = "",
    category: Category = "",
    year: Year = "",
    lang: Lang = "",
) -> Response[Any]:
    """Who must act there, the lists that are still to be signed, and the targets of that grid and below it."""
    now, policies, post = context.now(), context.policies, post_of(request)

    def ask(connection: Connection, readable: Readable) -> tuple[Policy, list[Grid], Responsible, ListPage, TargetPage]:
        names = active_names(connection, policies)
        register, sights = names.register, (readable.usual, *readable.kinds.values())
        speaker = register.posts.get(post)
        there = grid or (speaker.grid if speaker is not None else register.root)
        question = ResponsibleQuestion(grid=there, category=category)
        found = responsible(connection, policies, question, now, readable)
        lists = list_page(connection, policies, SignatureQuestion(grid=there, unsigned=True), now, readable)
        targets = target_page(connection, policies, TargetQuestion(grid=there, year=year), now, readable)
        grids = [each for each in register.pack.grids if any(s.within(prefix_of(names, each.code)) for s in sights)]
        return register, grids, found, lists, targets

    register, grids, found, lists, targets = await figures(context, request.user, ask)
    return page(
        request,
        "responsibility.html",
        found=found,
        lists=lists,
        targets=targets,
        grids=grids,
        categories=register.pack.categories,
        category=category,
        year=year,
        zone=register.pack.zone,
    )


ROUTES = [show_responsibility]

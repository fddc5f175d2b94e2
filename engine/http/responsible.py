"""Who must act on a problem, and who has signed what it answers for (责任清单)."""

from typing import Annotated, Any

from litestar import Request, get
from litestar.di import NamedDependency
from litestar.params import QueryParameter

from engine.http.context import DoorContext
from engine.http.listings import Listing
from engine.principals import Principal
from engine.views import signatures
from engine.views.responsible import Responsible, ResponsibleQuestion, responsible
from engine.views.signatures import ListPage, SignatureQuestion, list_page

Grid = Annotated[str, QueryParameter(description="Code of the grid in which the problem lies.")]
Category = Annotated[str, QueryParameter(description="Code of a category; without one: for a problem of any.")]
At = Annotated[
    str, QueryParameter(description="RFC 3339 with a zone: by the pack that was active there at this instant.")
]
Body = Annotated[str, QueryParameter(name="body", description="Code of a body of bodies.csv: its list.")]
Subtree = Annotated[
    str, QueryParameter(name="grid", description="Code of a grid: the lists of the bodies of its subtree.")
]
Post = Annotated[str, QueryParameter(description="Code of a post: the lists that it signs.")]
Unsigned = Annotated[bool, QueryParameter(description="Only lists that somebody has still to sign.")]
Limit = Annotated[
    int, QueryParameter(description="Lists of a page.", schema_extra={"minimum": 1, "maximum": signatures.MOST})
]
Cursor = Annotated[str, QueryParameter(description="`next` of the page before this one.")]


@get("/v1/responsible", summary="Who must act on a problem in a grid", tags=["responsibility"])
async def show_responsible(
    request: Request[Principal, Any, Any],
    context: NamedDependency[DoorContext],
    grid: Grid,
    category: Category = "",
    at: At = "",
) -> Responsible:
    """The owner to whom such a report is routed with its posts, the department that leads, the bodies that lead and
    assist with the text of their duties, its basis and days, the party and the government post of the owner, and how
    long each step may take from the instant on."""
    question = ResponsibleQuestion(grid=grid, category=category, at=at)
    now, policies = context.now(), context.policies
    return await context.read_as(
        request.user, lambda connection, readable: responsible(connection, policies, question, now, readable)
    )


@get(
    "/v1/responsibilities",
    response_class=Listing,
    summary="Lists of responsibilities, and who has signed them",
    tags=["responsibility"],
)
async def list_responsibilities(
    request: Request[Principal, Any, Any],
    context: NamedDependency[DoorContext],
    code: Body = "",
    grid: Subtree = "",
    post: Post = "",
    unsigned: Unsigned = False,
    limit: Limit = 50,
    cursor: Cursor = "",
) -> ListPage:
    """Each list with its hash, which a post signs by `responsibility.signed`, and with the posts that are asked to. A
    list that has changed has another hash, and nobody has signed it yet."""
    question = SignatureQuestion(body=code, grid=grid, post=post, unsigned=unsigned, limit=limit, cursor=cursor)
    now, policies = context.now(), context.policies
    return await context.read_as(
        request.user, lambda connection, readable: list_page(connection, policies, question, now, readable)
    )


ROUTES = [show_responsible, list_responsibilities]

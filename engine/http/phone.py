"""What a phone asks before it sends: who it is, what it takes along, where a position lies, what is known there.

These are for whoever may speak for a post, whether it may read cases or not.
"""

from collections.abc import Callable
from typing import Annotated, Any, TypeVar

from litestar import Request, get
from litestar.di import NamedDependency
from litestar.params import QueryParameter
from msgspec.structs import replace

from engine.http.context import DoorContext
from engine.http.problems import Problem
from engine.policies import Policies
from engine.principals import Principal
from engine.store.database import Connection
from engine.views import places, speaking
from engine.views.names import active_names
from engine.views.phone_pack import PhonePack, phone_pack
from engine.views.places import LocatedPlace, PlaceQuestion, SimilarCases, located_place, similar_cases
from engine.views.speaking import Me, me, only_post

T = TypeVar("T")
Caller = Request[Principal, Any, Any]
Post = Annotated[
    str,
    QueryParameter(
        description="Code of a post that you may speak for. Without it: your posts, if they are not too many."
    ),
]
Speaker = Annotated[
    str,
    QueryParameter(
        name="post",
        description="Code of the post that would report. Its own grid goes first on a border, and counts where the "
        "position is off the map. Without it: your post, if you have one alone.",
    ),
]
Place = Annotated[
    str,
    QueryParameter(
        description="Longitude and latitude in degrees, such as 108.845,34.385.",
        schema_extra={"pattern": f"^{places.POSITION}$"},
    ),
]
Map = Annotated[
    str,
    QueryParameter(
        description="The coordinate reference system of the position: most phones in China give GCJ02. Without it: "
        "that of the pack.",
        schema_extra={"enum": ["", *places.MAPS]},
    ),
]
Accuracy = Annotated[
    float | None,
    QueryParameter(
        description="How exact the position is, in metres.",
        schema_extra={"minimum": 0, "maximum": places.MOST_METRES},
    ),
]
Category = Annotated[str, QueryParameter(description="Code of a category.")]
Limit = Annotated[
    int, QueryParameter(description="Posts of a page.", schema_extra={"minimum": 1, "maximum": speaking.MOST})
]
Cursor = Annotated[str, QueryParameter(description="`next` of the page before this one.")]


def check_speaks(principal: Principal, post: str) -> None:
    """Raise a problem for a post that a principal may not speak for."""
    if post and not principal.may_speak(post):
        detail = f"principal {principal.name} may not speak for this post: its `actors` do not name it"
        raise Problem(403, "forbidden", detail, field="post", remedy="ask /v1/me for the posts that are yours")


@get("/v1/me", summary="Who asks: posts, rights, and the active pack", tags=["apps"])
async def show_me(context: NamedDependency[DoorContext], request: Caller, limit: Limit = 50, cursor: Cursor = "") -> Me:
    """The principal of the token, what it may do, and the posts that it may speak for, page by page."""
    principal, now, asks = request.user, context.now(), context.principals.asked
    return await context.read(
        lambda connection: me(connection, context.policies, principal, now, asks_token=asks, limit=limit, cursor=cursor)
    )


@get("/v1/pack", summary="What a phone takes along for a day offline", tags=["apps"])
async def show_pack(context: NamedDependency[DoorContext], request: Caller, post: Post = "") -> PhonePack:
    """Grids with their borders, whom to speak to, what may be said, duties, the catalogue with its limits, and words.
    Ask again with `If-None-Match`: while nothing has changed the answer is 304."""
    principal, now = request.user, context.now()
    check_speaks(principal, post)
    return await context.read(lambda connection: phone_pack(connection, context.policies, principal, post, now))


@get("/v1/locate", summary="The grid in which a position lies", tags=["apps"])
async def locate(
    context: NamedDependency[DoorContext],
    request: Caller,
    position: Place,
    crs: Map = "",
    accuracy_m: Accuracy = None,
    post: Speaker = "",
) -> LocatedPlace:
    """Where a report of this position would lie that arrived now, decided as the report itself would be, with the home
    of which its subject is to be minted."""
    question = PlaceQuestion(position=position, crs=crs, accuracy_m=accuracy_m, post=post)
    return await asked(context, request.user, question, located_place)


@get("/v1/similar", summary="Open cases that may be the same problem", tags=["apps"])
async def list_similar(
    context: NamedDependency[DoorContext],
    request: Caller,
    position: Place,
    category: Category,
    crs: Map = "",
    accuracy_m: Accuracy = None,
    post: Speaker = "",
) -> SimilarCases:
    """Cases that the engine would propose for a report of this category that arrived now. Nothing is told of them but
    state, category, age and a class of distance."""
    question = PlaceQuestion(position=position, crs=crs, accuracy_m=accuracy_m, post=post, category=category)
    return await asked(context, request.user, question, similar_cases)


async def asked(
    context: DoorContext,
    principal: Principal,
    question: PlaceQuestion,
    view: Callable[[Connection, Policies, PlaceQuestion, int], T],
) -> T:
    """The answer of a view to a question about a place, with the post of a principal that has one alone."""
    check_speaks(principal, question.post)
    now = context.now()

    def answer(connection: Connection) -> T:
        post = question.post or only_post(active_names(connection, context.policies).register, principal)
        return view(connection, context.policies, replace(question, post=post), now)

    return await context.read(answer)


BEFORE_SENDING = [show_pack, locate, list_similar]
"""Those for whoever may speak for a post; who asks is told to anybody who is known."""

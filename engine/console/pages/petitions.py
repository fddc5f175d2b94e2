"""信访: what is asked, with whom it is and until when, and whether who asked is satisfied with the answer. What may be
said of one is offered on its own page; what was written, and by whom, is not here."""

from typing import Annotated, Any

from litestar import Request, Response, get
from litestar.di import NamedDependency
from litestar.params import QueryParameter

from engine.console.rendering import page
from engine.http.context import DoorContext
from engine.principals import Principal
from engine.store.database import Connection
from engine.views.names import active_names
from engine.views.petitions import PetitionPage, PetitionQuestion, petition_page
from schemas.value_words import WORDS
from workflows.reading import Readable

Ended = Annotated[bool, QueryParameter(description="Those that have ended, the latest first.")]
Cursor = Annotated[str, QueryParameter(description="Where the page begins.")]
Lang = Annotated[str, QueryParameter(description="zh or en.")]


@get("/petitions", include_in_schema=False)
async def show_petitions(
    request: Request[Principal, Any, Any],
    context: NamedDependency[DoorContext],
    ended: Ended = False,
    cursor: Cursor = "",
    lang: Lang = "",
) -> Response[Any]:
    """What is open, with whom, until when, and what was answered."""
    question, now, policies = PetitionQuestion(ended=ended, cursor=cursor), context.now(), context.policies

    def ask(connection: Connection, readable: Readable) -> tuple[PetitionPage, str]:
        found = petition_page(connection, policies, question, now, readable)
        return found, active_names(connection, policies).register.pack.zone

    found, zone = await context.read_as(request.user, ask)
    return page(request, "petitions.html", found=found, question=question, zone=zone, value_words=WORDS)


ROUTES = [show_petitions]

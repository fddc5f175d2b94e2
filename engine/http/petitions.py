"""Petitions at the door: a code for who asked, and the answer that it opens, to whoever has it."""

import secrets
from typing import Annotated, Any

import msgspec
from litestar import Request, post
from litestar.di import NamedDependency
from litestar.params import JSONBody, PathParameter, QueryParameter
from msgspec import Meta, Struct

from engine.http.context import DoorContext
from engine.http.events import LONGEST_WAIT_S, Accepted, Wanted, check_sender, publish_all
from engine.http.incoming import Incoming
from engine.http.limits import peer_of
from engine.http.problems import Problem, busy, refused
from engine.policies import Policies
from engine.principals import DOOR, Principal
from engine.store.database import Connection
from engine.views.answers import AnswerCode, PetitionAnswer, find_answer, new_code
from engine.views.names import active_names
from engine.views.words import post_asked
from schemas.instants import written
from schemas.kinds.petition import CODE_GIVEN
from schemas.refusals import Reason, Refusal

Id = Annotated[str, PathParameter(description="The petition: `<home>.<UUIDv7>`.")]
PostCode = Annotated[
    str, QueryParameter(description="The post that took it in, where the principal speaks for several; one of its own.")
]


class AskedAnswer(Struct, frozen=True):
    """What who asked has: the code that was told once, with blanks and dashes or without."""

    code: Annotated[str, Meta(max_length=100)]


@post(
    "/v1/petitions/{id:str}/code",
    status_code=200,
    summary="A code by which who asked finds the answer",
    tags=["petitions"],
)
async def give_code(
    request: Request[Principal, Any, Any], context: NamedDependency[DoorContext], id: Id, post: PostCode = ""
) -> AnswerCode:
    """Made by the door, told once, and kept nowhere: the log has its digest alone. Asked for again, another one is made
    and the one before opens nothing any more. For the post that took the petition in."""
    sender, policies = request.user, context.policies
    check_sender(context, sender)
    actor = await context.read(lambda connection: speaker(connection, policies, sender, post))
    code, digest = new_code(id)
    said = {
        "specversion": "1.0",
        "type": f"gridpatrol.{CODE_GIVEN}.v1",
        "source": f"door/{sender.name}",
        "id": secrets.token_hex(16),
        "subject": id,
        "time": written(context.now()),
        "actor": actor,
        "data": {"digest": digest},
    }
    told = await publish_all(context, [Incoming(msgspec.json.encode(said), DOOR)], Wanted(LONGEST_WAIT_S, follow=False))
    assert isinstance(told.body, Accepted)
    if told.body.reason:
        raise refused(Refusal(Reason(told.body.reason), told.body.field, told.body.detail), told.body.dead_letter)
    if told.body.outcome != "done":
        raise busy("the code could not be kept in time", "ask for another one: this one is told to nobody")
    return code


def speaker(connection: Connection, policies: Policies, sender: Principal, post: str) -> str:
    """The post for which a principal asks for a code. Raises Unanswerable."""
    return post_asked(sender, post, active_names(connection, policies).register).code


@post("/v1/answers", status_code=200, summary="The answer to a petition, by its code", tags=["petitions"])
async def look_up(
    request: Request[Any, Any, Any], context: NamedDependency[DoorContext], data: JSONBody[AskedAnswer]
) -> PetitionAnswer:
    """How far it is and what was answered, to whoever has the code; nothing else is told, also not whether a petition
    of that number is there. It asks for no token, and answers each address so often in a minute."""
    client = request.client
    context.lookups.check(peer_of(client.host) if client is not None else "")
    found = await context.read(lambda connection: find_answer(connection, data.code))
    if found is None:
        raise Problem(404, "no_answer", "this code opens no answer", remedy="type it as it was told, letter by letter")
    return found


ROUTES, PUBLIC = [give_code], [look_up]

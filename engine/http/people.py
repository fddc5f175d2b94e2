"""People with tokens of their own: operators list, add, rotate and withdraw them.

The token is in the answer that gives it, and nowhere else.
"""

from typing import Annotated, Any

from litestar import Request, get, post
from litestar.di import NamedDependency
from litestar.params import JSONBody, PathParameter, QueryParameter
from msgspec import Struct

from engine.http.context import DoorContext
from engine.http.operator import act, operator_of
from engine.operations import tokens
from engine.operations.tokens import Issued, PersonWanted, TokenWanted, Withdrawn
from engine.people import person_of
from engine.principals import Principal, Written, as_written
from engine.store import people
from engine.views.questions import check_text

PostCode = Annotated[str, PathParameter(description="Code of a post.")]
Ended = Annotated[bool, QueryParameter(description="Also tokens that have ended.")]


class PersonLine(Struct, frozen=True):
    """A token of a person, without the token. Instants in ms UTC; `ended`: rotated, revoked, or empty."""

    principal: str
    post: str
    reads: Written | dict[str, Written]
    issued_at: int
    expires_at: int
    ended: str


class PeoplePage(Struct, frozen=True):
    """Who has a token."""

    people: list[PersonLine]


@get("/v1/operator/people", tags=["operator"], summary="People with tokens of their own")
async def list_people(context: NamedDependency[DoorContext], ended: Ended = False) -> PeoplePage:
    """Each token with its post, what it reads, and until when it is good."""
    now = context.now()
    rows = await context.read(lambda connection: people.listed(connection, now, ended=ended))
    return PeoplePage([person_line(row) for row in rows])


def person_line(row: people.PersonRow) -> PersonLine:
    """A token as it is listed."""
    return PersonLine(row.name, row.post, as_written(person_of(row).reads), row.issued_at, row.expires_at, row.ended)


@post("/v1/operator/people", status_code=200, tags=["operator"], summary="Give a person a token for a post")
async def add_person(
    request: Request[Principal, Any, Any], context: NamedDependency[DoorContext], data: JSONBody[PersonWanted]
) -> Issued:
    """The token is shown once. It is known at every gateway within two seconds."""
    check_text(data.post, "post")
    operator = operator_of(request)
    return await act(context, lambda engine: tokens.add(engine, data, operator))


@post("/v1/operator/people/{code:str}/tokens", status_code=200, tags=["operator"], summary="Rotate a token")
async def rotate_token(
    request: Request[Principal, Any, Any],
    context: NamedDependency[DoorContext],
    code: PostCode,
    data: JSONBody[TokenWanted],
) -> Issued:
    """A new token for the post. The old one goes on for `token_grace_hours`, or ends at once."""
    operator = operator_of(request)
    return await act(context, lambda engine: tokens.rotate(engine, code, data, operator))


@post("/v1/operator/people/{code:str}/withdrawals", status_code=200, tags=["operator"], summary="Withdraw a token")
async def withdraw_person(
    request: Request[Principal, Any, Any], context: NamedDependency[DoorContext], code: PostCode
) -> Withdrawn:
    """End all tokens of the post, at every gateway within two seconds. Streams end with them."""
    operator = operator_of(request)
    return await act(context, lambda engine: tokens.withdraw(engine, code, operator))


ROUTES = [list_people, add_person, rotate_token, withdraw_person]

"""令牌, for who operates the server: who has a token and until when; a new one, shown once; another one; none any more.

A token stands in the answer of the form that gave it and nowhere else: no address and no table has it.
"""

from typing import Annotated, Any, NamedTuple

from litestar import Request, Response, get, post
from litestar.di import NamedDependency
from litestar.params import PathParameter, QueryParameter

from engine.console.access import form_of
from engine.console.rendering import page, query, seen_elsewhere
from engine.http.context import DoorContext
from engine.http.operator import act, operator_of
from engine.http.problems import Problem
from engine.operations import tokens
from engine.operations.tokens import Issued, PersonWanted, TokenWanted
from engine.people import person_of
from engine.principals import Principal, as_written
from engine.store import people
from engine.store.database import Connection
from engine.views.names import Names, active_names
from engine.views.questions import parse_whole

Ended = Annotated[bool, QueryParameter(description="Also tokens that have ended.")]
Lang = Annotated[str, QueryParameter(description="zh or en.")]
PostCode = Annotated[str, PathParameter(description="Code of a post.")]
Whose = Annotated[str, QueryParameter(description="The post whose tokens were withdrawn just now.")]


class PersonShown(NamedTuple):
    """A token of a person, without the token."""

    post: str
    title: str
    reads: str
    issued_at: str
    expires_at: str
    ended: str


class PrincipalShown(NamedTuple):
    """A system of the file of principals."""

    name: str
    speaks_for: str
    reads: str
    operator: bool


class TokenShown(NamedTuple):
    """A token that was given just now, and until when it is good; and when the one before it ends."""

    post: str
    token: str
    expires_at: str
    old_until: str | None


@get("/tokens", include_in_schema=False)
async def show_tokens(
    request: Request[Principal, Any, Any],
    context: NamedDependency[DoorContext],
    ended: Ended = False,
    withdrawn: Whose = "",
    lang: Lang = "",
) -> Response[Any]:
    """Who may sign in, and until when."""
    return await tokens_page(request, context, ended=ended, withdrawn=withdrawn[:64])


async def tokens_page(
    request: Request[Principal, Any, Any],
    context: DoorContext,
    *,
    ended: bool = False,
    withdrawn: str = "",
    issued: Issued | None = None,
    refused: Problem | None = None,
    typed: str = "",
) -> Response[Any]:
    """The page, with a token that was given just now, or why none was."""
    now = context.now()

    def ask(connection: Connection) -> tuple[Names, list[people.PersonRow]]:
        return active_names(connection, context.policies), people.listed(connection, now, ended=ended)

    names, rows = await context.read(ask)
    given = None
    if issued is not None:
        until = names.instant(issued.expires_at), names.maybe(issued.old_until)
        given = TokenShown(issued.post, issued.token, *until)
    return page(
        request,
        "tokens.html",
        status=refused.status if refused is not None else 200,
        people=[
            PersonShown(
                row.post,
                names.post(row.post).name,
                written(person_of(row)),
                names.instant(row.issued_at),
                names.instant(row.expires_at),
                row.ended,
            )
            for row in rows
        ],
        systems=[
            PrincipalShown(
                each.name, ", ".join([*each.patterns, *sorted(each.codes)][:5]), written(each), each.operator
            )
            for each in context.principals
        ],
        as_of=names.instant(now),
        zone=names.register.pack.zone,
        ended=ended,
        withdrawn=withdrawn,
        given=given,
        refused=refused,
        typed=typed,
        days=context.settings.token_days,
    )


def written(principal: Principal) -> str:
    """What a principal reads, in a cell."""
    reads = as_written(principal.reads)
    if isinstance(reads, bool):
        return "*" if reads else ""
    return reads if isinstance(reads, str) else ", ".join(reads)


@post("/tokens", include_in_schema=False, status_code=200)
async def give_token(request: Request[Principal, Any, Any], context: NamedDependency[DoorContext]) -> Response[Any]:
    """Give a person a token for a post. It stands in this answer alone."""
    fields = await form_of(request)
    code, days = fields.get("post", "").strip(), parse_whole(fields.get("days", ""))
    wanted = PersonWanted(code, None, days if days else None)
    operator = operator_of(request)
    try:
        issued = await act(context, lambda engine: tokens.add(engine, wanted, operator))
    except Problem as problem:
        if problem.status >= 500:
            raise
        return await tokens_page(request, context, refused=problem, typed=code)
    return await tokens_page(request, context, issued=issued)


@post("/tokens/{code:str}/rotations", include_in_schema=False, status_code=200)
async def rotate_token(
    request: Request[Principal, Any, Any], context: NamedDependency[DoorContext], code: PostCode
) -> Response[Any]:
    """Another token for the person of a post. It stands in this answer alone."""
    fields = await form_of(request)
    wanted, operator = TokenWanted(at_once=fields.get("at_once") == "true"), operator_of(request)
    issued = await act(context, lambda engine: tokens.rotate(engine, code, wanted, operator))
    return await tokens_page(request, context, issued=issued)


@post("/tokens/{code:str}/withdrawals", include_in_schema=False)
async def withdraw_token(
    request: Request[Principal, Any, Any], context: NamedDependency[DoorContext], code: PostCode
) -> Response[Any]:
    """End all tokens of a post."""
    await form_of(request)
    operator = operator_of(request)
    await act(context, lambda engine: tokens.withdraw(engine, code, operator))
    return seen_elsewhere(request, query("/tokens", withdrawn=code))


ROUTES = [show_tokens, give_token, rotate_token, withdraw_token]

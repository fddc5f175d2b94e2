"""Who looks at the pages, and who may post their forms. A guard lets a request pass or raises a `Problem`.

A page takes a session, or a token as the API does; what is sent with a token needs no mark of a form. Without a file of
principals the user of this machine looks: as nobody at everything, or as a post that was chosen at what that post
reads.
"""

from typing import Any, NamedTuple
from urllib.parse import parse_qsl

from litestar import Request
from litestar.connection import ASGIConnection
from litestar.handlers import BaseRouteHandler
from msgspec import structs

from engine.console.sessions import COOKIE, Keys, Session, begun
from engine.http.auth import Guard, check_right, known, token_of
from engine.http.context import DoorContext
from engine.http.problems import Problem
from engine.people import BY_ROLE
from engine.principals import LOCAL, Principal, Right
from engine.views.questions import check_text

SIGNED_IN = "console_session"
"""Name in the state of a request of its session."""
FRESH = "console_fresh"
"""Name in the state of a request of the signed session that its answer gives to the browser."""
MARK = "console_mark"
"""Name in the state of a request of the mark that forms of its page have."""
MOST_FIELDS = 60
"""Fields of a form at most."""


class Visitor(NamedTuple):
    """Who looks: with a session, or without one by a token."""

    principal: Principal
    session: Session | None


def looking_as(post: str) -> Principal:
    """The user of this machine, as a post: it reads by its role, and speaks for this post alone."""
    return structs.replace(LOCAL, codes=frozenset((post,)), patterns=(), reads=BY_ROLE)


async def visitor_of(connection: ASGIConnection[Any, Any, Any, Any]) -> Visitor | None:
    """Who looks; None: nobody has signed in."""
    context: DoorContext = connection.app.state["context"]
    keys = keys_of(connection)
    cookie = connection.cookies.get(COOKIE, "")
    session = await keys.read(cookie) if cookie else None
    if not context.principals.asked:
        if session is None or session.digest:
            session = begun("", salt=await keys.local_salt())
            connection.scope["state"][FRESH] = await keys.sign(session)
        return Visitor(looking_as(session.post) if session.post else LOCAL, session)
    principal = context.principals.of_digest(session.digest) if session is not None and session.digest else None
    return Visitor(principal, session) if principal is not None else None


async def signed_in(connection: ASGIConnection[Any, Any, Any, Any], handler: BaseRouteHandler) -> None:
    """Find out who looks: the principal becomes the request's user."""
    visitor = None if token_of(connection) else await visitor_of(connection)
    if visitor is None:
        await known(connection, handler)  # by a token, or refused as the API refuses it
        return
    keys, state = keys_of(connection), connection.scope["state"]
    connection.scope["user"], state[SIGNED_IN] = visitor
    state[MARK] = await keys.form_mark(visitor.session) if visitor.session is not None else ""


def signed_in_with(right: Right) -> Guard:
    """Refuse who lacks a right."""

    async def guard(connection: ASGIConnection[Any, Any, Any, Any], handler: BaseRouteHandler) -> None:
        await signed_in(connection, handler)
        check_right(connection, right)

    return guard


def keys_of(connection: ASGIConnection[Any, Any, Any, Any]) -> Keys:
    """The keys of the sessions."""
    keys: Keys = connection.app.state["console_keys"]
    return keys


def session_of(request: Request[Any, Any, Any]) -> Session | None:
    """The session of a request; None: it came with a token."""
    return request.scope["state"].get(SIGNED_IN)


def post_of(request: Request[Principal, Any, Any]) -> str:
    """The post for which is looked and spoken: the one that was chosen, or the only one; empty: none."""
    session, principal = session_of(request), request.user
    if session is not None and session.post and principal.may_speak(session.post):
        return session.post
    return next(iter(principal.codes)) if len(principal.codes) == 1 and not principal.patterns else ""


async def form_of(request: Request[Any, Any, Any]) -> dict[str, str]:
    """The fields of a form, once its mark was found right. What several boxes of one name say stands in one field,
    parted by semicolons."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/x-www-form-urlencoded":
        raise Problem(415, "content_type", "a form is expected here", remedy="send it as a page of this server does")
    try:
        sent = parse_qsl((await request.body()).decode(), keep_blank_values=True, max_num_fields=MOST_FIELDS)
    except ValueError as error:
        raise not_a_form() from error
    fields = dict[str, str]()
    for name, text in sent:
        fields[name] = f"{fields[name]};{text}" if name in fields else text
    for name, text in fields.items():
        check_text(text, name if name.isidentifier() else "form")
    await check_mark(request, fields.pop("mark", ""))
    return fields


async def check_mark(request: Request[Any, Any, Any], mark: str) -> None:
    """Refuse a form whose mark is not of the session with which it was sent."""
    session, keys = session_of(request), keys_of(request)
    if session is not None and not await keys.is_form_mark(session, mark):
        remedy = "go back, load the page again, and send the form from there"
        raise Problem(403, "form_mark", "this form is not of your present session", remedy=remedy)


def not_a_form() -> Problem:
    """The answer to what is no form of a page."""
    return Problem(400, "form", "this is no form of this server", remedy="load the page again, and send it from there")

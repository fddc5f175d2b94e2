"""Who may speak to the door, and who may do what there. A guard lets a request pass or raises a `Problem`.

A door with a file of principals asks for a token; the principal becomes the request's user. A door without one asks for
no token and answers programs of this machine only; a token that is shown there all the same says who speaks. A page in
the user's browser can reach either: under a name of its own that it lets resolve to 127.0.0.1 (seen in `Host`; it knows
no token), or by posting across origins (seen in `Origin`).
"""

import logging
from collections.abc import Awaitable, Callable
from functools import lru_cache
from ipaddress import ip_address
from typing import Any
from urllib.parse import unquote_to_bytes, urlsplit

from litestar.connection import ASGIConnection
from litestar.handlers import BaseRouteHandler

from engine.http.problems import Problem
from engine.principals import LOCAL, Principal, Principals, Right
from engine.views.questions import BadQuestion, check_text

log = logging.getLogger(__name__)

SAFE = ("GET", "HEAD", "OPTIONS")
INJECTED = {"context", "feed", "request", "data", "asked"}
"""Parameters of handlers that do not come from a query. `asked` is a question that routes share: its own do."""
ENCODINGS = ("gzip", "x-gzip", "deflate", "br", "zstd", "compress")
"""Of bodies, as clients name them; what else stands in such a header is not repeated."""
REALM = 'Bearer realm="gridpatrol"'
LACKS: dict[Right, str] = {
    "actors": "publish: no post is listed under its `actors`",
    "reads": "read incidents, alerts and figures: its `reads` is false or missing",
    "operator": "operate: it has no `operator = true`",
}
"""What a principal without a right may not do, and why."""

Guard = Callable[[ASGIConnection[Any, Any, Any, Any], BaseRouteHandler], Awaitable[None]]
"""The framework hands one that is no coroutine to a thread, and copies its route for each of them: so guards are few,
and wait for nothing."""


@lru_cache(maxsize=256)
def is_loopback(host: str) -> bool:
    """Whether the authority of a request names this machine by a loopback name. False for what is no authority."""
    try:
        name = (urlsplit(f"//{host}").hostname or "").rstrip(".")
        return name == "localhost" or name.endswith(".localhost") or ip_address(name).is_loopback
    except ValueError:
        return False


def only_this_machine(connection: ASGIConnection[Any, Any, Any, Any], _: BaseRouteHandler) -> None:
    """Where no token is asked for, refuse names that are not of loopback."""
    host = connection.headers.get("host", "")
    if not _principals(connection).asked and not is_loopback(host):
        raise Problem(
            421, "foreign_host", "this door does not answer to this name", remedy="use 127.0.0.1 or localhost"
        )


def no_foreign_page(connection: ASGIConnection[Any, Any, Any, Any], _: BaseRouteHandler) -> None:
    """Refuse a request to change something from a page of another origin, unless that is one of those that may."""
    host, origin = connection.headers.get("host", ""), connection.headers.get("origin")
    if connection.scope.get("method") in SAFE or origin is None or origin in connection.app.state["origins"]:
        return
    try:
        page = urlsplit(origin).netloc.lower()
    except ValueError:  # no address at all, such as `http://[`
        page = ""
    if not page or page != host.lower():
        raise Problem(
            403,
            "foreign_origin",
            "a page of another origin may not publish here",
            remedy="publish from a program, from a page of this server, or from one that `cors` lists",
        )


async def known(connection: ASGIConnection[Any, Any, Any, Any], _: BaseRouteHandler) -> None:
    """Find out who speaks, by the token of the request: it becomes the request's user."""
    principals, token = _principals(connection), token_of(connection)
    principal = principals.of_request(token)
    if principal is not None:
        connection.scope["user"] = principal
        return
    give = "operators give one: `gridpatrol principal add POST` to a person, `principal token NAME` to a system"
    remedy = f"send `Authorization: Bearer TOKEN`; {give}"
    if not token:
        raise Problem(401, "no_token", "this door asks who speaks", remedy=remedy, headers={"WWW-Authenticate": REALM})
    raise Problem(
        401,
        "unknown_token",
        "nobody has this token, or not any more",
        remedy=remedy if principals.asked else "leave the token out: this door asks for none",
        headers={"WWW-Authenticate": f'{REALM}, error="invalid_token"'},
    )


def token_of(connection: ASGIConnection[Any, Any, Any, Any]) -> str:
    """The token of a request; empty: it shows none."""
    return token_in(connection.headers.get("authorization", ""))


def token_in(authorization: str) -> str:
    """The token of a header `Authorization`; empty: there is none in it."""
    scheme, token = authorization.partition(" ")[::2]
    return token.strip() if scheme.lower() == "bearer" else ""


def principal_now(connection: ASGIConnection[Any, Any, Any, Any]) -> Principal | None:
    """Who speaks in a request that takes long, as it is known now; None: its token is known no more."""
    return _principals(connection).of_request(token_of(connection))


def needs(right: Right) -> Guard:
    """Refuse principals that lack a right."""

    async def guard(connection: ASGIConnection[Any, Any, Any, Any], handler: BaseRouteHandler) -> None:
        if connection.scope.get("user") is None:  # a guard before it may have found out who speaks, by a session
            await known(connection, handler)
        check_right(connection, right)

    return guard


def check_right(connection: ASGIConnection[Any, Any, Any, Any], right: Right) -> None:
    """Refuse the principal of a request if it lacks a right. What operators ask for is logged."""
    principal: Principal = connection.user
    if not principal.has(right):
        raise Problem(
            403,
            "no_right",
            f"principal {principal.name} may not {LACKS[right]}",
            remedy=f"ask whoever operates this server for the right `{right}`",
            right=right,
        )
    if right == "operator" and principal is not LOCAL:
        log.info("operator.asked", extra={"principal": principal.name, "path": connection.scope["path"]})


def check_speaks_or_reads(principal: Principal, post: str) -> None:
    """Refuse a question about the work of a post by whoever neither may speak for it nor reads."""
    if not principal.has("reads") and not (post and principal.may_speak(post)):
        raise Problem(
            403,
            "no_right",
            f"principal {principal.name} may neither speak for this post, nor {LACKS['reads']}",
            remedy="ask for a post that its `actors` name, or ask whoever operates this server for the right `reads`",
            right="reads",
        )


async def speaks_or_reads(connection: ASGIConnection[Any, Any, Any, Any], _: BaseRouteHandler) -> None:
    """Refuse known principals that are told nothing: they neither speak for any post nor read."""
    principal: Principal = connection.user
    if not (principal.has("actors") or principal.has("reads")):
        raise Problem(
            403,
            "no_right",
            f"principal {principal.name} may neither speak for posts, nor {LACKS['reads']}",
            remedy="ask whoever operates this server for the right `actors` or `reads`",
            right="reads",
        )


def _principals(connection: ASGIConnection[Any, Any, Any, Any]) -> Principals:
    principals: Principals = connection.app.state["principals"]
    return principals


def only_plain(connection: ASGIConnection[Any, Any, Any, Any], _: BaseRouteHandler) -> None:
    """Refuse a body that is encoded, by the name of its encoding where it is a known one."""
    coding = connection.headers.get("content-encoding", "").strip().lower()
    if coding not in ("", "identity"):
        named = coding if coding in ENCODINGS else "this encoding"
        raise Problem(415, "content_encoding", f"{named} is not read here", remedy="send the body as it is")


def only_texts(connection: ASGIConnection[Any, Any, Any, Any], _: BaseRouteHandler) -> None:
    """Refuse a text of the path or the query that not every database takes, by the name of its parameter.

    The framework puts U+FFFD in the place of bytes that are no UTF-8, so the bytes are read here as they came.
    """
    path = connection.scope.get("raw_path") or connection.scope["path"].encode()
    for place, sent in zip(connection.scope["path_template"].split("/"), path.split(b"/"), strict=False):
        if place.startswith("{"):
            check_text(unquote_to_bytes(sent).decode(errors="surrogateescape"), place.strip("{}").partition(":")[0])
    for part in connection.scope["query_string"].replace(b"+", b" ").split(b"&"):
        texts = [unquote_to_bytes(side).decode(errors="surrogateescape") for side in part.split(b"=", 1)]
        for text, field in zip(texts, ("query", texts[0]), strict=False):
            check_text(text, field)


def only_known_parameters(connection: ASGIConnection[Any, Any, Any, Any], handler: BaseRouteHandler) -> None:
    """Refuse a misspelled parameter: passed over in silence it would change the answer."""
    own, shared = handler.parsed_fn_signature.parameters, handler.resolve_dependencies().get("asked")
    every = own if shared is None else own | shared.parsed_fn_signature.parameters
    known = {name.rstrip("_") for name in every} - INJECTED
    for name in connection.query_params:
        if name not in known:
            remedy = f"it takes: {', '.join(sorted(known)) or 'none'}"
            raise BadQuestion(name, "this is no parameter of the route", remedy)


async def proper(connection: ASGIConnection[Any, Any, Any, Any], handler: BaseRouteHandler) -> None:
    """What every route asks of a request, whoever sends it."""
    only_this_machine(connection, handler)
    no_foreign_page(connection, handler)
    only_texts(connection, handler)
    only_plain(connection, handler)
    only_known_parameters(connection, handler)

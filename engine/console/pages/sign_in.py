"""Signing in with a token, signing out, and choosing the post for which is looked and spoken."""

from typing import Annotated, Any
from urllib.parse import parse_qsl

from litestar import Request, Response, get, post
from litestar.di import NamedDependency
from litestar.params import PathParameter, QueryParameter
from msgspec.structs import replace

from engine.console.access import form_of, keys_of, post_of, session_of, visitor_of
from engine.console.rendering import HEADERS, inside, page, seen_elsewhere, session_cookie
from engine.console.sessions import COOKIE, begun
from engine.console.static_files import FOREVER, static_files
from engine.http.context import DoorContext
from engine.http.problems import Problem
from engine.principals import LOCAL, Principal, digest_of
from engine.views.names import active_names
from engine.views.questions import BadQuestion, NoActivePack
from engine.views.speaking import posts_of, speaking_post

Next = Annotated[str, QueryParameter(name="next", description="Where to go on.")]
Lang = Annotated[str, QueryParameter(description="zh or en.")]
Search = Annotated[str, QueryParameter(description="Part of a title or a code.")]
Name = Annotated[str, PathParameter(description="Name of a file.")]
Out = Annotated[bool, QueryParameter(description="The session was ended just now, or another token is to be used.")]
SHOWN = 60
"""Posts of a page at most."""


@get("/static/{name:str}", include_in_schema=False)
async def static(request: Request[Any, Any, Any], name: Name) -> Response[bytes]:
    """A file of the pages."""
    file = static_files().get(name)
    if file is None:
        raise Problem(404, "unknown_route", "there is no such file", remedy="load the page again")
    headers = {"Cache-Control": FOREVER, "X-Content-Type-Options": "nosniff", "Vary": "Accept-Encoding"}
    zipped = "gzip" in request.headers.get("accept-encoding", "")
    headers |= {"Content-Encoding": "gzip"} if zipped else {}
    return Response(file.zipped if zipped else file.body, media_type=file.media, headers=headers)


@get("/sign-in", include_in_schema=False)
async def show_sign_in(
    request: Request[Any, Any, Any], next_: Next = "", lang: Lang = "", out: Out = False
) -> Response[Any]:
    """The form for a token. Who is known already is sent on."""
    visitor = await visitor_of(request)
    if visitor is not None and not out:
        return seen_elsewhere(request, inside(next_))
    return page(request, "sign_in.html", next=next_, wrong=False, out=out)


@post("/sign-in", include_in_schema=False)
async def sign_in(request: Request[Any, Any, Any], context: NamedDependency[DoorContext]) -> Response[Any]:
    """Begin a session with a token. The token itself is kept nowhere."""
    try:
        fields = dict(parse_qsl((await request.body()).decode(), max_num_fields=5))
    except ValueError:
        fields = {}
    digest, there = digest_of(fields.get("token", "").strip()), fields.get("next", "")
    principal = context.principals.of_digest(digest)
    if principal is None:
        context.watch.denied(request.scope, 401, "unknown_token")
        return page(request, "sign_in.html", status=401, next=there, wrong=True, out=False)
    codes = sorted(principal.codes) if not principal.patterns else []
    answer = seen_elsewhere(request, inside(there))
    post = codes[0] if len(codes) == 1 else ""
    session = begun(digest, post, await title_of(context, post))
    answer.set_cookie(session_cookie(request, await keys_of(request).sign(session)))
    return answer


@post("/sign-out", include_in_schema=False)
async def sign_out(request: Request[Principal, Any, Any]) -> Response[Any]:
    """End the session in this browser."""
    await form_of(request)
    answer: Response[bytes] = Response(b"", status_code=303, headers={**HEADERS, "Location": "/sign-in?out=true"})
    answer.delete_cookie(COOKIE, path="/")
    return answer


@get("/me", include_in_schema=False)
async def show_me(
    request: Request[Principal, Any, Any],
    context: NamedDependency[DoorContext],
    q: Search = "",
    next_: Next = "",
    lang: Lang = "",
) -> Response[Any]:
    """The posts among which the visitor may choose."""
    principal, now = speaker_of(request), context.now()

    def ask(connection: Any) -> dict[str, Any]:
        names = active_names(connection, context.policies)
        codes = posts_of(names.register, principal)
        fitting = [
            code
            for code in codes
            if q.lower() in code.lower()
            or q in (known := names.register.posts[code]).title
            or q in names.grid(known.grid).name
        ]
        shown = [speaking_post(names, names.register.posts[code], now) for code in fitting[:SHOWN]]
        return {"count": len(codes), "posts": shown, "more": len(fitting) - len(shown)}

    found = await context.read(ask)
    return page(request, "me.html", **found, q=q, next=next_, chosen=post_of(request))


@post("/me/post", include_in_schema=False)
async def choose_post(request: Request[Principal, Any, Any], context: NamedDependency[DoorContext]) -> Response[Any]:
    """Look and speak for another of the visitor's posts from now on."""
    fields, session = await form_of(request), session_of(request)
    chosen, principal = fields.get("post", ""), speaker_of(request)
    names = await context.read(lambda connection: active_names(connection, context.policies))
    if chosen and (chosen not in names.register.posts or not principal.may_speak(chosen)):
        raise BadQuestion("post", "this is none of the posts that you speak for", "choose one of the list")
    answer = seen_elsewhere(request, inside(fields.get("next", "")))
    if session is not None:
        title = names.post(chosen).name if chosen else ""
        answer.set_cookie(
            session_cookie(request, await keys_of(request).sign(replace(session, post=chosen, title=title)))
        )
    return answer


async def title_of(context: DoorContext, code: str) -> str:
    """The title of a post by the active pack; without one its code."""
    if not code:
        return ""
    try:
        return await context.read(lambda connection: active_names(connection, context.policies).post(code).name)
    except NoActivePack:
        return code


def speaker_of(request: Request[Principal, Any, Any]) -> Principal:
    """Who chooses a post: the user of this machine may speak for any, whichever was chosen before."""
    return request.user if request.app.state["principals"].asked else LOCAL


UNGUARDED = [static, show_sign_in, sign_in]
ROUTES = [show_me, choose_post, sign_out]

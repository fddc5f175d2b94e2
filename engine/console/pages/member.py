"""网格员手机端: the pages of a grid member at phone width, which work for a day without a network.

1. The shell is one document per language. It holds nothing of anybody, so it asks for no session, and the phone keeps
   it. What a member sees in it comes from the phone's own store.
2. The script asks by the routes of the API, which stand here once more below `/m` for a session. Each request says for
   which member it is, so what one has left on a phone never goes out in the session of another; what changes something
   has the mark of the session besides.
"""

import hashlib
from functools import cache
from typing import Annotated, Any

import msgspec
from litestar import Request, Response, Router, get
from litestar.connection import ASGIConnection
from litestar.di import NamedDependency
from litestar.handlers import BaseRouteHandler
from litestar.params import PathParameter, QueryParameter
from msgspec import Struct

from engine.console.access import MARK, keys_of, post_of, session_of, signed_in
from engine.console.formatting import Language
from engine.console.member_words import phone_forms, words_in
from engine.console.rendering import HEADERS, POLICY, environment, language_of, with_cookies
from engine.console.static_files import address_of, static_files
from engine.http import events, files, incidents, outcomes, phone, tasks
from engine.http.auth import SAFE, check_right
from engine.http.context import DoorContext
from engine.http.problems import Problem
from engine.principals import Principal
from schemas.instants import written

PAGES = ("today", "problem", "outbox", "cases", "checks", "patrol")
"""The pages of the shell, by the last part of their addresses."""
FOR = "x-gridpatrol-member"
"""Header: for which member a request of the script is."""
MARKED = "x-gridpatrol-mark"
"""Header: the mark of the session, as forms have it."""
SCRIPTS = (
    "idb.umd.js",
    "member_store.js",
    "member_sync.js",
    "member_place.js",
    "member_parts.js",
    "member_pages.js",
    "member_field.js",
    "member_shell.js",
)
"""Scripts of the shell, in the order in which they build on each other."""
STYLES = ("console.css", "member.css")
MEMBER_POLICY = f"{POLICY}; worker-src 'self'; manifest-src 'self'".replace("img-src 'self'", "img-src 'self' blob:")
"""The policy of the pages, and what this one needs beside it: its worker, its manifest, photos that the phone keeps."""
SHELL_HEADERS = HEADERS | {"Content-Security-Policy": MEMBER_POLICY, "Cache-Control": "no-cache"}

Lang = Annotated[str, QueryParameter(description="zh or en.")]
PageName = Annotated[str, PathParameter(description="today, problem, outbox, cases, checks or patrol.")]


class MemberSession(Struct, frozen=True, kw_only=True):
    """Who has signed in on this phone. `member` tells one from another and says nothing of either; empty: no post was
    chosen. `mark` goes along with what changes something. `as_of` is now, by the clock of the server."""

    member: str
    post: str
    title: str
    mark: str
    asks_token: bool
    as_of: str


def member_of(request: Request[Principal, Any, Any]) -> str:
    """What tells a member from others on the same phone: the principal and the post for which it speaks."""
    post = post_of(request)
    return hashlib.sha256(f"{request.user.name}\n{post}".encode()).hexdigest()[:32] if post else ""


async def for_this_member(connection: ASGIConnection[Any, Any, Any, Any], handler: BaseRouteHandler) -> None:
    """Refuse what is asked for another member than the one who has signed in, and what has not the mark of the session.
    Who shows a token is asked for neither, as by the API itself."""
    await signed_in(connection, handler)
    request: Request[Principal, Any, Any] = Request(connection.scope)
    session = session_of(request)
    if session is None:
        return
    if not member_of(request) or request.headers.get(FOR) != member_of(request):
        remedy = "ask /m/session who has signed in, and send for that member alone"
        raise Problem(409, "another_member", "another member has signed in on this phone", remedy=remedy)
    given = request.headers.get(MARKED, "")
    if request.method not in SAFE and not await keys_of(request).is_form_mark(session, given):
        raise Problem(403, "form_mark", "this is not of your present session", remedy="ask /m/session for its mark")


async def for_this_speaker(connection: ASGIConnection[Any, Any, Any, Any], handler: BaseRouteHandler) -> None:
    """The same, of those who may speak for posts."""
    await for_this_member(connection, handler)
    check_right(connection, "actors")


async def for_this_reader(connection: ASGIConnection[Any, Any, Any, Any], handler: BaseRouteHandler) -> None:
    """The same, of those who read cases."""
    await for_this_member(connection, handler)
    check_right(connection, "reads")


@cache
def shell_in(language: Language) -> bytes:
    """The document that a phone keeps, with every page of it."""
    words = words_in(language)
    given = {"w": words, "language": language, "other": "en" if language == "zh" else "zh", "pages": PAGES}
    given |= {"words": msgspec.json.encode(words).decode(), "forms": msgspec.json.encode(phone_forms()).decode()}
    return environment().get_template("member.html").render(given, scripts=SCRIPTS, styles=STYLES).encode()


@get("/m", include_in_schema=False)
async def to_today(request: Request[Any, Any, Any]) -> Response[bytes]:
    """Go on to the tasks of today."""
    return Response(b"", status_code=303, headers={**HEADERS, "Location": "/m/today"})


@get("/m/{page:str}", include_in_schema=False)
async def show_shell(request: Request[Any, Any, Any], page: PageName, lang: Lang = "") -> Response[Any]:
    """The shell. Which of its pages is shown, its script takes from the address."""
    if page not in PAGES:
        raise Problem(404, "unknown_route", "there is no such page", remedy="begin at /m/today")
    body = shell_in(language_of(request))
    return with_cookies(request, Response(body, media_type="text/html", headers=dict(SHELL_HEADERS)))


@get("/m/manifest.webmanifest", include_in_schema=False)
async def show_manifest(request: Request[Any, Any, Any], lang: Lang = "") -> Response[bytes]:
    """How the phone puts it on its home screen."""
    words = words_in(language_of(request))
    manifest = {
        "id": "/m/",
        "name": words["app_name"],
        "short_name": words["app_name"],
        "lang": "zh-CN" if language_of(request) == "zh" else "en",
        "start_url": "/m/today",
        "scope": "/m/",
        "display": "standalone",
        "background_color": "#ffffff",
        "theme_color": "#14508c",
        "icons": [
            {"src": address_of("member_icon.svg"), "sizes": "any", "type": "image/svg+xml", "purpose": "any maskable"}
        ],
    }
    body = msgspec.json.encode(manifest)
    return Response(body, media_type="application/manifest+json", headers=dict(SHELL_HEADERS))


@cache
def worker_script() -> bytes:
    """The worker, with what it keeps: the shell in both languages, and its files by their names of today."""
    shells = [f"/m/today?lang={language}" for language in ("zh", "en")]
    marks = ("icon.svg", "member_icon.svg")
    kept = [*shells, "/m/manifest.webmanifest", *(address_of(name) for name in (*SCRIPTS, *STYLES, *marks))]
    said = msgspec.json.encode(kept) + shell_in("zh") + shell_in("en")
    version = hashlib.sha256(said).hexdigest()[:16]
    head = f"const VERSION = {msgspec.json.encode(version).decode()}, KEPT = {msgspec.json.encode(kept).decode()};\n"
    (own,) = (file for name, file in static_files().items() if name.startswith("member_worker."))
    return head.encode() + own.body


@get("/m/worker.js", include_in_schema=False)
async def show_worker(request: Request[Any, Any, Any]) -> Response[bytes]:
    """The service worker: a new release is another text, which the browser finds within a day, or when a page asks."""
    return Response(worker_script(), media_type="text/javascript", headers=dict(SHELL_HEADERS))


@get("/m/session", include_in_schema=False)
async def show_session(request: Request[Principal, Any, Any], context: NamedDependency[DoorContext]) -> Response[Any]:
    """Who has signed in, for the script."""
    session = session_of(request)
    told = MemberSession(
        member=member_of(request),
        post=post_of(request),
        title=session.title if session is not None else "",
        mark=request.scope["state"].get(MARK, ""),
        asks_token=context.principals.asked,
        as_of=written(context.now()),
    )
    headers = {name: value for name, value in HEADERS.items() if name != "Content-Security-Policy"}
    return with_cookies(request, Response(told, media_type="application/json", headers=headers))


UNGUARDED: list[Any] = [to_today, show_shell, show_manifest, show_worker]
SIGNED_IN: list[Any] = [show_session]
KNOWN: list[Any] = [
    Router(
        "/m",
        route_handlers=[
            events.publish_batch,
            outcomes.list_outcomes,
            tasks.list_tasks,
            *incidents.OF_A_POST,
            *files.ROUTES,
        ],
    )
]
"""Routes of the API for a session, behind the same rights as there: those for whoever is known, ..."""
SPOKEN: list[Any] = [Router("/m", route_handlers=phone.BEFORE_SENDING)]
"""... for who may speak for a post, ..."""
READ: list[Any] = [Router("/m", route_handlers=[incidents.show_incident])]
"""... and for who reads."""

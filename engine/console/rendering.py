"""Pages as they are sent: the templates, what every page has around its answer, and its headers.

Nothing in a page may run or style that is not a file of this server: the policy says so, and no page needs more.
"""

from functools import cache
from typing import Any
from urllib.parse import urlencode

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape
from litestar import Request, Response
from litestar.datastructures import Cookie

from engine.console.access import FRESH, MARK, SIGNED_IN, post_of
from engine.console.formatting import Language, Words, between, instant, short, unit
from engine.console.forms import act_words
from engine.console.sessions import COOKIE, LANGUAGE_COOKIE, LASTS_MS, Session
from engine.console.static_files import address_of
from engine.principals import Principal
from schemas.short_numbers import short_number

POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self'",
        "connect-src 'self'",
        "form-action 'self'",
        "frame-ancestors 'none'",
        "base-uri 'none'",
    )
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",  # with none, browsers would send forms with `Origin: null`
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cache-Control": "no-store",
}
LANGUAGES: dict[str, Language] = {"zh": "zh", "en": "en"}


@cache
def environment() -> Environment:
    """The templates. A name that a page was not given is an error, and every text is escaped."""
    made = Environment(
        loader=PackageLoader("engine.console"),
        autoescape=select_autoescape(default=True),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.globals |= {
        "act_words": act_words,
        "static": address_of,
        "unit": unit,
        "between": between,
        "instant": instant,
        "short": short,
        "short_number": short_number,
        "query": query,
    }
    return made


def query(path: str, **asked: Any) -> str:
    """An address with what is asked; what is empty is left out."""
    given = {name.rstrip("_"): value for name, value in asked.items() if value not in ("", None, False)}
    return f"{path}?{urlencode(given)}" if given else path


def language_of(request: Request[Any, Any, Any]) -> Language:
    """The language of a page: that of its address, else the one that was chosen last, else Chinese."""
    asked = request.query_params.get("lang") or request.cookies.get(LANGUAGE_COOKIE, "")
    return LANGUAGES.get(asked, "zh")


def page(request: Request[Any, Any, Any], template: str, *, status: int = 200, **given: Any) -> Response[bytes]:
    """A page with what stands around its answer."""
    language, state = language_of(request), request.scope["state"]
    user = request.scope.get("user")
    session: Session | None = state.get(SIGNED_IN)
    visitor = user if isinstance(user, Principal) and SIGNED_IN in state else None
    # A question without an answer is not repeated: it may hold somebody's name.
    there = {name: value for name, value in request.query_params.items() if name != "lang" and status < 400}
    path = request.url.path if request.method in ("GET", "HEAD") else "/desk"
    around = {
        "t": Words(language),
        "visitor": visitor,
        "asks_token": request.app.state["principals"].asked,
        "post": post_of(request) if visitor is not None else "",
        "post_title": session.title if session is not None and session.post else "",
        "mark": state.get(MARK, ""),
        "other_language": query(path, **there, lang="en" if language == "zh" else "zh"),
        "here": query(path, **there),
        "path": path,
    }
    body = environment().get_template(template).render(around | given).encode()
    answer = Response(body, status_code=status, media_type="text/html", headers=dict(HEADERS))
    return with_cookies(request, answer)


def with_cookies(request: Request[Any, Any, Any], answer: Response[Any]) -> Response[Any]:
    """The answer, with the session where the browser has none, and the language where the address chose one."""
    if fresh := request.scope["state"].get(FRESH):
        answer.set_cookie(session_cookie(request, fresh))
    if request.query_params.get("lang") in LANGUAGES:
        answer.set_cookie(
            Cookie(
                LANGUAGE_COOKIE,
                value=language_of(request),
                max_age=31_536_000,
                httponly=True,
                samesite="lax",
                secure=over_tls(request),
            )
        )
    return answer


def session_cookie(request: Request[Any, Any, Any], signed: str) -> Cookie:
    """The cookie of a signed session. It goes along with a link that is followed from elsewhere, never with a form."""
    return Cookie(
        COOKIE, value=signed, max_age=LASTS_MS // 1000, httponly=True, samesite="lax", secure=over_tls(request)
    )


def over_tls(request: Request[Any, Any, Any]) -> bool:
    """Whether the browser speaks TLS: to this door, or as it says itself to a proxy before it."""
    return request.url.scheme == "https" or request.headers.get("origin", "").startswith("https://")


def seen_elsewhere(request: Request[Any, Any, Any], there: str) -> Response[Any]:
    """Send the browser on, with GET, once a form was taken."""
    if "hx-request" in request.headers:
        return with_cookies(request, Response(b"", status_code=204, headers={**HEADERS, "HX-Location": there}))
    return with_cookies(request, Response(b"", status_code=303, headers={**HEADERS, "Location": there}))


def inside(there: str) -> str:
    """A path of this server to go on to; the desk where it is none."""
    safe = there.startswith("/") and not there.startswith(("//", "/\\")) and there.isprintable() and len(there) < 2000
    return there if safe and "\\" not in there else "/desk"

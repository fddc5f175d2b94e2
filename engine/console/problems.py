"""What goes wrong, as a page for who asks with a browser: what, why, and what to do about it."""

from typing import Any
from urllib.parse import quote

from litestar import MediaType, Request, Response

from engine.console.rendering import HEADERS, page
from engine.http.errors import answer, problem_of
from engine.http.problems import Problem

API = "/v1/"


def wants_page(request: Request[Any, Any, Any]) -> bool:
    """Whether a browser asks for a page."""
    html = request.accept.best_match([MediaType.JSON, MediaType.HTML]) == MediaType.HTML
    return html and not request.url.path.startswith(API)


def answer_problem(request: Request[Any, Any, Any], error: Exception) -> Response[bytes]:
    """An error as a page for a browser, else as the API answers it."""
    if not wants_page(request):
        return answer(request, error)
    problem = problem_of(error, request.scope, request.app.state["watch"])
    if problem.status == 401:
        there = request.url.path + (f"?{request.url.query}" if request.url.query else "")
        asked = f"?next={quote(there, safe='')}" if request.method == "GET" else ""
        return Response(b"", status_code=303, headers={**HEADERS, "Location": f"/sign-in{asked}"})
    return page_of(request, problem)


def page_of(request: Request[Any, Any, Any], problem: Problem) -> Response[bytes]:
    """The page of a problem."""
    status = problem.status
    title = "404" if status in (404, 405) else "403" if status == 403 else "500" if status == 500 else "503"
    known = title if status in (403, 404, 405, 500, 503) else "other"
    remedy = str(problem.members.get("remedy", ""))
    shown = page(request, "problem.html", status=status, problem=problem, title=known, remedy=remedy)
    for name, value in problem.headers.items():
        shown.headers[name] = value
    return shown

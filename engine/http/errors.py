"""Every error at the door as a problem document: what a route raises, and what the framework refuses by itself."""

import logging
import re
from http import HTTPStatus
from typing import Any

import msgspec
from litestar import Request, Response
from litestar.exceptions import HTTPException
from litestar.types import Scope

from engine.errors import ClockDoubted
from engine.fair_queue import Full
from engine.http.events import MOST_BYTES
from engine.http.problems import MEDIA_TYPE, Problem, busy, doubted, over_quota, unanswerable
from engine.http.watching import DENIED, REASON, Watch
from engine.quotas import OverQuota
from engine.views.questions import Unanswerable

log = logging.getLogger(__name__)


def problem_of(error: Exception, scope: Scope, watch: Watch) -> Problem:
    """What is answered for an error. The access log is told why; one that says who may what is counted and told to the
    log as well. A defect of ours is in the log in full, and the answer says only that there is one."""
    match error:
        case Problem():
            problem = error
        case Unanswerable():
            problem = unanswerable(error)
        case OverQuota():
            problem = over_quota(error)
        case ClockDoubted():
            problem = doubted(error)
        case Full():
            problem = busy("more is waiting to be written than may wait")
        case HTTPException():
            problem = refused_by_framework(error)
        case _:
            log.error("%s %s failed", scope.get("method"), scope["path"], exc_info=error)
            problem = Problem(500, "failed", "the server failed to answer; its log says more")
    if problem.status in DENIED:
        watch.denied(scope, problem.status, str(problem.members.get("quota") or problem.reason))
    scope["state"][REASON] = problem.reason
    return problem


def answer(request: Request[Any, Any, Any], error: Exception) -> Response[bytes]:
    """The same, as the framework answers."""
    problem = problem_of(error, request.scope, request.app.state["watch"])
    return Response(
        msgspec.json.encode(problem.body()), status_code=problem.status, media_type=MEDIA_TYPE, headers=problem.headers
    )


HINTS = {
    400: ("query", "see /openapi.json for the parameters of this route"),
    404: ("unknown_route", "see / for the routes"),
    405: ("method", "see / for the routes and their methods"),
    413: ("too_large", f"send at most {MOST_BYTES} bytes at once"),
}
"""Reason and remedy of what the framework refuses by itself."""


QUOTES, NO_WORD = "Invalid enum value", "none of the words that it takes"
"""What the decoder says, and quotes; and what the answer says instead."""
LACKS = re.compile(r"Missing required \w+ parameter '(\w+)' for (?:path|url) ")
"""What the framework says of a parameter that is missing, and then quotes all that was asked."""


def refused_by_framework(error: HTTPException) -> Problem:
    """No such route, another method, a parameter of another type."""
    status = HTTPStatus(error.status_code)
    reason, remedy = HINTS.get(error.status_code, (status.name.lower(), ""))
    extra = error.extra if isinstance(error.extra, list) else []
    named = [item for item in extra if isinstance(item, dict)]
    field = str(named[0].get("key", "")) if named else ""
    told = [(str(item.get("key", "")), str(item.get("message", ""))) for item in named]
    texts = [f"{key}: {NO_WORD if QUOTES in text else text}".strip(": ") for key, text in told]
    detail = "; ".join(texts) or error.detail
    if lacking := LACKS.match(detail):
        field = lacking[1]
        detail = f"the parameter {field} is missing"
    headers = dict(error.headers or {})
    if "GET" in (allowed := headers.get("allow", "")):
        headers["allow"] = f"{allowed}, HEAD"
    return Problem(status, reason, detail or status.description, field=field, remedy=remedy, headers=headers)

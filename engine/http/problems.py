"""Answers that say what is wrong and what to do about it (RFC 9457)."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from engine.errors import ClockDoubted
from engine.quotas import OverQuota
from engine.views.event_status import AmbiguousEvent, UnknownEvent
from engine.views.incident_detail import CaseArchived, UnknownCase
from engine.views.inspection import NoInspection
from engine.views.open311 import NotThere
from engine.views.questions import BadQuestion, NoActivePack, Unanswerable
from engine.views.readers import NotReadable
from engine.views.violations import NoBank
from schemas.refusals import Reason, Refusal

MEDIA_TYPE = "application/problem+json"


class Problem(Exception):
    """An answer other than success. Raised anywhere on the way to an answer; the door writes it out."""

    def __init__(
        self,
        status: int,
        reason: str,
        detail: str,
        *,
        remedy: str = "",
        field: str = "",
        headers: Mapping[str, str] | None = None,
        **members: Any,
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.reason = reason
        self.headers = dict(headers or {})
        self.members = {"field": field, "remedy": remedy, **members}

    def body(self) -> dict[str, Any]:
        """The members of the answer; those that say nothing are left out."""
        more = {name: value for name, value in self.members.items() if value not in ("", None)}
        return {
            "type": f"urn:gridpatrol:problem:{self.reason}",
            "title": HTTPStatus(self.status).phrase,
            "status": self.status,
            "detail": str(self),
            "reason": self.reason,
            **more,
        }


def refused(refusal: Refusal, dead_letter: str) -> Problem:
    """An event that breaks the contract, or is not its sender's to send: refused at once, and kept."""
    status = {Reason.TOO_LARGE: 413, Reason.FORBIDDEN: 403}.get(refusal.reason, 400)
    return Problem(status, refusal.reason, refusal.detail, field=refusal.field, dead_letter=dead_letter)


UNANSWERABLE: dict[type[Unanswerable], tuple[int, str]] = {
    BadQuestion: (400, "query"),
    NotReadable: (403, "not_readable"),
    UnknownCase: (404, "unknown_case"),
    CaseArchived: (410, "archived"),
    UnknownEvent: (404, "unknown_event"),
    AmbiguousEvent: (409, "ambiguous"),
    NoActivePack: (503, "no_pack"),
    NoBank: (403, "no_right"),
    NoInspection: (403, "no_right"),
    NotThere: (404, "unknown"),
}
"""Status and reason of the answer to each question without an answer."""


def unanswerable(error: Unanswerable) -> Problem:
    """A view's error as the door words it."""
    status, reason = UNANSWERABLE[type(error)]
    return Problem(status, reason, error.message, field=error.field, remedy=error.remedy)


def doubted(error: ClockDoubted) -> Problem:
    """Not now: no stamp can be given, for the wall clock is not believed or a partition is ahead of it."""
    headers = {"Retry-After": str(error.retry_s)}
    return Problem(503, "clock", error.message, remedy=error.remedy, headers=headers)


def busy(detail: str, remedy: str = "") -> Problem:
    """Not now: come again in a moment."""
    return Problem(
        503,
        "busy",
        detail,
        remedy=remedy or "send the same again: what was taken already is recognised",
        headers={"Retry-After": "1"},
    )


def over_quota(error: OverQuota) -> Problem:
    """A principal asks for more than it may; nothing of it was looked at."""
    return Problem(
        429,
        "over_quota",
        error.message,
        remedy=error.remedy,
        headers={"Retry-After": str(error.wait_s)},
        quota=error.quota,
    )

"""Answers that say what is wrong (RFC 9457). In: a status, a reason, a sentence and its remedy. Out: `Problem`."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

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


_REFUSED = {Reason.TOO_LARGE: 413, Reason.FORBIDDEN: 403}


def refused(refusal: Refusal, dead_letter: str) -> Problem:
    """An event that breaks the contract, or is not its sender's to send: refused at once, and kept."""
    status = _REFUSED.get(refusal.reason, 400)
    return Problem(status, refusal.reason, refusal.detail, field=refusal.field, dead_letter=dead_letter)


def bad_query(field: str, detail: str, remedy: str = "") -> Problem:
    """A question that cannot be answered as it was asked."""
    return Problem(400, "query", detail, field=field, remedy=remedy)


def busy(detail: str, remedy: str = "") -> Problem:
    """Not now: come again in a moment."""
    return Problem(
        503,
        "busy",
        detail,
        remedy=remedy or "send the same again: what was taken already is recognised",
        headers={"Retry-After": "1"},
    )

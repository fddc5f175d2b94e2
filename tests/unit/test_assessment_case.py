"""The assessment of a card and a period: computed, commented on, published, restated; and what is contested by it.

In: what the assessor and posts of the sample pack say. Out: states, facts, refusals.
"""

from __future__ import annotations

from typing import Any

import pytest

from schemas.facts import NoticeGiven, Reopened
from schemas.kinds.assessment import Assessment, AssessmentComputed, AssessmentRestated
from schemas.kinds.supervision import Supervision, SupervisionContested
from schemas.refusals import Reason
from tests.support.builders import Story
from tests.unit.test_supervision import OFFICE, SUPERVISOR, Supervised

ASSESSOR, SIGNS = "XA-ASSESSOR", "XA-CHIEF"
FIRST, SECOND, THIRD = "1" * 64, "2" * 64, "3" * 64


class Assessed(Story):
    """An assessment and what is said to it."""

    def computed(self, hash_: str, **data: Any) -> Assessed:
        known = {"card": "TOWN-QUARTER", "period": "2026-Q1", "as_of": "2026-02-16T00:00:00+08:00", "hash": hash_}
        self.done("assessment.computed", ASSESSOR, **{**known, **data})
        return self

    def published(self, hash_: str) -> Assessed:
        self.done("assessment.commented", "XA-OFFICE", hash=hash_, note="…")
        self.done("assessment.published", SIGNS, hash=hash_)
        return self

    @property
    def own(self) -> Assessment:
        assert isinstance(self.case.own, Assessment)
        return self.case.own


def first() -> Assessed:
    """One whose first sheet was computed."""
    return Assessed(home="XA").computed(FIRST)


@pytest.mark.mechanism("M85")
def test_a_sheet_is_computed_commented_on_and_published_by_who_signs() -> None:
    story = first()
    assert (story.case.state, story.case.path, story.own.number) == ("computed", ("XA",), 1)
    assert story.refused(Reason.FORBIDDEN, "assessment.commented", "WY-OFFICE", hash=FIRST)
    story.done("assessment.commented", "XA-OFFICE", hash=FIRST, note="…")
    assert story.refused(Reason.FORBIDDEN, "assessment.published", "XA-OFFICE", hash=FIRST)
    story.done("assessment.published", SIGNS, hash=FIRST)
    assert (story.case.state, story.own.published) == ("announced", FIRST)
    assert story.case.closed is not None


def test_another_hash_than_the_current_one_is_refused() -> None:
    story = first()
    assert FIRST in story.refused(Reason.IMPOSSIBLE, "assessment.commented", "XA-OFFICE", hash=SECOND).detail
    story.done("assessment.commented", "XA-OFFICE", hash=FIRST)
    story.computed(SECOND, previous=FIRST)
    assert story.case.state == "computed"  # to be commented on anew
    story.done("assessment.commented", "XA-OFFICE", hash=SECOND)
    refused = story.refused(Reason.IMPOSSIBLE, "assessment.published", SIGNS, hash=FIRST)
    assert (refused.field, SECOND in refused.detail) == ("data.hash", True)


def test_what_was_computed_before_is_named() -> None:
    story = first()
    known: dict[str, Any] = {"card": "TOWN-QUARTER", "period": "2026-Q1", "as_of": "2026-02-16T00:00:00+08:00"}
    known["hash"] = THIRD
    refused = story.refused(Reason.IMPOSSIBLE, "assessment.computed", ASSESSOR, **known, previous=SECOND)
    assert refused.field == "data.previous"
    other = known | {"card": "YEAR", "previous": FIRST}
    assert story.refused(Reason.INVALID, "assessment.computed", ASSESSOR, **other).field == "data.card"
    assert Assessed(home="XA").refused(Reason.IMPOSSIBLE, "assessment.computed", ASSESSOR, **known, previous=FIRST)


def test_a_sheet_that_names_what_stands_still_is_not_published() -> None:
    story = Assessed(home="XA").computed(FIRST, standing=2)
    story.done("assessment.commented", "XA-OFFICE", hash=FIRST)
    assert "2 halted" in story.refused(Reason.IMPOSSIBLE, "assessment.published", SIGNS, hash=FIRST).detail
    story.computed(SECOND, previous=FIRST).published(SECOND)
    assert story.own.published == SECOND


def test_a_restatement_is_signed_and_has_a_before_and_an_after() -> None:
    story = first().published(FIRST).computed(SECOND, previous=FIRST)
    assert (story.case.state, story.own.published, story.case.closed) == ("restating", FIRST, None)
    assert [fact.reason for fact in story.history(Reopened)] == ["restated"]
    story.computed(THIRD, previous=SECOND)  # the restatement is restated
    assert story.case.state == "restating"
    assert story.refused(Reason.IMPOSSIBLE, "assessment.restated", SIGNS, hash=SECOND)
    assert story.refused(Reason.FORBIDDEN, "assessment.restated", "XA-OFFICE", hash=THIRD)
    story.done("assessment.restated", SIGNS, hash=THIRD)
    restated = story.one(AssessmentRestated)
    assert (restated.before, restated.after, restated.by) == (FIRST, THIRD, SIGNS)
    assert (story.case.state, story.own.published, story.own.restated) == ("announced", THIRD, 1)
    assert len(story.history(AssessmentComputed)) == story.own.number == 3


def test_a_restatement_is_over_when_the_published_sheet_is_right_again() -> None:
    story = first().published(FIRST).computed(SECOND, previous=FIRST).computed(FIRST, previous=SECOND)
    assert (story.case.state, story.own.published, story.own.restated) == ("announced", FIRST, 0)
    assert story.case.closed is not None


def test_who_decided_what_no_longer_follows_is_asked_and_revokes_or_upholds() -> None:
    def proposed() -> Supervised:
        story = Supervised()
        story.proposed("circular", by=ASSESSOR)
        return story

    open_ = proposed()
    open_.done("supervision.withdrawn", ASSESSOR, reason="restated")
    assert open_.case.state == "withdrawn"
    served = proposed().decided().served()
    assert served.refused(Reason.FORBIDDEN, "supervision.contested", SUPERVISOR, hash=SECOND)
    served.done("supervision.contested", ASSESSOR, hash=SECOND)
    office = served.one(SupervisionContested).office
    told = {post for notice in served.of(NoticeGiven) for post in notice.to}
    assert office == "WY" and {OFFICE, "WY-CHIEF"} <= told and not any(post.startswith("WY01") for post in told)
    served.done("supervision.upheld", OFFICE, reason="own_grounds", note="…")
    assert isinstance(served.case.own, Supervision) and not served.case.own.contested
    assert served.refused(Reason.IMPOSSIBLE, "supervision.upheld", OFFICE, reason="other")


def test_what_is_cleared_is_revoked_only_where_it_is_contested() -> None:
    story = Supervised()
    story.proposed("circular", by=ASSESSOR).decided().served()
    story.done("supervision.cleared", OFFICE)
    assert story.refused(Reason.IMPOSSIBLE, "supervision.revoked", OFFICE, reason="restated")
    story.done("supervision.contested", ASSESSOR, hash=SECOND)
    story.done("supervision.revoked", OFFICE, reason="restated")
    assert story.case.state == "rescinded"

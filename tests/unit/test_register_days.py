"""Posts and grids have days: who acts, who is told, and where a problem can be reported follow them."""

import msgspec

from schemas import facts
from schemas.refusals import Reason
from tests.support.builders import BARE, HOTLINE, LEAF, MEMBER, STREET, Story, at, changed, weiyang


def dated(code: str, **days: int) -> Story:
    """The sample pack with days for one post or grid."""
    pack = weiyang().pack
    posts = tuple(msgspec.structs.replace(p, **days) if p.code == code else p for p in pack.posts)
    grids = tuple(msgspec.structs.replace(g, **days) if g.code == code else g for g in pack.grids)
    return Story(changed(posts=posts, grids=grids))


def test_a_post_that_has_ended_cannot_speak_and_one_on_its_last_day_can() -> None:
    refusal = dated(MEMBER, valid_to=20260301).refused(
        Reason.UNKNOWN_CODE, "report.submitted", MEMBER, at("03-02 09:00"), category=BARE, source="patrol", grid=LEAF
    )
    assert refusal.field == "actor" and "not a post at this time" in refusal.detail
    dated(MEMBER, valid_to=20260302).found()


def test_a_post_that_has_not_begun_is_not_told() -> None:
    story = dated(STREET, valid_from=20270101).reported()
    told = {post for raised in _alerts(story) for post in raised.to}
    assert told and STREET not in told
    assert STREET in {post for raised in _alerts(Story().reported()) for post in raised.to}


def _alerts(story: Story) -> list[facts.AlertRaised]:
    story.until(at("03-02 18:00"))
    return story.history(facts.AlertRaised)


def test_a_retired_grid_takes_no_new_report() -> None:
    story = dated(LEAF, valid_to=20260101)
    refusal = story.refused(
        Reason.UNKNOWN_CODE, "report.submitted", HOTLINE, at("03-02 09:00"), category=BARE, source="hotline", grid=LEAF
    )
    assert refusal.field == "data.grid" and "successor" in refusal.detail

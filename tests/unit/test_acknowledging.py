"""Acknowledging is personal: it belongs to a rung of a clock's present target and to a post as it is held now.

What is told to whom, after who has acknowledged what. The ladder of the clock warns an hour before, tells the owner's
chief when it is due, and repeats three times to the owner's chief and the chief above.
"""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from schemas import facts
from schemas.members import Fact
from schemas.refusals import Reason
from tests.support.builders import (
    BARE,
    CENTRE,
    CITY,
    DISTRICT,
    HOTLINE,
    HOUR,
    LEAF,
    LEAF_CHIEF,
    MEMBER,
    STREET,
    Story,
    at,
    changed,
    in_the_field,
    instant,
)
from workflows.case import Case, Clock
from workflows.clocks.limits import parse_limit
from workflows.evolve import evolve
from workflows.policy.index import Policy
from workflows.policy.model import LimitRow, RungRow

DUE = at("03-02 15:00")
DAY = parse_limit("1自然日")
LADDER = (
    RungRow("handle", "warn", "before", parse_limit("1工作时"), tell=("owner_chief",)),
    RungRow("handle", "due", "at", tell=("owner_chief",)),
    RungRow("handle", "overdue", "after", DAY, DAY, 3, ("owner_chief", "upper_chief")),
)


def rules(**options: Any) -> Policy:
    """The sample pack with this ladder alone, four working hours to handle, and no quiet hours."""
    options = {"quiet_from": 0, "quiet_to": 0, "quiet_exempt": (), **options}
    limits = (LimitRow("handle", parse_limit("4工作时")),)
    return changed(options=options, limits=limits, rungs=LADDER, roles=in_the_field())


def late(until: str = "03-02 16:00", **options: Any) -> Story:
    """Handled by a street, due on Monday at 15:00, and not done."""
    story = Story(rules(**options))
    story.done("report.submitted", HOTLINE, at("03-02 09:00"), category=BARE, source="hotline", grid=LEAF)
    story.done("incident.accepted", STREET, at("03-02 09:00"))
    pass_time(story, at(until))
    return story


def pass_time(story: Story, instant: int) -> None:
    """Fire what is due before an instant, and go on from there."""
    story.until(instant)
    story.now = instant


def told(story: Story) -> list[tuple[str, tuple[str, ...]]]:
    """Every rung that told somebody, and whom."""
    return [(fact.kind, fact.to) for fact in story.history(facts.AlertRaised)]


def test_a_late_office_that_acknowledges_keeps_nothing_from_its_superiors():
    story = late()
    story.done("incident.acknowledged", STREET)
    story.until(at("03-31 00:00"))
    assert told(story) == [("warn", (STREET,)), ("due", (STREET,))] + 3 * [("overdue", (STREET, DISTRICT))]


def test_it_stops_the_repeats_of_a_rung_for_who_has_seen_it_and_for_nobody_else():
    story = late("03-03 16:00")
    story.done("incident.acknowledged", DISTRICT, clock="handle")
    assert story.one(facts.Acknowledged) == facts.Acknowledged(
        by=DISTRICT, clock="handle", level=3, cycle=0, target=0, rung="overdue"
    )
    assert not story.of(facts.AlertEnded)
    story.until(at("03-31 00:00"))
    assert [to for kind, to in told(story) if kind == "overdue"] == [(STREET, DISTRICT), (STREET,), (STREET,)]


def test_once_everybody_has_seen_a_rung_it_repeats_for_nobody_and_rings_all_the_same():
    story = late("03-03 16:00")
    story.done("incident.acknowledged", DISTRICT)
    story.done("incident.acknowledged", STREET)
    story.until(at("03-31 00:00"))
    assert [to for kind, to in told(story) if kind == "overdue"] == [(STREET, DISTRICT)]
    assert [fact.repeat for fact in story.history(facts.ClockRung) if fact.rung == "overdue"] == [0, 1, 2]


def test_who_was_not_told_has_nothing_to_acknowledge():
    story = late()
    assert story.refused(Reason.IMPOSSIBLE, "incident.acknowledged", DISTRICT).field == "actor"
    assert story.refused(Reason.IMPOSSIBLE, "incident.acknowledged", CENTRE).field == "actor"


def test_who_has_acknowledged_everything_hears_that_there_is_nothing_left():
    story = late()
    story.done("incident.acknowledged", STREET)
    refusal = story.refused(Reason.IMPOSSIBLE, "incident.acknowledged", STREET)
    assert "already" in refusal.detail
    pass_time(story, at("03-03 16:00"))  # the next rung is another one
    story.done("incident.acknowledged", STREET)
    assert story.one(facts.Acknowledged).rung == "overdue"


def test_one_word_acknowledges_every_rung_that_had_told_the_post():
    story = late("03-03 16:00")
    story.done("incident.acknowledged", STREET)
    assert [fact.rung for fact in story.of(facts.Acknowledged)] == ["warn", "due", "overdue"]


def test_what_was_told_after_the_instant_that_it_names_is_not_acknowledged():
    """A phone that was offline says at 17:00 what its holder had seen at 14:30, when only the warning had come."""
    story = late("03-02 17:00")
    story.done("incident.acknowledged", STREET, at("03-02 17:00"), occurred=at("03-02 14:30"))
    assert story.one(facts.Acknowledged).rung == "warn"


def test_it_ends_with_the_deadline():
    story = late("03-03 16:00")
    story.done("incident.acknowledged", DISTRICT)
    story.done("deadline.ordered", DISTRICT, clock="handle", due=instant(at("03-05 10:00")))
    assert not story.case.alerted
    story.until(at("03-31 00:00"))
    again = [to for kind, to in told(story) if kind == "overdue"][1:]
    assert again == 3 * [(STREET, DISTRICT)]


def test_it_ends_with_the_cycle():
    story = late("03-03 16:00")
    story.done("incident.acknowledged", DISTRICT)
    story.done("handling.completed", STREET)
    assert not story.case.alerted
    story.done("verification.recorded", MEMBER, outcome="unsolved")
    story.done("incident.accepted", STREET)
    story.until(at("03-31 00:00"))
    again = [to for kind, to in told(story) if kind == "overdue"][1:]
    assert story.case.cycle == 1
    assert again == 3 * [(STREET, DISTRICT)]


def test_a_pause_does_not_end_it():
    story = late("03-03 16:00")
    story.done("incident.acknowledged", DISTRICT)
    story.done("incident.suspended", STREET, reason="funds")
    story.done("incident.resumed", STREET, at("03-06 09:00"))
    story.until(at("03-31 00:00"))
    assert [to for kind, to in told(story) if kind == "overdue"][1:] == [(STREET,), (STREET,)]


def held_by_another(policy: Policy, code: str, since: int) -> Policy:
    """The pack in which somebody else has a post from a local day on."""
    posts = tuple(
        msgspec.structs.replace(post, valid_from=since) if post.code == code else post for post in policy.pack.posts
    )
    return changed(policy, posts=posts)


def test_another_person_in_the_post_is_told_again_and_may_acknowledge_for_himself():
    story = late("03-03 16:00")
    story.done("incident.acknowledged", DISTRICT)
    story.register = held_by_another(story.rules, DISTRICT, 20260304)
    pass_time(story, at("03-04 16:00"))
    assert told(story)[-1] == ("overdue", (STREET, DISTRICT))
    story.done("incident.acknowledged", DISTRICT)
    assert story.one(facts.Acknowledged).valid_from == 20260304
    story.until(at("03-31 00:00"))
    assert told(story)[-1] == ("overdue", (STREET,))


def test_a_pack_that_leaves_the_post_as_it_is_keeps_what_was_acknowledged():
    story = late("03-03 16:00")
    story.done("incident.acknowledged", DISTRICT)
    story.register = held_by_another(story.rules, STREET, 20260304)
    story.until(at("03-31 00:00"))
    assert [to for kind, to in told(story) if kind == "overdue"][1:] == [(STREET,), (STREET,)]


def test_the_last_telling_is_resolved_for_everybody_when_the_work_is_done():
    story = late()
    story.done("incident.acknowledged", STREET)
    story.done("handling.completed", STREET)
    assert (story.one(facts.AlertEnded).how, story.case.alerted) == ("resolved", ())


def test_urging_is_of_no_clock_and_cannot_be_acknowledged():
    story = Story(rules()).reported(BARE)
    story.done("incident.urged", DISTRICT)
    story.refused(Reason.IMPOSSIBLE, "incident.acknowledged", STREET)


@pytest.mark.parametrize("post", [MEMBER, LEAF_CHIEF])
def test_whoever_a_late_dissuasion_tells_may_say_that_it_was_seen(post):
    """In the sample pack."""
    story = Story().found()
    pass_time(story, story.now + 2 * HOUR)
    assert set(told(story)[0][1]) == {MEMBER, LEAF_CHIEF}
    story.done("incident.acknowledged", post)


# ---- facts of earlier releases ------------------------------------------------------------------------------


def running() -> Case:
    """A case with one clock, as an earlier release left it in the middle of its ladder."""
    clock = Clock("handle", 3, 0, 0, "office", DUE - HOUR, DUE - HOUR, due=DUE, since=DUE - HOUR)
    return Case(id="WY01.1", clocks=(clock,))


def folded(*told_then: Fact) -> Case:
    case = running()
    for fact in told_then:
        case = evolve(case, fact)
    return case


def raised(rung: str, *to: str) -> facts.AlertRaised:
    return facts.AlertRaised(
        alert=f"WY01.1|handle.3|0|0|{rung}|0", kind=rung, to=to, due_at=DUE, clock="handle", level=3
    )


OLD = (
    facts.Acknowledged(by=CITY),
    facts.AlertEnded(clock="handle", level=3, cycle=0, how="acknowledged", by=CITY),
)


def test_an_old_acknowledgement_is_of_the_post_that_its_fact_names_and_the_alert_goes_on():
    case = folded(raised("due", STREET, CITY), *OLD)
    (rung,) = case.alerted
    assert rung.quiet_for(CITY, 0) and rung.quiet_for(CITY, 20260101)
    assert not rung.quiet_for(STREET, 0)
    (clock,) = case.clocks
    assert (clock.alert_open, clock.acknowledged) == (True, True)


def test_a_rung_that_fired_after_an_old_acknowledgement_was_not_seen():
    case = folded(raised("due", STREET, CITY), *OLD, raised("overdue", CITY))
    assert [rung.rung for rung in case.alerted if rung.quiet_for(CITY, 0)] == ["due"]


def test_a_new_deadline_ends_what_an_old_acknowledgement_left_open():
    moved = facts.ClockRetargeted(clock="handle", level=3, cycle=0, target=1, judged=DUE, due=DUE + HOUR)
    case = folded(raised("due", STREET), *OLD, moved)
    (clock,) = case.clocks
    assert (case.alerted, clock.alert_open, clock.acknowledged) == ((), False, False)

"""Merging: which case may go on for another, what it knows of those that go on in it, and what they hear of it."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas import facts
from schemas.envelope import decode_envelope
from schemas.events import EVENT_TYPES, EVENTS, canonical, trigger_of
from schemas.exemptions import EXEMPTIONS
from schemas.joint import JOINT
from schemas.kinds.assessment import ASSESSMENT
from schemas.kinds.incident import MERGING, Absorbed
from schemas.kinds.part import PART
from schemas.kinds.petition import PETITION
from schemas.kinds.responsibility import RESPONSIBILITY
from schemas.kinds.supervision import SUPERVISION
from schemas.kinds.target import TARGET
from schemas.kinds.task import TASK
from schemas.refusals import Reason, Refusal
from tests.support.builders import BARE, CENTRE, DAY, HOTLINE, MEMBER, STREET, Story, at, event, instant, subject
from tests.support.examples import examples
from workflows.decide import DUE
from workflows.definitions import DEFINITIONS
from workflows.merging import MOST_ABSORBED, MOST_LINKS
from workflows.turn import MOST_SENDS, SENT


def pair() -> tuple[Story, Story]:
    """Two reports of one problem."""
    first = Story().reported(BARE)
    return first, first.another(2)


def test_the_survivor_knows_what_goes_on_in_it_and_the_cause_is_the_merged_case() -> None:
    first, second = pair()
    result = second.done("incident.merged", STREET, into=subject())
    assert second.case.state == "merged" and second.case.merged_into == subject()
    assert first.case.absorbed == (subject(number=2),) and first.one(facts.Absorbed).cases == (subject(number=2),)
    sender, target = result.steps
    assert (sender.case.id, target.case.id) == (subject(number=2), subject())
    cause = target.cause
    assert (cause.type, cause.source, cause.id, cause.actor) == (SENT, subject(number=2), f"{sender.case.seq}.1", "")
    assert target.instant == sender.instant == cause.occurred
    assert first.case.state == "reported" and first.case.closed is None


@pytest.mark.parametrize("kind", ["incident", "service_request"])
def test_a_hotline_s_request_and_an_incident_of_the_same_problem_go_on_in_one(kind: str) -> None:
    first = Story().reported(BARE, definition=kind)
    other = {"incident": "service_request", "service_request": "incident"}[kind]
    second = Story(number=2, beside=first.beside).reported(BARE, definition=other)
    second.done("incident.merged", CENTRE, into=subject())
    assert first.case.absorbed == (subject(number=2),)


def test_what_nobody_has_reported_goes_on_for_nothing() -> None:
    story = Story().reported(BARE)
    refusal = story.refused(Reason.IMPOSSIBLE, "incident.merged", STREET, into=subject(number=2))
    assert refusal.field == "data.into" and "send its report first" in refusal.detail
    # It waits for its report, and is none yet.
    early = Story(number=2, beside=story.beside)
    early.parked("incident.accepted", STREET, story.now)
    assert early.case.seq == 1
    story.refused(Reason.IMPOSSIBLE, "incident.merged", STREET, into=subject(number=2))
    assert story.case.state == "reported"
    early.reported(BARE)
    story.done("incident.merged", STREET, early.now + 1, into=subject(number=2))


@pytest.mark.parametrize(
    ("trigger", "by", "data"),
    [
        ("incident.rejected", STREET, {"reason": "unfounded"}),
        ("incident.withdrawn", HOTLINE, {}),
        ("incident.force_closed", "XA-OFFICE", {"reason": "policy"}),
    ],
)
def test_a_case_that_has_ended_goes_on_for_nothing(trigger: str, by: str, data: dict[str, Any]) -> None:
    first, second = pair()
    first.done(trigger, by, **data)
    refusal = second.refused(Reason.IMPOSSIBLE, "incident.merged", STREET, first.now, into=subject())
    assert refusal.field == "data.into" and subject() in refusal.detail and "has ended" in refusal.detail
    assert second.case.state == "reported"


def test_a_survivor_that_was_merged_is_followed_to_the_one_that_goes_on() -> None:
    first, second = pair()
    third, fourth = first.another(3), first.another(4)
    second.done("incident.merged", STREET, into=subject())
    first.done("incident.merged", STREET, second.now, into=subject(number=3))
    assert second.case.merged_into == third.case.id  # told at once: none is more than one link away
    assert not first.case.absorbed and list(third.case.absorbed) == [subject(), subject(number=2)]
    fourth.done("incident.merged", STREET, first.now, into=subject(number=2))
    assert fourth.case.merged_into == subject(number=3)
    assert list(third.case.absorbed) == [subject(), subject(number=2), subject(number=4)]


def test_two_cases_are_not_merged_into_each_other_nor_in_a_ring() -> None:
    first, second = pair()
    third = first.another(3)
    second.done("incident.merged", STREET, into=subject())
    refusal = first.refused(Reason.IMPOSSIBLE, "incident.merged", STREET, second.now, into=subject(number=2))
    assert "goes on in this one" in refusal.detail
    first.done("incident.merged", STREET, into=subject(number=3))
    third.refused(Reason.IMPOSSIBLE, "incident.merged", STREET, first.now, into=subject(number=2))
    third.refused(Reason.IMPOSSIBLE, "incident.merged", STREET, first.now, into=subject())
    assert third.case.state == "reported"


@pytest.mark.parametrize("links", [MOST_LINKS, MOST_LINKS + 1])
def test_links_that_an_earlier_release_made_are_followed_up_to_eight(links: int) -> None:
    story = Story().reported(BARE)
    others = [story.another(number) for number in range(2, links + 3)]
    for one, next_ in pairwise(others):  # it told the survivor nothing
        one.case.state, one.case.merged_into, one.case.closed = "merged", next_.case.id, 1
    if links > MOST_LINKS:
        story.refused(Reason.IMPOSSIBLE, "incident.merged", STREET, into=others[0].case.id)
    else:
        story.done("incident.merged", STREET, into=others[0].case.id)
        assert story.case.merged_into == others[-1].case.id


def test_whatever_arrives_for_a_merged_case_is_refused_with_the_survivor_s_id() -> None:
    for event_type in EVENT_TYPES:
        first, second = pair()
        third = first.another(3)
        second.done("incident.merged", STREET, into=subject())
        first.done("incident.merged", STREET, second.now, into=third.case.id)
        trigger = trigger_of(event_type)
        if trigger in EXEMPTIONS:  # its own missed deadlines are spoken of still: tests/unit/test_exemptions.py
            continue
        data = DATA.get(canonical(trigger)) or (
            EVENTS[trigger].example if trigger.startswith(("draw.", "visit.", "approval.", "signal.")) else {}
        )
        refusal = second.refused(Reason.IMPOSSIBLE, trigger, CENTRE, first.now, **data)
        assert refusal.field == "subject" and third.case.id in refusal.detail, event_type


DATA: dict[str, dict[str, Any]] = {
    **{
        trigger: dict(event.example)
        for kind in (SUPERVISION, RESPONSIBILITY, TASK, TARGET, ASSESSMENT, PETITION, PART)
        for trigger, event in kind.events.items()
    },
    **{trigger: dict(event.example) for trigger, event in JOINT.items()},
    "report.submitted": {"category": BARE, "source": "hotline"},
    "dissuasion.recorded": {"outcome": "effective"},
    "incident.returned": {"reason": "not_our_duty"},
    "incident.dispatched": {"lead": "WY-EPB"},
    "department.arrived": {"department": "WY-EPB"},
    "incident.escalated": {"reason": "authority"},
    "verification.recorded": {"outcome": "solved"},
    "incident.suspended": {"reason": "season"},
    "incident.merged": {"into": subject(number=3)},
    "incident.rejected": {"reason": "duplicate"},
    "incident.force_closed": {"reason": "policy"},
    "case.reopened": {"reason": "dissatisfied"},
    "duty.excused": {"reason": "weather"},
    "extension.requested": {"reason": "weather", "limit": "3工作日"},
    "suspension.requested": {"reason": "season"},
    "case.evidence_added": {"evidence": [{"url": "https://a.example/1", "sha256": "ab" * 32, "kind": "near"}]},
}


def test_what_had_waited_for_a_case_that_is_merged_is_given_up_with_the_survivor_s_id() -> None:
    _, second = pair()
    second.parked("incident.closed", CENTRE, second.now + 1)
    result = second.done("incident.merged", STREET, into=subject())
    given_up = result.outcomes[-1].refusal
    assert given_up is not None and given_up.reason is Reason.EXPIRED and subject() in given_up.detail
    # What another case heard stands right behind the step that says so, before the sender's next one.
    assert [step.case.id for step in result.steps] == [subject(number=2), subject(), subject(number=2)]


def test_a_merge_that_came_before_its_report_is_asked_the_same_when_it_is_released() -> None:
    first = Story().reported(BARE)
    early = Story(number=2, beside=first.beside)
    early.now = first.now
    early.parked("incident.merged", CENTRE, into=subject())
    early.reported(BARE, early.now + 1)
    assert early.case.state == "merged" and first.case.absorbed == (subject(number=2),)
    lone = Story(number=3, beside=first.beside)
    lone.now = first.now
    lone.parked("incident.merged", CENTRE, into=subject(number=4))
    lone.reported(BARE, lone.now + 1)
    assert lone.case.state == "reported"
    refusal = lone.last.outcomes[-1].refusal
    assert refusal is not None and refusal.field == "data.into"


def test_a_survivor_is_not_withdrawn_since_others_have_reported_the_same() -> None:
    first = Story().found()
    second = first.another(2)
    second.done("incident.merged", STREET, into=subject())
    refusal = first.refused(Reason.IMPOSSIBLE, "incident.withdrawn", MEMBER, second.now)
    assert "1 other cases go on in this one" in refusal.detail and first.case.state == "discovered"


@pytest.mark.parametrize(
    ("trigger", "by", "data", "state"),
    [
        ("incident.rejected", STREET, {"reason": "unfounded"}, "rejected"),
        ("incident.force_closed", "XA-OFFICE", {"reason": "policy"}, "force_closed"),
    ],
)
def test_each_merged_case_hears_how_its_survivor_ends_and_stays_merged(
    trigger: str, by: str, data: dict[str, Any], state: str
) -> None:
    first, second = pair()
    third = first.another(3)
    third.done("incident.merged", STREET, into=subject(number=2))
    second.done("incident.merged", STREET, third.now, into=subject())
    result = first.done(trigger, by, second.now + DAY, **data)
    assert [step.case.id for step in result.steps][-3:] == [subject(), subject(number=2), subject(number=3)]
    for merged in (second, third):
        assert merged.one(facts.SurvivorEnded) == facts.SurvivorEnded(case=subject(), state=state)
        assert merged.case.state == "merged"


def test_a_survivor_that_closes_tells_it_too() -> None:
    first = Story().reported(BARE, definition="service_request")
    second = first.another(2)
    second.done("incident.merged", STREET, into=subject())
    first.done("incident.closed", CENTRE, second.now)
    assert second.one(facts.SurvivorEnded).state == "closed"


def test_so_many_cases_go_on_in_one_that_all_hear_of_its_end_in_one_turn() -> None:
    first = Story().reported(BARE)
    others = [first.another(number) for number in range(2, MOST_ABSORBED + 3)]
    for other in others[:-1]:
        other.done("incident.merged", STREET, into=subject())
    refusal = others[-1].refused(Reason.OVER_LIMIT, "incident.merged", STREET, into=subject())
    assert str(MOST_ABSORBED) in refusal.detail and "duplicate" in refusal.detail
    assert MOST_ABSORBED < MOST_SENDS
    result = first.done("incident.rejected", STREET, others[0].now, reason="unfounded")
    assert len(result.steps) == 1 + MOST_ABSORBED
    assert all(other.one(facts.SurvivorEnded).state == "rejected" for other in others[:-1])


def test_an_absorbed_case_that_is_heard_of_late_hears_of_the_end_or_goes_on_elsewhere() -> None:
    """A case that stood hears it when it goes on: it may have ended or been merged itself by then."""
    first, second = pair()
    third = first.another(3)
    second.done("incident.merged", STREET, into=subject())
    first.case.absorbed = ()  # as if it had not heard
    first.done("incident.merged", STREET, second.now, into=third.case.id)
    heard = first.hear("case.absorbed", Absorbed(cases=(subject(number=2),)))
    said = [fact for step in heard.steps for fact in step.facts if not isinstance(fact, facts.NoticeGiven)]
    assert said == [
        facts.Absorbed(cases=(subject(number=2),)),
        facts.Absorbed(cases=(subject(number=2),)),
        facts.Linked(into=third.case.id),
    ]
    assert third.case.absorbed == (subject(), subject(number=2)) and second.case.merged_into == third.case.id
    third.done("incident.rejected", STREET, first.now, reason="unfounded")
    fourth = first.another(4)
    fourth.case.state, fourth.case.merged_into = "merged", third.case.id
    third.hear("case.absorbed", Absorbed(cases=(subject(number=4),)))
    assert fourth.one(facts.SurvivorEnded).state == "rejected"


def test_what_was_due_of_a_case_before_it_hears_something_comes_first() -> None:
    """A case that time bears comes up within a spread: what it hears meanwhile comes after what was due."""
    story = Story().reported(BARE, deadline=instant(at("03-03 09:00")))
    due = story.case.next_at
    assert due is not None and due < at("03-10 09:00")
    story.now = at("03-10 09:00")
    result = story.hear("case.absorbed", Absorbed(cases=(subject(number=2),)))
    causes = [step.cause.type for step in result.steps]
    assert causes[-1] == SENT and len(causes) > 2 and set(causes[:-1]) == {DUE}
    assert [step.case.seq for step in result.steps] == list(range(2, len(causes) + 2))


def test_kinds_that_merge_take_what_merged_cases_say_to_each_other() -> None:
    for name in ("incident", "service_request"):
        definition = DEFINITIONS[name]
        born = {state for state in definition.states if state != "awaited"}
        assert {s for trigger, s in definition.table if trigger == "case.absorbed"} == born
        for trigger in set(MERGING) - {"case.absorbed"}:
            assert {s for name, s in definition.table if name == trigger} == {"merged"}
        assert not set(MERGING) & set(definition.triggers("reported"))  # nobody is told that he may say it


def test_a_case_that_an_earlier_release_merged_is_refused_with_the_one_at_the_end_of_its_links() -> None:
    first, second = pair()
    third = first.another(3)
    third.case.state, third.case.merged_into, third.case.closed = (
        "merged",
        second.case.id,
        1,
    )  # second knows nothing of it
    second.done("incident.merged", STREET, into=subject())
    assert subject() in third.refused(Reason.IMPOSSIBLE, "case.commented", MEMBER, second.now).detail
    third.case.merged_into = "somebody's own words"  # any text was taken
    detail = third.refused(Reason.IMPOSSIBLE, "case.commented", MEMBER, second.now).detail
    assert "goes on in another one" in detail and "words" not in detail


@pytest.mark.parametrize("trigger", [*MERGING, "case.sent"])
def test_nobody_publishes_what_only_cases_say(trigger: str) -> None:
    said = event("case.urged", CENTRE, 0) | {"type": f"gridpatrol.{trigger}.v1"}
    refusal = decode_envelope(msgspec.json.encode(said))
    assert isinstance(refusal, Refusal) and (refusal.reason, refusal.field) == (Reason.ENGINE_ONLY, "type")


MOVES = st.tuples(
    st.sampled_from(["incident.merged"] * 5 + ["incident.rejected", "incident.withdrawn", "report.submitted"]),
    st.integers(1, 6),
    st.integers(1, 6),
)


@settings(max_examples=examples(150))
@given(st.lists(MOVES, min_size=5, max_size=40))
def test_however_cases_are_merged_each_of_them_goes_on_in_one_that_knows_it(moves: list[tuple[str, int, int]]) -> None:
    stories = [Story(number=1)]
    stories += [Story(number=number, beside=stories[0].beside) for number in range(2, 7)]
    now = stories[0].now
    for trigger, one, other in moves:
        now += 1
        story = stories[one - 1]
        if story.case.opened == 0:
            trigger = "report.submitted"
        data: dict[str, dict[str, Any]] = {
            "incident.merged": {"into": subject(number=other)},
            "incident.rejected": {"reason": "unfounded"},
            "report.submitted": {"category": BARE, "source": "hotline", "grid": "WY01-01"},
        }
        story.say(trigger, HOTLINE if trigger != "incident.merged" else CENTRE, now, **data.get(trigger, {}))
    by_id = {story.case.id: story for story in stories}
    for story in stories:
        case, into = story.case, story.case.merged_into
        assert (case.state == "merged") is bool(into)
        assert set(case.absorbed) == {id_ for id_, each in by_id.items() if each.case.merged_into == case.id}
        assert case.state != "withdrawn" or not case.absorbed
        if into:
            survivor = by_id[into].case
            assert survivor.opened and not survivor.merged_into  # one link, and no ring
            heard = story.history(facts.SurvivorEnded)
            assert [fact.state for fact in heard] == ([survivor.state] if survivor.closed is not None else [])

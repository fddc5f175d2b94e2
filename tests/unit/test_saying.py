"""What a post may say now is what the rules take from it, and nothing else: said by every post, in every state.

Enters: cases of the sample pack on their ways through the states. Leaves: nothing; a trigger that is promised and
refused, or taken and not promised, is the failure.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from msgspec import structs

from schemas.events import EVENTS, OLDER_NAMES
from schemas.joint import joint_of
from schemas.samples import PHOTO
from tests.support.builders import (
    BARE,
    CITY,
    DAY,
    DISTRICT,
    DUST,
    HOUR,
    LEAF_CHIEF,
    MEMBER,
    METRO,
    SEWERS,
    STREET,
    Story,
    arrived,
    changed,
    event,
    instant,
    subject,
    weiyang,
)
from tests.unit.test_duty import LEADER, Round
from workflows.case import AWAITED, Case
from workflows.decide import take
from workflows.definitions.duty import DUTY
from workflows.definitions.incident import INCIDENT
from workflows.machine import Definition
from workflows.policy.index import Policy
from workflows.saying import sayable, silence_of
from workflows.work import work_on

BESIDE = ("WY02", "WY02-01")
PATH = ("XA", "WY", "WY01", "WY01-01", *BESIDE)
FORM = {**PHOTO, "kind": "document", "sha256": "cd" * 32}


def posts(rules: Policy) -> list[str]:
    """All kinds of posts on the way of the case, and some beside it."""
    found = {
        (p.role, p.grid, p.department): p.code
        for p in rules.pack.posts
        if p.grid in PATH and p.department in ("", "WY-URBAN") and (p.grid not in BESIDE or p.role == "chief")
    }
    return sorted(found.values())


def triggers(definition: Definition) -> list[str]:
    """All that people say, under the present names."""
    return sorted(EVENTS.keys() - OLDER_NAMES.keys() - definition.births.keys() - {"report.submitted"})


def fitting(trigger: str, case: Case, now: int) -> Iterator[dict[str, Any]]:
    """Data that fit the case as well as any."""
    example = dict(EVENTS[trigger].example)
    match trigger:
        case "case.deadline_ordered":
            yield from ({"clock": clock.name, "due": instant(now + 30 * DAY)} for clock in case.clocks)
        case "case.acknowledged":
            yield {}
        case "incident.dispatched":
            yield {"lead": "WY-URBAN"}
        case "incident.reassigned":
            yield {"to_grid": "WY02"}
        case "incident.reported_up":
            yield {}
        case "incident.escalated":
            yield {"reason": "authority"}
        case "incident.merged":
            yield {"into": subject(number=2)}
        case "extension.requested":
            later = instant(now + 90 * DAY)
            yield from ({"clock": clock.name, "due": later, "reason": "weather"} for clock in case.clocks)
        case "extension.granted" | "extension.refused":
            yield from ({"clock": made.clock} for made in case.proposals)
            yield example
        case "exemption.requested" | "exemption.granted" | "exemption.refused" | "exemption.appealed":
            ground = {"ground": "other"} if trigger in ("exemption.requested", "exemption.granted") else {}
            for made in case.lapses:
                which = {"clock": made.clock, "part": made.level, "cycle": made.cycle, "target": made.target}
                yield which | ground
            yield example
        case "incident.suspended" | "suspension.requested":
            yield example | {"until": instant(now + 30 * DAY)}
        case "department.arrived":
            yield {"department": "WY-URBAN"}
        case "rectification.ordered":
            yield {"stage": 1, "due": instant(now + 30 * DAY)}
        case "rectification.completed":
            yield from ({"stage": clock.level} for clock in case.clocks if clock.name == "rectify")
            yield example
        case "parts.ordered":
            yield {"owners": ["WY01-05"]}
        case "parts.released":
            yield from ({"part": each.id, "reason": "other"} for each in joint_of(case.own).parts)
        case "joint.recorded":
            yield {"what": "meeting"}
        case "duty.recorded":
            yield {"evidence": [PHOTO], "form": FORM}
        case _:
            yield example
            words = {
                "dissuasion.recorded": ("effective", "ineffective"),
                "verification.recorded": ("solved", "unsolved"),
            }
            yield from (example | {"outcome": word} for word in words.get(trigger, ()))


def is_taken(story: Story, trigger: str, actor: str, now: int, time: int | None = None) -> bool:
    """Whether the rules take it, whatever fitting data come with it; the case stays as it was."""
    for data in fitting(trigger, story.case, now):
        said = event(
            trigger, actor, time if time and trigger == "duty.recorded" else now, case=story.case.id, id="probe", **data
        )
        result = take(story.case, arrived(said, now), story.rules, story.register, (), others=story.beside)
        if result.outcomes[0].outcome == "done":
            return True
    return False


def check(story: Story, definition: Definition, time: int | None = None) -> None:
    """Every post says everything that the state takes, and two of them also the rest."""
    now = story.now + 60_000
    story.until(now)
    open_to = {definition.event_of(trigger) for trigger in definition.triggers(story.case.state)}
    for code in posts(story.rules):
        post = story.register.posts[code]
        promised = {each.trigger for each in sayable(story.case, post, story.rules, story.register, now)}
        asked = triggers(definition) if code in (MEMBER, STREET) else sorted(open_to)
        taken = {trigger for trigger in asked if is_taken(story, trigger, code, now, time)}
        assert promised == taken, (story.case.state, code)


# ---- the incident -------------------------------------------------------------------------------------------


def rectifying(story: Story) -> Story:
    story.done("rectification.ordered", STREET, stage=1, requirement="…", due=instant(story.now + 30 * DAY))
    return story


def passed_by() -> Story:
    """Handled by the district; the street lets the turn of its check pass."""
    story = Story().reported(METRO).accepted(DISTRICT).handled(DISTRICT)
    clock = story.case.clock("verify", 3)
    assert clock is not None and clock.due is not None
    story.now = clock.due + HOUR
    story.until(story.now)
    assert story.case.passed == (3,)
    return story


def verified(story: Story) -> Story:
    story.done("verification.recorded", MEMBER, outcome="solved", evidence=[PHOTO])
    return story


def closed(story: Story) -> Story:
    story.done("incident.closed", LEAF_CHIEF)
    return story


def said(story: Story, trigger: str, actor: str, **data: Any) -> Story:
    story.done(trigger, actor, **data)
    return story


def survivor() -> Story:
    """Another case goes on in this one."""
    story = Story().reported()
    other = story.another(3)
    other.done("incident.merged", STREET, into=story.case.id)
    assert story.case.absorbed
    return story


def with_part() -> Story:
    """Another owner has a part of it."""
    return said(Story().reported(BARE).accepted(), "parts.ordered", STREET, owners=["WY01-03"])


WAYS: dict[str, Callable[[], Story]] = {
    "discovered": lambda: Story().found(DUST),
    "dissuading": lambda: said(Story().found(DUST), "dissuasion.recorded", MEMBER, outcome="ineffective"),
    "dissuaded": lambda: said(Story().found(DUST), "dissuasion.recorded", MEMBER, outcome="effective"),
    "reported": lambda: Story().reported(BARE),
    "reported to the district": lambda: Story().reported(METRO),
    "reported to the city": lambda: Story().reported(SEWERS),
    "survivor": survivor,
    "accepted": lambda: Story().reported(BARE).accepted(),
    "accepted by the city": lambda: Story().reported(SEWERS).accepted(CITY),
    "rectifying": lambda: rectifying(Story().reported(BARE).accepted()),
    "dispatched": lambda: said(Story().reported(METRO), "incident.dispatched", DISTRICT, lead="WY-URBAN"),
    "feedback": lambda: Story().reported(SEWERS).accepted(CITY).handled(CITY),
    "verifying": lambda: Story().reported(BARE).accepted().handled(),
    "with a part": with_part,
    "waiting for a part": lambda: with_part().handled(),
    "a turn has passed": passed_by,
    "verified": lambda: verified(Story().reported(BARE).accepted().handled()),
    "verified and a check is owed": lambda: verified(passed_by()),
    "closed": lambda: closed(verified(Story().reported(BARE).accepted().handled())),
    "reworked": lambda: said(
        Story().reported(BARE).accepted().handled(), "verification.recorded", MEMBER, outcome="unsolved"
    ),
    "returned": lambda: said(Story().reported(METRO), "incident.returned", DISTRICT, reason="not_our_duty"),
    "suspended": lambda: said(Story().reported(BARE).accepted(), "incident.suspended", STREET, reason="season"),
    "rejected": lambda: said(Story().reported(BARE), "incident.rejected", STREET, reason="unfounded"),
}


def built(way: str) -> Story:
    story = WAYS[way]()
    story.another(2)  # into which it may be merged
    return story


@pytest.mark.parametrize("way", WAYS)
def test_what_a_post_may_say_of_an_incident_is_what_the_rules_take_from_it(way: str) -> None:
    check(built(way), INCIDENT)


def test_every_state_of_the_incident_is_on_these_ways() -> None:
    seen = {built(way).case.state for way in WAYS}
    over = {name for name, state in INCIDENT.states.items() if state.terminal}
    assert set(INCIDENT.states) - over - {AWAITED} <= seen and {"closed", "rejected"} <= seen


def test_whoever_handled_it_checks_it_where_the_pack_lets_him_and_no_head_of_an_enterprise_does() -> None:
    for options in ({"verifier_differs": False}, {"verifier_differs": True}):
        rules = changed(options=options)
        story = Story(rules).reported(BARE).accepted().handled()
        story.another(2)
        check(story, INCIDENT)
    pack = weiyang().pack
    grids = tuple(structs.replace(g, kind="enterprise") if g.code == "WY01-01" else g for g in pack.grids)
    story = Story(changed(grids=grids, options={"barred_verifiers": ("enterprise",)})).reported(BARE).accepted()
    story.another(2)
    check(story.handled(), INCIDENT)
    chief = story.register.posts[LEAF_CHIEF]
    may = {each.trigger for each in sayable(story.case, chief, story.rules, story.register, story.now)}
    assert "verification.recorded" not in may


def test_a_vacant_post_and_one_that_ended_say_nothing() -> None:
    rules = weiyang()
    pack = rules.pack
    story = Story(rules).reported(BARE)
    for fields in ({"vacant": True}, {"valid_to": 20260101}):
        others = tuple(structs.replace(p, **fields) if p.code == STREET else p for p in pack.posts)
        register = changed(posts=others)
        post = register.posts[STREET]
        assert silence_of(post, register, story.now)
        assert sayable(story.case, post, rules, register, story.now) == ()
    assert sayable(story.case, rules.posts[STREET], rules, rules, story.now) != ()
    assert sayable(Case(id=subject()), rules.posts[STREET], rules, rules, story.now) == ()


# ---- the duty -----------------------------------------------------------------------------------------------


def recorded(row: Round) -> Round:
    row.done("duty.recorded", MEMBER, row.begins + HOUR)
    return row


def late(row: Round, by: int) -> Round:
    row.now = row.due + by
    row.until(row.now)
    return row


DUTIES: dict[str, Callable[[], Round]] = {
    "owed": Round,
    "owed by a leader": lambda: Round("VISIT-LEAF", LEADER),
    "lapsed": lambda: late(Round(), HOUR),
    "missed": lambda: late(Round(), 9 * DAY),
    "kept": lambda: recorded(Round()),
}


@pytest.mark.parametrize("way", DUTIES)
def test_what_a_post_may_say_of_a_duty_is_what_the_rules_take_from_it(way: str) -> None:
    duty = DUTIES[way]()
    check(duty, DUTY, time=min(duty.due - 1, duty.now + 60_000))


def test_excused_and_void_duties_are_as_the_rules_take_them() -> None:
    excused = Round()
    excused.done("duty.excused", STREET, reason="illness")
    check(excused, DUTY)
    ended = Round()
    ended.void(ended.begins + HOUR)
    check(ended, DUTY)
    assert {excused.case.state, ended.case.state} == {"excused", "void"}


# ---- whose work it is ---------------------------------------------------------------------------------------


def test_a_level_that_let_its_turn_pass_has_work_beside_whoever_holds_the_case() -> None:
    works = work_on(passed_by().case)
    assert [(work.holder.grid, work.owed) for work in works] == [("WY01-01", False), ("WY01", True)]
    works = work_on(verified(passed_by()).case)
    assert [(work.holder.grid, work.clocks, work.owed) for work in works] == [
        ("WY01-01", ("close",), False),
        ("WY01", ("verify",), True),
    ]
    assert work_on(closed(verified(passed_by())).case) == ()
    assert work_on(Case(id=subject())) == ()

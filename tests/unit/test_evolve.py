"""A case is the sum of its facts, whatever is said to it: random lives, checked after each step.

`Story` folds every fact with `evolve` and compares; here the lives are drawn at random, and every invariant of an
open case is asked after each event and each firing.
"""

from __future__ import annotations

import itertools
from typing import Any, get_args

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas import facts
from schemas.events import OF_ANY_CASE, OLDER_NAMES, canonical
from schemas.joint import KeptPart, PartsTaken
from schemas.kinds.incident import INCIDENT
from schemas.kinds.service_request import SERVICE_REQUEST
from tests.support.builders import (
    BARE,
    CENTRE,
    CITY,
    DISTRICT,
    DUST,
    HOTLINE,
    LEAF,
    LEAF_CHIEF,
    MEMBER,
    OUTLET,
    SEWERS,
    STREET,
    Story,
    arrived,
    at,
    changed,
    event,
    instant,
    rung_of,
    subject,
)
from tests.support.examples import examples
from workflows.case import AWAITED, Case, Clock, Owner, decode, encode
from workflows.clocks.limits import parse_limit
from workflows.decide import quarantine, take
from workflows.definitions import DEFINITIONS
from workflows.evolve import evolve
from workflows.permissions import forbid
from workflows.policy.model import RungRow

DATA: dict[str, list[dict[str, Any]]] = {
    "dissuasion.recorded": [{"outcome": "effective"}, {"outcome": "ineffective"}],
    "incident.reported_up": [{}, {"to_department": "WY-URBAN"}, {"to_grid": "WY"}],
    "incident.accepted": [{}],
    "incident.returned": [{"reason": "not_our_duty"}],
    "incident.dispatched": [{"lead": "WY-URBAN"}, {"lead": "WY-BUILD", "assisting": ["WY-URBAN"]}],
    "department.arrived": [{"department": "WY-URBAN"}],
    "rectification.ordered": [{}, {"stage": 2, "limit": "1工作日"}, {"due": instant(at("03-04 09:00"))}],
    "rectification.completed": [{}, {"stage": 2}],
    "incident.escalated": [{"reason": "authority"}, {"reason": "coordination"}, {"reason": "cross_boundary"}],
    "handling.completed": [{}],
    "verification.recorded": [{"outcome": "solved"}, {"outcome": "unsolved"}],
    "incident.closed": [{}, {"root_cause": "service"}],
    "incident.suspended": [{"reason": "season"}, {"reason": "funds", "until": instant(at("03-20 09:00"))}],
    "incident.resumed": [{}],
    "deadline.ordered": [{"limit": "3工作日"}, {"clock": "handle", "due": instant(at("03-05 09:00"))}],
    "incident.reassigned": [{"to_grid": "WY02"}, {"to_department": "WY-EPB"}],
    "incident.merged": [{"into": subject(number=9)}],
    "incident.rejected": [{"reason": "duplicate"}],
    "incident.withdrawn": [{}],
    "incident.force_closed": [{"reason": "policy"}],
    "evidence.added": [{"evidence": [{"url": "https://files.example/1.jpg", "sha256": "ab" * 32, "kind": "after"}]}],
    "comment.added": [{}],
    "incident.acknowledged": [{}],
    "incident.urged": [{}],
    "extension.requested": [
        {"reason": "weather", "limit": "9工作日"},
        {"reason": "funds", "clock": "total", "due": instant(at("03-25 09:00"))},
    ],
    "extension.granted": [{}, {"clock": "total"}, {"limit": "12工作日"}],
    "extension.refused": [{}, {"clock": "total"}],
    "suspension.requested": [{"reason": "season"}, {"reason": "funds", "until": instant(at("03-20 09:00"))}],
    "suspension.granted": [{}],
    "suspension.refused": [{}],
    "case.reopened": [{"reason": "dissatisfied"}],
    "parts.ordered": [{"owners": ["WY01-03"]}, {"owners": ["WY02"], "limit": "2工作日"}],
    "parts.released": [{"part": subject(number=90), "reason": "other"}],
    "joint.recorded": [{"what": "meeting"}, {"what": "enforcement", "participants": ["WY02"]}],
    "exemption.requested": [
        {"clock": "handle", "ground": "outage"},
        {"clock": "total", "ground": "tolerance"},
        {"clock": "accept", "ground": "other", "cycle": 0},
    ],
    "exemption.granted": [
        {"clock": "handle", "ground": "other"},
        {"clock": "total", "no_harm": True},
        {"clock": "accept", "ground": "emergency"},
    ],
    "exemption.refused": [{"clock": "handle"}, {"clock": "total"}, {"clock": "accept"}],
    "exemption.appealed": [{"clock": "handle"}, {"clock": "total"}, {"clock": "accept"}],
}
DATA |= {name: DATA[older] for older, name in OLDER_NAMES.items()}
POSTS = (MEMBER, LEAF_CHIEF, STREET, DISTRICT, CITY, CENTRE, "WY-OFFICE", "WY-URBAN-H", "WY-EPB-H", HOTLINE)
REPORTS = [
    ({"category": DUST, "source": "patrol"}, MEMBER),
    ({"category": BARE, "source": "hotline"}, HOTLINE),
    ({"category": OUTLET, "source": "hotline", "deadline": instant(at("03-03 09:00"))}, HOTLINE),
    ({"category": SEWERS, "source": "hotline", "touches": ["WY02-01"]}, HOTLINE),
    ({"category": BARE, "source": "hotline", "definition": "service_request"}, HOTLINE),
]
RULES = changed(
    options={"parked_cap": 4, "offline_ms": 6 * 3_600_000},
    rungs=(
        RungRow("handle", "due", "at", tell=("owner",), act="escalate"),
        RungRow("*", "warn", "before", parse_limit("1工作时"), tell=("owner_chief",)),
        RungRow("*", "due", "at", tell=("owner", "reporter")),
        RungRow("*", "overdue", "after", parse_limit("1工作日"), parse_limit("1自然日"), 3, ("upper_chief",)),
    ),
)
"""The sample pack, but with a ladder for every clock, and escalation by timeout."""


ENDS = {"incident.merged", "incident.rejected", "incident.withdrawn", "incident.force_closed"}
REMARKS = {"evidence.added", "comment.added", "incident.acknowledged", "incident.urged", "deadline.ordered"}


def heard(story: Story, kind: str) -> list[str]:
    """Those who may say it, mostly; a few who may not."""
    roles = {row.role for row in RULES.pack.roles if canonical(row.trigger) == canonical(kind)}
    likely = [post for post in POSTS if RULES.posts[post].role in roles]
    if story.case.path:
        posts = RULES.posts
        likely = [p for p in likely if forbid(posts[p], kind, story.case, RULES, RULES) is None] or likely
    return [*likely * 6, *POSTS]


def sayings(story: Story) -> list[str]:
    """What moves the case on, mostly; now and then a remark, an end, or what comes too early."""
    state = story.case.state
    definition = DEFINITIONS.get(story.case.definition) or DEFINITIONS["incident"]
    taken = [kind for kind in definition.triggers(state) if kind in DATA]
    taken += ["verification.recorded"] * (state == "feedback")
    moves = [kind for kind in taken if kind not in ENDS | REMARKS]
    return moves * 12 + taken + sorted(definition.ahead[state] & set(DATA)) or ["comment.added"]


def consistent(story: Story) -> None:
    """What holds of every case at every moment."""
    case = story.case
    definition = DEFINITIONS.get(case.definition)
    names = [(c.name, c.level) for c in case.clocks]
    assert len(set(names)) == len(names), "two clocks of one name and level"
    assert len({(w.source, w.id) for w in case.parked}) == len(case.parked) <= RULES.options.parked_cap
    assert decode(encode(case)) == case
    for clock in case.clocks:
        assert clock.started <= clock.judged
        assert (clock.next is None) or clock.since is not None, "a paused clock waits for nothing"
        assert (clock.next is None) or clock.rung
        assert all(a <= b for a, b in clock.runs)
    waits = [c.next for c in case.clocks if c.next is not None] + [w.until for w in case.parked]
    waits += [case.suspended_until] if case.suspended_until is not None else []
    assert case.next_at == min(waits, default=None)
    deadlines = [c.due for c in case.clocks if c.since is not None and c.due is not None]
    assert case.due_at == min(deadlines, default=None)
    if definition is None:
        assert (case.state, case.clocks) == (AWAITED, ())
    elif definition.states[case.state].terminal:
        assert (case.clocks, case.parked, case.next_at) == ((), (), None)
        assert case.closed is not None
    else:
        assert case.closed is None
        assert case.clock("total") is not None, "the clock of the whole case always runs"
        total = case.clock("total")
        assert total is not None and total.since is not None
        assert case.owner.grid in RULES.grids and case.owner.level == RULES.grids[case.owner.grid].level
    if case.suspended_from:
        assert case.state == "suspended"


def never_backwards(story: Story) -> None:
    """No fact is dated before the last judged instant of its clock; moves run forward; ends come once."""
    last: dict[tuple[Any, ...], int] = {}
    paused: dict[tuple[Any, ...], int] = {}
    fired: set[tuple[Any, ...]] = set()
    alerts: set[str] = set()
    for fact in (fact for step in story.steps for fact in step.facts):
        judged: Any = getattr(fact, "judged", None)
        key = (fact.clock, fact.level, fact.cycle) if isinstance(fact, facts.ClockFact) else ("move",)
        if judged is not None:
            assert last.get(key, 0) <= judged
            last[key] = judged
        if isinstance(fact, facts.ClockPaused):
            paused[key] = judged
        if isinstance(fact, facts.ClockResumed):
            del paused[key]
        if isinstance(fact, facts.ClockStopped):
            last.pop(key)
            done = paused.pop(key, judged)
            late = fact.due is not None and (done > fact.due or fact.again)  # again: it came back with nothing left
            if fact.result in ("passed_on", "void"):
                assert fact.lapsed or not late
            else:
                assert fact.result == ("without_deadline" if fact.due is None else "overdue" if late else "on_time")
                assert not fact.lapsed
        if isinstance(fact, facts.ClockRung):
            name = rung_of(fact)
            assert name not in fired, "a rung fired twice"
            fired.add(name)
        if isinstance(fact, facts.AlertRaised):
            assert fact.alert not in alerts
            alerts.add(fact.alert)


@settings(max_examples=examples(60))
@given(st.data())
def test_a_random_life_is_the_fold_of_its_facts_and_consistent_all_along(data):
    report, reporter = data.draw(st.sampled_from(REPORTS))
    story, now, born = Story(RULES), at("03-02 09:00"), data.draw(st.integers(0, 4))
    story.another(9)
    for number in range(data.draw(st.integers(5, 25))):
        now += data.draw(st.sampled_from([0, 1, 60_000, 3_600_000, 86_400_000]))
        late = data.draw(st.sampled_from([0, 0, 0, 1_800_000, 86_400_000, -60_000]))
        if number == born:
            story.say("report.submitted", reporter, now, occurred=now - late, grid=LEAF, **report)
        else:
            kind = data.draw(st.sampled_from(sayings(story)))
            actor = data.draw(st.sampled_from(heard(story, kind)))
            story.say(kind, actor, now, occurred=now - late, **data.draw(st.sampled_from(DATA[kind])))
        consistent(story)
    story.until(now + 60 * 86_400_000)
    consistent(story)
    never_backwards(story)


@settings(max_examples=examples(25))
@given(st.lists(st.tuples(st.sampled_from(sorted(DATA)), st.sampled_from(POSTS), st.integers(0, 2)), max_size=8))
def test_deciding_twice_gives_the_same_bytes(sayings):
    outcomes = []
    for _ in range(2):
        story = Story(RULES).reported(BARE)
        story.another(9)
        for kind, actor, which in sayings:
            story.say(kind, actor, **DATA[kind][which % len(DATA[kind])])
        outcomes.append([(facts.encode_facts(s.facts), facts.encode_cause(s.cause), s.instant) for s in story.steps])
    assert outcomes[0] == outcomes[1]


WAY: list[tuple[str, str, dict[str, Any]]] = [
    ("incident.accepted", STREET, {}),
    ("handling.completed", STREET, {}),
    ("verification.recorded", MEMBER, {"outcome": "solved"}),
    ("incident.closed", MEMBER, {}),
]


@given(st.sampled_from(sorted(DATA)), st.sampled_from(POSTS), st.integers(0, 2), st.integers(0, 4))
def test_what_is_refused_leaves_no_trace(kind, actor, which, far):
    story = Story(RULES).reported(BARE)
    for said, by, data in WAY[:far]:
        story.done(said, by, **data)
    before = encode(story.case)
    event_ = arrived(event(kind, actor, story.now, **DATA[kind][which % len(DATA[kind])]), story.now)
    result = take(story.case, event_, RULES, RULES)
    assert encode(story.case) == before
    if result.outcomes[0].outcome == "refused":
        assert result.steps == [] and result.case is story.case
        assert result.outcomes[0].refusal is not None and result.outcomes[0].refusal.detail


# ---- encoding ---------------------------------------------------------------------------------------------


def test_every_event_type_is_said_in_these_lives():
    """Those of the incident and the service request, which have the most, and of any case."""
    assert {*DATA, "report.submitted"} == {*INCIDENT.events, *SERVICE_REQUEST.events, *OF_ANY_CASE, *OLDER_NAMES}


@pytest.mark.parametrize("kind", get_args(facts.AnyFact))
def test_every_fact_has_a_tag_of_its_own_and_survives_encoding(kind):
    required = {
        field.name: {int: 7, str: "x", bool: True, facts.Unit: facts.Unit("/x/")}.get(
            field.type, ("a",) if "tuple" in str(field.type) else 7
        )
        for field in msgspec.structs.fields(kind)
        if field.required
    }
    if kind is facts.Handled:
        required["checks"] = (3, 4)
    if kind is PartsTaken:
        required["parts"] = (KeptPart(id=subject(), grid="g", level=3, since=7),)
    if kind is facts.Regridded:
        required["grids"] = (("a", "b"),)
    fact = kind(**required)
    body = facts.encode_facts((fact,))
    assert facts.decode_facts(body) == (fact,)
    assert body.startswith(f'[{{"fact":"{kind.__struct_config__.tag}"'.encode())
    assert [k.__struct_config__.tag for k in get_args(facts.AnyFact)].count(kind.__struct_config__.tag) == 1


def test_defaults_are_left_out_and_fields_stand_in_their_order():
    fact = facts.ClockPaused(clock="handle", level=3, cycle=0, target=0, judged=5, consumed=7)
    assert facts.encode_facts((fact,)) == (
        b'[{"fact":"clock.paused","clock":"handle","level":3,"cycle":0,"target":0,"judged":5,"consumed":7}]'
    )
    assert facts.encode_facts((facts.Resumed(),)) == b'[{"fact":"incident.resumed"}]'


# ---- evolve, fact by fact ---------------------------------------------------------------------------------

RUNNING = Clock("handle", 3, 0, 0, "office", 100, 100, "4工作时", 900, since=100, rung="due", next=900)
NAME: dict[str, Any] = {"clock": "handle", "level": 3, "cycle": 0, "target": 0}


def test_evolve_leaves_the_case_that_it_was_given():
    case = Case(id="a", clocks=(RUNNING,))
    before = encode(case)
    after = evolve(case, facts.ClockPaused(**NAME, judged=300, consumed=1))
    assert encode(case) == before and after is not case


def test_a_pause_adds_a_run_to_the_ledger_and_a_resume_begins_another():
    case = evolve(Case(id="a", clocks=(RUNNING,)), facts.ClockPaused(**NAME, judged=300, consumed=200))
    assert (case.clocks[0].runs, case.clocks[0].since, case.clocks[0].next) == (((100, 300),), None, None)
    case = evolve(case, facts.ClockResumed(**NAME, judged=500, due=1100, rung="due", next=1100))
    assert (case.clocks[0].since, case.clocks[0].due, case.clocks[0].next) == (500, 1100, 1100)


def test_a_breach_stays_until_the_next_target():
    case = Case(id="a", clocks=(RUNNING,))
    case = evolve(
        case, facts.ClockRung(**NAME, rung="due", repeat=0, due_at=900, breach=True, next_rung="over", next=950)
    )
    case = evolve(case, facts.ClockRung(**NAME, rung="over", repeat=0, due_at=950))
    assert case.clocks[0].breached and case.clocks[0].next is None
    case = evolve(case, facts.ClockRetargeted(**{**NAME, "target": 1}, judged=960, due=2000, next=2000, rung="due"))
    assert not case.clocks[0].breached
    assert (case.clocks[0].target, case.last_target("handle", 3)) == (1, 1)


def test_facts_of_one_clock_leave_its_neighbours_alone():
    other = msgspec.structs.replace(RUNNING, level=2)
    case = evolve(Case(id="a", clocks=(RUNNING, other)), facts.ClockPaused(**NAME, judged=300, consumed=200))
    assert case.clocks[1] == other


def test_owners_are_remembered_and_a_return_takes_them_back():
    case = Case(id="a")
    owners = [Owner("L", 4), Owner("S", 3), Owner("S", 3, "D")]
    for owner in owners:
        case = evolve(case, facts.Assigned(grid=owner.grid, level=owner.level, department=owner.department))
    assert (case.owner, case.trail) == (owners[2], tuple(owners[:2]))
    case = evolve(case, facts.Assigned(grid="S", level=3, why="returned"))
    assert (case.owner, case.trail) == (owners[1], (owners[0],))


def test_the_trail_of_owners_is_bounded():
    case = Case(id="a")
    for level in itertools.islice(itertools.cycle((2, 3)), 100):
        case = evolve(case, facts.Assigned(grid=f"G{level}", level=level))
    assert len(case.trail) == 16


def test_the_stop_of_the_clock_of_the_whole_case_closes_it():
    total = msgspec.structs.replace(RUNNING, name="total", level=0)
    stop = facts.ClockStopped(
        clock="total", level=0, cycle=0, target=0, judged=700, started=100, result="on_time", elapsed=600
    )
    case = evolve(Case(id="a", clocks=(RUNNING, total)), stop)
    assert (case.closed, case.clocks) == (700, (RUNNING,))


def test_facts_that_are_history_only_change_nothing():
    case = Case(id="a", clocks=(RUNNING,))
    for fact in (
        facts.Copied(posts=("p",)),
        facts.Noted(what="comment"),
        facts.Urged(by="p"),
        facts.ClockContradicted(**NAME, judged=1),
    ):
        assert encode(evolve(case, fact)) == encode(case)


def test_a_quarantine_stands_the_clocks_still_until_it_is_lifted():
    story = Story(RULES).reported(BARE)
    due = story.case.next_at
    story._follow(quarantine(story.case, story.now, RULES, RULES, detail="boom"))
    assert story.case.quarantined and story.case.next_at is None
    assert story.one(facts.Quarantined).detail == "boom"
    story.facts = []
    story._follow(quarantine(story.case, story.now, RULES, RULES, on=False))
    assert story.case.next_at == due
